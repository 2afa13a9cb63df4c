/* out.c: see out.h. Output memory is the connection's own (net_reserve) and is committed when it is full and at the end of each
 * event; between, a reply is pointer arithmetic. */
#include "redis/conn/out.h"
#include "redis/conn/clients.h"
#include "redis/conn/out_limits.h"

static bool is_silent(const redis_client_t *c)
{
    if (!c->conn) return c->sink == NULL;
    return c->flags & (CLIENT_REPLY_OFF | CLIENT_REPLY_SKIP);
}

static uint8_t *use(redis_client_t *c, uint8_t *start, size_t room)
{
    c->out = c->out_start = start;
    c->out_end = start + room;
    return start;
}

static uint8_t *grow_buf(redis_client_t *c, buf_t *b, size_t n)
{
    if (c->out) b->len = (size_t)(c->out - b->ptr);
    buf_reserve(b, MAX(n, (size_t)OUT_RESERVE_BYTES));
    use(c, b->ptr + b->len, b->cap - b->len);
    return c->out;
}

static uint8_t *grow_silent(redis_client_t *c, size_t n)
{
    buf_t *b = &c->clients->discard;
    b->len = 0;
    buf_reserve(b, MAX(n, (size_t)OUT_RESERVE_BYTES));
    return use(c, b->ptr, b->cap);
}

static void commit(redis_client_t *c)
{
    size_t n = (size_t)(c->out - c->out_start);
    c->out_bytes += n;
    net_commit(c->conn, n);
    if (UNLIKELY(net_congested(c->conn))) c->flags |= CLIENT_CONGESTED;
}

uint8_t *out__grow(redis_client_t *c, size_t n)
{
    if (c->deferred_depth) return grow_buf(c, &c->deferred, n);
    if (is_silent(c)) return grow_silent(c, n);
    if (!c->conn) return grow_buf(c, c->sink, n);
    if (c->out_start) commit(c);
    if (!c->out_dirty) {
        c->out_dirty = true;
        list_push_back(&c->clients->writing, &c->writing_node);
    }
    size_t room = MAX(n, (size_t)OUT_RESERVE_BYTES);
    return use(c, net_reserve(c->conn, room), room);
}

void out__flush(redis_client_t *c)
{
    ASSERT(c->deferred_depth == 0);
    if (c->out_start) {
        if (!c->conn) {
            if (c->sink) c->sink->len = (size_t)(c->out - c->sink->ptr);
        } else if (!is_silent(c)) {
            commit(c);
        }
    }
    c->out = c->out_end = c->out_start = NULL;
    if (c->conn && UNLIKELY(out_limits__exceeds(c)) && out_limits__counts(c)) out_limits__close(c);
    if (c->out_dirty) {
        c->out_dirty = false;
        list_remove(&c->writing_node);
    }
    client_memory__count(c);
}

void out__flush_all(clients_t *clients)
{
    while (!list_empty(&clients->writing))
        out__flush(CONTAINER_OF(clients->writing.next, redis_client_t, writing_node));
    client_memory__enforce(clients);
}

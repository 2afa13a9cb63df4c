/* waiters.c: KAFKA.WAIT timeout-ms: how many of this connection's records are in their partitions. It waits until all
 * are, or for so long (0 = for ever). Records with AT are nobody's: they come when they come. */
#include "bridge/bridge_internal.h"

#include "base/num.h"

typedef struct client_count {
    uint64_t added, placed;
} client_count_t;

typedef struct wait {
    list_t node;
    bridge_t *bridge;
    uint64_t client_id;
    redis_async_t *async;
    io_timer_t timer;
} wait_t;

void waiters_init(bridge_t *bridge)
{
    bridge->waiters.clients = MAP_INIT;
    list_init(&bridge->waiters.waits);
}

void waiters_deinit(bridge_t *bridge)
{
    size_t cursor = 0;
    LIST_EACH(&bridge->waiters.waits, w, wait_t, node) {
        io_timer_stop(&w->timer);
        redis_async_drop(w->async);
        mem_free(w);
    }
    for (map_entry_t *e; (e = map_next(&bridge->waiters.clients, &cursor));) mem_free(e->value);
    map_deinit(&bridge->waiters.clients);
}

static client_count_t *count_of(bridge_t *bridge, uint64_t client_id)
{
    return map_get(&bridge->waiters.clients, map_key_u64(&client_id));
}

void waiters_added(bridge_t *bridge, uint64_t client_id)
{
    client_count_t *c = count_of(bridge, client_id);
    if (!c) {
        c = mem_zalloc(sizeof(*c));
        map_put(&bridge->waiters.clients, map_key_u64(&client_id), c);
    }
    c->added++;
}

static void end_wait(wait_t *w)
{
    const client_count_t *c = count_of(w->bridge, w->client_id);
    io_timer_stop(&w->timer);
    list_remove(&w->node);
    redis_reply_int(redis_async_client(w->async), c ? (int64_t)c->placed : 0);
    redis_async_done(w->async);
    mem_free(w);
}

static void end_waits(bridge_t *bridge, uint64_t client_id)
{
    LIST_EACH(&bridge->waiters.waits, w, wait_t, node) {
        if (w->client_id != client_id) continue;
        end_wait(w); /* a connection waits once at a time */
        return;
    }
}

void waiters_placed(bridge_t *bridge, uint64_t client_id)
{
    client_count_t *c = count_of(bridge, client_id);
    if (!c) return; /* it has gone */
    c->placed++;
    if (c->placed == c->added) end_waits(bridge, client_id);
}

void waiters_gone(void *user, uint64_t client_id)
{
    bridge_t *bridge = user;
    if (bridge->stopped) return;
    end_waits(bridge, client_id);
    mem_free(map_remove(&bridge->waiters.clients, map_key_u64(&client_id)));
}

static void on_timeout(io_timer_t *timer) { end_wait(CONTAINER_OF(timer, wait_t, timer)); }

void waiters_command(redis_call_t *call, void *user)
{
    bridge_t *bridge = user;
    redis_client_t *client = redis_call_client(call);
    uint64_t client_id = redis_client_id(client);
    int64_t timeout_ms;
    if (!num_parse_i64(redis_call_arg(call, 1), &timeout_ms) || timeout_ms < 0) {
        redis_reply_error(client, "ERR timeout is not an integer or out of range");
        return;
    }
    const client_count_t *c = count_of(bridge, client_id);
    redis_async_t *async = c && c->placed < c->added ? redis_async(call) : NULL;
    if (!async) {
        redis_reply_int(client, c ? (int64_t)c->placed : 0);
        return;
    }
    wait_t *w = mem_zalloc(sizeof(*w));
    w->bridge = bridge;
    w->client_id = client_id;
    w->async = async;
    list_push_back(&bridge->waiters.waits, &w->node);
    io_timer_init(bridge->loop, &w->timer, on_timeout);
    if (timeout_ms) io_timer_start(&w->timer, (uint64_t)timeout_ms, 0);
}

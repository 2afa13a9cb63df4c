/* client_memory.c: see client_memory.h.
 *
 * Invariant: held_bytes is the sum of count.bytes over all clients; a client is in the list of the size that count.bytes has, or,
 * exempt or closing, in none. */
#include "redis/conn/client_memory.h"

#include "redis/conn/clients.h"
#include "redis/conn/out_limits.h"
#include "redis/conn/tracking.h"

#include "base/slog.h"

#define LIMIT_BYTES_MIN KIB(128) /* below it nobody could set another */
#define SIZE_LOG_MIN    15       /* the first list's clients hold less than two to its power */
#define BIG_ARGUMENT_BYTES                                                                                             \
    KIB(32) /* from here on what lies before an argument is none of the query buffer's, as in the original */

/* ---- one client ------------------------------------------------------------------------------------------------------ */

static size_t bytes_of_map(const map_t *m) { return (m->cap + m->old_cap) * sizeof(map_entry_t); }

static size_t names_bytes(const redis_client_t *c)
{
    size_t bytes = bytes_of_map(&c->channels) + bytes_of_map(&c->patterns) + bytes_of_map(&c->shard_channels);
    if (c->tracking) bytes += sizeof(*c->tracking) + bytes_of_map(&c->tracking->prefixes);
    return bytes + c->names_bytes;
}

client_holding_t client_memory__measure(const redis_client_t *c)
{
    client_holding_t h = {.queued = c->queue_bytes};
    size_t in = net_conn_in_bytes(c->conn), out = net_conn_out_bytes(c->conn);
    size_t parsed =
        c->query_expected - MIN(c->query_parsed, c->query_expected) >= BIG_ARGUMENT_BYTES ? c->query_parsed : 0;
    h.arguments = MIN(parsed, in);
    h.query = in - MIN(parsed, in);
    h.query_free = c->query_expected - MIN(in, c->query_expected);
    *(out > OUT_UNCOUNTED_BYTES ? &h.unsent : &h.small_unsent) = out;
    h.total = sizeof(*c) + in + h.query_free + h.unsent + names_bytes(c) + c->deferred.cap + c->pushed_to_self.cap +
              c->resume.cap * sizeof(bytes_t);
    c->clients->host->add_holding(c, &h);
    return h;
}

size_t client_memory__total(const clients_t *clients)
{
    size_t sum = 0;
    LIST_EACH(&clients->all, c, redis_client_t, node) sum += client_memory__measure(c).total;
    return sum;
}

/* ---- counting -------------------------------------------------------------------------------------------------------- */

static list_t *size_list(client_memory_t *m, size_t bytes)
{
    int bits = bytes ? 64 - __builtin_clzll(bytes) : 0;
    return &m->sizes[MIN(MAX(bits - SIZE_LOG_MIN, 0), CLIENT_SIZES - 1)];
}

static void set_count(redis_client_t *c, size_t bytes)
{
    client_memory_t *m = &c->clients->memory;
    m->held_bytes += bytes - c->count.bytes;
    c->count.bytes = bytes;
    list_remove(&c->count.node);
    if (bytes && !(c->flags & CLIENT_NO_EVICT)) list_push_back(size_list(m, bytes), &c->count.node);
}

void client_memory__forget(redis_client_t *c) { set_count(c, 0); }

void client_memory__count(redis_client_t *c)
{
    if (LIKELY(c->clients->memory.limit_bytes == 0) || !c->conn) return;
    set_count(c, c->flags & CLIENT_CLOSING ? 0 : client_memory__measure(c).total);
}

static void count_all(clients_t *clients)
{
    LIST_EACH(&clients->all, c, redis_client_t, node) client_memory__count(c);
}

/* ---- the bound ------------------------------------------------------------------------------------------------------- */

static bool is_over(const client_memory_t *m) { return m->held_bytes >= m->limit_bytes; }

/* One of those that hold about as much as the one that holds most. */
static redis_client_t *largest(client_memory_t *m)
{
    for (int i = CLIENT_SIZES - 1; i >= 0; i--)
        if (!list_empty(&m->sizes[i])) return CONTAINER_OF(m->sizes[i].next, redis_client_t, count.node);
    return NULL;
}

static void evict(redis_client_t *c)
{
    slog(SLOG_INFO, "redis", "closing a client because of maxmemory-clients",
         "id=%" PRIu64 " peer=%s name=\"%s\" bytes=%zu", c->id, net_conn_peer(c->conn), c->name ? c->name : "",
         c->count.bytes);
    c->clients->stats.evicted_clients++;
    client__drop(c);
}

static void tell_that_nobody_is_left(client_memory_t *m)
{
    if (m->told) return;
    m->told = true;
    slog(SLOG_WARN, "redis", "clients hold more than maxmemory-clients, and none of them may be closed", "bytes=%zu",
         m->held_bytes);
}

/* What has left since a client was counted does not cost another its connection. */
static void make_room(clients_t *clients)
{
    client_memory_t *m = &clients->memory;
    redis_client_t *c = largest(m);
    if (c) count_all(clients);
    while (is_over(m) && (c = largest(m))) evict(c);
    if (is_over(m)) tell_that_nobody_is_left(m);
}

void client_memory__enforce(clients_t *clients)
{
    client_memory_t *m = &clients->memory;
    if (LIKELY(m->limit_bytes == 0)) return;
    if (UNLIKELY(is_over(m)))
        make_room(clients);
    else
        m->told = false;
}

static uint64_t limit_of(const clients_t *clients)
{
    int64_t setting = clients->config->maxmemory_clients;
    uint64_t of = clients->keyspace->evict.limit_bytes;
    if (setting == 0 || (setting < 0 && of == 0)) return 0;
    uint64_t bytes = setting > 0 ? (uint64_t)setting : (uint64_t)((double)of * (double)-setting / 100);
    return MAX(bytes, (uint64_t)LIMIT_BYTES_MIN);
}

void client_memory__update_limit(clients_t *clients)
{
    client_memory_t *m = &clients->memory;
    m->limit_bytes = limit_of(clients);
    if (m->limit_bytes)
        count_all(clients);
    else
        LIST_EACH(&clients->all, c, redis_client_t, node) client_memory__forget(c);
}

void client_memory__init(clients_t *clients)
{
    for (int i = 0; i < CLIENT_SIZES; i++) list_init(&clients->memory.sizes[i]);
    client_memory__update_limit(clients);
}

/* ---- the cron -------------------------------------------------------------------------------------------------------- */

static size_t second_of(const clients_t *clients)
{
    return (size_t)(clients->keyspace->now_ms / 1000) % ARRAY_LEN(clients->memory.in_peaks);
}

void client_memory__begin_second(clients_t *clients)
{
    size_t at = second_of(clients);
    clients->memory.in_peaks[at] = clients->memory.out_peaks[at] = 0;
}

void client_memory__note(redis_client_t *c)
{
    client_memory_t *m = &c->clients->memory;
    size_t at = second_of(c->clients);
    m->in_peaks[at] = MAX(m->in_peaks[at], net_conn_in_bytes(c->conn));
    m->out_peaks[at] = MAX(m->out_peaks[at], net_conn_out_bytes(c->conn));
    client_memory__count(c);
}

void client_memory__peaks(const clients_t *clients, size_t *ret_in, size_t *ret_out)
{
    const client_memory_t *m = &clients->memory;
    *ret_in = *ret_out = 0;
    for (size_t i = 0; i < ARRAY_LEN(m->in_peaks); i++) {
        *ret_in = MAX(*ret_in, m->in_peaks[i]);
        *ret_out = MAX(*ret_out, m->out_peaks[i]);
    }
}

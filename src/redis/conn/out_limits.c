/* out_limits.c: see out_limits.h. config/config_out_limits.c reads the setting. */
#include "redis/conn/out_limits.h"

#include "redis/conn/clients.h"

#include "base/slog.h"

static const redis_out_limit_t *limit_of(const redis_client_t *c)
{
    return &c->clients->config->out_limits[c->flags & CLIENT_PUBSUB ? OUT_PUBSUB : OUT_NORMAL];
}

bool out_limits__exceeds(const redis_client_t *c)
{
    uint64_t hard = limit_of(c)->hard_bytes;
    return hard && net_conn_out_bytes(c->conn) >= hard; /* of a reply that is not yet sent, too */
}

bool out_limits__counts(const redis_client_t *c)
{
    return !(c->flags & CLIENT_CLOSING) && net_conn_out_bytes(c->conn) > OUT_UNCOUNTED_BYTES;
}

/* Remembers since when it has been above the soft limit. */
static bool soft_time_is_over(redis_client_t *c, size_t unsent, const redis_out_limit_t *limit)
{
    int64_t now_ms = c->clients->keyspace->now_ms;
    if (limit->soft_bytes == 0 || unsent < limit->soft_bytes) {
        c->out_soft_since_ms = 0;
        return false;
    }
    if (c->out_soft_since_ms == 0) c->out_soft_since_ms = now_ms;
    return (now_ms - c->out_soft_since_ms) / 1000 > (int64_t)limit->soft_s;
}

void out_limits__close(redis_client_t *c)
{
    slog(SLOG_WARN, "redis", "closing a client that does not read", "peer=%s unsent=%zu", net_conn_peer(c->conn),
         net_conn_out_bytes(c->conn));
    c->clients->stats.out_limit_disconnections++;
    client__drop(c);
}

bool out_limits__is_over(redis_client_t *c)
{
    return out_limits__exceeds(c) || soft_time_is_over(c, net_conn_out_bytes(c->conn), limit_of(c));
}

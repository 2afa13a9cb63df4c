/* out_limits.c: see out_limits.h. */
#include "redis/conn/out_limits.h"

#include "redis/state.h"

#include "base/num.h"
#include "base/slog.h"

#include <stdio.h>

/* ---- the setting ----------------------------------------------------------------------------------------------------- */

static const char *const class_names[REDIS_OUT_CLASSES] = {"normal", "slave", "pubsub"};

static bytes_t take_word(bytes_t *rest)
{
    while (rest->len && rest->ptr[0] == ' ') *rest = bytes_of(rest->ptr + 1, rest->len - 1);
    const uint8_t *end = rest->len ? memchr(rest->ptr, ' ', rest->len) : NULL;
    bytes_t word = bytes_of(rest->ptr, end ? (size_t)(end - rest->ptr) : rest->len);
    *rest = bytes_of(rest->ptr + word.len, rest->len - word.len);
    return word;
}

static int class_of(bytes_t name)
{
    if (bytes_eq_nocase(name, BYTES_LIT("replica"))) return OUT_REPLICA;
    for (int i = 0; i < REDIS_OUT_CLASSES; i++)
        if (bytes_eq_nocase(name, bytes_str(class_names[i]))) return i;
    return -1;
}

static int refuse(char *why, size_t why_bytes, const char *text)
{
    snprintf(why, why_bytes, "%s", text);
    return ERR_INVALID;
}

static int set_class(redis_out_limit_t *limits, bytes_t *rest, char *why, size_t why_bytes)
{
    bytes_t words[4];
    redis_out_limit_t limit;
    int64_t seconds;
    for (size_t i = 0; i < ARRAY_LEN(words); i++) words[i] = take_word(rest);
    int class = class_of(words[0]);
    if (words[3].len == 0) return refuse(why, why_bytes, "Wrong number of arguments in buffer limit configuration.");
    if (class < 0) return refuse(why, why_bytes, "Invalid client class specified in buffer limit configuration.");
    if (!num_parse_memory(words[1], &limit.hard_bytes) || !num_parse_memory(words[2], &limit.soft_bytes) ||
        !num_parse_i64(words[3], &seconds) || seconds < 0)
        return refuse(why, why_bytes, "Error in hard, soft or soft_seconds setting in buffer limit configuration.");
    limit.soft_s = (uint64_t)seconds;
    limits[class] = limit;
    return 0;
}

int out_limits_set(redis_out_limit_t *limits, const char *value, char *why, size_t why_bytes)
{
    redis_out_limit_t trial[REDIS_OUT_CLASSES];
    bytes_t rest = bytes_str(value);
    memcpy(trial, limits, sizeof(trial));
    int err = 0;
    do err = set_class(trial, &rest, why, why_bytes);
    while (err == 0 && rest.len);
    if (err == 0) memcpy(limits, trial, sizeof(trial));
    return err;
}

void out_limits_get(const redis_out_limit_t *limits, buf_t *out)
{
    for (int i = 0; i < REDIS_OUT_CLASSES; i++)
        buf_printf(out, "%s%s %" PRIu64 " %" PRIu64 " %" PRIu64, i ? " " : "", class_names[i], limits[i].hard_bytes,
                   limits[i].soft_bytes, limits[i].soft_s);
}

/* ---- enforcing ------------------------------------------------------------------------------------------------------- */

static const redis_out_limit_t *limit_of(const redis_client_t *c)
{
    return &c->redis->config->out_limits[c->flags & CLIENT_PUBSUB ? OUT_PUBSUB : OUT_NORMAL];
}

bool out_limits__exceeds(const redis_client_t *c)
{
    uint64_t hard = limit_of(c)->hard_bytes;
    return hard && net_conn_out_bytes(c->conn) >= hard;
}

/* Remembers since when it has been above the soft limit. */
static bool soft_time_is_over(redis_client_t *c, size_t unsent, const redis_out_limit_t *limit)
{
    int64_t now_ms = c->redis->now_ms;
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
    c->redis->stats.out_limit_disconnections++;
    c->flags |= CLIENT_CLOSING;
    net_close_now(c->conn);
}

void out_limits__enforce(redis_t *redis)
{
    LIST_EACH(&redis->clients, c, redis_client_t, node) {
        if (c->flags & CLIENT_CLOSING) continue;
        if (out_limits__exceeds(c) || soft_time_is_over(c, net_conn_out_bytes(c->conn), limit_of(c)))
            out_limits__close(c);
    }
}

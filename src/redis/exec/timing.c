/* timing.c: see timing.h. */
#include "redis/exec/timing.h"
#include "redis/exec/commandlog.h"
#include "redis/exec/state.h"

#include "redis/persist/aof.h"

bool timing__is_wanted(const redis_t *redis)
{
    const redis_config_t *config = redis->config;
    int64_t request_max = config->commandlog_request_larger_than;
    bool small_requests = request_max >= 0 && request_max < (int64_t)AOF_ASK_BYTES;
    return config->latency_tracking || config->latency_monitor_threshold > 0 || small_requests;
}

/* -1 in the setting is above all. */
void timing__log_reply(redis_client_t *c, const redis_command_t *command, const parsed_t *q, uint64_t bytes)
{
    if (UNLIKELY(bytes > (uint64_t)c->redis->config->commandlog_reply_larger_than))
        commandlog__add(c->redis, COMMANDLOG_LARGE_REPLY, c, command, q->argc, q->argv, bytes);
}

/* Statistics, histogram and monitor of a command that has ended. */
static void count_time(redis_t *redis, const redis_command_t *command, uint64_t usec)
{
    enum { NS = 1000 };
    command_stats_t *stats = &redis->command_stats[command->id];
    stats->usec += usec;
    keyspace__note_latency(&redis->keyspace, command->flags & CMD_FAST ? "fast-command" : "command", usec);
    if (!redis->config->latency_tracking) return;
    if (!stats->durations) stats->durations = mem_zalloc(sizeof(*stats->durations));
    histogram_add(stats->durations, usec * NS);
}

static void log_command(redis_client_t *c, const redis_command_t *command, const parsed_t *q, bytes_t raw,
                        uint64_t usec, uint64_t reply_bytes)
{
    const redis_config_t *config = c->redis->config;
    if (usec >= (uint64_t)config->slowlog_log_slower_than)
        commandlog__add(c->redis, COMMANDLOG_SLOW, c, command, q->argc, q->argv, usec);
    if (raw.len > (uint64_t)config->commandlog_request_larger_than)
        commandlog__add(c->redis, COMMANDLOG_LARGE_REQUEST, c, command, q->argc, q->argv, raw.len);
    timing__log_reply(c, command, q, reply_bytes);
}

void exec__run_timed(redis_client_t *c, const redis_command_t *command, const parsed_t *q, bytes_t raw, uint32_t flags)
{
    redis_t *redis = c->redis;
    uint64_t before = io_hrtime_ns(redis->loop), written = timing__written(c);
    exec__run(c, command, q->argc, q->argv, raw, q->hashed_key, q->key_hash, flags);
    uint64_t usec = (io_hrtime_ns(redis->loop) - before) / 1000;
    if (c->flags & CLIENT_BLOCKED && blocking__waits(c)) {
        redis->command_stats[command->id].usec += usec;
        return;
    }
    count_time(redis, command, usec);
    log_command(c, command, q, raw, usec, timing__written(c) - written);
}

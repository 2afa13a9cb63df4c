/* redis.c: the wing's life: made, loaded, listening, ticking, stopped. See redis.h. */
#include "redis/redis.h"
#include "redis/conn/out.h"
#include "redis/exec/commandlog.h"

#include "redis/config/config_table.h"
#include "redis/conn/out_limits.h"
#include "redis/conn/tracking.h"
#include "redis/exec/changes.h"
#include "redis/exec/migration.h"
#include "redis/exec/scripts.h"
#include "redis/persist/aof.h"
#include "redis/persist/snapshot.h"
#include "redis/persist/walk.h"
#include "redis/state.h"
#include "redis_commands.h"

#include "base/slog.h"

#include <stdio.h>
#include <stdlib.h>

#define HZ_MAX                   500
#define CLIENTS_PER_TURN         200 /* dynamic-hz: more clients than this make more turns */
#define SAMPLE_MS                100
#define EXPIRE_TIME_SHARE        4 /* a quarter of the time between two turns of the cron */
#define TABLE_MOVE_BUCKETS       4000
#define TABLE_MOVE_BUCKETS_SHORT 100

uint64_t redis_random(redis_t *redis) { return keyspace__random(&redis->keyspace); }

/* ---- the cron -------------------------------------------------------------------------------------------------------- */

static void sample_rates(redis_t *redis)
{
    int64_t passed = redis->keyspace.now_ms - redis->ops_last_ms;
    if (passed < SAMPLE_MS) return;
    net_stats_t net = net_service_stats(redis->net, client__service());
    size_t at = redis->sample_count++ % ARRAY_LEN(redis->ops_samples);
    redis->ops_samples[at] = (redis->stats.commands - redis->ops_last_count) * 1000 / (uint64_t)passed;
    redis->in_samples[at] = (net.in_bytes - redis->in_last_bytes) * 1000 / (uint64_t)passed;
    redis->out_samples[at] = (net.out_bytes - redis->out_last_bytes) * 1000 / (uint64_t)passed;
    redis->ops_last_ms = redis->keyspace.now_ms;
    redis->ops_last_count = redis->stats.commands;
    redis->in_last_bytes = net.in_bytes;
    redis->out_last_bytes = net.out_bytes;
}

/* As the original does, what is out of range is taken for the nearest that is not. */
void redis__update_hz(redis_t *redis) { redis->config->hz = MAX(MIN(redis->config->hz, HZ_MAX), 1); }

/* hz turns a second; with dynamic-hz twice as many, and so on, while there are many clients for each. */
static uint32_t cron_ms(redis_t *redis)
{
    uint32_t hz = (uint32_t)redis->config->hz;
    while (redis->config->dynamic_hz && redis->client_count / hz > CLIENTS_PER_TURN && hz < HZ_MAX)
        hz = MIN(hz * 2, (uint32_t)HZ_MAX);
    redis->hz = hz;
    return 1000 / hz;
}

/* Buckets that are moved into begin to count: near maxmemory few at a time, for each drives out an entry or two. */
static void move_tables(redis_t *redis)
{
    size_t bytes = TABLE_MOVE_BUCKETS * 2 * sizeof(table_bucket_t);
    bool roomy = redis->keyspace.evict.tables.allows(&redis->keyspace.evict.tables, bytes);
    size_t buckets = roomy ? TABLE_MOVE_BUCKETS : TABLE_MOVE_BUCKETS_SHORT;
    for (int i = 0; i < redis->keyspace.db_count; i++) {
        table_move(&redis->keyspace.dbs[i].keys, buckets);
        table_move(&redis->keyspace.dbs[i].expires, buckets);
    }
}

static void end_pause(redis_t *redis)
{
    redis->pause_until_ms = 0;
    redis->keyspace.paused = false;
    redis->pause_all = false;
    exec__update_gate(redis);
    client__resume_all(redis);
}

void redis__end_pause(redis_t *redis) { end_pause(redis); }

static void close_idle(redis_t *redis)
{
    int64_t bound_ms = (int64_t)redis->config->timeout_s * 1000;
    if (bound_ms == 0) return;
    LIST_EACH(&redis->clients, c, redis_client_t, node)
        if (!(c->flags & (CLIENT_BLOCKED | CLIENT_PUBSUB)) && redis->keyspace.now_ms - c->active_ms > bound_ms)
            client__close(c);
}

static void each_second(redis_t *redis)
{
    if (redis->keyspace.now_ms - redis->second_ms < 1000 && redis->keyspace.now_ms >= redis->second_ms) return;
    redis->second_ms = redis->keyspace.now_ms;
    close_idle(redis);
}

static void measure_memory(redis_t *redis)
{
    evict__measure(&redis->keyspace, io_hrtime_ns(redis->loop));
    redis->keyspace.evict.peak_bytes = MAX(redis->keyspace.evict.peak_bytes, redis->keyspace.evict.memory.used_bytes);
}

static void run_expire_cycle(redis_t *redis, uint64_t budget_us)
{
    uint64_t before_ns = io_hrtime_ns(redis->loop);
    expire__cycle(&redis->keyspace, budget_us);
    keyspace__note_latency(&redis->keyspace, "expire-cycle", (io_hrtime_ns(redis->loop) - before_ns) / 1000);
}

static void on_cron(io_timer_t *timer)
{
    redis_t *redis = CONTAINER_OF(timer, redis_t, cron);
    keyspace__tick(&redis->keyspace);
    uint32_t ms = cron_ms(redis);
    if (timer->repeat_ms != ms) io_timer_start(timer, ms, ms);
    if (redis->cron_paused) return;
    measure_memory(redis);
    sample_rates(redis);
    if (redis->active_expire && !redis->keyspace.paused && !redis->keyspace.midway && !redis->keyspace.loading)
        run_expire_cycle(redis, (uint64_t)ms * 1000 / EXPIRE_TIME_SHARE);
    move_tables(redis);
    if (redis->pause_until_ms && redis->keyspace.now_ms >= redis->pause_until_ms) end_pause(redis);
    each_second(redis);
    out_limits__enforce(redis);
    if (!redis->keyspace.loading) aof__cron(redis);
    if (!redis->keyspace.loading) snapshot__cron(redis);
    tracking__limit(redis);
    exec__after_event(redis);
}

/* Goes for the whole server: there is one log. */
void redis__update_loglevel(redis_t *redis)
{
    static const slog_level_t levels[] = {SLOG_DEBUG, SLOG_DEBUG, SLOG_INFO, SLOG_WARN, SLOG_NOTHING};
    slog_set_level(levels[redis->config->loglevel]);
}

int redis__update_oom_score(redis_t *redis, const redis_config_t *config)
{
    int score = 0, err = redis->oom_score_changed ? 0 : io_oom_score(&redis->oom_score_before);
    if (config->oom_score_adj == OOM_NO && !redis->oom_score_changed) return 0;
    if (!err && config->oom_score_adj != OOM_NO)
        score = atoi(config->oom_score_adj_values); /* the first: of a primary */
    if (config->oom_score_adj != OOM_ABSOLUTE) score += redis->oom_score_before;
    if (!err) err = io_set_oom_score(MAX(MIN(score, 1000), -1000));
    if (!err) redis->oom_score_changed = config->oom_score_adj != OOM_NO;
    return err;
}

void redis__update_log_format(redis_t *redis)
{
    slog_set_format(redis->config->log_format, redis->config->log_timestamp_format);
}

void redis_set_origin(redis_t *redis, const redis_origin_t *origin)
{
    const char *const from[] = {origin->executable, origin->config_file, origin->supervisor};
    char **const to[] = {&redis->executable, &redis->config_file, &redis->supervisor};
    for (size_t i = 0; i < ARRAY_LEN(to); i++) {
        mem_free(*to[i]);
        *to[i] = from[i] ? mem_strdup(from[i]) : NULL;
    }
}

/* ---- life ------------------------------------------------------------------------------------------------------------ */

static void make_run_id(redis_t *redis)
{
    uint8_t bytes[20];
    io_random(redis->loop, bytes, sizeof(bytes));
    for (size_t i = 0; i < sizeof(bytes); i++) snprintf(redis->run_id + i * 2, 3, "%02x", bytes[i]);
}

static void on_evicted(keyspace_t *keyspace) { exec__after_event(CONTAINER_OF(keyspace, redis_t, keyspace)); }

redis_t *redis_new(io_loop_t *loop, net_t *net, const char *data_dir, const redis_config_t *configured)
{
    redis_config_t *config = config_copy(configured);
    redis_t *redis = mem_zalloc(sizeof(*redis));
    redis->loop = loop;
    redis->net = net;
    redis->config = config;
    redis__update_hz(redis);
    health_init(&redis->health, "redis");
    keyspace__init(&redis->keyspace, redis, loop, config, &redis->latency);
    redis->keyspace.on_evicted = on_evicted;
    bool own_dir = config->dir && *config->dir;
    redis->data_dir = mem_strdup(own_dir ? config->dir : data_dir);
    if (!own_dir) {
        mem_free(config->dir);
        config->dir = mem_strdup(data_dir);
    }
    redis->command_stats = mem_zalloc(sizeof(command_stats_t) * redis_command_id_count);
    list_init(&redis->clients);
    list_init(&redis->writing);
    list_init(&redis->monitors);
    redis->active_expire = true;
    if (config->loglevel != LOG_NOTICE) redis__update_loglevel(redis); /* else the server's own --log-level */
    redis__update_log_format(redis);
    if (redis__update_oom_score(redis, config))
        slog(SLOG_WARN, "redis", "oom-score-adj cannot be set", "%s", "values below the present one need a privilege");
    redis->started_ms = redis->ops_last_ms = redis->keyspace.now_ms;
    redis->tracking = tracking__new(redis);
    redis->walk = walk__new(redis);
    redis->snapshots = snapshot__new(redis);
    redis->commandlog = commandlog__new();
    redis->nobody = client__new_internal(redis, NULL);
    redis->migrations = migration__new(redis);
    make_run_id(redis);
    redis->aof = aof__new(redis);
    changes__init(redis);
    multi__init(redis);
    blocking__init(redis);
    notify__init(redis);
    io_timer_init(loop, &redis->cron, on_cron);
    mem_meter_set(&redis->keyspace.evict.memory);
    redis->keyspace.evict.startup_bytes = redis->keyspace.evict.memory.used_bytes;
    return redis;
}

void redis_hold(redis_t *redis, bool hold)
{
    redis->keyspace.loading = hold;
    exec__update_gate(redis);
}

void redis__start_cron(redis_t *redis)
{
    uint32_t ms = cron_ms(redis);
    io_timer_start(&redis->cron, ms, ms);
}

void redis_stop(redis_t *redis)
{
    if (redis->stopped) return;
    redis->stopped = true;
    io_timer_stop(&redis->cron);
    evict__stop(&redis->keyspace);
    listen__close(redis);
    bool due = redis->config->save.count > 0 && !redis->shutdown_saved && !redis->keyspace.loading;
    if (due && snapshot__save(redis)) slog(SLOG_ERROR, "redis", "the last snapshot could not be written", "%s", "");
    if (aof__close(redis) != 0) slog(SLOG_ERROR, "redis", "append-only file is not complete", "%s", "");
}

/* The connections that are still open are closed by the net that owns them, before or after: they forget this
 * server. */
void redis_free(redis_t *redis)
{
    redis_stop(redis);
    LIST_EACH(&redis->clients, c, redis_client_t, node) {
        net_conn_t *conn = c->conn;
        client__free(c);
        net_conn_set_user(conn, NULL);
        net_close_now(conn);
    }
    migration__free(redis->migrations);
    holds__deinit(redis);
    scripts__free(redis);
    client__free(redis->nobody);
    load__abort(redis);
    aof__free(redis->aof);
    snapshot__free(redis->snapshots);
    walk__free(redis->walk);
    tracking__free(redis->tracking);
    keyspace__deinit(&redis->keyspace);
    commandlog__free(redis->commandlog);
    (void)latency_reset(&redis->latency, BYTES_NULL);
    stats__reset(redis);
    map_deinit(&redis->error_stats);
    map_deinit(&redis->clients_by_id);
    exec__free_extra(redis);
    map_deinit(&redis->pubsub.channels);
    map_deinit(&redis->pubsub.patterns);
    map_deinit(&redis->pubsub.shard_channels);
    redis_set_origin(redis, &(redis_origin_t){0});
    buf_deinit(&redis->discard);
    buf_deinit(&redis->scratch);
    mem_free(redis->big_words);
    mem_free(redis->command_stats);
    mem_free(redis->data_dir);
    redis_config_free(redis->config);
    health_deinit(&redis->health);
    mem_free(redis);
}

void redis_derive_limit(redis_t *redis, uint64_t bytes)
{
    redis->keyspace.evict.derived_limit_bytes = bytes;
    evict__update_limit(&redis->keyspace);
}

void redis_uncounted_add(redis_t *redis, size_t (*bytes)(void *user), void *user)
{
    evict__uncounted_add(&redis->keyspace, bytes, user);
}

void redis_uncounted_remove(redis_t *redis, void *user) { evict__uncounted_remove(&redis->keyspace, user); }

void redis_on_shutdown(redis_t *redis, void (*stop)(void *user), void *user)
{
    redis->on_shutdown = stop;
    redis->on_shutdown_user = user;
}

const health_t *redis_health(const redis_t *redis) { return &redis->health; }
bool redis_failed(const redis_t *redis) { return redis->failed; }
int redis_flush(redis_t *redis) { return aof__flush(redis); }

const char *redis_durability(const redis_t *redis)
{
    if (!redis->config->appendonly) return "nothing is kept (appendonly no)";
    switch (redis->config->appendfsync) {
    case FSYNC_ALWAYS: return "append-only file, synced before each reply";
    case FSYNC_EVERYSEC: return "append-only file, synced every second";
    default: return "append-only file, synced when the system likes";
    }
}

redis_stats_t redis_stats(const redis_t *redis)
{
    aof_info_t aof = aof__info(redis);
    redis_stats_t s = {
        .commands = redis->stats.commands,
        .connections = redis->stats.connections,
        .clients = redis->client_count,
        .blocked_clients = redis->blocking.clients,
        .keyspace_hits = redis->keyspace.stats.hits,
        .keyspace_misses = redis->keyspace.stats.misses,
        .expired_keys = redis->keyspace.stats.expired_keys,
        .evicted_keys = redis->keyspace.stats.evicted_keys,
        .aof_bytes = aof.current_bytes,
        .aof_rewrites = aof.rewrites,
        .memory_bytes = mem_meter_read(&redis->keyspace.evict.memory),
        .memory_limit_bytes = redis->keyspace.evict.limit_bytes,
    };
    for (int i = 0; i < redis->keyspace.db_count; i++) s.keys += table_count(&redis->keyspace.dbs[i].keys);
    return s;
}

/* ---- without a connection -------------------------------------------------------------------------------------------- */

void redis_execute(redis_t *redis, const bytes_t *argv, int argc, buf_t *reply)
{
    redis_client_t *c = client__new_internal(redis, reply);
    parsed_t q = {.command = command__lookup(redis, argv[0]), .argv = argv, .argc = argc, .is_inline = true};
    keyspace__tick(&redis->keyspace);
    exec__request(c, &q, BYTES_NULL);
    out__flush(c);
    client__free(c);
    exec__after_event(redis);
}

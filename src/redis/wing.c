/* wing.c: the wing's life: made, loaded, stopped. See redis.h. */
#include "redis/conn/out.h"
#include "redis/exec/commandlog.h"
#include "redis/redis.h"

#include "redis/config/config_table.h"
#include "redis/conn/out_limits.h"
#include "redis/conn/tracking.h"
#include "redis/cron.h"
#include "redis/exec/changes.h"
#include "redis/exec/host.h"
#include "redis/exec/migration.h"
#include "redis/exec/scripts.h"
#include "redis/exec/settings.h"
#include "redis/exec/state.h"
#include "redis/persist/aof.h"
#include "redis/persist/load.h"
#include "redis/persist/snapshot.h"
#include "redis_commands.h"

#include "base/slog.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- life ------------------------------------------------------------------------------------------------------------ */

void redis_set_origin(redis_t *redis, const redis_origin_t *origin)
{
    const char *const from[] = {origin->executable, origin->config_file, origin->supervisor};
    char **const to[] = {&redis->executable, &redis->config_file, &redis->supervisor};
    for (size_t i = 0; i < ARRAY_LEN(to); i++) {
        mem_free(*to[i]);
        *to[i] = from[i] ? mem_strdup(from[i]) : NULL;
    }
}

static void make_run_id(redis_t *redis)
{
    uint8_t bytes[20];
    io_random(redis->loop, bytes, sizeof(bytes));
    for (size_t i = 0; i < sizeof(bytes); i++) snprintf(redis->run_id + i * 2, 3, "%02x", bytes[i]);
}

static void on_evicted(keyspace_t *keyspace) { exec__after_event(CONTAINER_OF(keyspace, redis_t, keyspace)); }

static void lend_to_persist(redis_t *redis)
{
    persist_t *persist = &redis->persist;
    persist->host = &host__of_persist;
    persist->loop = redis->loop;
    persist->config = redis->config;
    persist->keyspace = &redis->keyspace;
    persist->health = &redis->health;
}

static void lend_to_clients(redis_t *redis)
{
    clients_t *clients = &redis->clients;
    redis->clients_host = host__of_clients();
    clients->host = &redis->clients_host;
    clients->redis = redis;
    clients->loop = redis->loop;
    clients->net = redis->net;
    clients->config = redis->config;
    clients->keyspace = &redis->keyspace;
}

redis_t *redis_new(io_loop_t *loop, net_t *net, const char *data_dir, const redis_config_t *configured)
{
    redis_config_t *config = config_copy(configured);
    redis_t *redis = mem_zalloc(sizeof(*redis));
    redis->loop = loop;
    redis->net = net;
    redis->config = config;
    settings__hz(redis);
    health_init(&redis->health, "redis");
    keyspace__init(&redis->keyspace, redis, loop, config, &redis->latency);
    redis->keyspace.on_evicted = on_evicted;
    bool own_dir = config->dir && *config->dir;
    redis->persist.data_dir = mem_strdup(own_dir ? config->dir : data_dir);
    if (!own_dir) {
        mem_free(config->dir);
        config->dir = mem_strdup(data_dir);
    }
    redis->command_stats = mem_zalloc(sizeof(command_stats_t) * redis_command_id_count);
    list_init(&redis->monitors);
    redis->active_expire = true;
    if (config->loglevel != LOG_NOTICE) settings__loglevel(redis); /* else the server's own --log-level */
    settings__log_format(redis);
    if (settings__oom_score(redis, config))
        slog(SLOG_WARN, "redis", "oom-score-adj cannot be set", "%s", "values below the present one need a privilege");
    redis->started_ms = redis->ops_last_ms = redis->keyspace.now_ms;
    lend_to_persist(redis);
    lend_to_clients(redis);
    redis->commandlog = commandlog__new();
    redis->nobody = client__new_internal(&redis->clients, NULL);
    redis->migrations = migration__new(redis);
    make_run_id(redis);
    persist__open_parts(&redis->persist);
    changes__init(redis);
    multi__init(redis);
    blocking__init(redis);
    clients__init(&redis->clients);
    cron__init(redis);
    mem_meter_set(&redis->keyspace.evict.memory);
    redis->keyspace.evict.startup_bytes = redis->keyspace.evict.memory.used_bytes;
    return redis;
}

void redis_hold(redis_t *redis, bool hold)
{
    redis->keyspace.loading = hold;
    exec__update_gate(redis);
}

int redis_listen(redis_t *redis, const char *host, uint16_t port, uint16_t *ret_port)
{
    int err = listen__open(&redis->clients, host, port, ret_port);
    if (!err) cron__start(redis);
    return err;
}

void redis_on_client_gone(redis_t *redis, void (*gone)(void *user, uint64_t client_id), void *user)
{
    redis->clients.on_gone = gone;
    redis->clients.on_gone_user = user;
}

int redis_secure(redis_t *redis, char why[TLS_WHY_CHARS_MAX])
{
    tls_context_t *context;
    if (!redis->config->tls_port) return 0;
    int err = secure__make(redis->config, &context, why);
    if (!err) secure__use(&redis->clients, redis->config, context);
    return err;
}

int redis_listen_secure(redis_t *redis, const char *host)
{
    int err = listen__open_secure(&redis->clients, host, (uint16_t)redis->config->tls_port);
    if (!err) cron__start(redis);
    return err;
}

void redis_reload(redis_t *redis) { secure__reload(&redis->clients); }

void redis_stop(redis_t *redis)
{
    if (redis->stopped) return;
    redis->stopped = true;
    io_timer_stop(&redis->cron);
    evict__stop(&redis->keyspace);
    listen__close(&redis->clients);
    bool due = redis->config->save.count > 0 && !redis->shutdown_saved && !redis->keyspace.loading;
    if (due && snapshot__save(&redis->persist))
        slog(SLOG_ERROR, "redis", "the last snapshot could not be written", "%s", "");
    if (aof__close(&redis->persist) != 0) slog(SLOG_ERROR, "redis", "append-only file is not complete", "%s", "");
}

/* The connections that are still open are closed by the net that owns them, before or after: they forget this
 * server. */
void redis_free(redis_t *redis)
{
    redis_stop(redis);
    LIST_EACH(&redis->clients.all, c, redis_client_t, node) {
        net_conn_t *conn = c->conn;
        client__free(c);
        net_conn_set_user(conn, NULL);
        net_close_now(conn);
    }
    migration__free(redis->migrations);
    holds__deinit(redis);
    scripts__free(redis);
    client__free(redis->nobody);
    persist__free_parts(&redis->persist);
    clients__deinit(&redis->clients);
    keyspace__deinit(&redis->keyspace);
    commandlog__free(redis->commandlog);
    (void)latency_reset(&redis->latency, BYTES_NULL);
    stats__reset(redis);
    map_deinit(&redis->error_stats);
    exec__free_extra(redis);
    redis_set_origin(redis, &(redis_origin_t){0});
    input__deinit(&redis->input);
    mem_free(redis->command_stats);
    mem_free(redis->persist.data_dir);
    redis_config_free(redis->config);
    health_deinit(&redis->health);
    mem_free(redis);
}

void redis_derive_limit(redis_t *redis, uint64_t bytes)
{
    redis->keyspace.evict.derived_limit_bytes = bytes;
    evict__update_limit(&redis->keyspace);
    client_memory__update_limit(&redis->clients);
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
int redis_flush(redis_t *redis) { return aof__flush(&redis->persist); }

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
    aof_info_t aof = aof__info(&redis->persist);
    redis_stats_t s = {
        .commands = redis->clients.stats.commands,
        .connections = redis->clients.stats.connections,
        .clients = redis->clients.count,
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

/* ---- what the disk has ------------------------------------------------------------------------------------------------ */

int redis_load_step(redis_t *redis, bool *ret_done, char *err, size_t err_bytes)
{
    return load__step(&redis->persist, ret_done, err, err_bytes);
}

int redis_load(redis_t *redis, char *err_out, size_t err_bytes)
{
    bool done = false;
    int err = 0;
    while (!err && !done) err = redis_load_step(redis, &done, err_out, err_bytes);
    return err;
}

void redis_keep_room(redis_t *redis, uint64_t bytes) { aof__keep_room_of(&redis->persist, bytes); }
bool redis_is_written(const redis_t *redis) { return aof__is_written(&redis->persist); }

void redis_feed(redis_t *redis, int argc, const bytes_t *argv) { aof__feed_alone(&redis->persist, argc, argv); }

void redis_propagate_too(redis_t *redis, int argc, const bytes_t *argv) { aof__feed_too(&redis->persist, argc, argv); }

void redis_beside_add(redis_t *redis, void (*emit)(void *user, redis_base_t *base), void *user)
{
    persist__beside_add(&redis->persist, emit, user);
}

void redis_beside_remove(redis_t *redis, void *user) { persist__beside_remove(&redis->persist, user); }

/* ---- without a connection -------------------------------------------------------------------------------------------- */

void redis_execute(redis_t *redis, const bytes_t *argv, int argc, buf_t *reply)
{
    redis_client_t *c = client__new_internal(&redis->clients, reply);
    parsed_t q = {.command = command__lookup(redis, argv[0]), .argv = argv, .argc = argc, .is_inline = true};
    keyspace__tick(&redis->keyspace);
    exec__request(c, &q, BYTES_NULL);
    out__flush(c);
    client__free(c);
    exec__after_event(redis);
}

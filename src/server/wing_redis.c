/* wing_redis.c: the Redis door. */
#include "base/slog.h"
#include "bridge/bridge.h"
#include "redis/redis.h"
#include "server/process.h"
#include "server/server_internal.h"

#include <stdio.h>
#include <strings.h>
#include <unistd.h>

typedef struct wing_redis {
    server_t *server;
    redis_config_t *config;
    bool maxmemory_given;
    redis_t *redis;
    bool loaded;
    bool shut_down; /* asked for */
    io_message_t signal_message;
    bool signal_under_way, interrupt;
} wing_redis_t;

static void *init(server_t *server)
{
    wing_redis_t *wing = mem_zalloc(sizeof(*wing));
    wing->server = server;
    wing->config = redis_config_new();
    return wing;
}

static int configure(void *user, const char *name, const char *value, char *why, size_t why_bytes)
{
    wing_redis_t *wing = user;
    if (strcasecmp(name, "maxmemory") == 0) wing->maxmemory_given = true;
    char *whole = strcasecmp(name, "dir") == 0 ? io_absolute(value) : NULL;
    int err = redis_configure(wing->config, name, whole ? whole : value, why, why_bytes);
    mem_free(whole);
    return err;
}

/* In a container the default, no limit, would end in the kernel's killing the process without a word. The reactors' threads
 * are made, but do not run yet. */
static void derive_limit(const wing_redis_t *wing)
{
    unsigned threads = (unsigned)(wing->server->reactors_made - 1 + wing->server->carriers_made);
    uint64_t limit = wing->maxmemory_given ? 0 : io_memory_heap_bytes(threads);
    if (limit == 0) return;
    redis_derive_limit(wing->redis, limit);
    slog(SLOG_INFO, "redis", "maxmemory is not set: writes are refused above a limit derived from the process's own",
         "limit_mib=%" PRIu64 " process_mib=%" PRIu64 " setting=redis.maxmemory", limit >> 20, io_memory_bytes() >> 20);
}

static void stop_server(io_message_t *message)
{
    server_t *server = CONTAINER_OF(message, server_t, stop_message);
    server->terminated = true;
    io_loop_stop(server->loop);
}

/* On Redis' reactor. */
static void on_shutdown(void *user)
{
    wing_redis_t *wing = user;
    if (wing->shut_down) return;
    wing->shut_down = true;
    wing->server->stop_message.run = stop_server;
    io_post(wing->server->loop, &wing->server->stop_message);
}

static void signal_done(io_message_t *message)
{
    CONTAINER_OF(message, wing_redis_t, signal_message)->signal_under_way = false;
}

/* On Redis' reactor. A snapshot that must be written and cannot be keeps the server going. */
static void on_signal(io_message_t *message)
{
    wing_redis_t *wing = CONTAINER_OF(message, wing_redis_t, signal_message);
    redis_on_signal(wing->redis, wing->interrupt);
    message->run = signal_done;
    io_post(wing->server->loop, message);
}

bool server__redis_signal(server_t *server, bool interrupt)
{
    wing_redis_t *wing = server->doors[DOOR_REDIS].wing;
    if (!wing->redis || wing->signal_under_way) return false;
    wing->signal_under_way = true;
    wing->interrupt = interrupt;
    wing->signal_message.run = on_signal;
    io_post(server__reactor_of(server, DOOR_REDIS)->loop, &wing->signal_message);
    return true;
}

static void set_origin(const wing_redis_t *wing)
{
    char executable[4096];
    ssize_t n = readlink("/proc/self/exe", executable, sizeof(executable) - 1);
    executable[MAX(n, 0)] = '\0';
    const options_t *options = wing->server->options;
    redis_set_origin(wing->redis, &(redis_origin_t){.executable = executable,
                                                    .config_file = options->config_file,
                                                    .supervisor = process_supervisor(options)});
}

/* CONFIG GET bind tells the addresses as they were given. */
static void set_bind(const wing_redis_t *wing)
{
    const server__door_t *door = &wing->server->doors[DOOR_REDIS];
    char *hosts = mem_strdup(door->bind ? door->bind : wing->server->bind), why[128];
    for (char *at = hosts; (at = strchr(at, ','));) *at = ' ';
    int err = redis_configure(wing->config, "bind", hosts, why, sizeof(why));
    ASSERT(!err);
    mem_free(hosts);
}

static int configure_tls(const wing_redis_t *wing, char *error)
{
    char why[TLS_WHY_CHARS_MAX];
    int err = redis_secure(wing->redis, why);
    if (err) snprintf(error, OPTIONS_ERROR_CHARS_MAX, "redis.tls-port: %s", why);
    return err;
}

static int start(void *user, server_t *server, char *error)
{
    wing_redis_t *wing = user;
    set_bind(wing);
    char *given = server__path(server, "redis"), *dir = io_absolute(given);
    const server__reactor_t *reactor = server__reactor_of(server, DOOR_REDIS);
    wing->redis = redis_new(reactor->loop, reactor->net, dir, wing->config);
    mem_free(given);
    mem_free(dir);
    redis_on_shutdown(wing->redis, on_shutdown, wing);
    int err = configure_tls(wing, error);
    if (err) return err;
    set_origin(wing);
    redis_keep_room(wing->redis, SERVER_RESERVE_BYTES);
    derive_limit(wing);
    server->bridge = bridge_new(reactor->loop, wing->redis); /* its records are read back with the keys */
    server->redis = wing->redis;
    return 0;
}

static int recover(void *user, char *error)
{
    wing_redis_t *wing = user;
    bridge_feeds_t *feeds = wing->server->feeds;
    int err = redis_load_step(wing->redis, &wing->loaded, error, OPTIONS_ERROR_CHARS_MAX);
    if (!err && !wing->loaded) io_loop_wake(server__reactor_of(wing->server, DOOR_REDIS)->loop);
    if (!err && wing->loaded && bridge_feeds_any(feeds)) redis_hold(wing->redis, true); /* readiness.c */
    return err;
}

static bool ready(const void *user) { return ((const wing_redis_t *)user)->loaded; }

static int start_listening(void *user, const char *host, uint16_t port, uint16_t *ret_port)
{
    return redis_listen(((wing_redis_t *)user)->redis, host, port, ret_port);
}

static int start_listening_secure(void *user, const char *host, uint16_t port)
{
    return redis_listen_secure(((wing_redis_t *)user)->redis, host);
}

static void reload(void *user, bool forced)
{
    if (forced) redis_reload(((wing_redis_t *)user)->redis);
}

static void stop(void *user) { redis_stop(((wing_redis_t *)user)->redis); }

static void deinit(void *user)
{
    wing_redis_t *wing = user;
    if (wing->redis) redis_free(wing->redis);
    redis_config_free(wing->config);
    mem_free(wing);
}

static const char *durability(const void *user) { return redis_durability(((const wing_redis_t *)user)->redis); }

static void counter(buf_t *out, const char *name, uint64_t value)
{
    buf_printf(out, "# TYPE trivet_redis_%s_total counter\ntrivet_redis_%s_total %" PRIu64 "\n", name, name, value);
}

static void gauge(buf_t *out, const char *name, uint64_t value)
{
    buf_printf(out, "# TYPE trivet_redis_%s gauge\ntrivet_redis_%s %" PRIu64 "\n", name, name, value);
}

static void metrics(const void *user, buf_t *out)
{
    const wing_redis_t *wing = user;
    redis_stats_t stats = redis_stats(wing->redis);
    gauge(out, "keys", stats.keys);
    gauge(out, "clients", stats.clients);
    gauge(out, "blocked_clients", stats.blocked_clients);
    gauge(out, "aof_bytes", stats.aof_bytes);
    gauge(out, "memory_bytes", stats.memory_bytes);
    gauge(out, "memory_limit_bytes", stats.memory_limit_bytes);
    counter(out, "commands", stats.commands);
    counter(out, "keyspace_hits", stats.keyspace_hits);
    counter(out, "keyspace_misses", stats.keyspace_misses);
    counter(out, "expired_keys", stats.expired_keys);
    counter(out, "evicted_keys", stats.evicted_keys);
    counter(out, "aof_rewrites", stats.aof_rewrites);
    if (wing->server->bridge) bridge_metrics(wing->server->bridge, out);
    server__net_metrics(server__reactor_of(wing->server, DOOR_REDIS)->net, redis_net_service(), out);
}

static const health_t *health(const void *user) { return redis_health(((const wing_redis_t *)user)->redis); }

const server__wing_t server__redis = {
    .init = init,
    .configure = configure,
    .start = start,
    .recover = recover,
    .ready = ready,
    .listen = start_listening,
    .listen_secure = start_listening_secure,
    .reload = reload,
    .stop = stop,
    .deinit = deinit,
    .durability = durability,
    .metrics = metrics,
    .health = health,
};

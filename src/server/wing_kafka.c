/* wing_kafka.c: the Kafka door. */
#include "bridge/bridge.h"
#include "kafka/kafka.h"
#include "server/server_internal.h"

#include <stdio.h>
#include <stdlib.h>

typedef struct wing_kafka {
    server_t *server;
    kafka_config_t *config;
    kafka_t *kafka;
} wing_kafka_t;

static void *init(server_t *server)
{
    wing_kafka_t *wing = mem_zalloc(sizeof(*wing));
    wing->server = server;
    wing->config = kafka_config_new();
    return wing;
}

static int configure(void *user, const char *name, const char *value, char *why, size_t why_bytes)
{
    return kafka_configure(((wing_kafka_t *)user)->config, name, value, why, why_bytes);
}

/* Where the configuration puts partitions; NULL = nowhere else than the rest. */
static const char *log_dir(kafka_config_t *config)
{
    if (kafka_config_is_set(config, "log.dirs")) return kafka_config_get(config, "log.dirs");
    return kafka_config_is_set(config, "log.dir") ? kafka_config_get(config, "log.dir") : NULL;
}

static int start(void *user, server_t *server, char *error)
{
    wing_kafka_t *wing = user;
    const char *own_dir = log_dir(wing->config);
    if (own_dir && strchr(own_dir, ',')) {
        snprintf(error, OPTIONS_ERROR_CHARS_MAX, "kafka.log.dirs is one directory in this version, not '%.200s'",
                 own_dir);
        return ERR_UNSUPPORTED;
    }
    char *dir = own_dir ? mem_strdup(own_dir) : server__path(server, "kafka");
    const server__reactor_t *reactor = server__reactor_of(server, DOOR_KAFKA);
    wing->kafka = kafka_new(reactor->loop, reactor->net, server->tree, dir, wing->config);
    mem_free(dir);
    kafka_produce_compress(wing->kafka, server->produce_codec);
    if (server->bridge) bridge_attach(server->bridge, wing->kafka, reactor->loop);
    int err = kafka_start(wing->kafka, error, OPTIONS_ERROR_CHARS_MAX);
    if (!err) server->kafka = wing->kafka;
    return err;
}

static bool ready(const void *user) { return kafka_loaded(((const wing_kafka_t *)user)->kafka); }

static int start_listening(void *user, const char *host, uint16_t port, uint16_t *ret_port)
{
    return kafka_listen(((wing_kafka_t *)user)->kafka, host, port, ret_port);
}

static void reload(void *user, bool forced) { kafka_reload(((wing_kafka_t *)user)->kafka, forced); }

static void stop(void *user) { kafka_stop(((wing_kafka_t *)user)->kafka); }

static void deinit(void *user)
{
    wing_kafka_t *wing = user;
    if (wing->kafka) kafka_free(wing->kafka);
    kafka_config_free(wing->config);
    mem_free(wing);
}

/* Kafka's own default leaves syncing to the system: only a whole number of messages or milliseconds changes that. */
static const char *durability(const void *user)
{
    const wing_kafka_t *wing = user;
    const char *every = kafka_config_get(wing->config, "log.flush.interval.messages");
    if (every && strtoull(every, NULL, 10) == 1) return "records synced one by one";
    if (every && strtoull(every, NULL, 10) < INT64_MAX) return "records synced as log.flush.interval.messages says";
    return "records in the page cache";
}

static void metrics(const void *user, buf_t *out) { kafka_metrics(((const wing_kafka_t *)user)->kafka, out); }

static const health_t *health(const void *user) { return kafka_health(((const wing_kafka_t *)user)->kafka); }

const server__wing_t server__kafka = {
    .init = init,
    .configure = configure,
    .start = start,
    .ready = ready,
    .listen = start_listening,
    .reload = reload,
    .stop = stop,
    .deinit = deinit,
    .durability = durability,
    .metrics = metrics,
    .health = health,
};

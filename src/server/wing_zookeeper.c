/* wing_zookeeper.c: the ZooKeeper door. What its settings mean for the tree is passed on before the tree is opened. */
#include "server/server_internal.h"
#include "zookeeper/zookeeper.h"

#include <stdio.h>

typedef struct wing_zookeeper {
    server_t *server;
    zookeeper_config_t config;
    zookeeper_t *zookeeper;
} wing_zookeeper_t;

static void *init(server_t *server)
{
    wing_zookeeper_t *wing = mem_zalloc(sizeof(*wing));
    wing->server = server;
    zookeeper_config_init(&wing->config);
    zookeeper_config_coord(&wing->config, &server->coord_options);
    return wing;
}

static int configure(void *user, const char *name, const char *value, char *why, size_t why_bytes)
{
    wing_zookeeper_t *wing = user;
    int err = zookeeper_configure(&wing->config, name, value, why, why_bytes);
    if (!err) zookeeper_config_coord(&wing->config, &wing->server->coord_options);
    return err;
}

static int start(void *user, server_t *server, char *error)
{
    wing_zookeeper_t *wing = user;
    char why[TLS_WHY_CHARS_MAX];
    wing->zookeeper = zookeeper_new(server->loop, server->reactors[0].net, server->coord, &wing->config);
    int err = zookeeper_secure(wing->zookeeper, why);
    if (err) snprintf(error, OPTIONS_ERROR_CHARS_MAX, "zookeeper: %s", why);
    if (!err) {
        server->has_secure_tree = zookeeper_speaks_tls(wing->zookeeper);
        return 0;
    }
    zookeeper_free(wing->zookeeper); /* while the tree is there */
    wing->zookeeper = NULL;
    return err;
}

static int start_listening(void *user, const char *host, uint16_t port, uint16_t *ret_port)
{
    return zookeeper_listen(((wing_zookeeper_t *)user)->zookeeper, host, port, ret_port);
}

static int start_listening_secure(void *user, const char *host, uint16_t port)
{
    return zookeeper_listen_secure(((wing_zookeeper_t *)user)->zookeeper, host, port);
}

static void reload(void *user, bool forced) { zookeeper_reload(((wing_zookeeper_t *)user)->zookeeper, forced); }

static void stop(void *user) { zookeeper_stop(((wing_zookeeper_t *)user)->zookeeper); }

static void deinit(void *user)
{
    wing_zookeeper_t *wing = user;
    if (wing->zookeeper) zookeeper_free(wing->zookeeper);
    zookeeper_config_deinit(&wing->config);
    mem_free(wing);
}

static const char *durability(const void *user)
{
    const wing_zookeeper_t *wing = user;
    return wing->config.force_sync ? "znodes synced before each reply" : "znodes in the page cache (forceSync=no)";
}

static void metrics(const void *user, buf_t *out)
{
    zookeeper_metrics(((const wing_zookeeper_t *)user)->zookeeper, out);
}

const server__wing_t server__zookeeper = {
    .init = init,
    .configure = configure,
    .start = start,
    .listen = start_listening,
    .listen_secure = start_listening_secure,
    .reload = reload,
    .stop = stop,
    .deinit = deinit,
    .durability = durability,
    .metrics = metrics,
};

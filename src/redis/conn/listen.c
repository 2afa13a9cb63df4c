/* listen.c: the addresses and the port that clients connect to, at the start and when CONFIG SET changes them. A change opens
 * what is new before it closes what is old, so that one which fails leaves everything as it was. */
#include "redis/conn/clients.h"
#include "redis/redis.h"

#include "base/slog.h"

#include <strings.h>

static void tune(clients_t *clients, net_listener_t *listener)
{
    const redis_config_t *config = clients->config;
    int err = net_listener_tune(listener, (int)config->tcp_backlog, (uint32_t)config->max_new_connections_per_cycle);
    if (err) slog(SLOG_WARN, "redis", "the backlog stays as it is", "error=\"%s\"", err_text(err));
}

static int open_one(clients_t *clients, const char *host, uint16_t port, redis_listeners_t *to)
{
    if (to->count == REDIS_LISTENERS_MAX) return ERR_LIMIT;
    net_listener_t *listener;
    int err = net_listen(clients->net, host, port, clients->host->service, clients->redis, &listener);
    if (err) return err;
    tune(clients, listener);
    to->at[to->count++] = (redis_listener_t){listener, mem_strdup(host)};
    return 0;
}

static int open_path(clients_t *clients, const char *path)
{
    const redis_config_t *config = clients->config;
    const char *group = *config->unixsocketgroup ? config->unixsocketgroup : NULL;
    int err = net_listen_path(clients->net, path, (unsigned)config->unixsocketperm, group, clients->host->service,
                              clients->redis, &clients->path_listener);
    if (err) return err;
    tune(clients, clients->path_listener);
    return 0;
}

void listen__tune(clients_t *clients)
{
    for (int i = 0; i < clients->listeners.count; i++) tune(clients, clients->listeners.at[i].net);
    if (clients->path_listener) tune(clients, clients->path_listener);
}

static void close_all(redis_listeners_t *listeners)
{
    while (listeners->count) {
        redis_listener_t *l = &listeners->at[--listeners->count];
        if (l->net) net_listener_close(l->net);
        mem_free(l->host);
    }
}

void listen__close(clients_t *clients)
{
    close_all(&clients->listeners);
    if (clients->path_listener) net_listener_close(clients->path_listener);
    clients->path_listener = NULL;
}

int listen__open(clients_t *clients, const char *host, uint16_t port, uint16_t *ret_port)
{
    *ret_port = 0;
    if (host[0] == '/') return open_path(clients, host);
    int err = open_one(clients, host, port, &clients->listeners);
    if (err) return err;
    clients->port = net_listener_port(clients->listeners.at[clients->listeners.count - 1].net);
    clients->config->port = clients->port;
    *ret_port = (uint16_t)clients->port;
    return 0;
}

/* ---- CONFIG SET bind, port ------------------------------------------------------------------------------------------- */

static redis_listener_t *listening_at(redis_listeners_t *listeners, const char *host)
{
    for (int i = 0; i < listeners->count; i++)
        if (listeners->at[i].net && strcmp(listeners->at[i].host, host) == 0) return &listeners->at[i];
    return NULL;
}

/* On each address of `bind`; those that are open already move over from `old`. An address behind a minus may be missing. */
static int open_all(clients_t *clients, char *bind, uint16_t port, redis_listeners_t *old, redis_listeners_t *ret_new)
{
    int err = 0;
    for (const char *host; !err && (host = strsep(&bind, " "));) {
        bool optional = *host == '-';
        host += optional;
        if (!*host) continue;
        if (strcmp(host, "::*") == 0) host = "::";
        redis_listener_t *same = port == clients->port ? listening_at(old, host) : NULL;
        if (same && ret_new->count < REDIS_LISTENERS_MAX) {
            ret_new->at[ret_new->count++] = (redis_listener_t){same->net, mem_strdup(host)};
            same->net = NULL;
            continue;
        }
        err = open_one(clients, host, port, ret_new);
        if (optional && err != ERR_ADDRINUSE && err != ERR_ACCESS && err != ERR_LIMIT) err = 0;
    }
    return err;
}

/* What moved over goes back, what is new is closed. */
static void undo(redis_listeners_t *old, redis_listeners_t *new)
{
    for (int i = 0; i < old->count; i++) {
        redis_listener_t *moved = old->at[i].net ? NULL : listening_at(new, old->at[i].host);
        if (!moved) continue;
        old->at[i].net = moved->net;
        moved->net = NULL;
    }
    close_all(new);
}

int listen__change(clients_t *clients, const char *bind, int port)
{
    redis_listeners_t new = {0};
    if (port == clients->port && strcmp(bind, clients->config->bind) == 0) return 0;
    char *addresses = mem_strdup(bind);
    int err = port ? open_all(clients, addresses, (uint16_t)port, &clients->listeners, &new) : 0;
    if (!err && port && *bind && new.count == 0) err = ERR_NOT_FOUND;
    mem_free(addresses);
    if (err) {
        undo(&clients->listeners, &new);
        return err;
    }
    close_all(&clients->listeners);
    clients->listeners = new;
    clients->port = port;
    return 0;
}

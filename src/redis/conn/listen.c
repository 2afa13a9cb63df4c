/* listen.c: the addresses and the ports that clients connect to, at the start and when CONFIG SET changes them. A change opens
 * what is new before it closes what is old, so that one which fails leaves everything as it was. */
#include "redis/conn/clients.h"
#include "redis/redis.h"

#include "base/slog.h"

#include <strings.h>

static void tune(clients_t *clients, net_listener_t *listener, bool is_secure)
{
    const redis_config_t *c = clients->config;
    uint64_t accepts_max = is_secure ? c->max_new_tls_connections_per_cycle : c->max_new_connections_per_cycle;
    int err = net_listener_tune(listener, (int)c->tcp_backlog, (uint32_t)accepts_max);
    if (err) slog(SLOG_WARN, "redis", "the backlog stays as it is", "error=\"%s\"", err_text(err));
}

static int open_one(clients_t *clients, const char *host, uint16_t port, redis_listeners_t *to)
{
    if (to->count == REDIS_LISTENERS_MAX) return ERR_LIMIT;
    net_listener_t *listener;
    int err = net_listen(clients->net, host, port, clients->host->service, clients->redis, &listener);
    if (err) return err;
    if (to->is_secure) net_listener_secure(listener, clients->secure.context, false);
    tune(clients, listener, to->is_secure);
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
    tune(clients, clients->path_listener, false);
    return 0;
}

static void tune_all(clients_t *clients, redis_listeners_t *listeners)
{
    for (int i = 0; i < listeners->count; i++) tune(clients, listeners->at[i].net, listeners->is_secure);
}

void listen__tune(clients_t *clients)
{
    tune_all(clients, &clients->listeners);
    tune_all(clients, &clients->tls_listeners);
    if (clients->path_listener) tune(clients, clients->path_listener, false);
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
    close_all(&clients->tls_listeners);
    if (clients->path_listener) net_listener_close(clients->path_listener);
    clients->path_listener = NULL;
}

int listen__open(clients_t *clients, const char *host, uint16_t port, uint16_t *ret_port)
{
    *ret_port = 0;
    if (host[0] == '/') return open_path(clients, host);
    int err = open_one(clients, host, port, &clients->listeners);
    if (err) return err;
    redis_listeners_t *listeners = &clients->listeners;
    listeners->port = net_listener_port(listeners->at[listeners->count - 1].net);
    clients->config->port = listeners->port;
    *ret_port = (uint16_t)listeners->port;
    return 0;
}

int listen__open_secure(clients_t *clients, const char *host, uint16_t port)
{
    ASSERT(clients->secure.context);
    clients->tls_listeners.is_secure = true;
    clients->tls_listeners.port = port;
    return open_one(clients, host, port, &clients->tls_listeners);
}

/* ---- CONFIG SET bind, port, tls-port ------------------------------------------------------------------------------------------- */

static redis_listener_t *listening_at(redis_listeners_t *listeners, const char *host)
{
    for (int i = 0; i < listeners->count; i++)
        if (listeners->at[i].net && strcmp(listeners->at[i].host, host) == 0) return &listeners->at[i];
    return NULL;
}

/* On each address of `bind`; those that are open already move over from `old`. An address behind a minus may be missing. */
static int open_all(clients_t *clients, char *bind, redis_listeners_t *old, redis_listeners_t *ret_new)
{
    int err = 0, port = ret_new->port;
    for (const char *host; !err && (host = strsep(&bind, " "));) {
        bool optional = *host == '-';
        host += optional;
        if (!*host) continue;
        if (strcmp(host, "::*") == 0) host = "::";
        redis_listener_t *same = port == old->port ? listening_at(old, host) : NULL;
        if (same && ret_new->count < REDIS_LISTENERS_MAX) {
            ret_new->at[ret_new->count++] = (redis_listener_t){same->net, mem_strdup(host)};
            same->net = NULL;
            continue;
        }
        err = open_one(clients, host, (uint16_t)port, ret_new);
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

/* What would take the place of `old`; on failure all is as it was. */
static int prepare(clients_t *clients, const char *bind, redis_listeners_t *old, redis_listeners_t *ret_new)
{
    if (!ret_new->port) return 0;
    char *addresses = mem_strdup(bind);
    int err = open_all(clients, addresses, old, ret_new);
    if (!err && *bind && ret_new->count == 0) err = ERR_NOT_FOUND;
    mem_free(addresses);
    if (err) undo(old, ret_new);
    return err;
}

static void replace(redis_listeners_t *old, const redis_listeners_t *new)
{
    close_all(old);
    *old = *new;
}

int listen__change(clients_t *clients, const char *bind, int port, int tls_port, bool *ret_tls_failed)
{
    redis_listeners_t new = {.port = port}, new_tls = {.port = tls_port, .is_secure = true};
    *ret_tls_failed = false;
    if (port == clients->listeners.port && tls_port == clients->tls_listeners.port &&
        strcmp(bind, clients->config->bind) == 0)
        return 0;
    int err = prepare(clients, bind, &clients->listeners, &new);
    if (err) return err;
    err = prepare(clients, bind, &clients->tls_listeners, &new_tls);
    *ret_tls_failed = err != 0;
    if (err) {
        undo(&clients->listeners, &new);
        return err;
    }
    replace(&clients->listeners, &new);
    replace(&clients->tls_listeners, &new_tls);
    return 0;
}

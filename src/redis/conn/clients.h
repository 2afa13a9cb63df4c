/* clients.h: all clients of a server, what is theirs together, and what this room asks of those above it, which run their
 * commands. */
#ifndef TRIVET_REDIS_CLIENTS_H
#define TRIVET_REDIS_CLIENTS_H

#include "base/buf.h"
#include "redis/config/config.h"
#include "redis/conn/client.h"
#include "redis/conn/listen.h"
#include "redis/conn/pubsub.h"
#include "redis/conn/secure.h"
#include "redis/db/keyspace.h"

typedef struct clients_host {
    const net_service_t *service; /* of the connections; its `user` is the server */
    /* The client goes: what waits for it, or for which it waits, is given up. */
    void (*gone)(redis_client_t *c);
    /* It is replied an error. */
    void (*refused)(redis_client_t *c, const char *text, size_t len);
    /* A command of its runs, which has yet to reply. */
    bool (*is_running)(const redis_client_t *c);
    /* Adds what the rooms above hold for it, its command that runs among them. */
    void (*add_holding)(const redis_client_t *c, client_holding_t *holding);
    /* The id of whose command runs; 0 = nobody's. */
    uint64_t (*who_runs)(const clients_t *clients);
} clients_host_t;

typedef struct redis_stats_counters {
    uint64_t connections, commands, error_replies, rejected_connections, net_in_bytes, net_out_bytes, unexpected_errors,
        query_limit_disconnections, out_limit_disconnections, evicted_clients;
} redis_stats_counters_t;

typedef struct tracking tracking_t; /* tracking.h */

/* Down to the first list all is borrowed. */
struct clients {
    const clients_host_t *host;
    redis_t *redis; /* whose they are */
    io_loop_t *loop;
    net_t *net;
    redis_config_t *config;
    keyspace_t *keyspace;
    list_t all;     /* with a connection */
    list_t writing; /* those of which something is not yet handed to the connection */
    map_t by_id;
    uint64_t count, paused, next_id;
    client_memory_t memory;
    buf_t discard; /* where replies go that nobody is to have */
    redis_listeners_t listeners, tls_listeners;
    redis_secure_t secure;
    net_listener_t *path_listener; /* of unixsocket; NULL = none */
    pubsub_t pubsub;
    tracking_t *tracking;
    uint64_t tracking_count; /* clients that track */
    redis_stats_counters_t stats;
    void (*on_gone)(void *user, uint64_t client_id);
    void *on_gone_user;
};

/* Once all that is borrowed is there. */
void clients__init(clients_t *clients);
void clients__deinit(clients_t *clients);
redis_client_t *clients__find(const clients_t *clients, uint64_t id);
/* Those that were paused go on. */
void clients__resume(clients_t *clients);
void clients__update_keepalive(clients_t *clients);

#endif

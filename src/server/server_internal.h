/* server_internal.h: what the wiring of each wing (wing_*.c) shares with server.c. */
#ifndef TRIVET_SERVER_SERVER_INTERNAL_H
#define TRIVET_SERVER_SERVER_INTERNAL_H

#include "coord/coord.h"
#include "http/http.h"
#include "io/io.h"
#include "kafka/kafka.h"
#include "net/net.h"
#include "redis/redis.h"
#include "server/server.h"
#include "zookeeper/zookeeper.h"

typedef struct server__door {
    int port; /* asked for */
    int bound_port;
    bool enabled;
    bool started;
} server__door_t;

struct server {
    io_loop_t *loop;
    net_t *net;
    coord_t *coord;
    redis_t *redis;
    kafka_t *kafka;
    zookeeper_t *zookeeper;
    http_t *http;
    redis_config_t *redis_config;
    kafka_config_t *kafka_config;
    zookeeper_config_t *zookeeper_config;
    coord_options_t coord_options;
    server__door_t doors[DOORS_COUNT];
    char *data_dir;
    char *coord_dir;
    char *bind;
    uint64_t started_ns;
    uint64_t ready_ns;
};

/* One protocol's wiring. `configure` returns ERR_NOT_FOUND for an unknown directive, with `why` saying what would fit. */
typedef struct server__wing {
    void (*init)(server_t *server);
    int (*configure)(server_t *server, const char *name, const char *value, char *why, size_t why_bytes);
    int (*start)(server_t *server, char *error);
    int (*listen)(server_t *server, const char *host, uint16_t port, uint16_t *ret_port);
    void (*stop)(server_t *server);
    void (*deinit)(server_t *server);
    const char *(*durability)(const server_t *server);
} server__wing_t;

extern const server__wing_t *const server__wings[DOORS_COUNT];

/* `<data directory>/<name>`; the caller frees it. */
char *server__path(const server_t *server, const char *name);

#endif

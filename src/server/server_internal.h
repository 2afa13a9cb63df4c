/* server_internal.h: what the wiring of each wing (wing_*.c) shares with server.c. */
#ifndef TRIVET_SERVER_SERVER_INTERNAL_H
#define TRIVET_SERVER_SERVER_INTERNAL_H

#include "base/buf.h"
#include "base/health.h"
#include "coord/mirror.h"
#include "http/http.h"
#include "io/io.h"
#include "net/net.h"

#define SERVER_RESERVE_BYTES MIB(4) /* that Redis' file and the tree each keep for a full disk */
#include "server/server.h"

#define REACTORS_MAX (1 + NET_CARRIERS_MAX)

typedef struct server__door {
    int port;   /* asked for */
    char *bind; /* its own addresses, apart by spaces or commas; NULL = the server's */
    int bound_port;
    bool enabled;
    bool protected; /* strangers are refused; of Redis its own directive says so */
    bool started;
    void *wing; /* the wiring's own state, made by its init */
} server__door_t;

/* What watches the turns of one reactor (watchdog.c). */
typedef struct server__watchdog {
    io_loop_t *loop;
    int reactor;
    uint64_t line_at_ns; /* when the log was last told; 0 = never */
    uint64_t unsaid;     /* long turns since */
} server__watchdog_t;

/* When the log was last told of a kind of event, and how many followed. */
typedef struct server__event_line {
    uint64_t at_ns, unsaid;
} server__event_line_t;

/* For all connections together (limits.c); 0 before server__limits_start = to be derived. */
typedef struct server__limits {
    size_t in_bytes_max, out_bytes_max, alone_bytes_max;
    uint32_t conns_max;
    server__event_line_t lines[NET_EVENTS_COUNT];
} server__limits_t;

struct server {
    io_loop_t *loop;
    net_t *net;
    io_loop_t *reactors[NET_CARRIERS_MAX]; /* beside `loop`, which is reactor 0 */
    int reactors_count, reactors_started;  /* reactor 0 counts in the first alone */
    server__limits_t limits;
    server__watchdog_t watchdogs[REACTORS_MAX]; /* one for each that started */
    coord_t *coord;
    mirror_t *tree;      /* Kafka's mirror of it */
    struct redis *redis; /* NULL while off: for the bridge */
    struct kafka *kafka;
    struct bridge *bridge; /* while Redis runs; without Kafka it keeps its records */
    int produce_codec;     /* [trivet] produce.compression.type */
    struct bridge_feeds *feeds;
    size_t outbox_bytes_max; /* 0 = the bridge's own */
    io_hook_t ready_hook;
    bool terminated;
    coord_options_t coord_options;
    server__door_t doors[DOORS_COUNT];
    char *data_dir;
    char *coord_dir;
    char *tree_dir;                /* zookeeper.dataDir: holds coord_dir; NULL = data_dir does */
    const setting_t *tree_log_dir; /* zookeeper.dataLogDir, while settings are applied; NULL = not given */
    char *bind;                    /* as a door's */
    uint64_t memory_bytes;         /* that the process may use, as of the start */
    uint64_t started_ns;
    uint64_t ready_ns;
};

/* One door's wiring (wing_*.c). What may be NULL says so. */
typedef struct server__wing {
    /* Makes the wing's state with its default configuration. */
    void *(*init)(server_t *server);
    /* May be NULL. ERR_NOT_FOUND for an unknown directive; `why` says what would fit. */
    int (*configure)(void *wing, const char *name, const char *value, char *why, size_t why_bytes);
    /* Recovers what is on disk; may fill `error`. May be NULL. */
    int (*start)(void *wing, server_t *server, char *error);
    /* Whether what `start` and `listen` began has ended; NULL when it ends at once. */
    bool (*ready)(const void *wing);
    int (*listen)(void *wing, const char *host, uint16_t port, uint16_t *ret_port);
    /* Flushes and closes; after `start` only. */
    void (*stop)(void *wing);
    void (*deinit)(void *wing);
    /* "keys: append-only file, synced every second"; may be NULL. */
    const char *(*durability)(const void *wing);
    /* Appends the wing's metrics as Prometheus text; may be NULL. */
    void (*metrics)(const void *wing, buf_t *out);
    /* What keeps the wing from its whole work; NULL when nothing ever does. */
    const health_t *(*health)(const void *wing);
} server__wing_t;

extern const server__wing_t server__redis, server__kafka, server__zookeeper, server__http;

extern const server__wing_t *const server__wings[DOORS_COUNT];

/* data_dir.c: makes the data directory and locks it for the process's life; on failure `error` says why. */
int server__open_data_dir(server_t *server, char *error) MUST_CHECK;
/* ERR_UNSUPPORTED when a ZooKeeper's own data lies where the tree would be opened. */
int server__refuse_zookeeper(server_t *server, char *error) MUST_CHECK;
/* settings.c: gives each setting to whoever owns its name. */
int server__apply_settings(server_t *server, const options_t *options, char *error) MUST_CHECK;
/* limits.c */
void server__limits_start(server_t *server); /* before the doors listen */
/* Tells the log, once the doors are open. */
void server__say_strangers(const server_t *server);
void server__limits_metrics(const server_t *server, buf_t *out);
/* watchdog.c */
void server__watchdog_start(server__watchdog_t *dog, io_loop_t *loop, int reactor);
void server__watchdog_metrics(const server_t *server, buf_t *out);
/* The metrics of all wings that run. */
void server__metrics(const server_t *server, buf_t *out);
/* Calls `each` for the health of each wing that runs and has one. */
void server__each_health(const server_t *server, void (*each)(void *user, const health_t *health), void *user);
/* Appends the counters of a service's connections, labelled with its name. */
void server__net_metrics(const net_t *net, const net_service_t *service, buf_t *out);
/* Has the end for want of memory explained; until mem_on_exhausted(NULL, NULL). */
void server__explain_exhaustion(server_t *server);
/* `<data directory>/<name>`; the caller frees it. */
char *server__path(const server_t *server, const char *name);
char *server__path_in(const char *dir, const char *name);

#endif

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

#define REACTORS_COUNT_MAX 3 /* control; Redis with the bridge; Kafka */

/* Auto: allow, with certificates that are made when there are none. */
typedef enum server__tls_mode {
    SERVER_TLS_OFF,
    SERVER_TLS_ALLOW,
    SERVER_TLS_REQUIRE,
    SERVER_TLS_AUTO
} server__tls_mode_t;

/* Of all doors (tls.c). */
typedef struct server__tls {
    server__tls_mode_t mode;
    char *cert_file, *key_file, *key_pass, *ca_file; /* NULL = not given */
    tls_clients_t clients;
    bool is_auto;           /* the files were made, or are to be */
    tls_context_t *context; /* NULL = no door speaks TLS by it */
    uint64_t files;         /* tls_settings_files, as they were read */
    io_timer_t timer;
} server__tls_t;

typedef struct server__door {
    int port;       /* asked for */
    char *tls_bind; /* addresses of tls_port; NULL = as bind */
    int tls_port;   /* with TLS alone; 0 = none. Redis' and ZooKeeper's */
    char *bind;     /* its own addresses, apart by spaces or commas; NULL = the server's */
    char *path;     /* of a socket, beside them or (no port) alone; NULL = none. Redis' */
    int bound_port;
    bool enabled;
    bool tls_given; /* its own tls_mode, not the server's */
    server__tls_mode_t tls_mode;
    bool protected; /* strangers are refused; of Redis its own directive says so */
    bool started;
    void *wing; /* the wiring's own state, made by its init */
    /* readiness.c: `told` is the wing's reactor's, what follows is control's */
    bool told;
    io_message_t recovered_message;
    struct server *server;
    bool recovered; /* what is on disk is in memory */
    bool ready;     /* and clients are served */
    uint64_t ready_ns;
} server__door_t;

/* When the log was last told of a kind of event (0 = never), and how many followed. */
typedef struct server__event_line {
    uint64_t at_ns, unsaid;
} server__event_line_t;

/* What watches the turns of one reactor (watchdog.c). */
typedef struct server__watchdog {
    io_loop_t *loop;
    const char *name;
    server__event_line_t computed, waited; /* long turns that did */
} server__watchdog_t;

/* For all connections together (limits.c); 0 before server__limits_start = to be derived. */
typedef struct server__limits {
    size_t in_bytes_max, out_bytes_max, alone_bytes_max;
    uint32_t conns_max;
} server__limits_t;

/* A reactor of wings: its thread owns what they do. */
typedef struct server__reactor {
    const char *name;
    io_loop_t *loop;
    net_t *net; /* the connections of its wings */
    server__event_line_t lines[NET_EVENTS_COUNT];
    server__watchdog_t watchdog;
    bool spawned;
    int visits_away;      /* pages.c: control's */
    io_hook_t ready_hook; /* readiness.c */
    struct server *server;
} server__reactor_t;

/* How the bridge comes to start (readiness.c). */
typedef struct server__bridge_start {
    io_message_t message; /* to Redis' reactor, and back */
    bool asked, done;
} server__bridge_start_t;

/* A start that failed on a reactor; the first one counts. */
typedef struct server__start_failure {
    io_message_t message;
    struct server *server;
    int err; /* 0 = none */
    char error[OPTIONS_ERROR_CHARS_MAX];
} server__start_failure_t;

/* Reads and writes for all reactors. */
typedef struct server__carrier {
    char name[16];
    io_loop_t *loop;
    server__watchdog_t watchdog;
    bool spawned;
} server__carrier_t;

struct server {
    const options_t *options;                       /* what it was started with, and lasts as long as it */
    io_loop_t *loop;                                /* control's: the main thread's */
    server__reactor_t reactors[REACTORS_COUNT_MAX]; /* control is the first */
    int reactors_count, reactors_made;              /* asked for; there */
    server__carrier_t carriers[NET_CARRIERS_MAX];
    int carriers_count, carriers_made;
    server__limits_t limits;
    server__tls_t tls;
    io_message_t stop_message; /* from a wing that was told to shut down */
    coord_t *coord;
    mirror_t *tree;      /* Kafka's mirror of it */
    struct redis *redis; /* NULL while off: for the bridge */
    struct kafka *kafka;
    struct bridge *bridge; /* while Redis runs; without Kafka it keeps its records */
    int produce_codec;     /* [trivet] produce.compression.type */
    struct bridge_feeds *feeds;
    size_t outbox_bytes_max; /* 0 = the bridge's own */
    server__bridge_start_t bridge_start;
    server__start_failure_t failures[REACTORS_COUNT_MAX]; /* one a reactor */
    const server__start_failure_t *failed;                /* control's; NULL = none */
    server_ready_cb on_ready;
    bool terminated;
    coord_options_t coord_options;
    server__door_t doors[DOORS_COUNT];
    char *data_dir;
    char *coord_dir;
    char *tree_dir;        /* zookeeper.dataDir: holds coord_dir; NULL = data_dir does */
    char *tree_log_dir;    /* zookeeper.dataLogDir: holds the log of it; NULL = as tree_dir */
    char *bind;            /* as a door's */
    bool has_secure_tree;  /* ZooKeeper speaks TLS by its own settings */
    uint64_t memory_bytes; /* that the process may use, as of the start */
    uint64_t started_ns;
    uint64_t ready_ns;
};

/* One door's wiring (wing_*.c). What may be NULL says so. */
typedef struct server__wing {
    /* Makes the wing's state with its default configuration. */
    void *(*init)(server_t *server);
    /* May be NULL. ERR_NOT_FOUND for an unknown directive; `why` says what would fit. */
    int (*configure)(void *wing, const char *name, const char *value, char *why, size_t why_bytes);
    /* Before the reactors run: makes the wing and begins to recover what is on disk; may fill `error`. May be NULL. */
    int (*start)(void *wing, server_t *server, char *error);
    /* On the wing's reactor, once a turn while it is not ready: recovers some more; may fill `error`. May be NULL. */
    int (*recover)(void *wing, char *error);
    /* Whether all is recovered, and what `listen` began has ended; NULL when it ends at once. */
    bool (*ready)(const void *wing);
    int (*listen)(void *wing, const char *host, uint16_t port, uint16_t *ret_port);
    /* At tls_port; may be NULL. */
    int (*listen_secure)(void *wing, const char *host, uint16_t port);
    /* Looks whether its own certificates have changed, and reads them again, `forced` in any case; may be NULL. */
    void (*reload)(void *wing, bool forced);
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
/* wing_redis.c: has the wing save what a signal's setting asks for, and end the server then. False: it cannot, or is at it. */
bool server__redis_signal(server_t *server, bool interrupt);
/* settings.c: gives each setting to whoever owns its name. */
int server__apply_settings(server_t *server, const options_t *options, char *error) MUST_CHECK;
/* readiness.c: after the doors are open. */
void server__readiness_watch(server_t *server);
/* Runs control until every wing is ready, or until one cannot be, or the server is told to stop. */
int server__readiness_wait(server_t *server, char *error) MUST_CHECK;
/* limits.c */
void server__limits_start(server_t *server); /* before the doors listen */
/* Tells the log, once the doors are open. */
void server__say_strangers(const server_t *server);
void server__limits_metrics(const server_t *server, const server__reactor_t *reactor, buf_t *out);
/* tls.c */
int server__tls_mode_parse(const char *text, server__tls_mode_t *ret_mode) MUST_CHECK;
int server__tls_start(server_t *server, char *error) MUST_CHECK; /* before the doors listen */
void server__tls_watch(server_t *server, bool wanted);           /* certificates change; when all is served */
void server__tls_stop(server_t *server);
void server__tls_deinit(server_t *server);
/* wing_http.c */
void server__http_secure(server_t *server, tls_context_t *context, bool allows_plain);
/* watchdog.c */
void server__watchdog_start(server__watchdog_t *dog, io_loop_t *loop, const char *name);
void server__watchdog_metrics(const server_t *server, buf_t *out);
/* reactors.c */
/* The one that the door's wing runs on. */
server__reactor_t *server__reactor_of(server_t *server, server_door_t door);
int server__reactors_make(server_t *server, char *error) MUST_CHECK;
int server__reactors_spawn(server_t *server, char *error) MUST_CHECK;
void server__reactors_join(server_t *server);
void server__reactors_drain(server_t *server); /* joined: what was posted runs, on this thread */
/* The wings have stopped: joins carriers, frees connections; and later the loops. */
void server__carriers_join(server_t *server);
void server__reactors_free(server_t *server);

/* pages.c: a page of which each reactor makes a part, on its thread. */
typedef struct server__page {
    /* Returns how many troubles it shows. */
    int (*part)(server_t *server, server__reactor_t *reactor, buf_t *out);
    /* In place of the part of one that does not answer. */
    void (*silent)(const char *reactor, buf_t *out);
    /* Ends the page, on control; returns the status. */
    int (*end)(const server_t *server, int troubles, buf_t *out);
} server__page_t;
extern const server__page_t server__page_metrics, server__page_ready;
void server__page_make(server_t *server, const server__page_t *kind, http_reply_t *reply);

/* Calls `each` for the troubles of the reactor's wings. */
void server__each_trouble(server_t *server, const server__reactor_t *reactor,
                          void (*each)(void *user, const char *wing, const char *what, const char *text), void *user);
/* Appends the counters of a service's connections, labelled with its name. */
void server__net_metrics(const net_t *net, const net_service_t *service, buf_t *out);
/* Has the end for want of memory explained; until mem_on_exhausted(NULL, NULL). */
void server__explain_exhaustion(server_t *server);
/* `<data directory>/<name>`; the caller frees it. */
char *server__path(const server_t *server, const char *name);
char *server__path_in(const char *dir, const char *name);

#endif

/* state.h: the server: what its rooms own, put together. A room's part is in a header of its own (blocking.h, multi.h, pubsub.h
 * ...); command handlers of data types need only command.h, key.h and reply.h. */
#ifndef TRIVET_REDIS_STATE_H
#define TRIVET_REDIS_STATE_H

#include "base/buf.h"
#include "base/hash.h"
#include "base/health.h"
#include "base/list.h"
#include "base/map.h"
#include "io/io.h"
#include "net/net.h"
#include "redis/config/config.h"
#include "redis/conn/out.h"
#include "redis/conn/pubsub.h"
#include "redis/db/evict.h"
#include "redis/exec/blocking.h"
#include "redis/exec/changes.h"
#include "redis/exec/exec.h"
#include "redis/exec/holds.h"
#include "redis/exec/key.h"
#include "redis/exec/multi.h"
#include "redis/histogram.h"
#include "redis/latency.h"
#include "redis/persist/persist.h"
#include "wire/resp.h"

#define REDIS_LISTENERS_MAX 16
#define BATCH_COMMANDS_MAX  64 /* requests of a pipeline that are parsed before the first runs */
#define BATCH_WORDS_MAX     1024
#define BIG_WORDS_KEPT_MAX  (1 << 14) /* a longer request's words are given back after it */
#define OUT_RESERVE_BYTES   4096
#define SEND_EARLY_BYTES    KIB(32)

/* ---- the server ------------------------------------------------------------------------------------------------------ */

typedef struct command_stats {
    uint64_t calls, usec, rejected, failed;
    histogram_t *durations; /* with latency-tracking; NULL until the first */
} command_stats_t;

typedef struct redis_stats_counters {
    uint64_t connections, commands, error_replies, rejected_connections, net_in_bytes, net_out_bytes, unexpected_errors,
        query_limit_disconnections, out_limit_disconnections;
} redis_stats_counters_t;

typedef struct tracking tracking_t;     /* conn/tracking.h */
typedef struct commandlog commandlog_t; /* exec/commandlog.h */
typedef struct scripts scripts_t;       /* scripts.c */

typedef struct redis_listener {
    net_listener_t *net;
    char *host;
} redis_listener_t;

/* One an address, all of one port. */
typedef struct redis_listeners {
    redis_listener_t at[REDIS_LISTENERS_MAX];
    int count;
} redis_listeners_t;

struct redis {
    io_loop_t *loop;
    net_t *net;
    redis_config_t *config;
    redis_listeners_t listeners;
    net_listener_t *path_listener; /* of unixsocket; NULL = none */
    int port;
    keyspace_t keyspace;
    persist_t persist;
    /* the command under way */
    redis_call_t *current;
    struct redis_question *question; /* redis_call_question */
    int exec_depth;
    bool shutdown_saved; /* SHUTDOWN has seen to the snapshot */
    bool shutdown_asked, stopped;
    bool active_expire;
    bool cron_paused;    /* DEBUG PAUSE-CRON */
    bool hll_words_only; /* PFDEBUG SIMD OFF */
    bool gate;           /* some global condition takes commands off the fast way: exec__update_gate */
    bool timed;          /* so does that the duration of each is asked for */
    list_t clients, writing, monitors;
    map_t clients_by_id;
    uint64_t client_count, paused_clients;
    uint64_t next_client_id;
    parsed_t batch[BATCH_COMMANDS_MAX];
    bytes_t words[BATCH_WORDS_MAX];
    bytes_t *big_words; /* for a request of more words */
    size_t big_words_cap;
    buf_t scratch, discard;
    /* commands */
    command_stats_t *command_stats;
    map_t extra_commands; /* registered at run time: upper-case name -> redis_command_t */
    map_t error_stats;    /* code -> counter */
    redis_stats_counters_t stats;
    pubsub_t pubsub;
    blocking_t blocking;
    multi_t multi;
    changes_t changes;
    holds_t holds;
    struct migrations *migrations; /* migration.h */
    /* CLIENT PAUSE */
    int64_t pause_until_ms;
    bool pause_all;
    /* time */
    io_timer_t cron;
    int64_t started_ms;
    uint64_t ops_samples[16], in_samples[16], out_samples[16]; /* a second's worth of each */
    uint64_t sample_count, ops_last_count, in_last_bytes, out_last_bytes;
    int64_t ops_last_ms, second_ms;
    uint32_t hz;        /* in force: hz, or more of it with many clients (dynamic-hz) */
    bool out_of_memory; /* nothing could go for the command under way */
    int64_t attack_logged_ms;
    commandlog_t *commandlog;
    latency_t latency;
    tracking_t *tracking;
    uint64_t tracking_clients;
    scripts_t *scripts;     /* NULL until the first script */
    bool scripts_unchecked; /* DEBUG SET-DISABLE-DENY-SCRIPTS: tests call noscript commands from scripts */
    bool script_busy;       /* it has done so for long: they are told BUSY */
    redis_client_t *nobody; /* in whose name expiry and eviction act */
    int oom_score_before;   /* this server changed it */
    bool oom_score_changed;
    char *executable, *config_file, *supervisor; /* redis_origin_t */
    char run_id[41];
    health_t health;
    bool failed; /* it ended because it could not go on */
    void (*on_shutdown)(void *user);
    void *on_shutdown_user;
    void (*on_client_gone)(void *user, uint64_t client_id);
    void *on_client_gone_user;
};

/* Conditions that need the slow way for every client: a pause, a failed append-only file, loading. */
void exec__update_gate(redis_t *redis);
/* On one more address, or with a path, which has no port. */
int listen__open(redis_t *redis, const char *host, uint16_t port, uint16_t *ret_port) MUST_CHECK;
void listen__close(redis_t *redis);
/* Listens there from now on; on failure everything is as it was. Port 0: nowhere. */
int listen__change(redis_t *redis, const char *bind, int port) MUST_CHECK;
void config__rewrite(redis_call_t *call, bool all); /* cmd/config.c: replies */
void listen__tune(redis_t *redis);                  /* max-new-connections-per-cycle has changed */

/* There are none, so that whoever wants some before it is written waits for ever. */
#define NO_REPLICAS_ERROR "NOREPLICAS Not enough good replicas to write."
static inline bool redis__lacks_replicas(const redis_t *redis) { return redis->config->min_replicas_to_write > 0; }

/* ---- the others ------------------------------------------------------------------------------------------------------ */

/* The client's request was run, was refused, or is put off for long: what it asked ends. */
void inquiry__drop(redis_client_t *c);

/* Tells monitoring clients of a command that ran (a script's caller: that begins). */
void monitor__tell(const redis_call_t *call);
void monitor__forget(redis_client_t *c);

/* Counts by the code that the text begins with; scripts invent codes, whose number is bounded. */
void stats__error(redis_t *redis, const char *text, size_t len, bool from_script);
void stats__reset(redis_t *redis);

#endif

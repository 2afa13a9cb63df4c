/* state.h: the server: what its rooms own, put together, for the way of a command and for commands on the server itself. A room's
 * part is in a header of its own (conn/clients.h, persist/persist.h, blocking.h ...); commands on data need only command.h, key.h
 * and reply.h. */
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
#include "redis/conn/clients.h"
#include "redis/conn/out.h"
#include "redis/db/evict.h"
#include "redis/exec/blocking.h"
#include "redis/exec/changes.h"
#include "redis/exec/exec.h"
#include "redis/exec/holds.h"
#include "redis/exec/input.h"
#include "redis/exec/key.h"
#include "redis/exec/monitor.h"
#include "redis/exec/multi.h"
#include "redis/exec/stats.h"
#include "redis/histogram.h"
#include "redis/latency.h"
#include "redis/persist/persist.h"
#include "wire/resp.h"

/* ---- the server ------------------------------------------------------------------------------------------------------ */

typedef struct command_stats {
    uint64_t calls, usec, rejected, failed;
    histogram_t *durations; /* with latency-tracking; NULL until the first */
} command_stats_t;

typedef struct commandlog commandlog_t; /* exec/commandlog.h */
typedef struct scripts scripts_t;       /* scripts.c */

struct redis {
    io_loop_t *loop;
    net_t *net;
    redis_config_t *config;
    keyspace_t keyspace;
    persist_t persist;
    clients_t clients;
    clients_host_t clients_host;
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
    list_t monitors;
    input_t input;
    /* commands */
    command_stats_t *command_stats;
    map_t extra_commands; /* registered at run time: upper-case name -> redis_command_t */
    map_t error_stats;    /* code -> counter */
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
    uint64_t turn_samples[16], turn_us_samples[16];
    uint64_t turns_last, turns_last_ns;
    uint64_t sample_count, ops_last_count, in_last_bytes, out_last_bytes;
    int64_t ops_last_ms, second_ms;
    uint32_t hz;        /* in force: hz, or more of it with many clients (dynamic-hz) */
    bool out_of_memory; /* nothing could go for the command under way */
    int64_t attack_logged_ms;
    commandlog_t *commandlog;
    latency_t latency;
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
};

/* Conditions that need the slow way for every client: a pause, a failed append-only file, loading. */
void exec__update_gate(redis_t *redis);
void config__rewrite(redis_call_t *call, bool all); /* cmd/config.c: replies */

/* There are none, so that whoever wants some before it is written waits for ever. */
#define NO_REPLICAS_ERROR "NOREPLICAS Not enough good replicas to write."
static inline bool state__lacks_replicas(const redis_t *redis) { return redis->config->min_replicas_to_write > 0; }

#endif

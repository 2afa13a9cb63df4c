/* state.h: the server, its databases and clients, as the files of src/redis share them. Command handlers of
 * data types need only command.h, keyspace.h and reply.h. */
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
#include "redis/db/entry.h"
#include "redis/db/keyspace.h"
#include "redis/db/listen.h"
#include "redis/db/table.h"
#include "redis/exec/command.h"
#include "redis/exec/command_table.h"
#include "redis/histogram.h"
#include "redis/latency.h"
#include "wire/resp.h"

#define REDIS_VERSION       "7.2.4" /* the level that INFO and HELLO report: clients switch features by it */
#define REDIS_LISTENERS_MAX 16
#define BATCH_COMMANDS_MAX  64 /* requests of a pipeline that are parsed before the first runs */
#define BATCH_WORDS_MAX     1024
#define BIG_WORDS_KEPT_MAX  (1 << 14) /* a longer request's words are given back after it */
#define OUT_RESERVE_BYTES   4096
#define SEND_EARLY_BYTES    KIB(32)
#define STRING_EMBED_MAX    512 /* longer strings have a block of their own */

struct redis_db {
    redis_t *redis;
    int id;
    uint8_t epoch; /* ENTRY_EPOCH bit of entries that the rewrite under way has passed */
    table_t keys;
    table_t expires; /* the entries of `keys` that have an expiry */
    map_t watched;   /* key -> watch_key_t */
    map_t blocked;   /* key -> blocked_key_t */
    uint64_t expire_cursor;
    int64_t ttl_average_ms;
};

/* ---- clients --------------------------------------------------------------------------------------------------------- */

enum {
    CLIENT_NEED_AUTH = 1 << 0,
    CLIENT_MULTI = 1 << 1,
    CLIENT_DIRTY_CAS = 1 << 2,  /* a watched key changed: EXEC fails */
    CLIENT_DIRTY_EXEC = 1 << 3, /* a command was refused while queueing: EXEC aborts */
    CLIENT_PUBSUB = 1 << 4,     /* subscribed to something */
    CLIENT_REPLY_OFF = 1 << 5,
    CLIENT_REPLY_SKIP = 1 << 6,
    CLIENT_REPLY_SKIP_NEXT = 1 << 7,
    CLIENT_BLOCKED = 1 << 8,
    CLIENT_CLOSING = 1 << 9, /* nothing more is read; output still goes out */
    CLIENT_NO_TOUCH = 1 << 10,
    CLIENT_NO_EVICT = 1 << 11,
    CLIENT_INTERNAL = 1 << 12, /* no connection: the append-only file's, a test's */
    CLIENT_IN_EXEC = 1 << 13,
    CLIENT_PAUSED = 1 << 14,      /* waits for the end of CLIENT PAUSE */
    CLIENT_CLOSE_AFTER = 1 << 15, /* CLIENT KILL of itself */
    CLIENT_MONITOR = 1 << 16,
    CLIENT_CONGESTED = 1 << 17, /* too many replies are unsent: what else it sent comes again when they are out */
    CLIENT_IN_LINE = 1 << 18,   /* answers are under way, behind which only some commands may take their place */
    /* Any of these takes a command off the fast way. */
    CLIENT_SLOW_WAY = CLIENT_NEED_AUTH | CLIENT_MULTI | CLIENT_PUBSUB | CLIENT_REPLY_OFF | CLIENT_REPLY_SKIP |
                      CLIENT_REPLY_SKIP_NEXT | CLIENT_IN_LINE,
};

/* A command kept for later: MULTI's queue, a blocked client. One allocation. */
typedef struct saved_command {
    const redis_command_t *command;
    struct redis_question *question; /* of a transaction's that must know something before EXEC runs; NULL = none */
    int argc;
    bytes_t argv[];
} saved_command_t;

typedef struct blocked blocked_t; /* blocking.c */
typedef struct inquiry inquiry_t; /* inquiry.c */

struct redis_client {
    /* Output under construction: [out_start, out) is written, up to out_end is room. NULL = none reserved. */
    uint8_t *out, *out_end, *out_start;
    uint32_t flags;
    uint8_t resp;
    bool out_dirty; /* in redis->writing */
    bool failed;    /* the command that runs has replied an error */
    uint16_t deferred_depth;
    uint32_t holds; /* redis_replies_hold */
    redis_db_t *db;
    redis_t *redis;
    net_conn_t *conn; /* NULL: internal */
    buf_t *sink;      /* internal: where replies go; NULL = nowhere */
    buf_t deferred;   /* what follows an open deferred length */
    list_t writing_node;
    list_t node;         /* redis->clients */
    list_t monitor_node; /* redis->monitors, if CLIENT_MONITOR */
    uint64_t id;
    resp_resume_t resume;
    const redis_command_t *last_command;
    int64_t created_ms, active_ms;
    int64_t out_soft_since_ms; /* above the soft limit of unsent output; 0 = it is not */
    char *name, *lib_name, *lib_version;
    /* MULTI */
    saved_command_t **queue;
    size_t queue_len, queue_cap, queue_bytes; /* the last: of the arguments */
    list_t watches;                           /* watch_t */
    bool queue_asks;                          /* one of them must know something before EXEC runs */
    /* what the request that runs next asked; NULL = nothing */
    inquiry_t *inquiry;
    struct redis_question *question; /* of a command alone */
    /* pub/sub: names, as keys of sets */
    map_t channels, patterns, shard_channels;
    buf_t pushed_to_self; /* messages that its own command published: they follow the reply */
    blocked_t *blocked;
    list_t asyncs;    /* redis_async_t: answers from outside that are under way, in the order of the calls */
    uint32_t in_line; /* of them, those that it does not wait for */
    uint64_t commands, in_bytes, out_bytes;
};

/* ---- the server ------------------------------------------------------------------------------------------------------ */

typedef struct command_stats {
    uint64_t calls, usec, rejected, failed;
    histogram_t *durations; /* with latency-tracking; NULL until the first */
} command_stats_t;

typedef struct redis_stats_counters {
    uint64_t connections, commands, keyspace_hits, keyspace_misses, expired_keys, evicted_keys, error_replies,
        rejected_connections, slow_expire_cycles, expired_time_capped, net_in_bytes, net_out_bytes, unexpected_errors,
        query_limit_disconnections, out_limit_disconnections;
    double expired_stale_percent;
} redis_stats_counters_t;

/* One parsed request of a pipeline. */
typedef struct parsed {
    const redis_command_t *command; /* NULL = unknown */
    const bytes_t *argv;
    int argc;
    bool is_inline;
    uint64_t key_hash;
    const uint8_t *hashed_key;
    size_t start, end; /* offsets in the input */
} parsed_t;

typedef struct aof aof_t;                     /* aof.h */
typedef struct walk walk_t;                   /* walk.h */
typedef struct snapshots snapshots_t;         /* snapshot.h */
typedef struct redis_loading redis_loading_t; /* load.c */
typedef struct commandlog commandlog_t;       /* commandlog.c */
typedef struct scripts scripts_t;             /* script_host.c */
typedef struct transaction transaction_t;     /* multi.c */

typedef struct redis_listener {
    net_listener_t *net;
    char *host;
} redis_listener_t;

/* One an address, all of one port. */
typedef struct redis_listeners {
    redis_listener_t at[REDIS_LISTENERS_MAX];
    int count;
} redis_listeners_t;

#define REDIS_UNCOUNTED_MAX 4
#define REDIS_BESIDE_MAX    4

typedef struct uncounted {
    size_t (*bytes)(void *user);
    void *user;
} uncounted_t;

typedef struct beside {
    void (*emit)(void *user, struct redis_emitter *base);
    void *user;
} beside_t;

struct redis {
    io_loop_t *loop;
    net_t *net;
    redis_config_t *config;
    redis_listeners_t listeners;
    int port;
    redis_db_t *dbs;
    int db_count;
    db_listeners_t announce; /* to whom db/ tells of changes */
    /* the command under way */
    int64_t now_ms;
    uint32_t lru_clock; /* seconds */
    uint64_t dirty;
    redis_call_t *current;
    struct redis_question *question; /* redis_call_question */
    int exec_depth;
    bool shutdown_saved; /* SHUTDOWN has seen to the snapshot */
    bool loading, asynchronous_flush, shutdown_asked, stopped;
    bool active_expire;
    bool hll_words_only; /* PFDEBUG SIMD OFF */
    bool gate;           /* some global condition takes commands off the fast way: redis__update_gate */
    bool timed;          /* so does that the duration of each is asked for */
    uint64_t random_state[2];
    list_t clients, writing, monitors;
    uint64_t client_count, blocked_clients, blocked_lines, paused_clients, pubsub_clients, watching_clients;
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
    /* pub/sub: name -> list of subscribers */
    map_t channels, patterns, shard_channels;
    uint64_t pattern_count;
    /* blocking */
    list_t ready_keys, timeouts;
    bool serving_ready;
    /* CLIENT PAUSE */
    int64_t pause_until_ms;
    bool pause_all;
    /* time */
    io_timer_t cron;
    uint64_t cron_turns;
    int64_t started_ms;
    uint64_t ops_samples[16], in_samples[16], out_samples[16]; /* a second's worth of each */
    uint64_t sample_count, ops_last_count, in_last_bytes, out_last_bytes;
    int64_t ops_last_ms, second_ms;
    uint32_t hz;        /* in force: hz, or more of it with many clients (dynamic-hz) */
    mem_meter_t memory; /* set by the cron, and before keys are driven out */
    uint64_t memory_set_ns;
    uint64_t memory_limit;  /* maxmemory, or what was derived while nobody has set it; 0 = none */
    uint64_t derived_limit; /* 0 = none, or maxmemory was set */
    table_budget_t tables;
    bool out_of_memory;                         /* nothing could go for the command under way */
    io_timer_t evicting;                        /* armed while there is more to drive out than one call may */
    uncounted_t uncounted[REDIS_UNCOUNTED_MAX]; /* memory that maxmemory does not count */
    int uncounted_count;
    size_t memory_peak, memory_startup;
    int64_t attack_logged_ms;
    commandlog_t *commandlog;
    latency_t latency;
    walk_t *walk;
    snapshots_t *snapshots;
    redis_loading_t *loading_state; /* while it goes on */
    aof_t *aof;
    scripts_t *scripts;         /* NULL until the first script */
    bool scripts_unchecked;     /* DEBUG SET-DISABLE-DENY-SCRIPTS: tests call noscript commands from scripts */
    transaction_t *transaction; /* in which a script stepped aside; NULL = none */
    bool script_left;           /* one stepped aside for a while: everybody else's commands wait */
    bool script_busy;           /* it has done so for long: they are told BUSY */
    redis_client_t *nobody;     /* in whose name expiry and eviction act */
    char *data_dir;
    char run_id[41];
    health_t health;
    bool failed; /* it ended because it could not go on */
    void (*on_shutdown)(void *user);
    void *on_shutdown_user;
    void (*on_client_gone)(void *user, uint64_t client_id);
    void *on_client_gone_user;
    beside_t beside[REDIS_BESIDE_MAX]; /* what lies beside the keys in a data set */
    int beside_count;
    db_listener_t change_listener, watch_listener, blocking_listener, notify_listener;
    const struct redis_observer *observer; /* NULL = nobody (changes.c) */
    bool change_open;                      /* it wants to hear of the end of the entry */
    bool writes_held;                      /* it is asked before each write */
};

/* An event that took so long is kept if that is latency-monitor-threshold or more. */
void redis__note_latency(redis_t *redis, const char *event, uint64_t usec);
/* Conditions that need the slow way for every client: a pause, a failed append-only file, loading. */
void redis__update_gate(redis_t *redis);
void load__abort(redis_t *redis); /* load.c */
void redis__end_pause(redis_t *redis);
void redis__start_cron(redis_t *redis);
void listen__close(redis_t *redis);
/* Listens there from now on; on failure everything is as it was. Port 0: nowhere. */
int listen__change(redis_t *redis, const char *bind, int port) MUST_CHECK;
void redis__update_loglevel(redis_t *redis);
void redis__update_hz(redis_t *redis);

/* ---- client.c -------------------------------------------------------------------------------------------------------- */

redis_client_t *client__new(redis_t *redis, net_conn_t *conn);
void client__free(redis_client_t *c);
redis_client_t *client__new_internal(redis_t *redis, buf_t *sink);
redis_client_t *client__by_id(redis_t *redis, uint64_t id);
/* Closes once its output is out. */
void client__close(redis_client_t *c);
/* Hands what was written for all clients to their connections. Every entry into this folder ends with it. */
void client__flush_all(redis_t *redis);
void client__flush(redis_client_t *c);
void client__describe(redis_client_t *c, buf_t *out);
void client__put_flags(const redis_client_t *c, buf_t *out); /* as CLIENT LIST shows them */
/* Makes the client wait (its input stays unread) or go on. */
void client__pause(redis_client_t *c);
void client__resume(redis_client_t *c);
void client__resume_all(redis_t *redis); /* those that were paused */
/* The reply to its command is written: what CLIENT REPLY SKIP silenced ends here. */
void client__answered(redis_client_t *c);
const net_service_t *client__service(void);
void client__update_keepalive(redis_t *redis);
bool client__name_is_valid(bytes_t name);
void client__set_name(redis_client_t *c, bytes_t name);

/* ---- exec.c ---------------------------------------------------------------------------------------------------------- */

const redis_command_t *command__lookup(redis_t *redis, bytes_t name);
/* The subcommand named by argv[1], or the command itself when it has none; NULL when unknown. */
const redis_command_t *command__resolve(const redis_command_t *command, int argc, const bytes_t *argv);
bool command__arity_fits(const redis_command_t *command, int argc);
/* All checks, then queues or runs it. `raw` may be null. */
void exec__request(redis_client_t *c, const parsed_t *request, bytes_t raw);
/* The way of a pipelined request that needs no clock of its own; false = take exec__request. */
bool exec__fast(redis_client_t *c, const parsed_t *request, bytes_t raw);
/* Runs a command that passed the checks: statistics, propagation, what it woke. */
void exec__run(redis_client_t *c, const redis_command_t *command, int argc, const bytes_t *argv, bytes_t raw,
               const uint8_t *hashed_key, uint64_t key_hash, uint32_t flags);
/* The same, with its time taken for statistics and the slow log. */
void exec__run_timed(redis_client_t *c, const redis_command_t *command, const parsed_t *request, bytes_t raw,
                     uint32_t flags);
saved_command_t *command__save(const redis_command_t *command, int argc, const bytes_t *argv);
void exec__free_extra(redis_t *redis);
/* Whether it may run although answers to earlier commands of its client are under way. */
bool exec__follows(const redis_command_t *command, int argc, const bytes_t *argv);
/* Whether it is a command from outside that may have to know something before it runs; what it asks, NULL = nothing. */
bool exec__asks(const redis_command_t *command);
struct redis_question *exec__ask(const redis_command_t *command, int argc, const bytes_t *argv);
/* Why a command from outside must not run in a transaction now; NULL = it may. */
const char *exec__extra_problem(const saved_command_t *command);
/* Closes what the command, transaction or script under way has gathered for the append-only file, if it has; `atomic`: it
 * must be read back whole or not at all. */
void exec__end_entry(redis_t *redis, bool atomic);
/* After an event outside any command (a timer): propagates and serves what it caused. */
void exec__after_event(redis_t *redis);
/* A call for work outside any command: expiry, eviction. */
redis_call_t exec__internal_call(redis_t *redis, redis_db_t *db);

/* ---- keyspace.c ------------------------------------------------------------------------------------------------------ */

void db__init(redis_db_t *db, redis_t *redis, int id);
void db__deinit(redis_db_t *db);
/* Deletes every key; returns how many there were. `command` as in listen.h. */
uint64_t db__empty(redis_db_t *db, const char *command);
void db__swap(redis_db_t *a, redis_db_t *b);
redis_entry_t *db__find(redis_db_t *db, bytes_t key);
void db__delete_expired(redis_db_t *db, redis_entry_t *entry);
/* The key has gone without a command. */
void db__went(redis_db_t *db, bytes_t key, db_cause_t cause);
static inline bool entry_is_expired(const redis_entry_t *e, int64_t now_ms)
{
    int64_t at = entry_expire_ms(e);
    return at >= 0 && now_ms > at;
}
const redis_type_ops_t *type__ops(redis_type_t type); /* NULL for strings */
const char *type__name(redis_type_t type);
const char *encoding__name(redis_encoding_t encoding);
size_t entry__memory_bytes(const redis_entry_t *e, size_t samples);
/* Deletes without looking at expiry; announces nothing but that the entry is about to change. */
bool db__delete(redis_db_t *db, bytes_t key);
/* Moves an existing key's value and expiry to a name that is free (RENAME, MOVE). */
redis_entry_t *db__move(redis_db_t *from, bytes_t name, redis_db_t *to, bytes_t new_name);
/* Copies an entry to a name that is free, in any database. */
redis_entry_t *db__add_copy(redis_db_t *to, bytes_t key, const redis_entry_t *from);

/* ---- the others ------------------------------------------------------------------------------------------------------ */

/* Keys whose end wakes somebody. */
size_t blocking__count_watched_ends(const redis_db_t *db);
void blocking__init(redis_t *redis);
void blocking__serve(redis_t *redis);
bool blocking__waits(const redis_client_t *c);
void blocking__forget(redis_client_t *c);
/* The client goes: its answers find nobody. */
void blocking__forget_asyncs(redis_client_t *c);
/* CLIENT UNBLOCK; false when not blocked. */
bool blocking__unblock(redis_client_t *c, bool with_error);

void multi__init(redis_t *redis);
void multi__discard(redis_client_t *c);
/* Goes on with a transaction behind the script that stepped aside in it, in the name of `c`, who may be a stand-in for a client
 * that left. False = another script did the same. */
bool multi__go_on(redis_t *redis, redis_client_t *c);
void multi__free_left(redis_t *redis);
void multi__unwatch(redis_client_t *c);
void multi__queue(redis_client_t *c, const redis_command_t *command, int argc, const bytes_t *argv);

/* The client's request was run, was refused, or is put off for long: what it asked ends. */
void inquiry__drop(redis_client_t *c);

size_t pubsub__publish(redis_t *redis, bytes_t channel, bytes_t message, bool shard);
void pubsub__forget(redis_client_t *c);
/* Whether the client can be sent what it did not ask for; closes one that does not read. */
bool pubsub__may_receive(redis_client_t *c);
/* Gives the client the messages it published to itself; called when its command has replied. */
void pubsub__give_own(redis_client_t *c);
size_t pubsub__subscriptions(const redis_client_t *c);
void notify__init(redis_t *redis);
void notify__update(redis_t *redis); /* after notify-keyspace-events has changed */
uint32_t notify__parse(const char *text, bool *ret_ok);
void notify__format(uint32_t classes, char out[32]);

/* Memory that maxmemory does not count: what is on its way to the disk, what waits in the outbox, what a growing table has
 * not moved into. */
size_t evict__uncounted_bytes(const redis_t *redis);
/* Above maxmemory: then every command takes the slow way. */
static inline bool redis__is_over_memory(const redis_t *redis)
{
    uint64_t limit = redis->memory_limit;
    size_t used;
    return UNLIKELY(limit != 0) && (used = mem_meter_read(&redis->memory)) > limit &&
           used - MIN(evict__uncounted_bytes(redis), used) > limit;
}

void expire__cycle(redis_t *redis, uint64_t budget_us);
/* Drives keys out for as long as maxmemory-eviction-tenacity allows; a timer goes on where that was not enough. False
 * when memory stays above maxmemory because nothing can go. */
bool evict__make_room(redis_t *redis);
void evict__init(redis_t *redis);
void evict__measure(redis_t *redis, uint64_t now_ns);
void evict__update_limit(redis_t *redis); /* after maxmemory or derived_limit has changed */
void evict__deinit(redis_t *redis);

typedef enum {
    COMMANDLOG_SLOW,
    COMMANDLOG_LARGE_REQUEST,
    COMMANDLOG_LARGE_REPLY,
    COMMANDLOG_KINDS,
} commandlog_kind_t;
commandlog_t *commandlog__new(void);
void commandlog__free(commandlog_t *log);
/* `measure`: microseconds, or bytes. */
void commandlog__add(redis_t *redis, commandlog_kind_t kind, redis_client_t *c, const redis_command_t *command,
                     int argc, const bytes_t *argv, uint64_t measure);
/* Tells monitoring clients of a command that ran (a script's caller: that begins). */
void monitor__tell(const redis_call_t *call);
void monitor__forget(redis_client_t *c);

/* Where a command's passwords are: words [from, to), or the values of settings that are secret. */
typedef struct secrets {
    int from, to;
    bool settings;
} secrets_t;
secrets_t secrets__find(const redis_command_t *command, int argc, const bytes_t *argv);
/* The word as it may be shown. */
bytes_t secrets__shown(secrets_t secrets, const bytes_t *argv, int i);

/* Counts by the code that the text begins with; scripts invent codes, whose number is bounded. */
void stats__error(redis_t *redis, const char *text, size_t len, bool from_script);
void stats__reset(redis_t *redis);

#endif

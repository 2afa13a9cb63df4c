/* redis.h: the Redis wing: keyspace, commands, connections, append-only file. Everything runs on the loop's
 * thread. */
#ifndef TRIVET_REDIS_REDIS_H
#define TRIVET_REDIS_REDIS_H

#include "base/base.h"
#include "base/buf.h"
#include "base/health.h"
#include "base/list.h"
#include "io/io.h"
#include "net/net.h"

#define REDIS_VERSION "7.2.4" /* the level that INFO and HELLO report: clients switch features by it */

typedef struct redis redis_t;
typedef struct redis_config redis_config_t;

/* ---- configuration: redis.conf's directives -------------------------------------------------------------------------- */

redis_config_t *redis_config_new(void); /* the defaults */
void redis_config_free(redis_config_t *config);
/* Sets one directive (any of its names). ERR_NOT_FOUND or ERR_INVALID with a sentence in `err`. */
int redis_configure(redis_config_t *config, const char *name, const char *value, char *err,
                    size_t err_bytes) MUST_CHECK;

/* ---- life ------------------------------------------------------------------------------------------------------------ */

/* Copies `config`. Files live under `data_dir` (made when missing). */
redis_t *redis_new(io_loop_t *loop, net_t *net, const char *data_dir, const redis_config_t *config);
/* What INFO tells of the process; and CONFIG REWRITE writes `config_file`. Strings are copied; NULL = there is none. */
typedef struct redis_origin {
    const char *executable, *config_file, *supervisor;
} redis_origin_t;
void redis_set_origin(redis_t *redis, const redis_origin_t *origin);
/* A signal asks for the end (`interrupt`: SIGINT): SHUTDOWN as the setting for it says. */
void redis_on_signal(redis_t *redis, bool interrupt);
/* What bounds memory in place of maxmemory until somebody sets that, to 0 too. */
void redis_derive_limit(redis_t *redis, uint64_t bytes);
/* Before redis_load: keeps so much room on the disk for what was begun when it is full. */
void redis_keep_room(redis_t *redis, uint64_t bytes);
/* Reads back what the disk has. On failure `err` says what is wrong and where. */
int redis_load(redis_t *redis, char *err, size_t err_bytes) MUST_CHECK;
/* The same in steps of some milliseconds, on the loop: until it is done, clients are told LOADING. */
int redis_load_step(redis_t *redis, bool *ret_done, char *err, size_t err_bytes) MUST_CHECK;
/* After redis_load: goes on answering LOADING, and lets no key expire, until it is called with false. */
void redis_hold(redis_t *redis, bool hold);
/* Port 0 picks a free one; may be called for several addresses, and with the path of unixsocket, which has none. */
int redis_listen(redis_t *redis, const char *host, uint16_t port, uint16_t *ret_port) MUST_CHECK;
/* Reads the certificates of tls-port; without one it does nothing. Before redis_listen_secure; on failure `why` says what does not fit. */
int redis_secure(redis_t *redis, char why[TLS_WHY_CHARS_MAX]) MUST_CHECK;
/* With TLS, at tls-port. */
int redis_listen_secure(redis_t *redis, const char *host) MUST_CHECK;
/* Reads the certificates again; what does not fit is told to the log. */
void redis_reload(redis_t *redis);
/* Stops accepting, writes and syncs the append-only file. */
void redis_stop(redis_t *redis);
void redis_free(redis_t *redis);
/* Writes and syncs what the append-only file is owed. */
int redis_flush(redis_t *redis) MUST_CHECK;
/* SHUTDOWN asks for this; so does a wing that cannot go on (redis_failed). */
void redis_on_shutdown(redis_t *redis, void (*stop)(void *user), void *user);
bool redis_failed(const redis_t *redis);
const health_t *redis_health(const redis_t *redis);
/* "append-only file, synced every second" */
const char *redis_durability(const redis_t *redis);
const net_service_t *redis_net_service(void);

typedef struct redis_stats {
    uint64_t keys, commands, connections, clients, blocked_clients, keyspace_hits, keyspace_misses, expired_keys,
        evicted_keys, aof_bytes, aof_rewrites;
    size_t memory_bytes;
    uint64_t memory_limit_bytes; /* maxmemory, or the derived limit; 0 = none */
} redis_stats_t;
redis_stats_t redis_stats(const redis_t *redis);

/* Runs one inline command without a connection and appends its RESP2 reply: tests and tools. */
void redis_execute(redis_t *redis, const bytes_t *argv, int argc, buf_t *reply);

/* ---- commands from outside (the bridge) ------------------------------------------------------------------------------ */

/* A command in the making. Either it is answered at once with redis_reply_*, or redis_async makes the client
 * wait until redis_async_done. */
typedef struct redis_call redis_call_t;
typedef struct redis_async redis_async_t;
typedef struct redis_client redis_client_t;

/* What COMMAND DOCS tells of an argument: `type` as there (string, integer, key, unix-time, block, oneof, pure-token ...),
 * a token that stands before it, and what it consists of. */
typedef struct redis_extra_arg {
    const char *name, *type, *token;
    bool optional, multiple;
    const struct redis_extra_arg *args;
    int args_count;
} redis_extra_arg_t;

/* What a command must know from elsewhere before it runs; embedded in the state of the one who was asked. */
typedef struct redis_question {
    list_t node; /* redis' own, as the next is */
    struct inquiry *inquiry;
    bool answered;
    /* Once, when the command was run, or will not be: from here on the question belongs to who was asked, answered or not. */
    void (*end)(struct redis_question *question);
} redis_question_t;
/* Once; what waited for it runs in a later turn. */
void redis_question_answered(redis_question_t *question);

typedef struct redis_extra_command {
    const char *name; /* "KAFKA.PRODUCE" */
    int arity;
    const char *flags; /* "write,denyoom,fast": names as in schema/redis */
    int first_key, last_key, key_step;
    const char *summary, *since, *group;
    const redis_extra_arg_t *args;
    int args_count;
    void (*handler)(redis_call_t *call, void *user);
    /* Asked of each such command of a transaction before any of it runs: NULL, or why it cannot run (valid until
     * the next call). May be NULL itself. */
    const char *(*check)(int argc, const bytes_t *argv, redis_question_t *question, void *user);
    /* Asks what must be known before `check` and `handler`; meanwhile the client waits, or the script that calls. NULL: nothing.
     * May be NULL itself; a row with it is not "fast". */
    redis_question_t *(*ask)(int argc, const bytes_t *argv, void *user);
    /* Whether it may run while answers to earlier commands of its client are under way (redis_async_in_line), because its own is
     * given in the same way. May be NULL: never. */
    bool (*follows)(int argc, const bytes_t *argv);
    void *user;
} redis_extra_command_t;
/* The strings must outlive the server. */
void redis_register_command(redis_t *redis, const redis_extra_command_t *command);

int redis_call_argc(const redis_call_t *call);
bytes_t redis_call_arg(const redis_call_t *call, int i);
redis_client_t *redis_call_client(const redis_call_t *call);
int64_t redis_call_now_ms(const redis_call_t *call);
/* Read back from the append-only file. */
bool redis_call_is_loading(const redis_call_t *call);
/* Of EXEC, which had the row's `check` say that it can run: it must not be refused any more. */
bool redis_call_was_asked(const redis_call_t *call);
/* What the row's `ask` gave for this call, with its answer. NULL: nothing, or (redis_execute) nobody could wait for an answer. */
redis_question_t *redis_call_question(const redis_call_t *call);
/* Of a script that has written already, so that it must be able to end its work. */
bool redis_call_is_midway(const redis_call_t *call);
/* Whether redis_async will do: not in a transaction, a script, without a connection. */
bool redis_call_may_wait(const redis_call_t *call);
/* Ids are never 0 but for clients without a connection. */
uint64_t redis_client_id(const redis_client_t *c);
/* Told when a connection's client has gone; one listener. */
void redis_on_client_gone(redis_t *redis, void (*gone)(void *user, uint64_t client_id), void *user);

/* What travels to the append-only file in place of the command: several calls, and whatever else the transaction
 * or script changes, become one entry. */
void redis_propagate(redis_call_t *call, int argc, const bytes_t *argv);
/* A key that the command is about to set, with SET key value PXAT, which travels with the command. */
bool redis_key_exists(redis_call_t *call, bytes_t key);
void redis_set_until(redis_call_t *call, bytes_t key, bytes_t value, int64_t expire_at_ms);
/* An entry of its own, outside any command; the command must not depend on the selected database. */
void redis_feed(redis_t *redis, int argc, const bytes_t *argv);
/* All entries made so far are in the append-only file, and with appendfsync always on stable storage. True when
 * there is no such file. A hook of a rank above 10 that asks each turn misses nothing. */
bool redis_is_written(const redis_t *redis);
/* What lies beside the keys in a data set. At the start of each file of it (the append-only file's base, a snapshot) `emit` is
 * asked for the commands that it needs of what was propagated or fed so far. */
typedef struct redis_emitter redis_base_t;
void redis_beside_add(redis_t *redis, void (*emit)(void *user, redis_base_t *base), void *user);
void redis_beside_remove(redis_t *redis, void *user);
void redis_base_write(redis_base_t *base, int argc, const bytes_t *argv);
void redis_append_command(buf_t *out, int argc, const bytes_t *argv);
/* Tells how much memory waits to be delivered elsewhere. maxmemory does not count it, because it would drive keys out, and each
 * that goes may make more of it; it has a bound of its own. */
void redis_uncounted_add(redis_t *redis, size_t (*bytes)(void *user), void *user);
void redis_uncounted_remove(redis_t *redis, void *user);

/* ---- every change to a key, told in the step that makes it (the change feed) ------------------------------------------ */

/* What happened to one key, without need of any other: a command over several keys is told of key by key. */
typedef struct redis_change {
    int db;
    bytes_t key;
    const char *command; /* what did it: "rename" */
    const char *cause;   /* "expired" or "evicted"; NULL = the command */
    bool gone;           /* the key is no more */
    int argc;            /* 0, and not gone: the key's state after the command is the change */
    const bytes_t *argv; /* the change as it replays exactly */
    int64_t now_ms;      /* Unix time of the command */
} redis_change_t;

typedef struct redis_observer {
    /* The key has changed, or (FLUSHDB, FLUSHALL, and a command on this key alone) is about to. True asks for
     * `closing`. Nothing is told of what is read back from the append-only file. */
    bool (*changed)(void *user, const redis_change_t *change);
    /* The command, transaction or script is at its end; its entry is still open. */
    void (*closing)(void *user);
    /* Why this key must not be written now; NULL = it may. While writes are held, of each command that names its
     * keys; and always, with `key` null, of what changes all keys of a database. Valid until the next call. */
    const char *(*refusal)(void *user, int db, bytes_t key);
    void *user;
} redis_observer_t;
/* One observer, NULL = none; the struct is the caller's and lasts. */
void redis_observe(redis_t *redis, const redis_observer_t *observer);
void redis_hold_writes(redis_t *redis, bool hold);
/* From the observer's `changed` and `closing`: travels in the entry of the change, which becomes a MULTI/EXEC. */
void redis_propagate_too(redis_t *redis, int argc, const bytes_t *argv);

typedef struct redis_value {
    const char *type;  /* "string", "hash" */
    int64_t expire_ms; /* Unix time; -1 = never */
    bytes_t string;    /* of a string; it may lie in `room` */
    char room[24];
} redis_value_t;
/* False: the key is not there. */
bool redis_value(redis_t *redis, int db, bytes_t key, redis_value_t *ret_value);
/* The commands that make the key as it is, its expiry included, where it is not there. */
void redis_append_value(redis_t *redis, int db, bytes_t key, buf_t *out);
void redis_each_key(redis_t *redis, int db, void (*each)(void *user, bytes_t key), void *user);
int redis_database_count(const redis_t *redis);
bool redis_glob_match(bytes_t pattern, bytes_t text);

/* ---- waiting and replying -------------------------------------------------------------------------------------------- */

/* The client reads no further command until redis_async_done. Its arguments must be copied by the caller.
 * NULL when it may not wait (inside MULTI). */
redis_async_t *redis_async(redis_call_t *call);
/* The client goes on with commands whose row says that they follow, REDIS_IN_LINE_MAX of them at most, or (not `goes_on`) waits.
 * Their answers leave in the order of the calls: whoever has an answer replies when redis_async_is_next, and then looks at the
 * one behind. */
#define REDIS_IN_LINE_MAX 1024
redis_async_t *redis_async_in_line(redis_call_t *call, bool goes_on, void *user);
/* Answers to earlier commands are under way: whatever it is replied must stand behind them. */
bool redis_call_is_in_line(const redis_call_t *call);
bool redis_async_is_next(const redis_async_t *async);
/* The `user` of the one behind it; NULL = none. */
void *redis_async_behind(const redis_async_t *async);
/* Of one in line: the reply stays here until redis_replies_flush, so that many leave together. */
void redis_replies_flush(redis_t *redis);
/* Where the late reply goes; valid until redis_async_done. A client that left is replaced by one that says
 * nothing. */
redis_client_t *redis_async_client(redis_async_t *async);
void redis_async_done(redis_async_t *async);
/* At the end, when no answer will come. */
void redis_async_drop(redis_async_t *async);

void redis_reply_error(redis_client_t *c, const char *text); /* "ERR ..." */
void redis_reply_int(redis_client_t *c, int64_t v);
void redis_reply_bulk(redis_client_t *c, bytes_t b);
void redis_reply_null(redis_client_t *c);
void redis_reply_array(redis_client_t *c, size_t n);
void redis_reply_status(redis_client_t *c, const char *text);

/* ---- an append-only file that nobody has open: `trivet check` and `trivet repair` -------------------------------------- */

/* Shows each file: `wrong` says what is, NULL = nothing; `note` what there is. Writes nothing. */
typedef void (*redis_check_cb)(void *user, const char *file, const char *wrong, const char *note);
int redis_check(io_loop_t *loop, const char *data_dir, redis_check_cb each, void *user) MUST_CHECK;
/* Mends a copy in place, so that it is read, and tells what that cost: a line each. With `salvage` bytes that are no commands
 * are left out, else the file ends at the first of them. */
int redis_mend(io_loop_t *loop, const char *data_dir, bool salvage, void (*tell)(void *user, const char *line),
               void *user) MUST_CHECK;

#endif

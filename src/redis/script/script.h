/* script.h: Lua scripts for the Redis wing: compiling, running and stopping them, and turning values into replies.
 *
 * The engine knows neither clients nor keys: whoever owns it (the host) runs commands for it. A script runs on a C stack of
 * its own, so that one that takes long gives the loop a turn (SCRIPT_PAUSED) and is resumed later, wherever it is: in a
 * coroutine, in a comparison of table.sort, in a pattern that never matches. The host keeps everybody else's commands out
 * meanwhile, which keeps a script atomic. It is asked by number of instructions, by bytes allocated and by work done in C,
 * whichever comes first.
 *
 * The interpreter is Lua 5.1 as the originals have it: what a script sees, down to the order of a table and the place in an
 * error's text, is the same. It counts nested C calls itself (200), and its memory comes from here, with a limit. */
#ifndef TRIVET_REDIS_SCRIPT_SCRIPT_H
#define TRIVET_REDIS_SCRIPT_SCRIPT_H

#include "base/base.h"
#include "base/buf.h"
#include "base/list.h"

#define SCRIPT_SHA_CHARS         40
#define SCRIPT_NUMBER_CHARS_MAX  40
#define SCRIPT_EVAL_MAX          500  /* scripts kept that nobody loaded on purpose */
#define SCRIPT_TICK_INSTRUCTIONS 1000 /* at most so many between calls of `tick` */

typedef struct script_engine script_engine_t;

typedef enum script_tick { SCRIPT_GO_ON, SCRIPT_PAUSE, SCRIPT_STOP } script_tick_t;

typedef struct script_host {
    void *user;
    /* Runs a command and appends its reply, in protocol version `resp`, to `reply`. */
    void (*call)(void *user, const bytes_t *argv, int argc, int resp, buf_t *reply);
    /* redis.log; level 0 (debug) to 3 (warning). */
    void (*log)(void *user, int level, bytes_t text);
    script_tick_t (*tick)(void *user);
    /* A number as an argument of a command; at most SCRIPT_NUMBER_CHARS_MAX. */
    size_t (*format)(char *out, double number);
    /* redis.acl_check_cmd: 1 allowed, 0 not, -1 no such command. */
    int (*check)(void *user, const bytes_t *argv, int argc);
    uint64_t seed;        /* of math.random */
    const char *version;  /* REDIS_VERSION */
    uint32_t version_num; /* 0x00MMmmpp */
} script_host_t;

enum {
    SCRIPT_NO_WRITES = 1,
    SCRIPT_ALLOW_OOM = 2,
    SCRIPT_ALLOW_STALE = 4,
    SCRIPT_NO_CLUSTER = 8,
    SCRIPT_CROSS_SLOT = 16,
    SCRIPT_HAS_SHEBANG = 32, /* without one, what a command does decides */
};

typedef struct script {
    char sha[SCRIPT_SHA_CHARS + 1];
    uint32_t flags;
    int function; /* in the registry */
    bytes_t source;
    list_t node; /* among those that may be forgotten, by last use; not linked when loaded on purpose */
} script_t;

script_engine_t *script_engine_new(const script_host_t *host);
void script_engine_free(script_engine_t *engine);
/* Of the Lua state with the run's reply; more is the error "not enough memory". */
void script_limit_memory(script_engine_t *engine, size_t bytes_max);
/* Collects a slice of what runs left behind; to be called between runs until it says true: nothing more is due. */
bool script_settle(script_engine_t *engine);
void script_sha1hex(bytes_t text, char ret_sha[SCRIPT_SHA_CHARS + 1]);
/* Compiles and remembers `source`; what was not loaded to `keep` is forgotten when SCRIPT_EVAL_MAX newer ones came.
 * ERR_INVALID with the error reply's text ("ERR Error compiling script ...") in `error`. */
int script_load(script_engine_t *engine, bytes_t source, bool keep, const script_t **ret_script,
                buf_t *error) MUST_CHECK;
/* What the source says of itself, without compiling it; 0 when that is nothing, or nonsense. */
uint32_t script_declared_flags(bytes_t source);
const script_t *script_find(const script_engine_t *engine, bytes_t sha); /* any case; NULL = none */
void script_flush(script_engine_t *engine);
size_t script_count(const script_engine_t *engine);
uint64_t script_evicted(const script_engine_t *engine);    /* forgotten so far to make room */
size_t script_cache_bytes(const script_engine_t *engine);  /* the sources */
size_t script_memory_bytes(const script_engine_t *engine); /* the Lua heap */

/* ---- libraries of functions ------------------------------------------------------------------------------------ */

typedef struct script_library script_library_t;

typedef struct script_function {
    char *name, *key;  /* key: in lower case, by which it is found */
    char *description; /* NULL = none */
    uint32_t flags;    /* SCRIPT_HAS_SHEBANG always: what it does is declared */
    int function;      /* in the registry */
    script_library_t *library;
    list_t node; /* script_library_t.functions */
} script_function_t;

struct script_library {
    char *name;
    bytes_t code;
    list_t functions; /* script_function_t.node */
    size_t function_count;
};

/* Runs the code, which registers functions. ERR_INVALID with the error reply's text in `error`; ERR_EXISTS with the library of that
 * name. */
int script_library_load(script_engine_t *engine, bytes_t code, bool replace, const script_library_t **ret_library,
                        buf_t *error) MUST_CHECK;
bool script_library_delete(script_engine_t *engine, bytes_t name); /* false = there is none */
void script_libraries_flush(script_engine_t *engine);
/* One after the other, from *cursor = 0; NULL at the end. */
const script_library_t *script_library_next(const script_engine_t *engine, size_t *cursor);
const script_function_t *script_function_find(const script_engine_t *engine, bytes_t name); /* any case */
size_t script_library_count(const script_engine_t *engine);
size_t script_function_count(const script_engine_t *engine);
/* "no-writes" for SCRIPT_NO_WRITES and so on; NULL for a bit that has no name. */
const char *script_flag_name(uint32_t flag);

/* ---- running ---------------------------------------------------------------------------------------------------- */

typedef enum script_result { SCRIPT_DONE, SCRIPT_PAUSED } script_result_t;

/* What a run is given; the lists are read at its beginning. */
typedef struct script_given {
    const bytes_t *keys, *args;
    int keys_count, args_count;
    int client_resp;
    buf_t *reply;
} script_given_t;

/* Runs a script; when done, its reply for a client that speaks `client_resp` was appended to `reply`, which must stay
 * where it is until then. One script at a time. */
script_result_t script_run(script_engine_t *engine, const script_t *script, const script_given_t *given) MUST_CHECK;
script_result_t script_run_function(script_engine_t *engine, const script_function_t *function,
                                    const script_given_t *given) MUST_CHECK;
script_result_t script_resume(script_engine_t *engine) MUST_CHECK;
/* From the host's `call`: the run is left (SCRIPT_PAUSED), and script_resume comes back here. False: it ends instead. */
bool script_leave(script_engine_t *engine) MUST_CHECK;

#endif

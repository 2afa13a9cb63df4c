/* script_internal.h: what the files of the script engine share. */
#ifndef TRIVET_REDIS_SCRIPT_INTERNAL_H
#define TRIVET_REDIS_SCRIPT_INTERNAL_H

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

#include <time.h>

#include "base/fiber.h"
#include "base/map.h"
#include "redis/script/script.h"

/* What the Lua state may take. Refusing is for protected code only: outside of it Lua would end the process. */
typedef struct script_heap {
    size_t used_bytes, bytes_max;
    size_t settled_bytes; /* used behind the last whole collection */
    int cycles_due;       /* of the collector, until what runs left is given back */
    bool limited;
    bool tight; /* the collector hurries */
} script_heap_t;

/* What is to run. */
typedef struct script_run {
    const char *name;  /* the script's SHA-1 or the function's name */
    int function;      /* in the registry */
    bool as_arguments; /* a function gets its lists as arguments, a script as globals */
    script_given_t given;
} script_run_t;

struct script_engine {
    script_host_t host;
    lua_State *lua;
    script_heap_t heap;
    fiber_t *fiber; /* scripts run on its stack, so that one can be left wherever it is */
    map_t scripts;  /* sha -> script_t */
    list_t passing; /* script_t.node: those that EVAL brought, the longest unused first */
    size_t passing_count, cache_bytes;
    uint64_t evicted;
    int globals;               /* registry: what scripts see behind their locked environment */
    int load_globals;          /* registry: what the code of a library sees while it is loaded */
    int environment;           /* registry: the locked table itself */
    int runner, handler;       /* registry: run.c's functions, made once so that a run needs no memory to begin */
    map_t libraries;           /* name -> script_library_t */
    map_t functions;           /* name in lower case -> script_function_t */
    script_library_t *loading; /* whose code runs now */
    clock_t load_started;
    /* the run under way */
    script_run_t job;
    size_t reply_start; /* in job.given.reply */
    bool running, ended;
    bool stopped;     /* SCRIPT KILL was obeyed */
    int resp;         /* redis.setresp */
    uint64_t work;    /* since the last tick: bytes, or steps of about a nanosecond */
    uint64_t random;  /* math.random's state */
    bool told;        /* failure has the place where it was stopped */
    buf_t failure;    /* the error's text */
    buf_t scratch;    /* of cmsgpack.pack */
    buf_t call_reply; /* of the command that the script called */
    bytes_t *words;   /* of that command */
    size_t words_cap;
};

/* The engine that a Lua state belongs to. */
static inline script_engine_t *script__engine(lua_State *lua)
{
    void *engine;
    lua_getallocf(lua, &engine);
    return engine;
}

/* heap.c: the state's allocator. */
void *script__alloc(void *engine, void *ptr, size_t old_bytes, size_t bytes);
void script__pace_collector(script_engine_t *engine);
/* Raises Lua's own "not enough memory". */
int script__out_of_memory(lua_State *lua);
/* Raises it when `bytes` more would not fit, after a collection if need be. Memory that is not the state's but the script's
 * (a buffer, its reply) is asked for here too. */
void script__need_bytes(lua_State *lua, size_t bytes);
/* For each value that goes into a buffer, or a reply, of so many bytes. A table that holds another one twice, which does so again, has
 * no end. */
#define SCRIPT_BUFFER_LARGE_BYTES KIB(64)
#define SCRIPT_WORK_PER_VALUE     50
static inline void script__charge(lua_State *lua, size_t bytes);
/* At a run's end: what it left is to be collected when that is much. */
void script__note_end(script_engine_t *engine);

/* run.c: asks the host whether to go on: may leave the fiber for a while, or raise the error of a killed script. What takes long
 * in C calls script__work as it goes. */
void script__tick(lua_State *lua);
#define SCRIPT_WORK_TICK 200000
static inline void script__work(lua_State *lua, size_t units)
{
    script_engine_t *engine = script__engine(lua);
    engine->work += units;
    if (UNLIKELY(engine->work >= SCRIPT_WORK_TICK)) script__tick(lua);
}
/* The same without raising: false = the run is to end. */
bool script__may_go_on(script_engine_t *engine);
void script__set_hook(lua_State *lua);
static inline void script__charge(lua_State *lua, size_t bytes)
{
    script__work(lua, SCRIPT_WORK_PER_VALUE);
    if (bytes > SCRIPT_BUFFER_LARGE_BYTES) script__need_bytes(lua, bytes);
}
/* Makes the stack and the functions that runs need. */
void script__open_runs(script_engine_t *engine);
/* Ends a run that waits, as SCRIPT KILL would. */
void script__abandon(script_engine_t *engine);

/* Puts a script behind the others that may be forgotten: the most recently used. */
void script__use(script_engine_t *engine, const script_t *script);

/* Raises the table {err = text}. */
int script__raise(lua_State *lua, const char *text);
/* Leaves the text's function on the stack, in the scripts' environment; else Lua's status and an error's text on the stack, or
 * SCRIPT_BYTECODE and nothing. */
#define SCRIPT_BYTECODE (-1)
int script__parse(lua_State *lua, bytes_t text, const char *chunk) MUST_CHECK;
/* The same from outside of scripts: ERR_INVALID with "ERR Error compiling <what>: ..." in `error`. */
int script__compile(script_engine_t *engine, bytes_t body, const char *chunk, const char *what,
                    buf_t *error) MUST_CHECK;
/* Adds the flag of that name; false = unknown. */
bool script__flag(bytes_t name, uint32_t *flags);
int script__register_function(lua_State *lua); /* redis.register_function */
/* Makes the globals: libraries, redis.*, and the locks (sandbox.c, api.c). */
void script__open_sandbox(script_engine_t *engine);
/* Pushes a table that shows `index` (an absolute stack index) but cannot be changed. */
void script__push_locked(lua_State *lua, int index);
/* What the environment shows from now on. */
void script__show_globals(script_engine_t *engine, int globals);
/* Leaves the library's table on the stack: all of it, or what the code of a library may use while it is loaded. */
void script__open_redis(script_engine_t *engine, bool loading);
int script__open_bit(lua_State *lua);
/* Put own functions in the place of those of Lua's library that could run long unasked, or nest without bound. */
void script__replace_strings(lua_State *lua);
void script__replace_tables(lua_State *lua);
void script__replace_math(lua_State *lua);
int script__unpack(lua_State *lua);
int script__open_msgpack(lua_State *lua);
int script__open_struct(lua_State *lua);

/* convert.c: pushes the value of one RESP reply; false when Lua's stack is full. */
bool script__push_reply(lua_State *lua, bytes_t reply);
/* Appends the value at the top of the stack as a reply, and pops it. */
void script__append_reply(script_engine_t *engine, lua_State *lua);
/* Appends "-text\r\n" with line breaks made into spaces. */
void script__append_error(buf_t *out, bytes_t text);

#endif

/* script_internal.h: what the files of the script engine share. */
#ifndef TRIVET_REDIS_SCRIPT_INTERNAL_H
#define TRIVET_REDIS_SCRIPT_INTERNAL_H

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

#include <time.h>

#include "base/map.h"
#include "redis/script/script.h"

struct script_engine {
    script_host_t host;
    lua_State *lua;
    map_t scripts;  /* sha -> script_t */
    list_t passing; /* script_t.node: those that EVAL brought, the longest unused first */
    size_t passing_count, cache_bytes;
    uint64_t evicted;
    int globals;    /* registry: what scripts see behind their locked environment */
    int load_globals; /* registry: what the code of a library sees while it is loaded */
    int environment; /* registry: the locked table itself */
    map_t libraries; /* name -> script_library_t */
    map_t functions; /* name in lower case -> script_function_t */
    script_library_t *loading; /* whose code runs now */
    clock_t load_started;
    /* the run under way */
    const char *running; /* the script's SHA-1 or the function's name; NULL = none runs */
    const char *chunk;   /* "user_script" or "user_function" */
    bytes_t source;      /* of the script */
    lua_State *thread;
    int thread_ref;
    buf_t *reply;
    int client_resp;
    int resp; /* redis.setresp */
    bool stopped; /* SCRIPT KILL was obeyed */
};

/* The engine that a Lua state belongs to. */
script_engine_t *script__engine(lua_State *lua);

/* Raises the table {err = text}. */
int script__raise(lua_State *lua, const char *text);
/* Leaves the function on the stack, in the scripts' environment; else an error's text. */
int script__compile(script_engine_t *engine, bytes_t body, const char *chunk) MUST_CHECK;
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
int script__open_msgpack(lua_State *lua);
int script__open_struct(lua_State *lua);

/* convert.c: pushes the value of one RESP reply; false when Lua's stack is full. */
bool script__push_reply(lua_State *lua, bytes_t reply);
/* Appends the value at the top of the stack as a reply, and pops it. */
void script__append_reply(script_engine_t *engine, lua_State *lua, buf_t *out);
/* Appends "-text\r\n" with line breaks made into spaces. */
void script__append_error(buf_t *out, bytes_t text);

#endif

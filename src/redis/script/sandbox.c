/* sandbox.c: what a script can see and what it cannot change.
 *
 * Scripts run with an environment that is an empty table whose metatable shows the real globals: reading an unknown
 * global and setting any global are errors, as in Redis. Libraries are shown through such tables too. rawset and
 * setmetatable, which would walk around the locks, are replaced. */
#include "redis/script/script_internal.h"

#include <lua-cjson.h>
#include <time.h>

#define COLLECT_BYTES_PER_WORK 16

static const char locked_key; /* registry: weak set of locked tables */

static void push_locked_set(lua_State *lua)
{
    lua_pushlightuserdata(lua, (void *)&locked_key);
    lua_rawget(lua, LUA_REGISTRYINDEX);
}

static bool is_locked(lua_State *lua, int index)
{
    push_locked_set(lua);
    lua_pushvalue(lua, index);
    lua_rawget(lua, -2);
    bool locked = lua_toboolean(lua, -1);
    lua_pop(lua, 2);
    return locked;
}

static int refuse_change(lua_State *lua) { return luaL_error(lua, "Attempt to modify a readonly table"); }

/* The same from a function of ours, to whose error no place belongs. */
static int refuse_plainly(lua_State *lua)
{
    lua_pushliteral(lua, "Attempt to modify a readonly table");
    return lua_error(lua);
}

static int missing_global(lua_State *lua)
{
    return luaL_error(lua, "Script attempted to access nonexistent global variable '%s'", luaL_checkstring(lua, 2));
}

void script__push_locked(lua_State *lua, int index)
{
    lua_newtable(lua);
    lua_createtable(lua, 0, 3);
    lua_pushvalue(lua, index);
    lua_setfield(lua, -2, "__index");
    lua_pushcfunction(lua, refuse_change);
    lua_setfield(lua, -2, "__newindex");
    push_locked_set(lua);
    lua_getfield(lua, -1, "metatable");
    lua_setfield(lua, -3, "__metatable");
    lua_pop(lua, 1);
    lua_setmetatable(lua, -2);
    push_locked_set(lua);
    lua_pushvalue(lua, -2);
    lua_pushboolean(lua, true);
    lua_rawset(lua, -3);
    lua_pop(lua, 1);
}

/* Replaces a locked table at the index by what it shows. Only for looking: it must not reach the script. */
static void reveal(lua_State *lua, int index)
{
    if (!is_locked(lua, index)) return;
    lua_getmetatable(lua, index);
    lua_getfield(lua, -1, "__index");
    lua_replace(lua, index);
    lua_pop(lua, 1);
}

static int revealing_next(lua_State *lua)
{
    luaL_checktype(lua, 1, LUA_TTABLE);
    lua_settop(lua, 2);
    reveal(lua, 1);
    if (lua_next(lua, 1)) return 2;
    lua_pushnil(lua);
    return 1;
}

/* Upvalues: the library's next, for all tables but the locked ones. */
static int revealing_pairs(lua_State *lua)
{
    luaL_checktype(lua, 1, LUA_TTABLE);
    if (is_locked(lua, 1))
        lua_pushcfunction(lua, revealing_next);
    else
        lua_pushvalue(lua, lua_upvalueindex(1));
    lua_pushvalue(lua, 1);
    lua_pushnil(lua);
    return 3;
}

static int checked_rawset(lua_State *lua)
{
    luaL_checktype(lua, 1, LUA_TTABLE);
    luaL_checkany(lua, 2);
    luaL_checkany(lua, 3);
    if (is_locked(lua, 1)) return refuse_plainly(lua);
    lua_settop(lua, 3);
    lua_rawset(lua, 1);
    return 1;
}

static int checked_setmetatable(lua_State *lua)
{
    int type = lua_type(lua, 2);
    luaL_checktype(lua, 1, LUA_TTABLE);
    luaL_argcheck(lua, type == LUA_TNIL || type == LUA_TTABLE, 2, "nil or table expected");
    if (is_locked(lua, 1)) return refuse_plainly(lua);
    if (luaL_getmetafield(lua, 1, "__metatable")) return luaL_error(lua, "cannot change a protected metatable");
    lua_settop(lua, 2);
    lua_setmetatable(lua, 1);
    return 1;
}

/* pcall whose error is a string where a command, or redis.error_reply, would have raised a table {err = text}. */
static int plain_pcall(lua_State *lua)
{
    luaL_checkany(lua, 1);
    lua_pushboolean(lua, true);
    lua_insert(lua, 1);
    if (lua_pcall(lua, lua_gettop(lua) - 2, LUA_MULTRET, 0) == 0) return lua_gettop(lua);
    if (lua_istable(lua, -1)) {
        lua_getfield(lua, -1, "err");
        if (lua_isstring(lua, -1))
            lua_replace(lua, -2);
        else
            lua_pop(lua, 1);
    }
    lua_pushboolean(lua, false);
    lua_replace(lua, 1);
    return 2;
}

/* Upvalue: Lua's own. A whole collection goes through all that the state holds. */
static int counted_collect(lua_State *lua)
{
    script__work(lua, script__engine(lua)->heap.used_bytes / COLLECT_BYTES_PER_WORK);
    return lua_tocfunction(lua, lua_upvalueindex(1))(lua);
}

static int cpu_clock(lua_State *lua)
{
    lua_pushnumber(lua, (lua_Number)clock() / CLOCKS_PER_SEC);
    return 1;
}

/* ---- JSON -------------------------------------------------------------------------------------------------------
 * The library writes into a buffer of its own, which knows no limit and counts in ints, and asks nobody. So what it would write
 * is measured first. */

#define JSON_DEPTH_MAX      1000
#define JSON_BYTES_MAX      (INT32_MAX / 2)
#define JSON_ESCAPE_BYTES   6 /* of a character, at worst: what the library reserves */
#define JSON_BYTES_OF_VALUE 25

static void measure(lua_State *lua, size_t *bytes, int depth)
{
    script__work(lua, SCRIPT_WORK_PER_VALUE);
    *bytes += JSON_BYTES_OF_VALUE;
    if (lua_type(lua, -1) == LUA_TSTRING) *bytes += lua_objlen(lua, -1) * JSON_ESCAPE_BYTES;
    if (*bytes > JSON_BYTES_MAX) script__out_of_memory(lua);
    if (*bytes > SCRIPT_BUFFER_LARGE_BYTES) script__need_bytes(lua, *bytes);
    if (lua_type(lua, -1) != LUA_TTABLE || depth > JSON_DEPTH_MAX || !lua_checkstack(lua, 4)) return;
    lua_pushnil(lua);
    while (lua_next(lua, -2)) {
        measure(lua, bytes, depth + 1);
        lua_pop(lua, 1);
        if (lua_type(lua, -1) == LUA_TSTRING) *bytes += lua_objlen(lua, -1) * JSON_ESCAPE_BYTES;
    }
}

/* Upvalues: the library's settings, where its own encode looks for them, and that. */
static int measured_encode(lua_State *lua)
{
    size_t bytes = 0;
    if (lua_gettop(lua) == 1) measure(lua, &bytes, 0);
    return lua_tocfunction(lua, lua_upvalueindex(2))(lua);
}

/* A new instance would have the library's encode. */
static void open_json(lua_State *lua)
{
    luaopen_cjson(lua);
    lua_getfield(lua, -1, "encode");
    lua_getupvalue(lua, -1, 1);
    lua_insert(lua, -2);
    lua_pushcclosure(lua, measured_encode, 2);
    lua_setfield(lua, -2, "encode");
    lua_pushnil(lua);
    lua_setfield(lua, -2, "new");
}

/* ---- building --------------------------------------------------------------------------------------------------- */

static void open_library(lua_State *lua, const char *name, lua_CFunction open)
{
    lua_pushcfunction(lua, open);
    lua_pushstring(lua, name);
    lua_call(lua, 1, 1);
    lua_pop(lua, 1);
}

/* globals[name] = locked view of the table at the top, which is popped. */
static void publish(lua_State *lua, int globals, const char *name)
{
    script__push_locked(lua, lua_gettop(lua));
    lua_setfield(lua, globals, name);
    lua_pop(lua, 1);
}

static void copy_globals(lua_State *lua, int globals)
{
    static const char *const functions[] = {"assert",     "error", "gcinfo",   "getmetatable", "ipairs", "load",
                                            "loadstring", "pcall", "rawequal", "rawget",       "select", "tonumber",
                                            "tostring",   "type",  "xpcall",   "_VERSION"};
    for (size_t i = 0; i < ARRAY_LEN(functions); i++) {
        lua_getglobal(lua, functions[i]);
        lua_setfield(lua, globals, functions[i]);
    }
    lua_pushcfunction(lua, revealing_next);
    lua_setfield(lua, globals, "next");
    lua_getglobal(lua, "next");
    lua_pushcclosure(lua, revealing_pairs, 1);
    lua_setfield(lua, globals, "pairs");
    lua_getglobal(lua, "collectgarbage");
    lua_pushcclosure(lua, counted_collect, 1);
    lua_setfield(lua, globals, "collectgarbage");
    lua_pushcfunction(lua, plain_pcall);
    lua_setfield(lua, globals, "pcall");
    lua_pushcfunction(lua, script__unpack);
    lua_setfield(lua, globals, "unpack");
    lua_pushcfunction(lua, checked_rawset);
    lua_setfield(lua, globals, "rawset");
    lua_pushcfunction(lua, checked_setmetatable);
    lua_setfield(lua, globals, "setmetatable");
}

static void publish_libraries(lua_State *lua, int globals)
{
    static const char *const names[] = {"string", "table", "math", "coroutine"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        lua_getglobal(lua, names[i]);
        publish(lua, globals, names[i]);
    }
    lua_newtable(lua);
    lua_pushcfunction(lua, cpu_clock);
    lua_setfield(lua, -2, "clock");
    publish(lua, globals, "os");
    script__open_bit(lua);
    publish(lua, globals, "bit");
    open_json(lua);
    publish(lua, globals, "cjson");
    script__open_msgpack(lua);
    publish(lua, globals, "cmsgpack");
    script__open_struct(lua);
    publish(lua, globals, "struct");
}

/* Loaded code must not get the real global table: its environment is the caller's lock. */
static int load_text(lua_State *lua, bytes_t text, const char *name)
{
    lua_pushstring(lua, name); /* the parser keeps no reference of its own to the name, which ends at a NUL */
    int err = script__parse(lua, text, name);
    if (!err) return 1;
    if (err == SCRIPT_BYTECODE) lua_pushliteral(lua, "bytecode is not allowed");
    lua_pushnil(lua);
    lua_insert(lua, -2);
    return 2;
}

static int load_string(lua_State *lua)
{
    size_t len;
    const char *text = luaL_checklstring(lua, 1, &len);
    return load_text(lua, bytes_of(text, len), luaL_optstring(lua, 2, text));
}

/* The text comes in pieces from a function, until it returns nothing. */
static int load_pieces(lua_State *lua)
{
    const char *name = luaL_optstring(lua, 2, "=(load)");
    luaL_checktype(lua, 1, LUA_TFUNCTION);
    luaL_Buffer text;
    luaL_buffinit(lua, &text);
    for (;;) {
        lua_pushvalue(lua, 1);
        lua_call(lua, 0, 1);
        if (!lua_isstring(lua, -1) && !lua_isnil(lua, -1))
            return luaL_error(lua, "reader function must return a string");
        bool end = lua_isnil(lua, -1) || lua_objlen(lua, -1) == 0;
        if (end) break;
        luaL_addvalue(&text);
    }
    lua_pop(lua, 1);
    luaL_pushresult(&text);
    size_t len;
    const char *whole = lua_tolstring(lua, -1, &len);
    return load_text(lua, bytes_of(whole, len), name);
}

static void lock_strings(lua_State *lua)
{
    lua_pushliteral(lua, "");
    lua_getmetatable(lua, -1);
    lua_pushboolean(lua, false);
    lua_setfield(lua, -2, "__metatable");
    lua_pop(lua, 2);
}

/* What getmetatable says of a locked table: an empty one that refuses changes too. */
static void push_metatable_shown(lua_State *lua)
{
    lua_newtable(lua);
    lua_createtable(lua, 0, 3);
    lua_newtable(lua);
    lua_setfield(lua, -2, "__index");
    lua_pushcfunction(lua, refuse_change);
    lua_setfield(lua, -2, "__newindex");
    lua_pushboolean(lua, false);
    lua_setfield(lua, -2, "__metatable");
    lua_setmetatable(lua, -2);
}

static void make_locked_set(lua_State *lua)
{
    lua_pushlightuserdata(lua, (void *)&locked_key);
    lua_newtable(lua);
    lua_createtable(lua, 0, 1);
    lua_pushliteral(lua, "k");
    lua_setfield(lua, -2, "__mode");
    lua_setmetatable(lua, -2);
    push_metatable_shown(lua);
    lua_pushvalue(lua, -1);
    lua_pushboolean(lua, true);
    lua_rawset(lua, -4);
    lua_setfield(lua, -2, "metatable");
    lua_rawset(lua, LUA_REGISTRYINDEX);
}

/* Reading what the table has not is an error. */
static void refuse_missing(lua_State *lua, int table)
{
    lua_createtable(lua, 0, 1);
    lua_pushcfunction(lua, missing_global);
    lua_setfield(lua, -2, "__index");
    lua_setmetatable(lua, table);
}

static void publish_redis(script_engine_t *engine, int globals, bool loading)
{
    lua_State *lua = engine->lua;
    script__open_redis(engine, loading);
    if (loading) refuse_missing(lua, lua_gettop(lua));
    script__push_locked(lua, lua_gettop(lua));
    lua_pushvalue(lua, -1);
    lua_setfield(lua, globals, "redis");
    lua_setfield(lua, globals, "server");
    lua_pop(lua, 1);
}

/* A library's code only registers functions: it sees nothing else. */
static void make_load_globals(script_engine_t *engine)
{
    lua_State *lua = engine->lua;
    lua_newtable(lua);
    publish_redis(engine, lua_gettop(lua), true);
    refuse_missing(lua, lua_gettop(lua));
    engine->load_globals = luaL_ref(lua, LUA_REGISTRYINDEX);
}

void script__show_globals(script_engine_t *engine, int globals)
{
    lua_State *lua = engine->lua;
    lua_rawgeti(lua, LUA_REGISTRYINDEX, engine->environment);
    lua_getmetatable(lua, -1);
    lua_rawgeti(lua, LUA_REGISTRYINDEX, globals);
    lua_setfield(lua, -2, "__index");
    lua_pop(lua, 2);
}

void script__open_sandbox(script_engine_t *engine)
{
    lua_State *lua = engine->lua;
    open_library(lua, "", luaopen_base);
    open_library(lua, LUA_TABLIBNAME, luaopen_table);
    open_library(lua, LUA_STRLIBNAME, luaopen_string);
    open_library(lua, LUA_MATHLIBNAME, luaopen_math);
    script__replace_strings(lua);
    script__replace_tables(lua);
    script__replace_math(lua);
    make_locked_set(lua);
    lock_strings(lua);

    lua_newtable(lua);
    int globals = lua_gettop(lua);
    copy_globals(lua, globals);
    publish_libraries(lua, globals);
    publish_redis(engine, globals, false);
    lua_pushcfunction(lua, load_string);
    lua_setfield(lua, globals, "loadstring");
    lua_pushcfunction(lua, load_pieces);
    lua_setfield(lua, globals, "load");
    refuse_missing(lua, globals);
    make_load_globals(engine);

    script__push_locked(lua, globals);
    lua_pushvalue(lua, -1);
    lua_setfield(lua, globals, "_G");
    engine->environment = luaL_ref(lua, LUA_REGISTRYINDEX);
    engine->globals = luaL_ref(lua, LUA_REGISTRYINDEX);
}

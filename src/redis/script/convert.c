/* convert.c: RESP replies to Lua values and back, by the rules of Redis's scripting reference:
 *
 *   integer <-> number          bulk string <-> string       null -> false (RESP3: nil)
 *   status <-> {ok = text}      error <-> {err = text}       array <-> table 1..n, ended by the first nil
 *   RESP3 (after redis.setresp(3)): map <-> {map = {}}, set <-> {set = {}}, double <-> {double = n}, boolean <-> boolean,
 *   big number <-> {big_number = text}, verbatim string <-> {verbatim_string = {string =, format =}} */
#include "redis/script/script_internal.h"

#include "base/num.h"

#include <stdio.h>
#include <stdlib.h>

#define DEPTH_MAX 200 /* of nested tables */

/* ---- RESP to Lua: the bytes are our own replies, so their form is asserted -------------------------------------- */

static const uint8_t *push_value(lua_State *lua, const uint8_t *p, const uint8_t *end);

static const uint8_t *line_end(const uint8_t *p, const uint8_t *end)
{
    const uint8_t *cr = memchr(p, '\r', (size_t)(end - p));
    ASSERT(cr && cr + 1 < end);
    return cr;
}

static int64_t read_length(const uint8_t *p, const uint8_t *cr)
{
    int64_t v = 0;
    bool ok = num_parse_i64(bytes_of(p, (size_t)(cr - p)), &v);
    ASSERT(ok);
    return v;
}

static void push_field(lua_State *lua, const char *name, const uint8_t *p, const uint8_t *cr)
{
    lua_createtable(lua, 0, 1);
    lua_pushlstring(lua, (const char *)p, (size_t)(cr - p));
    lua_setfield(lua, -2, name);
}

/* The error was counted when the command failed; that is told as the originals tell it. */
static void push_error(lua_State *lua, const uint8_t *p, const uint8_t *cr)
{
    lua_newtable(lua);
    lua_pushlstring(lua, (const char *)p, (size_t)(cr - p));
    lua_setfield(lua, -2, "err");
    lua_pushboolean(lua, true);
    lua_setfield(lua, -2, "ignore_error_stats_update");
}

static const uint8_t *push_bulk(lua_State *lua, const uint8_t *p, const uint8_t *end)
{
    const uint8_t *cr = line_end(p, end);
    int64_t len = read_length(p, cr);
    if (len < 0) {
        lua_pushboolean(lua, false);
        return cr + 2;
    }
    ASSERT(end - cr - 4 >= len);
    lua_pushlstring(lua, (const char *)cr + 2, (size_t)len);
    return cr + 4 + len;
}

static const uint8_t *push_array(lua_State *lua, const uint8_t *p, const uint8_t *end)
{
    const uint8_t *cr = line_end(p, end);
    int64_t count = read_length(p, cr);
    p = cr + 2;
    if (count < 0) {
        lua_pushboolean(lua, false);
        return p;
    }
    lua_createtable(lua, (int)MIN(count, INT32_MAX), 0);
    for (int64_t i = 1; i <= count && p; i++) {
        p = push_value(lua, p, end);
        if (p) lua_rawseti(lua, -2, (int)i);
    }
    return p;
}

/* A map's pairs, or a set's members (each with the value true), in a table of their own under `name`. */
static const uint8_t *push_pairs(lua_State *lua, const char *name, bool values, const uint8_t *p, const uint8_t *end)
{
    const uint8_t *cr = line_end(p, end);
    int64_t count = read_length(p, cr);
    p = cr + 2;
    lua_createtable(lua, 0, 1);
    lua_createtable(lua, 0, (int)MIN(count, INT32_MAX));
    for (int64_t i = 0; i < count && p; i++) {
        p = push_value(lua, p, end);
        if (p && values) p = push_value(lua, p, end);
        if (p && !values) lua_pushboolean(lua, true);
        if (p) lua_rawset(lua, -3);
    }
    if (p) lua_setfield(lua, -2, name);
    return p;
}

static const uint8_t *push_verbatim(lua_State *lua, const uint8_t *p, const uint8_t *end)
{
    const uint8_t *cr = line_end(p, end);
    int64_t len = read_length(p, cr);
    const char *text = (const char *)cr + 2;
    ASSERT(len >= 4 && end - cr - 4 >= len);
    lua_createtable(lua, 0, 1);
    lua_createtable(lua, 0, 2);
    lua_pushlstring(lua, text, 3);
    lua_setfield(lua, -2, "format");
    lua_pushlstring(lua, text + 4, (size_t)len - 4);
    lua_setfield(lua, -2, "string");
    lua_setfield(lua, -2, "verbatim_string");
    return cr + 4 + len;
}

static const uint8_t *push_scalar(lua_State *lua, const uint8_t *p, const uint8_t *end)
{
    const uint8_t *cr = line_end(p, end);
    switch (p[0]) {
    case ':': lua_pushnumber(lua, (lua_Number)read_length(p + 1, cr)); break;
    case '+': push_field(lua, "ok", p + 1, cr); break;
    case '-': push_error(lua, p + 1, cr); break;
    case '_': lua_pushnil(lua); break;
    case '#': lua_pushboolean(lua, p[1] == 't'); break;
    case '(': push_field(lua, "big_number", p + 1, cr); break;
    case ',':
        lua_createtable(lua, 0, 1);
        lua_pushnumber(lua, strtod((const char *)p + 1, NULL));
        lua_setfield(lua, -2, "double");
        break;
    default: UNREACHABLE();
    }
    return cr + 2;
}

/* What is said about a value before it: not shown to scripts. */
static const uint8_t *skip_attribute(lua_State *lua, const uint8_t *p, const uint8_t *end)
{
    const uint8_t *cr = line_end(p, end);
    int64_t count = read_length(p, cr);
    p = cr + 2;
    for (int64_t i = 0; i < count * 2 && p; i++) {
        p = push_value(lua, p, end);
        if (p) lua_pop(lua, 1);
    }
    return p ? push_value(lua, p, end) : NULL;
}

static const uint8_t *push_value(lua_State *lua, const uint8_t *p, const uint8_t *end)
{
    ASSERT(p < end);
    if (!lua_checkstack(lua, 6)) return NULL;
    switch (p[0]) {
    case '$': return push_bulk(lua, p + 1, end);
    case '*':
    case '>': return push_array(lua, p + 1, end);
    case '%': return push_pairs(lua, "map", true, p + 1, end);
    case '~': return push_pairs(lua, "set", false, p + 1, end);
    case '=': return push_verbatim(lua, p + 1, end);
    case '|': return skip_attribute(lua, p + 1, end);
    default: return push_scalar(lua, p, end);
    }
}

bool script__push_reply(lua_State *lua, bytes_t reply)
{
    int top = lua_gettop(lua);
    if (push_value(lua, reply.ptr, reply.ptr + reply.len)) return true;
    lua_settop(lua, top);
    return false;
}

/* ---- Lua to RESP ------------------------------------------------------------------------------------------------ */

static void append_value(script_engine_t *engine, lua_State *lua, int depth, buf_t *out);

/* Line breaks become spaces. */
static void append_line(buf_t *out, const char *kind, bytes_t text)
{
    buf_append(out, kind, strlen(kind));
    for (size_t i = 0; i < text.len; i++) buf_u8(out, text.ptr[i] == '\r' || text.ptr[i] == '\n' ? ' ' : text.ptr[i]);
    buf_append(out, "\r\n", 2);
}

void script__append_error(buf_t *out, bytes_t text) { append_line(out, "-", text); }

static void append_bulk(buf_t *out, const char *text, size_t len)
{
    buf_printf(out, "$%zu\r\n", len);
    buf_append(out, text, len);
    buf_append(out, "\r\n", 2);
}

static void append_null(const script_engine_t *engine, buf_t *out)
{
    buf_printf(out, "%s", engine->job.given.client_resp == 2 ? "$-1\r\n" : "_\r\n");
}

static void append_bool(const script_engine_t *engine, bool v, buf_t *out)
{
    if (engine->resp == 3)
        buf_printf(out, "%s", engine->job.given.client_resp == 3 ? v ? "#t\r\n" : "#f\r\n" : v ? ":1\r\n" : ":0\r\n");
    else if (v)
        buf_printf(out, ":1\r\n");
    else
        append_null(engine, out);
}

static void append_double(const script_engine_t *engine, double v, buf_t *out)
{
    char text[SCRIPT_NUMBER_CHARS_MAX];
    size_t len = engine->host.format(text, v);
    if (engine->job.given.client_resp == 3)
        buf_printf(out, ",%.*s\r\n", (int)len, text);
    else
        append_bulk(out, text, len);
}

/* Pushes table[name] when it has the type; else leaves the stack alone. */
static bool push_if(lua_State *lua, const char *name, int type)
{
    lua_pushstring(lua, name);
    lua_rawget(lua, -2);
    if (lua_type(lua, -1) == type) return true;
    lua_pop(lua, 1);
    return false;
}

static bytes_t string_at_top(lua_State *lua)
{
    size_t len;
    const char *text = lua_tolstring(lua, -1, &len);
    return bytes_of(text, len);
}

static void append_pairs(script_engine_t *engine, lua_State *lua, bool values, int depth, buf_t *out)
{
    size_t count = 0;
    lua_pushnil(lua);
    while (lua_next(lua, -2)) {
        count++;
        lua_pop(lua, 1);
    }
    if (engine->job.given.client_resp == 3)
        buf_printf(out, "%c%zu\r\n", values ? '%' : '~', count);
    else
        buf_printf(out, "*%zu\r\n", values ? count * 2 : count);
    lua_pushnil(lua);
    while (lua_next(lua, -2)) {
        lua_pushvalue(lua, -2);
        append_value(engine, lua, depth + 1, out);
        if (values)
            append_value(engine, lua, depth + 1, out);
        else
            lua_pop(lua, 1);
    }
}

static void append_verbatim(script_engine_t *engine, lua_State *lua, buf_t *out)
{
    bytes_t format = BYTES_LIT("txt"), text = BYTES_LIT("");
    bool has_format = push_if(lua, "format", LUA_TSTRING);
    if (has_format) format = string_at_top(lua);
    if (has_format) lua_insert(lua, -2); /* keep the string alive below the table */
    bool has_text = push_if(lua, "string", LUA_TSTRING);
    if (has_text) text = string_at_top(lua);
    if (engine->job.given.client_resp == 3) {
        buf_printf(out, "=%zu\r\n%.3s:", text.len + 4, format.len >= 3 ? (const char *)format.ptr : "txt");
        buf_append(out, text.ptr, text.len);
        buf_append(out, "\r\n", 2);
    } else {
        append_bulk(out, (const char *)text.ptr, text.len);
    }
    if (has_text) lua_pop(lua, 1);
    if (has_format) lua_remove(lua, -2);
}

static void append_list(script_engine_t *engine, lua_State *lua, int depth, buf_t *out)
{
    size_t count = 0;
    for (;; count++) {
        lua_rawgeti(lua, -1, (int)count + 1);
        bool end = lua_isnil(lua, -1);
        lua_pop(lua, 1);
        if (end) break;
    }
    buf_printf(out, "*%zu\r\n", count);
    for (size_t i = 1; i <= count; i++) {
        lua_rawgeti(lua, -1, (int)i);
        append_value(engine, lua, depth + 1, out);
    }
}

/* The special fields in the order in which Redis looks for them. */
static void append_table(script_engine_t *engine, lua_State *lua, int depth, buf_t *out)
{
    bool popped = true;
    if (push_if(lua, "err", LUA_TSTRING)) {
        append_line(out, "-", string_at_top(lua));
    } else if (push_if(lua, "ok", LUA_TSTRING)) {
        append_line(out, "+", string_at_top(lua));
    } else if (push_if(lua, "double", LUA_TNUMBER)) {
        append_double(engine, lua_tonumber(lua, -1), out);
    } else if (push_if(lua, "map", LUA_TTABLE)) {
        append_pairs(engine, lua, true, depth, out);
    } else if (push_if(lua, "set", LUA_TTABLE)) {
        append_pairs(engine, lua, false, depth, out);
    } else if (push_if(lua, "big_number", LUA_TSTRING)) {
        bytes_t text = string_at_top(lua);
        if (engine->job.given.client_resp == 2) buf_printf(out, "$%zu\r\n", text.len);
        append_line(out, engine->job.given.client_resp == 3 ? "(" : "", text);
    } else if (push_if(lua, "verbatim_string", LUA_TTABLE)) {
        append_verbatim(engine, lua, out);
    } else {
        popped = false;
        append_list(engine, lua, depth, out);
    }
    if (popped) lua_pop(lua, 1);
}

/* As the originals' machines do it: what fits no integer becomes the least of them. */
static int64_t to_integer(double v)
{
    return v >= -9223372036854775808.0 && v < 9223372036854775808.0 ? (int64_t)v : INT64_MIN;
}

static void append_value(script_engine_t *engine, lua_State *lua, int depth, buf_t *out)
{
    size_t next = lua_type(lua, -1) == LUA_TSTRING ? lua_objlen(lua, -1) : 0;
    script__work(lua, next);
    script__charge(lua, out->len - engine->reply_start + next);
    if (depth > DEPTH_MAX || !lua_checkstack(lua, 6)) {
        script__append_error(out, BYTES_LIT("ERR reached lua stack limit"));
        lua_pop(lua, 1);
        return;
    }
    switch (lua_type(lua, -1)) {
    case LUA_TSTRING: {
        bytes_t text = string_at_top(lua);
        append_bulk(out, (const char *)text.ptr, text.len);
        break;
    }
    case LUA_TNUMBER: buf_printf(out, ":%" PRId64 "\r\n", to_integer(lua_tonumber(lua, -1))); break;
    case LUA_TBOOLEAN: append_bool(engine, lua_toboolean(lua, -1), out); break;
    case LUA_TTABLE: append_table(engine, lua, depth, out); break;
    default: append_null(engine, out); break;
    }
    lua_pop(lua, 1);
}

void script__append_reply(script_engine_t *engine, lua_State *lua)
{
    append_value(engine, lua, 0, engine->job.given.reply);
}

/* strings.c: the functions of Lua's string library that search, or make large strings: rep, find, match, gmatch, gsub. They
 * behave as Lua's own do, and ask the host on their way whether to go on. */
#include "redis/script/pattern.h"
#include "redis/script/script_internal.h"

#define SPECIALS        "^$*+?.([%-"
#define REP_PIECE_BYTES KIB(64)
#define FIND_WORK_BYTES 8 /* that a plain search looks at for one unit of work */

/* A position that counts from the end when it is negative; 0 and less is in front of the first. */
static ptrdiff_t position(ptrdiff_t at, size_t len)
{
    if (at < 0) at += (ptrdiff_t)len + 1;
    return MAX(at, 0);
}

static int string_rep(lua_State *lua)
{
    size_t len;
    const char *text = luaL_checklstring(lua, 1, &len);
    lua_Integer count = luaL_checkint(lua, 2);
    if (count <= 0 || len == 0) {
        lua_pushliteral(lua, "");
        return 1;
    }
    if ((size_t)count > SIZE_MAX / 4 / len) return script__out_of_memory(lua);
    size_t bytes = len * (size_t)count;
    if (bytes > REP_PIECE_BYTES) script__need_bytes(lua, 2 * bytes);
    char *whole = lua_newuserdata(lua, bytes);
    memcpy(whole, text, len);
    for (size_t done = len; done < bytes;) { /* doubles what is there, by pieces */
        size_t more = MIN(MIN(done, bytes - done), MAX(REP_PIECE_BYTES / len, 1) * len);
        memcpy(whole + done, whole, more);
        script__work(lua, more / FIND_WORK_BYTES);
        done += more;
    }
    lua_pushlstring(lua, whole, bytes);
    return 1;
}

/* ---- find and match -------------------------------------------------------------------------------------------------- */

static int find_plain(lua_State *lua, bytes_t subject, size_t from, bytes_t text)
{
    script__work(lua, (subject.len - from) / FIND_WORK_BYTES);
    const uint8_t *at =
        text.len ? memmem(subject.ptr + from, subject.len - from, text.ptr, text.len) : subject.ptr + from;
    if (!at) {
        lua_pushnil(lua);
        return 1;
    }
    lua_pushinteger(lua, at - subject.ptr + 1);
    lua_pushinteger(lua, at - subject.ptr + (ptrdiff_t)text.len);
    return 2;
}

static int search(lua_State *lua, bytes_t subject, size_t from, const char *p, bool find)
{
    matcher_t m;
    bool anchored = *p == '^';
    const char *s = (const char *)subject.ptr + from;
    pattern_init(&m, lua, (const char *)subject.ptr, subject.len);
    if (anchored) p++;
    do {
        const char *e = pattern_match(&m, s, p);
        if (!e) continue;
        if (!find) return pattern_push_captures(&m, s, e);
        lua_pushinteger(lua, s - m.start + 1);
        lua_pushinteger(lua, e - m.start);
        return pattern_push_captures(&m, NULL, NULL) + 2;
    } while (s++ < m.end && !anchored);
    lua_pushnil(lua);
    return 1;
}

static int find_or_match(lua_State *lua, bool find)
{
    bytes_t subject, text;
    subject.ptr = (const uint8_t *)luaL_checklstring(lua, 1, &subject.len);
    text.ptr = (const uint8_t *)luaL_checklstring(lua, 2, &text.len);
    ptrdiff_t from = position(luaL_optinteger(lua, 3, 1), subject.len) - 1;
    size_t start = (size_t)MIN(MAX(from, 0), (ptrdiff_t)subject.len);
    bool plain = find && (lua_toboolean(lua, 4) || !strpbrk((const char *)text.ptr, SPECIALS));
    return plain ? find_plain(lua, subject, start, text) : search(lua, subject, start, (const char *)text.ptr, find);
}

static int string_find(lua_State *lua) { return find_or_match(lua, true); }
static int string_match(lua_State *lua) { return find_or_match(lua, false); }

/* Upvalues: the subject, the pattern, and where to go on. */
static int next_match(lua_State *lua)
{
    matcher_t m;
    size_t len;
    const char *subject = lua_tolstring(lua, lua_upvalueindex(1), &len);
    const char *p = lua_tostring(lua, lua_upvalueindex(2));
    pattern_init(&m, lua, subject, len);
    for (const char *s = subject + lua_tointeger(lua, lua_upvalueindex(3)); s <= m.end; s++) {
        const char *e = pattern_match(&m, s, p);
        if (!e) continue;
        lua_pushinteger(lua, e - subject + (e == s)); /* past an empty match */
        lua_replace(lua, lua_upvalueindex(3));
        return pattern_push_captures(&m, s, e);
    }
    return 0;
}

static int string_gmatch(lua_State *lua)
{
    luaL_checkstring(lua, 1);
    luaL_checkstring(lua, 2);
    lua_settop(lua, 2);
    lua_pushinteger(lua, 0);
    lua_pushcclosure(lua, next_match, 3);
    return 1;
}

/* ---- gsub ------------------------------------------------------------------------------------------------------------ */

/* Adds the replacement text, with %0 to %9 for the match and its captures. */
static void add_text(matcher_t *m, luaL_Buffer *out, const char *s, const char *e)
{
    size_t len;
    const char *text = lua_tolstring(m->lua, 3, &len);
    script__work(m->lua, len);
    for (size_t i = 0; i < len; i++) {
        if (text[i] != '%') {
            luaL_addchar(out, text[i]);
        } else if (text[++i] < '0' || text[i] > '9') {
            luaL_addchar(out, text[i]);
        } else if (text[i] == '0') {
            luaL_addlstring(out, s, (size_t)(e - s));
        } else {
            pattern_push_capture(m, text[i] - '1', s, e);
            luaL_addvalue(out);
        }
    }
}

/* Adds what stands in the place of the match from s to e. */
static void add_replacement(matcher_t *m, luaL_Buffer *out, const char *s, const char *e)
{
    lua_State *lua = m->lua;
    switch (lua_type(lua, 3)) {
    case LUA_TFUNCTION:
        lua_pushvalue(lua, 3);
        lua_call(lua, pattern_push_captures(m, s, e), 1);
        break;
    case LUA_TTABLE:
        pattern_push_capture(m, 0, s, e);
        lua_gettable(lua, 3);
        break;
    default: add_text(m, out, s, e); return;
    }
    if (!lua_toboolean(lua, -1)) {
        lua_pop(lua, 1);
        lua_pushlstring(lua, s, (size_t)(e - s));
    } else if (!lua_isstring(lua, -1)) {
        luaL_error(lua, "invalid replacement value (a %s)", luaL_typename(lua, -1));
    }
    luaL_addvalue(out);
}

static int string_gsub(lua_State *lua)
{
    matcher_t m;
    luaL_Buffer out;
    size_t len;
    const char *s = luaL_checklstring(lua, 1, &len), *p = luaL_checkstring(lua, 2);
    int type = lua_type(lua, 3), count = 0, count_max = luaL_optint(lua, 4, (int)MIN(len + 1, INT32_MAX));
    bool anchored = *p == '^';
    luaL_argcheck(lua, type == LUA_TNUMBER || type == LUA_TSTRING || type == LUA_TFUNCTION || type == LUA_TTABLE, 3,
                  "string/function/table expected");
    if (anchored) p++;
    pattern_init(&m, lua, s, len);
    luaL_buffinit(lua, &out);
    while (count < count_max) {
        const char *e = pattern_match(&m, s, p);
        if (e) {
            count++;
            add_replacement(&m, &out, s, e);
        }
        if (e && e > s)
            s = e;
        else if (s < m.end)
            luaL_addchar(&out, *s++);
        else
            break;
        if (anchored) break;
    }
    luaL_addlstring(&out, s, (size_t)(m.end - s));
    luaL_pushresult(&out);
    lua_pushinteger(lua, count);
    return 2;
}

void script__replace_strings(lua_State *lua)
{
    static const luaL_Reg functions[] = {
        {"rep", string_rep},
        {"find", string_find},
        {"match", string_match},
        {"gmatch", string_gmatch},
        {"gfind", string_gmatch},
        {"gsub", string_gsub},
        {NULL, NULL},
    };
    lua_getglobal(lua, LUA_STRLIBNAME);
    luaL_register(lua, NULL, functions);
    lua_pop(lua, 1);
}

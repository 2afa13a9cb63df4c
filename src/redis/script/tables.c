/* tables.c: the functions of Lua's table library whose loops know no end of their own: sort, insert, remove, maxn; and unpack.
 * They behave as Lua's own do, and ask the host on their way whether to go on. */
#include "redis/script/script_internal.h"

#define COMPARE_WORK 20 /* a comparison without a function of the script's */
#define MOVE_WORK    10

static int length_of(lua_State *lua, int index)
{
    luaL_checktype(lua, index, LUA_TTABLE);
    return (int)lua_objlen(lua, index);
}

static int table_insert(lua_State *lua)
{
    int end = length_of(lua, 1) + 1, at;
    switch (lua_gettop(lua)) {
    case 2: at = end; break;
    case 3:
        at = luaL_checkint(lua, 2);
        if (at > end) end = at;
        for (int i = end; i > at; i--) { /* from a place far in front of the first there is no end to it */
            script__work(lua, MOVE_WORK);
            lua_rawgeti(lua, 1, i - 1);
            lua_rawseti(lua, 1, i);
        }
        break;
    default: return luaL_error(lua, "wrong number of arguments to " LUA_QL("insert"));
    }
    lua_rawseti(lua, 1, at);
    return 0;
}

static int table_remove(lua_State *lua)
{
    int end = length_of(lua, 1), at = luaL_optint(lua, 2, end);
    if (at < 1 || at > end) return 0;
    lua_rawgeti(lua, 1, at);
    for (; at < end; at++) {
        script__work(lua, MOVE_WORK);
        lua_rawgeti(lua, 1, at + 1);
        lua_rawseti(lua, 1, at);
    }
    lua_pushnil(lua);
    lua_rawseti(lua, 1, end);
    return 1;
}

static int table_maxn(lua_State *lua)
{
    lua_Number max = 0;
    luaL_checktype(lua, 1, LUA_TTABLE);
    lua_pushnil(lua);
    while (lua_next(lua, 1)) {
        lua_pop(lua, 1);
        script__work(lua, MOVE_WORK);
        if (lua_type(lua, -1) == LUA_TNUMBER) max = MAX(max, lua_tonumber(lua, -1));
    }
    lua_pushnumber(lua, max);
    return 1;
}

/* ---- sort ------------------------------------------------------------------------------------------------------------
 * Quicksort with the median of three, the smaller part first, and the pivot next to the last: the order in which equal elements
 * end is the originals'. */

static void store_two(lua_State *lua, int i, int j)
{
    lua_rawseti(lua, 1, i);
    lua_rawseti(lua, 1, j);
}

/* Whether the value at index a belongs in front of the one at b; both are negative. */
static bool is_less(lua_State *lua, int a, int b)
{
    script__work(lua, COMPARE_WORK);
    if (lua_isnil(lua, 2)) return lua_lessthan(lua, a, b);
    lua_pushvalue(lua, 2);
    lua_pushvalue(lua, a - 1);
    lua_pushvalue(lua, b - 2);
    lua_call(lua, 2, 1);
    bool less = lua_toboolean(lua, -1);
    lua_pop(lua, 1);
    return less;
}

/* Exchanges t[low] and t[high] if they are in the wrong order. */
static void order_ends(lua_State *lua, int low, int high)
{
    lua_rawgeti(lua, 1, low);
    lua_rawgeti(lua, 1, high);
    if (is_less(lua, -1, -2))
        store_two(lua, low, high);
    else
        lua_pop(lua, 2);
}

/* Brings the median of the three into the middle; the ends are in order already. */
static void order_middle(lua_State *lua, int low, int middle, int high)
{
    lua_rawgeti(lua, 1, middle);
    lua_rawgeti(lua, 1, low);
    if (is_less(lua, -2, -1)) {
        store_two(lua, middle, low);
        return;
    }
    lua_pop(lua, 1);
    lua_rawgeti(lua, 1, high);
    if (is_less(lua, -1, -2))
        store_two(lua, middle, high);
    else
        lua_pop(lua, 2);
}

/* The pivot is at the top of the stack and at t[high - 1]. Returns where it ends. */
static int partition(lua_State *lua, int low, int high)
{
    int i = low, j = high - 1;
    for (;;) {
        for (;;) {
            lua_rawgeti(lua, 1, ++i);
            if (!is_less(lua, -1, -2)) break;
            if (i > high) luaL_error(lua, "invalid order function for sorting");
            lua_pop(lua, 1);
        }
        for (;;) {
            lua_rawgeti(lua, 1, --j);
            if (!is_less(lua, -3, -1)) break;
            if (j < low) luaL_error(lua, "invalid order function for sorting");
            lua_pop(lua, 1);
        }
        if (j < i) break;
        store_two(lua, i, j);
    }
    lua_pop(lua, 3);
    lua_rawgeti(lua, 1, high - 1);
    lua_rawgeti(lua, 1, i);
    store_two(lua, high - 1, i);
    return i;
}

static void sort_range(lua_State *lua, int low, int high)
{
    while (low < high) {
        order_ends(lua, low, high);
        if (high - low == 1) return;
        int middle = low + (high - low) / 2;
        order_middle(lua, low, middle, high);
        if (high - low == 2) return;
        lua_rawgeti(lua, 1, middle);
        lua_pushvalue(lua, -1);
        lua_rawgeti(lua, 1, high - 1);
        store_two(lua, middle, high - 1);
        int at = partition(lua, low, high);
        if (at - low < high - at) {
            sort_range(lua, low, at - 1);
            low = at + 1;
        } else {
            sort_range(lua, at + 1, high);
            high = at - 1;
        }
    }
}

static int table_sort(lua_State *lua)
{
    int count = length_of(lua, 1);
    luaL_checkstack(lua, 40, "");
    if (!lua_isnoneornil(lua, 2)) luaL_checktype(lua, 2, LUA_TFUNCTION);
    lua_settop(lua, 2);
    sort_range(lua, 1, count);
    return 0;
}

/* ---- unpack ---------------------------------------------------------------------------------------------------------- */

int script__unpack(lua_State *lua)
{
    luaL_checktype(lua, 1, LUA_TTABLE);
    int64_t first = luaL_optint(lua, 2, 1);
    int64_t last = lua_isnoneornil(lua, 3) ? (int64_t)lua_objlen(lua, 1) : luaL_checkint(lua, 3);
    if (first > last) return 0;
    int64_t count = last - first + 1;
    if (count >= INT32_MAX || !lua_checkstack(lua, (int)count)) return luaL_error(lua, "too many results to unpack");
    for (int64_t i = first; i <= last; i++) lua_rawgeti(lua, 1, (int)i);
    return (int)count;
}

void script__replace_tables(lua_State *lua)
{
    static const luaL_Reg functions[] = {
        {"insert", table_insert}, {"remove", table_remove}, {"maxn", table_maxn}, {"sort", table_sort}, {NULL, NULL}};
    lua_getglobal(lua, LUA_TABLIBNAME);
    luaL_register(lua, NULL, functions);
    lua_pop(lua, 1);
}

/* maths.c: math.random and math.randomseed, as the originals have them: the 48-bit generator of lrand48, whose state is the
 * engine's and not the process's; and the library `bit`. */
#include "redis/script/script_internal.h"

#include <math.h>
#include <stdio.h>

#define RANDOM_FACTOR 0x5deece66dULL
#define RANDOM_STEP   0xbULL
#define RANDOM_BITS   48
#define RANDOM_LOW    0x330eULL /* behind a seed of 32 bits */

/* From 0 to below 1. */
static lua_Number next_random(script_engine_t *engine)
{
    engine->random = (engine->random * RANDOM_FACTOR + RANDOM_STEP) & ((1ULL << RANDOM_BITS) - 1);
    return (lua_Number)((engine->random >> 17) % INT32_MAX) / INT32_MAX;
}

static int math_random(lua_State *lua)
{
    lua_Number r = next_random(script__engine(lua));
    int low = 1, high;
    switch (lua_gettop(lua)) {
    case 0: lua_pushnumber(lua, r); return 1;
    case 1:
        high = luaL_checkint(lua, 1);
        luaL_argcheck(lua, 1 <= high, 1, "interval is empty");
        break;
    case 2:
        low = luaL_checkint(lua, 1);
        high = luaL_checkint(lua, 2);
        luaL_argcheck(lua, low <= high, 2, "interval is empty");
        break;
    default: return luaL_error(lua, "wrong number of arguments");
    }
    lua_pushnumber(lua, floor(r * ((lua_Number)high - low + 1)) + low);
    return 1;
}

static void seed(script_engine_t *engine, uint32_t value) { engine->random = (uint64_t)value << 16 | RANDOM_LOW; }

static int math_randomseed(lua_State *lua)
{
    seed(script__engine(lua), (uint32_t)luaL_checkint(lua, 1));
    return 0;
}

void script__replace_math(lua_State *lua)
{
    script_engine_t *engine = script__engine(lua);
    static const luaL_Reg functions[] = {{"random", math_random}, {"randomseed", math_randomseed}, {NULL, NULL}};
    seed(engine, (uint32_t)engine->host.seed);
    lua_getglobal(lua, LUA_MATHLIBNAME);
    luaL_register(lua, NULL, functions);
    lua_pop(lua, 1);
}

/* ---- bit: 32-bit operations; numbers are taken modulo 2^32 and given as signed ----------------------------------------- */

static uint32_t bits_at(lua_State *lua, int index)
{
    lua_Number v = fmod(rint(luaL_checknumber(lua, index)), 4294967296.0);
    return isfinite(v) ? (uint32_t)(int64_t)v : 0;
}

static int push_bits(lua_State *lua, uint32_t v)
{
    lua_pushnumber(lua, (int32_t)v);
    return 1;
}

static int bit_tobit(lua_State *lua) { return push_bits(lua, bits_at(lua, 1)); }
static int bit_bnot(lua_State *lua) { return push_bits(lua, ~bits_at(lua, 1)); }
static int bit_bswap(lua_State *lua) { return push_bits(lua, __builtin_bswap32(bits_at(lua, 1))); }

static int bit_band(lua_State *lua)
{
    uint32_t v = bits_at(lua, 1);
    for (int i = lua_gettop(lua); i > 1; i--) v &= bits_at(lua, i);
    return push_bits(lua, v);
}

static int bit_bor(lua_State *lua)
{
    uint32_t v = bits_at(lua, 1);
    for (int i = lua_gettop(lua); i > 1; i--) v |= bits_at(lua, i);
    return push_bits(lua, v);
}

static int bit_bxor(lua_State *lua)
{
    uint32_t v = bits_at(lua, 1);
    for (int i = lua_gettop(lua); i > 1; i--) v ^= bits_at(lua, i);
    return push_bits(lua, v);
}

static int bit_lshift(lua_State *lua) { return push_bits(lua, bits_at(lua, 1) << (bits_at(lua, 2) & 31)); }
static int bit_rshift(lua_State *lua) { return push_bits(lua, bits_at(lua, 1) >> (bits_at(lua, 2) & 31)); }
static int bit_arshift(lua_State *lua)
{
    return push_bits(lua, (uint32_t)((int32_t)bits_at(lua, 1) >> (bits_at(lua, 2) & 31)));
}

static uint32_t rotated(uint32_t v, uint32_t n) { return n ? v << n | v >> (32 - n) : v; }

static int bit_rol(lua_State *lua) { return push_bits(lua, rotated(bits_at(lua, 1), bits_at(lua, 2) & 31)); }
static int bit_ror(lua_State *lua) { return push_bits(lua, rotated(bits_at(lua, 1), -bits_at(lua, 2) & 31)); }

/* The lowest digits: so many as the second argument says, capital when it is negative. */
static int bit_tohex(lua_State *lua)
{
    uint32_t v = bits_at(lua, 1);
    lua_Number digits = luaL_optnumber(lua, 2, 8);
    int count = (int)MIN(fabs(digits), 8.0);
    char text[16] = "";
    if (count < 8) v &= (1u << (4 * count)) - 1;
    if (count) snprintf(text, sizeof(text), digits < 0 ? "%0*X" : "%0*x", count, v);
    lua_pushstring(lua, text);
    return 1;
}

int script__open_bit(lua_State *lua)
{
    static const luaL_Reg functions[] = {
        {"tobit", bit_tobit},   {"bnot", bit_bnot},     {"bswap", bit_bswap},
        {"band", bit_band},     {"bor", bit_bor},       {"bxor", bit_bxor},
        {"lshift", bit_lshift}, {"rshift", bit_rshift}, {"arshift", bit_arshift},
        {"rol", bit_rol},       {"ror", bit_ror},       {"tohex", bit_tohex},
        {NULL, NULL},
    };
    lua_newtable(lua);
    luaL_register(lua, NULL, functions);
    return 1;
}

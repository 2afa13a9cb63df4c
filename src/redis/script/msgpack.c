/* msgpack.c: the library `cmsgpack` of scripts: MessagePack (its 2013 form, with str8) to and from Lua values.
 *
 * A table whose keys are exactly 1..n becomes an array, any other a map; numbers that are integers become the shortest
 * integer, others a float when that loses nothing, else a double. Nesting beyond DEPTH_MAX packs as nil. */
#include "redis/script/script_internal.h"

#define DEPTH_MAX 16

/* ---- packing ---------------------------------------------------------------------------------------------------- */

static void pack_value(lua_State *lua, buf_t *out, int depth);

static void pack_unsigned(buf_t *out, uint64_t v)
{
    if (v <= 0x7f) {
        buf_u8(out, (uint8_t)v);
    } else if (v <= UINT8_MAX) {
        buf_u8(out, 0xcc);
        buf_u8(out, (uint8_t)v);
    } else if (v <= UINT16_MAX) {
        buf_u8(out, 0xcd);
        buf_be16(out, (uint16_t)v);
    } else if (v <= UINT32_MAX) {
        buf_u8(out, 0xce);
        buf_be32(out, (uint32_t)v);
    } else {
        buf_u8(out, 0xcf);
        buf_be64(out, v);
    }
}

static void pack_negative(buf_t *out, int64_t v)
{
    if (v >= -32) {
        buf_u8(out, (uint8_t)v);
    } else if (v >= INT8_MIN) {
        buf_u8(out, 0xd0);
        buf_u8(out, (uint8_t)v);
    } else if (v >= INT16_MIN) {
        buf_u8(out, 0xd1);
        buf_be16(out, (uint16_t)v);
    } else if (v >= INT32_MIN) {
        buf_u8(out, 0xd2);
        buf_be32(out, (uint32_t)v);
    } else {
        buf_u8(out, 0xd3);
        buf_be64(out, (uint64_t)v);
    }
}

static void pack_number(buf_t *out, double v)
{
    bool fits = v >= -9223372036854775808.0 && v < 9223372036854775808.0;
    if (fits && (double)(int64_t)v == v) {
        if (v >= 0)
            pack_unsigned(out, (uint64_t)v);
        else
            pack_negative(out, (int64_t)v);
        return;
    }
    float narrow = (float)v;
    uint64_t bits;
    uint32_t narrow_bits;
    if ((double)narrow == v) {
        memcpy(&narrow_bits, &narrow, sizeof(narrow_bits));
        buf_u8(out, 0xca);
        buf_be32(out, narrow_bits);
    } else {
        memcpy(&bits, &v, sizeof(bits));
        buf_u8(out, 0xcb);
        buf_be64(out, bits);
    }
}

/* A length's head: `fix` takes lengths below `fix_max`, then 8 (0 = none), 16 and 32 bits. */
static void pack_head(buf_t *out, size_t len, uint8_t fix, size_t fix_max, uint8_t head8, uint8_t head16)
{
    if (len < fix_max) {
        buf_u8(out, (uint8_t)(fix | len));
    } else if (head8 && len <= UINT8_MAX) {
        buf_u8(out, head8);
        buf_u8(out, (uint8_t)len);
    } else if (len <= UINT16_MAX) {
        buf_u8(out, head16);
        buf_be16(out, (uint16_t)len);
    } else {
        buf_u8(out, (uint8_t)(head16 + 1));
        buf_be32(out, (uint32_t)len);
    }
}

static bool is_array(lua_State *lua, size_t *ret_count)
{
    size_t count = 0, max = 0;
    bool array = true;
    lua_pushnil(lua);
    while (lua_next(lua, -2)) {
        lua_pop(lua, 1);
        double key = lua_type(lua, -1) == LUA_TNUMBER ? lua_tonumber(lua, -1) : 0;
        if (key < 1 || key > (double)UINT32_MAX || key != (double)(size_t)key)
            array = false;
        else
            max = MAX(max, (size_t)key);
        count++;
    }
    *ret_count = count;
    return array && max == count;
}

static void pack_table(lua_State *lua, buf_t *out, int depth)
{
    size_t count;
    if (is_array(lua, &count)) {
        pack_head(out, count, 0x90, 16, 0, 0xdc);
        for (size_t i = 1; i <= count; i++) {
            lua_rawgeti(lua, -1, (int)i);
            pack_value(lua, out, depth + 1);
        }
        return;
    }
    pack_head(out, count, 0x80, 16, 0, 0xde);
    lua_pushnil(lua);
    while (lua_next(lua, -2)) {
        lua_pushvalue(lua, -2);
        pack_value(lua, out, depth + 1);
        pack_value(lua, out, depth + 1);
    }
}

/* Packs the value at the top and pops it. */
static void pack_value(lua_State *lua, buf_t *out, int depth)
{
    size_t len;
    const char *text;
    luaL_checkstack(lua, 4, "in cmsgpack");
    script__charge(lua, out->len);
    switch (lua_type(lua, -1)) {
    case LUA_TNUMBER: pack_number(out, lua_tonumber(lua, -1)); break;
    case LUA_TBOOLEAN: buf_u8(out, lua_toboolean(lua, -1) ? 0xc3 : 0xc2); break;
    case LUA_TSTRING:
        text = lua_tolstring(lua, -1, &len);
        script__charge(lua, out->len + len);
        pack_head(out, len, 0xa0, 32, 0xd9, 0xda);
        buf_append(out, text, len);
        break;
    case LUA_TTABLE:
        if (depth < DEPTH_MAX)
            pack_table(lua, out, depth);
        else
            buf_u8(out, 0xc0);
        break;
    default: buf_u8(out, 0xc0); break;
    }
    lua_pop(lua, 1);
}

static int mp_pack(lua_State *lua)
{
    int argc = lua_gettop(lua);
    buf_t *out = &script__engine(lua)->scratch; /* the engine's, so that an error leaks nothing */
    buf_clear(out);
    if (argc == 0) return luaL_argerror(lua, 0, "MessagePack pack needs input.");
    if (!lua_checkstack(lua, argc + DEPTH_MAX * 4))
        return luaL_argerror(lua, 0, "Too many arguments for MessagePack pack.");
    for (int i = 1; i <= argc; i++) {
        lua_pushvalue(lua, i);
        pack_value(lua, out, 0);
    }
    lua_pushlstring(lua, (const char *)out->ptr, out->len);
    return 1;
}

/* ---- unpacking -------------------------------------------------------------------------------------------------- */

typedef struct unpacker {
    lua_State *lua;
    const uint8_t *p, *end;
} unpacker_t;

static const uint8_t *take(unpacker_t *u, size_t n)
{
    if ((size_t)(u->end - u->p) < n) luaL_error(u->lua, "Missing bytes in input.");
    const uint8_t *at = u->p;
    u->p += n;
    return at;
}

/* A big-endian number of 1, 2, 4 or 8 bytes. */
static uint64_t take_uint(unpacker_t *u, size_t bytes)
{
    const uint8_t *p = take(u, bytes);
    switch (bytes) {
    case 1: return p[0];
    case 2: return load_be16(p);
    case 4: return load_be32(p);
    default: return load_be64(p);
    }
}

static void unpack_value(unpacker_t *u, int depth);

static void unpack_string(unpacker_t *u, size_t len)
{
    const uint8_t *text = take(u, len);
    lua_pushlstring(u->lua, (const char *)text, len);
}

static void unpack_items(unpacker_t *u, size_t count, bool pairs, int depth)
{
    if (depth > 1000) luaL_error(u->lua, "Bad data format in input.");
    luaL_checkstack(u->lua, 4, "in cmsgpack");
    lua_newtable(u->lua);
    for (size_t i = 1; i <= count; i++) {
        if (!pairs) lua_pushnumber(u->lua, (lua_Number)i);
        unpack_value(u, depth + 1);
        if (pairs) unpack_value(u, depth + 1);
        if (lua_isnil(u->lua, -2)) luaL_error(u->lua, "Bad data format in input."); /* nil is no key */
        lua_settable(u->lua, -3);
    }
}

static double take_float(unpacker_t *u, size_t bytes)
{
    uint64_t bits = take_uint(u, bytes);
    uint32_t narrow_bits = (uint32_t)bits;
    float narrow;
    double wide;
    if (bytes == 4) {
        memcpy(&narrow, &narrow_bits, sizeof(narrow));
        return narrow;
    }
    memcpy(&wide, &bits, sizeof(wide));
    return wide;
}

static void unpack_tagged(unpacker_t *u, uint8_t tag, int depth)
{
    lua_State *lua = u->lua;
    switch (tag) {
    case 0xc0: lua_pushnil(lua); break;
    case 0xc2: lua_pushboolean(lua, false); break;
    case 0xc3: lua_pushboolean(lua, true); break;
    case 0xca: lua_pushnumber(lua, take_float(u, 4)); break;
    case 0xcb: lua_pushnumber(lua, take_float(u, 8)); break;
    case 0xcc:
    case 0xcd:
    case 0xce:
    case 0xcf: lua_pushnumber(lua, (lua_Number)take_uint(u, (size_t)1 << (tag - 0xcc))); break;
    case 0xd0: lua_pushnumber(lua, (int8_t)take_uint(u, 1)); break;
    case 0xd1: lua_pushnumber(lua, (int16_t)take_uint(u, 2)); break;
    case 0xd2: lua_pushnumber(lua, (int32_t)take_uint(u, 4)); break;
    case 0xd3: lua_pushnumber(lua, (lua_Number)(int64_t)take_uint(u, 8)); break;
    case 0xd9: unpack_string(u, take_uint(u, 1)); break;
    case 0xda: unpack_string(u, take_uint(u, 2)); break;
    case 0xdb: unpack_string(u, take_uint(u, 4)); break;
    case 0xdc: unpack_items(u, take_uint(u, 2), false, depth); break;
    case 0xdd: unpack_items(u, take_uint(u, 4), false, depth); break;
    case 0xde: unpack_items(u, take_uint(u, 2), true, depth); break;
    case 0xdf: unpack_items(u, take_uint(u, 4), true, depth); break;
    default: luaL_error(lua, "Bad data format in input.");
    }
}

static void unpack_value(unpacker_t *u, int depth)
{
    uint8_t tag = *take(u, 1);
    if (tag <= 0x7f || tag >= 0xe0)
        lua_pushnumber(u->lua, (int8_t)tag);
    else if (tag <= 0x8f)
        unpack_items(u, tag & 0x0f, true, depth);
    else if (tag <= 0x9f)
        unpack_items(u, tag & 0x0f, false, depth);
    else if (tag <= 0xbf)
        unpack_string(u, tag & 0x1f);
    else
        unpack_tagged(u, tag, depth);
}

/* At most `limit` values from `offset` (0 = all). With an offset to report, it comes first: -1 at the end. */
static int unpack_some(lua_State *lua, size_t limit, int64_t offset, bool report)
{
    size_t len, count = 0;
    const uint8_t *text = (const uint8_t *)luaL_checklstring(lua, 1, &len);
    if (offset < 0 || (uint64_t)offset > len)
        return luaL_error(lua, "Start offset %d greater than input length %d.", (int)offset, (int)len);
    unpacker_t u = {lua, text + offset, text + len};
    if (report) lua_pushnil(lua); /* its place */
    int first = lua_gettop(lua);
    while (u.p < u.end && (limit == 0 || count < limit)) {
        luaL_checkstack(lua, 4, "in cmsgpack");
        unpack_value(&u, 0);
        count++;
    }
    if (!report) return (int)count;
    lua_pushnumber(lua, u.p == u.end ? -1 : (lua_Number)(u.p - text));
    lua_replace(lua, first);
    return (int)count + 1;
}

static int mp_unpack(lua_State *lua) { return unpack_some(lua, 0, 0, false); }

static int mp_unpack_one(lua_State *lua)
{
    int64_t offset = (int64_t)luaL_optinteger(lua, 2, 0);
    lua_settop(lua, 1);
    return unpack_some(lua, 1, offset, true);
}

static int mp_unpack_limit(lua_State *lua)
{
    int64_t limit = (int64_t)luaL_checkinteger(lua, 2), offset = (int64_t)luaL_optinteger(lua, 3, 0);
    lua_settop(lua, 1);
    if (limit < 0)
        return luaL_error(lua, "Invalid request to unpack with offset of %d and limit of %d.", (int)offset, (int)limit);
    return unpack_some(lua, (size_t)limit, offset, true);
}

int script__open_msgpack(lua_State *lua)
{
    static const luaL_Reg functions[] = {
        {"pack", mp_pack}, {"unpack", mp_unpack}, {"unpack_one", mp_unpack_one}, {"unpack_limit", mp_unpack_limit},
        {NULL, NULL},
    };
    lua_newtable(lua);
    luaL_register(lua, NULL, functions);
    return 1;
}

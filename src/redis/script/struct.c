/* struct.c: the library `struct` of scripts: C-like binary layouts.
 *
 *   > < =      big, little, native byte order        !n  align to at most n (default 8)      x  one byte of padding
 *   b B h H l L T i[n] I[n]   signed and unsigned integers of 1, 2, 8, 8 (size_t) and n bytes (default 4)
 *   f d        float, double       s  zero-terminated string       c[n]  n characters (0: as many as the number before) */
#include "redis/script/script_internal.h"

#include <ctype.h>

#define INTEGER_BYTES_MAX 8
#define FORMAT_SIZE_MAX   INT32_MAX

typedef struct layout {
    lua_State *lua;
    const char *format; /* what is left of it */
    bool little;
    size_t align_max;
} layout_t;

typedef struct item {
    char kind; /* as in the format; 0 = end */
    size_t bytes;
    size_t padding; /* in front, for alignment */
} item_t;

static size_t read_count(layout_t *l, size_t otherwise)
{
    if (!isdigit((unsigned char)*l->format)) return otherwise;
    size_t n = 0;
    while (isdigit((unsigned char)*l->format)) {
        n = n * 10 + (size_t)(*l->format++ - '0');
        if (n > FORMAT_SIZE_MAX) luaL_error(l->lua, "integral size overflow");
    }
    return n;
}

static size_t item_bytes(layout_t *l, char kind)
{
    size_t n;
    switch (kind) {
    case 'b':
    case 'B':
    case 'x': return 1;
    case 'h':
    case 'H': return 2;
    case 'l':
    case 'L':
    case 'T':
    case 'd': return 8;
    case 'f': return 4;
    case 's': return 0;
    case 'c': return read_count(l, 1);
    case 'i':
    case 'I':
        n = read_count(l, 4);
        if (n > INTEGER_BYTES_MAX)
            luaL_error(l->lua, "integral size %d is larger than limit of %d", (int)n, INTEGER_BYTES_MAX);
        if (n == 0) luaL_error(l->lua, "integral size must be positive");
        return n;
    default: luaL_argerror(l->lua, 1, lua_pushfstring(l->lua, "invalid format option '%c'", kind)); return 0;
    }
}

/* Obeys a modifier; false when `kind` is an item. */
static bool obey(layout_t *l, char kind)
{
    switch (kind) {
    case ' ': break;
    case '>': l->little = false; break;
    case '<': l->little = true; break;
    case '=': l->little = true; break;
    case '!':
        l->align_max = read_count(l, 8);
        if (l->align_max == 0 || (l->align_max & (l->align_max - 1)))
            luaL_error(l->lua, "alignment is not a power of 2");
        break;
    default: return false;
    }
    return true;
}

static item_t next_item(layout_t *l, size_t at)
{
    char kind;
    do {
        kind = *l->format;
        if (kind == '\0') return (item_t){0};
        l->format++;
    } while (obey(l, kind));
    item_t item = {.kind = kind, .bytes = item_bytes(l, kind)};
    size_t align = MIN(item.bytes, l->align_max);
    bool aligned = align > 1 && !strchr("cxs", kind) && (align & (align - 1)) == 0;
    if (aligned) item.padding = (align - (at & (align - 1))) & (align - 1);
    return item;
}

static void write_integer(buf_t *out, uint64_t v, size_t bytes, bool little)
{
    for (size_t i = 0; i < bytes; i++) buf_u8(out, (uint8_t)(v >> 8 * (little ? i : bytes - 1 - i)));
}

static uint64_t read_integer(const uint8_t *p, size_t bytes, bool little)
{
    uint64_t v = 0;
    for (size_t i = 0; i < bytes; i++) v |= (uint64_t)p[i] << 8 * (little ? i : bytes - 1 - i);
    return v;
}

static uint64_t integer_argument(lua_State *lua, int arg)
{
    double v = luaL_checknumber(lua, arg);
    return v < 0 ? (uint64_t)(int64_t)v : (uint64_t)v;
}

static void pack_float(layout_t *l, buf_t *out, double v, size_t bytes)
{
    float narrow = (float)v;
    uint32_t narrow_bits;
    uint64_t bits;
    memcpy(&narrow_bits, &narrow, sizeof(narrow_bits));
    memcpy(&bits, &v, sizeof(bits));
    write_integer(out, bytes == 4 ? narrow_bits : bits, bytes, l->little);
}

/* Returns how many arguments the item took. Arguments were checked first, so nothing leaks on an error. */
static int pack_item(layout_t *l, const item_t *item, int arg, luaL_Buffer *text)
{
    buf_t out = BUF_INIT;
    size_t len;
    const char *s;
    int taken = 1;
    switch (item->kind) {
    case 'x':
        buf_u8(&out, 0);
        taken = 0;
        break;
    case 's':
        s = luaL_checklstring(l->lua, arg, &len);
        luaL_addlstring(text, s, len);
        luaL_addchar(text, '\0');
        return 1;
    case 'c':
        s = luaL_checklstring(l->lua, arg, &len);
        if (item->bytes && len < item->bytes) luaL_argerror(l->lua, arg, "string too short");
        luaL_addlstring(text, s, item->bytes ? item->bytes : len);
        return 1;
    case 'f':
    case 'd': {
        double v = luaL_checknumber(l->lua, arg);
        pack_float(l, &out, v, item->bytes);
        break;
    }
    default: {
        uint64_t v = integer_argument(l->lua, arg);
        write_integer(&out, v, item->bytes, l->little);
        break;
    }
    }
    luaL_addlstring(text, (const char *)out.ptr, out.len);
    buf_deinit(&out);
    return taken;
}

static int st_pack(lua_State *lua)
{
    layout_t l = {.lua = lua, .format = luaL_checkstring(lua, 1), .little = true, .align_max = 1};
    luaL_Buffer text;
    int arg = 2;
    size_t at = 0;
    lua_pushliteral(lua, ""); /* what is packed so far lies at the top; a buffer for each item keeps argument indexes */
    for (;;) {
        item_t item = next_item(&l, at);
        if (item.kind == 0) break;
        luaL_buffinit(lua, &text);
        for (size_t i = 0; i < item.padding; i++) luaL_addchar(&text, '\0');
        arg += pack_item(&l, &item, arg, &text);
        luaL_pushresult(&text);
        lua_concat(lua, 2);
        at = lua_objlen(lua, -1);
    }
    return 1;
}

static void push_integer(layout_t *l, const item_t *item, const uint8_t *p)
{
    uint64_t v = read_integer(p, item->bytes, l->little);
    if (islower((unsigned char)item->kind)) {
        unsigned unused = 64 - 8 * (unsigned)item->bytes;
        lua_pushnumber(l->lua, (lua_Number)((int64_t)(v << unused) >> unused));
    } else {
        lua_pushnumber(l->lua, (lua_Number)v);
    }
}

static void push_float(layout_t *l, const item_t *item, const uint8_t *p)
{
    uint64_t bits = read_integer(p, item->bytes, l->little);
    uint32_t narrow_bits = (uint32_t)bits;
    float narrow;
    double wide;
    memcpy(&narrow, &narrow_bits, sizeof(narrow));
    memcpy(&wide, &bits, sizeof(wide));
    lua_pushnumber(l->lua, item->bytes == 4 ? (double)narrow : wide);
}

static size_t zero_terminated(lua_State *lua, const uint8_t *p, size_t left)
{
    const uint8_t *end = memchr(p, 0, left);
    if (!end) luaL_error(lua, "unfinished string in data");
    return (size_t)(end - p);
}

/* A c0 takes its length from the number unpacked just before, which it replaces. */
static size_t counted_length(lua_State *lua, int results)
{
    if (results == 0 || !lua_isnumber(lua, -1)) luaL_error(lua, "format 'c0' needs a previous size");
    double n = lua_tonumber(lua, -1);
    lua_pop(lua, 1);
    if (n < 0 || n > FORMAT_SIZE_MAX) luaL_error(lua, "data string too short");
    return (size_t)n;
}

static int st_unpack(lua_State *lua)
{
    layout_t l = {.lua = lua, .format = luaL_checkstring(lua, 1), .little = true, .align_max = 1};
    size_t len;
    const uint8_t *data = (const uint8_t *)luaL_checklstring(lua, 2, &len);
    double start = luaL_optnumber(lua, 3, 1);
    luaL_argcheck(lua, start >= 1 && start <= (double)len + 1, 3, "offset must be 1 or greater, and in the data");
    size_t at = (size_t)start - 1;
    lua_settop(lua, 2);
    for (;;) {
        int results = lua_gettop(lua) - 2;
        item_t item = next_item(&l, at);
        if (item.kind == 0) break;
        size_t bytes = item.bytes;
        if (item.kind == 'c' && bytes == 0) bytes = counted_length(lua, results);
        luaL_checkstack(lua, 4, "too many results");
        if (len - at < item.padding || len - at - item.padding < bytes)
            return luaL_argerror(lua, 2, "data string too short");
        at += item.padding;
        switch (item.kind) {
        case 'x': break;
        case 'c': lua_pushlstring(lua, (const char *)data + at, bytes); break;
        case 's':
            bytes = zero_terminated(lua, data + at, len - at);
            lua_pushlstring(lua, (const char *)data + at, bytes);
            bytes++;
            break;
        case 'f':
        case 'd': push_float(&l, &item, data + at); break;
        default: push_integer(&l, &item, data + at); break;
        }
        at += bytes;
    }
    lua_pushnumber(lua, (lua_Number)at + 1);
    return lua_gettop(lua) - 2;
}

static int st_size(lua_State *lua)
{
    layout_t l = {.lua = lua, .format = luaL_checkstring(lua, 1), .little = true, .align_max = 1};
    size_t at = 0;
    for (;;) {
        item_t item = next_item(&l, at);
        if (item.kind == 0) break;
        bool variable = item.kind == 's' || (item.kind == 'c' && item.bytes == 0);
        if (variable) return luaL_argerror(lua, 1, "variable-size format");
        at += item.padding + item.bytes;
        if (at > FORMAT_SIZE_MAX) return luaL_argerror(lua, 1, "format too large");
    }
    lua_pushnumber(lua, (lua_Number)at);
    return 1;
}

int script__open_struct(lua_State *lua)
{
    static const luaL_Reg functions[] = {{"pack", st_pack}, {"unpack", st_unpack}, {"size", st_size}, {NULL, NULL}};
    lua_newtable(lua);
    luaL_register(lua, NULL, functions);
    return 1;
}

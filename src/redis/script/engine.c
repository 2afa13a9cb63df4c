/* engine.c: the Lua state, and scripts by their SHA-1. See script.h. */
#include "redis/script/script_internal.h"

#include "base/digest.h"

#include <ctype.h>
#include <stdio.h>

#define SOURCE_PIECE_BYTES  4096
#define PARSE_WORK_PER_BYTE 10
#define LUA_STATE_BYTES     KIB(32) /* about what an empty one takes */

static int on_panic(lua_State *lua)
{
    const char *text = lua_tostring(lua, -1);
    fprintf(stderr, "trivet: error outside of scripts: %s\n", text ? text : "unknown");
    return 0; /* and Lua ends the process */
}

script_engine_t *script_engine_new(const script_host_t *host)
{
    script_engine_t *engine = mem_zalloc(sizeof(*engine));
    engine->host = *host;
    engine->resp = 2;
    engine->heap.bytes_max = SIZE_MAX;
    list_init(&engine->passing);
    engine->lua = lua_newstate(script__alloc, engine);
    if (!engine->lua) mem_exhausted(LUA_STATE_BYTES);
    lua_atpanic(engine->lua, on_panic);
    engine->heap.tight = true;
    script__pace_collector(engine);
    script__open_sandbox(engine);
    script__open_runs(engine);
    return engine;
}

void script_engine_free(script_engine_t *engine)
{
    script__abandon(engine);
    script_flush(engine);
    script_libraries_flush(engine);
    map_deinit(&engine->scripts);
    lua_close(engine->lua);
    fiber_free(engine->fiber);
    buf_deinit(&engine->failure);
    buf_deinit(&engine->call_reply);
    buf_deinit(&engine->scratch);
    mem_free(engine->words);
    mem_free(engine);
}

void script_limit_memory(script_engine_t *engine, size_t bytes_max)
{
    engine->heap.bytes_max = bytes_max;
    script__pace_collector(engine);
}

void script_sha1hex(bytes_t text, char ret_sha[SCRIPT_SHA_CHARS + 1])
{
    uint8_t digest[DIGEST_SHA1_BYTES];
    digest_sha1(text.ptr, text.len, digest);
    for (size_t i = 0; i < sizeof(digest); i++) snprintf(ret_sha + 2 * i, 3, "%02x", digest[i]);
}

/* ---- loading ---------------------------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    uint32_t flag;
} flag_names[] = {
    {"no-writes", SCRIPT_NO_WRITES},
    {"allow-oom", SCRIPT_ALLOW_OOM},
    {"allow-stale", SCRIPT_ALLOW_STALE},
    {"no-cluster", SCRIPT_NO_CLUSTER},
    {"allow-cross-slot-keys", SCRIPT_CROSS_SLOT},
};

bool script__flag(bytes_t name, uint32_t *flags)
{
    for (size_t i = 0; i < ARRAY_LEN(flag_names); i++) {
        if (!bytes_eq(name, bytes_str(flag_names[i].name))) continue;
        *flags |= flag_names[i].flag;
        return true;
    }
    return false;
}

const char *script_flag_name(uint32_t flag)
{
    for (size_t i = 0; i < ARRAY_LEN(flag_names); i++)
        if (flag_names[i].flag == flag) return flag_names[i].name;
    return NULL;
}

static int parse_flag(bytes_t word, uint32_t *flags, buf_t *error)
{
    if (script__flag(word, flags)) return 0;
    buf_printf(error, "ERR Unexpected flag in script shebang: %.*s", (int)word.len, (const char *)word.ptr);
    return ERR_INVALID;
}

static bytes_t next_word(bytes_t *text, char separator)
{
    const uint8_t *end = text->len ? memchr(text->ptr, separator, text->len) : NULL;
    bytes_t word = bytes_of(text->ptr, end ? (size_t)(end - text->ptr) : text->len);
    size_t used = word.len + (end != NULL);
    *text = bytes_of(text->ptr + used, text->len - used);
    return word;
}

/* "#!lua flags=a,b": the first line of a script that declares what it does. */
static int parse_shebang(bytes_t line, uint32_t *flags, buf_t *error)
{
    bytes_t engine = next_word(&line, ' ');
    if (!bytes_eq(engine, BYTES_LIT("#!lua"))) {
        buf_printf(error, "ERR Unexpected engine in script shebang: %.*s", (int)engine.len - 2,
                   (const char *)engine.ptr + 2);
        return ERR_INVALID;
    }
    *flags |= SCRIPT_HAS_SHEBANG;
    while (line.len) {
        bytes_t word = next_word(&line, ' ');
        if (word.len == 0) continue;
        if (word.len < 6 || memcmp(word.ptr, "flags=", 6) != 0) {
            buf_printf(error, "ERR Unknown lua shebang option: %.*s", (int)word.len, (const char *)word.ptr);
            return ERR_INVALID;
        }
        bytes_t names = bytes_of(word.ptr + 6, word.len - 6);
        while (names.len) {
            int err = parse_flag(next_word(&names, ','), flags, error);
            if (err) return err;
        }
    }
    return 0;
}

/* Parses the first line if it is a shebang, and leaves the rest, with the line's break, in `body`. */
static int take_shebang(bytes_t *body, uint32_t *flags, buf_t *error)
{
    bytes_t source = *body;
    if (source.len < 2 || source.ptr[0] != '#' || source.ptr[1] != '!') return 0;
    const uint8_t *end = memchr(source.ptr, '\n', source.len);
    if (!end) {
        buf_printf(error, "ERR Invalid script shebang");
        return ERR_INVALID;
    }
    *body = bytes_of(end, source.len - (size_t)(end - source.ptr));
    return parse_shebang(bytes_of(source.ptr, (size_t)(end - source.ptr)), flags, error);
}

uint32_t script_declared_flags(bytes_t source)
{
    buf_t ignored = BUF_INIT;
    uint32_t flags = 0;
    if (take_shebang(&source, &flags, &ignored) != 0) flags = 0;
    buf_deinit(&ignored);
    return flags;
}

/* Hands the text over in pieces, so that the parser is asked now and then whether to go on. */
typedef struct source {
    bytes_t left;
} source_t;

static const char *next_piece(lua_State *lua, void *user, size_t *ret_len)
{
    source_t *source = user;
    size_t len = MIN(source->left.len, SOURCE_PIECE_BYTES);
    script__work(lua, len * PARSE_WORK_PER_BYTE);
    const char *piece = (const char *)source->left.ptr;
    source->left = bytes_of(piece + len, source->left.len - len);
    *ret_len = len;
    return len ? piece : NULL;
}

int script__parse(lua_State *lua, bytes_t text, const char *chunk)
{
    if (text.len && text.ptr[0] == LUA_SIGNATURE[0]) return SCRIPT_BYTECODE; /* could break out of the sandbox */
    source_t source = {text};
    int err = lua_load(lua, next_piece, &source, chunk);
    if (err) return err;
    lua_rawgeti(lua, LUA_REGISTRYINDEX, script__engine(lua)->environment);
    lua_setfenv(lua, -2);
    return 0;
}

int script__compile(script_engine_t *engine, bytes_t body, const char *chunk, const char *what, buf_t *error)
{
    lua_State *lua = engine->lua;
    engine->heap.limited = true;
    engine->load_started = clock();
    int err = script__parse(lua, body, chunk);
    engine->heap.limited = false;
    if (!err) return 0;
    const char *text = err == SCRIPT_BYTECODE ? "bytecode is not allowed" : lua_tostring(lua, -1);
    buf_printf(error, "ERR Error compiling %s: %s", what, text ? text : "took too long");
    if (err != SCRIPT_BYTECODE) lua_pop(lua, 1);
    return ERR_INVALID;
}

/* Compiles to a function in the registry. Its line numbers count the shebang's line. */
static int compile(script_engine_t *engine, bytes_t source, script_t *script, buf_t *error)
{
    lua_State *lua = engine->lua;
    bytes_t body = source;
    int err = take_shebang(&body, &script->flags, error);
    if (err) return err;
    err = script__compile(engine, body, "@user_script", "script (new function)", error);
    if (err) return err;
    script->function = luaL_ref(lua, LUA_REGISTRYINDEX);
    return 0;
}

static void forget(script_engine_t *engine, script_t *script)
{
    if (list_linked(&script->node)) {
        list_remove(&script->node);
        engine->passing_count--;
    }
    engine->cache_bytes -= sizeof(*script) + script->source.len;
    luaL_unref(engine->lua, LUA_REGISTRYINDEX, script->function);
    mem_free((void *)script->source.ptr);
    mem_free(script);
}

static void evict_oldest(script_engine_t *engine)
{
    script_t *oldest = LIST_FIRST(&engine->passing, script_t, node);
    map_remove(&engine->scripts, bytes_str(oldest->sha));
    forget(engine, oldest);
    engine->evicted++;
}

void script__use(script_engine_t *engine, const script_t *script)
{
    script_t *own = map_get_str(&engine->scripts, script->sha);
    if (!own || !list_linked(&own->node)) return;
    list_remove(&own->node);
    list_push_back(&engine->passing, &own->node);
}

static script_t *add(script_engine_t *engine, const script_t *compiled, bytes_t source, bool keep)
{
    if (!keep && engine->passing_count == SCRIPT_EVAL_MAX) evict_oldest(engine);
    script_t *script = mem_alloc(sizeof(*script));
    *script = *compiled;
    script->source = bytes_of(mem_strndup(source), source.len);
    list_init(&script->node);
    engine->cache_bytes += sizeof(*script) + source.len;
    map_put(&engine->scripts, bytes_str(script->sha), script);
    if (keep) return script;
    list_push_back(&engine->passing, &script->node);
    engine->passing_count++;
    return script;
}

int script_load(script_engine_t *engine, bytes_t source, bool keep, const script_t **ret_script, buf_t *error)
{
    script_t script = {.function = LUA_NOREF};
    script_sha1hex(source, script.sha);
    script_t *known = map_get_str(&engine->scripts, script.sha);
    if (!known) {
        int err = compile(engine, source, &script, error);
        if (err) return err;
        known = add(engine, &script, source, keep);
    } else if (keep && list_linked(&known->node)) {
        list_remove(&known->node);
        engine->passing_count--;
    }
    *ret_script = known;
    return 0;
}

const script_t *script_find(const script_engine_t *engine, bytes_t sha)
{
    char lower[SCRIPT_SHA_CHARS];
    if (sha.len != SCRIPT_SHA_CHARS) return NULL;
    for (size_t i = 0; i < sha.len; i++) lower[i] = (char)tolower(sha.ptr[i]);
    return map_get(&engine->scripts, bytes_of(lower, sizeof(lower)));
}

void script_flush(script_engine_t *engine)
{
    size_t cursor = 0;
    for (map_entry_t *e; (e = map_next(&engine->scripts, &cursor));) {
        forget(engine, e->value);
    }
    map_deinit(&engine->scripts);
    engine->scripts = MAP_INIT;
    lua_gc(engine->lua, LUA_GCCOLLECT, 0);
}

size_t script_count(const script_engine_t *engine) { return engine->scripts.count; }

size_t script_cache_bytes(const script_engine_t *engine) { return engine->cache_bytes; }

uint64_t script_evicted(const script_engine_t *engine) { return engine->evicted; }

size_t script_memory_bytes(const script_engine_t *engine) { return engine->heap.used_bytes; }

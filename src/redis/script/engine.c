/* engine.c: scripts by their SHA-1, and the coroutine in which one runs. See script.h. */
#include "redis/script/script_internal.h"

#include "base/digest.h"

#include <ctype.h>
#include <stdio.h>

static const char engine_key; /* its address names the engine in Lua's registry */

script_engine_t *script__engine(lua_State *lua)
{
    lua_pushlightuserdata(lua, (void *)&engine_key);
    lua_rawget(lua, LUA_REGISTRYINDEX);
    script_engine_t *engine = lua_touserdata(lua, -1);
    lua_pop(lua, 1);
    return engine;
}

script_engine_t *script_engine_new(const script_host_t *host)
{
    script_engine_t *engine = mem_zalloc(sizeof(*engine));
    engine->host = *host;
    engine->resp = 2;
    engine->thread_ref = LUA_NOREF;
    list_init(&engine->passing);
    engine->lua = luaL_newstate();
    ASSERT(engine->lua != NULL);
    lua_pushlightuserdata(engine->lua, (void *)&engine_key);
    lua_pushlightuserdata(engine->lua, engine);
    lua_rawset(engine->lua, LUA_REGISTRYINDEX);
    script__open_sandbox(engine);
    return engine;
}

void script_engine_free(script_engine_t *engine)
{
    script_flush(engine);
    script_libraries_flush(engine);
    map_deinit(&engine->scripts);
    lua_close(engine->lua);
    mem_free(engine);
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
    {"no-writes", SCRIPT_NO_WRITES},     {"allow-oom", SCRIPT_ALLOW_OOM},
    {"allow-stale", SCRIPT_ALLOW_STALE}, {"no-cluster", SCRIPT_NO_CLUSTER},
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
        buf_printf(error, "ERR Unexpected engine in script shebang: %.*s", (int)engine.len - 2, (const char *)engine.ptr + 2);
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
            if (err != 0) return err;
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

int script__compile(script_engine_t *engine, bytes_t body, const char *chunk)
{
    lua_State *lua = engine->lua;
    if (body.len && body.ptr[0] == '\x1b') { /* bytecode could break out of the sandbox */
        lua_pushliteral(lua, "bytecode is not allowed");
        return ERR_INVALID;
    }
    if (luaL_loadbuffer(lua, (const char *)body.ptr, body.len, chunk) != 0) return ERR_INVALID;
    lua_rawgeti(lua, LUA_REGISTRYINDEX, engine->environment);
    lua_setfenv(lua, -2);
    return 0;
}

/* Compiles to a function in the registry. Its line numbers count the shebang's line. */
static int compile(script_engine_t *engine, bytes_t source, script_t *script, buf_t *error)
{
    lua_State *lua = engine->lua;
    bytes_t body = source;
    int err = take_shebang(&body, &script->flags, error);
    if (err != 0) return err;
    if (script__compile(engine, body, "@user_script") != 0) {
        buf_printf(error, "ERR Error compiling script (new function): %s", lua_tostring(lua, -1));
        lua_pop(lua, 1);
        return ERR_INVALID;
    }
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

/* Puts it behind the others: the most recently used. */
static void use(script_engine_t *engine, script_t *script)
{
    if (!list_linked(&script->node)) return;
    list_remove(&script->node);
    list_push_back(&engine->passing, &script->node);
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
        if (err != 0) return err;
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
    for (map_entry_t *e; (e = map_next(&engine->scripts, &cursor)) != NULL;) {
        forget(engine, e->value);
    }
    map_deinit(&engine->scripts);
    engine->scripts = MAP_INIT;
    lua_gc(engine->lua, LUA_GCCOLLECT, 0);
}

size_t script_count(const script_engine_t *engine) { return engine->scripts.count; }

size_t script_cache_bytes(const script_engine_t *engine) { return engine->cache_bytes; }

uint64_t script_evicted(const script_engine_t *engine) { return engine->evicted; }

size_t script_memory_bytes(const script_engine_t *engine)
{
    return (size_t)lua_gc(engine->lua, LUA_GCCOUNT, 0) * 1024 + (size_t)lua_gc(engine->lua, LUA_GCCOUNTB, 0);
}

/* ---- running ---------------------------------------------------------------------------------------------------- */

/* After SCRIPT KILL each further line fails too, so that no pcall of the script's can go on. */
static void on_hook(lua_State *lua, lua_Debug *debug)
{
    script_engine_t *engine = script__engine(lua);
    script_tick_t tick = engine->stopped ? SCRIPT_STOP : engine->host.tick(engine->host.user);
    if (tick == SCRIPT_STOP) {
        engine->stopped = true;
        lua_sethook(lua, on_hook, LUA_MASKLINE, 0);
        luaL_error(lua, "Script killed by user with SCRIPT KILL...");
    }
    bool own = lua == engine->thread; /* a coroutine of the script's would yield to the script */
    if (tick == SCRIPT_PAUSE && own && lua_isyieldable(lua)) lua_yield(lua, 0);
}

static void push_list(lua_State *lua, const bytes_t *items, int count)
{
    lua_createtable(lua, count, 0);
    for (int i = 0; i < count; i++) {
        lua_pushlstring(lua, (const char *)items[i].ptr, items[i].len);
        lua_rawseti(lua, -2, i + 1);
    }
}

/* globals[name] = the value at the top, which is popped. */
static void set_global(script_engine_t *engine, const char *name)
{
    lua_State *lua = engine->lua;
    lua_rawgeti(lua, LUA_REGISTRYINDEX, engine->globals);
    lua_insert(lua, -2);
    lua_setfield(lua, -2, name);
    lua_pop(lua, 1);
}

static void drop_thread(script_engine_t *engine)
{
    luaL_unref(engine->lua, LUA_REGISTRYINDEX, engine->thread_ref);
    engine->thread = NULL;
    engine->thread_ref = LUA_NOREF;
}

/* A coroutine that ended well is used again. */
static void need_thread(script_engine_t *engine)
{
    if (engine->thread) return;
    engine->thread = lua_newthread(engine->lua);
    engine->thread_ref = luaL_ref(engine->lua, LUA_REGISTRYINDEX);
}

/* The line of the script that was running: its coroutine's stack is still there after an error. A tail call has
 * replaced the script's frame; then only a script of one line still knows its line. */
static int failing_line(const script_engine_t *engine)
{
    lua_State *thread = engine->thread;
    lua_Debug debug;
    for (int level = 0; lua_getstack(thread, level, &debug); level++) {
        lua_getinfo(thread, "Sl", &debug);
        if (debug.currentline > 0 && strcmp(debug.short_src, engine->chunk) == 0) return debug.currentline;
    }
    bytes_t source = engine->source;
    return memchr(source.ptr, '\n', source.len) ? -1 : 1;
}

/* The error value on the coroutine's stack: a string, or a table with a field err. */
static void append_failure(script_engine_t *engine)
{
    lua_State *thread = engine->thread;
    buf_t text = BUF_INIT;
    size_t len;
    const char *message;
    if (lua_istable(thread, -1)) {
        lua_getfield(thread, -1, "err");
        message = lua_tolstring(thread, -1, &len);
        if (!message) message = "ERR unknown error", len = strlen(message);
        if (len && message[0] == '-') message++, len--;
    } else {
        message = lua_tolstring(thread, -1, &len);
        buf_append(&text, "ERR ", 4);
        if (!message) message = "unknown error", len = strlen(message);
    }
    buf_append(&text, message, len);
    int line = failing_line(engine);
    if (line >= 0)
        buf_printf(&text, " script: %s, on @%s:%d.", engine->running, engine->chunk, line);
    else
        buf_printf(&text, " script: %s.", engine->running);
    script__append_error(engine->reply, buf_bytes(&text));
    buf_deinit(&text);
}

static script_result_t go_on(script_engine_t *engine, int args_count)
{
    lua_State *thread = engine->thread;
    int status = lua_resume(thread, args_count);
    if (status == LUA_YIELD) return SCRIPT_PAUSED;
    if (status == 0) {
        if (lua_gettop(thread) == 0) lua_pushnil(thread);
        lua_settop(thread, 1); /* the first of several values counts */
        script__append_reply(engine, thread, engine->reply);
        lua_settop(thread, 0);
        lua_sethook(thread, NULL, 0, 0);
    } else {
        append_failure(engine);
        drop_thread(engine);
    }
    engine->running = NULL;
    lua_gc(engine->lua, LUA_GCSTEP, 1);
    return SCRIPT_DONE;
}

/* Makes ready to run the registry's function: it is left on the coroutine's stack. */
static void prepare(script_engine_t *engine, const char *name, const char *chunk, int function, int client_resp,
                    buf_t *reply)
{
    ASSERT(engine->running == NULL);
    need_thread(engine);
    engine->running = name;
    engine->chunk = chunk;
    engine->reply = reply;
    engine->client_resp = client_resp;
    engine->resp = 2;
    engine->stopped = false;
    lua_sethook(engine->thread, on_hook, LUA_MASKCOUNT, SCRIPT_TICK_INSTRUCTIONS);
    lua_rawgeti(engine->thread, LUA_REGISTRYINDEX, function);
}

script_result_t script_run(script_engine_t *engine, const script_t *script, const bytes_t *keys, int keys_count,
                           const bytes_t *args, int args_count, int client_resp, buf_t *reply)
{
    use(engine, map_get_str(&engine->scripts, script->sha));
    push_list(engine->lua, keys, keys_count);
    set_global(engine, "KEYS");
    push_list(engine->lua, args, args_count);
    set_global(engine, "ARGV");
    prepare(engine, script->sha, "user_script", script->function, client_resp, reply);
    engine->source = script->source;
    return go_on(engine, 0);
}

/* A function gets the lists as its arguments, not as globals. */
script_result_t script_run_function(script_engine_t *engine, const script_function_t *function, const bytes_t *keys,
                                    int keys_count, const bytes_t *args, int args_count, int client_resp, buf_t *reply)
{
    lua_pushnil(engine->lua);
    set_global(engine, "KEYS");
    lua_pushnil(engine->lua);
    set_global(engine, "ARGV");
    prepare(engine, function->name, "user_function", function->function, client_resp, reply);
    engine->source = BYTES_LIT("\n");
    push_list(engine->thread, keys, keys_count);
    push_list(engine->thread, args, args_count);
    return go_on(engine, 2);
}

script_result_t script_resume(script_engine_t *engine)
{
    ASSERT(engine->running != NULL);
    return go_on(engine, 0);
}

/* library.c: libraries of functions (FUNCTION LOAD): their code runs once and registers what FCALL then calls.
 *
 * A library is linked whole or not at all: its functions are collected while its code runs, and become known when all
 * of it went well. */
#include "redis/script/script_internal.h"

#include <ctype.h>

#define BAD_NAME                                                                                                       \
    "Library names can only contain letters, numbers, or underscores(_) and must be at least one character long"

static bool name_is_valid(bytes_t name)
{
    for (size_t i = 0; i < name.len; i++)
        if (!isalnum(name.ptr[i]) && name.ptr[i] != '_') return false;
    return name.len > 0;
}

static char *lower_copy(bytes_t name)
{
    char *copy = mem_strndup(name);
    for (char *p = copy; *p; p++) *p = (char)tolower((unsigned char)*p);
    return copy;
}

/* ---- life ------------------------------------------------------------------------------------------------------- */

static void free_function(script_engine_t *engine, script_function_t *f)
{
    luaL_unref(engine->lua, LUA_REGISTRYINDEX, f->function);
    mem_free(f->name);
    mem_free(f->key);
    mem_free(f->description);
    mem_free(f);
}

static void free_library(script_engine_t *engine, script_library_t *library)
{
    LIST_EACH(&library->functions, f, script_function_t, node) free_function(engine, f);
    mem_free(library->name);
    mem_free((void *)library->code.ptr);
    mem_free(library);
}

static void link_library(script_engine_t *engine, script_library_t *library)
{
    map_put(&engine->libraries, bytes_str(library->name), library);
    LIST_EACH(&library->functions, f, script_function_t, node) map_put(&engine->functions, bytes_str(f->key), f);
}

static void unlink_library(script_engine_t *engine, script_library_t *library)
{
    map_remove(&engine->libraries, bytes_str(library->name));
    LIST_EACH(&library->functions, f, script_function_t, node) map_remove(&engine->functions, bytes_str(f->key));
}

bool script_library_delete(script_engine_t *engine, bytes_t name)
{
    script_library_t *library = map_get(&engine->libraries, name);
    if (!library) return false;
    unlink_library(engine, library);
    free_library(engine, library);
    return true;
}

void script_libraries_flush(script_engine_t *engine)
{
    size_t cursor = 0;
    for (map_entry_t *e; (e = map_next(&engine->libraries, &cursor));) free_library(engine, e->value);
    map_deinit(&engine->libraries);
    map_deinit(&engine->functions);
    engine->libraries = engine->functions = MAP_INIT;
    lua_gc(engine->lua, LUA_GCCOLLECT, 0);
}

const script_library_t *script_library_next(const script_engine_t *engine, size_t *cursor)
{
    map_entry_t *e = map_next(&engine->libraries, cursor);
    return e ? e->value : NULL;
}

const script_function_t *script_function_find(const script_engine_t *engine, bytes_t name)
{
    if (engine->functions.count == 0) return NULL;
    char *key = lower_copy(name);
    const script_function_t *found = map_get_str(&engine->functions, key);
    mem_free(key);
    return found;
}

size_t script_library_count(const script_engine_t *engine) { return engine->libraries.count; }

size_t script_function_count(const script_engine_t *engine) { return engine->functions.count; }

/* ---- register_function ------------------------------------------------------------------------------------------ */

/* The flags in the list at the top of the stack. */
static const char *read_flags(lua_State *lua, uint32_t *flags)
{
    for (int i = 1;; i++) {
        lua_rawgeti(lua, -1, i);
        bool end = lua_isnil(lua, -1);
        bool known = !end && lua_type(lua, -1) == LUA_TSTRING && script__flag(bytes_str(lua_tostring(lua, -1)), flags);
        lua_pop(lua, 1);
        if (end) return NULL;
        if (!known) return "unknown flag given";
    }
}

/* What holds a NUL is no name: it becomes "", which is refused as one. */
static char *name_at(lua_State *lua, int index)
{
    size_t len;
    const char *text = lua_tolstring(lua, index, &len);
    return mem_strdup(strlen(text) == len ? text : "");
}

/* One named argument: its value is at the top of the stack and stays there. */
static const char *read_named(lua_State *lua, const char *key, script_function_t *f)
{
    if (strcasecmp(key, "function_name") == 0) {
        if (lua_type(lua, -1) != LUA_TSTRING)
            return "function_name argument given to server.register_function must be a string";
        mem_free(f->name);
        f->name = name_at(lua, -1);
    } else if (strcasecmp(key, "description") == 0) {
        if (lua_type(lua, -1) != LUA_TSTRING)
            return "description argument given to server.register_function must be a string";
        mem_free(f->description);
        f->description = mem_strdup(lua_tostring(lua, -1));
    } else if (strcasecmp(key, "callback") == 0) {
        if (!lua_isfunction(lua, -1)) return "callback argument given to server.register_function must be a function";
        lua_pushvalue(lua, -1);
        luaL_unref(lua, LUA_REGISTRYINDEX, f->function);
        f->function = luaL_ref(lua, LUA_REGISTRYINDEX);
    } else if (strcasecmp(key, "flags") == 0) {
        if (!lua_istable(lua, -1))
            return "flags argument to server.register_function must be a table representing function flags";
        return read_flags(lua, &f->flags);
    } else {
        return "unknown argument given to server.register_function";
    }
    return NULL;
}

static const char *read_table(lua_State *lua, script_function_t *f)
{
    if (!lua_istable(lua, 1))
        return "calling server.register_function with a single argument is only applicable to Lua table (representing "
               "named arguments).";
    const char *problem = NULL;
    lua_pushnil(lua);
    while (!problem && lua_next(lua, 1)) {
        problem = lua_type(lua, -2) == LUA_TSTRING
                      ? read_named(lua, lua_tostring(lua, -2), f)
                      : "named argument key given to server.register_function is not a string";
        lua_pop(lua, 1);
    }
    if (problem) return problem;
    if (!f->name) return "server.register_function must get a function name argument";
    if (f->function == LUA_NOREF) return "server.register_function must get a callback argument";
    return NULL;
}

static const char *read_positional(lua_State *lua, script_function_t *f)
{
    if (lua_type(lua, 1) != LUA_TSTRING) return "first argument to server.register_function must be a string";
    if (!lua_isfunction(lua, 2)) return "second argument to server.register_function must be a function";
    f->name = name_at(lua, 1);
    f->function = luaL_ref(lua, LUA_REGISTRYINDEX);
    return NULL;
}

static const char *take(script_library_t *library, script_function_t *f)
{
    if (!name_is_valid(bytes_str(f->name))) return BAD_NAME;
    LIST_EACH(&library->functions, other, script_function_t, node) {
        if (strcmp(other->name, f->name) == 0) return "Function already exists in the library";
    }
    f->key = lower_copy(bytes_str(f->name));
    list_push_back(&library->functions, &f->node);
    library->function_count++;
    return NULL;
}

int script__register_function(lua_State *lua)
{
    script_engine_t *engine = script__engine(lua);
    script_library_t *library = engine->loading;
    if (!library) return script__raise(lua, "ERR server.register_function can only be called on FUNCTION LOAD command");
    int argc = lua_gettop(lua);
    if (argc < 1 || argc > 2) return script__raise(lua, "ERR wrong number of arguments to server.register_function");
    script_function_t *f = mem_zalloc(sizeof(*f));
    f->function = LUA_NOREF;
    f->flags = SCRIPT_HAS_SHEBANG;
    f->library = library;
    const char *problem = argc == 1 ? read_table(lua, f) : read_positional(lua, f);
    if (!problem) problem = take(library, f);
    if (!problem) return 0;
    free_function(engine, f);
    lua_pushfstring(lua, "ERR %s", problem);
    return script__raise(lua, lua_tostring(lua, -1));
}

/* ---- loading ---------------------------------------------------------------------------------------------------- */

static bytes_t next_word(bytes_t *line)
{
    while (line->len && line->ptr[0] == ' ') *line = bytes_of(line->ptr + 1, line->len - 1);
    size_t n = 0;
    while (n < line->len && line->ptr[n] != ' ') n++;
    bytes_t word = bytes_of(line->ptr, n);
    *line = bytes_of(line->ptr + n, line->len - n);
    return word;
}

static int refuse(buf_t *error, const char *text)
{
    buf_printf(error, "ERR %s", text);
    return ERR_INVALID;
}

/* "#!lua name=mylib" and what follows it. */
static int read_head(bytes_t code, bytes_t *ret_name, bytes_t *ret_body, buf_t *error)
{
    if (code.len < 2 || code.ptr[0] != '#' || code.ptr[1] != '!') return refuse(error, "Missing library metadata");
    const uint8_t *end = memchr(code.ptr, '\n', code.len);
    if (!end) return refuse(error, "Invalid library metadata");
    bytes_t line = bytes_of(code.ptr + 2, (size_t)(end - code.ptr) - 2), name = BYTES_NULL;
    bytes_t kind = line.ptr[0] == ' ' ? bytes_of(line.ptr, 0) : next_word(&line);
    for (bytes_t word; (word = next_word(&line)).len;) {
        if (word.len < 5 || !bytes_eq_nocase(bytes_of(word.ptr, 5), BYTES_LIT("name="))) {
            buf_printf(error, "ERR Invalid metadata value given: %.*s", (int)word.len, (const char *)word.ptr);
            return ERR_INVALID;
        }
        if (name.ptr) return refuse(error, "Invalid metadata value, name argument was given multiple times");
        name = bytes_of(word.ptr + 5, word.len - 5);
        if (name.len > 1 && name.ptr[0] == '"' && name.ptr[name.len - 1] == '"')
            name = bytes_of(name.ptr + 1, name.len - 2);
    }
    if (!name.ptr) return refuse(error, "Library name was not given");
    if (!name_is_valid(name)) return refuse(error, BAD_NAME);
    if (!bytes_eq_nocase(kind, BYTES_LIT("lua"))) {
        buf_printf(error, "ERR Engine '%.*s' not found", (int)kind.len, (const char *)kind.ptr);
        return ERR_INVALID;
    }
    *ret_name = name;
    *ret_body = bytes_of(end, code.len - (size_t)(end - code.ptr));
    return 0;
}

static void append_load_error(lua_State *lua, buf_t *error)
{
    bool table = lua_istable(lua, -1);
    if (table) lua_getfield(lua, -1, "err");
    const char *text = lua_tostring(lua, -1);
    buf_printf(error, "ERR Error registering functions: %s%s", table ? "" : "ERR ", text ? text : "unknown error");
}

static int run_code(script_engine_t *engine, script_library_t *library, bytes_t body, buf_t *error)
{
    lua_State *lua = engine->lua;
    int top = lua_gettop(lua);
    int err = script__compile(engine, body, "@user_function", "function", error);
    if (err) return err;
    script__show_globals(engine, engine->load_globals);
    engine->loading = library;
    engine->load_started = clock();
    engine->work = 0;
    script__set_hook(lua);
    engine->heap.limited = true;
    if (lua_pcall(lua, 0, 0, 0) != 0) {
        append_load_error(lua, error);
        err = ERR_INVALID;
    }
    engine->heap.limited = false;
    lua_settop(lua, top);
    engine->loading = NULL;
    script__show_globals(engine, engine->globals);
    script__note_end(engine);
    return err;
}

/* The library's functions must be new, but for those of the one it replaces. */
static int check_functions(script_engine_t *engine, const script_library_t *library, const script_library_t *old,
                           buf_t *error)
{
    if (library->function_count == 0) return refuse(error, "No functions registered");
    LIST_EACH((list_t *)&library->functions, f, script_function_t, node) {
        const script_function_t *other = map_get_str(&engine->functions, f->key);
        if (!other || other->library == old) continue;
        buf_printf(error, "ERR Function %s already exists", f->name);
        return ERR_INVALID;
    }
    return 0;
}

int script_library_load(script_engine_t *engine, bytes_t code, bool replace, const script_library_t **ret_library,
                        buf_t *error)
{
    bytes_t name, body;
    int err = read_head(code, &name, &body, error);
    if (err) return err;
    script_library_t *old = map_get(&engine->libraries, name);
    if (old && !replace) {
        *ret_library = old;
        return ERR_EXISTS;
    }
    script_library_t *library = mem_zalloc(sizeof(*library));
    library->name = mem_strndup(name);
    library->code = bytes_of(mem_strndup(code), code.len);
    list_init(&library->functions);
    err = run_code(engine, library, body, error);
    if (!err) err = check_functions(engine, library, old, error);
    if (err) {
        free_library(engine, library);
        return err;
    }
    if (old) {
        unlink_library(engine, old);
        free_library(engine, old);
    }
    link_library(engine, library);
    *ret_library = library;
    return 0;
}

/* api.c: the table `redis` that scripts call: commands, replies of their own, logging. Error texts are Redis 7's. */
#include "redis/script/script_internal.h"

#define ARGC_MAX               65536
#define CALL_REPLY_LARGE_BYTES KIB(64)

enum { REPL_NONE = 0, REPL_AOF = 1, REPL_REPLICA = 2, REPL_ALL = 3 };

/* Leaves a table {err = text} on the stack. */
static void push_error(lua_State *lua, const char *text)
{
    lua_createtable(lua, 0, 1);
    lua_pushstring(lua, text);
    lua_setfield(lua, -2, "err");
}

int script__raise(lua_State *lua, const char *text)
{
    push_error(lua, text);
    return lua_error(lua);
}

static int fail(lua_State *lua, bool raise, const char *text)
{
    push_error(lua, text);
    return raise ? lua_error(lua) : 1;
}

/* A number becomes its text, which replaces the argument on the stack. */
static bool to_word(lua_State *lua, const script_engine_t *engine, int index, bytes_t *ret_word)
{
    if (lua_type(lua, index) == LUA_TNUMBER) {
        char text[SCRIPT_NUMBER_CHARS_MAX];
        lua_pushlstring(lua, text, engine->host.format(text, lua_tonumber(lua, index)));
        lua_replace(lua, index);
    } else if (lua_type(lua, index) != LUA_TSTRING) {
        return false;
    }
    size_t len;
    const char *text = lua_tolstring(lua, index, &len);
    *ret_word = bytes_of(text, len);
    return true;
}

static void reserve_words(script_engine_t *engine, size_t count)
{
    if (count <= engine->words_cap) return;
    engine->words_cap = count;
    mem_free(engine->words);
    engine->words = mem_alloc(sizeof(bytes_t) * count);
}

/* Collects the arguments as words, which the engine keeps until the next call; NULL when there are none, too many or a wrong
 * one. */
static bytes_t *collect_words(lua_State *lua, int argc, const char **ret_problem)
{
    script_engine_t *engine = script__engine(lua);
    *ret_problem = argc == 0         ? "ERR Please specify at least one argument for this call"
                   : argc > ARGC_MAX ? "ERR too many arguments for this redis.call() call"
                                     : NULL;
    if (*ret_problem) return NULL;
    reserve_words(engine, (size_t)argc);
    for (int i = 0; i < argc; i++) {
        if (to_word(lua, engine, i + 1, &engine->words[i])) continue;
        *ret_problem = "ERR Command arguments must be strings or integers";
        return NULL;
    }
    return engine->words;
}

static int run_command(lua_State *lua, bool raise)
{
    script_engine_t *engine = script__engine(lua);
    int argc = lua_gettop(lua);
    const char *problem;
    bytes_t *words = collect_words(lua, argc, &problem);
    if (!words) return fail(lua, raise, problem);
    if (engine->stopped) script__tick(lua); /* nothing more is done in a killed script's name */
    buf_t *reply = &engine->call_reply;
    buf_clear(reply);
    engine->host.call(engine->host.user, words, argc, engine->resp, reply);
    ASSERT(reply->len > 0);
    bool failed = reply->ptr[0] == '-';
    script__work(lua, reply->len);
    lua_settop(lua, 0); /* up to thousands of words: the reply needs their room */
    if (reply->len > CALL_REPLY_LARGE_BYTES) script__need_bytes(lua, reply->len);
    if (!script__push_reply(lua, buf_bytes(reply))) return fail(lua, raise, "ERR reached lua stack limit");
    return failed && raise ? lua_error(lua) : 1;
}

static int api_call(lua_State *lua) { return run_command(lua, true); }
static int api_pcall(lua_State *lua) { return run_command(lua, false); }

static int single_string(lua_State *lua, const char *field)
{
    if (lua_gettop(lua) != 1 || lua_type(lua, 1) != LUA_TSTRING)
        return fail(lua, false, "ERR wrong number or type of arguments");
    lua_createtable(lua, 0, 1);
    lua_pushvalue(lua, 1);
    lua_setfield(lua, -2, field);
    return 1;
}

static int api_status_reply(lua_State *lua) { return single_string(lua, "ok"); }

/* The first word is the error's code, with '-' before it or without; a text of one word gets the code ERR. */
static int api_error_reply(lua_State *lua)
{
    if (lua_gettop(lua) == 1 && lua_type(lua, 1) == LUA_TSTRING) {
        const char *text = lua_tostring(lua, 1);
        if (text[0] == '-') text++;
        lua_pushfstring(lua, strchr(text, ' ') ? "%s" : "ERR %s", text);
        lua_replace(lua, 1);
    }
    return single_string(lua, "err");
}

static int api_sha1hex(lua_State *lua)
{
    char sha[SCRIPT_SHA_CHARS + 1];
    size_t len;
    if (lua_gettop(lua) != 1) return fail(lua, true, "ERR wrong number of arguments");
    const char *text = lua_tolstring(lua, 1, &len);
    script__work(lua, len);
    script_sha1hex(text ? bytes_of(text, len) : BYTES_LIT(""), sha);
    lua_pushstring(lua, sha);
    return 1;
}

static int api_log(lua_State *lua)
{
    script_engine_t *engine = script__engine(lua);
    int argc = lua_gettop(lua);
    if (argc < 2) return fail(lua, true, "ERR redis.log() requires two arguments or more.");
    if (!lua_isnumber(lua, 1)) return fail(lua, true, "ERR First argument must be a number (log level).");
    int level = (int)lua_tonumber(lua, 1);
    if (level < 0 || level > 3) return fail(lua, true, "ERR Invalid log level.");
    luaL_Buffer text;
    luaL_buffinit(lua, &text);
    for (int i = 2; i <= argc; i++) {
        if (i > 2) luaL_addchar(&text, ' ');
        lua_pushvalue(lua, i);
        if (lua_isstring(lua, -1))
            luaL_addvalue(&text);
        else
            lua_pop(lua, 1);
    }
    luaL_pushresult(&text);
    size_t len;
    const char *line = lua_tolstring(lua, -1, &len);
    engine->host.log(engine->host.user, level, bytes_of(line, len));
    return 0;
}

static int api_setresp(lua_State *lua)
{
    if (lua_gettop(lua) != 1) return fail(lua, true, "ERR redis.setresp() requires one argument.");
    int resp = (int)lua_tonumber(lua, 1);
    if (resp != 2 && resp != 3) return fail(lua, true, "ERR RESP version must be 2 or 3.");
    script__engine(lua)->resp = resp;
    return 0;
}

static int api_set_repl(lua_State *lua)
{
    if (lua_gettop(lua) != 1) return fail(lua, true, "ERR redis.set_repl() requires one argument.");
    int flags = (int)lua_tonumber(lua, 1);
    if (flags & ~REPL_ALL)
        return fail(lua, true,
                    "ERR Invalid replication flags. Please use REPL_AOF, REPL_REPLICA, REPL_ALL or REPL_NONE.");
    if (flags != REPL_ALL)
        return fail(lua, true, "ERR redis.set_repl() other than REPL_ALL would lose changes at the next restart");
    return 0;
}

static int api_replicate_commands(lua_State *lua)
{
    lua_pushboolean(lua, true);
    return 1;
}

static int api_breakpoint(lua_State *lua)
{
    lua_pushboolean(lua, false);
    return 1;
}

static int api_debug(lua_State *lua) { return 0; }

static int api_acl_check_cmd(lua_State *lua)
{
    script_engine_t *engine = script__engine(lua);
    int argc = lua_gettop(lua);
    const char *problem;
    bytes_t *words = collect_words(lua, argc, &problem);
    if (!words) return fail(lua, true, "ERR Please specify at least one argument for this redis.acl_check_cmd() call");
    int allowed = engine->host.check(engine->host.user, words, argc);
    if (allowed < 0) return fail(lua, true, "ERR Invalid command passed to redis.acl_check_cmd()");
    lua_pushboolean(lua, allowed);
    return 1;
}

void script__open_redis(script_engine_t *engine, bool loading)
{
    static const luaL_Reg functions[] = {
        {"call", api_call},
        {"pcall", api_pcall},
        {"status_reply", api_status_reply},
        {"error_reply", api_error_reply},
        {"sha1hex", api_sha1hex},
        {"log", api_log},
        {"setresp", api_setresp},
        {"set_repl", api_set_repl},
        {"replicate_commands", api_replicate_commands},
        {"breakpoint", api_breakpoint},
        {"debug", api_debug},
        {"acl_check_cmd", api_acl_check_cmd},
        {NULL, NULL},
    };
    static const luaL_Reg load_functions[] = {
        {"register_function", script__register_function}, {"log", api_log}, {NULL, NULL}};
    static const struct {
        const char *name;
        int value;
    } constants[] = {
        {"LOG_DEBUG", 0},
        {"LOG_VERBOSE", 1},
        {"LOG_NOTICE", 2},
        {"LOG_WARNING", 3},
        {"REPL_NONE", REPL_NONE},
        {"REPL_AOF", REPL_AOF},
        {"REPL_SLAVE", REPL_REPLICA},
        {"REPL_REPLICA", REPL_REPLICA},
        {"REPL_ALL", REPL_ALL},
    };
    lua_State *lua = engine->lua;
    lua_newtable(lua);
    luaL_register(lua, NULL, loading ? load_functions : functions);
    for (size_t i = 0; i < (loading ? 4 : ARRAY_LEN(constants)); i++) {
        lua_pushnumber(lua, constants[i].value);
        lua_setfield(lua, -2, constants[i].name);
    }
    lua_pushstring(lua, engine->host.version);
    lua_setfield(lua, -2, "REDIS_VERSION");
    lua_pushnumber(lua, engine->host.version_num);
    lua_setfield(lua, -2, "REDIS_VERSION_NUM");
}

/* run.c: a run of a script, on the engine's own C stack. See script.h.
 *
 *   owner: begin() --enters the fiber--> run_all(): lua_pcall(run_job) ... --leaves: ended--> owner
 *                                             | the host says PAUSE           ^
 *                                             v                               |
 *                                        leaves: SCRIPT_PAUSED   <--enters--  script_resume()
 *
 * The host is asked from three sides (script__tick): the hook of every SCRIPT_TICK_INSTRUCTIONS, the allocator, and C functions
 * that take long. Leaving is possible at each of them, because the whole C stack stays behind. */
#include "redis/script/script_internal.h"

#define STACK_BYTES      MIB(8)  /* 200 nested C calls (Lua's limit) with a buffer of 8 KB each, and a command */
#define KEPT_BYTES_MAX   KIB(64) /* of a buffer, from one run to the next */
#define KILLED           "ERR Script killed by user with SCRIPT KILL."
#define LOAD_SECONDS_MAX 0.5

/* ---- asking the host ------------------------------------------------------------------------------------------------- */

/* A library's code, and any text while it is compiled, cannot be left: it is ended instead. */
static bool load_may_go_on(const script_engine_t *engine)
{
    return (double)(clock() - engine->load_started) / CLOCKS_PER_SEC < LOAD_SECONDS_MAX;
}

bool script__may_go_on(script_engine_t *engine)
{
    engine->work = 0;
    if (!engine->running) return load_may_go_on(engine);
    if (engine->stopped) return false;
    script_tick_t tick = engine->host.tick(engine->host.user);
    if (tick == SCRIPT_PAUSE && fiber_is_inside(engine->fiber)) fiber_leave(engine->fiber);
    if (tick == SCRIPT_STOP) engine->stopped = true;
    return !engine->stopped; /* it may have been stopped while it was left */
}

static void on_hook(lua_State *lua, lua_Debug *debug)
{
    script_engine_t *engine = script__engine(lua);
    bool ending = debug->event == LUA_HOOKLINE;
    if (ending && !engine->stopped && engine->running) { /* a coroutine that outlived the run that was killed */
        lua_sethook(lua, on_hook, LUA_MASKCOUNT, SCRIPT_TICK_INSTRUCTIONS);
        return;
    }
    script__tick(lua);
}

/* Ends the error's text: which script, and where: in the function at that level of the stack, or in its caller when it is a C
 * function. */
static void append_place(lua_State *lua, int level, buf_t *text)
{
    lua_Debug at;
    bool known = lua_getstack(lua, level, &at) && lua_getinfo(lua, "Sl", &at);
    if (known && strcmp(at.what, "C") == 0) known = lua_getstack(lua, level + 1, &at) && lua_getinfo(lua, "Sl", &at);
    buf_printf(text, " script: %s", script__engine(lua)->job.name);
    if (known) buf_printf(text, ", on %s:%d", at.source, at.currentline);
    buf_u8(text, '.');
}

/* After its end each further line fails too, so that no pcall of the script's can go on. The error is that of memory: for no
 * other is the script's own handler (xpcall) left out, which would run here, where no hook is called, as long as it likes. */
void script__tick(lua_State *lua)
{
    script_engine_t *engine = script__engine(lua);
    if (script__may_go_on(engine)) return;
    lua_sethook(lua, on_hook, LUA_MASKLINE, 0);
    if (!engine->running) script__raise(lua, "ERR FUNCTION LOAD timeout");
    if (!engine->told) {
        engine->told = true;
        buf_clear(&engine->failure);
        buf_printf(&engine->failure, KILLED);
        append_place(lua, 0, &engine->failure);
    }
    script__out_of_memory(lua);
}

/* Coroutines inherit the hook from the state that makes them. */
void script__set_hook(lua_State *lua) { lua_sethook(lua, on_hook, LUA_MASKCOUNT, SCRIPT_TICK_INSTRUCTIONS); }

/* ---- inside ---------------------------------------------------------------------------------------------------------- */

static void append_error_value(lua_State *lua, buf_t *text)
{
    const char *message = NULL;
    if (lua_istable(lua, 1)) {
        lua_pushliteral(lua, "err");
        lua_rawget(lua, 1);
        if (lua_isstring(lua, -1)) message = lua_tostring(lua, -1);
        buf_printf(text, "%s", message ? message : "ERR unknown error");
        return;
    }
    if (lua_isstring(lua, 1)) message = lua_tostring(lua, 1);
    if (lua_isboolean(lua, 1)) message = lua_toboolean(lua, 1) ? "true" : "false";
    if (message || lua_isnil(lua, 1))
        buf_printf(text, "ERR %s", message ? message : "nil");
    else
        buf_printf(text, "ERR %s: %p", luaL_typename(lua, 1), lua_topointer(lua, 1));
}

/* The handler of an error that nobody caught: the raiser's frames still stand. */
static int on_error(lua_State *lua)
{
    buf_t *text = &script__engine(lua)->failure;
    if (script__engine(lua)->stopped) return 1;
    buf_clear(text);
    append_error_value(lua, text);
    append_place(lua, 1, text);
    return 1;
}

static void push_list(lua_State *lua, const bytes_t *items, int count)
{
    lua_createtable(lua, count, 0);
    for (int i = 0; i < count; i++) {
        lua_pushlstring(lua, (const char *)items[i].ptr, items[i].len);
        lua_rawseti(lua, -2, i + 1);
    }
}

/* globals[name] = the list; a function's run finds none there. */
static void set_global(script_engine_t *engine, const char *name, const bytes_t *items, int count)
{
    lua_State *lua = engine->lua;
    lua_rawgeti(lua, LUA_REGISTRYINDEX, engine->globals);
    if (engine->job.as_arguments)
        lua_pushnil(lua);
    else
        push_list(lua, items, count);
    lua_setfield(lua, -2, name);
    lua_pop(lua, 1);
}

static int run_job(lua_State *lua)
{
    script_engine_t *engine = script__engine(lua);
    const script_run_t *job = &engine->job;
    set_global(engine, "KEYS", job->given.keys, job->given.keys_count);
    set_global(engine, "ARGV", job->given.args, job->given.args_count);
    lua_rawgeti(lua, LUA_REGISTRYINDEX, job->function);
    if (job->as_arguments) {
        push_list(lua, job->given.keys, job->given.keys_count);
        push_list(lua, job->given.args, job->given.args_count);
    }
    lua_call(lua, job->as_arguments ? 2 : 0, 1);
    script__append_reply(engine, lua);
    return 0;
}

/* An error that came without its handler: out of memory, a second one in the handler, or the end of a script that was stopped. */
static void tell_plainly(script_engine_t *engine)
{
    if (engine->told) return;
    const char *text = lua_isstring(engine->lua, -1) ? lua_tostring(engine->lua, -1) : "execution failure";
    buf_clear(&engine->failure);
    if (engine->stopped)
        buf_printf(&engine->failure, KILLED " script: %s.", engine->job.name);
    else
        buf_printf(&engine->failure, "ERR Error running script %s, %.100s", engine->job.name, text);
}

static void run_once(script_engine_t *engine)
{
    lua_State *lua = engine->lua;
    engine->heap.limited = true;
    lua_rawgeti(lua, LUA_REGISTRYINDEX, engine->handler);
    lua_rawgeti(lua, LUA_REGISTRYINDEX, engine->runner);
    int status = lua_pcall(lua, 0, 0, -2);
    engine->heap.limited = false;
    if (status != 0 || engine->stopped) {
        if (status != LUA_ERRRUN || engine->stopped) tell_plainly(engine);
        engine->job.given.reply->len = engine->reply_start;
        script__append_error(engine->job.given.reply, buf_bytes(&engine->failure));
    }
    lua_settop(lua, 0);
}

static void run_all(void *user)
{
    script_engine_t *engine = user;
    for (;;) {
        run_once(engine);
        engine->ended = true;
        fiber_leave(engine->fiber);
    }
}

/* ---- outside --------------------------------------------------------------------------------------------------------- */

void script__open_runs(script_engine_t *engine)
{
    lua_State *lua = engine->lua;
    lua_pushcfunction(lua, run_job);
    engine->runner = luaL_ref(lua, LUA_REGISTRYINDEX);
    lua_pushcfunction(lua, on_error);
    engine->handler = luaL_ref(lua, LUA_REGISTRYINDEX);
    lua_settop(lua, 0);
    engine->fiber = fiber_new(STACK_BYTES, run_all, engine);
}

static script_result_t go_on(script_engine_t *engine)
{
    fiber_enter(engine->fiber);
    if (!engine->ended) return SCRIPT_PAUSED;
    engine->running = false;
    if (engine->call_reply.cap > KEPT_BYTES_MAX) buf_deinit(&engine->call_reply);
    if (engine->scratch.cap > KEPT_BYTES_MAX) buf_deinit(&engine->scratch);
    script__note_end(engine);
    return SCRIPT_DONE;
}

static script_result_t begin(script_engine_t *engine, const script_run_t *job)
{
    ASSERT(!engine->running);
    engine->job = *job;
    engine->reply_start = job->given.reply->len;
    engine->running = true;
    engine->ended = engine->stopped = engine->told = false;
    engine->resp = 2;
    engine->work = 0;
    script__set_hook(engine->lua);
    return go_on(engine);
}

script_result_t script_run(script_engine_t *engine, const script_t *script, const script_given_t *given)
{
    script__use(engine, script);
    return begin(engine, &(script_run_t){.name = script->sha, .function = script->function, .given = *given});
}

script_result_t script_run_function(script_engine_t *engine, const script_function_t *function,
                                    const script_given_t *given)
{
    return begin(
        engine,
        &(script_run_t){.name = function->name, .function = function->function, .as_arguments = true, .given = *given});
}

script_result_t script_resume(script_engine_t *engine)
{
    ASSERT(engine->running);
    return go_on(engine);
}

bool script_leave(script_engine_t *engine)
{
    if (!engine->running || engine->stopped || !fiber_is_inside(engine->fiber)) return false;
    fiber_leave(engine->fiber);
    return !engine->stopped;
}

void script__abandon(script_engine_t *engine)
{
    while (engine->running) {
        engine->stopped = true;
        if (script_resume(engine) == SCRIPT_DONE) break;
    }
}

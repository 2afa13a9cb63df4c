/* script.c: EVAL and its kin, and SCRIPT. The engine is script/, its host scripts.c. */
#include "redis/exec/scripts.h"
#include "redis_commands.h"

#define NO_SCRIPT "NOSCRIPT No matching script."

/* The error replies of the engine are texts of any length. */
static void reply_error_text(redis_client_t *c, const buf_t *text)
{
    reply_errorf(c, "%.*s", (int)text->len, (const char *)text->ptr);
}

static bool arg_keys_count(redis_call_t *call, int *ret_count)
{
    int64_t n;
    if (!arg_i64(call, 2, &n)) return false;
    if (n > call->argc - 3) {
        reply_error(call->client, "ERR Number of keys can't be greater than number of args");
        return false;
    }
    if (n < 0) {
        reply_error(call->client, "ERR Number of keys can't be negative");
        return false;
    }
    *ret_count = (int)n;
    return true;
}

static const script_t *load(redis_call_t *call, bytes_t source, bool keep)
{
    const script_t *script = NULL;
    buf_t error = BUF_INIT;
    if (script_load(scripts__engine(call->redis), source, keep, &script, &error) != 0)
        reply_error_text(call->client, &error);
    buf_deinit(&error);
    return script;
}

static void run(redis_call_t *call, const script_t *script, int keys_count, bool read_only)
{
    script_job_t job = {.script = script, .flags = script->flags, .keys_count = keys_count, .read_only = read_only};
    scripts__run(call, &job);
}

static void eval(redis_call_t *call, bool read_only)
{
    scripts__tell_monitors(call);
    int keys_count;
    if (!arg_keys_count(call, &keys_count)) return;
    const script_t *script = load(call, call->argv[1], false);
    if (script) run(call, script, keys_count, read_only);
}

static void evalsha(redis_call_t *call, bool read_only)
{
    scripts__tell_monitors(call);
    int keys_count = 0;
    if (call->argv[1].len == SCRIPT_SHA_CHARS && !arg_keys_count(call, &keys_count)) return;
    const script_t *script = script_find(scripts__engine(call->redis), call->argv[1]);
    if (script)
        run(call, script, keys_count, read_only);
    else
        reply_error(call->client, NO_SCRIPT);
}

void redis_cmd_eval(redis_call_t *call) { eval(call, false); }

void redis_cmd_eval_ro(redis_call_t *call) { eval(call, true); }

void redis_cmd_evalsha(redis_call_t *call) { evalsha(call, false); }

void redis_cmd_evalsha_ro(redis_call_t *call) { evalsha(call, true); }

/* ---- SCRIPT ---------------------------------------------------------------------------------------------------------- */

void redis_cmd_script_load(redis_call_t *call)
{
    const script_t *script = load(call, call->argv[2], true);
    if (script) reply_bulk_str(call->client, script->sha);
}

void redis_cmd_script_exists(redis_call_t *call)
{
    reply_array(call->client, (size_t)call->argc - 2);
    for (int i = 2; i < call->argc; i++)
        reply_int(call->client, script_find(scripts__engine(call->redis), call->argv[i]) != NULL);
}

void redis_cmd_script_show(redis_call_t *call)
{
    const script_t *script = script_find(scripts__engine(call->redis), call->argv[2]);
    if (script)
        reply_bulk(call->client, script->source);
    else
        reply_error(call->client, NO_SCRIPT);
}

void redis_cmd_script_flush(redis_call_t *call)
{
    bool known = call->argc == 2 || (call->argc == 3 && (arg_is(call, 2, "SYNC") || arg_is(call, 2, "ASYNC")));
    if (!known) {
        reply_error(call->client, "ERR SCRIPT FLUSH only support SYNC|ASYNC option");
        return;
    }
    script_flush(scripts__engine(call->redis));
    reply_ok(call->client);
}

void redis_cmd_script_kill(redis_call_t *call) { scripts__kill(call, false); }

void redis_cmd_script_debug(redis_call_t *call)
{
    if (arg_is(call, 2, "NO"))
        reply_ok(call->client);
    else if (arg_is(call, 2, "YES") || arg_is(call, 2, "SYNC"))
        reply_error(call->client, "ERR There is no script debugger");
    else
        reply_error(call->client, "ERR Use SCRIPT DEBUG YES/SYNC/NO");
}

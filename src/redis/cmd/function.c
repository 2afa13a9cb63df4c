/* function.c: FUNCTION and FCALL: libraries of Lua functions, which the data set keeps (they travel to the
 * append-only file as FUNCTION LOAD; a rewritten one begins with them). */
#include "redis/exec/scripts.h"
#include "redis/glob.h"
#include "redis_commands.h"

#include "base/num.h"

/* ---- FCALL ----------------------------------------------------------------------------------------------------------- */

static void fcall(redis_call_t *call, bool read_only)
{
    scripts__tell_monitors(call);
    int64_t n;
    const script_function_t *f = script_function_find(scripts__engine(call->redis), call->argv[1]);
    if (!f) {
        reply_error(call->client, "ERR Function not found");
    } else if (!num_parse_i64(call->argv[2], &n)) {
        reply_error(call->client, "ERR Bad number of keys provided");
    } else if (n > call->argc - 3) {
        reply_error(call->client, "ERR Number of keys can't be greater than number of args");
    } else if (n < 0) {
        reply_error(call->client, "ERR Number of keys can't be negative");
    } else {
        script_job_t job = {.function = f, .flags = f->flags, .keys_count = (int)n, .read_only = read_only};
        scripts__run(call, &job);
    }
}

void redis_cmd_fcall(redis_call_t *call) { fcall(call, false); }

void redis_cmd_fcall_ro(redis_call_t *call) { fcall(call, true); }

/* ---- changing -------------------------------------------------------------------------------------------------------- */

void redis_cmd_function_load(redis_call_t *call)
{
    bool replace = call->flags & CALL_LOADING; /* what is loaded again is there already */
    for (int i = 2; i < call->argc - 1; i++) {
        if (!arg_is(call, i, "REPLACE")) {
            reply_errorf(call->client, "ERR Unknown option given: %.*s", (int)MIN(call->argv[i].len, (size_t)128),
                         (const char *)call->argv[i].ptr);
            return;
        }
        replace = true;
    }
    const script_library_t *library;
    buf_t error = BUF_INIT;
    int err = script_library_load(scripts__engine(call->redis), call->argv[call->argc - 1], replace, &library, &error);
    if (!err) {
        call->dirty++;
        reply_bulk_str(call->client, library->name);
    } else if (err == ERR_EXISTS) {
        reply_errorf(call->client, "ERR Library '%s' already exists", library->name);
    } else {
        reply_errorf(call->client, "%.*s", (int)error.len, (const char *)error.ptr);
    }
    buf_deinit(&error);
}

void redis_cmd_function_delete(redis_call_t *call)
{
    if (!script_library_delete(scripts__engine(call->redis), call->argv[2])) {
        reply_error(call->client, "ERR Library not found");
        return;
    }
    call->dirty++;
    reply_ok(call->client);
}

void redis_cmd_function_flush(redis_call_t *call)
{
    bool known = call->argc == 2 || (call->argc == 3 && (arg_is(call, 2, "SYNC") || arg_is(call, 2, "ASYNC")));
    if (call->argc > 3) {
        reply_error(call->client,
                    "ERR unknown subcommand or wrong number of arguments for 'flush'. Try FUNCTION HELP.");
        return;
    }
    if (!known) {
        reply_error(call->client, "ERR FUNCTION FLUSH only supports SYNC|ASYNC option");
        return;
    }
    script_libraries_flush(scripts__engine(call->redis));
    call->dirty++;
    reply_ok(call->client);
}

/* ---- describing ------------------------------------------------------------------------------------------------------ */

void redis_cmd_function_kill(redis_call_t *call) { scripts__kill(call, true); }

void redis_cmd_function_stats(redis_call_t *call) { scripts__reply_stats(call); }

static void reply_flags(redis_client_t *c, uint32_t flags)
{
    size_t count = 0;
    for (uint32_t flag = 1; flag < SCRIPT_HAS_SHEBANG; flag <<= 1) count += (flags & flag) != 0;
    reply_set(c, count);
    for (uint32_t flag = 1; flag < SCRIPT_HAS_SHEBANG; flag <<= 1)
        if (flags & flag) reply_simple(c, script_flag_name(flag));
}

static void reply_library(redis_client_t *c, const script_library_t *l, bool with_code)
{
    reply_map(c, with_code ? 4 : 3);
    reply_bulk_str(c, "library_name");
    reply_bulk_str(c, l->name);
    reply_bulk_str(c, "engine");
    reply_bulk_str(c, "LUA");
    reply_bulk_str(c, "functions");
    reply_array(c, l->function_count);
    LIST_EACH((list_t *)&l->functions, f, script_function_t, node) {
        reply_map(c, 3);
        reply_bulk_str(c, "name");
        reply_bulk_str(c, f->name);
        reply_bulk_str(c, "description");
        f->description ? reply_bulk_str(c, f->description) : reply_null(c);
        reply_bulk_str(c, "flags");
        reply_flags(c, f->flags);
    }
    if (!with_code) return;
    reply_bulk_str(c, "library_code");
    reply_bulk(c, l->code);
}

static bool list_options(redis_call_t *call, bytes_t *ret_pattern, bool *ret_with_code)
{
    for (int i = 2; i < call->argc; i++) {
        if (!*ret_with_code && arg_is(call, i, "WITHCODE")) {
            *ret_with_code = true;
        } else if (!ret_pattern->ptr && arg_is(call, i, "LIBRARYNAME")) {
            if (++i >= call->argc) {
                reply_error(call->client, "ERR library name argument was not given");
                return false;
            }
            *ret_pattern = call->argv[i];
        } else {
            reply_errorf(call->client, "ERR Unknown argument %.*s", (int)MIN(call->argv[i].len, (size_t)128),
                         (const char *)call->argv[i].ptr);
            return false;
        }
    }
    return true;
}

void redis_cmd_function_list(redis_call_t *call)
{
    bytes_t pattern = BYTES_NULL;
    bool with_code = false;
    if (!list_options(call, &pattern, &with_code)) return;
    script_engine_t *engine = scripts__engine(call->redis);
    reply_deferred_t d = reply_deferred_begin(call->client);
    size_t cursor = 0, count = 0;
    for (const script_library_t *l; (l = script_library_next(engine, &cursor));) {
        if (pattern.ptr && !glob_match(pattern, bytes_str(l->name), true)) continue;
        reply_library(call->client, l, with_code);
        count++;
    }
    reply_deferred_array(call->client, d, count);
}

/* save.c: SAVE, BGSAVE, LASTSAVE, BGREWRITEAOF and SHUTDOWN. */
#include "redis/exec/scripts.h"
#include "redis/exec/state.h"
#include "redis/persist/aof.h"
#include "redis/persist/snapshot.h"
#include "redis/persist/walk.h"
#include "redis/redis.h"
#include "redis_commands.h"

#include "base/slog.h"

void redis_cmd_save(redis_call_t *call)
{
    int err = snapshot__save(&call->redis->persist);
    if (err == ERR_BUSY)
        reply_error(call->client, "ERR Background save already in progress");
    else if (err)
        reply_errorf(call->client, "ERR the snapshot cannot be written: %s", err_text(err));
    else
        reply_ok(call->client);
}

static void bgsave_cancel(redis_call_t *call)
{
    bool scheduled = snapshot__info(&call->redis->persist).scheduled;
    if (!snapshot__cancel(&call->redis->persist))
        reply_error(call->client, "ERR Background saving is currently not in progress or scheduled");
    else
        reply_simple(call->client, scheduled ? "Scheduled background saving cancelled" : "Background saving cancelled");
}

void redis_cmd_bgsave(redis_call_t *call)
{
    redis_t *redis = call->redis;
    bool schedule = call->argc == 2 && arg_is(call, 1, "SCHEDULE");
    if (call->argc == 2 && arg_is(call, 1, "CANCEL")) {
        bgsave_cancel(call);
    } else if (call->argc > 1 && !schedule) {
        reply_error_syntax(call->client);
    } else if (snapshot__info(&redis->persist).active) {
        reply_error(call->client, "ERR Background save already in progress");
    } else if (schedule && walk__is_active(&redis->persist)) {
        snapshot__schedule(&redis->persist);
        reply_simple(call->client, "Background saving scheduled");
    } else if (walk__is_active(&redis->persist)) {
        reply_error(call->client,
                    "ERR Another child process is active (AOF?): can't BGSAVE right now. Use BGSAVE SCHEDULE "
                    "in order to schedule a BGSAVE whenever possible.");
    } else if (call->flags & CALL_IN_EXEC) { /* what it sees must not lie in the middle of a transaction */
        snapshot__schedule(&redis->persist);
        reply_simple(call->client, "Background saving scheduled");
    } else if (snapshot__begin(&redis->persist)) {
        reply_error(call->client, "ERR the snapshot cannot be begun, see the log");
    } else {
        reply_simple(call->client, "Background saving started");
    }
}

void redis_cmd_lastsave(redis_call_t *call)
{
    reply_int(call->client, snapshot__info(&call->redis->persist).last_save_s);
}

void redis_cmd_bgrewriteaof(redis_call_t *call)
{
    if (aof__rewrite(&call->redis->persist) != 0)
        reply_error(call->client, "ERR Background append only file rewriting already in progress");
    else if (snapshot__info(&call->redis->persist).active || call->flags & CALL_IN_EXEC)
        reply_simple(call->client, "Background append only file rewriting scheduled");
    else
        reply_simple(call->client, "Background append only file rewriting started");
}

/* ---- SHUTDOWN -------------------------------------------------------------------------------------------------------- */

typedef struct shutdown_options {
    bool abort, save, nosave, force;
} shutdown_options_t;

static bool shutdown_parse(redis_call_t *call, shutdown_options_t *ret)
{
    bool ok = true;
    *ret = (shutdown_options_t){0};
    for (int i = 1; i < call->argc && ok; i++) {
        if (arg_is(call, i, "NOSAVE"))
            ret->nosave = true;
        else if (arg_is(call, i, "SAVE"))
            ret->save = true;
        else if (arg_is(call, i, "FORCE"))
            ret->force = true;
        else if (arg_is(call, i, "ABORT"))
            ret->abort = true;
        else
            ok = arg_is(call, i, "NOW");
    }
    ok = ok && !(ret->save && ret->nosave) && !(ret->abort && call->argc > 2);
    if (!ok) reply_error_syntax(call->client);
    return ok;
}

/* What SHUTDOWN must do before the process may end. */
static bool shutdown_save(redis_t *redis, const shutdown_options_t *o)
{
    bool wanted = !redis->keyspace.loading && (o->save || (!o->nosave && redis->config->save.count > 0));
    if (wanted && snapshot__save(&redis->persist) && !o->force) return false;
    redis->shutdown_saved = true;
    return true;
}

void redis_cmd_shutdown(redis_call_t *call)
{
    shutdown_options_t o;
    if (!shutdown_parse(call, &o)) return;
    if (o.abort) {
        reply_error(call->client, "ERR No shutdown in progress.");
    } else if (call->redis->script_busy && !o.nosave) {
        reply_error(call->client, scripts__busy_text(call->redis));
    } else if (!call->redis->on_shutdown || !shutdown_save(call->redis, &o)) {
        reply_error(call->client, "ERR Errors trying to SHUTDOWN. Check logs.");
    } else {
        client__close(call->client);
        call->redis->on_shutdown(call->redis->on_shutdown_user);
    }
}

void redis_on_signal(redis_t *redis, bool interrupt)
{
    int asked = interrupt ? redis->config->shutdown_on_sigint : redis->config->shutdown_on_sigterm;
    shutdown_options_t o = {
        .save = asked & ON_SIGNAL_SAVE, .nosave = asked & ON_SIGNAL_NOSAVE, .force = asked & ON_SIGNAL_FORCE};
    slog(SLOG_INFO, "redis", "a signal asks for the end", "signal=%s", interrupt ? "SIGINT" : "SIGTERM");
    if (shutdown_save(redis, &o))
        redis->on_shutdown(redis->on_shutdown_user);
    else
        slog(SLOG_WARN, "redis",
             "the snapshot cannot be written, so the server goes on; force in shutdown-on-sigterm ends it", "%s", "");
}

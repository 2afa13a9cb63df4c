/* config.c: CONFIG GET, SET, RESETSTAT, REWRITE. SET is all or nothing: every value is tried on a copy first. */
#include "redis/config/config_table.h"
#include "redis/persist/aof.h"
#include "redis/redis.h"
#include "redis/state.h"
#include "redis_commands.h"

#include "base/slog.h"

#include <stdio.h>

static bool is_wanted(redis_call_t *call, const char *name)
{
    for (int i = 2; i < call->argc; i++)
        if (glob_match(call->argv[i], bytes_str(name), true)) return true;
    return false;
}

/* Under each of its names that is asked for; how many those are. */
static size_t reply_wanted(redis_call_t *call, const directive_t *row, buf_t *value)
{
    const char *const names[2] = {row->name, row->alias};
    size_t count = 0;
    for (int n = 0; n < 2 && names[n]; n++) {
        if (!is_wanted(call, names[n])) continue;
        buf_clear(value);
        directive_get(call->config, row, value);
        reply_bulk_str(call->client, names[n]);
        reply_bulk(call->client, bytes_of(value->ptr ? value->ptr : (const uint8_t *)"", value->len));
        count++;
    }
    return count;
}

void redis_cmd_config_get(redis_call_t *call)
{
    redis_client_t *c = call->client;
    reply_deferred_t d = reply_deferred_begin(c);
    size_t count = 0;
    buf_t value = BUF_INIT;
    for (size_t i = 0; i < redis_directive_count; i++) count += reply_wanted(call, &redis_directives[i], &value);
    for (size_t i = 0; i < redis_absent_directive_count; i++)
        count += reply_wanted(call, &redis_absent_directives[i], &value);
    buf_deinit(&value);
    reply_deferred_map(c, d, count);
}

/* ---- SET ------------------------------------------------------------------------------------------------------------- */

static void refuse(redis_call_t *call, int i, const char *why)
{
    reply_errorf(call->client, "ERR CONFIG SET failed (possibly related to argument '%.*s') - %s",
                 (int)MIN(call->argv[i].len, (size_t)128), (const char *)call->argv[i].ptr, why);
}

static bool check_directive(redis_call_t *call, int i, const directive_t *d)
{
    if (!d) {
        reply_errorf(call->client, "ERR Unknown option or number of arguments for CONFIG SET - '%.*s'",
                     (int)MIN(call->argv[i].len, (size_t)128), (const char *)call->argv[i].ptr);
        return false;
    }
    for (int k = 2; k < i; k += 2) {
        if (directive_find(call->argv[k]) != d) continue;
        refuse(call, i, "duplicate parameter");
        return false;
    }
    if (d->flags & DIRECTIVE_FIXED) {
        refuse(call, i, "can't set immutable config");
        return false;
    }
    if (d->flags & DIRECTIVE_PROTECTED && call->config->enable_protected_configs != DEBUG_YES) {
        refuse(call, i, "can't set protected config");
        return false;
    }
    return true;
}

static bool set_all(redis_call_t *call, redis_config_t *config)
{
    char why[256];
    for (int i = 2; i < call->argc; i += 2) {
        const directive_t *d = directive_find(call->argv[i]);
        int err = directive_set(config, d, call->argv[i + 1], why, sizeof(why));
        if (!err) continue;
        refuse(call, i, why);
        return false;
    }
    return true;
}

/* Which setting a row is, by the field that it sets. */
#define IS(directive, field)                                                                                           \
    ((directive)->kind != KIND_CONSTANT && (directive)->offset == offsetof(redis_config_t, field))

/* Where CONFIG SET says to listen. False after the error; then nothing has changed. */
static bool listen_there(redis_call_t *call, const redis_config_t *wanted)
{
    int err = listen__change(call->redis, wanted->bind, (int)wanted->port);
    if (!err) return true;
    for (int i = 2; i < call->argc; i += 2) {
        const directive_t *d = directive_find(call->argv[i]);
        if (!IS(d, port) && !IS(d, bind)) continue;
        slog(SLOG_WARN, "redis", "cannot listen there", "bind=\"%s\" port=%d error=\"%s\"", wanted->bind,
             (int)wanted->port, err_text(err));
        refuse(call, i,
               IS(d, port) ? "Unable to listen on this port. Check server logs."
                           : "Failed to bind to specified addresses.");
        break;
    }
    return false;
}

/* What a changed value sets in motion. */
static bool apply(redis_call_t *call, bool was_on)
{
    redis_t *redis = call->redis;
    bool on = redis->config->appendonly;
    if (on && !was_on && aof__enable(redis) != 0) {
        redis->config->appendonly = false;
        reply_error(call->client,
                    "ERR CONFIG SET failed (possibly related to argument 'appendonly') - Unable to turn on AOF. "
                    "Check server logs.");
        return false;
    }
    if (!on && was_on) aof__disable(redis);
    redis__update_gate(redis);
    redis__update_hz(redis);
    notify__update(redis);
    for (int i = 2; i < call->argc; i += 2)
        if (IS(directive_find(call->argv[i]), maxmemory)) redis->derived_limit = 0;
    evict__update_limit(redis);
    (void)evict__make_room(redis); /* a smaller maxmemory tells at once; what cannot go is told to writers */
    for (int i = 2; i < call->argc; i += 2) {
        const directive_t *d = directive_find(call->argv[i]);
        if (IS(d, loglevel)) redis__update_loglevel(redis);
        if (IS(d, tcp_keepalive_s)) client__update_keepalive(redis);
    }
    return true;
}

void redis_cmd_config_set(redis_call_t *call)
{
    redis_t *redis = call->redis;
    if (call->argc % 2) {
        reply_error_syntax(call->client);
        return;
    }
    for (int i = 2; i < call->argc; i += 2)
        if (!check_directive(call, i, directive_find(call->argv[i]))) return;
    redis_config_t *trial = config_copy(redis->config);
    bool ok = set_all(call, trial) && listen_there(call, trial), was_on = redis->config->appendonly;
    redis_config_free(trial);
    if (!ok) return;
    if (!set_all(call, redis->config) || !apply(call, was_on)) return;
    reply_ok(call->client);
}

/* ---- REWRITE, RESETSTAT ---------------------------------------------------------------------------------------------- */

/* Settings come from the command line and from files of several kinds; none is written to. */
void redis_cmd_config_rewrite(redis_call_t *call)
{
    reply_error(call->client, "ERR The server is running without a config file that it may rewrite");
}

void redis_cmd_config_resetstat(redis_call_t *call)
{
    stats__reset(call->redis);
    reply_ok(call->client);
}

/* config.c: CONFIG GET, SET, RESETSTAT, REWRITE. SET is all or nothing: every value is tried on a copy first. */
#include "redis/config/config_rewrite.h"
#include "redis/config/config_table.h"
#include "redis/conn/notify.h"
#include "redis/exec/settings.h"
#include "redis/exec/state.h"
#include "redis/glob.h"
#include "redis/persist/aof.h"
#include "redis/redis.h"
#include "redis_commands.h"

#include "base/slog.h"

#include <stdio.h>

#define CONFIG_FILE_BYTES_MAX MIB(1)
#define DESCRIPTORS_BESIDE    32u /* clients', as the original reckons */

/* A hidden one must be named. */
static bool is_wanted(redis_call_t *call, const directive_t *d, const char *name)
{
    bool hidden = d->flags & DIRECTIVE_HIDDEN;
    for (int i = 2; i < call->argc; i++) {
        bytes_t pattern = call->argv[i];
        if (hidden ? bytes_eq_nocase(pattern, bytes_str(name)) : glob_match(pattern, bytes_str(name), true))
            return true;
    }
    return false;
}

/* Under each of its names that is asked for; how many those are. */
static size_t reply_wanted(redis_call_t *call, const directive_t *row, buf_t *value)
{
    const char *const names[2] = {row->name, row->alias};
    size_t count = 0;
    for (int n = 0; n < 2 && names[n]; n++) {
        if (!is_wanted(call, row, names[n])) continue;
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
    for (size_t i = 0; directive_at(i); i++) count += reply_wanted(call, directive_at(i), &value);
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
    (!((directive)->flags & DIRECTIVE_KEPT) && (directive)->offset == offsetof(redis_config_t, field))

static bool is_tls(const directive_t *d) { return strncmp(d->name, "tls-", 4) == 0 && !(d->flags & DIRECTIVE_KEPT); }

/* Whoever may come without a certificate, and when files are looked at, needs no new context to be checked. */
static bool needs_context(const directive_t *d)
{
    return is_tls(d) && !IS(d, tls_auth_clients) && !IS(d, tls_auto_reload_interval_s);
}

/* What the tls-* directives that are set ask for, while there is a tls-port; *ret_context stays NULL when none is. False after
 * the error. */
static bool make_context(redis_call_t *call, const redis_config_t *wanted, tls_context_t **ret_context)
{
    char why[TLS_WHY_CHARS_MAX];
    int blamed = 0;
    bool lenient = true;
    for (int i = 2; i < call->argc && wanted->tls_port; i += 2) {
        const directive_t *d = directive_find(call->argv[i]);
        if (needs_context(d)) lenient = false;
        if (is_tls(d) && !blamed) blamed = i;
    }
    if (!blamed || !secure__make(wanted, ret_context, why)) return true;
    slog(SLOG_WARN, "redis", "certificates stay as they are", "why=\"%s\"", why);
    if (lenient) return true;
    refuse(call, blamed, "Unable to update TLS configuration. Check server logs.");
    return false;
}

/* Where CONFIG SET says to listen. False after the error; then nothing has changed. */
static bool listen_there(redis_call_t *call, const redis_config_t *wanted)
{
    bool tls_failed;
    int err =
        listen__change(&call->redis->clients, wanted->bind, (int)wanted->port, (int)wanted->tls_port, &tls_failed);
    if (!err) return true;
    for (int i = 2; i < call->argc; i += 2) {
        const directive_t *d = directive_find(call->argv[i]);
        if (!IS(d, bind) && !(tls_failed ? IS(d, tls_port) : IS(d, port))) continue;
        slog(SLOG_WARN, "redis", "cannot listen there", "bind=\"%s\" port=%d error=\"%s\"", wanted->bind,
             (int)(tls_failed ? wanted->tls_port : wanted->port), err_text(err));
        refuse(call, i,
               !IS(d, bind) ? "Unable to listen on this port. Check server logs."
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
    if (on && !was_on && aof__enable(&redis->persist) != 0) {
        redis->config->appendonly = false;
        reply_error(call->client,
                    "ERR CONFIG SET failed (possibly related to argument 'appendonly') - Unable to turn on AOF. "
                    "Check server logs.");
        return false;
    }
    if (!on && was_on) aof__disable(&redis->persist);
    exec__update_gate(redis);
    settings__hz(redis);
    notify__update(&redis->clients);
    for (int i = 2; i < call->argc; i += 2)
        if (IS(directive_find(call->argv[i]), maxmemory)) redis->keyspace.evict.derived_limit_bytes = 0;
    evict__update_limit(&redis->keyspace);
    client_memory__update_limit(&redis->clients); /* enforced when this command has been answered */
    (void)evict__make_room(&redis->keyspace); /* a smaller maxmemory tells at once; what cannot go is told to writers */
    for (int i = 2; i < call->argc; i += 2) {
        const directive_t *d = directive_find(call->argv[i]);
        if (IS(d, loglevel)) settings__loglevel(redis);
        if (IS(d, log_format) || IS(d, log_timestamp_format)) settings__log_format(redis);
        if (IS(d, max_new_connections_per_cycle) || IS(d, max_new_tls_connections_per_cycle))
            listen__tune(&redis->clients);
        if (IS(d, tcp_keepalive_s)) clients__update_keepalive(&redis->clients);
    }
    return true;
}

/* More clients than the process may have descriptors for would be turned away all the same. */
static bool check_maxclients(redis_call_t *call, const redis_config_t *wanted)
{
    uint64_t max = io_descriptors_max() - MIN(io_descriptors_max(), DESCRIPTORS_BESIDE);
    for (int i = 2; i < call->argc; i += 2) {
        if (!IS(directive_find(call->argv[i]), maxclients) || wanted->maxclients <= max) continue;
        char why[128];
        snprintf(why, sizeof(why),
                 "The operating system is not able to handle the specified number of clients, try with %" PRIu64, max);
        refuse(call, i, why);
        return false;
    }
    return true;
}

/* Snapshots go there from now on; the append-only file stays where it is open. */
static bool check_dir(redis_call_t *call, redis_config_t *wanted)
{
    for (int i = 2; i < call->argc; i += 2) {
        if (!IS(directive_find(call->argv[i]), dir) || io_exists(call->redis->loop, wanted->dir)) continue;
        refuse(call, i, "No such file or directory");
        return false;
    }
    return true;
}

static bool set_oom_score(redis_call_t *call, const redis_config_t *wanted)
{
    for (int i = 2; i < call->argc; i += 2) {
        const directive_t *d = directive_find(call->argv[i]);
        if (!IS(d, oom_score_adj) && !IS(d, oom_score_adj_values)) continue;
        int err = settings__oom_score(call->redis, wanted);
        if (!err) return true;
        slog(SLOG_WARN, "redis", "oom_score_adj cannot be set", "error=\"%s\"", err_text(err));
        refuse(call, i, "Failed to set current oom_score_adj. Check server logs.");
        return false;
    }
    return true;
}

/* Listeners that are opened present what is asked for now; if that fails, what was before is presented again. */
static bool secure_there(redis_call_t *call, const redis_config_t *wanted)
{
    clients_t *clients = &call->redis->clients;
    tls_context_t *context = NULL, *before = clients->secure.context;
    if (!make_context(call, wanted, &context)) return false;
    if (!context) return listen_there(call, wanted);
    if (before) tls_context_ref(before);
    secure__use(clients, wanted, context);
    if (!listen_there(call, wanted)) {
        secure__use(clients, clients->config, before);
        return false;
    }
    tls_context_unref(before);
    return true;
}

/* All of it, or nothing. */
static bool take_effect(redis_call_t *call, redis_config_t *wanted)
{
    if (!check_maxclients(call, wanted) || !check_dir(call, wanted) || !set_oom_score(call, wanted)) return false;
    if (secure_there(call, wanted)) return true;
    if (settings__oom_score(call->redis, call->redis->config))
        slog(SLOG_WARN, "redis", "oom_score_adj cannot be set back", "%s", "");
    return false;
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
    bool ok = set_all(call, trial) && take_effect(call, trial), was_on = redis->config->appendonly;
    redis_config_free(trial);
    if (!ok) return;
    if (!set_all(call, redis->config) || !apply(call, was_on)) return;
    reply_ok(call->client);
}

/* ---- REWRITE, RESETSTAT ---------------------------------------------------------------------------------------------- */

static int write_anew(redis_t *redis, bool all)
{
    uint8_t *data = NULL;
    size_t bytes = 0;
    buf_t out = BUF_INIT;
    int err = io_read_whole(redis->loop, redis->config_file, CONFIG_FILE_BYTES_MAX, &data, &bytes);
    if (err && err != ERR_NOT_FOUND) return err;
    redis_config_t *initial = redis_config_new();
    config_rewrite(redis->config, all ? NULL : initial, bytes_of(data, bytes), &out);
    err = io_replace_whole(redis->loop, redis->config_file, buf_bytes(&out));
    redis_config_free(initial);
    buf_deinit(&out);
    mem_free(data);
    return err;
}

/* Of the settings' origins only a redis.conf is written to. */
void config__rewrite(redis_call_t *call, bool all)
{
    const char *path = call->redis->config_file;
    int err = path ? write_anew(call->redis, all) : 0;
    if (!path)
        reply_error(call->client, "ERR The server is running without a config file");
    else if (err)
        reply_errorf(call->client, "ERR Rewriting config file: %s", err_text(err));
    else
        reply_ok(call->client);
    if (err) slog(SLOG_WARN, "redis", "CONFIG REWRITE failed", "path=%s error=\"%s\"", path, err_text(err));
}

void redis_cmd_config_rewrite(redis_call_t *call) { config__rewrite(call, false); }

void redis_cmd_config_resetstat(redis_call_t *call)
{
    stats__reset(call->redis);
    reply_ok(call->client);
}

/* client_tracking.c: CLIENT TRACKING, CACHING, TRACKINGINFO, GETREDIR. */
#include "redis/conn/clients.h"
#include "redis/conn/tracking.h"
#include "redis_commands.h"

#include <stdlib.h>

#define SWITCHES(what)                                                                                                 \
    "ERR You can't switch " what " before disabling tracking for this client, and then re-enabling it with "           \
    "a different mode."

typedef struct options {
    uint32_t modes;
    int64_t redirect_id;
    bytes_t *prefixes;
    size_t prefixes_count;
} options_t;

/* False after the error. */
static bool take_redirect(redis_call_t *call, int i, options_t *o)
{
    if (o->redirect_id) {
        reply_error(call->client, "ERR A client can only redirect to a single other client");
        return false;
    }
    if (!arg_i64(call, i, &o->redirect_id)) return false;
    if (o->redirect_id > 0 && clients__find(call->client->clients, (uint64_t)o->redirect_id)) return true;
    reply_error(call->client, "ERR The client ID you want redirect to does not exist");
    return false;
}

static bool parse(redis_call_t *call, options_t *o)
{
    static const struct {
        const char *name;
        uint32_t mode;
    } words[] = {
        {"BCAST", TRACKING_BCAST}, {"OPTIN", TRACKING_OPTIN}, {"OPTOUT", TRACKING_OPTOUT}, {"NOLOOP", TRACKING_NOLOOP}};
    for (int i = 3; i < call->argc; i++) {
        bool more = i + 1 < call->argc, known = false;
        for (size_t w = 0; w < ARRAY_LEN(words); w++) {
            if (!arg_is(call, i, words[w].name)) continue;
            o->modes |= words[w].mode;
            known = true;
        }
        if (!known && more && arg_is(call, i, "REDIRECT")) {
            if (!take_redirect(call, ++i, o)) return false;
        } else if (!known && more && arg_is(call, i, "PREFIX")) {
            o->prefixes[o->prefixes_count++] = call->argv[++i];
        } else if (!known) {
            reply_error_syntax(call->client);
            return false;
        }
    }
    return true;
}

/* What of the options contradicts itself, or what the client does already; NULL = nothing. */
static const char *contradiction(const redis_client_t *c, const options_t *o)
{
    uint32_t in = o->modes & TRACKING_OPTIN, out = o->modes & TRACKING_OPTOUT, bcast = o->modes & TRACKING_BCAST;
    uint32_t now = c->tracking ? c->tracking->flags : 0;
    if (!bcast && o->prefixes_count) return "ERR PREFIX option requires BCAST mode to be enabled";
    if (c->tracking && (now & TRACKING_BCAST) != bcast) return SWITCHES("BCAST mode on/off");
    if (bcast && (in || out)) return "ERR OPTIN and OPTOUT are not compatible with BCAST";
    if (in && out) return "ERR You can't specify both OPTIN mode and OPTOUT mode";
    if ((in && now & TRACKING_OPTOUT) || (out && now & TRACKING_OPTIN)) return SWITCHES("OPTIN/OPTOUT mode");
    return NULL;
}

static bool overlaps(bytes_t a, bytes_t b) { return memcmp(a.ptr, b.ptr, MIN(a.len, b.len)) == 0; }

static void refuse_prefix(redis_call_t *call, bytes_t prefix, const char *with, bytes_t other)
{
    reply_errorf(call->client,
                 "ERR Prefix '%.*s' overlaps with %s prefix '%.*s'. Prefixes for a single client must not overlap.",
                 (int)prefix.len, (const char *)prefix.ptr, with, (int)other.len, (const char *)other.ptr);
}

static bool prefixes_fit(redis_call_t *call, const options_t *o)
{
    for (size_t i = 0; i < o->prefixes_count; i++) {
        bytes_t old = tracking__overlap(call->client, o->prefixes[i]);
        if (old.ptr) {
            refuse_prefix(call, o->prefixes[i], "an existing", old);
            return false;
        }
        for (size_t j = i + 1; j < o->prefixes_count; j++) {
            if (!overlaps(o->prefixes[i], o->prefixes[j])) continue;
            refuse_prefix(call, o->prefixes[i], "another provided", o->prefixes[j]);
            return false;
        }
    }
    return true;
}

static void turn_on(redis_call_t *call, const options_t *o)
{
    const char *why = contradiction(call->client, o);
    if (why) {
        reply_error(call->client, why);
    } else if (prefixes_fit(call, o)) {
        tracking__on(call->client, o->modes, (uint64_t)o->redirect_id, o->prefixes, o->prefixes_count);
        reply_ok(call->client);
    }
}

void redis_cmd_client_tracking(redis_call_t *call)
{
    options_t o = {.prefixes = mem_alloc(sizeof(bytes_t) * (size_t)call->argc)};
    if (!parse(call, &o)) {
        /* the error is out */
    } else if (arg_is(call, 2, "ON")) {
        turn_on(call, &o);
    } else if (arg_is(call, 2, "OFF")) {
        tracking__off(call->client);
        reply_ok(call->client);
    } else {
        reply_error_syntax(call->client);
    }
    mem_free(o.prefixes);
}

void redis_cmd_client_caching(redis_call_t *call)
{
    redis_client_t *c = call->client;
    bool yes = arg_is(call, 2, "YES"), no = arg_is(call, 2, "NO");
    if (!c->tracking) {
        reply_error(
            c, "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode "
               "enabled");
    } else if (!yes && !no) {
        reply_error_syntax(c);
    } else if (yes && !(c->tracking->flags & TRACKING_OPTIN)) {
        reply_error(c, "ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.");
    } else if (no && !(c->tracking->flags & TRACKING_OPTOUT)) {
        reply_error(c, "ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.");
    } else {
        c->tracking->flags |= TRACKING_CACHING | TRACKING_KEEP;
        reply_ok(c);
    }
}

static int64_t redirect_of(const redis_client_t *c) { return c->tracking ? (int64_t)c->tracking->redirect_id : -1; }

void redis_cmd_client_getredir(redis_call_t *call) { reply_int(call->client, redirect_of(call->client)); }

static void reply_flags(redis_client_t *c)
{
    static const struct {
        uint32_t all;
        const char *name;
    } words[] = {{TRACKING_BCAST, "bcast"},
                 {TRACKING_OPTIN, "optin"},
                 {TRACKING_OPTIN | TRACKING_CACHING, "caching-yes"},
                 {TRACKING_OPTOUT, "optout"},
                 {TRACKING_OPTOUT | TRACKING_CACHING, "caching-no"},
                 {TRACKING_NOLOOP, "noloop"},
                 {TRACKING_BROKEN_REDIR, "broken_redirect"}};
    uint32_t flags = c->tracking ? c->tracking->flags : 0;
    size_t count = 1;
    for (size_t i = 0; i < ARRAY_LEN(words); i++) count += (flags & words[i].all) == words[i].all;
    reply_set(c, count);
    reply_bulk_str(c, c->tracking ? "on" : "off");
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if ((flags & words[i].all) == words[i].all) reply_bulk_str(c, words[i].name);
}

static int compare_bytes(const void *a, const void *b) { return bytes_cmp(*(const bytes_t *)a, *(const bytes_t *)b); }

static void reply_prefixes(redis_client_t *c)
{
    size_t count = c->tracking ? c->tracking->prefixes.count : 0, n = 0, cursor = 0;
    bytes_t *sorted = mem_alloc(sizeof(*sorted) * (count + 1));
    for (map_entry_t *m; count && (m = map_next(&c->tracking->prefixes, &cursor));) sorted[n++] = m->key;
    qsort(sorted, count, sizeof(*sorted), compare_bytes);
    reply_array(c, count);
    for (size_t i = 0; i < count; i++) reply_bulk(c, sorted[i]);
    mem_free(sorted);
}

void redis_cmd_client_trackinginfo(redis_call_t *call)
{
    redis_client_t *c = call->client;
    if (c->tracking) c->tracking->flags |= TRACKING_KEEP;
    reply_map(c, 3);
    reply_bulk_str(c, "flags");
    reply_flags(c);
    reply_bulk_str(c, "redirect");
    reply_int(c, redirect_of(c));
    reply_bulk_str(c, "prefixes");
    reply_prefixes(c);
}

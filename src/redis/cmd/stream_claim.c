/* stream_claim.c: XCLAIM and XAUTOCLAIM: pending entries that change hands. An entry that was deleted meanwhile is pending
 * no longer once somebody tries to claim it. */
#include "redis/cmd/stream.h"

#include "redis_commands.h"

#define AUTOCLAIM_COUNT_DEFAULT 100
#define AUTOCLAIM_LOOKS         10 /* at pending entries, for each that may be claimed */

typedef struct claiming {
    stream_t *stream;
    stream_group_t *group;
    stream_place_t at;
    stream_consumer_t *consumer;
    int64_t min_idle_ms;
    int64_t delivered_ms;
    int64_t deliveries; /* -1: one more than there were */
    bool force, just_id;
    size_t claimed;
} claiming_t;

static bool parse_min_idle(redis_call_t *call, const char *error, claiming_t *x)
{
    if (!arg_i64_in(call, 4, INT64_MIN, INT64_MAX, error, &x->min_idle_ms)) return false;
    x->min_idle_ms = MAX(x->min_idle_ms, (int64_t)0);
    return true;
}

static bool find_group(redis_call_t *call, claiming_t *x)
{
    if (!stream__group(call, &x->stream, &x->group)) return false;
    x->at = (stream_place_t){call->argv[1], call->argv[2], x->group};
    return true;
}

/* A consumer that nothing is claimed for exists all the same. */
static void find_consumer(redis_call_t *call, claiming_t *x)
{
    bool created;
    x->consumer = stream__consumer(call, &x->at, x->group, call->argv[3], &created);
    if (created) stream__propagate_consumer(call, &x->at, call->argv[3]);
}

/* The entry is gone: so is what was pending of it. */
static void forget(redis_call_t *call, claiming_t *x, stream_id_t id, const stream_pending_t *p)
{
    stream__propagate_claim(call, &x->at, id, p);
    call->dirty++;
    (void)stream_pending_drop(x->group, id);
}

static void take(redis_call_t *call, claiming_t *x, stream_id_t id)
{
    bool is_new;
    stream_pending_t *p = stream_pending_give(x->group, id, x->consumer, &is_new);
    stream_pending_deliver(x->group, id, p, x->delivered_ms);
    if (is_new) p->deliveries = 1;
    if (x->deliveries >= 0)
        p->deliveries = (uint64_t)x->deliveries;
    else if (!x->just_id && p->deliveries < STREAM_DELIVERIES_MAX)
        p->deliveries++;
    bool replied = !x->just_id && stream__reply_entry_at(call->client, x->stream, id);
    if (!replied) stream__reply_id(call->client, id);
    x->claimed++;
    x->consumer->active_ms = call->now_ms;
    stream__propagate_claim(call, &x->at, id, p);
    call->dirty++;
}

static bool idle_enough(const redis_call_t *call, const claiming_t *x, const stream_pending_t *p)
{
    return x->min_idle_ms == 0 || call->now_ms - p->delivered_ms >= x->min_idle_ms;
}

/* ---- XCLAIM ---------------------------------------------------------------------------------------------------------- */

typedef struct claim_args {
    stream_id_t *ids;
    int ids_count;
    stream_id_t last_id;
} claim_args_t;

static void parse_ids(redis_call_t *call, claim_args_t *a)
{
    a->ids = mem_alloc((size_t)(call->argc - 5) * sizeof(*a->ids));
    while (5 + a->ids_count < call->argc && stream_id_parse(call->argv[5 + a->ids_count], 0, &a->ids[a->ids_count]))
        a->ids_count++;
}

static bool parse_option(redis_call_t *call, int *i, claiming_t *x, claim_args_t *a)
{
    bool more = *i + 1 < call->argc;
    if (arg_is(call, *i, "FORCE")) return x->force = true;
    if (arg_is(call, *i, "JUSTID")) return x->just_id = true;
    if (more && arg_is(call, *i, "LASTID")) return stream__id(call, ++*i, 0, &a->last_id);
    if (more && arg_is(call, *i, "RETRYCOUNT"))
        return arg_i64_in(call, ++*i, INT64_MIN, INT64_MAX, "ERR Invalid RETRYCOUNT option argument for XCLAIM",
                          &x->deliveries);
    if (more && arg_is(call, *i, "TIME"))
        return arg_i64_in(call, ++*i, INT64_MIN, INT64_MAX, "ERR Invalid TIME option argument for XCLAIM",
                          &x->delivered_ms);
    if (more && arg_is(call, *i, "IDLE")) {
        int64_t idle_ms;
        if (!arg_i64_in(call, ++*i, INT64_MIN, INT64_MAX, "ERR Invalid IDLE option argument for XCLAIM", &idle_ms))
            return false;
        x->delivered_ms = (int64_t)((uint64_t)call->now_ms - (uint64_t)idle_ms);
        return true;
    }
    reply_errorf(call->client, "ERR Unrecognized XCLAIM option '%.*s'", (int)call->argv[*i].len,
                 (const char *)call->argv[*i].ptr);
    return false;
}

static bool parse_claim(redis_call_t *call, claiming_t *x, claim_args_t *a)
{
    x->delivered_ms = x->deliveries = -1;
    parse_ids(call, a);
    for (int i = 5 + a->ids_count; i < call->argc; i++)
        if (!parse_option(call, &i, x, a)) return false;
    /* A time that cannot be is no error: clients reckon it by their own clock. */
    if (x->delivered_ms < 0 || x->delivered_ms > call->now_ms) x->delivered_ms = call->now_ms;
    return true;
}

static void claim_one(redis_call_t *call, claiming_t *x, stream_id_t id)
{
    stream_pending_t *p = stream_pending_find(x->group, id);
    if (!stream_has(x->stream, id)) {
        if (p) forget(call, x, id, p);
        return;
    }
    if (p ? idle_enough(call, x, p) : x->force) take(call, x, id);
}

static void claim(redis_call_t *call, claiming_t *x, const claim_args_t *a)
{
    bool advanced = stream_id_cmp(a->last_id, x->group->last_id) > 0;
    if (advanced) x->group->last_id = a->last_id;
    find_consumer(call, x);
    reply_deferred_t d = reply_deferred_begin(call->client);
    uint64_t before = call->dirty;
    for (int i = 0; i < a->ids_count; i++) claim_one(call, x, a->ids[i]);
    reply_deferred_array(call->client, d, x->claimed);
    if (!advanced || call->dirty > before) return; /* each claim that travelled carries the last ID */
    stream__propagate_group_id(call, &x->at);
    call->dirty++;
}

void redis_cmd_xclaim(redis_call_t *call)
{
    claiming_t x = {0};
    claim_args_t a = {0};
    if (!find_group(call, &x)) return;
    if (!parse_min_idle(call, "ERR Invalid min-idle-time argument for XCLAIM", &x)) return;
    propagate_none(call);
    if (parse_claim(call, &x, &a)) claim(call, &x, &a);
    mem_free(a.ids);
}

/* ---- XAUTOCLAIM ------------------------------------------------------------------------------------------------------ */

typedef struct auto_args {
    stream_id_t from;
    int64_t count;
} auto_args_t;

static bool parse_auto(redis_call_t *call, claiming_t *x, auto_args_t *a)
{
    if (!parse_min_idle(call, "ERR Invalid min-idle-time argument for XAUTOCLAIM", x)) return false;
    if (!stream__start(call, 5, &a->from)) return false;
    a->count = AUTOCLAIM_COUNT_DEFAULT;
    for (int i = 6; i < call->argc; i++) {
        if (arg_is(call, i, "COUNT") && i + 1 < call->argc) {
            int64_t most = INT64_MAX / (int64_t)sizeof(stream_id_t);
            if (!arg_i64_in(call, ++i, 1, most, "ERR COUNT must be > 0", &a->count)) return false;
        } else if (arg_is(call, i, "JUSTID")) {
            x->just_id = true;
        } else {
            reply_error_syntax(call->client);
            return false;
        }
    }
    return true;
}

/* The IDs of entries that turned out to be gone. */
typedef struct gone {
    stream_id_t *ids;
    size_t count, room;
} gone_t;

static void remember_gone(gone_t *g, stream_id_t id)
{
    if (g->count == g->room) {
        g->room = g->room ? g->room * 2 : 16;
        g->ids = mem_realloc(g->ids, g->room * sizeof(*g->ids));
    }
    g->ids[g->count++] = id;
}

/* Goes through what is pending; returns where the next call is to begin, 0-0 at the end. */
static stream_id_t claim_idle(redis_call_t *call, claiming_t *x, auto_args_t *a, gone_t *gone)
{
    idtree_pos_t pos = idtree_seek_ge(&x->group->pending, a->from);
    uint64_t looks = (uint64_t)a->count * AUTOCLAIM_LOOKS;
    while (pos.leaf && looks-- > 0 && a->count > 0) {
        stream_id_t id = idtree_id(pos);
        const stream_pending_t *p = idtree_value(pos);
        bool there = stream_has(x->stream, id);
        if (!there) {
            forget(call, x, id, p);
            remember_gone(gone, id);
            pos = idtree_seek_ge(&x->group->pending, id);
        } else {
            pos = idtree_next(pos);
            if (!idle_enough(call, x, p)) continue;
            take(call, x, id); /* the group's tree stays as it is */
        }
        a->count--;
    }
    return pos.leaf ? idtree_id(pos) : STREAM_ID_LEAST;
}

/* The cursor comes first in the reply and is known last: what is claimed is put together aside. */
void redis_cmd_xautoclaim(redis_call_t *call)
{
    claiming_t x = {.deliveries = -1, .delivered_ms = call->now_ms};
    auto_args_t a;
    gone_t gone = {0};
    if (!parse_auto(call, &x, &a) || !find_group(call, &x)) return;
    propagate_none(call);
    find_consumer(call, &x);
    reply_array(call->client, 3);
    reply_deferred_t cursor = reply_deferred_begin(call->client), entries = reply_deferred_begin(call->client);
    stream_id_t next = claim_idle(call, &x, &a, &gone);
    reply_deferred_array(call->client, entries, x.claimed);
    char text[STREAM_ID_CHARS_MAX];
    reply_deferred_bulk(call->client, cursor, bytes_of(text, stream_id_format(text, next)));
    reply_array(call->client, gone.count);
    for (size_t i = 0; i < gone.count; i++) stream__reply_id(call->client, gone.ids[i]);
    mem_free(gone.ids);
}

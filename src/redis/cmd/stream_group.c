/* stream_group.c: XGROUP, XACK and XPENDING: groups made and unmade, and what is pending in them. */
#include "redis/cmd/stream.h"

#include "redis_commands.h"

#define CREATE_WORDS_MAX 8 /* each option once */

/* ---- XGROUP ---------------------------------------------------------------------------------------------------------- */

typedef struct group_options {
    bool make_stream;
    int64_t entries_read;
} group_options_t;

/* From argument 5 on: [MKSTREAM] [ENTRIESREAD n]. */
static bool parse_options(redis_call_t *call, bool creates, group_options_t *o)
{
    *o = (group_options_t){.entries_read = STREAM_ENTRIES_READ_UNKNOWN};
    for (int i = 5; i < call->argc; i++) {
        if (creates && arg_is(call, i, "MKSTREAM")) {
            o->make_stream = true;
        } else if (arg_is(call, i, "ENTRIESREAD") && i + 1 < call->argc) {
            if (!arg_i64(call, ++i, &o->entries_read)) return false;
            if (o->entries_read < 0 && o->entries_read != STREAM_ENTRIES_READ_UNKNOWN) {
                reply_error(call->client, "ERR value for ENTRIESREAD must be positive or -1");
                return false;
            }
        } else {
            stream__reply_syntax(call, "XGROUP");
            return false;
        }
    }
    return true;
}

/* The stream that a subcommand's argv[2] names; NULL when it is absent, which is an error unless `optional`. */
static bool find_stream(redis_call_t *call, bool optional, stream_t **ret_stream)
{
    redis_entry_t *entry;
    if (!key_write_type(call, call->argv[2], TYPE_STREAM, &entry)) return false;
    *ret_stream = entry ? entry_value(entry) : NULL;
    if (entry || optional) return true;
    reply_error(call->client,
                "ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to "
                "use the MKSTREAM option to create an empty stream automatically.");
    return false;
}

static bool find_group(redis_call_t *call, stream_t **ret_stream, stream_group_t **ret_group)
{
    if (!find_stream(call, false, ret_stream)) return false;
    bytes_t key = call->argv[2], name = call->argv[3];
    *ret_group = stream_group_find(*ret_stream, name);
    if (*ret_group) return true;
    reply_errorf(call->client, "NOGROUP No such consumer group '%.*s' for key name '%.*s'", (int)name.len,
                 (const char *)name.ptr, (int)key.len, (const char *)key.ptr);
    return false;
}

/* An ID or `$`, which is the stream's last one. */
static bool parse_last_id(redis_call_t *call, const stream_t *s, bool with_ends, stream_id_t *ret_id)
{
    if (bytes_eq(call->argv[4], BYTES_LIT("$"))) {
        *ret_id = s ? s->last_id : STREAM_ID_LEAST;
        return true;
    }
    return with_ends ? stream__id_or_end(call, 4, 0, ret_id) : stream__id(call, 4, 0, ret_id);
}

/* What changes in a group changes nothing for who watches the key, unless the stream is new. */
static void changed(redis_call_t *call, const char *event, bool is_new)
{
    call->dirty++;
    if (is_new)
        key_changed(call, call->argv[2], NOTIFY_STREAM, event);
    else
        key_event(call, call->argv[2], NOTIFY_STREAM, event);
}

void redis_cmd_xgroup_create(redis_call_t *call)
{
    group_options_t o;
    stream_t *s;
    stream_id_t id;
    if (!parse_options(call, true, &o) || !find_stream(call, o.make_stream, &s)) return;
    if (call->argc > CREATE_WORDS_MAX) {
        stream__reply_syntax(call, "XGROUP");
        return;
    }
    if (!parse_last_id(call, s, false, &id)) return;
    if (s && stream_group_find(s, call->argv[3])) {
        reply_error(call->client, "BUSYGROUP Consumer Group name already exists");
        return;
    }
    bool is_new = s == NULL;
    if (is_new) {
        s = stream_new();
        key_add(call, call->argv[2], TYPE_STREAM, ENC_STREAM, s);
    }
    stream_group_add(s, call->argv[3], id, o.entries_read);
    reply_ok(call->client);
    changed(call, "xgroup-create", is_new);
}

void redis_cmd_xgroup_setid(redis_call_t *call)
{
    group_options_t o;
    stream_t *s;
    stream_group_t *g;
    stream_id_t id;
    if (!parse_options(call, false, &o) || !find_group(call, &s, &g)) return;
    if (call->argc != 5 && call->argc != 7) {
        stream__reply_syntax(call, "XGROUP");
        return;
    }
    if (!parse_last_id(call, s, true, &id)) return;
    g->last_id = id;
    g->entries_read = o.entries_read;
    reply_ok(call->client);
    changed(call, "xgroup-setid", false);
}

void redis_cmd_xgroup_destroy(redis_call_t *call)
{
    stream_t *s;
    if (!find_stream(call, false, &s)) return;
    stream_group_t *g = stream_group_find(s, call->argv[3]);
    reply_int(call->client, g != NULL);
    if (!g) return;
    stream_group_remove(s, g);
    changed(call, "xgroup-destroy", false);
    key_grew(call, call->argv[2], TYPE_STREAM); /* who reads for the group is told that it is gone */
}

void redis_cmd_xgroup_createconsumer(redis_call_t *call)
{
    stream_t *s;
    stream_group_t *g;
    if (!find_group(call, &s, &g)) return;
    bool is_new = stream_consumer_find(g, call->argv[4]) == NULL;
    reply_int(call->client, is_new);
    if (!is_new) return;
    stream_consumer_add(g, call->argv[4], call->now_ms);
    changed(call, "xgroup-createconsumer", false);
}

void redis_cmd_xgroup_delconsumer(redis_call_t *call)
{
    stream_t *s;
    stream_group_t *g;
    if (!find_group(call, &s, &g)) return;
    stream_consumer_t *consumer = stream_consumer_find(g, call->argv[4]);
    reply_int(call->client, consumer ? (int64_t)consumer->pending.count : 0);
    if (!consumer) return;
    stream_consumer_remove(g, consumer);
    changed(call, "xgroup-delconsumer", false);
}

/* ---- XACK ------------------------------------------------------------------------------------------------------------ */

void redis_cmd_xack(redis_call_t *call)
{
    redis_entry_t *entry;
    if (!key_read_type(call, call->argv[1], TYPE_STREAM, &entry)) return;
    stream_group_t *g = entry ? stream_group_find(entry_value(entry), call->argv[2]) : NULL;
    if (!g) {
        reply_int(call->client, 0);
        return;
    }
    stream_id_t *ids = stream__ids(call, 3);
    if (!ids) return;
    (void)key_write(call, call->argv[1]);
    int64_t acknowledged = 0;
    for (int i = 3; i < call->argc; i++) acknowledged += stream_pending_drop(g, ids[i - 3]);
    mem_free(ids);
    call->dirty += (uint64_t)acknowledged;
    reply_int(call->client, acknowledged);
}

/* ---- XPENDING -------------------------------------------------------------------------------------------------------- */

typedef struct pending_options {
    int64_t min_idle_ms, count;
    stream_id_t from, to;
    int consumer_index; /* 0: any */
} pending_options_t;

/* [IDLE ms] start end count [consumer], from argument 3 on. */
static bool parse_pending(redis_call_t *call, pending_options_t *o)
{
    int i = 3;
    *o = (pending_options_t){0};
    if (call->argc < 6 || call->argc > 9) {
        reply_error_syntax(call->client);
        return false;
    }
    if (arg_is(call, 3, "IDLE")) {
        if (!arg_i64(call, 4, &o->min_idle_ms)) return false;
        if (call->argc < 8) {
            reply_error_syntax(call->client);
            return false;
        }
        i += 2;
    }
    if (!arg_i64(call, i + 2, &o->count)) return false;
    if (!stream__start(call, i, &o->from) || !stream__end(call, i + 1, &o->to)) return false;
    if (i + 3 < call->argc) o->consumer_index = i + 3;
    return true;
}

static bool is_counted(const stream_consumer_t *consumer)
{
    return consumer->pending.count > 0 && !stream__is_nobody(consumer);
}

static void reply_consumer_counts(redis_client_t *c, const stream_group_t *g)
{
    size_t counted = 0, count = table_count(&g->consumers);
    stream_consumer_t **all = stream_consumers_sorted(g);
    for (size_t i = 0; i < count; i++) counted += is_counted(all[i]);
    reply_array(c, counted);
    for (size_t i = 0; i < count; i++) {
        if (!is_counted(all[i])) continue;
        reply_array(c, 2);
        reply_bulk(c, stream_consumer_name(all[i]));
        reply_bulk_i64(c, (int64_t)all[i]->pending.count);
    }
    mem_free(all);
}

static void reply_summary(redis_client_t *c, const stream_group_t *g)
{
    reply_array(c, 4);
    reply_int(c, (int64_t)g->pending.count);
    if (g->pending.count == 0) {
        reply_null(c);
        reply_null(c);
        reply_null_array(c);
        return;
    }
    stream__reply_id(c, idtree_id(idtree_first(&g->pending)));
    stream__reply_id(c, idtree_id(idtree_last(&g->pending)));
    reply_consumer_counts(c, g);
}

static void reply_pending(redis_call_t *call, const idtree_t *pending, const pending_options_t *o)
{
    redis_client_t *c = call->client;
    int64_t replied = 0;
    reply_deferred_t d = reply_deferred_begin(c);
    idtree_pos_t pos = idtree_seek_ge(pending, o->from);
    for (; pos.leaf && replied < o->count && stream_id_cmp(idtree_id(pos), o->to) <= 0; pos = idtree_next(pos)) {
        const stream_pending_t *p = idtree_value(pos);
        int64_t idle_ms = call->now_ms - p->delivered_ms;
        if (o->min_idle_ms && idle_ms < o->min_idle_ms) continue;
        reply_array(c, 4);
        stream__reply_id(c, idtree_id(pos));
        reply_bulk(c, stream_consumer_name(p->consumer));
        reply_int(c, stream__idle_ms(call, p));
        reply_int(c, (int64_t)p->deliveries);
        replied++;
    }
    reply_deferred_array(c, d, (size_t)replied);
}

void redis_cmd_xpending(redis_call_t *call)
{
    pending_options_t o;
    redis_entry_t *entry;
    bytes_t key = call->argv[1], name = call->argv[2];
    if (call->argc != 3 && !parse_pending(call, &o)) return;
    if (!key_read_type(call, key, TYPE_STREAM, &entry)) return;
    const stream_group_t *g = entry ? stream_group_find(entry_value(entry), name) : NULL;
    if (!g) {
        reply_errorf(call->client, "NOGROUP No such key '%.*s' or consumer group '%.*s'", (int)key.len,
                     (const char *)key.ptr, (int)name.len, (const char *)name.ptr);
        return;
    }
    if (call->argc == 3) {
        reply_summary(call->client, g);
        return;
    }
    const stream_consumer_t *consumer = o.consumer_index ? stream_consumer_find(g, call->argv[o.consumer_index]) : NULL;
    if (o.consumer_index && !consumer)
        reply_array(call->client, 0);
    else
        reply_pending(call, consumer ? &consumer->pending : &g->pending, &o);
}

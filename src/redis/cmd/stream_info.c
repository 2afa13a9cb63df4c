/* stream_info.c: XINFO: what a stream, its groups and their consumers are like. */
#include "redis/cmd/stream.h"

#include "redis/types/stream_idmp.h"
#include "redis_commands.h"

#define IDMP_FIELDS        6
#define FULL_COUNT_DEFAULT 10 /* entries and pending ones that FULL shows of each */

static void reply_name(redis_client_t *c, const char *name) { reply_bulk_str(c, name); }

static void reply_named_int(redis_client_t *c, const char *name, int64_t v)
{
    reply_name(c, name);
    reply_int(c, v);
}

static void reply_named_id(redis_client_t *c, const char *name, stream_id_t id)
{
    reply_name(c, name);
    stream__reply_id(c, id);
}

static void reply_named_bytes(redis_client_t *c, const char *name, bytes_t text)
{
    reply_name(c, name);
    reply_bulk(c, text);
}

static bool find_stream(redis_call_t *call, const stream_t **ret_stream)
{
    redis_entry_t *entry;
    if (!key_read_type(call, call->argv[2], TYPE_STREAM, &entry)) return false;
    if (entry)
        *ret_stream = entry_value(entry);
    else
        reply_error_no_such_key(call->client);
    return entry != NULL;
}

static void reply_progress(redis_client_t *c, const stream_t *s, const stream_group_t *g)
{
    int64_t lag;
    reply_name(c, "entries-read");
    if (g->entries_read != STREAM_ENTRIES_READ_UNKNOWN)
        reply_int(c, g->entries_read);
    else
        reply_null(c);
    reply_name(c, "lag");
    if (stream_group_lag(s, g, &lag))
        reply_int(c, lag);
    else
        reply_null(c);
}

/* ---- STREAM ---------------------------------------------------------------------------------------------------------- */

static void reply_edge(redis_client_t *c, const char *name, const stream_t *s, bool last)
{
    stream_cursor_t cursor = stream_range(s, STREAM_ID_LEAST, STREAM_ID_GREATEST, last);
    reply_name(c, name);
    if (stream_next(&cursor))
        stream__reply_entry(c, &cursor.entry);
    else
        reply_null(c);
}

/* The pending entries of a group, with their consumers, or of one consumer. */
static void reply_pending(redis_client_t *c, const idtree_t *pending, uint64_t count, bool with_consumer)
{
    uint64_t n = count ? MIN(count, (uint64_t)pending->count) : pending->count;
    idtree_pos_t pos = idtree_first(pending);
    reply_array(c, n);
    for (; n > 0; n--, pos = idtree_next(pos)) {
        const stream_pending_t *p = idtree_value(pos);
        reply_array(c, with_consumer ? 4 : 3);
        stream__reply_id(c, idtree_id(pos));
        if (with_consumer) reply_bulk(c, stream_consumer_name(p->consumer));
        reply_int(c, p->delivered_ms);
        reply_int(c, (int64_t)p->deliveries);
    }
}

static void reply_consumer_full(redis_client_t *c, const stream_consumer_t *consumer, uint64_t count)
{
    reply_map(c, 5);
    reply_named_bytes(c, "name", stream_consumer_name(consumer));
    reply_named_int(c, "seen-time", consumer->seen_ms);
    reply_named_int(c, "active-time", consumer->active_ms);
    reply_named_int(c, "pel-count", (int64_t)consumer->pending.count);
    reply_name(c, "pending");
    reply_pending(c, &consumer->pending, count, false);
}

/* What XNACK gave back and nobody has taken since; NULL when there is nothing. */
static const stream_consumer_t *nobody_of(const stream_group_t *g)
{
    const stream_consumer_t *found = stream_consumer_find(g, STREAM_NOBODY);
    return found && stream__is_nobody(found) ? found : NULL;
}

/* Consumers without the nobody that holds what was given back. */
static size_t consumers_count(const stream_group_t *g) { return table_count(&g->consumers) - (nobody_of(g) != NULL); }

static void reply_group_full(redis_client_t *c, const stream_t *s, const stream_group_t *g, uint64_t count)
{
    const stream_consumer_t *nobody = nobody_of(g);
    reply_map(c, nobody ? 8 : 7);
    reply_named_bytes(c, "name", stream_group_name(g));
    reply_named_id(c, "last-delivered-id", g->last_id);
    reply_progress(c, s, g);
    reply_named_int(c, "pel-count", (int64_t)g->pending.count);
    if (nobody) reply_named_int(c, "nacked-count", (int64_t)nobody->pending.count);
    reply_name(c, "pending");
    reply_pending(c, &g->pending, count, true);
    reply_name(c, "consumers");
    stream_consumer_t **all = stream_consumers_sorted(g);
    reply_array(c, consumers_count(g));
    for (size_t i = 0; i < table_count(&g->consumers); i++)
        if (all[i] != nobody) reply_consumer_full(c, all[i], count);
    mem_free(all);
}

static void reply_contents(redis_client_t *c, const stream_t *s, uint64_t count)
{
    stream_cursor_t cursor = stream_range(s, STREAM_ID_LEAST, STREAM_ID_GREATEST, false);
    reply_name(c, "entries");
    stream__reply_range(c, &cursor, count);
    reply_name(c, "groups");
    stream_group_t **all = stream_groups_sorted(s);
    reply_array(c, table_count(&s->groups));
    for (size_t i = 0; i < table_count(&s->groups); i++) reply_group_full(c, s, all[i], count);
    mem_free(all);
}

/* [FULL [COUNT n]], from argument 3 on. */
static bool parse_full(redis_call_t *call, bool *ret_full, uint64_t *ret_count)
{
    int64_t count = FULL_COUNT_DEFAULT;
    *ret_full = call->argc > 3;
    bool fits = call->argc == 3 || ((call->argc == 4 || call->argc == 6) && arg_is(call, 3, "FULL"));
    if (!fits || (call->argc == 6 && !arg_is(call, 4, "COUNT"))) {
        stream__reply_syntax(call, "XINFO");
        return false;
    }
    if (call->argc == 6 && !arg_i64(call, 5, &count)) return false;
    *ret_count = count < 0 ? FULL_COUNT_DEFAULT : (uint64_t)count;
    return true;
}

static void reply_idmp(redis_client_t *c, const stream_t *s)
{
    stream_idmp_info_t info = stream_idmp_info(s);
    reply_named_int(c, "idmp-duration", info.duration_s);
    reply_named_int(c, "idmp-maxsize", info.maxsize);
    reply_named_int(c, "pids-tracked", (int64_t)info.producers);
    reply_named_int(c, "iids-tracked", (int64_t)info.tracked);
    reply_named_int(c, "iids-added", (int64_t)info.added);
    reply_named_int(c, "iids-duplicates", (int64_t)info.duplicates);
}

/* The names speak of the original's radix tree; the numbers are those of the tree that is here. */
void redis_cmd_xinfo_stream(redis_call_t *call)
{
    const stream_t *s;
    bool full;
    uint64_t count;
    redis_client_t *c = call->client;
    if (!find_stream(call, &s) || !parse_full(call, &full, &count)) return;
    reply_map(c, (full ? 9u : 10u) + (s->idmp ? IDMP_FIELDS : 0u));
    reply_named_int(c, "length", (int64_t)s->length);
    reply_named_int(c, "radix-tree-keys", (int64_t)s->nodes.count);
    reply_named_int(c, "radix-tree-nodes", (int64_t)s->nodes.nodes_count);
    reply_named_id(c, "last-generated-id", s->last_id);
    reply_named_id(c, "max-deleted-entry-id", s->max_deleted_id);
    reply_named_int(c, "entries-added", (int64_t)s->entries_added);
    reply_named_id(c, "recorded-first-entry-id", s->first_id);
    if (s->idmp) reply_idmp(c, s);
    if (full) {
        reply_contents(c, s, count);
        return;
    }
    reply_named_int(c, "groups", (int64_t)table_count(&s->groups));
    reply_edge(c, "first-entry", s, false);
    reply_edge(c, "last-entry", s, true);
}

/* ---- GROUPS, CONSUMERS ----------------------------------------------------------------------------------------------- */

static void reply_group(redis_client_t *c, const stream_t *s, const stream_group_t *g)
{
    reply_map(c, 6);
    reply_named_bytes(c, "name", stream_group_name(g));
    reply_named_int(c, "consumers", (int64_t)consumers_count(g));
    reply_named_int(c, "pending", (int64_t)g->pending.count);
    reply_named_id(c, "last-delivered-id", g->last_id);
    reply_progress(c, s, g);
}

void redis_cmd_xinfo_groups(redis_call_t *call)
{
    const stream_t *s;
    if (!find_stream(call, &s)) return;
    stream_group_t **all = stream_groups_sorted(s);
    reply_array(call->client, table_count(&s->groups));
    for (size_t i = 0; i < table_count(&s->groups); i++) reply_group(call->client, s, all[i]);
    mem_free(all);
}

static void reply_consumer(redis_call_t *call, const stream_consumer_t *consumer)
{
    redis_client_t *c = call->client;
    bool active = consumer->active_ms != STREAM_NEVER_ACTIVE;
    reply_map(c, 4);
    reply_named_bytes(c, "name", stream_consumer_name(consumer));
    reply_named_int(c, "pending", (int64_t)consumer->pending.count);
    reply_named_int(c, "idle", MAX(call->now_ms - consumer->seen_ms, (int64_t)0));
    reply_named_int(c, "inactive", active ? call->now_ms - consumer->active_ms : STREAM_NEVER_ACTIVE);
}

void redis_cmd_xinfo_consumers(redis_call_t *call)
{
    const stream_t *s;
    if (!find_stream(call, &s)) return;
    bytes_t key = call->argv[2], name = call->argv[3];
    const stream_group_t *g = stream_group_find(s, name);
    if (!g) {
        reply_errorf(call->client, "NOGROUP No such consumer group '%.*s' for key name '%.*s'", (int)name.len,
                     (const char *)name.ptr, (int)key.len, (const char *)key.ptr);
        return;
    }
    stream_consumer_t **all = stream_consumers_sorted(g);
    const stream_consumer_t *nobody = nobody_of(g);
    reply_array(call->client, consumers_count(g));
    for (size_t i = 0; i < table_count(&g->consumers); i++)
        if (all[i] != nobody) reply_consumer(call, all[i]);
    mem_free(all);
}

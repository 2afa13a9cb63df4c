/* stream_refs.c: XDELEX and XACKDEL: entries deleted with a view to the groups that have them pending or have yet to be given
 * them. The reply says of each ID: 1 deleted, 2 still needed, -1 not there (XACKDEL: not pending). */
#include "redis/cmd/stream.h"

#include "redis_commands.h"

typedef struct refs_options {
    stream_refs_t refs;
    int first_id, ids_count;
} refs_options_t;

static bool parse_options(redis_call_t *call, int from, refs_options_t *o)
{
    *o = (refs_options_t){0};
    for (int i = from; i < call->argc; i++) {
        if (stream__refs(call, i, &o->refs)) continue;
        if (arg_is(call, i, "IDS") && o->ids_count == 0) {
            if (!stream__ids_block(call, &i, &o->first_id, &o->ids_count)) return false;
            continue;
        }
        reply_error_syntax(call->client);
        return false;
    }
    if (o->ids_count == 0) reply_error_syntax(call->client);
    return o->ids_count > 0;
}

static int64_t code_of(stream_deleted_t deleted)
{
    return deleted == STREAM_DELETED ? 1 : deleted == STREAM_REFERRED ? 2 : -1;
}

static void reply_absent(redis_call_t *call, const refs_options_t *o)
{
    reply_array(call->client, (size_t)o->ids_count);
    for (int i = 0; i < o->ids_count; i++) reply_int(call->client, -1);
}

static void reply_deletions(redis_call_t *call, stream_t *s, stream_group_t *acknowledged, const refs_options_t *o,
                            const stream_id_t *ids)
{
    uint64_t deleted = 0;
    reply_array(call->client, (size_t)o->ids_count);
    for (int i = 0; i < o->ids_count; i++) {
        size_t dropped = acknowledged ? stream_pending_drop(acknowledged, ids[i]) : 0, others = 0;
        stream_deleted_t outcome = STREAM_ABSENT;
        if (!acknowledged || dropped) outcome = stream_delete_with(s, ids[i], o->refs, &others);
        /* One that was acknowledged and was no longer there has gone as well. */
        reply_int(call->client, acknowledged && dropped && outcome == STREAM_ABSENT ? 1 : code_of(outcome));
        deleted += outcome == STREAM_DELETED;
        call->dirty += dropped + others + (outcome == STREAM_DELETED);
    }
    if (deleted) key_changed(call, call->argv[1], NOTIFY_STREAM, "xdel");
}

void redis_cmd_xdelex(redis_call_t *call)
{
    refs_options_t o;
    redis_entry_t *entry;
    if (!parse_options(call, 2, &o) || !key_write_type(call, call->argv[1], TYPE_STREAM, &entry)) return;
    stream_id_t *ids = stream__ids_of(call, o.first_id, o.ids_count);
    if (!ids) return;
    if (entry)
        reply_deletions(call, entry_value(entry), NULL, &o, ids);
    else
        reply_absent(call, &o);
    mem_free(ids);
}

void redis_cmd_xackdel(redis_call_t *call)
{
    refs_options_t o;
    redis_entry_t *entry;
    if (!parse_options(call, 3, &o) || !key_write_type(call, call->argv[1], TYPE_STREAM, &entry)) return;
    stream_id_t *ids = stream__ids_of(call, o.first_id, o.ids_count);
    if (!ids) return;
    stream_group_t *g = entry ? stream_group_find(entry_value(entry), call->argv[2]) : NULL;
    if (g)
        reply_deletions(call, entry_value(entry), g, &o, ids);
    else
        reply_absent(call, &o);
    mem_free(ids);
}

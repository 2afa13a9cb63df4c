/* stream_nack.c: XNACK: a consumer gives pending entries back. They stay pending, of nobody, and are the first that others may
 * claim, however long they want an entry to have been idle. */
#include "redis/cmd/stream.h"

#include "redis_commands.h"

typedef enum { NACK_SILENT, NACK_FAIL, NACK_FATAL } nack_mode_t;

typedef struct nack_options {
    nack_mode_t mode;
    int first_id, ids_count;
    int64_t deliveries; /* -1: as the mode says */
    bool force;
} nack_options_t;

static bool parse_mode(redis_call_t *call, nack_mode_t *ret_mode)
{
    static const char *const words[] = {"SILENT", "FAIL", "FATAL"};
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (!arg_is(call, 3, words[i])) continue;
        *ret_mode = (nack_mode_t)i;
        return true;
    }
    reply_error_syntax(call->client);
    return false;
}

static bool parse_options(redis_call_t *call, nack_options_t *o)
{
    *o = (nack_options_t){.deliveries = -1};
    if (!parse_mode(call, &o->mode)) return false;
    for (int i = 4; i < call->argc; i++) {
        if (arg_is(call, i, "IDS") && o->ids_count == 0) {
            if (!stream__ids_block(call, &i, &o->first_id, &o->ids_count)) return false;
        } else if (arg_is(call, i, "RETRYCOUNT") && i + 1 < call->argc) {
            if (!arg_i64_in(call, ++i, 0, INT64_MAX, "ERR Invalid RETRYCOUNT option argument for XNACK",
                            &o->deliveries))
                return false;
        } else if (arg_is(call, i, "FORCE")) {
            o->force = true;
        } else {
            reply_error_syntax(call->client);
            return false;
        }
    }
    if (o->ids_count == 0) reply_error_syntax(call->client);
    return o->ids_count > 0;
}

static uint64_t deliveries_of(const nack_options_t *o, uint64_t had)
{
    if (o->deliveries >= 0) return (uint64_t)o->deliveries;
    if (o->mode == NACK_FATAL) return STREAM_DELIVERIES_MAX;
    return o->mode == NACK_SILENT && had > 0 ? had - 1 : had;
}

static bool give_back(redis_call_t *call, const stream_place_t *at, stream_t *s, stream_group_t *g,
                      const nack_options_t *o, stream_id_t id)
{
    bool added;
    const stream_pending_t *had = stream_pending_find(g, id);
    if (!had && !(o->force && stream_has(s, id))) return false;
    stream_consumer_t *nobody = stream_consumer_find(g, STREAM_NOBODY);
    if (!nobody) nobody = stream_consumer_add(g, STREAM_NOBODY, call->now_ms);
    stream_pending_t *p = stream_pending_give(g, id, nobody, &added);
    stream_pending_deliver(g, id, p, 0);
    p->deliveries = deliveries_of(o, p->deliveries);
    stream__propagate_claim(call, at, id, p);
    return true;
}

void redis_cmd_xnack(redis_call_t *call)
{
    nack_options_t o;
    stream_t *s;
    stream_group_t *g;
    int64_t released = 0;
    if (!parse_options(call, &o)) return;
    stream_id_t *ids = stream__ids_of(call, o.first_id, o.ids_count);
    if (!ids) return;
    if (stream__group(call, &s, &g)) {
        stream_place_t at = {call->argv[1], call->argv[2], g};
        propagate_none(call);
        for (int i = 0; i < o.ids_count; i++) released += give_back(call, &at, s, g, &o, ids[i]);
        call->dirty += (uint64_t)released;
        reply_int(call->client, released);
        if (released) key_grew(call, call->argv[1], TYPE_STREAM);
    }
    mem_free(ids);
}

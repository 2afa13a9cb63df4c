/* stream_read_args.c: the arguments of XREAD and XREADGROUP. */
#include "redis/cmd/stream_read.h"

#define CLAIM_MS_MAX (INT64_MAX / 4) /* nothing has been pending for longer */

static bool refuse(redis_call_t *call, const char *text)
{
    reply_error(call->client, text);
    return false;
}

static bool parse_streams(redis_call_t *call, int i, read_options_t *o)
{
    int words = call->argc - i - 1;
    if (words % 2) {
        reply_errorf(call->client,
                     "ERR Unbalanced '%s' list of streams: for each stream key an ID or '%c' must be specified.",
                     o->grouped ? "xreadgroup" : "xread", o->grouped ? '>' : '$');
        return false;
    }
    o->first_key = i + 1;
    o->keys_count = words / 2;
    return true;
}

static bool parse_count(redis_call_t *call, int i, uint64_t *ret_count)
{
    int64_t count;
    if (!arg_i64(call, i, &count)) return false;
    *ret_count = (uint64_t)MAX(count, (int64_t)0);
    return true;
}

static bool parse_claim(redis_call_t *call, int i, read_options_t *o)
{
    if (!o->grouped)
        return refuse(call, "ERR The CLAIM option is only supported by XREADGROUP. You called XREAD instead.");
    if (!arg_i64_in(call, i, 0, INT64_MAX, "ERR min-idle-time must be a non-negative integer", &o->claim_ms))
        return false;
    o->claim_ms = MIN(o->claim_ms, CLAIM_MS_MAX);
    return true;
}

/* One option at *i, which moves on to its last word. */
static bool parse_option(redis_call_t *call, int *i, read_options_t *o)
{
    int more = call->argc - *i - 1;
    if (more && arg_is(call, *i, "BLOCK")) return arg_timeout_ms(call, ++*i, &o->timeout_ms);
    if (more && arg_is(call, *i, "COUNT")) return parse_count(call, ++*i, &o->count);
    if (more && arg_is(call, *i, "MAXCOUNT")) return parse_count(call, ++*i, &o->maxcount);
    if (more && arg_is(call, *i, "MAXSIZE")) return parse_count(call, ++*i, &o->maxsize);
    if (more && arg_is(call, *i, "CLAIM")) return parse_claim(call, ++*i, o);
    if (more && arg_is(call, *i, "STREAMS")) return parse_streams(call, *i, o);
    if (more >= 2 && arg_is(call, *i, "GROUP")) {
        if (!o->grouped)
            return refuse(call, "ERR The GROUP option is only supported by XREADGROUP. You called XREAD instead.");
        o->group = call->argv[*i + 1];
        o->consumer = call->argv[*i + 2];
        *i += 2;
        return true;
    }
    if (!arg_is(call, *i, "NOACK")) {
        reply_error_syntax(call->client);
        return false;
    }
    if (!o->grouped)
        return refuse(call, "ERR The NOACK option is only supported by XREADGROUP. You called XREAD instead.");
    o->noack = true;
    return true;
}

bool stream__read_options(redis_call_t *call, read_options_t *o)
{
    for (int i = 1; i < call->argc && o->first_key == 0; i++)
        if (!parse_option(call, &i, o)) return false;
    if (o->first_key == 0) {
        reply_error_syntax(call->client);
        return false;
    }
    return !o->grouped || o->group.ptr || refuse(call, "ERR Missing GROUP option for XREADGROUP");
}

#define MEANINGLESS(id)                                                                                                \
    "ERR The " id " ID is meaningless in the context of XREADGROUP: you want to read the history of this consumer by " \
    "specifying a proper ID, or use the > ID to get new messages. The " id                                             \
    " ID would just return an empty result set."

/* `$`, `+` and `>`; false when it is none of them, or when an error was replied (*ret_ok false). */
static bool parse_special(redis_call_t *call, const read_options_t *o, bytes_t text, const stream_t *s, wanted_t *w,
                          bool *ret_ok)
{
    char c = text.len == 1 ? (char)text.ptr[0] : '\0';
    *ret_ok = true;
    if (c != '$' && c != '+' && c != '>') return false;
    if (c == '>') {
        w->fresh = true;
        if (!o->grouped)
            *ret_ok = refuse(call, "ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> "
                                   "<consumer> option.");
        return true;
    }
    if (o->grouped) {
        *ret_ok = refuse(call, c == '$' ? MEANINGLESS("$") : MEANINGLESS("+"));
        return true;
    }
    w->after = s ? s->last_id : STREAM_ID_LEAST;
    if (c == '+' && s && stream_id_cmp(w->after, STREAM_ID_LEAST) > 0) (void)stream_id_decrement(&w->after);
    return true;
}

/* Looks at each stream, its group and the ID in turn, so that the first that is wrong is told of. */
bool stream__read_wanted(redis_call_t *call, const read_options_t *o, int i, wanted_t *w)
{
    redis_entry_t *entry;
    bool ok;
    bytes_t key = call->argv[o->first_key + i];
    int id_index = o->first_key + o->keys_count + i;
    *w = (wanted_t){.key = key};
    if (!key_read_type(call, key, TYPE_STREAM, &entry)) return false;
    const stream_t *s = entry ? entry_value(entry) : NULL;
    if (o->grouped && (!s || !stream_group_find(s, o->group))) {
        reply_errorf(call->client,
                     "NOGROUP No such key '%.*s' or consumer group '%.*s' in XREADGROUP with GROUP option",
                     (int)key.len, (const char *)key.ptr, (int)o->group.len, (const char *)o->group.ptr);
        return false;
    }
    if (parse_special(call, o, call->argv[id_index], s, w, &ok)) return ok;
    return stream__id(call, id_index, 0, &w->after);
}

/* stream_read.c: XREAD and XREADGROUP: what came to several streams, or what a consumer is given of them. One that finds
 * nothing and may wait runs again from its start when something came; `$` is then the ID that it stood for at first. */
#include "redis/cmd/stream.h"

#include "redis_commands.h"

typedef struct read_options {
    bool grouped; /* XREADGROUP */
    bytes_t group, consumer;
    bool noack;
    uint64_t count;     /* 0 = all */
    int64_t timeout_ms; /* -1: does not wait */
    int first_key, keys_count;
} read_options_t;

/* What is wanted of one stream. */
typedef struct wanted {
    bytes_t key;
    stream_id_t after;
    bool fresh; /* `>` */
} wanted_t;

/* ---- arguments ------------------------------------------------------------------------------------------------------- */

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

static bool parse_count(redis_call_t *call, int i, read_options_t *o)
{
    int64_t count;
    if (!arg_i64(call, i, &count)) return false;
    o->count = (uint64_t)MAX(count, (int64_t)0);
    return true;
}

/* One option at *i, which moves on to its last word. */
static bool parse_option(redis_call_t *call, int *i, read_options_t *o)
{
    int more = call->argc - *i - 1;
    if (more && arg_is(call, *i, "BLOCK")) return arg_timeout_ms(call, ++*i, &o->timeout_ms);
    if (more && arg_is(call, *i, "COUNT")) return parse_count(call, ++*i, o);
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

static bool parse_options(redis_call_t *call, read_options_t *o)
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
    if (c == '+' && s && !stream_id_decrement(&w->after))
        *ret_ok = refuse(call, "ERR the stream last element ID is 0-0");
    return true;
}

/* Looks at each stream, its group and the ID in turn, so that the first that is wrong is told of. */
static bool parse_wanted(redis_call_t *call, const read_options_t *o, int i, wanted_t *w)
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

/* ---- replies --------------------------------------------------------------------------------------------------------- */

/* The reply of several streams, begun when the first has something. */
typedef struct read_reply {
    redis_client_t *client;
    bool alone; /* of one stream: nobody has to count */
    size_t streams;
    reply_deferred_t deferred;
} read_reply_t;

static void begin_stream(read_reply_t *r, bytes_t key)
{
    redis_client_t *c = r->client;
    bool resp3 = redis_client_resp(c) == 3;
    if (r->alone && resp3) reply_map(c, 1);
    if (r->alone && !resp3) reply_array(c, 1);
    if (!r->alone && r->streams == 0) r->deferred = reply_deferred_begin(c);
    r->streams++;
    if (!resp3) reply_array(c, 2);
    reply_bulk(c, key);
}

static void end_streams(read_reply_t *r)
{
    if (r->alone || r->streams == 0) return;
    if (redis_client_resp(r->client) == 3)
        reply_deferred_map(r->client, r->deferred, r->streams);
    else
        reply_deferred_array(r->client, r->deferred, r->streams);
}

/* ---- plain reading --------------------------------------------------------------------------------------------------- */

/* Whether an entry greater than `after` is there. */
static bool has_more(const stream_t *s, stream_id_t after)
{
    stream_id_t last;
    return stream_last_live(s, &last) && stream_id_cmp(last, after) > 0;
}

/* All that is greater than `after`. */
static stream_cursor_t cursor_after(const stream_t *s, stream_id_t after)
{
    bool more = stream_id_increment(&after);
    return more ? stream_range(s, after, STREAM_ID_GREATEST, false)
                : stream_range(s, STREAM_ID_GREATEST, STREAM_ID_LEAST, false);
}

static void read_plain(redis_call_t *call, const read_options_t *o, const wanted_t *w, read_reply_t *r)
{
    redis_entry_t *entry = key_read(call, w->key);
    if (!entry || !has_more(entry_value(entry), w->after)) return;
    begin_stream(r, w->key);
    stream_cursor_t c = cursor_after(entry_value(entry), w->after);
    stream__reply_range(call->client, &c, o->count);
}

/* ---- of a group ------------------------------------------------------------------------------------------------------ */

/* What a consumer is given of one stream, to be told to the append-only file afterwards. */
typedef struct giving {
    stream_place_t at;
    stream_group_t *group;
    stream_consumer_t *consumer;
    stream_id_t *ids;
    size_t count, room;
} giving_t;

static void remember(giving_t *g, stream_id_t id)
{
    if (g->count == g->room) {
        g->room = g->room ? g->room * 2 : 16;
        g->ids = mem_realloc(g->ids, g->room * sizeof(*g->ids));
    }
    g->ids[g->count++] = id;
}

/* An entry that another consumer has (the group's ID was set back) changes hands. */
static void give(redis_call_t *call, giving_t *g, stream_id_t id)
{
    bool added;
    stream_pending_t *p = stream_pending_give(g->group, id, g->consumer, &added);
    p->delivered_ms = g->consumer->active_ms = call->now_ms;
    p->deliveries = 1;
    remember(g, id);
}

static void give_next(redis_call_t *call, const read_options_t *o, const stream_t *s, giving_t *g,
                      const stream_entry_t *e)
{
    stream_group_advance(s, g->group, e->id);
    stream__reply_entry(call->client, e);
    if (!o->noack) give(call, g, e->id);
}

static void propagate_giving(redis_call_t *call, const giving_t *g)
{
    stream__propagate_given(call, &g->at, stream_consumer_name(g->consumer), g->ids, g->count);
    stream__propagate_group_id(call, &g->at);
}

/* There is at least one entry. */
static void read_fresh(redis_call_t *call, const read_options_t *o, const stream_t *s, giving_t *g)
{
    uint64_t replied = 0;
    stream_cursor_t c = cursor_after(s, g->group->last_id);
    bool one = o->count == 1;
    reply_deferred_t d = {0};
    if (one)
        reply_array(call->client, 1);
    else
        d = reply_deferred_begin(call->client);
    while ((o->count == 0 || replied < o->count) && stream_next(&c)) {
        give_next(call, o, s, g, &c.entry);
        replied++;
    }
    if (!one) reply_deferred_array(call->client, d, replied);
    propagate_giving(call, g);
    mem_free(g->ids);
}

/* What is pending for the consumer, from an ID on: each is delivered once more; of an entry that is gone only the ID is
 * there. */
static void read_history(redis_call_t *call, const read_options_t *o, const stream_t *s, giving_t *g, stream_id_t after)
{
    uint64_t replied = 0;
    bool more = stream_id_increment(&after);
    reply_deferred_t d = reply_deferred_begin(call->client);
    idtree_pos_t pos = more ? idtree_seek_ge(&g->consumer->pending, after) : (idtree_pos_t){NULL, 0};
    for (; pos.leaf && (o->count == 0 || replied < o->count); pos = idtree_next(pos)) {
        stream_pending_t *p = idtree_value(pos);
        if (stream__reply_entry_at(call->client, s, idtree_id(pos))) {
            p->delivered_ms = call->now_ms;
            p->deliveries++;
        } else {
            reply_array(call->client, 2);
            stream__reply_id(call->client, idtree_id(pos));
            reply_null_array(call->client);
        }
        replied++;
    }
    reply_deferred_array(call->client, d, replied);
}

static void read_grouped(redis_call_t *call, const read_options_t *o, const wanted_t *w, read_reply_t *r)
{
    stream_t *s = entry_value(key_write(call, w->key));
    giving_t g = {.group = stream_group_find(s, o->group)};
    g.at = (stream_place_t){w->key, o->group, g.group};
    bool created, more = w->fresh && has_more(s, g.group->last_id);
    g.consumer = stream__consumer(call, &g.at, g.group, o->consumer, &created);
    if (created && (o->noack || !more)) stream__propagate_consumer(call, &g.at, o->consumer);
    if (w->fresh && !more) return;
    begin_stream(r, w->key);
    call->dirty++;
    if (w->fresh)
        read_fresh(call, o, s, &g);
    else
        read_history(call, o, s, &g, w->after);
}

/* ---- waiting --------------------------------------------------------------------------------------------------------- */

/* The command as it is kept: with the IDs that `$` stands for now. */
static bool block(redis_call_t *call, const read_options_t *o, const wanted_t *wanted)
{
    bytes_t *argv = mem_alloc((size_t)call->argc * sizeof(*argv));
    char(*ids)[STREAM_ID_CHARS_MAX] = mem_alloc((size_t)o->keys_count * sizeof(*ids));
    const bytes_t *as_sent = call->argv;
    memcpy(argv, call->argv, (size_t)call->argc * sizeof(*argv));
    for (int i = 0; i < o->keys_count; i++) {
        bytes_t *id = &argv[o->first_key + o->keys_count + i];
        if (bytes_eq(*id, BYTES_LIT("$"))) *id = bytes_of(ids[i], stream_id_format(ids[i], wanted[i].after));
    }
    call->argv = argv;
    key_wait_t wait = {
        .type = TYPE_STREAM, .timeout_ms = o->timeout_ms, .on_timeout = BLOCK_NULL_ARRAY, .line = o->group};
    bool blocked = key_block_as(call, as_sent + o->first_key, (size_t)o->keys_count, &wait);
    call->argv = as_sent;
    mem_free(argv);
    mem_free(ids);
    return blocked;
}

/* What a history read or a wait changed travels by itself, and a read that changed nothing not at all. */
static void read_streams(redis_call_t *call, bool grouped)
{
    read_options_t o = {.grouped = grouped, .timeout_ms = -1};
    propagate_none(call);
    if (!parse_options(call, &o)) return;
    wanted_t *wanted = mem_alloc((size_t)o.keys_count * sizeof(*wanted));
    read_reply_t r = {.client = call->client, .alone = o.keys_count == 1};
    bool ok = true;
    for (int i = 0; i < o.keys_count && ok; i++) ok = parse_wanted(call, &o, i, &wanted[i]);
    for (int i = 0; i < o.keys_count && ok; i++) {
        if (grouped)
            read_grouped(call, &o, &wanted[i], &r);
        else
            read_plain(call, &o, &wanted[i], &r);
    }
    end_streams(&r);
    bool waits = ok && r.streams == 0 && o.timeout_ms != -1 && block(call, &o, wanted);
    if (ok && r.streams == 0 && !waits) reply_null_array(call->client);
    mem_free(wanted);
}

void redis_cmd_xread(redis_call_t *call) { read_streams(call, false); }
void redis_cmd_xreadgroup(redis_call_t *call) { read_streams(call, true); }

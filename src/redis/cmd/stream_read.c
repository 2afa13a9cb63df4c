/* stream_read.c: XREAD and XREADGROUP: what came to several streams, or what a consumer is given of them. One that finds
 * nothing and may wait runs again from its start when something came; `$` is then the ID that it stood for at first. */
#include "redis/cmd/stream_read.h"

#include "base/buf.h"
#include "redis_commands.h"

#define CLAIM_LOOK_MS_MIN 10 /* how often one that waits looks for what has become idle, at most */

/* ---- replies --------------------------------------------------------------------------------------------------------- */

/* The reply of several streams, begun when the first has something. */
typedef struct read_reply {
    redis_client_t *client;
    const read_options_t *options;
    size_t streams;
    uint64_t entries, bytes; /* of all streams */
    bool open;               /* the stream at hand has something */
    uint64_t here;           /* its entries */
    reply_deferred_t all, entries_here;
} read_reply_t;

static bool is_alone(const read_reply_t *r) { return r->options->keys_count == 1; }
/* Nobody has to count them. */
static bool is_one(const read_reply_t *r) { return r->options->count == 1 || r->options->maxcount == 1; }

static void begin_streams(read_reply_t *r)
{
    if (!is_alone(r))
        r->all = reply_deferred_begin(r->client);
    else if (redis_client_resp(r->client) == 3)
        reply_map(r->client, 1);
    else
        reply_array(r->client, 1);
}

static void end_streams(read_reply_t *r)
{
    if (is_alone(r) || r->streams == 0) return;
    if (redis_client_resp(r->client) == 3)
        reply_deferred_map(r->client, r->all, r->streams);
    else
        reply_deferred_array(r->client, r->all, r->streams);
}

static void open_stream(read_reply_t *r, bytes_t key, bool one)
{
    if (r->open) return;
    if (r->streams++ == 0) begin_streams(r);
    if (redis_client_resp(r->client) == 2) reply_array(r->client, 2);
    reply_bulk(r->client, key);
    r->open = true;
    if (one)
        reply_array(r->client, 1);
    else
        r->entries_here = reply_deferred_begin(r->client);
}

static void close_stream(read_reply_t *r, bool one)
{
    if (r->open && !one) reply_deferred_array(r->client, r->entries_here, r->here);
    r->open = false;
    r->here = 0;
}

static size_t bytes_of_entry(const stream_entry_t *e)
{
    char room[NUM_I64_CHARS_MAX];
    size_t bytes = 0;
    for (stream_field_t f = stream_fields(e); stream_field_next(&f);)
        bytes += lp_text(f.name, room).len + lp_text(f.value, room).len;
    return bytes;
}

/* Whether the reply takes one more, which then counts. `e` NULL: of an entry that is gone. */
static bool take_one(read_reply_t *r, const stream_entry_t *e)
{
    const read_options_t *o = r->options;
    if ((o->count && r->here >= o->count) || (o->maxcount && r->entries >= o->maxcount)) return false;
    if (o->maxsize && e) {
        size_t bytes = bytes_of_entry(e);
        if (r->entries && r->bytes + bytes > o->maxsize) return false;
        r->bytes += bytes;
    }
    r->entries++;
    r->here++;
    return true;
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

static void read_plain(redis_call_t *call, const wanted_t *w, read_reply_t *r)
{
    redis_entry_t *entry = key_read(call, w->key);
    if (!entry || !has_more(entry_value(entry), w->after)) return;
    stream_cursor_t c = cursor_after(entry_value(entry), w->after);
    while (stream_next(&c) && take_one(r, &c.entry)) {
        open_stream(r, w->key, is_one(r));
        stream__reply_entry(call->client, &c.entry);
    }
    close_stream(r, is_one(r));
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
    stream_pending_deliver(g->group, id, p, call->now_ms);
    g->consumer->active_ms = call->now_ms;
    p->deliveries = 1;
    remember(g, id);
}

/* An entry with how long ago and how often it had been delivered before. */
static void reply_claimed(redis_client_t *c, const stream_entry_t *e, int64_t idle_ms, uint64_t deliveries)
{
    reply_array(c, 4);
    stream__reply_entry_parts(c, e);
    reply_int(c, idle_ms);
    reply_int(c, (int64_t)deliveries);
}

/* To who claims, entries that nobody has had look like those that somebody had. */
static void reply_fresh(redis_client_t *c, const stream_entry_t *e, const read_options_t *o)
{
    if (o->claim_ms >= 0)
        reply_claimed(c, e, 0, 0);
    else
        stream__reply_entry(c, e);
}

static void read_fresh(redis_call_t *call, const stream_t *s, giving_t *g, read_reply_t *r)
{
    bool advanced = false;
    stream_cursor_t c = cursor_after(s, g->group->last_id);
    while (stream_next(&c) && take_one(r, &c.entry)) {
        advanced = true;
        open_stream(r, g->at.key, is_one(r));
        stream_group_advance(s, g->group, c.entry.id);
        reply_fresh(call->client, &c.entry, r->options);
        if (!r->options->noack) give(call, g, c.entry.id);
    }
    stream__propagate_given(call, &g->at, stream_consumer_name(g->consumer), g->ids, g->count);
    if (advanced) stream__propagate_group_id(call, &g->at);
    mem_free(g->ids);
}

/* The entry that was pending longest becomes the consumer's; false when the reply takes no more. */
static bool claim_one(redis_call_t *call, stream_t *s, giving_t *g, read_reply_t *r, stream_id_t id)
{
    stream_pending_t *p = stream_pending_find(g->group, id);
    stream_cursor_t c = stream_range(s, id, id, false);
    bool added;
    if (!stream_next(&c)) {
        stream__propagate_claim(call, &g->at, id, p);
        stream_pending_drop(g->group, id);
        call->dirty++;
        return true;
    }
    if (!take_one(r, &c.entry)) return false;
    open_stream(r, g->at.key, is_one(r));
    reply_claimed(call->client, &c.entry, stream__idle_ms(call, p), p->deliveries);
    p = stream_pending_give(g->group, id, g->consumer, &added);
    stream_pending_deliver(g->group, id, p, call->now_ms);
    g->consumer->active_ms = call->now_ms;
    if (p->deliveries < STREAM_DELIVERIES_MAX) p->deliveries++;
    stream__propagate_claim(call, &g->at, id, p);
    return true;
}

static void claim_idle(redis_call_t *call, stream_t *s, giving_t *g, read_reply_t *r)
{
    stream_id_t id;
    int64_t at_ms;
    for (size_t looks = g->group->pending.count; looks > 0; looks--) {
        if (!stream_pending_oldest(g->group, &id, &at_ms) || call->now_ms - at_ms < r->options->claim_ms) return;
        if (!claim_one(call, s, g, r, id)) return;
    }
}

static void reply_gone(redis_client_t *c, stream_id_t id)
{
    reply_array(c, 2);
    stream__reply_id(c, id);
    reply_null_array(c);
}

/* What is pending for the consumer, from an ID on: each is delivered once more; of an entry that is gone only the ID is
 * there. */
static void read_history(redis_call_t *call, const stream_t *s, giving_t *g, read_reply_t *r, stream_id_t after)
{
    bool more = stream_id_increment(&after);
    idtree_pos_t pos = more ? idtree_seek_ge(&g->consumer->pending, after) : (idtree_pos_t){NULL, 0};
    open_stream(r, g->at.key, false);
    for (; pos.leaf; pos = idtree_next(pos)) {
        stream_id_t id = idtree_id(pos);
        stream_pending_t *p = idtree_value(pos);
        stream_cursor_t c = stream_range(s, id, id, false);
        bool there = stream_next(&c);
        if (!take_one(r, there ? &c.entry : NULL)) break;
        if (!there) {
            reply_gone(call->client, id);
            continue;
        }
        stream__reply_entry(call->client, &c.entry);
        stream_pending_deliver(g->group, id, p, call->now_ms);
        if (p->deliveries < STREAM_DELIVERIES_MAX) p->deliveries++;
    }
    close_stream(r, false);
}

static void read_grouped(redis_call_t *call, const wanted_t *w, read_reply_t *r)
{
    const read_options_t *o = r->options;
    stream_t *s = entry_value(key_write(call, w->key));
    giving_t g = {.group = stream_group_find(s, o->group)};
    g.at = (stream_place_t){w->key, o->group, g.group};
    bool created, more = w->fresh && has_more(s, g.group->last_id);
    g.consumer = stream__consumer(call, &g.at, g.group, o->consumer, &created);
    if (created && (o->noack || !more)) stream__propagate_consumer(call, &g.at, o->consumer);
    uint64_t before = r->entries;
    if (!w->fresh) {
        read_history(call, s, &g, r, w->after);
        call->dirty++;
        return;
    }
    if (o->claim_ms >= 0) claim_idle(call, s, &g, r);
    if (more) read_fresh(call, s, &g, r);
    close_stream(r, is_one(r));
    call->dirty += r->entries > before;
}

/* ---- waiting --------------------------------------------------------------------------------------------------------- */

/* How long until something may have become idle enough to be claimed; 0 when nothing is to be claimed. */
static int64_t look_again_ms(redis_call_t *call, const read_options_t *o, const wanted_t *wanted)
{
    int64_t soonest_ms = o->claim_ms;
    if (o->claim_ms < 0) return 0;
    for (int i = 0; i < o->keys_count; i++) {
        stream_id_t id;
        int64_t at_ms;
        stream_t *s = entry_value(key_peek(call, wanted[i].key));
        if (!stream_pending_oldest(stream_group_find(s, o->group), &id, &at_ms)) continue;
        soonest_ms = MIN(soonest_ms, at_ms + o->claim_ms - call->now_ms);
    }
    return MAX(soonest_ms, (int64_t)CLAIM_LOOK_MS_MIN);
}

/* Those who also claim stand in a line of their own: what they find the others do not. */
static bytes_t line_name(const read_options_t *o, buf_t *room)
{
    if (o->claim_ms < 0) return o->group;
    buf_append(room, o->group.ptr, o->group.len);
    buf_append(room, "\0CLAIM", sizeof("\0CLAIM"));
    return buf_bytes(room);
}

/* The command as it is kept: with the IDs that `$` stands for now. */
static bool block(redis_call_t *call, const read_options_t *o, const wanted_t *wanted)
{
    bytes_t *argv = mem_alloc((size_t)call->argc * sizeof(*argv));
    char(*ids)[STREAM_ID_CHARS_MAX] = mem_alloc((size_t)o->keys_count * sizeof(*ids));
    const bytes_t *as_sent = call->argv;
    buf_t line = BUF_INIT;
    memcpy(argv, call->argv, (size_t)call->argc * sizeof(*argv));
    for (int i = 0; i < o->keys_count; i++) {
        bytes_t *id = &argv[o->first_key + o->keys_count + i];
        if (bytes_eq(*id, BYTES_LIT("$"))) *id = bytes_of(ids[i], stream_id_format(ids[i], wanted[i].after));
    }
    call->argv = argv;
    key_wait_t wait = {.type = TYPE_STREAM,
                       .timeout_ms = o->timeout_ms,
                       .on_timeout = BLOCK_NULL_ARRAY,
                       .again_ms = look_again_ms(call, o, wanted),
                       .line = line_name(o, &line)};
    bool blocked = key_block_as(call, as_sent + o->first_key, (size_t)o->keys_count, &wait);
    call->argv = as_sent;
    buf_deinit(&line);
    mem_free(argv);
    mem_free(ids);
    return blocked;
}

/* What a history read or a wait changed travels by itself, and a read that changed nothing not at all. */
static void read_streams(redis_call_t *call, bool grouped)
{
    read_options_t o = {.grouped = grouped, .timeout_ms = -1, .claim_ms = -1};
    propagate_none(call);
    if (!stream__read_options(call, &o)) return;
    wanted_t *wanted = mem_alloc((size_t)o.keys_count * sizeof(*wanted));
    read_reply_t r = {.client = call->client, .options = &o};
    bool ok = true;
    for (int i = 0; i < o.keys_count && ok; i++) ok = stream__read_wanted(call, &o, i, &wanted[i]);
    for (int i = 0; i < o.keys_count && ok; i++) {
        if (grouped)
            read_grouped(call, &wanted[i], &r);
        else
            read_plain(call, &wanted[i], &r);
    }
    end_streams(&r);
    bool waits = ok && r.streams == 0 && o.timeout_ms != -1 && block(call, &o, wanted);
    if (ok && r.streams == 0 && !waits) reply_null_array(call->client);
    mem_free(wanted);
}

void redis_cmd_xread(redis_call_t *call) { read_streams(call, false); }
void redis_cmd_xreadgroup(redis_call_t *call) { read_streams(call, true); }

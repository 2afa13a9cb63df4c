/* rdb_stream.c: streams written and read; see rdb_value.h.
 *
 *     nodes        count, then for each: its key (a string of 16 bytes, big-endian), its listpack
 *     the stream   length, last ID; since RDB_STREAM_2 first ID, greatest deleted ID, entries added
 *     groups       count, then for each: name, last ID, entries read (RDB_STREAM_2)
 *         pending      count, then for each: ID (16 bytes), time, deliveries
 *         consumers    count, then for each: name, time seen, time active (RDB_STREAM_3)
 *             pending      count, then the IDs: each is one of the group's, and nobody else's */
#include "redis/types/rdb_value.h"
#include "redis/types/stream_group.h"

#define ID_BYTES 16

/* ---- writing --------------------------------------------------------------------------------------------------------- */

static void put_id(rdb_writer_t *w, stream_id_t id)
{
    rdb_put_length(w, id.ms);
    rdb_put_length(w, id.seq);
}

static void store_id(uint8_t out[ID_BYTES], stream_id_t id)
{
    store_be64(out, id.ms);
    store_be64(out + 8, id.seq);
}

static void put_raw_id(rdb_writer_t *w, stream_id_t id)
{
    rdb_put_i64(w, (int64_t)__builtin_bswap64(id.ms));
    rdb_put_i64(w, (int64_t)__builtin_bswap64(id.seq));
}

static void put_nodes(rdb_writer_t *w, const stream_t *s)
{
    uint8_t key[ID_BYTES];
    rdb_put_length(w, s->nodes.count);
    for (idtree_pos_t pos = idtree_first(&s->nodes); pos.leaf; pos = idtree_next(pos)) {
        store_id(key, idtree_id(pos));
        rdb_put_string(w, bytes_of(key, sizeof(key)));
        rdb_put_string(w, stream_node_image(pos));
    }
}

static void put_pending(rdb_writer_t *w, const idtree_t *pending, bool with_records)
{
    rdb_put_length(w, pending->count);
    for (idtree_pos_t pos = idtree_first(pending); pos.leaf; pos = idtree_next(pos)) {
        const stream_pending_t *p = idtree_value(pos);
        put_raw_id(w, idtree_id(pos));
        if (!with_records) continue;
        rdb_put_i64(w, p->delivered_ms);
        rdb_put_length(w, p->deliveries);
    }
}

static void put_consumer(rdb_writer_t *w, const stream_consumer_t *c)
{
    rdb_put_string(w, stream_consumer_name(c));
    rdb_put_i64(w, c->seen_ms);
    rdb_put_i64(w, c->active_ms);
    put_pending(w, &c->pending, false);
}

static void put_group(rdb_writer_t *w, const stream_group_t *g)
{
    rdb_put_string(w, stream_group_name(g));
    put_id(w, g->last_id);
    rdb_put_length(w, (uint64_t)g->entries_read);
    put_pending(w, &g->pending, true);
    stream_consumer_t **all = stream_consumers_sorted(g);
    rdb_put_length(w, table_count(&g->consumers));
    for (size_t i = 0; i < table_count(&g->consumers); i++) put_consumer(w, all[i]);
    mem_free(all);
}

void rdb__put_stream(rdb_writer_t *w, const stream_t *s)
{
    put_nodes(w, s);
    rdb_put_length(w, s->length);
    put_id(w, s->last_id);
    put_id(w, s->first_id);
    put_id(w, s->max_deleted_id);
    rdb_put_length(w, s->entries_added);
    stream_group_t **all = stream_groups_sorted(s);
    rdb_put_length(w, table_count(&s->groups));
    for (size_t i = 0; i < table_count(&s->groups); i++) put_group(w, all[i]);
    mem_free(all);
}

/* ---- reading --------------------------------------------------------------------------------------------------------- */

typedef struct stream_reader {
    rdb_reader_t *r;
    stream_t *stream;
    rdb_type_t type;
} stream_reader_t;

static int get_id(rdb_reader_t *r, stream_id_t *ret_id)
{
    int err = rdb_get_length(r, &ret_id->ms);
    return err ? err : rdb_get_length(r, &ret_id->seq);
}

static int get_raw_id(rdb_reader_t *r, stream_id_t *ret_id)
{
    int64_t ms, seq;
    int err = rdb_get_i64(r, &ms);
    if (!err) err = rdb_get_i64(r, &seq);
    if (!err) *ret_id = (stream_id_t){__builtin_bswap64((uint64_t)ms), __builtin_bswap64((uint64_t)seq)};
    return err;
}

static int get_node(stream_reader_t *x)
{
    bytes_t text;
    int err = rdb_get_string(x->r, &text);
    if (err) return err;
    if (text.len != ID_BYTES) return ERR_CORRUPT;
    stream_id_t key = {load_be64(text.ptr), load_be64(text.ptr + 8)};
    err = rdb_get_string(x->r, &text);
    return err ? err : stream_add_node(x->stream, key, text);
}

/* What the nodes say is believed; what else is written must agree. */
static int get_numbers(stream_reader_t *x)
{
    stream_t *s = x->stream;
    stream_id_t first, last = STREAM_ID_LEAST;
    uint64_t length;
    int err = rdb_get_length(x->r, &length);
    if (!err) err = get_id(x->r, &s->last_id);
    s->entries_added = s->length;
    if (!err && x->type != RDB_STREAM) {
        err = get_id(x->r, &first);
        if (!err) err = get_id(x->r, &s->max_deleted_id);
        if (!err) err = rdb_get_length(x->r, &s->entries_added);
    }
    if (err) return err;
    (void)stream_last_live(s, &last);
    return length == s->length && stream_id_cmp(last, s->last_id) <= 0 ? 0 : ERR_CORRUPT;
}

static int get_pending(stream_reader_t *x, stream_group_t *g)
{
    uint64_t count = 0;
    int err = rdb_get_length(x->r, &count);
    for (uint64_t i = 0; i < count && !err; i++) {
        stream_id_t id;
        stream_pending_t p = {0};
        bool added = true;
        err = get_raw_id(x->r, &id);
        if (!err) err = rdb_get_i64(x->r, &p.delivered_ms);
        if (!err) err = rdb_get_length(x->r, &p.deliveries);
        if (err) return err;
        if (p.delivered_ms < 0 || p.deliveries > STREAM_DELIVERIES_MAX) return ERR_CORRUPT;
        p.order = ++g->deliveries;
        void **slot = idtree_slot(&g->pending, id, &added);
        if (!added) return ERR_CORRUPT;
        *slot = mem_alloc(sizeof(p));
        *(stream_pending_t *)*slot = p;
    }
    return err;
}

/* The IDs that a consumer has of the group's; *owned counts them. */
static int get_owned(stream_reader_t *x, stream_group_t *g, stream_consumer_t *c, size_t *owned)
{
    uint64_t count = 0;
    int err = rdb_get_length(x->r, &count);
    for (uint64_t i = 0; i < count && !err; i++) {
        stream_id_t id;
        bool added;
        if ((err = get_raw_id(x->r, &id))) return err;
        stream_pending_t *p = stream_pending_find(g, id);
        if (!p || p->consumer) return ERR_CORRUPT;
        *idtree_slot(&c->pending, id, &added) = p;
        p->consumer = c;
        ++*owned;
    }
    return err;
}

static int get_consumer(stream_reader_t *x, stream_group_t *g, size_t *owned)
{
    bytes_t name;
    int err = rdb_get_string(x->r, &name);
    if (err) return err;
    if (stream_consumer_find(g, name)) return ERR_CORRUPT;
    stream_consumer_t *c = stream_consumer_add(g, name, 0);
    err = rdb_get_i64(x->r, &c->seen_ms);
    c->active_ms = c->seen_ms;
    if (!err && x->type == RDB_STREAM_3) err = rdb_get_i64(x->r, &c->active_ms);
    return err ? err : get_owned(x, g, c, owned);
}

static int get_entries_read(stream_reader_t *x, stream_group_t *g)
{
    uint64_t read;
    if (x->type != RDB_STREAM) {
        int err = rdb_get_length(x->r, &read);
        if (!err) g->entries_read = (int64_t)read < 0 ? STREAM_ENTRIES_READ_UNKNOWN : (int64_t)read;
        return err;
    }
    if (stream_entries_before(x->stream, g->last_id, &read)) g->entries_read = (int64_t)read;
    return 0;
}

static int get_group(stream_reader_t *x)
{
    bytes_t name;
    stream_id_t last_id;
    uint64_t consumers = 0;
    size_t owned = 0;
    int err = rdb_get_string(x->r, &name);
    if (err) return err;
    if (stream_group_find(x->stream, name)) return ERR_CORRUPT;
    stream_group_t *g = stream_group_add(x->stream, name, STREAM_ID_LEAST, STREAM_ENTRIES_READ_UNKNOWN);
    err = get_id(x->r, &last_id);
    if (!err) g->last_id = last_id;
    if (!err) err = get_entries_read(x, g);
    if (!err) err = get_pending(x, g);
    if (!err) err = rdb_get_length(x->r, &consumers);
    for (uint64_t i = 0; i < consumers && !err; i++) err = get_consumer(x, g, &owned);
    return err || owned == g->pending.count ? err : ERR_CORRUPT;
}

int rdb__get_stream(rdb_reader_t *r, rdb_type_t type, value_t *ret_value)
{
    stream_reader_t x = {r, stream_new(), type};
    uint64_t nodes = 0, groups = 0;
    *ret_value = (value_t){x.stream, ENC_STREAM};
    int err = rdb_get_length(r, &nodes);
    for (uint64_t i = 0; i < nodes && !err; i++) err = get_node(&x);
    if (!err) err = get_numbers(&x);
    if (!err) err = rdb_get_length(r, &groups);
    for (uint64_t i = 0; i < groups && !err; i++) err = get_group(&x);
    return err;
}

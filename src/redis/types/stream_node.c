/* stream_node.c: see stream_node.h. */
#include "redis/types/stream_node.h"

enum {
    MASTER_ELEMENTS = 4, /* live, deleted, number of fields, 0 */
    ENTRY_ELEMENTS = 5,  /* flags, ms, seq, number of fields, count */
    SEEK_STEPS_MIN = 4,  /* in shorter nodes the end is no help */
};

static const uint8_t *skip_many(const uint8_t *p, size_t count)
{
    while (count-- > 0) p = lp_skip(p);
    return p;
}

stream_node_t stream_node_open(const uint8_t *lp, stream_id_t key)
{
    stream_node_t n = {.lp = lp, .key = key};
    const uint8_t *p = lp + LP_HEADER_BYTES;
    n.live = (size_t)lp_int(p);
    p = lp_skip(p);
    n.deleted = (size_t)lp_int(p);
    p = lp_skip(p);
    n.fields_count = (size_t)lp_int(p);
    n.names = lp_skip(p);
    n.entries = lp_skip(skip_many(n.names, n.fields_count));
    return n;
}

/* ---- walking --------------------------------------------------------------------------------------------------------- */

static bool read_entry(const stream_node_t *n, const uint8_t *p, stream_entry_t *e)
{
    if (*p == LP_EOF) return false;
    e->start = p;
    e->flags = (unsigned)lp_int(p);
    p = lp_skip(p);
    e->id.ms = n->key.ms + (uint64_t)lp_int(p);
    p = lp_skip(p);
    e->id.seq = n->key.seq + (uint64_t)lp_int(p);
    p = lp_skip(p);
    bool same = e->flags & STREAM_ENTRY_SAME_FIELDS;
    e->fields_count = same ? n->fields_count : (size_t)lp_int(p);
    e->names = same ? n->names : NULL;
    e->values = same ? p : lp_skip(p);
    return true;
}

bool stream_node_first(const stream_node_t *n, stream_entry_t *e) { return read_entry(n, n->entries, e); }

bool stream_node_next(const stream_node_t *n, stream_entry_t *e)
{
    size_t elements = e->names ? e->fields_count : e->fields_count * 2;
    return read_entry(n, lp_skip(skip_many(e->values, elements)), e);
}

/* The entry in front of `p`, another's start or the end byte. */
static bool read_before(const stream_node_t *n, const uint8_t *p, stream_entry_t *e)
{
    if (p == n->entries) return false;
    p = lp_prev(n->lp, p);
    for (int64_t count = lp_int(p); count > 0; count--) p = lp_prev(n->lp, p);
    return read_entry(n, p, e);
}

bool stream_node_last(const stream_node_t *n, stream_entry_t *e)
{
    return read_before(n, n->lp + lp_bytes(n->lp) - 1, e);
}

bool stream_node_prev(const stream_node_t *n, stream_entry_t *e) { return read_before(n, e->start, e); }

static bool precedes(const stream_entry_t *e, stream_id_t id)
{
    return !(e->flags & STREAM_ENTRY_DELETED) && stream_id_cmp(e->id, id) < 0;
}

static bool reached(const stream_entry_t *e, stream_id_t id)
{
    return !(e->flags & STREAM_ENTRY_DELETED) && stream_id_cmp(e->id, id) >= 0;
}

/* From both ends in turn: who follows a stream reads near its end. */
bool stream_node_seek(const stream_node_t *n, stream_id_t id, stream_entry_t *e)
{
    if (!stream_node_first(n, e)) return false;
    if (stream_id_cmp(id, n->key) <= 0 || n->live + n->deleted < SEEK_STEPS_MIN) return true;
    stream_entry_t back, behind = {.start = n->lp + lp_bytes(n->lp) - 1};
    bool more = stream_node_last(n, &back);
    while (!reached(e, id)) {
        if (!more || precedes(&back, id)) return read_entry(n, behind.start, e);
        behind = back;
        more = stream_node_prev(n, &back);
        if (!stream_node_next(n, e)) return false;
    }
    return true;
}

/* ---- changing -------------------------------------------------------------------------------------------------------- */

size_t stream_node_bytes_max(const stream_fields_in_t *in)
{
    size_t names_twice = in->bytes * 2; /* a new node has its first entry's names and, beside them, the entry */
    return names_twice + (MASTER_ELEMENTS + ENTRY_ELEMENTS + in->count * 3) * LP_ENTRY_OVERHEAD_BYTES_MAX;
}

uint8_t *stream_node_new(size_t room_bytes, const stream_fields_in_t *in)
{
    lp_appender_t a = lp_append_begin(lp_new(room_bytes), stream_node_bytes_max(in));
    lp_append_put_i64(&a, 0);
    lp_append_put_i64(&a, 0);
    lp_append_put_i64(&a, (int64_t)in->count);
    for (size_t i = 0; i < in->count; i++) lp_append_put(&a, in->pairs[i * 2]);
    lp_append_put_i64(&a, 0);
    return lp_append_end(&a);
}

static bool has_names_of(const stream_node_t *n, const stream_fields_in_t *in)
{
    const uint8_t *p = n->names;
    if (in->count != n->fields_count) return false;
    for (size_t i = 0; i < in->count; i++, p = lp_skip(p))
        if (!lp_eq(p, in->pairs[i * 2])) return false;
    return true;
}

uint8_t *stream_node_append(uint8_t *lp, stream_id_t key, stream_id_t id, const stream_fields_in_t *in)
{
    stream_node_t n = stream_node_open(lp, key);
    bool same = has_names_of(&n, in);
    size_t elements = in->count * (same ? 1 : 2);
    lp = lp_replace_i64(lp, lp + LP_HEADER_BYTES, (int64_t)n.live + 1);
    lp_appender_t a = lp_append_begin(lp, in->bytes + (ENTRY_ELEMENTS + elements) * LP_ENTRY_OVERHEAD_BYTES_MAX);
    lp_append_put_i64(&a, same ? STREAM_ENTRY_SAME_FIELDS : 0);
    lp_append_put_i64(&a, (int64_t)(id.ms - key.ms));
    lp_append_put_i64(&a, (int64_t)(id.seq - key.seq));
    if (!same) lp_append_put_i64(&a, (int64_t)in->count);
    for (size_t i = same ? 1 : 0; i < in->count * 2; i += same ? 2 : 1) lp_append_put(&a, in->pairs[i]);
    lp_append_put_i64(&a, (int64_t)(elements + (same ? 3 : 4)));
    return lp_append_end(&a);
}

/* Flags take one byte whatever they are, so the byte is changed where it is. */
void stream_node_flag_deleted(const stream_entry_t *e) { *(uint8_t *)e->start |= STREAM_ENTRY_DELETED; }

uint8_t *stream_node_count_deleted(uint8_t *lp, size_t count)
{
    const uint8_t *p = lp + LP_HEADER_BYTES;
    lp = lp_replace_i64(lp, p, lp_int(p) - (int64_t)count);
    p = lp_skip(lp + LP_HEADER_BYTES);
    return lp_replace_i64(lp, p, lp_int(p) + (int64_t)count);
}

/* ---- bytes from outside ---------------------------------------------------------------------------------------------- */

/* Elements of a listpack that is whole in itself, taken one by one. */
typedef struct elements {
    const uint8_t *p; /* the end byte: none is left */
    size_t left;
} elements_t;

static bool take_int(elements_t *x, int64_t min, int64_t max, int64_t *ret_v)
{
    if (x->left == 0) return false;
    lp_value_t v = lp_get(x->p);
    if (v.ptr || v.i64 < min || v.i64 > max) return false;
    x->p = lp_skip(x->p);
    x->left--;
    *ret_v = v.i64;
    return true;
}

static bool take_any(elements_t *x, size_t count)
{
    if (count > x->left) return false;
    x->p = skip_many(x->p, count);
    x->left -= count;
    return true;
}

static bool check_master(elements_t *x, int64_t *ret_live, int64_t *ret_deleted, int64_t *ret_fields)
{
    int64_t zero, most = (int64_t)x->left;
    return take_int(x, 0, most, ret_live) && take_int(x, 0, most, ret_deleted) && take_int(x, 0, most, ret_fields) &&
           take_any(x, (size_t)*ret_fields) && take_int(x, 0, 0, &zero);
}

static bool check_entry(elements_t *x, stream_id_t key, int64_t fields, stream_entry_t *ret_entry)
{
    size_t before = x->left;
    int64_t flags, ms, seq, count;
    if (x->left == 0 || *x->p > STREAM_ENTRY_DELETED + STREAM_ENTRY_SAME_FIELDS) return false; /* in its one byte */
    if (!take_int(x, 0, STREAM_ENTRY_DELETED + STREAM_ENTRY_SAME_FIELDS, &flags)) return false;
    if (!take_int(x, INT64_MIN, INT64_MAX, &ms) || !take_int(x, INT64_MIN, INT64_MAX, &seq)) return false;
    bool same = flags & STREAM_ENTRY_SAME_FIELDS;
    if (!same && !take_int(x, 0, (int64_t)x->left, &fields)) return false;
    if (!take_any(x, (size_t)fields * (same ? 1 : 2))) return false;
    int64_t taken = (int64_t)(before - x->left);
    ret_entry->flags = (unsigned)flags;
    ret_entry->id = (stream_id_t){key.ms + (uint64_t)ms, key.seq + (uint64_t)seq};
    return take_int(x, taken, taken, &count);
}

/* Live entries' IDs rise from the key on; deleted ones', which nobody is shown, may be any. */
static bool follows(stream_node_sum_t *sum, stream_id_t key, stream_id_t id)
{
    if (stream_id_cmp(id, sum->live ? sum->last : key) < (sum->live ? 1 : 0)) return false;
    if (sum->live++ == 0) sum->first = id;
    sum->last = id;
    return true;
}

int stream_node_validate(bytes_t image, stream_id_t key, stream_node_sum_t *ret_sum)
{
    int64_t live, deleted, fields, seen = 0;
    int err = lp_validate(image);
    if (err) return err;
    elements_t x = {image.ptr + LP_HEADER_BYTES, lp_count(image.ptr)};
    stream_node_sum_t sum = {0};
    if (!check_master(&x, &live, &deleted, &fields)) return ERR_CORRUPT;
    for (; x.left > 0; seen++) {
        stream_entry_t e;
        if (!check_entry(&x, key, fields, &e)) return ERR_CORRUPT;
        if (!(e.flags & STREAM_ENTRY_DELETED) && !follows(&sum, key, e.id)) return ERR_CORRUPT;
    }
    if ((int64_t)sum.live != live || live + deleted != seen) return ERR_CORRUPT;
    *ret_sum = sum;
    return 0;
}

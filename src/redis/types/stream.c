/* stream.c: see stream.h. */
#include "redis/types/stream.h"

#include "redis/types/emit.h"
#include "redis/types/stream_group.h"
#include "redis/types/stream_idmp.h"

#include <errno.h>
#include <stdlib.h>

#define ID_TEXT_MAX 127 /* longer text is no ID, whatever it says */

stream_t *stream_new(void)
{
    stream_t *s = mem_zalloc(sizeof(*s));
    stream_groups_init(s);
    return s;
}

static void free_node(void *lp) { lp_free(lp); }

void stream_free(stream_t *s)
{
    idtree_deinit(&s->nodes, free_node);
    stream_groups_deinit(s);
    stream_idmp_free(s->idmp);
    mem_free(s);
}

/* ---- IDs as text ----------------------------------------------------------------------------------------------------- */

size_t stream_id_format(char out[STREAM_ID_CHARS_MAX], stream_id_t id)
{
    size_t n = num_format_u64(out, id.ms);
    out[n++] = '-';
    return n + num_format_u64(out + n, id.seq);
}

/* What the original takes beside plain digits, by way of strtoull: blanks and a plus in front, leading zeros. */
static bool parse_u64_oddly(bytes_t text, uint64_t *ret_v)
{
    char copy[ID_TEXT_MAX + 1], *end;
    int64_t negative;
    if (text.len > ID_TEXT_MAX || num_parse_i64(text, &negative)) return false;
    if (text.len) memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    errno = 0;
    *ret_v = strtoull(copy, &end, 10);
    return errno == 0 && end != copy && *end == '\0';
}

static bool parse_u64(bytes_t text, uint64_t *ret_v)
{
    uint64_t v = 0;
    if (text.len == 0 || (text.len > 1 && text.ptr[0] == '0')) return parse_u64_oddly(text, ret_v);
    for (size_t i = 0; i < text.len; i++) {
        unsigned digit = text.ptr[i] - (unsigned)'0';
        if (digit > 9) return parse_u64_oddly(text, ret_v);
        if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, digit, &v)) return false;
    }
    *ret_v = v;
    return true;
}

bool stream_id_parse(bytes_t text, uint64_t missing_seq, stream_id_t *ret_id)
{
    stream_id_t id = {.seq = missing_seq};
    if (text.len > ID_TEXT_MAX) return false;
    const uint8_t *dash = text.len ? memchr(text.ptr, '-', text.len) : NULL;
    size_t ms_len = dash ? (size_t)(dash - text.ptr) : text.len;
    if (!parse_u64(bytes_of(text.ptr, ms_len), &id.ms)) return false;
    if (dash && !parse_u64(bytes_of(dash + 1, text.len - ms_len - 1), &id.seq)) return false;
    *ret_id = id;
    return true;
}

bool stream_id_increment(stream_id_t *id)
{
    if (++id->seq) return true;
    return ++id->ms != 0;
}

bool stream_id_decrement(stream_id_t *id)
{
    if (id->seq--) return true;
    return id->ms-- != 0;
}

/* ---- reading --------------------------------------------------------------------------------------------------------- */

stream_cursor_t stream_range(const stream_t *s, stream_id_t from, stream_id_t to, bool backwards)
{
    stream_cursor_t c = {.stream = s, .from = from, .to = to, .backwards = backwards};
    c.pos = idtree_seek_le(&s->nodes, backwards ? to : from);
    if (!c.pos.leaf && !backwards) c.pos = idtree_first(&s->nodes);
    return c;
}

static bool enter_node(stream_cursor_t *c)
{
    c->node = stream_node_open(idtree_value(c->pos), idtree_id(c->pos));
    if (c->backwards) return stream_node_last(&c->node, &c->entry);
    return stream_node_seek(&c->node, c->from, &c->entry);
}

/* To the next entry, be it shown or not. */
static bool step(stream_cursor_t *c)
{
    if (c->inside)
        c->inside = c->backwards ? stream_node_prev(&c->node, &c->entry) : stream_node_next(&c->node, &c->entry);
    while (!c->inside && c->pos.leaf) {
        c->inside = enter_node(c);
        c->pos = c->backwards ? idtree_prev(c->pos) : idtree_next(c->pos);
    }
    return c->inside;
}

/* Deleted entries are passed over before their IDs are looked at: only live ones' rise. */
bool stream_next(stream_cursor_t *c)
{
    while (step(c)) {
        const stream_entry_t *e = &c->entry;
        if (e->flags & STREAM_ENTRY_DELETED && !c->tombstones) continue;
        bool early = stream_id_cmp(e->id, c->from)<0, late = stream_id_cmp(e->id, c->to)> 0;
        if (!early && !late) return true;
        if (c->backwards ? early : late) return false;
    }
    return false;
}

static bool find_entry(const stream_t *s, stream_id_t id, stream_cursor_t *ret_cursor)
{
    *ret_cursor = stream_range(s, id, id, false);
    return stream_next(ret_cursor);
}

bool stream_has(const stream_t *s, stream_id_t id)
{
    stream_cursor_t c;
    return find_entry(s, id, &c);
}

bool stream_last_live(const stream_t *s, stream_id_t *ret_id)
{
    stream_cursor_t c = stream_range(s, STREAM_ID_LEAST, STREAM_ID_GREATEST, true);
    if (!stream_next(&c)) return false;
    *ret_id = c.entry.id;
    return true;
}

stream_id_t stream_first_kept(const stream_t *s)
{
    stream_cursor_t c = stream_range(s, STREAM_ID_LEAST, STREAM_ID_GREATEST, false);
    c.tombstones = true;
    return stream_next(&c) ? c.entry.id : STREAM_ID_GREATEST;
}

bool stream_has_hole(const stream_t *s, stream_id_t from)
{
    if (s->length == 0 || stream_id_is_least(s->max_deleted_id)) return false;
    if (stream_id_cmp(s->first_id, s->max_deleted_id) > 0) return false;
    return stream_id_cmp(from, s->max_deleted_id) <= 0;
}

bool stream_entries_before(const stream_t *s, stream_id_t id, uint64_t *ret_count)
{
    int to_last = stream_id_cmp(id, s->last_id), to_first = stream_id_cmp(id, s->first_id);
    *ret_count = s->entries_added;
    if (s->entries_added == 0 || to_last == 0 || (s->length == 0 && to_last < 0)) return true;
    if (to_last > 0 || to_first > 0) return false;
    bool whole = stream_id_is_least(s->max_deleted_id) || stream_id_cmp(s->max_deleted_id, s->first_id) < 0;
    *ret_count = s->entries_added - s->length + (to_first == 0);
    return whole;
}

/* ---- adding ---------------------------------------------------------------------------------------------------------- */

static bool node_is_full(const uint8_t *lp, stream_id_t key, size_t bytes, const redis_config_t *config)
{
    uint64_t bytes_max = config->stream_node_max_bytes;
    if (bytes_max == 0 || bytes_max > LP_BYTES_MAX) bytes_max = LP_BYTES_MAX;
    if (lp_bytes(lp) + bytes >= bytes_max) return true;
    if (config->stream_node_max_entries == 0) return false;
    stream_node_t n = stream_node_open(lp, key);
    return n.live + n.deleted >= config->stream_node_max_entries;
}

/* The node that the entry goes to: the last one, or a new one behind it, for which as much room is asked as that one took. */
static idtree_pos_t tail_for(stream_t *s, stream_id_t id, const stream_fields_in_t *in, const redis_config_t *config)
{
    size_t room_bytes = 0;
    idtree_pos_t pos = idtree_last(&s->nodes);
    if (pos.leaf) {
        uint8_t *lp = idtree_value(pos);
        bool full = node_is_full(lp, idtree_id(pos), in->bytes, config);
        if (!full && lp_room_for(lp, stream_node_bytes_max(in))) return pos;
        lp = lp_shrink(lp);
        idtree_set_value(pos, lp);
        room_bytes = MIN(lp_bytes(lp), KIB(4));
    }
    bool added;
    void **slot = idtree_slot(&s->nodes, id, &added);
    ASSERT(added);
    *slot = stream_node_new(room_bytes, in);
    return idtree_last(&s->nodes);
}

int stream_append(stream_t *s, stream_id_t id, const stream_fields_in_t *in, const redis_config_t *config)
{
    ASSERT(stream_id_cmp(id, s->last_id) > 0);
    if (stream_node_bytes_max(in) > LP_BYTES_MAX - LP_EMPTY_BYTES) return ERR_LIMIT;
    idtree_pos_t pos = tail_for(s, id, in, config);
    idtree_set_value(pos, stream_node_append(idtree_value(pos), idtree_id(pos), id, in));
    s->entries_added++;
    s->last_id = id;
    if (s->length++ == 0) s->first_id = id;
    return 0;
}

int stream_add_node(stream_t *s, stream_id_t key, bytes_t image)
{
    stream_node_sum_t sum;
    stream_id_t last;
    int err = stream_node_validate(image, key, &sum);
    if (err) return err;
    idtree_pos_t tail = idtree_last(&s->nodes);
    if (tail.leaf && stream_id_cmp(key, idtree_id(tail)) <= 0) return ERR_CORRUPT;
    if (stream_last_live(s, &last) && stream_id_cmp(key, last) <= 0) return ERR_CORRUPT;
    if (sum.live == 0) return 0;
    bool added;
    *idtree_slot(&s->nodes, key, &added) = lp_from_bytes(image);
    if (s->length == 0) s->first_id = sum.first;
    s->length += sum.live;
    return 0;
}

/* ---- removing -------------------------------------------------------------------------------------------------------- */

static void set_first(stream_t *s)
{
    stream_cursor_t c = stream_range(s, STREAM_ID_LEAST, STREAM_ID_GREATEST, false);
    s->first_id = stream_next(&c) ? c.entry.id : STREAM_ID_LEAST;
}

/* After `count` entries of the node were flagged. */
static void count_deleted(stream_t *s, idtree_pos_t pos, const stream_node_t *node, size_t count)
{
    s->length -= count;
    if (count < node->live)
        idtree_set_value(pos, stream_node_count_deleted(idtree_value(pos), count));
    else
        lp_free(idtree_remove_at(&s->nodes, pos));
}

bool stream_delete(stream_t *s, stream_id_t id)
{
    stream_cursor_t c;
    if (!find_entry(s, id, &c)) return false;
    stream_node_flag_deleted(&c.entry);
    count_deleted(s, idtree_seek_le(&s->nodes, c.node.key), &c.node, 1);
    if (stream_id_cmp(id, s->max_deleted_id) > 0) s->max_deleted_id = id;
    if (stream_id_eq(id, s->first_id)) set_first(s);
    return true;
}

stream_deleted_t stream_delete_with(stream_t *s, stream_id_t id, stream_refs_t refs, size_t *ret_dropped)
{
    *ret_dropped = refs == STREAM_REFS_DELETE ? stream_groups_drop(s, id) : 0;
    if (refs == STREAM_REFS_ACKED && stream_has(s, id) && !stream_groups_are_done(s, id)) return STREAM_REFERRED;
    return stream_delete(s, id) ? STREAM_DELETED : STREAM_ABSENT;
}

/* Nothing of the node is to stay. */
static bool goes_whole(const stream_t *s, const stream_node_t *node, const stream_trim_t *how)
{
    stream_entry_t last;
    if (how->by == STREAM_TRIM_MAXLEN) return s->length - node->live >= how->maxlen;
    return stream_node_last(node, &last) && stream_id_cmp(last.id, how->minid) < 0;
}

static bool stays(const stream_t *s, size_t flagged, const stream_entry_t *e, const stream_trim_t *how)
{
    if (how->by == STREAM_TRIM_MAXLEN) return s->length - flagged <= how->maxlen;
    return stream_id_cmp(e->id, how->minid) >= 0;
}

static bool may_go(stream_t *s, const stream_entry_t *e, stream_refs_t refs)
{
    if (e->flags & STREAM_ENTRY_DELETED) return false;
    if (refs == STREAM_REFS_DELETE) stream_groups_drop(s, e->id);
    return refs != STREAM_REFS_ACKED || stream_groups_are_done(s, e->id);
}

static size_t trim_within(stream_t *s, idtree_pos_t pos, const stream_node_t *node, const stream_trim_t *how)
{
    size_t flagged = 0;
    stream_entry_t e;
    for (bool more = stream_node_first(node, &e); more && !stays(s, flagged, &e, how);
         more = stream_node_next(node, &e)) {
        if (!may_go(s, &e, how->refs)) continue;
        stream_node_flag_deleted(&e);
        flagged++;
    }
    if (flagged) count_deleted(s, pos, node, flagged);
    return flagged;
}

/* Node after node entry by entry, for groups have a say in each of them. */
static uint64_t trim_singly(stream_t *s, const stream_trim_t *how)
{
    uint64_t removed = 0, seen = 0;
    idtree_pos_t pos = idtree_first(&s->nodes);
    while (pos.leaf) {
        stream_id_t key = idtree_id(pos);
        stream_node_t node = stream_node_open(idtree_value(pos), key);
        bool whole = goes_whole(s, &node, how);
        seen += node.live;
        if ((how->limit && seen > how->limit) || (how->approximate && !whole)) break;
        removed += trim_within(s, pos, &node, how);
        if (how->by == STREAM_TRIM_MAXLEN ? s->length <= how->maxlen : !whole) break;
        if (!stream_id_increment(&key)) break;
        pos = idtree_seek_ge(&s->nodes, key);
    }
    return removed;
}

uint64_t stream_trim(stream_t *s, const stream_trim_t *how)
{
    uint64_t removed = 0;
    idtree_pos_t pos;
    bool singly = how->refs != STREAM_REFS_KEEP && table_count(&s->groups) > 0 && how->by != STREAM_TRIM_NOT;
    if (singly) removed = trim_singly(s, how);
    while (!singly && how->by != STREAM_TRIM_NOT && (pos = idtree_first(&s->nodes)).leaf) {
        if (how->by == STREAM_TRIM_MAXLEN && s->length <= how->maxlen) break;
        stream_node_t node = stream_node_open(idtree_value(pos), idtree_id(pos));
        if (how->limit && removed + node.live > how->limit) break;
        if (!goes_whole(s, &node, how)) {
            if (!how->approximate) removed += trim_within(s, pos, &node, how);
            break;
        }
        removed += node.live;
        count_deleted(s, pos, &node, node.live);
    }
    if (removed) set_first(s);
    return removed;
}

/* ---- what the keyspace asks for -------------------------------------------------------------------------------------- */

static void type_free(void *ptr, redis_encoding_t encoding) { stream_free(ptr); }

/* Nodes first, then what groups have pending. */
static bool type_drain(void *ptr, redis_encoding_t encoding, size_t *budget)
{
    stream_t *s = ptr;
    for (; *budget > 0 && s->nodes.count > 0; (*budget)--)
        lp_free(idtree_remove_at(&s->nodes, idtree_first(&s->nodes)));
    if (s->nodes.count > 0 || !stream_groups_drain(s, budget)) return false;
    stream_free(s);
    return true;
}

static void *type_copy(const void *ptr, redis_encoding_t encoding)
{
    const stream_t *from = ptr;
    stream_t *to = mem_alloc(sizeof(*to));
    bool added;
    *to = *from;
    to->nodes = IDTREE_INIT;
    for (idtree_pos_t pos = idtree_first(&from->nodes); pos.leaf; pos = idtree_next(pos))
        *idtree_slot(&to->nodes, idtree_id(pos), &added) = lp_copy(idtree_value(pos));
    stream_groups_init(to);
    stream_groups_copy(to, from);
    to->idmp = stream_idmp_copy(from->idmp);
    return to;
}

static size_t type_length(const void *ptr, redis_encoding_t encoding) { return ((const stream_t *)ptr)->length; }

static size_t type_memory(const void *ptr, redis_encoding_t encoding, size_t samples)
{
    const stream_t *s = ptr;
    size_t seen = 0, bytes = 0;
    for (idtree_pos_t pos = idtree_first(&s->nodes); pos.leaf && (samples == 0 || seen < samples);
         pos = idtree_next(pos)) {
        bytes += lp_heap_bytes(idtree_value(pos));
        seen++;
    }
    if (seen) bytes = (size_t)((double)bytes / (double)seen * (double)s->nodes.count);
    return sizeof(*s) + idtree_heap_bytes(&s->nodes) + bytes + stream_groups_memory(s) + stream_idmp_memory(s);
}

/* ---- rebuilding ------------------------------------------------------------------------------------------------------ */

static void emit_entry(const stream_entry_t *e, bytes_t key, redis_emitter_t *out)
{
    char room[NUM_I64_CHARS_MAX];
    emit_command(out, 3 + 2 * e->fields_count);
    emit_str(out, "XADD");
    emit_bytes(out, key);
    stream_emit_id(out, e->id);
    for (stream_field_t f = stream_fields(e); stream_field_next(&f);) {
        emit_bytes(out, lp_text(f.name, room));
        emit_bytes(out, lp_text(f.value, room));
    }
}

/* A stream may be there without entries, which no XADD leaves behind but one that trims at once. */
static void emit_empty(bytes_t key, redis_emitter_t *out)
{
    emit_command(out, 7);
    emit_str(out, "XADD");
    emit_bytes(out, key);
    emit_str(out, "MAXLEN");
    emit_str(out, "0");
    emit_str(out, "0-1");
    emit_str(out, "x");
    emit_str(out, "y");
}

static void type_emit(const void *ptr, redis_encoding_t encoding, bytes_t key, redis_emitter_t *out)
{
    const stream_t *s = ptr;
    stream_cursor_t c = stream_range(s, STREAM_ID_LEAST, STREAM_ID_GREATEST, false);
    if (s->length == 0) emit_empty(key, out);
    while (stream_next(&c)) emit_entry(&c.entry, key, out);
    emit_command(out, 7);
    emit_str(out, "XSETID");
    emit_bytes(out, key);
    stream_emit_id(out, s->last_id);
    emit_str(out, "ENTRIESADDED");
    emit_i64(out, (int64_t)s->entries_added);
    emit_str(out, "MAXDELETEDID");
    stream_emit_id(out, s->max_deleted_id);
    stream_groups_emit(s, key, out);
    stream_idmp_emit(s, key, out);
}

const redis_type_ops_t stream_type_ops = {"stream",    type_free,   type_drain, type_copy,
                                          type_length, type_memory, type_emit};

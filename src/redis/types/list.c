/* list.c: see list.h. */
#include "redis/types/list.h"

#include "redis/types/emit.h"

value_t rlist_new(void) { return (value_t){lp_new(0), ENC_LISTPACK}; }

static bool is_bare(value_t v) { return v.encoding == ENC_LISTPACK; }

size_t rlist_length(value_t v) { return is_bare(v) ? lp_count(v.ptr) : ((const quicklist_t *)v.ptr)->count; }

/* ---- encodings --------------------------------------------------------------------------- */

quicklist_t *rlist_nodes_begin(const redis_config_t *config)
{
    quicklist_t *ql = ql_new(config->list_max_listpack_size);
    ql->compress_depth = (uint32_t)MIN(config->list_compress_depth, QL_COMPRESS_DEPTH_MAX);
    ql->plain_bytes_min = config->list_plain_bytes_min;
    return ql;
}

static void make_quicklist(value_t *v, const redis_config_t *config)
{
    quicklist_t *ql = rlist_nodes_begin(config);
    if (lp_first(v->ptr))
        ql_append_listpack(ql, v->ptr);
    else
        lp_free(v->ptr);
    *v = (value_t){ql, ENC_QUICKLIST};
}

void rlist_expect(value_t *v, const bytes_t *texts, size_t count, const redis_config_t *config)
{
    if (!is_bare(*v)) {
        ((quicklist_t *)v->ptr)->plain_bytes_min = config->list_plain_bytes_min;
        return;
    }
    size_t bytes = lp_bytes(v->ptr);
    for (size_t i = 0; i < count; i++) bytes += texts[i].len;
    if (ql_exceeds(config->list_max_listpack_size, bytes, lp_count(v->ptr) + count)) make_quicklist(v, config);
}

/* Becomes a listpack when there is one node of at most `1 / part` of the limits. */
static void try_listpack(value_t *v, size_t part, const redis_config_t *config)
{
    quicklist_t *ql = v->ptr;
    size_t bytes_max, count_max;
    if (is_bare(*v) || ql->nodes_count != 1 || ql->head->plain) return;
    ql_limits(config->list_max_listpack_size, &bytes_max, &count_max);
    if (lp_bytes(ql->head->data) > bytes_max / part || ql->count > count_max / part) return;
    *v = (value_t){lp_copy(ql->head->data), ENC_LISTPACK};
    ql_free(ql);
}

void rlist_shrunk(value_t *v, const redis_config_t *config) { try_listpack(v, 2, config); }
void rlist_nodes_end(value_t *v, const redis_config_t *config) { try_listpack(v, 1, config); }

/* ---- walking ----------------------------------------------------------------------------- */

static list_pos_t of_ql(ql_pos_t pos) { return (list_pos_t){pos.node, pos.node ? pos.p : NULL}; }
static ql_pos_t to_ql(list_pos_t pos) { return (ql_pos_t){pos.node, pos.p}; }
static list_pos_t of_lp(const uint8_t *p) { return (list_pos_t){NULL, p}; }

list_pos_t rlist_first(value_t v) { return is_bare(v) ? of_lp(lp_first(v.ptr)) : of_ql(ql_first(v.ptr)); }
list_pos_t rlist_last(value_t v) { return is_bare(v) ? of_lp(lp_last(v.ptr)) : of_ql(ql_last(v.ptr)); }

list_pos_t rlist_seek(value_t v, int64_t index)
{
    return is_bare(v) ? of_lp(lp_seek(v.ptr, index)) : of_ql(ql_seek(v.ptr, index));
}

list_pos_t rlist_next(value_t v, list_pos_t pos)
{
    return is_bare(v) ? of_lp(lp_next(pos.p)) : of_ql(ql_next(v.ptr, to_ql(pos)));
}

list_pos_t rlist_prev(value_t v, list_pos_t pos)
{
    return is_bare(v) ? of_lp(lp_prev(v.ptr, pos.p)) : of_ql(ql_prev(v.ptr, to_ql(pos)));
}

bytes_t rlist_text(list_pos_t pos, char room[NUM_I64_CHARS_MAX])
{
    return pos.node ? ql_text(to_ql(pos), room) : lp_text(pos.p, room);
}

/* ---- changing ---------------------------------------------------------------------------- */

void rlist_push(value_t *v, bytes_t text, bool at_head)
{
    if (!is_bare(*v))
        ql_push(v->ptr, text, at_head);
    else
        v->ptr = at_head ? lp_prepend(v->ptr, text) : lp_append(v->ptr, text);
}

void rlist_insert(value_t *v, list_pos_t pos, bytes_t text, bool after)
{
    if (!is_bare(*v))
        ql_insert(v->ptr, to_ql(pos), text, after);
    else
        v->ptr = lp_insert(v->ptr, after ? lp_skip(pos.p) : pos.p, text, NULL);
}

void rlist_replace(value_t *v, list_pos_t pos, bytes_t text)
{
    if (!is_bare(*v))
        ql_replace(v->ptr, to_ql(pos), text);
    else
        v->ptr = lp_replace(v->ptr, pos.p, text, NULL);
}

list_pos_t rlist_remove(value_t *v, list_pos_t pos, bool backwards)
{
    if (!is_bare(*v)) return of_ql(ql_remove(v->ptr, to_ql(pos), backwards));
    size_t off = (size_t)(pos.p - (uint8_t *)v->ptr);
    const uint8_t *next;
    v->ptr = lp_delete(v->ptr, pos.p, 1, &next);
    return of_lp(backwards ? lp_prev(v->ptr, (uint8_t *)v->ptr + off) : next);
}

void rlist_delete_range(value_t *v, size_t start, size_t count)
{
    if (!is_bare(*v))
        ql_delete_range(v->ptr, start, count);
    else
        v->ptr = lp_delete_range(v->ptr, (int64_t)start, count);
}

/* ---- what the keyspace asks for ---------------------------------------------------------- */

static void type_free(void *ptr, redis_encoding_t encoding)
{
    if (encoding == ENC_LISTPACK)
        lp_free(ptr);
    else
        ql_free(ptr);
}

static bool type_drain(void *ptr, redis_encoding_t encoding, size_t *budget)
{
    if (encoding != ENC_LISTPACK) return ql_drain(ptr, budget);
    lp_free(ptr);
    return true;
}

static void *type_copy(const void *ptr, redis_encoding_t encoding)
{
    return encoding == ENC_LISTPACK ? (void *)lp_copy(ptr) : (void *)ql_copy(ptr);
}

static size_t type_length(const void *ptr, redis_encoding_t encoding)
{
    return rlist_length((value_t){(void *)ptr, encoding});
}

static size_t type_memory(const void *ptr, redis_encoding_t encoding, size_t samples)
{
    return encoding == ENC_LISTPACK ? lp_heap_bytes(ptr) : ql_heap_bytes(ptr, samples);
}

static void type_emit(const void *ptr, redis_encoding_t encoding, bytes_t key, redis_emitter_t *out)
{
    value_t v = {(void *)ptr, encoding};
    char room[NUM_I64_CHARS_MAX];
    emit_items_t items = {out, "RPUSH", key, 1, rlist_length(v), 0};
    for (list_pos_t pos = rlist_first(v); pos.p; pos = rlist_next(v, pos)) {
        emit_next_item(&items);
        emit_bytes(out, rlist_text(pos, room));
    }
}

const redis_type_ops_t list_type_ops = {"list", type_free, type_drain, type_copy, type_length, type_memory, type_emit};

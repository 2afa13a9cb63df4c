/* hash_time.c: the times at which fields expire; see hash.h and hash_internal.h.
 *
 * Invariants: of an ENC_HASHTABLE_TIMED the heap holds exactly the nodes of the entries that are timed; no other hash has such
 * entries. */
#include "redis/types/hash_internal.h"

hash_times_t *hash__begin_times(value_t *v)
{
    ASSERT(v->encoding == ENC_HASHTABLE);
    hash_times_t *t = mem_zalloc(sizeof(*t));
    t->fields = *(table_t *)v->ptr;
    heap_node_init(&t->clock.node, HASH_NO_TIME);
    mem_free(v->ptr);
    *v = (value_t){t, ENC_HASHTABLE_TIMED};
    return t;
}

void hash_settle(value_t *v)
{
    hash_times_t *t = hash__times(*v);
    if (!t || t->heap.count) return;
    ASSERT(heap_place(&t->clock.node) == HEAP_NONE);
    table_t *fields = mem_alloc(sizeof(*fields));
    *fields = t->fields;
    heap_deinit(&t->heap);
    mem_free(t);
    *v = (value_t){fields, ENC_HASHTABLE};
}

void hash_set_time(value_t *v, bytes_t field, int64_t at_ms)
{
    table_pos_t pos;
    if (at_ms < 0 && v->encoding != ENC_HASHTABLE_TIMED) return;
    if (v->encoding == ENC_LISTPACK) hash__unpack(v);
    if (v->encoding == ENC_HASHTABLE) hash__begin_times(v);
    bool found = pstr_find(hash__table(*v), field, &pos);
    ASSERT(found);
    const void *entry = table_at(pos);
    bool timed = hash__is_timed(entry);
    if (timed && at_ms >= 0)
        heap_set_at_ms(&hash__times(*v)->heap, hash__node(entry), at_ms);
    else if (timed || at_ms >= 0)
        hash__replace(*v, pos, hash__entry_new(pstr_get(entry), hash__text(entry), at_ms));
}

size_t hash_timed(value_t v) { return hash__times(v) ? hash__times(v)->heap.count : 0; }

size_t hash_over(value_t v, int64_t now_ms)
{
    return hash__times(v) ? heap_count_before(&hash__times(v)->heap, now_ms) : 0;
}

bool hash_first_over(value_t v, int64_t now_ms, bytes_t *ret_field)
{
    const heap_node_t *first = hash__times(v) ? heap_first(&hash__times(v)->heap) : NULL;
    if (!first || !hash_is_over(heap_at_ms(first), now_ms)) return false;
    *ret_field = pstr_get(hash__entry(first));
    return true;
}

bool hash_handle_is_over(value_t v, const void *handle, int64_t now_ms)
{
    return v.encoding == ENC_HASHTABLE_TIMED && hash_is_over(hash__at_ms(handle), now_ms);
}

hash_clock_t *hash_clock(value_t v) { return hash__times(v) ? &hash__times(v)->clock : NULL; }

int64_t hash_clock_ms(value_t v) { return heap_at_ms(heap_first(&hash__times(v)->heap)); }

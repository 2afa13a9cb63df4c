/* hash_internal.h: how a hash's table entries lie in memory; for hash.c and hash_time.c.
 *
 *      | node 12, if timed | field: packed string | 0xFE, if timed | value: packed string, never of 254 bytes in the short form |
 *                          ^ what the table refers to
 *
 * A table is a table_t, and with times the beginning of a hash_times_t: entries are alike in both, so that it becomes the other
 * without being walked. */
#ifndef TRIVET_REDIS_TYPES_HASH_INTERNAL_H
#define TRIVET_REDIS_TYPES_HASH_INTERNAL_H

#include "redis/types/hash.h"

#define HASH_TIMED_MARK 0xFE

typedef struct hash_times {
    table_t fields;
    heap_t heap; /* the nodes of the entries that have one */
    hash_clock_t clock;
} hash_times_t;
_Static_assert(offsetof(hash_times_t, fields) == 0, "whoever only wants the table need not know");

static inline hash_times_t *hash__times(value_t v) { return v.encoding == ENC_HASHTABLE_TIMED ? v.ptr : NULL; }

static inline table_t *hash__table(value_t v)
{
    ASSERT(value_is_table(v.encoding));
    return v.ptr;
}

/* Where the value stands, or the mark in front of it. */
static inline const uint8_t *hash__tail(const void *entry) { return bytes_end(pstr_get(entry)); }
static inline bool hash__is_timed(const void *entry) { return *hash__tail(entry) == HASH_TIMED_MARK; }
static inline heap_node_t *hash__node(const void *entry) { return (heap_node_t *)entry - 1; }
static inline const uint8_t *hash__entry(const heap_node_t *node) { return (const uint8_t *)(node + 1); }
static inline int64_t hash__at_ms(const void *entry)
{
    return hash__is_timed(entry) ? heap_at_ms(hash__node(entry)) : HASH_NO_TIME;
}

static inline bytes_t hash__text(const void *entry)
{
    const uint8_t *tail = hash__tail(entry);
    return pstr_get(tail + (*tail == HASH_TIMED_MARK));
}

static inline void hash__item(const void *entry, hash_item_t *ret)
{
    *ret = (hash_item_t){pstr_get(entry), hash__text(entry), hash__at_ms(entry)};
}

/* A new entry in no heap, with a node unless `at_ms` is HASH_NO_TIME. */
uint8_t *hash__entry_new(bytes_t field, bytes_t text, int64_t at_ms);
void hash__entry_free(void *entry);
size_t hash__entry_bytes(const void *entry);

/* Another entry of the same field in the place of the one at `pos`, which is freed. */
void hash__replace(value_t v, table_pos_t pos, uint8_t *entry);
/* A listpack becomes a table. */
void hash__unpack(value_t *v);
/* An ordinary table becomes one with times. */
hash_times_t *hash__begin_times(value_t *v);
/* The entry's node, if it has one, is put in order, or taken out of it. */
static inline void hash__entered(value_t v, const void *entry)
{
    if (hash__is_timed(entry)) heap_insert(&hash__times(v)->heap, hash__node(entry));
}
static inline void hash__leaves(value_t v, const void *entry)
{
    if (hash__is_timed(entry)) heap_remove(&hash__times(v)->heap, hash__node(entry));
}

#endif

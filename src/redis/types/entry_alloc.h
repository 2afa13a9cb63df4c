/* entry_alloc.h: making and reshaping entries; for db/, which owns them. */
#ifndef TRIVET_REDIS_ENTRY_ALLOC_H
#define TRIVET_REDIS_ENTRY_ALLOC_H

#include "redis/types/entry.h"

/* Allocation sizes are rounded to the allocator's classes, so that "same class" means "fits in place". */
static inline size_t entry__round(size_t bytes)
{
    if (bytes <= MEM_SMALL_BYTES_MAX) return mem_small_bytes(bytes);
    size_t step = (size_t)1 << (61 - __builtin_clzll(bytes - 1)); /* a quarter of the power of two below */
    return (bytes + step - 1) & ~(step - 1);
}

static inline size_t entry__bytes(uint8_t flags, size_t key_len, size_t embedded_len)
{
    return sizeof(redis_entry_t) + entry__key_offset(flags) + (key_len >= ENTRY_LONG_KEY ? 4 : 0) + key_len +
           embedded_len;
}

/* What its allocation was asked for. */
static inline size_t entry__size(const redis_entry_t *e)
{
    return entry__round(entry__bytes(e->flags, entry_key(e).len, e->flags & ENTRY_WORD ? 0 : e->str_len));
}

/* A new entry with room for `embedded_len` string bytes (0 with ENTRY_WORD); the key is copied, all else is
 * zero. */
redis_entry_t *entry__new(bytes_t key, redis_type_t type, redis_encoding_t encoding, uint8_t flags,
                          size_t embedded_len);
/* The entry without its value. */
static inline void entry__release(redis_entry_t *e) { mem_small_free(e, entry__size(e)); }
/* Frees the value and the entry. */
void entry__free(redis_entry_t *e);
void entry__free_value(redis_entry_t *e);
/* A copy of the entry, moved into other flags (with room for an expiry); frees the old one. */
redis_entry_t *entry__with_expiry_room(redis_entry_t *e);
static inline void entry__set_expire(redis_entry_t *e, int64_t at_ms)
{
    memcpy(e->rest + (e->flags & ENTRY_WORD), &at_ms, sizeof(at_ms));
}

#endif

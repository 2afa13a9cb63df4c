/* value.h: what the data types share: a value with its encoding, packed strings, random numbers.
 *
 * Commands take the value out of its entry (value_of), let a type change it, and put it back (value_store): a
 * type may then work alike on a key's value and on one that is still being built (SUNIONSTORE). */
#ifndef TRIVET_REDIS_TYPES_VALUE_H
#define TRIVET_REDIS_TYPES_VALUE_H

#include "base/hash.h"
#include "redis/config/config.h"
#include "redis/types/entry.h"
#include "redis/types/table.h"

/* ENC_LISTPACK: a listpack; ENC_QUICKLIST: quicklist_t; ENC_INTSET: intset_t; ENC_HASHTABLE: table_t;
 * ENC_HASHTABLE_TIMED: what begins with a table_t (hash.h); ENC_SKIPLIST: zset_t. */
typedef struct value {
    void *ptr;
    redis_encoding_t encoding;
} value_t;

static inline bool value_is_table(redis_encoding_t encoding)
{
    return encoding == ENC_HASHTABLE || encoding == ENC_HASHTABLE_TIMED;
}

static inline value_t value_of(const redis_entry_t *e)
{
    return (value_t){entry_value(e), (redis_encoding_t)e->encoding};
}
static inline void value_store(redis_entry_t *e, value_t v)
{
    entry_set_value(e, v.ptr);
    e->encoding = (uint8_t)v.encoding;
}

typedef struct rng {
    uint64_t (*next)(void *user);
    void *user;
} rng_t;
static inline uint64_t rng_below(const rng_t *rng, uint64_t n) { return rng->next(rng->user) % n; }

/* A packed string: one byte of length and the bytes; 255 announces four bytes of length. */
#define PSTR_SHORT_MAX 254
static inline size_t pstr_bytes(size_t len) { return (len <= PSTR_SHORT_MAX ? 1 : 5) + len; }
static inline bytes_t pstr_get(const uint8_t *p)
{
    return *p <= PSTR_SHORT_MAX ? bytes_of(p + 1, *p) : bytes_of(p + 5, load_le32(p + 1));
}
static inline uint8_t *pstr_put(uint8_t *p, bytes_t text)
{
    if (text.len <= PSTR_SHORT_MAX) {
        *p++ = (uint8_t)text.len;
    } else {
        *p = PSTR_SHORT_MAX + 1;
        store_le32(p + 1, (uint32_t)text.len);
        p += 5;
    }
    if (text.len) memcpy(p, text.ptr, text.len);
    return p + text.len;
}

/* Tables whose entries begin with a packed string: sets (the member) and hashes (the field). */
static inline uint64_t pstr_hash(const void *entry)
{
    bytes_t text = pstr_get(entry);
    return hash_bytes(text.ptr, text.len);
}
static inline bool pstr_same(const void *entry, bytes_t text) { return bytes_eq(pstr_get(entry), text); }
static inline bool pstr_find(const table_t *t, bytes_t text, table_pos_t *ret_pos)
{
    return table_find(t, hash_bytes(text.ptr, text.len), text, pstr_same, ret_pos);
}
static inline size_t pstr_entry_bytes(const void *entry) { return pstr_bytes(pstr_get(entry).len); }
static inline uint8_t *pstr_new(bytes_t text)
{
    uint8_t *entry = mem_small_alloc(pstr_bytes(text.len));
    pstr_put(entry, text);
    return entry;
}
table_t *pstr_table_new(size_t count);
/* The entries are small blocks of so many bytes as `entry_bytes` says. */
void pstr_table_free(table_t *t, size_t (*entry_bytes)(const void *entry));
bool pstr_table_drain(table_t *t, size_t *budget, size_t (*entry_bytes)(const void *entry)); /* as table_drain */
/* Bytes held, judged by at most `samples` entries (0 = all) of `entry_bytes` each. */
size_t table_estimate_bytes(const table_t *t, size_t samples, size_t (*entry_bytes)(const void *entry));

#endif

/* entry.h: a key of the keyspace with its value: one allocation.
 *
 *      header 16 | value word 8, unless EMBEDDED | expiry 8, if EXPIRES | key bytes | string bytes, if
 * EMBEDDED
 *
 * The value word is a pointer to the value (any type) or the integer itself (strings with ENC_INT). Small
 * strings are EMBEDDED behind the key. An entry moves when its size changes: keep no pointer to it across
 * add, set, expire or delete. A value pointer stays put. */
#ifndef TRIVET_REDIS_ENTRY_H
#define TRIVET_REDIS_ENTRY_H

#include "base/base.h"

/* As Redis numbers them (RDB, module API). */
typedef enum redis_type {
    TYPE_STRING = 0,
    TYPE_LIST = 1,
    TYPE_SET = 2,
    TYPE_ZSET = 3,
    TYPE_HASH = 4,
    TYPE_STREAM = 6,
    TYPE_COUNT = 7,
} redis_type_t;

typedef enum redis_encoding {
    ENC_RAW,
    ENC_INT,
    ENC_EMBSTR,
    ENC_LISTPACK,
    ENC_QUICKLIST,
    ENC_HASHTABLE,
    ENC_INTSET,
    ENC_SKIPLIST,
    ENC_STREAM,
    ENC_COUNT,
} redis_encoding_t;

enum {
    ENTRY_EPOCH = 1,    /* flips with each AOF rewrite: equal to the database's = already in the snapshot */
    ENTRY_WORD = 8,     /* has a value word (weight: its size) */
    ENTRY_EXPIRES = 16, /* has an expiry */
};

typedef struct redis_entry {
    uint8_t type;
    uint8_t encoding;
    uint8_t flags;
    uint8_t lfu;     /* logarithmic access counter, under an LFU policy */
    uint32_t access; /* LRU clock in seconds, or the minute of the last LFU decay */
    uint32_t key_len;
    uint32_t str_len; /* strings but ENC_INT: length in bytes */
    uint8_t rest[];
} redis_entry_t;
_Static_assert(sizeof(redis_entry_t) == 16, "the header's size is in the drawing above");

static inline size_t entry__key_offset(uint8_t flags) { return (flags & ENTRY_WORD) + ((flags & ENTRY_EXPIRES) >> 1); }
static inline bytes_t entry_key(const redis_entry_t *e)
{
    return bytes_of(e->rest + entry__key_offset(e->flags), e->key_len);
}

/* Lists, hashes, sets, sorted sets: the value. The type module may set `encoding` and the pointer as it
 * pleases. */
static inline void *entry_value(const redis_entry_t *e)
{
    void *p;
    memcpy(&p, e->rest, sizeof(p));
    return p;
}
static inline void entry_set_value(redis_entry_t *e, void *value) { memcpy(e->rest, &value, sizeof(value)); }

static inline int64_t entry_int(const redis_entry_t *e)
{
    int64_t v;
    memcpy(&v, e->rest, sizeof(v));
    return v;
}
static inline void entry_set_int(redis_entry_t *e, int64_t v) { memcpy(e->rest, &v, sizeof(v)); }

/* Unix milliseconds; -1 = never. */
static inline int64_t entry_expire_ms(const redis_entry_t *e)
{
    int64_t at = -1;
    if (e->flags & ENTRY_EXPIRES) memcpy(&at, e->rest + (e->flags & ENTRY_WORD), sizeof(at));
    return at;
}

/* Bytes of a string that is not ENC_INT. */
static inline bytes_t entry_string(const redis_entry_t *e)
{
    if (e->flags & ENTRY_WORD) return bytes_of(entry_value(e), e->str_len);
    return bytes_of(e->rest + entry__key_offset(e->flags) + e->key_len, e->str_len);
}

/* What a data type supplies (in types/); `value` and `encoding` are the entry's. */
typedef struct redis_emitter redis_emitter_t; /* emit.h */
typedef struct redis_type_ops {
    const char *name; /* "list" */
    void (*free)(void *value, redis_encoding_t encoding);
    /* A deep copy (COPY). */
    void *(*copy)(const void *value, redis_encoding_t encoding);
    /* Elements: the effort of freeing, DEBUG, length commands. */
    size_t (*length)(const void *value, redis_encoding_t encoding);
    /* Bytes held, estimated from at most `samples` elements (0 = all), without the entry. */
    size_t (*memory_bytes)(const void *value, redis_encoding_t encoding, size_t samples);
    /* Emits commands that rebuild the value under `key` (the expiry is emitted by the caller). */
    void (*emit)(const void *value, redis_encoding_t encoding, bytes_t key, redis_emitter_t *out);
} redis_type_ops_t;

/* Defined by types/. */
extern const redis_type_ops_t list_type_ops, set_type_ops, zset_type_ops, hash_type_ops, stream_type_ops;

#endif

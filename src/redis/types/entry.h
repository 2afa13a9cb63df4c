/* entry.h: a key of the keyspace with its value: one allocation.
 *
 *      header 8 | value word 8, if WORD | expiry 8, if EXPIRES | key length 4, if long | key | string, unless WORD
 *
 * The value word is a pointer to the value (any type) or the integer itself (strings with ENC_INT). Of a string's block it
 * keeps the upper half of the length above the pointer. Small strings lie behind the key. An entry moves when its size changes: keep no pointer to it across
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
    ENC_HASHTABLE_TIMED, /* of a hash some of whose fields expire */
    ENC_COUNT,
} redis_encoding_t;

enum {
    ENTRY_EPOCH = 1,    /* flips with each AOF rewrite: equal to the database's = already in the snapshot */
    ENTRY_WORD = 8,     /* has a value word (weight: its size) */
    ENTRY_EXPIRES = 16, /* has an expiry */
};

#define ENTRY_ACCESS_MAX 0xffffffu
/* A key of so many bytes or more has its length in front of it. */
#define ENTRY_LONG_KEY 255
/* Pointers leave these bits of the value word to a string's length. */
#define ENTRY_POINTER_BITS 48

typedef struct redis_entry {
    uint32_t
        access : 24; /* the LRU clock in seconds; under an LFU policy the minute of the last decay and the counter */
    uint32_t type : 4;
    uint32_t encoding : 4;
    uint8_t flags;
    uint8_t key_len;  /* ENTRY_LONG_KEY: see there */
    uint16_t str_len; /* strings but ENC_INT: the length in bytes, its lower half where they have a word */
    uint8_t rest[];
} redis_entry_t;
_Static_assert(sizeof(redis_entry_t) == 8, "the header's size is in the drawing above");

static inline size_t entry__key_offset(uint8_t flags) { return (flags & ENTRY_WORD) + ((flags & ENTRY_EXPIRES) >> 1); }
static inline bytes_t entry_key(const redis_entry_t *e)
{
    const uint8_t *at = e->rest + entry__key_offset(e->flags);
    if (UNLIKELY(e->key_len == ENTRY_LONG_KEY)) return bytes_of(at + 4, load_le32(at));
    return bytes_of(at, e->key_len);
}

/* Lists, hashes, sets, sorted sets: the value. The type module may set `encoding` and the pointer as it
 * pleases. */
static inline void *entry_value(const redis_entry_t *e)
{
    return (void *)(uintptr_t)(load_le64(e->rest) & ((UINT64_C(1) << ENTRY_POINTER_BITS) - 1));
}
static inline void entry_set_value(redis_entry_t *e, const void *value)
{
    ASSERT((uint64_t)(uintptr_t)value >> ENTRY_POINTER_BITS == 0);
    store_le64(e->rest, (uintptr_t)value);
}

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

/* A string's block. */
static inline void entry_set_block(redis_entry_t *e, const uint8_t *block, size_t len)
{
    entry_set_value(e, block);
    store_le64(e->rest, load_le64(e->rest) | (uint64_t)(len >> 16) << ENTRY_POINTER_BITS);
    e->str_len = (uint16_t)len;
}

/* Bytes of a string that is not ENC_INT. */
static inline bytes_t entry_string(const redis_entry_t *e)
{
    if (e->flags & ENTRY_WORD)
        return bytes_of(entry_value(e), (load_le64(e->rest) >> ENTRY_POINTER_BITS) << 16 | e->str_len);
    return bytes_of(bytes_end(entry_key(e)), e->str_len);
}

/* What a data type supplies (in types/); `value` and `encoding` are the entry's. */
typedef struct redis_emitter redis_emitter_t; /* emit.h */
typedef struct redis_type_ops {
    const char *name; /* "list" */
    void (*free)(void *value, redis_encoding_t encoding);
    /* The same piece by piece, of a value that nobody uses any more: an element costs one of the budget. True when it is gone. */
    bool (*drain)(void *value, redis_encoding_t encoding, size_t *budget);
    /* A deep copy (COPY). */
    void *(*copy)(const void *value, redis_encoding_t encoding);
    /* Elements: the effort of freeing, DEBUG, length commands. */
    size_t (*length)(const void *value, redis_encoding_t encoding);
    /* Bytes held, estimated from at most `samples` elements (0 = all), without the entry. */
    size_t (*memory_bytes)(const void *value, redis_encoding_t encoding, size_t samples);
    /* Emits commands that rebuild the value under `key` (the expiry is emitted by the caller). */
    void (*emit)(const void *value, redis_encoding_t encoding, bytes_t key, redis_emitter_t *out);
} redis_type_ops_t;

/* The bytes of a string; an integer is formatted into `scratch` (NUM_I64_CHARS_MAX). */
bytes_t string_text(const redis_entry_t *e, char *scratch);
/* Bytes held, judged by at most `samples` elements (0 = all). */
size_t entry_memory_bytes(const redis_entry_t *e, size_t samples);
const redis_type_ops_t *type_ops(redis_type_t type); /* NULL for strings */
const char *type_name(redis_type_t type);
const char *encoding_name(redis_encoding_t encoding);

extern const redis_type_ops_t list_type_ops, set_type_ops, zset_type_ops, hash_type_ops, stream_type_ops;

#endif

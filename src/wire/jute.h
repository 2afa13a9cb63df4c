/* jute.h: readers and writers of Jute, ZooKeeper's serialization: big-endian integers, counted strings and vectors.
 *
 * The record codecs are generated from schema/zookeeper by tools/gen/jute.py on top of this. A reader is total: it never
 * leaves its bytes, and after the first impossible field every further read gives zeros and `bad` stays set, so that
 * a caller checks once, at the end. Strings and buffers are borrowed from the input (a null one has ptr NULL);
 * vectors of records go to the arena, whose own bound limits what a client can make us allocate.
 *
 * Writers come in pairs: NAME_size says how many bytes a record takes, NAME_put writes them and returns the end. */
#ifndef TRIVET_WIRE_JUTE_H
#define TRIVET_WIRE_JUTE_H

#include "base/arena.h"
#include "base/base.h"

typedef struct jute_reader {
    const uint8_t *at;
    const uint8_t *end;
    arena_t *arena; /* for vectors */
    bool bad;
} jute_reader_t;

static inline jute_reader_t jute_reader(bytes_t data, arena_t *arena)
{
    return (jute_reader_t){data.ptr, bytes_end(data), arena, false};
}

static inline size_t jute_left(const jute_reader_t *r) { return (size_t)(r->end - r->at); }

static inline const uint8_t *jute_take(jute_reader_t *r, size_t bytes)
{
    if (UNLIKELY(r->bad || jute_left(r) < bytes)) {
        r->bad = true;
        return NULL;
    }
    const uint8_t *p = r->at;
    r->at += bytes;
    return p;
}

static inline int32_t jute_get_int(jute_reader_t *r)
{
    const uint8_t *p = jute_take(r, 4);
    return p == NULL ? 0 : (int32_t)load_be32(p);
}

static inline int64_t jute_get_long(jute_reader_t *r)
{
    const uint8_t *p = jute_take(r, 8);
    return p == NULL ? 0 : (int64_t)load_be64(p);
}

static inline bool jute_get_bool(jute_reader_t *r)
{
    const uint8_t *p = jute_take(r, 1);
    return p != NULL && *p == 1;
}

/* A string or buffer; length -1 is null, other negative lengths are bad. */
bytes_t jute_get_bytes(jute_reader_t *r);

/* Reads a vector's count and makes room for that many elements of `element_bytes`, each of which takes at least
 * `wire_bytes_min` of the input. A null vector has count -1. NULL with `bad` set when the count is impossible. */
void *jute_get_vector(jute_reader_t *r, size_t element_bytes, size_t wire_bytes_min, int32_t *ret_count);
/* A vector of strings. */
bytes_t *jute_get_strings(jute_reader_t *r, int32_t *ret_count);

static inline uint8_t *jute_put_int(uint8_t *at, int32_t v)
{
    store_be32(at, (uint32_t)v);
    return at + 4;
}

static inline uint8_t *jute_put_long(uint8_t *at, int64_t v)
{
    store_be64(at, (uint64_t)v);
    return at + 8;
}

static inline uint8_t *jute_put_bool(uint8_t *at, bool v)
{
    *at = v ? 1 : 0;
    return at + 1;
}

static inline size_t jute_bytes_size(bytes_t b) { return 4 + b.len; }
static inline uint8_t *jute_put_bytes(uint8_t *at, bytes_t b)
{
    store_be32(at, b.ptr == NULL ? UINT32_MAX : (uint32_t)b.len);
    if (b.len > 0) memcpy(at + 4, b.ptr, b.len);
    return at + 4 + b.len;
}

size_t jute_strings_size(const bytes_t *strings, int32_t count);
uint8_t *jute_put_strings(uint8_t *at, const bytes_t *strings, int32_t count);

#endif

/* table.h: the hash table of the keyspace, of expiring keys, and of large hashes, sets and sorted sets.
 *
 * References to entries live in buckets of one cache line:
 *
 *      +------+------+-----+------+------+------+-----+------+------+
 *      | ref0 | ref1 | ... | ref8 | tag0 | tag1 | ... | tag8 | meta |     64 bytes
 *      +------+------+-----+------+------+------+-----+------+------+
 *
 * A reference is the low six bytes of a pointer, which is all that a process is given without asking for more. A tag is one byte
 * of the entry's hash (never 0; 0 = free), so that a lookup touches the bucket and, almost always, only the entry it wants. When
 * `meta` has TABLE_CHAINED, ref8 leads to a further bucket. The table grows and shrinks by two, a bucket at a time with each
 * change, so no call takes long.
 *
 * A table of the keyspace grows out of a budget. While the budget says no, the table fills its buckets further and chains
 * more of them; at twice the usual fill it grows all the same. Memory that the new half has taken counts as used only as
 * buckets move into it, so that growing at the limit drives out a few entries with each insert and not a fifth of all at once.
 *
 * The table owns neither entries nor keys. Who looks up brings the hash and an inlined comparison. */
#ifndef TRIVET_REDIS_TABLE_H
#define TRIVET_REDIS_TABLE_H

#include "base/base.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define TABLE_SLOTS     9
#define TABLE_REF_BYTES 6

enum { TABLE_CHAINED = 1 };

typedef struct table_bucket {
    uint8_t refs[TABLE_SLOTS * TABLE_REF_BYTES];
    uint8_t tags[TABLE_SLOTS];
    uint8_t meta;
} table_bucket_t;
_Static_assert(sizeof(table_bucket_t) == 64, "a bucket is a cache line");

/* What slot `i` refers to. The two bytes that are read behind the last reference are tags. */
static inline void *table__ref(const table_bucket_t *b, unsigned i)
{
    return (void *)(uintptr_t)(load_le64((const uint8_t *)b + i * TABLE_REF_BYTES) & 0xffffffffffffu);
}
static inline void table__set_ref(table_bucket_t *b, unsigned i, const void *entry)
{
    uint64_t word = (uintptr_t)entry;
    ASSERT(word >> (8 * TABLE_REF_BYTES) == 0);
    memcpy(b->refs + i * TABLE_REF_BYTES, &word, TABLE_REF_BYTES);
}

/* Shared by tables that are under one limit of memory. */
typedef struct table_budget {
    bool (*allows)(struct table_budget *budget, size_t bytes); /* whether a table may take so much more to grow */
    size_t unfilled_bytes;                                     /* taken by growing tables and not yet moved into */
} table_budget_t;

typedef struct table {
    table_bucket_t *buckets[2]; /* [1] is the table being moved to; NULL when none */
    void *blocks[2];            /* what was allocated for them */
    uint8_t bits[2];            /* log2 of the bucket count */
    uint32_t walkers;           /* no bucket moves while > 0 (iteration under way) */
    size_t used[2];
    size_t chained_buckets;
    size_t move_next; /* next bucket of [0] to move, while [1] exists */
    size_t unfilled_bytes;
    table_budget_t *budget; /* NULL = grows when it likes */
    uint64_t (*hash_of)(const void *entry);
} table_t;

/* Where an entry is; valid until the next insert or remove. */
typedef struct table_pos {
    table_bucket_t *bucket;
    unsigned slot;
} table_pos_t;

void table_init(table_t *t, uint64_t (*hash_of)(const void *entry));
/* Right after table_init: the budget must outlive the table. */
static inline void table_limit(table_t *t, table_budget_t *budget) { t->budget = budget; }
/* Frees the buckets; the entries are the caller's (table_each first). */
void table_deinit(table_t *t);
/* The same of a table that nobody uses any more, and of its entries, piece by piece: `each` frees one. An entry or an empty bucket costs
 * one of the budget. True when it is done. */
bool table_drain(table_t *t, size_t *budget, void (*each)(void *user, void *entry), void *user);
static inline size_t table_count(const table_t *t) { return t->used[0] + t->used[1]; }
size_t table_memory_bytes(const table_t *t);
/* Of it, what goes when all have moved. */
static inline size_t table_moving_bytes(const table_t *t)
{
    return t->buckets[1] ? sizeof(table_bucket_t) << t->bits[0] : 0;
}

/* Adds an entry that is known not to be there. */
void table_insert(table_t *t, uint64_t hash, void *entry);
/* Takes the entry at `pos` (found with this hash) out of the table. */
void table_remove(table_t *t, uint64_t hash, table_pos_t pos);
static inline void *table_at(table_pos_t pos) { return table__ref(pos.bucket, pos.slot); }
/* Puts another entry with the same key in its place (after a reallocation). */
static inline void table_replace(table_pos_t pos, void *entry) { table__set_ref(pos.bucket, pos.slot, entry); }
/* Makes room for `count` entries at once. */
void table_reserve(table_t *t, size_t count);
/* Moves up to `buckets` buckets of a resize under way; true while there is more to do. */
bool table_move(table_t *t, size_t buckets);

/* Calls `each` for all entries; the table must not be changed meanwhile (the entries may). */
void table_each(table_t *t, void (*each)(void *user, void *entry), void *user);
/* SCAN: visits one bucket (and its twin when resizing), returns the next cursor, 0 at the end. Every entry
 * that is there from start to end is visited at least once, whatever happens between calls. `each` may change
 * the entry's value, not the table. */
uint64_t table_scan(table_t *t, uint64_t cursor, void (*each)(void *user, void *entry), void *user);
/* A uniformly chosen entry, NULL when empty. `random` is called as often as needed. */
void *table_random(table_t *t, uint64_t (*random)(void *user), void *user);

/* Up to `max` entries that lie side by side, from the bucket that `at` (any number) names on; fewer when a stretch is
 * empty. Cheaper than table_random by far, and as random as `at` where entries are spread by their hashes. Their memory
 * has been asked for when this returns. */
size_t table_sample(const table_t *t, uint64_t at, size_t max, void **ret_entries);

static inline uint8_t table__tag(uint64_t hash)
{
    uint8_t tag = (uint8_t)(hash >> 56);
    return tag ? tag : 1;
}

/* A bit for each slot whose tag is `tag`. Of tag 0: the free slots, and the one that leads to a further bucket. */
static inline unsigned table__matches(const table_bucket_t *b, uint8_t tag)
{
    unsigned mask = 0;
#ifdef __SSE2__
    enum { LAST = sizeof(*b) - sizeof(__m128i), TAGS_AT = offsetof(table_bucket_t, tags) - LAST };
    __m128i tail = _mm_loadu_si128((const __m128i *)((const uint8_t *)b + LAST));
    mask = (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(tail, _mm_set1_epi8((char)tag))) >> TAGS_AT;
    mask &= (1u << TABLE_SLOTS) - 1;
#else
    for (unsigned i = 0; i < TABLE_SLOTS; i++) mask |= (unsigned)(b->tags[i] == tag) << i;
#endif
    return mask;
}

static inline table_bucket_t *table__top(const table_t *t, int which, uint64_t hash)
{
    return &t->buckets[which][hash & (((size_t)1 << t->bits[which]) - 1)];
}

static inline void table_prefetch_bucket(const table_t *t, uint64_t hash)
{
    if (t->buckets[0]) mem_prefetch(table__top(t, 0, hash));
    if (UNLIKELY(t->buckets[1] != NULL)) mem_prefetch(table__top(t, 1, hash));
}

/* After table_prefetch_bucket: asks for the entries that may match, two lines each, and for the further bucket. */
static inline void table_prefetch_entry(const table_t *t, uint64_t hash)
{
    for (int which = 0; which < 2 && t->buckets[which]; which++) {
        const table_bucket_t *b = table__top(t, which, hash);
        for (unsigned m = table__matches(b, table__tag(hash)); m; m &= m - 1) {
            const uint8_t *entry = table__ref(b, (unsigned)__builtin_ctz(m));
            mem_prefetch(entry);
            mem_prefetch(entry + 64);
        }
        if (UNLIKELY(b->meta & TABLE_CHAINED)) mem_prefetch(table__ref(b, TABLE_SLOTS - 1));
    }
}

/* The one lookup; `same` is a constant function that the compiler inlines. False when absent. */
static inline __attribute__((always_inline)) bool table_find(const table_t *t, uint64_t hash, bytes_t key,
                                                             bool (*same)(const void *entry, bytes_t key),
                                                             table_pos_t *ret_pos)
{
    uint8_t tag = table__tag(hash);
    for (int which = 0; which < 2 && t->buckets[which]; which++) {
        for (table_bucket_t *b = table__top(t, which, hash);; b = table__ref(b, TABLE_SLOTS - 1)) {
            bool chained = b->meta & TABLE_CHAINED;
            for (unsigned m = table__matches(b, tag); m; m &= m - 1) {
                unsigned slot = (unsigned)__builtin_ctz(m);
                if (same(table__ref(b, slot), key)) {
                    *ret_pos = (table_pos_t){b, slot};
                    return true;
                }
            }
            if (!chained) break;
        }
    }
    return false;
}

#endif

/* map.c: see map.h. Load factor at most 3/4. In the table proper a removal shifts the following run back, so that it has no
 * tombstones; the old one, which is only emptied, has nothing but tombstones where entries were.
 *
 *   put, remove ──> MOVES_PER_CHANGE slots of `old` are emptied into `entries`
 *   get         ──> `entries`, then `old`
 *
 * Invariant: `old` is empty long before `entries` is full. A table of n slots grows with 3/4 n entries in it, the next one has room
 * for as many more, and after n / MOVES_PER_CHANGE of them the old one is gone. */
#include "base/map.h"

#include "base/hash.h"

#define MOVES_PER_CHANGE 8

enum { EMPTY, GONE, HASH_MIN };

static uint64_t hash_key(bytes_t key)
{
    uint64_t h = hash_bytes(key.ptr, key.len);
    return h >= HASH_MIN ? h : h + HASH_MIN;
}

static bool is_used(const map_entry_t *e) { return e->hash >= HASH_MIN; }

static void free_keys(map_entry_t *entries, size_t cap)
{
    for (size_t i = 0; i < cap; i++) {
        if (is_used(&entries[i])) mem_free((void *)entries[i].key.ptr);
    }
    mem_free(entries);
}

void map_deinit(map_t *m)
{
    free_keys(m->entries, m->cap);
    free_keys(m->old, m->old_cap);
    *m = MAP_INIT;
}

/* The slot that holds `key`, or the empty slot where it would go. */
static map_entry_t *find_slot(map_entry_t *entries, size_t cap, uint64_t hash, bytes_t key)
{
    size_t mask = cap - 1;
    for (size_t i = hash & mask;; i = (i + 1) & mask) {
        map_entry_t *e = &entries[i];
        if (e->hash == EMPTY || (e->hash == hash && bytes_eq(e->key, key))) return e;
    }
}

/* NULL: the map has no such key. */
static map_entry_t *find(const map_t *m, uint64_t hash, bytes_t key)
{
    map_entry_t *e = m->cap ? find_slot(m->entries, m->cap, hash, key) : NULL;
    if (e && e->hash != EMPTY) return e;
    e = m->old ? find_slot(m->old, m->old_cap, hash, key) : NULL;
    return e && e->hash != EMPTY ? e : NULL;
}

/* ---- growing ------------------------------------------------------------------------------------------------------------ */

static void move_some(map_t *m)
{
    for (int i = 0; i < MOVES_PER_CHANGE && m->old; i++) {
        map_entry_t *e = &m->old[m->old_at++];
        if (is_used(e)) {
            *find_slot(m->entries, m->cap, e->hash, e->key) = *e;
            *e = (map_entry_t){.hash = GONE};
        }
        if (m->old_at < m->old_cap) continue;
        mem_free(m->old);
        m->old = NULL;
        m->old_cap = m->old_at = 0;
    }
}

static void grow(map_t *m)
{
    ASSERT(!m->old);
    m->old = m->entries;
    m->old_cap = m->cap;
    m->cap = m->cap ? m->cap * 2 : 8;
    m->entries = mem_zalloc(m->cap * sizeof(map_entry_t));
}

/* ---- the map ------------------------------------------------------------------------------------------------------------- */

void *map_get(const map_t *m, bytes_t key)
{
    if (m->count == 0) return NULL;
    const map_entry_t *e = find(m, hash_key(key), key);
    return e ? e->value : NULL;
}

static void insert(map_t *m, uint64_t hash, bytes_t key, void *value)
{
    uint8_t *copy = mem_alloc(key.len + 1);
    if (key.len) memcpy(copy, key.ptr, key.len);
    copy[key.len] = '\0';
    *find_slot(m->entries, m->cap, hash, key) = (map_entry_t){hash, bytes_of(copy, key.len), value};
    m->count++;
}

void *map_put(map_t *m, bytes_t key, void *value)
{
    ASSERT(value);
    uint64_t hash = hash_key(key);
    move_some(m);
    map_entry_t *e = m->count ? find(m, hash, key) : NULL;
    if (e) {
        void *previous = e->value;
        e->value = value;
        return previous;
    }
    if ((m->count + 1) * 4 > m->cap * 3) grow(m);
    insert(m, hash, key, value);
    return NULL;
}

/* Closes the hole that an entry leaves in the table proper. */
static void shift_back(map_t *m, size_t hole)
{
    size_t mask = m->cap - 1;
    for (size_t i = (hole + 1) & mask; m->entries[i].hash; i = (i + 1) & mask) {
        size_t home = m->entries[i].hash & mask;
        if (((i - home) & mask) < ((i - hole) & mask)) continue; /* reachable without passing the hole */
        m->entries[hole] = m->entries[i];
        hole = i;
    }
    m->entries[hole] = (map_entry_t){0};
}

void *map_remove(map_t *m, bytes_t key)
{
    if (m->count == 0) return NULL;
    move_some(m);
    map_entry_t *e = find(m, hash_key(key), key);
    if (!e) return NULL;
    void *value = e->value;
    mem_free((void *)e->key.ptr);
    if (e >= m->entries && e < m->entries + m->cap)
        shift_back(m, (size_t)(e - m->entries));
    else
        *e = (map_entry_t){.hash = GONE};
    m->count--;
    return value;
}

map_entry_t *map_next(const map_t *m, size_t *cursor)
{
    while (*cursor < m->cap + m->old_cap) {
        size_t i = (*cursor)++;
        map_entry_t *e = i < m->cap ? &m->entries[i] : &m->old[i - m->cap];
        if (is_used(e)) return e;
    }
    return NULL;
}

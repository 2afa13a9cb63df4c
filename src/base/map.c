/* map.c: see map.h. Load factor at most 3/4; removal shifts the following run back, so there are no tombstones. */
#include "base/map.h"

#include "base/hash.h"

static uint64_t hash_key(bytes_t key)
{
    uint64_t h = hash_bytes(key.ptr, key.len);
    return h ? h : 1;
}

void map_deinit(map_t *m)
{
    for (size_t i = 0; i < m->cap; i++) {
        if (m->entries[i].hash) mem_free((void *)m->entries[i].key.ptr);
    }
    mem_free(m->entries);
    *m = MAP_INIT;
}

/* The slot that holds `key`, or the empty slot where it would go. */
static map_entry_t *find_slot(const map_t *m, uint64_t hash, bytes_t key)
{
    size_t mask = m->cap - 1;
    for (size_t i = hash & mask;; i = (i + 1) & mask) {
        map_entry_t *e = &m->entries[i];
        if (e->hash == 0 || (e->hash == hash && bytes_eq(e->key, key))) return e;
    }
}

static void grow(map_t *m)
{
    map_t bigger = {.cap = m->cap ? m->cap * 2 : 8, .count = m->count};
    bigger.entries = mem_zalloc(bigger.cap * sizeof(map_entry_t));
    for (size_t i = 0; i < m->cap; i++) {
        map_entry_t *e = &m->entries[i];
        if (e->hash) *find_slot(&bigger, e->hash, e->key) = *e;
    }
    mem_free(m->entries);
    *m = bigger;
}

void *map_get(const map_t *m, bytes_t key)
{
    if (m->count == 0) return NULL;
    return find_slot(m, hash_key(key), key)->value;
}

void *map_put(map_t *m, bytes_t key, void *value)
{
    ASSERT(value);
    if ((m->count + 1) * 4 > m->cap * 3) grow(m);
    uint64_t hash = hash_key(key);
    map_entry_t *e = find_slot(m, hash, key);
    void *previous = e->value;
    if (e->hash == 0) {
        uint8_t *copy = mem_alloc(key.len + 1);
        if (key.len) memcpy(copy, key.ptr, key.len);
        copy[key.len] = '\0';
        e->hash = hash;
        e->key = bytes_of(copy, key.len);
        m->count++;
    }
    e->value = value;
    return previous;
}

void *map_remove(map_t *m, bytes_t key)
{
    if (m->count == 0) return NULL;
    map_entry_t *e = find_slot(m, hash_key(key), key);
    if (e->hash == 0) return NULL;
    void *value = e->value;
    mem_free((void *)e->key.ptr);
    size_t mask = m->cap - 1, hole = (size_t)(e - m->entries);
    for (size_t i = (hole + 1) & mask; m->entries[i].hash; i = (i + 1) & mask) {
        size_t home = m->entries[i].hash & mask;
        if (((i - home) & mask) < ((i - hole) & mask)) continue; /* reachable without passing the hole */
        m->entries[hole] = m->entries[i];
        hole = i;
    }
    m->entries[hole] = (map_entry_t){0};
    m->count--;
    return value;
}

map_entry_t *map_next(const map_t *m, size_t *cursor)
{
    while (*cursor < m->cap) {
        map_entry_t *e = &m->entries[(*cursor)++];
        if (e->hash) return e;
    }
    return NULL;
}

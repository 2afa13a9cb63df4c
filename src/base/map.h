/* map.h: a hash map from byte-string keys to pointers, for control structures (topics by name, groups by id, watches
 * by path). Open addressing, linear probing, keys copied. It grows a few entries a change, so that no single one takes long: until all have
 * moved there are two tables. The Redis keyspace has a table of its own. */
#ifndef TRIVET_BASE_MAP_H
#define TRIVET_BASE_MAP_H

#include "base/base.h"

typedef struct map_entry {
    uint64_t hash; /* 0 = empty, 1 = one that was here is gone, in the old table */
    bytes_t key;   /* owned by the map */
    void *value;
} map_entry_t;

typedef struct map {
    map_entry_t *entries;
    size_t count; /* in both tables */
    size_t cap;   /* power of two or 0 */
    map_entry_t *old;
    size_t old_cap;
    size_t old_at; /* all before it have moved */
} map_t;

#define MAP_INIT ((map_t){0})

/* Frees the table and its key copies, not the values. */
void map_deinit(map_t *m);
void *map_get(const map_t *m, bytes_t key);
/* Sets and returns the previous value (NULL if none). `value` must not be NULL. */
void *map_put(map_t *m, bytes_t key, void *value);
/* Removes and returns the value (NULL if none). */
void *map_remove(map_t *m, bytes_t key);
/* Iteration: start with *cursor = 0; NULL at the end. The map must not be changed meanwhile. */
map_entry_t *map_next(const map_t *m, size_t *cursor);

static inline void *map_get_str(const map_t *m, const char *key) { return map_get(m, bytes_str(key)); }
static inline bytes_t map_key_u64(const uint64_t *v) { return bytes_of(v, sizeof(*v)); }

#endif

/* offset_map.h: the newest offset of each key, for compaction, in memory that is bounded beforehand.
 *
 * A key is remembered as its 128-bit hash, beside 8 bytes of offset: 24 bytes an entry, as Kafka counts
 * log.cleaner.dedupe.buffer.size. The hash is keyed with random bytes of the process, so that nobody can make two keys
 * that are taken for one. */
#ifndef TRIVET_KAFKA_OFFSET_MAP_H
#define TRIVET_KAFKA_OFFSET_MAP_H

#include "base/base.h"

#define OFFSET_MAP_ENTRY_BYTES 24
#define OFFSET_MAP_SLOTS_MIN   64
#define OFFSET_MAP_CLEAR_SLOTS 8192 /* a piece */

typedef struct offset_map_entry {
    uint64_t hash[2];
    int64_t behind; /* the offset and one; 0 = empty */
} offset_map_entry_t;
_Static_assert(sizeof(offset_map_entry_t) == OFFSET_MAP_ENTRY_BYTES, "an entry takes what is counted for it");

typedef struct offset_map {
    offset_map_entry_t *entries;
    uint64_t slots, cleared, count, count_max;
    uint8_t hash_key[16];
} offset_map_t;

/* Room for `keys` keys, or as many as fit `bytes_max` filled to `load` (0 to 1). ERR_NOMEM. It may be used once it is clear:
 * large memory is cleared in pieces. */
int offset_map_init(offset_map_t *map, uint64_t keys, size_t bytes_max, double load,
                    const uint8_t hash_key[16]) MUST_CHECK;
/* Clears a piece more; false when there was nothing left to clear. */
bool offset_map_clear(offset_map_t *map);
void offset_map_deinit(offset_map_t *map);
/* Offsets come in ascending order: the last one of a key counts. False when the map is full. */
bool offset_map_put(offset_map_t *map, bytes_t key, int64_t offset);
/* -1 = none. */
int64_t offset_map_get(const offset_map_t *map, bytes_t key);

#endif

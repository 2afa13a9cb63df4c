/* offset_map.c: open addressing, linear probing; nothing is ever removed. */
#include "kafka/record/offset_map.h"

#include "base/hash.h"

int offset_map_init(offset_map_t *map, uint64_t keys, size_t bytes_max, double load, const uint8_t hash_key[16])
{
    uint64_t slots_max = MAX(bytes_max / OFFSET_MAP_ENTRY_BYTES, OFFSET_MAP_SLOTS_MIN);
    uint64_t slots = keys < slots_max / 2 ? MAX(2 * keys, OFFSET_MAP_SLOTS_MIN) : slots_max;
    *map = (offset_map_t){.slots = slots};
    map->count_max =
        MIN(MAX((uint64_t)((double)slots * load), 1), slots - 1); /* one stays empty: it ends each search */
    memcpy(map->hash_key, hash_key, sizeof(map->hash_key));
    map->entries = mem_try_alloc(slots * OFFSET_MAP_ENTRY_BYTES);
    return map->entries ? 0 : ERR_NOMEM;
}

bool offset_map_clear(offset_map_t *map)
{
    uint64_t slots = MIN(map->slots - map->cleared, OFFSET_MAP_CLEAR_SLOTS);
    memset(map->entries + map->cleared, 0, slots * OFFSET_MAP_ENTRY_BYTES);
    map->cleared += slots;
    return slots > 0;
}

void offset_map_deinit(offset_map_t *map)
{
    mem_free(map->entries);
    *map = (offset_map_t){0};
}

/* The key's entry, or the empty one where it belongs. */
static offset_map_entry_t *entry_of(const offset_map_t *map, bytes_t key, uint64_t ret_hash[2])
{
    hash_128(map->hash_key, key.ptr, key.len, ret_hash);
    uint64_t i = (uint64_t)(((unsigned __int128)ret_hash[0] * map->slots) >> 64);
    for (;;) {
        offset_map_entry_t *e = &map->entries[i];
        if (e->behind == 0 || (e->hash[0] == ret_hash[0] && e->hash[1] == ret_hash[1])) return e;
        if (++i == map->slots) i = 0;
    }
}

bool offset_map_put(offset_map_t *map, bytes_t key, int64_t offset)
{
    uint64_t hash[2];
    ASSERT(offset >= 0 && offset < INT64_MAX && map->cleared == map->slots);
    offset_map_entry_t *e = entry_of(map, key, hash);
    if (e->behind == 0) {
        if (map->count == map->count_max) return false;
        map->count++;
        e->hash[0] = hash[0];
        e->hash[1] = hash[1];
    }
    e->behind = MAX(e->behind, offset + 1);
    return true;
}

int64_t offset_map_get(const offset_map_t *map, bytes_t key)
{
    uint64_t hash[2];
    return entry_of(map, key, hash)->behind - 1;
}

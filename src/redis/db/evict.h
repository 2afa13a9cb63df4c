/* evict.h: how entries remember their use, and what goes when memory is short. */
#ifndef TRIVET_REDIS_EVICT_H
#define TRIVET_REDIS_EVICT_H

#include "redis/db/keyspace.h"

enum { LFU_NEW = 5 }; /* a new key's counter: time to gather hits before it is a candidate */

static inline bool evict__is_lfu(const keyspace_t *k)
{
    redis_evict_t p = k->config->maxmemory_policy;
    return p == EVICT_ALLKEYS_LFU || p == EVICT_VOLATILE_LFU;
}

static inline bool evict__is_lru(const keyspace_t *k)
{
    redis_evict_t p = k->config->maxmemory_policy;
    return p == EVICT_ALLKEYS_LRU || p == EVICT_VOLATILE_LRU;
}

/* The counter after the decay that is due. */
uint8_t evict__lfu(const keyspace_t *k, const redis_entry_t *e);
void evict__touch_lfu(keyspace_t *k, redis_entry_t *e);
void evict__set_lfu(keyspace_t *k, redis_entry_t *e, uint8_t counter);
/* The clock as entries keep it. */
static inline uint32_t evict__clock(const keyspace_t *k) { return k->lru_clock & ENTRY_ACCESS_MAX; }
/* Seconds since the last use; from 194 days on counted anew, as in the original. */
static inline uint32_t evict__idle_s(const keyspace_t *k, const redis_entry_t *e)
{
    return (k->lru_clock - e->access) & ENTRY_ACCESS_MAX;
}

static inline void evict__touch(keyspace_t *k, redis_entry_t *e)
{
    if (UNLIKELY(evict__is_lfu(k)))
        evict__touch_lfu(k, e);
    else if (e->access != evict__clock(k))
        e->access = evict__clock(k);
}

static inline void evict__init_entry(keyspace_t *k, redis_entry_t *e)
{
    if (UNLIKELY(evict__is_lfu(k)))
        evict__set_lfu(k, e, LFU_NEW);
    else
        e->access = evict__clock(k);
}

/* Memory that maxmemory does not count: what is on its way to the disk, what waits in the outbox, what a growing table has
 * not moved into. */
size_t evict__uncounted_bytes(const keyspace_t *k);
void evict__uncounted_add(keyspace_t *k, size_t (*bytes)(void *user), void *user);
void evict__uncounted_remove(keyspace_t *k, void *user);
/* Above maxmemory: then every command takes the slow way. */
static inline bool evict__is_over(const keyspace_t *k)
{
    uint64_t limit = k->evict.limit_bytes;
    size_t used;
    return UNLIKELY(limit != 0) && (used = mem_meter_read(&k->evict.memory)) > limit &&
           used - MIN(evict__uncounted_bytes(k), used) > limit;
}
/* Drives keys out for as long as maxmemory-eviction-tenacity allows; a timer goes on where that was not enough. False
 * when memory stays above maxmemory because nothing can go. */
bool evict__make_room(keyspace_t *k);
void evict__init(keyspace_t *k);
void evict__stop(keyspace_t *k);
void evict__measure(keyspace_t *k, uint64_t now_ns);
void evict__update_limit(keyspace_t *k); /* after maxmemory or the derived limit has changed */

#endif

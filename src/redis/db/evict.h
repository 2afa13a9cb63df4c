/* evict.h: how entries remember their use, and what goes when memory is short. */
#ifndef TRIVET_REDIS_EVICT_H
#define TRIVET_REDIS_EVICT_H

#include "redis/state.h"

enum { LFU_NEW = 5 }; /* a new key's counter: time to gather hits before it is a candidate */

static inline bool evict__is_lfu(const redis_t *redis)
{
    redis_evict_t p = redis->config->maxmemory_policy;
    return p == EVICT_ALLKEYS_LFU || p == EVICT_VOLATILE_LFU;
}

static inline bool evict__is_lru(const redis_t *redis)
{
    redis_evict_t p = redis->config->maxmemory_policy;
    return p == EVICT_ALLKEYS_LRU || p == EVICT_VOLATILE_LRU;
}

/* The counter after the decay that is due. */
uint8_t evict__lfu(const redis_t *redis, const redis_entry_t *e);
void evict__touch_lfu(redis_t *redis, redis_entry_t *e);
void evict__set_lfu(redis_t *redis, redis_entry_t *e, uint8_t counter);
/* The clock as entries keep it. */
static inline uint32_t evict__clock(const redis_t *redis) { return redis->lru_clock & ENTRY_ACCESS_MAX; }
/* Seconds since the last use; from 194 days on counted anew, as in the original. */
static inline uint32_t evict__idle_s(const redis_t *redis, const redis_entry_t *e)
{
    return (redis->lru_clock - e->access) & ENTRY_ACCESS_MAX;
}

static inline void evict__touch(redis_t *redis, redis_entry_t *e)
{
    if (UNLIKELY(evict__is_lfu(redis)))
        evict__touch_lfu(redis, e);
    else if (e->access != evict__clock(redis))
        e->access = evict__clock(redis);
}

static inline void evict__init_entry(redis_t *redis, redis_entry_t *e)
{
    if (UNLIKELY(evict__is_lfu(redis)))
        evict__set_lfu(redis, e, LFU_NEW);
    else
        e->access = evict__clock(redis);
}

#endif

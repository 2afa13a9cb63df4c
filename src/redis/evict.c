/* evict.c: what goes when memory passes maxmemory: the best of a few samples by the policy in force, again
 * until it fits. */
#include "redis/evict.h"

#include "redis/aof.h"
#include "redis/changes.h"

#include <math.h>

enum { EVICTIONS_PER_CALL_MAX = 10000, CHECK_EVERY = 16 };

/* ---- LFU: a logarithmic counter that decays -------------------------------------------------------------------------- */

static uint32_t minutes(const redis_t *redis) { return redis->lru_clock / 60; }

uint8_t evict__lfu(const redis_t *redis, const redis_entry_t *e)
{
    int64_t decay = redis->config->lfu_decay_time;
    uint32_t passed = decay ? (minutes(redis) - e->access) / (uint32_t)decay : 0;
    return passed >= e->lfu ? (passed ? 0 : e->lfu) : (uint8_t)(e->lfu - passed);
}

void evict__touch_lfu(redis_t *redis, redis_entry_t *e)
{
    uint8_t counter = evict__lfu(redis, e);
    if (counter < 255) {
        double base = counter > LFU_NEW ? counter - LFU_NEW : 0;
        double chance = 1.0 / (base * (double)redis->config->lfu_log_factor + 1);
        if ((double)(redis_random(redis) >> 11) / 9007199254740992.0 < chance) counter++;
    }
    e->lfu = counter;
    e->access = minutes(redis);
}

/* ---- choosing -------------------------------------------------------------------------------------------------------- */

/* The higher the sooner it goes. */
static uint64_t badness(const redis_t *redis, const redis_entry_t *e)
{
    switch (redis->config->maxmemory_policy) {
    case EVICT_ALLKEYS_LRU:
    case EVICT_VOLATILE_LRU: return evict__idle_s(redis, e);
    case EVICT_ALLKEYS_LFU:
    case EVICT_VOLATILE_LFU: return 255u - evict__lfu(redis, e);
    case EVICT_VOLATILE_TTL: return UINT64_MAX - (uint64_t)entry_expire_ms(e);
    default: return 0;
    }
}

static uint64_t draw(void *user) { return redis_random(user); }

static redis_entry_t *choose(redis_t *redis, redis_db_t **ret_db)
{
    redis_evict_t policy = redis->config->maxmemory_policy;
    bool all = policy == EVICT_ALLKEYS_LRU || policy == EVICT_ALLKEYS_LFU || policy == EVICT_ALLKEYS_RANDOM;
    bool blind = policy == EVICT_ALLKEYS_RANDOM || policy == EVICT_VOLATILE_RANDOM;
    uint64_t samples = blind ? 1 : redis->config->maxmemory_samples * 2;
    redis_entry_t *worst = NULL;
    for (int i = 0; i < redis->db_count; i++) {
        redis_db_t *db = &redis->dbs[(i + (int)(redis->cron_turns % 16)) % redis->db_count];
        table_t *t = all ? &db->keys : &db->expires;
        for (uint64_t n = 0; n < samples && table_count(t); n++) {
            redis_entry_t *e = table_random(t, draw, redis);
            if (worst && badness(redis, e) <= badness(redis, worst)) continue;
            worst = e;
            *ret_db = db;
        }
        if (worst && blind) break;
    }
    return worst;
}

static void evict(redis_t *redis, redis_db_t *db, redis_entry_t *e)
{
    bytes_t name = entry_key(e);
    bytes_t key = bytes_of(mem_strndup(name), name.len);
    db__delete(db, key);
    redis->stats.evicted_keys++;
    aof__feed_delete(db, key, "evicted");
    if (redis->watching_clients) multi__touch(db, key);
    notify__event(db, NOTIFY_EVICTED, "evicted", key);
    mem_free((void *)key.ptr);
}

bool evict__make_room(redis_t *redis)
{
    uint64_t limit = redis->config->maxmemory;
    if (limit == 0 || redis->loading) return true;
    redis->memory_used = changes__memory_used(redis);
    for (int i = 0; redis->memory_used > limit && i < EVICTIONS_PER_CALL_MAX; i++) {
        redis_db_t *db = NULL;
        redis_entry_t *e = redis->config->maxmemory_policy == EVICT_NONE ? NULL : choose(redis, &db);
        if (e == NULL) return false;
        size_t freed = entry__memory_bytes(e, 5);
        evict(redis, db, e);
        redis->memory_used -= MIN(freed, redis->memory_used);
        if (i % CHECK_EVERY == 0) redis->memory_used = changes__memory_used(redis);
    }
    return true;
}

/* evict.c: what goes when memory passes maxmemory: the best of a few samples by the policy in force, again
 * until it fits. */
#include "redis/evict.h"

#include "redis/aof.h"

#include <math.h>

/* The original looks at maxmemory-samples and remembers the best of earlier looks; here each look stands alone and is
 * twice as large. */
enum { EVICTIONS_PER_CALL_MAX = 10000, SAMPLES_FACTOR = 2, SAMPLES_MAX = REDIS_MAXMEMORY_SAMPLES_MAX * SAMPLES_FACTOR };

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

/* Some entries of a database's candidates: a stretch of the table, or one from anywhere when only one is wanted (a fair
 * draw) or the stretch is empty (where a few are left). */
static size_t sample(redis_t *redis, table_t *t, size_t max, void **ret_entries)
{
    if (table_count(t) == 0) return 0;
    size_t count = max > 1 ? table_sample(t, redis_random(redis), max, ret_entries) : 0;
    if (count == 0) ret_entries[count++] = table_random(t, draw, redis);
    return count;
}

static redis_entry_t *choose(redis_t *redis, redis_db_t **ret_db)
{
    redis_evict_t policy = redis->config->maxmemory_policy;
    bool all = policy == EVICT_ALLKEYS_LRU || policy == EVICT_ALLKEYS_LFU || policy == EVICT_ALLKEYS_RANDOM;
    bool blind = policy == EVICT_ALLKEYS_RANDOM || policy == EVICT_VOLATILE_RANDOM;
    void *samples[SAMPLES_MAX];
    size_t samples_max = blind ? 1 : redis->config->maxmemory_samples * SAMPLES_FACTOR;
    redis_entry_t *worst = NULL;
    uint64_t worst_badness = 0;
    for (int i = 0; i < redis->db_count; i++) {
        redis_db_t *db = &redis->dbs[(i + (int)(redis->cron_turns % 16)) % redis->db_count];
        size_t count = sample(redis, all ? &db->keys : &db->expires, samples_max, samples);
        for (size_t n = 0; n < count; n++) {
            uint64_t bad = badness(redis, samples[n]);
            if (worst && bad <= worst_badness) continue;
            worst = samples[n];
            worst_badness = bad;
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
    for (int i = 0; redis__is_over_memory(redis) && i < EVICTIONS_PER_CALL_MAX; i++) {
        redis_db_t *db = NULL;
        redis_entry_t *e = redis->config->maxmemory_policy == EVICT_NONE ? NULL : choose(redis, &db);
        if (e == NULL) return false;
        evict(redis, db, e);
    }
    return true;
}

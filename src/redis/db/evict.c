/* evict.c: what goes when memory passes maxmemory: the best of a few samples by the policy in force, again until it fits
 * or the call's time is over. */
#include "redis/db/evict.h"

#include "redis/redis.h"

#include <math.h>

/* The original looks at maxmemory-samples and remembers the best of earlier looks; here each look stands alone and is
 * twice as large. */
enum { SAMPLES_FACTOR = 2, SAMPLES_MAX = REDIS_MAXMEMORY_SAMPLES_MAX * SAMPLES_FACTOR };

enum {
    KEYS_BETWEEN_CLOCKS = 16, /* driven out before the clock is read again */
    TENACITY_LINEAR_MAX = 10, /* up to it each step adds STEP_NS; above, each makes it 15 % longer */
    TENACITY_MAX = 100,       /* without end */
    STEP_NS = 50000,
};

#define METER_AGE_NS_MAX 2000000u

/* ---- what counts ----------------------------------------------------------------------------------------------------- */

size_t evict__uncounted_bytes(const redis_t *redis)
{
    size_t bytes = redis->tables.unfilled_bytes;
    for (int i = 0; i < redis->uncounted_count; i++) bytes += redis->uncounted[i].bytes(redis->uncounted[i].user);
    return bytes;
}

/* A table that grows takes its memory at once; here all of it counts. */
static bool allows_growth(table_budget_t *budget, size_t bytes)
{
    const redis_t *redis = CONTAINER_OF(budget, redis_t, tables);
    uint64_t limit = redis->memory_limit;
    if (limit == 0 || redis->loading) return true;
    size_t used = mem_meter_read(&redis->memory), uncounted = evict__uncounted_bytes(redis) - budget->unfilled_bytes;
    return used + bytes - MIN(uncounted, used) <= limit;
}

void redis_uncounted_add(redis_t *redis, size_t (*bytes)(void *user), void *user)
{
    ASSERT(redis->uncounted_count < REDIS_UNCOUNTED_MAX);
    redis->uncounted[redis->uncounted_count++] = (uncounted_t){bytes, user};
}

void redis_uncounted_remove(redis_t *redis, void *user)
{
    int kept = 0;
    for (int i = 0; i < redis->uncounted_count; i++)
        if (redis->uncounted[i].user != user) redis->uncounted[kept++] = redis->uncounted[i];
    redis->uncounted_count = kept;
}

/* ---- LFU: a logarithmic counter that decays -------------------------------------------------------------------------- */

#define MINUTES_MAX 0xffffu

static uint32_t minutes(const redis_t *redis) { return redis->lru_clock / 60 & MINUTES_MAX; }

void evict__set_lfu(redis_t *redis, redis_entry_t *e, uint8_t counter) { e->access = minutes(redis) << 8 | counter; }

uint8_t evict__lfu(const redis_t *redis, const redis_entry_t *e)
{
    int64_t decay = redis->config->lfu_decay_time;
    uint32_t since = (minutes(redis) - (e->access >> 8)) & MINUTES_MAX, counter = e->access & UINT8_MAX;
    return (uint8_t)(counter - MIN(counter, decay ? since / (uint32_t)decay : 0));
}

void evict__touch_lfu(redis_t *redis, redis_entry_t *e)
{
    uint8_t counter = evict__lfu(redis, e);
    if (counter < 255) {
        double base = counter > LFU_NEW ? counter - LFU_NEW : 0;
        double chance = 1.0 / (base * (double)redis->config->lfu_log_factor + 1);
        if ((double)(redis_random(redis) >> 11) / 9007199254740992.0 < chance) counter++;
    }
    evict__set_lfu(redis, e, counter);
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
    db__went(db, key, DB_EVICTED);
    mem_free((void *)key.ptr);
}

/* ---- pacing ---------------------------------------------------------------------------------------------------------- */

/* How long one call may take, as the original reckons it. */
static uint64_t time_limit_ns(const redis_t *redis)
{
    int64_t tenacity = redis->config->maxmemory_eviction_tenacity;
    if (tenacity >= TENACITY_MAX) return UINT64_MAX;
    if (tenacity <= TENACITY_LINEAR_MAX) return (uint64_t)tenacity * STEP_NS;
    return (uint64_t)(TENACITY_LINEAR_MAX * STEP_NS * pow(1.15, (double)(tenacity - TENACITY_LINEAR_MAX)));
}

/* Not while a script has paused halfway, nor while clients are paused and what they see shall stay as it is. */
static bool may_evict(const redis_t *redis)
{
    return redis->memory_limit && !redis->loading && !redis->script_left && redis->pause_until_ms == 0;
}

void evict__measure(redis_t *redis, uint64_t now_ns)
{
    mem_meter_set(&redis->memory);
    redis->memory_set_ns = now_ns;
}

static bool drive_out(redis_t *redis, uint64_t from_ns)
{
    uint64_t limit_ns = time_limit_ns(redis);
    /* What this thread took and another gave back still counts: carriers send what it wrote. */
    if (from_ns - redis->memory_set_ns > METER_AGE_NS_MAX) evict__measure(redis, from_ns);
    for (unsigned count = 1; redis__is_over_memory(redis); count++) {
        redis_db_t *db = NULL;
        redis_entry_t *e = redis->config->maxmemory_policy == EVICT_NONE ? NULL : choose(redis, &db);
        if (!e) return false;
        evict(redis, db, e);
        if (count % KEYS_BETWEEN_CLOCKS || io_hrtime_ns(redis->loop) - from_ns < limit_ns) continue;
        io_timer_start(&redis->evicting, 0, 0);
        break;
    }
    return true;
}

bool evict__make_room(redis_t *redis)
{
    if (!may_evict(redis)) return true;
    uint64_t from_ns = io_hrtime_ns(redis->loop);
    bool fits = drive_out(redis, from_ns);
    redis__note_latency(redis, "eviction-cycle", (io_hrtime_ns(redis->loop) - from_ns) / 1000);
    return fits;
}

static void go_on(io_timer_t *timer)
{
    redis_t *redis = CONTAINER_OF(timer, redis_t, evicting);
    redis->now_ms = io_wall_ms(redis->loop);
    (void)evict__make_room(redis); /* what cannot go is told to writers */
    exec__after_event(redis);
}

void evict__update_limit(redis_t *redis)
{
    redis->memory_limit = redis->config->maxmemory ? redis->config->maxmemory : redis->derived_limit;
}

void redis_derive_limit(redis_t *redis, uint64_t bytes)
{
    redis->derived_limit = bytes;
    evict__update_limit(redis);
}

void evict__init(redis_t *redis)
{
    evict__update_limit(redis);
    redis->tables.allows = allows_growth;
    io_timer_init(redis->loop, &redis->evicting, go_on);
}

void evict__deinit(redis_t *redis) { io_timer_stop(&redis->evicting); }

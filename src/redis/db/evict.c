/* evict.c: what goes when memory passes maxmemory: the best of a few samples by the policy in force, again until it fits
 * or the call's time is over. */
#include "redis/db/evict.h"

#include "base/hash.h"

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

size_t evict__uncounted_bytes(const keyspace_t *k)
{
    size_t bytes = k->evict.tables.unfilled_bytes + k->lazy.bytes;
    for (int i = 0; i < k->evict.uncounted_count; i++) bytes += k->evict.uncounted[i].bytes(k->evict.uncounted[i].user);
    return bytes;
}

/* A table that grows takes its memory at once; here all of it counts. */
static bool allows_growth(table_budget_t *budget, size_t bytes)
{
    const keyspace_t *k = CONTAINER_OF(budget, keyspace_t, evict.tables);
    uint64_t limit = k->evict.limit_bytes;
    if (limit == 0 || k->loading) return true;
    size_t used = mem_meter_read(&k->evict.memory), uncounted = evict__uncounted_bytes(k) - budget->unfilled_bytes;
    return used + bytes - MIN(uncounted, used) <= limit;
}

void evict__uncounted_add(keyspace_t *k, size_t (*bytes)(void *user), void *user)
{
    ASSERT(k->evict.uncounted_count < UNCOUNTED_MAX);
    k->evict.uncounted[k->evict.uncounted_count++] = (uncounted_t){bytes, user};
}

void evict__uncounted_remove(keyspace_t *k, void *user)
{
    int kept = 0;
    for (int i = 0; i < k->evict.uncounted_count; i++)
        if (k->evict.uncounted[i].user != user) k->evict.uncounted[kept++] = k->evict.uncounted[i];
    k->evict.uncounted_count = kept;
}

/* ---- LFU: a logarithmic counter that decays -------------------------------------------------------------------------- */

#define MINUTES_MAX 0xffffu

static uint32_t minutes(const keyspace_t *k) { return k->lru_clock / 60 & MINUTES_MAX; }

void evict__set_lfu(keyspace_t *k, redis_entry_t *e, uint8_t counter) { e->access = minutes(k) << 8 | counter; }

uint8_t evict__lfu(const keyspace_t *k, const redis_entry_t *e)
{
    int64_t decay = k->config->lfu_decay_time;
    uint32_t since = (minutes(k) - (e->access >> 8)) & MINUTES_MAX, counter = e->access & UINT8_MAX;
    return (uint8_t)(counter - MIN(counter, decay ? since / (uint32_t)decay : 0));
}

void evict__touch_lfu(keyspace_t *k, redis_entry_t *e)
{
    uint8_t counter = evict__lfu(k, e);
    if (counter < 255) {
        double base = counter > LFU_NEW ? counter - LFU_NEW : 0;
        double chance = 1.0 / (base * (double)k->config->lfu_log_factor + 1);
        if ((double)(keyspace__random(k) >> 11) / 9007199254740992.0 < chance) counter++;
    }
    evict__set_lfu(k, e, counter);
}

/* ---- choosing -------------------------------------------------------------------------------------------------------- */

/* The higher the sooner it goes. */
static uint64_t badness(const keyspace_t *k, const redis_entry_t *e)
{
    switch (k->config->maxmemory_policy) {
    case EVICT_ALLKEYS_LRU:
    case EVICT_VOLATILE_LRU: return evict__idle_s(k, e);
    case EVICT_ALLKEYS_LFU:
    case EVICT_VOLATILE_LFU: return 255u - evict__lfu(k, e);
    case EVICT_VOLATILE_TTL: return UINT64_MAX - (uint64_t)entry_expire_ms(e);
    default: return 0;
    }
}

static uint64_t draw(void *user) { return keyspace__random(user); }

/* Some entries of a database's candidates: a stretch of the table, or one from anywhere when only one is wanted (a fair
 * draw) or the stretch is empty (where a few are left). */
static size_t sample(keyspace_t *k, table_t *t, size_t max, void **ret_entries)
{
    if (table_count(t) == 0) return 0;
    size_t count = max > 1 ? table_sample(t, keyspace__random(k), max, ret_entries) : 0;
    if (count == 0) ret_entries[count++] = table_random(t, draw, k);
    return count;
}

static redis_entry_t *choose(keyspace_t *k, redis_db_t **ret_db)
{
    redis_evict_t policy = k->config->maxmemory_policy;
    bool all = policy == EVICT_ALLKEYS_LRU || policy == EVICT_ALLKEYS_LFU || policy == EVICT_ALLKEYS_RANDOM;
    bool blind = policy == EVICT_ALLKEYS_RANDOM || policy == EVICT_VOLATILE_RANDOM;
    void *samples[SAMPLES_MAX];
    size_t samples_max = blind ? 1 : k->config->maxmemory_samples * SAMPLES_FACTOR;
    redis_entry_t *worst = NULL;
    uint64_t worst_badness = 0;
    for (int i = 0; i < k->db_count; i++) {
        redis_db_t *db = &k->dbs[(k->evict.next_db + (unsigned)i) % (unsigned)k->db_count];
        size_t count = sample(k, all ? &db->keys : &db->expires, samples_max, samples);
        for (size_t n = 0; n < count; n++) {
            uint64_t bad = badness(k, samples[n]);
            if (worst && bad <= worst_badness) continue;
            worst = samples[n];
            worst_badness = bad;
            *ret_db = db;
        }
        if (!worst || !blind) continue;
        k->evict.next_db = (unsigned)(*ret_db)->id + 1; /* they take turns */
        break;
    }
    return worst;
}

static void evict(keyspace_t *k, redis_db_t *db, redis_entry_t *e)
{
    bytes_t name = entry_key(e);
    bytes_t key = bytes_of(mem_strndup(name), name.len);
    (void)db__delete_lazily(db, key, hash_bytes(key.ptr, key.len), k->config->lazyfree_lazy_eviction);
    k->stats.evicted_keys++;
    db__went(db, key, DB_EVICTED);
    mem_free((void *)key.ptr);
}

/* ---- pacing ---------------------------------------------------------------------------------------------------------- */

/* How long one call may take, as the original reckons it. */
static uint64_t time_limit_ns(const keyspace_t *k)
{
    int64_t tenacity = k->config->maxmemory_eviction_tenacity;
    if (tenacity >= TENACITY_MAX) return UINT64_MAX;
    if (tenacity <= TENACITY_LINEAR_MAX) return (uint64_t)tenacity * STEP_NS;
    return (uint64_t)(TENACITY_LINEAR_MAX * STEP_NS * pow(1.15, (double)(tenacity - TENACITY_LINEAR_MAX)));
}

/* Not while a script has paused halfway, nor while clients are paused and what they see shall stay as it is. */
static bool may_evict(const keyspace_t *k) { return k->evict.limit_bytes && !k->loading && !k->midway && !k->paused; }

void evict__measure(keyspace_t *k, uint64_t now_ns)
{
    mem_meter_set(&k->evict.memory);
    k->evict.memory_set_ns = now_ns;
}

static bool drive_out(keyspace_t *k, uint64_t from_ns)
{
    uint64_t limit_ns = time_limit_ns(k);
    /* What this thread took and another gave back still counts: carriers send what it wrote. */
    if (from_ns - k->evict.memory_set_ns > METER_AGE_NS_MAX) evict__measure(k, from_ns);
    for (unsigned count = 1; evict__is_over(k); count++) {
        redis_db_t *db = NULL;
        redis_entry_t *e = k->config->maxmemory_policy == EVICT_NONE ? NULL : choose(k, &db);
        if (!e) return false;
        evict(k, db, e);
        if (count % KEYS_BETWEEN_CLOCKS || io_hrtime_ns(k->loop) - from_ns < limit_ns) continue;
        io_timer_start(&k->evict.timer, 0, 0);
        break;
    }
    return true;
}

/* From the call that could not make enough room to the one that finds it. */
static void note_time_over(keyspace_t *k)
{
    uint64_t now_ns = io_hrtime_ns(k->loop);
    bool over = evict__is_over(k);
    if (over && !k->evict.over_since_ns) k->evict.over_since_ns = now_ns;
    if (over || !k->evict.over_since_ns) return;
    k->stats.over_ns += now_ns - k->evict.over_since_ns;
    k->evict.over_since_ns = 0;
}

bool evict__make_room(keyspace_t *k)
{
    if (!may_evict(k)) return true;
    uint64_t from_ns = io_hrtime_ns(k->loop);
    bool fits = drive_out(k, from_ns);
    note_time_over(k);
    keyspace__note_latency(k, "eviction-cycle", (io_hrtime_ns(k->loop) - from_ns) / 1000);
    return fits;
}

static void go_on(io_timer_t *timer)
{
    keyspace_t *k = CONTAINER_OF(timer, keyspace_t, evict.timer);
    keyspace__tick(k);
    (void)evict__make_room(k); /* what cannot go is told to writers */
    k->on_evicted(k);
}

void evict__update_limit(keyspace_t *k)
{
    k->evict.limit_bytes = k->config->maxmemory ? k->config->maxmemory : k->evict.derived_limit_bytes;
}

void evict__init(keyspace_t *k)
{
    evict__update_limit(k);
    k->evict.tables.allows = allows_growth;
    io_timer_init(k->loop, &k->evict.timer, go_on);
}

void evict__stop(keyspace_t *k) { io_timer_stop(&k->evict.timer); }

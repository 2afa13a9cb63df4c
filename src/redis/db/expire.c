/* expire.c: active expiry. Each turn of the cron looks at a few of the keys that have an expiry, database by
 * database, and goes on with a database while more than a tenth of what it saw was stale, within a bound of
 * time. Fields of hashes go in the order of their times, and have half of that time for themselves. */
#include "redis/db/keyspace.h"

#include "redis/types/hash.h"

enum {
    SAMPLES_BASE = 20,      /* keys a loop, at effort 1 */
    STALE_PERCENT_MAX = 10, /* acceptable; less with more effort */
    BUCKETS_PER_SAMPLE = 4, /* so that a sparse table does not hold the loop up */
    LOOPS_BETWEEN_CLOCKS = 16,
};

typedef struct sample {
    int64_t now_ms;
    redis_entry_t *stale[SAMPLES_BASE * 8];
    size_t stale_count, seen;
    int64_t ttl_sum;
    size_t ttl_count;
} sample_t;

static void look(void *user, void *entry)
{
    sample_t *s = user;
    int64_t at = entry_expire_ms(entry);
    s->seen++;
    if (s->now_ms > at) {
        if (s->stale_count < ARRAY_LEN(s->stale)) s->stale[s->stale_count++] = entry;
    } else {
        s->ttl_sum += at - s->now_ms;
        s->ttl_count++;
    }
}

/* One loop over one database; true when it should be looked at again at once. */
static bool expire_some(keyspace_t *k, redis_db_t *db, int effort)
{
    size_t wanted = (size_t)(SAMPLES_BASE + SAMPLES_BASE / 4 * effort), buckets = wanted * BUCKETS_PER_SAMPLE;
    sample_t s = {.now_ms = k->now_ms};
    do {
        db->expire_cursor = table_scan(&db->expires, db->expire_cursor, look, &s);
    } while (db->expire_cursor && s.seen < wanted && --buckets);
    for (size_t i = 0; i < s.stale_count; i++) db__delete_expired(db, s.stale[i]);
    if (s.ttl_count) {
        int64_t average = s.ttl_sum / (int64_t)s.ttl_count;
        db->ttl_average_ms = db->ttl_average_ms ? (db->ttl_average_ms / 50) * 49 + average / 50 : average;
    }
    double percent = s.seen ? 100.0 * (double)s.stale_count / (double)s.seen : 0;
    k->stats.expired_stale_percent = percent * 0.05 + k->stats.expired_stale_percent * 0.95;
    return s.seen && percent > STALE_PERCENT_MAX - effort;
}

static bool is_over(keyspace_t *k, uint64_t until_ns)
{
    if (io_hrtime_ns(k->loop) <= until_ns) return false;
    k->stats.expired_time_capped++;
    return true;
}

static void note_stale_hashes(keyspace_t *k, size_t stale, size_t hashes)
{
    double percent = hashes ? 100.0 * (double)MIN(stale, hashes) / (double)hashes : 0;
    k->stats.hashes_stale_percent = percent * 0.05 + k->stats.hashes_stale_percent * 0.95;
}

static void expire_fields(keyspace_t *k, uint64_t until_ns)
{
    size_t stale = 0, hashes = 0;
    for (int i = 0; i < k->db_count; i++) {
        redis_db_t *db = &k->dbs[i];
        hashes += db->clocks.count;
        for (heap_node_t *n; (n = heap_first(&db->clocks)) && hash_is_over(heap_at_ms(n), k->now_ms); stale++) {
            db__delete_expired_fields(db, CONTAINER_OF(n, hash_clock_t, node)->owner);
            if (is_over(k, until_ns)) return;
        }
    }
    note_stale_hashes(k, stale, hashes);
}

static void expire_keys(keyspace_t *k, uint64_t until_ns)
{
    int effort = (int)k->config->active_expire_effort - 1;
    for (int i = 0; i < k->db_count; i++) {
        redis_db_t *db = &k->dbs[i];
        unsigned loops = 0;
        while (table_count(&db->expires) && expire_some(k, db, effort)) {
            if (++loops % LOOPS_BETWEEN_CLOCKS) continue;
            if (is_over(k, until_ns)) return;
        }
        if (table_count(&db->expires) == 0) db->ttl_average_ms = 0;
    }
}

void expire__cycle(keyspace_t *k, uint64_t budget_us)
{
    uint64_t start_ns = io_hrtime_ns(k->loop);
    expire_fields(k, start_ns + budget_us * 1000 / 2);
    expire_keys(k, start_ns + budget_us * 1000);
}

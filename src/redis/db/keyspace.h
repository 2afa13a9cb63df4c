/* keyspace.h: all databases, the time by which they are judged, and who listens. */
#ifndef TRIVET_REDIS_KEYSPACE_H
#define TRIVET_REDIS_KEYSPACE_H

#include "io/io.h"
#include "redis/config/config.h"
#include "redis/db/db.h"
#include "redis/db/lazyfree.h"
#include "redis/latency.h"

/* ---- memory, and what goes when it is short (evict.h) ---------------------------------------------------------------- */

#define UNCOUNTED_MAX 4

typedef struct uncounted {
    size_t (*bytes)(void *user);
    void *user;
} uncounted_t;

typedef struct evict {
    mem_meter_t memory;                    /* set by the cron, and before keys are driven out */
    uint64_t memory_set_ns, over_since_ns; /* the latter 0 = it is not above maxmemory */
    size_t peak_bytes, startup_bytes;
    uint64_t limit_bytes;         /* maxmemory, or what was derived while nobody has set it; 0 = none */
    uint64_t derived_limit_bytes; /* 0 = none, or maxmemory was set */
    table_budget_t tables;
    io_timer_t timer;                     /* armed while there is more to drive out than one call may */
    unsigned next_db;                     /* where keys are looked for first */
    uncounted_t uncounted[UNCOUNTED_MAX]; /* memory that maxmemory does not count */
    int uncounted_count;
} evict_t;

/* ---- the keyspace ---------------------------------------------------------------------------------------------------- */

typedef struct keyspace_stats {
    uint64_t hits, misses, expired_keys, expired_fields, evicted_keys, expired_time_capped;
    uint64_t expire_us;        /* of the cycles */
    uint64_t over_ns;          /* above maxmemory, but for the time that has not ended */
    uint64_t checked_payloads; /* of RESTORE */
    double expired_stale_percent, hashes_stale_percent;
} keyspace_stats_t;

struct keyspace {
    redis_t *redis; /* for the rooms above */
    io_loop_t *loop;
    const redis_config_t *config;
    redis_db_t *dbs;
    int db_count;
    db_listeners_t announce; /* to whom changes are told */
    int64_t now_ms;          /* Unix time of the event that the loop serves */
    uint32_t lru_clock;      /* the same in seconds */
    uint64_t random_state[2];
    bool loading; /* the data set is being read in */
    bool paused;  /* what clients see must stay as it is: nothing expires or is driven out (CLIENT PAUSE) */
    bool midway;  /* the same: a script stepped aside for a while */
    keyspace_stats_t stats;
    evict_t evict;
    lazyfree_t lazy;
    latency_t *latency;
    void (*on_evicted)(keyspace_t *keyspace); /* the timer has driven keys out */
};

void keyspace__init(keyspace_t *k, redis_t *redis, io_loop_t *loop, const redis_config_t *config, latency_t *latency);
void keyspace__deinit(keyspace_t *k);
/* The loop serves an event from now on. */
void keyspace__tick(keyspace_t *k);
uint64_t keyspace__random(keyspace_t *k); /* fast, not for secrets */
static inline void keyspace__note_latency(keyspace_t *k, const char *event, uint64_t usec)
{
    latency_note(k->latency, k->config->latency_monitor_threshold, event, k->now_ms, usec);
}
/* Active expiry; at most for so long. */
void expire__cycle(keyspace_t *k, uint64_t budget_us);

#endif

/* cron.c: what the wing does some times a second: it measures itself, lets keys expire, moves tables, and looks after clients and
 * files. */
#include "redis/cron.h"

#include "redis/conn/out_limits.h"
#include "redis/conn/tracking.h"
#include "redis/exec/pause.h"
#include "redis/exec/state.h"
#include "redis/persist/aof.h"
#include "redis/persist/snapshot.h"

#define HZ_MAX                   500
#define CLIENTS_PER_TURN         200 /* dynamic-hz: more clients than this make more turns */
#define SAMPLE_MS                100
#define EXPIRE_TIME_SHARE        4 /* a quarter of the time between two turns of the cron */
#define TABLE_MOVE_BUCKETS       4000
#define TABLE_MOVE_BUCKETS_SHORT 100

static void sample_turns(redis_t *redis, size_t at, int64_t passed_ms)
{
    io_turn_counts_t counts = io_turn_counts(redis->loop);
    uint64_t turns = 0;
    for (size_t i = 0; i < ARRAY_LEN(counts.buckets); i++) turns += counts.buckets[i];
    uint64_t more = turns - redis->turns_last, ns = counts.sum_ns - redis->turns_last_ns;
    redis->turn_samples[at] = more * 1000 / (uint64_t)passed_ms;
    redis->turn_us_samples[at] = more ? ns / more / 1000 : 0;
    redis->turns_last = turns;
    redis->turns_last_ns = counts.sum_ns;
}

static void sample_rates(redis_t *redis)
{
    int64_t passed = redis->keyspace.now_ms - redis->ops_last_ms;
    if (passed < SAMPLE_MS) return;
    net_stats_t net = net_service_stats(redis->net, input__service());
    size_t at = redis->sample_count++ % ARRAY_LEN(redis->ops_samples);
    redis->ops_samples[at] = (redis->clients.stats.commands - redis->ops_last_count) * 1000 / (uint64_t)passed;
    redis->in_samples[at] = (net.in_bytes - redis->in_last_bytes) * 1000 / (uint64_t)passed;
    redis->out_samples[at] = (net.out_bytes - redis->out_last_bytes) * 1000 / (uint64_t)passed;
    sample_turns(redis, at, passed);
    redis->ops_last_ms = redis->keyspace.now_ms;
    redis->ops_last_count = redis->clients.stats.commands;
    redis->in_last_bytes = net.in_bytes;
    redis->out_last_bytes = net.out_bytes;
}

/* hz turns a second; with dynamic-hz twice as many, and so on, while there are many clients for each. */
static uint32_t cron_ms(redis_t *redis)
{
    uint32_t hz = (uint32_t)redis->config->hz;
    while (redis->config->dynamic_hz && redis->clients.count / hz > CLIENTS_PER_TURN && hz < HZ_MAX)
        hz = MIN(hz * 2, (uint32_t)HZ_MAX);
    redis->hz = hz;
    return 1000 / hz;
}

/* Buckets that are moved into begin to count: near maxmemory few at a time, for each drives out an entry or two. */
static void move_tables(redis_t *redis)
{
    size_t bytes = TABLE_MOVE_BUCKETS * 2 * sizeof(table_bucket_t);
    bool roomy = redis->keyspace.evict.tables.allows(&redis->keyspace.evict.tables, bytes);
    size_t buckets = roomy ? TABLE_MOVE_BUCKETS : TABLE_MOVE_BUCKETS_SHORT;
    for (int i = 0; i < redis->keyspace.db_count; i++) {
        table_move(&redis->keyspace.dbs[i].keys, buckets);
        table_move(&redis->keyspace.dbs[i].expires, buckets);
    }
}

static void close_idle(redis_t *redis)
{
    int64_t bound_ms = (int64_t)redis->config->timeout_s * 1000;
    if (bound_ms == 0) return;
    LIST_EACH(&redis->clients.all, c, redis_client_t, node)
        if (!(c->flags & (CLIENT_BLOCKED | CLIENT_PUBSUB)) && redis->keyspace.now_ms - c->active_ms > bound_ms)
            client__close(c);
}

static void each_second(redis_t *redis)
{
    if (redis->keyspace.now_ms - redis->second_ms < 1000 && redis->keyspace.now_ms >= redis->second_ms) return;
    redis->second_ms = redis->keyspace.now_ms;
    client_memory__begin_second(&redis->clients);
    close_idle(redis);
    secure__cron(&redis->clients);
}

/* What they do not read, and what they hold. */
static void look_at_clients(redis_t *redis)
{
    LIST_EACH(&redis->clients.all, c, redis_client_t, node) {
        if (c->flags & CLIENT_CLOSING) continue;
        if (out_limits__is_over(c))
            out_limits__close(c);
        else
            client_memory__note(c);
    }
    client_memory__enforce(&redis->clients);
}

static void measure_memory(redis_t *redis)
{
    evict__measure(&redis->keyspace, io_hrtime_ns(redis->loop));
    redis->keyspace.evict.peak_bytes = MAX(redis->keyspace.evict.peak_bytes, redis->keyspace.evict.memory.used_bytes);
}

static void run_expire_cycle(redis_t *redis, uint64_t budget_us)
{
    uint64_t before_ns = io_hrtime_ns(redis->loop);
    expire__cycle(&redis->keyspace, budget_us);
    uint64_t usec = (io_hrtime_ns(redis->loop) - before_ns) / 1000;
    redis->keyspace.stats.expire_us += usec;
    keyspace__note_latency(&redis->keyspace, "expire-cycle", usec);
}

static void on_cron(io_timer_t *timer)
{
    redis_t *redis = CONTAINER_OF(timer, redis_t, cron);
    keyspace__tick(&redis->keyspace);
    uint32_t ms = cron_ms(redis);
    if (timer->repeat_ms != ms) io_timer_start(timer, ms, ms);
    if (redis->cron_paused) return;
    measure_memory(redis);
    sample_rates(redis);
    if (redis->active_expire && !redis->keyspace.paused && !redis->keyspace.midway && !redis->keyspace.loading)
        run_expire_cycle(redis, (uint64_t)ms * 1000 / EXPIRE_TIME_SHARE);
    move_tables(redis);
    if (redis->pause_until_ms && redis->keyspace.now_ms >= redis->pause_until_ms) pause__end(redis);
    each_second(redis);
    look_at_clients(redis);
    if (!redis->keyspace.loading) aof__cron(&redis->persist);
    if (!redis->keyspace.loading) snapshot__cron(&redis->persist);
    tracking__limit(&redis->clients);
    exec__after_event(redis);
}

void cron__init(redis_t *redis) { io_timer_init(redis->loop, &redis->cron, on_cron); }

void cron__start(redis_t *redis)
{
    uint32_t ms = cron_ms(redis);
    io_timer_start(&redis->cron, ms, ms);
}

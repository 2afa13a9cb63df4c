/* keyspace.c: see keyspace.h. */
#include "redis/db/evict.h"

void keyspace__tick(keyspace_t *k)
{
    k->now_ms = io_wall_ms(k->loop);
    k->lru_clock = (uint32_t)(k->now_ms / 1000);
}

/* xoroshiro128+: fast, and seeded through the one door. */
uint64_t keyspace__random(keyspace_t *k)
{
    uint64_t a = k->random_state[0], b = k->random_state[1], sum = a + b;
    b ^= a;
    k->random_state[0] = ((a << 24) | (a >> 40)) ^ b ^ (b << 16);
    k->random_state[1] = (b << 37) | (b >> 27);
    return sum;
}

void keyspace__init(keyspace_t *k, redis_t *redis, io_loop_t *loop, const redis_config_t *config, latency_t *latency)
{
    *k = (keyspace_t){.redis = redis, .loop = loop, .config = config, .latency = latency};
    keyspace__tick(k);
    io_random(loop, k->random_state, sizeof(k->random_state));
    k->random_state[0] |= 1;
    evict__init(k);
    lazyfree__init(&k->lazy, loop);
    k->db_count = (int)config->databases;
    k->dbs = mem_zalloc(sizeof(*k->dbs) * (size_t)k->db_count);
    for (int i = 0; i < k->db_count; i++) db__init(&k->dbs[i], k, i);
}

void keyspace__deinit(keyspace_t *k)
{
    for (int i = 0; i < k->db_count; i++) db__deinit(&k->dbs[i]);
    lazyfree__deinit(&k->lazy);
    mem_free(k->dbs);
}

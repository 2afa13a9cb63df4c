/* pause.c: see pause.h. */
#include "redis/exec/pause.h"

#include "redis/exec/state.h"

void pause__end(redis_t *redis)
{
    redis->pause_until_ms = 0;
    redis->keyspace.paused = false;
    redis->pause_all = false;
    exec__update_gate(redis);
    clients__resume(&redis->clients);
}

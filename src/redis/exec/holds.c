/* holds.c: see holds.h. While a key is held, a command that may write waits when it names it, in whatever database, and when what
 * it writes is not to be seen from its words: a script, a transaction, a whole database. Reads go on. */
#include "redis/exec/holds.h"

#include "redis/exec/getkeys.h"
#include "redis/exec/state.h"

void holds__add(redis_t *redis, bytes_t key)
{
    uintptr_t count = (uintptr_t)map_get(&redis->holds.keys, key);
    (void)map_put(&redis->holds.keys, key, (void *)(count + 1));
    exec__update_gate(redis);
}

void holds__remove(redis_t *redis, bytes_t key)
{
    uintptr_t count = (uintptr_t)map_remove(&redis->holds.keys, key);
    ASSERT(count > 0);
    if (count > 1) (void)map_put(&redis->holds.keys, key, (void *)(count - 1));
    exec__update_gate(redis);
    if (redis->holds.keys.count == 0) clients__resume(&redis->clients);
}

static bool names_held(const redis_client_t *c, const redis_command_t *command, int argc, const bytes_t *argv)
{
    key_positions_t keys = {0};
    bool known = command_get_keys(command, argc, argv, &keys) && keys.count > 0, held = !known;
    for (size_t i = 0; i < keys.count && !held; i++)
        held = map_get(&c->redis->holds.keys, argv[keys.at[i].index]) != NULL;
    key_positions_deinit(&keys);
    return held;
}

bool holds__must_wait(redis_client_t *c, const redis_command_t *command, int argc, const bytes_t *argv)
{
    enum { OPAQUE = TRAIT_RUNS_QUEUE | TRAIT_BY_SOURCE | TRAIT_BY_SHA | TRAIT_BY_FUNCTION };
    if (c->redis->holds.keys.count == 0 || !c->conn) return false;
    if (c->flags & CLIENT_MULTI && !(command->traits & TRAIT_RUNS_QUEUE)) return false; /* it is only queued */
    bool opaque = command->traits & OPAQUE;
    if (!opaque && !(command->flags & CMD_WRITE && names_held(c, command, argc, argv))) return false;
    client__pause(c);
    return true;
}

void holds__deinit(redis_t *redis) { map_deinit(&redis->holds.keys); }

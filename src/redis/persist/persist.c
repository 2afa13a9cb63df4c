/* persist.c: the room's parts together. See persist.h. */
#include "redis/persist/persist.h"
#include "redis/persist/aof.h"
#include "redis/persist/load.h"
#include "redis/persist/snapshot.h"
#include "redis/persist/walk.h"

void persist__open_parts(persist_t *persist)
{
    persist->walk = walk__new(persist);
    persist->snapshots = snapshot__new(persist);
    persist->aof = aof__new(persist);
}

void persist__free_parts(persist_t *persist)
{
    load__abort(persist);
    aof__free(persist->aof);
    snapshot__free(persist->snapshots);
    walk__free(persist->walk);
}

const char *persist__failure(const persist_t *persist)
{
    const char *why = aof__failure(persist);
    return why ? why : snapshot__failure(persist);
}

void persist__beside_add(persist_t *persist, void (*emit)(void *user, redis_emitter_t *base), void *user)
{
    ASSERT(persist->beside_count < PERSIST_BESIDE_MAX);
    persist->beside[persist->beside_count++] = (beside_t){emit, user};
}

void persist__beside_remove(persist_t *persist, void *user)
{
    int kept = 0;
    for (int i = 0; i < persist->beside_count; i++)
        if (persist->beside[i].user != user) persist->beside[kept++] = persist->beside[i];
    persist->beside_count = kept;
}

/* walk.c: see walk.h. */
#include "redis/persist/walk.h"

#include "base/slog.h"

#define HOOK_RANK  15       /* behind the append-only file's */
#define SLICE_NS   1000000u /* of a turn */
#define CLOCK_EACH 32       /* steps between two looks at the time */

struct walk {
    redis_t *redis;
    walk_user_t *user; /* NULL: none goes on */
    int db;
    uint64_t cursor;
    io_hook_t hook;
};

static void mark(redis_db_t *db, redis_entry_t *e) { e->flags = (uint8_t)((e->flags & ~ENTRY_EPOCH) | db->epoch); }
static void mark_each(void *db, void *entry) { mark(db, entry); }

/* An expired key need not be kept, unless somebody has yet to be told that it went. */
static bool keeps(const redis_db_t *db, const redis_entry_t *e)
{
    return db->redis->observer || !entry_is_expired(e, db->redis->now_ms);
}

void walk__will_change(redis_db_t *db, redis_entry_t *e)
{
    walk_user_t *user = db->redis->walk->user;
    if (user && keeps(db, e)) user->put(user, db, e);
    mark(db, e);
}

static void visit(void *user, void *entry)
{
    redis_db_t *db = user;
    redis_entry_t *e = entry;
    if ((e->flags & ENTRY_EPOCH) != db->epoch) walk__will_change(db, e);
}

/* Gives entries until the slice is used up; true when there are no more. */
static bool slice(walk_t *walk)
{
    redis_t *redis = walk->redis;
    uint64_t until = io_hrtime_ns(redis->loop) + SLICE_NS;
    for (unsigned steps = 1; walk->db < redis->db_count; steps++) {
        redis_db_t *db = &redis->dbs[walk->db];
        walk->cursor = table_scan(&db->keys, walk->cursor, visit, db);
        if (!walk->cursor) walk->db++;
        if (steps % CLOCK_EACH == 0 && io_hrtime_ns(redis->loop) > until) return false;
    }
    return true;
}

static void turn(io_hook_t *hook)
{
    walk_t *walk = CONTAINER_OF(hook, walk_t, hook);
    walk_user_t *user = walk->user;
    if (!user) return;
    bool done = slice(walk);
    user->stepped(user);
    if (walk->user != user) return;
    if (!done) {
        io_loop_wake(walk->redis->loop);
        return;
    }
    walk->user = NULL;
    user->ended(user);
}

walk_t *walk__new(redis_t *redis)
{
    walk_t *walk = mem_zalloc(sizeof(*walk));
    walk->redis = redis;
    walk->hook = (io_hook_t){.rank = HOOK_RANK, .name = "redis walk", .run = turn};
    io_hook_add(redis->loop, &walk->hook);
    return walk;
}

void walk__free(walk_t *walk)
{
    ASSERT(!walk->user);
    io_hook_remove(&walk->hook);
    mem_free(walk);
}

bool walk__is_active(const redis_t *redis) { return redis->walk->user != NULL; }

void walk__start(redis_t *redis, walk_user_t *user)
{
    walk_t *walk = redis->walk;
    ASSERT(!walk->user);
    walk->user = user;
    walk->db = 0;
    walk->cursor = 0;
    for (int i = 0; i < redis->db_count; i++) redis->dbs[i].epoch ^= ENTRY_EPOCH;
    io_loop_wake(redis->loop);
}

static void end_early(redis_t *redis)
{
    redis->walk->user = NULL;
    for (int i = 0; i < redis->db_count; i++) table_each(&redis->dbs[i].keys, mark_each, &redis->dbs[i]);
}

void walk__stop(redis_t *redis, const walk_user_t *user)
{
    if (redis->walk->user == user) end_early(redis);
}

void walk__interrupt(redis_t *redis)
{
    walk_user_t *user = redis->walk->user;
    if (!user) return;
    end_early(redis);
    user->interrupted(user);
}

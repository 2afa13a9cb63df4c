/* walk.c: see walk.h. */
#include "redis/persist/walk.h"
#include "redis/persist/persist.h"

#include "base/slog.h"

#define HOOK_RANK    95       /* behind the connections' output: no reply of the turn waits for it */
#define SLICE_NS_MIN 100000u  /* so long a request that comes meanwhile may wait */
#define SLICE_NS_MAX 1000000u /* of a turn that was long itself */
#define SLICE_SHARE  8 /* the walk takes a part in so many of what the turn took: it must end also under full load */
#define CLOCK_EACH   8 /* steps between two looks at the time */
#define REST_MS      10

struct walk {
    persist_t *persist;
    walk_user_t *user; /* NULL: none goes on */
    int db;
    uint64_t cursor;
    uint64_t given, due_ns; /* entries; when the next may be, for rdb-key-save-delay */
    io_timer_t rest;
    io_hook_t hook;
    db_listener_t listener; /* wants something while there is a user */
};

static void mark(redis_db_t *db, redis_entry_t *e) { e->flags = (uint8_t)((e->flags & ~ENTRY_EPOCH) | db->epoch); }
static void mark_each(void *db, void *entry) { mark(db, entry); }

/* An expired key need not be kept, unless somebody has yet to be told that it went. */
static bool keeps(const walk_t *walk, const redis_db_t *db, const redis_entry_t *e)
{
    return walk->persist->observed || !entry_is_expired(e, db->keyspace->now_ms);
}

/* Unless the entry was given already. */
static void give(walk_t *walk, redis_db_t *db, redis_entry_t *e)
{
    if ((e->flags & ENTRY_EPOCH) == db->epoch) return;
    if (keeps(walk, db, e)) walk->user->put(walk->user, db, e);
    walk->given++;
    mark(db, e);
}

static void on_will_change(db_listener_t *self, redis_db_t *db, redis_entry_t *e)
{
    give(CONTAINER_OF(self, walk_t, listener), db, e);
}

typedef struct visit {
    walk_t *walk;
    redis_db_t *db;
} visit_t;

static void visit(void *user, void *entry)
{
    const visit_t *v = user;
    give(v->walk, v->db, entry);
}

/* After so many entries, when each has to take its time. */
static bool must_rest(walk_t *walk, uint64_t entries)
{
    int64_t delay_us = walk->persist->config->rdb_key_save_delay_us;
    uint64_t now_ns = io_hrtime_ns(walk->persist->loop);
    if (LIKELY(delay_us <= 0)) return false;
    if (entries) walk->due_ns = now_ns + (uint64_t)delay_us * 1000 * entries;
    return now_ns < walk->due_ns;
}

static uint64_t slice_end_ns(io_loop_t *loop)
{
    uint64_t now_ns = io_hrtime_ns(loop), turn_ns = now_ns - MIN(io_now_ns(loop), now_ns);
    return now_ns + MIN(MAX(turn_ns / SLICE_SHARE, SLICE_NS_MIN), SLICE_NS_MAX);
}

/* Gives entries until the slice is used up; true when there are no more. */
static bool slice(walk_t *walk)
{
    persist_t *persist = walk->persist;
    uint64_t until = slice_end_ns(persist->loop);
    for (unsigned steps = 1; walk->db < persist->keyspace->db_count; steps++) {
        redis_db_t *db = &persist->keyspace->dbs[walk->db];
        uint64_t before = walk->given;
        walk->cursor = table_scan(&db->keys, walk->cursor, visit, &(visit_t){walk, db});
        if (!walk->cursor) walk->db++;
        if (must_rest(walk, walk->given - before)) return false;
        if (steps % CLOCK_EACH == 0 && io_hrtime_ns(persist->loop) > until) return false;
    }
    return true;
}

static void set_user(walk_t *walk, walk_user_t *user)
{
    walk->user = user;
    uint32_t wants = user ? DB_WILL_CHANGE | DB_WILL_EMPTY | DB_WILL_SWAP : 0;
    db_want(&walk->persist->keyspace->announce, &walk->listener, wants);
}

static void on_rested(io_timer_t *timer) { io_loop_wake(CONTAINER_OF(timer, walk_t, rest)->persist->loop); }

static void turn(io_hook_t *hook)
{
    walk_t *walk = CONTAINER_OF(hook, walk_t, hook);
    walk_user_t *user = walk->user;
    if (!user) return;
    if (must_rest(walk, 0)) {
        if (walk->rest.due_ns == 0) io_timer_start(&walk->rest, REST_MS, 0);
        return;
    }
    bool done = slice(walk);
    user->stepped(user);
    if (walk->user != user) return;
    if (!done) {
        io_loop_wake(walk->persist->loop);
        return;
    }
    set_user(walk, NULL);
    user->ended(user);
}

static void end_early(walk_t *walk)
{
    persist_t *persist = walk->persist;
    set_user(walk, NULL);
    for (int i = 0; i < persist->keyspace->db_count; i++)
        table_each(&persist->keyspace->dbs[i].keys, mark_each, &persist->keyspace->dbs[i]);
}

/* The walk knows entries by the database they were in. */
static void interrupt(db_listener_t *self)
{
    walk_t *walk = CONTAINER_OF(self, walk_t, listener);
    walk_user_t *user = walk->user;
    end_early(walk);
    user->interrupted(user);
}

static void on_will_empty(db_listener_t *self, redis_db_t *db, const char *command) { interrupt(self); }
static void on_will_swap(db_listener_t *self, redis_db_t *a, redis_db_t *b) { interrupt(self); }

walk_t *walk__new(persist_t *persist)
{
    walk_t *walk = mem_zalloc(sizeof(*walk));
    walk->persist = persist;
    walk->hook = (io_hook_t){.rank = HOOK_RANK, .name = "redis walk", .run = turn};
    io_hook_add(persist->loop, &walk->hook);
    io_timer_init(persist->loop, &walk->rest, on_rested);
    walk->listener = (db_listener_t){.name = "walk",
                                     .rank = DB_RANK_PERSIST,
                                     .will_change = on_will_change,
                                     .will_empty = on_will_empty,
                                     .will_swap = on_will_swap};
    db_listen(&persist->keyspace->announce, &walk->listener);
    return walk;
}

void walk__free(walk_t *walk)
{
    ASSERT(!walk->user);
    db_unlisten(&walk->persist->keyspace->announce, &walk->listener);
    io_hook_remove(&walk->hook);
    io_timer_stop(&walk->rest);
    mem_free(walk);
}

bool walk__is_active(const persist_t *persist) { return persist->walk->user != NULL; }

void walk__start(persist_t *persist, walk_user_t *user)
{
    walk_t *walk = persist->walk;
    ASSERT(!walk->user);
    set_user(walk, user);
    walk->db = 0;
    walk->cursor = 0;
    walk->due_ns = 0;
    for (int i = 0; i < persist->keyspace->db_count; i++) persist->keyspace->dbs[i].epoch ^= ENTRY_EPOCH;
    io_loop_wake(persist->loop);
}

void walk__stop(persist_t *persist, const walk_user_t *user)
{
    if (persist->walk->user == user) end_early(persist->walk);
}

/* blocking.c: clients that wait: for keys (BLPOP and its kin), or for an answer from outside (redis_async).
 *
 *   running --key_block--> blocked --key changed--> runs again --+--> answered: resumed
 *                             ^                                +--> key_block again: stays, same place, same
 * deadline |  --timeout / UNBLOCK--> null or error: resumed
 *
 * Waiters of a key are served in the order in which they came. Those who take from the same consumer group stand in a line of
 * their own: the first that finds nothing speaks for all behind it, so that ten thousand of them cost no more than one. */
#include "redis/conn/out.h"
#include "redis/exec/state.h"
#include "redis/redis.h"

#define HELD_LOOK_MS 10 /* while a script has stepped aside, or writes are paused */

typedef struct blocked_key blocked_key_t;

typedef struct line {
    blocked_key_t *key;
    bytes_t name;   /* ptr NULL: the key's common line */
    list_t waiters; /* wait_t.line_node */
    list_t node;    /* in key->named */
} line_t;

struct blocked_key {
    redis_db_t *db;
    bytes_t name;
    line_t common;
    list_t named;      /* line_t.node; none is empty but while it is served */
    map_t by_name;     /* the same */
    list_t ready_node; /* in redis->blocking.ready_keys while `ready` */
    bool ready, serving;
};

typedef struct wait {
    list_t line_node;
    line_t *line;
    blocked_t *blocked;
} wait_t;

struct blocked {
    redis_client_t *client;
    saved_command_t *command;
    redis_type_t type;
    redis_block_timeout_t on_timeout;
    io_timer_t timer, again_timer;
    bool running_again;
    bool again; /* the handler, run again, blocked again */
    size_t wait_count;
    wait_t waits[];
};

/* ---- what is listened for -------------------------------------------------------------------------------------------- */

/* What nobody waits for goes by unheard. */
static void update_wants(redis_t *redis)
{
    uint32_t wants = redis->blocking.clients ? DB_GREW | DB_SWAPPED : 0;
    if (redis->blocking.lines) wants |= DB_CHANGED | DB_GONE | DB_WILL_EMPTY;
    db_want(&redis->keyspace.announce, &redis->blocking.listener, wants);
}

static void count_blocked(redis_t *redis, int by)
{
    redis->blocking.clients += (uint64_t)by;
    update_wants(redis);
}

static void count_lines(redis_t *redis, int by)
{
    redis->blocking.lines += (uint64_t)by;
    update_wants(redis);
}

/* ---- the two sides --------------------------------------------------------------------------------------------------- */

static void release_line(line_t *line)
{
    blocked_key_t *key = line->key;
    if (line == &key->common || !list_empty(&line->waiters) || key->serving) return;
    count_lines(key->db->redis, -1);
    list_remove(&line->node);
    map_remove(&key->by_name, line->name);
    mem_free((void *)line->name.ptr);
    mem_free(line);
}

static void release_key(blocked_key_t *key)
{
    if (!list_empty(&key->common.waiters) || !list_empty(&key->named) || key->serving) return;
    if (key->ready) list_remove(&key->ready_node);
    map_remove(&key->db->blocked, key->name);
    map_deinit(&key->by_name);
    mem_free((void *)key->name.ptr);
    mem_free(key);
}

static blocked_key_t *key_of(redis_db_t *db, bytes_t name)
{
    blocked_key_t *key = map_get(&db->blocked, name);
    if (key) return key;
    key = mem_zalloc(sizeof(*key));
    key->db = db;
    key->name = bytes_of(mem_strndup(name), name.len);
    key->common.key = key;
    list_init(&key->common.waiters);
    list_init(&key->named);
    list_init(&key->ready_node);
    map_put(&db->blocked, key->name, key);
    return key;
}

static line_t *line_of(blocked_key_t *key, bytes_t name)
{
    line_t *line = name.ptr ? map_get(&key->by_name, name) : &key->common;
    if (line) return line;
    line = mem_zalloc(sizeof(*line));
    line->key = key;
    line->name = bytes_of(mem_strndup(name), name.len);
    list_init(&line->waiters);
    list_push_back(&key->named, &line->node);
    map_put(&key->by_name, line->name, line);
    count_lines(key->db->redis, 1);
    return line;
}

/* Whoever joined last is at the line's end, so a key that is named twice is known by that. */
static bool waits_already(const blocked_t *b, const line_t *line)
{
    if (list_empty(&line->waiters)) return false;
    return CONTAINER_OF(line->waiters.prev, wait_t, line_node)->blocked == b;
}

static void join(redis_db_t *db, blocked_t *b, bytes_t name, bytes_t line_name)
{
    line_t *line = line_of(key_of(db, name), line_name);
    if (waits_already(b, line)) return;
    wait_t *w = &b->waits[b->wait_count++];
    *w = (wait_t){.line = line, .blocked = b};
    list_push_back(&line->waiters, &w->line_node);
}

static void leave(wait_t *w)
{
    blocked_key_t *key = w->line->key;
    list_remove(&w->line_node);
    release_line(w->line);
    release_key(key);
}

void blocking__forget(redis_client_t *c)
{
    blocked_t *b = c->blocked;
    if (!b) return;
    io_timer_stop(&b->timer);
    io_timer_stop(&b->again_timer);
    for (size_t i = 0; i < b->wait_count; i++) leave(&b->waits[i]);
    c->blocked = NULL;
    c->flags &= ~(uint32_t)CLIENT_BLOCKED;
    count_blocked(c->redis, -1);
    mem_free(b->command);
    mem_free(b);
}

static void resume(redis_client_t *c)
{
    blocking__forget(c);
    client__answered(c);
    client__resume(c);
}

static void on_timeout(io_timer_t *timer)
{
    blocked_t *b = CONTAINER_OF(timer, blocked_t, timer);
    redis_t *redis = b->client->redis;
    blocking__unblock(b->client, false);
    exec__after_event(redis);
}

size_t blocking__count_timeouts(const redis_t *redis)
{
    size_t count = 0;
    LIST_EACH(&redis->clients.all, c, redis_client_t, node) count += c->blocked && c->blocked->timer.due_ns;
    return count;
}

size_t blocking__bytes(const redis_client_t *c)
{
    const blocked_t *b = c->blocked;
    if (!b) return 0;
    size_t bytes = sizeof(*b) + b->wait_count * sizeof(wait_t);
    if (!b->command) return bytes;
    for (int i = 0; i < b->command->argc; i++) bytes += sizeof(bytes_t) + b->command->argv[i].len;
    return bytes + sizeof(*b->command);
}

/* Whether the command that just ran blocked, or blocked again. */
bool blocking__waits(const redis_client_t *c)
{
    const blocked_t *b = c->blocked;
    return b == NULL || !b->running_again || b->again;
}

bool blocking__unblock(redis_client_t *c, bool with_error)
{
    blocked_t *b = c->blocked;
    if (!b) return false;
    command_stats_t *stats = &c->redis->command_stats[b->command->command->id];
    stats->calls++;
    stats->failed += with_error;
    if (with_error)
        reply_error(c, "UNBLOCKED client unblocked via CLIENT UNBLOCK");
    else if (b->on_timeout == BLOCK_NULL)
        reply_null(c);
    else if (b->on_timeout == BLOCK_ZERO)
        reply_int(c, 0);
    else
        reply_null_array(c);
    resume(c);
    return true;
}

static void on_again(io_timer_t *timer);

static void look_again_in(blocked_t *b, int64_t ms)
{
    if (ms) io_timer_start(&b->again_timer, (uint64_t)ms, 0);
}

bool key_block(redis_call_t *call, const bytes_t *keys, size_t key_count, redis_type_t type, int64_t timeout_ms,
               redis_block_timeout_t timeout_reply)
{
    key_wait_t wait = {.type = type, .timeout_ms = timeout_ms, .on_timeout = timeout_reply};
    return key_block_as(call, keys, key_count, &wait);
}

bool key_block_as(redis_call_t *call, const bytes_t *keys, size_t key_count, const key_wait_t *wait)
{
    redis_client_t *c = call->client;
    redis_t *redis = call->redis;
    if (call->flags & CALL_RETRY) {
        c->blocked->again = true;
        look_again_in(c->blocked, wait->again_ms);
        return true;
    }
    if (call->flags & (CALL_IN_EXEC | CALL_LOADING) || !c->conn) return false;
    blocked_t *b = mem_zalloc(sizeof(*b) + key_count * sizeof(wait_t));
    b->client = c;
    b->command = command__save(call->command, call->argc, call->argv);
    b->type = wait->type;
    b->on_timeout = wait->on_timeout;
    for (size_t i = 0; i < key_count; i++) join(call->db, b, keys[i], wait->line);
    io_timer_init(redis->loop, &b->timer, on_timeout);
    io_timer_init(redis->loop, &b->again_timer, on_again);
    look_again_in(b, wait->again_ms);
    if (wait->timeout_ms) io_timer_start(&b->timer, (uint64_t)wait->timeout_ms, 0);
    c->blocked = b;
    c->flags |= CLIENT_BLOCKED;
    count_blocked(redis, 1);
    net_pause(c->conn);
    return true;
}

/* ---- serving --------------------------------------------------------------------------------------------------------- */

static void make_ready(blocked_key_t *key)
{
    if (key->ready) return;
    key->ready = true;
    list_push_back(&key->db->redis->blocking.ready_keys, &key->ready_node);
}

static void on_grew(db_listener_t *self, redis_db_t *db, bytes_t name)
{
    blocked_key_t *key = db->blocked.count ? map_get(&db->blocked, name) : NULL;
    if (key) make_ready(key);
}

/* Who reads for a consumer group is told of its end. */
static void wake_lines(redis_db_t *db, bytes_t name)
{
    blocked_key_t *key = map_get(&db->blocked, name);
    if (key && !list_empty(&key->named)) make_ready(key);
}

static void on_changed(db_listener_t *self, redis_db_t *db, bytes_t name)
{
    const redis_entry_t *e = db__find(db, name);
    if (!e || e->type != TYPE_STREAM) wake_lines(db, name);
}

static void on_gone(db_listener_t *self, redis_db_t *db, bytes_t name, db_cause_t cause) { wake_lines(db, name); }

static void on_will_empty(db_listener_t *self, redis_db_t *db, const char *command)
{
    size_t cursor = 0;
    for (map_entry_t *m; (m = map_next(&db->blocked, &cursor));) {
        blocked_key_t *key = m->value;
        if (!list_empty(&key->named)) make_ready(key);
    }
}

size_t blocking__count_watched_ends(const redis_db_t *db)
{
    size_t cursor = 0, count = 0;
    for (map_entry_t *m; (m = map_next(&db->blocked, &cursor));)
        count += !list_empty(&((blocked_key_t *)m->value)->named);
    return count;
}

/* False when the client waits on. */
static bool run_again(redis_client_t *c)
{
    blocked_t *b = c->blocked;
    saved_command_t *s = b->command;
    b->again = false;
    b->running_again = true;
    parsed_t q = {.command = s->command, .argv = s->argv, .argc = s->argc};
    exec__run_timed(c, s->command, &q, BYTES_NULL, CALL_RETRY);
    b->running_again = false;
    if (b->again) return false;
    resume(c);
    return true;
}

/* What nobody but the clock brings: an entry has been idle for long enough. */
static void on_again(io_timer_t *timer)
{
    blocked_t *b = CONTAINER_OF(timer, blocked_t, again_timer);
    redis_t *redis = b->client->redis;
    if (redis->exec_depth || redis->keyspace.midway || redis->pause_until_ms) {
        look_again_in(b, HELD_LOOK_MS);
        return;
    }
    redis->keyspace.now_ms = io_wall_ms(redis->loop);
    run_again(b->client);
    exec__after_event(redis);
}

static void serve_common(blocked_key_t *key)
{
    LIST_EACH(&key->common.waiters, w, wait_t, line_node) {
        redis_entry_t *e = db__find(key->db, key->name);
        if (!e) break;
        if (e->type == w->blocked->type) run_again(w->blocked->client);
    }
}

static void serve_line(line_t *line)
{
    LIST_EACH(&line->waiters, w, wait_t, line_node) {
        if (!run_again(w->blocked->client)) break;
    }
}

static void serve_key(blocked_key_t *key)
{
    key->serving = true;
    serve_common(key);
    LIST_EACH(&key->named, line, line_t, node) serve_line(line);
    key->serving = false;
    LIST_EACH(&key->named, line, line_t, node) release_line(line);
    release_key(key);
}

void blocking__serve(redis_t *redis)
{
    if (redis->blocking.serving) return;
    redis->blocking.serving = true;
    while (!list_empty(&redis->blocking.ready_keys)) {
        blocked_key_t *key = LIST_FIRST(&redis->blocking.ready_keys, blocked_key_t, ready_node);
        list_remove(&key->ready_node);
        key->ready = false;
        serve_key(key);
    }
    redis->blocking.serving = false;
}

/* The other database may have brought keys that clients wait for. */
static void recheck(redis_db_t *db)
{
    size_t cursor = 0;
    map_entry_t *m;
    while ((m = map_next(&db->blocked, &cursor))) {
        blocked_key_t *key = m->value;
        if (!list_empty(&key->named) || db__find(db, key->name)) make_ready(key);
    }
}

static void on_swapped(db_listener_t *self, redis_db_t *a, redis_db_t *b)
{
    recheck(a);
    recheck(b);
}

void blocking__init(redis_t *redis)
{
    list_init(&redis->blocking.ready_keys);
    redis->blocking.listener = (db_listener_t){.name = "blocked clients",
                                               .rank = DB_RANK_BLOCKING,
                                               .grew = on_grew,
                                               .changed = on_changed,
                                               .gone = on_gone,
                                               .will_empty = on_will_empty,
                                               .swapped = on_swapped};
    db_listen(&redis->keyspace.announce, &redis->blocking.listener);
}

/* ---- answers from outside -------------------------------------------------------------------------------------------- */

struct redis_async {
    redis_t *redis;
    list_t node;            /* client->asyncs */
    redis_client_t *client; /* NULL: it left */
    redis_client_t *nobody; /* takes the reply then */
    bool in_line;           /* the client did not wait */
    void *user;
};

bool redis_call_may_wait(const redis_call_t *call)
{
    return !(call->flags & (CALL_IN_EXEC | CALL_LOADING)) && call->client->conn;
}

redis_async_t *redis_async(redis_call_t *call) { return redis_async_in_line(call, false, NULL); }

/* Where CLIENT REPLY SKIP silences the command, that must be known until its reply is written: then it waits. */
redis_async_t *redis_async_in_line(redis_call_t *call, bool goes_on, void *user)
{
    redis_client_t *c = call->client;
    if (!redis_call_may_wait(call)) return NULL;
    redis_async_t *a = mem_zalloc(sizeof(*a));
    a->redis = call->redis;
    a->client = c;
    a->user = user;
    a->in_line = goes_on && !(c->flags & (CLIENT_REPLY_SKIP | CLIENT_REPLY_SKIP_NEXT));
    list_push_back(&c->asyncs, &a->node);
    if (a->in_line) {
        c->flags |= CLIENT_IN_LINE;
        c->in_line++;
    } else {
        net_pause(c->conn);
        c->flags |= CLIENT_BLOCKED;
    }
    return a;
}

bool redis_call_is_in_line(const redis_call_t *call) { return call->client->in_line > 0; }

bool redis_async_is_next(const redis_async_t *a) { return !a->client || a->client->asyncs.next == &a->node; }

void *redis_async_behind(const redis_async_t *a)
{
    if (!a->client || a->node.next == &a->client->asyncs) return NULL;
    return CONTAINER_OF(a->node.next, redis_async_t, node)->user;
}

redis_client_t *redis_async_client(redis_async_t *a)
{
    if (a->client) return a->client;
    if (!a->nobody) a->nobody = client__new_internal(&a->redis->clients, NULL);
    return a->nobody;
}

static void async_free(redis_async_t *a)
{
    if (a->client) list_remove(&a->node);
    if (a->nobody) client__free(a->nobody);
    mem_free(a);
}

/* A command that must not pass the answers is tried again when all are there, one that was too many when there is room again. */
static void in_line_done(redis_client_t *c)
{
    c->in_line--;
    if (c->in_line == 0) c->flags &= ~(uint32_t)CLIENT_IN_LINE;
    bool room = c->in_line == 0 || c->in_line == REDIS_IN_LINE_MAX / 2;
    if (room && c->flags & CLIENT_PAUSED) client__resume(c);
}

static void wait_done(redis_client_t *c)
{
    c->flags &= ~(uint32_t)CLIENT_BLOCKED;
    client__answered(c);
    client__resume(c);
}

void redis_async_done(redis_async_t *a)
{
    redis_client_t *c = a->client;
    redis_t *redis = a->redis;
    bool in_line = a->in_line;
    async_free(a);
    if (c) (in_line ? in_line_done : wait_done)(c);
    if (!in_line) out__flush_all(&redis->clients);
}

void redis_async_drop(redis_async_t *a) { async_free(a); }

void redis_replies_flush(redis_t *redis) { out__flush_all(&redis->clients); }

void blocking__forget_asyncs(redis_client_t *c)
{
    LIST_EACH(&c->asyncs, a, redis_async_t, node) {
        list_remove(&a->node);
        a->client = NULL;
    }
}

void redis_reply_error(redis_client_t *c, const char *text) { reply_error(c, text); }
void redis_reply_int(redis_client_t *c, int64_t v) { reply_int(c, v); }
void redis_reply_bulk(redis_client_t *c, bytes_t b) { reply_bulk(c, b); }
void redis_reply_null(redis_client_t *c) { reply_null(c); }
void redis_reply_array(redis_client_t *c, size_t n) { reply_array(c, n); }
void redis_reply_status(redis_client_t *c, const char *text) { reply_simple(c, text); }

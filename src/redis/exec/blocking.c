/* blocking.c: clients that wait: for keys (BLPOP and its kin), or for an answer from outside (redis_async).
 *
 *   running --key_block--> blocked --key added--> runs again --+--> answered: resumed
 *                             ^                                +--> key_block again: stays, same place, same
 * deadline |  --timeout / UNBLOCK--> null or error: resumed
 *
 * Waiters of a key are served in the order in which they came. */
#include "redis/redis.h"
#include "redis/state.h"

typedef struct blocked_key {
    redis_db_t *db;
    bytes_t name;
    list_t waiters;    /* wait_t.key_node */
    list_t ready_node; /* in redis->ready_keys while `ready` */
    bool ready, serving;
} blocked_key_t;

typedef struct wait {
    list_t key_node;
    blocked_key_t *key;
    blocked_t *blocked;
} wait_t;

struct blocked {
    redis_client_t *client;
    saved_command_t *command;
    redis_type_t type;
    redis_block_timeout_t on_timeout;
    io_timer_t timer;
    bool running_again;
    bool again; /* the handler, run again, blocked again */
    size_t wait_count;
    wait_t waits[];
};

/* ---- the two sides --------------------------------------------------------------------------------------------------- */

static void release_key(blocked_key_t *key)
{
    if (!list_empty(&key->waiters) || key->serving) return;
    if (key->ready) list_remove(&key->ready_node);
    map_remove(&key->db->blocked, key->name);
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
    list_init(&key->waiters);
    list_init(&key->ready_node);
    map_put(&db->blocked, key->name, key);
    return key;
}

/* Whoever joined last is at the key's end, so a key that is named twice is known by that. */
static bool waits_already(const blocked_t *b, const blocked_key_t *key)
{
    if (list_empty(&key->waiters)) return false;
    return CONTAINER_OF(key->waiters.prev, wait_t, key_node)->blocked == b;
}

void blocking__forget(redis_client_t *c)
{
    blocked_t *b = c->blocked;
    if (b == NULL) return;
    io_timer_stop(&b->timer);
    for (size_t i = 0; i < b->wait_count; i++) {
        list_remove(&b->waits[i].key_node);
        release_key(b->waits[i].key);
    }
    c->blocked = NULL;
    c->flags &= ~(uint32_t)CLIENT_BLOCKED;
    c->redis->blocked_clients--;
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

/* Whether the command that just ran blocked, or blocked again. */
bool blocking__waits(const redis_client_t *c)
{
    const blocked_t *b = c->blocked;
    return b == NULL || !b->running_again || b->again;
}

bool blocking__unblock(redis_client_t *c, bool with_error)
{
    blocked_t *b = c->blocked;
    if (b == NULL) return false;
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

bool key_block(redis_call_t *call, const bytes_t *keys, size_t key_count, redis_type_t type, int64_t timeout_ms,
               redis_block_timeout_t timeout_reply)
{
    redis_client_t *c = call->client;
    redis_t *redis = call->redis;
    if (call->flags & CALL_RETRY) {
        c->blocked->again = true;
        return true;
    }
    if (call->flags & (CALL_IN_EXEC | CALL_LOADING) || c->conn == NULL) return false;
    blocked_t *b = mem_zalloc(sizeof(*b) + key_count * sizeof(wait_t));
    b->client = c;
    b->command = command__save(call->command, call->argc, call->argv);
    b->type = type;
    b->on_timeout = timeout_reply;
    for (size_t i = 0; i < key_count; i++) {
        blocked_key_t *key = key_of(call->db, keys[i]);
        if (waits_already(b, key)) continue;
        wait_t *w = &b->waits[b->wait_count++];
        *w = (wait_t){.key = key, .blocked = b};
        list_push_back(&key->waiters, &w->key_node);
    }
    io_timer_init(redis->loop, &b->timer, on_timeout);
    if (timeout_ms) io_timer_start(&b->timer, (uint64_t)timeout_ms, 0);
    c->blocked = b;
    c->flags |= CLIENT_BLOCKED;
    redis->blocked_clients++;
    net_pause(c->conn);
    return true;
}

/* ---- serving --------------------------------------------------------------------------------------------------------- */

void blocking__on_key(redis_call_t *call, redis_db_t *db, bytes_t name, redis_type_t type)
{
    blocked_key_t *key = map_get(&db->blocked, name);
    if (key == NULL || key->ready) return;
    key->ready = true;
    list_push_back(&db->redis->ready_keys, &key->ready_node);
}

static void run_again(redis_client_t *c)
{
    blocked_t *b = c->blocked;
    saved_command_t *s = b->command;
    b->again = false;
    b->running_again = true;
    parsed_t q = {.command = s->command, .argv = s->argv, .argc = s->argc};
    exec__run_timed(c, s->command, &q, BYTES_NULL, CALL_RETRY);
    b->running_again = false;
    if (!b->again) resume(c);
}

static void serve_key(redis_t *redis, blocked_key_t *key)
{
    key->serving = true;
    LIST_EACH(&key->waiters, w, wait_t, key_node) {
        redis_entry_t *e = db__find(key->db, key->name);
        if (e == NULL) break;
        if (e->type == w->blocked->type) run_again(w->blocked->client);
    }
    key->serving = false;
    release_key(key);
}

void blocking__serve(redis_t *redis)
{
    if (redis->serving_ready) return;
    redis->serving_ready = true;
    while (!list_empty(&redis->ready_keys)) {
        blocked_key_t *key = LIST_FIRST(&redis->ready_keys, blocked_key_t, ready_node);
        list_remove(&key->ready_node);
        key->ready = false;
        serve_key(redis, key);
    }
    redis->serving_ready = false;
}

/* SWAPDB and FLUSHALL may bring or take keys under the waiters' feet: looks at all of a database's. */
void blocking__recheck(redis_db_t *db)
{
    size_t cursor = 0;
    map_entry_t *m;
    while ((m = map_next(&db->blocked, &cursor))) {
        blocked_key_t *key = m->value;
        if (key->ready || db__find(db, key->name) == NULL) continue;
        key->ready = true;
        list_push_back(&db->redis->ready_keys, &key->ready_node);
    }
}

/* ---- answers from outside -------------------------------------------------------------------------------------------- */

struct redis_async {
    redis_t *redis;
    uint64_t client_id;
    redis_client_t *nobody; /* takes the reply when the client left */
};

bool redis_call_may_wait(const redis_call_t *call)
{
    return !(call->flags & (CALL_IN_EXEC | CALL_LOADING)) && call->client->conn != NULL;
}

redis_async_t *redis_async(redis_call_t *call)
{
    redis_client_t *c = call->client;
    if (!redis_call_may_wait(call)) return NULL;
    redis_async_t *a = mem_zalloc(sizeof(*a));
    a->redis = call->redis;
    a->client_id = c->id;
    net_pause(c->conn);
    c->flags |= CLIENT_BLOCKED;
    return a;
}

redis_client_t *redis_async_client(redis_async_t *a)
{
    redis_client_t *c = client__by_id(a->redis, a->client_id);
    if (c) return c;
    if (a->nobody == NULL) a->nobody = client__new_internal(a->redis, NULL);
    return a->nobody;
}

void redis_async_done(redis_async_t *a)
{
    redis_client_t *c = client__by_id(a->redis, a->client_id);
    if (c) {
        c->flags &= ~(uint32_t)CLIENT_BLOCKED;
        client__answered(c);
        client__resume(c);
    }
    if (a->nobody) client__free(a->nobody);
    client__flush_all(a->redis);
    mem_free(a);
}

void redis_async_drop(redis_async_t *a)
{
    if (a->nobody) client__free(a->nobody);
    mem_free(a);
}

void redis_reply_error(redis_client_t *c, const char *text) { reply_error(c, text); }
void redis_reply_int(redis_client_t *c, int64_t v) { reply_int(c, v); }
void redis_reply_bulk(redis_client_t *c, bytes_t b) { reply_bulk(c, b); }
void redis_reply_null(redis_client_t *c) { reply_null(c); }
void redis_reply_array(redis_client_t *c, size_t n) { reply_array(c, n); }
void redis_reply_status(redis_client_t *c, const char *text) { reply_simple(c, text); }

/* multi.c: MULTI, EXEC, DISCARD, WATCH, UNWATCH. A watched key is a list of the clients that watch it;
 * whoever changes the key marks them, and their EXEC then does nothing. */
#include "redis/exec/changes.h"
#include "redis/exec/inquiry.h"
#include "redis/exec/state.h"
#include "redis_commands.h"

#include "base/num.h"

#include <ctype.h>
#include <stdio.h>

typedef struct watch_key {
    redis_db_t *db;
    bytes_t name;
    list_t watchers; /* watch_t.key_node */
} watch_key_t;

typedef struct watch {
    list_t client_node, key_node;
    redis_client_t *client;
    watch_key_t *key;
    bool expired; /* was so already when it was watched */
} watch_t;

/* ---- watching -------------------------------------------------------------------------------------------------------- */

/* Either the client's keys or the key's watchers may be many: goes along both, as far as the shorter one. */
static bool is_watched_by(const watch_key_t *key, const redis_client_t *c)
{
    const list_t *mine = c->watches.next, *others = key->watchers.next;
    for (; mine != &c->watches && others != &key->watchers; mine = mine->next, others = others->next) {
        if (CONTAINER_OF(mine, watch_t, client_node)->key == key) return true;
        if (CONTAINER_OF(others, watch_t, key_node)->client == c) return true;
    }
    return false;
}

/* While nobody watches, changes go by unheard. */
static void count_watcher(redis_t *redis, int by)
{
    redis->multi.watching += (uint64_t)by;
    uint32_t wants = redis->multi.watching ? DB_CHANGED | DB_GONE | DB_FIELDS_GONE | DB_WILL_EMPTY | DB_WILL_SWAP : 0;
    db_want(&redis->keyspace.announce, &redis->multi.listener, wants);
}

static void watch(redis_call_t *call, bytes_t name)
{
    redis_client_t *c = call->client;
    watch_key_t *key = map_get(&call->db->watched, name);
    if (key && is_watched_by(key, c)) return;
    if (!key) {
        key = mem_zalloc(sizeof(*key));
        key->db = call->db;
        key->name = bytes_of(mem_strndup(name), name.len);
        list_init(&key->watchers);
        map_put(&call->db->watched, key->name, key);
    }
    redis_entry_t *e = db__find(call->db, name);
    watch_t *w = mem_zalloc(sizeof(*w));
    w->client = c;
    w->key = key;
    w->expired = e && entry_is_expired(e, call->now_ms);
    if (list_empty(&c->watches)) count_watcher(call->redis, 1);
    list_push_back(&key->watchers, &w->key_node);
    list_push_back(&c->watches, &w->client_node);
    c->watch_count++;
}

static void unwatch_one(watch_t *w)
{
    watch_key_t *key = w->key;
    list_remove(&w->key_node);
    list_remove(&w->client_node);
    w->client->watch_count--;
    mem_free(w);
    if (!list_empty(&key->watchers)) return;
    map_remove(&key->db->watched, key->name);
    mem_free((void *)key->name.ptr);
    mem_free(key);
}

void multi__unwatch(redis_client_t *c)
{
    if (list_empty(&c->watches)) return;
    LIST_EACH(&c->watches, w, watch_t, client_node) unwatch_one(w);
    count_watcher(c->redis, -1);
}

static void touch(redis_db_t *db, bytes_t name)
{
    watch_key_t *key = db->watched.count ? map_get(&db->watched, name) : NULL;
    if (!key) return;
    LIST_EACH(&key->watchers, w, watch_t, key_node) {
        /* A key that had expired before it was watched and is now collected has not changed for its watcher.
         */
        if (w->expired && !db__find(db, name)) {
            w->expired = false;
            continue;
        }
        w->client->flags |= CLIENT_DIRTY_CAS;
    }
}

/* A watcher's key `before` is about to become `after` (NULL = absent). What is expired counts as absent. */
static void replace_watched(watch_t *w, const redis_entry_t *before, const redis_entry_t *after, int64_t now_ms)
{
    bool after_stale = after && entry_is_expired(after, now_ms);
    if (!before && !after) return;
    if (w->expired && !after) {
        w->expired = false;
    } else if (w->expired && after_stale) {
        /* still nothing for the watcher */
    } else if (!w->expired && !before && after_stale) {
        w->expired = true;
    } else {
        w->client->flags |= CLIENT_DIRTY_CAS;
    }
}

/* All keys of the database are about to go, or to be replaced by another's. */
static void touch_all(redis_db_t *db, redis_db_t *replaced_by)
{
    size_t cursor = 0;
    map_entry_t *m;
    while ((m = map_next(&db->watched, &cursor))) {
        watch_key_t *key = m->value;
        const redis_entry_t *before = db__find(db, key->name),
                            *after = replaced_by ? db__find(replaced_by, key->name) : NULL;
        LIST_EACH(&key->watchers, w, watch_t, key_node) replace_watched(w, before, after, db->keyspace->now_ms);
    }
}

static void on_changed(db_listener_t *self, redis_db_t *db, bytes_t key) { touch(db, key); }
static void on_gone(db_listener_t *self, redis_db_t *db, bytes_t key, db_cause_t cause) { touch(db, key); }
static void on_fields_gone(db_listener_t *self, redis_db_t *db, bytes_t key, int count, const bytes_t *fields)
{
    touch(db, key);
}
static void on_will_empty(db_listener_t *self, redis_db_t *db, const char *command) { touch_all(db, NULL); }
static void on_will_swap(db_listener_t *self, redis_db_t *a, redis_db_t *b)
{
    touch_all(a, b);
    touch_all(b, a);
}

void multi__init(redis_t *redis)
{
    redis->multi.listener = (db_listener_t){.name = "WATCH",
                                            .rank = DB_RANK_WATCH,
                                            .changed = on_changed,
                                            .gone = on_gone,
                                            .fields_gone = on_fields_gone,
                                            .will_empty = on_will_empty,
                                            .will_swap = on_will_swap};
    db_listen(&redis->keyspace.announce, &redis->multi.listener);
}

static bool watched_key_expired(redis_client_t *c, int64_t now_ms)
{
    LIST_EACH(&c->watches, w, watch_t, client_node) {
        redis_entry_t *e = w->expired ? NULL : db__find(w->key->db, w->key->name);
        if (e && entry_is_expired(e, now_ms)) return true;
    }
    return false;
}

/* ---- the queue ------------------------------------------------------------------------------------------------------- */

void multi__queue(redis_client_t *c, const redis_command_t *command, int argc, const bytes_t *argv)
{
    if (c->flags & (CLIENT_DIRTY_CAS | CLIENT_DIRTY_EXEC)) { /* will not run: do not keep it */
        reply_simple(c, "QUEUED");
        return;
    }
    if (c->queue_len == c->queue_cap) {
        c->queue_cap = c->queue_cap ? c->queue_cap * 2 : 8;
        c->queue = mem_realloc(c->queue, c->queue_cap * sizeof(*c->queue));
    }
    c->queue[c->queue_len++] = command__save(command, argc, argv);
    if (exec__asks(command)) c->queue_asks = true;
    c->queue_words += (size_t)argc;
    for (int i = 0; i < argc; i++) c->queue_bytes += argv[i].len;
    reply_simple(c, "QUEUED");
}

void multi__discard(redis_client_t *c)
{
    for (size_t i = 0; i < c->queue_len; i++) mem_free(c->queue[i]);
    c->queue_len = c->queue_bytes = c->queue_words = 0;
    c->queue_asks = false;
    c->flags &= ~(uint32_t)(CLIENT_MULTI | CLIENT_DIRTY_CAS | CLIENT_DIRTY_EXEC);
}

size_t multi__bytes(const redis_client_t *c)
{
    size_t queue =
        c->queue_cap * sizeof(*c->queue) + c->queue_len * sizeof(**c->queue) + c->queue_words * sizeof(bytes_t);
    return queue + c->queue_bytes + c->watch_count * sizeof(watch_t);
}

/* A transaction whose script stepped aside: what is left of it outlives its client, since it runs whole. */
struct transaction {
    const redis_command_t *command; /* EXEC */
    saved_command_t **queue;
    size_t len, at;
    redis_db_t *db;
    inquiry_t *inquiry; /* what its commands asked; NULL = nothing */
    uint32_t flags;
};

/* Runs the queue from `at` on; returns where it ended, or behind the script that stepped aside. */
static size_t run_from(redis_client_t *c, saved_command_t **queue, size_t len, size_t at, uint32_t flags)
{
    while (at < len && !c->redis->keyspace.midway) {
        saved_command_t *s = queue[at++];
        parsed_t q = {.command = s->command, .argv = s->argv, .argc = s->argc};
        c->redis->question = s->question;
        exec__run_timed(c, s->command, &q, BYTES_NULL, flags);
    }
    c->redis->question = NULL;
    return at;
}

static void end_run(redis_client_t *c)
{
    c->redis->exec_depth--;
    c->flags &= ~(uint32_t)CLIENT_IN_EXEC;
    c->failed = false;
}

static void run_queue(redis_call_t *call)
{
    redis_client_t *c = call->client;
    redis_t *redis = call->redis;
    uint32_t flags = CALL_IN_EXEC | (call->flags & CALL_LOADING ? CALL_LOADING : CALL_ASKED);
    c->flags &= ~(uint32_t)CLIENT_MULTI;
    c->flags |= CLIENT_IN_EXEC;
    redis->exec_depth++;
    reply_array(c, c->queue_len);
    size_t at = run_from(c, c->queue, c->queue_len, 0, flags);
    if (LIKELY(!redis->keyspace.midway)) {
        end_run(c);
        return;
    }
    transaction_t *t = mem_alloc(sizeof(*t));
    *t = (transaction_t){call->command, c->queue, c->queue_len, at, c->db, c->inquiry, flags};
    redis->multi.left = t;
    c->inquiry = NULL;
    c->queue = NULL;
    c->queue_len = c->queue_cap = 0;
}

static void free_transaction(redis_t *redis)
{
    transaction_t *t = redis->multi.left;
    for (size_t i = 0; i < t->len; i++) mem_free(t->queue[i]);
    if (t->inquiry) inquiry__free(t->inquiry);
    mem_free(t->queue);
    mem_free(t);
    redis->multi.left = NULL;
}

bool multi__go_on(redis_t *redis, redis_client_t *c)
{
    transaction_t *t = redis->multi.left;
    if (!c->conn) c->db = t->db;
    t->at = run_from(c, t->queue, t->len, t->at, t->flags);
    t->db = c->db;
    if (redis->keyspace.midway) return false;
    redis->command_stats[t->command->id].calls++;
    end_run(c);
    free_transaction(redis);
    return true;
}

void multi__free_left(redis_t *redis)
{
    if (redis->multi.left) free_transaction(redis);
}

/* Where the commands behind this one of the queue will run. */
static redis_db_t *selected_by(redis_db_t *db, const saved_command_t *s)
{
    int64_t n;
    bool selects = s->command->traits & TRAIT_SELECTS_DB && num_parse_i64(s->argv[1], &n);
    return selects && n >= 0 && n < db->keyspace->db_count ? &db->keyspace->dbs[n] : db;
}

/* What comes from outside, and who listens to changes, say beforehand whether it can run, so that all runs or nothing.
 * False after the error. */
static bool queue_may_run(redis_call_t *call)
{
    redis_client_t *c = call->client;
    redis_db_t *db = c->db;
    char text[512], name[COMMAND_NAME_LEN_MAX * 2 + 1];
    for (size_t i = 0; i < c->queue_len && !(call->flags & CALL_LOADING); i++) {
        const saved_command_t *s = c->queue[i];
        const char *problem = exec__extra_problem(s), *full_name = s->command->full_name;
        if (!problem) problem = changes__refusal(db, s->command, s->argc, s->argv);
        db = selected_by(db, s);
        if (!problem) continue;
        size_t n = 0;
        for (; full_name[n] && n < sizeof(name) - 1; n++) name[n] = (char)toupper(full_name[n]);
        name[n] = '\0';
        snprintf(text, sizeof(text), "EXECABORT Transaction discarded because of: command %zu of %zu (%s): %.380s",
                 i + 1, c->queue_len, name, problem);
        reply_error(c, text);
        return false;
    }
    return true;
}

/* ---- commands -------------------------------------------------------------------------------------------------------- */

void redis_cmd_multi(redis_call_t *call)
{
    if (call->client->flags & CLIENT_MULTI) {
        reply_error(call->client, "ERR MULTI calls can not be nested");
        return;
    }
    call->client->flags |= CLIENT_MULTI;
    reply_ok(call->client);
}

void redis_cmd_exec(redis_call_t *call)
{
    redis_client_t *c = call->client;
    if (!(c->flags & CLIENT_MULTI)) {
        reply_error(c, "ERR EXEC without MULTI");
        return;
    }
    if (watched_key_expired(c, call->now_ms)) c->flags |= CLIENT_DIRTY_CAS;
    if (c->flags & CLIENT_DIRTY_EXEC) {
        reply_error(c, "EXECABORT Transaction discarded because of previous errors.");
    } else if (c->flags & CLIENT_DIRTY_CAS) {
        reply_null_array(c);
    } else if (queue_may_run(call)) {
        multi__unwatch(c);
        run_queue(call);
    }
    multi__discard(c);
    multi__unwatch(c);
}

void redis_cmd_discard(redis_call_t *call)
{
    redis_client_t *c = call->client;
    if (!(c->flags & CLIENT_MULTI)) {
        reply_error(c, "ERR DISCARD without MULTI");
        return;
    }
    multi__discard(c);
    multi__unwatch(c);
    reply_ok(c);
}

void redis_cmd_watch(redis_call_t *call)
{
    redis_client_t *c = call->client;
    if (c->flags & CLIENT_MULTI) {
        reply_error(c, "ERR WATCH inside MULTI is not allowed");
        return;
    }
    if (!(c->flags & CLIENT_DIRTY_CAS))
        for (int i = 1; i < call->argc; i++) watch(call, call->argv[i]);
    reply_ok(c);
}

void redis_cmd_unwatch(redis_call_t *call)
{
    multi__unwatch(call->client);
    call->client->flags &= ~(uint32_t)CLIENT_DIRTY_CAS;
    reply_ok(call->client);
}

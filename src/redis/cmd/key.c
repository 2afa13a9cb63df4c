/* key.c: commands that treat keys as wholes: deleting, renaming, moving, copying, describing. */
#include "redis/exec/key.h"
#include "redis/db/evict.h"
#include "redis/exec/changes.h"
#include "redis/types/hash.h"
#include "redis_commands.h"

#include "base/num.h"

/* ---- being and not being --------------------------------------------------------------------------------------------- */

static void delete_all(redis_call_t *call, bool later)
{
    int64_t count = 0;
    if (call->argc > 2) key_prefetch_all(call, 1, 1);
    for (int i = 1; i < call->argc; i++) {
        if (!key_delete_lazily(call, call->argv[i], later)) continue;
        key_changed(call, call->argv[i], NOTIFY_GENERIC, "del");
        count++;
    }
    call->dirty += (uint64_t)count;
    reply_int(call->client, count);
}

void redis_cmd_del(redis_call_t *call) { delete_all(call, call->config->lazyfree_lazy_user_del); }
void redis_cmd_unlink(redis_call_t *call) { delete_all(call, true); }

void redis_cmd_exists(redis_call_t *call)
{
    int64_t count = 0;
    for (int i = 1; i < call->argc; i++) count += key_look(call, call->argv[i]) != NULL;
    reply_int(call->client, count);
}

void redis_cmd_touch(redis_call_t *call)
{
    int64_t count = 0;
    for (int i = 1; i < call->argc; i++) {
        redis_entry_t *e = key_read(call, call->argv[i]);
        if (!e) continue;
        evict__touch(call->db->keyspace, e);
        count++;
    }
    reply_int(call->client, count);
}

void redis_cmd_type(redis_call_t *call)
{
    redis_entry_t *e = key_look(call, call->argv[1]);
    reply_simple(call->client, e ? type_name((redis_type_t)e->type) : "none");
}

static uint64_t draw(void *user) { return redis_random(user); }

void redis_cmd_randomkey(redis_call_t *call)
{
    enum { TRIES_MAX = 100 };
    for (int i = 0; i < TRIES_MAX; i++) {
        redis_entry_t *e = table_random(&call->db->keys, draw, call->redis);
        if (!e) break;
        if (entry_is_expired(e, call->now_ms) && i + 1 < TRIES_MAX) {
            if (!call->db->keyspace->paused) db__delete_expired(call->db, e);
            continue;
        }
        reply_bulk(call->client, entry_key(e));
        return;
    }
    reply_null(call->client);
}

/* ---- other names ----------------------------------------------------------------------------------------------------- */

static void rename_key(redis_call_t *call, bool only_if_free)
{
    redis_client_t *c = call->client;
    bytes_t from = call->argv[1], to = call->argv[2];
    if (!key_write(call, from)) {
        reply_error_no_such_key(c);
        return;
    }
    if (bytes_eq(from, to) || (only_if_free && key_peek(call, to))) {
        only_if_free ? reply_int(c, 0) : reply_ok(c);
        return;
    }
    key_delete(call, to);
    db__move(call->db, from, call->db, to);
    key_changed(call, from, NOTIFY_GENERIC, "rename_from");
    key_changed(call, to, NOTIFY_GENERIC, "rename_to");
    call->dirty++;
    only_if_free ? reply_int(c, 1) : reply_ok(c);
}

void redis_cmd_rename(redis_call_t *call) { rename_key(call, false); }
void redis_cmd_renamenx(redis_call_t *call) { rename_key(call, true); }

/* ---- other databases ------------------------------------------------------------------------------------------------- */

static redis_db_t *arg_db(redis_call_t *call, int i)
{
    int64_t n;
    if (!num_parse_i64(call->argv[i], &n)) {
        reply_error_not_integer(call->client);
        return NULL;
    }
    if (n < 0 || n >= call->db->keyspace->db_count) {
        reply_error(call->client, "ERR DB index is out of range");
        return NULL;
    }
    return &call->db->keyspace->dbs[n];
}

static bool exists_in(redis_call_t *call, redis_db_t *db, bytes_t key)
{
    redis_db_t *mine = call->db;
    call->db = db;
    bool found = key_peek(call, key) != NULL;
    call->db = mine;
    return found;
}

static void changed_in(redis_call_t *call, redis_db_t *db, bytes_t key, const char *event)
{
    redis_db_t *mine = call->db;
    call->db = db;
    key_changed(call, key, NOTIFY_GENERIC, event);
    call->db = mine;
}

void redis_cmd_move(redis_call_t *call)
{
    bytes_t key = call->argv[1];
    redis_db_t *to = arg_db(call, 2);
    if (!to) return;
    if (to == call->db) {
        reply_error(call->client, "ERR source and destination objects are the same");
        return;
    }
    if (!key_write(call, key) || exists_in(call, to, key)) {
        reply_int(call->client, 0);
        return;
    }
    db__move(call->db, key, to, key);
    changed_in(call, call->db, key, "move_from");
    changed_in(call, to, key, "move_to");
    call->dirty++;
    reply_int(call->client, 1);
}

static bool copy_options(redis_call_t *call, redis_db_t **ret_to, bool *ret_replace)
{
    *ret_to = call->db;
    *ret_replace = false;
    for (int i = 3; i < call->argc; i++) {
        if (arg_is(call, i, "REPLACE")) {
            *ret_replace = true;
        } else if (arg_is(call, i, "DB") && i + 1 < call->argc) {
            *ret_to = arg_db(call, ++i);
            if (!*ret_to) return false;
        } else {
            reply_error_syntax(call->client);
            return false;
        }
    }
    return true;
}

/* Of a hash of which no field would be seen there is nothing to copy. */
static bool is_all_over(const redis_call_t *call, const redis_entry_t *e)
{
    bool timed = e->encoding == ENC_HASHTABLE_TIMED && !(call->flags & CALL_LOADING);
    return timed && hash_over(value_of(e), call->now_ms) == hash_length(value_of(e));
}

static void propagate_in(redis_call_t *call, redis_db_t *db, int argc, const bytes_t *argv)
{
    redis_db_t *here = call->db;
    call->db = db;
    propagate(call, argc, argv);
    call->db = here;
}

/* Fields whose time is over are not copied. A replay copies them as well, so it is told to delete them. */
static void propagate_copy_without(redis_call_t *call, redis_db_t *to, bytes_t name)
{
    redis_entry_t *e = db__find(to, name);
    bytes_t field;
    if (e->encoding != ENC_HASHTABLE_TIMED || call->flags & CALL_LOADING) return;
    value_t v = value_of(e);
    if (!hash_first_over(v, call->now_ms, &field)) return;
    propagate(call, call->argc, call->argv);
    do {
        bytes_t argv[3] = {BYTES_LIT("HDEL"), name, field};
        propagate_in(call, to, 3, argv);
        hash_delete(&v, field);
    } while (hash_first_over(v, call->now_ms, &field));
    value_store(e, v);
    db__clock_set(to, e);
}

void redis_cmd_copy(redis_call_t *call)
{
    bool replace;
    redis_db_t *to;
    bytes_t from = call->argv[1], name = call->argv[2];
    if (!copy_options(call, &to, &replace)) return;
    if (to == call->db && bytes_eq(from, name)) {
        reply_error(call->client, "ERR source and destination objects are the same");
        return;
    }
    redis_entry_t *e = key_read(call, from);
    if (!e || is_all_over(call, e) || (exists_in(call, to, name) && !replace)) {
        reply_int(call->client, 0);
        return;
    }
    db__delete(to, name);
    db__add_copy(to, name, e);
    propagate_copy_without(call, to, name);
    changed_in(call, to, name, "copy_to");
    call->dirty++;
    reply_int(call->client, 1);
}

/* Exchanges what two databases hold; clients stay where they are. */
void redis_cmd_swapdb(redis_call_t *call)
{
    int64_t n[2];
    for (int i = 0; i < 2; i++) {
        if (!num_parse_i64(call->argv[1 + i], &n[i])) {
            reply_error(call->client, i ? "ERR invalid second DB index" : "ERR invalid first DB index");
            return;
        }
    }
    for (int i = 0; i < 2; i++) {
        if (n[i] < 0 || n[i] >= call->db->keyspace->db_count) {
            reply_error(call->client, "ERR DB index is out of range");
            return;
        }
    }
    const char *why =
        call->flags & CALL_LOADING ? NULL : changes__refusal(call->db, call->command, call->argc, call->argv);
    if (why) {
        reply_error(call->client, why);
        return;
    }
    redis_db_t *a = &call->db->keyspace->dbs[n[0]], *b = &call->db->keyspace->dbs[n[1]];
    if (a != b) db__swap(a, b);
    call->dirty++;
    reply_ok(call->client);
}

/* ---- OBJECT ---------------------------------------------------------------------------------------------------------- */

/* Counted as a read, but leaves no other trace and announces no miss. */
static redis_entry_t *object_named(redis_call_t *call)
{
    redis_entry_t *e = key_peek(call, call->argv[2]);
    e ? call->db->keyspace->stats.hits++ : call->db->keyspace->stats.misses++;
    return e;
}

void redis_cmd_object_encoding(redis_call_t *call)
{
    redis_entry_t *e = object_named(call);
    if (e)
        reply_bulk_str(call->client, encoding_name((redis_encoding_t)e->encoding));
    else
        reply_null(call->client);
}

/* Small integers are one shared object in the original, unless each needs a clock of its own; tools look for it. */
static bool is_shared(const redis_call_t *call, const redis_entry_t *e)
{
    const keyspace_t *k = call->db->keyspace;
    if (call->config->maxmemory && (evict__is_lfu(k) || evict__is_lru(k))) return false;
    return e->type == TYPE_STRING && e->encoding == ENC_INT && entry_int(e) >= 0 && entry_int(e) < 10000;
}

void redis_cmd_object_refcount(redis_call_t *call)
{
    redis_entry_t *e = object_named(call);
    if (!e) {
        reply_null(call->client);
        return;
    }
    reply_int(call->client, is_shared(call, e) ? INT32_MAX : 1);
}

#define POLICY_NOTE                                                                                                    \
    "Please note that when switching between policies at runtime LRU and LFU data will take some time to "             \
    "adjust."

void redis_cmd_object_idletime(redis_call_t *call)
{
    redis_entry_t *e = object_named(call);
    if (!e)
        reply_null(call->client);
    else if (evict__is_lfu(call->db->keyspace))
        reply_error(call->client, "ERR An LFU maxmemory policy is selected, idle time not tracked. " POLICY_NOTE);
    else
        reply_int(call->client, evict__idle_s(call->db->keyspace, e));
}

void redis_cmd_object_freq(redis_call_t *call)
{
    redis_entry_t *e = object_named(call);
    if (!e)
        reply_null(call->client);
    else if (!evict__is_lfu(call->db->keyspace))
        reply_error(call->client,
                    "ERR An LFU maxmemory policy is not selected, access frequency not tracked. " POLICY_NOTE);
    else
        reply_int(call->client, evict__lfu(call->db->keyspace, e));
}

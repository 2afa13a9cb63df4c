/* set.c: the set commands on one set, and SMOVE. Intersections and their kin are in set_algebra.c. */
#include "redis/types/set.h"

#include "base/arena.h"
#include "redis/cmd/collection.h"
#include "redis_commands.h"

#define SREM_MEMBERS_MAX 1024 /* of one command that an SPOP travels as */

/* ---- adding, removing -------------------------------------------------------------------- */

void redis_cmd_sadd(redis_call_t *call)
{
    redis_entry_t *entry;
    bytes_t key = call->argv[1];
    size_t count = (size_t)call->argc - 2;
    int64_t added = 0;
    if (!key_write_type(call, key, TYPE_SET, &entry)) return;
    value_t v = entry ? value_of(entry) : set_new_for(call->argv[2], count, call->config);
    if (entry) set_expect(&v, count, call->config);
    for (int i = 2; i < call->argc; i++) added += set_add(&v, call->argv[i], call->config);
    if (entry)
        value_store(entry, v);
    else
        key_add(call, key, TYPE_SET, v.encoding, v.ptr);
    if (added) key_changed(call, key, NOTIFY_SET, "sadd");
    call->dirty += (uint64_t)added;
    reply_int(call->client, added);
}

/* Stores the set after members were taken out, or deletes the key; sends the events. */
static void finish_removal(redis_call_t *call, bytes_t key, redis_entry_t *entry, value_t v, const char *event)
{
    value_store(entry, v);
    key_changed(call, key, NOTIFY_SET, event);
    if (set_length(v) > 0) return;
    key_delete(call, key);
    key_event(call, key, NOTIFY_GENERIC, "del");
}

void redis_cmd_srem(redis_call_t *call)
{
    redis_entry_t *entry;
    int64_t removed = 0;
    if (!key_write_type(call, call->argv[1], TYPE_SET, &entry)) return;
    if (entry) {
        value_t v = value_of(entry);
        for (int i = 2; i < call->argc && set_length(v) > 0; i++) removed += set_remove(&v, call->argv[i]);
        if (removed) finish_removal(call, call->argv[1], entry, v, "srem");
    }
    call->dirty += (uint64_t)removed;
    reply_int(call->client, removed);
}

static void move_member(redis_call_t *call, redis_entry_t *source, redis_entry_t *target)
{
    bytes_t member = call->argv[3], to = call->argv[2];
    value_t v = value_of(source);
    if (!set_remove(&v, member)) {
        reply_int(call->client, 0);
        return;
    }
    finish_removal(call, call->argv[1], source, v, "srem");
    call->dirty++;
    v = target ? value_of(target) : set_new_for(member, 1, call->config);
    bool added = set_add(&v, member, call->config);
    if (target)
        value_store(target, v);
    else
        key_add(call, to, TYPE_SET, v.encoding, v.ptr);
    if (added) {
        call->dirty++;
        key_changed(call, to, NOTIFY_SET, "sadd");
    }
    reply_int(call->client, 1);
}

void redis_cmd_smove(redis_call_t *call)
{
    redis_entry_t *source, *target;
    if (!key_write_type(call, call->argv[1], TYPE_SET, &source)) return;
    if (!source) {
        reply_int(call->client, 0);
        return;
    }
    if (!key_write_type(call, call->argv[2], TYPE_SET, &target)) return;
    if (source == target)
        reply_int(call->client, set_has(value_of(source), call->argv[3]));
    else
        move_member(call, source, target);
}

/* ---- SPOP -------------------------------------------------------------------------------- */

static void give_member(void *user, bytes_t member) { reply_bulk(user, member); }

static void pop_all(redis_call_t *call, redis_entry_t *entry)
{
    bytes_t key = call->argv[1];
    value_t v = value_of(entry);
    call->dirty += set_length(v);
    reply_set(call->client, set_length(v));
    set_each(v, give_member, call->client);
    key_changed(call, key, NOTIFY_SET, "spop");
    key_delete(call, key);
    key_event(call, key, NOTIFY_GENERIC, "del");
    propagate_key(call, call->config->lazyfree_lazy_server_del ? "UNLINK" : "DEL", key);
}

static void propagate_srem(redis_call_t *call, const bytes_t *members, size_t count)
{
    bytes_t *argv = mem_alloc((2 + MIN(count, (size_t)SREM_MEMBERS_MAX)) * sizeof(*argv));
    argv[0] = BYTES_LIT("SREM");
    argv[1] = call->argv[1];
    for (size_t done = 0, n; done < count; done += n) {
        n = MIN(count - done, (size_t)SREM_MEMBERS_MAX);
        memcpy(argv + 2, members + done, n * sizeof(*argv));
        propagate(call, (int)(2 + n), argv);
    }
    mem_free(argv);
}

/* Takes out `count` members, fewer than there are. */
static void pop_some(redis_call_t *call, redis_entry_t *entry, size_t count)
{
    value_t v = value_of(entry);
    rng_t rng = collection_rng(call);
    arena_t arena;
    arena_init(&arena, 0);
    const void **handles = mem_alloc(count * sizeof(*handles));
    bytes_t *members = mem_alloc(count * sizeof(*members));
    char room[NUM_I64_CHARS_MAX];
    sample_distinct(v, 1, set_length(v), count, &rng, handles);
    reply_set(call->client, count);
    for (size_t i = 0; i < count; i++) {
        members[i] = set_at(v, handles[i], room);
        /* What lies in a small encoding moves when another member goes. */
        if (v.encoding != ENC_HASHTABLE) members[i] = arena_copy(&arena, members[i]);
        reply_bulk(call->client, members[i]);
    }
    propagate_srem(call, members, count);
    for (size_t i = 0; i < count; i++) set_remove(&v, members[i]);
    call->dirty += count;
    finish_removal(call, call->argv[1], entry, v, "spop");
    mem_free(members);
    mem_free(handles);
    arena_deinit(&arena);
}

/* SPOP key: the member replied alone, and the key goes with its last member. */
static void pop_one(redis_call_t *call, redis_entry_t *entry)
{
    value_t v = value_of(entry);
    rng_t rng = collection_rng(call);
    char room[NUM_I64_CHARS_MAX];
    bytes_t member = set_at(v, sample_one(v, 1, &rng), room);
    reply_bulk(call->client, member);
    propagate_srem(call, &member, 1);
    set_remove(&v, member);
    call->dirty++;
    finish_removal(call, call->argv[1], entry, v, "spop");
}

void redis_cmd_spop(redis_call_t *call)
{
    redis_entry_t *entry;
    int64_t count = 0;
    bool counted = call->argc == 3;
    if (call->argc > 3) {
        reply_error_syntax(call->client);
        return;
    }
    if (counted && !arg_i64_in(call, 2, 0, INT64_MAX, "ERR value is out of range, must be positive", &count)) return;
    if (!key_write_type(call, call->argv[1], TYPE_SET, &entry)) return;
    if (!entry && !counted)
        reply_null(call->client);
    else if (!counted)
        pop_one(call, entry);
    else if (!entry || count == 0)
        reply_set(call->client, 0);
    else if ((uint64_t)count >= set_length(value_of(entry)))
        pop_all(call, entry);
    else
        pop_some(call, entry, (size_t)count);
}

/* ---- reading ----------------------------------------------------------------------------- */

void redis_cmd_sismember(redis_call_t *call)
{
    redis_entry_t *entry;
    if (!key_read_type(call, call->argv[1], TYPE_SET, &entry)) return;
    reply_int(call->client, entry && set_has(value_of(entry), call->argv[2]));
}

void redis_cmd_smismember(redis_call_t *call)
{
    redis_entry_t *entry;
    if (!key_read_type(call, call->argv[1], TYPE_SET, &entry)) return;
    reply_array(call->client, (size_t)call->argc - 2);
    for (int i = 2; i < call->argc; i++) reply_int(call->client, entry && set_has(value_of(entry), call->argv[i]));
}

void redis_cmd_scard(redis_call_t *call)
{
    redis_entry_t *entry;
    if (!key_read_type(call, call->argv[1], TYPE_SET, &entry)) return;
    reply_int(call->client, entry ? (int64_t)set_length(value_of(entry)) : 0);
}

void redis_cmd_smembers(redis_call_t *call)
{
    redis_entry_t *entry;
    if (!key_read_type(call, call->argv[1], TYPE_SET, &entry)) return;
    reply_set(call->client, entry ? set_length(value_of(entry)) : 0);
    if (entry) set_each(value_of(entry), give_member, call->client);
}

typedef struct chosen {
    redis_client_t *client;
    value_t v;
} chosen_t;

static void give_chosen(void *user, const void *handle)
{
    chosen_t *c = user;
    char room[NUM_I64_CHARS_MAX];
    reply_bulk(c->client, set_at(c->v, handle, room));
}

static size_t chosen_bytes(void *user, const void *handle)
{
    chosen_t *c = user;
    char room[NUM_I64_CHARS_MAX];
    return set_at(c->v, handle, room).len;
}

static void random_members(redis_call_t *call)
{
    redis_entry_t *entry;
    int64_t count;
    if (!collection_count(call, 2, false, &count)) return;
    if (!key_read_type(call, call->argv[1], TYPE_SET, &entry)) return;
    if (!entry || count == 0) {
        reply_array(call->client, 0);
        return;
    }
    chosen_t c = {call->client, value_of(entry)};
    size_t size = set_length(c.v);
    if (!collection_reply_fits(call, c.v, 1, size, count, chosen_bytes, &c)) return;
    reply_array(call->client, collection_chosen(size, count));
    collection_choose(call, c.v, 1, size, count, give_chosen, &c);
}

void redis_cmd_srandmember(redis_call_t *call)
{
    redis_entry_t *entry;
    if (call->argc == 3) {
        random_members(call);
        return;
    }
    if (call->argc > 3) {
        reply_error_syntax(call->client);
        return;
    }
    if (!key_read_type(call, call->argv[1], TYPE_SET, &entry)) return;
    if (!entry) {
        reply_null(call->client);
        return;
    }
    rng_t rng = collection_rng(call);
    chosen_t c = {call->client, value_of(entry)};
    give_chosen(&c, sample_one(c.v, 1, &rng));
}

void redis_cmd_sscan(redis_call_t *call)
{
    scan_options_t options;
    redis_entry_t *entry;
    buf_t handles = BUF_INIT;
    size_t given = 0;
    char room[NUM_I64_CHARS_MAX];
    if (!collection_scan_begin(call, TYPE_SET, &options, &entry)) return;
    uint64_t cursor = collection_scan(value_of(entry), 1, &options, &handles);
    reply_deferred_t d = collection_scan_reply(call, cursor);
    for (size_t i = 0; i < handles_count(&handles); i++) {
        bytes_t member = set_at(value_of(entry), handles_at(&handles, i), room);
        if (!scan_matches(&options, member)) continue;
        reply_bulk(call->client, member);
        given++;
    }
    reply_deferred_array(call->client, d, given);
    buf_deinit(&handles);
}

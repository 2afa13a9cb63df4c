/* hash.c: the hash commands. */
#include "redis/types/hash.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "redis/cmd/collection.h"
#include "redis_commands.h"

/* ---- writing ----------------------------------------------------------------------------- */

/* The hash to be changed, a new one when the key is absent: pair with finish_write. */
static bool begin_write(redis_call_t *call, redis_entry_t **ret_entry, value_t *ret_v)
{
    if (!key_write_type(call, call->argv[1], TYPE_HASH, ret_entry)) return false;
    *ret_v = *ret_entry ? value_of(*ret_entry) : hash_new();
    return true;
}

static void finish_write(redis_call_t *call, redis_entry_t *entry, value_t v, const char *event)
{
    if (entry)
        value_store(entry, v);
    else
        key_add(call, call->argv[1], TYPE_HASH, v.encoding, v.ptr);
    key_changed(call, call->argv[1], NOTIFY_HASH, event);
}

/* Sets argv[2], argv[3] ...; returns how many fields are new, -1 after an error. */
static int64_t set_fields(redis_call_t *call)
{
    redis_entry_t *entry;
    value_t v;
    int64_t added = 0;
    if (call->argc % 2) {
        reply_errorf(call->client, "ERR wrong number of arguments for '%s' command",
                     arg_is(call, 0, "HMSET") ? "hmset" : "hset");
        return -1;
    }
    if (!begin_write(call, &entry, &v)) return -1;
    for (int i = 2; i < call->argc; i += 2) added += hash_set(&v, call->argv[i], call->argv[i + 1], call->config);
    call->dirty += (uint64_t)(call->argc - 2) / 2;
    finish_write(call, entry, v, "hset");
    return added;
}

void redis_cmd_hset(redis_call_t *call)
{
    int64_t added = set_fields(call);
    if (added >= 0) reply_int(call->client, added);
}

void redis_cmd_hmset(redis_call_t *call)
{
    if (set_fields(call) >= 0) reply_ok(call->client);
}

void redis_cmd_hsetnx(redis_call_t *call)
{
    redis_entry_t *entry;
    value_t v;
    bytes_t present;
    char room[NUM_I64_CHARS_MAX];
    if (!begin_write(call, &entry, &v)) return;
    if (entry && hash_get(v, call->argv[2], room, &present)) {
        reply_int(call->client, 0);
        return;
    }
    hash_set(&v, call->argv[2], call->argv[3], call->config);
    call->dirty++;
    finish_write(call, entry, v, "hset");
    reply_int(call->client, 1);
}

/* Some fields are gone from what argv[1] holds. */
static void finish_deleting(redis_call_t *call, redis_entry_t *entry, value_t v, uint64_t deleted)
{
    bytes_t key = call->argv[1];
    bool empty = hash_length(v) == 0;
    value_store(entry, v);
    key_changed(call, key, NOTIFY_HASH, "hdel");
    if (empty) {
        key_delete(call, key);
        key_event(call, key, NOTIFY_GENERIC, "del");
    }
    call->dirty += deleted;
}

/* HGETDEL travels as HDEL of the same fields. */
static void propagate_deleted(redis_call_t *call)
{
    int argc = call->argc - 2;
    bytes_t *argv = mem_alloc(sizeof(*argv) * (size_t)argc);
    argv[0] = BYTES_LIT("HDEL");
    argv[1] = call->argv[1];
    memcpy(argv + 2, call->argv + 4, sizeof(*argv) * ((size_t)argc - 2));
    propagate(call, argc, argv);
    mem_free(argv);
}

void redis_cmd_hdel(redis_call_t *call)
{
    redis_entry_t *entry;
    uint64_t deleted = 0;
    if (!key_write_type(call, call->argv[1], TYPE_HASH, &entry)) return;
    if (entry) {
        value_t v = value_of(entry);
        for (int i = 2; i < call->argc && hash_length(v) > 0; i++) deleted += hash_delete(&v, call->argv[i]);
        if (deleted) finish_deleting(call, entry, v, deleted);
    }
    reply_int(call->client, (int64_t)deleted);
}

/* False after an error. FIELDS is at argv[2], the fields are from argv[4] on. */
static bool check_named_fields(redis_call_t *call)
{
    int64_t count;
    if (!arg_is(call, 2, "FIELDS")) {
        reply_error_syntax(call->client);
        return false;
    }
    if (!arg_i64(call, 3, &count)) return false;
    if (count > 0 && count == call->argc - 4) return true;
    reply_error(call->client, "ERR numfields should be greater than 0 and match the provided number of fields");
    return false;
}

/* Replies the field, and deletes it. */
static bool give_and_delete(redis_call_t *call, value_t *v, bytes_t field)
{
    char room[NUM_I64_CHARS_MAX];
    bytes_t text;
    if (!v->ptr || !hash_get(*v, field, room, &text)) {
        reply_null(call->client);
        return false;
    }
    reply_bulk(call->client, text);
    return hash_delete(v, field);
}

void redis_cmd_hgetdel(redis_call_t *call)
{
    redis_entry_t *entry;
    uint64_t deleted = 0;
    if (!check_named_fields(call) || !key_write_type(call, call->argv[1], TYPE_HASH, &entry)) return;
    value_t v = entry ? value_of(entry) : (value_t){NULL, ENC_LISTPACK};
    reply_array(call->client, (size_t)call->argc - 4);
    for (int i = 4; i < call->argc; i++) deleted += give_and_delete(call, &v, call->argv[i]);
    if (deleted == 0) return;
    finish_deleting(call, entry, v, deleted);
    propagate_deleted(call);
}

void redis_cmd_hincrby(redis_call_t *call)
{
    redis_entry_t *entry;
    value_t v;
    bytes_t text;
    int64_t by, now = 0, sum;
    char room[NUM_I64_CHARS_MAX];
    if (!arg_i64(call, 3, &by) || !begin_write(call, &entry, &v)) return;
    if (hash_get(v, call->argv[2], room, &text) && !num_parse_i64(text, &now)) {
        reply_error(call->client, "ERR hash value is not an integer");
        return;
    }
    if (__builtin_add_overflow(now, by, &sum)) {
        reply_error(call->client, "ERR increment or decrement would overflow");
        return;
    }
    hash_set(&v, call->argv[2], bytes_of(room, num_format_i64(room, sum)), call->config);
    call->dirty++;
    reply_int(call->client, sum);
    finish_write(call, entry, v, "hincrby");
}

void redis_cmd_hincrbyfloat(redis_call_t *call)
{
    redis_entry_t *entry;
    value_t v;
    bytes_t text;
    long double by, now = 0;
    char room[NUM_I64_CHARS_MAX], out[LONG_DOUBLE_CHARS_MAX];
    if (!parse_long_double(call->argv[3], &by)) {
        reply_error_not_float(call->client);
        return;
    }
    if (isinf(by)) {
        reply_error(call->client, "ERR value is NaN or Infinity");
        return;
    }
    if (!begin_write(call, &entry, &v)) return;
    if (hash_get(v, call->argv[2], room, &text) && !parse_long_double(text, &now)) {
        reply_error(call->client, "ERR hash value is not a float");
        return;
    }
    now += by;
    if (isnan(now) || isinf(now)) {
        if (!entry) hash_type_ops.free(v.ptr, v.encoding);
        reply_error(call->client, "ERR increment would produce NaN or Infinity");
        return;
    }
    text = bytes_of(out, format_long_double(out, now));
    hash_set(&v, call->argv[2], text, call->config);
    call->dirty++;
    reply_bulk(call->client, text);
    finish_write(call, entry, v, "hincrbyfloat");
    bytes_t argv[] = {BYTES_LIT("HSET"), call->argv[1], call->argv[2], text};
    propagate(call, 4, argv);
}

/* ---- reading ----------------------------------------------------------------------------- */

static void reply_field(redis_call_t *call, const redis_entry_t *entry, bytes_t field)
{
    bytes_t text;
    char room[NUM_I64_CHARS_MAX];
    if (entry && hash_get(value_of(entry), field, room, &text))
        reply_bulk(call->client, text);
    else
        reply_null(call->client);
}

void redis_cmd_hget(redis_call_t *call)
{
    redis_entry_t *entry;
    if (key_read_type(call, call->argv[1], TYPE_HASH, &entry)) reply_field(call, entry, call->argv[2]);
}

void redis_cmd_hmget(redis_call_t *call)
{
    redis_entry_t *entry;
    if (!key_read_type(call, call->argv[1], TYPE_HASH, &entry)) return;
    reply_array(call->client, (size_t)call->argc - 2);
    for (int i = 2; i < call->argc; i++) reply_field(call, entry, call->argv[i]);
}

/* The length of argv[2]'s value, -1 when absent; false after an error. */
static bool value_length(redis_call_t *call, int64_t *ret_length)
{
    redis_entry_t *entry;
    bytes_t text;
    char room[NUM_I64_CHARS_MAX];
    if (!key_read_type(call, call->argv[1], TYPE_HASH, &entry)) return false;
    bool present = entry && hash_get(value_of(entry), call->argv[2], room, &text);
    *ret_length = present ? (int64_t)text.len : -1;
    return true;
}

void redis_cmd_hexists(redis_call_t *call)
{
    int64_t length;
    if (value_length(call, &length)) reply_int(call->client, length >= 0);
}

void redis_cmd_hstrlen(redis_call_t *call)
{
    int64_t length;
    if (value_length(call, &length)) reply_int(call->client, MAX(length, (int64_t)0));
}

void redis_cmd_hlen(redis_call_t *call)
{
    redis_entry_t *entry;
    if (!key_read_type(call, call->argv[1], TYPE_HASH, &entry)) return;
    reply_int(call->client, entry ? (int64_t)hash_length(value_of(entry)) : 0);
}

static void give_pair(void *user, bytes_t field, bytes_t text)
{
    reply_bulk(user, field);
    reply_bulk(user, text);
}
static void give_field(void *user, bytes_t field, bytes_t text) { reply_bulk(user, field); }
static void give_value(void *user, bytes_t field, bytes_t text) { reply_bulk(user, text); }

void redis_cmd_hgetall(redis_call_t *call)
{
    redis_entry_t *entry;
    if (!key_read_type(call, call->argv[1], TYPE_HASH, &entry)) return;
    reply_map(call->client, entry ? hash_length(value_of(entry)) : 0);
    if (entry) hash_each(value_of(entry), give_pair, call->client);
}

static void reply_list(redis_call_t *call, hash_each_cb give)
{
    redis_entry_t *entry;
    if (!key_read_type(call, call->argv[1], TYPE_HASH, &entry)) return;
    reply_array(call->client, entry ? hash_length(value_of(entry)) : 0);
    if (entry) hash_each(value_of(entry), give, call->client);
}

void redis_cmd_hkeys(redis_call_t *call) { reply_list(call, give_field); }
void redis_cmd_hvals(redis_call_t *call) { reply_list(call, give_value); }

void redis_cmd_hscan(redis_call_t *call)
{
    scan_options_t options;
    redis_entry_t *entry;
    buf_t handles = BUF_INIT;
    size_t given = 0;
    if (!collection_scan_begin(call, TYPE_HASH, &options, &entry)) return;
    uint64_t cursor = collection_scan(value_of(entry), 2, &options, &handles);
    reply_deferred_t d = collection_scan_reply(call, cursor);
    for (size_t i = 0; i < handles_count(&handles); i++) {
        char a[NUM_I64_CHARS_MAX], b[NUM_I64_CHARS_MAX];
        bytes_t field, text;
        hash_at(value_of(entry), handles_at(&handles, i), a, b, &field, &text);
        if (!scan_matches(&options, field)) continue;
        reply_bulk(call->client, field);
        if (!options.no_values) reply_bulk(call->client, text);
        given += options.no_values ? 1 : 2;
    }
    reply_deferred_array(call->client, d, given);
    buf_deinit(&handles);
}

/* ---- HRANDFIELD -------------------------------------------------------------------------- */

typedef struct chosen {
    redis_client_t *client;
    value_t v;
    bool with_values;
    bool nested; /* RESP3: [field, value] each */
} chosen_t;

static void give_chosen(void *user, const void *handle)
{
    chosen_t *c = user;
    bytes_t field, text;
    char a[NUM_I64_CHARS_MAX], b[NUM_I64_CHARS_MAX];
    hash_at(c->v, handle, a, b, &field, &text);
    if (c->nested) reply_array(c->client, 2);
    reply_bulk(c->client, field);
    if (c->with_values) reply_bulk(c->client, text);
}

static size_t chosen_bytes(void *user, const void *handle)
{
    chosen_t *c = user;
    bytes_t field, text;
    char a[NUM_I64_CHARS_MAX], b[NUM_I64_CHARS_MAX];
    hash_at(c->v, handle, a, b, &field, &text);
    return field.len + (c->with_values ? text.len : 0);
}

static void random_fields(redis_call_t *call, int64_t count, bool with_values)
{
    redis_entry_t *entry;
    if (!key_read_type(call, call->argv[1], TYPE_HASH, &entry)) return;
    if (!entry || count == 0) {
        reply_array(call->client, 0);
        return;
    }
    value_t v = value_of(entry);
    chosen_t c = {call->client, v, with_values, with_values && redis_client_resp(call->client) == 3};
    size_t size = hash_length(v), n = collection_chosen(size, count);
    if (!collection_reply_fits(call, v, 2, size, count, chosen_bytes, &c)) return;
    reply_array(call->client, with_values && !c.nested ? n * 2 : n);
    collection_choose(call, v, 2, size, count, give_chosen, &c);
}

void redis_cmd_hrandfield(redis_call_t *call)
{
    redis_entry_t *entry;
    int64_t count;
    if (call->argc >= 3) {
        bool with_values = call->argc == 4 && arg_is(call, 3, "WITHVALUES");
        if (call->argc > 4 || (call->argc == 4 && !with_values)) {
            /* The count is judged first. */
            if (!collection_count(call, 2, false, &count)) return;
            reply_error_syntax(call->client);
            return;
        }
        if (collection_count(call, 2, with_values, &count)) random_fields(call, count, with_values);
        return;
    }
    if (!key_read_type(call, call->argv[1], TYPE_HASH, &entry)) return;
    if (!entry) {
        reply_null(call->client);
        return;
    }
    rng_t rng = collection_rng(call);
    chosen_t c = {call->client, value_of(entry), false, false};
    give_chosen(&c, sample_one(c.v, 2, &rng));
}

/* hash.c: the hash commands, but those that are about the times of fields: hash_expire.c and hash_ex.c. */
#include "redis/cmd/hash.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "redis/cmd/collection.h"
#include "redis_commands.h"

/* ---- writing ----------------------------------------------------------------------------- */

/* Sets argv[2], argv[3] ...; returns how many fields are new, -1 after an error. */
static int64_t set_fields(redis_call_t *call)
{
    redis_entry_t *entry;
    value_t v;
    int64_t added = 0;
    size_t over = 0;
    if (call->argc % 2) {
        reply_errorf(call->client, "ERR wrong number of arguments for '%s' command",
                     arg_is(call, 0, "HMSET") ? "hmset" : "hset");
        return -1;
    }
    if (!cmd__hash_begin(call, &entry, &v)) return -1;
    hash_expect(&v, (size_t)(call->argc - 2) / 2, call->config);
    for (int i = 2; i < call->argc; i += 2) {
        over += cmd__hash_is_over(call, v, call->argv[i]);
        added += hash_set(&v, call->argv[i], call->argv[i + 1], call->config);
    }
    call->dirty += (uint64_t)(call->argc - 2) / 2;
    cmd__hash_changed(call, entry, v, over, "hset");
    return added + (int64_t)over;
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

/* What stood there was over, which a replay does not know. */
static void propagate_set(redis_call_t *call, bytes_t field, bytes_t text)
{
    bytes_t argv[] = {BYTES_LIT("HSET"), call->argv[1], field, text};
    propagate(call, 4, argv);
}

void redis_cmd_hsetnx(redis_call_t *call)
{
    redis_entry_t *entry;
    value_t v;
    bytes_t present;
    char room[NUM_I64_CHARS_MAX];
    if (!cmd__hash_begin(call, &entry, &v)) return;
    if (entry && hash_get(v, call->argv[2], cmd__hash_now(call), room, &present)) {
        reply_int(call->client, 0);
        return;
    }
    bool over = cmd__hash_is_over(call, v, call->argv[2]);
    hash_set(&v, call->argv[2], call->argv[3], call->config);
    call->dirty++;
    cmd__hash_changed(call, entry, v, over, "hset");
    if (over) propagate_set(call, call->argv[2], call->argv[3]);
    reply_int(call->client, 1);
}

/* Those whose time is over are not there to be deleted. */
static uint64_t delete_fields(redis_call_t *call, value_t *v, hash_draft_t *deleted)
{
    for (int i = 2; i < call->argc && hash_length(*v) > 0; i++)
        if (!cmd__hash_is_over(call, *v, call->argv[i]) && hash_delete(v, call->argv[i]))
            hash_draft_add(deleted, call->argv[i]);
    return (uint64_t)deleted->argc;
}

void redis_cmd_hdel(redis_call_t *call)
{
    redis_entry_t *entry;
    hash_draft_t d;
    if (!key_write_type(call, call->argv[1], TYPE_HASH, &entry)) return;
    if (!entry) {
        reply_int(call->client, 0);
        return;
    }
    value_t v = value_of(entry);
    bool timed = hash_timed(v);
    hash_draft_init(&d, call->argc - 2);
    uint64_t deleted = delete_fields(call, &v, &d);
    if (deleted) {
        cmd__hash_deleted(call, entry, v, "hdel");
        if (timed) hash_draft_send(call, &d, "HDEL"); /* else it travels as it came */
        call->dirty += deleted;
    }
    hash_draft_deinit(&d);
    reply_int(call->client, (int64_t)deleted);
}

/* The field as it is now, and whether what is there is over. */
typedef struct present {
    bytes_t text; /* ptr NULL: there is none */
    int64_t at_ms;
    bool over;
    char room[NUM_I64_CHARS_MAX];
} present_t;

static void look(const redis_call_t *call, value_t v, bytes_t field, present_t *ret)
{
    hash_item_t item;
    *ret = (present_t){.text = BYTES_NULL, .at_ms = HASH_NO_TIME};
    if (!hash_look(v, field, ret->room, &item)) return;
    ret->over = hash_is_over(item.at_ms, cmd__hash_now(call));
    if (ret->over) return;
    ret->text = item.text;
    ret->at_ms = item.at_ms;
}

void redis_cmd_hincrby(redis_call_t *call)
{
    redis_entry_t *entry;
    value_t v;
    present_t present;
    int64_t by, now = 0, sum;
    char room[NUM_I64_CHARS_MAX];
    bytes_t field = call->argv[2];
    if (!arg_i64(call, 3, &by) || !cmd__hash_begin(call, &entry, &v)) return;
    look(call, v, field, &present);
    if (present.text.ptr && !num_parse_i64(present.text, &now)) {
        reply_error(call->client, "ERR hash value is not an integer");
        return;
    }
    if (__builtin_add_overflow(now, by, &sum)) {
        reply_error(call->client, "ERR increment or decrement would overflow");
        return;
    }
    bytes_t text = bytes_of(room, num_format_i64(room, sum));
    hash_put(&v, field, text, present.at_ms, call->config);
    call->dirty++;
    reply_int(call->client, sum);
    cmd__hash_changed(call, entry, v, present.over, "hincrby");
    if (present.over) propagate_set(call, field, text);
}

static void propagate_float(redis_call_t *call, bytes_t field, bytes_t text, bool timed)
{
    hash_draft_t d;
    if (!timed) {
        propagate_set(call, field, text);
        return;
    }
    hash_draft_init(&d, 2);
    hash_draft_add(&d, field);
    hash_draft_add(&d, text);
    hash_draft_send_fields(call, &d, "HSETEX", "KEEPTTL", -1, 2);
    hash_draft_deinit(&d);
}

void redis_cmd_hincrbyfloat(redis_call_t *call)
{
    redis_entry_t *entry;
    value_t v;
    present_t present;
    long double by, now = 0;
    char out[LONG_DOUBLE_CHARS_MAX];
    bytes_t field = call->argv[2];
    if (!parse_long_double(call->argv[3], &by)) {
        reply_error_not_float(call->client);
        return;
    }
    if (isinf(by)) {
        reply_error(call->client, "ERR value is NaN or Infinity");
        return;
    }
    if (!cmd__hash_begin(call, &entry, &v)) return;
    look(call, v, field, &present);
    if (present.text.ptr && !parse_long_double(present.text, &now)) {
        reply_error(call->client, "ERR hash value is not a float");
        return;
    }
    now += by;
    if (isnan(now) || isinf(now)) {
        if (!entry) hash_type_ops.free(v.ptr, v.encoding);
        reply_error(call->client, "ERR increment would produce NaN or Infinity");
        return;
    }
    bytes_t text = bytes_of(out, format_long_double(out, now));
    hash_put(&v, field, text, present.at_ms, call->config);
    call->dirty++;
    reply_bulk(call->client, text);
    cmd__hash_changed(call, entry, v, present.over, "hincrbyfloat");
    propagate_float(call, field, text, present.at_ms >= 0);
}

/* ---- reading ----------------------------------------------------------------------------- */

static void reply_field(redis_call_t *call, const redis_entry_t *entry, bytes_t field)
{
    bytes_t text;
    char room[NUM_I64_CHARS_MAX];
    if (entry && hash_get(value_of(entry), field, cmd__hash_now(call), room, &text))
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
    bool present = entry && hash_get(value_of(entry), call->argv[2], cmd__hash_now(call), room, &text);
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

/* Fields that are shown. */
static size_t live_length(const redis_call_t *call, value_t v)
{
    return hash_length(v) - hash_over(v, cmd__hash_now(call));
}

void redis_cmd_hgetall(redis_call_t *call)
{
    redis_entry_t *entry;
    if (!key_read_type(call, call->argv[1], TYPE_HASH, &entry)) return;
    reply_map(call->client, entry ? live_length(call, value_of(entry)) : 0);
    if (entry) hash_each(value_of(entry), cmd__hash_now(call), give_pair, call->client);
}

static void reply_list(redis_call_t *call, hash_each_cb give)
{
    redis_entry_t *entry;
    if (!key_read_type(call, call->argv[1], TYPE_HASH, &entry)) return;
    reply_array(call->client, entry ? live_length(call, value_of(entry)) : 0);
    if (entry) hash_each(value_of(entry), cmd__hash_now(call), give, call->client);
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
        const void *handle = handles_at(&handles, i);
        if (hash_handle_is_over(value_of(entry), handle, cmd__hash_now(call))) continue;
        hash_at(value_of(entry), handle, a, b, &field, &text);
        if (!scan_matches(&options, field)) continue;
        reply_bulk(call->client, field);
        if (!options.no_values) reply_bulk(call->client, text);
        given += options.no_values ? 1 : 2;
    }
    reply_deferred_array(call->client, d, given);
    buf_deinit(&handles);
}

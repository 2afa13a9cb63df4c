/* string.c: strings: reading, setting, counting. SET with its options is in string_set.c. */
#include "redis/db/evict.h"
#include "redis/exec/key.h"
#include "redis_commands.h"

#include "base/num.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static void reply_entry(redis_client_t *c, const redis_entry_t *e)
{
    char scratch[NUM_I64_CHARS_MAX];
    reply_bulk(c, string_text(e, scratch));
}

void redis_cmd_get(redis_call_t *call)
{
    redis_entry_t *e;
    if (!key_read_type(call, call->argv[1], TYPE_STRING, &e)) return;
    if (e)
        reply_entry(call->client, e);
    else
        reply_null(call->client);
}

void redis_cmd_strlen(redis_call_t *call)
{
    redis_entry_t *e;
    char scratch[NUM_I64_CHARS_MAX];
    if (!key_read_type(call, call->argv[1], TYPE_STRING, &e)) return;
    reply_int(call->client, e ? (int64_t)string_text(e, scratch).len : 0);
}

void redis_cmd_mget(redis_call_t *call)
{
    reply_array(call->client, (size_t)call->argc - 1);
    for (int i = 1; i < call->argc; i++) {
        redis_entry_t *e = key_read(call, call->argv[i]);
        if (e && e->type == TYPE_STRING)
            reply_entry(call->client, e);
        else
            reply_null(call->client);
    }
}

void redis_cmd_getdel(redis_call_t *call)
{
    redis_entry_t *e;
    bytes_t key = call->argv[1];
    if (!key_read_type(call, key, TYPE_STRING, &e)) return;
    if (!e) {
        reply_null(call->client);
        return;
    }
    reply_entry(call->client, e);
    key_delete(call, key);
    key_changed(call, key, NOTIFY_GENERIC, "del");
    propagate_key(call, "DEL", key);
    call->dirty++;
}

/* ---- several at once ------------------------------------------------------------------------------------------------- */

static void set_all(redis_call_t *call)
{
    for (int i = 1; i < call->argc; i += 2) {
        key_set_string(call, call->argv[i], call->argv[i + 1], false);
        key_changed(call, call->argv[i], NOTIFY_STRING, "set");
    }
    call->dirty += (uint64_t)(call->argc - 1) / 2;
}

static bool check_pairs(redis_call_t *call)
{
    if (call->argc % 2) return true;
    reply_errorf(call->client, "ERR wrong number of arguments for '%s' command", call->command->name);
    return false;
}

void redis_cmd_mset(redis_call_t *call)
{
    if (!check_pairs(call)) return;
    key_prefetch_all(call, 1, 2);
    set_all(call);
    reply_ok(call->client);
}

void redis_cmd_msetnx(redis_call_t *call)
{
    if (!check_pairs(call)) return;
    for (int i = 1; i < call->argc; i += 2) {
        if (key_peek(call, call->argv[i])) {
            reply_int(call->client, 0);
            return;
        }
    }
    set_all(call);
    reply_int(call->client, 1);
}

/* ---- parts ----------------------------------------------------------------------------------------------------------- */

void redis_cmd_getrange(redis_call_t *call)
{
    redis_entry_t *e;
    int64_t start, end;
    char scratch[NUM_I64_CHARS_MAX];
    if (!arg_i64(call, 2, &start) || !arg_i64(call, 3, &end)) return;
    if (!key_read_type(call, call->argv[1], TYPE_STRING, &e)) return;
    bytes_t s = e ? string_text(e, scratch) : BYTES_LIT("");
    int64_t len = (int64_t)s.len;
    bool crossed = start < 0 && end < 0 && start > end;
    if (start < 0) start = MAX(len + start, 0);
    if (end < 0) end = MAX(len + end, 0);
    if (end >= len) end = len - 1;
    if (crossed || start > end || len == 0)
        reply_bulk(call->client, BYTES_LIT(""));
    else
        reply_bulk(call->client, bytes_of(s.ptr + start, (size_t)(end - start + 1)));
}

void redis_cmd_substr(redis_call_t *call) { redis_cmd_getrange(call); }

static bool check_length(redis_call_t *call, uint64_t offset, uint64_t bytes)
{
    if (offset + bytes <= call->config->proto_max_bulk_len && offset + bytes <= UINT32_MAX) return true;
    reply_error(call->client, "ERR string exceeds maximum allowed size (proto-max-bulk-len)");
    return false;
}

static void finish_write(redis_call_t *call, const char *event, size_t len)
{
    key_changed(call, call->argv[1], NOTIFY_STRING, event);
    call->dirty++;
    reply_int(call->client, (int64_t)len);
}

void redis_cmd_setrange(redis_call_t *call)
{
    redis_entry_t *e;
    int64_t offset;
    bytes_t key = call->argv[1], value = call->argv[3];
    char scratch[NUM_I64_CHARS_MAX];
    if (!arg_i64(call, 2, &offset)) return;
    if (offset < 0) {
        reply_error(call->client, "ERR offset is out of range");
        return;
    }
    if (!key_write_type(call, key, TYPE_STRING, &e)) return;
    size_t old = e ? string_text(e, scratch).len : 0;
    if (value.len == 0) {
        reply_int(call->client, (int64_t)old);
        return;
    }
    if (!check_length(call, (uint64_t)offset, value.len)) return;
    size_t len = MAX(old, (size_t)offset + value.len);
    if (!e) e = key_set_string(call, key, BYTES_LIT(""), false);
    memcpy(key_string_resize(call, e, len) + offset, value.ptr, value.len);
    finish_write(call, "setrange", len);
}

void redis_cmd_append(redis_call_t *call)
{
    redis_entry_t *e;
    bytes_t key = call->argv[1], value = call->argv[2];
    char scratch[NUM_I64_CHARS_MAX];
    if (!key_write_type(call, key, TYPE_STRING, &e)) return;
    size_t old = e ? string_text(e, scratch).len : 0;
    if (!e) {
        key_set_string(call, key, value, false);
    } else {
        if (!check_length(call, old, value.len)) return;
        uint8_t *bytes = key_string_resize(call, e, old + value.len);
        if (value.len) memcpy(bytes + old, value.ptr, value.len);
    }
    finish_write(call, "append", old + value.len);
}

/* ---- counters -------------------------------------------------------------------------------------------------------- */

static bool entry_as_integer(redis_call_t *call, const redis_entry_t *e, int64_t *ret)
{
    if (!e) {
        *ret = 0;
        return true;
    }
    if (e->encoding == ENC_INT) {
        *ret = entry_int(e);
        return true;
    }
    if (num_parse_i64(entry_string(e), ret)) return true;
    reply_error_not_integer(call->client);
    return false;
}

static void increment(redis_call_t *call, int64_t by)
{
    redis_entry_t *e;
    int64_t v;
    bytes_t key = call->argv[1];
    if (!key_write_type(call, key, TYPE_STRING, &e) || !entry_as_integer(call, e, &v)) return;
    if (__builtin_add_overflow(v, by, &v)) {
        reply_error(call->client, "ERR increment or decrement would overflow");
        return;
    }
    if (e && e->encoding == ENC_INT)
        entry_set_int(e, v);
    else
        key_set_integer(call, key, v);
    key_changed(call, key, NOTIFY_STRING, "incrby");
    call->dirty++;
    reply_int(call->client, v);
}

void redis_cmd_incr(redis_call_t *call) { increment(call, 1); }
void redis_cmd_decr(redis_call_t *call) { increment(call, -1); }

void redis_cmd_incrby(redis_call_t *call)
{
    int64_t by;
    if (arg_i64(call, 2, &by)) increment(call, by);
}

void redis_cmd_decrby(redis_call_t *call)
{
    int64_t by;
    if (!arg_i64(call, 2, &by)) return;
    if (by == INT64_MIN) {
        reply_error(call->client, "ERR decrement would overflow");
        return;
    }
    increment(call, -by);
}

void redis_cmd_incrbyfloat(redis_call_t *call)
{
    redis_entry_t *e;
    long double v = 0, by;
    bytes_t key = call->argv[1];
    char scratch[NUM_I64_CHARS_MAX], text[LONG_DOUBLE_CHARS_MAX];
    if (!key_write_type(call, key, TYPE_STRING, &e)) return;
    if ((e && !parse_long_double(string_text(e, scratch), &v)) || !parse_long_double(call->argv[2], &by)) {
        reply_error_not_float(call->client);
        return;
    }
    v += by;
    if (isnan(v) || isinf(v)) {
        reply_error(call->client, "ERR increment would produce NaN or Infinity");
        return;
    }
    bytes_t value = bytes_of(text, format_long_double(text, v));
    key_set_text(call, key, value);
    key_changed(call, key, NOTIFY_STRING, "incrbyfloat");
    call->dirty++;
    bytes_t argv[4] = {BYTES_LIT("SET"), key, value, BYTES_LIT("KEEPTTL")};
    propagate(call, 4, argv);
    reply_bulk(call->client, value);
}

/* cmd_zset_pop.c: popping from sorted sets, at once or waiting. As with lists, a blocked command runs again
 * from its start when one of its keys got a sorted set. */
#include "redis/cmd_zset.h"

#include "redis_commands.h"

/* Replies `count` members from an end, by twos or (`nested`) in pairs, and pops them. */
static void pop_members(redis_call_t *call, bytes_t key, redis_entry_t *entry, bool max, size_t count, bool nested)
{
    char room[NUM_I64_CHARS_MAX];
    bytes_t member;
    double score;
    value_t v = value_of(entry);
    size_t length = zset_length(v);
    zset_cursor_t c = zset_at(v, max ? length - 1 : 0);
    for (size_t i = 0; i < count && zset_get(&c, room, &member, &score); i++) {
        if (nested) reply_array(call->client, 2);
        reply_bulk(call->client, member);
        reply_double(call->client, score);
        if (i + 1 == count) break;
        if (max)
            zset_prev(&c);
        else
            zset_next(&c);
    }
    zset_delete_ranks(&v, max ? length - count : 0, count);
    call->dirty += count;
    zset__removed(call, key, entry, v, max ? "zpopmax" : "zpopmin");
}

static void pop(redis_call_t *call, bool max)
{
    redis_entry_t *entry;
    int64_t count = 1;
    bool counted = call->argc == 3;
    if (call->argc > 3) {
        reply_error_syntax(call->client);
        return;
    }
    if (counted && !arg_i64_in(call, 2, 0, INT64_MAX, "ERR value is out of range, must be positive", &count)) return;
    if (!key_write_type(call, call->argv[1], TYPE_ZSET, &entry)) return;
    if (!entry || count == 0) {
        reply_array(call->client, 0);
        return;
    }
    bool nested = counted && redis_client_resp(call->client) == 3;
    size_t n = MIN((size_t)count, zset_length(value_of(entry)));
    reply_array(call->client, nested ? n : n * 2);
    pop_members(call, call->argv[1], entry, max, n, nested);
}

void redis_cmd_zpopmin(redis_call_t *call) { pop(call, false); }
void redis_cmd_zpopmax(redis_call_t *call) { pop(call, true); }

/* ---- from the first of several ----------------------------------------------------------- */

/* BZPOPMIN's [key, member, score]. */
static void pop_single(redis_call_t *call, bytes_t key, redis_entry_t *entry, bool max)
{
    reply_array(call->client, 3);
    reply_bulk(call->client, key);
    pop_members(call, key, entry, max, 1, false);
    propagate_key(call, max ? "ZPOPMAX" : "ZPOPMIN", key);
}

/* ZMPOP's [key, [[member, score], ...]]. */
static void pop_several(redis_call_t *call, bytes_t key, redis_entry_t *entry, bool max, int64_t count)
{
    char number[NUM_I64_CHARS_MAX];
    size_t n = MIN((size_t)count, zset_length(value_of(entry)));
    reply_array(call->client, 2);
    reply_bulk(call->client, key);
    reply_array(call->client, n);
    pop_members(call, key, entry, max, n, true);
    bytes_t argv[] = {max ? BYTES_LIT("ZPOPMAX") : BYTES_LIT("ZPOPMIN"), key,
                      bytes_of(number, num_format_u64(number, n))};
    propagate(call, 3, argv);
}

/* Pops from the first key that holds a set; false when none does (nothing was replied then). `count` 0: one,
 * in the reply of BZPOPMIN. */
static bool try_pop(redis_call_t *call, const bytes_t *keys, size_t key_count, bool max, int64_t count)
{
    for (size_t i = 0; i < key_count; i++) {
        redis_entry_t *entry;
        if (!key_write_type(call, keys[i], TYPE_ZSET, &entry)) return true;
        if (!entry) continue;
        if (count)
            pop_several(call, keys[i], entry, max, count);
        else
            pop_single(call, keys[i], entry, max);
        return true;
    }
    return false;
}

static void pop_blocking(redis_call_t *call, const bytes_t *keys, size_t key_count, bool max, int timeout_index,
                         int64_t count)
{
    int64_t timeout_ms;
    if (!arg_timeout(call, timeout_index, &timeout_ms)) return;
    if (try_pop(call, keys, key_count, max, count)) return;
    if (!key_block(call, keys, key_count, TYPE_ZSET, timeout_ms, BLOCK_NULL_ARRAY)) reply_null_array(call->client);
}

void redis_cmd_bzpopmin(redis_call_t *call)
{
    pop_blocking(call, call->argv + 1, (size_t)call->argc - 2, false, call->argc - 1, 0);
}

void redis_cmd_bzpopmax(redis_call_t *call)
{
    pop_blocking(call, call->argv + 1, (size_t)call->argc - 2, true, call->argc - 1, 0);
}

typedef struct mpop {
    const bytes_t *keys;
    size_t key_count;
    bool max;
    int64_t count;
} mpop_t;

/* numkeys key ... MIN|MAX [COUNT n], from argv[i] on. */
static bool mpop_parse(redis_call_t *call, int i, mpop_t *ret)
{
    int64_t numkeys, count = 0;
    if (!arg_i64_in(call, i, 1, INT64_MAX, "ERR numkeys should be greater than 0", &numkeys)) return false;
    int where = numkeys < call->argc - i - 1 ? i + 1 + (int)numkeys : 0;
    if (where) ret->max = arg_is(call, where, "MAX");
    if (!where || (!ret->max && !arg_is(call, where, "MIN"))) {
        reply_error_syntax(call->client);
        return false;
    }
    for (int j = where + 1; j < call->argc; j++) {
        if (count != 0 || !arg_is(call, j, "COUNT") || j + 1 == call->argc) {
            reply_error_syntax(call->client);
            return false;
        }
        if (!arg_i64_in(call, ++j, 1, INT64_MAX, "ERR count should be greater than 0", &count)) return false;
    }
    ret->keys = call->argv + i + 1;
    ret->key_count = (size_t)numkeys;
    ret->count = count ? count : 1;
    return true;
}

void redis_cmd_zmpop(redis_call_t *call)
{
    mpop_t m;
    if (!mpop_parse(call, 1, &m)) return;
    if (!try_pop(call, m.keys, m.key_count, m.max, m.count)) reply_null_array(call->client);
}

void redis_cmd_bzmpop(redis_call_t *call)
{
    mpop_t m;
    if (!mpop_parse(call, 2, &m)) return;
    pop_blocking(call, m.keys, m.key_count, m.max, 1, m.count);
}

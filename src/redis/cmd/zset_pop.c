/* zset_pop.c: popping from sorted sets: from one, and from the first of several (pop.c). */
#include "redis/cmd/pop.h"
#include "redis/cmd/zset.h"

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
static void pop_with_key(redis_call_t *call, bytes_t key, redis_entry_t *entry, bool max, int64_t count)
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

static const pop_kind_t zset_pop = {
    .type = TYPE_ZSET,
    .words = {"MIN", "MAX"},
    .one = pop_single,
    .several = pop_with_key,
};

void redis_cmd_bzpopmin(redis_call_t *call) { pop_first_blocking(call, &zset_pop, false); }
void redis_cmd_bzpopmax(redis_call_t *call) { pop_first_blocking(call, &zset_pop, true); }
void redis_cmd_zmpop(redis_call_t *call) { pop_several(call, &zset_pop); }
void redis_cmd_bzmpop(redis_call_t *call) { pop_several_blocking(call, &zset_pop); }

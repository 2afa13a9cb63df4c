/* zset.c: sorted set commands on single members: adding, removing, scores, ranks, scanning, random
 * choice. */
#include "redis/cmd/zset.h"

#include <stdio.h>

#include "redis/cmd/collection.h"
#include "redis_commands.h"

#define SCORES_ON_STACK 32

/* ---- shared ------------------------------------------------------------------------------ */

void zset__removed(redis_call_t *call, bytes_t key, redis_entry_t *entry, value_t v, const char *event)
{
    value_store(entry, v);
    key_changed(call, key, NOTIFY_ZSET, event);
    if (zset_length(v) > 0) return;
    key_delete(call, key);
    key_event(call, key, NOTIFY_GENERIC, "del");
}

void zset__store(redis_call_t *call, bytes_t key, zset_t *built, const char *event)
{
    value_t v = zset_finish(built);
    zset_compact(&v, call->config);
    size_t length = zset_length(v);
    reply_int(call->client, (int64_t)length);
    if (length > 0) {
        key_set(call, key, TYPE_ZSET, v.encoding, v.ptr);
        key_changed(call, key, NOTIFY_ZSET, event);
        call->dirty++;
        return;
    }
    zset_free(v);
    if (key_delete(call, key)) {
        key_changed(call, key, NOTIFY_GENERIC, "del");
        call->dirty++;
    }
}

void zset__reply_header(redis_call_t *call, size_t count, bool with_scores)
{
    reply_array(call->client, with_scores && redis_client_resp(call->client) == 2 ? count * 2 : count);
}

void zset__reply_member(redis_call_t *call, bytes_t member, double score, bool with_scores)
{
    redis_client_t *c = call->client;
    if (with_scores && redis_client_resp(c) == 3) reply_array(c, 2);
    reply_bulk(c, member);
    if (with_scores) reply_double(c, score);
}

/* ---- ZADD -------------------------------------------------------------------------------- */

typedef struct zadd {
    unsigned flags;
    bool count_changed; /* CH */
    int first;          /* argv index of the first score */
    size_t pairs;
} zadd_t;

static bool zadd_options(redis_call_t *call, zadd_t *z)
{
    int i = 2;
    for (; i < call->argc; i++) {
        /* A score never begins with one of these letters. */
        uint8_t first = call->argv[i].len ? call->argv[i].ptr[0] | 0x20 : 0;
        if (LIKELY(first < 'a')) break;
        if (arg_is(call, i, "NX"))
            z->flags |= ZADD_NX;
        else if (arg_is(call, i, "XX"))
            z->flags |= ZADD_XX;
        else if (arg_is(call, i, "GT"))
            z->flags |= ZADD_GT;
        else if (arg_is(call, i, "LT"))
            z->flags |= ZADD_LT;
        else if (arg_is(call, i, "CH"))
            z->count_changed = true;
        else if (arg_is(call, i, "INCR"))
            z->flags |= ZADD_INCR;
        else
            break;
    }
    z->first = i;
    z->pairs = (size_t)(call->argc - i) / 2;
    unsigned nx = z->flags & ZADD_NX, gt = z->flags & ZADD_GT, lt = z->flags & ZADD_LT;
    if (z->pairs == 0 || (call->argc - i) % 2)
        reply_error_syntax(call->client);
    else if (nx && (z->flags & ZADD_XX))
        reply_error(call->client, "ERR XX and NX options at the same time are not compatible");
    else if ((nx && (gt || lt)) || (gt && lt))
        reply_error(call->client, "ERR GT, LT, and/or NX options at the same time are not compatible");
    else if ((z->flags & ZADD_INCR) && z->pairs > 1)
        reply_error(call->client, "ERR INCR option supports a single increment-element pair");
    else
        return true;
    return false;
}

typedef struct zadd_result {
    size_t added, updated;
    zset_added_t last;
    double score;
} zadd_result_t;

static void zadd_reply(redis_call_t *call, const zadd_t *z, const zadd_result_t *r)
{
    if (!(z->flags & ZADD_INCR))
        reply_int(call->client, (int64_t)(z->count_changed ? r->added + r->updated : r->added));
    else if (r->last == ZADD_NAN)
        reply_error(call->client, "ERR resulting score is not a number (NaN)");
    else if (r->last == ZADD_NOTHING)
        reply_null(call->client);
    else
        reply_double(call->client, r->score);
}

static void zadd_apply(redis_call_t *call, const zadd_t *z, const double *scores, size_t longest)
{
    redis_entry_t *entry;
    bytes_t key = call->argv[1];
    zadd_result_t r = {.last = ZADD_NOTHING};
    if (!key_write_type(call, key, TYPE_ZSET, &entry)) return;
    if (!entry && (z->flags & ZADD_XX)) {
        zadd_reply(call, z, &r);
        return;
    }
    value_t v = entry ? value_of(entry) : zset_new_for(z->pairs, longest, call->config);
    if (entry) zset_expect(&v, z->pairs, longest, call->config);
    for (size_t i = 0; i < z->pairs; i++) {
        bytes_t member = call->argv[z->first + 2 * (int)i + 1];
        r.last = zset_add(&v, member, scores[i], z->flags, call->config, &r.score);
        r.added += r.last == ZADD_ADDED;
        r.updated += r.last == ZADD_UPDATED;
    }
    if (entry)
        value_store(entry, v);
    else
        key_add(call, key, TYPE_ZSET, v.encoding, v.ptr);
    call->dirty += r.added + r.updated;
    zadd_reply(call, z, &r);
    if (r.added || r.updated) key_changed(call, key, NOTIFY_ZSET, z->flags & ZADD_INCR ? "zincr" : "zadd");
}

static void zadd(redis_call_t *call, unsigned flags)
{
    double on_stack[SCORES_ON_STACK], *scores = on_stack;
    zadd_t z = {.flags = flags};
    size_t longest = 0, parsed = 0;
    if (!zadd_options(call, &z)) return;
    if (z.pairs > SCORES_ON_STACK) scores = mem_alloc(z.pairs * sizeof(*scores));
    for (; parsed < z.pairs; parsed++) {
        int at = z.first + 2 * (int)parsed;
        if (!arg_double(call, at, &scores[parsed])) break;
        longest = MAX(longest, call->argv[at + 1].len);
    }
    if (parsed == z.pairs) zadd_apply(call, &z, scores, longest);
    if (scores != on_stack) mem_free(scores);
}

void redis_cmd_zadd(redis_call_t *call) { zadd(call, 0); }
void redis_cmd_zincrby(redis_call_t *call) { zadd(call, ZADD_INCR); }

/* ---- removing ---------------------------------------------------------------------------- */

void redis_cmd_zrem(redis_call_t *call)
{
    redis_entry_t *entry;
    int64_t removed = 0;
    if (!key_write_type(call, call->argv[1], TYPE_ZSET, &entry)) return;
    if (entry) {
        value_t v = value_of(entry);
        for (int i = 2; i < call->argc && zset_length(v) > 0; i++) removed += zset_remove(&v, call->argv[i]);
        if (removed) zset__removed(call, call->argv[1], entry, v, "zrem");
    }
    call->dirty += (uint64_t)removed;
    reply_int(call->client, removed);
}

/* ---- reading ----------------------------------------------------------------------------- */

void redis_cmd_zcard(redis_call_t *call)
{
    redis_entry_t *entry;
    if (!key_read_type(call, call->argv[1], TYPE_ZSET, &entry)) return;
    reply_int(call->client, entry ? (int64_t)zset_length(value_of(entry)) : 0);
}

static void reply_score(redis_call_t *call, const redis_entry_t *entry, bytes_t member)
{
    double score;
    if (entry && zset_score(value_of(entry), member, &score))
        reply_double(call->client, score);
    else
        reply_null(call->client);
}

void redis_cmd_zscore(redis_call_t *call)
{
    redis_entry_t *entry;
    if (key_read_type(call, call->argv[1], TYPE_ZSET, &entry)) reply_score(call, entry, call->argv[2]);
}

void redis_cmd_zmscore(redis_call_t *call)
{
    redis_entry_t *entry;
    if (!key_read_type(call, call->argv[1], TYPE_ZSET, &entry)) return;
    reply_array(call->client, (size_t)call->argc - 2);
    for (int i = 2; i < call->argc; i++) reply_score(call, entry, call->argv[i]);
}

static void reply_rank(redis_call_t *call, bool reverse)
{
    redis_entry_t *entry;
    size_t rank;
    double score;
    bool with_score = call->argc == 4 && arg_is(call, 3, "WITHSCORE");
    if (call->argc > 4) {
        reply_errorf(call->client, "ERR wrong number of arguments for '%s' command", reverse ? "zrevrank" : "zrank");
        return;
    }
    if (call->argc == 4 && !with_score) {
        reply_error_syntax(call->client);
        return;
    }
    if (!key_read_type(call, call->argv[1], TYPE_ZSET, &entry)) return;
    if (entry && zset_rank(value_of(entry), call->argv[2], &rank, &score)) {
        if (with_score) reply_array(call->client, 2);
        reply_int(call->client, (int64_t)(reverse ? zset_length(value_of(entry)) - 1 - rank : rank));
        if (with_score) reply_double(call->client, score);
    } else if (with_score) {
        reply_null_array(call->client);
    } else {
        reply_null(call->client);
    }
}

void redis_cmd_zrank(redis_call_t *call) { reply_rank(call, false); }
void redis_cmd_zrevrank(redis_call_t *call) { reply_rank(call, true); }

/* ZSCAN gives the scores of a large set with seventeen digits, those of a small one as they are stored. */
static void reply_scanned_score(redis_call_t *call, value_t v, double score)
{
    char text[DOUBLE_CHARS_MAX];
    size_t len =
        v.encoding == ENC_LISTPACK ? format_double(text, score) : (size_t)snprintf(text, sizeof(text), "%.17g", score);
    reply_bulk(call->client, bytes_of(text, len));
}

void redis_cmd_zscan(redis_call_t *call)
{
    scan_options_t options;
    redis_entry_t *entry;
    buf_t handles = BUF_INIT;
    size_t given = 0;
    char room[NUM_I64_CHARS_MAX];
    if (!collection_scan_begin(call, TYPE_ZSET, &options, &entry)) return;
    uint64_t cursor = collection_scan(value_of(entry), 2, &options, &handles);
    reply_deferred_t d = collection_scan_reply(call, cursor);
    for (size_t i = 0; i < handles_count(&handles); i++) {
        bytes_t member;
        double score;
        zset_of_handle(value_of(entry), handles_at(&handles, i), room, &member, &score);
        if (!scan_matches(&options, member)) continue;
        reply_bulk(call->client, member);
        if (!options.no_values) reply_scanned_score(call, value_of(entry), score);
        given += options.no_values ? 1 : 2;
    }
    reply_deferred_array(call->client, d, given);
    buf_deinit(&handles);
}

/* ---- ZRANDMEMBER ------------------------------------------------------------------------- */

typedef struct chosen {
    redis_call_t *call;
    value_t v;
    bool with_scores;
} chosen_t;

static void give_chosen(void *user, const void *handle)
{
    chosen_t *c = user;
    char room[NUM_I64_CHARS_MAX];
    bytes_t member;
    double score;
    zset_of_handle(c->v, handle, room, &member, &score);
    zset__reply_member(c->call, member, score, c->with_scores);
}

static size_t chosen_bytes(void *user, const void *handle)
{
    chosen_t *c = user;
    char room[NUM_I64_CHARS_MAX];
    bytes_t member;
    double score;
    zset_of_handle(c->v, handle, room, &member, &score);
    return member.len + (c->with_scores ? sizeof(score) : 0);
}

static void random_members(redis_call_t *call, bool with_scores)
{
    redis_entry_t *entry;
    int64_t count;
    if (!collection_count(call, 2, with_scores, &count)) return;
    if (!key_read_type(call, call->argv[1], TYPE_ZSET, &entry)) return;
    if (!entry || count == 0) {
        reply_array(call->client, 0);
        return;
    }
    chosen_t c = {call, value_of(entry), with_scores};
    size_t size = zset_length(c.v);
    if (!collection_reply_fits(call, c.v, 2, size, count, chosen_bytes, &c)) return;
    zset__reply_header(call, collection_chosen(size, count), with_scores);
    collection_choose(call, c.v, 2, size, count, give_chosen, &c);
}

void redis_cmd_zrandmember(redis_call_t *call)
{
    redis_entry_t *entry;
    int64_t count;
    if (call->argc >= 3) {
        bool with_scores = call->argc == 4 && arg_is(call, 3, "WITHSCORES");
        if (call->argc == 3 || with_scores) {
            random_members(call, with_scores);
        } else if (collection_count(call, 2, false, &count)) {
            reply_error_syntax(call->client);
        }
        return;
    }
    if (!key_read_type(call, call->argv[1], TYPE_ZSET, &entry)) return;
    if (!entry) {
        reply_null(call->client);
        return;
    }
    rng_t rng = collection_rng(call);
    chosen_t c = {call, value_of(entry), false};
    give_chosen(&c, sample_one(c.v, 2, &rng));
}

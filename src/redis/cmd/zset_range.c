/* zset_range.c: sorted set commands on ranges: ZRANGE in all its forms, ZCOUNT, ZREMRANGEBY..., popping.
 * Whatever a range is given by, it is turned into an interval of ranks first. */
#include "redis/cmd/zset.h"

#include <math.h>
#include <stdlib.h>

#include "redis_commands.h"

typedef enum { BY_AUTO, BY_RANK, BY_SCORE, BY_LEX } range_by_t;

/* One end: an index, a score or a member, or one of the lexical ends - and +. */
typedef struct range_end {
    int64_t index;
    double score;
    bytes_t member;
    bool exclusive;
    int infinite; /* -1 or 1: "-" or "+" */
} range_end_t;

typedef struct range {
    range_by_t by;
    range_end_t min, max;
} range_t;

/* ---- parsing ends ------------------------------------------------------------------------ */

/* As strtod reads it, whole, not NaN. */
static bool parse_score_end(bytes_t text, range_end_t *end)
{
    char copy[1024], *rest;
    end->exclusive = text.len && text.ptr[0] == '(';
    if (end->exclusive) text = bytes_of(text.ptr + 1, text.len - 1);
    if (parse_double(text, &end->score)) return true;
    if (text.len >= sizeof(copy)) return false;
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    end->score = strtod(copy, &rest);
    return rest == copy + text.len && !isnan(end->score);
}

static bool parse_lex_end(bytes_t text, range_end_t *end)
{
    if (text.len == 0) return false;
    uint8_t first = text.ptr[0];
    end->infinite = first == '-' ? -1 : first == '+' ? 1 : 0;
    if (end->infinite) return text.len == 1;
    end->exclusive = first == '(';
    end->member = bytes_of(text.ptr + 1, text.len - 1);
    return first == '(' || first == '[';
}

/* Takes argv[min] and argv[max]; false after replying the error. */
static bool parse_range(redis_call_t *call, range_by_t by, int min, int max, range_t *r)
{
    *r = (range_t){.by = by};
    if (by == BY_RANK) return arg_i64(call, min, &r->min.index) && arg_i64(call, max, &r->max.index);
    if (by == BY_SCORE) {
        if (parse_score_end(call->argv[min], &r->min) && parse_score_end(call->argv[max], &r->max)) return true;
        reply_error(call->client, "ERR min or max is not a float");
        return false;
    }
    if (parse_lex_end(call->argv[min], &r->min) && parse_lex_end(call->argv[max], &r->max)) return true;
    reply_error(call->client, "ERR min or max not valid string range item");
    return false;
}

/* ---- from ends to ranks ------------------------------------------------------------------ */

/* The rank in front of which the range begins (or, for its upper end, stops). */
static size_t end_rank(value_t v, range_by_t by, const range_end_t *end, bool upper)
{
    if (end->infinite) return end->infinite < 0 ? 0 : zset_length(v);
    bool after = upper != end->exclusive; /* behind the items that equal the bound */
    ztree_bound_t bound = {.score = end->score, .member = end->member};
    if (by == BY_SCORE)
        bound.kind = after ? ZBOUND_SCORE_GT : ZBOUND_SCORE_GE;
    else
        bound.kind = after ? ZBOUND_LEX_GT : ZBOUND_LEX_GE;
    return zset_seek(v, &bound);
}

/* The interval [start, start + count) of ranks; indexes count from the end when `reverse`. */
static size_t resolve(value_t v, const range_t *r, bool reverse, size_t *ret_start)
{
    int64_t length = (int64_t)zset_length(v), start, end;
    if (r->by != BY_RANK) {
        start = (int64_t)end_rank(v, r->by, &r->min, false);
        end = (int64_t)end_rank(v, r->by, &r->max, true);
        *ret_start = (size_t)start;
        return end > start ? (size_t)(end - start) : 0;
    }
    start = r->min.index < 0 ? MAX(r->min.index + length, (int64_t)0) : r->min.index;
    end = r->max.index < 0 ? r->max.index + length : MIN(r->max.index, length - 1);
    if (start > end || start >= length) return 0;
    *ret_start = (size_t)(reverse ? length - 1 - end : start);
    return (size_t)(end - start) + 1;
}

/* ---- ZRANGE ------------------------------------------------------------------------------ */

typedef struct zrange {
    int key;          /* argv index */
    bytes_t store_at; /* ptr NULL: reply */
    range_by_t by;
    bool rev_allowed; /* REV may be said */
    bool reverse;
    bool with_scores;
    int64_t offset;
    int64_t limit; /* -1: none */
} zrange_t;

static bool zrange_options(redis_call_t *call, zrange_t *z)
{
    for (int i = z->key + 3; i < call->argc; i++) {
        if (!z->store_at.ptr && arg_is(call, i, "WITHSCORES")) {
            z->with_scores = true;
        } else if (i + 2 < call->argc && arg_is(call, i, "LIMIT")) {
            if (!arg_i64(call, i + 1, &z->offset) || !arg_i64(call, i + 2, &z->limit)) return false;
            i += 2;
        } else if (z->rev_allowed && !z->reverse && arg_is(call, i, "REV")) {
            z->reverse = true;
        } else if (z->by == BY_AUTO && arg_is(call, i, "BYLEX")) {
            z->by = BY_LEX;
        } else if (z->by == BY_AUTO && arg_is(call, i, "BYSCORE")) {
            z->by = BY_SCORE;
        } else {
            reply_error_syntax(call->client);
            return false;
        }
    }
    if (z->by == BY_AUTO) z->by = BY_RANK;
    if (z->limit != -1 && z->by == BY_RANK)
        reply_error(call->client,
                    "ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX");
    else if (z->with_scores && z->by == BY_LEX)
        reply_error(call->client, "ERR syntax error, WITHSCORES not supported in combination with BYLEX");
    else
        return true;
    return false;
}

/* Applies LIMIT to an interval that is read in the direction of `reverse`. */
static size_t limit_interval(const zrange_t *z, size_t *start, size_t count)
{
    if (z->offset < 0 || (uint64_t)z->offset >= count) return 0;
    size_t offset = (size_t)z->offset, kept = count - offset;
    if (z->limit >= 0) kept = MIN(kept, (size_t)z->limit);
    *start += z->reverse ? count - offset - kept : offset;
    return kept;
}

static void give_interval(redis_call_t *call, const zrange_t *z, value_t v, size_t start, size_t count)
{
    char room[NUM_I64_CHARS_MAX];
    bytes_t member;
    double score = 0;
    zset_t *built = z->store_at.ptr ? zset_begin() : NULL;
    if (!built) zset__reply_header(call, count, z->with_scores);
    if (count > 0) {
        zset_cursor_t c = zset_at(v, z->reverse ? start + count - 1 : start);
        while (count-- > 0 && zset_get(&c, room, &member, &score)) {
            bool added;
            if (built)
                zset_accumulate(built, member, score, &added);
            else
                zset__reply_member(call, member, score, z->with_scores);
            if (count == 0) break;
            if (z->reverse)
                zset_prev(&c);
            else
                zset_next(&c);
        }
    }
    if (built) zset__store(call, z->store_at, built, "zrangestore");
}

static void zrange(redis_call_t *call, zrange_t z)
{
    range_t range;
    redis_entry_t *entry;
    size_t start = 0, count = 0;
    z.limit = -1;
    if (!zrange_options(call, &z)) return;
    /* Read backwards, a range by score or name is given from its upper end. */
    int min = z.key + 1, max = z.key + 2;
    bool swapped = z.reverse && z.by != BY_RANK;
    if (!parse_range(call, z.by, swapped ? max : min, swapped ? min : max, &range)) return;
    if (!key_read_type(call, call->argv[z.key], TYPE_ZSET, &entry)) return;
    value_t v = {NULL, ENC_LISTPACK};
    if (entry) {
        v = value_of(entry);
        count = resolve(v, &range, z.reverse, &start);
        if (z.by != BY_RANK) count = limit_interval(&z, &start, count);
    }
    give_interval(call, &z, v, start, count);
}

void redis_cmd_zrange(redis_call_t *call) { zrange(call, (zrange_t){.key = 1, .rev_allowed = true}); }
void redis_cmd_zrangestore(redis_call_t *call)
{
    zrange(call, (zrange_t){.key = 2, .rev_allowed = true, .store_at = call->argv[1]});
}
void redis_cmd_zrevrange(redis_call_t *call) { zrange(call, (zrange_t){.key = 1, .by = BY_RANK, .reverse = true}); }
void redis_cmd_zrangebyscore(redis_call_t *call) { zrange(call, (zrange_t){.key = 1, .by = BY_SCORE}); }
void redis_cmd_zrevrangebyscore(redis_call_t *call)
{
    zrange(call, (zrange_t){.key = 1, .by = BY_SCORE, .reverse = true});
}
void redis_cmd_zrangebylex(redis_call_t *call) { zrange(call, (zrange_t){.key = 1, .by = BY_LEX}); }
void redis_cmd_zrevrangebylex(redis_call_t *call) { zrange(call, (zrange_t){.key = 1, .by = BY_LEX, .reverse = true}); }

/* ---- counting and removing --------------------------------------------------------------- */

static void count_range(redis_call_t *call, range_by_t by)
{
    range_t range;
    redis_entry_t *entry;
    size_t start;
    if (!parse_range(call, by, 2, 3, &range)) return;
    if (!key_read_type(call, call->argv[1], TYPE_ZSET, &entry)) return;
    reply_int(call->client, entry ? (int64_t)resolve(value_of(entry), &range, false, &start) : 0);
}

void redis_cmd_zcount(redis_call_t *call) { count_range(call, BY_SCORE); }
void redis_cmd_zlexcount(redis_call_t *call) { count_range(call, BY_LEX); }

static void remove_range(redis_call_t *call, range_by_t by, const char *event)
{
    range_t range;
    redis_entry_t *entry;
    size_t start, count = 0;
    if (!parse_range(call, by, 2, 3, &range)) return;
    if (!key_write_type(call, call->argv[1], TYPE_ZSET, &entry)) return;
    if (entry) {
        value_t v = value_of(entry);
        count = resolve(v, &range, false, &start);
        if (count) {
            zset_delete_ranks(&v, start, count);
            zset__removed(call, call->argv[1], entry, v, event);
        }
    }
    call->dirty += count;
    reply_int(call->client, (int64_t)count);
}

void redis_cmd_zremrangebyrank(redis_call_t *call) { remove_range(call, BY_RANK, "zremrangebyrank"); }
void redis_cmd_zremrangebyscore(redis_call_t *call) { remove_range(call, BY_SCORE, "zremrangebyscore"); }
void redis_cmd_zremrangebylex(redis_call_t *call) { remove_range(call, BY_LEX, "zremrangebylex"); }

/* pop.c: see pop.h. A blocked command runs again from its start when one of its keys got a value of its type, so it
 * tries first and blocks only when there is nothing. */
#include "redis/cmd/pop.h"

typedef struct pop_request {
    const pop_kind_t *kind;
    const bytes_t *keys;
    size_t keys_count;
    bool end;
    int64_t count; /* 0: one, as BLPOP answers */
} pop_request_t;

/* False when no key holds anything: nothing was replied then. */
static bool try_pop(redis_call_t *call, const pop_request_t *r)
{
    for (size_t i = 0; i < r->keys_count; i++) {
        redis_entry_t *entry;
        if (!key_write_type(call, r->keys[i], r->kind->type, &entry)) return true;
        if (!entry) continue;
        if (r->count)
            r->kind->several(call, r->keys[i], entry, r->end, r->count);
        else
            r->kind->one(call, r->keys[i], entry, r->end);
        return true;
    }
    return false;
}

static void pop_or_wait(redis_call_t *call, const pop_request_t *r, int timeout_index)
{
    int64_t timeout_ms;
    if (!arg_timeout(call, timeout_index, &timeout_ms)) return;
    if (try_pop(call, r)) return;
    if (!key_block(call, r->keys, r->keys_count, r->kind->type, timeout_ms, BLOCK_NULL_ARRAY))
        reply_null_array(call->client);
}

static bool parse_end(redis_call_t *call, int i, pop_request_t *ret)
{
    ret->end = arg_is(call, i, ret->kind->words[1]);
    if (ret->end || arg_is(call, i, ret->kind->words[0])) return true;
    reply_error_syntax(call->client);
    return false;
}

/* numkeys key ... END [COUNT n], from argv[i] on. */
static bool parse_several(redis_call_t *call, int i, const pop_kind_t *kind, pop_request_t *ret)
{
    int64_t numkeys, count = 0;
    if (!arg_i64_in(call, i, 1, INT64_MAX, "ERR numkeys should be greater than 0", &numkeys)) return false;
    if (numkeys >= call->argc - i - 1) {
        reply_error_syntax(call->client);
        return false;
    }
    int where = i + 1 + (int)numkeys;
    *ret = (pop_request_t){.kind = kind, .keys = call->argv + i + 1, .keys_count = (size_t)numkeys};
    if (!parse_end(call, where, ret)) return false;
    for (int j = where + 1; j < call->argc; j++) {
        if (count != 0 || !arg_is(call, j, "COUNT") || j + 1 == call->argc) {
            reply_error_syntax(call->client);
            return false;
        }
        if (!arg_i64_in(call, ++j, 1, INT64_MAX, "ERR count should be greater than 0", &count)) return false;
    }
    ret->count = count ? count : 1;
    return true;
}

void pop_first_blocking(redis_call_t *call, const pop_kind_t *kind, bool end)
{
    pop_request_t r = {.kind = kind, .keys = call->argv + 1, .keys_count = (size_t)call->argc - 2, .end = end};
    pop_or_wait(call, &r, call->argc - 1);
}

void pop_several(redis_call_t *call, const pop_kind_t *kind)
{
    pop_request_t r;
    if (!parse_several(call, 1, kind, &r)) return;
    if (!try_pop(call, &r)) reply_null_array(call->client);
}

void pop_several_blocking(redis_call_t *call, const pop_kind_t *kind)
{
    pop_request_t r;
    if (parse_several(call, 2, kind, &r)) pop_or_wait(call, &r, 1);
}

/* collection.c: see collection.h. */
#include "redis/cmd/collection.h"

#include "redis/types/intset.h"
#include "redis/types/listpack.h"
#include "redis/types/zset.h"

#define ELEMENT_HEAD_BYTES 6 /* $0\r\n\r\n */

static uint64_t next_random(void *user) { return redis_random(user); }

rng_t collection_rng(redis_call_t *call) { return (rng_t){next_random, call->redis}; }

/* ---- scanning ---------------------------------------------------------------------------- */

static void collect(void *user, void *entry) { buf_append(user, &entry, sizeof(entry)); }

static size_t small_count(value_t v, unsigned stride)
{
    return v.encoding == ENC_INTSET ? intset_count(v.ptr) : lp_count(v.ptr) / stride;
}

bool collection_scan_begin(redis_call_t *call, redis_type_t type, scan_options_t *options, redis_entry_t **ret_entry)
{
    redis_entry_t *entry;
    if (!scan_parse_cursor(call, 2, options) || !key_read_type(call, call->argv[1], type, &entry)) return false;
    if (!entry) {
        reply_deferred_array(call->client, collection_scan_reply(call, 0), 0);
        return false;
    }
    if (!scan_parse_options(call, 3, options)) return false;
    *ret_entry = entry;
    return true;
}

uint64_t collection_scan(value_t v, unsigned stride, const scan_options_t *options, buf_t *handles)
{
    if (v.encoding == ENC_INTSET || v.encoding == ENC_LISTPACK) {
        size_t bytes = small_count(v, stride) * sizeof(void *);
        sample_all(v, stride, (const void **)buf_reserve(handles, bytes));
        handles->len += bytes;
        return 0;
    }
    table_t *t = v.encoding == ENC_SKIPLIST ? &((zset_t *)v.ptr)->members : v.ptr;
    uint64_t cursor = options->cursor;
    int64_t steps_max = options->count > INT64_MAX / 10 ? INT64_MAX : options->count * 10;
    do {
        cursor = table_scan(t, cursor, collect, handles);
    } while (cursor && steps_max-- > 0 && (int64_t)handles_count(handles) < options->count);
    return cursor;
}

reply_deferred_t collection_scan_reply(redis_call_t *call, uint64_t cursor)
{
    char text[NUM_I64_CHARS_MAX];
    reply_array(call->client, 2);
    reply_bulk(call->client, bytes_of(text, num_format_u64(text, cursor)));
    return reply_deferred_begin(call->client);
}

/* ---- random choice ----------------------------------------------------------------------- */

bool collection_count(redis_call_t *call, int i, bool pairs, int64_t *ret_count)
{
    if (!arg_i64_in(call, i, -INT64_MAX, INT64_MAX, NULL, ret_count)) return false;
    if (pairs && (*ret_count < -(INT64_MAX / 2) || *ret_count > INT64_MAX / 2)) {
        reply_error(call->client, "ERR value is out of range");
        return false;
    }
    return true;
}

static void choose_with_repetition(value_t v, unsigned stride, size_t size, uint64_t count, const rng_t *rng,
                                   collection_each_cb each, void *user)
{
    bool table = value_is_table(v.encoding) || v.encoding == ENC_SKIPLIST;
    if (table && count < size) {
        while (count-- > 0) each(user, sample_one(v, stride, rng));
        return;
    }
    const void **all = mem_alloc(size * sizeof(*all));
    sample_all(v, stride, all);
    while (count-- > 0) each(user, all[rng_below(rng, size)]);
    mem_free(all);
}

bool collection_reply_fits(redis_call_t *call, value_t v, unsigned stride, size_t size, int64_t count,
                           collection_bytes_cb bytes, void *user)
{
    if (count >= 0 || (uint64_t)-count < size) return true; /* at most about what the collection holds */
    const void **all = mem_alloc(size * sizeof(*all));
    double total = 0;
    sample_all(v, stride, all);
    for (size_t i = 0; i < size; i++) total += (double)(bytes(user, all[i]) + ELEMENT_HEAD_BYTES);
    mem_free(all);
    if (total / (double)size * -(double)count <= (double)REPEATED_BYTES_MAX) return true;
    reply_error(call->client, "ERR value is out of range");
    return false;
}

void collection_choose(redis_call_t *call, value_t v, unsigned stride, size_t size, int64_t count,
                       collection_each_cb each, void *user)
{
    rng_t rng = collection_rng(call);
    if (count < 0) {
        choose_with_repetition(v, stride, size, (uint64_t)-count, &rng, each, user);
        return;
    }
    size_t n = collection_chosen(size, count);
    const void **chosen = mem_alloc(MAX(n, (size_t)1) * sizeof(*chosen));
    if (n == size)
        sample_all(v, stride, chosen);
    else
        sample_distinct(v, stride, size, n, &rng, chosen);
    for (size_t i = 0; i < n; i++) each(user, chosen[i]);
    mem_free(chosen);
}

/* sample.c: see sample.h. */
#include "redis/types/sample.h"

#include "redis/types/intset.h"
#include "redis/types/listpack.h"
#include "redis/types/zset.h"

static const table_t *table_of(value_t v)
{
    return v.encoding == ENC_SKIPLIST ? &((const zset_t *)v.ptr)->members : v.ptr;
}

static void append_handle(void *user, void *entry)
{
    const void ***at = user;
    *(*at)++ = entry;
}

void sample_all(value_t v, unsigned stride, const void **out)
{
    if (v.encoding == ENC_INTSET) {
        for (uintptr_t i = 1; i <= intset_count(v.ptr); i++) *out++ = (const void *)i;
    } else if (v.encoding == ENC_LISTPACK) {
        for (const uint8_t *p = lp_first(v.ptr); p; p = lp_next(p)) {
            *out++ = p;
            for (unsigned i = 1; i < stride; i++) p = lp_next(p);
        }
    } else {
        table_each((table_t *)table_of(v), append_handle, &out);
    }
}

const void *sample_one(value_t v, unsigned stride, const rng_t *rng)
{
    if (v.encoding == ENC_INTSET) return (const void *)(uintptr_t)(1 + rng_below(rng, intset_count(v.ptr)));
    if (v.encoding == ENC_LISTPACK) return lp_seek(v.ptr, (int64_t)(rng_below(rng, lp_count(v.ptr) / stride) * stride));
    return table_random((table_t *)table_of(v), rng->next, rng->user);
}

void sample_shuffle(const void **handles, size_t n, size_t count, const rng_t *rng)
{
    for (size_t i = 0; i < count; i++) {
        size_t j = i + rng_below(rng, n - i);
        const void *h = handles[i];
        handles[i] = handles[j];
        handles[j] = h;
    }
}

/* A few of many table entries: drawn again when drawn before. */
static void draw_distinct(value_t v, size_t count, const rng_t *rng, const void **out)
{
    size_t cap = 16;
    while (cap < count * 2) cap *= 2;
    const void **seen = mem_zalloc(cap * sizeof(*seen));
    for (size_t n = 0; n < count;) {
        const void *h = sample_one(v, 1, rng);
        size_t i = (((uintptr_t)h >> 4) * 0x9E3779B97F4A7C15u >> 20) & (cap - 1);
        while (seen[i] && seen[i] != h) i = (i + 1) & (cap - 1);
        if (seen[i]) continue;
        seen[i] = out[n++] = h;
    }
    mem_free(seen);
}

void sample_distinct(value_t v, unsigned stride, size_t size, size_t count, const rng_t *rng, const void **out)
{
    bool table = value_is_table(v.encoding) || v.encoding == ENC_SKIPLIST;
    if (table && count < size / 3) {
        draw_distinct(v, count, rng, out);
        return;
    }
    const void **all = mem_alloc(MAX(size, (size_t)1) * sizeof(*all));
    sample_all(v, stride, all);
    sample_shuffle(all, size, count, rng);
    memcpy(out, all, count * sizeof(*all));
    mem_free(all);
}

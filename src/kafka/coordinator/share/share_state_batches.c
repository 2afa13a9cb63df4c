/* share_state_batches.c: see share_state_batches.h. Two lists in order are laid over one another in one sweep:
 *
 *   one     |----- a -----|      |-- b --|
 *   other         |---- c ----|     |- d -|
 *   result  |- a -|-- max --|c|  |b|max |d|
 */
#include "kafka/coordinator/share/share_state_batches.h"

#include "base/base.h"

#define NOWHERE INT64_MAX

typedef struct sweep {
    const share_state_batch_t *items;
    size_t count, next;
} sweep_t;

typedef struct result {
    share_state_batch_t *items;
    size_t count;
} result_t;

static bool same_fate(const share_state_batch_t *a, const share_state_batch_t *b)
{
    return a->delivery_count == b->delivery_count && a->delivery_state == b->delivery_state;
}

static bool counts_more(const share_state_batch_t *a, const share_state_batch_t *b)
{
    if (a->delivery_count != b->delivery_count) return a->delivery_count > b->delivery_count;
    return a->delivery_state > b->delivery_state;
}

static void add(result_t *out, int64_t first, int64_t last, const share_state_batch_t *fate)
{
    share_state_batch_t *before = out->count ? &out->items[out->count - 1] : NULL;
    if (before && before->last_offset + 1 == first && same_fate(before, fate)) {
        before->last_offset = last;
    } else {
        out->items[out->count] = *fate;
        out->items[out->count].first_offset = first;
        out->items[out->count++].last_offset = last;
    }
}

/* Where from `at` on the list has a batch. */
static int64_t covers_from(const sweep_t *s, int64_t at)
{
    return s->next < s->count ? MAX(s->items[s->next].first_offset, at) : NOWHERE;
}

static void pass(sweep_t *s, int64_t at)
{
    if (s->next < s->count && s->items[s->next].last_offset < at) s->next++;
}

/* Up to the end of the batch, or to where the other list begins. */
static int64_t last_before(const share_state_batch_t *batch, int64_t others_first)
{
    return MIN(batch->last_offset, others_first - 1);
}

static int64_t add_next(result_t *out, const sweep_t *a, const sweep_t *b, int64_t a_first, int64_t b_first)
{
    const share_state_batch_t *one = &a->items[a->next], *other = &b->items[b->next];
    int64_t last;
    if (a_first < b_first) {
        last = last_before(one, b_first);
        add(out, a_first, last, one);
    } else if (b_first < a_first) {
        last = last_before(other, a_first);
        add(out, b_first, last, other);
    } else {
        last = MIN(one->last_offset, other->last_offset);
        add(out, a_first, last, counts_more(other, one) ? other : one);
    }
    return last + 1;
}

/* The room for the result is twice that of both lists. */
static size_t lay(sweep_t a, sweep_t b, share_state_batch_t *room)
{
    result_t out = {room, 0};
    int64_t at = 0;
    for (;;) {
        int64_t a_first = covers_from(&a, at), b_first = covers_from(&b, at);
        if (a_first == NOWHERE && b_first == NOWHERE) return out.count;
        at = add_next(&out, &a, &b, a_first, b_first);
        pass(&a, at);
        pass(&b, at);
    }
}

/* Brings batches of any order into order: halves first, which are then laid over one another. `out` and `spare` have room for
 * twice as many. */
static size_t put_in_order(const share_state_batch_t *in, size_t count, share_state_batch_t *out,
                           share_state_batch_t *spare)
{
    size_t half = count / 2;
    if (count == 1) out[0] = in[0];
    if (count <= 1) return count;
    sweep_t left = {spare, put_in_order(in, half, spare, out), 0};
    sweep_t right = {spare + 2 * half, put_in_order(in + half, count - half, spare + 2 * half, out + 2 * half), 0};
    return lay(left, right, out);
}

static size_t forget_below(share_state_batch_t *batches, size_t count, int64_t start_offset)
{
    size_t gone = 0;
    while (gone < count && batches[gone].last_offset < start_offset) gone++;
    memmove(batches, batches + gone, sizeof(batches[0]) * (count - gone));
    count -= gone;
    if (count && batches[0].first_offset < start_offset) batches[0].first_offset = start_offset;
    return count;
}

share_state_batch_t *share_state_batches_lay(const share_state_batch_t *under, size_t under_count,
                                             const share_state_batch_t *fresh, size_t fresh_count, int64_t start_offset,
                                             size_t *ret_count)
{
    size_t room = 2 * (under_count + fresh_count) + 1;
    share_state_batch_t *out = mem_alloc(sizeof(out[0]) * room);
    share_state_batch_t *ordered = mem_alloc(sizeof(out[0]) * room);
    sweep_t below = {under, under_count, 0};
    sweep_t above = {ordered, put_in_order(fresh, fresh_count, ordered, out), 0};
    *ret_count = forget_below(out, lay(below, above, out), start_offset);
    mem_free(ordered);
    return out;
}

/* share_state_batches_test.c: batches laid over one another, against an array that keeps the fate of every offset. */
#include "kafka/coordinator/share/share_state_batches.h"

#include "base/base.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define OFFSETS     64
#define BATCHES_MAX 12

typedef struct fate {
    int count; /* -1: no batch has this offset */
    int state;
} fate_t;

static share_state_batch_t batch(int64_t first, int64_t last, int8_t state, int16_t count)
{
    return (share_state_batch_t){first, last, state, count};
}

static void assert_batch(const share_state_batch_t *b, int64_t first, int64_t last, int state, int count)
{
    assert_int_equal(b->first_offset, first);
    assert_int_equal(b->last_offset, last);
    assert_int_equal(b->delivery_state, state);
    assert_int_equal(b->delivery_count, count);
}

static void what_was_delivered_more_often_counts(void **state)
{
    size_t count;
    share_state_batch_t under[] = {batch(100, 119, 0, 1)};
    share_state_batch_t fresh[] = {batch(105, 109, 2, 1), batch(110, 114, 0, 0)};
    share_state_batch_t *out = share_state_batches_lay(under, 1, fresh, 2, -1, &count);
    assert_int_equal(count, 3);
    assert_batch(&out[0], 100, 104, 0, 1);
    assert_batch(&out[1], 105, 109, 2, 1);
    assert_batch(&out[2], 110, 119, 0, 1);
    mem_free(out);
}

static void neighbours_of_the_same_fate_become_one(void **state)
{
    size_t count;
    share_state_batch_t under[] = {batch(10, 19, 2, 1), batch(30, 39, 2, 1)};
    share_state_batch_t fresh[] = {batch(20, 29, 2, 1)};
    share_state_batch_t *out = share_state_batches_lay(under, 2, fresh, 1, 15, &count);
    assert_int_equal(count, 1);
    assert_batch(&out[0], 15, 39, 2, 1);
    mem_free(out);
}

static void nothing_is_left_below_the_start(void **state)
{
    size_t count;
    share_state_batch_t under[] = {batch(0, 9, 4, 5)};
    share_state_batch_t *out = share_state_batches_lay(under, 1, NULL, 0, 10, &count);
    assert_int_equal(count, 0);
    mem_free(out);
}

/* ---- at random ---- */

static void put(fate_t *model, const share_state_batch_t *b)
{
    for (int64_t i = b->first_offset; i <= b->last_offset; i++) {
        fate_t *f = &model[i];
        bool more = b->delivery_count > f->count || (b->delivery_count == f->count && b->delivery_state > f->state);
        if (more) *f = (fate_t){b->delivery_count, b->delivery_state};
    }
}

static share_state_batch_t random_batch(unsigned *seed)
{
    static const int8_t states[] = {0, 2, 4};
    int64_t first = rand_r(seed) % OFFSETS;
    int64_t count = 1 + rand_r(seed) % 20;
    int64_t last = MIN(first + count, OFFSETS) - 1;
    return batch(first, last, states[rand_r(seed) % 3], (int16_t)(rand_r(seed) % 3));
}

static void assert_same(const fate_t *model, const share_state_batch_t *batches, size_t count, int64_t start)
{
    size_t at = 0;
    for (int64_t i = 0; i < OFFSETS; i++) {
        while (at < count && batches[at].last_offset < i) at++;
        bool has = at < count && batches[at].first_offset <= i;
        assert_int_equal(has, model[i].count >= 0 && i >= start);
        if (!has) continue;
        assert_int_equal(batches[at].delivery_count, model[i].count);
        assert_int_equal(batches[at].delivery_state, model[i].state);
    }
}

static void assert_in_order(const share_state_batch_t *b, size_t count)
{
    for (size_t i = 0; i < count; i++) assert_true(share_state_batch_is_valid(&b[i]));
    for (size_t i = 1; i < count; i++) {
        assert_true(b[i - 1].last_offset < b[i].first_offset);
        bool joined = b[i - 1].last_offset + 1 == b[i].first_offset && b[i - 1].delivery_state == b[i].delivery_state &&
                      b[i - 1].delivery_count == b[i].delivery_count;
        assert_false(joined);
    }
}

static void one_story(unsigned seed)
{
    fate_t model[OFFSETS];
    share_state_batch_t *now = NULL;
    size_t count = 0;
    for (int i = 0; i < OFFSETS; i++) model[i] = (fate_t){-1, 0};
    for (int step = 0; step < 20; step++) {
        share_state_batch_t fresh[BATCHES_MAX];
        size_t fresh_count = (size_t)(rand_r(&seed) % (BATCHES_MAX + 1));
        for (size_t i = 0; i < fresh_count; i++) {
            fresh[i] = random_batch(&seed);
            put(model, &fresh[i]);
        }
        int64_t start = rand_r(&seed) % 3 ? -1 : step;
        size_t next_count;
        share_state_batch_t *next = share_state_batches_lay(now, count, fresh, fresh_count, start, &next_count);
        for (int64_t i = 0; i < start; i++) model[i] = (fate_t){-1, 0};
        assert_in_order(next, next_count);
        assert_same(model, next, next_count, start);
        mem_free(now);
        now = next;
        count = next_count;
    }
    mem_free(now);
}

static void random_batches_are_as_a_plain_array_has_them(void **state)
{
    for (unsigned seed = 1; seed <= 300; seed++) one_story(seed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_delivered_more_often_counts),
        cmocka_unit_test(neighbours_of_the_same_fate_become_one),
        cmocka_unit_test(nothing_is_left_below_the_start),
        cmocka_unit_test(random_batches_are_as_a_plain_array_has_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

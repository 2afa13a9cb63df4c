/* group_offsets_test.c: the table of committed offsets against an array, and at sizes that show its cost. */
#include "kafka/coordinator/classic/group_offsets.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define PARTITIONS 300
#define MANY       200000

static const bytes_t t = BYTES_LIT("t");

static uint32_t pick(uint64_t *random, uint32_t below)
{
    *random = *random * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*random >> 33) % below;
}

/* All that the array holds is there, in its order, and nothing else. */
static void compare(const group_offsets_t *o, const int64_t *model)
{
    size_t cursor = 0, topics = 0, count = 0;
    const group_topic_t *topic = group_offsets_next(o, &topics);
    for (int32_t p = 0; p < PARTITIONS; p++) {
        const group_offset_t *found = group_offsets_get(o, t, p);
        assert_int_equal(found ? found->offset : -1, model[p]);
        if (model[p] < 0) continue;
        const group_topic_offset_t *next = group_topic_next(topic, &cursor);
        assert_int_equal(next->partition, p);
        assert_int_equal(next->value.offset, model[p]);
        count++;
    }
    if (topic) assert_null(group_topic_next(topic, &cursor));
    assert_int_equal(o->count, count);
    assert_int_equal(topic ? topic->count : 0, count);
}

static void it_holds_what_an_array_holds(void **state)
{
    uint64_t random = 7;
    int64_t model[PARTITIONS];
    group_offsets_t o = {0};
    for (int32_t p = 0; p < PARTITIONS; p++) model[p] = -1;
    for (int step = 0; step < 20000; step++) {
        int32_t p = (int32_t)pick(&random, PARTITIONS);
        bool removes = pick(&random, step % 4000 < 2000 ? 4 : 2) == 0;
        group_offset_t value = {.offset = step, .metadata = step % 3 ? BYTES_NULL : BYTES_LIT("m")};
        if (removes) {
            assert_int_equal(group_offsets_remove(&o, t, p), model[p] >= 0);
        } else {
            group_offsets_put(&o, t, p, &value);
        }
        model[p] = removes ? -1 : step;
        if (step % 100 == 0) compare(&o, model);
    }
    for (int32_t p = 0; p < PARTITIONS; p++) group_offsets_remove(&o, t, p);
    assert_int_equal(o.topics.count, 0);
    group_offsets_deinit(&o);
}

/* Quadratic this takes minutes, and the test's own time limit ends it. */
static void partitions_may_come_in_any_order(void **state)
{
    group_offsets_t o = {0};
    group_offset_t value = {.offset = 1};
    for (int32_t p = MANY; p-- > 0;) group_offsets_put(&o, t, p, &value);
    assert_int_equal(o.count, MANY);
    for (int32_t p = 0; p < MANY; p++) assert_true(group_offsets_remove(&o, t, p));
    assert_int_equal(o.count, 0);
    group_offsets_deinit(&o);
}

static void extreme_partitions_of_old_records_are_kept(void **state)
{
    group_offsets_t o = {0};
    group_offset_t value = {.offset = 1};
    const int32_t extremes[] = {INT32_MAX, 0, -1, INT32_MIN, 63, 64};
    for (size_t i = 0; i < ARRAY_LEN(extremes); i++) group_offsets_put(&o, t, extremes[i], &value);
    for (size_t i = 0; i < ARRAY_LEN(extremes); i++) assert_non_null(group_offsets_get(&o, t, extremes[i]));
    group_offsets_deinit(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_holds_what_an_array_holds),
        cmocka_unit_test(partitions_may_come_in_any_order),
        cmocka_unit_test(extreme_partitions_of_old_records_are_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

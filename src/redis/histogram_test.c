/* histogram_test.c: also of the latency monitor, which stands beside it. */
#include "redis/histogram.h"

#include "redis/latency.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static void counters_are_exact_to_a_hundredth(void **state)
{
    uint64_t before = 0;
    for (uint64_t ns = 1; ns < HISTOGRAM_NS_MAX; ns += 1 + ns / 300) {
        uint64_t top = histogram_top(ns);
        assert_true(top >= ns && top - ns <= ns / 100 && top >= before);
        assert_int_equal(histogram_top(top), top);
        assert_true(histogram_top(top + 1) > top);
        before = top;
    }
    /* What the originals' replies show. */
    assert_int_equal(histogram_top(1000), 1003);
    assert_int_equal(histogram_top(32768), 33023);
}

static void percentiles_follow_the_order(void **state)
{
    histogram_t *h = calloc(1, sizeof(*h));
    for (uint64_t i = 1; i <= 100; i++) histogram_add(h, i * 1000);
    assert_int_equal(histogram_percentile(h, 50), histogram_top(50000));
    assert_int_equal(histogram_percentile(h, 99), histogram_top(99000));
    assert_int_equal(histogram_percentile(h, 100), histogram_top(100000));
    assert_int_equal(histogram_percentile(h, 0), histogram_top(1000));
    assert_int_equal(histogram_up_to(h, 64000), 64);
    histogram_add(h, 0);
    histogram_add(h, UINT64_MAX);
    assert_int_equal(h->total, 102);
    assert_int_equal(histogram_up_to(h, UINT64_MAX), 102);
    free(h);
}

static void a_series_keeps_the_worst_of_each_second(void **state)
{
    latency_t l = {0};
    latency_add(&l, "command", 100, 5000);
    latency_add(&l, "command", 100, 9000);
    latency_add(&l, "command", 100, 7000);
    latency_add(&l, "expire-cycle", 101, 1000);
    for (int64_t s = 101; s < 101 + LATENCY_SAMPLES_MAX; s++) latency_add(&l, "command", s, (uint64_t)s * 1000);
    const latency_series_t *s = latency_find(&l, BYTES_LIT("command"));
    assert_int_equal(s->count, LATENCY_SAMPLES_MAX);
    assert_int_equal(latency_at(s, 0)->at_s, 101); /* the first second has left */
    assert_int_equal(latency_at(s, s->count - 1)->ms, 100 + LATENCY_SAMPLES_MAX);
    latency_summary_t r = latency_summarize(s, 300);
    assert_int_equal(r.least_ms, 101);
    assert_int_equal(r.most_ms, 260);
    assert_int_equal(r.mean_ms, 180);
    assert_int_equal(r.deviation_ms, 40);
    assert_int_equal(r.period_s, 199);
    assert_int_equal(latency_reset(&l, BYTES_LIT("COMMAND")), 1);
    assert_null(latency_find(&l, BYTES_LIT("command")));
    assert_int_equal(latency_reset(&l, BYTES_LIT("nosuch")), 0);
    assert_int_equal(latency_reset(&l, BYTES_NULL), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counters_are_exact_to_a_hundredth),
        cmocka_unit_test(percentiles_follow_the_order),
        cmocka_unit_test(a_series_keeps_the_worst_of_each_second),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* intset_test.c */
#include "redis/types/intset.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static void widens_and_stays_sorted(void **state)
{
    bool changed;
    intset_t *s = intset_new();
    static const int64_t in[] = {5, -3, 5, 70000, -70000, INT64_MAX, INT64_MIN, 0, 32767, 32768};
    for (size_t i = 0; i < ARRAY_LEN(in); i++) s = intset_add(s, in[i], &changed);
    assert_int_equal(intset_count(s), 9);
    for (uint32_t i = 1; i < intset_count(s); i++) assert_true(intset_at(s, i - 1) < intset_at(s, i));
    for (size_t i = 0; i < ARRAY_LEN(in); i++) assert_true(intset_has(s, in[i]));
    assert_false(intset_has(s, 6));
    assert_int_equal(intset_validate(intset_bytes(s)), 0);
    s = intset_remove(s, 5, &changed);
    assert_true(changed);
    s = intset_remove(s, 5, &changed);
    assert_false(changed);
    assert_int_equal(intset_count(s), 8);
    intset_free(s);
}

static void behaves_as_a_set_of_numbers(void **state)
{
    static bool have[4096];
    bool changed;
    intset_t *s = intset_new();
    size_t count = 0;
    srand(3);
    for (int i = 0; i < 40000; i++) {
        int v = rand() % 4096, bias = rand() % 2;
        if (bias) {
            s = intset_add(s, v - 2048, &changed);
            assert_int_equal(changed, !have[v]);
            count += changed;
        } else {
            s = intset_remove(s, v - 2048, &changed);
            assert_int_equal(changed, have[v]);
            count -= changed;
        }
        have[v] = bias;
        assert_int_equal(intset_count(s), count);
    }
    assert_int_equal(intset_validate(intset_bytes(s)), 0);
    intset_t *copy = intset_copy(s);
    for (int v = 0; v < 4096; v++) assert_int_equal(intset_has(copy, v - 2048), have[v]);
    intset_free(copy);
    intset_free(s);
}

static void refuses_broken_images(void **state)
{
    uint8_t bad[] = {2, 0, 0, 0, 2, 0, 0, 0, 5, 0, 5, 0};
    assert_int_equal(intset_validate(bytes_of(bad, sizeof(bad))), ERR_CORRUPT);
    bad[10] = 6;
    assert_int_equal(intset_validate(bytes_of(bad, sizeof(bad))), 0);
    assert_int_equal(intset_validate(bytes_of(bad, sizeof(bad) - 1)), ERR_CORRUPT);
    bad[0] = 3;
    assert_int_equal(intset_validate(bytes_of(bad, sizeof(bad))), ERR_CORRUPT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(widens_and_stays_sorted),
        cmocka_unit_test(behaves_as_a_set_of_numbers),
        cmocka_unit_test(refuses_broken_images),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

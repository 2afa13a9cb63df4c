/* hll_test.c */
#include "redis/types/hll.h"

#include "redis/types/hll_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static hll_t hll, other;

static void add_number(hll_t *to, int i, size_t sparse_bytes_max)
{
    char text[16];
    bool raised;
    hll_place_t place = hll_place(bytes_of(text, (size_t)sprintf(text, "e%d", i)));
    assert_int_equal(hll_raise(to, place, sparse_bytes_max, &raised), 0);
}

static uint64_t estimate(const hll_t *of, bool vectors)
{
    uint64_t cardinality;
    assert_int_equal(hll_estimate(bytes_of(of->image, of->len), vectors, &cardinality), 0);
    return cardinality;
}

static void places_elements_as_the_original_does(void **state)
{
    hll_init(&hll);
    assert_int_equal(hll.len, 18);
    assert_memory_equal(hll.image, "HYLL\1\0\0\0\0\0\0\0\0\0\0\0\x7f\xff", 18);
    bool raised;
    static const char *const words[] = {"a", "b", "c", "d", "e", "f", "g"};
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        assert_int_equal(hll_raise(&hll, hll_place(bytes_str(words[i])), 3000, &raised), 0);
    /* What PFADD of these seven letters makes there. */
    static const char bytes[] = "HYLL\x01\0\0\0\0\0\0\0\0\0\0\x80";
    assert_memory_equal(hll.image, bytes, 16);
    assert_int_equal(estimate(&hll, false), 7);
}

static void estimates_are_near_the_truth_and_alike_in_both_forms(void **state)
{
    hll_init(&hll);
    hll_init(&other);
    int checkpoint = 10;
    for (int i = 1; i <= 100000; i++) {
        add_number(&hll, i, 3000);
        add_number(&other, i, 0); /* dense as soon as it grows */
        if (i != checkpoint) continue;
        uint64_t cardinality = estimate(&hll, false);
        assert_true(llabs((long long)cardinality - i) <= MAX(1, i / 20));
        assert_int_equal(cardinality, estimate(&other, true));
        checkpoint *= 10;
    }
    assert_true(hll_is_dense(hll.image) && hll_is_dense(other.image));
    assert_memory_equal(hll.image + 16, other.image + 16, HLL_PACKED_BYTES);
}

static void sparse_grows_up_to_its_limit_and_no_further(void **state)
{
    hll_init(&hll);
    int i = 0;
    while (!hll_is_dense(hll.image)) {
        assert_true(hll.len <= 500);
        add_number(&hll, i++, 500);
    }
    assert_true(i > 100 && hll.len == HLL_DENSE_BYTES);
}

static void a_rank_above_32_needs_the_dense_form(void **state)
{
    bool raised;
    hll_init(&hll);
    assert_int_equal(hll_raise(&hll, (hll_place_t){5, 33}, 3000, &raised), 0);
    assert_true(raised && hll_is_dense(hll.image));
}

static void words_and_vectors_do_the_same(void **state)
{
    static hll_registers_t in, a, b;
    static uint8_t p[HLL_PACKED_BYTES], q[HLL_PACKED_BYTES];
    srand(5);
    for (int round = 0; round < 50; round++) {
        for (int i = 0; i < HLL_REGISTERS; i++) {
            in.at[i] = (uint8_t)(rand() & 63);
            a.at[i] = b.at[i] = (uint8_t)(rand() & 63);
        }
        hll__pack(p, in.at, false);
        hll__pack(q, in.at, true);
        assert_memory_equal(p, q, sizeof(p));
        hll_registers_t max = a;
        for (int i = 0; i < HLL_REGISTERS; i++) max.at[i] = MAX(max.at[i], in.at[i]);
        hll__unpack_max(a.at, p, false);
        hll__unpack_max(b.at, p, true);
        assert_memory_equal(&a, &max, sizeof(a));
        assert_memory_equal(&b, &max, sizeof(b));
    }
}

static void dense_registers_do_not_touch_their_neighbours(void **state)
{
    static uint8_t image[HLL_DENSE_BYTES + 1];
    static hll_registers_t model, seen;
    image[HLL_DENSE_BYTES] = 0xa5;
    srand(9);
    for (int i = 0; i < 200000; i++) {
        hll_place_t place = {(uint32_t)rand() % HLL_REGISTERS, (uint8_t)(rand() % 64)};
        assert_int_equal(hll_dense_raise(image, place), model.at[place.index] < place.rank);
        model.at[place.index] = MAX(model.at[place.index], place.rank);
    }
    hll__unpack_max(seen.at, image + HLL_HEADER_BYTES, true);
    assert_memory_equal(&seen, &model, sizeof(seen));
    assert_int_equal(image[HLL_DENSE_BYTES], 0xa5);
}

static void refuses_images_that_are_not_whole(void **state)
{
    uint64_t cardinality;
    bool raised;
    static const uint8_t header[16] = {'H', 'Y', 'L', 'L', 1};
    static const struct {
        const char *runs;
        size_t len;
    } bad[] = {{"", 0}, {"\x7f", 1}, {"\x7f\xfe", 2}, {"\x7f\xff\x00", 3}, {"\x7f\xffhello", 7}, {"\x7f\xfe\x81", 3}};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        memcpy(hll.image, header, 16);
        memcpy(hll.image + 16, bad[i].runs, bad[i].len);
        hll.len = 16 + bad[i].len;
        assert_int_equal(hll_estimate(bytes_of(hll.image, hll.len), true, &cardinality), ERR_CORRUPT);
        assert_int_equal(hll_to_dense(&hll), ERR_CORRUPT);
    }
    memcpy(hll.image, header, 16);
    hll.len = 16;
    assert_int_equal(hll_raise(&hll, (hll_place_t){0, 1}, 3000, &raised), ERR_CORRUPT);
    assert_false(hll_is_image(BYTES_LIT("HYLL\0\0\0\0\0\0\0\0\0\0\0\0")));
    assert_false(hll_is_image(BYTES_LIT("HYLL\2\0\0\0\0\0\0\0\0\0\0\0")));
    assert_false(hll_is_image(BYTES_LIT("HYLL\1")));
}

static void sparse_images_are_described(void **state)
{
    bool raised;
    buf_t text = BUF_INIT;
    hll_init(&hll);
    assert_int_equal(hll_raise(&hll, (hll_place_t){100, 3}, 3000, &raised), 0);
    assert_int_equal(hll_raise(&hll, (hll_place_t){101, 3}, 3000, &raised), 0);
    assert_int_equal(hll_raise(&hll, (hll_place_t){110, 1}, 3000, &raised), 0);
    assert_int_equal(hll_describe(bytes_of(hll.image, hll.len), &text), 0);
    static const char expected[] = "Z:100 v:3,2 z:8 v:1,1 Z:16273";
    assert_int_equal(text.len, sizeof(expected) - 1);
    assert_memory_equal(text.ptr, expected, text.len);
    buf_deinit(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(places_elements_as_the_original_does),
        cmocka_unit_test(estimates_are_near_the_truth_and_alike_in_both_forms),
        cmocka_unit_test(sparse_grows_up_to_its_limit_and_no_further),
        cmocka_unit_test(a_rank_above_32_needs_the_dense_form),
        cmocka_unit_test(words_and_vectors_do_the_same),
        cmocka_unit_test(dense_registers_do_not_touch_their_neighbours),
        cmocka_unit_test(refuses_images_that_are_not_whole),
        cmocka_unit_test(sparse_images_are_described),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

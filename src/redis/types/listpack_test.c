/* listpack_test.c: every operation against a plain array of strings, and the bytes against Redis's own. */
#include "redis/types/listpack.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static void check_image(const uint8_t *lp) { assert_int_equal(lp_validate(bytes_of(lp, lp_bytes(lp))), 0); }

static void encodes_as_redis_does(void **state)
{
    uint8_t *lp = lp_new(0);
    const char *in[] = {"0",
                        "127",
                        "128",
                        "-1",
                        "4095",
                        "-4096",
                        "4096",
                        "-32768",
                        "8388607",
                        "-8388608",
                        "2147483647",
                        "-2147483648",
                        "9223372036854775807",
                        "01",
                        "hello",
                        ""};
    for (size_t i = 0; i < ARRAY_LEN(in); i++) lp = lp_append(lp, bytes_str(in[i]));
    static const uint8_t want[] = {0x00, 0x01, 0x7F, 0x01, 0xC0, 0x80, 0x02, 0xDF, 0xFF, 0x02, 0xCF, 0xFF, 0x02, 0xD0,
                                   0x00, 0x02, 0xF1, 0x00, 0x10, 0x03, 0xF1, 0x00, 0x80, 0x03, 0xF2, 0xFF, 0xFF, 0x7F,
                                   0x04, 0xF2, 0x00, 0x00, 0x80, 0x04, 0xF3, 0xFF, 0xFF, 0xFF, 0x7F, 0x05, 0xF3, 0x00,
                                   0x00, 0x00, 0x80, 0x05, 0xF4, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F, 0x09,
                                   0x82, '0',  '1',  0x03, 0x85, 'h',  'e',  'l',  'l',  'o',  0x06, 0x80, 0x01, 0xFF};
    assert_int_equal(lp_bytes(lp), LP_HEADER_BYTES + sizeof(want));
    assert_memory_equal(lp + LP_HEADER_BYTES, want, sizeof(want));
    const uint8_t *p = lp_first(lp);
    for (size_t i = 0; i < ARRAY_LEN(in); i++, p = lp_next(p)) assert_true(lp_eq(p, bytes_str(in[i])));
    assert_null(p);
    check_image(lp);
    lp_free(lp);
}

static void finds_every_second(void **state)
{
    uint8_t *lp = lp_new(0);
    const char *in[] = {"a", "b", "b", "7", "7", "a"};
    for (size_t i = 0; i < ARRAY_LEN(in); i++) lp = lp_append(lp, bytes_str(in[i]));
    assert_ptr_equal(lp_find(lp_first(lp), bytes_str("b"), 1), lp_seek(lp, 2));
    assert_ptr_equal(lp_find(lp_first(lp), bytes_str("b"), 0), lp_seek(lp, 1));
    assert_ptr_equal(lp_find(lp_first(lp), bytes_str("7"), 1), lp_seek(lp, -2));
    assert_null(lp_find(lp_first(lp), bytes_str("c"), 0));
    lp_free(lp);
}

static void keeps_long_strings_and_back_links(void **state)
{
    static const size_t sizes[] = {63, 64, 126, 127, 4095, 4096, 16380, 16381, 16382, 16383, 100000, 2097151};
    uint8_t *lp = lp_new(0), *text = malloc(2097151);
    memset(text, 'x', 2097151);
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) lp = lp_prepend(lp, bytes_of(text, sizes[i]));
    check_image(lp);
    const uint8_t *p = lp_last(lp);
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++, p = lp_prev(lp, p)) assert_int_equal(lp_get(p).len, sizes[i]);
    assert_null(p);
    free(text);
    lp_free(lp);
}

/* ---- against a model --------------------------------------------------------------------- */

#define MODEL_MAX 400

typedef struct model {
    char *items[MODEL_MAX];
    size_t count;
} model_t;

static char *random_item(void)
{
    char *s = calloc(1, 300);
    switch (rand() % 4) {
    case 0: sprintf(s, "%d", rand() % 200 - 100); break;
    case 1: sprintf(s, "%lld", (long long)((unsigned long long)rand() << 33 ^ (unsigned long long)rand())); break;
    case 2: memset(s, 'a' + rand() % 26, (size_t)(rand() % 299)); break;
    default: sprintf(s, "e%d", rand() % 1000); break;
    }
    return s;
}

static void model_insert(model_t *m, size_t at, char *s)
{
    memmove(m->items + at + 1, m->items + at, (m->count - at) * sizeof(char *));
    m->items[at] = s;
    m->count++;
}

static void model_delete(model_t *m, size_t at, size_t n)
{
    for (size_t i = 0; i < n; i++) free(m->items[at + i]);
    memmove(m->items + at, m->items + at + n, (m->count - at - n) * sizeof(char *));
    m->count -= n;
}

static uint8_t *random_step(uint8_t *lp, model_t *m)
{
    int what = rand() % 9;
    if (m->count < MODEL_MAX - 1 && what < 4) {
        char *s = random_item();
        size_t at = what == 0 ? 0 : what == 1 ? m->count : (size_t)rand() % (m->count + 1);
        model_insert(m, at, s);
        if (what == 0) return lp_prepend(lp, bytes_str(s));
        if (what == 1) return lp_append(lp, bytes_str(s));
        const uint8_t *p = at + 1 == m->count ? lp + lp_bytes(lp) - 1 : lp_seek(lp, (int64_t)at), *where;
        lp = lp_insert(lp, p, bytes_str(s), &where);
        assert_true(lp_eq(where, bytes_str(s)));
        return lp;
    }
    if (m->count == 0) return lp;
    size_t at = what == 4 ? 0 : what == 5 ? m->count - 1 : (size_t)rand() % m->count;
    if (what == 6) {
        free(m->items[at]);
        m->items[at] = random_item();
        return lp_replace(lp, lp_seek(lp, (int64_t)at), bytes_str(m->items[at]), NULL);
    }
    size_t many = (size_t)rand() % 50, n = what == 8 && many > 40 ? MIN(many, m->count - at) : 1;
    model_delete(m, at, n);
    return lp_delete_range(lp, (int64_t)at, n);
}

static void check_model(const uint8_t *lp, const model_t *m)
{
    check_image(lp);
    assert_int_equal(lp_count(lp), m->count);
    const uint8_t *p = lp_first(lp), *q = lp_last(lp);
    for (size_t i = 0; i < m->count; i++, p = lp_next(p), q = lp_prev(lp, q)) {
        assert_true(lp_eq(p, bytes_str(m->items[i])));
        assert_true(lp_eq(q, bytes_str(m->items[m->count - 1 - i])));
    }
    assert_null(p);
    assert_null(q);
}

static void behaves_as_an_array(void **state)
{
    srand(7);
    for (int round = 0; round < 30; round++) {
        uint8_t *lp = lp_new(0);
        model_t m = {.count = 0};
        for (int i = 0; i < 1500; i++) {
            lp = random_step(lp, &m);
            if (i % 10 == 0) check_model(lp, &m);
        }
        uint8_t *copy = lp_copy(lp);
        check_model(copy, &m);
        lp_free(copy);
        model_delete(&m, 0, m.count);
        lp_free(lp);
    }
}

static void a_queue_does_not_grow(void **state)
{
    uint8_t *lp = lp_new(0);
    for (int i = 0; i < 100; i++) lp = lp_append(lp, bytes_str("an element of a queue"));
    size_t before = lp_heap_bytes(lp);
    for (int i = 0; i < 100000; i++) {
        lp = lp_append(lp, bytes_str("an element of a queue"));
        lp = lp_delete(lp, lp_first(lp), 1, NULL);
    }
    assert_true(lp_heap_bytes(lp) <= before * 2);
    assert_int_equal(lp_count(lp), 100);
    check_image(lp);
    lp_free(lp);
}

static void counts_past_the_header(void **state)
{
    uint8_t *lp = lp_new(0);
    for (int i = 0; i < 70000; i++) lp = lp_append_i64(lp, i);
    assert_int_equal(lp_count(lp), 70000);
    assert_true(lp_eq(lp_seek(lp, -1), bytes_str("69999")));
    check_image(lp);
    lp = lp_delete_range(lp, 0, 69990);
    assert_int_equal(lp_count(lp), 10);
    uint8_t *both = lp_concat(lp_copy(lp), lp);
    assert_int_equal(lp_count(both), 20);
    check_image(both);
    lp_free(both);
    lp_free(lp);
}

static void refuses_broken_images(void **state)
{
    uint8_t *lp = lp_new(0);
    for (int i = 0; i < 20; i++) {
        lp = lp_append(lp, bytes_str("some text"));
        lp = lp_append_i64(lp, i * 1000);
    }
    size_t n = lp_bytes(lp);
    uint8_t *image = malloc(n);
    for (size_t cut = 0; cut < n; cut++) {
        memcpy(image, lp, n);
        assert_int_equal(lp_validate(bytes_of(image, cut)), ERR_CORRUPT);
    }
    image[4] ^= 1;
    assert_int_equal(lp_validate(bytes_of(image, n)), ERR_CORRUPT);
    free(image);
    lp_free(lp);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(encodes_as_redis_does), cmocka_unit_test(finds_every_second),
        cmocka_unit_test(behaves_as_an_array),   cmocka_unit_test(keeps_long_strings_and_back_links),
        cmocka_unit_test(a_queue_does_not_grow), cmocka_unit_test(counts_past_the_header),
        cmocka_unit_test(refuses_broken_images),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* rdb_test.c: every primitive that is written reads back, in as few bytes as the format has for it; no input makes a reader
 * look past its end. */
#include "base/crc64.h"
#include "wire/rdb.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void crc64_matches_the_published_check_value(void **state)
{
    assert_true(crc64(0, "123456789", 9) == 0xe9c6d914c4b8d9ca);
    const char *text = "This is a test of the emergency broadcast system.";
    assert_true(crc64(0, text, strlen(text)) == crc64(crc64(0, text, 20), text + 20, strlen(text) - 20));
}

static void lengths_take_as_few_bytes_as_there_are(void **state)
{
    static const struct {
        uint64_t v;
        size_t bytes;
    } rows[] = {
        {0, 1},         {63, 1}, {64, 2}, {16383, 2}, {16384, 5}, {UINT32_MAX, 5}, {(uint64_t)UINT32_MAX + 1, 9},
        {UINT64_MAX, 9}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        buf_t out = BUF_INIT;
        rdb_writer_t w = {.out = &out};
        rdb_put_length(&w, rows[i].v);
        assert_int_equal(out.len, rows[i].bytes);
        rdb_reader_t r = rdb_reader_of(buf_bytes(&out));
        uint64_t v;
        assert_int_equal(rdb_get_length(&r, &v), 0);
        assert_true(v == rows[i].v && r.at == r.end);
        r = rdb_reader_of(bytes_of(out.ptr, out.len - 1));
        assert_int_equal(rdb_get_length(&r, &v), ERR_TRUNCATED);
        buf_deinit(&out);
    }
}

static void check_string(bytes_t text, bool compress, size_t bytes)
{
    buf_t out = BUF_INIT;
    rdb_writer_t w = {.out = &out, .compress = compress};
    rdb_put_string(&w, text);
    if (bytes) assert_int_equal(out.len, bytes);
    for (size_t cut = 0; cut <= out.len; cut++) {
        rdb_reader_t r = rdb_reader_of(bytes_of(out.ptr, cut));
        bytes_t got;
        int err = rdb_get_string(&r, &got);
        assert_int_equal(err, cut < out.len ? ERR_TRUNCATED : 0);
        if (!err) assert_true(bytes_eq(got, text));
        rdb_reader_deinit(&r);
    }
    buf_deinit(&out);
}

static void strings_read_back(void **state)
{
    static const struct {
        const char *text;
        size_t bytes;
    } rows[] = {{"", 1},       {"a", 2},     {"0", 2},          {"-128", 2},        {"128", 3},
                {"-32768", 3}, {"32768", 5}, {"2147483647", 5}, {"2147483648", 11}, {"-2147483648", 5},
                {"01", 3},     {"-0", 3},    {"+1", 3},         {" 1", 3},          {"1.5", 4}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) check_string(bytes_str(rows[i].text), true, rows[i].bytes);
    char same[500];
    memset(same, 'x', sizeof(same));
    check_string(bytes_of(same, sizeof(same)), false, 502);
    check_string(bytes_of(same, sizeof(same)), true, 0);
    check_string(bytes_of(same, 20), true, 21);
}

static void a_compressed_string_is_short(void **state)
{
    char same[5000];
    memset(same, 'x', sizeof(same));
    buf_t out = BUF_INIT;
    rdb_writer_t w = {.out = &out, .compress = true};
    rdb_put_string(&w, bytes_of(same, sizeof(same)));
    assert_true(out.len < 100);
    buf_deinit(&out);
}

static void a_claim_that_the_bytes_cannot_hold_is_corrupt(void **state)
{
    /* LZF: 2 bytes that would become 1 GB; 0 bytes; a string of an unknown kind. */
    static const uint8_t bomb[] = {0xC3, 2, 0x80, 0x40, 0, 0, 0, 0xff, 0xff}, empty[] = {0xC3, 0, 0},
                         kind[] = {0xC4, 1};
    const bytes_t all[] = {bytes_of(bomb, sizeof(bomb)), bytes_of(empty, sizeof(empty)), bytes_of(kind, sizeof(kind))};
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        rdb_reader_t r = rdb_reader_of(all[i]);
        bytes_t got;
        assert_int_equal(rdb_get_string(&r, &got), ERR_CORRUPT);
        rdb_reader_deinit(&r);
    }
}

static void scores_read_back(void **state)
{
    static const double rows[] = {0, -1.5, 1e300, INFINITY, -INFINITY};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        buf_t out = BUF_INIT;
        rdb_writer_t w = {.out = &out};
        rdb_put_double(&w, rows[i]);
        rdb_reader_t r = rdb_reader_of(buf_bytes(&out));
        double v;
        assert_int_equal(rdb_get_double(&r, &v), 0);
        assert_true(v == rows[i]);
        buf_deinit(&out);
    }
    double v;
    rdb_reader_t r = rdb_reader_of(bytes_of("\3"
                                            "1.5"
                                            "\xff"
                                            "\0",
                                            6));
    assert_int_equal(rdb_get_double_text(&r, &v), 0);
    assert_true(v == 1.5);
    assert_int_equal(rdb_get_double_text(&r, &v), 0);
    assert_true(v == -INFINITY);
    assert_int_equal(rdb_get_double_text(&r, &v), ERR_CORRUPT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(crc64_matches_the_published_check_value),
        cmocka_unit_test(lengths_take_as_few_bytes_as_there_are),
        cmocka_unit_test(strings_read_back),
        cmocka_unit_test(a_compressed_string_is_short),
        cmocka_unit_test(a_claim_that_the_bytes_cannot_hold_is_corrupt),
        cmocka_unit_test(scores_read_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* resp_test.c: requests whole, in pieces, and wrong. */
#include "wire/resp.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static const resp_limits_t limits = {RESP_ARGC_MAX, 512 << 20, false};

static resp_result_t parse(const char *text, resp_request_t *q, bytes_t *argv, int argv_max)
{
    static uint8_t copy[4096];
    memcpy(copy, text, strlen(text));
    *q = (resp_request_t){.argv = argv, .argv_max = argv_max};
    return resp_parse(copy, strlen(text), &limits, NULL, q);
}

static void test_array_of_bulk_strings(void **state)
{
    bytes_t argv[8];
    resp_request_t q;
    const char *text = "*3\r\n$3\r\nSET\r\n$0\r\n\r\n$12\r\nhello\r\nworld\r\nrest";
    assert_int_equal(parse(text, &q, argv, 8), RESP_REQUEST);
    assert_int_equal(q.argc, 3);
    assert_true(bytes_eq(argv[0], BYTES_LIT("SET")));
    assert_int_equal(argv[1].len, 0);
    assert_true(bytes_eq(argv[2], BYTES_LIT("hello\r\nworld")));
    assert_int_equal(q.consumed, strlen(text) - 4);
    char cut[64];
    for (size_t n = 0; n < strlen(text) - 4; n++) {
        memcpy(cut, text, n);
        cut[n] = 0;
        assert_int_equal(parse(cut, &q, argv, 8), RESP_MORE);
    }
}

static void test_inline_words(void **state)
{
    bytes_t argv[8];
    resp_request_t q;
    assert_int_equal(parse("set  \"a b\\x41\\n\" 'it\\'s' \r\nx", &q, argv, 8), RESP_REQUEST);
    assert_int_equal(q.argc, 3);
    assert_true(bytes_eq(argv[1], BYTES_LIT("a bA\n")));
    assert_true(bytes_eq(argv[2], BYTES_LIT("it's")));
    assert_int_equal(parse("\r\n", &q, argv, 8), RESP_REQUEST);
    assert_int_equal(q.argc, 0);
    assert_int_equal(parse("a \"b\r\n", &q, argv, 8), RESP_BAD);
    assert_string_equal(q.error, "unbalanced quotes in request");
    assert_int_equal(parse("a b c d e f g h i\n", &q, argv, 8), RESP_ROOM);
}

static void test_protocol_errors(void **state)
{
    static const struct {
        const char *text, *error;
    } cases[] = {
        {"*x\r\n", "invalid multibulk length"},       {"*3000000000\r\n", "invalid multibulk length"},
        {"*1\r\n$-1\r\n", "invalid bulk length"},     {"*1\r\n$2000000000\r\n", "invalid bulk length"},
        {"*1\r\n$blabla\r\n", "invalid bulk length"}, {"*1\r\nfoo\r\n", "expected '$', got 'f'"},
    };
    bytes_t argv[8];
    resp_request_t q;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_int_equal(parse(cases[i].text, &q, argv, 8), RESP_BAD);
        assert_string_equal(q.error, cases[i].error);
    }
    assert_int_equal(parse("*-10\r\n", &q, argv, 8), RESP_REQUEST);
    assert_int_equal(q.argc, 0);
}

static void test_limits_before_login(void **state)
{
    resp_limits_t strict = {10, 16384, true};
    bytes_t argv[8];
    resp_request_t q = {.argv = argv, .argv_max = 8};
    uint8_t many[] = "*100\r\n", big[] = "*1\r\n$20000\r\n";
    assert_int_equal(resp_parse(many, sizeof(many) - 1, &strict, NULL, &q), RESP_BAD);
    assert_string_equal(q.error, "unauthenticated multibulk length");
    assert_int_equal(resp_parse(big, sizeof(big) - 1, &strict, NULL, &q), RESP_BAD);
    assert_string_equal(q.error, "unauthenticated bulk length");
}

static void test_long_request_in_pieces(void **state)
{
    enum { N = 5000 };
    char *text = malloc(N * 16);
    size_t len = (size_t)sprintf(text, "*%d\r\n", N);
    for (int i = 0; i < N; i++) len += (size_t)sprintf(text + len, "$5\r\n%05d\r\n", i);
    bytes_t *argv = malloc(N * sizeof(*argv));
    resp_request_t q = {.argv = argv, .argv_max = 16};
    resp_resume_t resume = {0};
    for (size_t have = 1; have < len; have += 997) {
        uint8_t *piece = malloc(have); /* a new place each time: the sanitizer sees stale pointers */
        memcpy(piece, text, have);
        assert_int_equal(resp_parse(piece, have, &limits, &resume, &q), RESP_MORE);
        free(piece);
    }
    assert_int_equal(resp_parse((uint8_t *)text, len, &limits, &resume, &q), RESP_ROOM);
    q.argv_max = N;
    assert_int_equal(resp_parse((uint8_t *)text, len, &limits, &resume, &q), RESP_REQUEST);
    assert_int_equal(q.argc, N);
    assert_int_equal(q.consumed, len);
    assert_true(bytes_eq(argv[4321], BYTES_LIT("04321")));
    free(argv);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_array_of_bulk_strings),  cmocka_unit_test(test_inline_words),
        cmocka_unit_test(test_protocol_errors),        cmocka_unit_test(test_limits_before_login),
        cmocka_unit_test(test_long_request_in_pieces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* record_test.c: the arguments of KAFKA.PRODUCE, each option and each way of being wrong, and a record's own copy. */
#include "bridge/bridge_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define WORDS_MAX 400

typedef struct words {
    bytes_t argv[WORDS_MAX];
    int argc;
} words_t;

/* A command line, its words apart by one space. */
static words_t words_of(const char *line)
{
    words_t words = {0};
    for (const char *at = line; *at;) {
        size_t len = strcspn(at, " ");
        words.argv[words.argc++] = bytes_of(at, len);
        at += len + (at[len] == ' ');
    }
    return words;
}

static const char *parse(const char *line, produce_args_t *ret_args)
{
    words_t words = words_of(line);
    return record__parse(words.argc, words.argv, ret_args);
}

static void assert_bytes(bytes_t bytes, const char *text) { assert_true(bytes_eq(bytes, bytes_str(text))); }

static void a_value_alone_has_no_options(void **state)
{
    produce_args_t a;
    assert_null(parse("KAFKA.PRODUCE t v", &a));
    assert_bytes(a.record.topic, "t");
    assert_bytes(a.record.value, "v");
    assert_null(a.record.key.ptr);
    assert_int_equal(a.record.partition, -1);
    assert_int_equal(a.record.headers_count, 0);
    assert_int_equal(a.at_ms, 0);
    assert_int_equal(a.once_seconds, 0);
}

static void options_come_in_any_order_and_case(void **state)
{
    static const char *const lines[] = {
        "KAFKA.PRODUCE t KEY k PARTITION 3 HEADER a 1 HEADER a 2 AT 99 ONCE g 60 v",
        "KAFKA.PRODUCE t once g 60 at 99 header a 1 header a 2 partition 3 key k v",
    };
    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        produce_args_t a;
        assert_null(parse(lines[i], &a));
        assert_bytes(a.record.key, "k");
        assert_int_equal(a.record.partition, 3);
        assert_int_equal(a.record.headers_count, 2);
        assert_bytes(a.record.headers[1].key, "a");
        assert_bytes(a.record.headers[1].value, "2");
        assert_int_equal(a.at_ms, 99);
        assert_bytes(a.once_key, "g");
        assert_int_equal(a.once_seconds, 60);
        assert_bytes(a.record.value, "v");
    }
}

/* The last word is the value, whatever it looks like. */
static void a_value_may_look_like_an_option(void **state)
{
    produce_args_t a;
    assert_null(parse("KAFKA.PRODUCE t KEY k KEY", &a));
    assert_bytes(a.record.value, "KEY");
    assert_null(parse("KAFKA.PRODUCE t ONCE", &a));
    assert_bytes(a.record.value, "ONCE");
    assert_int_equal(a.once_seconds, 0);
}

static void the_bounds_of_numbers(void **state)
{
    produce_args_t a;
    assert_null(parse("KAFKA.PRODUCE t PARTITION 2147483647 v", &a));
    assert_int_equal(a.record.partition, INT32_MAX);
    assert_null(parse("KAFKA.PRODUCE t AT 0 v", &a)); /* it has come already, but it was given */
    assert_int_equal(a.at_ms, 1);
    assert_null(parse("KAFKA.PRODUCE t ONCE g 1 v", &a));
    assert_int_equal(a.once_seconds, 1);
}

static void what_is_wrong_is_named(void **state)
{
    static const char partition[] = "ERR partition is not an integer or out of range",
                      at[] = "ERR AT wants Unix milliseconds", once[] = "ERR ONCE wants a positive number of seconds",
                      syntax[] = "ERR syntax error";
    static const struct {
        const char *line, *problem;
    } cases[] = {
        {"KAFKA.PRODUCE t PARTITION x v", partition},
        {"KAFKA.PRODUCE t PARTITION -1 v", partition},
        {"KAFKA.PRODUCE t PARTITION 2147483648 v", partition},
        {"KAFKA.PRODUCE t AT soon v", at},
        {"KAFKA.PRODUCE t AT -1 v", at},
        {"KAFKA.PRODUCE t ONCE g 0 v", once},
        {"KAFKA.PRODUCE t ONCE g -5 v", once},
        {"KAFKA.PRODUCE t ONCE g 4611686018427387903 v", once}, /* in milliseconds it would be no time */
        {"KAFKA.PRODUCE t ONCE g 1 ONCE h 2 v", syntax},
        {"KAFKA.PRODUCE t KEY v", syntax},
        {"KAFKA.PRODUCE t HEADER a v", syntax},
        {"KAFKA.PRODUCE t ONCE g v", syntax},
        {"KAFKA.PRODUCE t NONSENSE v", syntax},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        produce_args_t a;
        const char *problem = parse(cases[i].line, &a);
        if (!problem || strcmp(problem, cases[i].problem) != 0)
            fail_msg("%s: %s, not %s", cases[i].line, problem ? problem : "taken", cases[i].problem);
    }
}

static void headers_have_a_bound(void **state)
{
    words_t words = words_of("KAFKA.PRODUCE t");
    produce_args_t a;
    for (int i = 0; i < HEADERS_COUNT_MAX; i++) {
        words.argv[words.argc++] = BYTES_LIT("HEADER");
        words.argv[words.argc++] = BYTES_LIT("name");
        words.argv[words.argc++] = BYTES_LIT("value");
    }
    words.argv[words.argc++] = BYTES_LIT("v");
    assert_null(record__parse(words.argc, words.argv, &a));
    assert_int_equal(a.record.headers_count, HEADERS_COUNT_MAX);
    words.argc--;
    words.argv[words.argc++] = BYTES_LIT("HEADER");
    words.argv[words.argc++] = BYTES_LIT("name");
    words.argv[words.argc++] = BYTES_LIT("value");
    words.argv[words.argc++] = BYTES_LIT("v");
    assert_string_equal(record__parse(words.argc, words.argv, &a), "ERR too many headers (128 at most)");
}

/* Whether a pipeline may send the next one before the answer: ONCE and AT are answered by number, or later. */
static void only_records_alone_follow_each_other(void **state)
{
    static const struct {
        const char *line;
        bool follows;
    } cases[] = {
        {"KAFKA.PRODUCE t v", true},
        {"KAFKA.PRODUCE t KEY k PARTITION 1 v", true},
        {"KAFKA.PRODUCE t HEADER a 1 KEY k v", true},
        {"KAFKA.PRODUCE t HEADER ONCE AT KEY k v", true},
        {"KAFKA.PRODUCE t ONCE g 60 v", false},
        {"KAFKA.PRODUCE t KEY k AT 99 v", false},
        {"KAFKA.PRODUCE t HEADER a 1 ONCE g 60 v", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        words_t words = words_of(cases[i].line);
        if (produce_follows(words.argc, words.argv) != cases[i].follows) fail_msg("%s", cases[i].line);
    }
}

static void a_record_owns_what_it_says(void **state)
{
    char name[] = "topic", key[] = "key", header[] = "header";
    kafka_header_t headers[] = {{bytes_str(header), BYTES_NULL}};
    kafka_produce_t record = {.topic = bytes_str(name), .partition = 2, .key = bytes_str(key), .value = BYTES_LIT("")};
    record.headers = headers;
    record.headers_count = 1;
    outbox_record_t *r = outbox_record_new(&record);
    memset(name, 'x', strlen(name));
    memset(key, 'x', strlen(key));
    memset(header, 'x', strlen(header));
    memset(headers, 0, sizeof(headers));
    assert_bytes(r->record.topic, "topic");
    assert_bytes(r->record.key, "key");
    assert_non_null(r->record.value.ptr); /* empty is not null */
    assert_int_equal(r->record.value.len, 0);
    assert_bytes(r->record.headers[0].key, "header");
    assert_null(r->record.headers[0].value.ptr);
    assert_in_range(r->bytes, strlen("topickeyheader"), 1000);
    mem_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_value_alone_has_no_options),
        cmocka_unit_test(options_come_in_any_order_and_case),
        cmocka_unit_test(a_value_may_look_like_an_option),
        cmocka_unit_test(the_bounds_of_numbers),
        cmocka_unit_test(what_is_wrong_is_named),
        cmocka_unit_test(headers_have_a_bound),
        cmocka_unit_test(only_records_alone_follow_each_other),
        cmocka_unit_test(a_record_owns_what_it_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* pattern_test.c: patterns mean what they mean to RE2, and cost no more than they may. */
#include "kafka/pattern/pattern.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static bool matches(const char *text, const char *name)
{
    char problem[PATTERN_PROBLEM_BYTES] = "";
    pattern_t *pattern = pattern_new(text, strlen(text), problem);
    assert_string_equal(problem, "");
    bool matched = pattern_matches(pattern, name, strlen(name));
    pattern_free(pattern);
    return matched;
}

static void the_whole_name_must_match(void **state)
{
    assert_true(matches("orders\\.(eu|us)-[0-9]+", "orders.eu-17"));
    assert_false(matches("orders\\.(eu|us)-[0-9]+", "orders.eu-17x"));
    assert_false(matches("orders\\.(eu|us)-[0-9]+", "ordersxeu-17"));
    assert_false(matches("a|ab", "abc"));
    assert_true(matches("a|ab", "ab"));
    assert_true(matches("", ""));
}

static void what_clients_send_is_understood(void **state)
{
    assert_true(matches(".*(?:a|b).*", "xbx"));
    assert_true(matches("t\\d+", "t17"));
    assert_false(matches("t\\d+", "t"));
    assert_true(matches("(?i)T1", "t1"));
    assert_true(matches("[a-z]{1,40}", "abc"));
    assert_false(matches("[a-z]{1,2}", "abc"));
    assert_true(matches("\\Qa.b\\E.*", "a.bc"));
    assert_false(matches("\\Qa.b\\E.*", "axbc"));
    assert_true(matches("\\w+?[[:digit:]]\\b", "topic_1"));
    assert_true(matches("^t1$", "t1"));
}

static void what_is_refused_is_told_in_the_originals_words(void **state)
{
    static const struct {
        const char *text, *problem;
    } cases[] = {
        {"(", "missing closing )"},
        {"[a", "missing closing ]"},
        {"a\\", "trailing backslash at end of expression"},
        {"*", "missing argument to repetition operator"},
        {"a**", "invalid nested repetition operator"},
        {"a{1001}", "invalid repeat count"},
        {"(?=a)", "invalid or unsupported Perl syntax"},
        {"(a)\\1", "invalid escape sequence"},
        {"[z-a]", "invalid character class range"},
        {"(?P<n!>a)", "invalid named capture"},
        {"(?i)[\\pL\\d]{1,200}{1,5}", "invalid nested repetition operator"},
        {"([\\pL\\d]{1,30}){1,30}", "pattern too large - compile failed"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char problem[PATTERN_PROBLEM_BYTES] = "";
        assert_null(pattern_new(cases[i].text, strlen(cases[i].text), problem));
        assert_string_equal(problem, cases[i].problem);
    }
}

static void a_pattern_that_is_too_long_is_refused(void **state)
{
    char text[PATTERN_TEXT_BYTES_MAX + 1], problem[PATTERN_PROBLEM_BYTES] = "";
    memset(text, 'a', sizeof(text));
    assert_null(pattern_new(text, sizeof(text), problem));
    assert_string_equal(problem, "longer than 4096 bytes");
}

/* What backtracks is exponential here, and the test's time limit ends it. */
static void nested_repetitions_are_linear(void **state)
{
    char name[249];
    memset(name, 'a', sizeof(name));
    name[sizeof(name) - 1] = 'b';
    pattern_t *pattern = pattern_new("(a*)*(a|aa)+(a*)*c", 18, (char[PATTERN_PROBLEM_BYTES]){""});
    assert_non_null(pattern);
    for (int i = 0; i < 1000; i++) assert_false(pattern_matches(pattern, name, sizeof(name)));
    assert_true(pattern_memory_bytes(pattern) <= PATTERN_MEMORY_BYTES_MAX);
    pattern_free(pattern);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_whole_name_must_match),
        cmocka_unit_test(what_clients_send_is_understood),
        cmocka_unit_test(what_is_refused_is_told_in_the_originals_words),
        cmocka_unit_test(a_pattern_that_is_too_long_is_refused),
        cmocka_unit_test(nested_repetitions_are_linear),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

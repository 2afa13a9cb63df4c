/* topic_patterns_test.c: patterns are compiled once, matched a piece at a time, and keep up with topics that come and go. */
#include "kafka/coordinator/topic_patterns.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define TOPICS_MAX 50001

typedef struct world {
    topic_patterns_host_t host;
    topic_patterns_t *patterns;
    int topics;  /* "t0", "t1" and so on */
    int deleted; /* of them, or -1 */
    bool wanted;
} world_t;

static void each_topic(void *user, void (*each)(void *arg, bytes_t name), void *arg)
{
    char name[16];
    for (int i = 0; i < ((const world_t *)user)->topics; i++) {
        snprintf(name, sizeof(name), "t%d", i);
        each(arg, bytes_str(name));
    }
}

static bool topic_exists(void *user, bytes_t name)
{
    char deleted[16];
    snprintf(deleted, sizeof(deleted), "t%d", ((const world_t *)user)->deleted);
    return !bytes_eq(name, bytes_str(deleted));
}

static void scan_wanted(void *user) { ((world_t *)user)->wanted = true; }

static int setup(void **state)
{
    world_t *w = mem_zalloc(sizeof(*w));
    w->host = (topic_patterns_host_t){each_topic, topic_exists, scan_wanted};
    w->patterns = topic_patterns_new(&w->host, w);
    w->topics = 10;
    w->deleted = -1;
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    world_t *w = *state;
    topic_patterns_free(w->patterns);
    mem_free(w);
    return 0;
}

static topic_pattern_t *take(world_t *w, const char *text)
{
    topic_pattern_t *pattern = NULL;
    char problem[PATTERN_PROBLEM_BYTES];
    assert_int_equal(topic_pattern_take(w->patterns, bytes_str(text), &pattern, problem), 0);
    return pattern;
}

static void few_topics_are_matched_at_once(void **state)
{
    world_t *w = *state;
    topic_pattern_t *pattern = take(w, "t[0-4]");
    assert_false(w->wanted);
    assert_int_equal(pattern->topics.count, 5);
    assert_ptr_equal(take(w, "t[0-4]"), pattern);
    topic_pattern_unref(pattern);
    topic_pattern_unref(pattern);
}

static void what_is_no_pattern_is_told_why(void **state)
{
    world_t *w = *state;
    topic_pattern_t *pattern;
    char problem[PATTERN_PROBLEM_BYTES];
    assert_int_equal(topic_pattern_take(w->patterns, BYTES_LIT("("), &pattern, problem), ERR_INVALID);
    assert_string_equal(problem, "missing closing )");
}

static void topics_that_come_and_go_are_followed(void **state)
{
    world_t *w = *state;
    topic_pattern_t *pattern = take(w, "t\\d+");
    topic_patterns_created(w->patterns, BYTES_LIT("t10"));
    topic_patterns_created(w->patterns, BYTES_LIT("u10"));
    assert_int_equal(pattern->topics.count, 11);
    assert_true(topic_pattern_matches(pattern, BYTES_LIT("t10")));
    topic_patterns_deleted(w->patterns, BYTES_LIT("t10"));
    assert_false(topic_pattern_matches(pattern, BYTES_LIT("t10")));
    topic_pattern_unref(pattern);
}

static void many_topics_are_matched_in_pieces(void **state)
{
    world_t *w = *state;
    w->topics = TOPICS_MAX;
    topic_pattern_t *pattern = take(w, "t\\d*7");
    assert_true(w->wanted);
    assert_in_range(pattern->topics.count, 1, TOPIC_PATTERNS_SCAN_COUNT);
    topic_pattern_t *other = take(w, "t\\d*8");
    topic_patterns_created(w->patterns, BYTES_LIT("t99998"));
    topic_pattern_t *later = take(w, ".*8"); /* comes behind that topic, whose names are those of the first */
    topic_patterns_deleted(w->patterns, BYTES_LIT("t49997"));
    w->deleted = 49997;
    int pieces = 1;
    while (topic_patterns_scan(w->patterns)) pieces++;
    assert_in_range(pieces, 3 * TOPICS_MAX / TOPIC_PATTERNS_SCAN_COUNT - 1,
                    3 * TOPICS_MAX / TOPIC_PATTERNS_SCAN_COUNT + 4);
    assert_int_equal(pattern->topics.count, TOPICS_MAX / 10 - 1);
    assert_int_equal(other->topics.count, TOPICS_MAX / 10 + 1);
    assert_int_equal(later->topics.count, TOPICS_MAX / 10 + 1);
    topic_pattern_unref(pattern);
    topic_pattern_unref(other);
    topic_pattern_unref(later);
}

static void a_pattern_may_go_while_it_is_scanned(void **state)
{
    world_t *w = *state;
    w->topics = TOPICS_MAX;
    topic_pattern_unref(take(w, "t\\d*7"));
    assert_false(topic_patterns_scan(w->patterns));
}

static void there_is_room_for_so_many(void **state)
{
    world_t *w = *state;
    topic_pattern_t *kept[4000];
    size_t count = 0;
    int err = 0;
    for (; !err && count < ARRAY_LEN(kept); count += !err) {
        char text[32], problem[PATTERN_PROBLEM_BYTES];
        snprintf(text, sizeof(text), "t%zu.*", count);
        err = topic_pattern_take(w->patterns, bytes_str(text), &kept[count], problem);
    }
    assert_int_equal(err, ERR_LIMIT);
    assert_in_range(count, 1000, 2000);
    while (count-- > 0) topic_pattern_unref(kept[count]);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(few_topics_are_matched_at_once),       T(what_is_no_pattern_is_told_why),
        T(topics_that_come_and_go_are_followed), T(many_topics_are_matched_in_pieces),
        T(a_pattern_may_go_while_it_is_scanned), T(there_is_room_for_so_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

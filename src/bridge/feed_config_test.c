/* feed_config_test.c: changefeed.<name>.<setting>, one by one: what is kept, and what is refused with which words. */
#include "bridge/feed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static void take(bridge_feeds_t *feeds, const char *name, const char *value)
{
    char why[512] = "";
    int err = bridge_feeds_configure(feeds, name, value, why, sizeof(why));
    if (err) fail_msg("%s = %s: %s", name, value, why);
}

static void refuse(bridge_feeds_t *feeds, const char *name, const char *value, int error, const char *words)
{
    char why[512] = "";
    assert_int_equal(bridge_feeds_configure(feeds, name, value, why, sizeof(why)), error);
    if (!strstr(why, words)) fail_msg("%s = %s: %s", name, value, why);
}

static void settings_of_one_name_are_one_feed(void **state)
{
    bridge_feeds_t *feeds = bridge_feeds_new();
    assert_false(bridge_feeds_any(feeds));
    take(feeds, "a.topic", "first");
    take(feeds, "b.patterns", "x* y*");
    take(feeds, "a.format", "value");
    take(feeds, "a.topic", "second"); /* the later one wins */
    take(feeds, "b.databases", "0,3");
    assert_true(bridge_feeds_any(feeds));
    assert_int_equal(feeds->count, 2);
    assert_string_equal(feeds->at[0]->name, "a");
    assert_string_equal(feeds->at[0]->topic, "second");
    assert_int_equal(feeds->at[0]->format, FEED_VALUE);
    assert_null(feeds->at[1]->topic);
    assert_int_equal(feeds->at[1]->format, FEED_COMMAND);
    assert_string_equal(feeds->at[1]->patterns, "x* y*");
    assert_string_equal(feeds->at[1]->databases, "0,3");
    bridge_feeds_free(feeds);
}

static void what_cannot_be_set_is_refused(void **state)
{
    char long_name[FEED_NAME_BYTES_MAX + 16];
    bridge_feeds_t *feeds = bridge_feeds_new();
    refuse(feeds, "a", "x", ERR_NOT_FOUND, "expected changefeed.NAME.SETTING");
    refuse(feeds, ".topic", "x", ERR_NOT_FOUND, "expected changefeed.NAME.SETTING");
    refuse(feeds, "a b.topic", "x", ERR_NOT_FOUND, "letters, digits, - and _");
    refuse(feeds, "a.colour", "x", ERR_NOT_FOUND, "a change feed has no 'colour'");
    refuse(feeds, "a.format", "json", ERR_INVALID, "changefeed.a.format is command or value, not 'json'");
    snprintf(long_name, sizeof(long_name), "%0*d.topic", FEED_NAME_BYTES_MAX, 0);
    take(feeds, long_name, "x");
    snprintf(long_name, sizeof(long_name), "%0*d.topic", FEED_NAME_BYTES_MAX + 1, 0);
    refuse(feeds, long_name, "x", ERR_NOT_FOUND, "expected changefeed.NAME.SETTING");
    bridge_feeds_free(feeds);
}

static void feeds_have_a_bound(void **state)
{
    bridge_feeds_t *feeds = bridge_feeds_new();
    char name[32];
    for (int i = 0; i < FEEDS_MAX; i++) {
        snprintf(name, sizeof(name), "feed%d.topic", i);
        take(feeds, name, "t");
    }
    refuse(feeds, "another.topic", "t", ERR_LIMIT, "there can be 32 change feeds at most");
    take(feeds, "feed7.format", "value"); /* one that is there already */
    bridge_feeds_free(feeds);
}

static void a_feed_takes_what_it_was_told_to(void **state)
{
    feed_t feed = {
        .globs = {BYTES_LIT("user:*"), BYTES_LIT("cart:?")}, .globs_count = 2, .dbs = {0, 3}, .dbs_count = 2};
    assert_true(feed__takes(&feed, 0, BYTES_LIT("user:1")));
    assert_true(feed__takes(&feed, 3, BYTES_LIT("cart:x")));
    assert_false(feed__takes(&feed, 1, BYTES_LIT("user:1")));
    assert_false(feed__takes(&feed, 0, BYTES_LIT("cart:xy")));
    assert_false(feed__takes(&feed, 0, BYTES_LIT("other")));
    feed.dbs_count = 0; /* all */
    assert_true(feed__takes(&feed, 1, BYTES_LIT("user:1")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(settings_of_one_name_are_one_feed),
        cmocka_unit_test(what_cannot_be_set_is_refused),
        cmocka_unit_test(feeds_have_a_bound),
        cmocka_unit_test(a_feed_takes_what_it_was_told_to),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* commit_far_test.c: from an announcement on its group waits, until as many offsets were counted off; announced from another thread. */
#include "bridge/far.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

enum { ROUNDS = 100000 };

#define GROUP BYTES_LIT("readers")
#define OTHER BYTES_LIT("others")

static void a_group_waits_from_its_announcement_until_all_is_counted_off(void **state)
{
    far_commits_t *commits = far_commits_new();
    assert_false(far_commits_wait(commits, GROUP));
    far_commits_announce(commits, GROUP);
    far_commits_announce(commits, GROUP);
    far_commits_add(commits, GROUP); /* held for a member */
    for (int left = 3; left > 0; left--) {
        assert_true(far_commits_wait(commits, GROUP));
        assert_false(far_commits_wait(commits, OTHER));
        far_commits_remove(commits, GROUP);
    }
    assert_false(far_commits_wait(commits, GROUP));
    far_commits_announce(commits, OTHER); /* nobody counts it off: freed with the rest */
    far_commits_free(commits);
}

typedef struct announcer {
    far_commits_t *commits;
    _Atomic(int) announced;
} announcer_t;

static void *announce(void *user)
{
    announcer_t *announcer = user;
    for (int i = 1; i <= ROUNDS; i++) {
        far_commits_announce(announcer->commits, i % 2 ? GROUP : OTHER);
        announcer->announced = i;
    }
    return NULL;
}

/* Who heard of an announcement by whatever way finds it, as a client does that was replied. */
static void what_another_thread_announced_is_found(void **state)
{
    announcer_t announcer = {.commits = far_commits_new()};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, announce, &announcer), 0);
    for (int taken = 0; taken < ROUNDS;) {
        if (taken == announcer.announced) continue;
        bytes_t group = ++taken % 2 ? GROUP : OTHER;
        assert_true(far_commits_wait(announcer.commits, group));
        far_commits_remove(announcer.commits, group);
    }
    pthread_join(thread, NULL);
    assert_false(far_commits_wait(announcer.commits, GROUP));
    assert_false(far_commits_wait(announcer.commits, OTHER));
    far_commits_free(announcer.commits);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_group_waits_from_its_announcement_until_all_is_counted_off),
        cmocka_unit_test(what_another_thread_announced_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

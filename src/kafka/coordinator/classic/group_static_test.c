/* group_static_test.c: what the group state machine promises to static members (group.instance.id, KIP-345,
 * KIP-814). */
#include "kafka/coordinator/classic/group_test_host.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static int setup(void **state)
{
    *state = test_host_new();
    return 0;
}

static int teardown(void **state)
{
    test_host_free(*state);
    return 0;
}

static test_member_t named(const char *instance)
{
    return (test_member_t){.instance = instance, .protocols = "range,roundrobin"};
}

/* A stable group of a leader "i0" and a follower "i1"; the numbers of their joins. */
static void static_pair(test_host_t *h, int *ret_a, int *ret_b)
{
    int a = test_join(h, named("i0")), b = test_join(h, named("i1"));
    test_host_advance(h, 0);
    char text[300];
    snprintf(text, sizeof(text), "%s=zero %s=one", h->replies[a].member_id, h->replies[b].member_id);
    test_sync(h, h->replies[b].member_id, "i1", 1, NULL);
    test_sync(h, h->replies[a].member_id, "i0", 1, text);
    assert_int_equal(h->group->state, GROUP_STABLE);
    *ret_a = a;
    *ret_b = b;
}

static void a_static_member_needs_no_second_join(void **state)
{
    test_host_t *h = *state;
    int a = test_join(h, named("i0"));
    assert_int_equal(test_error(h, a), NO_REPLY);
    test_host_advance(h, 0);
    assert_int_equal(test_error(h, a), KAFKA_NONE);
    assert_memory_equal(h->replies[a].member_id, "i0-", 3);
}

static void a_restarted_follower_gets_a_new_id_without_a_rebalance(void **state)
{
    test_host_t *h = *state;
    int a, b;
    static_pair(h, &a, &b);
    int again = test_join(h, named("i1"));
    assert_int_equal(test_error(h, again), KAFKA_NONE);
    assert_int_equal(h->replies[again].generation, 1);
    assert_string_not_equal(h->replies[again].member_id, h->replies[b].member_id);
    assert_string_equal(h->replies[again].leader, h->replies[a].member_id);
    assert_int_equal(h->group->state, GROUP_STABLE);
    assert_int_equal(h->stored_static, 1);
    int sync = test_sync(h, h->replies[again].member_id, "i1", 1, NULL);
    assert_string_equal(h->replies[sync].assignment, "one");
}

static void a_restarted_leader_is_told_to_skip_the_assignment(void **state)
{
    test_host_t *h = *state;
    int a, b;
    static_pair(h, &a, &b);
    int again = test_join(h, named("i0"));
    assert_true(h->replies[again].skip_assignment);
    assert_int_equal(h->replies[again].members, 2);
    assert_string_equal(h->replies[again].leader, h->replies[again].member_id);
}

static void before_version_9_a_restarted_leader_hears_that_its_old_id_leads(void **state)
{
    test_host_t *h = *state;
    int a, b;
    static_pair(h, &a, &b);
    test_member_t member = named("i0");
    member.version = 8;
    int again = test_join(h, member);
    assert_int_equal(test_error(h, again), KAFKA_NONE);
    assert_false(h->replies[again].skip_assignment);
    assert_false(h->replies[again].with_members);
    assert_string_equal(h->replies[again].leader, h->replies[a].member_id);
    assert_string_not_equal(h->replies[again].member_id, h->replies[a].member_id);
}

static void the_old_id_is_fenced(void **state)
{
    test_host_t *h = *state;
    int a, b;
    static_pair(h, &a, &b);
    test_join(h, named("i1"));
    const char *old = h->replies[b].member_id;
    bytes_t instance = BYTES_LIT("i1");
    assert_int_equal(group_heartbeat(h->group, bytes_str(old), instance, 1, h->now), KAFKA_FENCED_INSTANCE_ID);
    assert_int_equal(test_error(h, test_sync(h, old, "i1", 1, NULL)), KAFKA_FENCED_INSTANCE_ID);
    test_member_t member = named("i1");
    member.id = old;
    assert_int_equal(test_error(h, test_join(h, member)), KAFKA_FENCED_INSTANCE_ID);
    assert_int_equal(test_leave(h, old, "i1"), KAFKA_FENCED_INSTANCE_ID);
    assert_int_equal(group_commit_check(h->group, bytes_str(old), instance, 1, false, h->now),
                     KAFKA_FENCED_INSTANCE_ID);
    assert_int_equal(test_heartbeat(h, old, 1), KAFKA_UNKNOWN_MEMBER_ID);
}

static void who_waits_under_the_old_id_is_fenced_at_once(void **state)
{
    test_host_t *h = *state;
    int a, b;
    static_pair(h, &a, &b);
    test_member_t member = named("i1");
    member.id = h->replies[b].member_id;
    member.metadata = "changed";
    int parked = test_join(h, member);
    assert_int_equal(h->group->state, GROUP_PREPARING_REBALANCE);
    int again = test_join(h, named("i1"));
    assert_int_equal(test_error(h, parked), KAFKA_FENCED_INSTANCE_ID);
    assert_int_equal(test_error(h, again), NO_REPLY);
    assert_int_equal(h->group->members_joining, 1);
    member = named("i0");
    member.id = h->replies[a].member_id;
    test_join(h, member);
    assert_int_equal(test_error(h, again), KAFKA_NONE);
    assert_int_equal(h->replies[again].generation, 2);
}

static void a_restart_that_changes_the_protocol_rebalances(void **state)
{
    test_host_t *h = *state;
    int a, b;
    static_pair(h, &a, &b);
    test_member_t member = named("i1");
    member.protocols = "roundrobin";
    int again = test_join(h, member);
    assert_int_equal(test_error(h, again), NO_REPLY);
    assert_int_equal(h->group->state, GROUP_PREPARING_REBALANCE);
    assert_int_equal(h->stored_static, 0);
}

static void a_restart_while_the_leader_assigns_rebalances(void **state)
{
    test_host_t *h = *state;
    int a = test_join(h, named("i0")), b = test_join(h, named("i1"));
    test_host_advance(h, 0);
    int sync = test_sync(h, h->replies[b].member_id, "i1", 1, NULL);
    int again = test_join(h, named("i1"));
    assert_int_equal(test_error(h, sync), KAFKA_FENCED_INSTANCE_ID);
    assert_int_equal(test_error(h, again), NO_REPLY);
    assert_int_equal(h->group->state, GROUP_PREPARING_REBALANCE);
    test_member_t member = named("i0");
    member.id = h->replies[a].member_id;
    int leader = test_join(h, member);
    assert_int_equal(h->replies[leader].generation, 2);
    assert_int_equal(h->replies[leader].members, 2);
}

static void a_static_member_that_does_not_rejoin_stays_until_its_session_ends(void **state)
{
    test_host_t *h = *state;
    test_member_t slow = named("i1");
    slow.session_ms = 600000;
    int a = test_join(h, named("i0")), b = test_join(h, slow);
    test_host_advance(h, 0);
    test_sync(h, h->replies[b].member_id, "i1", 1, NULL);
    test_sync(h, h->replies[a].member_id, "i0", 1, "");
    test_member_t member = named("i0");
    member.id = h->replies[a].member_id;
    int rejoin = test_join(h, member); /* the leader wants a rebalance */
    test_host_advance(h, 60000);
    assert_int_equal(test_error(h, rejoin), KAFKA_NONE);
    assert_int_equal(h->replies[rejoin].members, 2);
    assert_int_equal(h->replies[rejoin].generation, 2);
}

static void when_only_silent_static_members_are_left_the_group_waits_for_their_sessions(void **state)
{
    test_host_t *h = *state;
    test_member_t slow = named("i0");
    slow.session_ms = 200000;
    int a = test_join(h, slow);
    test_host_advance(h, 0);
    test_sync(h, h->replies[a].member_id, "i0", 1, "");
    int c = test_join(h, (test_member_t){.version = 3, .protocols = "range"});
    test_leave(h, h->replies[c].member_id, NULL); /* unknown as yet: it has no reply */
    group_leaver_t leaver = {.member_id = CONTAINER_OF(h->group->members.prev, group_member_t, node)->id};
    assert_int_equal(group_leave(h->group, &leaver, 1, h->now), KAFKA_NONE);
    assert_int_equal(h->group->state, GROUP_PREPARING_REBALANCE);
    test_host_advance(h, 199999);
    assert_int_equal(h->group->state, GROUP_PREPARING_REBALANCE);
    test_host_advance(h, 1);
    assert_int_equal(h->group->state, GROUP_EMPTY);
}

static void an_administrator_removes_static_members_by_instance(void **state)
{
    test_host_t *h = *state;
    int a, b;
    static_pair(h, &a, &b);
    assert_int_equal(test_leave(h, "", "i1"), KAFKA_NONE);
    assert_int_equal(h->group->members_count, 1);
    assert_int_equal(test_leave(h, "", "i1"), KAFKA_UNKNOWN_MEMBER_ID);
    assert_int_equal(test_leave(h, "", NULL), KAFKA_UNKNOWN_MEMBER_ID);
}

static void a_failed_store_gives_the_old_id_back(void **state)
{
    test_host_t *h = *state;
    int a, b;
    static_pair(h, &a, &b);
    h->store_error = KAFKA_NOT_COORDINATOR;
    int again = test_join(h, named("i1"));
    assert_int_equal(test_error(h, again), KAFKA_NOT_COORDINATOR);
    assert_string_equal(h->replies[again].member_id, "");
    assert_int_equal(test_heartbeat(h, h->replies[b].member_id, 1), KAFKA_NONE);
}

static void a_rebalance_that_begins_before_the_new_id_is_stored_answers_it(void **state)
{
    test_host_t *h = *state;
    int a, b;
    static_pair(h, &a, &b);
    h->hold_stores = true;
    int again = test_join(h, named("i1"));
    test_member_t member = named("i0");
    member.id = h->replies[a].member_id;
    int leader = test_join(h, member);
    assert_int_equal(test_error(h, leader), KAFKA_NONE);
    assert_int_equal(h->replies[again].generation, 2);
    test_host_flush(h);
    assert_int_equal(h->replies[again].answers, 1);
}

static void a_pending_id_with_an_instance_is_the_originals_internal_error(void **state)
{
    test_host_t *h = *state;
    int first = test_join(h, (test_member_t){0});
    test_member_t member = named("i0");
    member.id = h->replies[first].member_id;
    assert_int_equal(test_error(h, test_join(h, member)), KAFKA_UNKNOWN_SERVER_ERROR);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_static_member_needs_no_second_join),
        T(a_restarted_follower_gets_a_new_id_without_a_rebalance),
        T(a_restarted_leader_is_told_to_skip_the_assignment),
        T(before_version_9_a_restarted_leader_hears_that_its_old_id_leads),
        T(the_old_id_is_fenced),
        T(who_waits_under_the_old_id_is_fenced_at_once),
        T(a_restart_that_changes_the_protocol_rebalances),
        T(a_restart_while_the_leader_assigns_rebalances),
        T(a_static_member_that_does_not_rejoin_stays_until_its_session_ends),
        T(when_only_silent_static_members_are_left_the_group_waits_for_their_sessions),
        T(an_administrator_removes_static_members_by_instance),
        T(a_failed_store_gives_the_old_id_back),
        T(a_rebalance_that_begins_before_the_new_id_is_stored_answers_it),
        T(a_pending_id_with_an_instance_is_the_originals_internal_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

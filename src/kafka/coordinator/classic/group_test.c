/* group_test.c: what the group state machine promises to dynamic members. Static members:
 * group_static_test.c. */
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

/* ---- the vote, and what a group may be made to remember --------------------------------------------- */

#define VOTERS 5001

/* Cubic in the members this takes minutes, and the test's own time limit ends it. */
static void thousands_who_disagree_on_the_order_vote_at_once(void **state)
{
    test_host_t *h = *state;
    for (int i = 0; i < VOTERS; i++) {
        const char *protocols = i % 2 ? "range,roundrobin" : "roundrobin,range";
        test_join(h, (test_member_t){.version = 3, .protocols = protocols});
    }
    test_host_advance(h, 0);
    for (int i = 1; i <= VOTERS; i++) assert_int_equal(test_error(h, i), KAFKA_NONE);
    assert_string_equal(h->replies[1].protocol, "roundrobin"); /* one vote more */
    assert_int_equal(h->replies[1].members, VOTERS);
}

static void only_what_all_know_can_be_elected(void **state)
{
    test_host_t *h = *state;
    test_join(h, (test_member_t){.version = 3, .protocols = "a,b,c"});
    test_join(h, (test_member_t){.version = 3, .protocols = "a,b,b"});
    int last = test_join(h, (test_member_t){.version = 3, .protocols = "c,b"});
    test_host_advance(h, 0);
    assert_string_equal(h->replies[last].protocol, "b");
    assert_int_equal(test_error(h, test_join(h, (test_member_t){.version = 3, .protocols = "a,c"})),
                     KAFKA_INCONSISTENT_GROUP_PROTOCOL);
}

static void all_whose_session_ends_at_once_are_gone_at_once(void **state)
{
    test_host_t *h = *state;
    for (int i = 0; i < VOTERS; i++) test_join(h, (test_member_t){.version = 3, .protocols = "range"});
    test_host_advance(h, 0);
    assert_int_equal(h->group->state, GROUP_COMPLETING_REBALANCE);
    test_host_advance(h, 3600000);
    assert_int_equal(h->group->state, GROUP_EMPTY);
    assert_int_equal(h->group->members_count, 0);
    assert_int_equal(h->group->kept_bytes, 0);
}

static group_join_t large_join(const group_protocol_t *protocols, size_t count, void *request)
{
    return (group_join_t){.protocol_type = BYTES_LIT("consumer"),
                          .protocols = protocols,
                          .protocols_count = count,
                          .session_timeout_ms = 10000,
                          .rebalance_timeout_ms = 10000,
                          .request = request};
}

static void more_metadata_than_a_member_may_have_is_refused(void **state)
{
    test_host_t *h = *state;
    uint8_t *bytes = mem_zalloc(GROUP_MEMBER_BYTES_MAX);
    group_protocol_t one = {BYTES_LIT("range"), bytes_of(bytes, GROUP_MEMBER_BYTES_MAX)};
    group_join_t join = large_join(&one, 1, h);
    assert_int_equal(group_join_check(&h->config, BYTES_LIT("g"), &join), KAFKA_MESSAGE_TOO_LARGE);
    one.metadata.len -= 1000;
    assert_int_equal(group_join_check(&h->config, BYTES_LIT("g"), &join), KAFKA_NONE);
    group_protocol_t many[GROUP_PROTOCOLS_MAX + 1];
    for (size_t i = 0; i < ARRAY_LEN(many); i++) many[i] = (group_protocol_t){BYTES_LIT("p"), BYTES_LIT("")};
    join = large_join(many, ARRAY_LEN(many), h);
    assert_int_equal(group_join_check(&h->config, BYTES_LIT("g"), &join), KAFKA_MESSAGE_TOO_LARGE);
    mem_free(bytes);
}

static void a_group_remembers_only_so_much(void **state)
{
    test_host_t *h = *state;
    char *metadata = mem_alloc(MIB(2));
    memset(metadata, 'm', MIB(2) - 1);
    metadata[MIB(2) - 1] = '\0';
    int joins = 0, join;
    do {
        join = test_join(h, (test_member_t){.version = 3, .protocols = "range", .metadata = metadata});
        assert_true(h->group->kept_bytes <= GROUP_BYTES_MAX);
    } while (test_error(h, join) == NO_REPLY && ++joins < 100);
    assert_int_equal(test_error(h, join), KAFKA_GROUP_MAX_SIZE_REACHED);
    assert_in_range(joins, 30, 32);
    mem_free(metadata);
}

/* ---- joining ---------------------------------------------------------------------------------------- */

static void a_new_member_must_come_back_with_the_id_it_is_given(void **state)
{
    test_host_t *h = *state;
    int first = test_join(h, (test_member_t){0});
    assert_int_equal(test_error(h, first), KAFKA_MEMBER_ID_REQUIRED);
    assert_int_equal(strlen(h->replies[first].member_id), strlen("client-") + 36);
    assert_int_equal(h->group->members_count, 0);
    int second = test_join(h, (test_member_t){.id = h->replies[first].member_id});
    assert_int_equal(test_error(h, second), NO_REPLY);
    test_host_advance(h, 0);
    assert_int_equal(test_error(h, second), KAFKA_NONE);
    assert_int_equal(h->replies[second].generation, 1);
    assert_string_equal(h->replies[second].leader, h->replies[first].member_id);
    assert_int_equal(h->replies[second].members, 1);
}

static void before_version_4_no_second_join_is_needed(void **state)
{
    test_host_t *h = *state;
    int join = test_join(h, (test_member_t){.version = 3});
    test_host_advance(h, 0);
    assert_int_equal(test_error(h, join), KAFKA_NONE);
    assert_int_equal(h->replies[join].generation, 1);
}

static void an_invented_member_id_is_refused(void **state)
{
    test_host_t *h = *state;
    assert_int_equal(test_error(h, test_join(h, (test_member_t){.id = "me"})), KAFKA_UNKNOWN_MEMBER_ID);
    assert_int_equal(h->group->members_count, 0);
}

static void session_timeouts_out_of_bounds_are_refused(void **state)
{
    test_host_t *h = *state;
    group_join_t join = {.session_timeout_ms = 5999};
    assert_int_equal(group_join_check(&h->config, BYTES_LIT("g"), &join), KAFKA_INVALID_SESSION_TIMEOUT);
    join.session_timeout_ms = 6000;
    assert_int_equal(group_join_check(&h->config, BYTES_LIT("g"), &join), KAFKA_NONE);
    join.session_timeout_ms = 1800001;
    assert_int_equal(group_join_check(&h->config, BYTES_LIT("g"), &join), KAFKA_INVALID_SESSION_TIMEOUT);
    assert_int_equal(group_join_check(&h->config, BYTES_LIT(""), &join), KAFKA_INVALID_GROUP_ID);
}

static void concurrent_first_joins_share_the_first_generation(void **state)
{
    test_host_t *h = *state;
    int joins[5];
    for (int i = 0; i < 5; i++) joins[i] = test_join(h, (test_member_t){.version = 3});
    test_host_advance(h, 0);
    int leaders = 0;
    for (int i = 0; i < 5; i++) {
        assert_int_equal(test_error(h, joins[i]), KAFKA_NONE);
        assert_int_equal(h->replies[joins[i]].generation, 1);
        leaders += h->replies[joins[i]].with_members;
        if (h->replies[joins[i]].with_members) assert_int_equal(h->replies[joins[i]].members, 5);
    }
    assert_int_equal(leaders, 1);
}

static void a_pending_member_does_not_hold_up_the_first_generation(void **state)
{
    test_host_t *h = *state;
    test_join(h, (test_member_t){0}); /* never comes back */
    int join = test_join_twice(h, (test_member_t){0});
    test_host_advance(h, 0);
    assert_int_equal(test_error(h, join), KAFKA_NONE);
    /* but it holds up a later one, until its session is over */
    int other = test_join_twice(h, (test_member_t){0});
    int again = test_join(h, (test_member_t){.id = h->replies[join].member_id, .metadata = "new"});
    assert_int_equal(test_error(h, other), NO_REPLY);
    test_host_advance(h, 9999);
    assert_int_equal(test_error(h, other), NO_REPLY);
    test_host_advance(h, 1);
    assert_int_equal(test_error(h, other), KAFKA_NONE);
    assert_int_equal(test_error(h, again), KAFKA_NONE);
    assert_int_equal(h->replies[other].generation, 2);
}

static void the_initial_delay_waits_for_more_members_and_grows_with_them(void **state)
{
    test_host_t *h = *state;
    h->config.initial_rebalance_delay_ms = 3000;
    int a = test_join(h, (test_member_t){.version = 3});
    test_host_advance(h, 2000);
    int b = test_join(h, (test_member_t){.version = 3});
    test_host_advance(h, 1000); /* 3 s: b came, so 3 s more */
    assert_int_equal(test_error(h, a), NO_REPLY);
    test_host_advance(h, 2999);
    assert_int_equal(test_error(h, a), NO_REPLY);
    test_host_advance(h, 1);
    assert_int_equal(test_error(h, a), KAFKA_NONE);
    assert_int_equal(test_error(h, b), KAFKA_NONE);
    assert_int_equal(h->replies[b].generation, 1);
}

static void the_initial_delay_never_passes_the_rebalance_timeout(void **state)
{
    test_host_t *h = *state;
    h->config.initial_rebalance_delay_ms = 3000;
    int a = test_join(h, (test_member_t){.version = 3, .rebalance_ms = 7000});
    for (int i = 0; i < 6; i++) {
        test_host_advance(h, 1000);
        test_join(h, (test_member_t){.version = 3, .rebalance_ms = 7000});
    }
    test_host_advance(h, 999);
    assert_int_equal(test_error(h, a), NO_REPLY);
    test_host_advance(h, 1);
    assert_int_equal(test_error(h, a), KAFKA_NONE);
}

static void all_must_share_protocol_type_and_one_protocol(void **state)
{
    test_host_t *h = *state;
    test_join(h, (test_member_t){.version = 3, .protocols = "range,roundrobin"});
    int other_type = test_join(h, (test_member_t){.version = 3, .type = "connect"});
    assert_int_equal(test_error(h, other_type), KAFKA_INCONSISTENT_GROUP_PROTOCOL);
    int nothing_shared = test_join(h, (test_member_t){.version = 3, .protocols = "sticky"});
    assert_int_equal(test_error(h, nothing_shared), KAFKA_INCONSISTENT_GROUP_PROTOCOL);
    assert_string_equal(h->replies[nothing_shared].member_id, "");
    assert_int_equal(test_error(h, test_join(h, (test_member_t){.version = 3, .protocols = "sticky,roundrobin"})),
                     NO_REPLY);
}

static void an_empty_group_wants_a_protocol_type_and_a_protocol(void **state)
{
    test_host_t *h = *state;
    assert_int_equal(test_error(h, test_join(h, (test_member_t){.type = ""})), KAFKA_INCONSISTENT_GROUP_PROTOCOL);
    assert_int_equal(test_error(h, test_join(h, (test_member_t){.protocols = ""})), KAFKA_INCONSISTENT_GROUP_PROTOCOL);
}

static void the_protocol_with_most_votes_among_those_all_know_wins(void **state)
{
    test_host_t *h = *state;
    int a = test_join(h, (test_member_t){.version = 3, .protocols = "sticky,range,roundrobin"});
    test_join(h, (test_member_t){.version = 3, .protocols = "roundrobin,range"});
    test_join(h, (test_member_t){.version = 3, .protocols = "roundrobin,range,sticky"});
    test_host_advance(h, 0);
    assert_string_equal(h->replies[a].protocol, "roundrobin");
}

static void a_full_group_takes_no_more(void **state)
{
    test_host_t *h = *state;
    h->config.members_max = 2;
    char ids[2][TEST_TEXT_MAX];
    test_stable_group(h, 2, ids);
    assert_int_equal(test_error(h, test_join(h, (test_member_t){0})), KAFKA_GROUP_MAX_SIZE_REACHED);
    int again = test_join(h, (test_member_t){.id = ids[1], .protocols = "range,roundrobin"});
    assert_int_equal(test_error(h, again), KAFKA_NONE);
}

static void when_the_bound_shrinks_the_last_to_rejoin_is_left_out(void **state)
{
    test_host_t *h = *state;
    char ids[3][TEST_TEXT_MAX];
    test_stable_group(h, 3, ids);
    h->config.members_max = 2;
    int a = test_join(h, (test_member_t){.id = ids[0]});
    int b = test_join(h, (test_member_t){.id = ids[1]});
    int c = test_join(h, (test_member_t){.id = ids[2]});
    assert_int_equal(test_error(h, c), KAFKA_GROUP_MAX_SIZE_REACHED);
    test_host_advance(h, 60000);
    assert_int_equal(test_error(h, a), KAFKA_NONE);
    assert_int_equal(test_error(h, b), KAFKA_NONE);
    assert_int_equal(h->group->members_count, 2);
}

/* ---- rebalancing ------------------------------------------------------------------------------------ */

static void a_new_member_makes_all_rejoin(void **state)
{
    test_host_t *h = *state;
    char ids[2][TEST_TEXT_MAX];
    test_stable_group(h, 2, ids);
    int c = test_join_twice(h, (test_member_t){.protocols = "range"});
    assert_int_equal(h->group->state, GROUP_PREPARING_REBALANCE);
    assert_int_equal(test_heartbeat(h, ids[0], 1), KAFKA_REBALANCE_IN_PROGRESS);
    assert_int_equal(test_error(h, test_sync(h, ids[0], NULL, 1, NULL)), KAFKA_REBALANCE_IN_PROGRESS);
    int a = test_join(h, (test_member_t){.id = ids[0], .protocols = "range,roundrobin"});
    assert_int_equal(test_error(h, a), NO_REPLY);
    int b = test_join(h, (test_member_t){.id = ids[1], .protocols = "range,roundrobin"});
    assert_int_equal(test_error(h, a), KAFKA_NONE);
    assert_int_equal(test_error(h, b), KAFKA_NONE);
    assert_int_equal(test_error(h, c), KAFKA_NONE);
    assert_int_equal(h->replies[c].generation, 2);
    assert_string_equal(h->replies[c].leader, ids[0]);
    assert_int_equal(h->replies[a].members, 3);
}

static void who_does_not_rejoin_in_time_is_out(void **state)
{
    test_host_t *h = *state;
    char ids[2][TEST_TEXT_MAX];
    test_stable_group(h, 2, ids);
    int c = test_join_twice(h, (test_member_t){.rebalance_ms = 20000});
    for (int i = 0; i < 59; i++) {
        test_host_advance(h, 1000);
        assert_int_equal(test_heartbeat(h, ids[0], 1), KAFKA_REBALANCE_IN_PROGRESS);
        assert_int_equal(test_heartbeat(h, ids[1], 1), KAFKA_REBALANCE_IN_PROGRESS);
    }
    assert_int_equal(test_error(h, c), NO_REPLY);
    test_host_advance(h, 1000); /* the longest rebalance timeout of all: 60 s */
    assert_int_equal(test_error(h, c), KAFKA_NONE);
    assert_int_equal(h->group->members_count, 1);
    assert_string_equal(h->replies[c].leader, h->replies[c].member_id);
    assert_int_equal(test_heartbeat(h, ids[0], 1), KAFKA_UNKNOWN_MEMBER_ID);
}

static void a_leader_that_rejoins_forces_a_rebalance(void **state)
{
    test_host_t *h = *state;
    char ids[2][TEST_TEXT_MAX];
    test_stable_group(h, 2, ids);
    int a = test_join(h, (test_member_t){.id = ids[0], .protocols = "range,roundrobin"});
    assert_int_equal(test_error(h, a), NO_REPLY);
    assert_int_equal(h->group->state, GROUP_PREPARING_REBALANCE);
}

static void a_follower_that_rejoins_unchanged_just_hears_the_generation(void **state)
{
    test_host_t *h = *state;
    char ids[2][TEST_TEXT_MAX];
    test_stable_group(h, 2, ids);
    int b = test_join(h, (test_member_t){.id = ids[1], .protocols = "range,roundrobin"});
    assert_int_equal(test_error(h, b), KAFKA_NONE);
    assert_int_equal(h->replies[b].generation, 1);
    assert_false(h->replies[b].with_members);
    assert_int_equal(h->group->state, GROUP_STABLE);
    int changed = test_join(h, (test_member_t){.id = ids[1], .protocols = "roundrobin,range"});
    assert_int_equal(test_error(h, changed), NO_REPLY);
    assert_int_equal(h->group->state, GROUP_PREPARING_REBALANCE);
}

static void a_join_repeated_while_completing_gets_the_same_reply(void **state)
{
    test_host_t *h = *state;
    int a = test_join(h, (test_member_t){.version = 3});
    int b = test_join(h, (test_member_t){.version = 3});
    test_host_advance(h, 0);
    int again = test_join(h, (test_member_t){.id = h->replies[a].member_id});
    assert_int_equal(test_error(h, again), KAFKA_NONE);
    assert_int_equal(h->replies[again].members, 2);
    assert_int_equal(h->replies[again].generation, 1);
    int other = test_join(h, (test_member_t){.id = h->replies[b].member_id, .metadata = "changed"});
    assert_int_equal(test_error(h, other), NO_REPLY);
    assert_int_equal(h->group->state, GROUP_PREPARING_REBALANCE);
}

static void a_join_that_replaces_a_parked_one_leaves_none_unanswered(void **state)
{
    test_host_t *h = *state;
    char ids[2][TEST_TEXT_MAX];
    test_stable_group(h, 2, ids);
    int first = test_join(h, (test_member_t){.id = ids[0]});
    int second = test_join(h, (test_member_t){.id = ids[0]});
    assert_int_equal(test_error(h, first), KAFKA_REBALANCE_IN_PROGRESS);
    assert_int_equal(test_error(h, second), NO_REPLY);
    assert_int_equal(h->group->members_joining, 1);
}

static void a_leader_that_is_late_loses_the_lead(void **state)
{
    test_host_t *h = *state;
    char ids[3][TEST_TEXT_MAX];
    test_stable_group(h, 3, ids);
    int b = test_join(h, (test_member_t){.id = ids[1], .metadata = "changed"});
    int c = test_join(h, (test_member_t){.id = ids[2]});
    test_host_advance(h, 60000);
    assert_string_equal(h->replies[b].leader, ids[1]);
    assert_int_equal(h->replies[b].members, 2);
    assert_int_equal(test_error(h, c), KAFKA_NONE);
}

/* ---- syncing ---------------------------------------------------------------------------------------- */

static void followers_wait_for_the_leaders_assignment(void **state)
{
    test_host_t *h = *state;
    int a = test_join(h, (test_member_t){.version = 3}), b = test_join(h, (test_member_t){.version = 3});
    test_host_advance(h, 0);
    const char *leader = h->replies[a].member_id, *follower = h->replies[b].member_id;
    int sync_b = test_sync(h, follower, NULL, 1, NULL);
    assert_int_equal(test_error(h, sync_b), NO_REPLY);
    char text[300];
    snprintf(text, sizeof(text), "%s=one %s=two nobody=three", leader, follower);
    int sync_a = test_sync(h, leader, NULL, 1, text);
    assert_string_equal(h->replies[sync_a].assignment, "one");
    assert_string_equal(h->replies[sync_b].assignment, "two");
    assert_string_equal(h->replies[sync_b].protocol, "range");
    assert_int_equal(h->group->state, GROUP_STABLE);
    assert_int_equal(h->stored_assignment, 1);
    int late = test_sync(h, follower, NULL, 1, NULL);
    assert_string_equal(h->replies[late].assignment, "two");
}

static void members_the_leader_forgot_get_an_empty_assignment(void **state)
{
    test_host_t *h = *state;
    int a = test_join(h, (test_member_t){.version = 3}), b = test_join(h, (test_member_t){.version = 3});
    test_host_advance(h, 0);
    test_sync(h, h->replies[a].member_id, NULL, 1, "");
    int sync = test_sync(h, h->replies[b].member_id, NULL, 1, NULL);
    assert_int_equal(test_error(h, sync), KAFKA_NONE);
    assert_string_equal(h->replies[sync].assignment, "");
}

static void an_assignment_reaches_nobody_before_it_is_stored(void **state)
{
    test_host_t *h = *state;
    h->hold_stores = true;
    int a = test_join(h, (test_member_t){.version = 3});
    test_host_advance(h, 0);
    int sync = test_sync(h, h->replies[a].member_id, NULL, 1, "");
    assert_int_equal(test_error(h, sync), NO_REPLY);
    assert_int_equal(h->group->state, GROUP_COMPLETING_REBALANCE);
    test_host_flush(h);
    assert_int_equal(test_error(h, sync), KAFKA_NONE);
    assert_int_equal(h->group->state, GROUP_STABLE);
}

static void a_failed_store_is_told_and_rebalances(void **state)
{
    test_host_t *h = *state;
    h->store_error = KAFKA_NOT_COORDINATOR;
    int a = test_join(h, (test_member_t){.version = 3});
    test_host_advance(h, 0);
    int sync = test_sync(h, h->replies[a].member_id, NULL, 1, "");
    assert_int_equal(test_error(h, sync), KAFKA_NOT_COORDINATOR);
    assert_int_equal(h->group->state, GROUP_PREPARING_REBALANCE);
}

static void a_store_that_ends_after_a_new_rebalance_began_changes_nothing(void **state)
{
    test_host_t *h = *state;
    h->hold_stores = true;
    int a = test_join(h, (test_member_t){.version = 3});
    test_host_advance(h, 0);
    int sync = test_sync(h, h->replies[a].member_id, NULL, 1, "");
    test_join(h, (test_member_t){.version = 3});
    assert_int_equal(test_error(h, sync), KAFKA_REBALANCE_IN_PROGRESS);
    test_host_flush(h);
    assert_int_equal(h->group->state, GROUP_PREPARING_REBALANCE);
}

static void sync_checks_member_generation_and_protocol(void **state)
{
    test_host_t *h = *state;
    char ids[1][TEST_TEXT_MAX];
    assert_int_equal(test_error(h, test_sync(h, "x", NULL, 0, NULL)), KAFKA_UNKNOWN_MEMBER_ID);
    test_stable_group(h, 1, ids);
    assert_int_equal(test_error(h, test_sync(h, "x", NULL, 1, NULL)), KAFKA_UNKNOWN_MEMBER_ID);
    assert_int_equal(test_error(h, test_sync(h, ids[0], NULL, 2, NULL)), KAFKA_ILLEGAL_GENERATION);
    group_sync_t sync = {.member_id = bytes_str(ids[0]),
                         .generation = 1,
                         .protocol_type = BYTES_LIT("connect"),
                         .protocol_name = BYTES_LIT("range"),
                         .request = (void *)(uintptr_t)++h->requests};
    group_sync(h->group, &sync, h->now);
    assert_int_equal(test_error(h, h->requests), KAFKA_INCONSISTENT_GROUP_PROTOCOL);
    sync.protocol_type = BYTES_LIT("consumer");
    sync.protocol_name = BYTES_LIT("roundrobin");
    sync.request = (void *)(uintptr_t)++h->requests;
    group_sync(h->group, &sync, h->now);
    assert_int_equal(test_error(h, h->requests), KAFKA_INCONSISTENT_GROUP_PROTOCOL);
}

static void who_joins_but_never_syncs_is_removed_after_the_rebalance_timeout(void **state)
{
    test_host_t *h = *state;
    int a = test_join(h, (test_member_t){.version = 3, .session_ms = 1800000});
    int b = test_join(h, (test_member_t){.version = 3, .session_ms = 1800000});
    test_host_advance(h, 0);
    int sync = test_sync(h, h->replies[a].member_id, NULL, 1, "");
    assert_int_equal(test_error(h, sync), KAFKA_NONE);
    test_host_advance(h, 59999);
    assert_int_equal(h->group->members_count, 2);
    test_host_advance(h, 1);
    assert_int_equal(h->group->members_count, 1);
    assert_int_equal(h->group->state, GROUP_PREPARING_REBALANCE);
    assert_int_equal(test_heartbeat(h, h->replies[b].member_id, 1), KAFKA_UNKNOWN_MEMBER_ID);
}

/* ---- sessions --------------------------------------------------------------------------------------- */

static void a_silent_member_is_removed_when_its_session_ends(void **state)
{
    test_host_t *h = *state;
    char ids[2][TEST_TEXT_MAX];
    test_stable_group(h, 2, ids);
    for (int i = 0; i < 9; i++) {
        test_host_advance(h, 1000);
        assert_int_equal(test_heartbeat(h, ids[0], 1), KAFKA_NONE);
    }
    test_host_advance(h, 999);
    assert_int_equal(h->group->state, GROUP_STABLE);
    test_host_advance(h, 1);
    assert_int_equal(h->group->state, GROUP_PREPARING_REBALANCE);
    assert_int_equal(test_heartbeat(h, ids[1], 1), KAFKA_UNKNOWN_MEMBER_ID);
    assert_int_equal(test_heartbeat(h, ids[0], 1), KAFKA_REBALANCE_IN_PROGRESS);
}

static void when_all_are_silent_the_group_becomes_empty_and_that_is_stored(void **state)
{
    test_host_t *h = *state;
    char ids[2][TEST_TEXT_MAX];
    test_stable_group(h, 2, ids);
    test_host_advance(h, 100000);
    assert_int_equal(h->group->state, GROUP_EMPTY);
    assert_int_equal(h->group->generation, 2);
    assert_int_equal(h->stored_empty, 1);
    assert_true(group_deadline_ms(h->group) == GROUP_NEVER_MS);
    assert_false(h->group->protocol_name.ptr);
}

static void a_parked_join_outlives_its_session(void **state)
{
    test_host_t *h = *state;
    char ids[2][TEST_TEXT_MAX];
    test_stable_group(h, 2, ids);
    int b = test_join(h, (test_member_t){.id = ids[1], .metadata = "changed", .session_ms = 6000});
    for (int i = 0; i < 30; i++) {
        test_host_advance(h, 1000);
        test_heartbeat(h, ids[0], 1);
    }
    assert_int_equal(test_error(h, b), NO_REPLY);
    test_join(h, (test_member_t){.id = ids[0]});
    assert_int_equal(test_error(h, b), KAFKA_NONE);
}

static void a_first_join_is_not_parked_for_ever(void **state)
{
    test_host_t *h = *state;
    char ids[1][TEST_TEXT_MAX];
    test_stable_group(h, 1, ids);
    int b = test_join(h, (test_member_t){.version = 3, .rebalance_ms = 1000000});
    for (int i = 0; i < 299; i++) {
        test_host_advance(h, 1000);
        test_heartbeat(h, ids[0], 1);
    }
    assert_int_equal(test_error(h, b), NO_REPLY);
    test_host_advance(h, 1000);
    assert_int_equal(test_error(h, b), KAFKA_UNKNOWN_MEMBER_ID);
    assert_int_equal(h->group->members_count, 1);
}

static void heartbeats_are_checked(void **state)
{
    test_host_t *h = *state;
    char ids[1][TEST_TEXT_MAX];
    assert_int_equal(test_heartbeat(h, "x", 0), KAFKA_UNKNOWN_MEMBER_ID);
    test_stable_group(h, 1, ids);
    assert_int_equal(test_heartbeat(h, ids[0], 0), KAFKA_ILLEGAL_GENERATION);
    assert_int_equal(test_heartbeat(h, ids[0], 2), KAFKA_ILLEGAL_GENERATION);
    assert_int_equal(test_heartbeat(h, ids[0], 1), KAFKA_NONE);
    assert_int_equal(group_heartbeat(h->group, bytes_str(ids[0]), BYTES_LIT("i"), 1, h->now), KAFKA_UNKNOWN_MEMBER_ID);
}

static void heartbeats_while_completing_are_fine(void **state)
{
    test_host_t *h = *state;
    int a = test_join(h, (test_member_t){.version = 3});
    test_host_advance(h, 0);
    assert_int_equal(test_heartbeat(h, h->replies[a].member_id, 1), KAFKA_NONE);
}

/* ---- leaving ---------------------------------------------------------------------------------------- */

static void leaving_rebalances_the_rest_and_the_last_one_empties_the_group(void **state)
{
    test_host_t *h = *state;
    char ids[2][TEST_TEXT_MAX];
    test_stable_group(h, 2, ids);
    assert_int_equal(test_leave(h, ids[0], NULL), KAFKA_NONE);
    assert_int_equal(h->group->state, GROUP_PREPARING_REBALANCE);
    int b = test_join(h, (test_member_t){.id = ids[1]});
    assert_string_equal(h->replies[b].leader, ids[1]);
    test_sync(h, ids[1], NULL, 2, "");
    assert_int_equal(test_leave(h, ids[1], NULL), KAFKA_NONE);
    assert_int_equal(h->group->state, GROUP_EMPTY);
    assert_int_equal(test_leave(h, ids[1], NULL), KAFKA_UNKNOWN_MEMBER_ID);
}

static void a_batch_of_leavers_is_answered_one_by_one(void **state)
{
    test_host_t *h = *state;
    char ids[3][TEST_TEXT_MAX];
    test_stable_group(h, 3, ids);
    group_leaver_t leavers[] = {{.member_id = bytes_str(ids[1])},
                                {.member_id = BYTES_LIT("x")},
                                {.member_id = bytes_str(ids[2])},
                                {.member_id = bytes_str(ids[2])}};
    assert_int_equal(group_leave(h->group, leavers, 4, h->now), KAFKA_NONE);
    assert_int_equal(leavers[0].error, KAFKA_NONE);
    assert_int_equal(leavers[1].error, KAFKA_UNKNOWN_MEMBER_ID);
    assert_int_equal(leavers[2].error, KAFKA_NONE);
    assert_int_equal(leavers[3].error, KAFKA_UNKNOWN_MEMBER_ID);
    assert_int_equal(h->group->members_count, 1);
}

static void a_pending_member_may_leave_and_lets_the_others_go_on(void **state)
{
    test_host_t *h = *state;
    char ids[1][TEST_TEXT_MAX];
    test_stable_group(h, 1, ids);
    int pending = test_join(h, (test_member_t){0});
    int a = test_join(h, (test_member_t){.id = ids[0]});
    assert_int_equal(test_error(h, a), NO_REPLY);
    assert_int_equal(test_leave(h, h->replies[pending].member_id, NULL), KAFKA_NONE);
    assert_int_equal(test_error(h, a), KAFKA_NONE);
}

static void a_leaver_with_parked_requests_gets_them_answered(void **state)
{
    test_host_t *h = *state;
    char ids[2][TEST_TEXT_MAX];
    test_stable_group(h, 2, ids);
    int a = test_join(h, (test_member_t){.id = ids[0]});
    test_leave(h, ids[0], NULL);
    assert_int_equal(test_error(h, a), KAFKA_UNKNOWN_MEMBER_ID);
    int b = test_join(h, (test_member_t){.id = ids[1]});
    assert_int_equal(test_error(h, b), KAFKA_NONE);
    int c = test_join_twice(h, (test_member_t){0});
    b = test_join(h, (test_member_t){.id = ids[1]});
    int sync = test_sync(h, h->replies[c].member_id, NULL, 3, NULL);
    assert_int_equal(test_error(h, sync), NO_REPLY);
    test_leave(h, h->replies[c].member_id, NULL);
    assert_int_equal(test_error(h, sync), KAFKA_UNKNOWN_MEMBER_ID);
}

static void leaving_during_the_join_phase_may_end_it(void **state)
{
    test_host_t *h = *state;
    char ids[2][TEST_TEXT_MAX];
    test_stable_group(h, 2, ids);
    int a = test_join(h, (test_member_t){.id = ids[0]});
    assert_int_equal(test_error(h, a), NO_REPLY);
    test_leave(h, ids[1], NULL);
    assert_int_equal(test_error(h, a), KAFKA_NONE);
    assert_int_equal(h->replies[a].members, 1);
}

/* ---- offsets ---------------------------------------------------------------------------------------- */

static kafka_code_t commit(test_host_t *h, const char *id, int32_t generation)
{
    return group_commit_check(h->group, bytes_str(id), BYTES_NULL, generation, false, h->now);
}

static void commits_are_for_members_of_this_generation_or_empty_groups(void **state)
{
    test_host_t *h = *state;
    char ids[2][TEST_TEXT_MAX];
    assert_int_equal(commit(h, "", -1), KAFKA_NONE);
    assert_int_equal(commit(h, "x", 0), KAFKA_UNKNOWN_MEMBER_ID);
    test_stable_group(h, 2, ids);
    assert_int_equal(commit(h, ids[0], 1), KAFKA_NONE);
    assert_int_equal(commit(h, ids[0], 0), KAFKA_ILLEGAL_GENERATION);
    assert_int_equal(commit(h, "x", 1), KAFKA_UNKNOWN_MEMBER_ID);
    assert_int_equal(commit(h, "", -1), KAFKA_UNKNOWN_MEMBER_ID);
    int a = test_join(h, (test_member_t){.id = ids[0]});
    assert_int_equal(commit(h, ids[1], 1), KAFKA_NONE); /* the last chance before giving partitions up */
    test_join(h, (test_member_t){.id = ids[1]});
    assert_int_equal(test_error(h, a), KAFKA_NONE);
    assert_int_equal(commit(h, ids[1], 1), KAFKA_ILLEGAL_GENERATION);
    assert_int_equal(commit(h, ids[1], 2), KAFKA_REBALANCE_IN_PROGRESS);
    assert_int_equal(group_commit_check(h->group, bytes_str(ids[1]), BYTES_NULL, 2, true, h->now), KAFKA_NONE);
}

static void a_commit_keeps_the_session_alive(void **state)
{
    test_host_t *h = *state;
    char ids[1][TEST_TEXT_MAX];
    test_stable_group(h, 1, ids);
    for (int i = 0; i < 5; i++) {
        test_host_advance(h, 9000);
        assert_int_equal(commit(h, ids[0], 1), KAFKA_NONE);
    }
    assert_int_equal(h->group->state, GROUP_STABLE);
}

static void subscriptions_tell_which_topics_are_read(void **state)
{
    test_host_t *h = *state;
    static const char subscription[] = "\0\1\0\0\0\2\0\3foo\0\2ab\xff\xff\xff\xff";
    group_loaded_member_t m = {.id = BYTES_LIT("m"),
                               .client_id = BYTES_LIT("c"),
                               .client_host = BYTES_LIT("h"),
                               .subscription = bytes_of(subscription, sizeof(subscription) - 1),
                               .session_timeout_ms = 10000,
                               .rebalance_timeout_ms = -1};
    assert_false(group_subscribed(h->group, BYTES_LIT("foo")));
    group_load(h->group, 3, BYTES_LIT("consumer"), BYTES_LIT("range"), 5);
    assert_int_equal(group_load_member(h->group, &m, true), 0);
    assert_int_equal(group_load_member(h->group, &m, true), ERR_EXISTS);
    group_load_end(h->group, h->now);
    assert_true(group_subscribed(h->group, BYTES_LIT("foo")));
    assert_true(group_subscribed(h->group, BYTES_LIT("ab")));
    assert_false(group_subscribed(h->group, BYTES_LIT("abc")));
    /* cut short: nobody knows, so all topics count as read */
    test_join(h, (test_member_t){.id = "m", .metadata = "x"});
    assert_true(group_subscribed(h->group, BYTES_LIT("abc")));
}

/* ---- loading ---------------------------------------------------------------------------------------- */

static void a_loaded_group_is_stable_and_its_members_must_show_themselves(void **state)
{
    test_host_t *h = *state;
    group_loaded_member_t m = {.id = BYTES_LIT("m"),
                               .client_id = BYTES_LIT("c"),
                               .client_host = BYTES_LIT("h"),
                               .subscription = BYTES_LIT("s"),
                               .assignment = BYTES_LIT("mine"),
                               .session_timeout_ms = 10000,
                               .rebalance_timeout_ms = -1};
    group_load(h->group, 7, BYTES_LIT("consumer"), BYTES_LIT("range"), 1234);
    assert_int_equal(group_load_member(h->group, &m, true), 0);
    group_load_end(h->group, h->now);
    assert_int_equal(h->group->state, GROUP_STABLE);
    assert_true(h->group->state_since_ms == 1234);
    assert_int_equal(test_heartbeat(h, "m", 7), KAFKA_NONE);
    int sync = test_sync(h, "m", NULL, 7, NULL);
    assert_string_equal(h->replies[sync].assignment, "mine");
    test_host_advance(h, 10000);
    assert_int_equal(h->group->state, GROUP_EMPTY);
}

static void a_group_loaded_without_members_is_empty_and_goes_on_counting(void **state)
{
    test_host_t *h = *state;
    group_load(h->group, 7, BYTES_LIT("consumer"), BYTES_NULL, 1234);
    group_load_end(h->group, h->now);
    assert_int_equal(h->group->state, GROUP_EMPTY);
    int a = test_join(h, (test_member_t){.version = 3});
    test_host_advance(h, 0);
    assert_int_equal(h->replies[a].generation, 8);
}

static void a_dead_group_answers_coordinator_not_available(void **state)
{
    test_host_t *h = *state;
    char ids[2][TEST_TEXT_MAX];
    test_stable_group(h, 2, ids);
    int parked = test_join(h, (test_member_t){.id = ids[0]});
    group_kill(h->group, KAFKA_NOT_COORDINATOR, h->now);
    assert_int_equal(test_error(h, parked), KAFKA_NOT_COORDINATOR);
    assert_int_equal(test_error(h, test_join(h, (test_member_t){0})), KAFKA_COORDINATOR_NOT_AVAILABLE);
    assert_int_equal(test_error(h, test_sync(h, ids[0], NULL, 1, NULL)), KAFKA_COORDINATOR_NOT_AVAILABLE);
    assert_int_equal(test_heartbeat(h, ids[0], 1), KAFKA_COORDINATOR_NOT_AVAILABLE);
    assert_int_equal(test_leave(h, ids[0], NULL), KAFKA_COORDINATOR_NOT_AVAILABLE);
    assert_int_equal(commit(h, ids[0], 1), KAFKA_COORDINATOR_NOT_AVAILABLE);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(thousands_who_disagree_on_the_order_vote_at_once),
        T(only_what_all_know_can_be_elected),
        T(all_whose_session_ends_at_once_are_gone_at_once),
        T(more_metadata_than_a_member_may_have_is_refused),
        T(a_group_remembers_only_so_much),
        T(a_new_member_must_come_back_with_the_id_it_is_given),
        T(before_version_4_no_second_join_is_needed),
        T(an_invented_member_id_is_refused),
        T(session_timeouts_out_of_bounds_are_refused),
        T(concurrent_first_joins_share_the_first_generation),
        T(a_pending_member_does_not_hold_up_the_first_generation),
        T(the_initial_delay_waits_for_more_members_and_grows_with_them),
        T(the_initial_delay_never_passes_the_rebalance_timeout),
        T(all_must_share_protocol_type_and_one_protocol),
        T(an_empty_group_wants_a_protocol_type_and_a_protocol),
        T(the_protocol_with_most_votes_among_those_all_know_wins),
        T(a_full_group_takes_no_more),
        T(when_the_bound_shrinks_the_last_to_rejoin_is_left_out),
        T(a_new_member_makes_all_rejoin),
        T(who_does_not_rejoin_in_time_is_out),
        T(a_leader_that_rejoins_forces_a_rebalance),
        T(a_follower_that_rejoins_unchanged_just_hears_the_generation),
        T(a_join_repeated_while_completing_gets_the_same_reply),
        T(a_join_that_replaces_a_parked_one_leaves_none_unanswered),
        T(a_leader_that_is_late_loses_the_lead),
        T(followers_wait_for_the_leaders_assignment),
        T(members_the_leader_forgot_get_an_empty_assignment),
        T(an_assignment_reaches_nobody_before_it_is_stored),
        T(a_failed_store_is_told_and_rebalances),
        T(a_store_that_ends_after_a_new_rebalance_began_changes_nothing),
        T(sync_checks_member_generation_and_protocol),
        T(who_joins_but_never_syncs_is_removed_after_the_rebalance_timeout),
        T(a_silent_member_is_removed_when_its_session_ends),
        T(when_all_are_silent_the_group_becomes_empty_and_that_is_stored),
        T(a_parked_join_outlives_its_session),
        T(a_first_join_is_not_parked_for_ever),
        T(heartbeats_are_checked),
        T(heartbeats_while_completing_are_fine),
        T(leaving_rebalances_the_rest_and_the_last_one_empties_the_group),
        T(a_batch_of_leavers_is_answered_one_by_one),
        T(a_pending_member_may_leave_and_lets_the_others_go_on),
        T(a_leaver_with_parked_requests_gets_them_answered),
        T(leaving_during_the_join_phase_may_end_it),
        T(commits_are_for_members_of_this_generation_or_empty_groups),
        T(a_commit_keeps_the_session_alive),
        T(subscriptions_tell_which_topics_are_read),
        T(a_loaded_group_is_stable_and_its_members_must_show_themselves),
        T(a_group_loaded_without_members_is_empty_and_goes_on_counting),
        T(a_dead_group_answers_coordinator_not_available),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

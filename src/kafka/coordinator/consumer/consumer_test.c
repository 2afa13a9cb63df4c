/* consumer_test.c: what a consumer-protocol group promises, and simulated clients that join, die, resubscribe
 * and dawdle from a seed: no partition is ever used by two of them, and in the end each has its fair share.
 */
#include "kafka/coordinator/consumer/consumer_test_host.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define CLIENTS 7

static const bytes_t t0[] = {BYTES_LIT("t0")};

static consumer_reply_t send(world_t *w, consumer_heartbeat_t in)
{
    consumer_reply_t reply;
    char message[CONSUMER_MESSAGE_BYTES];
    assert_int_equal(consumer_heartbeat_check(&in, message), KAFKA_NONE);
    consumer_heartbeat(w->group, &in, w->now, &reply);
    return reply;
}

static consumer_reply_t join(world_t *w, const char *id, const char *instance)
{
    static const tp_set_t nothing;
    return send(w, (consumer_heartbeat_t){.member_id = bytes_str(id),
                                          .instance_id = instance ? bytes_str(instance) : BYTES_NULL,
                                          .client_host = BYTES_LIT("/h"),
                                          .rebalance_timeout_ms = 60000,
                                          .topics = t0,
                                          .topics_count = 1,
                                          .owned = &nothing});
}

/* A heartbeat that says what it owns, or (NULL) nothing of it. */
static consumer_reply_t beat(world_t *w, const char *id, int32_t epoch, const tp_set_t *owned)
{
    return send(w, (consumer_heartbeat_t){.member_id = bytes_str(id),
                                          .member_epoch = epoch,
                                          .client_host = BYTES_LIT("/h"),
                                          .rebalance_timeout_ms = -1,
                                          .topics_count = -1,
                                          .owned = owned});
}

static void the_first_member_gets_all_at_once(void **state)
{
    world_t *w = *state;
    consumer_reply_t reply = join(w, "a", NULL);
    assert_int_equal(reply.error, KAFKA_NONE);
    assert_int_equal(reply.member_epoch, 2);
    assert_int_equal(reply.assignment->count, 6);
    assert_string_equal(consumer_state_text(w->group), "Stable");
    assert_null(beat(w, "a", 2, NULL).assignment); /* nothing new */
}

static void partitions_move_only_after_they_are_given_up(void **state)
{
    world_t *w = *state;
    tp_set_t owned = {0};
    tp_set_copy(&owned, join(w, "a", NULL).assignment);
    consumer_reply_t b = join(w, "b", NULL);
    assert_int_equal(b.member_epoch, 3);
    assert_int_equal(b.assignment->count, 0); /* a still holds them */
    assert_string_equal(consumer_state_text(w->group), "Reconciling");
    consumer_reply_t a = beat(w, "a", 2, &owned);
    assert_int_equal(a.member_epoch, 2); /* the old epoch, until it has revoked */
    assert_int_equal(a.assignment->count, 3);
    assert_null(beat(w, "b", 3, NULL).assignment);
    tp_set_copy(&owned, a.assignment);
    a = beat(w, "a", 2, &owned);
    assert_int_equal(a.member_epoch, 3);
    b = beat(w, "b", 3, NULL);
    assert_int_equal(b.assignment->count, 3);
    assert_false(tp_set_meets(b.assignment, &owned));
    assert_string_equal(consumer_state_text(w->group), "Stable");
    tp_set_deinit(&owned);
}

static void epochs_that_do_not_fit_are_fenced(void **state)
{
    world_t *w = *state;
    join(w, "a", NULL);
    assert_int_equal(beat(w, "a", 3, NULL).error, KAFKA_FENCED_MEMBER_EPOCH);
    assert_int_equal(beat(w, "x", 1, NULL).error, KAFKA_UNKNOWN_MEMBER_ID);
    /* the reply to the join was lost: it comes again */
    assert_int_equal(join(w, "a", NULL).error, KAFKA_NONE);
    beat(w, "a", 2, NULL);
    join(w, "b", NULL);
    beat(w, "a", 2, &(tp_set_t){0});
    assert_int_equal(beat(w, "a", 2, NULL).error, KAFKA_FENCED_MEMBER_EPOCH);
    assert_int_equal(join(w, "a", NULL).error, KAFKA_NONE); /* it lost its state and begins anew */
}

static void a_stale_member_hears_of_its_epoch_before_its_pattern(void **state)
{
    world_t *w = *state;
    join(w, "a", NULL);
    consumer_heartbeat_t in = {.member_id = BYTES_LIT("a"),
                               .member_epoch = 1,
                               .client_host = BYTES_LIT("/h"),
                               .rebalance_timeout_ms = -1,
                               .topics_count = -1,
                               .regex = BYTES_LIT("t(")};
    assert_int_equal(send(w, in).error, KAFKA_FENCED_MEMBER_EPOCH);
    in.member_epoch = 2;
    assert_int_equal(send(w, in).error, KAFKA_INVALID_REGULAR_EXPRESSION);
}

static void nobody_is_left_to_be_assigned_anything(void **state)
{
    world_t *w = *state;
    join(w, "a", NULL);
    beat(w, "a", CONSUMER_EPOCH_LEAVE, NULL);
    assert_int_equal(w->group->epoch, 3);
    assert_int_equal(w->group->assignment_epoch, 3);
}

static void who_does_not_revoke_in_time_is_out(void **state)
{
    world_t *w = *state;
    tp_set_t owned = {0};
    tp_set_copy(&owned, join(w, "a", NULL).assignment);
    join(w, "b", NULL);
    for (int i = 0; i < 12; i++) {
        assert_int_equal(beat(w, "a", 2, &owned).error, KAFKA_NONE);
        beat(w, "b", w->group->epoch, NULL);
        w->now.mono_ms += 5000;
        consumer_tick(w->group, w->now);
    }
    assert_int_equal(beat(w, "a", 2, &owned).error, KAFKA_UNKNOWN_MEMBER_ID);
    assert_int_equal(beat(w, "b", 3, NULL).assignment->count, 6);
    tp_set_deinit(&owned);
}

static void a_silent_members_partitions_go_to_the_others(void **state)
{
    world_t *w = *state;
    join(w, "a", NULL);
    w->now.mono_ms += 30000;
    join(w, "b", NULL);
    w->now.mono_ms += 15000;
    consumer_tick(w->group, w->now);
    assert_int_equal(w->group->members_count, 1);
    assert_int_equal(beat(w, "b", 3, NULL).assignment->count, 6);
}

static void leaving_is_heard_at_the_next_heartbeat(void **state)
{
    world_t *w = *state;
    join(w, "a", NULL);
    join(w, "b", NULL);
    assert_int_equal(beat(w, "a", CONSUMER_EPOCH_LEAVE, NULL).member_epoch, CONSUMER_EPOCH_LEAVE);
    assert_string_equal(consumer_state_text(w->group), "Assigning");
    assert_int_equal(beat(w, "b", 3, NULL).assignment->count, 6);
    beat(w, "b", CONSUMER_EPOCH_LEAVE, NULL);
    assert_string_equal(consumer_state_text(w->group), "Empty");
}

static void a_static_member_that_pauses_gets_its_partitions_back(void **state)
{
    world_t *w = *state;
    join(w, "a", "i");
    assert_int_equal(join(w, "a2", "i").error, KAFKA_UNRELEASED_INSTANCE_ID);
    int32_t epoch = w->group->epoch;
    send(w, (consumer_heartbeat_t){.member_id = BYTES_LIT("a"),
                                   .instance_id = BYTES_LIT("i"),
                                   .member_epoch = CONSUMER_EPOCH_LEAVE_STATIC,
                                   .client_host = BYTES_LIT("/h"),
                                   .rebalance_timeout_ms = -1,
                                   .topics_count = -1});
    consumer_reply_t back = join(w, "a2", "i");
    assert_int_equal(back.error, KAFKA_NONE);
    assert_int_equal(back.assignment->count, 6);
    assert_int_equal(w->group->epoch, epoch); /* nobody else noticed */
    assert_int_equal(beat(w, "a", epoch, NULL).error, KAFKA_UNKNOWN_MEMBER_ID);
}

static void topics_that_grow_are_shared_out(void **state)
{
    world_t *w = *state;
    join(w, "a", NULL);
    w->partitions[0] = 8;
    assert_null(beat(w, "a", 2, NULL).assignment); /* not told yet */
    w->version++;
    consumer_reply_t reply = beat(w, "a", 2, NULL);
    assert_int_equal(reply.assignment->count, 8);
    assert_int_equal(reply.member_epoch, 3);
}

static void patterns_find_topics_that_come_later(void **state)
{
    world_t *w = *state;
    static const tp_set_t nothing;
    consumer_heartbeat_t in = {.member_id = BYTES_LIT("a"),
                               .client_host = BYTES_LIT("/h"),
                               .rebalance_timeout_ms = 1000,
                               .topics_count = -1,
                               .regex = BYTES_LIT("t[01]"),
                               .owned = &nothing};
    assert_int_equal(send(w, in).assignment->count, 6);
    w->partitions[1] = 2;
    w->partitions[2] = 4;
    topic_patterns_created(w->host.patterns, BYTES_LIT("t1"));
    topic_patterns_created(w->host.patterns, BYTES_LIT("t2"));
    w->version++;
    assert_int_equal(beat(w, "a", 2, NULL).assignment->count, 8);
    assert_true(consumer_subscribed(w->group, BYTES_LIT("t1")));
    assert_false(consumer_subscribed(w->group, BYTES_LIT("t2")));
}

static void a_pattern_that_does_not_compile_changes_nothing(void **state)
{
    world_t *w = *state;
    static const tp_set_t nothing;
    consumer_reply_t reply = send(w, (consumer_heartbeat_t){.member_id = BYTES_LIT("a"),
                                                            .client_host = BYTES_LIT("/h"),
                                                            .rebalance_timeout_ms = 1000,
                                                            .topics_count = -1,
                                                            .regex = BYTES_LIT("t("),
                                                            .owned = &nothing});
    assert_int_equal(reply.error, KAFKA_INVALID_REGULAR_EXPRESSION);
    assert_string_equal(reply.message,
                        "SubscribedTopicRegex `t(` is not a valid regular expression: missing closing ).");
    assert_int_equal(w->group->members_count, 0);
}

static void requests_that_no_group_accepts_are_told_why(void **state)
{
    char message[CONSUMER_MESSAGE_BYTES];
    tp_set_t nothing = {0};
    consumer_heartbeat_t in = {
        .member_id = BYTES_LIT("a"), .rebalance_timeout_ms = -1, .topics = t0, .topics_count = 1, .owned = &nothing};
    assert_int_equal(consumer_heartbeat_check(&in, message), KAFKA_INVALID_REQUEST);
    assert_string_equal(message, "RebalanceTimeoutMs must be provided in first request.");
    in.rebalance_timeout_ms = 1000;
    in.assignor = BYTES_LIT("mine");
    assert_int_equal(consumer_heartbeat_check(&in, message), KAFKA_UNSUPPORTED_ASSIGNOR);
    assert_string_equal(message, "ServerAssignor mine is not supported. Supported assignors: uniform, range.");
    in.assignor = BYTES_NULL;
    in.own_id_required = true;
    in.member_id = BYTES_LIT(" ");
    assert_int_equal(consumer_heartbeat_check(&in, message), KAFKA_INVALID_REQUEST);
    assert_string_equal(message, "MemberId can't be empty.");
    in.member_id = BYTES_LIT("a");
    in.rack_id = BYTES_LIT("");
    assert_int_equal(consumer_heartbeat_check(&in, message), KAFKA_INVALID_REQUEST);
    in.rack_id = BYTES_NULL;
    in.member_epoch = -3;
    assert_int_equal(consumer_heartbeat_check(&in, message), KAFKA_INVALID_REQUEST);
    in.member_epoch = CONSUMER_EPOCH_LEAVE_STATIC;
    assert_int_equal(consumer_heartbeat_check(&in, message), KAFKA_INVALID_REQUEST);
}

static void commits_need_the_members_present_epoch(void **state)
{
    world_t *w = *state;
    assert_int_equal(consumer_commit_check(w->group, BYTES_LIT(""), -1, 9), KAFKA_NONE);
    join(w, "a", NULL);
    assert_int_equal(consumer_commit_check(w->group, BYTES_LIT("a"), 2, 9), KAFKA_NONE);
    assert_int_equal(consumer_commit_check(w->group, BYTES_LIT("a"), 0, 9), KAFKA_STALE_MEMBER_EPOCH);
    assert_int_equal(consumer_commit_check(w->group, BYTES_LIT("a"), 2, 8), KAFKA_UNSUPPORTED_VERSION);
    assert_int_equal(consumer_commit_check(w->group, BYTES_LIT(""), -1, 9), KAFKA_UNKNOWN_MEMBER_ID);
}

#define MANY_MEMBERS    1000
#define MANY_PARTITIONS 10000

/* A target a member and a member a join: quadratic in either takes minutes, and the test's own time limit ends it. */
static void a_thousand_members_join_one_by_one(world_t *w, const char *assignor, bool same)
{
    static const bytes_t both[] = {BYTES_LIT("t0"), BYTES_LIT("t1")};
    static const tp_set_t nothing;
    w->config.members_max = MANY_MEMBERS;
    w->partitions[0] = w->partitions[1] = MANY_PARTITIONS / 2;
    for (int i = 0; i < MANY_MEMBERS; i++) {
        char id[16];
        snprintf(id, sizeof(id), "m%d", i);
        consumer_reply_t reply = send(w, (consumer_heartbeat_t){.member_id = bytes_str(id),
                                                                .client_host = BYTES_LIT("/h"),
                                                                .rebalance_timeout_ms = 60000,
                                                                .assignor = bytes_str(assignor),
                                                                .topics = both,
                                                                .topics_count = same || i % 2 ? 2 : 1,
                                                                .owned = &nothing});
        assert_int_equal(reply.error, KAFKA_NONE);
    }
    size_t total = 0;
    LIST_EACH(&w->group->members, m, consumer_member_t, node) {
        if (same) assert_int_equal(m->target.count, MANY_PARTITIONS / MANY_MEMBERS);
        assert_in_range(m->target.count, 1, 2 * MANY_PARTITIONS / MANY_MEMBERS);
        total += m->target.count;
    }
    assert_int_equal(total, MANY_PARTITIONS);
}

static void many_members_and_partitions_are_assigned_uniformly(void **state)
{
    a_thousand_members_join_one_by_one(*state, "uniform", true);
}

static void many_members_that_read_different_topics_are_assigned_uniformly(void **state)
{
    a_thousand_members_join_one_by_one(*state, "uniform", false);
}

static void many_members_and_partitions_are_assigned_by_range(void **state)
{
    a_thousand_members_join_one_by_one(*state, "range", true);
}

static void a_static_member_may_come_back_under_its_old_id(void **state)
{
    world_t *w = *state;
    join(w, "a", "i");
    send(w, (consumer_heartbeat_t){.member_id = BYTES_LIT("a"),
                                   .instance_id = BYTES_LIT("i"),
                                   .member_epoch = CONSUMER_EPOCH_LEAVE_STATIC,
                                   .client_host = BYTES_LIT("/h"),
                                   .rebalance_timeout_ms = -1,
                                   .topics_count = -1});
    assert_int_equal(join(w, "a", "i").assignment->count, 6);
    assert_int_equal(beat(w, "a", w->group->epoch, NULL).error, KAFKA_NONE);
    assert_int_equal(w->group->members_count, 1);
}

/* ---- simulated clients ---- */

typedef struct client {
    char id[16];
    int32_t epoch; /* 0: must join */
    tp_set_t uses;
    tp_set_t told; /* its last assignment */
    bool range;
    int topics; /* bits */
} client_t;

static void client_beat(world_t *w, client_t *c, bool full)
{
    static const bytes_t names[TOPICS] = {BYTES_LIT("t0"), BYTES_LIT("t1"), BYTES_LIT("t2")};
    bytes_t topics[TOPICS];
    int32_t count = 0;
    for (int i = 0; i < TOPICS; i++) {
        if (c->topics >> i & 1) topics[count++] = names[i];
    }
    bool joins = c->epoch == 0;
    if (joins) tp_set_clear(&c->uses);
    consumer_heartbeat_t in = {.member_id = bytes_str(c->id),
                               .member_epoch = c->epoch,
                               .client_host = BYTES_LIT("/h"),
                               .rebalance_timeout_ms = joins || full ? 60000 : -1,
                               .topics = topics,
                               .topics_count = joins || full ? count : -1,
                               .owned = &c->uses,
                               .assignor = c->range ? BYTES_LIT("range") : BYTES_LIT("uniform")};
    consumer_reply_t reply = send(w, in);
    if (reply.error != KAFKA_NONE) {
        c->epoch = 0;
        tp_set_clear(&c->uses);
        tp_set_clear(&c->told);
        return;
    }
    c->epoch = reply.member_epoch;
    if (reply.assignment) tp_set_copy(&c->told, reply.assignment);
    /* It stops using what it lost at once or, when it dawdles, at a later heartbeat; what is new it uses at
     * once. */
    tp_set_t keep = {0};
    tp_set_copy(&keep, &c->told);
    for (size_t i = 0; i < c->uses.count; i++) {
        if (world_pick(w, 3) == 0) tp_set_add(&keep, c->uses.items[i]);
    }
    tp_set_copy(&c->uses, &keep);
    tp_set_deinit(&keep);
}

static void nobody_shares(client_t *clients)
{
    for (int i = 0; i < CLIENTS; i++) {
        for (int j = i + 1; j < CLIENTS; j++) assert_false(tp_set_meets(&clients[i].uses, &clients[j].uses));
    }
}

static void die(world_t *w, client_t *c, int index)
{
    beat(w, c->id, CONSUMER_EPOCH_LEAVE, NULL);
    snprintf(c->id, sizeof(c->id), "c%d-%u", index, world_pick(w, 1000000));
    c->epoch = 0;
    tp_set_clear(&c->uses);
    tp_set_clear(&c->told);
}

static void all_is_shared_out(world_t *w, client_t *clients)
{
    size_t total = 0, expected = 0;
    int read = 0;
    for (int i = 0; i < CLIENTS; i++) {
        assert_int_equal(clients[i].epoch, w->group->epoch);
        total += clients[i].uses.count;
        read |= clients[i].topics;
    }
    for (int t = 0; t < TOPICS; t++) expected += read >> t & 1 ? (size_t)w->partitions[t] : 0;
    assert_int_equal(total, expected);
    assert_string_equal(consumer_state_text(w->group), "Stable");
}

static void run(uint64_t seed)
{
    void *state;
    world_setup(&state);
    world_t *w = state;
    client_t clients[CLIENTS] = {0};
    w->random = seed;
    for (int i = 0; i < CLIENTS; i++) {
        snprintf(clients[i].id, sizeof(clients[i].id), "c%d", i);
        clients[i].topics = 1 + (int)world_pick(w, 7);
        clients[i].range = seed % 3 == 0;
    }
    for (int step = 0; step < 400; step++) {
        int index = (int)world_pick(w, CLIENTS);
        uint32_t what = world_pick(w, 30);
        if (what == 0) die(w, &clients[index], index);
        if (what == 1) clients[index].topics = 1 + (int)world_pick(w, 7);
        if (what == 2) w->partitions[world_pick(w, TOPICS)] += (int32_t)world_pick(w, 4), w->version++;
        client_beat(w, &clients[index], what == 1);
        nobody_shares(clients);
        w->now.mono_ms += world_pick(w, 500);
        consumer_tick(w->group, w->now);
    }
    for (int round = 0; round < 60; round++) {
        for (int i = 0; i < CLIENTS; i++) client_beat(w, &clients[i], false);
        nobody_shares(clients);
    }
    all_is_shared_out(w, clients);
    for (int i = 0; i < CLIENTS; i++) {
        tp_set_deinit(&clients[i].uses);
        tp_set_deinit(&clients[i].told);
    }
    world_teardown(&state);
}

static void no_partition_is_used_twice_whatever_happens(void **state)
{
    for (uint64_t seed = 1; seed <= 150; seed++) run(seed);
}

#define T(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(the_first_member_gets_all_at_once),
        T(partitions_move_only_after_they_are_given_up),
        T(epochs_that_do_not_fit_are_fenced),
        T(a_stale_member_hears_of_its_epoch_before_its_pattern),
        T(nobody_is_left_to_be_assigned_anything),
        T(who_does_not_revoke_in_time_is_out),
        T(a_silent_members_partitions_go_to_the_others),
        T(leaving_is_heard_at_the_next_heartbeat),
        T(a_static_member_that_pauses_gets_its_partitions_back),
        T(topics_that_grow_are_shared_out),
        T(many_members_and_partitions_are_assigned_uniformly),
        T(many_members_that_read_different_topics_are_assigned_uniformly),
        T(many_members_and_partitions_are_assigned_by_range),
        T(a_static_member_may_come_back_under_its_old_id),
        T(patterns_find_topics_that_come_later),
        T(requests_that_no_group_accepts_are_told_why),
        T(commits_need_the_members_present_epoch),
        T(a_pattern_that_does_not_compile_changes_nothing),
        cmocka_unit_test(no_partition_is_used_twice_whatever_happens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

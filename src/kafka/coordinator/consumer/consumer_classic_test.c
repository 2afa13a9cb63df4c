/* consumer_classic_test.c: members of the classic protocol in a consumer group: what they are told, when they must join
 * again, how such a group begins and ends; and simulated clients of both protocols that come, go and dawdle from a seed. */
#include "kafka/coordinator/consumer/consumer_test_host.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define CLIENTS 8

static const tp_set_t nothing;
static const bytes_t t0[] = {BYTES_LIT("t0")};
static const group_protocol_t range_only[] = {{BYTES_LIT("range"), BYTES_LIT("m")}};

typedef struct joining {
    const char *id, *instance;
    const tp_set_t *owned;
    bool asks_for_id;
} joining_t;

static consumer_join_reply_t join(world_t *w, joining_t j)
{
    group_join_t in = {
        .member_id = bytes_str(j.id ? j.id : ""),
        .instance_id = j.instance ? bytes_str(j.instance) : BYTES_NULL,
        .client_host = BYTES_LIT("/h"),
        .protocol_type = BYTES_LIT("consumer"),
        .protocols = range_only,
        .protocols_count = 1,
        .session_timeout_ms = 45000,
        .rebalance_timeout_ms = 60000,
        .member_id_required = j.asks_for_id,
    };
    consumer_subscription_t s = {.topics = t0, .topics_count = 1, .owned = j.owned ? j.owned : &nothing};
    consumer_join_reply_t reply;
    consumer_classic_join(w->group, &in, &s, BYTES_LIT("made"), w->now, &reply);
    return reply;
}

static kafka_code_t sync_of(world_t *w, const char *id, int32_t generation, const consumer_member_t **ret_member)
{
    group_sync_t in = {.member_id = bytes_str(id), .generation = generation};
    return consumer_classic_sync(w->group, &in, w->now, ret_member);
}

static kafka_code_t heartbeat(world_t *w, const char *id, int32_t generation)
{
    return consumer_classic_heartbeat(w->group, bytes_str(id), BYTES_NULL, generation, w->now);
}

static consumer_reply_t modern(world_t *w, const char *id, int32_t epoch, const tp_set_t *owned)
{
    bool joins = epoch == 0;
    consumer_heartbeat_t in = {.member_id = bytes_str(id),
                               .member_epoch = epoch,
                               .client_host = BYTES_LIT("/h"),
                               .rebalance_timeout_ms = joins ? 60000 : -1,
                               .topics = t0,
                               .topics_count = joins ? 1 : -1,
                               .owned = owned   ? owned
                                        : joins ? &nothing
                                                : NULL};
    consumer_reply_t reply;
    consumer_heartbeat(w->group, &in, w->now, &reply);
    return reply;
}

/* Two classic members with three partitions each, in generation 4. */
static void upgrade(world_t *w)
{
    group_member_t members[2] = {
        {.id = BYTES_LIT("a"), .protocols = (group_protocol_t *)range_only, .protocols_count = 1},
        {.id = BYTES_LIT("b"), .protocols = (group_protocol_t *)range_only, .protocols_count = 1},
    };
    tp_set_t assigned[2] = {{0}};
    consumer_converted_t converted[2];
    for (int i = 0; i < 2; i++) {
        members[i].session_timeout_ms = 10000;
        members[i].rebalance_timeout_ms = 60000;
        for (int32_t p = 0; p < 3; p++) tp_set_add(&assigned[i], (topic_partition_t){world_topic_id(0), 3 * i + p});
        converted[i] = (consumer_converted_t){&members[i], {.topics = t0, .topics_count = 1}, &assigned[i]};
    }
    tp_set_add(&assigned[1], (topic_partition_t){world_topic_id(0), 0}); /* which a has already */
    consumer_from_classic(w->group, 4, converted, 2, w->now);
    for (int i = 0; i < 2; i++) tp_set_deinit(&assigned[i]);
}

static void members_of_a_classic_group_keep_what_they_have(void **state)
{
    world_t *w = *state;
    upgrade(w);
    assert_int_equal(w->group->epoch, 4);
    assert_int_equal(consumer_find(w->group, BYTES_LIT("a"))->assigned.count, 3);
    assert_int_equal(consumer_find(w->group, BYTES_LIT("b"))->assigned.count, 3); /* and not what a has */
    assert_int_equal(heartbeat(w, "a", 4), KAFKA_NONE);
    assert_int_equal(consumer_commit_check(w->group, BYTES_LIT("a"), 4, 2), KAFKA_NONE);
    assert_int_equal(consumer_commit_check(w->group, BYTES_LIT("a"), 3, 9), KAFKA_ILLEGAL_GENERATION);
    assert_true(consumer_is_all_classic(w->group));
}

static void a_modern_member_gets_its_share_once_classic_ones_have_joined_again(void **state)
{
    world_t *w = *state;
    const consumer_member_t *m;
    upgrade(w);
    assert_int_equal(modern(w, "c", 0, NULL).assignment->count, 0);
    assert_false(consumer_is_all_classic(w->group));
    assert_int_equal(heartbeat(w, "a", 4), KAFKA_REBALANCE_IN_PROGRESS);
    assert_int_equal(sync_of(w, "a", 4, &m), KAFKA_REBALANCE_IN_PROGRESS);
    consumer_join_reply_t again = join(w, (joining_t){.id = "a"});
    assert_int_equal(again.error, KAFKA_NONE);
    assert_int_equal(again.generation, 5);
    assert_int_equal(sync_of(w, "a", 4, &m), KAFKA_ILLEGAL_GENERATION);
    assert_int_equal(sync_of(w, "a", 5, &m), KAFKA_NONE);
    assert_int_equal(m->assigned.count, 2);
    join(w, (joining_t){.id = "b"});
    assert_int_equal(heartbeat(w, "b", 5), KAFKA_NONE);
    assert_int_equal(modern(w, "c", 5, NULL).assignment->count, 2);
    assert_string_equal(consumer_state_text(w->group), "Stable");
}

/* It says what it still owns, keeps its generation until it has let go, and is told to join again for it. */
static void a_cooperative_member_lets_go_before_it_moves_on(void **state)
{
    world_t *w = *state;
    const consumer_member_t *m;
    tp_set_t owned = {0};
    upgrade(w);
    tp_set_copy(&owned, &consumer_find(w->group, BYTES_LIT("a"))->assigned);
    modern(w, "c", 0, NULL);
    assert_int_equal(join(w, (joining_t){.id = "a", .owned = &owned}).generation, 4);
    assert_int_equal(sync_of(w, "a", 4, &m), KAFKA_NONE);
    assert_int_equal(m->assigned.count, 2);
    assert_int_equal(heartbeat(w, "a", 4), KAFKA_REBALANCE_IN_PROGRESS);
    tp_set_copy(&owned, &m->assigned);
    assert_int_equal(join(w, (joining_t){.id = "a", .owned = &owned}).generation, 5);
    assert_int_equal(heartbeat(w, "a", 5), KAFKA_NONE);
    assert_int_equal(modern(w, "c", 5, NULL).assignment->count, 1);
    tp_set_deinit(&owned);
}

static void who_is_new_gets_an_id_and_what_is_free(void **state)
{
    world_t *w = *state;
    const consumer_member_t *m;
    modern(w, "c", 0, NULL);
    consumer_join_reply_t reply = join(w, (joining_t){.asks_for_id = true});
    assert_int_equal(reply.error, KAFKA_MEMBER_ID_REQUIRED);
    assert_memory_equal(reply.member_id.ptr, "made", 4);
    reply = join(w, (joining_t){.id = "made", .asks_for_id = true});
    assert_int_equal(reply.generation, 3);
    assert_int_equal(sync_of(w, "made", 3, &m), KAFKA_NONE);
    assert_int_equal(m->assigned.count, 0); /* c has them still */
    assert_int_equal(heartbeat(w, "made", 3), KAFKA_NONE);
    tp_set_t owned = {0};
    tp_set_copy(&owned, modern(w, "c", 2, NULL).assignment);
    modern(w, "c", 2, &owned);
    assert_int_equal(heartbeat(w, "made", 3), KAFKA_REBALANCE_IN_PROGRESS); /* they are free */
    join(w, (joining_t){.id = "made"});
    assert_int_equal(sync_of(w, "made", 3, &m), KAFKA_NONE);
    assert_int_equal(m->assigned.count, 3);
    tp_set_deinit(&owned);
}

static void who_does_not_join_again_in_time_is_out(void **state)
{
    world_t *w = *state;
    upgrade(w);
    modern(w, "c", 0, NULL);
    for (int i = 0; i < 13; i++) {
        heartbeat(w, "a", 4);
        modern(w, "c", w->group->assignment_epoch, NULL);
        w->now.mono_ms += 5000;
        consumer_tick(w->group, w->now);
    }
    assert_int_equal(heartbeat(w, "a", 4), KAFKA_UNKNOWN_MEMBER_ID);
}

static void who_joins_and_never_asks_for_its_assignment_is_out(void **state)
{
    world_t *w = *state;
    modern(w, "c", 0, NULL);
    join(w, (joining_t){.id = "a"});
    for (int i = 0; i < 13; i++) {
        heartbeat(w, "a", 3);
        w->now.mono_ms += 5000;
        consumer_tick(w->group, w->now);
    }
    assert_int_equal(heartbeat(w, "a", 3), KAFKA_UNKNOWN_MEMBER_ID);
}

static void a_silent_classic_members_session_is_its_own(void **state)
{
    world_t *w = *state;
    upgrade(w);
    w->now.mono_ms += 10000;
    consumer_tick(w->group, w->now);
    assert_int_equal(w->group->members_count, 0);
}

static void a_static_member_changes_its_protocol_and_keeps_its_partitions(void **state)
{
    world_t *w = *state;
    const consumer_member_t *m;
    consumer_heartbeat_t in = {.member_id = BYTES_LIT("c"),
                               .instance_id = BYTES_LIT("i"),
                               .client_host = BYTES_LIT("/h"),
                               .rebalance_timeout_ms = 60000,
                               .topics = t0,
                               .topics_count = 1,
                               .owned = &nothing};
    consumer_reply_t reply;
    consumer_heartbeat(w->group, &in, w->now, &reply);
    consumer_join_reply_t joined = join(w, (joining_t){.instance = "i"});
    assert_int_equal(joined.error, KAFKA_NONE);
    assert_true(joined.replaced_consumer);
    assert_true(consumer_is_all_classic(w->group));
    assert_int_equal(joined.generation, 2);
    assert_int_equal(sync_of(w, "made", 2, &m), KAFKA_NONE);
    assert_int_equal(m->assigned.count, 6);
    assert_int_equal(join(w, (joining_t){.id = "x", .instance = "i"}).error, KAFKA_FENCED_INSTANCE_ID);
    assert_int_equal(join(w, (joining_t){.id = "x", .instance = "j"}).error, KAFKA_UNKNOWN_MEMBER_ID);
    in.member_id = BYTES_LIT("d"); /* and back */
    consumer_heartbeat(w->group, &in, w->now, &reply);
    assert_int_equal(reply.error, KAFKA_NONE);
    assert_int_equal(reply.assignment->count, 6);
    assert_false(consumer_find(w->group, BYTES_LIT("d"))->classic);
}

static void protocols_that_classic_members_do_not_share_are_refused(void **state)
{
    world_t *w = *state;
    upgrade(w);
    static const group_protocol_t other[] = {{BYTES_LIT("sticky"), BYTES_LIT("m")}};
    group_join_t in = {
        .member_id = BYTES_LIT("x"), .protocol_type = BYTES_LIT("consumer"), .protocols = other, .protocols_count = 1};
    consumer_subscription_t s = {.topics = t0, .topics_count = 1, .owned = &nothing};
    consumer_join_reply_t reply;
    consumer_classic_join(w->group, &in, &s, BYTES_LIT("made"), w->now, &reply);
    assert_int_equal(reply.error, KAFKA_INCONSISTENT_GROUP_PROTOCOL);
    in.protocols = range_only;
    in.protocol_type = BYTES_LIT("connect");
    consumer_classic_join(w->group, &in, &s, BYTES_LIT("made"), w->now, &reply);
    assert_int_equal(reply.error, KAFKA_INCONSISTENT_GROUP_PROTOCOL);
}

static void members_of_either_protocol_can_be_removed(void **state)
{
    world_t *w = *state;
    join(w, (joining_t){.instance = "i"});
    modern(w, "c", 0, NULL);
    int32_t epoch = w->group->epoch;
    group_leaver_t leavers[] = {{.member_id = BYTES_LIT(""), .instance_id = BYTES_LIT("i")},
                                {.member_id = BYTES_LIT("c")},
                                {.member_id = BYTES_LIT("x")},
                                {.member_id = BYTES_LIT("")}};
    consumer_leave(w->group, leavers, ARRAY_LEN(leavers));
    assert_int_equal(leavers[0].error, KAFKA_NONE);
    assert_int_equal(leavers[1].error, KAFKA_NONE);
    assert_int_equal(leavers[2].error, KAFKA_UNKNOWN_MEMBER_ID);
    assert_int_equal(leavers[3].error, KAFKA_UNKNOWN_MEMBER_ID);
    assert_int_equal(w->group->members_count, 0);
    assert_int_equal(w->group->epoch, epoch + 1);
    assert_int_equal(w->group->kept_bytes, 0);
}

/* ---- simulated clients ---- */

typedef struct client {
    char id[16];
    int32_t epoch; /* 0: must join */
    bool classic, cooperative;
    bool must_sync;
    tp_set_t uses, told;
} client_t;

static void forget(client_t *c)
{
    c->epoch = 0;
    c->must_sync = false;
    tp_set_clear(&c->uses);
    tp_set_clear(&c->told);
}

/* An eager client gives everything up before it joins, a cooperative one says what it has. */
static void classic_join(world_t *w, client_t *c)
{
    if (!c->cooperative) tp_set_clear(&c->uses);
    consumer_join_reply_t reply = join(w, (joining_t){.id = c->id, .owned = &c->uses});
    assert_int_equal(reply.error, KAFKA_NONE);
    c->epoch = reply.generation;
    c->must_sync = true;
}

static void classic_sync(world_t *w, client_t *c)
{
    const consumer_member_t *m;
    kafka_code_t error = sync_of(w, c->id, c->epoch, &m);
    c->must_sync = false;
    if (error == KAFKA_REBALANCE_IN_PROGRESS) return classic_join(w, c);
    if (error != KAFKA_NONE) return forget(c);
    bool lost = !tp_set_within(&c->uses, &m->assigned);
    tp_set_copy(&c->uses, &m->assigned);
    if (lost) classic_join(w, c); /* as cooperative consumers do */
}

static void classic_turn(world_t *w, client_t *c)
{
    if (c->must_sync) return classic_sync(w, c);
    if (c->epoch == 0) return classic_join(w, c);
    kafka_code_t error = heartbeat(w, c->id, c->epoch);
    if (error == KAFKA_REBALANCE_IN_PROGRESS) return classic_join(w, c);
    if (error != KAFKA_NONE) forget(c);
}

static void modern_turn(world_t *w, client_t *c)
{
    consumer_reply_t reply = modern(w, c->id, c->epoch, &c->uses);
    if (reply.error != KAFKA_NONE) return forget(c);
    c->epoch = reply.member_epoch;
    if (reply.assignment) tp_set_copy(&c->told, reply.assignment);
    tp_set_copy(&c->uses, &c->told);
}

static void turn(world_t *w, client_t *c) { c->classic ? classic_turn(w, c) : modern_turn(w, c); }

static void leave(world_t *w, client_t *c, int index)
{
    group_leaver_t leaver = {.member_id = bytes_str(c->id)};
    consumer_leave(w->group, &leaver, 1);
    forget(c);
    snprintf(c->id, sizeof(c->id), "c%d-%u", index, world_pick(w, 1000000));
    c->classic = world_pick(w, 2);
}

static void nobody_shares(const client_t *clients)
{
    for (int i = 0; i < CLIENTS; i++) {
        for (int j = i + 1; j < CLIENTS; j++) assert_false(tp_set_meets(&clients[i].uses, &clients[j].uses));
    }
}

static void run(uint64_t seed)
{
    void *state;
    world_setup(&state);
    world_t *w = state;
    client_t clients[CLIENTS] = {0};
    w->random = seed;
    w->partitions[0] = 17;
    for (int i = 0; i < CLIENTS; i++) {
        snprintf(clients[i].id, sizeof(clients[i].id), "c%d", i);
        clients[i].classic = i % 2;
        clients[i].cooperative = i % 3;
    }
    for (int step = 0; step < 400; step++) {
        int index = (int)world_pick(w, CLIENTS);
        if (world_pick(w, 30) == 0) leave(w, &clients[index], index);
        if (world_pick(w, 60) == 0) w->partitions[0]++, w->version++;
        turn(w, &clients[index]);
        nobody_shares(clients);
        w->now.mono_ms += world_pick(w, 500);
        consumer_tick(w->group, w->now);
    }
    size_t total = 0;
    for (int round = 0; round < 60; round++) {
        for (int i = 0; i < CLIENTS; i++) turn(w, &clients[i]);
        nobody_shares(clients);
    }
    for (int i = 0; i < CLIENTS; i++) {
        total += clients[i].uses.count;
        assert_in_range(clients[i].uses.count, (size_t)w->partitions[0] / CLIENTS,
                        (size_t)w->partitions[0] / CLIENTS + 1);
        tp_set_deinit(&clients[i].uses);
        tp_set_deinit(&clients[i].told);
    }
    assert_int_equal(total, w->partitions[0]);
    assert_string_equal(consumer_state_text(w->group), "Stable");
    world_teardown(&state);
}

static void clients_of_both_protocols_never_share_a_partition_and_settle(void **state)
{
    for (uint64_t seed = 1; seed <= 150; seed++) run(seed);
}

#define T(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(members_of_a_classic_group_keep_what_they_have),
        T(a_modern_member_gets_its_share_once_classic_ones_have_joined_again),
        T(a_cooperative_member_lets_go_before_it_moves_on),
        T(who_is_new_gets_an_id_and_what_is_free),
        T(who_does_not_join_again_in_time_is_out),
        T(who_joins_and_never_asks_for_its_assignment_is_out),
        T(a_silent_classic_members_session_is_its_own),
        T(a_static_member_changes_its_protocol_and_keeps_its_partitions),
        T(protocols_that_classic_members_do_not_share_are_refused),
        T(members_of_either_protocol_can_be_removed),
        cmocka_unit_test(clients_of_both_protocols_never_share_a_partition_and_settle),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

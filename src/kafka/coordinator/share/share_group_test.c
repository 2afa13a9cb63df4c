/* share_group_test.c: share groups without a broker: who joins and is fenced, when partitions are assigned, how evenly, and that a
 * group played back from its records is the group that wrote them. */
#include "kafka/coordinator/share/share_group.h"

#include "kafka/coordinator/share/share_group_records.h"
#include "kafka/record/record.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define TOPICS_MAX  4
#define MEMBERS_MAX 12

typedef struct world {
    share_group_t *g;
    consumer_config_t config;
    int32_t partitions[TOPICS_MAX]; /* of the topics "t0" ..; 0 = there is none */
    uint64_t topics_version;
    runtime_now_t now;
    int32_t epochs[MEMBERS_MAX]; /* of the members "m0" .., as they know it; -1 = not in the group */
} world_t;

static bool find_topic(void *user, bytes_t name, kafka_uuid_t *ret_id, int32_t *ret_count)
{
    const world_t *w = user;
    int index = name.ptr[1] - '0';
    if (index < 0 || index >= TOPICS_MAX || w->partitions[index] == 0) return false;
    *ret_id = (kafka_uuid_t){{(uint8_t)(index + 1)}};
    *ret_count = w->partitions[index];
    return true;
}

static uint64_t topics_version(void *user) { return ((const world_t *)user)->topics_version; }

static const share_group_host_t host = {find_topic, topics_version};

static world_t *world_new(void)
{
    world_t *w = calloc(1, sizeof(*w));
    w->config = (consumer_config_t){45000, 5000, 10};
    w->topics_version = 1;
    w->partitions[0] = 3;
    w->now = (runtime_now_t){1000, 1000};
    for (int i = 0; i < MEMBERS_MAX; i++) w->epochs[i] = -1;
    w->g = share_group_new(BYTES_LIT("g"), &w->config, &host, w);
    return w;
}

static void world_free(world_t *w)
{
    share_group_free(w->g);
    free(w);
}

static share_reply_t beat(world_t *w, const char *member, int32_t epoch, const bytes_t *topics, int32_t count)
{
    share_reply_t reply;
    share_heartbeat_t in = {.member_id = bytes_str(member),
                            .member_epoch = epoch,
                            .client_id = BYTES_LIT("c"),
                            .client_host = BYTES_LIT("/h"),
                            .topics = topics,
                            .topics_count = count};
    share_heartbeat(w->g, &in, w->now, &reply);
    return reply;
}

/* When targets may be computed again. */
static share_reply_t later_beat(world_t *w, const char *member, int32_t epoch, const bytes_t *topics, int32_t count)
{
    w->now.mono_ms += SHARE_ASSIGNMENT_INTERVAL_MS;
    w->now.wall_ms += SHARE_ASSIGNMENT_INTERVAL_MS;
    return beat(w, member, epoch, topics, count);
}

static const bytes_t t0[] = {{(const uint8_t *)"t0", 2}};

/* Makes all states that the group wants; how many those were. */
static size_t make_states(world_t *w)
{
    tp_set_t fresh = {0}, grown = {0};
    share_group_want_states(w->g, w->now, &fresh, &grown);
    share_group_states_made(w->g, &fresh);
    share_group_states_made(w->g, &grown);
    size_t count = fresh.count + grown.count;
    tp_set_deinit(&fresh);
    tp_set_deinit(&grown);
    return count;
}

/* ---- members --------------------------------------------------------------------------------------------------------- */

static void partitions_are_assigned_once_they_have_states(void **state)
{
    world_t *w = world_new();
    share_reply_t reply = beat(w, "m0", 0, t0, 1);
    assert_int_equal(reply.error, KAFKA_NONE);
    assert_int_equal(reply.member_epoch, 2);
    assert_int_equal(reply.assignment->count, 0);
    assert_string_equal(share_group_state_text(w->g), "Stable");
    assert_int_equal(make_states(w), 3);
    assert_int_equal(make_states(w), 0);
    reply = later_beat(w, "m0", 2, NULL, -1);
    assert_int_equal(reply.member_epoch, 3);
    assert_int_equal(reply.assignment->count, 3);
    reply = later_beat(w, "m0", 3, NULL, -1);
    assert_int_equal(reply.member_epoch, 3);
    assert_null(reply.assignment); /* unchanged */
    world_free(w);
}

/* It has the group's last epoch until then, and nothing. */
static void who_comes_just_behind_another_waits_for_the_next_targets(void **state)
{
    world_t *w = world_new();
    (void)beat(w, "m0", 0, t0, 1);
    (void)make_states(w);
    assert_int_equal(later_beat(w, "m0", 2, NULL, -1).assignment->count, 3);
    share_reply_t reply = beat(w, "m1", 0, t0, 1);
    assert_int_equal(reply.member_epoch, 3);
    assert_int_equal(reply.assignment->count, 0);
    reply = later_beat(w, "m1", 3, NULL, -1);
    assert_int_equal(reply.member_epoch, 4);
    assert_true(reply.assignment->count > 0);
    world_free(w);
}

static void a_topic_that_grows_or_comes_back_wants_states(void **state)
{
    world_t *w = world_new();
    tp_set_t fresh = {0}, grown = {0};
    (void)beat(w, "m0", 0, t0, 1);
    assert_int_equal(make_states(w), 3);
    w->partitions[0] = 5;
    w->topics_version++;
    (void)later_beat(w, "m0", 2, NULL, -1);
    share_group_want_states(w->g, w->now, &fresh, &grown);
    assert_int_equal(fresh.count, 0);
    assert_int_equal(grown.count, 2); /* these begin at their start */
    share_group_states_failed(w->g, &grown);
    tp_set_clear(&grown);
    share_group_want_states(w->g, w->now, &fresh, &grown);
    assert_int_equal(grown.count, 2); /* what failed is asked for again */
    tp_set_clear(&grown);
    share_group_want_states(w->g, w->now, &fresh, &grown);
    assert_int_equal(grown.count, 0); /* what is under way is not */
    w->now.mono_ms += SHARE_INITIALIZE_RETRY_MS;
    share_group_want_states(w->g, w->now, &fresh, &grown);
    assert_int_equal(grown.count, 2); /* unless it takes too long */
    tp_set_deinit(&fresh);
    tp_set_deinit(&grown);
    world_free(w);
}

static void who_has_another_epoch_is_fenced(void **state)
{
    world_t *w = world_new();
    (void)beat(w, "m0", 0, t0, 1);
    (void)make_states(w);
    assert_int_equal(later_beat(w, "m0", 2, NULL, -1).member_epoch, 3);
    assert_int_equal(beat(w, "m0", 2, NULL, -1).error, KAFKA_NONE); /* the reply was lost */
    share_reply_t reply = beat(w, "m0", 4, NULL, -1);
    assert_int_equal(reply.error, KAFKA_FENCED_MEMBER_EPOCH);
    assert_string_equal(reply.message,
                        "The share group member has a greater member epoch (4) than the one known by the group "
                        "coordinator (3). The member must abandon all its partitions and rejoin.");
    (void)later_beat(w, "m1", 0, t0, 1);
    assert_int_equal(beat(w, "m0", 3, NULL, -1).member_epoch, 4);
    reply = beat(w, "m0", 2, NULL, -1);
    assert_int_equal(reply.error, KAFKA_FENCED_MEMBER_EPOCH);
    reply = beat(w, "m2", 1, NULL, -1);
    assert_int_equal(reply.error, KAFKA_UNKNOWN_MEMBER_ID);
    assert_string_equal(reply.message, "Member m2 is not a member of group g.");
    world_free(w);
}

static void a_group_that_is_full_takes_nobody(void **state)
{
    world_t *w = world_new();
    w->config.members_max = 1;
    assert_int_equal(beat(w, "m0", 0, t0, 1).error, KAFKA_NONE);
    assert_int_equal(beat(w, "m0", 0, t0, 1).error, KAFKA_NONE); /* it is in */
    assert_int_equal(beat(w, "m1", 0, t0, 1).error, KAFKA_GROUP_MAX_SIZE_REACHED);
    world_free(w);
}

static void who_is_silent_or_leaves_is_gone(void **state)
{
    world_t *w = world_new();
    (void)beat(w, "m0", 0, t0, 1);
    (void)beat(w, "m1", 0, t0, 1);
    assert_int_equal(beat(w, "m1", -1, NULL, -1).member_epoch, -1);
    assert_int_equal(w->g->members_count, 1);
    w->now.mono_ms += 44999;
    share_group_tick(w->g, w->now);
    assert_int_equal(w->g->members_count, 1);
    w->now.mono_ms += 1;
    share_group_tick(w->g, w->now);
    assert_string_equal(share_group_state_text(w->g), "Empty");
    assert_int_equal(w->g->assignment_epoch, w->g->epoch);
    world_free(w);
}

static void what_no_group_accepts_is_refused(void **state)
{
    char message[CONSUMER_MESSAGE_BYTES];
    share_heartbeat_t in = {.member_id = BYTES_LIT("m"), .topics = t0, .topics_count = 1};
    assert_int_equal(share_heartbeat_check(&in, BYTES_LIT("g"), message), KAFKA_NONE);
    assert_int_equal(share_heartbeat_check(&in, BYTES_LIT(""), message), KAFKA_INVALID_REQUEST);
    assert_string_equal(message, "GroupId can't be empty.");
    in.topics_count = 0;
    assert_int_equal(share_heartbeat_check(&in, BYTES_LIT("g"), message), KAFKA_INVALID_REQUEST);
    assert_string_equal(message, "SubscribedTopicNames must be set in first request.");
    in.member_epoch = -2;
    assert_int_equal(share_heartbeat_check(&in, BYTES_LIT("g"), message), KAFKA_INVALID_REQUEST);
    assert_string_equal(message, "MemberEpoch is invalid.");
    in.member_id = BYTES_LIT(" ");
    assert_int_equal(share_heartbeat_check(&in, BYTES_LIT("g"), message), KAFKA_INVALID_REQUEST);
}

static void states_that_are_given_up_are_assigned_no_more(void **state)
{
    world_t *w = world_new();
    kafka_uuid_t id = {{1}};
    (void)beat(w, "m0", 0, t0, 1);
    (void)make_states(w);
    assert_int_equal(later_beat(w, "m0", 2, NULL, -1).assignment->count, 3);
    share_group_states_deleting(w->g, id);
    assert_int_equal(make_states(w), 0); /* not before they are gone */
    assert_int_equal(later_beat(w, "m0", 3, NULL, -1).assignment->count, 0);
    share_group_states_gone(w->g, id);
    assert_int_equal(make_states(w), 3);
    world_free(w);
}

/* ---- played back ----------------------------------------------------------------------------------------------------- */

static void play_back(share_group_t *copy, runtime_batch_t *batch)
{
    size_t bytes;
    record_iter_t iter;
    record_t record;
    arena_t arena;
    arena_init(&arena, 0);
    uint8_t *finished = record_builder_finish(&batch->builder, 0, RECORD_NO_PRODUCER, &bytes);
    assert_int_equal(record_iter_init(&iter, bytes_of(finished, bytes), MIB(16)), 0);
    while (record_iter_next(&iter, &record) == 0)
        assert_int_equal(share_group_record_load(copy, record.key, record.value, &arena), 0);
    record_iter_deinit(&iter);
    arena_deinit(&arena);
}

static void assert_same_members(const share_group_t *a, const share_group_t *b)
{
    assert_int_equal(a->members_count, b->members_count);
    LIST_EACH(&a->members, m, share_member_t, node) {
        const share_member_t *other = share_group_find(b, m->id);
        assert_non_null(other);
        assert_int_equal(m->epoch, other->epoch);
        assert_int_equal(m->previous_epoch, other->previous_epoch);
        assert_int_equal(m->topics_count, other->topics_count);
        assert_true(tp_set_eq(&m->assigned, &other->assigned));
        assert_true(tp_set_eq(&m->target, &other->target));
    }
}

/* What was stored of it up to now makes `copy` the same. */
static void assert_stored(world_t *w, share_group_t *copy, runtime_batch_t *batch)
{
    if (!share_group_records_add(batch, w->g)) return;
    play_back(copy, batch);
    assert_int_equal(copy->epoch, w->g->epoch);
    assert_int_equal(copy->assignment_epoch, w->g->assignment_epoch);
    assert_true(tp_set_eq(&copy->initialized, &w->g->initialized));
    assert_true(tp_set_eq(&copy->initializing, &w->g->initializing));
    assert_same_members(w->g, copy);
    assert_int_equal(copy->names.count, w->g->names.count);
}

/* ---- at random ------------------------------------------------------------------------------------------------------- */

static size_t readers_of(const share_group_t *g, bytes_t topic)
{
    size_t count = 0;
    LIST_EACH(&g->members, m, share_member_t, node) {
        for (size_t i = 0; i < m->topics_count; i++) count += bytes_eq(m->topics[i], topic);
    }
    return count;
}

/* Each partition with a state that somebody reads has somebody, and nobody has what he does not read. */
static void assert_all_is_dealt_out(world_t *w)
{
    tp_set_t dealt = {0};
    LIST_EACH(&w->g->members, m, share_member_t, node) {
        for (size_t i = 0; i < m->target.count; i++) {
            const share_group_topic_t *topic = share_group_find_topic(w->g, m->target.items[i].topic);
            assert_non_null(topic);
            bool reads = false;
            for (size_t t = 0; t < m->topics_count; t++) reads = reads || bytes_eq(m->topics[t], topic->name);
            assert_true(reads);
            assert_true(tp_set_has(&w->g->initialized, m->target.items[i]));
            tp_set_add(&dealt, m->target.items[i]);
        }
    }
    for (size_t i = 0; i < w->g->initialized.count; i++) {
        const share_group_topic_t *topic = share_group_find_topic(w->g, w->g->initialized.items[i].topic);
        if (readers_of(w->g, topic->name) > 0) assert_true(tp_set_has(&dealt, w->g->initialized.items[i]));
    }
    tp_set_deinit(&dealt);
}

static void random_beat(world_t *w, unsigned *seed)
{
    char name[8];
    bytes_t topics[TOPICS_MAX];
    char names[TOPICS_MAX][4];
    int32_t count = 0;
    int member = rand_r(seed) % MEMBERS_MAX;
    for (int i = 0; i < TOPICS_MAX; i++) {
        snprintf(names[i], sizeof(names[i]), "t%d", i);
        if (rand_r(seed) % 2) topics[count++] = bytes_str(names[i]);
    }
    if (count == 0) topics[count++] = bytes_str(names[0]);
    snprintf(name, sizeof(name), "m%d", member);
    int32_t epoch = w->epochs[member] < 0 ? 0 : w->epochs[member];
    bool leaves = epoch > 0 && rand_r(seed) % 6 == 0;
    bool says = epoch == 0 || rand_r(seed) % 4 == 0;
    share_reply_t reply = later_beat(w, name, leaves ? -1 : epoch, says ? topics : NULL, says && !leaves ? count : -1);
    if (!reply.error) w->epochs[member] = leaves ? -1 : reply.member_epoch;
    if (!reply.error && !leaves) assert_all_is_dealt_out(w);
}

static void random_topic(world_t *w, unsigned *seed)
{
    int topic = rand_r(seed) % TOPICS_MAX;
    w->topics_version++;
    if (w->partitions[topic] && rand_r(seed) % 4 == 0) {
        w->partitions[topic] = 0;
        share_group_states_gone(w->g, (kafka_uuid_t){{(uint8_t)(topic + 1)}});
    } else {
        w->partitions[topic] += 1 + rand_r(seed) % 3;
    }
}

static void one_story(unsigned seed)
{
    world_t *w = world_new();
    runtime_batch_t batch = runtime_batch(1000);
    share_group_t *copy = share_group_new(BYTES_LIT("g"), &w->config, &host, w);
    for (int step = 0; step < 120; step++) {
        switch (rand_r(&seed) % 5) {
        case 0: (void)make_states(w); break;
        case 1: random_topic(w, &seed); break;
        default: random_beat(w, &seed); break;
        }
        assert_stored(w, copy, &batch);
    }
    record_builder_deinit(&batch.builder);
    share_group_free(copy);
    world_free(w);
}

static void random_stories_leave_no_partition_alone(void **state)
{
    for (unsigned seed = 1; seed <= 60; seed++) one_story(seed);
}

/* All of the same subscription: nobody has two more than another, and every partition has as many members as it must. */
static void members_have_equal_shares(void **state)
{
    for (int members = 1; members <= 10; members++) {
        world_t *w = world_new();
        char name[8];
        w->partitions[0] = 4;
        for (int i = 0; i < members; i++) {
            snprintf(name, sizeof(name), "m%d", i);
            (void)beat(w, name, 0, t0, 1);
            if (i == 0) (void)make_states(w);
        }
        (void)later_beat(w, "m0", 0, t0, 1);
        size_t least = SIZE_MAX, most = 0, sum = 0;
        LIST_EACH(&w->g->members, m, share_member_t, node) {
            least = MIN(least, m->target.count);
            most = MAX(most, m->target.count);
            sum += m->target.count;
        }
        assert_true(most - least <= 1);
        assert_true(least >= 1);
        assert_int_equal(sum, 4 * ((size_t)(members + 3) / 4));
        world_free(w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(partitions_are_assigned_once_they_have_states),
        cmocka_unit_test(who_comes_just_behind_another_waits_for_the_next_targets),
        cmocka_unit_test(a_topic_that_grows_or_comes_back_wants_states),
        cmocka_unit_test(who_has_another_epoch_is_fenced),
        cmocka_unit_test(a_group_that_is_full_takes_nobody),
        cmocka_unit_test(who_is_silent_or_leaves_is_gone),
        cmocka_unit_test(what_no_group_accepts_is_refused),
        cmocka_unit_test(states_that_are_given_up_are_assigned_no_more),
        cmocka_unit_test(random_stories_leave_no_partition_alone),
        cmocka_unit_test(members_have_equal_shares),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

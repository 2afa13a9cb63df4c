/* share_leader_test.c: what a group may rely on that reads a partition: an answer counts once it is stored, what a member had for too long
 * comes back, what is stored is gone on from, and nobody waits for ever. On the simulator; the store is the test's, and answers when
 * the test says so. */
#include "kafka/partition/partition_test_host.h"
#include "kafka/share/share_leader_internal.h"

#include "base/slog.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define LOCK_MS     1000
#define QUEUED_MAX  16
#define BATCHES_MAX 16
enum { ANNA = 1, BEN = 2 };

/* A request to the store that has not been answered. */
typedef struct queued {
    share_state_request_t *request;
    bool writes;
    share_state_value_t value;
    share_state_batch_t batches[BATCHES_MAX];
} queued_t;

typedef struct world {
    partition_host_t *host;
    shares_t *shares;
    share_group_t *group;
    share_leader_t *leader;
    queued_t queued[QUEUED_MAX];
    size_t queued_count;
    share_settings_t settings;
    share_waiter_t waiter;
    int woken;
    kafka_code_t woken_error;
    share_answer_t answer;
    int answers;
    kafka_code_t answer_error;
    share_taken_t taken;
    int session; /* a group has sessions: one of nothing */
} world_t;

static world_t *world; /* of the test that runs: the store and the settings have no other way to it */

/* ---- the store and the settings -------------------------------------------------------------------------------------- */

static void queue(share_state_request_t *request, bool writes, const share_state_value_t *value)
{
    assert_true(world->queued_count < QUEUED_MAX);
    queued_t *q = &world->queued[world->queued_count++];
    *q = (queued_t){.request = request, .writes = writes};
    if (!value) return;
    assert_true(value->batches_count <= BATCHES_MAX);
    q->value = *value;
    if (value->batches_count) memcpy(q->batches, value->batches, value->batches_count * sizeof(q->batches[0]));
}

void __wrap_share_state_read(kafka_t *kafka, const share_state_key_t *key, int32_t leader_epoch,
                             share_state_request_t *request, share_state_done_t done);
void __wrap_share_state_read(kafka_t *kafka UNUSED, const share_state_key_t *key, int32_t leader_epoch UNUSED,
                             share_state_request_t *request, share_state_done_t done)
{
    assert_true(bytes_eq(key->group_id, BYTES_LIT("g")));
    request->done = done;
    queue(request, false, NULL);
}

void __wrap_share_state_write(kafka_t *kafka, const share_state_key_t *key, const share_state_value_t *value,
                              share_state_request_t *request, share_state_done_t done);
void __wrap_share_state_write(kafka_t *kafka UNUSED, const share_state_key_t *key UNUSED,
                              const share_state_value_t *value, share_state_request_t *request, share_state_done_t done)
{
    request->done = done;
    queue(request, true, value);
}

void __wrap_share_settings_read(const kafka_t *kafka, bytes_t group, share_settings_t *ret_settings);
void __wrap_share_settings_read(const kafka_t *kafka UNUSED, bytes_t group UNUSED, share_settings_t *ret_settings)
{
    *ret_settings = world->settings;
}

/* Answers the oldest request. */
static void store_answers(kafka_code_t error, const share_state_value_t *value)
{
    assert_true(world->queued_count > 0);
    share_state_request_t *request = world->queued[0].request;
    memmove(&world->queued[0], &world->queued[1], --world->queued_count * sizeof(world->queued[0]));
    request->done(request, error, NULL, value);
}

static const queued_t *stored(size_t batches)
{
    assert_true(world->queued_count > 0 && world->queued[0].writes);
    assert_int_equal(world->queued[0].value.batches_count, batches);
    return &world->queued[0];
}

static void assert_stored(size_t at, int64_t first, int64_t last, int8_t state, int16_t deliveries)
{
    const share_state_batch_t *b = &world->queued[0].batches[at];
    assert_int_equal(b->first_offset, first);
    assert_int_equal(b->last_offset, last);
    assert_int_equal(b->delivery_state, state);
    assert_int_equal(b->delivery_count, deliveries);
}

/* ---- the world ------------------------------------------------------------------------------------------------------- */

static void on_woken(share_waiter_t *waiter UNUSED, kafka_code_t error)
{
    world->woken++;
    world->woken_error = error;
}

static void on_answered(share_answer_t *answer UNUSED, kafka_code_t error)
{
    world->answers++;
    world->answer_error = error;
}

static int setup(void **state)
{
    world_t *w = world = calloc(1, sizeof(*w));
    slog_set_level((slog_level_t)(SLOG_ERROR + 1));
    w->host = partition_host_new(1);
    partition_host_start(w->host);
    w->host->topic.id = (kafka_uuid_t){{7}};
    w->host->state.leader = w->host->kafka.broker_id;
    w->host->kafka.topics_by_id = MAP_INIT;
    map_put(&w->host->kafka.topics_by_id, bytes_of(w->host->topic.id.bytes, sizeof(kafka_uuid_t)), &w->host->topic);
    w->settings = (share_settings_t){
        .limits = {.deliveries_max = 3, .in_flight_max = 100, .lock_ms = LOCK_MS}, .reset = -2, .renews = true};
    w->shares = w->host->kafka.shares = kafka_shares_new(&w->host->kafka);
    w->group = shares__group_new(w->shares, BYTES_LIT("g"));
    map_put(&w->group->sessions, BYTES_LIT("m"), &w->session);
    w->waiter.wake = on_woken;
    list_init(&w->waiter.node);
    w->answer.done = on_answered;
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    world_t *w = *state;
    if (w->group) map_remove(&w->group->sessions, BYTES_LIT("m"));
    kafka_shares_stop(w->shares);
    while (w->queued_count) store_answers(KAFKA_NOT_COORDINATOR, NULL);
    kafka_shares_free(w->shares);
    map_deinit(&w->host->kafka.topics_by_id);
    partition_host_stop(w->host);
    partition_host_free(w->host);
    free(w);
    return 0;
}

static void pass(const world_t *w, uint64_t ms)
{
    sim_run_for(w->host->sim, ms);
    io_loop_wake(w->host->kafka.loop);
    sim_run_for(w->host->sim, 0);
}

/* A batch of so many records. */
static void put(world_t *w, int records, int64_t producer)
{
    partition_appended_t appended;
    size_t bytes;
    int16_t attributes = producer < 0 ? 0 : RECORD_TRANSACTIONAL;
    for (int i = 0; i < records; i++)
        record_builder_add(&w->host->builder, io_wall_ms(w->host->kafka.loop), BYTES_LIT("k"), BYTES_LIT("v"), NULL, 0);
    uint8_t *batch = record_builder_finish(&w->host->builder, attributes,
                                           (record_producer_t){producer, producer < 0 ? -1 : 0, -1}, &bytes);
    assert_int_equal(partition_append(w->host->p, batch, bytes, PARTITION_COORDINATOR, &w->host->arena, &appended),
                     KAFKA_NONE);
}

static void get(world_t *w)
{
    assert_int_equal(share_leader_get(w->group, w->host->topic.id, 0, &w->leader), KAFKA_NONE);
}

/* The leader goes on from `start`, with the ranges that are stored behind it. */
static void load(world_t *w, int64_t start, const share_state_batch_t *batches, size_t count)
{
    get(w);
    store_answers(
        KAFKA_NONE,
        &(share_state_value_t){
            .state_epoch = 1, .leader_epoch = 0, .start_offset = start, .batches = batches, .batches_count = count});
}

static int64_t take(world_t *w, uint64_t member, int32_t records_max)
{
    share_take_t in = {.member = member, .bytes_max = MIB(1), .records_max = records_max, .range_records = 1000};
    assert_int_equal(share_leader_take(w->leader, &w->settings, &in, &w->host->arena, &w->taken), KAFKA_NONE);
    log_slice_release(w->taken.slice.segment);
    return w->taken.records;
}

static void acknowledge(world_t *w, uint64_t member, int64_t first, int64_t last, uint8_t type)
{
    share_ack_t ack = {first, last, type};
    w->answers = 0;
    share_leader_acknowledge(w->leader, &w->settings, member, &ack, 1, &w->host->arena, &w->answer);
}

/* ---- what is promised ------------------------------------------------------------------------------------------------ */

static void nothing_is_acquired_before_what_is_stored_has_been_read(void **state)
{
    world_t *w = *state;
    put(w, 10, -1);
    get(w);
    assert_int_equal(take(w, ANNA, 100), 0);
    share_leader_wait(w->leader, &w->waiter);
    pass(w, 10);
    assert_int_equal(w->woken, 0);
    store_answers(KAFKA_NONE, &(share_state_value_t){.start_offset = 4});
    pass(w, 10);
    assert_int_equal(w->woken, 1);
    assert_int_equal(take(w, ANNA, 100), 6);
    assert_int_equal(w->taken.acquired[0].first, 4);
}

static void a_partition_of_which_nothing_is_stored_begins_once_its_start_is(void **state)
{
    world_t *w = *state;
    put(w, 10, -1);
    w->settings.reset = -1;
    load(w, -1, NULL, 0);
    assert_int_equal(stored(0)->value.start_offset, 10);
    put(w, 5, -1);
    assert_int_equal(take(w, ANNA, 100), 0);
    store_answers(KAFKA_NONE, NULL);
    assert_int_equal(take(w, ANNA, 100), 5);
}

static void an_answer_is_told_and_counts_once_it_is_stored(void **state)
{
    world_t *w = *state;
    put(w, 10, -1);
    load(w, 0, NULL, 0);
    assert_int_equal(take(w, ANNA, 100), 10);
    acknowledge(w, ANNA, 0, 3, SHARE_ACCEPT);
    assert_int_equal(w->answers, 0);
    assert_int_equal(w->leader->records.start, 0);
    assert_int_equal(stored(1)->value.delivery_complete_count, 4);
    assert_stored(0, 0, 3, SHARE_ACKNOWLEDGED, 1);
    store_answers(KAFKA_NONE, NULL);
    assert_int_equal(w->answers, 1);
    assert_int_equal(w->answer_error, KAFKA_NONE);
    assert_int_equal(w->leader->records.start, 4);
}

static void what_is_given_back_is_somebody_elses_once_it_is_stored(void **state)
{
    world_t *w = *state;
    put(w, 10, -1);
    load(w, 0, NULL, 0);
    assert_int_equal(take(w, ANNA, 100), 10);
    acknowledge(w, ANNA, 2, 3, SHARE_RELEASE);
    share_leader_wait(w->leader, &w->waiter);
    pass(w, 10);
    assert_int_equal(w->woken, 0);
    assert_int_equal(take(w, BEN, 100), 0);
    store_answers(KAFKA_NONE, NULL);
    pass(w, 10);
    assert_int_equal(w->woken, 1);
    assert_int_equal(take(w, BEN, 100), 2);
    assert_int_equal(w->taken.acquired[0].deliveries, 2);
}

static void what_a_member_has_for_too_long_comes_back_to_the_millisecond(void **state)
{
    world_t *w = *state;
    put(w, 10, -1);
    load(w, 0, NULL, 0);
    pass(w, 1);
    assert_int_equal(take(w, ANNA, 100), 10);
    share_leader_wait(w->leader, &w->waiter);
    pass(w, LOCK_MS - 2);
    assert_int_equal(w->woken, 0);
    assert_int_equal(w->queued_count, 0);
    pass(w, 3);
    assert_int_equal(w->woken, 1);
    stored(1);
    assert_stored(0, 0, 9, SHARE_AVAILABLE, 1);
    store_answers(KAFKA_NONE, NULL);
    assert_int_equal(take(w, BEN, 100), 10);
    acknowledge(w, ANNA, 0, 9, SHARE_ACCEPT);
    assert_int_equal(w->answer_error, KAFKA_INVALID_RECORD_STATE);
}

static void a_record_is_given_up_after_its_last_delivery(void **state)
{
    world_t *w = *state;
    put(w, 1, -1);
    put(w, 1, -1);
    load(w, 0, NULL, 0);
    for (int i = 1; i <= 3; i++) {
        assert_int_equal(take(w, ANNA, 1), 1);
        assert_int_equal(w->taken.acquired[0].first, 0);
        assert_int_equal(w->taken.acquired[0].deliveries, i);
        pass(w, LOCK_MS + 1);
        store_answers(KAFKA_NONE, NULL);
    }
    assert_int_equal(take(w, ANNA, 1), 1);
    assert_int_equal(w->taken.acquired[0].first, 1);
}

static void what_the_store_refuses_is_read_anew(void **state)
{
    world_t *w = *state;
    put(w, 10, -1);
    load(w, 0, NULL, 0);
    assert_int_equal(take(w, ANNA, 100), 10);
    acknowledge(w, ANNA, 0, 9, SHARE_ACCEPT);
    share_leader_wait(w->leader, &w->waiter);
    store_answers(KAFKA_FENCED_STATE_EPOCH, NULL);
    assert_int_equal(w->answer_error, KAFKA_NOT_LEADER_OR_FOLLOWER);
    pass(w, 1);
    assert_int_equal(w->woken_error, KAFKA_NOT_LEADER_OR_FOLLOWER);
    assert_int_equal(kafka_shares_leaders(w->shares), 0);
    load(w, 2, NULL, 0);
    assert_int_equal(take(w, BEN, 100), 8);
}

static void another_leader_epoch_begins_anew(void **state)
{
    world_t *w = *state;
    put(w, 10, -1);
    load(w, 0, NULL, 0);
    assert_int_equal(take(w, ANNA, 100), 10);
    partition_set_leader_epoch(w->host->p, 5);
    load(w, 3, NULL, 0);
    assert_int_equal(w->leader->leader_epoch, 5);
    assert_int_equal(take(w, BEN, 100), 7);
}

static void it_goes_on_from_what_is_stored(void **state)
{
    world_t *w = *state;
    share_state_batch_t batches[] = {
        {2, 4, SHARE_ACKNOWLEDGED, 1}, {5, 6, SHARE_AVAILABLE, 1}, {8, 8, SHARE_ARCHIVED, 3}};
    put(w, 10, -1);
    load(w, 2, batches, 3);
    assert_int_equal(take(w, ANNA, 100), 4);
    assert_int_equal(w->taken.count, 3);
    assert_int_equal(w->taken.acquired[0].first, 5);
    assert_int_equal(w->taken.acquired[0].deliveries, 2);
    assert_int_equal(w->taken.acquired[1].first, 7);
    assert_int_equal(w->taken.acquired[2].first, 9);
}

/* Their offsets are those of other records now. */
static void answers_to_records_that_the_log_has_lost_are_forgotten(void **state)
{
    world_t *w = *state;
    share_state_batch_t batches[] = {{4, 9, SHARE_ACKNOWLEDGED, 1}, {15, 20, SHARE_ACKNOWLEDGED, 1}};
    put(w, 6, -1);
    load(w, 3, batches, 2);
    put(w, 3, -1);
    assert_int_equal(take(w, ANNA, 100), 4);
    assert_int_equal(w->taken.acquired[0].first, 3);
    assert_int_equal(w->taken.acquired[0].last, 3);
    assert_int_equal(w->taken.acquired[1].first, 6);
}

static void records_of_aborted_transactions_are_nobodys(void **state)
{
    world_t *w = *state;
    w->settings.read_committed = true;
    put(w, 2, -1); /* 0 1 */
    put(w, 3, 7);  /* 2 to 4, aborted */
    put(w, 2, 8);  /* 5 6, committed */
    record_marker_t aborts = {7, 0, 3, false}, commits = {8, 0, 3, true};
    assert_int_equal(partition_end_transaction(w->host->p, &aborts), KAFKA_NONE); /* 7 */
    put(w, 1, -1);                                                                /* 8 */
    load(w, 0, NULL, 0);
    assert_int_equal(take(w, ANNA, 100), 2); /* the stable offset */
    assert_int_equal(take(w, ANNA, 100), 0);
    assert_int_equal(partition_end_transaction(w->host->p, &commits), KAFKA_NONE); /* 9 */
    assert_int_equal(take(w, ANNA, 100), 5);
    assert_int_equal(w->taken.acquired[0].first, 5);
    assert_int_equal(w->taken.acquired[0].last, 9); /* markers are theirs who read: they know what they are */
    acknowledge(w, ANNA, 0, 1, SHARE_ACCEPT);
    store_answers(KAFKA_NONE, NULL);
    assert_int_equal(w->leader->records.start, 5);
}

static void only_batches_with_something_acquired_are_sent(void **state)
{
    world_t *w = *state;
    for (int i = 0; i < 5; i++) put(w, 2, -1);
    load(w, 0, NULL, 0);
    assert_int_equal(take(w, ANNA, 100), 10);
    acknowledge(w, ANNA, 5, 6, SHARE_RELEASE);
    store_answers(KAFKA_NONE, NULL);
    assert_int_equal(take(w, BEN, 100), 2);
    assert_int_equal(w->taken.slice.base_offset, 4);
    assert_int_equal(w->taken.slice.next_offset, 8);
}

static void what_the_log_deletes_nobody_must_answer(void **state)
{
    world_t *w = *state;
    int64_t low;
    put(w, 10, -1);
    load(w, 0, NULL, 0);
    assert_int_equal(take(w, ANNA, 100), 10);
    put(w, 5, -1);
    assert_int_equal(partition_delete_records(w->host->p, 12, &low), KAFKA_NONE);
    assert_int_equal(take(w, BEN, 100), 3);
    assert_int_equal(w->taken.acquired[0].first, 12);
    acknowledge(w, ANNA, 0, 9, SHARE_ACCEPT);
    assert_int_equal(w->answer_error, KAFKA_NONE);
}

static void who_waits_hears_of_new_records_and_of_the_end_of_the_topic(void **state)
{
    world_t *w = *state;
    load(w, 0, NULL, 0);
    share_leader_wait(w->leader, &w->waiter);
    pass(w, 10);
    put(w, 1, -1);
    pass(w, 10);
    assert_int_equal(w->woken, 1);
    assert_int_equal(take(w, ANNA, 1), 1);
    share_leader_wait(w->leader, &w->waiter);
    w->shares->listener.deleted(&w->shares->listener, &w->host->topic);
    pass(w, 1);
    assert_int_equal(w->woken, 2);
    assert_int_equal(w->woken_error, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    assert_int_equal(kafka_shares_leaders(w->shares), 0);
}

static void who_has_looked_in_an_earlier_turn_misses_nothing(void **state)
{
    world_t *w = *state;
    load(w, 0, NULL, 0);
    put(w, 1, -1);
    pass(w, 10);
    share_leader_wait(w->leader, &w->waiter);
    share_leader_wake(w->leader);
    pass(w, 10);
    assert_int_equal(w->woken, 1);
    assert_int_equal(take(w, ANNA, 1), 1);
    share_leader_wait(w->leader, &w->waiter);
    share_leader_wake(w->leader); /* there is nothing */
    pass(w, 10);
    assert_int_equal(w->woken, 1);
}

static void a_group_without_sessions_is_forgotten_when_all_is_stored(void **state)
{
    world_t *w = *state;
    put(w, 10, -1);
    load(w, 0, NULL, 0);
    assert_int_equal(take(w, ANNA, 100), 10);
    acknowledge(w, ANNA, 0, 3, SHARE_ACCEPT);
    share_leader_release(w->leader, &w->settings, ANNA);
    map_remove(&w->group->sessions, BYTES_LIT("m"));
    share__leaders_drop(w->group);
    assert_int_equal(kafka_shares_leaders(w->shares), 1);
    store_answers(KAFKA_NONE, NULL);
    stored(1);
    assert_stored(0, 4, 9, SHARE_AVAILABLE, 1);
    store_answers(KAFKA_NONE, NULL);
    assert_int_equal(kafka_shares_leaders(w->shares), 0);
    assert_int_equal(w->shares->groups.count, 0);
    w->group = NULL;
}

static void a_group_that_may_not_renew_is_refused_it(void **state)
{
    world_t *w = *state;
    put(w, 10, -1);
    load(w, 0, NULL, 0);
    assert_int_equal(take(w, ANNA, 100), 10);
    acknowledge(w, ANNA, 0, 1, SHARE_RENEW);
    assert_int_equal(w->answer_error, KAFKA_NONE);
    w->settings.renews = false;
    acknowledge(w, ANNA, 0, 1, SHARE_RENEW);
    assert_int_equal(w->answer_error, KAFKA_INVALID_RECORD_STATE);
}

static void durations_are_read_as_they_are_written(void **state UNUSED)
{
    assert_int_equal(share_duration_ms("PT1H"), 3600000);
    assert_int_equal(share_duration_ms("P1DT2H3M4.5S"), 93784500);
    assert_int_equal(share_duration_ms("PT0.25S"), 250);
    assert_int_equal(share_duration_ms("p2d"), 172800000);
    assert_true(share_duration_ms("P99999999999999999D") > 0);
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(nothing_is_acquired_before_what_is_stored_has_been_read),
        T(a_partition_of_which_nothing_is_stored_begins_once_its_start_is),
        T(an_answer_is_told_and_counts_once_it_is_stored),
        T(what_is_given_back_is_somebody_elses_once_it_is_stored),
        T(what_a_member_has_for_too_long_comes_back_to_the_millisecond),
        T(a_record_is_given_up_after_its_last_delivery),
        T(what_the_store_refuses_is_read_anew),
        T(another_leader_epoch_begins_anew),
        T(it_goes_on_from_what_is_stored),
        T(answers_to_records_that_the_log_has_lost_are_forgotten),
        T(records_of_aborted_transactions_are_nobodys),
        T(only_batches_with_something_acquired_are_sent),
        T(what_the_log_deletes_nobody_must_answer),
        T(who_waits_hears_of_new_records_and_of_the_end_of_the_topic),
        T(who_has_looked_in_an_earlier_turn_misses_nothing),
        T(a_group_without_sessions_is_forgotten_when_all_is_stored),
        T(a_group_that_may_not_renew_is_refused_it),
        cmocka_unit_test(durations_are_read_as_they_are_written),
    };
#undef T
    return cmocka_run_group_tests(tests, NULL, NULL);
}

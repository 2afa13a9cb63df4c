/* sync_test.c: records are forgotten once Kafka has them on stable storage, and only then. The far half answers as the test says. */
#include "bridge/far.h"

#include "io/sim.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define PARTITIONS 4
#define ROUND_MS   600 /* longer than the wait before a round */

typedef struct fixture {
    sim_t *sim;
    bridge_t bridge;
    kafka_code_t errors[PARTITIONS]; /* what the sync of each ends with */
    int asked[PARTITIONS];
    far_request_t *held; /* the round under way, when `holds` */
    bool holds;
    int acks, ranges;
} fixture_t;

static fixture_t *fixture; /* of the test under way: what is wrapped has no user of its own */

/* ---- the far half ---- */

void __wrap_far_send(bridge_t *bridge, far_request_t *request, void (*run)(far_request_t *request),
                     void (*answered)(bridge_t *bridge, far_request_t *request));
void __wrap_far_send(bridge_t *bridge, far_request_t *request, void (*run)(far_request_t *request),
                     void (*answered)(bridge_t *bridge, far_request_t *request))
{
    request->run = run;
    request->answered = answered;
    assert_null(fixture->held); /* one round at a time */
    if (fixture->holds)
        fixture->held = request;
    else
        run(request);
}

void __wrap_far_answer(far_request_t *request, int64_t value, kafka_code_t error, const char *words);
void __wrap_far_answer(far_request_t *request, int64_t value, kafka_code_t error, const char *words)
{
    request->error = error;
    snprintf(request->words, sizeof(request->words), "%s", words);
    request->answered(&fixture->bridge, request);
}

void __wrap_kafka_partition_sync(kafka_t *kafka, bytes_t topic, int32_t partition, kafka_door_cb done, void *user);
void __wrap_kafka_partition_sync(kafka_t *kafka, bytes_t topic, int32_t partition, kafka_door_cb done, void *user)
{
    assert_true(bytes_eq(topic, BYTES_LIT("t")));
    fixture->asked[partition]++;
    done(user, 0, fixture->errors[partition], "the disk");
}

void __wrap_redis_feed(redis_t *redis, int argc, const bytes_t *argv);
void __wrap_redis_feed(redis_t *redis, int argc, const bytes_t *argv)
{
    assert_true(bytes_eq(argv[1], BYTES_LIT("ACK")));
    fixture->acks++;
    fixture->ranges += (argc - 2) / 2;
}

/* ---- the world ---- */

static void fixture_start(void)
{
    fixture = mem_zalloc(sizeof(*fixture));
    fixture->sim = sim_new(5);
    fixture->bridge.loop = sim_node_loop(sim_node_new(fixture->sim, "10.0.0.1"));
    outbox_init(&fixture->bridge);
    sync_init(&fixture->bridge);
}

static void fixture_end(void)
{
    io_timer_stop(&fixture->bridge.sync_timer);
    outbox_deinit(&fixture->bridge);
    sim_free(fixture->sim);
    mem_free(fixture);
}

/* As the delivery does with a record that has its place. */
static void place(int32_t partition)
{
    kafka_produce_t record = {.topic = BYTES_LIT("t"), .partition = partition, .value = BYTES_LIT("v")};
    outbox_record_t *r = outbox_record_new(&record);
    outbox_add(&fixture->bridge, r);
    list_remove(&r->queue);
    r->state = RECORD_PLACED;
    list_push_back(&fixture->bridge.placed, &r->queue);
    fixture->bridge.placed_count++;
    sync_soon(&fixture->bridge);
}

static void pass_round(void) { sim_run_for(fixture->sim, ROUND_MS); }

/* ---- tests ---- */

static void what_is_on_stable_storage_is_forgotten(void **state)
{
    fixture_start();
    for (int i = 0; i < 10; i++) place(i % 2);
    assert_int_equal(fixture->bridge.count, 10);
    pass_round();
    assert_int_equal(fixture->asked[0], 1); /* however many records it got */
    assert_int_equal(fixture->asked[1], 1);
    assert_int_equal(fixture->bridge.count, 0);
    assert_int_equal(fixture->bridge.placed_count, 0);
    assert_int_equal(fixture->acks, 1);
    assert_int_equal(fixture->ranges, 1);
    pass_round();
    assert_int_equal(fixture->acks, 1); /* nothing waits: no round */
    fixture_end();
}

static void a_sync_that_fails_forgets_nothing_and_is_tried_again(void **state)
{
    fixture_start();
    fixture->errors[1] = (kafka_code_t)56; /* KAFKA_STORAGE_ERROR */
    place(0);
    place(1);
    place(2); /* a success behind the failure */
    pass_round();
    assert_int_equal(fixture->bridge.count, 3);
    assert_int_equal(fixture->acks, 0);
    assert_true(list_empty(&fixture->bridge.syncing));
    assert_string_equal(fixture->bridge.last_error, "record 0 for : KAFKA_STORAGE_ERROR the disk");
    LIST_EACH(&fixture->bridge.all, r, outbox_record_t, node) assert_int_equal(r->state, RECORD_PLACED);
    fixture->errors[1] = (kafka_code_t)0;
    pass_round();
    assert_int_equal(fixture->bridge.count, 0);
    assert_int_equal(fixture->asked[1], 2);
    fixture_end();
}

static void a_topic_that_was_deleted_took_its_records_with_it(void **state)
{
    fixture_start();
    fixture->errors[0] = (kafka_code_t)3; /* UNKNOWN_TOPIC_OR_PARTITION */
    place(0);
    pass_round();
    assert_int_equal(fixture->bridge.count, 0);
    assert_int_equal(fixture->acks, 1);
    fixture_end();
}

/* The sync may have begun before they were appended. */
static void what_came_during_a_round_waits_for_the_next(void **state)
{
    fixture_start();
    fixture->holds = true;
    place(0);
    pass_round();
    assert_non_null(fixture->held);
    place(0);
    pass_round();
    far_request_t *request = fixture->held;
    fixture->held = NULL;
    fixture->holds = false;
    request->run(request);
    assert_int_equal(fixture->bridge.count, 1);
    assert_int_equal(LIST_FIRST(&fixture->bridge.all, outbox_record_t, node)->number, 2);
    pass_round();
    assert_int_equal(fixture->bridge.count, 0);
    assert_int_equal(fixture->acks, 2);
    fixture_end();
}

/* Records between them that are not placed yet part the ranges; more of them than fit one command take two. */
static void many_ranges_take_several_commands(void **state)
{
    fixture_start();
    for (int i = 0; i < 2 * (ACK_RANGES_MAX + 1); i++) {
        if (i % 2) {
            place(0);
        } else {
            kafka_produce_t record = {.topic = BYTES_LIT("t"), .value = BYTES_LIT("v")};
            outbox_add(&fixture->bridge, outbox_record_new(&record));
        }
    }
    pass_round();
    assert_int_equal(fixture->bridge.count, ACK_RANGES_MAX + 1);
    assert_int_equal(fixture->acks, 2);
    assert_int_equal(fixture->ranges, ACK_RANGES_MAX + 1);
    fixture_end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_on_stable_storage_is_forgotten),
        cmocka_unit_test(a_sync_that_fails_forgets_nothing_and_is_tried_again),
        cmocka_unit_test(a_topic_that_was_deleted_took_its_records_with_it),
        cmocka_unit_test(what_came_during_a_round_waits_for_the_next),
        cmocka_unit_test(many_ranges_take_several_commands),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

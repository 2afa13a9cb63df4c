/* runtime_test.c: the runtime with a machine that knows nothing of groups: it counts how often each key was written. On the
 * simulator: loading, writing, hand-over and time, with a log that fails. */
#include "kafka/coordinator/runtime.h"
#include "kafka/partition/partition_test_host.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define KEYS 100

typedef struct world {
    partition_host_t *host;
    runtime_t *runtime;
    int counts[KEYS]; /* the machine's state */
    int started, unloaded, rounds, pieces;
    kafka_code_t unloaded_with;
    int bad_key; /* cannot be replayed; -1 = none */
} world_t;

/* ---- the machine ---- */

static int key_of(bytes_t key) { return (key.ptr[1] - '0') * 10 + key.ptr[2] - '0'; }

static int replay(void *user, int32_t partition, const batch_header_t *batch, const record_t *record, arena_t *arena)
{
    world_t *w = user;
    int key = key_of(record->key);
    if (key == w->bad_key) return ERR_CORRUPT;
    w->counts[key]++;
    return 0;
}

static bool start(void *user, int32_t partition) { return ++((world_t *)user)->started % 3 != 0; }

static void unload(void *user, int32_t partition, kafka_code_t error)
{
    world_t *w = user;
    memset(w->counts, 0, sizeof(w->counts));
    w->unloaded++;
    w->unloaded_with = error;
}

static bool expire(void *user, bool begins)
{
    world_t *w = user;
    w->rounds += begins;
    return ++w->pieces % 5 != 0;
}

static void describe_topic(void *user, arena_t *arena, kafka_topic_spec_t *ret_spec) {}

static const runtime_machine_t machine = {"counts", describe_topic, replay, start, unload, expire};

/* ---- the world ---- */

static void runtime_start(world_t *w)
{
    partition_host_start(w->host);
    w->host->state.leader = w->host->kafka.broker_id;
    w->runtime = runtime_new(&w->host->kafka, "t", &machine, w, 1000);
    LIST_EACH(&w->host->kafka.topic_listeners, listener, kafka_topic_listener_t, node)
        listener->created(listener, &w->host->topic);
}

static void world_stop(world_t *w)
{
    runtime_stop(w->runtime);
    runtime_free(w->runtime);
    partition_host_stop(w->host);
}

static world_t *world_new(uint64_t seed)
{
    world_t *w = calloc(1, sizeof(*w));
    w->host = partition_host_new(seed);
    w->bad_key = -1;
    runtime_start(w);
    return w;
}

static void world_free(world_t *w)
{
    world_stop(w);
    partition_host_free(w->host);
    free(w);
}

static kafka_code_t check(const world_t *w)
{
    int32_t partition;
    return runtime_check(w->runtime, BYTES_LIT("k00"), &partition);
}

/* ---- writing ---- */

typedef struct written {
    runtime_write_t write;
    int calls;
    kafka_code_t error;
} written_t;

static void on_written(runtime_write_t *write, kafka_code_t error)
{
    written_t *w = CONTAINER_OF(write, written_t, write);
    w->calls++;
    w->error = error;
    record_builder_deinit(&write->batch.builder);
}

static void write_one(world_t *w, int key, size_t value_bytes, written_t *ret)
{
    char name[8];
    void *value = calloc(1, value_bytes);
    snprintf(name, sizeof(name), "k%02d", key);
    *ret = (written_t){.write.batch = runtime_batch(1000)};
    runtime_batch_add(&ret->write.batch, bytes_str(name), bytes_of(value, value_bytes));
    free(value);
    runtime_write(w->runtime, 0, &ret->write, on_written);
}

static void write_all(world_t *w, int count)
{
    written_t written;
    for (int i = 0; i < count; i++) {
        write_one(w, i % KEYS, 100, &written);
        assert_int_equal(written.calls, 1);
        assert_int_equal(written.error, KAFKA_NONE);
    }
}

static bool has_ended(void *user) { return ((written_t *)user)->calls > 0; }

/* ---- tests ---- */

/* Expected: Java's String.hashCode. */
static void a_key_lives_where_kafka_would_put_it(void **state)
{
    assert_int_equal(runtime_partition_of(BYTES_LIT(""), 50), 0);
    assert_int_equal(runtime_partition_of(BYTES_LIT("a"), 50), 97 % 50);
    assert_int_equal(runtime_partition_of(BYTES_LIT("console-consumer-12345"), 50), 6);
    assert_int_equal(runtime_partition_of(BYTES_LIT("gr\xc3\xbc\xc3\x9f"
                                                    "e"),
                                          50),
                     23);
    assert_int_equal(runtime_partition_of(BYTES_LIT("\xf0\x9f\x98\x80"), 50), 49);
    assert_int_equal(runtime_partition_of(BYTES_LIT("polygenelubricants"), 50), 0); /* INT_MIN */
    assert_int_equal(runtime_partition_of(BYTES_LIT("\xf0\x9f"), 50) >= 0, 1);
}

/* The turn has no time left, so that loading has to wait for the next ones. */
static void what_was_written_is_played_back_before_anybody_can_ask(void **state)
{
    world_t *w = world_new(1);
    assert_int_equal(check(w), KAFKA_NONE); /* an empty partition needs no loading */
    write_all(w, 1234);
    runtime_lost(w->runtime, 0);
    assert_int_equal(check(w), KAFKA_NOT_COORDINATOR);
    slices_t *slices = &w->host->kafka.slices;
    slices->turn_ns = io_now_ns(w->host->kafka.loop);
    slices->spent_ns = SLICES_TURN_NS_MAX;
    runtime_gained(w->runtime, 0);
    assert_int_equal(check(w), KAFKA_COORDINATOR_LOAD_IN_PROGRESS);
    assert_false(runtime_is_loaded(w->runtime));
    sim_run_for(w->host->sim, 100);
    assert_int_equal(check(w), KAFKA_NONE);
    assert_true(runtime_is_loaded(w->runtime));
    for (int i = 0; i < KEYS; i++) assert_int_equal(w->counts[i], 12 + (i < 34));
    assert_int_equal(w->started, 3); /* until it said that all has started */
    world_free(w);
}

/* Another server may have kept its coordinators' topics compressed. */
static void compressed_batches_are_played_back_too(void **state)
{
    static const record_codec_t codecs[] = {RECORD_GZIP, RECORD_SNAPPY, RECORD_LZ4, RECORD_ZSTD};
    world_t *w = world_new(10);
    for (size_t c = 0; c < ARRAY_LEN(codecs); c++) {
        runtime_batch_t batch = runtime_batch(1000);
        partition_appended_t appended;
        buf_t packed = BUF_INIT;
        size_t bytes;
        static uint8_t value[3000];
        for (int i = 0; i < KEYS; i++) {
            char name[8];
            snprintf(name, sizeof(name), "k%02d", i);
            runtime_batch_add(&batch, bytes_str(name), bytes_of(value, sizeof(value)));
        }
        uint8_t *plain = record_builder_finish(&batch.builder, 0, RECORD_NO_PRODUCER, &bytes);
        assert_int_equal(record_recompress(bytes_of(plain, bytes), codecs[c], 1, 0, &packed), 0);
        assert_int_equal(
            partition_append(w->host->p, packed.ptr, packed.len, PARTITION_COORDINATOR, &w->host->arena, &appended),
            KAFKA_NONE);
        record_builder_deinit(&batch.builder);
        buf_deinit(&packed);
    }
    runtime_lost(w->runtime, 0);
    runtime_gained(w->runtime, 0);
    sim_run_for(w->host->sim, 100);
    assert_int_equal(check(w), KAFKA_NONE);
    for (int i = 0; i < KEYS; i++) assert_int_equal(w->counts[i], ARRAY_LEN(codecs));
    world_free(w);
}

static void a_restart_plays_back_what_was_written(void **state)
{
    world_t *w = world_new(2);
    write_all(w, 250);
    world_stop(w);
    runtime_start(w);
    sim_run_for(w->host->sim, 100);
    assert_int_equal(w->counts[49], 3);
    assert_int_equal(w->counts[50], 2);
    world_free(w);
}

static void a_write_ends_when_it_is_on_stable_storage(void **state)
{
    world_t *w = world_new(3);
    written_t written;
    w->host->topic.config.flush_messages = 1;
    partition_configure(w->host->p);
    write_one(w, 0, 10, &written);
    assert_int_equal(written.calls, 0);
    assert_true(sim_run_until(w->host->sim, has_ended, &written, 10000));
    assert_int_equal(written.calls, 1);
    assert_int_equal(written.error, KAFKA_NONE);
    world_free(w);
}

/* Nobody waits for a partition that is gone; the sync that ends later has nobody to tell. */
static void writes_under_way_end_when_the_partition_is_lost(void **state)
{
    world_t *w = world_new(4);
    written_t written[3], late;
    w->host->topic.config.flush_messages = 1;
    partition_configure(w->host->p);
    for (int i = 0; i < 3; i++) write_one(w, i, 10, &written[i]);
    runtime_lost(w->runtime, 0);
    for (int i = 0; i < 3; i++) assert_int_equal(written[i].error, KAFKA_NOT_COORDINATOR);
    assert_int_equal(w->unloaded, 1);
    assert_int_equal(w->unloaded_with, KAFKA_NOT_COORDINATOR);
    write_one(w, 3, 10, &late);
    assert_int_equal(late.error, KAFKA_NOT_COORDINATOR);
    sim_run_for(w->host->sim, 1000);
    for (int i = 0; i < 3; i++) assert_int_equal(written[i].calls, 1);
    world_free(w);
}

static void a_batch_may_be_as_large_as_the_topic_says_and_no_larger(void **state)
{
    world_t *w = world_new(12);
    written_t written;
    uint64_t begin = partition_bytes(w->host->p);
    write_one(w, 0, 1000, &written);
    assert_int_equal(written.error, KAFKA_NONE);
    int32_t bytes = (int32_t)(partition_bytes(w->host->p) - begin);
    w->host->topic.config.max_message_bytes = bytes;
    write_one(w, 0, 1000, &written);
    assert_int_equal(written.error, KAFKA_NONE);
    w->host->topic.config.max_message_bytes = bytes - 1;
    write_one(w, 0, 1000, &written);
    assert_int_equal(written.error, KAFKA_UNKNOWN_SERVER_ERROR); /* the append says MESSAGE_TOO_LARGE */
    world_free(w);
}

static void what_cannot_be_appended_has_a_coordinators_code(void **state)
{
    world_t *w = world_new(5);
    written_t written;
    write_one(w, 0, 2000000, &written);
    assert_int_equal(written.error, KAFKA_UNKNOWN_SERVER_ERROR); /* the append says MESSAGE_TOO_LARGE */
    w->host->state.leader = w->host->kafka.broker_id + 1;
    write_one(w, 0, 10, &written);
    assert_int_equal(written.error, KAFKA_NOT_COORDINATOR); /* NOT_LEADER_OR_FOLLOWER */
    w->host->state.leader = w->host->kafka.broker_id;
    world_free(w);
}

/* A state that ran ahead of its log is what the log says once that serves again. */
static void a_log_that_failed_is_played_back_when_it_serves_again(void **state)
{
    int again = 0;
    for (uint64_t seed = 0; seed < 20; seed++) {
        world_t *w = world_new(seed);
        written_t written;
        write_all(w, 10);
        w->host->topic.config.flush_messages = 1;
        partition_configure(w->host->p);
        sim_disk_faults_t faults = sim_disk_faults_default;
        faults.sync_error_ppm = SIM_PPM;
        sim_node_set_disk_faults(w->host->node, &faults);
        for (int i = 0; i < 10; i++) w->counts[i] = 77;
        write_one(w, 50, 10, &written);
        assert_true(sim_run_until(w->host->sim, has_ended, &written, 10000));
        assert_int_equal(written.error, KAFKA_NOT_COORDINATOR);
        sim_run_for(w->host->sim, 1);
        sim_node_set_disk_faults(w->host->node, &sim_disk_faults_default);
        sim_run_for(w->host->sim, 120000);
        w->host->p = w->host->state.log;
        for (int i = 0; i < 10; i++) assert_int_equal(w->counts[i], w->host->p ? 1 : 77);
        again += w->host->p != NULL;
        world_free(w);
    }
    assert_true(again > 0);
}

/* Not even a part of it is kept: it would be taken for the whole. */
static void a_partition_that_cannot_be_played_back_is_refused_until_it_can(void **state)
{
    world_t *w = world_new(6);
    write_all(w, 50);
    runtime_lost(w->runtime, 0);
    w->bad_key = 40;
    runtime_gained(w->runtime, 0);
    sim_run_for(w->host->sim, 100);
    assert_int_equal(check(w), KAFKA_NOT_COORDINATOR);
    assert_false(runtime_serves(w->runtime, 0));
    assert_true(runtime_is_loaded(w->runtime));
    assert_int_equal(w->counts[0], 0);
    w->bad_key = -1;
    runtime_gained(w->runtime, 0);
    sim_run_for(w->host->sim, 100);
    assert_int_equal(check(w), KAFKA_NONE);
    assert_int_equal(w->counts[40], 1);
    world_free(w);
}

/* A piece that was half played back belongs to nobody any more. */
static void a_partition_that_is_lost_while_it_loads_is_loaded_from_its_begin(void **state)
{
    world_t *w = world_new(7);
    write_all(w, 200);
    runtime_lost(w->runtime, 0);
    slices_t *slices = &w->host->kafka.slices;
    slices->turn_ns = io_now_ns(w->host->kafka.loop);
    slices->spent_ns = SLICES_TURN_NS_MAX;
    runtime_gained(w->runtime, 0);
    runtime_lost(w->runtime, 0);
    assert_true(runtime_is_loaded(w->runtime));
    runtime_gained(w->runtime, 0);
    sim_run_for(w->host->sim, 100);
    for (int i = 0; i < KEYS; i++) assert_int_equal(w->counts[i], 2);
    world_free(w);
}

typedef struct alarm {
    runtime_timer_t timer;
    int fired;
} alarm_t;

static void on_fire(runtime_timer_t *timer) { CONTAINER_OF(timer, alarm_t, timer)->fired++; }

static void a_timer_keeps_its_nearest_deadline_and_fires_once(void **state)
{
    world_t *w = world_new(8);
    alarm_t alarm = {0};
    runtime_timer_init(w->runtime, &alarm.timer, on_fire);
    int64_t now_ms = runtime_now(w->runtime).mono_ms;
    runtime_timer_set(&alarm.timer, now_ms + 500);
    runtime_timer_set(&alarm.timer, now_ms + 200);
    runtime_timer_set(&alarm.timer, now_ms + 900);
    runtime_timer_set(&alarm.timer, RUNTIME_NEVER_MS);
    sim_run_for(w->host->sim, 150);
    assert_int_equal(alarm.fired, 0);
    sim_run_for(w->host->sim, 100);
    assert_int_equal(alarm.fired, 1);
    sim_run_for(w->host->sim, 2000);
    assert_int_equal(alarm.fired, 1);
    world_free(w);
}

static void a_round_of_expiry_is_as_many_pieces_as_the_machine_says(void **state)
{
    world_t *w = world_new(9);
    sim_run_for(w->host->sim, 3500);
    assert_int_equal(w->rounds, 3);
    assert_int_equal(w->pieces, 15);
    world_free(w);
}

/* The machine counted before it wrote, and the batch is larger than the topic takes. */
static void what_the_log_refuses_is_taken_back(void **state)
{
    world_t *w = world_new(9);
    write_all(w, KEYS);
    memset(w->counts, 0, sizeof(w->counts)); /* as if each had been counted when it was written: */
    for (int i = 0; i < KEYS; i++) w->counts[i] = 1;
    w->counts[7] = 2;
    runtime_write_t *write = runtime_write_new(w->runtime);
    void *value = calloc(1, (size_t)w->host->topic.config.max_message_bytes + 1);
    runtime_batch_add(&write->batch, BYTES_LIT("k07"),
                      bytes_of(value, (size_t)w->host->topic.config.max_message_bytes + 1));
    free(value);
    runtime_write_unheard(w->runtime, 0, write);
    assert_int_equal(check(w), KAFKA_COORDINATOR_LOAD_IN_PROGRESS); /* nobody is told of the second */
    assert_false(runtime_is_loaded(w->runtime));
    sim_run_for(w->host->sim, 100);
    assert_int_equal(check(w), KAFKA_NONE);
    assert_true(runtime_is_loaded(w->runtime));
    assert_int_equal(w->unloaded, 1);
    for (int i = 0; i < KEYS; i++) assert_int_equal(w->counts[i], 1);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_lives_where_kafka_would_put_it),
        cmocka_unit_test(what_was_written_is_played_back_before_anybody_can_ask),
        cmocka_unit_test(compressed_batches_are_played_back_too),
        cmocka_unit_test(a_restart_plays_back_what_was_written),
        cmocka_unit_test(a_write_ends_when_it_is_on_stable_storage),
        cmocka_unit_test(writes_under_way_end_when_the_partition_is_lost),
        cmocka_unit_test(a_batch_may_be_as_large_as_the_topic_says_and_no_larger),
        cmocka_unit_test(what_cannot_be_appended_has_a_coordinators_code),
        cmocka_unit_test(a_log_that_failed_is_played_back_when_it_serves_again),
        cmocka_unit_test(a_partition_that_cannot_be_played_back_is_refused_until_it_can),
        cmocka_unit_test(a_partition_that_is_lost_while_it_loads_is_loaded_from_its_begin),
        cmocka_unit_test(a_timer_keeps_its_nearest_deadline_and_fires_once),
        cmocka_unit_test(a_round_of_expiry_is_as_many_pieces_as_the_machine_says),
        cmocka_unit_test(what_the_log_refuses_is_taken_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

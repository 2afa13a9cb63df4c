/* partition_fault_test.c: a partition on a disk that is full or that loses its power: what a producer is told,
 * and that all goes on when there is room again. On the simulator, from many seeds. */
#include "kafka/partition/partition_internal.h"
#include "kafka/partition/partition_test_host.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define SEEDS   50
#define BATCHES 200

/* One batch of an idempotent producer: the next one, or one that was refused, again. */
static kafka_code_t append(partition_host_t *f, int32_t sequence)
{
    static const uint8_t value[800];
    partition_appended_t appended;
    size_t bytes, value_bytes = 100 + sim_random(f->sim, 700);
    record_builder_add(&f->builder, 1000, BYTES_LIT("k"), bytes_of(value, value_bytes), NULL, 0);
    uint8_t *batch = record_builder_finish(&f->builder, 0, (record_producer_t){7, 0, sequence}, &bytes);
    arena_reset(&f->arena);
    kafka_code_t error = partition_append(f->p, batch, bytes, PARTITION_CLIENT, &f->arena, &appended);
    if (error == KAFKA_NONE) assert_int_equal(appended.base_offset, sequence);
    return error;
}

/* Returns how many of the batches from `sequence` on were taken; a refused one is sent again. */
static int32_t append_all(partition_host_t *f, int32_t sequence, kafka_code_t refusal)
{
    int32_t taken = 0;
    for (int i = 0; i < BATCHES; i++) {
        kafka_code_t error = append(f, sequence + taken);
        assert_true(error == KAFKA_NONE || error == refusal);
        taken += error == KAFKA_NONE;
        assert_int_equal(partition_log_end_offset(f->p), sequence + taken);
        assert_int_equal(partition_high_watermark(f->p), sequence + taken);
    }
    return taken;
}

static void a_full_disk_is_a_storage_error_until_there_is_room(void **state)
{
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        partition_host_t *f = partition_host_new(seed);
        partition_host_start(f);
        sim_disk_faults_t faults = sim_disk_faults_default;
        faults.capacity_bytes = 10000 + sim_random(f->sim, 50000);
        sim_node_set_disk_faults(f->node, &faults);
        int32_t taken = append_all(f, 0, KAFKA_KAFKA_STORAGE_ERROR);
        assert_true(taken > 0 && taken < BATCHES);
        sim_node_set_disk_faults(f->node, &sim_disk_faults_default);
        int32_t more = append_all(f, taken, KAFKA_NONE);
        assert_int_equal(more, BATCHES);
        partition_host_stop(f);
        partition_host_free(f);
    }
}

/* Whether or not there was room for the clean mark. */
static void what_was_taken_before_the_disk_was_full_is_there_after_a_restart(void **state)
{
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        partition_host_t *f = partition_host_new(seed);
        partition_host_start(f);
        sim_disk_faults_t faults = sim_disk_faults_default;
        faults.capacity_bytes = 10000 + sim_random(f->sim, 50000);
        sim_node_set_disk_faults(f->node, &faults);
        int32_t taken = append_all(f, 0, KAFKA_KAFKA_STORAGE_ERROR);
        partition_host_stop(f);
        sim_node_set_disk_faults(f->node, &sim_disk_faults_default);
        partition_host_start(f);
        assert_int_equal(partition_log_end_offset(f->p), taken);
        assert_int_equal(append(f, taken), KAFKA_NONE);
        partition_host_stop(f);
        partition_host_free(f);
    }
}

static void cut_short(partition_host_t *f, const char *path, uint64_t bytes)
{
    io_file_t *file;
    assert_int_equal(io_file_open(f->kafka.loop, path, IO_FILE_WRITE, &file), 0);
    assert_int_equal(io_file_truncate(file, bytes), 0);
    io_file_close(file);
}

/* partition.metadata is not synced for its own sake: a power failure may leave any part of it. */
static void a_torn_metadata_file_does_not_orphan_the_records(void **state)
{
    for (uint64_t bytes = 0; bytes < 40; bytes += 3) {
        partition_host_t *f = partition_host_new(1);
        partition_host_start(f);
        assert_int_equal(append(f, 0), KAFKA_NONE);
        partition_host_stop(f);
        cut_short(f, "/data/t-0/partition.metadata", bytes);
        partition_host_start(f);
        assert_int_equal(partition_log_end_offset(f->p), 1);
        uint8_t *text;
        size_t text_bytes;
        int err = io_read_whole(f->kafka.loop, "/data/t-0/partition.metadata", 100, &text, &text_bytes);
        assert_int_equal(err, 0);
        assert_true(text_bytes > 40);
        mem_free(text);
        partition_host_stop(f);
        partition_host_free(f);
    }
}

typedef struct told {
    partition_commit_t commit;
    bool called;
    kafka_code_t error;
} told_t;

static void on_commit(partition_commit_t *commit, kafka_code_t error)
{
    told_t *told = CONTAINER_OF(commit, told_t, commit);
    told->called = true;
    told->error = error;
}

static bool was_told(void *user) { return ((told_t *)user)->called; }

static kafka_code_t commit(partition_host_t *f)
{
    told_t told = {0};
    partition_commit(f->p, &told.commit, on_commit);
    assert_true(sim_run_until(f->sim, was_told, &told, 10000));
    return told.error;
}

/* Appends `count` batches and lets one sync fail under them (not that of the names, which loses nothing). */
static void fail_a_sync(partition_host_t *f, int32_t count)
{
    sim_disk_faults_t faults = sim_disk_faults_default;
    assert_int_equal(append(f, 0), KAFKA_NONE);
    assert_int_equal(commit(f), KAFKA_NONE);
    for (int32_t i = 1; i < count; i++) assert_int_equal(append(f, i), KAFKA_NONE);
    faults.sync_error_ppm = SIM_PPM;
    sim_node_set_disk_faults(f->node, &faults);
    assert_int_equal(commit(f), KAFKA_KAFKA_STORAGE_ERROR);
    sim_run_for(f->sim, 1);
    sim_node_set_disk_faults(f->node, &sim_disk_faults_default);
}

/* What the disk never got must not be served from the page cache: the partition comes back whole, or not at all. */
static void a_failed_sync_takes_the_partition_offline_until_it_is_read_back_whole(void **state)
{
    int whole = 0, lost = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        partition_host_t *f = partition_host_new(seed);
        partition_host_start(f);
        fail_a_sync(f, 20);
        partition_t *partition;
        f->state.leader = f->kafka.broker_id;
        assert_int_equal(kafka_topic_partition_get(&f->topic, 0, &partition), KAFKA_KAFKA_STORAGE_ERROR);
        assert_int_equal(partition_offline_count(&f->kafka), 1);
        assert_non_null(health_text(&f->kafka.health, "partitions"));
        sim_run_for(f->sim, 120000);
        if (f->state.log) {
            f->p = f->state.log;
            assert_int_equal(partition_log_end_offset(f->p), 20);
            assert_int_equal(append(f, 20), KAFKA_NONE);
            assert_true(health_ok(&f->kafka.health));
            whole++;
        } else {
            assert_non_null(health_text(&f->kafka.health, "partitions"));
            lost++;
        }
        partition_host_stop(f);
        partition_host_free(f);
    }
    assert_true(whole > 0 && lost > 0);
}

static void a_partition_that_waits_offline_can_be_forgotten_with_its_topic(void **state)
{
    partition_host_t *f = partition_host_new(1);
    partition_host_start(f);
    fail_a_sync(f, 3);
    partition_offline_forget(&f->topic, 0);
    sim_run_for(f->sim, 120000);
    assert_null(f->state.log);
    assert_true(health_ok(&f->kafka.health));
    partition_host_stop(f);
    partition_host_free(f);
}

/* Nothing acknowledged is lost, nothing refused is kept, and who looks after the server hears of the beginning and the end. */
static void a_full_disk_is_told_once_and_is_over_when_there_is_room(void **state)
{
    partition_host_t *f = partition_host_new(3);
    partition_host_start(f);
    sim_disk_faults_t faults = sim_disk_faults_default;
    faults.capacity_bytes = 30000;
    sim_node_set_disk_faults(f->node, &faults);
    int32_t taken = append_all(f, 0, KAFKA_KAFKA_STORAGE_ERROR);
    assert_non_null(health_text(&f->kafka.health, "writes"));
    sim_run_for(f->sim, 70000); /* it is full still, and a checkpoint was due */
    assert_non_null(health_text(&f->kafka.health, "writes"));
    log_slice_t slice;
    assert_int_equal(partition_find(f->p, 0, 1000, true, false, &slice), KAFKA_NONE);
    assert_true(slice.bytes > 0);
    log_slice_release(slice.segment);
    sim_node_set_disk_faults(f->node, &sim_disk_faults_default);
    sim_run_for(f->sim, 70000);
    assert_true(health_ok(&f->kafka.health));
    assert_int_equal(append(f, taken), KAFKA_NONE);
    partition_host_stop(f);
    partition_host_start(f);
    assert_int_equal(partition_log_end_offset(f->p), taken + 1);
    partition_host_stop(f);
    partition_host_free(f);
}

/* Reads fail as the original's do; nothing is taken for another topic's or for empty. */
static void a_disk_that_cannot_be_read_keeps_the_partition_offline_until_it_can(void **state)
{
    partition_host_t *f = partition_host_new(4);
    partition_host_start(f);
    for (int32_t i = 0; i < 50; i++) assert_int_equal(append(f, i), KAFKA_NONE);
    partition_host_stop(f);
    sim_disk_faults_t faults = sim_disk_faults_default;
    slices_init(&f->kafka.slices, f->kafka.loop);
    assert_int_equal(partition_store_open(&f->kafka), 0);
    faults.read_error_ppm = SIM_PPM;
    sim_node_set_disk_faults(f->node, &faults);
    partition_bring(&f->topic, 0);
    partition_store_opened(&f->kafka);
    assert_null(f->state.log);
    assert_int_equal(partition_offline_count(&f->kafka), 1);
    sim_run_for(f->sim, 3000);
    assert_null(f->state.log);
    sim_node_set_disk_faults(f->node, &sim_disk_faults_default);
    sim_run_for(f->sim, 120000);
    assert_non_null(f->state.log);
    assert_int_equal(partition_log_end_offset(f->state.log), 50);
    assert_true(health_ok(&f->kafka.health));
    partition_host_stop(f);
    partition_host_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_full_disk_is_a_storage_error_until_there_is_room),
        cmocka_unit_test(what_was_taken_before_the_disk_was_full_is_there_after_a_restart),
        cmocka_unit_test(a_torn_metadata_file_does_not_orphan_the_records),
        cmocka_unit_test(a_failed_sync_takes_the_partition_offline_until_it_is_read_back_whole),
        cmocka_unit_test(a_partition_that_waits_offline_can_be_forgotten_with_its_topic),
        cmocka_unit_test(a_full_disk_is_told_once_and_is_over_when_there_is_room),
        cmocka_unit_test(a_disk_that_cannot_be_read_keeps_the_partition_offline_until_it_can),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* cleaner_test.c: when a partition is cleaned and when not, what a failing disk or a damaged batch does to that, and that a
 * partition may go at any moment of a round. On the simulator. */
#include "kafka/partition/opener.h"
#include "kafka/partition/partition_test_host.h"

#include "base/slog.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define VALUE_BYTES 500
#define BACKOFF_MS  100

static int setup(void **state)
{
    partition_host_t *f = partition_host_new(1);
    slog_set_level((slog_level_t)(SLOG_ERROR + 1));
    f->kafka.config.log_cleaner_enable = true;
    f->kafka.config.log_cleaner_threads = 1;
    f->kafka.config.log_cleaner_backoff_ms = BACKOFF_MS;
    f->kafka.config.log_cleaner_dedupe_buffer_size = 1 << 20;
    f->kafka.config.log_cleaner_io_buffer_load_factor = 0.9;
    f->kafka.config.log_cleaner_io_buffer_size = 1 << 19;
    f->kafka.config.log_cleaner_io_max_bytes_per_second = 1e300;
    f->topic.config.cleanup_policy = KAFKA_CLEANUP_POLICY_COMPACT;
    partition_host_start(f);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    partition_host_t *f = *state;
    partition_host_stop(f);
    partition_host_free(f);
    return 0;
}

/* Records of now, one a batch, under so many keys in turn. */
static void append_sized(partition_host_t *f, int count, int keys, size_t value_bytes)
{
    uint8_t *value = mem_zalloc(value_bytes);
    for (int i = 0; i < count; i++) {
        partition_appended_t appended;
        char key[16];
        size_t bytes;
        snprintf(key, sizeof(key), "k%d", i % keys);
        io_loop_update_time(f->kafka.loop);
        record_builder_add(&f->builder, io_wall_ms(f->kafka.loop), bytes_str(key), bytes_of(value, value_bytes), NULL,
                           0);
        uint8_t *batch = record_builder_finish(&f->builder, 0, RECORD_NO_PRODUCER, &bytes);
        kafka_code_t error = partition_append(f->p, batch, bytes, PARTITION_CLIENT, &f->arena, &appended);
        assert_int_equal(error, KAFKA_NONE);
    }
    mem_free(value);
}

static void append(partition_host_t *f, int count, int keys) { append_sized(f, count, keys, VALUE_BYTES); }

static int64_t cleaned(partition_host_t *f)
{
    return partition__checkpoint(f->kafka.partitions->checkpoints, "t", 0).cleaned;
}

static int records_sealed(partition_host_t *f)
{
    log_walk_t walk;
    batch_header_t batch;
    buf_t all = BUF_INIT;
    int count = 0;
    log_walk_init(&walk, f->p->log, 0, log_active_base(f->p->log));
    for (size_t before = 1; before != all.len;) {
        before = all.len;
        assert_int_equal(log_walk_read(&walk, KIB(64), &all), 0);
    }
    for (size_t at = 0; at < all.len; at += batch_bytes(&batch)) {
        assert_int_equal(batch_header_read(bytes_of(all.ptr + at, all.len - at), &batch), 0);
        count += batch.count;
    }
    buf_deinit(&all);
    return count;
}

static void what_is_sealed_is_cleaned_when_half_of_it_is_dirty(void **state)
{
    partition_host_t *f = *state;
    append(f, 200, 10);
    sim_run_for(f->sim, 5000);
    int64_t clean = log_active_base(f->p->log);
    assert_int_equal(cleaned(f), clean);
    assert_int_equal(records_sealed(f), 10);
    assert_int_equal(f->kafka.stats.clean_rounds, 1);
    assert_int_equal(f->kafka.stats.clean_dropped_records, clean - 10);
    append(f, 40, 10); /* a segment more, and most is dirty again */
    sim_run_for(f->sim, 5000);
    assert_int_equal(cleaned(f), log_active_base(f->p->log));
    assert_true(cleaned(f) > clean);
}

static void a_log_that_is_mostly_clean_waits(void **state)
{
    partition_host_t *f = *state;
    append(f, 200, 200);
    sim_run_for(f->sim, 5000);
    int64_t clean = cleaned(f);
    assert_int_equal(clean, log_active_base(f->p->log));
    append(f, 40, 10);
    sim_run_for(f->sim, 5000);
    assert_true(log_active_base(f->p->log) > clean);
    assert_int_equal(cleaned(f), clean);
    f->topic.config.max_compaction_lag_ms = 30000; /* but not for longer than that */
    sim_run_for(f->sim, 4000);
    assert_int_equal(cleaned(f), clean);
    sim_run_for(f->sim, 30000);
    assert_int_equal(cleaned(f), log_active_base(f->p->log));
}

static void young_records_are_left_alone(void **state)
{
    partition_host_t *f = *state;
    f->topic.config.min_compaction_lag_ms = 60000;
    append(f, 200, 10);
    sim_run_for(f->sim, 50000);
    assert_int_equal(f->kafka.stats.clean_rounds, 0);
    append(f, 100, 10);
    int64_t young = log_active_base(f->p->log);
    sim_run_for(f->sim, 15000);
    assert_true(f->kafka.stats.clean_rounds > 0);
    assert_true(cleaned(f) > 0 && cleaned(f) <= 200 && cleaned(f) < young);
}

static void the_active_segment_of_a_quiet_topic_is_cleaned_in_time(void **state)
{
    partition_host_t *f = *state;
    f->topic.config.max_compaction_lag_ms = 20000;
    partition_configure(f->p);
    append(f, 20, 4);
    sim_run_for(f->sim, 15000);
    assert_int_equal(log_active_base(f->p->log), 0);
    sim_run_for(f->sim, 15000);
    assert_int_equal(log_active_base(f->p->log), 20);
    assert_int_equal(cleaned(f), 20);
    assert_int_equal(records_sealed(f), 4);
}

static void a_switched_off_cleaner_does_nothing(void **state)
{
    partition_host_t *f = *state;
    f->kafka.config.log_cleaner_enable = false;
    append(f, 200, 10);
    sim_run_for(f->sim, 5000);
    assert_int_equal(f->kafka.stats.clean_rounds, 0);
    f->kafka.config.log_cleaner_enable = true;
    sim_run_for(f->sim, 5000);
    assert_int_equal(f->kafka.stats.clean_rounds, 1);
}

static void a_map_that_is_too_small_gets_there_in_several_rounds(void **state)
{
    partition_host_t *f = *state;
    f->kafka.config.log_cleaner_dedupe_buffer_size = 1; /* that is 57 keys */
    f->topic.config.min_cleanable_dirty_ratio = 0;
    append(f, 400, 100);
    sim_run_for(f->sim, 60000);
    assert_int_equal(cleaned(f), log_active_base(f->p->log));
    assert_true(f->kafka.stats.clean_rounds > 3);
    assert_int_equal(records_sealed(f), 100);
}

static void a_throttled_cleaner_takes_its_time(void **state)
{
    partition_host_t *f = *state;
    f->kafka.config.log_cleaner_io_max_bytes_per_second = 10000; /* of about 230,000 that it reads */
    append(f, 200, 10);
    sim_run_for(f->sim, 10000);
    assert_int_equal(f->kafka.stats.clean_rounds, 0);
    sim_run_for(f->sim, 30000);
    assert_int_equal(f->kafka.stats.clean_rounds, 1);
}

static void a_full_disk_leaves_all_as_it_is_until_there_is_room(void **state)
{
    partition_host_t *f = *state;
    append(f, 200, 150);
    sim_disk_faults_t faults = sim_disk_faults_default;
    faults.capacity_bytes = log_bytes(f->p->log) + 4000;
    sim_node_set_disk_faults(f->node, &faults);
    int64_t sealed = records_sealed(f);
    sim_run_for(f->sim, 10000);
    assert_true(f->kafka.stats.clean_failures > 1 && f->kafka.stats.clean_failures < 10); /* ever more rarely */
    assert_int_equal(f->kafka.stats.clean_rounds, 0);
    assert_int_equal(records_sealed(f), sealed);
    append(f, 1, 1);
    sim_node_set_disk_faults(f->node, &sim_disk_faults_default);
    sim_run_for(f->sim, 60000);
    assert_int_equal(f->kafka.stats.clean_rounds, 1);
    assert_int_equal(cleaned(f), log_active_base(f->p->log));
}

static void a_damaged_batch_is_not_made_good_by_a_new_checksum(void **state)
{
    partition_host_t *f = *state;
    append(f, 200, 10);
    sim_run_for(f->sim, BACKOFF_MS / 2);
    assert_int_equal(sim_disk_flip_bit(f->node, "/data/t-0/00000000000000000000.log", 300, 3), 0);
    sim_run_for(f->sim, 5000);
    assert_int_equal(f->kafka.stats.clean_rounds, 0);
    assert_true(f->kafka.stats.clean_failures > 0);
    assert_int_equal(records_sealed(f), log_active_base(f->p->log));
}

static void a_partition_may_close_at_any_moment_of_a_round(void **state)
{
    partition_host_t *f = *state;
    append(f, 200, 10);
    for (uint64_t steps = 1; f->kafka.stats.clean_rounds == 0; steps++) {
        for (uint64_t i = 0; i < steps; i++) sim_step(f->sim);
        partition_host_stop(f);
        partition_host_start(f);
        assert_int_equal(log_end_offset(f->p->log), 200);
    }
    sim_run_for(f->sim, 1000);
    assert_int_equal(cleaned(f), log_active_base(f->p->log));
    assert_int_equal(records_sealed(f), 10);
}

static void large_batches_are_cleaned_off_the_loop(void **state)
{
    partition_host_t *f = *state;
    f->topic.config.segment_bytes = 2 * OPENER_INLINE_BYTES_MAX;
    partition_configure(f->p);
    append_sized(f, 20, 3, OPENER_INLINE_BYTES_MAX + 1);
    sim_run_for(f->sim, 5000);
    assert_int_equal(cleaned(f), log_active_base(f->p->log));
    assert_int_equal(f->kafka.stats.clean_failures, 0);
    assert_int_equal(records_sealed(f), 3);
}

static void a_partition_may_close_while_a_batch_is_off_the_loop(void **state)
{
    partition_host_t *f = *state;
    f->topic.config.segment_bytes = 2 * OPENER_INLINE_BYTES_MAX;
    partition_configure(f->p);
    append_sized(f, 12, 3, OPENER_INLINE_BYTES_MAX + 1);
    for (uint64_t steps = 1; f->kafka.stats.clean_rounds == 0; steps++) {
        for (uint64_t i = 0; i < steps; i++) sim_step(f->sim);
        partition_host_stop(f);
        partition_host_start(f);
        assert_int_equal(log_end_offset(f->p->log), 12);
    }
    sim_run_for(f->sim, 1000);
    assert_int_equal(records_sealed(f), 3);
}

static void a_line_beyond_the_end_of_the_log_counts_for_none(void **state)
{
    partition_host_t *f = *state;
    partition__checkpoint_cleaned(f->kafka.partitions->checkpoints, f->p, 5000);
    append(f, 200, 10);
    sim_run_for(f->sim, 5000);
    assert_int_equal(cleaned(f), log_active_base(f->p->log));
    assert_int_equal(records_sealed(f), 10);
}

static void a_new_partition_does_not_inherit_a_line(void **state)
{
    partition_host_t *f = *state;
    append(f, 200, 10);
    sim_run_for(f->sim, 5000);
    assert_true(cleaned(f) > 0);
    partition_delete(f->p);
    char why[PARTITION_WHY_CHARS_MAX];
    assert_int_equal(partition_open(&f->topic, 0, &f->p, why), 0);
    f->state.log = f->p;
    append(f, 200, 10);
    partition_host_stop(f); /* what the file says is what a start goes by */
    f->kafka.config.log_cleaner_enable = false;
    partition_host_start(f);
    assert_int_equal(cleaned(f), -1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(what_is_sealed_is_cleaned_when_half_of_it_is_dirty),
        TEST(a_log_that_is_mostly_clean_waits),
        TEST(young_records_are_left_alone),
        TEST(the_active_segment_of_a_quiet_topic_is_cleaned_in_time),
        TEST(a_switched_off_cleaner_does_nothing),
        TEST(a_map_that_is_too_small_gets_there_in_several_rounds),
        TEST(a_throttled_cleaner_takes_its_time),
        TEST(a_full_disk_leaves_all_as_it_is_until_there_is_room),
        TEST(a_damaged_batch_is_not_made_good_by_a_new_checksum),
        TEST(a_partition_may_close_at_any_moment_of_a_round),
        TEST(large_batches_are_cleaned_off_the_loop),
        TEST(a_partition_may_close_while_a_batch_is_off_the_loop),
        TEST(a_line_beyond_the_end_of_the_log_counts_for_none),
        TEST(a_new_partition_does_not_inherit_a_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

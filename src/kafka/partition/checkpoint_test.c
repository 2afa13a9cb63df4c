/* checkpoint_test.c: checkpoint files are written off the loop, whole or not at all, and no line counts for another partition than its
 * own. On the simulator. */
#include "kafka/partition/partition_internal.h"
#include "kafka/partition/partition_test_host.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define SEEDS 40

static int setup(void **state)
{
    *state = partition_host_new(1);
    partition_host_start(*state);
    return 0;
}

static int teardown(void **state)
{
    partition_host_stop(*state);
    partition_host_free(*state);
    return 0;
}

static partition_checkpoints_t *checkpoints(const partition_host_t *f) { return f->kafka.partitions->checkpoints; }

static void append(partition_host_t *f, int count)
{
    for (int i = 0; i < count; i++) {
        partition_appended_t appended;
        size_t bytes;
        record_builder_add(&f->builder, 1000, BYTES_LIT("k"), BYTES_LIT("v"), NULL, 0);
        uint8_t *batch = record_builder_finish(&f->builder, 0, RECORD_NO_PRODUCER, &bytes);
        assert_int_equal(partition_append(f->p, batch, bytes, PARTITION_CLIENT, &f->arena, &appended), KAFKA_NONE);
        arena_reset(&f->arena);
    }
}

/* The file's text; "" when it is not there. */
static void file_text(partition_host_t *f, const char *name, char out[1000])
{
    char path[100];
    uint8_t *data;
    size_t bytes;
    snprintf(path, sizeof(path), "/data/%s", name);
    out[0] = '\0';
    if (io_read_whole(f->kafka.loop, path, 999, &data, &bytes) != 0) return;
    memcpy(out, data, bytes + 1);
    mem_free(data);
}

static void assert_file(partition_host_t *f, const char *name, const char *expected)
{
    char text[1000];
    file_text(f, name, text);
    assert_string_equal(text, expected);
}

static void delete_below(partition_host_t *f, int64_t offset)
{
    int64_t low;
    assert_int_equal(partition_delete_records(f->p, offset, &low), KAFKA_NONE);
}

static void round_through(partition_host_t *f)
{
    partition__checkpoints_run(checkpoints(f));
    sim_run_for(f->sim, 1000);
}

static void made_anew(partition_host_t *f)
{
    char why[PARTITION_WHY_CHARS_MAX];
    partition_delete(f->p);
    f->state.log = f->p = NULL;
    assert_int_equal(partition_open(&f->topic, 0, &f->p, why), 0);
    f->state.log = f->p;
}

static void cut_off(partition_host_t *f, bool power)
{
    if (power)
        sim_node_crash(f->node);
    else
        sim_node_kill(f->node);
    partition_host_stop(f);
    sim_node_start(f->node);
    partition_host_start(f);
}

static void the_loop_does_not_touch_the_disk(void **state)
{
    partition_host_t *f = *state;
    append(f, 10);
    delete_below(f, 4);
    uint64_t before = sim_node_operations(f->node);
    partition__checkpoints_run(checkpoints(f));
    assert_int_equal(sim_node_operations(f->node), before);
    sim_run_for(f->sim, 1000);
    assert_file(f, "log-start-offset-checkpoint", "0\n1\nt 0 4\n");
    assert_file(f, "replication-offset-checkpoint", "0\n1\nt 0 10\n");
    assert_file(f, "cleaner-offset-checkpoint", "");
}

static void nothing_is_written_when_nothing_changed(void **state)
{
    partition_host_t *f = *state;
    append(f, 3);
    round_through(f);
    uint64_t before = sim_node_operations(f->node);
    round_through(f);
    assert_int_equal(sim_node_operations(f->node), before);
}

static void a_partition_that_is_gone_has_no_line(void **state)
{
    partition_host_t *f = *state;
    append(f, 3);
    round_through(f);
    partition_delete(f->p);
    f->state.log = f->p = NULL;
    round_through(f);
    assert_file(f, "replication-offset-checkpoint", "0\n0\n");
}

/* What was deleted below the old one's start would hide the new one's records. */
static void a_name_that_is_used_again_is_not_measured_by_its_old_lines(void **state)
{
    partition_host_t *f = *state;
    for (int power = 0; power < 2; power++) {
        append(f, 10);
        delete_below(f, 8);
        round_through(f);
        made_anew(f);
        append(f, 3);
        assert_file(f, ".checkpoint-void", "t 0\n");
        cut_off(f, power);
        assert_int_equal(partition_log_start_offset(f->p), 0);
        made_anew(f);
    }
}

static void what_was_void_counts_again_once_it_is_written_anew(void **state)
{
    partition_host_t *f = *state;
    append(f, 10);
    delete_below(f, 8);
    round_through(f);
    made_anew(f);
    append(f, 5);
    delete_below(f, 2);
    round_through(f);
    assert_file(f, ".checkpoint-void", "");
    assert_file(f, "log-start-offset-checkpoint", "0\n1\nt 0 2\n");
    cut_off(f, false);
    assert_int_equal(partition_log_start_offset(f->p), 2);
}

static void a_stop_leaves_nothing_void(void **state)
{
    partition_host_t *f = *state;
    append(f, 10);
    round_through(f);
    made_anew(f);
    append(f, 5);
    delete_below(f, 2);
    partition_host_stop(f);
    partition_host_start(f);
    assert_file(f, ".checkpoint-void", "");
    assert_int_equal(partition_log_start_offset(f->p), 2);
}

/* The round that is under way was begun with the old partition's line in it. */
static void a_name_is_void_until_a_round_that_began_later_has_ended(void **state)
{
    partition_host_t *f = *state;
    append(f, 10);
    delete_below(f, 8);
    partition__checkpoints_run(checkpoints(f)); /* its text is made */
    made_anew(f);
    append(f, 3);
    sim_run_for(f->sim, 1000);
    assert_file(f, "log-start-offset-checkpoint", "0\n1\nt 0 8\n");
    cut_off(f, false);
    assert_int_equal(partition_log_start_offset(f->p), 0);
    assert_int_equal(partition_log_end_offset(f->p), 3);
}

static void one_that_cannot_be_written_is_told_and_written_later(void **state)
{
    partition_host_t *f = *state;
    sim_disk_faults_t faults = sim_disk_faults_default;
    append(f, 3);
    delete_below(f, 1);
    faults.capacity_bytes = 0;
    sim_node_set_disk_faults(f->node, &faults);
    round_through(f);
    assert_non_null(health_text(&f->kafka.health, "checkpoints"));
    sim_node_set_disk_faults(f->node, &sim_disk_faults_default);
    round_through(f);
    assert_null(health_text(&f->kafka.health, "checkpoints"));
    assert_file(f, "log-start-offset-checkpoint", "0\n1\nt 0 1\n");
}

/* Wherever a round is cut: the files are those of before or those of now, and the sums know both. */
static void a_crash_within_a_round_leaves_files_that_count(void **state)
{
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        partition_host_t *f = partition_host_new(seed);
        partition_host_start(f);
        append(f, 10);
        delete_below(f, 2);
        round_through(f);
        append(f, 10);
        delete_below(f, 5);
        sim_node_crash_after(f->node, 1 + seed);
        round_through(f);
        sim_node_crash_after(f->node, 0);
        cut_off(f, true);
        assert_false(f->kafka.partitions->suspect);
        int64_t start = partition_log_start_offset(f->p);
        assert_true(start == 2 || start == 5);
        partition_host_stop(f);
        partition_host_free(f);
    }
}

static void a_stop_in_the_middle_of_a_round_writes_what_is_so(void **state)
{
    partition_host_t *f = *state;
    append(f, 10);
    delete_below(f, 6);
    partition__checkpoints_run(checkpoints(f));
    delete_below(f, 7);
    partition_host_stop(f);
    partition_host_start(f);
    assert_true(f->kafka.partitions->clean);
    assert_int_equal(partition_log_start_offset(f->p), 7);
}

typedef struct waiter {
    partition_cleaned_waiter_t base;
    int ended, err;
} waiter_t;

static void on_cleaned(partition_cleaned_waiter_t *base, int err)
{
    waiter_t *waiter = CONTAINER_OF(base, waiter_t, base);
    waiter->ended++;
    waiter->err = err;
}

static void how_far_a_log_is_clean_is_told_once_it_is_durable(void **state)
{
    partition_host_t *f = *state;
    waiter_t waiter = {.base.done = on_cleaned};
    partition__checkpoint_cleaned_durably(checkpoints(f), f->p, 0, &waiter.base);
    assert_int_equal(waiter.ended, 0);
    sim_run_for(f->sim, 1000);
    assert_int_equal(waiter.ended, 1);
    assert_int_equal(waiter.err, 0);
    assert_file(f, "cleaner-offset-checkpoint", "0\n1\nt 0 0\n");
    cut_off(f, true);
    assert_int_equal(partition__checkpoint(checkpoints(f), "t", 0).cleaned, 0);
}

/* Also when the name counts again: by then no file has the old line. */
static void a_name_that_is_used_again_is_not_clean(void **state)
{
    partition_host_t *f = *state;
    waiter_t waiter = {.base.done = on_cleaned};
    partition__checkpoint_cleaned_durably(checkpoints(f), f->p, 0, &waiter.base);
    sim_run_for(f->sim, 100);
    made_anew(f);
    for (int i = 0; i < 3; i++) {
        cut_off(f, false);
        assert_int_equal(partition__checkpoint(checkpoints(f), "t", 0).cleaned, -1);
        round_through(f);
        assert_file(f, "cleaner-offset-checkpoint", "0\n0\n");
    }
}

static void who_waits_for_it_hears_of_a_failure(void **state)
{
    partition_host_t *f = *state;
    waiter_t waiter = {.base.done = on_cleaned};
    sim_disk_faults_t faults = sim_disk_faults_default;
    faults.capacity_bytes = 0;
    sim_node_set_disk_faults(f->node, &faults);
    partition__checkpoint_cleaned_durably(checkpoints(f), f->p, 0, &waiter.base);
    sim_run_for(f->sim, 1000);
    assert_int_equal(waiter.ended, 1);
    assert_int_equal(waiter.err, ERR_NOSPACE);
    sim_node_set_disk_faults(f->node, &sim_disk_faults_default);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(the_loop_does_not_touch_the_disk),
        TEST(nothing_is_written_when_nothing_changed),
        TEST(a_partition_that_is_gone_has_no_line),
        TEST(a_name_that_is_used_again_is_not_measured_by_its_old_lines),
        TEST(what_was_void_counts_again_once_it_is_written_anew),
        TEST(a_stop_leaves_nothing_void),
        TEST(a_name_is_void_until_a_round_that_began_later_has_ended),
        TEST(one_that_cannot_be_written_is_told_and_written_later),
        cmocka_unit_test(a_crash_within_a_round_leaves_files_that_count),
        TEST(a_stop_in_the_middle_of_a_round_writes_what_is_so),
        TEST(how_far_a_log_is_clean_is_told_once_it_is_durable),
        TEST(a_name_that_is_used_again_is_not_clean),
        TEST(who_waits_for_it_hears_of_a_failure),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

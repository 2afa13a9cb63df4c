/* log_files_test.c: many logs, and logs of many segments, over few descriptors: nothing is refused that could be done, what
 * cannot be done for want of one is refused by name, and is done when there is one again. On the simulator. */
#include "base/hash.h"
#include "io/sim.h"
#include "log/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define FILES_MAX   16
#define LOGS        100
#define BATCH_BYTES 200

typedef struct waiter {
    log_commit_t commit;
    int err;
    bool called;
} waiter_t;

typedef struct fixture {
    sim_t *sim;
    sim_node_t *node;
    io_loop_t *loop;
    log_files_t *files;
    log_t *logs[LOGS];
    waiter_t waiters[LOGS];
} fixture_t;

static void limit_files(fixture_t *f, uint32_t files_max)
{
    sim_disk_faults_t faults = sim_disk_faults_default;
    faults.files_max = files_max;
    sim_node_set_disk_faults(f->node, &faults);
}

static void open_logs(fixture_t *f, int count, uint64_t segment_bytes)
{
    log_options_t options = log_options_default;
    log_recovery_t recovery = {.scan_from = INT64_MAX};
    options.segment_bytes_max = segment_bytes;
    options.files = f->files;
    for (int i = 0; i < count; i++) {
        char dir[40];
        snprintf(dir, sizeof(dir), "/data/log-%d", i);
        assert_int_equal(log_open(f->loop, dir, &options, &recovery, &f->logs[i]), 0);
    }
}

static int setup(void **state)
{
    fixture_t *f = calloc(1, sizeof(*f));
    f->sim = sim_new(1);
    f->node = sim_node_new(f->sim, "10.0.0.1");
    f->loop = sim_node_loop(f->node);
    f->files = log_files_new(FILES_MAX);
    limit_files(f, FILES_MAX + 2); /* a directory, a checkpoint */
    *state = f;
    return 0;
}

static void close_logs(fixture_t *f)
{
    for (int i = 0; i < LOGS; i++) {
        if (f->logs[i]) assert_int_equal(log_close(f->logs[i]), 0);
        f->logs[i] = NULL;
    }
}

static int teardown(void **state)
{
    fixture_t *f = *state;
    close_logs(f);
    assert_int_equal(log_files_count(f->files), 0);
    log_files_free(f->files);
    sim_free(f->sim);
    free(f);
    return 0;
}

static int append(fixture_t *f, int i)
{
    uint8_t b[BATCH_BYTES] = {0};
    int64_t offset;
    store_be32(b + 8, BATCH_BYTES - BATCH_OVERHEAD_BYTES);
    b[16] = 2;
    store_be64(b + 27, 1000);
    store_be64(b + 35, 1000);
    store_be64(b + 43, UINT64_MAX);
    store_be32(b + 57, 1);
    memset(b + BATCH_HEADER_BYTES, i, BATCH_BYTES - BATCH_HEADER_BYTES);
    store_be32(b + 17, crc32c(0, b + 21, BATCH_BYTES - 21));
    return log_append(f->logs[i], b, sizeof(b), 0, &offset);
}

static void committed(log_commit_t *commit, int err)
{
    waiter_t *w = CONTAINER_OF(commit, waiter_t, commit);
    w->err = err;
    w->called = true;
}

static void commit(fixture_t *f, int i)
{
    f->waiters[i] = (waiter_t){0};
    log_commit(f->logs[i], &f->waiters[i].commit, committed);
}

static int find(fixture_t *f, int i, int64_t offset, log_slice_t *ret_slice)
{
    return log_find(f->logs[i], offset, INT64_MAX, 4096, true, ret_slice);
}

static void check_slice(int i, const log_slice_t *slice)
{
    uint8_t bytes[BATCH_BYTES];
    assert_int_equal(io_file_read(slice->file, slice->position, bytes, sizeof(bytes)), sizeof(bytes));
    assert_int_equal(bytes[BATCH_HEADER_BYTES], i);
    assert_int_equal(bytes[BATCH_BYTES - 1], i);
}

static void a_hundred_logs_are_written_read_and_synced_through_sixteen_files(void **state)
{
    fixture_t *f = *state;
    enum { ROUNDS = 30 };
    open_logs(f, LOGS, 1000); /* five batches a segment */
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < LOGS; i++) assert_int_equal(append(f, i), 0);
        assert_true(io_files_open(f->loop) <= FILES_MAX);
    }
    for (int i = 0; i < LOGS; i++) commit(f, i);
    sim_run_for(f->sim, 20000);
    for (int i = 0; i < LOGS; i++) {
        assert_true(f->waiters[i].called);
        assert_int_equal(f->waiters[i].err, 0);
        assert_int_equal(log_durable_offset(f->logs[i]), ROUNDS);
        for (int64_t offset = 0; offset < ROUNDS; offset++) {
            log_slice_t slice;
            assert_int_equal(find(f, i, offset, &slice), 0);
            check_slice(i, &slice);
            log_slice_release(slice.segment);
        }
        assert_true(io_files_open(f->loop) <= FILES_MAX);
    }
    close_logs(f);
    open_logs(f, LOGS, 1000);
    for (int i = 0; i < LOGS; i++) assert_int_equal(log_end_offset(f->logs[i]), ROUNDS);
}

static void what_is_being_sent_stays_open_and_a_log_without_a_place_waits(void **state)
{
    fixture_t *f = *state;
    enum { LENT = FILES_MAX - 2 }; /* the last two places are for those who open two files at once */
    log_slice_t slices[LENT];
    open_logs(f, LOGS, 1 << 20);
    for (int i = 0; i < LOGS; i++) assert_int_equal(append(f, i), 0);
    assert_false(log_files_scarce(f->files));
    for (int i = 0; i < LENT; i++) assert_int_equal(find(f, i, 0, &slices[i]), 0);
    assert_true(log_files_scarce(f->files));
    assert_int_equal(append(f, LENT), ERR_FILES);
    commit(f, LENT);
    sim_run_for(f->sim, 1000);
    assert_false(f->waiters[LENT].called);
    for (int i = 0; i < LENT; i++) {
        check_slice(i, &slices[i]);
        log_slice_release(slices[i].segment);
    }
    sim_run_for(f->sim, 1000);
    assert_true(f->waiters[LENT].called);
    assert_int_equal(f->waiters[LENT].err, 0);
    assert_int_equal(log_failed(f->logs[LENT]), 0);
    assert_int_equal(append(f, LENT), 0);
    assert_false(log_files_scarce(f->files));
}

static void syncs_of_a_hundred_logs_leave_places_for_those_who_append(void **state)
{
    fixture_t *f = *state;
    open_logs(f, LOGS, 1 << 20);
    for (int round = 0; round < 10; round++) {
        for (int i = 0; i < LOGS; i++) assert_int_equal(append(f, i), 0);
        for (int i = 0; i < LOGS; i++) commit(f, i);
        for (int i = 0, called = 0; called < LOGS; i++) {
            assert_true(sim_step(f->sim));
            assert_int_equal(append(f, i % LOGS), 0);
            called = 0;
            for (int n = 0; n < LOGS; n++) called += f->waiters[n].called;
        }
        for (int i = 0; i < LOGS; i++) assert_int_equal(f->waiters[i].err, 0);
    }
}

/* As when clients have taken all: the log's own bound is not reached, the system's is. */
static void a_roll_that_gets_no_descriptor_is_refused_and_done_later(void **state)
{
    fixture_t *f = *state;
    io_file_t *others[FILES_MAX];
    open_logs(f, 1, 1000);
    for (int n = 0; n < 5; n++) assert_int_equal(append(f, 0), 0);
    limit_files(f, io_files_open(f->loop) + FILES_MAX);
    for (int n = 0; n < FILES_MAX; n++)
        assert_int_equal(io_file_open(f->loop, "/data/other", IO_FILE_WRITE | IO_FILE_CREATE, &others[n]), 0);
    assert_int_equal(append(f, 0), ERR_FILES);
    assert_int_equal(log_end_offset(f->logs[0]), 5);
    commit(f, 0);
    for (int n = 0; n < FILES_MAX; n++) io_file_close(others[n]);
    sim_run_for(f->sim, 1000);
    assert_true(f->waiters[0].called);
    assert_int_equal(f->waiters[0].err, 0);
    assert_int_equal(append(f, 0), 0);
    assert_int_equal(log_segments_count(f->logs[0]), 2);
}

static void a_slice_outlives_its_log_and_the_count_does_not(void **state)
{
    fixture_t *f = *state;
    log_slice_t slice;
    open_logs(f, 1, 1000);
    assert_int_equal(append(f, 0), 0);
    assert_int_equal(find(f, 0, 0, &slice), 0);
    close_logs(f);
    assert_int_equal(log_files_count(f->files), 0);
    check_slice(0, &slice);
    log_slice_release(slice.segment);
    assert_int_equal(io_files_open(f->loop), 0);
}

static void one_commit_makes_two_thousand_small_segments_durable(void **state)
{
    fixture_t *f = *state;
    enum { SEGMENTS = 2000 };
    open_logs(f, 1, BATCH_BYTES);
    for (int n = 0; n < SEGMENTS; n++) assert_int_equal(append(f, 0), 0);
    assert_int_equal(log_segments_count(f->logs[0]), SEGMENTS);
    commit(f, 0);
    for (int n = 0; n < 1000 && !f->waiters[0].called; n++) {
        sim_run_for(f->sim, 10);
        assert_true(io_files_open(f->loop) <= FILES_MAX);
    }
    sim_run_for(f->sim, 60000);
    assert_true(f->waiters[0].called);
    assert_int_equal(f->waiters[0].err, 0);
    assert_int_equal(log_durable_offset(f->logs[0]), SEGMENTS);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_hundred_logs_are_written_read_and_synced_through_sixteen_files),
        TEST(what_is_being_sent_stays_open_and_a_log_without_a_place_waits),
        TEST(syncs_of_a_hundred_logs_leave_places_for_those_who_append),
        TEST(a_roll_that_gets_no_descriptor_is_refused_and_done_later),
        TEST(a_slice_outlives_its_log_and_the_count_does_not),
        TEST(one_commit_makes_two_thousand_small_segments_durable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

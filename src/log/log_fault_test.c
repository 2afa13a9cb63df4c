/* log_fault_test.c: disks that are full or fail: what log_append refused is not in the log, what it took is,
 * and a log whose sync failed takes nothing more. On the simulator, from many seeds. */
#include "base/hash.h"
#include "io/sim.h"
#include "log/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define SEEDS   200
#define BATCHES 300

typedef struct seen {
    int64_t next;
    int count;
} seen_t;

static size_t make_batch(uint8_t *b, size_t bytes)
{
    memset(b, 0, BATCH_HEADER_BYTES);
    store_be32(b + 8, (uint32_t)(bytes - BATCH_OVERHEAD_BYTES));
    b[16] = 2;
    store_be64(b + 27, 1000);
    store_be64(b + 35, 1000);
    store_be64(b + 43, UINT64_MAX);
    store_be32(b + 57, 1);
    memset(b + BATCH_HEADER_BYTES, 7, bytes - BATCH_HEADER_BYTES);
    store_be32(b + 17, crc32c(0, b + 21, bytes - 21));
    return bytes;
}

static void see(void *user, const batch_header_t *batch)
{
    seen_t *seen = user;
    assert_int_equal(batch->base_offset, seen->next);
    seen->next++;
    seen->count++;
}

static log_t *open_log(io_loop_t *loop, seen_t *seen)
{
    log_options_t options = log_options_default;
    options.segment_bytes_max = 20000;
    log_recovery_t recovery = {.each = see, .user = seen};
    log_t *log;
    *seen = (seen_t){0};
    assert_int_equal(log_open(loop, "/data/log", &options, &recovery, &log), 0);
    return log;
}

/* Appends; counts what was taken. Every refusal is the one expected. */
static int append_all(sim_t *sim, log_t *log, int refusal)
{
    uint8_t batch[1000];
    int taken = 0;
    for (int i = 0; i < BATCHES; i++) {
        int64_t offset, end = log_end_offset(log);
        int err = log_append(log, batch, make_batch(batch, 100 + sim_random(sim, 900)), 0, &offset);
        if (err == 0)
            assert_int_equal(offset, end);
        else
            assert_true(err == refusal || err == ERR_STATE);
        assert_int_equal(log_end_offset(log), end + (err == 0));
        taken += err == 0;
    }
    return taken;
}

static void a_full_disk_refuses_and_keeps_what_was_taken(void **state)
{
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        sim_t *sim = sim_new(seed);
        sim_node_t *node = sim_node_new(sim, "10.0.0.1");
        io_loop_t *loop = sim_node_loop(node);
        sim_disk_faults_t faults = sim_disk_faults_default;
        seen_t seen;
        log_t *log = open_log(loop, &seen);
        faults.capacity_bytes = 10000 + sim_random(sim, 100000);
        sim_node_set_disk_faults(node, &faults);
        int taken = append_all(sim, log, ERR_NOSPACE);
        assert_true(taken > 0 && taken < BATCHES);
        sim_node_set_disk_faults(node, &sim_disk_faults_default);
        taken += append_all(sim, log, 0); /* there is room again: it goes on */
        assert_true(taken > BATCHES);
        assert_int_equal(log_close(log), 0);
        log = open_log(loop, &seen);
        assert_int_equal(seen.count, taken);
        assert_int_equal(log_close(log), 0);
        sim_free(sim);
    }
}

static void a_failing_disk_loses_nothing_that_was_taken(void **state)
{
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        sim_t *sim = sim_new(seed);
        sim_node_t *node = sim_node_new(sim, "10.0.0.1");
        io_loop_t *loop = sim_node_loop(node);
        sim_disk_faults_t faults = sim_disk_faults_default;
        seen_t seen;
        log_t *log = open_log(loop, &seen);
        faults.write_error_ppm = 20000;
        sim_node_set_disk_faults(node, &faults);
        int taken = append_all(sim, log, ERR_IO);
        sim_node_set_disk_faults(node, &sim_disk_faults_default);
        (void)!log_close(log);
        log = open_log(loop, &seen);
        assert_int_equal(seen.count, taken);
        assert_int_equal(log_close(log), 0);
        sim_free(sim);
    }
}

typedef struct waiter {
    log_commit_t commit;
    int err;
    bool called;
} waiter_t;

static void committed(log_commit_t *commit, int err)
{
    waiter_t *w = CONTAINER_OF(commit, waiter_t, commit);
    w->err = err;
    w->called = true;
}

static bool was_called(void *user) { return ((waiter_t *)user)->called; }

static void a_failed_sync_fails_the_log_for_good(void **state)
{
    sim_t *sim = sim_new(1);
    sim_node_t *node = sim_node_new(sim, "10.0.0.1");
    sim_disk_faults_t faults = sim_disk_faults_default;
    uint8_t batch[200];
    int64_t offset;
    seen_t seen;
    log_t *log = open_log(sim_node_loop(node), &seen);
    assert_int_equal(log_append(log, batch, make_batch(batch, 200), 0, &offset), 0);
    faults.sync_error_ppm = SIM_PPM;
    sim_node_set_disk_faults(node, &faults);
    for (int i = 0; i < 2; i++) {
        waiter_t w = {0};
        log_commit(log, &w.commit, committed);
        assert_true(sim_run_until(sim, was_called, &w, 10000));
        assert_int_equal(w.err, ERR_IO);
        assert_int_equal(log_append(log, batch, make_batch(batch, 200), 0, &offset), ERR_STATE);
        assert_int_equal(log_durable_offset(log), 0);
        sim_node_set_disk_faults(node, &sim_disk_faults_default); /* a disk that recovers does not help */
    }
    assert_int_equal(log_close(log), ERR_IO);
    sim_free(sim);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_full_disk_refuses_and_keeps_what_was_taken),
        cmocka_unit_test(a_failing_disk_loses_nothing_that_was_taken),
        cmocka_unit_test(a_failed_sync_fails_the_log_for_good),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

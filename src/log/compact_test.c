/* compact_test.c: a segment takes the place of others: what a crash at each single step leaves, with the page cache or
 * without, what a failing disk leaves, and what readers see. On the simulator. */
#include "base/hash.h"
#include "io/sim.h"
#include "log/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define DIR         "/data/t-0"
#define BATCHES     60
#define BATCH_BYTES 400
#define SEEDS       20

typedef struct fixture {
    sim_t *sim;
    sim_node_t *node;
    io_loop_t *loop;
    log_t *log;
    int seen[BATCHES]; /* how often each batch was found: batch i holds the offsets 2i and 2i+1 */
    int64_t next;
    bool done;
    int err;
} fixture_t;

static log_options_t options(void)
{
    log_options_t o = log_options_default;
    o.segment_bytes_max = 5000;
    o.index_interval_bytes = 500;
    return o;
}

static void open_log(fixture_t *f, bool clean)
{
    log_options_t o = options();
    log_recovery_t recovery = {
        .clean = clean, .recovery_point = BATCHES * 2, .compacted = true, .scan_from = INT64_MAX};
    assert_int_equal(log_open(f->loop, DIR, &o, &recovery, &f->log), 0);
}

static void fill(fixture_t *f)
{
    uint8_t b[BATCH_BYTES];
    for (int i = 0; i < BATCHES; i++) {
        int64_t offset;
        memset(b, 0, sizeof(b));
        store_be32(b + 8, BATCH_BYTES - BATCH_OVERHEAD_BYTES);
        b[16] = 2;
        store_be32(b + 23, 1);
        store_be64(b + 27, (uint64_t)(1000 + i));
        store_be64(b + 35, (uint64_t)(1000 + i));
        store_be64(b + 43, UINT64_MAX);
        store_be32(b + 57, 2);
        store_be32(b + 17, crc32c(0, b + 21, sizeof(b) - 21));
        assert_int_equal(log_append(f->log, b, sizeof(b), 0, &offset), 0);
        assert_int_equal(offset, 2 * i);
    }
}

static void committed(log_commit_t *commit, int err) { commit->done = NULL; }
static bool is_committed(void *user) { return ((log_commit_t *)user)->done == NULL; }

static void start(fixture_t *f, uint64_t seed)
{
    *f = (fixture_t){.sim = sim_new(seed)};
    f->node = sim_node_new(f->sim, "10.0.0.1");
    f->loop = sim_node_loop(f->node);
    open_log(f, false);
    fill(f);
    log_commit_t commit;
    log_commit(f->log, &commit, committed);
    assert_true(sim_run_until(f->sim, is_committed, &commit, 10000));
}

static void see(void *user, const batch_header_t *batch)
{
    fixture_t *f = user;
    assert_true(batch->base_offset >= f->next);
    f->next = batch_last_offset(batch) + 1;
    f->seen[batch->base_offset / 2]++;
}

static void look(fixture_t *f)
{
    memset(f->seen, 0, sizeof(f->seen));
    f->next = 0;
    assert_int_equal(log_scan(f->log, 0, see, f), 0);
}

static bool is_dropped(int i) { return i % 3 != 1; }

static void finished(void *user, int err)
{
    fixture_t *f = user;
    f->done = true;
    f->err = err;
}

static bool is_done(void *user) { return ((fixture_t *)user)->done || !sim_node_alive(((fixture_t *)user)->node); }

/* Rewrites a group of segments: the error of the first step that fails. *ret_next: where to go on, 0 = nowhere. */
static int rewrite_one(fixture_t *f, int64_t from, int64_t *ret_next)
{
    log_rewrite_t *rewrite;
    log_walk_t walk;
    buf_t piece = BUF_INIT;
    *ret_next = 0;
    int err = log_rewrite_begin(f->log, from, log_active_base(f->log), &rewrite);
    if (err || !rewrite) return err;
    *ret_next = log_rewrite_end(rewrite);
    log_walk_init(&walk, f->log, log_rewrite_base(rewrite), log_rewrite_end(rewrite));
    do {
        buf_clear(&piece);
        err = log_walk_read(&walk, 1000, &piece);
        for (size_t at = 0; !err && at < piece.len; at += BATCH_BYTES) {
            if (is_dropped((int)(load_be64(piece.ptr + at) / 2))) continue;
            err = log_rewrite_add(rewrite, bytes_of(piece.ptr + at, BATCH_BYTES));
        }
    } while (!err && piece.len > 0);
    buf_deinit(&piece);
    f->done = false;
    if (!err) err = log_rewrite_finish(rewrite, finished, f);
    if (err) {
        log_rewrite_abort(rewrite);
        return err;
    }
    assert_true(sim_run_until(f->sim, is_done, f, 10000));
    if (f->done) return f->err;
    log_rewrite_abort(rewrite); /* the machine died first */
    return ERR_IO;
}

static int rewrite_all(fixture_t *f)
{
    int err = 0;
    for (int64_t from = 0, next = 0; !err; from = next) {
        err = rewrite_one(f, from, &next);
        if (next == 0) break;
    }
    return err;
}

static void no_names(void *user, const char *name, bool is_dir)
{
    assert_null(strstr(name, ".swap"));
    assert_null(strstr(name, ".cleaned"));
}

/* What was kept is there once; what was dropped once or not at all, and in a log that is through not in sealed segments. */
static void check(fixture_t *f, bool through)
{
    int64_t active = log_active_base(f->log);
    look(f);
    for (int i = 0; i < BATCHES; i++) {
        if (!is_dropped(i) || 2 * i >= active)
            assert_int_equal(f->seen[i], 1);
        else
            assert_true(through ? f->seen[i] == 0 : f->seen[i] <= 1);
    }
    assert_int_equal(log_end_offset(f->log), 2 * BATCHES);
    assert_int_equal(io_list_dir(f->loop, DIR, no_names, f), 0);
}

static void stop(fixture_t *f)
{
    assert_int_equal(log_close(f->log), 0);
    sim_free(f->sim);
}

static void segments_are_rewritten_and_merged(void **state)
{
    fixture_t f;
    start(&f, 1);
    uint32_t before = log_segments_count(f.log);
    uint64_t bytes = log_bytes(f.log);
    assert_int_equal(rewrite_all(&f), 0);
    check(&f, true);
    assert_int_equal(log_segments_count(f.log), before); /* by their size before, no two fitted one */
    assert_int_equal(rewrite_all(&f), 0);
    check(&f, true);
    assert_true(log_segments_count(f.log) < before);
    assert_true(log_bytes(f.log) < bytes / 2);
    assert_int_equal(log_close(f.log), 0);
    open_log(&f, true);
    check(&f, true);
    stop(&f);
}

static void offsets_and_times_are_found_across_gaps(void **state)
{
    fixture_t f;
    start(&f, 2);
    assert_int_equal(rewrite_all(&f), 0);
    look(&f);
    for (int64_t offset = 0; offset < 2 * BATCHES; offset++) {
        log_slice_t slice;
        batch_header_t batch;
        int i = (int)offset / 2;
        while (!f.seen[i]) i++;
        assert_int_equal(log_find(f.log, offset, INT64_MAX, 1, true, &slice), 0);
        assert_true(slice.next_offset >= 2 * i + 2);
        for (int j = i + 1; j < slice.next_offset / 2; j++)
            assert_false(f.seen[j]); /* nothing is skipped but the gap */
        log_slice_release(slice.segment);
        assert_int_equal(log_find_timestamp(f.log, 1000 + offset / 2, 0, &batch, &slice), 0);
        assert_int_equal(batch.base_offset, 2 * i);
        log_slice_release(slice.segment);
    }
    stop(&f);
}

static void who_reads_an_old_segment_reads_on(void **state)
{
    fixture_t f;
    log_slice_t slice;
    uint8_t data[BATCH_BYTES];
    start(&f, 3);
    assert_int_equal(log_find(f.log, 0, INT64_MAX, 1, true, &slice), 0);
    assert_int_equal(rewrite_all(&f), 0);
    assert_int_equal(io_file_read(slice.file, slice.position, data, sizeof(data)), sizeof(data));
    assert_int_equal(load_be64(data), 0);
    assert_true(batch_crc_ok(bytes_of(data, sizeof(data))));
    uint32_t deleted;
    sim_run_for(f.sim, 70000);
    assert_int_equal(log_maintain(f.log, io_wall_ms(f.loop) + 70000, INT64_MAX, &deleted), 0);
    assert_int_equal(io_file_read(slice.file, slice.position, data, sizeof(data)), sizeof(data));
    log_slice_release(slice.segment);
    stop(&f);
}

static void restart(fixture_t *f, bool kill)
{
    if (kill)
        sim_node_kill(f->node);
    else
        sim_node_crash(f->node);
    (void)!log_close(f->log);
    f->loop = sim_node_start(f->node);
}

/* The machine dies at its first operation, at its second, and so on, until the whole work fits before its death; and at one
 * of the first operations of the recovery that follows. */
static void crash_at_each_step(bool kill)
{
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        bool through = false;
        for (uint64_t at = 1; !through; at++) {
            fixture_t f;
            start(&f, seed);
            if (seed % 2) assert_int_equal(rewrite_all(&f), 0); /* then it is about segments that are merged */
            sim_node_crash_after(f.node, at);
            int err = rewrite_all(&f);
            through = sim_node_alive(f.node);
            assert_int_equal(err == 0, through);
            restart(&f, kill);
            sim_node_crash_after(f.node, 1 + sim_random(f.sim, 20));
            log_options_t o = options();
            log_recovery_t recovery = {.recovery_point = BATCHES * 2, .compacted = true, .scan_from = INT64_MAX};
            f.log = NULL;
            if (log_open(f.loop, DIR, &o, &recovery, &f.log) == 0) (void)!log_close(f.log);
            sim_node_crash_after(f.node, 0);
            if (kill)
                sim_node_kill(f.node);
            else
                sim_node_crash(f.node);
            f.loop = sim_node_start(f.node);
            open_log(&f, false);
            check(&f, through);
            assert_int_equal(rewrite_all(&f), 0);
            check(&f, true);
            stop(&f);
        }
    }
}

static void a_process_that_dies_at_any_step_loses_nothing(void **state) { crash_at_each_step(true); }

static void a_power_failure_at_any_step_loses_nothing(void **state) { crash_at_each_step(false); }

static void a_disk_that_fails_leaves_the_old_segments(void **state)
{
    int failures = 0;
    for (uint64_t seed = 0; seed < 10 * SEEDS; seed++) {
        fixture_t f;
        sim_disk_faults_t faults = sim_disk_faults_default;
        start(&f, seed);
        uint64_t capacities[] = {sim_disk_faults_default.capacity_bytes, log_bytes(f.log) + sim_random(f.sim, 30000)};
        faults.write_error_ppm = seed % 3 == 0 ? 100000 : 0;
        faults.sync_error_ppm = seed % 3 == 1 ? 200000 : 0;
        faults.capacity_bytes = capacities[seed % 3 == 2];
        sim_node_set_disk_faults(f.node, &faults);
        int err = rewrite_all(&f);
        failures += err != 0;
        sim_node_set_disk_faults(f.node, &sim_disk_faults_default);
        check(&f, err == 0);
        assert_int_equal(rewrite_all(&f), 0); /* and goes on when the disk does */
        check(&f, true);
        stop(&f);
    }
    assert_true(failures > 5 * SEEDS);
}

static void a_rewrite_comes_to_nothing_when_its_segments_go(void **state)
{
    fixture_t f;
    log_rewrite_t *rewrite;
    start(&f, 5);
    assert_int_equal(log_rewrite_begin(f.log, 0, log_active_base(f.log), &rewrite), 0);
    assert_int_equal(log_advance_start(f.log, log_active_base(f.log)), 0);
    assert_int_equal(log_rewrite_finish(rewrite, finished, &f), ERR_STATE);
    log_rewrite_abort(rewrite);
    assert_int_equal(log_segments_count(f.log), 1);
    stop(&f);
}

static void what_is_not_durable_is_not_rewritten(void **state)
{
    fixture_t f;
    log_rewrite_t *rewrite;
    start(&f, 6);
    assert_int_equal(log_truncate_all(f.log, 0), 0);
    fill(&f);
    assert_int_equal(log_rewrite_begin(f.log, 0, log_active_base(f.log), &rewrite), ERR_AGAIN);
    stop(&f);
}

static void the_active_segment_is_sealed_when_it_is_old(void **state)
{
    fixture_t f;
    start(&f, 7);
    log_options_t o = options();
    o.segment_age_ms_max = 5000;
    log_set_options(f.log, &o);
    uint32_t before = log_segments_count(f.log);
    assert_int_equal(log_roll_aged(f.log), 0);
    assert_int_equal(log_segments_count(f.log), before);
    sim_run_for(f.sim, 6000);
    io_loop_update_time(f.loop);
    assert_int_equal(log_roll_aged(f.log), 0);
    assert_int_equal(log_segments_count(f.log), before + 1);
    assert_int_equal(log_active_base(f.log), 2 * BATCHES);
    assert_int_equal(log_roll_aged(f.log), 0); /* an empty one has no age */
    assert_int_equal(log_segments_count(f.log), before + 1);
    stop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(segments_are_rewritten_and_merged),
        cmocka_unit_test(offsets_and_times_are_found_across_gaps),
        cmocka_unit_test(who_reads_an_old_segment_reads_on),
        cmocka_unit_test(a_process_that_dies_at_any_step_loses_nothing),
        cmocka_unit_test(a_power_failure_at_any_step_loses_nothing),
        cmocka_unit_test(a_disk_that_fails_leaves_the_old_segments),
        cmocka_unit_test(a_rewrite_comes_to_nothing_when_its_segments_go),
        cmocka_unit_test(what_is_not_durable_is_not_rewritten),
        cmocka_unit_test(the_active_segment_is_sealed_when_it_is_old),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

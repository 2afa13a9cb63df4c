/* log_mend_test.c: a mended directory is sound whatever was missing from it: log_check finds no damage, log_open takes it without
 * knowing more, and what lay in the other segments is there. On the simulator. */
#include "base/hash.h"
#include "io/sim.h"
#include "log/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define BATCHES  60
#define BATCH    200
#define SEGMENT  2000 /* ten batches */
#define SEGMENTS (BATCHES * BATCH / SEGMENT)
#define DIR      "/data/log"

typedef struct fixture {
    sim_t *sim;
    io_loop_t *loop;
    log_t *log;
    uint32_t damaged;
} fixture_t;

static void open_log(fixture_t *f)
{
    log_options_t options = log_options_default;
    log_recovery_t recovery = {.scan_from = INT64_MAX};
    options.segment_bytes_max = SEGMENT;
    options.index_interval_bytes = 500;
    assert_int_equal(log_open(f->loop, DIR, &options, &recovery, &f->log), 0);
}

static void append(fixture_t *f, int64_t expected)
{
    uint8_t b[BATCH] = {0};
    int64_t offset;
    store_be32(b + 8, BATCH - BATCH_OVERHEAD_BYTES);
    b[16] = 2;
    store_be64(b + 43, UINT64_MAX);
    store_be32(b + 57, 1);
    store_be32(b + 17, crc32c(0, b + 21, BATCH - 21));
    assert_int_equal(log_append(f->log, b, BATCH, 0, &offset), 0);
    assert_int_equal(offset, expected);
}

static void fixture_init(fixture_t *f)
{
    *f = (fixture_t){.sim = sim_new(7)};
    f->loop = sim_node_loop(sim_node_new(f->sim, "10.0.0.1"));
    open_log(f);
    for (int n = 0; n < BATCHES; n++) append(f, n);
    assert_int_equal(log_segments_count(f->log), SEGMENTS);
    assert_int_equal(log_close(f->log), 0);
}

static void remove_file(fixture_t *f, int segment, const char *kind)
{
    char path[100];
    snprintf(path, sizeof(path), DIR "/%020d%s", segment * (SEGMENT / BATCH), kind);
    assert_int_equal(io_remove(f->loop, path), 0);
}

static void count_damaged(void *user, const log_checked_t *file)
{
    fixture_t *f = user;
    f->damaged += file->damage.fault != LOG_SOUND;
}

static uint32_t damaged(fixture_t *f)
{
    f->damaged = 0;
    assert_int_equal(log_check(f->loop, DIR, false, count_damaged, f), 0);
    return f->damaged;
}

/* Takes the segments from `from` up to below `to` away, and mends. */
static log_mended_t mend(fixture_t *f, int from, int to, bool indexes_too, bool salvage)
{
    log_mended_t mended;
    log_mending_t how = {.salvage = salvage, .fill = log_fill_empty, .fill_offsets_max = INT32_MAX};
    fixture_init(f);
    for (int i = from; i < to; i++) {
        remove_file(f, i, ".log");
        if (indexes_too) remove_file(f, i, ".index");
        if (indexes_too) remove_file(f, i, ".timeindex");
    }
    assert_int_equal(log_mend(f->loop, DIR, &how, &mended), 0);
    assert_int_equal(damaged(f), 0);
    open_log(f);
    assert_int_equal(log_end_offset(f->log), mended.end_offset);
    append(f, log_end_offset(f->log));
    return mended;
}

static void fixture_deinit(fixture_t *f)
{
    assert_int_equal(log_close(f->log), 0);
    sim_free(f->sim);
}

static void whatever_segments_are_missing_the_others_are_salvaged(void **state)
{
    const int64_t each = SEGMENT / BATCH;
    for (int from = 0; from < SEGMENTS; from++) {
        for (int to = from + 1; to <= SEGMENTS; to++) {
            for (int indexes_too = 0; indexes_too < 2; indexes_too++) {
                fixture_t f;
                bool inside = from > 0 && to < SEGMENTS;
                log_mended_t mended = mend(&f, from, to, indexes_too, true);
                assert_int_equal(mended.kept_batches, BATCHES - (to - from) * each);
                assert_int_equal(mended.lost_batches, 0);
                assert_int_equal(mended.lost_offsets, inside ? (to - from) * each : 0);
                if (to < SEGMENTS) assert_int_equal(mended.end_offset, BATCHES);
                if (from == 0 && to < SEGMENTS) assert_int_equal(log_start_offset(f.log), to * each);
                fixture_deinit(&f);
            }
        }
    }
}

static void a_cut_log_ends_where_the_first_segment_is_missing(void **state)
{
    const int64_t each = SEGMENT / BATCH;
    for (int from = 0; from < SEGMENTS; from++) {
        fixture_t f;
        log_mended_t mended = mend(&f, from, from + 1, false, false);
        assert_int_equal(mended.kept_batches, from * each);
        assert_int_equal(mended.lost_batches, BATCHES - (from + 1) * each);
        assert_int_equal(mended.end_offset, from * each);
        fixture_deinit(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whatever_segments_are_missing_the_others_are_salvaged),
        cmocka_unit_test(a_cut_log_ends_where_the_first_segment_is_missing),
    };
    return cmocka_run_group_tests_name("log/mend", tests, NULL, NULL);
}

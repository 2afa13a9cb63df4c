/* precheck_test.c: a log whose checksums were checked ahead opens as it would without that, whatever bytes are wrong. */
#include "base/hash.h"
#include "io/sim.h"
#include "log/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define BATCHES 60
#define BATCH   200
#define SEGMENT 2000 /* ten batches */
#define DIR     "/data/log"
#define ROUNDS  400

typedef struct fixture {
    sim_t *sim;
    io_loop_t *loop;
    log_t *log;
    log_report_t report;
} fixture_t;

/* What came of log_open. */
typedef struct outcome {
    int err;
    int64_t end_offset;
    log_report_t report;
} outcome_t;

static int open_log(fixture_t *f, int64_t recovery_point, const log_precheck_t *precheck)
{
    log_options_t options = log_options_default;
    log_recovery_t recovery = {.scan_from = INT64_MAX,
                               .recovery_point = recovery_point,
                               .distrust_cache = true,
                               .precheck = precheck,
                               .report = &f->report};
    options.segment_bytes_max = SEGMENT;
    options.index_interval_bytes = 500;
    return log_open(f->loop, DIR, &options, &recovery, &f->log);
}

static void append(fixture_t *f)
{
    uint8_t b[BATCH] = {0};
    int64_t offset;
    store_be32(b + 8, BATCH - BATCH_OVERHEAD_BYTES);
    b[16] = 2;
    store_be64(b + 43, UINT64_MAX);
    store_be32(b + 57, 1);
    store_be32(b + 17, crc32c(0, b + 21, BATCH - 21));
    assert_int_equal(log_append(f->log, b, BATCH, 0, &offset), 0);
}

static void begin(fixture_t *f)
{
    *f = (fixture_t){.sim = sim_new(7)};
    f->loop = sim_node_loop(sim_node_new(f->sim, "10.0.0.1"));
    assert_int_equal(open_log(f, 0, NULL), 0);
    for (int n = 0; n < BATCHES; n++) append(f);
    assert_int_equal(log_close(f->log), 0);
}

/* `segment` is its number, `position` where in the file a bit flips; -1 = nowhere. */
static void damage(fixture_t *f, int segment, int position, int bytes)
{
    char path[100];
    io_file_t *file;
    uint8_t byte;
    snprintf(path, sizeof(path), DIR "/%020d.log", segment * (SEGMENT / BATCH));
    assert_int_equal(io_file_open(f->loop, path, IO_FILE_READ | IO_FILE_WRITE, &file), 0);
    if (position >= 0) {
        assert_int_equal(io_file_read(file, (uint64_t)position, &byte, 1), 1);
        byte ^= 0x10;
        assert_int_equal(io_file_write(file, (uint64_t)position, &(struct iovec){&byte, 1}, 1), 0);
    }
    assert_int_equal(io_file_truncate(file, (uint64_t)bytes), 0);
    io_file_close(file);
}

static log_precheck_t *precheck(fixture_t *f, int64_t recovery_point, uint64_t bytes_min)
{
    log_precheck_t *p;
    log_recovery_t recovery = {.recovery_point = recovery_point, .distrust_cache = true};
    assert_int_equal(log_precheck_new(f->loop, DIR, &recovery, bytes_min, &p), 0);
    return p;
}

static outcome_t open_damaged(bool ahead, int64_t recovery_point, int segment, int position, int bytes)
{
    fixture_t f;
    begin(&f);
    damage(&f, segment, position, bytes);
    log_precheck_t *p = ahead ? precheck(&f, recovery_point, 0) : NULL;
    if (ahead) log_precheck_run(p);
    outcome_t outcome = {.err = open_log(&f, recovery_point, p)};
    outcome.report = f.report;
    log_precheck_free(p);
    if (outcome.err == 0) {
        outcome.end_offset = log_end_offset(f.log);
        assert_int_equal(log_close(f.log), 0);
    }
    sim_free(f.sim);
    return outcome;
}

static void damage_is_found_and_judged_as_without(void **state)
{
    int opened = 0, refused = 0;
    srand(7);
    for (int round = 0; round < ROUNDS; round++) {
        int segment = rand() % (BATCHES * BATCH / SEGMENT), position = rand() % (SEGMENT + 200) - 200;
        int bytes = rand() % 3 ? SEGMENT : MAX(position + 1, 0) + rand() % (SEGMENT - MAX(position, 0));
        int64_t point = rand() % (BATCHES + 10);
        position = MAX(position, -1);
        outcome_t plain = open_damaged(false, point, segment, position, bytes);
        outcome_t ahead = open_damaged(true, point, segment, position, bytes);
        assert_int_equal(ahead.err, plain.err);
        assert_int_equal(ahead.end_offset, plain.end_offset);
        assert_int_equal(ahead.report.damage.fault, plain.report.damage.fault);
        assert_int_equal(ahead.report.damage.position, plain.report.damage.position);
        assert_string_equal(ahead.report.cut_file, plain.report.cut_file);
        plain.err ? refused++ : opened++;
    }
    assert_true(opened > ROUNDS / 10 && refused > ROUNDS / 10);
}

/* Nobody may write between the two: if somebody does, nothing notices, for nothing is read twice. */
static void what_was_checked_ahead_is_not_checked_again(void **state)
{
    fixture_t f;
    begin(&f);
    log_precheck_t *p = precheck(&f, 0, 0);
    log_precheck_run(p);
    damage(&f, 5, 150, SEGMENT); /* within the first batch's record */
    assert_int_equal(open_log(&f, 0, p), 0);
    assert_int_equal(log_end_offset(f.log), BATCHES);
    assert_int_equal(log_close(f.log), 0);
    log_precheck_free(p);
    sim_free(f.sim);
}

static void little_is_not_worth_it(void **state)
{
    fixture_t f;
    begin(&f);
    assert_null(precheck(&f, 0, BATCHES * BATCH + 1));
    assert_null(precheck(&f, BATCHES - 5, SEGMENT + 1)); /* the last segment alone would be checked */
    log_precheck_t *p = precheck(&f, BATCHES - 5, SEGMENT);
    assert_non_null(p);
    log_precheck_stop(p); /* it knows nothing then, and all is checked */
    log_precheck_run(p);
    assert_int_equal(open_log(&f, BATCHES - 5, p), 0);
    assert_int_equal(log_close(f.log), 0);
    log_precheck_free(p);
    sim_free(f.sim);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(damage_is_found_and_judged_as_without),
        cmocka_unit_test(what_was_checked_ahead_is_not_checked_again),
        cmocka_unit_test(little_is_not_worth_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

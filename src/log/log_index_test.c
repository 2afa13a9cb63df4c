/* log_index_test.c: indexes are hints. Whatever stands in an index file, each look-up by offset, by size and by time gives what
 * the batches say, and what was wrong is made anew. On the simulator, from many seeds. */
#include "base/hash.h"
#include "io/sim.h"
#include "log/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define SEEDS     150
#define BATCHES   240
#define BATCH_MAX 300
#define SEGMENT   12000 /* about 60 batches */
#define SEGMENTS  3     /* at least so many are sealed */
#define DIR       "/data/log"

typedef struct fixture {
    sim_t *sim;
    io_loop_t *loop;
    log_t *log;
    int64_t times[BATCHES]; /* of the batch of each offset */
    int64_t bases[SEGMENTS];
    uint32_t rebuilt;
} fixture_t;

static void on_rebuilt(void *user, int64_t base_offset) { ((fixture_t *)user)->rebuilt++; }

static void open_log(fixture_t *f)
{
    log_options_t options = log_options_default;
    log_report_t report = {0};
    log_recovery_t recovery = {.clean = true, .scan_from = INT64_MAX};
    options.segment_bytes_max = SEGMENT;
    options.index_interval_bytes = 500;
    recovery.report = &report;
    assert_int_equal(log_open(f->loop, DIR, &options, &recovery, &f->log), 0);
    log_on_rebuilt(f->log, on_rebuilt, f);
    f->rebuilt += report.rebuilt_count;
}

static void append(fixture_t *f, int n, int64_t time_ms)
{
    uint8_t b[BATCH_MAX] = {0};
    size_t bytes = 100 + sim_random(f->sim, BATCH_MAX - 99);
    int64_t offset;
    store_be32(b + 8, (uint32_t)(bytes - BATCH_OVERHEAD_BYTES));
    b[16] = 2;
    store_be64(b + 27, (uint64_t)time_ms);
    store_be64(b + 35, (uint64_t)time_ms);
    store_be64(b + 43, UINT64_MAX);
    store_be32(b + 57, 1);
    store_be32(b + 17, crc32c(0, b + 21, bytes - 21));
    assert_int_equal(log_append(f->log, b, bytes, 0, &offset), 0);
    assert_int_equal(offset, n);
    f->times[n] = time_ms;
}

static fixture_t *fixture_new(uint64_t seed)
{
    fixture_t *f = calloc(1, sizeof(*f));
    f->sim = sim_new(seed);
    f->loop = sim_node_loop(sim_node_new(f->sim, "10.0.0.1"));
    open_log(f);
    for (int n = 0; n < BATCHES; n++) append(f, n, 1000 + 10 * n + (int64_t)sim_random(f->sim, 100));
    assert_true(log_segments_count(f->log) > SEGMENTS);
    for (uint32_t i = 0; i < SEGMENTS; i++) f->bases[i] = log_segment_info(f->log, i).base_offset;
    assert_int_equal(log_close(f->log), 0);
    return f;
}

static void fixture_free(fixture_t *f)
{
    assert_int_equal(log_close(f->log), 0);
    sim_free(f->sim);
    free(f);
}

/* ---- what the batches say --------------------------------------------------------------------------------------------- */

/* Whole batches, the first of which has the offset, and as many as fit. */
static void check_offset(fixture_t *f, int64_t offset, size_t bytes_max)
{
    log_slice_t slice;
    uint8_t *data = malloc(SEGMENT);
    batch_header_t batch;
    assert_int_equal(log_find(f->log, offset, INT64_MAX, bytes_max, true, &slice), 0);
    assert_true(slice.bytes <= MAX(bytes_max, BATCH_MAX));
    assert_int_equal(io_file_read(slice.file, slice.position, data, slice.bytes), slice.bytes);
    for (size_t at = 0; at < slice.bytes; at += batch_bytes(&batch)) {
        assert_int_equal(batch_header_read(bytes_of(data + at, slice.bytes - at), &batch), 0);
        assert_int_equal(batch.base_offset, offset++);
    }
    assert_int_equal(slice.next_offset, offset);
    log_slice_release(slice.segment);
    free(data);
}

static void check_time(fixture_t *f, int64_t time_ms)
{
    batch_header_t batch;
    log_slice_t slice;
    int64_t expected = 0;
    while (expected < BATCHES && f->times[expected] < time_ms) expected++;
    int err = log_find_timestamp(f->log, time_ms, 0, &batch, &slice);
    assert_int_equal(err, expected == BATCHES ? ERR_NOT_FOUND : 0);
    if (err) return;
    assert_int_equal(batch.base_offset, expected);
    log_slice_release(slice.segment);
}

static void check_times_of_segments(fixture_t *f)
{
    for (uint32_t i = 0; i < log_segments_count(f->log); i++) {
        log_segment_info_t info = log_segment_info(f->log, i);
        int64_t first_ms, max_ms, expected = 0;
        if (info.bytes == 0) continue;
        for (int64_t n = info.base_offset; n < info.end_offset; n++) expected = MAX(expected, f->times[n]);
        assert_int_equal(log_segment_times(f->log, i, &first_ms, &max_ms), 0);
        assert_int_equal(max_ms, expected);
    }
}

static void check_all(fixture_t *f)
{
    assert_int_equal(log_end_offset(f->log), BATCHES);
    for (int n = 0; n < BATCHES; n++) {
        check_offset(f, (n * 97) % BATCHES, 1 + sim_random(f->sim, 6000)); /* all, seldom one behind the other */
        check_time(f, 1000 + (int64_t)sim_random(f->sim, 10 * BATCHES + 200));
    }
    check_times_of_segments(f);
}

/* ---- damage ------------------------------------------------------------------------------------------------------------ */

static void path_of(const fixture_t *f, const char *kind, uint64_t segment, char out[64])
{
    snprintf(out, 64, DIR "/%020d%s", (int)f->bases[segment], kind);
}

static size_t read_file(fixture_t *f, const char *path, uint8_t **ret_data)
{
    size_t bytes;
    assert_int_equal(io_read_whole(f->loop, path, KIB(64), ret_data, &bytes), 0);
    return bytes;
}

/* An entry that looks sound and leads a little too far: its offset is lower (.index) or higher (.timeindex) than it was. */
static void mislead(fixture_t *f, uint8_t *data, size_t bytes, bool times)
{
    size_t entry_bytes = times ? 12 : 8, at = sim_random(f->sim, bytes / entry_bytes) * entry_bytes + (times ? 8 : 0);
    uint32_t offset = load_be32(data + at), by = 1 + (uint32_t)sim_random(f->sim, 3);
    store_be32(data + at, times ? offset + by : offset - MIN(by, offset));
}

static void damage(fixture_t *f, const char *kind)
{
    char path[64], other[64];
    uint8_t *data, *foreign;
    uint64_t segment = sim_random(f->sim, SEGMENTS);
    path_of(f, kind, segment, path);
    path_of(f, kind, (segment + 1) % SEGMENTS, other);
    size_t bytes = read_file(f, path, &data), foreign_bytes = read_file(f, other, &foreign);
    bytes_t left = bytes_of(data, bytes);
    switch (sim_random(f->sim, 8)) {
    case 0: memset(data, 0, bytes); break;
    case 1: left.len = sim_random(f->sim, bytes); break;
    case 2: left = bytes_of(foreign, foreign_bytes); break;
    case 3: data[sim_random(f->sim, bytes)] ^= (uint8_t)(1 << sim_random(f->sim, 8)); break;
    case 4:
        for (size_t i = 0; i < bytes; i++) data[i] = (uint8_t)sim_random(f->sim, 256);
        break;
    case 5: left.len = 0; break;
    default: mislead(f, data, bytes, kind[1] == 't'); break;
    }
    assert_int_equal(io_replace_whole(f->loop, path, left), 0);
    mem_free(data);
    mem_free(foreign);
}

static void damaged_indexes_change_no_answer(void **state)
{
    uint32_t rebuilt = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        fixture_t *f = fixture_new(seed);
        damage(f, seed % 2 ? ".index" : ".timeindex");
        open_log(f);
        check_all(f);
        rebuilt += f->rebuilt > 0;
        uint32_t before = f->rebuilt;
        assert_int_equal(log_close(f->log), 0);
        open_log(f); /* what was made anew is right */
        check_all(f);
        if (before > 0) assert_int_equal(f->rebuilt, before);
        fixture_free(f);
    }
    assert_true(rebuilt > SEEDS / 2);
}

static void sound_indexes_are_left_alone(void **state)
{
    for (uint64_t seed = 0; seed < 20; seed++) {
        fixture_t *f = fixture_new(seed);
        open_log(f);
        check_all(f);
        assert_int_equal(f->rebuilt, 0);
        fixture_free(f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(damaged_indexes_change_no_answer),
        cmocka_unit_test(sound_indexes_are_left_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

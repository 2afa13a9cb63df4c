/* log_test.c: what log.h promises, on the real loop and real files. */
#include "base/buf.h"
#include "base/hash.h"
#include "log/log.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

typedef struct fixture {
    io_loop_t *loop;
    char dir[128];
    log_options_t options;
    log_t *log;
    int64_t seen_count, seen_next;
    int64_t end_min;
    bool power_lost;
    log_report_t report;
} fixture_t;

static int setup(void **state)
{
    fixture_t *f = calloc(1, sizeof(*f));
    const char *tmp = getenv("TMPDIR");
    snprintf(f->dir, sizeof(f->dir), "%s/trivet-log-XXXXXX", tmp ? tmp : "/tmp");
    assert_non_null(mkdtemp(f->dir));
    assert_int_equal(io_loop_new_uv(&f->loop), 0);
    f->options = log_options_default;
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fixture_t *f = *state;
    if (f->log) assert_int_equal(log_close(f->log), 0);
    io_loop_free(f->loop); /* waits for removals that are under way */
    assert_int_equal(io_loop_new_uv(&f->loop), 0);
    assert_int_equal(io_remove_tree(f->loop, f->dir), 0);
    io_loop_free(f->loop);
    free(f);
    return 0;
}

static void see(void *user, const batch_header_t *batch)
{
    fixture_t *f = user;
    f->seen_count++;
    f->seen_next = batch_last_offset(batch) + 1;
}

static int open_log(fixture_t *f, bool clean, int64_t recovery_point)
{
    log_recovery_t r = {.clean = clean, .recovery_point = recovery_point, .scan_from = 0, .each = see, .user = f};
    char path[160];
    r.end_min = f->end_min;
    r.power_lost = f->power_lost;
    r.report = &f->report;
    snprintf(path, sizeof(path), "%s/t-0", f->dir);
    f->seen_count = f->seen_next = 0;
    return log_open(f->loop, path, &f->options, &r, &f->log);
}

static int close_log(fixture_t *f)
{
    log_t *log = f->log;
    f->log = NULL;
    return log_close(log);
}

static void reopen(fixture_t *f, bool clean)
{
    assert_int_equal(close_log(f), 0);
    assert_int_equal(open_log(f, clean, 0), 0);
}

/* A batch of `count` records and `bytes` in all, right CRC; the payload is not made of real records. */
static uint8_t *make_batch(size_t bytes, int32_t count, int64_t timestamp_ms)
{
    uint8_t *b = calloc(1, bytes);
    store_be32(b + 8, (uint32_t)(bytes - BATCH_OVERHEAD_BYTES));
    b[16] = 2;
    store_be32(b + 23, (uint32_t)(count - 1));
    store_be64(b + 27, (uint64_t)timestamp_ms);
    store_be64(b + 35, (uint64_t)timestamp_ms);
    store_be64(b + 43, UINT64_MAX);
    store_be16(b + 51, UINT16_MAX);
    store_be32(b + 53, UINT32_MAX);
    store_be32(b + 57, (uint32_t)count);
    for (size_t i = BATCH_HEADER_BYTES; i < bytes; i++) b[i] = (uint8_t)(i * 31 + (size_t)timestamp_ms);
    store_be32(b + 17, crc32c(0, b + 21, bytes - 21));
    return b;
}

static int64_t append(fixture_t *f, size_t bytes, int32_t count, int64_t timestamp_ms)
{
    uint8_t *b = make_batch(bytes, count, timestamp_ms);
    int64_t offset = -1;
    assert_int_equal(log_append(f->log, b, bytes, 0, &offset), 0);
    free(b);
    return offset;
}

static void fill(fixture_t *f, int batches)
{
    for (int i = 0; i < batches; i++) append(f, 100 + (size_t)(i * 37 % 900), 1 + i % 5, 1000 + i * 10);
}

/* Reads the header at the slice's start. */
static batch_header_t slice_batch(const log_slice_t *slice)
{
    uint8_t header[BATCH_HEADER_BYTES];
    batch_header_t batch;
    assert_int_equal(io_file_read(slice->file, slice->position, header, sizeof(header)), sizeof(header));
    assert_int_equal(batch_header_read(bytes_of(header, sizeof(header)), &batch), 0);
    return batch;
}

/* Every offset is found, in the batch that holds it. */
static void check_all_offsets(fixture_t *f)
{
    for (int64_t o = log_start_offset(f->log); o < log_end_offset(f->log); o++) {
        log_slice_t slice;
        assert_int_equal(log_find(f->log, o, INT64_MAX, 1, true, &slice), 0);
        batch_header_t b = slice_batch(&slice);
        assert_true(b.base_offset <= o && o <= batch_last_offset(&b));
        assert_int_equal(slice.bytes, batch_bytes(&b));
        assert_int_equal(slice.next_offset, batch_last_offset(&b) + 1);
        log_slice_release(slice.segment);
    }
}

static void a_new_log_is_empty_and_starts_at_zero(void **state)
{
    fixture_t *f = *state;
    assert_int_equal(open_log(f, true, 0), 0);
    log_slice_t slice;
    assert_int_equal(log_end_offset(f->log), 0);
    assert_int_equal(log_find(f->log, 0, INT64_MAX, 100, true, &slice), 0);
    assert_int_equal(slice.bytes, 0);
    assert_int_equal(log_find(f->log, 1, INT64_MAX, 100, true, &slice), ERR_OUT_OF_RANGE);
    assert_int_equal(log_find(f->log, -1, INT64_MAX, 100, true, &slice), ERR_OUT_OF_RANGE);
}

static void appended_batches_are_found_by_offset(void **state)
{
    fixture_t *f = *state;
    assert_int_equal(open_log(f, true, 0), 0);
    assert_int_equal(append(f, 200, 3, 5), 0);
    assert_int_equal(append(f, 300, 2, 6), 3);
    assert_int_equal(log_end_offset(f->log), 5);
    fill(f, 500);
    check_all_offsets(f);
    assert_int_equal(log_bytes(f->log) > 0, 1);
}

static void offsets_are_found_again_after_clean_and_unclean_reopening(void **state)
{
    fixture_t *f = *state;
    f->options.segment_bytes_max = 40000;
    assert_int_equal(open_log(f, true, 0), 0);
    fill(f, 600);
    int64_t end = log_end_offset(f->log);
    uint32_t segments = log_segments_count(f->log);
    assert_true(segments > 3);
    int64_t batches = 600;
    for (int pass = 0; pass < 6; pass++) {
        reopen(f, pass % 2 == 0);
        assert_int_equal(log_end_offset(f->log), end);
        assert_true(log_segments_count(f->log) >= segments);
        assert_int_equal(f->seen_count, batches);
        assert_int_equal(f->seen_next, end);
        check_all_offsets(f);
        fill(f, 3);
        batches += 3;
        end = log_end_offset(f->log);
    }
}

static void a_slice_holds_whole_batches_up_to_the_limits(void **state)
{
    fixture_t *f = *state;
    assert_int_equal(open_log(f, true, 0), 0);
    for (int i = 0; i < 1000; i++) append(f, 1000, 1, i);
    log_slice_t slice;
    assert_int_equal(log_find(f->log, 0, INT64_MAX, 10500, false, &slice), 0);
    assert_int_equal(slice.bytes, 10000);
    assert_int_equal(slice.next_offset, 10);
    log_slice_release(slice.segment);
    assert_int_equal(log_find(f->log, 10, INT64_MAX, 300000, false, &slice), 0);
    assert_int_equal(slice.position, 10000);
    assert_int_equal(slice.bytes, 300000);
    log_slice_release(slice.segment);
    assert_int_equal(log_find(f->log, 500, INT64_MAX, 999, false, &slice), 0);
    assert_int_equal(slice.bytes, 0);
    assert_int_equal(log_find(f->log, 500, INT64_MAX, 999, true, &slice), 0);
    assert_int_equal(slice.bytes, 1000);
    log_slice_release(slice.segment);
    assert_int_equal(log_find(f->log, 990, 995, 1 << 20, false, &slice), 0);
    assert_int_equal(slice.bytes, 5000);
    assert_int_equal(slice.next_offset, 995);
    log_slice_release(slice.segment);
    assert_int_equal(log_find(f->log, 995, 995, 1 << 20, true, &slice), 0);
    assert_int_equal(slice.bytes, 0);
    assert_int_equal(log_find(f->log, 995, INT64_MAX, 1 << 20, false, &slice), 0);
    assert_int_equal(slice.bytes, 5000);
    log_slice_release(slice.segment);
}

/* The path of the single segment's .log file. */
static const char *log_path(fixture_t *f, const char *suffix, char out[256])
{
    snprintf(out, 256, "%s/t-0/%020d%s", f->dir, 0, suffix);
    return out;
}

static void segment_path(fixture_t *f, uint32_t index, char out[256])
{
    snprintf(out, 256, "%s/t-0/%020" PRId64 ".log", f->dir, log_segment_info(f->log, index).base_offset);
}

static uint64_t file_bytes(const char *path)
{
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    return (uint64_t)st.st_size;
}

static void a_tail_torn_at_any_byte_is_cut_and_nothing_else(void **state)
{
    fixture_t *f = *state;
    char path[256];
    assert_int_equal(open_log(f, true, 0), 0);
    fill(f, 20);
    int64_t keep_end = log_end_offset(f->log);
    uint64_t keep_bytes = log_bytes(f->log);
    for (size_t cut = 0; cut < 150; cut++) {
        append(f, 150, 4, 77);
        assert_int_equal(close_log(f), 0);
        assert_int_equal(truncate(log_path(f, ".log", path), (off_t)(keep_bytes + cut)), 0);
        assert_int_equal(open_log(f, cut % 2 == 0, 0), 0);
        assert_int_equal(log_end_offset(f->log), keep_end);
        assert_int_equal(log_bytes(f->log), keep_bytes);
        assert_int_equal(f->seen_next, keep_end);
    }
    check_all_offsets(f);
}

static void flip(const char *path, uint64_t at)
{
    FILE *file = fopen(path, "r+");
    assert_non_null(file);
    fseek(file, (long)at, SEEK_SET);
    int byte = fgetc(file);
    fseek(file, (long)at, SEEK_SET);
    fputc(byte ^ 0x40, file);
    fclose(file);
}

static void a_last_write_with_a_flipped_bit_is_cut_and_kept_as_a_copy(void **state)
{
    fixture_t *f = *state;
    char path[256], copy[300];
    assert_int_equal(open_log(f, true, 0), 0);
    fill(f, 20);
    int64_t keep_end = log_end_offset(f->log);
    uint64_t keep_bytes = log_bytes(f->log);
    snprintf(copy, sizeof(copy), "%s.cut-%" PRIu64, log_path(f, ".log", path), keep_bytes);
    for (size_t at = 8; at < 150; at++) {
        if (at >= 12 && at < 16) continue; /* the leader epoch is not covered */
        append(f, 150, 4, 78);
        assert_int_equal(close_log(f), 0);
        flip(path, keep_bytes + at);
        assert_int_equal(open_log(f, false, 0), 0);
        assert_int_equal(log_end_offset(f->log), keep_end);
        assert_int_equal(log_bytes(f->log), keep_bytes);
        assert_string_equal(f->report.cut_file, "00000000000000000000.log");
        assert_int_equal(f->report.cut_position, keep_bytes);
        assert_int_equal(f->report.cut_bytes, 150);
        assert_int_equal(file_bytes(copy), 150);
        assert_int_equal(unlink(copy), 0);
    }
}

/* The log's files are as they were. */
static void assert_refused(fixture_t *f, log_fault_t fault, const char *path)
{
    uint64_t bytes = file_bytes(path);
    assert_int_equal(open_log(f, false, 0), ERR_DAMAGED);
    assert_int_equal(f->report.damage.fault, fault);
    assert_int_equal(file_bytes(path), bytes);
}

static void valid_batches_behind_a_flipped_bit_are_counted_and_the_log_is_refused(void **state)
{
    fixture_t *f = *state;
    char path[256];
    const log_damage_t *damage = &f->report.damage;
    log_path(f, ".log", path);
    assert_int_equal(open_log(f, true, 0), 0);
    fill(f, 20);
    int64_t end = log_end_offset(f->log);
    uint64_t bytes = log_bytes(f->log);
    append(f, 150, 4, 77);
    append(f, 150, 4, 78);
    append(f, 150, 4, 79);
    assert_int_equal(close_log(f), 0);
    for (size_t at = 0; at < 150; at++) {
        if (at >= 12 && at < 16) continue; /* the leader epoch is not covered */
        flip(path, bytes + at);
        assert_refused(f, at < 8 ? LOG_MISPLACED : LOG_INVALID, path);
        assert_string_equal(damage->file, "00000000000000000000.log");
        assert_int_equal(damage->position, bytes);
        assert_int_equal(damage->offset, end);
        assert_false(damage->behind_more);
        if (at >= 8) assert_int_equal(damage->behind_count, 2);
        if (at >= 8) assert_int_equal(damage->behind_offset, end + 4);
        flip(path, bytes + at);
    }
    assert_int_equal(open_log(f, false, 0), 0);
    assert_int_equal(log_end_offset(f->log), end + 12);
}

static void *slurp(const char *path, size_t *ret_bytes)
{
    *ret_bytes = (size_t)file_bytes(path);
    void *data = malloc(*ret_bytes + 1);
    FILE *file = fopen(path, "r");
    assert_int_equal(fread(data, 1, *ret_bytes, file), *ret_bytes);
    fclose(file);
    return data;
}

static void spit(const char *path, const void *data, size_t bytes)
{
    FILE *file = fopen(path, "w");
    assert_int_equal(fwrite(data, 1, bytes, file), bytes);
    fclose(file);
}

typedef enum harm { HARM_REMOVED, HARM_EMPTIED, HARM_CUT, HARM_FOREIGN, HARM_ZEROED, HARMS } harm_t;

static void do_harm(harm_t harm, const char *path, size_t bytes, const void *other, size_t other_bytes)
{
    if (harm == HARM_REMOVED) assert_int_equal(unlink(path), 0);
    if (harm == HARM_EMPTIED) assert_int_equal(truncate(path, 0), 0);
    if (harm == HARM_CUT) assert_int_equal(truncate(path, (off_t)bytes - 20), 0);
    if (harm == HARM_FOREIGN) spit(path, other, other_bytes);
    if (harm == HARM_ZEROED) assert_int_equal(truncate(path, 0), 0);
    if (harm == HARM_ZEROED) assert_int_equal(truncate(path, (off_t)bytes), 0);
}

static void a_sealed_segment_that_lost_something_is_refused_and_the_rest_stays(void **state)
{
    static const log_fault_t faults[] = {LOG_GAP, LOG_GAP, LOG_INVALID, LOG_MISPLACED, LOG_INVALID};
    fixture_t *f = *state;
    char path[256], next[256];
    f->options.segment_bytes_max = 6000;
    assert_int_equal(open_log(f, true, 0), 0);
    while (log_segments_count(f->log) < 4) fill(f, 1);
    int64_t end = log_end_offset(f->log);
    segment_path(f, 1, path);
    segment_path(f, 2, next);
    assert_int_equal(close_log(f), 0);
    size_t bytes, next_bytes;
    void *data = slurp(path, &bytes), *other = slurp(next, &next_bytes);
    for (int pass = 0; pass < 2 * HARMS; pass++) {
        harm_t harm = (harm_t)(pass / 2);
        do_harm(harm, path, bytes, other, next_bytes);
        assert_int_equal(open_log(f, pass % 2, 0), ERR_DAMAGED);
        bool index_tells = harm == HARM_REMOVED && f->report.damage.fault == LOG_MISSING;
        assert_true(index_tells || f->report.damage.fault == faults[harm]);
        spit(path, data, bytes);
        assert_int_equal(open_log(f, pass % 2, 0), 0);
        assert_int_equal(log_end_offset(f->log), end);
        check_all_offsets(f);
        assert_int_equal(close_log(f), 0);
    }
    free(data);
    free(other);
}

/* A segment that waits to take the place of others, with a bit flipped: what it would replace stays. */
static void a_damaged_segment_takes_the_place_of_none(void **state)
{
    fixture_t *f = *state;
    char path[256], swap[300];
    log_path(f, ".log", path);
    assert_int_equal(open_log(f, true, 0), 0);
    fill(f, 20);
    int64_t end = log_end_offset(f->log);
    assert_int_equal(close_log(f), 0);
    size_t bytes;
    void *data = slurp(path, &bytes);
    snprintf(swap, sizeof(swap), "%s.swap", path);
    spit(swap, data, bytes);
    flip(swap, bytes / 2);
    assert_refused(f, LOG_INVALID, path);
    assert_string_equal(f->report.damage.file, "00000000000000000000.log.swap");
    assert_int_equal(unlink(swap), 0);
    assert_int_equal(open_log(f, false, 0), 0);
    assert_int_equal(log_end_offset(f->log), end);
    free(data);
}

static void a_log_that_ends_below_what_was_durable_is_refused(void **state)
{
    fixture_t *f = *state;
    char path[256];
    log_path(f, ".log", path);
    assert_int_equal(open_log(f, true, 0), 0);
    fill(f, 20);
    uint64_t bytes = log_bytes(f->log);
    f->end_min = append(f, 150, 1, 77) + 1;
    assert_int_equal(close_log(f), 0);
    assert_int_equal(truncate(path, (off_t)bytes), 0);
    assert_refused(f, LOG_SHORT, path);
    assert_int_equal(f->report.damage.found_offset, f->end_min);
    assert_int_equal(truncate(path, (off_t)bytes + 10), 0);
    assert_refused(f, LOG_INVALID, path);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(open_log(f, false, 0), ERR_DAMAGED);
    f->end_min = 0;
}

/* The words are what a person has to go by. */
static void damage_is_told_with_file_place_and_what_lies_behind(void **state)
{
    char text[LOG_TEXT_CHARS_MAX];
    log_damage_t damage = {.fault = LOG_INVALID,
                           .file = "00000000000000000001.log",
                           .position = 51234,
                           .offset = 497,
                           .behind_count = 503};
    damage.behind_offset = 498;
    log_damage_text(&damage, text);
    assert_string_equal(text,
                        "00000000000000000001.log has invalid bytes at 51234, where offset 497 should be; 503 valid "
                        "batches lie behind it, from offset 498 on");
    damage = (log_damage_t){.fault = LOG_GAP, .file = "00000000000000000104.log", .offset = 52, .found_offset = 104};
    log_damage_text(&damage, text);
    assert_string_equal(text, "offsets 52 to 103 are missing in front of 00000000000000000104.log");
}

/* Bytes that look like a header at every place must not make the search long, nor be taken for sound. */
static void a_search_among_countless_headers_gives_up_and_says_so(void **state)
{
    fixture_t *f = *state;
    char path[256];
    assert_int_equal(open_log(f, true, 0), 0);
    fill(f, 20);
    uint64_t bytes = log_bytes(f->log);
    assert_int_equal(close_log(f), 0);
    enum { HEADERS = 50000 };
    uint8_t *junk = calloc(HEADERS, BATCH_HEADER_BYTES);
    for (size_t i = 0; i < HEADERS; i++) {
        uint8_t *b = junk + i * BATCH_HEADER_BYTES;
        store_be32(b + 8, (uint32_t)((HEADERS - i) * BATCH_HEADER_BYTES - BATCH_OVERHEAD_BYTES));
        b[16] = 2;
        store_be32(b + 57, 1);
    }
    int fd = open(log_path(f, ".log", path), O_WRONLY);
    assert_int_equal(pwrite(fd, junk, HEADERS * BATCH_HEADER_BYTES, (off_t)bytes), HEADERS * BATCH_HEADER_BYTES);
    close(fd);
    free(junk);
    assert_refused(f, LOG_INVALID, path);
    assert_true(f->report.damage.behind_more);
}

static void zeros_behind_the_last_batch_are_cut(void **state)
{
    fixture_t *f = *state;
    char path[256];
    assert_int_equal(open_log(f, true, 0), 0);
    fill(f, 20);
    int64_t end = log_end_offset(f->log);
    uint64_t bytes = log_bytes(f->log);
    assert_int_equal(close_log(f), 0);
    assert_int_equal(truncate(log_path(f, ".log", path), (off_t)bytes + 10000), 0);
    assert_int_equal(open_log(f, true, 0), 0);
    assert_int_equal(log_end_offset(f->log), end);
    assert_int_equal(log_bytes(f->log), bytes);
}

/* Sealed and active segments alike may end in zeros when the power goes before their ends are trimmed. */
static void a_log_grown_ahead_ends_where_its_zeros_begin(void **state)
{
    fixture_t *f = *state;
    char path[256];
    f->options.ahead_bytes = 50000;
    f->options.segment_bytes_max = 6000;
    assert_int_equal(open_log(f, true, 0), 0);
    append(f, 150, 1, 77);
    assert_int_equal(file_bytes(log_path(f, ".log", path)), 150 + 50000);
    append(f, 150, 1, 77);
    assert_int_equal(file_bytes(path), 150 + 50000);
    fill(f, 20);
    assert_true(log_segments_count(f->log) > 1);
    uint64_t sealed_bytes = file_bytes(path);
    assert_true(sealed_bytes <= 6000);
    int64_t end = log_end_offset(f->log);
    uint64_t bytes = log_bytes(f->log);
    assert_int_equal(close_log(f), 0);
    assert_int_equal(truncate(path, (off_t)sealed_bytes + 50000), 0);
    assert_int_equal(open_log(f, false, 0), 0);
    assert_int_equal(log_end_offset(f->log), end);
    assert_int_equal(log_bytes(f->log), bytes);
    assert_int_equal(file_bytes(path), sealed_bytes);
    check_all_offsets(f);
}

/* A later write that reached the disk before an earlier one, as only a loss of power leaves it: nothing behind the zeros was
 * acknowledged. Otherwise somebody else made them. */
static void what_lies_behind_zeros_is_cut_after_a_loss_of_power_only(void **state)
{
    fixture_t *f = *state;
    char path[256];
    f->options.ahead_bytes = 50000;
    assert_int_equal(open_log(f, true, 0), 0);
    append(f, 150, 1, 77);
    append(f, 150, 1, 78);
    append(f, 150, 1, 79);
    assert_int_equal(close_log(f), 0);
    int fd = open(log_path(f, ".log", path), O_WRONLY);
    static const uint8_t zeros[150];
    assert_int_equal(pwrite(fd, zeros, sizeof(zeros), 150), sizeof(zeros));
    close(fd);
    f->log = NULL;
    assert_refused(f, LOG_INVALID, path);
    f->power_lost = true;
    assert_int_equal(open_log(f, false, 2), ERR_DAMAGED); /* what was durable is lost otherwise */
    assert_int_equal(open_log(f, false, 1), 0);
    assert_int_equal(log_end_offset(f->log), 1);
    assert_int_equal(f->report.cut_offset, 1);
    assert_string_not_equal(f->report.copy, "");
    assert_int_equal(append(f, 150, 1, 80), 1);
    reopen(f, false);
    assert_int_equal(log_end_offset(f->log), 2);
}

static void lost_damaged_and_padded_indexes_do_no_harm(void **state)
{
    fixture_t *f = *state;
    char path[256];
    static const char *const kinds[] = {".index", ".timeindex"};
    assert_int_equal(open_log(f, true, 0), 0);
    fill(f, 2000);
    int64_t end = log_end_offset(f->log);
    for (int damage = 0; damage < 4; damage++) {
        for (size_t kind = 0; kind < 2; kind++) {
            assert_int_equal(close_log(f), 0);
            log_path(f, kinds[kind], path);
            assert_int_equal(access(path, F_OK), 0);
            if (damage == 0) assert_int_equal(unlink(path), 0);
            if (damage == 1) assert_int_equal(truncate(path, 7), 0);
            if (damage == 2) assert_int_equal(truncate(path, 24 * 1000), 0); /* zeros */
            if (damage == 3) assert_int_equal(truncate(path, 0), 0);
            assert_int_equal(open_log(f, true, 0), 0);
            assert_int_equal(log_end_offset(f->log), end);
            check_all_offsets(f);
            int64_t timestamp, offset;
            assert_int_equal(log_max_timestamp(f->log, &timestamp, &offset), 0);
            assert_int_equal(timestamp, 1000 + 1999 * 10);
        }
    }
}

static void a_timestamp_finds_the_first_batch_that_reaches_it(void **state)
{
    fixture_t *f = *state;
    f->options.segment_bytes_max = 50000;
    assert_int_equal(open_log(f, true, 0), 0);
    for (int i = 0; i < 300; i++) append(f, 1000, 2, 1000 + (i % 2 ? i - 5 : i) * 10); /* not monotonic */
    for (int pass = 0; pass < 2; pass++) {
        for (int64_t t = 0; t < 4000; t += 7) {
            int64_t want = -1;
            for (int i = 0; i < 300 && want < 0; i++) {
                if (1000 + (i % 2 ? i - 5 : i) * 10 >= t) want = i * 2;
            }
            batch_header_t batch;
            log_slice_t slice;
            int err = log_find_timestamp(f->log, t, 0, &batch, &slice);
            assert_int_equal(err, want < 0 ? ERR_NOT_FOUND : 0);
            if (err) continue;
            assert_int_equal(batch.base_offset, want);
            assert_int_equal(slice.bytes, 1000);
            log_slice_release(slice.segment);
        }
        int64_t timestamp, offset;
        assert_int_equal(log_max_timestamp(f->log, &timestamp, &offset), 0);
        assert_int_equal(timestamp, 1000 + 298 * 10);
        assert_int_equal(offset, 298 * 2 + 1);
        reopen(f, true);
    }
}

static void segments_roll_by_size_age_and_index(void **state)
{
    fixture_t *f = *state;
    f->options.segment_bytes_max = 10000;
    assert_int_equal(open_log(f, true, 0), 0);
    for (int i = 0; i < 20; i++) append(f, 1000, 1, 5);
    assert_int_equal(log_segments_count(f->log), 2);
    f->options.segment_age_ms_max = 1000;
    log_set_options(f->log, &f->options);
    append(f, 100, 1, 1006);
    assert_int_equal(log_segments_count(f->log), 3);
    f->options = log_options_default;
    f->options.index_bytes_max = 10 * 12;
    log_set_options(f->log, &f->options);
    for (int i = 0; i < 31; i++) append(f, 5000, 1, 2000 + i);
    assert_int_equal(log_segments_count(f->log), 6);
    check_all_offsets(f);
    uint8_t *big = make_batch(20000, 1, 1);
    f->options.segment_bytes_max = 10000;
    log_set_options(f->log, &f->options);
    int64_t offset;
    assert_int_equal(log_append(f->log, big, 20000, 0, &offset), ERR_LIMIT);
    free(big);
}

static void retention_deletes_by_age_and_size_and_readers_keep_reading(void **state)
{
    fixture_t *f = *state;
    char path[256];
    f->options.segment_bytes_max = 10000;
    f->options.file_delete_delay_ms = 500;
    assert_int_equal(open_log(f, true, 0), 0);
    for (int i = 0; i < 50; i++) append(f, 1000, 1, 1000 + i);
    log_slice_t slice;
    uint32_t deleted;
    assert_int_equal(log_find(f->log, 3, INT64_MAX, 100000, true, &slice), 0);
    f->options.retention_bytes = 25000;
    log_set_options(f->log, &f->options);
    int64_t now = io_wall_ms(f->loop);
    assert_int_equal(log_maintain(f->log, now, 15, &deleted), 0);
    assert_int_equal(deleted, 1); /* the high watermark protects the others */
    assert_int_equal(log_maintain(f->log, now, INT64_MAX, &deleted), 0);
    assert_int_equal(deleted, 1);
    assert_int_equal(log_start_offset(f->log), 20);
    assert_int_equal(access(log_path(f, ".log.deleted", path), F_OK), 0);
    assert_int_equal(slice_batch(&slice).base_offset, 3);
    assert_int_equal(log_maintain(f->log, now + 2000, INT64_MAX, &deleted), 0);
    while (access(path, F_OK) == 0) usleep(1000); /* a pool thread removes it */
    assert_int_equal(slice_batch(&slice).base_offset, 3);
    log_slice_release(slice.segment);
    f->options.retention_bytes = -1;
    f->options.retention_ms = 10;
    log_set_options(f->log, &f->options);
    assert_int_equal(log_maintain(f->log, 1000 + 29 + 11, INT64_MAX, &deleted), 0);
    assert_int_equal(log_start_offset(f->log), 30);
    assert_int_equal(log_maintain(f->log, 1000000, INT64_MAX, &deleted), 0);
    assert_int_equal(log_start_offset(f->log), 50);
    assert_int_equal(log_end_offset(f->log), 50);
    assert_int_equal(append(f, 100, 1, 1), 50);
    check_all_offsets(f);
}

static void the_start_moves_forward_only(void **state)
{
    fixture_t *f = *state;
    f->options.segment_bytes_max = 10000;
    assert_int_equal(open_log(f, true, 0), 0);
    for (int i = 0; i < 50; i++) append(f, 1000, 1, 1000 + i);
    assert_int_equal(log_advance_start(f->log, 23), 0);
    assert_int_equal(log_start_offset(f->log), 23);
    assert_int_equal(log_segments_count(f->log), 3);
    assert_int_equal(log_advance_start(f->log, 10), 0);
    assert_int_equal(log_start_offset(f->log), 23);
    assert_int_equal(log_advance_start(f->log, 51), ERR_OUT_OF_RANGE);
    assert_int_equal(log_advance_start(f->log, 50), 0);
    log_slice_t slice;
    assert_int_equal(log_find(f->log, 49, INT64_MAX, 1, true, &slice), ERR_OUT_OF_RANGE);
}

static void truncation_drops_the_tail_and_appending_goes_on(void **state)
{
    fixture_t *f = *state;
    f->options.segment_bytes_max = 10000;
    assert_int_equal(open_log(f, true, 0), 0);
    for (int i = 0; i < 50; i++) append(f, 1000, 1, 1000 + i);
    assert_int_equal(log_truncate_to(f->log, 33), 0);
    assert_int_equal(log_end_offset(f->log), 33);
    assert_int_equal(append(f, 700, 3, 50), 33);
    assert_int_equal(log_truncate_to(f->log, 30), 0);
    assert_int_equal(log_end_offset(f->log), 30);
    assert_int_equal(append(f, 700, 3, 50), 30);
    check_all_offsets(f);
    reopen(f, false);
    assert_int_equal(log_end_offset(f->log), 33);
    assert_int_equal(log_truncate_all(f->log, 1000), 0);
    assert_int_equal(log_start_offset(f->log), 1000);
    assert_int_equal(append(f, 700, 3, 50), 1000);
    reopen(f, false);
    assert_int_equal(log_start_offset(f->log), 1000);
    assert_int_equal(log_end_offset(f->log), 1003);
}

static void epochs_survive_reopening_truncation_and_a_lost_file(void **state)
{
    fixture_t *f = *state;
    char path[256];
    assert_int_equal(open_log(f, true, 0), 0);
    static const int32_t epochs[] = {0, 0, 2, 5, 5};
    for (size_t i = 0; i < ARRAY_LEN(epochs); i++) {
        uint8_t *b = make_batch(100, 10, 1);
        int64_t offset;
        assert_int_equal(log_append(f->log, b, 100, epochs[i], &offset), 0);
        free(b);
    }
    for (int pass = 0; pass < 3; pass++) {
        int32_t epoch;
        int64_t end;
        log_epoch_end(f->log, 1, &epoch, &end);
        assert_int_equal(epoch, 0);
        assert_int_equal(end, 20);
        log_epoch_end(f->log, 2, &epoch, &end);
        assert_int_equal(epoch, 2);
        assert_int_equal(end, 30);
        log_epoch_end(f->log, 5, &epoch, &end);
        assert_int_equal(end, 50);
        assert_int_equal(log_epoch_at(f->log, 25), 2);
        if (pass == 0) reopen(f, true);
        if (pass == 1) {
            assert_int_equal(close_log(f), 0);
            snprintf(path, sizeof(path), "%s/t-0/leader-epoch-checkpoint", f->dir);
            assert_int_equal(unlink(path), 0);
            assert_int_equal(open_log(f, false, 0), 0);
        }
    }
    assert_int_equal(log_truncate_to(f->log, 20), 0);
    reopen(f, true);
    assert_true(log_epoch_latest(f->log) <= 2);
    assert_int_equal(log_epoch_at(f->log, 19), 0);
}

typedef struct waiter {
    log_commit_t commit;
    fixture_t *f;
    int err;
    bool called, stop;
} waiter_t;

static void committed(log_commit_t *commit, int err)
{
    waiter_t *w = CONTAINER_OF(commit, waiter_t, commit);
    w->called = true;
    w->err = err;
    if (w->stop) io_loop_stop(w->f->loop);
}

static void commits_complete_together_once_durable(void **state)
{
    fixture_t *f = *state;
    f->options.segment_bytes_max = 10000;
    assert_int_equal(open_log(f, true, 0), 0);
    waiter_t w[30] = {0};
    for (int i = 0; i < 30; i++) {
        w[i].f = f;
        w[i].stop = i == 29;
        append(f, 1000, 1, i);
        log_commit(f->log, &w[i].commit, committed);
        assert_false(w[i].called);
    }
    assert_int_equal(log_durable_offset(f->log), 0);
    io_loop_run(f->loop);
    for (int i = 0; i < 30; i++) assert_true(w[i].called && w[i].err == 0);
    assert_int_equal(log_durable_offset(f->log), 30);
    waiter_t again = {.f = f, .stop = true};
    log_commit(f->log, &again.commit, committed);
    assert_false(again.called);
    io_loop_run(f->loop);
    assert_true(again.called);
}

static void closing_ends_a_sync_under_way_and_answers_waiters(void **state)
{
    fixture_t *f = *state;
    assert_int_equal(open_log(f, true, 0), 0);
    append(f, 1000, 1, 1);
    waiter_t w = {.f = f};
    log_commit(f->log, &w.commit, committed);
    assert_int_equal(close_log(f), 0);
    f->log = NULL;
    assert_true(w.called && w.err == 0);
}

static void a_deleted_log_leaves_nothing_and_slices_stay_readable(void **state)
{
    fixture_t *f = *state;
    char path[256];
    assert_int_equal(open_log(f, true, 0), 0);
    append(f, 1000, 1, 1);
    log_slice_t slice;
    assert_int_equal(log_find(f->log, 0, INT64_MAX, 1000, true, &slice), 0);
    assert_int_equal(log_delete(f->log), 0);
    f->log = NULL;
    assert_int_equal(access(log_path(f, ".log", path), F_OK), -1);
    assert_int_equal(slice_batch(&slice).base_offset, 0);
    log_slice_release(slice.segment);
}

static void a_replica_keeps_the_leaders_offsets(void **state)
{
    fixture_t *f = *state;
    assert_int_equal(open_log(f, true, 0), 0);
    uint8_t *b = make_batch(100, 2, 1);
    store_be64(b, 7);
    assert_int_equal(log_append_at(f->log, b, 100), 0);
    assert_int_equal(log_end_offset(f->log), 9);
    store_be64(b, 8);
    assert_int_equal(log_append_at(f->log, b, 100), ERR_INVALID);
    store_be64(b, 20);
    assert_int_equal(log_append_at(f->log, b, 100), 0);
    free(b);
    log_slice_t slice;
    assert_int_equal(log_find(f->log, 12, INT64_MAX, 1, true, &slice), 0); /* in the gap: the next batch */
    assert_int_equal(slice_batch(&slice).base_offset, 20);
    log_slice_release(slice.segment);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_new_log_is_empty_and_starts_at_zero),
        TEST(appended_batches_are_found_by_offset),
        TEST(offsets_are_found_again_after_clean_and_unclean_reopening),
        TEST(a_slice_holds_whole_batches_up_to_the_limits),
        TEST(a_tail_torn_at_any_byte_is_cut_and_nothing_else),
        TEST(a_last_write_with_a_flipped_bit_is_cut_and_kept_as_a_copy),
        TEST(valid_batches_behind_a_flipped_bit_are_counted_and_the_log_is_refused),
        TEST(a_sealed_segment_that_lost_something_is_refused_and_the_rest_stays),
        TEST(a_log_that_ends_below_what_was_durable_is_refused),
        TEST(a_damaged_segment_takes_the_place_of_none),
        TEST(damage_is_told_with_file_place_and_what_lies_behind),
        TEST(a_search_among_countless_headers_gives_up_and_says_so),
        TEST(zeros_behind_the_last_batch_are_cut),
        TEST(a_log_grown_ahead_ends_where_its_zeros_begin),
        TEST(what_lies_behind_zeros_is_cut_after_a_loss_of_power_only),
        TEST(lost_damaged_and_padded_indexes_do_no_harm),
        TEST(a_timestamp_finds_the_first_batch_that_reaches_it),
        TEST(segments_roll_by_size_age_and_index),
        TEST(retention_deletes_by_age_and_size_and_readers_keep_reading),
        TEST(the_start_moves_forward_only),
        TEST(truncation_drops_the_tail_and_appending_goes_on),
        TEST(epochs_survive_reopening_truncation_and_a_lost_file),
        TEST(commits_complete_together_once_durable),
        TEST(closing_ends_a_sync_under_way_and_answers_waiters),
        TEST(a_deleted_log_leaves_nothing_and_slices_stay_readable),
        TEST(a_replica_keeps_the_leaders_offsets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

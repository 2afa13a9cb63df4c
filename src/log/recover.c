/* recover.c: what log_open finds in a directory becomes a log again. After a crash the bytes are the only
 * truth: every batch that may not have been durable is checked by its CRC, the first one that is torn ends
 * the log, and indexes and leader epochs are made anew from the headers. After a clean stop only the tail is
 * looked at. */
#include "log/log_internal.h"

#include <stdlib.h>

typedef struct listing {
    int64_t *bases;
    size_t count, cap;
    bool temporary; /* there are names that a crash may have left */
} listing_t;

static void list_name(void *user, const char *name, bool is_dir)
{
    listing_t *l = user;
    int64_t base;
    if (is_dir || !log__parse_base(name, &base)) return;
    l->temporary |= log__is_temporary(name);
    if (strcmp(name + 20, ".log") != 0) return;
    if (l->count == l->cap) {
        l->cap = MAX(l->cap * 2, 8);
        l->bases = mem_realloc(l->bases, l->cap * sizeof(int64_t));
    }
    l->bases[l->count++] = base;
}

static int compare_bases(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

static int add_found(log_t *log, int64_t base_offset)
{
    log_segment_t *segment = log__segment_new(log, base_offset);
    io_file_t *file;
    uint64_t bytes = 0;
    int err = log__segment_file(segment, false, &file);
    if (!err) err = io_file_size(file, &bytes);
    if (!err && bytes > LOG_SEGMENT_BYTES_LIMIT) err = ERR_LIMIT;
    if (err) {
        log__segment_unref(segment);
        return err;
    }
    log__segment_close_files(segment);
    segment->bytes = (uint32_t)bytes;
    segment->max_timestamp = LOG_TIMESTAMP_UNREAD;
    log__push_segment(segment);
    return 0;
}

static int find_segments(log_t *log)
{
    listing_t l = {0};
    int err = io_list_dir(log->loop, log->dir, list_name, &l);
    if (!err && l.temporary) {
        err = log__recover_names(log);
        l.count = 0;
        if (!err) err = io_list_dir(log->loop, log->dir, list_name, &l);
    }
    if (!err && l.count > 0) qsort(l.bases, l.count, sizeof(int64_t), compare_bases);
    for (size_t i = 0; !err && i < l.count; i++) err = add_found(log, l.bases[i]);
    mem_free(l.bases);
    return err;
}

/* A batch may follow what ends at `next_offset` in this segment. */
static bool batch_fits(const log_segment_t *segment, const log_batch_t *batch, int64_t next_offset)
{
    return batch->base_offset >= next_offset && log_batch_last_offset(batch) - segment->base_offset <= INT32_MAX;
}

static int reset_derived(log_segment_t *segment)
{
    segment->max_timestamp = LOG_TIMESTAMP_NONE;
    segment->max_timestamp_offset = segment->base_offset;
    segment->bytes_since_index = 0;
    int err = log__index_reset(segment, &segment->offsets);
    return err ? err : log__index_reset(segment, &segment->times);
}

/* What a log that grows its files ahead leaves behind its last batch. */
static bool only_zeros(const log_segment_t *segment, io_file_t *file, uint64_t from, uint8_t *window,
                       size_t window_bytes)
{
    if (segment->log->options.ahead_bytes == 0) return false;
    while (from < segment->bytes) {
        ssize_t n = io_file_read(file, from, window, (size_t)MIN((uint64_t)window_bytes, segment->bytes - from));
        if (n <= 0 || window[0] != 0 || memcmp(window, window + 1, (size_t)n - 1) != 0) return false;
        from += (uint64_t)n;
    }
    return true;
}

/* Reads a segment whole and cuts what is torn. `next_offset` goes from the offset expected to the one behind
 * it. */
static int verify_segment(log_segment_t *segment, const log_recovery_t *recovery, int64_t *next_offset, bool *ret_cut)
{
    log_t *log = segment->log;
    io_file_t *file;
    int err = log__segment_file(segment, false, &file);
    if (!err) err = reset_derived(segment);
    if (err) return err;
    log_scan_t scan;
    log_batch_t batch;
    size_t window_bytes = MIN(MAX((size_t)segment->bytes, LOG_BATCH_HEADER_BYTES), LOG_RECOVER_WINDOW_BYTES);
    uint8_t *window = mem_alloc(window_bytes);
    log__scan_init(&scan, file, 0, segment->bytes, window, window_bytes);
    while ((err = log__scan_peek(&scan, &batch)) == 0) {
        if (!batch_fits(segment, &batch, *next_offset)) {
            err = ERR_CORRUPT;
            break;
        }
        if ((err = log__scan_verify(&scan, &batch)) != 0) break;
        log__segment_note(segment, &batch, (uint32_t)scan.position);
        if (batch.leader_epoch > log_epoch_latest(log)) log__epochs_note(log, batch.leader_epoch, batch.base_offset);
        *next_offset = log_batch_last_offset(&batch) + 1;
        if (recovery->each && *next_offset > recovery->scan_from) recovery->each(recovery->user, &batch);
        log__scan_skip(&scan, &batch);
    }
    bool failed = err == ERR_IO || err == ERR_NOMEM || err == ERR_ACCESS;
    bool zeros = !failed && err != ERR_NOT_FOUND && only_zeros(segment, file, scan.position, window, window_bytes);
    mem_free(window);
    if (failed) return err;
    *ret_cut = err != ERR_NOT_FOUND && !zeros;
    segment->bytes_durable = 0;
    if (*ret_cut || zeros) {
        /* The cut must last before anything is appended: a power loss that undid it could leave what was cut
         * behind new batches, and whole. (Zeros may come back.) */
        err = io_file_truncate(file, scan.position);
        if (!err && *ret_cut) err = io_file_sync_now(file);
        if (err) return err;
        segment->bytes = (uint32_t)scan.position;
    }
    return 0;
}

int log__rebuild_indexes(log_segment_t *segment)
{
    uint8_t window[LOG_SCAN_WINDOW_BYTES];
    io_file_t *file;
    int err = log__segment_file(segment, false, &file);
    if (!err) err = reset_derived(segment);
    if (err) return err;
    log_scan_t scan;
    log_batch_t batch;
    log__scan_init(&scan, file, 0, segment->bytes, window, sizeof(window));
    while ((err = log__scan_peek(&scan, &batch)) == 0) {
        log__segment_note(segment, &batch, (uint32_t)scan.position);
        log__scan_skip(&scan, &batch);
    }
    if (err != ERR_NOT_FOUND) return err;
    log__segment_flush_indexes(segment, segment != log__active(segment->log));
    return 0;
}

static int show_segment(log_segment_t *segment, int64_t from, void (*each)(void *user, const log_batch_t *batch),
                        void *user)
{
    uint8_t window[LOG_SCAN_WINDOW_BYTES];
    uint32_t position;
    log_batch_t batch;
    io_file_t *file;
    int err = log__segment_seek(segment, from, &position, &batch);
    if (err == ERR_NOT_FOUND) return 0;
    if (!err) err = log__segment_file(segment, false, &file);
    if (err) return err;
    log_scan_t scan;
    log__scan_init(&scan, file, position, segment->bytes, window, sizeof(window));
    while ((err = log__scan_peek(&scan, &batch)) == 0) {
        each(user, &batch);
        log__scan_skip(&scan, &batch);
    }
    return err == ERR_NOT_FOUND ? 0 : err;
}

/* Shows the owner a segment that needs no check, when it asked for that. */
static int show_kept(log_segment_t *segment, const log_recovery_t *recovery, int64_t next_offset)
{
    if (!recovery->each || recovery->scan_from >= next_offset) return 0;
    return show_segment(segment, recovery->scan_from, recovery->each, recovery->user);
}

int log_scan(log_t *log, int64_t from, void (*each)(void *user, const log_batch_t *batch), void *user)
{
    for (uint32_t i = 0; i < log->segments_count; i++) {
        if (log__segment_end(log->segments[i], i) <= from || log->segments[i]->bytes == 0) continue;
        int err = show_segment(log->segments[i], from, each, user);
        if (err) return err;
    }
    return 0;
}

/* Reads the tail of the last segment after a clean stop: the batches behind the last index entry. ERR_CORRUPT
 * or another error when it is not what a clean stop leaves. */
static int read_tail(log_segment_t *segment, int64_t *next_offset)
{
    uint8_t window[LOG_SCAN_WINDOW_BYTES], entry[LOG_OFFSET_ENTRY_BYTES];
    uint32_t from = 0;
    log_scan_t scan;
    log_batch_t batch;
    io_file_t *file;
    int err = log__segment_load_times(segment);
    if (!err) err = log__index_load(segment, &segment->offsets);
    if (!err) err = log__segment_file(segment, false, &file);
    if (err) return err;
    uint32_t count = log__index_count(&segment->offsets);
    if (count > 0) {
        err = log__index_get(segment, &segment->offsets, count - 1, entry);
        if (err) return err;
        from = (uint32_t)log__key_position(entry);
        log__scan_init(&scan, file, 0, segment->bytes, window, sizeof(window));
        err = log__scan_peek(&scan, &batch);
        if (err) return err;
        segment->first_timestamp = batch.max_timestamp;
    }
    log__scan_init(&scan, file, from, segment->bytes, window, sizeof(window));
    segment->bytes_since_index = 0;
    while ((err = log__scan_peek(&scan, &batch)) == 0) {
        if (!batch_fits(segment, &batch, *next_offset)) return ERR_CORRUPT;
        log__segment_note(segment, &batch, (uint32_t)scan.position);
        *next_offset = log_batch_last_offset(&batch) + 1;
        log__scan_skip(&scan, &batch);
    }
    return err == ERR_NOT_FOUND ? 0 : err;
}

static int open_last_clean(log_segment_t *segment, const log_recovery_t *recovery, int64_t *next_offset, bool *ret_cut)
{
    if (segment->bytes == 0) return reset_derived(segment);
    int err = read_tail(segment, next_offset);
    if (err == ERR_IO || err == ERR_NOMEM) return err;
    if (err) {
        *next_offset = segment->base_offset;
        return verify_segment(segment, recovery, next_offset, ret_cut);
    }
    segment->bytes_durable = segment->bytes;
    return show_kept(segment, recovery, *next_offset);
}

static int recover_segments(log_t *log, const log_recovery_t *recovery)
{
    int64_t next_offset = log->segments[0]->base_offset;
    for (uint32_t i = 0; i < log->segments_count; i++) {
        log_segment_t *segment = log->segments[i];
        bool last = i + 1 == log->segments_count, cut = false;
        int err = 0;
        if (segment->base_offset < next_offset) { /* it overlaps what was just read: it cannot be ours */
            err = log__remove_after(log, i);
            if (err) return err;
            break;
        }
        next_offset = MAX(next_offset, segment->base_offset);
        /* At the point itself: a segment that was full and durable when it was sealed has indexes of later
         * date. */
        if (!recovery->clean && (last || log->segments[i + 1]->base_offset >= recovery->recovery_point)) {
            err = verify_segment(segment, recovery, &next_offset, &cut);
        } else if (last) {
            err = open_last_clean(segment, recovery, &next_offset, &cut);
        } else {
            segment->bytes_durable = segment->bytes;
            next_offset = log->segments[i + 1]->base_offset;
            err = show_kept(segment, recovery, next_offset);
        }
        if (err) return err;
        /* The next one was begun where this one ended: what lay between is lost, though the cut is a clean
         * one. */
        if (!recovery->clean && !recovery->compacted && !last && next_offset < log->segments[i + 1]->base_offset)
            cut = true;
        if (cut && !last) {
            err = log__remove_after(log, i + 1);
            if (err) return err;
        }
        if (!cut && !last) log__segment_flush_indexes(segment, true);
        log__segment_close_files(segment); /* opened again when there is something to do */
    }
    log->end_offset = next_offset;
    return 0;
}

int log__recover(log_t *log, const log_recovery_t *recovery)
{
    int64_t start = MAX(recovery->start_offset, 0);
    int err = find_segments(log);
    if (err) return err;
    if (log->segments_count == 0) {
        log->start_offset = log->end_offset = log->durable_offset = start;
        return log__add_segment(log, start);
    }
    err = recover_segments(log, recovery);
    if (err) return err;
    log->durable_offset = recovery->clean ? log->end_offset : MIN(recovery->recovery_point, log->end_offset);
    log->start_offset = MAX(start, log->segments[0]->base_offset);
    if (log->start_offset > log->end_offset) return log_truncate_all(log, log->start_offset);
    log__epochs_cut_from(log, log->end_offset);
    log__epochs_cut_below(log, log->start_offset);
    /* How long the segment has been written to: what its first batch says is the best that is left of that. */
    log_segment_t *active = log__active(log);
    if (active->bytes > 0 && active->first_timestamp >= 0)
        active->created_ms = MIN(active->created_ms, active->first_timestamp);
    return 0;
}

/* segment.c: one segment: its files, its timestamps, and where in it an offset lies. A segment outlives its
 * removal from the log for as long as slices (a fetch being sent) or a sync refer to it. */
#include "log/log_internal.h"

#include <stdio.h>

log_segment_t *log__segment_new(log_t *log, int64_t base_offset)
{
    log_segment_t *segment = mem_zalloc(sizeof(*segment));
    segment->log = log;
    list_init(&segment->node);
    segment->base_offset = base_offset;
    segment->max_timestamp = LOG_TIMESTAMP_NONE;
    segment->max_timestamp_offset = base_offset;
    segment->first_timestamp = LOG_TIMESTAMP_NONE;
    segment->created_ms = io_wall_ms(log->loop);
    segment->suffix = "";
    segment->refs = 1;
    segment->offsets.entry_bytes = LOG_OFFSET_ENTRY_BYTES;
    segment->times.entry_bytes = LOG_TIME_ENTRY_BYTES;
    return segment;
}

static void segment_free(log_segment_t *segment)
{
    log_open_t *opens[] = {&segment->open, &segment->offsets.open, &segment->times.open,
                           segment->aborted ? &segment->aborted->index.open : NULL};
    for (size_t i = 0; i < ARRAY_LEN(opens); i++) {
        if (!opens[i]) continue;
        log__open_forget(opens[i]);
        io_file_close(opens[i]->file); /* even under a sync: nobody waits for it any more */
    }
    log__aborted_free(segment);
    mem_free(segment->offsets.pending);
    mem_free(segment->times.pending);
    mem_free(segment);
}

void log__segment_forget(log_segment_t *segment)
{
    segment->log = NULL;
    log__open_forget(&segment->open);
    log__open_forget(&segment->offsets.open);
    log__open_forget(&segment->times.open);
    if (segment->aborted) log__open_forget(&segment->aborted->index.open);
}

void log__segment_unref(log_segment_t *segment)
{
    ASSERT(segment->refs > 0);
    if (--segment->refs == 0) segment_free(segment);
}

void log__segment_lend(log_segment_t *segment)
{
    segment->refs++;
    log__open_pin(&segment->open);
}

void log_slice_release(void *lent)
{
    log_segment_t *segment = lent;
    if (!segment) return;
    log__open_unpin(&segment->open);
    log__segment_unref(segment);
}

static void segment_path(const log_segment_t *segment, const char *kind, const char *suffix,
                         char out[LOG_PATH_CHARS_MAX])
{
    int n = snprintf(out, LOG_PATH_CHARS_MAX, "%s/%020" PRId64 "%s%s", segment->log->dir, segment->base_offset, kind,
                     suffix);
    ASSERT(n > 0 && n < LOG_PATH_CHARS_MAX);
}

void log__segment_path(const log_segment_t *segment, const char *kind, char out[LOG_PATH_CHARS_MAX])
{
    segment_path(segment, kind, segment->suffix, out);
}

void log__segment_name(char out[LOG_NAME_CHARS_MAX], int64_t base_offset, const char *kind)
{
    snprintf(out, LOG_NAME_CHARS_MAX, "%020" PRId64 "%s", base_offset, kind);
}

int log__segment_file(log_segment_t *segment, bool create, io_file_t **ret_file)
{
    segment->touched = true;
    if (segment->open.file) {
        log__open_touch(&segment->open);
    } else {
        char path[LOG_PATH_CHARS_MAX];
        log__segment_path(segment, ".log", path);
        int err = log__open(segment->log, &segment->open, path, IO_FILE_WRITE | (create ? IO_FILE_CREATE : 0));
        if (err) return err;
    }
    *ret_file = segment->open.file;
    return 0;
}

void log__segment_close_files(log_segment_t *segment)
{
    log__index_close(&segment->offsets);
    log__index_close(&segment->times);
    if (segment->aborted) log__index_close(&segment->aborted->index);
    if (segment->open.pins == 0) log__open_close(&segment->open);
}

void log__segment_reach(log_segment_t *segment, io_file_t *file, uint64_t end)
{
    uint32_t ahead_bytes = segment->log->options.ahead_bytes;
    if (ahead_bytes == 0 || end <= segment->file_bytes) return;
    uint64_t bytes = MIN(end + ahead_bytes, (uint64_t)LOG_SEGMENT_BYTES_LIMIT);
    if (bytes >= end && io_file_truncate(file, bytes) == 0) segment->file_bytes = (uint32_t)bytes;
}

void log__segment_trim(log_segment_t *segment)
{
    io_file_t *file;
    if (segment->file_bytes <= segment->bytes) return;
    if (log__segment_file(segment, false, &file) != 0 || io_file_truncate(file, segment->bytes) != 0) return;
    segment->file_bytes = 0;
}

static uint32_t relative(const log_segment_t *segment, int64_t offset)
{
    ASSERT(offset >= segment->base_offset && offset - segment->base_offset <= INT32_MAX);
    return (uint32_t)(offset - segment->base_offset);
}

/* The time index takes an entry only when it says something new. */
void log__segment_seal_times(log_segment_t *segment)
{
    uint8_t entry[LOG_TIME_ENTRY_BYTES];
    uint32_t count = log__index_count(&segment->times);
    if (segment->max_timestamp < 0) return;
    if (count > 0) {
        if (log__index_get(segment, &segment->times, count - 1, entry) != 0) return;
        if (segment->max_timestamp <= log__key_timestamp(entry)) return;
    }
    store_be64(entry, (uint64_t)segment->max_timestamp);
    store_be32(entry + 8, relative(segment, segment->max_timestamp_offset));
    log__index_append(segment, &segment->times, entry);
}

void log__segment_note(log_segment_t *segment, const batch_header_t *batch, uint32_t position)
{
    if (position == 0) segment->first_timestamp = batch->max_timestamp;
    /* A batch that compaction emptied keeps its times, but no record has them. */
    if (batch->count > 0 && batch->max_timestamp > segment->max_timestamp) {
        segment->max_timestamp = batch->max_timestamp;
        segment->max_timestamp_offset = batch_last_offset(batch);
    }
    if (segment->bytes_since_index > segment->log->options.index_interval_bytes) {
        uint8_t entry[LOG_OFFSET_ENTRY_BYTES];
        store_be32(entry, relative(segment, batch_last_offset(batch)));
        store_be32(entry + 4, position);
        log__index_append(segment, &segment->offsets, entry);
        log__segment_seal_times(segment);
        segment->bytes_since_index = 0;
    }
    segment->bytes_since_index += (uint32_t)batch_bytes(batch);
}

void log__segment_flush_indexes(log_segment_t *segment, bool seal)
{
    int err = 0;
    if (segment->offsets.loaded && segment->times.loaded) {
        if (seal) log__segment_seal_times(segment);
        err = log__index_flush(segment, &segment->offsets);
        if (!err) err = log__index_flush(segment, &segment->times);
        /* Another implementation takes a missing index for damage: an empty one must be there. */
        if (!err && seal && !segment->offsets.present) err = log__index_create(segment, &segment->offsets);
        if (!err && seal && !segment->times.present) err = log__index_create(segment, &segment->times);
    }
    (void)err; /* an index that could not be written is rebuilt by the next open */
    (void)!log__aborted_flush(
        segment); /* what could not be written stays in memory: the segment is not durable without it */
}

int log__segment_load_first_time(log_segment_t *segment)
{
    uint8_t window[BATCH_HEADER_BYTES];
    log_scan_t scan;
    batch_header_t batch;
    io_file_t *file;
    if (segment->first_timestamp != LOG_TIMESTAMP_NONE || segment->bytes == 0) return 0;
    int err = log__segment_file(segment, false, &file);
    if (err) return err;
    log__scan_init(&scan, file, 0, segment->bytes, window, sizeof(window));
    err = log__scan_peek(&scan, &batch);
    if (!err) segment->first_timestamp = batch.max_timestamp;
    return err;
}

int log__segment_last_indexed(log_segment_t *segment, uint32_t *ret_position, int64_t *ret_last_offset)
{
    uint8_t entry[LOG_OFFSET_ENTRY_BYTES];
    *ret_position = 0;
    int err = log__index_load(segment, &segment->offsets);
    uint32_t count = err ? 0 : log__index_count(&segment->offsets);
    if (err || count == 0) return err;
    err = log__index_get(segment, &segment->offsets, count - 1, entry);
    if (err) return err;
    *ret_position = (uint32_t)log__key_position(entry);
    *ret_last_offset = segment->base_offset + log__key_offset(entry);
    return 0;
}

static bool is_of_data(int err)
{
    return err == ERR_CORRUPT || err == ERR_TRUNCATED || err == ERR_UNSUPPORTED || err == ERR_NOT_FOUND;
}

/* No batch from the last indexed one on is later than `timestamp_ms`. */
static int tail_is_older(log_segment_t *segment, int64_t timestamp_ms, bool *ret_older)
{
    uint8_t window[LOG_SCAN_WINDOW_BYTES];
    log_scan_t scan;
    batch_header_t batch;
    io_file_t *file;
    uint32_t from;
    int64_t last_offset;
    int err = log__segment_last_indexed(segment, &from, &last_offset);
    if (is_of_data(err)) from = 0;
    if (!err || is_of_data(err)) err = log__segment_file(segment, false, &file);
    if (err) return err;
    *ret_older = true;
    log__scan_init(&scan, file, from, segment->bytes, window, sizeof(window));
    while (*ret_older && (err = log__scan_peek(&scan, &batch)) == 0) {
        *ret_older = batch.count == 0 || batch.max_timestamp <= timestamp_ms;
        log__scan_skip(&scan, &batch);
    }
    if (is_of_data(err) && err != ERR_NOT_FOUND) *ret_older = false;
    return is_of_data(err) ? 0 : err;
}

/* The last entry names a batch that has its time, and what comes behind the index has no later one: else the file is another
 * segment's, or was cut. */
static int times_fit(log_segment_t *segment, const uint8_t *entry, bool *ret_fit)
{
    batch_header_t batch;
    uint32_t position;
    int64_t offset = segment->base_offset + log__key_time_offset(entry), timestamp_ms = log__key_timestamp(entry);
    *ret_fit = false;
    int err = log__segment_seek(segment, offset, &position, &batch);
    if (is_of_data(err)) return 0;
    if (err || batch.base_offset > offset || batch.max_timestamp != timestamp_ms) return err;
    return tail_is_older(segment, timestamp_ms, ret_fit);
}

/* A sealed segment's largest timestamp is its time index's last entry. */
int log__segment_load_times(log_segment_t *segment)
{
    if (segment->max_timestamp != LOG_TIMESTAMP_UNREAD) return 0;
    int err = log__index_load(segment, &segment->times);
    if (err == ERR_NOT_FOUND || err == ERR_CORRUPT) return log__rebuild_indexes(segment);
    if (err) return err;
    uint8_t entry[LOG_TIME_ENTRY_BYTES];
    uint32_t count = log__index_count(&segment->times);
    if (count == 0) { /* no timestamps at all, or an index that was lost */
        if (segment->bytes > 0) return log__rebuild_indexes(segment);
        segment->max_timestamp = LOG_TIMESTAMP_NONE;
        return 0;
    }
    err = log__index_get(segment, &segment->times, count - 1, entry);
    bool fit = false;
    if (!err) err = times_fit(segment, entry, &fit);
    if (err) return err;
    if (!fit) return log__rebuild_indexes(segment);
    segment->max_timestamp = log__key_timestamp(entry);
    segment->max_timestamp_offset = segment->base_offset + log__key_time_offset(entry);
    return 0;
}

static const char *const segment_kinds[] = {".index", ".timeindex", ".txnindex", ".log"};

int log__segment_remove_files(log_segment_t *segment)
{
    char path[LOG_PATH_CHARS_MAX];
    int result = 0;
    for (size_t i = 0; i < ARRAY_LEN(segment_kinds); i++) {
        log__segment_path(segment, segment_kinds[i], path);
        int err = io_remove(segment->log->loop, path);
        if (err && err != ERR_NOT_FOUND) result = err;
    }
    return result;
}

int log__segment_rename(log_segment_t *segment, const char *suffix)
{
    char from[LOG_PATH_CHARS_MAX], to[LOG_PATH_CHARS_MAX];
    bool leaves = strcmp(suffix, ".deleted") == 0;
    for (size_t i = 0; i < ARRAY_LEN(segment_kinds); i++) {
        const char *kind = segment_kinds[leaves ? i : ARRAY_LEN(segment_kinds) - 1 - i];
        segment_path(segment, kind, segment->suffix, from);
        segment_path(segment, kind, suffix, to);
        int err = io_rename(segment->log->loop, from, to);
        if (err && err != ERR_NOT_FOUND) return err;
    }
    segment->suffix = suffix;
    return 0;
}

void log__segment_drop_deleted(log_segment_t *segment)
{
    char path[LOG_PATH_CHARS_MAX];
    for (size_t i = 0; i < ARRAY_LEN(segment_kinds); i++) {
        segment_path(segment, segment_kinds[i], ".deleted", path);
        io_remove_later(segment->log->loop, path);
    }
}

int64_t log__segment_end(const log_segment_t *segment, uint32_t at)
{
    const log_t *log = segment->log;
    return at + 1 < log->segments_count ? log->segments[at + 1]->base_offset : log->end_offset;
}

/* Where to begin to scan for `offset`: at the index's entry below it, whose batch ends with *ret_last_offset; or at 0. */
static int segment_scan_from(log_segment_t *segment, int64_t offset, uint32_t *ret_position, int64_t *ret_last_offset)
{
    uint8_t entry[LOG_OFFSET_ENTRY_BYTES];
    int err = log__index_load(segment, &segment->offsets);
    if (err == ERR_NOT_FOUND || err == ERR_CORRUPT) err = log__rebuild_indexes(segment);
    *ret_position = 0;
    if (err) return err == ERR_FILES ? err : 0;
    int64_t delta = MIN(offset - segment->base_offset, (int64_t)UINT32_MAX);
    if (log__index_floor(segment, &segment->offsets, log__key_offset, delta, entry) != 0) return 0;
    *ret_position = (uint32_t)log__key_position(entry);
    *ret_last_offset = segment->base_offset + log__key_offset(entry);
    return 0;
}

/* ERR_DAMAGED: at `from` is no batch that ends with `last_offset`, so that the index lied. */
static int seek_from(log_segment_t *segment, io_file_t *file, uint32_t from, int64_t last_offset, int64_t offset,
                     uint32_t *ret_position, batch_header_t *ret_batch)
{
    uint8_t window[LOG_SCAN_WINDOW_BYTES];
    log_scan_t scan;
    log__scan_init(&scan, file, from, segment->bytes, window, sizeof(window));
    for (;;) {
        int err = log__scan_peek(&scan, ret_batch);
        if (from > 0 && scan.position == from && log__index_lied(err, ret_batch, last_offset)) return ERR_DAMAGED;
        if (err) return err;
        if (batch_last_offset(ret_batch) >= offset) {
            *ret_position = (uint32_t)scan.position;
            return 0;
        }
        log__scan_skip(&scan, ret_batch);
    }
}

int log__segment_seek(log_segment_t *segment, int64_t offset, uint32_t *ret_position, batch_header_t *ret_batch)
{
    io_file_t *file;
    int64_t last_offset = 0;
    uint32_t from;
    int err = segment_scan_from(segment, offset, &from, &last_offset);
    if (!err) err = log__segment_file(segment, false, &file);
    if (!err) err = seek_from(segment, file, from, last_offset, offset, ret_position, ret_batch);
    if (err != ERR_DAMAGED) return err;
    err = log__rebuild_indexes(segment);
    if (!err) err = log__segment_file(segment, false, &file);
    return err ? err : seek_from(segment, file, 0, 0, offset, ret_position, ret_batch);
}

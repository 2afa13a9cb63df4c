/* recover_segment.c: one segment when a log is opened: read whole, or only looked at where it ends. See recover.c. */
#include "log/log_internal.h"

/* A batch may follow what ends at `next_offset` in this segment. */
static bool batch_fits(const log_recover_t *r, const log_segment_t *segment, const batch_header_t *batch)
{
    bool follows = batch->base_offset == r->next_offset || (r->how->compacted && batch->base_offset > r->next_offset);
    return follows && batch_last_offset(batch) - segment->base_offset <= INT32_MAX;
}

/* An index of the segment can name it. */
static bool is_of_segment(const log_segment_t *segment, const batch_header_t *batch)
{
    return batch->base_offset >= segment->base_offset && batch_last_offset(batch) - segment->base_offset <= INT32_MAX;
}

static int reset_derived(log_segment_t *segment)
{
    segment->max_timestamp = LOG_TIMESTAMP_NONE;
    segment->max_timestamp_offset = segment->base_offset;
    segment->bytes_since_index = 0;
    int err = log__index_reset(segment, &segment->offsets);
    return err ? err : log__index_reset(segment, &segment->times);
}

static void note(log_recover_t *r, log_segment_t *segment, const batch_header_t *batch, uint64_t position)
{
    log_t *log = r->log;
    log__segment_note(segment, batch, (uint32_t)position);
    if (batch->leader_epoch > log_epoch_latest(log)) log__epochs_note(log, batch->leader_epoch, batch->base_offset);
    r->next_offset = batch_last_offset(batch) + 1;
    if (batch->attributes & BATCH_CONTROL) r->report->control_from = MIN(r->report->control_from, batch->base_offset);
    if (r->how->each && r->next_offset > r->how->scan_from) r->how->each(r->how->user, batch);
}

/* The bytes say so, not the disk. */
static bool is_of_data(int err)
{
    return err == ERR_CORRUPT || err == ERR_TRUNCATED || err == ERR_UNSUPPORTED || err == ERR_NOT_FOUND;
}

/* Reads on as long as batches are valid (the first `sound` bytes are known to be) and fit. 0: to the end. ERR_CORRUPT: what is at the scan's position is not a whole
 * and valid batch; ERR_STATE: it is, but of another offset, *ret_batch. Or a read error. */
static int read_valid(log_recover_t *r, log_segment_t *segment, log_scan_t *scan, uint64_t sound,
                      batch_header_t *ret_batch)
{
    for (;;) {
        int err = log__scan_peek(scan, ret_batch);
        if (err == ERR_NOT_FOUND) return 0;
        bool known = !err && scan->position + batch_bytes(ret_batch) <= sound;
        if (!err && !known) err = log__scan_verify(scan, ret_batch);
        if (err) return is_of_data(err) ? ERR_CORRUPT : err;
        if (!batch_fits(r, segment, ret_batch)) return ERR_STATE;
        note(r, segment, ret_batch, scan->position);
        log__scan_skip(scan, ret_batch);
    }
}

/* The batches end before the file does, at `position`. */
static int end_early(log_recover_t *r, uint32_t at, io_file_t *file, uint64_t position, const batch_header_t *misplaced)
{
    log_segment_t *segment = r->log->segments[at];
    bool zeros = false;
    int err = misplaced ? 0 : log__only_zeros(segment, file, position, &zeros);
    if (!err && !zeros) {
        log_damage_t damage = {.fault = LOG_INVALID, .position = position, .offset = r->next_offset};
        if (misplaced) damage.fault = LOG_MISPLACED;
        if (misplaced) damage.found_offset = misplaced->base_offset;
        log__segment_name(damage.file, segment->base_offset, ".log");
        err = log__recover_judge(r, at, &damage);
    }
    if (!err && zeros) { /* they go once all else is known to be sound */
        segment->file_bytes = segment->bytes;
        segment->bytes = (uint32_t)position;
        return 0;
    }
    return err ? err : log__recover_cut(r, segment, position);
}

int log__verify_segment(log_recover_t *r, uint32_t at)
{
    log_segment_t *segment = r->log->segments[at];
    io_file_t *file;
    int err = log__segment_file(segment, false, &file);
    if (!err) err = reset_derived(segment);
    if (!err) err = log__aborted_reset(segment);
    if (err) return err;
    uint64_t sound = log__precheck_sound(r->how->precheck, segment);
    if (r->how->distrust_cache && sound == 0) io_file_drop_cache(file); /* else that was done */
    log_scan_t scan;
    batch_header_t batch;
    size_t window_max = sound ? LOG_SCAN_WINDOW_BYTES : LOG_RECOVER_WINDOW_BYTES; /* headers alone need little */
    size_t window_bytes = MIN(MAX((size_t)segment->bytes, BATCH_HEADER_BYTES), window_max);
    uint8_t *window = mem_alloc(window_bytes);
    log__scan_init(&scan, file, 0, segment->bytes, window, window_bytes);
    err = read_valid(r, segment, &scan, sound, &batch);
    mem_free(window);
    segment->bytes_durable = 0;
    if (err != ERR_CORRUPT && err != ERR_STATE) return err;
    return end_early(r, at, file, scan.position, err == ERR_STATE ? &batch : NULL);
}

int log__rebuild_indexes(log_segment_t *segment)
{
    uint8_t window[LOG_SCAN_WINDOW_BYTES];
    io_file_t *file;
    int err = log__segment_file(segment, false, &file);
    if (!err) err = reset_derived(segment);
    if (err) return err;
    log_scan_t scan;
    batch_header_t batch;
    log__scan_init(&scan, file, 0, segment->bytes, window, sizeof(window));
    while ((err = log__scan_peek(&scan, &batch)) == 0) {
        if (!is_of_segment(segment, &batch)) return ERR_CORRUPT;
        log__segment_note(segment, &batch, (uint32_t)scan.position);
        log__scan_skip(&scan, &batch);
    }
    if (err != ERR_NOT_FOUND) return err;
    log_t *log = segment->log;
    log->rebuilt_count++;
    if (log->on_rebuilt) log->on_rebuilt(log->rebuilt_user, segment->base_offset);
    log__segment_flush_indexes(segment, segment != log__active(log));
    return 0;
}

/* ---- after a clean stop --------------------------------------------------------------------------------------------- */

/* The batches behind the last entry of the index, of which the active segment needs to know more. */
static int read_tail(log_recover_t *r, log_segment_t *segment, uint32_t from, bool active)
{
    uint8_t window[LOG_SCAN_WINDOW_BYTES];
    log_scan_t scan;
    batch_header_t batch;
    io_file_t *file;
    int err = log__segment_file(segment, false, &file);
    if (err) return err;
    log__scan_init(&scan, file, from, segment->bytes, window, sizeof(window));
    int64_t next_offset = from == 0 ? segment->base_offset : -1;
    uint64_t unindexed_bytes = 0;
    while ((err = log__scan_peek(&scan, &batch)) == 0) {
        /* An entry was due here, and is not there. */
        if (unindexed_bytes > segment->log->options.index_interval_bytes) return ERR_CORRUPT;
        unindexed_bytes += batch_bytes(&batch);
        bool fits = next_offset < 0
                        ? batch.base_offset >= segment->base_offset
                        : batch.base_offset == next_offset || (r->how->compacted && batch.base_offset > next_offset);
        if (!fits || !is_of_segment(segment, &batch)) return ERR_CORRUPT;
        if (active) log__segment_note(segment, &batch, (uint32_t)scan.position);
        next_offset = batch_last_offset(&batch) + 1;
        log__scan_skip(&scan, &batch);
    }
    if (err != ERR_NOT_FOUND) return err;
    r->next_offset = MAX(next_offset, segment->base_offset);
    return 0;
}

static int check_indexed(log_segment_t *segment, uint32_t position, int64_t last_offset)
{
    uint8_t window[BATCH_HEADER_BYTES];
    log_scan_t scan;
    batch_header_t batch;
    io_file_t *file;
    int err = log__segment_file(segment, false, &file);
    if (err) return err;
    log__scan_init(&scan, file, position, segment->bytes, window, sizeof(window));
    err = log__scan_peek(&scan, &batch);
    return log__index_lied(err, &batch, last_offset) ? ERR_CORRUPT : err;
}

/* ERR_CORRUPT or another error when it is not what a clean stop leaves. */
static int open_kept(log_recover_t *r, log_segment_t *segment, bool active)
{
    uint32_t from;
    int64_t last_offset;
    int err = active ? log__segment_load_times(segment) : 0;
    if (!err) err = log__segment_last_indexed(segment, &from, &last_offset);
    if (!err && active && from > 0) err = log__segment_load_first_time(segment);
    if (!err && from > 0) err = check_indexed(segment, from, last_offset);
    if (err) return err;
    segment->bytes_since_index = 0;
    return read_tail(r, segment, from, active);
}

/* Shows the owner a segment that needs no check, when it asked for that. */
static int show_kept(log_recover_t *r, log_segment_t *segment)
{
    if (!r->how->each || r->how->scan_from >= r->next_offset) return 0;
    return log__show_segment(segment, r->how->scan_from, r->how->each, r->how->user);
}

int log__open_segment_kept(log_recover_t *r, uint32_t at)
{
    log_segment_t *segment = r->log->segments[at];
    bool active = at + 1 == r->log->segments_count;
    if (segment->bytes == 0) return active ? reset_derived(segment) : 0;
    int err = open_kept(r, segment, active);
    if (!err) err = log__aborted_check(segment, r->next_offset);
    if (err && !is_of_data(err)) return err;
    if (err) {
        r->report->rebuilt_count++;
        r->next_offset = segment->base_offset;
        return log__verify_segment(r, at);
    }
    segment->bytes_durable = segment->bytes;
    return show_kept(r, segment);
}

/* find.c: from an offset or a timestamp to bytes in a segment. Reads only; what it hands out are references.
 *
 * A consumer reads on where its last fetch ended, so the log remembers the ends of its last few finds
 * (hints): the usual find touches neither index nor file. */
#include "log/log_internal.h"

uint32_t log__segment_at(const log_t *log, int64_t offset)
{
    uint32_t low = 0, high = log->segments_count;
    if (offset >= log__active(log)->base_offset) return high - 1;
    while (high - low > 1) {
        uint32_t mid = low + (high - low) / 2;
        if (log->segments[mid]->base_offset <= offset)
            low = mid;
        else
            high = mid;
    }
    return low;
}

static bool hint_get(const log_t *log, const log_segment_t *segment, int64_t offset, uint32_t *ret_position)
{
    for (size_t i = 0; i < LOG_HINTS_MAX; i++) {
        const log_hint_t *hint = &log->hints[i];
        if (hint->offset == offset && hint->segment == segment) {
            *ret_position = hint->position;
            return true;
        }
    }
    return false;
}

static void hint_put(log_t *log, const log_segment_t *segment, int64_t offset, uint32_t position)
{
    for (size_t i = 0; i < LOG_HINTS_MAX; i++) {
        if (log->hints[i].offset == offset && log->hints[i].segment == segment) return;
    }
    log->hints[log->hint_next++ % LOG_HINTS_MAX] = (log_hint_t){segment, offset, position};
}

/* The batch boundary to stop at, when [from, limit) may hold more than `bytes_max`: the last one within it.
 */
typedef struct stop {
    uint32_t position;
    int64_t next_offset;
} stop_t;

/* Where to begin to look for it: at the last batch that the index has within, which ends with *ret_last_offset, or at `from`. */
static uint32_t stop_scan_from(log_segment_t *segment, uint32_t from, size_t bytes_max, int64_t *ret_last_offset)
{
    uint8_t entry[LOG_OFFSET_ENTRY_BYTES];
    if (log__index_load(segment, &segment->offsets) != 0) return from;
    if (log__index_floor(segment, &segment->offsets, log__key_position, (int64_t)(from + bytes_max), entry) != 0)
        return from;
    *ret_last_offset = segment->base_offset + log__key_offset(entry);
    return MAX(from, (uint32_t)log__key_position(entry)); /* unless that is behind us */
}

/* ERR_DAMAGED: at `position` is no batch that ends with `last_offset`. */
static int stop_from(log_segment_t *segment, uint32_t from, uint32_t position, int64_t last_offset, uint32_t limit,
                     size_t bytes_max, bool whole_first, stop_t *ret_stop)
{
    uint8_t window[LOG_SCAN_WINDOW_BYTES];
    io_file_t *file;
    int err = log__segment_file(segment, false, &file);
    if (err) return err;
    log_scan_t scan;
    log__scan_init(&scan, file, position, limit, window, sizeof(window));
    batch_header_t batch;
    for (;;) {
        err = log__scan_peek(&scan, &batch);
        bool indexed = position > from && scan.position == position;
        if (indexed && log__index_lied(err, &batch, last_offset)) return ERR_DAMAGED;
        if (err == ERR_NOT_FOUND) return ERR_CORRUPT; /* the caller knows of more bytes than fit */
        if (err) return err;
        uint64_t end = scan.position + batch_bytes(&batch);
        bool fits = end - from <= bytes_max || (whole_first && scan.position == from);
        if (!fits) break;
        log__scan_skip(&scan, &batch);
        if (scan.position == limit) break;
    }
    ret_stop->position = (uint32_t)scan.position;
    ret_stop->next_offset = scan.position == limit ? batch_last_offset(&batch) + 1 : batch.base_offset;
    return 0;
}

static int stop_within(log_segment_t *segment, uint32_t from, uint32_t limit, size_t bytes_max, bool whole_first,
                       stop_t *ret_stop)
{
    int64_t last_offset = 0;
    uint32_t position = stop_scan_from(segment, from, bytes_max, &last_offset);
    int err = stop_from(segment, from, position, last_offset, limit, bytes_max, whole_first, ret_stop);
    if (err != ERR_DAMAGED) return err;
    err = log__rebuild_indexes(segment);
    return err ? err : stop_from(segment, from, from, 0, limit, bytes_max, whole_first, ret_stop);
}

/* Where the bytes below `offset_end` stop in this segment. */
static int stop_below(log_segment_t *segment, uint32_t at, int64_t offset_end, stop_t *ret_stop)
{
    *ret_stop = (stop_t){segment->bytes, log__segment_end(segment, at)};
    if (offset_end >= ret_stop->next_offset) return 0;
    uint32_t position;
    batch_header_t batch;
    if (hint_get(segment->log, segment, offset_end, &position)) {
        *ret_stop = (stop_t){position, offset_end};
        return 0;
    }
    int err = log__segment_seek(segment, offset_end, &position, &batch);
    if (err == ERR_NOT_FOUND) return 0;
    if (err) return err;
    *ret_stop = (stop_t){position, MAX(batch.base_offset, segment->base_offset)};
    return 0;
}

static int find_in_segment(log_t *log, uint32_t at, int64_t offset, int64_t offset_end, size_t bytes_max,
                           bool whole_first, log_slice_t *ret_slice)
{
    log_segment_t *segment = log->segments[at];
    uint32_t from;
    if (!hint_get(log, segment, offset, &from)) {
        batch_header_t batch;
        int err = log__segment_seek(segment, offset, &from, &batch);
        if (err) return err;
        /* No checksum covers a batch's offset: one that is another segment's would make readers jump. */
        if (batch_last_offset(&batch) >= log__segment_end(segment, at)) return ERR_CORRUPT;
        hint_put(log, segment, offset, from);
    }
    stop_t stop;
    int err = stop_below(segment, at, offset_end, &stop);
    if (err) return err;
    if (stop.position > from && stop.position - from > bytes_max) {
        err = stop_within(segment, from, stop.position, bytes_max, whole_first, &stop);
        if (err) return err;
    }
    *ret_slice = (log_slice_t){.base_offset = offset, .next_offset = offset};
    if (stop.position <= from) return 0; /* too small a limit, or nothing below offset_end */
    err = log__segment_file(segment, false, &ret_slice->file);
    if (err) return err;
    ret_slice->position = from;
    ret_slice->bytes = stop.position - from;
    ret_slice->next_offset = stop.next_offset;
    ret_slice->segment = segment;
    log__segment_lend(segment);
    if (stop.position < segment->bytes || at + 1 == log->segments_count) {
        hint_put(log, segment, stop.next_offset, stop.position);
    }
    return 0;
}

int log_find(log_t *log, int64_t offset, int64_t offset_end, size_t bytes_max, bool whole_first, log_slice_t *ret_slice)
{
    if (offset < log->start_offset || offset > log->end_offset) return ERR_OUT_OF_RANGE;
    *ret_slice = (log_slice_t){.base_offset = offset, .next_offset = offset};
    if (offset >= MIN(offset_end, log->end_offset)) return 0;
    for (uint32_t at = log__segment_at(log, offset); at < log->segments_count; at++) {
        int err = find_in_segment(log, at, offset, offset_end, bytes_max, whole_first, ret_slice);
        if (err != ERR_NOT_FOUND) return err; /* not found: the offsets up to the next segment are a gap */
    }
    ret_slice->next_offset = MIN(offset_end, log->end_offset); /* a gap up to there: nothing comes before it */
    return 0;
}

/* The offset from which a batch may have the time, as the time index says; what it says is checked. */
static int time_scan_from(log_segment_t *segment, int64_t timestamp_ms, int64_t from_offset, int64_t *ret_offset)
{
    uint8_t entry[LOG_TIME_ENTRY_BYTES];
    batch_header_t batch;
    uint32_t position;
    *ret_offset = MAX(from_offset, segment->base_offset);
    int err = log__index_load(segment, &segment->times);
    if (err) return err == ERR_FILES ? err : 0;
    if (log__index_floor(segment, &segment->times, log__key_timestamp, timestamp_ms - 1, entry) != 0) return 0;
    int64_t offset = segment->base_offset + log__key_time_offset(entry);
    if (offset <= *ret_offset) return 0;
    err = log__segment_seek(segment, offset, &position, &batch);
    if (err && err != ERR_NOT_FOUND) return err;
    if (err || batch.base_offset > offset || batch.max_timestamp != log__key_timestamp(entry))
        return log__rebuild_indexes(segment);
    *ret_offset = offset;
    return 0;
}

/* Scans one segment for a batch that reaches both the offset and the timestamp. */
static int find_time_in_segment(log_segment_t *segment, int64_t timestamp_ms, int64_t from_offset,
                                batch_header_t *ret_batch, log_slice_t *ret_slice)
{
    uint8_t window[LOG_SCAN_WINDOW_BYTES];
    uint32_t position;
    io_file_t *file;
    int64_t offset;
    int err = time_scan_from(segment, timestamp_ms, from_offset, &offset);
    if (!err) err = log__segment_seek(segment, offset, &position, ret_batch);
    if (!err) err = log__segment_file(segment, false, &file);
    if (err) return err;
    log_scan_t scan;
    log__scan_init(&scan, file, position, segment->bytes, window, sizeof(window));
    while ((err = log__scan_peek(&scan, ret_batch)) == 0 && ret_batch->max_timestamp < timestamp_ms) {
        log__scan_skip(&scan, ret_batch);
    }
    if (err) return err;
    *ret_slice = (log_slice_t){
        file, scan.position, batch_bytes(ret_batch), ret_batch->base_offset, batch_last_offset(ret_batch) + 1, segment};
    log__segment_lend(segment);
    return 0;
}

int log_find_timestamp(log_t *log, int64_t timestamp_ms, int64_t from_offset, batch_header_t *ret_batch,
                       log_slice_t *ret_slice)
{
    for (uint32_t at = log__segment_at(log, MAX(from_offset, log->start_offset)); at < log->segments_count; at++) {
        log_segment_t *segment = log->segments[at];
        int err = log__segment_load_times(segment);
        if (err) return err;
        if (segment->bytes == 0 || segment->max_timestamp < timestamp_ms) continue;
        err = find_time_in_segment(segment, timestamp_ms, MAX(from_offset, log->start_offset), ret_batch, ret_slice);
        if (err != ERR_NOT_FOUND) return err;
    }
    return ERR_NOT_FOUND;
}

int log_max_timestamp(log_t *log, int64_t *ret_timestamp_ms, int64_t *ret_offset)
{
    const log_segment_t *best = NULL;
    for (uint32_t at = 0; at < log->segments_count; at++) {
        log_segment_t *segment = log->segments[at];
        int err = log__segment_load_times(segment);
        if (err) return err;
        if (segment->bytes > 0 && (!best || segment->max_timestamp > best->max_timestamp)) best = segment;
    }
    if (!best) return ERR_NOT_FOUND;
    *ret_timestamp_ms = best->max_timestamp;
    *ret_offset = best->max_timestamp_offset;
    return 0;
}

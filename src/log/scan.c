/* scan.c: walks the batch headers of one segment file through a window of memory. Recovery and look-ups use
 * it; it never trusts a length: a batch that does not fit the file is ERR_TRUNCATED. */
#include "base/hash.h"
#include "log/log_internal.h"

enum { CRC_FROM = 21 }; /* attributes: where the checksum begins */

void log__scan_init(log_scan_t *scan, io_file_t *file, uint64_t from, uint64_t end, uint8_t *window, size_t window_cap)
{
    ASSERT(window_cap >= BATCH_HEADER_BYTES);
    *scan = (log_scan_t){.file = file, .position = from, .end = end, .window = window, .window_cap = window_cap};
}

ssize_t log__scan_fill(log_scan_t *scan, uint64_t at, size_t need)
{
    uint64_t window_end = scan->window_at + scan->window_len;
    if (at >= scan->window_at && at + need <= window_end) return (ssize_t)(window_end - at);
    size_t want = (size_t)MIN((uint64_t)scan->window_cap, scan->end - at);
    ssize_t n = io_file_read(scan->file, at, scan->window, want);
    if (n < 0) return n;
    scan->window_at = at;
    scan->window_len = (size_t)n;
    return n;
}

int log__scan_peek(log_scan_t *scan, batch_header_t *ret_batch)
{
    if (scan->position == scan->end) return ERR_NOT_FOUND;
    if (scan->end - scan->position < BATCH_HEADER_BYTES) return ERR_TRUNCATED;
    ssize_t n = log__scan_fill(scan, scan->position, BATCH_HEADER_BYTES);
    if (n < 0) return (int)n;
    const uint8_t *at = scan->window + (scan->position - scan->window_at);
    batch_header_t batch;
    int err = batch_header_read(bytes_of(at, (size_t)n), &batch);
    if (err) return err;
    if (batch_bytes(&batch) > scan->end - scan->position) return ERR_TRUNCATED;
    *ret_batch = batch;
    return 0;
}

void log__scan_skip(log_scan_t *scan, const batch_header_t *batch)
{
    scan->position += batch_bytes(batch);
    ASSERT(scan->position <= scan->end);
}

int log__scan_verify(log_scan_t *scan, const batch_header_t *batch)
{
    uint32_t crc = 0;
    uint64_t at = scan->position + CRC_FROM;
    uint64_t end = scan->position + batch_bytes(batch);
    while (at < end) {
        ssize_t n = log__scan_fill(scan, at, 1);
        if (n < 0) return (int)n;
        if (n == 0) return ERR_TRUNCATED;
        size_t part = (size_t)MIN((uint64_t)n, end - at);
        crc = crc32c(crc, scan->window + (at - scan->window_at), part);
        at += part;
    }
    return crc == batch->crc ? 0 : ERR_CORRUPT;
}

int log__show_segment(log_segment_t *segment, int64_t from, void (*each)(void *user, const batch_header_t *batch),
                      void *user)
{
    uint8_t window[LOG_SCAN_WINDOW_BYTES];
    uint32_t position;
    batch_header_t batch;
    io_file_t *file;
    int err = log__segment_seek(segment, from, &position, &batch);
    if (err == ERR_NOT_FOUND) return 0;
    if (!err) err = log__segment_file(segment, false, &file);
    if (err) return err;
    log_scan_t scan;
    log__scan_init(&scan, file, position, segment->bytes, window, sizeof(window));
    log__open_pin(&segment->open); /* `each` may read from the log, and open other files for that */
    while ((err = log__scan_peek(&scan, &batch)) == 0) {
        each(user, &batch);
        log__scan_skip(&scan, &batch);
    }
    log__open_unpin(&segment->open);
    return err == ERR_NOT_FOUND ? 0 : err;
}

int log_scan(log_t *log, int64_t from, void (*each)(void *user, const batch_header_t *batch), void *user)
{
    for (uint32_t i = 0; i < log->segments_count; i++) {
        if (log__segment_end(log->segments[i], i) <= from || log->segments[i]->bytes == 0) continue;
        int err = log__show_segment(log->segments[i], from, each, user);
        if (err) return err;
    }
    return 0;
}

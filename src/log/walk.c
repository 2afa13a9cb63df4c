/* walk.c: reads sealed segments from one offset to another, in pieces of whole batches: what compaction reads. It
 * leaves the hints of those who consume alone. */
#include "log/log_internal.h"

void log_walk_init(log_walk_t *walk, log_t *log, int64_t from, int64_t end)
{
    ASSERT(end <= log_active_base(log));
    *walk = (log_walk_t){.log = log, .offset = from, .end = end, .base_offset = -1};
}

/* Finds the walk's place in the segment that holds its offset. */
static int enter(log_walk_t *walk, log_segment_t *segment)
{
    batch_header_t batch;
    io_file_t *file;
    if (walk->base_offset == segment->base_offset) return 0;
    int err = log__segment_file(segment, false, &file);
    if (err) return err;
    walk->base_offset = segment->base_offset;
    err = log__segment_seek(segment, walk->offset, &walk->position, &batch);
    if (err != ERR_NOT_FOUND) return err;
    walk->position = segment->bytes; /* nothing there: its end is a gap */
    return 0;
}

/* How many of the bytes are whole batches; ERR_TRUNCATED when not even the first is, and then *ret_bytes is its size. */
static int whole_batches(bytes_t data, size_t *ret_bytes)
{
    size_t at = 0;
    batch_header_t batch;
    int err = 0;
    while (at < data.len && (err = batch_header_read(bytes_of(data.ptr + at, data.len - at), &batch)) == 0) {
        if (batch_bytes(&batch) > data.len - at) break;
        at += batch_bytes(&batch);
    }
    if (err && err != ERR_TRUNCATED) return err;
    *ret_bytes = at;
    if (at > 0) return 0;
    *ret_bytes = err ? BATCH_HEADER_BYTES : batch_bytes(&batch);
    return ERR_TRUNCATED;
}

static int read_piece(log_walk_t *walk, log_segment_t *segment, size_t bytes_max, buf_t *out)
{
    io_file_t *file;
    size_t left = segment->bytes - walk->position, want = MIN(MAX(bytes_max, BATCH_HEADER_BYTES), left);
    int err = log__segment_file(segment, false, &file);
    while (!err) {
        err = buf_try_reserve(out, want);
        if (err) break;
        ssize_t n = io_file_read(file, walk->position, out->ptr + out->len, want);
        if (n < 0) return (int)n;
        if ((size_t)n < want) return ERR_TRUNCATED;
        size_t bytes;
        err = whole_batches(bytes_of(out->ptr + out->len, want), &bytes);
        if (!err) {
            out->len += bytes;
            walk->position += (uint32_t)bytes;
        } else if (err == ERR_TRUNCATED && bytes > want && bytes <= left) {
            want = bytes; /* a batch that is larger than a piece */
            err = 0;
            continue;
        }
        break;
    }
    return err;
}

int log_walk_read(log_walk_t *walk, size_t bytes_max, buf_t *out)
{
    log_t *log = walk->log;
    while (walk->offset < walk->end) {
        uint32_t at = log__segment_at(log, walk->offset);
        log_segment_t *segment = log->segments[at];
        if (at + 1 == log->segments_count) return ERR_STATE; /* the log was cut meanwhile */
        int err = enter(walk, segment);
        if (err) return err;
        if (walk->position < segment->bytes) return read_piece(walk, segment, bytes_max, out);
        walk->offset = log__segment_end(segment, at);
    }
    return 0;
}

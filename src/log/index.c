/* index.c: the index files of a segment: sorted entries of fixed size, appended in batches, searched in place.
 *
 *   .index      | relative offset u32 | position u32 |       the batch at `position` ends with that offset
 *   .timeindex  | timestamp i64 | relative offset u32 |      no batch up to that offset has a later timestamp
 *
 * These two are hints: they only say where a scan may begin, so a missing or shorter one is slow and never
 * wrong. (The third, .txnindex, is aborted.c's.) Trailing zero entries (another implementation's preallocation) are not counted. */
#include "log/log_internal.h"

int64_t log__key_offset(const uint8_t *entry) { return (int64_t)load_be32(entry); }
int64_t log__key_position(const uint8_t *entry) { return (int64_t)load_be32(entry + 4); }
int64_t log__key_timestamp(const uint8_t *entry) { return (int64_t)load_be64(entry); }
int64_t log__key_time_offset(const uint8_t *entry) { return (int64_t)load_be32(entry + 8); }

static const char *index_kind(const log_index_t *index)
{
    switch (index->entry_bytes) {
    case LOG_OFFSET_ENTRY_BYTES: return ".index";
    case LOG_TIME_ENTRY_BYTES: return ".timeindex";
    default: return ".txnindex";
    }
}

int log__index_open(log_segment_t *segment, log_index_t *index, int flags)
{
    if (index->open.file) {
        log__open_touch(&index->open);
        return 0;
    }
    char path[LOG_PATH_CHARS_MAX];
    log__segment_path(segment, index_kind(index), path);
    int err = log__open(segment->log, &index->open, path, IO_FILE_WRITE | flags);
    if (err) return err;
    if (!index->present && (flags & IO_FILE_CREATE)) segment->log->names_dirty = true;
    index->present = true;
    return 0;
}

static int index_read(log_index_t *index, uint32_t i, uint8_t *ret_entry)
{
    ssize_t n = io_file_read(index->open.file, (uint64_t)i * index->entry_bytes, ret_entry, index->entry_bytes);
    if (n < 0) return (int)n;
    return n == index->entry_bytes ? 0 : ERR_TRUNCATED;
}

/* The number of entries in front of the zeros: entries only grow, so a binary search finds the border. */
static int index_count_used(log_index_t *index, uint32_t total, uint32_t *ret_count)
{
    static const uint8_t zeros[LOG_ENTRY_BYTES_MAX];
    uint8_t entry[LOG_ENTRY_BYTES_MAX];
    uint32_t low = 0, high = total;
    if (total > 0) { /* the usual case: no padding */
        int err = index_read(index, total - 1, entry);
        if (err) return err;
        if (memcmp(entry, zeros, index->entry_bytes) != 0) low = total;
    }
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        int err = index_read(index, mid, entry);
        if (err) return err;
        if (memcmp(entry, zeros, index->entry_bytes) == 0)
            high = mid;
        else
            low = mid + 1;
    }
    *ret_count = low;
    return 0;
}

int log__index_load(log_segment_t *segment, log_index_t *index)
{
    if (index->loaded) return 0;
    int err = log__index_open(segment, index, 0);
    if (err) return err;
    uint64_t bytes;
    err = io_file_size(index->open.file, &bytes);
    if (err) return err;
    if (bytes % index->entry_bytes != 0 || bytes / index->entry_bytes > UINT32_MAX) return ERR_CORRUPT;
    uint32_t count;
    err = index_count_used(index, (uint32_t)(bytes / index->entry_bytes), &count);
    if (err) return err;
    if (count > 0 && index->entry_bytes == LOG_OFFSET_ENTRY_BYTES) {
        uint8_t last[LOG_OFFSET_ENTRY_BYTES];
        err = index_read(index, count - 1, last);
        if (err) return err;
        if (log__key_position(last) >= segment->bytes) return ERR_CORRUPT;
    }
    index->count = count;
    index->loaded = true;
    return 0;
}

uint32_t log__index_count(const log_index_t *index) { return index->count + index->pending_count; }

int log__index_get(log_segment_t *segment, log_index_t *index, uint32_t i, uint8_t *ret_entry)
{
    ASSERT(index->loaded && i < log__index_count(index));
    if (i >= index->count) {
        memcpy(ret_entry, index->pending + (size_t)(i - index->count) * index->entry_bytes, index->entry_bytes);
        return 0;
    }
    int err = log__index_open(segment, index, 0);
    return err ? err : index_read(index, i, ret_entry);
}

int log__index_get_some(log_segment_t *segment, log_index_t *index, uint32_t i, uint32_t max, uint8_t *out,
                        uint32_t *ret_count)
{
    ASSERT(index->loaded && i <= log__index_count(index));
    *ret_count = MIN(log__index_count(index) - i, max);
    uint32_t in_file = i < index->count ? MIN(index->count - i, *ret_count) : 0;
    size_t bytes = (size_t)in_file * index->entry_bytes;
    if (in_file > 0) {
        int err = log__index_open(segment, index, 0);
        if (err) return err;
        ssize_t n = io_file_read(index->open.file, (uint64_t)i * index->entry_bytes, out, bytes);
        if (n < 0) return (int)n;
        if ((size_t)n != bytes) return ERR_TRUNCATED;
    }
    if (*ret_count == in_file) return 0;
    const uint8_t *from = index->pending + (size_t)(i + in_file - index->count) * index->entry_bytes;
    memcpy(out + bytes, from, (size_t)(*ret_count - in_file) * index->entry_bytes);
    return 0;
}

/* The newest are in memory and asked first: readers are mostly near the end. */
int log__index_rank(log_segment_t *segment, log_index_t *index, log_index_key_t key_of, int64_t key, uint32_t *ret_rank)
{
    uint8_t entry[LOG_ENTRY_BYTES_MAX];
    uint32_t low = 0, high = log__index_count(index);
    if (index->pending_count > 0) {
        if (key_of(index->pending) <= key)
            low = index->count + 1;
        else
            high = index->count;
    }
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        int err = log__index_get(segment, index, mid, entry);
        if (err) return err;
        if (key_of(entry) <= key)
            low = mid + 1;
        else
            high = mid;
    }
    *ret_rank = low;
    return 0;
}

int log__index_floor(log_segment_t *segment, log_index_t *index, log_index_key_t key_of, int64_t key,
                     uint8_t *ret_entry)
{
    uint32_t rank;
    int err = log__index_rank(segment, index, key_of, key, &rank);
    if (err) return err;
    if (rank == 0) return ERR_NOT_FOUND;
    return log__index_get(segment, index, rank - 1, ret_entry);
}

void log__index_append(log_segment_t *segment, log_index_t *index, const uint8_t *entry)
{
    ASSERT(index->loaded);
    if (!index->pending) index->pending = mem_alloc((size_t)LOG_INDEX_PENDING_MAX * index->entry_bytes);
    /* Without room the newest takes the last one's place: who asks for the largest timestamp asks the last entry. */
    if (index->pending_count == LOG_INDEX_PENDING_MAX && log__index_flush(segment, index) != 0) index->pending_count--;
    memcpy(index->pending + (size_t)index->pending_count * index->entry_bytes, entry, index->entry_bytes);
    index->pending_count++;
}

int log__index_flush(log_segment_t *segment, log_index_t *index)
{
    if (index->pending_count == 0) return 0;
    int err = log__index_open(segment, index, IO_FILE_CREATE | (index->count == 0 ? IO_FILE_TRUNCATE : 0));
    if (err) return err;
    size_t bytes = (size_t)index->pending_count * index->entry_bytes;
    struct iovec iov = {index->pending, bytes};
    err = io_file_write(index->open.file, (uint64_t)index->count * index->entry_bytes, &iov, 1);
    if (err) return err; /* they stay in memory; a part that was written is written again */
    index->count += index->pending_count;
    index->pending_count = 0;
    index->dirty = true;
    return 0;
}

int log__index_cut(log_segment_t *segment, log_index_t *index, log_index_key_t key_of, int64_t key)
{
    uint32_t keep;
    int err = log__index_rank(segment, index, key_of, key - 1, &keep);
    if (err) return err;
    if (keep >= index->count) {
        index->pending_count = (uint8_t)(keep - index->count);
        return 0;
    }
    index->pending_count = 0;
    index->count = keep;
    err = log__index_open(segment, index, 0);
    return err ? err : io_file_truncate(index->open.file, (uint64_t)keep * index->entry_bytes);
}

int log__index_create(log_segment_t *segment, log_index_t *index)
{
    return log__index_open(segment, index, IO_FILE_CREATE | IO_FILE_TRUNCATE);
}

int log__index_reset(log_segment_t *segment, log_index_t *index)
{
    index->count = 0;
    index->pending_count = 0;
    index->loaded = true;
    int err = log__index_open(segment, index, 0);
    if (err == ERR_NOT_FOUND) return 0;
    if (err) return err;
    index->dirty = true;
    return io_file_truncate(index->open.file, 0);
}

void log__index_close(log_index_t *index)
{
    if (index->pending_count == 0) {
        mem_free(index->pending);
        index->pending = NULL;
    }
    if (index->open.pins == 0) log__open_close(&index->open);
}

/* epochs.c: which leader epoch wrote from which offset on, as kept in leader-epoch-checkpoint:
 *
 *   0                  version
 *   2                  entries
 *   0 0                epoch and first offset, both ascending
 *   3 1500
 *
 * The file is saved when a segment is sealed, after truncation and at close; what it lacks after a crash is
 * in the headers that recovery reads. A file that cannot be understood is taken for missing. */
#include "base/buf.h"
#include "log/log_internal.h"

#include <stdio.h>
#include <stdlib.h>

#define EPOCHS_FILE_BYTES_MAX MIB(2)

static void epochs_path(const log_t *log, char out[LOG_PATH_CHARS_MAX])
{
    int n = snprintf(out, LOG_PATH_CHARS_MAX, "%s/leader-epoch-checkpoint", log->dir);
    ASSERT(n > 0 && n < LOG_PATH_CHARS_MAX);
}

static void epochs_push(log_t *log, int32_t epoch, int64_t start_offset)
{
    if (log->epochs_count == log->epochs_cap) {
        log->epochs_cap = MAX(log->epochs_cap * 2, 2);
        log->epochs = mem_realloc(log->epochs, log->epochs_cap * sizeof(log_epoch_t));
    }
    log->epochs[log->epochs_count++] = (log_epoch_t){epoch, start_offset};
}

/* The file's text, NUL-terminated. Stops at the first line that does not ascend. */
static void epochs_parse(log_t *log, const char *text)
{
    char *end;
    long version = strtol(text, &end, 10);
    long count = end == text ? -1 : strtol(end, &end, 10);
    if (version != 0 || count < 0 || count > LOG_EPOCHS_MAX) return;
    for (long i = 0; i < count; i++) {
        char *at = end;
        long long epoch = strtoll(at, &end, 10);
        if (end == at) return;
        at = end;
        long long start = strtoll(at, &end, 10);
        if (end == at || epoch < 0 || epoch > INT32_MAX || start < 0) return;
        const log_epoch_t *last = log->epochs_count ? &log->epochs[log->epochs_count - 1] : NULL;
        if (last && (epoch <= last->epoch || start < last->start_offset)) return;
        epochs_push(log, (int32_t)epoch, start);
    }
}

int log__epochs_load(log_t *log)
{
    char path[LOG_PATH_CHARS_MAX];
    uint8_t *data;
    size_t bytes;
    epochs_path(log, path);
    int err = io_read_whole(log->loop, path, EPOCHS_FILE_BYTES_MAX, &data, &bytes);
    if (err == ERR_NOT_FOUND || err == ERR_LIMIT) return 0;
    if (err) return err;
    epochs_parse(log, (const char *)data);
    mem_free(data);
    return 0;
}

/* Not through the disk: whoever asks for this syncs all files together. */
static int write_unsynced(io_loop_t *loop, const char *path, bytes_t data)
{
    char temporary[LOG_PATH_CHARS_MAX];
    io_file_t *file;
    int n = snprintf(temporary, sizeof(temporary), "%s.tmp", path);
    if (n >= (int)sizeof(temporary)) return ERR_LIMIT;
    int err = io_file_open(loop, temporary, IO_FILE_WRITE | IO_FILE_CREATE | IO_FILE_TRUNCATE, &file);
    if (err) return err;
    struct iovec iov = {(void *)data.ptr, data.len};
    err = io_file_write(file, 0, &iov, 1);
    io_file_close(file);
    return err ? err : io_rename(loop, temporary, path);
}

/* The epoch of the first batch that ends at or above `offset`, and its first offset; -1 when there is none. */
static int epoch_of_batch(log_t *log, int64_t offset, int32_t *ret_epoch, int64_t *ret_base_offset)
{
    *ret_epoch = -1;
    *ret_base_offset = log->end_offset;
    for (uint32_t at = log__segment_at(log, offset); at < log->segments_count; at++) {
        batch_header_t batch;
        uint32_t position;
        int err = log__segment_seek(log->segments[at], MAX(offset, log->segments[at]->base_offset), &position, &batch);
        if (err == ERR_NOT_FOUND) continue;
        if (err == ERR_IO || err == ERR_NOMEM || err == ERR_FILES || err == ERR_ACCESS) return err;
        if (err) return 0; /* who reads there hears of it */
        *ret_epoch = batch.leader_epoch;
        *ret_base_offset = batch.base_offset;
        return 0;
    }
    return 0;
}

/* Each epoch that is noted begins with a batch of its own (which compaction may have taken). */
static int entry_fits(log_t *log, uint32_t i, bool *ret_fits)
{
    int32_t epoch;
    int64_t base, start = MAX(log->epochs[i].start_offset, log->start_offset);
    int64_t end = i + 1 < log->epochs_count ? log->epochs[i + 1].start_offset : log->end_offset;
    int err = epoch_of_batch(log, start, &epoch, &base);
    *ret_fits = base >= end || epoch < 0 || epoch == log->epochs[i].epoch;
    return err;
}

/* The first and the last batch, and each entry. */
static int epochs_fit(log_t *log, bool *ret_fit)
{
    int32_t epoch;
    int64_t base, end = log->end_offset;
    *ret_fit = true;
    for (int i = 0; i < 2; i++) {
        int64_t offset = i == 0 ? log->start_offset : end - 1;
        int err = end > log->start_offset ? epoch_of_batch(log, offset, &epoch, &base) : 0;
        if (err) return err;
        if (end > log->start_offset && epoch >= 0 && log_epoch_at(log, MAX(base, log->start_offset)) != epoch)
            *ret_fit = false;
    }
    for (uint32_t i = 0; *ret_fit && i < log->epochs_count; i++) {
        int err = entry_fits(log, i, ret_fit);
        if (err) return err;
    }
    return 0;
}

static void note_epoch(void *user, const batch_header_t *batch)
{
    log_t *log = user;
    if (batch->leader_epoch > log_epoch_latest(log)) log__epochs_note(log, batch->leader_epoch, batch->base_offset);
}

int log__epochs_check(log_t *log, bool *ret_rebuilt)
{
    bool fit;
    int err = epochs_fit(log, &fit);
    if (err || fit) return err;
    *ret_rebuilt = true;
    log->epochs_count = 0;
    log->epochs_dirty = true;
    return log_scan(log, log->start_offset, note_epoch, log);
}

int log__epochs_save(log_t *log, bool sync)
{
    char path[LOG_PATH_CHARS_MAX];
    buf_t text = BUF_INIT;
    epochs_path(log, path);
    buf_printf(&text, "0\n%u\n", log->epochs_count);
    for (uint32_t i = 0; i < log->epochs_count; i++) {
        buf_printf(&text, "%" PRId32 " %" PRId64 "\n", log->epochs[i].epoch, log->epochs[i].start_offset);
    }
    int err =
        sync ? io_replace_whole(log->loop, path, buf_bytes(&text)) : write_unsynced(log->loop, path, buf_bytes(&text));
    buf_deinit(&text);
    if (!err) log->epochs_dirty = false;
    return err;
}

void log__epochs_note(log_t *log, int32_t epoch, int64_t start_offset)
{
    ASSERT(epoch > log_epoch_latest(log));
    /* An epoch without a record gives its place to the next one. */
    while (log->epochs_count > 0 && log->epochs[log->epochs_count - 1].start_offset >= start_offset) {
        log->epochs_count--;
    }
    epochs_push(log, epoch, start_offset);
    log->epochs_dirty = true;
}

void log__epochs_cut_from(log_t *log, int64_t offset)
{
    while (log->epochs_count > 0 && log->epochs[log->epochs_count - 1].start_offset > offset) {
        log->epochs_count--;
        log->epochs_dirty = true;
    }
}

/* The epoch in which `offset` lies stays, and starts there. */
void log__epochs_cut_below(log_t *log, int64_t offset)
{
    uint32_t drop = 0;
    while (drop + 1 < log->epochs_count && log->epochs[drop + 1].start_offset <= offset) drop++;
    if (log->epochs_count == 0 || (drop == 0 && log->epochs[0].start_offset >= offset)) return;
    log->epochs_count -= drop;
    memmove(log->epochs, log->epochs + drop, log->epochs_count * sizeof(log_epoch_t));
    log->epochs[0].start_offset = MAX(log->epochs[0].start_offset, offset);
    log->epochs_dirty = true;
}

int32_t log_epoch_latest(const log_t *log) { return log->epochs_count ? log->epochs[log->epochs_count - 1].epoch : -1; }

void log_epoch_begin(log_t *log, int32_t epoch)
{
    if (epoch > log_epoch_latest(log)) log__epochs_note(log, epoch, log->end_offset);
}

void log_epoch_end(const log_t *log, int32_t epoch, int32_t *ret_epoch, int64_t *ret_end_offset)
{
    uint32_t i = log->epochs_count;
    while (i > 0 && log->epochs[i - 1].epoch > epoch) i--;
    if (i == 0) {
        *ret_epoch = -1;
        *ret_end_offset = -1;
        return;
    }
    *ret_epoch = log->epochs[i - 1].epoch;
    *ret_end_offset = i < log->epochs_count ? log->epochs[i].start_offset : log->end_offset;
}

int32_t log_epoch_at(const log_t *log, int64_t offset)
{
    for (uint32_t i = log->epochs_count; i > 0; i--) {
        if (log->epochs[i - 1].start_offset <= offset) return log->epochs[i - 1].epoch;
    }
    return -1;
}

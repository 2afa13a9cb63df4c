/* log.c: opening, appending, rolling. Everything that changes a log's end goes through here; finding is in
 * find.c, removal in retain.c, durability in commit.c.
 *
 * Invariants: segments[] is never empty and ascending; only the last one grows; end_offset is behind its last
 * batch; durable_offset <= end_offset. A write that fails is cut off before anything else happens, or the log
 * is failed. */
#include "log/log_internal.h"

#include <stdio.h>

const log_options_t log_options_default = {
    .segment_bytes_max = 1 << 30,
    .segment_age_ms_max = 7LL * 24 * 3600 * 1000,
    .index_interval_bytes = 4096,
    .index_bytes_max = 10 << 20,
    .flush_messages = INT64_MAX,
    .flush_ms = INT64_MAX,
    .retention_ms = -1,
    .retention_bytes = -1,
    .file_delete_delay_ms = 60000,
};

int64_t log_start_offset(const log_t *log) { return log->start_offset; }
int64_t log_end_offset(const log_t *log) { return log->end_offset; }
int64_t log_durable_offset(const log_t *log) { return log->durable_offset; }
int64_t log_active_base(const log_t *log) { return log__active(log)->base_offset; }
uint32_t log_segments_count(const log_t *log) { return log->segments_count; }
const char *log_dir(const log_t *log) { return log->dir; }

uint64_t log_bytes(const log_t *log)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < log->segments_count; i++) bytes += log->segments[i]->bytes;
    return bytes;
}

void log_set_options(log_t *log, const log_options_t *options) { log->options = *options; }

void log_on_roll(log_t *log, void (*rolled)(void *user, int64_t base_offset), void *user)
{
    log->rolled = rolled;
    log->rolled_user = user;
}

void log_on_rebuilt(log_t *log, void (*rebuilt)(void *user, int64_t base_offset), void *user)
{
    log->on_rebuilt = rebuilt;
    log->rebuilt_user = user;
}

int log_failed(const log_t *log) { return log->failed; }

void log_on_failure(log_t *log, void (*failed)(void *user, int err), void *user)
{
    log->on_failure = failed;
    log->failure_user = user;
}

bool log_flush_due(const log_t *log) { return log->end_offset - log->durable_offset >= log->options.flush_messages; }

void log__forget_hints(log_t *log) { memset(log->hints, 0, sizeof(log->hints)); }

static int make_dir(log_t *log)
{
    int err = io_mkdir_unsynced(log->loop, log->dir);
    if (err == ERR_EXISTS) return 0;
    log->parent_dirty = true; /* a thousand logs are made in one go: each is made durable with its first commit */
    return err == ERR_NOT_FOUND ? io_mkdir(log->loop, log->dir) : err;
}

int log_open(io_loop_t *loop, const char *dir, const log_options_t *options, const log_recovery_t *recovery,
             log_t **ret_log)
{
    log_report_t own, *report = recovery->report ? recovery->report : &own;
    log_t *log = mem_zalloc(sizeof(*log));
    *report = (log_report_t){.control_from = INT64_MAX};
    log->loop = loop;
    log->dir = mem_strdup(dir);
    log->options = *options;
    list_init(&log->removed);
    log__commit_init(log);
    /* Whoever made the names died before he could say whether they are durable. */
    log->names_dirty = log->parent_dirty = !recovery->clean;
    int err = make_dir(log);
    if (!err) err = log__epochs_load(log);
    if (!err) err = log__recover(log, recovery, report);
    if (err) goto out;
    *ret_log = log;
    return 0;
out:
    log->failed = err; /* close without writing */
    (void)!log_close(log);
    return err;
}

static void release_segment(log_segment_t *segment)
{
    log__segment_forget(segment);
    uint32_t syncs = segment->syncing + segment->offsets.syncing + segment->times.syncing;
    if (segment->aborted) syncs += segment->aborted->index.syncing;
    /* Only the sync holds it beside us: closing the file ends it, and its callback never comes. */
    if (syncs > 0 && segment->refs == 1 + syncs) segment->refs = 1;
    log__segment_unref(segment);
}

static void log_free(log_t *log)
{
    ASSERT(!log->rewrite);
    log__commit_deinit(log);
    for (uint32_t i = 0; i < log->segments_count; i++) release_segment(log->segments[i]);
    LIST_EACH(&log->removed, segment, log_segment_t, node) {
        list_remove(&segment->node);
        release_segment(segment);
    }
    mem_free(log->segments);
    mem_free(log->epochs);
    mem_free(log->dir);
    mem_free(log);
}

static void drop_removed(log_t *log)
{
    LIST_EACH(&log->removed, segment, log_segment_t, node) {
        if (segment->remove_ms != INT64_MIN) log__segment_drop_deleted(segment);
    }
}

/* A stop that left some of them unwritten would not be clean. */
static int flush_aborted(log_t *log)
{
    int err = 0;
    for (uint32_t i = 0; i < log->segments_count && !err; i++) err = log__aborted_flush(log->segments[i]);
    return err;
}

static int close_log(log_t *log, bool sync)
{
    int err = log->failed;
    if (!err) {
        log__segment_flush_indexes(log__active(log), true);
        log__segment_trim(log__active(log));
        err = flush_aborted(log);
        if (!err && sync) err = log__sync_now(log);
        if (!err && log->epochs_dirty) err = log__epochs_save(log, sync);
        drop_removed(log);
    }
    log_free(log);
    return err;
}

int log_close(log_t *log) { return close_log(log, true); }

int log_close_unsynced(log_t *log) { return close_log(log, false); }

int log_delete(log_t *log)
{
    uint8_t random[16];
    char gone[LOG_PATH_CHARS_MAX];
    io_loop_t *loop = log->loop;
    io_random(loop, random, sizeof(random));
    int n = snprintf(gone, sizeof(gone), "%s.%016" PRIx64 "%016" PRIx64 "-delete", log->dir, load_be64(random),
                     load_be64(random + 8));
    int err = n < (int)sizeof(gone) ? io_rename(loop, log->dir, gone) : ERR_LIMIT;
    log->failed = ERR_CLOSED;
    log_free(log);
    if (!err) io_remove_later(loop, gone);
    return err;
}

void log__push_segment(log_segment_t *segment)
{
    log_t *log = segment->log;
    if (log->segments_count == log->segments_cap) {
        log->segments_cap = MAX(log->segments_cap * 2, 2);
        log->segments = mem_realloc(log->segments, log->segments_cap * sizeof(log_segment_t *));
    }
    log->segments[log->segments_count++] = segment;
}

int log__add_segment(log_t *log, int64_t base_offset)
{
    ASSERT(base_offset >= 0);
    log_segment_t *segment = log__segment_new(log, base_offset);
    segment->offsets.loaded = segment->times.loaded = true;
    char path[LOG_PATH_CHARS_MAX];
    log__segment_path(segment, ".log", path);
    int err = log__open(log, &segment->open, path, IO_FILE_WRITE | IO_FILE_CREATE | IO_FILE_TRUNCATE);
    if (err) {
        log__segment_unref(segment);
        return err;
    }
    log->names_dirty = true;
    log__push_segment(segment);
    return 0;
}

static int roll(log_t *log)
{
    log_segment_t *full = log__active(log);
    if (full->bytes == 0 && full->base_offset == log->end_offset) return 0;
    if (log->rolled) log->rolled(log->rolled_user, log->end_offset);
    log__segment_flush_indexes(full, true);
    log__segment_trim(full);
    int err = log__add_segment(log, log->end_offset);
    if (err) return err;
    /* The epochs of sealed segments are not read back from them by recovery. */
    if (log->epochs_dirty) err = log__epochs_save(log, true);
    return err;
}

int log_roll_aged(log_t *log)
{
    const log_segment_t *active = log__active(log);
    if (log->failed) return ERR_STATE;
    if (active->bytes == 0 || io_wall_ms(log->loop) - active->created_ms <= log->options.segment_age_ms_max) return 0;
    return roll(log);
}

static bool roll_due(log_t *log, size_t bytes, const batch_header_t *batch, int64_t last_offset)
{
    const log_options_t *o = &log->options;
    log_segment_t *active = log__active(log);
    if (active->bytes == 0) return last_offset - active->base_offset > INT32_MAX;
    uint64_t bytes_max = MIN(o->segment_bytes_max, (uint64_t)LOG_SEGMENT_BYTES_LIMIT);
    if (active->bytes + bytes > bytes_max) return true;
    int64_t waited_ms = active->first_timestamp >= 0 ? batch->max_timestamp - active->first_timestamp
                                                     : io_wall_ms(log->loop) - active->created_ms;
    if (waited_ms > o->segment_age_ms_max) return true;
    if (log__index_count(&active->offsets) >= o->index_bytes_max / LOG_OFFSET_ENTRY_BYTES) return true;
    /* One place is kept for the entry that seals the segment. */
    if (log__index_count(&active->times) + 1 >= o->index_bytes_max / LOG_TIME_ENTRY_BYTES) return true;
    return last_offset - active->base_offset > INT32_MAX;
}

/* Writes a batch whose header is `b` (final offsets) to the end of the log. */
static int append_bytes(log_t *log, const uint8_t *batch, size_t bytes, const batch_header_t *b)
{
    int64_t last_offset = batch_last_offset(b);
    if (bytes > MIN(log->options.segment_bytes_max, (uint64_t)LOG_SEGMENT_BYTES_LIMIT)) return ERR_LIMIT;
    if (roll_due(log, bytes, b, last_offset)) {
        int err = roll(log);
        if (err) return err;
    }
    log_segment_t *active = log__active(log);
    io_file_t *file;
    int err = log__segment_file(active, true, &file);
    if (err) return err;
    log__segment_reach(active, file, (uint64_t)active->bytes + bytes);
    struct iovec iov = {(void *)batch, bytes};
    err = io_file_write(file, active->bytes, &iov, 1);
    if (err) {
        /* What was written of it must not be followed by anything: recovery would cut there. */
        if (io_file_truncate(file, active->bytes) != 0) log__fail(log, err);
        active->file_bytes = 0;
        return err;
    }
    if (active->bytes == 0) active->created_ms = io_wall_ms(log->loop);
    log__segment_note(active, b, active->bytes);
    active->bytes += (uint32_t)bytes;
    if (b->leader_epoch > log_epoch_latest(log)) log__epochs_note(log, b->leader_epoch, b->base_offset);
    log->end_offset = last_offset + 1;
    log__commit_appended(log);
    return 0;
}

int log_append(log_t *log, uint8_t *batch, size_t bytes, int32_t leader_epoch, int64_t *ret_base_offset)
{
    batch_header_t b;
    if (log->failed) return ERR_STATE;
    int err = batch_header_read(bytes_of(batch, bytes), &b);
    if (err) return err;
    if (batch_bytes(&b) != bytes || b.last_offset_delta > INT64_MAX - 1 - log->end_offset) return ERR_INVALID;
    b.base_offset = log->end_offset;
    b.leader_epoch = leader_epoch;
    batch_set_place(batch, b.base_offset, leader_epoch);
    err = append_bytes(log, batch, bytes, &b);
    if (err) return err;
    *ret_base_offset = b.base_offset;
    return 0;
}

int log_append_at(log_t *log, const uint8_t *batch, size_t bytes)
{
    batch_header_t b;
    if (log->failed) return ERR_STATE;
    int err = batch_header_read(bytes_of(batch, bytes), &b);
    if (err) return err;
    if (batch_bytes(&b) != bytes || b.base_offset < log->end_offset) return ERR_INVALID;
    return append_bytes(log, batch, bytes, &b);
}

/* retain.c: what leaves a log: old segments by retention or a moved start, a tail by truncation, idle
 * descriptors. A segment that leaves at the front keeps its files as .deleted for a while; one that leaves at
 * the end goes at once, because its name may be needed again. Readers keep what they hold in both cases. */
#include "log/log_internal.h"

static void forget_pending(log_segment_t *segment)
{
    segment->suffix = ".deleted";
    segment->offsets.pending_count = segment->times.pending_count = 0;
    if (segment->aborted) segment->aborted->index.pending_count = 0;
}

void log__let_go(log_segment_t *segment, int64_t remove_ms)
{
    forget_pending(segment);
    segment->remove_ms = remove_ms;
    list_push_back(&segment->log->removed, &segment->node);
    log__segment_close_files(segment);
}

int log__remove_first(log_t *log, uint32_t count)
{
    ASSERT(count < log->segments_count);
    uint32_t done = 0;
    int err = 0;
    log__forget_hints(log);
    log__rewrite_spoil(log, log->segments[count]->base_offset);
    while (done < count && !err) {
        log_segment_t *segment = log->segments[done];
        err = log__segment_rename(segment, ".deleted");
        if (err) break;
        log__let_go(segment, io_wall_ms(log->loop) + log->options.file_delete_delay_ms);
        done++;
    }
    log->segments_count -= done;
    memmove(log->segments, log->segments + done, log->segments_count * sizeof(log_segment_t *));
    return err;
}

/* Returns when it is durable: a segment that came back after a power loss would follow what was appended
 * since. */
int log__remove_after(log_t *log, uint32_t keep)
{
    log__forget_hints(log);
    log__rewrite_spoil(log, INT64_MAX);
    if (log->segments_count <= keep) return 0;
    while (log->segments_count > keep) {
        log_segment_t *segment = log__active(log);
        int err = log__segment_remove_files(segment);
        if (err) return err;
        log->segments_count--;
        log->names_dirty = true;
        if (segment->refs == 1) {
            forget_pending(segment);
            log__segment_unref(segment);
        } else {
            log__let_go(segment, INT64_MIN); /* no files left: only the references keep it */
        }
    }
    return io_sync_dir(log->loop, log->dir);
}

static void drop_due(log_t *log, int64_t wall_ms)
{
    LIST_EACH(&log->removed, segment, log_segment_t, node) {
        if (segment->remove_ms > wall_ms) continue;
        if (segment->remove_ms != INT64_MIN) log__segment_drop_deleted(segment);
        segment->remove_ms = INT64_MIN;
        if (segment->refs > 1) continue;
        list_remove(&segment->node);
        log__segment_unref(segment);
    }
}

/* How many segments at the front may go, by time then by size. The active one may, when it has something. */
static int count_expired(log_t *log, int64_t wall_ms, int64_t offset_limit, uint32_t *ret_count)
{
    const log_options_t *o = &log->options;
    uint64_t bytes = log_bytes(log);
    uint32_t n = 0;
    for (; n < log->segments_count; n++) {
        log_segment_t *segment = log->segments[n];
        bool sealed = n + 1 < log->segments_count; /* and empty: compaction left nothing in it */
        if ((segment->bytes == 0 && !sealed) || log__segment_end(segment, n) > offset_limit) break;
        int err = log__segment_load_times(segment);
        if (err) return err;
        int64_t newest_ms = segment->max_timestamp >= 0 ? segment->max_timestamp : segment->created_ms;
        bool old = o->retention_ms >= 0 && wall_ms - newest_ms > o->retention_ms;
        bool over = o->retention_bytes >= 0 && bytes - segment->bytes >= (uint64_t)o->retention_bytes;
        bool below = log__segment_end(segment, n) <= log->start_offset;
        if (!old && !over && !below) break;
        bytes -= segment->bytes;
    }
    *ret_count = n;
    return 0;
}

static void close_idle_files(log_t *log)
{
    for (uint32_t i = 0; i < log->segments_count; i++) {
        log_segment_t *segment = log->segments[i];
        if (!segment->touched) {
            bool pending = segment->offsets.pending_count + segment->times.pending_count > 0;
            if (pending || log__aborted_unsynced(segment)) log__segment_flush_indexes(segment, false);
            log__segment_close_files(segment);
        }
        segment->touched = false;
    }
}

/* Moves the start, with the segments that lie wholly below it. The active segment is never among them. */
static int move_start(log_t *log, int64_t offset)
{
    uint32_t n = 0;
    while (n + 1 < log->segments_count && log->segments[n + 1]->base_offset <= offset) n++;
    int err = n > 0 ? log__remove_first(log, n) : 0;
    if (err) return err;
    log->start_offset = offset;
    log->durable_offset = MAX(log->durable_offset, MIN(offset, log->end_offset));
    log__epochs_cut_below(log, offset);
    return 0;
}

int log_advance_start(log_t *log, int64_t offset)
{
    if (offset > log->end_offset) return ERR_OUT_OF_RANGE;
    return offset <= log->start_offset ? 0 : move_start(log, offset);
}

int log_maintain(log_t *log, int64_t wall_ms, int64_t offset_limit, uint32_t *ret_deleted)
{
    uint32_t expired = 0, before = log->segments_count;
    int err = count_expired(log, wall_ms, offset_limit, &expired);
    if (!err && expired == log->segments_count && expired > 0) {
        if (log->rolled) log->rolled(log->rolled_user, log->end_offset);
        err = log__add_segment(log, log->end_offset);
        before++;
    }
    if (!err && expired > 0) err = move_start(log, MAX(log->start_offset, log->segments[expired]->base_offset));
    drop_due(log, wall_ms);
    close_idle_files(log);
    *ret_deleted = before - log->segments_count;
    return err;
}

/* Cuts the active segment's tail from the batch that reaches `offset` on. */
static int cut_active(log_t *log, int64_t offset)
{
    log_segment_t *segment = log__active(log);
    batch_header_t batch;
    io_file_t *file;
    uint32_t position;
    int err = log__segment_load_times(segment);
    if (!err) err = log__segment_file(segment, false, &file);
    if (!err) err = log__segment_seek(segment, offset, &position, &batch);
    if (err == ERR_NOT_FOUND) return 0; /* `offset` is behind the last batch, or in the gap there */
    if (err) return err;
    err = io_file_truncate(file, position);
    if (!err) err = io_file_sync_now(file); /* for the same reason as in log__remove_after */
    if (err) return err;
    segment->bytes = position;
    segment->file_bytes = 0;
    segment->bytes_durable = MIN(segment->bytes_durable, position);
    segment->bytes_syncing = MIN(segment->bytes_syncing, position);
    log->end_offset = batch.base_offset;
    err = log__aborted_cut(segment, log->end_offset);
    if (err) return err;
    return log__rebuild_indexes(segment); /* rare, and also finds the largest timestamp that is left */
}

/* The end went back: what comes next is not in the sync under way, and nobody waits for what is gone. */
static void clamp_commits(log_t *log)
{
    log->durable_offset = MIN(log->durable_offset, log->end_offset);
    log->round_offset = MIN(log->round_offset, log->end_offset);
    LIST_EACH(&log->waiters, commit, log_commit_t, node) commit->offset = MIN(commit->offset, log->end_offset);
}

int log_truncate_to(log_t *log, int64_t offset)
{
    if (log->failed) return ERR_STATE;
    if (offset >= log->end_offset) return 0;
    if (offset <= log->start_offset) return log_truncate_all(log, MAX(offset, 0));
    uint32_t keep = log->segments_count;
    while (keep > 1 && log->segments[keep - 1]->base_offset >= offset) keep--;
    int err = log__remove_after(log, keep);
    if (err) return err;
    log__forget_hints(log);
    log->end_offset = offset;
    err = cut_active(log, offset);
    if (err) return err;
    clamp_commits(log);
    log__epochs_cut_from(log, log->end_offset);
    return log->epochs_dirty ? log__epochs_save(log, true) : 0;
}

int log_truncate_all(log_t *log, int64_t new_start)
{
    ASSERT(new_start >= 0);
    if (log->failed) return ERR_STATE;
    int err = log__remove_after(log, 0);
    if (!err) err = log__add_segment(log, new_start);
    if (err) {
        log__fail(log, err);
        if (log->segments_count == 0) log__push_segment(log__segment_new(log, new_start)); /* there is always one */
        return err;
    }
    log->start_offset = log->end_offset = log->durable_offset = log->round_offset = new_start;
    clamp_commits(log);
    log->epochs_count = 0;
    return log__epochs_save(log, true);
}

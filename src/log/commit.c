/* commit.c: group commit. Who wants stable storage waits in a list; one round of file syncs is under way at
 * most, and all who come during it share the next one.
 *
 *   idle ──log_commit──> soon ──timer(0)──> round (a sync a dirty file) ──last done──> idle, or soon
 *
 * A sync that fails has lost pages that the kernel will not write again: the log is failed for good, and
 * every waiter, now and later, is told so. A sync that could not begin, because no descriptor was to be had, has lost
 * nothing: the round is tried again. */
#include "log/log_internal.h"

#define ROUND_SEGMENTS_MAX 16 /* of which each may need four descriptors */
#define ROUND_RETRY_MS     20

static void commit_run(io_timer_t *timer);
static void flush_run(io_timer_t *timer);
static void fail_run(io_timer_t *timer);

void log__commit_init(log_t *log)
{
    list_init(&log->waiters);
    io_timer_init(log->loop, &log->commit_timer, commit_run);
    io_timer_init(log->loop, &log->flush_timer, flush_run);
    io_timer_init(log->loop, &log->fail_timer, fail_run);
}

static void commit_soon(log_t *log)
{
    if (log->commit_soon || log->syncs > 0) return;
    log->commit_soon = true;
    io_timer_start(&log->commit_timer, 0, 0);
}

void log_commit(log_t *log, log_commit_t *commit, void (*done)(log_commit_t *commit, int err))
{
    commit->done = done;
    commit->offset = log->end_offset;
    list_push_back(&log->waiters, &commit->node);
    commit_soon(log);
}

/* Callbacks may commit again or append: the list is taken off first. They may not close the log. */
static void complete(log_t *log)
{
    list_t ready;
    list_init(&ready);
    LIST_EACH(&log->waiters, commit, log_commit_t, node) {
        if (!log->failed && commit->offset > log->durable_offset) break;
        list_remove(&commit->node);
        list_push_back(&ready, &commit->node);
    }
    int err = log->failed;
    while (!list_empty(&ready)) {
        log_commit_t *commit = LIST_FIRST(&ready, log_commit_t, node);
        list_remove(&commit->node);
        commit->done(commit, err);
    }
}

static void retry_later(log_t *log)
{
    log->commit_soon = true;
    io_timer_start(&log->commit_timer, ROUND_RETRY_MS, 0);
}

static void round_end(log_t *log)
{
    if (log->round_err == ERR_FILES) {
        retry_later(log);
        return;
    }
    if (log->round_err)
        log__fail(log, log->round_err);
    else
        log->durable_offset = MAX(log->durable_offset, MIN(log->round_offset, log->end_offset));
    complete(log);
    if (!list_empty(&log->waiters))
        commit_soon(log);
    else if (!log->failed && log->durable_offset < log->end_offset)
        log__commit_appended(log);
}

static void round_part_done(log_segment_t *segment, int err)
{
    log_t *log = segment->log;
    log__segment_unref(segment);
    if (!log) return;
    if (err && (!log->round_err || log->round_err == ERR_FILES)) log->round_err = err;
    if (--log->syncs == 0) round_end(log);
}

static void segment_synced(io_sync_t *sync, int err)
{
    log_segment_t *segment = CONTAINER_OF(sync, log_segment_t, sync);
    segment->syncing = false;
    log__open_unpin(&segment->open);
    if (!err) segment->bytes_durable = MIN(segment->bytes_syncing, segment->bytes);
    round_part_done(segment, err);
}

static void offsets_synced(io_sync_t *sync, int err)
{
    log_segment_t *segment = CONTAINER_OF(sync, log_segment_t, offsets.sync);
    segment->offsets.syncing = false;
    log__open_unpin(&segment->offsets.open);
    round_part_done(segment, err);
}

static void times_synced(io_sync_t *sync, int err)
{
    log_segment_t *segment = CONTAINER_OF(sync, log_segment_t, times.sync);
    segment->times.syncing = false;
    log__open_unpin(&segment->times.open);
    round_part_done(segment, err);
}

static void aborted_synced(io_sync_t *sync, int err)
{
    log_aborted_index_t *aborted = CONTAINER_OF(sync, log_aborted_index_t, index.sync);
    aborted->index.syncing = false;
    log__open_unpin(&aborted->index.open);
    round_part_done(aborted->segment, err);
}

static int sync_index(log_segment_t *segment, log_index_t *index, void (*done)(io_sync_t *, int))
{
    (void)!log__index_flush(segment, index); /* there was no room for it before; without some it stays in memory */
    if (!index->dirty) return 0;
    int err = log__index_open(segment, index, 0);
    if (err) return err;
    index->dirty = false;
    index->syncing = true;
    segment->refs++;
    segment->log->syncs++;
    log__open_pin(&index->open);
    io_file_sync(index->open.file, &index->sync, done);
    return 0;
}

static int sync_segment(log_segment_t *segment, bool sealed)
{
    io_file_t *file;
    if (!log__files_for_sync(segment->log->options.files)) return ERR_FILES;
    int err = log__segment_file(segment, false, &file);
    if (err) return err;
    segment->syncing = true;
    segment->bytes_syncing = segment->bytes;
    segment->refs++;
    segment->log->syncs++;
    log__open_pin(&segment->open);
    io_file_sync(file, &segment->sync, segment_synced);
    /* A sealed segment's time index says when it expires, and recovery does not look into it: it must last
     * too. The active one's are made anew. */
    if (!sealed) return 0;
    err = sync_index(segment, &segment->offsets, offsets_synced);
    if (!err) err = sync_index(segment, &segment->times, times_synced);
    if (!err) err = log__aborted_flush(segment);
    if (!err && segment->aborted) err = sync_index(segment, &segment->aborted->index, aborted_synced);
    return err;
}

/* New names (a segment, the log's own directory) must be durable before what is in the files counts. */
static int sync_names(log_t *log)
{
    if (log->names_dirty) {
        int err = io_sync_dir(log->loop, log->dir);
        if (err) return err;
        log->names_dirty = false;
    }
    if (log->parent_dirty) {
        char *parent = mem_strdup(log->dir);
        char *slash = strrchr(parent, '/');
        if (slash) *slash = 0;
        int err = io_sync_dir(log->loop, !slash ? "." : slash == parent ? "/" : parent);
        mem_free(parent);
        if (err) return err;
        log->parent_dirty = false;
    }
    return 0;
}

/* The indexes of a sealed segment count as durable with the offsets behind it: recovery does not look into it
 * then. */
static bool segment_is_durable(const log_t *log, uint32_t at)
{
    const log_segment_t *segment = log->segments[at];
    bool sealed = at + 1 < log->segments_count;
    if (segment->bytes_durable < segment->bytes) return false;
    return !sealed || !(log__index_unsynced(&segment->offsets) || log__index_unsynced(&segment->times) ||
                        log__aborted_unsynced(segment));
}

/* Starts the round's syncs; log->syncs counts one more than are under way. What many small segments leave over is the
 * next round's. */
static void round_begin(log_t *log)
{
    log->round_err = sync_names(log);
    log->syncs = 1; /* ours, so that the round cannot end while it is being put together */
    /* The active one goes along whatever it holds: empty, it must not hide that the one before it is dirty.
     */
    uint32_t first = log->segments_count - 1;
    while (first > 0 && !segment_is_durable(log, first - 1)) first--;
    uint32_t end = MIN(first + ROUND_SEGMENTS_MAX, log->segments_count);
    log->round_offset = log__segment_end(log->segments[end - 1], end - 1);
    for (uint32_t i = first; !log->round_err && i < end; i++) {
        log->round_err = sync_segment(log->segments[i], i + 1 < log->segments_count);
    }
}

static void round_start(log_t *log)
{
    round_begin(log);
    if (--log->syncs == 0) round_end(log);
}

void log_commit_now(log_t *log, log_commit_t *commit, void (*done)(log_commit_t *commit, int err))
{
    bool idle = !log->commit_soon && log->syncs == 0 && !log->failed && log->end_offset > log->durable_offset;
    if (!idle) {
        log_commit(log, commit, done);
        return;
    }
    commit->done = done;
    commit->offset = log->end_offset;
    list_push_back(&log->waiters, &commit->node);
    round_begin(log);
    if (--log->syncs > 0) return;
    /* Not one sync could be started; who waits hears of it in the next turn. */
    if (log->round_err == ERR_FILES) {
        retry_later(log);
        return;
    }
    log__fail(log, log->round_err);
    commit_soon(log);
}

void log__fail(log_t *log, int err)
{
    if (log->failed) return;
    log->failed = err;
    io_timer_start(&log->fail_timer, 0, 0);
}

static void fail_run(io_timer_t *timer)
{
    log_t *log = CONTAINER_OF(timer, log_t, fail_timer);
    complete(log); /* who waits hears of it first */
    if (log->on_failure) log->on_failure(log->failure_user, log->failed);
}

static void commit_run(io_timer_t *timer)
{
    log_t *log = CONTAINER_OF(timer, log_t, commit_timer);
    log->commit_soon = false;
    if (log->syncs > 0) return; /* flush.ms began a round meanwhile; its end looks after the waiters */
    complete(log);
    bool again = !log->failed && log->round_err == ERR_FILES;
    if (!list_empty(&log->waiters) || again) round_start(log);
}

/* flush.ms is over: whoever waits or not, the end becomes durable. */
static void flush_run(io_timer_t *timer)
{
    log_t *log = CONTAINER_OF(timer, log_t, flush_timer);
    if (log->failed) return;
    if (log->syncs > 0)
        log__commit_appended(log); /* the round under way may not cover all: ask again later */
    else if (log->durable_offset < log->end_offset)
        round_start(log);
}

void log__commit_appended(log_t *log)
{
    int64_t flush_ms = log->options.flush_ms;
    if (flush_ms == INT64_MAX || log->flush_timer.due_ns != 0) return;
    io_timer_start(&log->flush_timer, (uint64_t)MAX(flush_ms, 0), 0);
}

static int sync_segment_now(log_segment_t *segment, bool sealed)
{
    io_file_t *file;
    int err = 0;
    if (segment->bytes_durable < segment->bytes) {
        err = log__segment_file(segment, false, &file);
        if (!err) err = io_file_sync_now(file);
        if (!err) segment->bytes_durable = segment->bytes;
    }
    log_index_t *indexes[] = {&segment->offsets, &segment->times, segment->aborted ? &segment->aborted->index : NULL};
    for (size_t i = 0; sealed && !err && i < ARRAY_LEN(indexes); i++) {
        if (!indexes[i] || !indexes[i]->dirty) continue;
        err = log__index_open(segment, indexes[i], 0);
        if (!err) err = io_file_sync_now(indexes[i]->open.file);
        if (!err) indexes[i]->dirty = false;
    }
    return err;
}

int log__sync_now(log_t *log)
{
    int err = sync_names(log);
    for (uint32_t i = 0; !err && i < log->segments_count; i++) {
        err = sync_segment_now(log->segments[i], i + 1 < log->segments_count);
    }
    if (err)
        log__fail(log, err);
    else
        log->durable_offset = log->end_offset;
    return err;
}

void log__commit_deinit(log_t *log)
{
    io_timer_stop(&log->commit_timer);
    io_timer_stop(&log->flush_timer);
    io_timer_stop(&log->fail_timer);
    if (!log->failed) log->failed = ERR_CLOSED; /* what log_close made durable is below durable_offset */
    LIST_EACH(&log->waiters, commit, log_commit_t, node) {
        list_remove(&commit->node);
        commit->done(commit, commit->offset <= log->durable_offset ? 0 : log->failed);
    }
}

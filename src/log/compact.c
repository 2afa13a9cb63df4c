/* compact.c: one segment in the place of several neighbours. Who compacts decides what it holds; here is how it gets
 * there without a moment at which a crash could lose something:
 *
 *   written     NNN.log.cleaned, .index.cleaned, .timeindex.cleaned, maybe .txnindex.cleaned; the old segments serve on
 *   synced      all of them, off the loop
 *   .swap       from here on recovery goes forward (recover_names.c)
 *   .deleted    the old segments' files, which linger for a while
 *   NNN.log     the new one serves; the directory is synced
 *
 * The last three are one step of the loop, so nobody sees the log in between. Readers that hold a slice of an old segment
 * keep its file. A failure before .swap leaves the log as it was; one behind it fails the log, and the next open goes
 * on from there. */
#include "log/log_internal.h"

#define REWRITE_SEGMENTS_MAX 64 /* at once: their names change in one step of the loop */

typedef struct rewrite_sync {
    io_sync_t sync;
    log_rewrite_t *rewrite;
    log_open_t *open; /* pinned */
} rewrite_sync_t;

struct log_rewrite {
    log_t *log;
    log_segment_t *into;
    log_segment_t **from; /* referenced */
    uint32_t from_count;
    int64_t next_offset; /* batches come in order */
    int64_t end_offset;  /* behind the last of `from` */
    bool spoiled;
    int err; /* of a sync */
    uint32_t syncs_left;
    rewrite_sync_t syncs[4];
    void (*done)(void *user, int err);
    void *user;
};

log_segment_info_t log_segment_info(const log_t *log, uint32_t index)
{
    ASSERT(index < log->segments_count);
    const log_segment_t *segment = log->segments[index];
    return (log_segment_info_t){segment->base_offset, log__segment_end(segment, index), segment->bytes};
}

int log_segment_times(log_t *log, uint32_t index, int64_t *ret_first_ms, int64_t *ret_max_ms)
{
    ASSERT(index < log->segments_count);
    log_segment_t *segment = log->segments[index];
    int err = log__segment_load_times(segment);
    if (!err) err = log__segment_load_first_time(segment);
    if (err) return err;
    *ret_first_ms = segment->first_timestamp;
    *ret_max_ms = segment->max_timestamp >= 0 ? segment->max_timestamp : segment->created_ms;
    return 0;
}

/* ---- which segments become one --------------------------------------------------------------------------------------- */

/* Neighbours go together as long as the sum of their sizes now would fit one segment. */
static uint32_t count_group(const log_t *log, uint32_t first, int64_t end)
{
    uint64_t bytes_max = MIN(log->options.segment_bytes_max, (uint64_t)LOG_SEGMENT_BYTES_LIMIT), bytes = 0;
    uint32_t at = first;
    for (; at + 1 < log->segments_count && log->segments[at]->base_offset < end; at++) {
        const log_segment_t *segment = log->segments[at];
        bool fits = bytes + segment->bytes <= bytes_max && at - first < REWRITE_SEGMENTS_MAX &&
                    log__segment_end(segment, at) - 1 - log->segments[first]->base_offset <= INT32_MAX;
        if (at > first && !fits) break;
        bytes += segment->bytes;
    }
    return at - first;
}

static log_segment_t *new_segment(log_t *log, int64_t base_offset)
{
    log_segment_t *segment = log__segment_new(log, base_offset);
    segment->suffix = ".cleaned";
    segment->offsets.loaded = segment->times.loaded = true;
    return segment;
}

static int create_file(log_segment_t *segment)
{
    char path[LOG_PATH_CHARS_MAX];
    log__segment_path(segment, ".log", path);
    int flags = IO_FILE_WRITE | IO_FILE_CREATE | IO_FILE_TRUNCATE;
    return log__open(segment->log, &segment->open, path, flags);
}

int log_rewrite_begin(log_t *log, int64_t from, int64_t end, log_rewrite_t **ret_rewrite)
{
    if (log->failed || log->rewrite) return ERR_STATE;
    /* What takes the place of a record must not be lost by a power failure that the record would have survived. */
    if (end > log->durable_offset) return ERR_AGAIN;
    uint32_t first = log__segment_at(log, from), count = count_group(log, first, end);
    *ret_rewrite = NULL;
    if (count == 0) return 0;
    log_rewrite_t *r = mem_zalloc(sizeof(*r));
    r->log = log;
    r->into = new_segment(log, log->segments[first]->base_offset);
    r->from = mem_alloc(count * sizeof(log_segment_t *));
    r->from_count = count;
    for (uint32_t i = 0; i < count; i++) {
        r->from[i] = log->segments[first + i];
        r->from[i]->refs++;
    }
    r->next_offset = r->into->base_offset;
    r->end_offset = log__segment_end(r->from[count - 1], first + count - 1);
    log->rewrite = r;
    int err = create_file(r->into);
    if (err) {
        log_rewrite_abort(r);
        return err;
    }
    *ret_rewrite = r;
    return 0;
}

int64_t log_rewrite_base(const log_rewrite_t *rewrite) { return rewrite->into->base_offset; }
int64_t log_rewrite_end(const log_rewrite_t *rewrite) { return rewrite->end_offset; }

/* ---- writing --------------------------------------------------------------------------------------------------------- */

int log_rewrite_add(log_rewrite_t *rewrite, bytes_t batches)
{
    log_segment_t *into = rewrite->into;
    if (rewrite->spoiled) return ERR_STATE;
    if (batches.len > LOG_SEGMENT_BYTES_LIMIT - into->bytes) return ERR_LIMIT;
    if (batches.len == 0) return 0;
    struct iovec iov = {(void *)batches.ptr, batches.len};
    io_file_t *file;
    int err = log__segment_file(into, false, &file);
    if (!err) err = io_file_write(file, into->bytes, &iov, 1);
    while (!err && batches.len > 0) {
        batch_header_t batch;
        err = batch_header_read(batches, &batch);
        if (!err && (batch.base_offset < rewrite->next_offset || batch_last_offset(&batch) >= rewrite->end_offset ||
                     batch_bytes(&batch) > batches.len))
            err = ERR_INVALID;
        if (err) break;
        log__segment_note(into, &batch, into->bytes);
        into->bytes += (uint32_t)batch_bytes(&batch);
        rewrite->next_offset = batch_last_offset(&batch) + 1;
        batches = bytes_of(batches.ptr + batch_bytes(&batch), batches.len - batch_bytes(&batch));
    }
    return err;
}

int log_rewrite_add_aborted(log_rewrite_t *rewrite, const log_aborted_t *aborted)
{
    if (rewrite->spoiled) return ERR_STATE;
    ASSERT(aborted->last_offset >= rewrite->into->base_offset && aborted->last_offset < rewrite->end_offset);
    return log__aborted_put(rewrite->into, aborted);
}

static int finish_index(log_segment_t *segment, log_index_t *index)
{
    int err = log__index_flush(segment, index);
    if (!err) err = index->present ? log__index_open(segment, index, 0) : log__index_create(segment, index);
    if (!err) log__open_pin(&index->open);
    return err;
}

/* All files, open and pinned: they stay so until they are synced. */
static int finish_files(log_segment_t *segment)
{
    log_index_t *indexes[] = {&segment->offsets, &segment->times, segment->aborted ? &segment->aborted->index : NULL};
    io_file_t *file;
    size_t done = 0;
    log__segment_seal_times(segment);
    int err = log__segment_file(segment, false, &file);
    if (err) return err;
    log__open_pin(&segment->open);
    for (; done < ARRAY_LEN(indexes) && indexes[done]; done++) {
        err = finish_index(segment, indexes[done]);
        if (err) break;
    }
    if (!err) return 0;
    while (done > 0) log__open_unpin(&indexes[--done]->open);
    log__open_unpin(&segment->open);
    return err;
}

/* ---- taking over ----------------------------------------------------------------------------------------------------- */

/* Where the old segments stand now: retention may have taken some in front of them. */
static uint32_t place_of(const log_rewrite_t *r)
{
    uint32_t at = log__segment_at(r->log, r->into->base_offset);
    ASSERT(at + r->from_count < r->log->segments_count);
    for (uint32_t i = 0; i < r->from_count; i++) ASSERT(r->log->segments[at + i] == r->from[i]);
    return at;
}

static int remove_files(log_segment_t *segment, const char *suffix)
{
    segment->suffix = suffix;
    return log__segment_remove_files(segment);
}

static int swap_names(log_rewrite_t *r)
{
    log_t *log = r->log;
    int err = log__segment_rename(r->into, ".swap");
    if (err) {
        /* One that is left with this name would replace, at some later open, what the log holds by then. */
        if (remove_files(r->into, ".swap") != 0) log__fail(log, err);
        return err;
    }
    for (uint32_t i = 0; !err && i < r->from_count; i++) err = log__segment_rename(r->from[i], ".deleted");
    if (!err) err = log__segment_rename(r->into, "");
    if (err) log__fail(log, err);
    return err;
}

static void swap_segments(log_rewrite_t *r, uint32_t at)
{
    log_t *log = r->log;
    log_segment_t *into = r->into;
    into->created_ms = r->from[r->from_count - 1]->created_ms;
    into->bytes_durable = into->bytes;
    into->offsets.dirty = into->times.dirty = false;
    if (into->aborted) into->aborted->index.dirty = false;
    into->touched = true;
    into->refs++; /* the log's, beside ours */
    int64_t remove_ms = io_wall_ms(log->loop) + log->options.file_delete_delay_ms;
    uint32_t count = r->from_count, behind = at + count;
    for (; r->from_count > 0; r->from_count--) {
        log_segment_t *old = r->from[r->from_count - 1];
        log__segment_unref(old);
        log__let_go(old, remove_ms);
    }
    log->segments[at] = into;
    memmove(log->segments + at + 1, log->segments + behind, (log->segments_count - behind) * sizeof(log_segment_t *));
    log->segments_count -= count - 1;
    log__forget_hints(log);
}

static int take_over(log_rewrite_t *r)
{
    log_t *log = r->log;
    if (r->err) return r->err;
    if (r->spoiled || log->failed) return ERR_STATE;
    uint32_t at = place_of(r);
    int err = swap_names(r);
    if (err) return err;
    swap_segments(r, at);
    err = io_sync_dir(log->loop, log->dir);
    if (err) log->names_dirty = true; /* the next commit tries again, or fails the log */
    return err;
}

static void rewrite_free(log_rewrite_t *r)
{
    r->log->rewrite = NULL;
    for (uint32_t i = 0; i < r->from_count; i++) log__segment_unref(r->from[i]);
    log__segment_unref(r->into);
    mem_free(r->from);
    mem_free(r);
}

void log_rewrite_abort(log_rewrite_t *rewrite)
{
    log_segment_t *into = rewrite->into;
    bool ours = into->refs == 1 && !rewrite->log->failed; /* neither the log's nor what recovery needs */
    if (ours) (void)!remove_files(into, ".cleaned");      /* what stays is removed by the next open */
    rewrite_free(rewrite);
}

static void synced(io_sync_t *sync, int err)
{
    rewrite_sync_t *s = CONTAINER_OF(sync, rewrite_sync_t, sync);
    log_rewrite_t *r = s->rewrite;
    log__open_unpin(s->open);
    if (err && !r->err) r->err = err;
    if (--r->syncs_left > 0) return;
    void (*done)(void *user, int err) = r->done;
    void *user = r->user;
    err = take_over(r);
    if (err)
        log_rewrite_abort(r);
    else
        rewrite_free(r);
    done(user, err);
}

int log_rewrite_finish(log_rewrite_t *rewrite, void (*done)(void *user, int err), void *user)
{
    log_segment_t *into = rewrite->into;
    int err = rewrite->spoiled ? ERR_STATE : finish_files(into);
    if (err) return err;
    rewrite->done = done;
    rewrite->user = user;
    log_open_t *opens[] = {&into->open, &into->offsets.open, &into->times.open,
                           into->aborted ? &into->aborted->index.open : NULL};
    rewrite->syncs_left = into->aborted ? ARRAY_LEN(opens) : ARRAY_LEN(opens) - 1;
    for (size_t i = 0; i < ARRAY_LEN(opens) && opens[i]; i++) {
        rewrite->syncs[i].rewrite = rewrite;
        rewrite->syncs[i].open = opens[i];
        io_file_sync(opens[i]->file, &rewrite->syncs[i].sync, synced);
    }
    return 0;
}

void log__rewrite_spoil(log_t *log, int64_t below)
{
    if (log->rewrite && log->rewrite->into->base_offset < below) log->rewrite->spoiled = true;
}

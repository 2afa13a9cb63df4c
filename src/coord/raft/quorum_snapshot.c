/* quorum_snapshot.c: the machine's snapshots: taken in slices, one a turn, and then the log below goes; loaded from the disk at
 * the start, and beside the state when another server sent one. What is in them the machine writes and reads. */
#include "coord/raft/quorum_internal.h"

/* ---- taking one ------------------------------------------------------------------------------------------------------- */

static snapshot_point_t point_now(const quorum_t *q)
{
    return (snapshot_point_t){q->applied, q->applied_term, q->configuration_index, buf_bytes(&q->configuration)};
}

/* The writer goes last: the machine may still hold on to it. */
void quorum__snapshot_abandon(quorum_t *q)
{
    if (!q->writer) return;
    q->machine.snapshot_end(q->machine.user);
    snapshot_writer_free(q->writer);
    q->writer = NULL;
    q->writer_whole = q->writer_committing = false;
    snapshot_point_deinit(&q->writer_point);
}

static void give_up(quorum_t *q, int err)
{
    quorum__snapshot_abandon(q);
    q->machine.snapshot_done(q->machine.user, err);
}

int quorum_snapshot_begin(quorum_t *q)
{
    ASSERT(!q->writer);
    if (q->stopped) return ERR_STATE;
    snapshot_point_t point = point_now(q);
    int err = snapshot_writer_open(q->loop, q->dir, &point, &q->writer);
    if (err) {
        q->machine.snapshot_done(q->machine.user, err);
        return err;
    }
    q->writer_point = snapshot_point_copy(&point);
    q->machine.snapshot_begin(q->machine.user, q->writer);
    return 0;
}

bool quorum_snapshotting(const quorum_t *q) { return q->writer != NULL; }

/* Entries kept below a snapshot. A server that is being sent an earlier one will want what follows that. */
static uint64_t trailing(const quorum_t *q, uint64_t index)
{
    uint64_t sent = quorum__outgoing_index_min(q);
    return sent < index ? MAX((uint64_t)q->trailing_entries, index - sent + 1) : q->trailing_entries;
}

/* A snapshot at `point` is durable: the log below may go. */
static void trim(quorum_t *q, const snapshot_point_t *point)
{
    struct raft_event event = {.type = RAFT_SNAPSHOT};
    struct raft_buffer encoded = {(void *)point->configuration.ptr, point->configuration.len};
    event.snapshot.metadata.index = point->index;
    event.snapshot.metadata.term = point->term;
    event.snapshot.metadata.configuration_index = point->configuration_index;
    uint64_t kept = trailing(q, point->index);
    event.snapshot.trailing = (unsigned)kept;
    if (raft_configuration_decode(&encoded, &event.snapshot.metadata.configuration) != 0) {
        quorum__fail(q, "a snapshot's configuration is unreadable", ERR_CORRUPT);
        return;
    }
    int err = quorum__step(q, &event); /* libraft keeps the configuration */
    if (!err && point->index > kept) err = wal_trim(&q->wal, point->index - kept + 1);
    if (err) quorum__fail(q, "the coordination log cannot be trimmed", err);
}

static void committed(void *user, int err)
{
    quorum_t *q = user;
    if (err) {
        give_up(q, err);
        return;
    }
    q->figures.snapshots_taken++;
    q->figures.snapshot_bytes = snapshot_writer_bytes(q->writer);
    snapshot_prune(q->loop, q->dir, q->writer_point.index);
    if (!q->stopped) trim(q, &q->writer_point);
    quorum__snapshot_abandon(q);
    q->machine.snapshot_done(q->machine.user, 0);
}

/* A follower may apply what is committed elsewhere before its own log is durable. A snapshot that outlived the log below it would
 * leave a log with a hole, and libraft's leader would look for the entries in it for ever. */
static void commit_when_stored(quorum_t *q)
{
    if (!q->writer_whole || quorum_stored(q) < q->writer_point.index) return;
    q->writer_whole = false;
    q->writer_committing = true;
    snapshot_writer_commit(q->writer, committed, q);
}

void quorum_snapshot_run(quorum_t *q)
{
    if (!q->writer || q->stopped || q->writer_committing) return;
    if (!q->writer_whole) {
        int done = q->machine.snapshot_step(q->machine.user, q->writer, QUORUM_SNAPSHOT_STEP_BYTES);
        if (done < 0) {
            give_up(q, done);
            return;
        }
        q->writer_whole = done == 1;
        if (done == 0) io_loop_wake(q->loop);
    }
    commit_when_stored(q);
}

/* ---- loading ---------------------------------------------------------------------------------------------------------- */

static int load_open(quorum_t *q, const char *path, uint64_t index, uint64_t *ret_bytes)
{
    int err = snapshot_reader_open(q->loop, path, ret_bytes, &q->reader);
    if (err) return err;
    q->machine.load_begin(q->machine.user, q->reader);
    if (snapshot_reader_point(q->reader)->index == index) return 0;
    quorum__load_end(q);
    return ERR_CORRUPT; /* another snapshot by this one's name */
}

void quorum__load_end(quorum_t *q)
{
    if (!q->reader) return;
    q->machine.load_end(q->machine.user);
    snapshot_reader_free(q->reader);
    q->reader = NULL;
}

int quorum__load_step(quorum_t *q, const char *path, uint64_t index)
{
    if (!q->reader) {
        int err = load_open(q, path, index, NULL);
        if (err) return err;
    }
    return q->machine.load_step(q->machine.user, QUORUM_SNAPSHOT_STEP_BYTES);
}

int quorum__load_restore(quorum_t *q, const char *path, uint64_t index)
{
    ASSERT(q->reader);
    quorum__snapshot_abandon(q);
    char *name = snapshot_path(q->dir, index);
    int err = io_rename(q->loop, path, name);
    if (!err) err = io_sync_dir(q->loop, q->dir);
    mem_free(name);
    if (err) return err;
    q->figures.snapshot_bytes = snapshot_reader_bytes(q->reader);
    q->machine.load_restore(q->machine.user, index);
    quorum__load_end(q);
    snapshot_prune(q->loop, q->dir, index);
    return 0;
}

/* At once: nobody is served yet. */
static int load_all(quorum_t *q, uint64_t index, snapshot_point_t *ret_point, uint64_t *ret_bytes)
{
    char *path = snapshot_path(q->dir, index);
    int done = load_open(q, path, index, ret_bytes);
    mem_free(path);
    if (done) return done;
    do done = q->machine.load_step(q->machine.user, SIZE_MAX);
    while (done == 0);
    *ret_bytes = snapshot_reader_offset(q->reader);
    if (done == 1) {
        *ret_point = snapshot_point_copy(snapshot_reader_point(q->reader));
        q->figures.snapshot_bytes = snapshot_reader_bytes(q->reader);
        q->machine.load_restore(q->machine.user, index);
    }
    quorum__load_end(q);
    return done == 1 ? 0 : done;
}

static void pass_over(quorum_opening_t *opening, uint64_t index, uint64_t position, int err)
{
    char name[SNAPSHOT_NAME_CHARS_MAX];
    snapshot_name(index, name);
    quorum_opening_warn(opening, "%s is damaged behind byte %" PRIu64 " (%s) and was passed over", name, position,
                        err_text(err));
}

int quorum__load_newest(quorum_t *q, quorum_opening_t *opening, snapshot_point_t *ret_point, uint64_t *ret_end_min)
{
    uint64_t index = UINT64_MAX, bytes;
    for (;;) {
        int err = snapshot_newest(q->loop, q->dir, index, &index);
        if (err) return err == ERR_NOT_FOUND ? 0 : err;
        err = load_all(q, index, ret_point, &bytes);
        if (!err) opening->snapshot_index = index;
        if (err != ERR_CORRUPT && err != ERR_TRUNCATED) return err;
        pass_over(opening, index, bytes, err);
        *ret_end_min = MAX(*ret_end_min, index + 1);
    }
}

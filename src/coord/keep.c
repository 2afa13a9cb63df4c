/* keep.c: when and how snapshots are taken: after so many commands, in pieces, one a turn of the loop, and then the log
 * below goes. A snapshot that fails is given up; the log keeps everything, and the next try comes with the next commands. */
#include "coord/coord_internal.h"

static bool due(const coord_t *coord)
{
    uint64_t commands = coord->applied - coord->applied_at_snapshot;
    /* A large tree is not written again for a handful of changes. */
    return commands >= coord->options.snapshot_entries && quorum_log_bytes(coord->quorum) * 2 >= coord->snapshot_bytes;
}

static void end(coord_t *coord)
{
    snapshot_end(coord->snapshot);
    coord->snapshot = NULL;
    coord->snapshot_written = false;
    mem_free((void *)coord->snapshot_point.configuration.ptr);
    coord->snapshot_point = (snapshot_point_t){0};
}

static void finished(void *user, int err)
{
    coord_t *coord = user;
    if (err == 0) {
        coord->snapshots++;
        coord->snapshot_bytes = snapshot_bytes(coord->snapshot);
        snapshot_prune(coord->loop, coord->dir, coord->snapshot_point.index);
        quorum_snapshot_taken(coord->quorum, &coord->snapshot_point);
    }
    end(coord);
}

static void begin(coord_t *coord)
{
    coord->applied_at_snapshot = coord->applied;
    if (quorum_point(coord->quorum, &coord->snapshot_point) != 0) return;
    int err = snapshot_begin(coord->loop, coord->dir, &coord->state, &coord->snapshot_point, &coord->snapshot);
    if (err == 0) return;
    coord->snapshot = NULL;
    mem_free((void *)coord->snapshot_point.configuration.ptr);
}

/* A follower may apply what is committed elsewhere before its own log is durable. A snapshot that outlived the log below it would
 * leave a log with a hole, and libraft's leader would look for the entries in it for ever. */
static void finish(coord_t *coord)
{
    if (!coord->snapshot_written || quorum_stored(coord->quorum) < coord->snapshot_point.index) return;
    coord->snapshot_written = false;
    snapshot_finish(coord->snapshot, finished, coord);
}

void coord__keep_run(coord_t *coord)
{
    if (coord->snapshot == NULL) {
        if (!due(coord)) return;
        begin(coord);
        if (coord->snapshot == NULL) return;
    }
    if (coord->state.snapshotting) {
        int done = snapshot_step(coord->snapshot, COORD_SNAPSHOT_STEP_BYTES);
        if (done < 0)
            end(coord);
        else if (done == 0)
            io_loop_wake(coord->loop);
        else
            coord->snapshot_written = true;
    }
    finish(coord);
}

void coord__keep_stop(coord_t *coord)
{
    if (coord->snapshot != NULL) end(coord);
}

/* ---- to and from other servers ---------------------------------------------------------------------------------------- */

int coord__snapshot_read(void *user, uint64_t index, uint8_t **ret_data, size_t *ret_bytes, bytes_t *ret_configuration)
{
    coord_t *coord = user;
    snapshot_point_t point;
    char *path = snapshot_path(coord->dir, index);
    int err = io_read_whole(coord->loop, path, COORD_SNAPSHOT_SENT_BYTES_MAX, ret_data, ret_bytes);
    mem_free(path);
    if (err != 0) return err;
    io_file_t *file;
    path = snapshot_path(coord->dir, index);
    err = io_file_open(coord->loop, path, IO_FILE_READ, &file);
    mem_free(path);
    if (err == 0) {
        err = snapshot_peek(file, &point);
        io_file_close(file);
    }
    if (err != 0)
        mem_free(*ret_data);
    else
        *ret_configuration = point.configuration;
    return err;
}

/* The new state takes the place of the old; whoever watches or subscribes stays. */
static void replace_state(coord_t *coord, state_t *fresh)
{
    state_t *old = &coord->state;
    fresh->extended_types = old->extended_types;
    fresh->skip_acl = old->skip_acl;
    fresh->enforce_quota = old->enforce_quota;
    fresh->session_closed = old->session_closed;
    fresh->session_closed_user = old->session_closed_user;
    fresh->watches = old->watches;
    watches_init(&old->watches);
    list_splice_back(&fresh->subscriptions, &old->subscriptions);
    state_deinit(old);
    state_move(old, fresh);
}

int coord__snapshot_restore(void *user, uint64_t index, bytes_t snapshot)
{
    coord_t *coord = user;
    state_t *fresh = mem_alloc(sizeof(*fresh));
    snapshot_loader_t *loader = NULL;
    state_init(fresh);
    coord__keep_stop(coord);
    char *path = snapshot_path(coord->dir, index);
    int err = io_replace_whole(coord->loop, path, snapshot);
    if (err == 0) err = snapshot_loader_open(coord->loop, path, fresh, &loader);
    if (err == 0) {
        int done;
        do done = snapshot_loader_step(loader, COORD_SNAPSHOT_STEP_BYTES);
        while (done == 0);
        err = done < 0 ? done : 0;
        snapshot_loader_free(loader);
    }
    if (err == 0) {
        replace_state(coord, fresh);
        snapshot_prune(coord->loop, coord->dir, index);
    } else {
        state_deinit(fresh);
    }
    mem_free(path);
    mem_free(fresh);
    return err;
}

/* keep.c: when and how snapshots are taken: after so many commands, in pieces, one a turn of the loop, and then the log
 * below goes. A snapshot that fails is given up; the log keeps everything, and the next try comes a while later.
 * And how another server's takes the place of the state. */
#include "coord/service/coord_internal.h"

#define SNAPSHOT_AGAIN_MS 10000ull /* after one that failed */

/* ---- states that are no longer needed: a large one takes long to free ------------------------------------------------ */

static void free_some(coord_t *coord)
{
    state_t *state = coord->discarded;
    if (state == NULL) return;
    if (tree_deinit_some(&state->tree, COORD_DISCARD_STEP_NODES)) {
        io_loop_wake(coord->loop);
        return;
    }
    state_deinit(state);
    mem_free(state);
    coord->discarded = NULL;
}

/* One at a time: the one before, if it is still there, goes at once. */
static void discard(coord_t *coord, state_t *state)
{
    while (coord->discarded != NULL) free_some(coord);
    coord->discarded = state;
    io_loop_wake(coord->loop);
}

/* ---- taking one --------------------------------------------------------------------------------------------------------- */

static bool due(const coord_t *coord)
{
    if (coord->snapshot_again_ns != 0) return io_now_ns(coord->loop) >= coord->snapshot_again_ns;
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

/* The log keeps everything, but nothing of it can go. */
static void note_failure(coord_t *coord, int err)
{
    coord->snapshot_again_ns = io_now_ns(coord->loop) + SNAPSHOT_AGAIN_MS * 1000000u;
    health_raise(&coord->health, "snapshot",
                 "the tree cannot be written to a snapshot in %.120s, and its log grows on: %s", coord->dir,
                 err_text(err));
}

static void finished(void *user, int err)
{
    coord_t *coord = user;
    if (err != 0) note_failure(coord, err);
    if (err == 0) {
        coord->snapshot_again_ns = 0;
        health_clear(&coord->health, "snapshot");
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
    note_failure(coord, err);
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
    free_some(coord);
    if (coord->snapshot == NULL) {
        if (!due(coord)) return;
        begin(coord);
        if (coord->snapshot == NULL) return;
    }
    if (coord->state.snapshotting) {
        int done = snapshot_step(coord->snapshot, COORD_SNAPSHOT_STEP_BYTES);
        if (done < 0) {
            note_failure(coord, done);
            end(coord);
        } else if (done == 0) {
            io_loop_wake(coord->loop);
        } else {
            coord->snapshot_written = true;
        }
    }
    finish(coord);
}

void coord__keep_stop(coord_t *coord)
{
    if (coord->snapshot != NULL) end(coord);
    coord__snapshot_unload(coord);
    while (coord->discarded != NULL) free_some(coord);
}

/* ---- to other servers ----------------------------------------------------------------------------------------------- */

int coord__snapshot_file(void *user, uint64_t index, io_file_t **ret_file, bytes_t *ret_configuration)
{
    coord_t *coord = user;
    snapshot_point_t point;
    io_file_t *file;
    char *path = snapshot_path(coord->dir, index);
    int err = io_file_open(coord->loop, path, IO_FILE_READ, &file);
    mem_free(path);
    if (err != 0) return err;
    err = snapshot_peek(file, &point);
    if (err != 0) {
        io_file_close(file);
        return err;
    }
    *ret_file = file;
    *ret_configuration = point.configuration;
    return 0;
}

/* ---- from other servers: loaded beside the state, then put in its place ----------------------------------------------- */

int coord__snapshot_load(void *user, const char *path)
{
    coord_t *coord = user;
    if (coord->loader == NULL) {
        coord->loaded = mem_alloc(sizeof(*coord->loaded));
        state_init(coord->loaded);
        int err = snapshot_loader_open(coord->loop, path, coord->loaded, &coord->loader);
        if (err != 0) {
            coord__snapshot_unload(coord);
            return err;
        }
    }
    return snapshot_loader_step(coord->loader, COORD_SNAPSHOT_STEP_BYTES);
}

void coord__snapshot_unload(void *user)
{
    coord_t *coord = user;
    if (coord->loader != NULL) snapshot_loader_free(coord->loader);
    coord->loader = NULL;
    if (coord->loaded != NULL) discard(coord, coord->loaded);
    coord->loaded = NULL;
}

/* The new state takes the place of the old; whoever watches or subscribes stays. */
static void replace_state(coord_t *coord, state_t *fresh)
{
    state_t *old = &coord->state, *gone = mem_alloc(sizeof(*gone));
    coord__expiry_stop(coord); /* no session of the old one stays in its lists */
    fresh->extended_types = old->extended_types;
    fresh->skip_acl = old->skip_acl;
    fresh->enforce_quota = old->enforce_quota;
    fresh->session_closed = old->session_closed;
    fresh->session_closed_user = old->session_closed_user;
    fresh->watches = old->watches;
    watches_init(&old->watches);
    list_splice_back(&fresh->subscriptions, &old->subscriptions);
    state_move(gone, old);
    state_move(old, fresh);
    mem_free(fresh);
    discard(coord, gone);
}

int coord__snapshot_restore(void *user, uint64_t index, const char *path)
{
    coord_t *coord = user;
    ASSERT(coord->loader != NULL);
    if (coord->snapshot != NULL) end(coord);
    char *name = snapshot_path(coord->dir, index);
    int err = io_rename(coord->loop, path, name);
    if (err == 0) err = io_sync_dir(coord->loop, coord->dir);
    mem_free(name);
    if (err != 0) return err;
    coord->snapshot_bytes = snapshot_loader_bytes(coord->loader);
    coord->applied_at_snapshot = coord->applied;
    snapshot_loader_free(coord->loader);
    coord->loader = NULL;
    replace_state(coord, coord->loaded);
    coord->loaded = NULL;
    snapshot_prune(coord->loop, coord->dir, index);
    return 0;
}

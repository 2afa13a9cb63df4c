/* snapshots.c: when snapshots are taken (after so many commands), and the tree's answers to the quorum, which takes, sends and
 * receives them. One that fails is given up; the log keeps everything, and the next try comes a while later. */
#include "coord/service/coord_internal.h"

#define SNAPSHOT_AGAIN_MS 10000ull /* after one that failed */

/* ---- states that are no longer needed: a large one takes long to free ------------------------------------------------ */

static void free_some(coord_t *coord)
{
    state_t *state = coord->discarded;
    if (!state) return;
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
    while (coord->discarded) free_some(coord);
    coord->discarded = state;
    io_loop_wake(coord->loop);
}

/* ---- taking one --------------------------------------------------------------------------------------------------------- */

static bool due(const coord_t *coord)
{
    if (coord->snapshot_again_ns != 0) return io_now_ns(coord->loop) >= coord->snapshot_again_ns;
    uint64_t commands = coord->applied - coord->applied_at_snapshot;
    /* A large tree is not written again for a handful of changes. */
    return commands >= coord->options.snapshot_entries &&
           quorum_log_bytes(coord->quorum) * 2 >= quorum_figures(coord->quorum).snapshot_bytes;
}

/* The log keeps everything, but nothing of it can go. */
static void note_failure(coord_t *coord, int err)
{
    coord->snapshot_again_ns = io_now_ns(coord->loop) + SNAPSHOT_AGAIN_MS * 1000000u;
    health_raise(&coord->health, "snapshot",
                 "the tree cannot be written to a snapshot in %.120s, and its log grows on: %s", coord->dir,
                 err_text(err));
}

void coord__snapshot_done(void *user, int err)
{
    coord_t *coord = user;
    if (err) {
        note_failure(coord, err);
        return;
    }
    coord->snapshot_again_ns = 0;
    health_clear(&coord->health, "snapshot");
}

void coord__snapshot_begin(void *user, snapshot_writer_t *writer)
{
    coord_t *coord = user;
    coord->snapshot = tree_snapshot_begin(&coord->state, writer);
}

int coord__snapshot_step(void *user, snapshot_writer_t *writer, size_t bytes)
{
    return tree_snapshot_step(((coord_t *)user)->snapshot, bytes);
}

void coord__snapshot_end(void *user)
{
    coord_t *coord = user;
    tree_snapshot_end(coord->snapshot);
    coord->snapshot = NULL;
}

void coord__snapshots_run(coord_t *coord)
{
    free_some(coord);
    if (!list_empty(&coord->entries)) return;
    if (!quorum_snapshotting(coord->quorum)) {
        if (!due(coord)) return;
        coord->applied_at_snapshot = coord->applied;
        if (quorum_snapshot_begin(coord->quorum) != 0) return; /* coord__snapshot_done was told */
    }
    quorum_snapshot_run(coord->quorum);
}

void coord__snapshots_stop(coord_t *coord)
{
    while (coord->discarded) free_some(coord);
}

/* ---- loading one: beside the state, then in its place ------------------------------------------------------------------- */

void coord__load_begin(void *user, snapshot_reader_t *reader)
{
    coord_t *coord = user;
    coord->loaded = mem_alloc(sizeof(*coord->loaded));
    state_init(coord->loaded);
    coord->loader = tree_loader_new(reader, coord->loaded);
}

int coord__load_step(void *user, size_t bytes) { return tree_loader_step(((coord_t *)user)->loader, bytes); }

void coord__load_end(void *user)
{
    coord_t *coord = user;
    if (coord->loader) tree_loader_free(coord->loader);
    coord->loader = NULL;
    if (coord->loaded) discard(coord, coord->loaded);
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
    fresh->reorders = old->reorders + 1;
    fresh->watches = old->watches;
    watches_init(&old->watches);
    list_splice_back(&fresh->subscriptions, &old->subscriptions);
    state_move(gone, old);
    state_move(old, fresh);
    mem_free(fresh);
    discard(coord, gone);
}

void coord__load_restore(void *user, uint64_t index)
{
    coord_t *coord = user;
    coord__apply_all(coord); /* what waits is part of it */
    coord->applied_at_snapshot = coord->applied;
    tree_loader_free(coord->loader);
    coord->loader = NULL;
    replace_state(coord, coord->loaded);
    coord->loaded = NULL;
}

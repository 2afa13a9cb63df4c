/* coord_internal.h: the service around the state machine, shared by coord.c, propose.c, reads.c, expiry.c and keep.c.
 *
 *   coord_write ─> the turn's batch ──hook, rank 20──> one raft entry ──committed──> state_apply each ─> done each
 *
 * One batch is at the disk at a time (with one voter): what arrives meanwhile makes the next, so load makes batches larger
 * and syncs fewer. */
#ifndef TRIVET_COORD_INTERNAL_H
#define TRIVET_COORD_INTERNAL_H

#include "coord/raft/quorum.h"
#include "coord/raft/quorum_net.h"
#include "coord/service/snapshot.h"
#include "coord/session.h"
#include "coord/tree/state.h"

#define COORD_HOOK_RANK           20
#define COORD_BATCH_BYTES_AIM     MIB(1) /* a batch is closed above */
#define COORD_BATCHES_AHEAD_ONE   1      /* batches between us and the disk with one voter */
#define COORD_BATCHES_AHEAD_MANY  8      /* and with several, for the way to the others */
#define COORD_EXPIRY_SLOTS        256
#define COORD_SNAPSHOT_STEP_BYTES KIB(256) /* a turn's piece, written or loaded */
#define COORD_DISCARD_STEP_NODES  2000     /* a turn's piece of a state that goes */
#define COORD_REAPS_MAX           10000    /* containers and TTL nodes a check */

/* One place in a batch: a command's, or that of what has none: a sync, a write that was refused. */
typedef enum coord_slot_kind { COORD_SLOT_COMMAND, COORD_SLOT_SYNC, COORD_SLOT_REFUSED } coord_slot_kind_t;
typedef struct coord_slot {
    coord_write_t *write; /* NULL: nobody waits */
    coord_slot_kind_t kind;
} coord_slot_t;

typedef struct coord_batch {
    list_t node;
    buf_t buf; /* WAL_HEADROOM_BYTES, entry header, commands */
    int32_t commands;
    coord_slot_t *slots;
    size_t slots_count, slots_cap;
    size_t next; /* slots answered */
} coord_batch_t;

typedef struct coord_expiry {
    list_t slots[COORD_EXPIRY_SLOTS]; /* session_t.expiry, by bucket */
    uint32_t bucket;                  /* the tick that is passing */
    io_timer_t timer;
    uint64_t reap_due_ms;
} coord_expiry_t;

struct coord {
    io_loop_t *loop;
    coord_options_t options;
    char *dir;
    char *log_dir; /* `dir` itself, or a string of its own */
    state_t state;
    quorum_t *quorum;
    quorum_net_t *quorum_net; /* NULL when alone */
    io_hook_t hook;
    bool closing;

    coord_batch_t *batch; /* being filled; NULL = none yet */
    list_t ready;         /* filled, not yet proposed */
    list_t flying;        /* proposed, not yet applied */
    uint32_t flying_count;
    uint64_t outstanding;
    uint64_t applied;

    int64_t own_session;
    int64_t session_id_next;
    coord_expiry_t expiry;

    snapshot_writer_t *snapshot;
    bool snapshot_written; /* all of it, not yet synced: it waits for the log */
    snapshot_point_t snapshot_point;
    uint64_t applied_at_snapshot;
    uint64_t snapshot_again_ns; /* the last one failed: when to try again; 0 = it did not */
    uint64_t snapshots, snapshot_bytes;
    snapshot_loader_t *loader; /* another server's, into `loaded`; NULL = none */
    state_t *loaded;
    state_t *discarded; /* being freed; NULL = none */

    health_t health;
    io_reserve_t reserve; /* room.c */
    io_timer_t room_timer;
};

/* propose.c */
void coord__propose(coord_t *coord, coord_write_t *write, const zk_command_t *command);
void coord__flush(coord_t *coord);
void coord__apply(void *user, uint64_t index, bytes_t payload, void *tag);
void coord__dropped(void *user, void *tag);
void coord__drop_all(coord_t *coord);
/* Proposes the end of the process's earlier sessions and a new one. */
void coord__own_session_begin(coord_t *coord);

/* expiry.c */
void coord__expiry_init(coord_t *coord);
void coord__expiry_start(coord_t *coord); /* leadership: everybody gets a full timeout */
void coord__expiry_stop(coord_t *coord);
void coord__expiry_welcome(coord_t *coord, int64_t session_id); /* a session was made */

void coord__expiry_again(coord_t *coord); /* sessions whose closing was refused are tried again */

/* place.c */
#define COORD_LOG_ELSEWHERE "log-elsewhere" /* a file beside the snapshots that says where the log is */
/* Makes the log's directory; a log that lies elsewhere than it did is refused. */
int coord__place_log(coord_t *coord, coord_opening_t *opening) MUST_CHECK;
/* Where the log of the tree in `dir` is, malloc'd; NULL = with the snapshots. */
int coord__noted_log_dir(io_loop_t *loop, const char *dir, char **ret_log_dir) MUST_CHECK;

/* room.c: a full disk */
void coord__room_open(coord_t *coord);
void coord__room_close(coord_t *coord);
void coord__room_check(coord_t *coord);                   /* after something was written */
bool coord__room_for(const coord_t *coord, int32_t type); /* a client's write */
bool coord__room_to_open(const coord_t *coord);           /* a session */
bool coord__room_to_close(const coord_t *coord);
bool coord__room_for_batch(coord_t *coord, size_t bytes);

/* keep.c: snapshots */
void coord__keep_run(coord_t *coord); /* once a turn */
void coord__keep_stop(coord_t *coord);
int coord__snapshot_file(void *user, uint64_t index, io_file_t **ret_file, bytes_t *ret_configuration) MUST_CHECK;
int coord__snapshot_load(void *user, const char *path) MUST_CHECK;
void coord__snapshot_unload(void *user);
int coord__snapshot_restore(void *user, uint64_t index, const char *path) MUST_CHECK;

void coord__fatal(coord_t *coord, const char *what, int err);

#endif

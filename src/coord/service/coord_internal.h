/* coord_internal.h: the service around the state machine, shared by coord.c, propose.c, reads.c, expiry.c and snapshots.c.
 *
 *   coord_write ─> the turn's batch ──hook, rank 20──> one raft entry ──committed──> state_apply each ─> done each
 *
 * One batch is at the disk at a time (with one voter): what arrives meanwhile makes the next, so load makes batches larger
 * and syncs fewer. A command that is long is applied over several turns, in which nobody reads the tree (applying.c). */
#ifndef TRIVET_COORD_INTERNAL_H
#define TRIVET_COORD_INTERNAL_H

#include "coord/raft/quorum.h"
#include "coord/raft/quorum_net.h"
#include "coord/service/tree_snapshot.h"
#include "coord/session.h"
#include "coord/tree/state.h"

#define COORD_HOOK_RANK          20
#define COORD_ENTRY_FORMAT       1
#define COORD_BATCH_BYTES_AIM    MIB(1) /* a batch is closed above */
#define COORD_BATCH_COST_AIM     4000 /* or when what applies it would take longer than a few milliseconds; of setData, 1 */
#define COORD_CLOSE_COST         8       /* of the end of a session */
#define COORD_APPLY_STEPS        2000    /* of long commands in a turn: a few milliseconds (state_apply_step) */
#define COORD_LONG_BODY_BYTES    KIB(64) /* a multi is long from here on */
#define COORD_LONG_EPHEMERALS    1000    /* and the end of a session */
#define COORD_BATCHES_AHEAD_ONE  1       /* batches between us and the disk with one voter */
#define COORD_BATCHES_AHEAD_MANY 8       /* and with several, for the way to the others */
#define COORD_EXPIRY_SLOTS       256
#define COORD_DISCARD_STEP_NODES 2000  /* a turn's piece of a state that goes */
#define COORD_REAPS_MAX          10000 /* containers and TTL nodes a check */

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
    int32_t cost;
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
    list_t entries;       /* applying.c: committed, of which the first is being applied in pieces */
    bool serving;         /* the loop runs: what is long is applied in pieces */
    uint32_t flying_count;
    uint64_t outstanding;
    uint64_t applied;

    int64_t own_session;
    int64_t session_id_next;
    coord_expiry_t expiry;

    tree_snapshot_t *snapshot; /* being written; NULL = none */
    uint64_t applied_at_snapshot;
    uint64_t snapshot_again_ns; /* the last one failed: when to try again; 0 = it did not */
    tree_loader_t *loader;      /* into `loaded`; NULL = none */
    state_t *loaded;
    state_t *discarded; /* being freed; NULL = none */

    health_t health;
    io_reserve_t reserve; /* disk.c */
    io_timer_t disk_timer;
};

/* propose.c */
void coord__propose(coord_t *coord, coord_write_t *write, const zk_command_t *command);
void coord__flush(coord_t *coord);
void coord__answer(coord_t *coord, coord_batch_t *batch, const coord_result_t *result); /* the next one's */
void coord__answer_others(coord_t *coord, coord_batch_t *batch); /* those whose turn it is, and that have no command */
void coord__batch_applied(coord_t *coord, coord_batch_t *batch);
void coord__dropped(void *user, void *tag);
void coord__drop_all(coord_t *coord);

/* applying.c */
void coord__apply(void *user, uint64_t index, bytes_t payload, void *tag);
void coord__apply_more(coord_t *coord); /* once a turn */
void coord__apply_all(coord_t *coord);

/* Proposes the end of the process's earlier sessions and a new one. */
void coord__own_session_begin(coord_t *coord);

/* expiry.c */
void coord__expiry_init(coord_t *coord);
void coord__expiry_start(coord_t *coord); /* leadership: everybody gets a full timeout */
void coord__expiry_stop(coord_t *coord);
void coord__expiry_welcome(coord_t *coord, int64_t session_id); /* a session was made */

void coord__expiry_again(coord_t *coord); /* sessions whose closing was refused are tried again */

/* log_dir.c */
#define COORD_LOG_ELSEWHERE "log-elsewhere" /* a file beside the snapshots that says where the log is */
/* Makes the log's directory; a log that lies elsewhere than it did is refused. */
int coord__log_dir_settle(coord_t *coord, quorum_opening_t *opening) MUST_CHECK;
/* Where the log of the tree in `dir` is, malloc'd; NULL = with the snapshots. */
int coord__log_dir_noted(io_loop_t *loop, const char *dir, char **ret_log_dir) MUST_CHECK;

/* disk.c: a full disk */
void coord__disk_open(coord_t *coord);
void coord__disk_close(coord_t *coord);
void coord__disk_check(coord_t *coord);                      /* after something was written */
bool coord__disk_allows(const coord_t *coord, int32_t type); /* a client's write */
bool coord__disk_allows_opening(const coord_t *coord);       /* a session */
bool coord__disk_allows_closing(const coord_t *coord);
bool coord__disk_allows_batch(coord_t *coord, size_t bytes);

/* snapshots.c: snapshots */
void coord__snapshots_run(coord_t *coord); /* once a turn */
void coord__snapshots_stop(coord_t *coord);
void coord__snapshot_begin(void *user, snapshot_writer_t *writer);
int coord__snapshot_step(void *user, snapshot_writer_t *writer, size_t bytes) MUST_CHECK;
void coord__snapshot_end(void *user);
void coord__snapshot_done(void *user, int err);
void coord__load_begin(void *user, snapshot_reader_t *reader);
int coord__load_step(void *user, size_t bytes) MUST_CHECK;
void coord__load_restore(void *user, uint64_t index);
void coord__load_end(void *user);

void coord__fatal(coord_t *coord, const char *what, int err);

#endif

/* quorum.h: drives libraft's raft_step() over our log, files and timers.
 *
 *   caller ──quorum_submit──> raft_step(SUBMIT) ──entries──> wal ──log_commit──> raft_step(PERSISTED_ENTRIES)
 *                                   │ messages                                        │ commit index
 *                                   v                                                 v
 *                               transport <──────── other servers             machine.apply, in order
 *
 * Term and vote are in `dir`/raft-vote, written and synced before anything that depends on them leaves. An entry counts as
 * persisted when its sync is done; one that fails ends the process (machine.failed): what may be lost must not be vouched for. */
#ifndef TRIVET_COORD_QUORUM_H
#define TRIVET_COORD_QUORUM_H

#include "base/base.h"
#include "base/list.h"
#include "coord/raft/quorum_opening.h"
#include "coord/raft/quorum_peer.h"
#include "coord/raft/snapshot.h"
#include "coord/raft/wal.h"
#include "io/io.h"

typedef struct quorum quorum_t;

/* How messages reach other servers. `frame` is valid during the call; a frame that cannot be sent is dropped, as a network
 * may. Received frames are handed to quorum_receive. */
typedef struct quorum_transport {
    void (*send)(struct quorum_transport *transport, uint64_t server_id, const char *address, bytes_t frame);
} quorum_transport_t;

/* An entry on its way. `buf` holds WAL_HEADROOM_BYTES, the payload, WAL_TAIL_BYTES; it is malloc'd and goes with the entry. */
typedef struct quorum_entry {
    list_t node;
    uint64_t index, term;
    uint8_t type;
    uint8_t *buf;
    size_t payload_bytes;
    void *tag; /* the submitter's; NULL for entries of other servers */
} quorum_entry_t;

/* What the entries change: a state machine, of which this knows nothing. Its snapshots are taken, sent, received and put in place
 * here; it writes and reads its own records in them, a slice at a time, so that a server goes on meanwhile. */
typedef struct quorum_machine {
    /* A committed entry, in order. `tag` as given to quorum_submit, NULL for one that came from elsewhere or the disk. */
    void (*apply)(void *user, uint64_t index, bytes_t payload, void *tag);
    /* Entries submitted here that will never be applied as such: leadership was lost. */
    void (*dropped)(void *user, void *tag);
    void (*role)(void *user, bool leader);
    void (*failed)(void *user, const char *what, int err);

    /* The state as it is now, whatever changes until the snapshot is written. Begins with snapshot_writer_head. */
    void (*snapshot_begin)(void *user, snapshot_writer_t *writer);
    /* Writes about `bytes` more: 1 when all is written, ended by snapshot_writer_tail; 0 when there is more; or an error. */
    int (*snapshot_step)(void *user, snapshot_writer_t *writer, size_t bytes);
    /* Written or broken off: `writer` is about to go. */
    void (*snapshot_end)(void *user);
    /* The snapshot is durable and the log below it may have gone, or an error says why there is none. */
    void (*snapshot_done)(void *user, int err);

    /* Begins to load a snapshot beside the state. */
    void (*load_begin)(void *user, snapshot_reader_t *reader);
    /* Loads about `bytes` more: 1 when all of it is there, 0 when there is more, or an error. */
    int (*load_step)(void *user, size_t bytes);
    /* What is loaded takes the state's place, which is then that of the entry `index`. */
    void (*load_restore)(void *user, uint64_t index);
    /* Put in place or given up: `reader` is about to go, and what is still beside the state goes. */
    void (*load_end)(void *user);
    void *user;
} quorum_machine_t;

typedef struct quorum_member {
    uint64_t id;
    const char *address;
} quorum_member_t;

typedef struct quorum_options {
    const char *dir;
    const char *log_dir; /* NULL = `dir` */
    uint64_t id;
    const quorum_member_t *members; /* of a new cluster; ignored when there is one on disk */
    int members_count;
    quorum_transport_t *transport;              /* NULL with one member */
    bool sync;                                  /* false: do not wait for the disk (forceSync=no) */
    io_reserve_t *reserve;                      /* for a log that finds the disk full; NULL = none */
    uint32_t election_timeout_ms, heartbeat_ms; /* 0 = libraft's */
    uint32_t trailing_entries;                  /* entries kept below a snapshot; 0 = 1,024 */
    uint32_t piece_bytes;                       /* of a snapshot on its way; 0 = 512 KiB, which is the most */
    quorum_opening_t *opening;                  /* what was found; NULL = nobody asks */
} quorum_options_t;

/* Puts the newest snapshot that can be read into the machine, opens the log behind it and takes part. The machine comes with
 * the state of a new group. With one voter it leads when this returns, and everything on disk has been applied. */
int quorum_open(io_loop_t *loop, const quorum_options_t *options, const quorum_machine_t *machine,
                quorum_t **ret_quorum) MUST_CHECK;
void quorum_close(quorum_t *quorum);

bool quorum_leads(const quorum_t *quorum);
uint64_t quorum_leader(const quorum_t *quorum); /* 0 = unknown */
uint32_t quorum_voters(const quorum_t *quorum);
/* Proposes one entry; owns `buf` from then on. ERR_STATE when this server does not lead (`buf` stays the caller's). */
int quorum_submit(quorum_t *quorum, uint8_t *buf, size_t payload_bytes, void *tag) MUST_CHECK;
/* Syncs what is appended at once and applies it; for the time before the loop runs. */
int quorum_settle(quorum_t *quorum) MUST_CHECK;
void quorum_receive(quorum_t *quorum, uint64_t from, bytes_t frame);

/* ---- snapshots of its own ------------------------------------------------------------------------------------------ */

/* Begins one of what is applied. The machine hears of its end (snapshot_done), also when an error is returned here. */
int quorum_snapshot_begin(quorum_t *quorum) MUST_CHECK;
bool quorum_snapshotting(const quorum_t *quorum);
/* Once a turn: goes on with one that is under way. */
void quorum_snapshot_run(quorum_t *quorum);

/* ---- figures --------------------------------------------------------------------------------------------------------- */

uint64_t quorum_applied(const quorum_t *quorum); /* the last entry that the machine has */
uint64_t quorum_stored(const quorum_t *quorum);  /* the last entry that is durable here */
uint64_t quorum_log_bytes(const quorum_t *quorum);
typedef struct quorum_figures {
    uint64_t syncs, sync_ns_total, sync_ns_min, sync_ns_max;
    uint64_t snapshots_taken;
    uint64_t snapshot_bytes;       /* of the newest */
    uint64_t snapshots_sent;       /* as a leader: begun */
    uint64_t snapshots_received;   /* and put in the state's place */
    uint64_t snapshots_broken_off; /* as a receiver: no room, a bad sum, another leader, silence */
} quorum_figures_t;
quorum_figures_t quorum_figures(const quorum_t *quorum);

#endif

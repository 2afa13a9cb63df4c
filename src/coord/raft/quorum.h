/* quorum.h: drives libraft's raft_step() over our log, files and timers.
 *
 *   caller ──quorum_submit──> raft_step(SUBMIT) ──entries──> wal ──log_commit──> raft_step(PERSISTED_ENTRIES)
 *                                   │ messages                                        │ commit index
 *                                   v                                                 v
 *                               transport <──────── other servers             owner.apply, in order
 *
 * Term and vote are in `dir`/raft-vote, written and synced before anything that depends on them leaves. An entry counts as
 * persisted when its sync is done; one that fails ends the process (owner.failed): what may be lost must not be vouched for. */
#ifndef TRIVET_COORD_QUORUM_H
#define TRIVET_COORD_QUORUM_H

#include "base/base.h"
#include "base/list.h"
#include "coord/raft/wal.h"
#include "coord/service/snapshot.h"
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

typedef struct quorum_owner {
    /* A committed entry, in order. `tag` as given to quorum_submit, NULL for one that came from elsewhere or the disk. */
    void (*apply)(void *user, uint64_t index, bytes_t payload, void *tag);
    /* Entries submitted here that will never be applied as such: leadership was lost. */
    void (*dropped)(void *user, void *tag);
    void (*role)(void *user, bool leader);
    /* The snapshot at `index`, for a server that needs it: its file, which the quorum closes and which must stay readable
     * when it is removed meanwhile, and its configuration (malloc'd). */
    int (*snapshot)(void *user, uint64_t index, io_file_t **ret_file, bytes_t *ret_configuration);
    /* Another server's snapshot is in the file `path`, whole and durable. `load` takes in a slice of it, beside the state:
     * 1 when all of it is there, 0 to be called again, or an error. `unload` gives up what is loaded. `restore` puts it in
     * the state's place and gives the file the name of the snapshot at `index`, durably. */
    int (*load)(void *user, const char *path);
    void (*unload)(void *user);
    int (*restore)(void *user, uint64_t index, const char *path);
    void (*failed)(void *user, const char *what, int err);
    void *user;
} quorum_owner_t;

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
    uint32_t trailing_entries;                  /* as coord_options_t's */
    uint32_t piece_bytes;                       /* as coord_options_t's */
    uint64_t log_end_min;     /* the log must reach so far: a later snapshot cannot be read; 0 = none */
    coord_opening_t *opening; /* added to, when given */
} quorum_options_t;

/* Opens the log behind `snapshot` (NULL: none) and takes part. With one voter it leads when this returns, and everything
 * on disk has been applied. */
int quorum_open(io_loop_t *loop, const quorum_options_t *options, const snapshot_point_t *snapshot,
                const quorum_owner_t *owner, quorum_t **ret_quorum) MUST_CHECK;
void quorum_close(quorum_t *quorum);

bool quorum_leads(const quorum_t *quorum);
uint64_t quorum_leader(const quorum_t *quorum); /* 0 = unknown */
uint32_t quorum_voters(const quorum_t *quorum);
/* Proposes one entry; owns `buf` from then on. ERR_STATE when this server does not lead (`buf` stays the caller's). */
int quorum_submit(quorum_t *quorum, uint8_t *buf, size_t payload_bytes, void *tag) MUST_CHECK;
/* Syncs what is appended at once and applies it; for the time before the loop runs. */
int quorum_settle(quorum_t *quorum) MUST_CHECK;
void quorum_receive(quorum_t *quorum, uint64_t from, bytes_t frame);

/* The point at which a snapshot taken now stands; `configuration` is malloc'd. */
int quorum_point(quorum_t *quorum, snapshot_point_t *ret_point) MUST_CHECK;
/* A snapshot at `point` is durable: the log below may go. */
void quorum_snapshot_taken(quorum_t *quorum, const snapshot_point_t *point);

uint64_t quorum_stored(const quorum_t *quorum); /* the last entry that is durable here */
uint64_t quorum_log_bytes(const quorum_t *quorum);
typedef struct quorum_figures {
    uint64_t syncs, sync_ns_total, sync_ns_min, sync_ns_max;
    uint64_t snapshots_sent;       /* as a leader: begun */
    uint64_t snapshots_received;   /* and put in the state's place */
    uint64_t snapshots_broken_off; /* as a receiver: no room, a bad sum, another leader, silence */
} quorum_figures_t;
quorum_figures_t quorum_figures(const quorum_t *quorum);

#endif

/* quorum_internal.h: what the files quorum*.c share. */
#ifndef TRIVET_COORD_QUORUM_INTERNAL_H
#define TRIVET_COORD_QUORUM_INTERNAL_H

#include "coord/raft/quorum.h"

#include "zk_records.h"

#include <raft.h>

#define QUORUM_READ_BYTES              MIB(1)  /* of the log at a time */
#define QUORUM_MESSAGE_ARENA_BYTES_MAX MIB(1)  /* the entries' heads of one message */
#define QUORUM_APPEND_BYTES_AIM        MIB(16) /* one message's entries; the last may be large */
#define QUORUM_TRAILING_ENTRIES        1024
#define QUORUM_PIECE_BYTES_MAX         KIB(512)
#define QUORUM_SNAPSHOT_STEP_BYTES     KIB(256) /* a turn's slice, written or loaded */
#define QUORUM_SNAPSHOT_SILENCE_MS     10000    /* a transfer of which nothing was heard for so long is over */
#define QUORUM_VOTE_BYTES_MAX          128

/* Kinds of messages that are ours, beside enum raft_message_type. */
enum { QUORUM_SNAPSHOT_PIECE = 101, QUORUM_SNAPSHOT_WANTED };

/* Appends a record to a frame. */
#define QUORUM_PUT(frame, type, record)                                                                                \
    do {                                                                                                               \
        size_t size_ = zk_##type##_size(record);                                                                       \
        zk_##type##_put(buf_reserve(frame, size_), record);                                                            \
        (frame)->len += size_;                                                                                         \
    } while (0)

typedef struct quorum_incoming quorum_incoming_t;

struct quorum {
    io_loop_t *loop;
    quorum_machine_t machine;
    quorum_transport_t *transport;
    bool sync;
    bool leads;
    bool opening;
    bool stopped; /* failed or closing: nothing is stepped any more */
    char *dir;
    char *vote_path;
    uint64_t saved_term, saved_vote; /* what is in that file */
    char *address;
    uint64_t id;
    struct raft raft;
    bool raft_open;
    wal_t wal;
    list_t entries; /* quorum_entry_t, appended and not yet applied, by index */
    uint64_t applied;
    uint64_t stored;     /* told to libraft as persisted */
    uint64_t generation; /* changes when the log's tail is cut: syncs under way then say nothing */

    log_commit_t commit;
    bool committing;
    uint64_t committing_index, committing_generation;
    uint64_t committing_ns;

    io_timer_t timer;
    /* The configuration as of the last applied CHANGE entry, for snapshots. */
    buf_t configuration;
    uint64_t configuration_index;
    uint64_t applied_term;
    uint32_t trailing_entries;

    /* A snapshot being taken. */
    snapshot_writer_t *writer; /* NULL = none */
    snapshot_point_t writer_point;
    bool writer_whole;      /* not yet synced: it waits for the log */
    bool writer_committing; /* being synced */
    /* One being loaded. */
    snapshot_reader_t *reader; /* NULL = none */

    /* Snapshots on their way. */
    uint32_t piece_bytes;
    list_t outgoing; /* one a server */
    io_timer_t outgoing_timer;
    quorum_incoming_t *incoming;  /* NULL = none */
    uint64_t incoming_not_before; /* ms: after a failure the next waits */
    uint32_t incoming_count;      /* in the files' names */

    quorum_figures_t figures;
};

int quorum__step(quorum_t *q, struct raft_event *event) MUST_CHECK;
int quorum__apply_committed(quorum_t *q) MUST_CHECK;
void quorum__fail(quorum_t *q, const char *what, int err);
void quorum__arm(quorum_t *q);
int quorum__save_vote(quorum_t *q) MUST_CHECK;
/* The text of raft-vote; returns its length. */
size_t quorum__vote_text(uint64_t term, uint64_t vote, char out[QUORUM_VOTE_BYTES_MAX]);
uint64_t quorum__now_ms(const quorum_t *q);
quorum_entry_t *quorum__entry_new(uint8_t *buf, size_t payload_bytes, uint8_t type, void *tag);
void quorum__entry_free(quorum_entry_t *entry);

/* quorum_libraft.c: what libraft 0.22.1 has no accessor for, and its accessors that are not const. */
bool quorum__is_leader(const quorum_t *q);
bool quorum__is_candidate(const quorum_t *q);
uint64_t quorum__leader_id(const quorum_t *q);
const struct raft_configuration *quorum__configuration(const quorum_t *q);
/* The index of the last entry below libraft's log. */
uint64_t quorum__log_offset(const quorum_t *q);
/* Is this part of libraft's own struct? */
bool quorum__within_raft(const quorum_t *q, const void *at);
void quorum__silence_tracer(quorum_t *q);

/* quorum_snapshot.c: the machine's snapshots, taken and loaded. */
void quorum__snapshot_abandon(quorum_t *q);
/* Finds and loads the newest that can be read. *ret_index = 0: there is none. `ret_end_min`: up to where the log must reach,
 * because a snapshot from there cannot be read. */
int quorum__load_newest(quorum_t *q, quorum_opening_t *opening, snapshot_point_t *ret_point,
                        uint64_t *ret_end_min) MUST_CHECK;
/* Another server's, in the file `path`: begins, or goes on; 1 when all of it is there, 0 when there is more, or an error. */
int quorum__load_step(quorum_t *q, const char *path, uint64_t index) MUST_CHECK;
/* Puts what is loaded in the state's place, and gives the file the name of the snapshot at `index`, durably. */
int quorum__load_restore(quorum_t *q, const char *path, uint64_t index) MUST_CHECK;
void quorum__load_end(quorum_t *q);

/* quorum_wire.c: messages as bytes. */
int quorum__send(quorum_t *q, const struct raft_message *message) MUST_CHECK;
const char *quorum__address_of(const quorum_t *q, uint64_t id);

/* quorum_outgoing.c: a leader's snapshot to those that lag. */
int quorum__outgoing_begin(quorum_t *q, const struct raft_message *message) MUST_CHECK;
int quorum__outgoing_wanted(quorum_t *q, uint64_t from, jute_reader_t *r) MUST_CHECK;
void quorum__outgoing_end_all(quorum_t *q);
/* The lowest index of those on their way, whose receivers will want the entries that follow; UINT64_MAX = none. */
uint64_t quorum__outgoing_index_min(const quorum_t *q);

/* quorum_incoming.c: and its arrival. */
void quorum__incoming_piece(quorum_t *q, uint64_t from, jute_reader_t *r);
const char *quorum__incoming_path(const quorum_t *q); /* of the file that libraft was offered */
void quorum__incoming_end(quorum_t *q);
int quorum__incoming_clean(quorum_t *q) MUST_CHECK; /* removes what an earlier life left */

#endif

/* quorum_internal.h: what quorum.c, quorum_open.c and quorum_wire.c share. */
#ifndef TRIVET_COORD_QUORUM_INTERNAL_H
#define TRIVET_COORD_QUORUM_INTERNAL_H

#include "coord/quorum.h"

#include <raft.h>

#define QUORUM_READ_BYTES              MIB(1) /* of the log at a time */
#define QUORUM_MESSAGE_ARENA_BYTES_MAX MIB(1) /* the entries' heads of one message */
#define QUORUM_TRAILING_ENTRIES        1024   /* kept below a snapshot for members that lag a little */
#define QUORUM_VOTE_BYTES_MAX          128

struct quorum {
    io_loop_t *loop;
    quorum_owner_t owner;
    quorum_transport_t *transport;
    bool sync;
    bool leads;
    bool opening;
    bool stopped; /* failed or closing: nothing is stepped any more */
    char *dir;
    char *vote_path;
    uint64_t saved_term, saved_vote; /* what is in that file */
    char *address;
    struct raft raft;
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
    quorum_figures_t figures;
};

int quorum__step(quorum_t *q, struct raft_event *event) MUST_CHECK;
int quorum__apply_committed(quorum_t *q) MUST_CHECK;
void quorum__fail(quorum_t *q, const char *what, int err);
void quorum__arm(quorum_t *q);
int quorum__save_vote(quorum_t *q) MUST_CHECK;
uint64_t quorum__now_ms(const quorum_t *q);
quorum_entry_t *quorum__entry_new(uint8_t *buf, size_t payload_bytes, uint8_t type, void *tag);
void quorum__entry_free(quorum_entry_t *entry);

/* quorum_wire.c: messages as bytes. */
int quorum__send(quorum_t *q, const struct raft_message *message) MUST_CHECK;

#endif

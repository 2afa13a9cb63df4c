/* wal.h: the raft log on src/log: one raft entry a record batch, its index the batch's offset, its term the leader epoch.
 *
 *   record batch v2 header (61 bytes, control bit set for entries that are raft's own, the producer's id the index below which
 *   all was durable when it was written) | one record, key null, value = type (1 byte) and payload | no headers
 *
 * so that a segment of it reads like any other log of the house. The caller leaves WAL_HEADROOM_BYTES free in front of the
 * payload and WAL_TAIL_BYTES behind it; nothing is copied. */
#ifndef TRIVET_COORD_WAL_H
#define TRIVET_COORD_WAL_H

#include "base/buf.h"
#include "coord/raft/mark.h"
#include "coord/raft/quorum_opening.h"
#include "log/log.h"

#define WAL_HEADROOM_BYTES  80
#define WAL_TAIL_BYTES      1
#define WAL_ENTRY_BYTES_MAX MIB(16)

typedef struct wal {
    io_loop_t *loop;
    char *dir; /* the tree's */
    log_t *log;
    mark_t mark;
    bool sync;
    buf_t window;          /* wal_read's */
    io_reserve_t *reserve; /* what wal_append takes when the disk is full; NULL = none */
} wal_t;

/* What the log must hold, for the state to be whole. */
typedef struct wal_need {
    uint64_t first; /* one behind the snapshot that was read; 1 = none was */
    uint64_t end;   /* one behind a snapshot that cannot be read; 0 = there is none */
    bool alone;     /* neither another server's snapshot nor an own one can have overtaken the log */
    bool sync;      /* what is acknowledged is durable */
} wal_need_t;

typedef struct wal_entry {
    uint64_t index;
    uint64_t term;
    uint8_t type; /* enum raft_entry_type */
    bytes_t payload;
} wal_entry_t;

/* Opens or creates `dir`/log. ERR_DAMAGED: it does not hold what it must, as opening->why says. A log that another server's
 * snapshot has overtaken is set aside, and begins anew behind it. */
int wal_open(io_loop_t *loop, const char *dir, const wal_need_t *need, quorum_opening_t *opening,
             wal_t *ret_wal) MUST_CHECK;
int wal_close(wal_t *wal) MUST_CHECK;
uint64_t wal_first(const wal_t *wal);
uint64_t wal_end(const wal_t *wal); /* behind the last */
/* Appends an entry whose payload lies at `buf + WAL_HEADROOM_BYTES`; writes around it. */
int wal_append(wal_t *wal, uint64_t index, uint64_t term, uint8_t type, uint8_t *buf, size_t payload_bytes) MUST_CHECK;
int wal_truncate(wal_t *wal, uint64_t index) MUST_CHECK; /* drops it and all behind it */
int wal_trim(wal_t *wal, uint64_t index) MUST_CHECK;     /* drops what is below, where whole segments allow */
int wal_restart(wal_t *wal, uint64_t index) MUST_CHECK;  /* drops everything */
/* The same, but what was there stays in `dir`/log.cut-<index>. */
int wal_set_aside(wal_t *wal, uint64_t index) MUST_CHECK;
/* Entries that change nothing, in the place of those from `from` to below `to`: a log_mending_t's fill. */
void wal_fill(int64_t from, int64_t to, int32_t term, buf_t *out);
/* A sync is done: what it made durable is about to be acknowledged. */
void wal_synced(wal_t *wal);
/* Calls `each` for the entries from `index` up to and with `last`, at most about `bytes_max` of them (one at least);
 * payloads are valid during the call. Returns the index behind the last one seen. */
int wal_read(wal_t *wal, uint64_t index, uint64_t last, size_t bytes_max,
             int (*each)(void *user, const wal_entry_t *entry), void *user, uint64_t *ret_next) MUST_CHECK;

#endif

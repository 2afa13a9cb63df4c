/* share_partition.h: which records of one partition a share group has under way (KIP-932, KIP-1206, KIP-1222): who acquired them and
 * until when, how often they were delivered, and what became of them. Pure: an input and a time go in; the records that were
 * acquired, or what must be stored, come out.
 *
 *            start                                                                  end
 *   settled    |   acknowledged   | acquired, by A | available, once delivered | acquired, by B |   never looked at
 *
 *                 acquire                 accept
 *   AVAILABLE ---------------> ACQUIRED ----------> ACKNOWLEDGED
 *       ^                       |  |  |
 *       +-- release, time over -+  |  +-- reject, gap, log trimmed --> ARCHIVED
 *           deliveries are left    +-- release, time over, none left -----^
 *
 * A member's answers count once they are stored: until then their records are settling, nobody acquires them, and `start` stays
 * below them; when they cannot be stored, the records are acquired as before. What takes records back from a member (time,
 * the end of its session) counts at once: if that is lost, a restart makes them available, too.
 *
 * Invariants: the runs lie side by side from `start` to `end`; two neighbours differ; the first is not settled. */
#ifndef TRIVET_KAFKA_SHARE_PARTITION_H
#define TRIVET_KAFKA_SHARE_PARTITION_H

#include "base/arena.h"
#include "base/base.h"
#include "kafka/errors.h"

#define SHARE_NEVER_MS INT64_MAX

typedef enum share_delivery { /* as stored, and as ReadShareGroupState has it */
                              SHARE_AVAILABLE = 0,
                              SHARE_ACQUIRED = 1,
                              SHARE_ACKNOWLEDGED = 2,
                              SHARE_ARCHIVED = 4,
} share_delivery_t;

typedef enum share_ack_type { /* as on the wire */
                              SHARE_GAP = 0,
                              SHARE_ACCEPT = 1,
                              SHARE_RELEASE = 2,
                              SHARE_REJECT = 3,
                              SHARE_RENEW = 4,
} share_ack_type_t;

/* Records first to last, both included, that have the same fate. */
typedef struct share_run {
    int64_t first, last;
    int64_t due_ms;  /* of ACQUIRED: when its time is over */
    uint64_t member; /* of ACQUIRED: whose */
    uint32_t write;  /* settling: the number of the write that stores it; 0 = none */
    int16_t deliveries;
    uint8_t state;
    uint8_t answer; /* settling: the state it gets */
} share_run_t;

typedef struct share_runs {
    share_run_t *items;
    size_t count, cap;
} share_runs_t;

typedef struct share_partition {
    int64_t start; /* the least offset that is not settled */
    int64_t end;   /* the least offset that was never acquired */
    share_runs_t runs;
    share_runs_t spare; /* what the next change is built in */
    uint32_t last_write;
} share_partition_t;

typedef struct share_limits {
    int16_t deliveries_max;
    int32_t in_flight_max; /* records between start and end */
    int64_t lock_ms;
} share_limits_t;

/* One range of the stored state; AVAILABLE, ACKNOWLEDGED or ARCHIVED. */
typedef struct share_stored {
    int64_t first, last;
    int16_t deliveries;
    uint8_t state;
} share_stored_t;
typedef struct share_stored_list {
    share_stored_t *items; /* the arena's, ascending */
    size_t count;
} share_stored_list_t;

void share_partition_init(share_partition_t *p, int64_t start);
/* As it was stored: ranges ascending, from `start` on. What lies between them is available. ERR_CORRUPT. */
int share_partition_load(share_partition_t *p, int64_t start, const share_stored_t *ranges, size_t count) MUST_CHECK;
void share_partition_deinit(share_partition_t *p);

/* ---- acquiring ---- */

/* Where to read on: the least offset that can be acquired, or `end`. */
int64_t share_partition_next(const share_partition_t *p);
/* Something can be acquired: there are available records below the end, or the group may have more under way. */
bool share_partition_has_room(const share_partition_t *p, const share_limits_t *limits);

typedef struct share_batch {
    int64_t first, last;
    bool aborted; /* of a transaction that does not count: nobody gets it */
} share_batch_t;
typedef struct share_acquired {
    int64_t first, last;
    int16_t deliveries; /* this one included */
} share_acquired_t;
typedef struct share_acquire {
    uint64_t member;
    int64_t now_ms;
    const share_batch_t *batches; /* of the log, ascending, as they were read from `next` on */
    size_t batches_count;
    int64_t records_max; /* at least 1; with `strictly` never more, else a batch that was begun is acquired whole */
    bool strictly;
    int32_t range_records; /* a range of so many ends before the next batch; 0 = ranges end where batches do */
} share_acquire_t;
/* Acquires what is available of the batches, in ascending ranges of records that were delivered equally often; a gap that compaction
 * left between two batches is archived. Returns how many records it acquired. */
int64_t share_partition_acquire(share_partition_t *p, const share_acquire_t *in, const share_limits_t *limits,
                                arena_t *arena, share_acquired_t **ret_acquired, size_t *ret_count);

/* ---- answers ---- */

typedef struct share_ack {
    int64_t first, last;
    uint8_t type; /* share_ack_type_t */
} share_ack_t;
/* The member's answers, ascending. KAFKA_INVALID_RECORD_STATE when one is of records that it has not acquired, or no longer:
 * nothing is changed then. Those below `start` are settled and are passed over. Unless *ret_stored is empty it must be stored,
 * and share_partition_written told how that ended; *ret_write is its number. */
kafka_code_t share_partition_acknowledge(share_partition_t *p, uint64_t member, const share_ack_t *acks, size_t count,
                                         int64_t now_ms, const share_limits_t *limits, arena_t *arena,
                                         uint32_t *ret_write, share_stored_list_t *ret_stored) MUST_CHECK;
void share_partition_written(share_partition_t *p, uint32_t write, bool stored);

/* The member's session has ended: what it had acquired is available, or was delivered often enough. */
void share_partition_release(share_partition_t *p, uint64_t member, const share_limits_t *limits, arena_t *arena,
                             share_stored_list_t *ret_stored);
/* Takes back what members had for too long. */
void share_partition_tick(share_partition_t *p, int64_t now_ms, const share_limits_t *limits, arena_t *arena,
                          share_stored_list_t *ret_stored);
/* When the next time is over; SHARE_NEVER_MS without one. */
int64_t share_partition_due_ms(const share_partition_t *p);
/* How many records between `start` and `end` are answered for good, once what is being written is stored: the lag of a group does not
 * count them (KIP-1226). */
int64_t share_partition_settled(const share_partition_t *p);
/* The log begins here now: what lies below is archived. */
void share_partition_trim(share_partition_t *p, int64_t log_start);

#endif

/* ended.h: what compaction must know of transactions: whose records never counted, and of whose nothing is left but the marker
 * (KIP-98, KIP-534). Batches are shown in the order of their offsets, all of them from where the walk begins.
 *
 *      records of an aborted transaction      go at once, whatever their keys
 *      a marker behind records that are left  stays: it tells their fate
 *      a marker with nothing in front of it   stays until its delete horizon */
#ifndef TRIVET_KAFKA_RECORD_ENDED_H
#define TRIVET_KAFKA_RECORD_ENDED_H

#include "base/map.h"
#include "kafka/record/record.h"

typedef enum record_fate {
    RECORD_FATE_COUNTS,       /* no transaction's, or of one that was committed */
    RECORD_FATE_ABORTED,      /* of one that was aborted */
    RECORD_FATE_MARKER,       /* ends one of which something is left; or another control batch */
    RECORD_FATE_MARKER_SPENT, /* nothing is left of what it ended */
} record_fate_t;

typedef struct ended {
    log_aborted_t *aborted; /* by their first offsets, once the walk has begun */
    size_t count, cap, next;
    map_t open_aborted; /* producer id -> log_aborted_t in `aborted`: the walk is inside of it */
    map_t seen;         /* producer id -> NULL or not: a batch of its transaction was met */
    bool begun;
} ended_t;

#define ENDED_INIT ((ended_t){.open_aborted = MAP_INIT, .seen = MAP_INIT})
void ended_deinit(ended_t *ended);
/* Before the first batch: an aborted transaction with records where the walk goes. */
void ended_add(ended_t *ended, const log_aborted_t *aborted);
/* The fate of the next batch of the walk, whose header is read already. *ret_aborted: what the index still has to say with this
 * marker, or NULL. ERR_CORRUPT: a marker cannot be read. */
int ended_see(ended_t *ended, const batch_header_t *batch, bytes_t bytes, record_fate_t *ret_fate,
              const log_aborted_t **ret_aborted) MUST_CHECK;

#endif

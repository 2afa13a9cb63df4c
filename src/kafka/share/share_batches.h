/* share_batches.h: which offsets the batches of a slice of the log hold, from their headers alone, and which of them belong to
 * transactions that were aborted. */
#ifndef TRIVET_KAFKA_SHARE_BATCHES_H
#define TRIVET_KAFKA_SHARE_BATCHES_H

#include "kafka/partition/partition.h"
#include "kafka/share/share_partition.h"

typedef struct share_batches {
    share_batch_t *items; /* ascending; the arena's, as all here */
    uint64_t *positions;  /* of each in the file, and of what comes behind the last */
    size_t count;
} share_batches_t;

/* Looks at the batches that begin below `end`. With `read_committed` those of aborted transactions are marked. KAFKA_STORAGE_ERROR,
 * CORRUPT_MESSAGE. */
kafka_code_t share_batches_read(partition_t *partition, const log_slice_t *slice, int64_t end, bool read_committed,
                                arena_t *arena, share_batches_t *ret_batches) MUST_CHECK;
/* Cuts the slice down to the batches that hold records of [first, last]. */
void share_batches_cut(const share_batches_t *batches, int64_t first, int64_t last, log_slice_t *slice);

#endif

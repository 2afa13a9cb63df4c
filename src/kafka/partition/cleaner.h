/* cleaner.h: compacts topics whose cleanup.policy has "compact", one partition at a time, as Kafka's log cleaner does.
 *
 * A round over a partition: the newest offset of each key in the dirty part (behind what the last round cleaned) goes into
 * a map of bounded size; then all sealed segments up to where the map knows the keys are rewritten without the records that
 * the map knows newer ones for. A round that fills the map cleans up to where it got. Only sealed segments are touched, and
 * only what is below the high watermark and on stable storage.
 *
 * It runs on the loop in slices of a millisecond with pauses between (docs/decisions/0025-compaction.md); what is more than
 * the loop bears at once, a large or a compressed batch, is the opener's. */
#ifndef TRIVET_KAFKA_CLEANER_H
#define TRIVET_KAFKA_CLEANER_H

#include "kafka/kafka_internal.h"

typedef struct cleaner cleaner_t;

cleaner_t *cleaner_new(kafka_t *kafka, partition_store_t *store);
void cleaner_free(cleaner_t *cleaner);
/* The partition is about to close: a round that is at it comes to nothing. */
void cleaner_forget(cleaner_t *cleaner, const partition_t *partition);

/* ---- cleaner_choose.c ------------------------------------------------------------------------------------------------ */

/* What there is to do for a partition. */
typedef struct cleaner_range {
    partition_t *partition; /* NULL = nothing */
    int64_t dirty, end;     /* from where the map is built, and up to where; `end` is a segment's base */
    double ratio;           /* of dirty bytes in all that would be cleaned */
} cleaner_range_t;
/* The partition that needs it most. Seals active segments whose time has come. */
cleaner_range_t cleaner_choose(partition_store_t *store);

#endif

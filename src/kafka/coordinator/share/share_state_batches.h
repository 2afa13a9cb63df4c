/* share_state_batches.h: the batches of a share partition's state: runs of offsets with the same fate. Pure.
 *
 * Where batches overlap, the one that was delivered more often counts, of equals the one with the greater state: so a state
 * never goes back, in whatever order its parts come. */
#ifndef TRIVET_KAFKA_COORDINATOR_SHARE_STATE_BATCHES_H
#define TRIVET_KAFKA_COORDINATOR_SHARE_STATE_BATCHES_H

#include "base/base.h"

/* Offsets that have the same fate, as stored. */
typedef struct share_state_batch {
    int64_t first_offset, last_offset; /* both included */
    int8_t delivery_state;             /* 0 available, 2 acknowledged, 4 archived */
    int16_t delivery_count;
} share_state_batch_t;

/* Whether a batch is one: 0 <= first <= last. */
static inline bool share_state_batch_is_valid(const share_state_batch_t *b)
{
    return b->first_offset >= 0 && b->first_offset <= b->last_offset && b->last_offset < INT64_MAX;
}

/* Lays `fresh`, valid batches in any order, over `under`, which is in order and does not overlap; forgets what is below
 * `start_offset` (-1: nothing is). *ret_count batches come back, in order and without overlap, neighbours of the same fate
 * joined; the caller frees them. */
share_state_batch_t *share_state_batches_lay(const share_state_batch_t *under, size_t under_count,
                                             const share_state_batch_t *fresh, size_t fresh_count, int64_t start_offset,
                                             size_t *ret_count);

#endif

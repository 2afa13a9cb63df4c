/* share_internal.h: how the files of a share partition change its runs. */
#ifndef TRIVET_KAFKA_SHARE_INTERNAL_H
#define TRIVET_KAFKA_SHARE_INTERNAL_H

#include "kafka/share/share_partition.h"

/* One change: `on_piece` is shown each part of a run that lies in one of the edits, which are ascending, and changes it in place.
 * It may shorten the piece, when it has done with the edit: the rest stays as it was. What it leaves is put together again. */
typedef struct share_change {
    const share_ack_t *edits;
    size_t count;
    void (*on_piece)(struct share_change *change, share_run_t *piece, const share_ack_t *edit);
} share_change_t;
void share__change(share_partition_t *p, share_change_t *change);

/* Adds a run at the end. */
void share__extend(share_partition_t *p, share_run_t run);

/* Everything there is. */
static inline share_ack_t share__all(const share_partition_t *p) { return (share_ack_t){p->start, p->end - 1, 0}; }

/* Collects what must be stored; the arena holds as many as a change of so many edits can have pieces. */
typedef struct share_collector {
    share_stored_list_t list;
    size_t max;
} share_collector_t;
void share__collector_init(share_collector_t *collector, const share_partition_t *p, size_t edits, arena_t *arena);
void share__collect(share_collector_t *collector, const share_run_t *piece, uint8_t state);

/* What a record becomes that is given back. */
static inline uint8_t share__given_back(int16_t deliveries, const share_limits_t *limits)
{
    return deliveries >= limits->deliveries_max ? SHARE_ARCHIVED : SHARE_AVAILABLE;
}

static inline bool share__is_settled(const share_run_t *run)
{
    return run->write == 0 && (run->state == SHARE_ACKNOWLEDGED || run->state == SHARE_ARCHIVED);
}

#endif

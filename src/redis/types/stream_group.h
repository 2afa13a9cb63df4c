/* stream_group.h: a stream's consumer groups. A group remembers how far it was read and which entries were delivered and
 * not yet acknowledged. One record stands for a pending entry; the group's tree and its consumer's both point to it.
 *
 *      group    pending: 1-0 -> P   2-0 -> Q   3-0 -> R
 *      alice    pending: 1-0 -> P              3-0 -> R         P.consumer = alice
 *      bob      pending:            2-0 -> Q */
#ifndef TRIVET_REDIS_TYPES_STREAM_GROUP_H
#define TRIVET_REDIS_TYPES_STREAM_GROUP_H

#include "redis/types/emit.h"
#include "redis/types/stream.h"

#define STREAM_ENTRIES_READ_UNKNOWN (-1)
#define STREAM_NEVER_ACTIVE         (-1)

typedef struct stream_consumer {
    idtree_t pending; /* stream_pending_t; the group frees them */
    int64_t seen_ms, active_ms;
    uint32_t name_len;
    uint8_t name[];
} stream_consumer_t;

typedef struct stream_pending {
    stream_consumer_t *consumer;
    int64_t delivered_ms; /* set by stream_pending_deliver alone; 0: given back (XNACK) */
    uint64_t deliveries;
    uint64_t order; /* of deliveries in one millisecond */
} stream_pending_t;

#define STREAM_DELIVERIES_MAX ((uint64_t)INT64_MAX)
/* Who has what XNACK gave back: a consumer without a name. */
#define STREAM_NOBODY BYTES_LIT("")

typedef struct stream_group {
    stream_id_t last_id;  /* delivered */
    int64_t entries_read; /* or unknown */
    idtree_t pending;     /* stream_pending_t */
    idtree_t by_time;     /* {delivered_ms, order} -> the ID, a stream_id_t; empty until somebody asks for it */
    bool timed;           /* somebody did: it is kept */
    uint64_t deliveries;  /* so far: the next one's order */
    table_t consumers;    /* stream_consumer_t */
    uint32_t name_len;
    uint8_t name[];
} stream_group_t;

static inline bytes_t stream_group_name(const stream_group_t *g) { return bytes_of(g->name, g->name_len); }
static inline bytes_t stream_consumer_name(const stream_consumer_t *c) { return bytes_of(c->name, c->name_len); }

void stream_groups_init(stream_t *s);
void stream_groups_deinit(stream_t *s);
/* Frees what groups have pending, piece by piece, of a stream that nobody uses any more: an entry costs one of the budget. True when
 * there is no more. */
bool stream_groups_drain(stream_t *s, size_t *budget);
void stream_groups_copy(stream_t *to, const stream_t *from);
size_t stream_groups_memory(const stream_t *s);
void stream_groups_emit(const stream_t *s, bytes_t key, redis_emitter_t *out);
void stream_emit_id(redis_emitter_t *out, stream_id_t id);

stream_group_t *stream_group_find(const stream_t *s, bytes_t name);
/* The name must be free. */
stream_group_t *stream_group_add(stream_t *s, bytes_t name, stream_id_t last_id, int64_t entries_read);
void stream_group_remove(stream_t *s, stream_group_t *g);
/* All of them in the order of their names; the array is the caller's to free. NULL when there is none. */
stream_group_t **stream_groups_sorted(const stream_t *s);

stream_consumer_t *stream_consumer_find(const stream_group_t *g, bytes_t name);
stream_consumer_t *stream_consumer_add(stream_group_t *g, bytes_t name, int64_t now_ms);
/* With all that is pending for it. */
void stream_consumer_remove(stream_group_t *g, stream_consumer_t *c);
stream_consumer_t **stream_consumers_sorted(const stream_group_t *g);

stream_pending_t *stream_pending_find(const stream_group_t *g, stream_id_t id);
/* Pending for this consumer from now on, whoever had it before; a new record, all zero, when nobody had. */
stream_pending_t *stream_pending_give(stream_group_t *g, stream_id_t id, stream_consumer_t *c, bool *ret_added);
/* It was delivered at that time (Unix ms). */
void stream_pending_deliver(stream_group_t *g, stream_id_t id, stream_pending_t *p, int64_t at_ms);
/* The pending entry that was delivered longest ago; false when nothing is pending. The first call puts all of them in
 * order, which from then on is kept. */
bool stream_pending_oldest(stream_group_t *g, stream_id_t *ret_id, int64_t *ret_delivered_ms);
/* False when it was not pending. */
bool stream_pending_drop(stream_group_t *g, stream_id_t id);

/* Of all groups: pending no longer; returns in how many it was. */
size_t stream_groups_drop(stream_t *s, stream_id_t id);
/* Every group was given the entry, and none has it pending. */
bool stream_groups_are_done(const stream_t *s, stream_id_t id);

/* `id` is delivered and greater than last_id: the group goes on to it. */
void stream_group_advance(const stream_t *s, stream_group_t *g, stream_id_t id);
/* How many entries the group has yet to be given; false when that cannot be told. */
bool stream_group_lag(const stream_t *s, const stream_group_t *g, int64_t *ret_lag);

#endif

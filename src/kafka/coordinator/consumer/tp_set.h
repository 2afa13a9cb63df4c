/* tp_set.h: sets of topic partitions, sorted by topic id and partition: what a member of a "consumer"
 * group (KIP-848) owns, gives up, or is to get. */
#ifndef TRIVET_KAFKA_GROUPS_TP_SET_H
#define TRIVET_KAFKA_GROUPS_TP_SET_H

#include "base/base.h"
#include "wire/kafka.h"

typedef struct topic_partition {
    kafka_uuid_t topic;
    int32_t partition;
} topic_partition_t;

typedef struct tp_set {
    topic_partition_t *items; /* ascending, without doubles */
    size_t count, cap;
} tp_set_t;

static inline void tp_set_clear(tp_set_t *s) { s->count = 0; }
void tp_set_deinit(tp_set_t *s);
bool tp_set_has(const tp_set_t *s, topic_partition_t tp);
void tp_set_add(tp_set_t *s, topic_partition_t tp);
void tp_set_copy(tp_set_t *to, const tp_set_t *from);
bool tp_set_eq(const tp_set_t *a, const tp_set_t *b);
/* Every member of `a` is in `b`. */
bool tp_set_within(const tp_set_t *a, const tp_set_t *b);
bool tp_set_meets(const tp_set_t *a, const tp_set_t *b);
/* How many items from `at` on share its topic. */
size_t tp_set_run(const tp_set_t *s, size_t at);

#endif

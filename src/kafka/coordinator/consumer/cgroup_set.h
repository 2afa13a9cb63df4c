/* cgroup_set.h: sets of topic partitions, sorted by topic id and partition: what a member of a "consumer"
 * group (KIP-848) owns, gives up, or is to get. */
#ifndef TRIVET_KAFKA_GROUPS_CGROUP_SET_H
#define TRIVET_KAFKA_GROUPS_CGROUP_SET_H

#include "base/base.h"
#include "wire/kafka.h"

typedef struct cgroup_tp {
    kafka_uuid_t topic;
    int32_t partition;
} cgroup_tp_t;

typedef struct cgroup_set {
    cgroup_tp_t *items; /* ascending, without doubles */
    size_t count, cap;
} cgroup_set_t;

static inline void cgroup_set_clear(cgroup_set_t *s) { s->count = 0; }
void cgroup_set_deinit(cgroup_set_t *s);
bool cgroup_set_has(const cgroup_set_t *s, cgroup_tp_t tp);
void cgroup_set_add(cgroup_set_t *s, cgroup_tp_t tp);
void cgroup_set_remove(cgroup_set_t *s, cgroup_tp_t tp);
void cgroup_set_copy(cgroup_set_t *to, const cgroup_set_t *from);
bool cgroup_set_eq(const cgroup_set_t *a, const cgroup_set_t *b);
/* Every member of `a` is in `b`. */
bool cgroup_set_within(const cgroup_set_t *a, const cgroup_set_t *b);
bool cgroup_set_meets(const cgroup_set_t *a, const cgroup_set_t *b);
/* How many items from `at` on share its topic. */
size_t cgroup_set_run(const cgroup_set_t *s, size_t at);

#endif

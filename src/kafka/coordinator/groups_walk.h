/* groups_walk.h: all groups that have started, one after another, over as many turns as that takes. They may come and go meanwhile:
 * one that came may be left out, and none is seen twice. */
#ifndef TRIVET_KAFKA_COORDINATOR_GROUPS_WALK_H
#define TRIVET_KAFKA_COORDINATOR_GROUPS_WALK_H

#include "kafka/coordinator/groups.h"

typedef struct groups_walk {
    kafka_groups_t *groups;
    int32_t partition; /* whose groups come when those at hand are through */
    group_entry_t **entries;
    size_t count, next;
} groups_walk_t;

void groups_walk_begin(groups_walk_t *walk, kafka_groups_t *groups);
/* Another group may follow: *ret_entry, or NULL when the one whose turn it was is gone. False at the end, and the walk holds
 * nothing any more. The entry lives until the next call. */
bool groups_walk_next(groups_walk_t *walk, group_entry_t **ret_entry) MUST_CHECK;
/* Before its end. Harmless behind it. */
void groups_walk_stop(groups_walk_t *walk);

#endif

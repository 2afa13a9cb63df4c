/* share_group_records.h: what share groups leave in __consumer_offsets: six kinds of records, told apart by the version of their key
 * (10 to 15). Shapes: schema/kafka/share_group_records.schema. */
#ifndef TRIVET_KAFKA_COORDINATOR_SHARE_GROUP_RECORDS_H
#define TRIVET_KAFKA_COORDINATOR_SHARE_GROUP_RECORDS_H

#include "base/arena.h"
#include "kafka/coordinator/runtime_batch.h"
#include "kafka/coordinator/share/share_group.h"

typedef enum share_group_record_kind { /* the versions of the keys */
                                       SHARE_GROUP_RECORD_MEMBER = 10,
                                       SHARE_GROUP_RECORD_EPOCH = 11,
                                       SHARE_GROUP_RECORD_ASSIGNMENT_EPOCH = 12,
                                       SHARE_GROUP_RECORD_TARGET = 13,
                                       SHARE_GROUP_RECORD_CURRENT = 14,
                                       SHARE_GROUP_RECORD_STATES = 15,
} share_group_record_kind_t;

/* Adds what is dirty, and cleans it. False when nothing was. */
bool share_group_records_add(runtime_batch_t *records, share_group_t *group);
/* Tombstones for all that a group may have left. */
void share_group_records_add_tombstones(runtime_batch_t *records, const share_group_t *group);

/* ERR_NOT_FOUND: not one of these kinds. The group's id refers to `key`. */
int share_group_record_group(bytes_t key, share_group_record_kind_t *ret_kind, bytes_t *ret_group_id) MUST_CHECK;
/* Replays one record onto its group. A null value is a tombstone (that of the epoch ends the group, which is the caller's
 * business). */
int share_group_record_load(share_group_t *group, bytes_t key, bytes_t value, arena_t *arena) MUST_CHECK;

#endif

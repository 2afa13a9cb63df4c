/* cgroup_records.h: what consumer-protocol groups leave in __consumer_offsets: six kinds of records, told
 * apart by the version of their key (3 to 8). Shapes: schema/kafka/consumer_group_records.schema. */
#ifndef TRIVET_KAFKA_GROUPS_CGROUP_RECORDS_H
#define TRIVET_KAFKA_GROUPS_CGROUP_RECORDS_H

#include "kafka/coordinator/classic/group_records.h"
#include "kafka/coordinator/consumer/cgroup.h"

typedef enum cgroup_record_kind { /* the versions of the keys */
                                  CGROUP_RECORD_EPOCH = 3,
                                  CGROUP_RECORD_TOPICS = 4,
                                  CGROUP_RECORD_MEMBER = 5,
                                  CGROUP_RECORD_ASSIGNMENT_EPOCH = 6,
                                  CGROUP_RECORD_TARGET = 7,
                                  CGROUP_RECORD_CURRENT = 8,
} cgroup_record_kind_t;

/* Adds what is dirty, and cleans it. False when nothing was. */
bool cgroup_records_add(runtime_batch_t *records, cgroup_t *group);
/* Tombstones for all that a group, which is clean, may have left. */
void cgroup_records_add_tombstones(runtime_batch_t *records, const cgroup_t *group);

/* ERR_NOT_FOUND: not one of these kinds. The group's id refers to `key`. */
int cgroup_record_group(bytes_t key, cgroup_record_kind_t *ret_kind, bytes_t *ret_group_id) MUST_CHECK;
/* Replays one record onto its group. A null value is a tombstone (that of CGROUP_RECORD_EPOCH ends the group,
 * which is the caller's business). */
int cgroup_record_load(cgroup_t *group, bytes_t key, bytes_t value, arena_t *arena) MUST_CHECK;

/* A set as the wire has it: topics with their partitions. All shapes of this kind have this layout. */
typedef struct cgroup_wire_topic {
    kafka_uuid_t id;
    int32_t *partitions;
    int32_t partitions_count;
} cgroup_wire_topic_t;
cgroup_wire_topic_t *cgroup_wire_topics(arena_t *arena, const cgroup_set_t *set, int32_t *ret_count);
void cgroup_set_from_wire(cgroup_set_t *set, const void *topics, int32_t topics_count);

#endif

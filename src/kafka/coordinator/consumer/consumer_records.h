/* consumer_records.h: what consumer-protocol groups leave in __consumer_offsets: six kinds of records, told
 * apart by the version of their key (3 to 8). Shapes: schema/kafka/consumer_group_records.schema. */
#ifndef TRIVET_KAFKA_GROUPS_CONSUMER_RECORDS_H
#define TRIVET_KAFKA_GROUPS_CONSUMER_RECORDS_H

#include "kafka/coordinator/classic/group_records.h"
#include "kafka/coordinator/consumer/consumer_group.h"

typedef enum consumer_record_kind { /* the versions of the keys */
                                    CONSUMER_RECORD_EPOCH = 3,
                                    CONSUMER_RECORD_TOPICS = 4,
                                    CONSUMER_RECORD_MEMBER = 5,
                                    CONSUMER_RECORD_ASSIGNMENT_EPOCH = 6,
                                    CONSUMER_RECORD_TARGET = 7,
                                    CONSUMER_RECORD_CURRENT = 8,
} consumer_record_kind_t;

/* Adds what is dirty, and cleans it. False when nothing was. */
bool consumer_records_add(runtime_batch_t *records, consumer_group_t *group);
/* Tombstones for all that a group, which is clean, may have left. */
void consumer_records_add_tombstones(runtime_batch_t *records, const consumer_group_t *group);

/* ERR_NOT_FOUND: not one of these kinds. The group's id refers to `key`. */
int consumer_record_group(bytes_t key, consumer_record_kind_t *ret_kind, bytes_t *ret_group_id) MUST_CHECK;
/* Replays one record onto its group. A null value is a tombstone (that of CONSUMER_RECORD_EPOCH ends the group,
 * which is the caller's business). */
int consumer_record_load(consumer_group_t *group, bytes_t key, bytes_t value, arena_t *arena) MUST_CHECK;

/* A set as the wire has it: topics with their partitions. All shapes of this kind have this layout. */
typedef struct consumer_wire_topic {
    kafka_uuid_t id;
    int32_t *partitions;
    int32_t partitions_count;
} consumer_wire_topic_t;
consumer_wire_topic_t *consumer_wire_topics(arena_t *arena, const tp_set_t *set, int32_t *ret_count);
void tp_set_from_wire(tp_set_t *set, const void *topics, int32_t topics_count);

#endif

/* group_records.h: the records of __consumer_offsets, in Kafka's own format: key and value begin with an
 * int16 version; the key's version says what the record is. kafka-dump-log.sh and the console consumer's
 * formatters read them. Shapes: schema/kafka/group_records.schema. */
#ifndef TRIVET_KAFKA_GROUPS_GROUP_RECORDS_H
#define TRIVET_KAFKA_GROUPS_GROUP_RECORDS_H

#include "base/arena.h"
#include "kafka/coordinator/classic/group.h"
#include "kafka/coordinator/classic/group_offsets.h"
#include "kafka/coordinator/runtime_batch.h"
#include "wire/kafka.h"

typedef struct group_record {
    enum {
        GROUP_RECORD_OTHER, /* of a kind this server does not keep (the newer group types) */
        GROUP_RECORD_OFFSET,
        GROUP_RECORD_GROUP,
    } kind;
    bool tombstone;
    bytes_t group_id;
    bytes_t topic; /* of an offset */
    int32_t partition;
    group_offset_t offset;
    struct kafka_group_metadata_value *group; /* in the arena */
} group_record_t;

/* Bytes refer to `key` and `value`. ERR_TRUNCATED, ERR_INVALID, ERR_LIMIT. */
int group_record_decode(bytes_t key, bytes_t value, arena_t *arena, group_record_t *ret_record) MUST_CHECK;

/* Key and value of an offset's record, each behind its version. */
void group_record_encode_key(kafka_writer_t *key, bytes_t group_id, bytes_t topic, int32_t partition);
void group_record_encode_offset(kafka_writer_t *value, const group_offset_t *offset);

/* `offset` NULL adds a tombstone. */
void group_records_add_offset(runtime_batch_t *records, bytes_t group_id, bytes_t topic, int32_t partition,
                              const group_offset_t *offset);
void group_records_add_group(runtime_batch_t *records, const group_t *group, const group_store_t *store);
void group_records_add_group_tombstone(runtime_batch_t *records, bytes_t group_id);

/* Onto a new group. ERR_EXISTS when the record names a member twice. */
int group_record_load(group_t *group, const struct kafka_group_metadata_value *value) MUST_CHECK;

#endif

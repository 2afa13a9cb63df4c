/* share_state_records.h: share partitions' states as records of __share_group_state, in Kafka's format: a snapshot has the whole
 * state, an update what has changed since. */
#ifndef TRIVET_KAFKA_COORDINATOR_SHARE_STATE_RECORDS_H
#define TRIVET_KAFKA_COORDINATOR_SHARE_STATE_RECORDS_H

#include "base/arena.h"
#include "kafka/coordinator/runtime_batch.h"
#include "kafka/coordinator/share/share_state.h"

/* What a snapshot has beside the state. */
typedef struct share_snapshot {
    int32_t epoch;
    int64_t created_ms, written_ms; /* Unix time */
} share_snapshot_t;

void share_state_records_add_snapshot(runtime_batch_t *records, const share_state_key_t *key,
                                      const share_snapshot_t *snapshot, const share_state_value_t *value);
/* `value->state_epoch` is not stored. */
void share_state_records_add_update(runtime_batch_t *records, const share_state_key_t *key, int32_t snapshot_epoch,
                                    const share_state_value_t *value);
void share_state_records_add_tombstone(runtime_batch_t *records, const share_state_key_t *key);

typedef struct share_state_record {
    enum { SHARE_RECORD_UNKNOWN, SHARE_RECORD_SNAPSHOT, SHARE_RECORD_UPDATE } kind;
    bool tombstone;
    share_state_key_t key;
    share_snapshot_t snapshot; /* of an update only the epoch */
    share_state_value_t value;
} share_state_record_t;
/* Bytes refer to `key`, batches to the arena. ERR_TRUNCATED, ERR_INVALID, ERR_LIMIT. */
int share_state_record_decode(bytes_t key, bytes_t value, arena_t *arena, share_state_record_t *ret_record) MUST_CHECK;

#endif

/* txn_records.h: transactional ids as records of __transaction_state, in Kafka's format. */
#ifndef TRIVET_KAFKA_COORDINATOR_TXN_RECORDS_H
#define TRIVET_KAFKA_COORDINATOR_TXN_RECORDS_H

#include "base/arena.h"
#include "kafka/coordinator/runtime_batch.h"
#include "kafka/coordinator/txn/txn.h"

/* The state that is to be entered, with all its partitions: those that there are, unless it is over, and `adding` (or NULL). */
void txn_records_add(runtime_batch_t *records, bytes_t id, const txn_fields_t *next, const txn_parts_t *parts,
                     const txn_parts_t *adding);
void txn_records_add_tombstone(runtime_batch_t *records, bytes_t id);

typedef struct txn_record {
    bytes_t id; /* ptr NULL: a record of a kind that is not known here */
    bool tombstone;
    txn_fields_t fields;
    struct kafka_transaction_log_value *value; /* in the arena; of the partitions */
} txn_record_t;
/* Bytes refer to `key` and `value`. ERR_TRUNCATED, ERR_INVALID, ERR_LIMIT. */
int txn_record_decode(bytes_t key, bytes_t value, arena_t *arena, txn_record_t *ret_record) MUST_CHECK;
/* The partitions of a decoded record. */
void txn_record_parts(const txn_record_t *record, txn_parts_t *out);

#endif

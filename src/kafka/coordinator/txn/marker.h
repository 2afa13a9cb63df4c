/* marker.h: writes the marker that ends a producer's transaction in one partition of this broker. The transaction coordinator
 * and WriteTxnMarkers do so. */
#ifndef TRIVET_KAFKA_COORDINATOR_TXN_MARKER_H
#define TRIVET_KAFKA_COORDINATOR_TXN_MARKER_H

#include "kafka/kafka_internal.h"
#include "kafka/partition/partition.h"

/* The caller's, until `done` has run. */
typedef struct txn_marker_write {
    partition_commit_t commit;
    void (*done)(struct txn_marker_write *write, kafka_code_t error);
    kafka_t *kafka;
    int32_t partition;
    bool of_groups; /* of __consumer_offsets */
    record_marker_t marker;
} txn_marker_write_t;

/* `done` runs once the marker counts as written, as acks=all would have it; maybe within the call. Errors are those of
 * kafka_partition_get and partition_end_transaction. */
void txn_marker_write(kafka_t *kafka, bytes_t topic, int32_t partition, const record_marker_t *marker,
                      txn_marker_write_t *write, void (*done)(txn_marker_write_t *write, kafka_code_t error));

#endif

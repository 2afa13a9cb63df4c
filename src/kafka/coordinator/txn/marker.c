/* marker.c: see marker.h. */
#include "kafka/coordinator/txn/marker.h"

static void committed(partition_commit_t *commit, kafka_code_t error)
{
    txn_marker_write_t *write = CONTAINER_OF(commit, txn_marker_write_t, commit);
    write->done(write, error);
}

void txn_marker_write(kafka_t *kafka, bytes_t topic, int32_t partition, const record_marker_t *marker,
                      txn_marker_write_t *write, void (*done)(txn_marker_write_t *write, kafka_code_t error))
{
    partition_t *target;
    write->done = done;
    kafka_code_t error = kafka_partition_get(kafka, topic, partition, &target);
    if (!error) error = partition_end_transaction(target, marker);
    if (!error && partition_needs_commit(target))
        partition_commit(target, &write->commit, committed);
    else
        done(write, error);
}

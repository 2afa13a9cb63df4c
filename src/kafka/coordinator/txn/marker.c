/* marker.c: see marker.h. */
#include "kafka/coordinator/txn/marker.h"

#include "kafka/coordinator/groups.h"

/* The offsets that a transaction has of groups count from here on. */
static void end(txn_marker_write_t *write, kafka_code_t error)
{
    if (!error && write->of_groups)
        groups_txn_end(write->kafka->groups, write->partition, write->marker.producer_id, write->marker.commits);
    write->done(write, error);
}

static void committed(partition_commit_t *commit, kafka_code_t error)
{
    end(CONTAINER_OF(commit, txn_marker_write_t, commit), error);
}

/* A marker that comes while the groups of its partition are read back would be met by who reads them, and come again from here. */
static kafka_code_t check_groups(const txn_marker_write_t *write)
{
    const runtime_t *runtime = groups_runtime(write->kafka->groups);
    if (!write->of_groups) return KAFKA_NONE;
    return runtime_check_partition(runtime, write->partition) ? KAFKA_NOT_LEADER_OR_FOLLOWER : KAFKA_NONE;
}

static bool is_of_groups(const txn_marker_write_t *write, const partition_t *target)
{
    const runtime_t *runtime = groups_runtime(write->kafka->groups);
    return partition_topic(target) == runtime_topic(runtime) && write->partition < runtime_partitions_count(runtime);
}

void txn_marker_write(kafka_t *kafka, bytes_t topic, int32_t partition, const record_marker_t *marker,
                      txn_marker_write_t *write, void (*done)(txn_marker_write_t *write, kafka_code_t error))
{
    partition_t *target;
    *write = (txn_marker_write_t){.done = done, .kafka = kafka, .partition = partition, .marker = *marker};
    kafka_code_t error = kafka_partition_get(kafka, topic, partition, &target);
    if (!error) write->of_groups = is_of_groups(write, target);
    if (!error) error = check_groups(write);
    if (!error) error = partition_end_transaction(target, marker);
    if (!error && partition_needs_commit(target))
        partition_commit(target, &write->commit, committed);
    else
        end(write, error);
}

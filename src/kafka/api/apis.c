/* apis.c: which handler serves which API: one row each. ApiVersions advertises exactly these. */
#include "kafka/api/apis.h"
#include "kafka/api/group_apis.h"

static const kafka_handler_t handlers[KAFKA_API_KEY_MAX + 1] = {
    [KAFKA_API_PRODUCE] = {kafka_handle_produce, KAFKA_HANDLER_BORROWS | KAFKA_HANDLER_OVERLAPS},
    [KAFKA_API_FETCH] = {kafka_handle_fetch, 0},
    [KAFKA_API_LIST_OFFSETS] = {kafka_handle_list_offsets, KAFKA_HANDLER_LASTS},
    [KAFKA_API_OFFSET_FOR_LEADER_EPOCH] = {kafka_handle_offset_for_leader_epoch, KAFKA_HANDLER_LASTS},
    [KAFKA_API_DELETE_RECORDS] = {kafka_handle_delete_records, KAFKA_HANDLER_LASTS},
    [KAFKA_API_DESCRIBE_PRODUCERS] = {kafka_handle_describe_producers, KAFKA_HANDLER_LASTS},
    [KAFKA_API_WRITE_TXN_MARKERS] = {kafka_handle_write_txn_markers, KAFKA_HANDLER_LASTS},
    [KAFKA_API_ADD_PARTITIONS_TO_TXN] = {kafka_handle_add_partitions_to_txn, KAFKA_HANDLER_LASTS},
    [KAFKA_API_ADD_OFFSETS_TO_TXN] = {kafka_handle_add_offsets_to_txn, 0},
    [KAFKA_API_TXN_OFFSET_COMMIT] = {kafka_handle_txn_offset_commit, KAFKA_HANDLER_LASTS},
    [KAFKA_API_END_TXN] = {kafka_handle_end_txn, 0},
    [KAFKA_API_DESCRIBE_TRANSACTIONS] = {kafka_handle_describe_transactions, KAFKA_HANDLER_LASTS},
    [KAFKA_API_LIST_TRANSACTIONS] = {kafka_handle_list_transactions, KAFKA_HANDLER_LASTS},
    [KAFKA_API_SHARE_FETCH] = {kafka_handle_share_fetch, 0},
    [KAFKA_API_SHARE_ACKNOWLEDGE] = {kafka_handle_share_acknowledge, KAFKA_HANDLER_LASTS},
    [KAFKA_API_INIT_PRODUCER_ID] = {kafka_handle_init_producer_id, 0},
#define X(key, handler, flags) [key] = {handler, flags},
    KAFKA_GROUP_HANDLERS(X)
#undef X
        [KAFKA_API_METADATA] = {kafka_handle_metadata, KAFKA_HANDLER_LASTS},
    [KAFKA_API_API_VERSIONS] = {kafka_handle_api_versions, 0},
    [KAFKA_API_CREATE_TOPICS] = {kafka_handle_create_topics, KAFKA_HANDLER_LASTS},
    [KAFKA_API_DELETE_TOPICS] = {kafka_handle_delete_topics, KAFKA_HANDLER_LASTS},
    [KAFKA_API_DESCRIBE_ACLS] = {kafka_handle_describe_acls, 0},
    [KAFKA_API_DESCRIBE_CONFIGS] = {kafka_handle_describe_configs, KAFKA_HANDLER_LASTS},
    [KAFKA_API_ALTER_CONFIGS] = {kafka_handle_alter_configs, KAFKA_HANDLER_LASTS},
    [KAFKA_API_DESCRIBE_LOG_DIRS] = {kafka_handle_describe_log_dirs, KAFKA_HANDLER_LASTS},
    [KAFKA_API_CREATE_PARTITIONS] = {kafka_handle_create_partitions, KAFKA_HANDLER_LASTS},
    [KAFKA_API_INCREMENTAL_ALTER_CONFIGS] = {kafka_handle_incremental_alter_configs, KAFKA_HANDLER_LASTS},
    [KAFKA_API_LIST_CONFIG_RESOURCES] = {kafka_handle_list_config_resources, KAFKA_HANDLER_LASTS},
    [KAFKA_API_LIST_PARTITION_REASSIGNMENTS] = {kafka_handle_list_partition_reassignments, 0},
    [KAFKA_API_DESCRIBE_CLUSTER] = {kafka_handle_describe_cluster, 0},
    [KAFKA_API_DESCRIBE_TOPIC_PARTITIONS] = {kafka_handle_describe_topic_partitions, KAFKA_HANDLER_LASTS},
};

const kafka_handler_t *kafka_handler_find(int16_t api_key)
{
    if (api_key < 0 || api_key > KAFKA_API_KEY_MAX || !handlers[api_key].handle) return NULL;
    return &handlers[api_key];
}

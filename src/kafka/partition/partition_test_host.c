/* partition_test_host.c: see partition_test_host.h. */
#include "kafka/partition/partition_test_host.h"
#include "kafka/partition/opener.h"
#include "kafka/partition/partition_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

void partition_test_settings(kafka_t *kafka, kafka_topic_t *topic, kafka_partition_state_t *state)
{
    kafka->config.log_retention_check_interval_ms = 300000;
    kafka->config.log_flush_offset_checkpoint_interval_ms = 60000;
    kafka->config.producer_id_expiration_check_interval_ms = 600000;
    kafka->config.producer_id_expiration_ms = 86400000;
    *topic = (kafka_topic_t){.kafka = kafka, .name = "t", .name_len = 1, .partitions_count = 1, .partitions = state};
    topic->config = (kafka_topic_config_t){.cleanup_policy = KAFKA_CLEANUP_POLICY_DELETE,
                                           .compression_type = KAFKA_COMPRESSION_TYPE_PRODUCER,
                                           .message_timestamp_type = KAFKA_MESSAGE_TIMESTAMP_TYPE_CREATETIME,
                                           .delete_retention_ms = 86400000,
                                           .file_delete_delay_ms = 60000,
                                           .flush_messages = INT64_MAX,
                                           .flush_ms = INT64_MAX,
                                           .index_interval_bytes = 4096,
                                           .max_compaction_lag_ms = INT64_MAX,
                                           .max_message_bytes = 1048588,
                                           .message_timestamp_after_max_ms = INT64_MAX,
                                           .message_timestamp_before_max_ms = INT64_MAX,
                                           .min_cleanable_dirty_ratio = 0.5,
                                           .min_insync_replicas = 1,
                                           .retention_bytes = -1,
                                           .retention_ms = -1,
                                           .segment_bytes = 20000,
                                           .segment_index_bytes = 10 << 20,
                                           .segment_ms = 604800000};
}

partition_host_t *partition_host_new(uint64_t seed)
{
    partition_host_t *h = calloc(1, sizeof(*h));
    h->sim = sim_new(seed);
    h->node = sim_node_new(h->sim, "10.0.0.1");
    h->kafka.data_dir = "/data";
    partition_test_settings(&h->kafka, &h->topic, &h->state);
    arena_init(&h->arena, 0);
    list_init(&h->kafka.topic_listeners);
    health_init(&h->kafka.health, "kafka");
    h->builder = RECORD_BUILDER_INIT;
    return h;
}

void partition_host_start(partition_host_t *host)
{
    host->kafka.loop = sim_node_loop(host->node);
    host->kafka.opener = opener_new(host->kafka.loop);
    slices_init(&host->kafka.slices, host->kafka.loop);
    assert_int_equal(partition_store_open(&host->kafka), 0);
    char why[PARTITION_WHY_CHARS_MAX];
    assert_int_equal(partition_open(&host->topic, 0, &host->p, why), 0);
    host->state.log = host->p;
    partition_store_opened(&host->kafka);
}

void partition_host_stop(partition_host_t *host)
{
    if (host->state.offline) host->kafka.partitions->failed = true;
    partition_offline_forget(&host->topic, 0);
    if (host->state.log) partition_close(host->state.log);
    host->state.log = host->p = NULL;
    partition_store_close(&host->kafka);
    opener_free(host->kafka.opener); /* last: what it is at must bear that all else is gone */
    host->kafka.opener = NULL;
}

void partition_host_free(partition_host_t *host)
{
    health_deinit(&host->kafka.health);
    record_builder_deinit(&host->builder);
    arena_deinit(&host->arena);
    sim_free(host->sim);
    free(host);
}

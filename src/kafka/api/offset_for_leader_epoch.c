/* offset_for_leader_epoch.c: OffsetForLeaderEpoch: where a leader epoch ended, so that a reader can tell
 * whether its last record is still part of the log (KIP-320). One partition a step. */
#include "kafka/api/apis.h"
#include "kafka/api/topic_steps.h"
#include "kafka/partition/partition.h"

static void epoch_end(const kafka_topic_t *topic, const kafka_offset_for_leader_epoch_request_partition_t *in,
                      kafka_offset_for_leader_epoch_response_partition_t *out)
{
    partition_t *partition;
    kafka_code_t error =
        topic ? kafka_topic_partition_get(topic, in->partition, &partition) : KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    if (!error) error = partition_check_epoch(partition, in->current_leader_epoch);
    out->partition = in->partition;
    out->error_code = error;
    /* An epoch that has not begun is unknown: (-1, -1), which is the default. */
    if (error || in->leader_epoch < 0 || in->leader_epoch > partition_leader_epoch(partition)) return;
    log_epoch_end(partition_log(partition), in->leader_epoch, &out->leader_epoch, &out->end_offset);
}

static int32_t begin_topic(kafka_request_t *request, void *answer, int32_t topic)
{
    const kafka_offset_for_leader_epoch_request_t *body = request->body;
    kafka_offset_for_leader_epoch_response_t *response = answer;
    const kafka_offset_for_leader_epoch_request_topic_t *in = &body->topics[topic];
    kafka_offset_for_leader_epoch_response_topic_t *out = &response->topics[topic];
    out->topic = in->topic;
    out->partitions_count = in->partitions_count;
    out->partitions =
        kafka_array_new(&kafka_offset_for_leader_epoch_response_partition_shape, &request->arena, in->partitions_count);
    return in->partitions_count;
}

static void one_partition(kafka_request_t *request, void *answer, int32_t topic, int32_t partition)
{
    const kafka_offset_for_leader_epoch_request_t *body = request->body;
    kafka_offset_for_leader_epoch_response_t *response = answer;
    const kafka_offset_for_leader_epoch_request_topic_t *in = &body->topics[topic];
    epoch_end(kafka_topic_get(request->kafka, in->topic), &in->partitions[partition],
              &response->topics[topic].partitions[partition]);
}

void kafka_handle_offset_for_leader_epoch(kafka_request_t *request)
{
    const kafka_offset_for_leader_epoch_request_t *body = request->body;
    kafka_offset_for_leader_epoch_response_t *response = KAFKA_MESSAGE(request, offset_for_leader_epoch_response);
    response->topics_count = body->topics_count;
    response->topics =
        kafka_array_new(&kafka_offset_for_leader_epoch_response_topic_shape, &request->arena, body->topics_count);
    kafka_topic_steps_run(request, body->topics_count, begin_topic, one_partition, response);
}

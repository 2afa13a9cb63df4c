/* offset_for_leader_epoch.c: OffsetForLeaderEpoch: where a leader epoch ended, so that a reader can tell
 * whether its last record is still part of the log (KIP-320). */
#include "kafka/apis.h"
#include "kafka/partition.h"

static void epoch_end(const kafka_topic_t *topic, const kafka_offset_for_leader_epoch_request_partition_t *in,
                      kafka_offset_for_leader_epoch_response_partition_t *out)
{
    partition_t *partition;
    int16_t error =
        topic ? kafka_topic_partition_get(topic, in->partition, &partition) : KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    if (!error) error = partition_check_epoch(partition, in->current_leader_epoch);
    out->partition = in->partition;
    out->error_code = error;
    /* An epoch that has not begun is unknown: (-1, -1), which is the default. */
    if (error || in->leader_epoch < 0 || in->leader_epoch > partition_leader_epoch(partition)) return;
    log_epoch_end(partition_log(partition), in->leader_epoch, &out->leader_epoch, &out->end_offset);
}

void kafka_handle_offset_for_leader_epoch(kafka_request_t *request)
{
    const kafka_offset_for_leader_epoch_request_t *body = request->body;
    kafka_offset_for_leader_epoch_response_t *response = KAFKA_MESSAGE(request, offset_for_leader_epoch_response);
    arena_t *arena = &request->arena;
    response->topics_count = body->topics_count;
    response->topics = kafka_array_new(&kafka_offset_for_leader_epoch_response_topic_shape, arena, body->topics_count);
    for (int32_t t = 0; t < body->topics_count; t++) {
        const kafka_offset_for_leader_epoch_request_topic_t *in = &body->topics[t];
        kafka_offset_for_leader_epoch_response_topic_t *out = &response->topics[t];
        const kafka_topic_t *topic = kafka_topic_get(request->kafka, in->topic);
        out->topic = in->topic;
        out->partitions_count = in->partitions_count;
        out->partitions =
            kafka_array_new(&kafka_offset_for_leader_epoch_response_partition_shape, arena, in->partitions_count);
        for (int32_t p = 0; p < in->partitions_count; p++) epoch_end(topic, &in->partitions[p], &out->partitions[p]);
    }
    kafka_respond(request, response);
}

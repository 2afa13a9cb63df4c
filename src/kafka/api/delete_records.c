/* delete_records.c: DeleteRecords: moves the start of partitions up. With one replica it is done at once. */
#include "kafka/apis.h"
#include "kafka/partition.h"

static void delete_records(kafka_request_t *request, kafka_topic_t *topic,
                           const kafka_delete_records_request_partition_t *in,
                           kafka_delete_records_response_partition_t *out)
{
    partition_t *partition;
    int64_t low_watermark = -1;
    int16_t error =
        topic ? kafka_topic_partition_get(topic, in->partition_index, &partition) : KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    if (!error && topic->internal) error = KAFKA_INVALID_TOPIC_EXCEPTION;
    if (!error && topic->config.cleanup_policy && !strstr(topic->config.cleanup_policy, "delete")) {
        error = KAFKA_POLICY_VIOLATION; /* only compacted: its records may not be dropped by age */
    }
    if (!error) error = partition_delete_records(partition, in->offset, &low_watermark);
    out->partition_index = in->partition_index;
    out->error_code = error;
    out->low_watermark = error ? -1 : low_watermark;
}

void kafka_handle_delete_records(kafka_request_t *request)
{
    const kafka_delete_records_request_t *body = request->body;
    kafka_delete_records_response_t *response = KAFKA_MESSAGE(request, delete_records_response);
    response->topics_count = body->topics_count;
    response->topics = kafka_array_new(&kafka_delete_records_response_topic_shape, &request->arena, body->topics_count);
    for (int32_t t = 0; t < body->topics_count; t++) {
        const kafka_delete_records_request_topic_t *in = &body->topics[t];
        kafka_delete_records_response_topic_t *out = &response->topics[t];
        kafka_topic_t *topic = kafka_topic_get(request->kafka, in->name);
        out->name = in->name;
        out->partitions_count = in->partitions_count;
        out->partitions =
            kafka_array_new(&kafka_delete_records_response_partition_shape, &request->arena, in->partitions_count);
        for (int32_t p = 0; p < in->partitions_count; p++) {
            delete_records(request, topic, &in->partitions[p], &out->partitions[p]);
        }
    }
    kafka_respond(request, response);
}

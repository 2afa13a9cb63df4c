/* delete_records.c: DeleteRecords: moves the start of partitions up. With one replica it is done at once. */
#include "kafka/api/apis.h"
#include "kafka/api/topic_steps.h"
#include "kafka/partition/partition.h"

static void delete_records(kafka_request_t *request, kafka_topic_t *topic,
                           const kafka_delete_records_request_partition_t *in,
                           kafka_delete_records_response_partition_t *out)
{
    partition_t *partition;
    int64_t low_watermark = -1;
    kafka_code_t error =
        topic ? kafka_topic_partition_get(topic, in->partition_index, &partition) : KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    if (!error && topic->internal) error = KAFKA_INVALID_TOPIC_EXCEPTION;
    if (!error && !(topic->config.cleanup_policy & KAFKA_CLEANUP_POLICY_DELETE))
        error = KAFKA_POLICY_VIOLATION; /* its records may not be dropped by age */
    if (!error) error = partition_delete_records(partition, in->offset, &low_watermark);
    out->partition_index = in->partition_index;
    out->error_code = error;
    out->low_watermark = error ? -1 : low_watermark;
}

static int32_t begin_topic(kafka_request_t *request, void *answer, int32_t topic)
{
    const kafka_delete_records_request_t *body = request->body;
    kafka_delete_records_response_t *response = answer;
    const kafka_delete_records_request_topic_t *in = &body->topics[topic];
    kafka_delete_records_response_topic_t *out = &response->topics[topic];
    out->name = in->name;
    out->partitions_count = in->partitions_count;
    out->partitions =
        kafka_array_new(&kafka_delete_records_response_partition_shape, &request->arena, in->partitions_count);
    return in->partitions_count;
}

static void one_partition(kafka_request_t *request, void *answer, int32_t topic, int32_t partition)
{
    const kafka_delete_records_request_t *body = request->body;
    kafka_delete_records_response_t *response = answer;
    const kafka_delete_records_request_topic_t *in = &body->topics[topic];
    delete_records(request, kafka_topic_get(request->kafka, in->name), &in->partitions[partition],
                   &response->topics[topic].partitions[partition]);
}

void kafka_handle_delete_records(kafka_request_t *request)
{
    const kafka_delete_records_request_t *body = request->body;
    kafka_delete_records_response_t *response = KAFKA_MESSAGE(request, delete_records_response);
    response->topics_count = body->topics_count;
    response->topics = kafka_array_new(&kafka_delete_records_response_topic_shape, &request->arena, body->topics_count);
    kafka_topic_steps_run(request, body->topics_count, begin_topic, one_partition, response);
}

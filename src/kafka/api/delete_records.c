/* delete_records.c: DeleteRecords: moves the start of partitions up. With one replica it is done at once. */
#include "kafka/api/apis.h"
#include "kafka/partition/partition.h"

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

typedef struct delete_job {
    kafka_delete_records_response_t *response;
    int32_t topic, partition; /* of the request, whose turn it is */
} delete_job_t;

static slice_state_t delete_step(slice_t *slice)
{
    kafka_request_t *request = CONTAINER_OF(slice, kafka_request_t, slice);
    const kafka_delete_records_request_t *body = request->body;
    delete_job_t *job = request->state;
    if (job->topic == body->topics_count) {
        kafka_respond(request, job->response);
        return SLICE_ENDED;
    }
    const kafka_delete_records_request_topic_t *in = &body->topics[job->topic];
    kafka_delete_records_response_topic_t *out = &job->response->topics[job->topic];
    if (job->partition == 0) {
        out->name = in->name;
        out->partitions_count = in->partitions_count;
        out->partitions =
            kafka_array_new(&kafka_delete_records_response_partition_shape, &request->arena, in->partitions_count);
    }
    if (job->partition < in->partitions_count) {
        delete_records(request, kafka_topic_get(request->kafka, in->name), &in->partitions[job->partition],
                       &out->partitions[job->partition]);
        job->partition++;
    } else {
        job->topic++;
        job->partition = 0;
    }
    return SLICE_MORE;
}

void kafka_handle_delete_records(kafka_request_t *request)
{
    const kafka_delete_records_request_t *body = request->body;
    delete_job_t *job = request->state = ARENA_NEW(&request->arena, delete_job_t);
    job->response = KAFKA_MESSAGE(request, delete_records_response);
    job->response->topics_count = body->topics_count;
    job->response->topics =
        kafka_array_new(&kafka_delete_records_response_topic_shape, &request->arena, body->topics_count);
    kafka_request_run(request, delete_step, NULL);
}

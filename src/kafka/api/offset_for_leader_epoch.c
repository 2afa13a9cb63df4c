/* offset_for_leader_epoch.c: OffsetForLeaderEpoch: where a leader epoch ended, so that a reader can tell
 * whether its last record is still part of the log (KIP-320). One partition a step. */
#include "kafka/api/apis.h"
#include "kafka/partition/partition.h"

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

typedef struct epoch_job {
    kafka_offset_for_leader_epoch_response_t *response;
    int32_t topic, partition; /* of the request, whose turn it is */
} epoch_job_t;

static void begin_topic(kafka_request_t *request, const kafka_offset_for_leader_epoch_request_topic_t *in,
                        kafka_offset_for_leader_epoch_response_topic_t *out)
{
    out->topic = in->topic;
    out->partitions_count = in->partitions_count;
    out->partitions =
        kafka_array_new(&kafka_offset_for_leader_epoch_response_partition_shape, &request->arena, in->partitions_count);
}

static slice_state_t epoch_step(slice_t *slice)
{
    kafka_request_t *request = CONTAINER_OF(slice, kafka_request_t, slice);
    const kafka_offset_for_leader_epoch_request_t *body = request->body;
    epoch_job_t *job = request->state;
    if (job->topic == body->topics_count) {
        kafka_respond(request, job->response);
        return SLICE_ENDED;
    }
    const kafka_offset_for_leader_epoch_request_topic_t *in = &body->topics[job->topic];
    kafka_offset_for_leader_epoch_response_topic_t *out = &job->response->topics[job->topic];
    if (job->partition == 0) begin_topic(request, in, out);
    if (job->partition < in->partitions_count) {
        epoch_end(kafka_topic_get(request->kafka, in->topic), &in->partitions[job->partition],
                  &out->partitions[job->partition]);
        job->partition++;
    } else {
        job->topic++;
        job->partition = 0;
    }
    return SLICE_MORE;
}

void kafka_handle_offset_for_leader_epoch(kafka_request_t *request)
{
    const kafka_offset_for_leader_epoch_request_t *body = request->body;
    epoch_job_t *job = request->state = ARENA_NEW(&request->arena, epoch_job_t);
    job->response = KAFKA_MESSAGE(request, offset_for_leader_epoch_response);
    job->response->topics_count = body->topics_count;
    job->response->topics =
        kafka_array_new(&kafka_offset_for_leader_epoch_response_topic_shape, &request->arena, body->topics_count);
    kafka_request_run(request, epoch_step, NULL);
}

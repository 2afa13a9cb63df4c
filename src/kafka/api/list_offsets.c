/* list_offsets.c: ListOffsets: the offset of a time, or of an end of the log. One partition a step; a look for a time may
 * have to wait until a batch is opened. */
#include "kafka/api/apis.h"
#include "kafka/partition/partition.h"
#include "kafka/topics/name_count.h"

#define VERSION_WITH_MAX_TIMESTAMP  7
#define VERSION_WITH_EARLIEST_LOCAL 8
#define VERSION_WITH_LATEST_TIERED  9

typedef struct list_offsets_job {
    kafka_request_t *request;
    kafka_list_offsets_response_t *response;
    int32_t topic, partition; /* of the request, whose turn it is */
    name_count_t indexes;     /* of the topic whose turn it is */
    bool stepping;            /* inside the step */
} list_offsets_job_t;

/* Negative times that a version does not know. */
static bool is_supported(int64_t timestamp, int16_t version)
{
    if (timestamp >= -2) return true;
    if (timestamp == -3) return version >= VERSION_WITH_MAX_TIMESTAMP;
    if (timestamp == -4) return version >= VERSION_WITH_EARLIEST_LOCAL;
    return timestamp == -5 && version >= VERSION_WITH_LATEST_TIERED;
}

static void told(void *user, kafka_code_t error, const partition_offset_t *found)
{
    list_offsets_job_t *job = user;
    kafka_list_offsets_response_topic_t *topic = &job->response->topics[job->topic];
    kafka_list_offsets_response_partition_t *out = &topic->partitions[topic->partitions_count++];
    const kafka_list_offsets_request_t *body = job->request->body;
    out->partition_index = body->topics[job->topic].partitions[job->partition].partition_index;
    out->error_code = error;
    if (!error) {
        out->offset = found->offset;
        out->timestamp = found->timestamp_ms;
        out->leader_epoch = found->leader_epoch;
    }
    job->partition++;
    if (!job->stepping) slice_run(&job->request->kafka->slices, &job->request->slice);
}

static bytes_t index_key(const kafka_list_offsets_request_partition_t *in)
{
    return bytes_of((const uint8_t *)&in->partition_index, sizeof(in->partition_index));
}

/* True when it was told. A partition that is asked for twice is refused once. */
static bool list_offset(list_offsets_job_t *job, const kafka_list_offsets_request_topic_t *in)
{
    kafka_request_t *request = job->request;
    const kafka_list_offsets_request_t *body = request->body;
    const kafka_list_offsets_request_partition_t *asked = &in->partitions[job->partition];
    uintptr_t times = name_count_take(&job->indexes, index_key(asked));
    if (times == 0) {
        job->partition++;
        return true;
    }
    partition_t *partition;
    kafka_code_t error = times > 1 ? KAFKA_INVALID_REQUEST : KAFKA_NONE;
    if (!error) error = kafka_partition_get(request->kafka, in->name, asked->partition_index, &partition);
    if (!error) error = partition_check_epoch(partition, asked->current_leader_epoch);
    if (!error && !is_supported(asked->timestamp, request->header.api_version)) error = KAFKA_UNSUPPORTED_VERSION;
    if (!error)
        return partition_offset_for(partition, asked->timestamp, body->isolation_level == 1, &request->arena, told,
                                    job);
    told(job, error, NULL);
    return true;
}

static void begin_topic(list_offsets_job_t *job, const kafka_list_offsets_request_topic_t *in)
{
    kafka_list_offsets_response_topic_t *out = &job->response->topics[job->topic];
    out->name = in->name;
    out->partitions =
        kafka_array_new(&kafka_list_offsets_response_partition_shape, &job->request->arena, in->partitions_count);
    for (int32_t p = 0; p < in->partitions_count; p++) name_count_add(&job->indexes, index_key(&in->partitions[p]));
}

static slice_state_t list_step(slice_t *slice)
{
    kafka_request_t *request = CONTAINER_OF(slice, kafka_request_t, slice);
    list_offsets_job_t *job = request->state;
    const kafka_list_offsets_request_t *body = request->body;
    if (job->topic == body->topics_count) {
        kafka_respond(request, job->response);
        return SLICE_ENDED;
    }
    const kafka_list_offsets_request_topic_t *in = &body->topics[job->topic];
    if (job->partition == 0) begin_topic(job, in);
    if (job->partition == in->partitions_count) {
        name_count_deinit(&job->indexes);
        job->topic++;
        job->partition = 0;
        return SLICE_MORE;
    }
    job->stepping = true;
    bool over = list_offset(job, in);
    job->stepping = false;
    return over ? SLICE_MORE : SLICE_WAITS;
}

void kafka_handle_list_offsets(kafka_request_t *request)
{
    const kafka_list_offsets_request_t *body = request->body;
    list_offsets_job_t *job = request->state = ARENA_NEW(&request->arena, list_offsets_job_t);
    job->request = request;
    job->response = KAFKA_MESSAGE(request, list_offsets_response);
    job->response->topics_count = body->topics_count;
    job->response->topics =
        kafka_array_new(&kafka_list_offsets_response_topic_shape, &request->arena, body->topics_count);
    kafka_request_run(request, list_step, NULL);
}

/* describe_log_dirs.c: the one data directory with the sizes of its partitions. One topic a step. */
#include "kafka/api/apis.h"
#include "kafka/partition/partition.h"

typedef kafka_describe_log_dirs_response_topic_t dir_topic_t;

/* Which of the topic's partitions are asked for; NULL: all. */
static const bool *marks_of(kafka_request_t *request, const kafka_topic_t *topic,
                            const kafka_describe_log_dirs_request_topic_t *asked)
{
    if (!asked) return NULL;
    bool *marks = ARENA_ARRAY(&request->arena, bool, topic->partitions_count);
    for (int32_t i = 0; i < asked->partitions_count; i++) {
        int32_t partition = asked->partitions[i];
        if (partition >= 0 && partition < topic->partitions_count) marks[partition] = true;
    }
    return marks;
}

/* `asked` NULL = every partition. */
static void fill_topic(kafka_request_t *request, const kafka_topic_t *topic,
                       const kafka_describe_log_dirs_request_topic_t *asked, dir_topic_t *out)
{
    const bool *marks = marks_of(request, topic, asked);
    out->name = arena_copy(&request->arena, kafka_topic_name(topic));
    out->partitions = kafka_describe_log_dirs_response_partition_array(&request->arena, topic->partitions_count);
    for (int32_t i = 0; i < topic->partitions_count; i++) {
        if (!topic->partitions[i].log || (marks && !marks[i])) continue;
        kafka_describe_log_dirs_response_partition_t *p = &out->partitions[out->partitions_count++];
        p->partition_index = i;
        p->partition_size = (int64_t)partition_bytes(topic->partitions[i].log);
    }
}

typedef struct dirs_job {
    kafka_describe_log_dirs_response_t *response;
    bytes_t *names; /* of all topics; NULL when the request names some */
    int32_t count, next;
} dirs_job_t;

static bytes_t *all_names(kafka_request_t *request)
{
    const kafka_t *kafka = request->kafka;
    bytes_t *names = ARENA_ARRAY(&request->arena, bytes_t, (int32_t)kafka->topics.count);
    int32_t count = 0;
    size_t cursor = 0;
    for (map_entry_t *entry; (entry = map_next(&kafka->topics, &cursor));)
        names[count++] = arena_copy(&request->arena, entry->key);
    return names;
}

static slice_state_t dirs_step(slice_t *slice)
{
    kafka_request_t *request = CONTAINER_OF(slice, kafka_request_t, slice);
    const kafka_describe_log_dirs_request_t *body = request->body;
    dirs_job_t *job = request->state;
    kafka_describe_log_dirs_response_result_t *result = job->response->results;
    if (job->next == job->count) {
        kafka_respond(request, job->response);
        return SLICE_ENDED;
    }
    int32_t next = job->next++;
    const kafka_describe_log_dirs_request_topic_t *asked = job->names ? NULL : &body->topics[next];
    const kafka_topic_t *topic = kafka_topic_get(request->kafka, asked ? asked->topic : job->names[next]);
    if (topic && (!asked || !kafka_response_is_full(request)))
        fill_topic(request, topic, asked, &result->topics[result->topics_count++]);
    return SLICE_MORE;
}

static void fill_space(kafka_request_t *request, kafka_describe_log_dirs_response_result_t *result)
{
    uint64_t free_bytes, total_bytes;
    result->log_dir = kafka_text(request, request->kafka->data_dir);
    if (io_disk_space(request->kafka->loop, request->kafka->data_dir, &free_bytes, &total_bytes) != 0) return;
    result->total_bytes = (int64_t)total_bytes;
    result->usable_bytes = (int64_t)free_bytes;
}

void kafka_handle_describe_log_dirs(kafka_request_t *request)
{
    const kafka_describe_log_dirs_request_t *body = request->body;
    dirs_job_t *job = request->state = ARENA_NEW(&request->arena, dirs_job_t);
    bool all = body->topics_count < 0;
    job->response = KAFKA_MESSAGE(request, describe_log_dirs_response);
    job->response->results = kafka_describe_log_dirs_response_result_array(&request->arena, 1);
    job->response->results_count = 1;
    job->names = all ? all_names(request) : NULL;
    job->count = all ? (int32_t)request->kafka->topics.count : body->topics_count;
    fill_space(request, job->response->results);
    job->response->results->topics = kafka_describe_log_dirs_response_topic_array(&request->arena, job->count);
    kafka_request_run(request, dirs_step, NULL);
}

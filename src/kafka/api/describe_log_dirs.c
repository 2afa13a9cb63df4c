/* describe_log_dirs.c: the one data directory with the sizes of its partitions. */
#include "kafka/apis.h"
#include "kafka/partition.h"

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

static void fill_topics(kafka_request_t *request, kafka_describe_log_dirs_response_result_t *result)
{
    const kafka_t *kafka = request->kafka;
    const kafka_describe_log_dirs_request_t *body = request->body;
    int32_t count = body->topics_count < 0 ? (int32_t)kafka->topics.count : body->topics_count;
    result->topics = kafka_describe_log_dirs_response_topic_array(&request->arena, count);
    size_t cursor = 0;
    if (body->topics_count < 0) {
        for (map_entry_t *entry; (entry = map_next(&kafka->topics, &cursor));)
            fill_topic(request, entry->value, NULL, &result->topics[result->topics_count++]);
        return;
    }
    for (int32_t i = 0; i < count; i++) {
        const kafka_topic_t *topic = kafka_topic_get(kafka, body->topics[i].topic);
        if (topic && !kafka_response_is_full(request))
            fill_topic(request, topic, &body->topics[i], &result->topics[result->topics_count++]);
    }
}

void kafka_handle_describe_log_dirs(kafka_request_t *request)
{
    kafka_describe_log_dirs_response_t *response = KAFKA_MESSAGE(request, describe_log_dirs_response);
    kafka_describe_log_dirs_response_result_t *result =
        kafka_describe_log_dirs_response_result_array(&request->arena, 1);
    uint64_t free_bytes, total_bytes;
    response->results = result;
    response->results_count = 1;
    result->log_dir = kafka_text(request, request->kafka->data_dir);
    if (io_disk_space(request->kafka->loop, request->kafka->data_dir, &free_bytes, &total_bytes) == 0) {
        result->total_bytes = (int64_t)total_bytes;
        result->usable_bytes = (int64_t)free_bytes;
    }
    fill_topics(request, result);
    kafka_respond(request, response);
}

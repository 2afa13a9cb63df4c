/* describe_topic_partitions.c: partitions of topics in the order of their names, page by page: a page holds
 * so many partitions, and the cursor says where the next one begins (KIP-966). */
#include "kafka/apis.h"

#include <stdlib.h>

typedef kafka_describe_topic_partitions_response_topic_t page_topic_t;

static int by_name(const void *a, const void *b) { return bytes_cmp(*(const bytes_t *)a, *(const bytes_t *)b); }

/* The names to describe, sorted and each once, from the cursor's topic on. */
static bytes_t *list_names(kafka_request_t *request, int32_t *ret_count)
{
    const kafka_t *kafka = request->kafka;
    const kafka_describe_topic_partitions_request_t *body = request->body;
    bool all = body->topics_count == 0;
    bytes_t from = body->cursor ? body->cursor->topic_name : BYTES_LIT("");
    int32_t count = all ? (int32_t)kafka->topics.count : body->topics_count, kept = 0;
    bytes_t *names = ARENA_ARRAY(&request->arena, bytes_t, count);
    size_t cursor = 0;
    for (int32_t i = 0; i < count; i++) {
        bytes_t name = all ? map_next(&kafka->topics, &cursor)->key : body->topics[i].name;
        if (bytes_cmp(name, from) >= 0) names[kept++] = arena_copy(&request->arena, name);
    }
    qsort(names, (size_t)kept, sizeof(*names), by_name);
    int32_t unique = 0;
    for (int32_t i = 0; i < kept; i++) {
        if (unique == 0 || !bytes_eq(names[unique - 1], names[i])) names[unique++] = names[i];
    }
    *ret_count = unique;
    return names;
}

static void fill_ids(kafka_request_t *request, const int32_t *from, int32_t count, int32_t **ids, int32_t *ids_count)
{
    *ids = ARENA_ARRAY(&request->arena, int32_t, count);
    if (count) memcpy(*ids, from, sizeof(int32_t) * (size_t)count);
    *ids_count = count;
}

/* Returns how many partitions it took of those that may still be on the page. */
static int32_t fill_topic(kafka_request_t *request, const kafka_topic_t *topic, int32_t first, int32_t left,
                          page_topic_t *out)
{
    int32_t count = MIN(MAX(topic->partitions_count - first, 0), left);
    out->topic_id = topic->id;
    out->partitions = kafka_describe_topic_partitions_response_partition_array(&request->arena, count);
    out->partitions_count = count;
    for (int32_t i = 0; i < count; i++) {
        const kafka_partition_state_t *p = &topic->partitions[first + i];
        kafka_describe_topic_partitions_response_partition_t *to = &out->partitions[i];
        to->partition_index = first + i;
        to->leader_id = p->offline ? KAFKA_NO_LEADER : p->leader;
        to->error_code = to->leader_id < 0 ? KAFKA_LEADER_NOT_AVAILABLE : KAFKA_NONE;
        to->leader_epoch = p->leader_epoch;
        fill_ids(request, p->replicas, p->replicas_count, &to->replica_nodes, &to->replica_nodes_count);
        fill_ids(request, p->isr, p->isr_count, &to->isr_nodes, &to->isr_nodes_count);
        if (p->offline)
            fill_ids(request, &topic->kafka->broker_id, 1, &to->offline_replicas, &to->offline_replicas_count);
        to->eligible_leader_replicas_count = to->last_known_elr_count = 0; /* empty, not null */
    }
    return count;
}

static void set_cursor(kafka_request_t *request, kafka_describe_topic_partitions_response_t *response, bytes_t topic,
                       int32_t partition)
{
    response->next_cursor = ARENA_NEW(&request->arena, kafka_describe_topic_partitions_response_next_cursor_t);
    *response->next_cursor = (kafka_describe_topic_partitions_response_next_cursor_t){topic, partition};
}

static void fill_page(kafka_request_t *request, const bytes_t *names, int32_t count,
                      kafka_describe_topic_partitions_response_t *response)
{
    const kafka_t *kafka = request->kafka;
    const kafka_describe_topic_partitions_request_t *body = request->body;
    int64_t limit = MIN(kafka->config.max_request_partition_size_limit, (int64_t)body->response_partition_limit);
    int32_t left = (int32_t)MAX(limit, 1);
    response->topics = kafka_describe_topic_partitions_response_topic_array(&request->arena, count);
    for (int32_t i = 0; i < count; i++) {
        if (left == 0) {
            set_cursor(request, response, names[i], 0);
            return;
        }
        const kafka_topic_t *topic = kafka_topic_get(kafka, names[i]);
        if (!topic && body->topics_count == 0) continue;
        page_topic_t *out = &response->topics[response->topics_count++];
        out->name = names[i];
        out->topic_authorized_operations = KAFKA_OPERATIONS_TOPIC;
        if (!topic) {
            out->error_code = kafka_topic_name_problem(names[i], &request->arena) ? KAFKA_INVALID_TOPIC_EXCEPTION
                                                                                  : KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
            continue;
        }
        out->is_internal = topic->internal;
        bool resumed = body->cursor && bytes_eq(names[i], body->cursor->topic_name);
        int32_t first = resumed ? body->cursor->partition_index : 0;
        int32_t taken = fill_topic(request, topic, first, left, out);
        left -= taken;
        if (first + taken < topic->partitions_count) {
            set_cursor(request, response, names[i], first + taken);
            return;
        }
    }
}

/* The cursor must be at a valid partition of one of the topics that are asked for. */
static bool cursor_fits(const kafka_describe_topic_partitions_request_t *body)
{
    if (!body->cursor) return true;
    if (body->cursor->partition_index < 0) return false;
    for (int32_t i = 0; i < body->topics_count; i++) {
        if (bytes_eq(body->topics[i].name, body->cursor->topic_name)) return true;
    }
    return body->topics_count == 0;
}

void kafka_handle_describe_topic_partitions(kafka_request_t *request)
{
    const kafka_describe_topic_partitions_request_t *body = request->body;
    kafka_describe_topic_partitions_response_t *response = KAFKA_MESSAGE(request, describe_topic_partitions_response);
    if (cursor_fits(body)) {
        int32_t count;
        bytes_t *names = list_names(request, &count);
        fill_page(request, names, count, response);
    } else {
        response->topics = kafka_describe_topic_partitions_response_topic_array(&request->arena, body->topics_count);
        response->topics_count = body->topics_count;
        for (int32_t i = 0; i < body->topics_count; i++) {
            response->topics[i].name = body->topics[i].name;
            response->topics[i].error_code = KAFKA_INVALID_REQUEST;
        }
    }
    kafka_respond(request, response);
}

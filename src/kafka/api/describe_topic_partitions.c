/* describe_topic_partitions.c: partitions of topics in the order of their names, page by page: a page holds
 * so many partitions, and the cursor says where the next one begins (KIP-966). One name a step. */
#include "kafka/api/apis.h"

typedef kafka_describe_topic_partitions_response_topic_t page_topic_t;

/* The names to describe lie in a heap, so that no step costs more than the way down it: sorting them all would. */
typedef struct page_job {
    kafka_describe_topic_partitions_response_t *response;
    bytes_t *names; /* a heap from `sifted` on: the least is first once `sifted` is 0 */
    int32_t count, sifted;
    int32_t left; /* partitions that the page has room for */
    bytes_t last; /* the name that was described last: each once */
} page_job_t;

static void sift_down(page_job_t *job, int32_t at)
{
    bytes_t name = job->names[at];
    for (int32_t child; (child = 2 * at + 1) < job->count; at = child) {
        if (child + 1 < job->count && bytes_cmp(job->names[child + 1], job->names[child]) < 0) child++;
        if (bytes_cmp(name, job->names[child]) <= 0) break;
        job->names[at] = job->names[child];
    }
    job->names[at] = name;
}

static bytes_t take_least(page_job_t *job)
{
    bytes_t least = job->names[0];
    job->names[0] = job->names[--job->count];
    if (job->count > 0) sift_down(job, 0);
    return least;
}

/* From the cursor's topic on. */
static void list_names(kafka_request_t *request, page_job_t *job)
{
    const kafka_t *kafka = request->kafka;
    const kafka_describe_topic_partitions_request_t *body = request->body;
    bool all = body->topics_count == 0;
    bytes_t from = body->cursor ? body->cursor->topic_name : BYTES_LIT("");
    int32_t count = all ? (int32_t)kafka->topics.count : body->topics_count;
    job->names = ARENA_ARRAY(&request->arena, bytes_t, count);
    size_t cursor = 0;
    for (int32_t i = 0; i < count; i++) {
        bytes_t name = all ? map_next(&kafka->topics, &cursor)->key : body->topics[i].name;
        if (bytes_cmp(name, from) >= 0) job->names[job->count++] = all ? arena_copy(&request->arena, name) : name;
    }
    job->sifted = job->count / 2;
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

/* True when the page is full. */
static bool describe(kafka_request_t *request, page_job_t *job, bytes_t name)
{
    const kafka_describe_topic_partitions_request_t *body = request->body;
    const kafka_topic_t *topic = kafka_topic_get(request->kafka, name);
    if (!topic && body->topics_count == 0) return false; /* it went meanwhile */
    page_topic_t *out = &job->response->topics[job->response->topics_count++];
    out->name = name;
    out->topic_authorized_operations = KAFKA_OPERATIONS_TOPIC;
    if (!topic) {
        out->error_code = kafka_topic_name_problem(name, &request->arena) ? KAFKA_INVALID_TOPIC_EXCEPTION
                                                                          : KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
        return false;
    }
    out->is_internal = topic->internal;
    bool resumed = body->cursor && bytes_eq(name, body->cursor->topic_name);
    int32_t first = resumed ? body->cursor->partition_index : 0;
    int32_t taken = fill_topic(request, topic, first, job->left, out);
    job->left -= taken;
    if (first + taken >= topic->partitions_count) return false;
    set_cursor(request, job->response, name, first + taken);
    return true;
}

/* One name; true when the page is through. */
static bool describe_next(kafka_request_t *request, page_job_t *job)
{
    if (job->count == 0) return true;
    bytes_t name = take_least(job);
    if (job->last.ptr && bytes_eq(job->last, name)) return false;
    job->last = name;
    if (job->left > 0) return describe(request, job, name);
    set_cursor(request, job->response, name, 0);
    return true;
}

static slice_state_t page_step(slice_t *slice)
{
    kafka_request_t *request = CONTAINER_OF(slice, kafka_request_t, slice);
    page_job_t *job = request->state;
    if (job->sifted > 0) {
        sift_down(job, --job->sifted);
        return SLICE_MORE;
    }
    if (!describe_next(request, job)) return SLICE_MORE;
    kafka_respond(request, job->response);
    return SLICE_ENDED;
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

static void refuse_cursor(kafka_request_t *request, kafka_describe_topic_partitions_response_t *response)
{
    const kafka_describe_topic_partitions_request_t *body = request->body;
    response->topics = kafka_describe_topic_partitions_response_topic_array(&request->arena, body->topics_count);
    response->topics_count = body->topics_count;
    for (int32_t i = 0; i < body->topics_count; i++) {
        response->topics[i].name = body->topics[i].name;
        response->topics[i].error_code = KAFKA_INVALID_REQUEST;
    }
    kafka_respond(request, response);
}

void kafka_handle_describe_topic_partitions(kafka_request_t *request)
{
    const kafka_describe_topic_partitions_request_t *body = request->body;
    kafka_describe_topic_partitions_response_t *response = KAFKA_MESSAGE(request, describe_topic_partitions_response);
    if (!cursor_fits(body)) {
        refuse_cursor(request, response);
        return;
    }
    page_job_t *job = request->state = ARENA_NEW(&request->arena, page_job_t);
    int64_t limit =
        MIN(request->kafka->config.max_request_partition_size_limit, (int64_t)body->response_partition_limit);
    job->response = response;
    job->left = (int32_t)MAX(limit, 1);
    list_names(request, job);
    response->topics = kafka_describe_topic_partitions_response_topic_array(&request->arena, job->count);
    kafka_request_run(request, page_step, NULL);
}

/* create_partitions.c: grows topics; the answer waits until the new partitions are open. */
#include "kafka/api/apis.h"
#include "kafka/topics/name_count.h"
#include "kafka/topics/topics.h"

typedef kafka_create_partitions_request_topic_t asked_topic_t;
typedef kafka_create_partitions_response_result_t result_t;

typedef struct grow_job {
    kafka_request_t *request;
    kafka_create_partitions_response_t *response;
    int32_t next;    /* of the request's topics */
    int32_t pending; /* growths under way, plus one while they are being started */
    name_count_t names;
} grow_job_t;

typedef struct grow_one {
    grow_job_t *job;
    result_t *result;
} grow_one_t;

static void refuse(result_t *result, kafka_code_t error, const char *message)
{
    result->error_code = error;
    result->error_message = bytes_str(message);
}

static bool one_less(grow_job_t *job)
{
    if (--job->pending > 0) return false;
    kafka_respond(job->request, job->response);
    return true;
}

static void grown(void *user, kafka_topic_t *topic, kafka_code_t error, const char *message)
{
    grow_one_t *one = user;
    one->result->error_code = error;
    one->result->error_message = kafka_text(one->job->request, message);
    (void)one_less(one->job);
}

static bool check_count(arena_t *arena, const asked_topic_t *asked, const kafka_topic_t *topic, result_t *result)
{
    if (asked->count == topic->partitions_count) {
        refuse(result, KAFKA_INVALID_PARTITIONS,
               arena_printf(arena, "Topic already has %" PRId32 " partition(s).", topic->partitions_count));
    } else if (asked->count < topic->partitions_count) {
        refuse(result, KAFKA_INVALID_PARTITIONS,
               arena_printf(
                   arena, "The topic %s currently has %" PRId32 " partition(s); %" PRId32 " would not be an increase.",
                   topic->name, topic->partitions_count, asked->count));
    } else if (asked->count > KAFKA_PARTITIONS_MAX) {
        refuse(result, KAFKA_INVALID_PARTITIONS,
               arena_printf(arena, "Number of partitions is above the limit of %d.", KAFKA_PARTITIONS_MAX));
    } else {
        return true;
    }
    return false;
}

static bool check_assignments(const kafka_request_t *request, const asked_topic_t *asked, const kafka_topic_t *topic,
                              result_t *result)
{
    arena_t *arena = (arena_t *)&request->arena;
    int32_t additional = asked->count - topic->partitions_count;
    if (asked->assignments_count < 0) return true;
    if (asked->assignments_count != additional) {
        refuse(result, KAFKA_INVALID_REPLICA_ASSIGNMENT,
               arena_printf(arena,
                            "Attempted to add %" PRId32 " additional partition(s), but only %" PRId32
                            " assignment(s) were specified.",
                            additional, asked->assignments_count));
        return false;
    }
    for (int32_t i = 0; i < additional; i++) {
        const kafka_create_partitions_request_assignment_t *a = &asked->assignments[i];
        const char *problem = topic_assignment_problem(request->kafka, a->broker_ids, a->broker_ids_count, arena);
        if (!problem && a->broker_ids_count != 1)
            problem = arena_printf(arena,
                                   "The manual partition assignment includes a partition with %" PRId32
                                   " replica(s), but this is not consistent with previous partitions, which have 1 "
                                   "replica(s).",
                                   a->broker_ids_count);
        if (!problem) continue;
        refuse(result, KAFKA_INVALID_REPLICA_ASSIGNMENT, problem);
        return false;
    }
    return true;
}

static void grow_one(grow_job_t *job, const asked_topic_t *asked, result_t *result, uintptr_t times)
{
    const kafka_create_partitions_request_t *body = job->request->body;
    result->name = asked->name;
    if (times > 1) {
        refuse(result, KAFKA_INVALID_REQUEST, "Duplicate topic name.");
        return;
    }
    kafka_topic_t *topic = kafka_topic_get(job->request->kafka, asked->name);
    if (!topic) {
        refuse(result, KAFKA_UNKNOWN_TOPIC_OR_PARTITION, kafka_error_text(KAFKA_UNKNOWN_TOPIC_OR_PARTITION));
        return;
    }
    if (!check_count(&job->request->arena, asked, topic, result)) return;
    if (!check_assignments(job->request, asked, topic, result)) return;
    if (body->validate_only) return;
    grow_one_t *one = ARENA_NEW(&job->request->arena, grow_one_t);
    *one = (grow_one_t){job, result};
    job->pending++;
    topic_grow(topic, asked->count, grown, one);
}

static slice_state_t grow_step(slice_t *slice)
{
    grow_job_t *job = CONTAINER_OF(slice, kafka_request_t, slice)->state;
    const kafka_create_partitions_request_t *body = job->request->body;
    if (job->next == body->topics_count) {
        name_count_deinit(&job->names);
        return one_less(job) ? SLICE_ENDED : SLICE_WAITS;
    }
    const asked_topic_t *asked = &body->topics[job->next++];
    uintptr_t times = name_count_take(&job->names, asked->name);
    if (times > 0) grow_one(job, asked, &job->response->results[job->response->results_count++], times);
    return SLICE_MORE;
}

void kafka_handle_create_partitions(kafka_request_t *request)
{
    const kafka_create_partitions_request_t *body = request->body;
    grow_job_t *job = request->state = ARENA_NEW(&request->arena, grow_job_t);
    job->request = request;
    job->response = KAFKA_MESSAGE(request, create_partitions_response);
    job->response->results = kafka_create_partitions_response_result_array(&request->arena, body->topics_count);
    job->pending = 1;
    for (int32_t i = 0; i < body->topics_count; i++) name_count_add(&job->names, body->topics[i].name);
    kafka_request_run(request, grow_step, NULL);
}

/* delete_topics.c: by name or id; the answer waits until the topics are gone. */
#include "kafka/api/apis.h"
#include "kafka/topics/name_count.h"
#include "kafka/topics/topics.h"

typedef kafka_delete_topics_response_topic_t told_topic_t;

typedef struct delete_job {
    kafka_request_t *request;
    kafka_delete_topics_response_t *response;
    int32_t counted, next; /* of the request's names, then of its topics: which were counted; which were answered */
    int32_t pending;       /* deletions under way, plus one while they are being started */
    name_count_t names, ids;
} delete_job_t;

typedef struct delete_one {
    delete_job_t *job;
    told_topic_t *told;
} delete_one_t;

static void refuse(const kafka_request_t *request, told_topic_t *told, kafka_code_t error, const char *message)
{
    told->error_code = error;
    told->error_message = kafka_text(request, message);
}

static bool one_less(delete_job_t *job)
{
    if (--job->pending > 0) return false;
    kafka_respond(job->request, job->response);
    return true;
}

static void deleted(void *user, kafka_topic_t *topic, kafka_code_t error, const char *message)
{
    delete_one_t *one = user;
    if (error) refuse(one->job->request, one->told, error, message);
    (void)one_less(one->job);
}

static void delete_one(delete_job_t *job, kafka_topic_t *topic, told_topic_t *told)
{
    delete_one_t *one = ARENA_NEW(&job->request->arena, delete_one_t);
    *one = (delete_one_t){job, told};
    told->name = arena_copy(&job->request->arena, kafka_topic_name(topic));
    told->topic_id = topic->id;
    job->pending++;
    topic_delete(topic, deleted, one);
}

static bytes_t id_bytes(const kafka_uuid_t *id) { return bytes_of(id->bytes, sizeof(id->bytes)); }

static int32_t asked_count(const kafka_delete_topics_request_t *body)
{
    return body->topic_names_count + body->topics_count;
}

static void count_name(delete_job_t *job, int32_t i)
{
    const kafka_delete_topics_request_t *body = job->request->body;
    if (i < body->topic_names_count) {
        name_count_add(&job->names, body->topic_names[i]);
        return;
    }
    const kafka_delete_topics_request_topic_t *asked = &body->topics[i - body->topic_names_count];
    if (asked->name.ptr)
        name_count_add(&job->names, asked->name);
    else
        name_count_add(&job->ids, id_bytes(&asked->topic_id));
}

static void by_name(delete_job_t *job, bytes_t name, uintptr_t times, told_topic_t *told)
{
    kafka_topic_t *topic = kafka_topic_get(job->request->kafka, name);
    told->name = name;
    if (times > 1) {
        refuse(job->request, told, KAFKA_INVALID_REQUEST, "Duplicate topic name.");
    } else if (!topic) {
        refuse(job->request, told, KAFKA_UNKNOWN_TOPIC_OR_PARTITION,
               kafka_error_text(KAFKA_UNKNOWN_TOPIC_OR_PARTITION));
    } else if (name_count_of(&job->ids, id_bytes(&topic->id)) > 0) {
        refuse(job->request, told, KAFKA_INVALID_REQUEST,
               "The provided topic name maps to an ID that was already supplied.");
    } else {
        delete_one(job, topic, told);
    }
}

static void by_state(delete_job_t *job, const kafka_delete_topics_request_topic_t *asked, told_topic_t *told)
{
    kafka_request_t *request = job->request;
    bool has_id = !kafka_uuid_is_zero(asked->topic_id);
    told->topic_id = asked->topic_id;
    if (asked->name.ptr && !has_id) {
        by_name(job, asked->name, name_count_of(&job->names, asked->name), told);
    } else if (asked->name.ptr) {
        told->name = asked->name;
        refuse(request, told, KAFKA_INVALID_REQUEST, "You may not specify both topic name and topic id.");
    } else if (!has_id) {
        refuse(request, told, KAFKA_INVALID_REQUEST, "Neither topic name nor id were specified.");
    } else if (name_count_of(&job->ids, id_bytes(&asked->topic_id)) > 1) {
        refuse(request, told, KAFKA_INVALID_REQUEST, "Duplicate topic id.");
    } else {
        kafka_topic_t *topic = kafka_topic_by_id(request->kafka, asked->topic_id);
        if (topic)
            delete_one(job, topic, told);
        else
            refuse(request, told, KAFKA_UNKNOWN_TOPIC_ID, kafka_error_text(KAFKA_UNKNOWN_TOPIC_ID));
    }
}

static void refuse_disabled(delete_job_t *job, int32_t i)
{
    const kafka_delete_topics_request_t *body = job->request->body;
    told_topic_t *told = &job->response->responses[job->response->responses_count++];
    bool named = i < body->topic_names_count;
    told->name = named ? body->topic_names[i] : body->topics[i - body->topic_names_count].name;
    if (!named) told->topic_id = body->topics[i - body->topic_names_count].topic_id;
    refuse(job->request, told,
           job->request->header.api_version < 3 ? KAFKA_INVALID_REQUEST : KAFKA_TOPIC_DELETION_DISABLED,
           "Topic deletion is disabled.");
}

static void answer_one(delete_job_t *job, int32_t i)
{
    const kafka_delete_topics_request_t *body = job->request->body;
    kafka_delete_topics_response_t *response = job->response;
    if (!job->request->kafka->config.delete_topic_enable) {
        refuse_disabled(job, i);
    } else if (i < body->topic_names_count) { /* one that is there twice is refused once */
        uintptr_t times = name_count_take(&job->names, body->topic_names[i]);
        if (times > 0) by_name(job, body->topic_names[i], times, &response->responses[response->responses_count++]);
    } else {
        by_state(job, &body->topics[i - body->topic_names_count], &response->responses[response->responses_count++]);
    }
}

static slice_state_t delete_step(slice_t *slice)
{
    delete_job_t *job = CONTAINER_OF(slice, kafka_request_t, slice)->state;
    int32_t count = asked_count(job->request->body);
    if (job->counted < count) {
        count_name(job, job->counted++);
        return SLICE_MORE;
    }
    if (job->next < count) {
        answer_one(job, job->next++);
        return SLICE_MORE;
    }
    name_count_deinit(&job->names);
    name_count_deinit(&job->ids);
    return one_less(job) ? SLICE_ENDED : SLICE_WAITS;
}

void kafka_handle_delete_topics(kafka_request_t *request)
{
    delete_job_t *job = request->state = ARENA_NEW(&request->arena, delete_job_t);
    job->request = request;
    job->response = KAFKA_MESSAGE(request, delete_topics_response);
    job->response->responses = kafka_delete_topics_response_topic_array(&request->arena, asked_count(request->body));
    job->pending = 1;
    kafka_request_run(request, delete_step, NULL);
}

/* metadata.c: brokers, topics, partitions and leaders. A topic that is asked for by name and does not exist
 * is created when the client allows it and auto.create.topics.enable is on; the answer waits for it, so that
 * the client's next request finds it. Whoever asks for more new topics than one request may make gets none.
 *
 *   choose (which are new) ──> create ──all are there or refused──> fill ──> answer        each in slices */
#include "kafka/api/apis.h"
#include "kafka/topics/name_count.h"
#include "kafka/topics/topics.h"

enum { NAMES_A_STEP = 32 };

typedef struct metadata_job {
    kafka_request_t *request;
    kafka_metadata_response_t *response;
    slice_state_t (*phase)(struct metadata_job *job);
    int32_t next;   /* of what the phase goes through */
    int32_t count;  /* of what was asked for, each thing once; of all topics */
    int32_t *asked; /* indexes into the request's topics; NULL: all topics are asked for */
    kafka_uuid_t *all;
    kafka_code_t *errors; /* of each asked topic, from its creation */
    int32_t wanted;       /* new topics */
    int32_t pending;      /* creations, plus one while they are being started */
    name_count_t seen;
} metadata_job_t;

typedef struct metadata_creation {
    metadata_job_t *job;
    int32_t index;
} metadata_creation_t;

static bool wants_all(const kafka_request_t *request, const kafka_metadata_request_t *body)
{
    return body->topics_count < 0 || (request->header.api_version == 0 && body->topics_count == 0);
}

static void fill_ids(kafka_request_t *request, const int32_t *from, int32_t count, int32_t **ids, int32_t *ids_count)
{
    *ids = ARENA_ARRAY(&request->arena, int32_t, count);
    if (count) memcpy(*ids, from, sizeof(int32_t) * (size_t)count);
    *ids_count = count;
}

static void fill_partition(kafka_request_t *request, const kafka_topic_t *topic, int32_t index,
                           kafka_metadata_response_partition_t *out)
{
    const kafka_partition_state_t *p = &topic->partitions[index];
    out->partition_index = index;
    out->leader_id = p->offline ? KAFKA_NO_LEADER : p->leader;
    out->error_code = out->leader_id < 0 ? KAFKA_LEADER_NOT_AVAILABLE : KAFKA_NONE;
    out->leader_epoch = p->leader_epoch;
    fill_ids(request, p->replicas, p->replicas_count, &out->replica_nodes, &out->replica_nodes_count);
    fill_ids(request, p->isr, p->isr_count, &out->isr_nodes, &out->isr_nodes_count);
    if (p->offline)
        fill_ids(request, &topic->kafka->broker_id, 1, &out->offline_replicas, &out->offline_replicas_count);
}

static void fill_topic(kafka_request_t *request, const kafka_topic_t *topic, kafka_metadata_response_topic_t *out)
{
    const kafka_metadata_request_t *body = request->body;
    out->name = arena_copy(&request->arena, kafka_topic_name(topic));
    out->topic_id = topic->id;
    out->is_internal = topic->internal;
    if (body->include_topic_authorized_operations) out->topic_authorized_operations = KAFKA_OPERATIONS_TOPIC;
    out->partitions_count = topic->partitions_count;
    out->partitions = kafka_metadata_response_partition_array(&request->arena, topic->partitions_count);
    for (int32_t i = 0; i < topic->partitions_count; i++) fill_partition(request, topic, i, &out->partitions[i]);
}

static void fill_asked(kafka_request_t *request, const kafka_metadata_request_topic_t *asked, kafka_code_t error,
                       kafka_metadata_response_topic_t *out)
{
    const kafka_t *kafka = request->kafka;
    bool by_id = !kafka_uuid_is_zero(asked->topic_id);
    const kafka_topic_t *topic =
        by_id ? kafka_topic_by_id(kafka, asked->topic_id) : kafka_topic_get(kafka, asked->name);
    if (topic && !kafka_response_is_full(request)) {
        fill_topic(request, topic, out);
        return;
    }
    if (by_id) {
        out->topic_id = asked->topic_id;
        out->error_code = KAFKA_UNKNOWN_TOPIC_ID;
        return;
    }
    out->name = asked->name;
    out->is_internal = topic_is_internal(asked->name);
    if (kafka_topic_name_problem(asked->name, &request->arena)) {
        out->error_code = KAFKA_INVALID_TOPIC_EXCEPTION;
    } else {
        out->error_code = error ? error : KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    }
}

static slice_state_t fill_some(metadata_job_t *job)
{
    kafka_request_t *request = job->request;
    kafka_metadata_response_t *response = job->response;
    const kafka_metadata_request_t *body = request->body;
    if (job->next == job->count) {
        kafka_respond(request, response);
        return SLICE_ENDED;
    }
    int32_t i = job->next++;
    if (job->asked) {
        fill_asked(request, &body->topics[job->asked[i]], job->errors[i], &response->topics[response->topics_count++]);
    } else {
        const kafka_topic_t *topic = kafka_topic_by_id(request->kafka, job->all[i]);
        if (topic) fill_topic(request, topic, &response->topics[response->topics_count++]);
    }
    return SLICE_MORE;
}

static void begin_fill(metadata_job_t *job)
{
    kafka_request_t *request = job->request;
    const kafka_t *kafka = request->kafka;
    const kafka_metadata_request_t *body = request->body;
    kafka_metadata_response_t *response = job->response = KAFKA_MESSAGE(request, metadata_response);
    response->brokers = kafka_metadata_response_broker_array(&request->arena, 1);
    response->brokers_count = 1;
    response->brokers[0].node_id = kafka->broker_id;
    kafka_advertised(request, &response->brokers[0].host, &response->brokers[0].port);
    response->brokers[0].rack = kafka_text(request, kafka->config.broker_rack);
    response->cluster_id = bytes_str(kafka->cluster_id);
    response->controller_id = kafka->broker_id;
    if (body->include_cluster_authorized_operations) response->cluster_authorized_operations = KAFKA_OPERATIONS_CLUSTER;
    response->topics = kafka_metadata_response_topic_array(&request->arena, job->count);
    job->next = 0;
    job->phase = fill_some;
}

/* ---- creation -------------------------------------------------------------------------------------------------------- */

/* The last creation may end inside create_some, or later. */
static void one_less(metadata_job_t *job)
{
    if (--job->pending > 0) return;
    begin_fill(job);
    slice_run(&job->request->kafka->slices, &job->request->slice);
}

static void waited(void *user, kafka_topic_t *topic, kafka_code_t error, const char *message) { one_less(user); }

static void created(void *user, kafka_topic_t *topic, kafka_code_t error, const char *message)
{
    metadata_creation_t *creation = user;
    metadata_job_t *job = creation->job;
    const kafka_metadata_request_t *body = job->request->body;
    if (error == KAFKA_TOPIC_ALREADY_EXISTS) { /* another client was faster: it is there, or about to be */
        topics_store_wait(job->request->kafka, body->topics[job->asked[creation->index]].name, 1, waited, job);
        return;
    }
    job->errors[creation->index] = error;
    one_less(job);
}

static bool may_create(const kafka_request_t *request, const kafka_metadata_request_topic_t *asked)
{
    const kafka_metadata_request_t *body = request->body;
    return body->allow_auto_topic_creation && request->kafka->config.auto_create_topics_enable &&
           kafka_uuid_is_zero(asked->topic_id) && !map_get(&request->kafka->topics, asked->name) &&
           !kafka_topic_name_problem(asked->name, (arena_t *)&request->arena);
}

static slice_state_t create_some(metadata_job_t *job)
{
    kafka_request_t *request = job->request;
    const kafka_metadata_request_t *body = request->body;
    if (job->next == job->count) {
        if (--job->pending > 0) return SLICE_WAITS;
        begin_fill(job);
        return SLICE_MORE;
    }
    int32_t i = job->next++;
    if (!may_create(request, &body->topics[job->asked[i]])) return SLICE_MORE;
    metadata_creation_t *creation = ARENA_NEW(&request->arena, metadata_creation_t);
    *creation = (metadata_creation_t){job, i};
    job->pending++;
    kafka_topic_create_auto(request->kafka, body->topics[job->asked[i]].name, created, creation);
    return SLICE_MORE;
}

static bytes_t key_of(const kafka_metadata_request_topic_t *asked)
{
    return kafka_uuid_is_zero(asked->topic_id) ? asked->name : bytes_of(asked->topic_id.bytes, sizeof(kafka_uuid_t));
}

/* Each thing that is asked for once, and how many topics would have to be made. */
static slice_state_t choose_some(metadata_job_t *job)
{
    kafka_request_t *request = job->request;
    const kafka_metadata_request_t *body = request->body;
    int32_t end = MIN(job->next + NAMES_A_STEP, body->topics_count);
    for (; job->next < end; job->next++) {
        const kafka_metadata_request_topic_t *asked = &body->topics[job->next];
        if (name_count_of(&job->seen, key_of(asked)) > 0) continue;
        name_count_add(&job->seen, key_of(asked));
        job->asked[job->count++] = job->next;
        job->wanted += may_create(request, asked);
    }
    if (job->next < body->topics_count) return SLICE_MORE;
    name_count_deinit(&job->seen);
    if (job->wanted > 0 && !topic_records_fit(job->wanted, job->wanted * request->kafka->config.num_partitions)) {
        begin_fill(job);
    } else {
        job->next = 0;
        job->phase = create_some;
    }
    return SLICE_MORE;
}

/* Their ids: topics come and go while the answer is built. */
static void list_all(metadata_job_t *job)
{
    const kafka_t *kafka = job->request->kafka;
    size_t cursor = 0;
    job->all = ARENA_ARRAY(&job->request->arena, kafka_uuid_t, (int32_t)kafka->topics.count);
    for (map_entry_t *entry; (entry = map_next(&kafka->topics, &cursor));)
        job->all[job->count++] = ((kafka_topic_t *)entry->value)->id;
}

static slice_state_t metadata_step(slice_t *slice)
{
    metadata_job_t *job = CONTAINER_OF(slice, kafka_request_t, slice)->state;
    return job->phase(job);
}

void kafka_handle_metadata(kafka_request_t *request)
{
    const kafka_metadata_request_t *body = request->body;
    metadata_job_t *job = request->state = ARENA_NEW(&request->arena, metadata_job_t);
    job->request = request;
    job->pending = 1;
    job->phase = choose_some;
    if (wants_all(request, body)) {
        list_all(job);
        begin_fill(job);
    } else {
        job->asked = ARENA_ARRAY(&request->arena, int32_t, body->topics_count);
        job->errors = ARENA_ARRAY(&request->arena, int16_t, body->topics_count);
    }
    kafka_request_run(request, metadata_step, NULL);
}

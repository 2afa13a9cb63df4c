/* metadata.c: brokers, topics, partitions and leaders. A topic that is asked for by name and does not exist
 * is created when the client allows it and auto.create.topics.enable is on; the answer waits for it, so that
 * the client's next request finds it. */
#include "kafka/apis.h"
#include "kafka/topics.h"

typedef struct metadata_job {
    kafka_request_t *request;
    int16_t *errors; /* of each asked topic, from its creation */
    int32_t pending; /* creations, plus one while they are being started */
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

static void fill_asked(kafka_request_t *request, const kafka_metadata_request_topic_t *asked, int16_t error,
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

static void fill_all(kafka_request_t *request, kafka_metadata_response_t *response)
{
    const kafka_t *kafka = request->kafka;
    size_t cursor = 0;
    response->topics = kafka_metadata_response_topic_array(&request->arena, (int32_t)kafka->topics.count);
    for (map_entry_t *entry; (entry = map_next(&kafka->topics, &cursor));) {
        const kafka_topic_t *topic = entry->value;
        if (!topic->deleting) fill_topic(request, topic, &response->topics[response->topics_count++]);
    }
}

static void answer(metadata_job_t *job)
{
    kafka_request_t *request = job->request;
    const kafka_t *kafka = request->kafka;
    const kafka_metadata_request_t *body = request->body;
    kafka_metadata_response_t *response = KAFKA_MESSAGE(request, metadata_response);
    response->brokers = kafka_metadata_response_broker_array(&request->arena, 1);
    response->brokers_count = 1;
    response->brokers[0].node_id = kafka->broker_id;
    kafka_advertised(request, &response->brokers[0].host, &response->brokers[0].port);
    response->brokers[0].rack = kafka_text(request, kafka->config.broker_rack);
    response->cluster_id = bytes_str(kafka->cluster_id);
    response->controller_id = kafka->broker_id;
    if (body->include_cluster_authorized_operations) response->cluster_authorized_operations = KAFKA_OPERATIONS_CLUSTER;
    if (wants_all(request, body)) {
        fill_all(request, response);
    } else {
        response->topics_count = body->topics_count;
        response->topics = kafka_metadata_response_topic_array(&request->arena, body->topics_count);
        for (int32_t i = 0; i < body->topics_count; i++)
            fill_asked(request, &body->topics[i], job->errors[i], &response->topics[i]);
    }
    kafka_respond(request, response);
}

static void one_less(metadata_job_t *job)
{
    if (--job->pending == 0) answer(job);
}

static void waited(void *user, kafka_topic_t *topic, int16_t error, const char *message) { one_less(user); }

static void created(void *user, kafka_topic_t *topic, int16_t error, const char *message)
{
    metadata_creation_t *creation = user;
    metadata_job_t *job = creation->job;
    const kafka_metadata_request_t *body = job->request->body;
    if (error == KAFKA_TOPIC_ALREADY_EXISTS) { /* another client was faster: it is there, or about to be */
        topics_store_wait(job->request->kafka, body->topics[creation->index].name, 1, waited, job);
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

void kafka_handle_metadata(kafka_request_t *request)
{
    const kafka_metadata_request_t *body = request->body;
    metadata_job_t *job = ARENA_NEW(&request->arena, metadata_job_t);
    int32_t count = wants_all(request, body) ? 0 : body->topics_count;
    job->request = request;
    job->errors = ARENA_ARRAY(&request->arena, int16_t, count);
    job->pending = 1;
    for (int32_t i = 0; i < count; i++) {
        if (!may_create(request, &body->topics[i])) continue;
        metadata_creation_t *creation = ARENA_NEW(&request->arena, metadata_creation_t);
        *creation = (metadata_creation_t){job, i};
        job->pending++;
        kafka_topic_create_auto(request->kafka, body->topics[i].name, created, creation);
    }
    one_less(job);
}

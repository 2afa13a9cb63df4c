/* create_topics.c: checks each topic as Kafka's controller does, word for word, then makes it through the
 * tree; the answer waits until every one is there or refused.
 *
 *   check ──together they are too many: all are refused──> answer
 *     └──> create ──all are there or refused──> answer                 each in slices */
#include "kafka/api/apis.h"
#include "kafka/config/config.h"
#include "kafka/topics/name_count.h"
#include "kafka/topics/topics.h"

typedef kafka_create_topics_request_topic_t asked_topic_t;
typedef kafka_create_topics_response_topic_t told_topic_t;

typedef struct create_job {
    kafka_request_t *request;
    kafka_create_topics_response_t *response;
    slice_state_t (*phase)(struct create_job *job);
    int32_t next;            /* of what the phase goes through */
    struct create_one *good; /* topics that passed the check */
    int32_t good_count;
    int64_t records; /* what they make, topics, partitions and settings */
    int32_t pending; /* creations under way, plus one while they are being started */
    name_count_t names;
} create_job_t;

typedef struct create_one {
    create_job_t *job;
    told_topic_t *told;
    kafka_topic_spec_t spec;
} create_one_t;

static kafka_code_t refuse(told_topic_t *told, kafka_code_t error, const char *message)
{
    told->error_code = error;
    told->error_message = bytes_str(message);
    return error;
}

/* A manual assignment: every partition once, each on this broker alone. */
static kafka_code_t check_assignments(kafka_request_t *request, const asked_topic_t *asked, told_topic_t *told)
{
    arena_t *arena = &request->arena;
    if (asked->replication_factor != -1)
        return refuse(told, KAFKA_INVALID_REQUEST,
                      "A manual partition assignment was specified, but replication factor was not set to -1.");
    if (asked->num_partitions != -1)
        return refuse(told, KAFKA_INVALID_REQUEST,
                      "A manual partition assignment was specified, but numPartitions was not set to -1.");
    bool *seen = ARENA_ARRAY(arena, bool, asked->assignments_count);
    for (int32_t i = 0; i < asked->assignments_count; i++) {
        const kafka_create_topics_request_assignment_t *a = &asked->assignments[i];
        const char *problem = topic_assignment_problem(request->kafka, a->broker_ids, a->broker_ids_count, arena);
        if (problem) return refuse(told, KAFKA_INVALID_REPLICA_ASSIGNMENT, problem);
        if (a->partition_index < 0 || a->partition_index >= asked->assignments_count)
            return refuse(told, KAFKA_INVALID_REPLICA_ASSIGNMENT,
                          "partitions should be a consecutive 0-based integer sequence");
        if (seen[a->partition_index])
            return refuse(told, KAFKA_INVALID_REPLICA_ASSIGNMENT,
                          arena_printf(arena, "Found multiple manual partition assignments for partition %" PRId32,
                                       a->partition_index));
        seen[a->partition_index] = true;
    }
    return KAFKA_NONE;
}

static kafka_code_t read_overrides(kafka_request_t *request, const asked_topic_t *asked, kafka_topic_spec_t *spec,
                                   told_topic_t *told)
{
    kafka_setting_t *settings = ARENA_ARRAY(&request->arena, kafka_setting_t, asked->configs_count);
    const char *nulls = NULL;
    for (int32_t i = 0; i < asked->configs_count; i++) {
        settings[i] = (kafka_setting_t){asked->configs[i].name, asked->configs[i].value};
        if (asked->configs[i].value.ptr) continue;
        nulls = arena_printf(&request->arena, "%s%s%s", nulls ? nulls : "", nulls ? "," : "",
                             arena_strdup(&request->arena, asked->configs[i].name));
    }
    spec->overrides = settings;
    spec->overrides_count = asked->configs_count;
    if (!nulls) return KAFKA_NONE;
    return refuse(told, KAFKA_INVALID_CONFIG,
                  arena_printf(&request->arena, "Null value not supported for topic configs: %s", nulls));
}

/* What the topic's settings are (or, with validate_only, would be). */
static void tell_settings(kafka_request_t *request, const kafka_topic_spec_t *spec, told_topic_t *told)
{
    kafka_topic_t *topic = topic_new(request->kafka, spec->name, (kafka_uuid_t){{0}});
    for (int32_t i = 0; i < spec->overrides_count; i++) {
        const kafka_setting_t *s = &spec->overrides[i];
        topic_add_override(topic, arena_strdup(&request->arena, s->name), arena_strdup(&request->arena, s->value));
    }
    told->configs = kafka_create_topics_response_config_array(&request->arena, KAFKA_TOPIC_SETTINGS_COUNT);
    told->configs_count = 0;
    for (size_t i = 0; i < KAFKA_TOPIC_SETTINGS_COUNT; i++) {
        const kafka_setting_def_t *def = &kafka_topic_settings[i];
        config_source_t source;
        if (def->hidden) continue;
        kafka_create_topics_response_config_t *out = &told->configs[told->configs_count++];
        const char *value = config_topic_value(topic, def, &source, &request->arena);
        out->name = bytes_str(def->name);
        out->value = kafka_text(request, value);
        out->config_source = (int8_t)source;
    }
    topic_free(topic);
}

static bool one_less(create_job_t *job)
{
    if (--job->pending > 0) return false;
    kafka_respond(job->request, job->response);
    return true;
}

static void created(void *user, kafka_topic_t *topic, kafka_code_t error, const char *message)
{
    create_one_t *one = user;
    kafka_request_t *request = one->job->request;
    if (error) {
        one->told->configs_count = -1;
        one->told->num_partitions = -1;
        one->told->replication_factor = -1;
        one->told->error_code = error;
        one->told->error_message = kafka_text(request, message);
    } else {
        one->told->topic_id = topic->id;
    }
    (void)one_less(one->job);
}

static void check_one(create_job_t *job, const asked_topic_t *asked, told_topic_t *told, uintptr_t times)
{
    kafka_request_t *request = job->request;
    kafka_t *kafka = request->kafka;
    kafka_topic_spec_t spec = {.name = asked->name,
                               .partitions_count = asked->num_partitions,
                               .replication_factor = asked->replication_factor};
    const char *message = NULL;
    told->name = asked->name;
    told->configs_count = -1;
    if (times > 1) {
        (void)refuse(told, KAFKA_INVALID_REQUEST, "Duplicate topic name.");
        return;
    }
    if (bytes_eq(asked->name, BYTES_LIT("__cluster_metadata"))) {
        (void)refuse(told, KAFKA_INVALID_REQUEST, "Creation of internal topic __cluster_metadata is prohibited.");
        return;
    }
    if (read_overrides(request, asked, &spec, told)) return;
    if (asked->assignments_count > 0) {
        if (check_assignments(request, asked, told)) return;
        spec.partitions_count = asked->assignments_count;
        spec.replication_factor = 1;
    }
    kafka_code_t error = topic_create_check(kafka, &spec, &request->arena, &message);
    if (error) {
        (void)refuse(told, error, message);
        return;
    }
    told->num_partitions = spec.partitions_count > 0 ? spec.partitions_count : (int32_t)kafka->config.num_partitions;
    told->replication_factor = 1;
    job->records += 1 + told->num_partitions + spec.overrides_count;
    job->good[job->good_count++] = (create_one_t){job, told, spec};
}

static void refuse_all(create_job_t *job, const char *message)
{
    const kafka_create_topics_request_t *body = job->request->body;
    kafka_create_topics_response_t *response = job->response;
    for (int32_t i = 0; i < body->topics_count; i++) name_count_add(&job->names, body->topics[i].name);
    response->topics_count = 0;
    for (int32_t i = 0; i < body->topics_count; i++) {
        if (name_count_take(&job->names, body->topics[i].name) == 0) continue;
        told_topic_t *told = &response->topics[response->topics_count++];
        *told = (told_topic_t){.name = body->topics[i].name,
                               .configs_count = -1,
                               .num_partitions = -1,
                               .replication_factor = -1,
                               .error_code = KAFKA_POLICY_VIOLATION,
                               .error_message = bytes_str(message)};
    }
    name_count_deinit(&job->names);
    kafka_respond(job->request, response);
}

static slice_state_t create_some(create_job_t *job)
{
    const kafka_create_topics_request_t *body = job->request->body;
    if (job->next == job->good_count) return one_less(job) ? SLICE_ENDED : SLICE_WAITS;
    create_one_t *one = &job->good[job->next++];
    tell_settings(job->request, &one->spec, one->told);
    if (body->validate_only) return SLICE_MORE;
    job->pending++;
    kafka_topic_create(job->request->kafka, &one->spec, created, one);
    return SLICE_MORE;
}

static slice_state_t check_some(create_job_t *job)
{
    const kafka_create_topics_request_t *body = job->request->body;
    if (job->next < body->topics_count) {
        const asked_topic_t *asked = &body->topics[job->next++];
        uintptr_t times = name_count_take(&job->names, asked->name);
        if (times > 0) check_one(job, asked, &job->response->topics[job->response->topics_count++], times);
        return SLICE_MORE;
    }
    name_count_deinit(&job->names);
    if (job->records > KAFKA_RECORDS_A_REQUEST_MAX) {
        refuse_all(job, "Unable to perform excessively large batch operation.");
        return SLICE_ENDED;
    }
    job->next = 0;
    job->phase = create_some;
    return SLICE_MORE;
}

static int64_t partitions_asked(const kafka_request_t *request)
{
    const kafka_create_topics_request_t *body = request->body;
    int64_t count = 0;
    for (int32_t i = 0; i < body->topics_count; i++) {
        const asked_topic_t *asked = &body->topics[i];
        count += asked->assignments_count > 0  ? asked->assignments_count
                 : asked->num_partitions == -1 ? request->kafka->config.num_partitions
                                               : MAX(asked->num_partitions, 0);
    }
    return count;
}

static slice_state_t create_step(slice_t *slice)
{
    create_job_t *job = CONTAINER_OF(slice, kafka_request_t, slice)->state;
    return job->phase(job);
}

void kafka_handle_create_topics(kafka_request_t *request)
{
    const kafka_create_topics_request_t *body = request->body;
    create_job_t *job = request->state = ARENA_NEW(&request->arena, create_job_t);
    job->request = request;
    job->response = KAFKA_MESSAGE(request, create_topics_response);
    job->response->topics = kafka_create_topics_response_topic_array(&request->arena, body->topics_count);
    job->good = ARENA_ARRAY(&request->arena, create_one_t, body->topics_count);
    job->pending = 1;
    job->phase = check_some;
    if (partitions_asked(request) > KAFKA_RECORDS_A_REQUEST_MAX) {
        refuse_all(job, "Excessively large number of partitions per request.");
        return;
    }
    for (int32_t i = 0; i < body->topics_count; i++) name_count_add(&job->names, body->topics[i].name);
    kafka_request_run(request, create_step, NULL);
}

/* create_topics.c: checks each topic as Kafka's controller does, word for word, then makes it through the
 * tree; the answer waits until every one is there or refused. */
#include "kafka/apis.h"
#include "kafka/config.h"
#include "kafka/name_count.h"
#include "kafka/topics.h"

typedef kafka_create_topics_request_topic_t asked_topic_t;
typedef kafka_create_topics_response_topic_t told_topic_t;

typedef struct create_job {
    kafka_request_t *request;
    kafka_create_topics_response_t *response;
    int32_t pending; /* creations under way, plus one while they are being started */
    name_count_t names;
} create_job_t;

typedef struct create_one {
    create_job_t *job;
    told_topic_t *told;
} create_one_t;

static int16_t refuse(told_topic_t *told, int16_t error, const char *message)
{
    told->error_code = error;
    told->error_message = bytes_str(message);
    return error;
}

/* A manual assignment: every partition once, each on this broker alone. */
static int16_t check_assignments(kafka_request_t *request, const asked_topic_t *asked, told_topic_t *told)
{
    arena_t *arena = &request->arena;
    if (asked->replication_factor != -1)
        return refuse(
            told, KAFKA_INVALID_REQUEST,
            "A manual partition assignment was specified, but replication factor was not set to -1.");
    if (asked->num_partitions != -1)
        return refuse(told, KAFKA_INVALID_REQUEST,
                      "A manual partition assignment was specified, but numPartitions was not set to -1.");
    bool *seen = ARENA_ARRAY(arena, bool, asked->assignments_count);
    for (int32_t i = 0; i < asked->assignments_count; i++) {
        const kafka_create_topics_request_assignment_t *a = &asked->assignments[i];
        const char *problem =
            topic_assignment_problem(request->kafka, a->broker_ids, a->broker_ids_count, arena);
        if (problem) return refuse(told, KAFKA_INVALID_REPLICA_ASSIGNMENT, problem);
        if (a->partition_index < 0 || a->partition_index >= asked->assignments_count)
            return refuse(told, KAFKA_INVALID_REPLICA_ASSIGNMENT,
                          "partitions should be a consecutive 0-based integer sequence");
        if (seen[a->partition_index])
            return refuse(told, KAFKA_INVALID_REPLICA_ASSIGNMENT,
                          arena_printf(arena,
                                       "Found multiple manual partition assignments for partition %" PRId32,
                                       a->partition_index));
        seen[a->partition_index] = true;
    }
    return KAFKA_NONE;
}

static int16_t read_overrides(kafka_request_t *request, const asked_topic_t *asked, kafka_topic_spec_t *spec,
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
        topic_add_override(topic, arena_strdup(&request->arena, s->name),
                           arena_strdup(&request->arena, s->value));
    }
    told->configs = kafka_create_topics_response_config_array(&request->arena, KAFKA_TOPIC_SETTINGS_COUNT);
    told->configs_count = 0;
    for (size_t i = 0; i < KAFKA_TOPIC_SETTINGS_COUNT; i++) {
        const kafka_setting_def_t *def = &kafka_topic_settings[i];
        kafka_create_topics_response_config_t *out = &told->configs[told->configs_count++];
        config_source_t source;
        const char *value = config_topic_value(topic, def, &source, &request->arena);
        out->name = bytes_str(def->name);
        out->value = kafka_text(request, value);
        out->config_source = (int8_t)source;
    }
    topic_free(topic);
}

static void one_less(create_job_t *job)
{
    if (--job->pending == 0) kafka_respond(job->request, job->response);
}

static void created(void *user, kafka_topic_t *topic, int16_t error, const char *message)
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
    one_less(one->job);
}

static void create_one(create_job_t *job, const asked_topic_t *asked, told_topic_t *told, uintptr_t times)
{
    kafka_request_t *request = job->request;
    kafka_t *kafka = request->kafka;
    const kafka_create_topics_request_t *body = request->body;
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
        (void)refuse(told, KAFKA_INVALID_REQUEST,
                     "Creation of internal topic __cluster_metadata is prohibited.");
        return;
    }
    if (read_overrides(request, asked, &spec, told)) return;
    if (asked->assignments_count > 0) {
        if (check_assignments(request, asked, told)) return;
        spec.partitions_count = asked->assignments_count;
        spec.replication_factor = 1;
    }
    int16_t error = topic_create_check(kafka, &spec, &request->arena, &message);
    if (error) {
        (void)refuse(told, error, message);
        return;
    }
    told->num_partitions =
        spec.partitions_count > 0 ? spec.partitions_count : (int32_t)kafka->config.num_partitions;
    told->replication_factor = 1;
    tell_settings(request, &spec, told);
    if (body->validate_only) return;
    create_one_t *one = ARENA_NEW(&request->arena, create_one_t);
    *one = (create_one_t){job, told};
    job->pending++;
    kafka_topic_create(kafka, &spec, created, one);
}

void kafka_handle_create_topics(kafka_request_t *request)
{
    const kafka_create_topics_request_t *body = request->body;
    create_job_t *job = ARENA_NEW(&request->arena, create_job_t);
    job->request = request;
    job->response = KAFKA_MESSAGE(request, create_topics_response);
    job->response->topics = kafka_create_topics_response_topic_array(&request->arena, body->topics_count);
    job->pending = 1;
    for (int32_t i = 0; i < body->topics_count; i++) name_count_add(&job->names, body->topics[i].name);
    for (int32_t i = 0; i < body->topics_count; i++) {
        uintptr_t times = name_count_take(&job->names, body->topics[i].name);
        if (times == 0) continue;
        create_one(job, &body->topics[i], &job->response->topics[job->response->topics_count++], times);
    }
    name_count_deinit(&job->names);
    one_less(job);
}

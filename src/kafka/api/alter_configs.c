/* alter_configs.c: replaces all settings of a resource (the older API); the answer waits for the tree. */
#include "kafka/apis.h"
#include "kafka/config_change.h"
#include "kafka/name_count.h"

typedef struct alter_job {
    kafka_request_t *request;
    kafka_alter_configs_response_t *response;
    int32_t pending;
    name_count_t names;
} alter_job_t;

typedef struct alter_one {
    alter_job_t *job;
    kafka_alter_configs_response_resource_t *told;
} alter_one_t;

static void one_less(alter_job_t *job)
{
    if (--job->pending == 0) kafka_respond(job->request, job->response);
}

static void changed(void *user, int16_t error, const char *message)
{
    alter_one_t *one = user;
    one->told->error_code = error;
    one->told->error_message = kafka_text(one->job->request, message);
    one_less(one->job);
}

/* Type and name as one key. */
static bytes_t resource_key(arena_t *arena, const kafka_alter_configs_request_resource_t *asked)
{
    uint8_t *key = arena_alloc(arena, asked->resource_name.len + 1);
    key[0] = (uint8_t)asked->resource_type;
    if (asked->resource_name.len) memcpy(key + 1, asked->resource_name.ptr, asked->resource_name.len);
    return bytes_of(key, asked->resource_name.len + 1);
}

static void alter_one(alter_job_t *job, int32_t index)
{
    arena_t *arena = &job->request->arena;
    const kafka_alter_configs_request_t *body = job->request->body;
    const kafka_alter_configs_request_resource_t *asked = &body->resources[index];
    alter_one_t *one = ARENA_NEW(arena, alter_one_t);
    *one = (alter_one_t){job, &job->response->responses[index]};
    one->told->resource_type = asked->resource_type;
    one->told->resource_name = asked->resource_name;
    job->pending++;
    if (name_count_of(&job->names, resource_key(arena, asked)) > 1) {
        changed(one, KAFKA_INVALID_REQUEST, "Each resource must appear at most once.");
        return;
    }
    config_edit_t *edits = ARENA_ARRAY(arena, config_edit_t, asked->configs_count);
    for (int32_t i = 0; i < asked->configs_count; i++)
        edits[i] = (config_edit_t){asked->configs[i].name, CONFIG_SET, asked->configs[i].value};
    config_change_t change = {.resource_type = asked->resource_type,
                              .resource_name = asked->resource_name,
                              .edits = edits,
                              .edits_count = asked->configs_count,
                              .replace_all = true,
                              .validate_only = body->validate_only};
    config_change(job->request->kafka, &change, arena, changed, one);
}

void kafka_handle_alter_configs(kafka_request_t *request)
{
    const kafka_alter_configs_request_t *body = request->body;
    alter_job_t *job = ARENA_NEW(&request->arena, alter_job_t);
    job->request = request;
    job->response = KAFKA_MESSAGE(request, alter_configs_response);
    job->response->responses = kafka_alter_configs_response_resource_array(&request->arena, body->resources_count);
    job->response->responses_count = body->resources_count;
    job->pending = 1;
    for (int32_t i = 0; i < body->resources_count; i++)
        name_count_add(&job->names, resource_key(&request->arena, &body->resources[i]));
    for (int32_t i = 0; i < body->resources_count; i++) alter_one(job, i);
    name_count_deinit(&job->names);
    one_less(job);
}

/* alter_configs.c: replaces all settings of resources (the older API). */
#include "kafka/api/apis.h"
#include "kafka/api/config_alter.h"

static void answer(kafka_request_t *request, const config_alteration_t *all, int32_t count)
{
    kafka_alter_configs_response_t *response = KAFKA_MESSAGE(request, alter_configs_response);
    response->responses = kafka_alter_configs_response_resource_array(&request->arena, count);
    response->responses_count = count;
    for (int32_t i = 0; i < count; i++) {
        kafka_alter_configs_response_resource_t *told = &response->responses[i];
        told->resource_type = all[i].change.resource_type;
        told->resource_name = all[i].change.resource_name;
        told->error_code = all[i].error;
        told->error_message = all[i].message;
    }
    kafka_respond(request, response);
}

void kafka_handle_alter_configs(kafka_request_t *request)
{
    const kafka_alter_configs_request_t *body = request->body;
    config_alteration_t *all = ARENA_ARRAY(&request->arena, config_alteration_t, body->resources_count);
    for (int32_t i = 0; i < body->resources_count; i++) {
        const kafka_alter_configs_request_resource_t *asked = &body->resources[i];
        config_edit_t *edits = ARENA_ARRAY(&request->arena, config_edit_t, asked->configs_count);
        for (int32_t e = 0; e < asked->configs_count; e++)
            edits[e] = (config_edit_t){asked->configs[e].name, CONFIG_SET, asked->configs[e].value};
        all[i] = (config_alteration_t){.change = {.resource_type = asked->resource_type,
                                                  .resource_name = asked->resource_name,
                                                  .edits = edits,
                                                  .edits_count = asked->configs_count,
                                                  .replace_all = true,
                                                  .validate_only = body->validate_only}};
    }
    config_alter_all(request, all, body->resources_count, answer);
}

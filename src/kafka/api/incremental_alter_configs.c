/* incremental_alter_configs.c: sets, deletes, appends to and subtracts from settings. */
#include "kafka/api/apis.h"
#include "kafka/api/config_alter.h"

static void answer(kafka_request_t *request, const config_alteration_t *all, int32_t count)
{
    kafka_incremental_alter_configs_response_t *response = KAFKA_MESSAGE(request, incremental_alter_configs_response);
    response->responses = kafka_incremental_alter_configs_response_resource_array(&request->arena, count);
    response->responses_count = count;
    for (int32_t i = 0; i < count; i++) {
        kafka_incremental_alter_configs_response_resource_t *told = &response->responses[i];
        told->resource_type = all[i].change.resource_type;
        told->resource_name = all[i].change.resource_name;
        told->error_code = all[i].error;
        told->error_message = all[i].message;
    }
    kafka_respond(request, response);
}

void kafka_handle_incremental_alter_configs(kafka_request_t *request)
{
    const kafka_incremental_alter_configs_request_t *body = request->body;
    config_alteration_t *all = ARENA_ARRAY(&request->arena, config_alteration_t, body->resources_count);
    for (int32_t i = 0; i < body->resources_count; i++) {
        const kafka_incremental_alter_configs_request_resource_t *asked = &body->resources[i];
        config_edit_t *edits = ARENA_ARRAY(&request->arena, config_edit_t, asked->configs_count);
        for (int32_t e = 0; e < asked->configs_count; e++)
            edits[e] =
                (config_edit_t){asked->configs[e].name, asked->configs[e].config_operation, asked->configs[e].value};
        all[i] = (config_alteration_t){.change = {.resource_type = asked->resource_type,
                                                  .resource_name = asked->resource_name,
                                                  .edits = edits,
                                                  .edits_count = asked->configs_count,
                                                  .validate_only = body->validate_only}};
    }
    config_alter_all(request, all, body->resources_count, answer);
}

/* describe_configs.c: every setting of a topic or of this broker, with its value, where the value comes from,
 * its synonyms and, when asked for, what it does. */
#include "kafka/api/apis.h"
#include "kafka/config/config.h"
#include "kafka/topics/config_group.h"

#include <stdlib.h>

enum { RESOURCE_TOPIC = 2, RESOURCE_BROKER = 4, RESOURCE_BROKER_LOGGER = 8, RESOURCE_GROUP = 32 };

typedef kafka_describe_configs_request_resource_t asked_t;
typedef kafka_describe_configs_response_result_t result_t;
typedef kafka_describe_configs_response_config_t entry_t;
typedef kafka_describe_configs_response_synonym_t synonym_t;

#define KEYS_MAX     1000
#define SYNONYMS_MAX 16 /* a topic's own value, and four layers of at most three names */

typedef struct synonyms {
    synonym_t items[SYNONYMS_MAX];
    int32_t count;
} synonyms_t;

static bool is_asked(const asked_t *asked, const char *name)
{
    if (asked->configuration_keys_count <= 0) return true;
    if (asked->configuration_keys_count > KEYS_MAX) return true; /* more than there are: so many are not looked for */
    for (int32_t i = 0; i < asked->configuration_keys_count; i++) {
        if (bytes_eq(asked->configuration_keys[i], bytes_str(name))) return true;
    }
    return false;
}

/* Layer by layer, in each the names in their order; what stands before the setting's own name is left out. */
static void add_broker_synonyms(const kafka_t *kafka, const kafka_setting_def_t *def, synonyms_t *out)
{
    bool own_seen = false;
    for (config_source_t source = CONFIG_SOURCE_BROKER; source <= CONFIG_SOURCE_DEFAULT; source++) {
        const kafka_setting_def_t *synonym;
        for (int i = 0; (synonym = config_synonym(def, i)); i++) {
            const char *value = config_value_in(kafka->config_store, synonym, source);
            own_seen |= value && synonym == def;
            if (!value || !own_seen) continue;
            ASSERT(out->count < SYNONYMS_MAX);
            out->items[out->count++] = (synonym_t){
                .name = bytes_str(synonym->name),
                .value = kafka_setting_is_sensitive(synonym) ? BYTES_NULL : bytes_str(value),
                .source = (int8_t)source,
            };
        }
    }
}

static void fill_entry(kafka_request_t *request, const kafka_setting_def_t *def, const char *value,
                       const synonyms_t *synonyms, entry_t *out)
{
    const kafka_describe_configs_request_t *body = request->body;
    bool sensitive = kafka_setting_is_sensitive(def);
    out->name = bytes_str(def->name);
    out->value = sensitive ? BYTES_NULL : kafka_text(request, value);
    out->is_sensitive = sensitive;
    out->config_type = (int8_t)def->type;
    out->config_source = synonyms->count ? synonyms->items[0].source : CONFIG_SOURCE_DEFAULT;
    if (body->include_documentation) out->documentation = bytes_str(def->doc ? def->doc : "");
    if (!body->include_synonyms) return;
    out->synonyms = kafka_describe_configs_response_synonym_array(&request->arena, synonyms->count);
    out->synonyms_count = synonyms->count;
    for (int32_t i = 0; i < synonyms->count; i++) {
        out->synonyms[i] = synonyms->items[i];
        out->synonyms[i].value = arena_copy(&request->arena, synonyms->items[i].value);
    }
}

static void describe_topic(kafka_request_t *request, const asked_t *asked, const kafka_topic_t *topic, result_t *result)
{
    result->configs = kafka_describe_configs_response_config_array(&request->arena, KAFKA_TOPIC_SETTINGS_COUNT);
    for (size_t i = 0; i < KAFKA_TOPIC_SETTINGS_COUNT; i++) {
        const kafka_setting_def_t *def = &kafka_topic_settings[i];
        synonyms_t synonyms = {.count = 0};
        config_source_t source;
        if (def->hidden || !is_asked(asked, def->name)) continue;
        const char *value = config_topic_value(topic, def, &source, &request->arena);
        if (source == CONFIG_SOURCE_TOPIC)
            synonyms.items[synonyms.count++] = (synonym_t){bytes_str(def->name), bytes_str(value), CONFIG_SOURCE_TOPIC};
        const kafka_setting_def_t *broker = config_topic_synonym(def);
        if (broker) add_broker_synonyms(request->kafka, broker, &synonyms);
        fill_entry(request, def, value, &synonyms, &result->configs[result->configs_count++]);
    }
}

static void describe_broker(kafka_request_t *request, const asked_t *asked, result_t *result)
{
    const kafka_t *kafka = request->kafka;
    result->configs = kafka_describe_configs_response_config_array(&request->arena, KAFKA_BROKER_SETTINGS_COUNT);
    for (size_t i = 0; i < KAFKA_BROKER_SETTINGS_COUNT; i++) {
        const kafka_setting_def_t *def = &kafka_broker_settings[i];
        synonyms_t synonyms = {.count = 0};
        if (def->hidden || !is_asked(asked, def->name)) continue;
        add_broker_synonyms(kafka, def, &synonyms);
        entry_t *entry = &result->configs[result->configs_count++];
        fill_entry(request, def, config_value(kafka->config_store, def), &synonyms, entry);
        entry->read_only = def->mode == KAFKA_SETTING_READ_ONLY;
    }
}

/* Only what /config/brokers/<default> sets. */
static void describe_default_broker(kafka_request_t *request, const asked_t *asked, result_t *result)
{
    const kafka_t *kafka = request->kafka;
    result->configs = kafka_describe_configs_response_config_array(&request->arena, KAFKA_BROKER_SETTINGS_COUNT);
    for (size_t i = 0; i < KAFKA_BROKER_SETTINGS_COUNT; i++) {
        const kafka_setting_def_t *def = &kafka_broker_settings[i];
        const char *value = config_value_in(kafka->config_store, def, CONFIG_SOURCE_DEFAULT_BROKER);
        if (!value || !is_asked(asked, def->name)) continue;
        synonyms_t synonyms = {.count = 1,
                               .items = {{bytes_str(def->name), bytes_str(value), CONFIG_SOURCE_DEFAULT_BROKER}}};
        fill_entry(request, def, value, &synonyms, &result->configs[result->configs_count++]);
    }
}

static void describe_group(kafka_request_t *request, const asked_t *asked, result_t *result)
{
    config_group_t group;
    config_group_read(request->kafka, asked->resource_name, &request->arena, &group);
    result->configs = kafka_describe_configs_response_config_array(&request->arena, CONFIG_GROUP_SETTINGS_COUNT);
    for (int i = 0; i < CONFIG_GROUP_SETTINGS_COUNT; i++) {
        const kafka_setting_def_t *def = &config_group_settings()[i];
        const char *own = group.own[i], *value = own ? own : config_group_default(request->kafka, def);
        synonyms_t synonyms = {.count = 0};
        if (!is_asked(asked, def->name)) continue;
        if (own)
            synonyms.items[synonyms.count++] = (synonym_t){bytes_str(def->name), bytes_str(own), CONFIG_SOURCE_GROUP};
        if (def->broker_names)
            add_broker_synonyms(request->kafka, config_broker_setting(bytes_str(def->broker_names)), &synonyms);
        else
            synonyms.items[synonyms.count++] =
                (synonym_t){bytes_str(def->name), bytes_str(def->default_value), CONFIG_SOURCE_DEFAULT};
        fill_entry(request, def, value, &synonyms, &result->configs[result->configs_count++]);
    }
}

static void refuse(result_t *result, kafka_code_t error, const char *message)
{
    result->error_code = error;
    result->error_message = bytes_str(message);
}

/* Whether the name is this broker's id; tells the error when not. */
static bool is_this_broker(kafka_request_t *request, bytes_t name, const char *or_empty, result_t *result)
{
    char *text = arena_strdup(&request->arena, name), *end;
    long id = strtol(text, &end, 10);
    if (end != text + name.len) {
        refuse(result, KAFKA_INVALID_REQUEST,
               arena_printf(&request->arena, "Broker id must be an integer, but it is: %s", text));
        return false;
    }
    if (id == request->kafka->broker_id) return true;
    refuse(result, KAFKA_INVALID_REQUEST,
           arena_printf(&request->arena, "Unexpected broker id, expected %" PRId32 "%s, but received %s",
                        request->kafka->broker_id, or_empty, text));
    return false;
}

static void describe_one(kafka_request_t *request, const asked_t *asked, result_t *result)
{
    const kafka_topic_t *topic;
    const char *problem;
    result->resource_type = asked->resource_type;
    result->resource_name = asked->resource_name;
    result->error_message = BYTES_LIT(""); /* not null: so Kafka */
    if (kafka_response_is_full(request)) {
        refuse(result, KAFKA_INVALID_REQUEST, "Too many resources in one request");
        return;
    }
    switch (asked->resource_type) {
    case RESOURCE_TOPIC:
        problem = kafka_topic_name_problem(asked->resource_name, &request->arena);
        topic = kafka_topic_get(request->kafka, asked->resource_name);
        if (problem)
            refuse(result, KAFKA_INVALID_TOPIC_EXCEPTION, problem);
        else if (!topic)
            refuse(result, KAFKA_UNKNOWN_TOPIC_OR_PARTITION, "");
        else
            describe_topic(request, asked, topic, result);
        return;
    case RESOURCE_BROKER:
        if (asked->resource_name.len == 0)
            describe_default_broker(request, asked, result);
        else if (is_this_broker(request, asked->resource_name, " or empty string", result))
            describe_broker(request, asked, result);
        return;
    case RESOURCE_GROUP:
        if (asked->resource_name.len == 0)
            refuse(result, KAFKA_INVALID_REQUEST, "Group name must not be empty");
        else
            describe_group(request, asked, result);
        return;
    case RESOURCE_BROKER_LOGGER: /* there are no loggers whose levels could be told */
        if (asked->resource_name.len == 0)
            refuse(result, KAFKA_INVALID_REQUEST, "Broker id must not be empty");
        else
            (void)is_this_broker(request, asked->resource_name, "", result);
        return;
    default:
        refuse(result, KAFKA_INVALID_REQUEST,
               arena_printf(&request->arena, "Unexpected resource type %d for resource %s", asked->resource_type,
                            arena_strdup(&request->arena, asked->resource_name)));
    }
}

typedef struct describe_job {
    kafka_describe_configs_response_t *response;
    int32_t next; /* of the request's resources */
} describe_job_t;

static slice_state_t describe_step(slice_t *slice)
{
    kafka_request_t *request = CONTAINER_OF(slice, kafka_request_t, slice);
    const kafka_describe_configs_request_t *body = request->body;
    describe_job_t *job = request->state;
    if (job->next == body->resources_count) {
        kafka_respond(request, job->response);
        return SLICE_ENDED;
    }
    describe_one(request, &body->resources[job->next], &job->response->results[job->next]);
    job->next++;
    return SLICE_MORE;
}

void kafka_handle_describe_configs(kafka_request_t *request)
{
    const kafka_describe_configs_request_t *body = request->body;
    describe_job_t *job = request->state = ARENA_NEW(&request->arena, describe_job_t);
    job->response = KAFKA_MESSAGE(request, describe_configs_response);
    job->response->results = kafka_describe_configs_response_result_array(&request->arena, body->resources_count);
    job->response->results_count = body->resources_count;
    kafka_request_run(request, describe_step, NULL);
}

/* list_config_resources.c: ListConfigResources: what has, or may have, settings: every topic, this broker, and the groups that
 * have some. There are no client metrics here. */
#include "kafka/api/apis.h"
#include "kafka/topics/config_group.h"
#include "kafka/topics/znodes.h"

enum {
    RESOURCE_TOPIC = 2,
    RESOURCE_BROKER = 4,
    RESOURCE_LOGGER = 8,
    RESOURCE_CLIENT_METRICS = 16,
    RESOURCE_GROUP = 32
};

typedef kafka_list_config_resources_response_resource_t resource_t;

static bool is_known(int8_t type)
{
    return type == RESOURCE_TOPIC || type == RESOURCE_BROKER || type == RESOURCE_LOGGER ||
           type == RESOURCE_CLIENT_METRICS || type == RESOURCE_GROUP;
}

/* The types that are asked for, as a mask; none means all. False when one is unknown. */
static bool types_of(const kafka_request_t *request, unsigned *ret_types)
{
    const kafka_list_config_resources_request_t *body = request->body;
    unsigned types = 0;
    for (int32_t i = 0; i < body->resource_types_count; i++) {
        if (!is_known(body->resource_types[i])) return false;
        types |= (unsigned)body->resource_types[i];
    }
    if (request->header.api_version < 1) types = RESOURCE_CLIENT_METRICS;
    *ret_types = types ? types : UINT8_MAX;
    return true;
}

typedef struct listing {
    kafka_request_t *request;
    resource_t *resources;
    int32_t count;
} listing_t;

static void add(listing_t *l, bytes_t name, int8_t type)
{
    l->resources[l->count++] = (resource_t){.resource_name = name, .resource_type = type};
}

static void count_group(void *user, const char *name) { (*(int32_t *)user)++; }

static void count_setting(void *user, const char *name, const char *value) { (*(int32_t *)user)++; }

/* One whose settings were all deleted has none. */
static void add_group(void *user, const char *name)
{
    listing_t *l = user;
    arena_t *arena = &l->request->arena;
    int32_t settings = 0;
    bytes_t data;
    const char *path = arena_printf(arena, ZNODES_GROUP_CONFIGS "/%s", name);
    if (mirror_get(l->request->kafka->tree, path, &data, NULL) != ZOK) return;
    if (znode_parse_config(data, count_setting, &settings) != 0 || settings > 0)
        add(l, config_group_of(name, arena), RESOURCE_GROUP);
}

static void list(listing_t *l, unsigned types)
{
    const kafka_t *kafka = l->request->kafka;
    arena_t *arena = &l->request->arena;
    bytes_t broker = bytes_str(arena_printf(arena, "%" PRId32, kafka->broker_id));
    int32_t groups = 0;
    size_t cursor = 0;
    (void)!mirror_children(kafka->tree, ZNODES_GROUP_CONFIGS, count_group, &groups);
    l->resources =
        kafka_list_config_resources_response_resource_array(arena, (int32_t)kafka->topics.count + groups + 2);
    if (types & RESOURCE_GROUP) (void)!mirror_children(kafka->tree, ZNODES_GROUP_CONFIGS, add_group, l);
    for (map_entry_t *e; (types & RESOURCE_TOPIC) && (e = map_next(&kafka->topics, &cursor));)
        add(l, arena_copy(arena, e->key), RESOURCE_TOPIC);
    if (types & RESOURCE_LOGGER) add(l, broker, RESOURCE_LOGGER);
    if (types & RESOURCE_BROKER) add(l, broker, RESOURCE_BROKER);
}

void kafka_handle_list_config_resources(kafka_request_t *request)
{
    kafka_list_config_resources_response_t *response = KAFKA_MESSAGE(request, list_config_resources_response);
    listing_t l = {.request = request};
    unsigned types;
    if (types_of(request, &types))
        list(&l, types);
    else
        response->error_code = KAFKA_UNSUPPORTED_VERSION;
    response->config_resources = l.resources;
    response->config_resources_count = l.count;
    kafka_respond(request, response);
}

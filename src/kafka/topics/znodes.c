/* znodes.c: see znodes.h. The tree can be written by anybody with a ZooKeeper client, so what is read is
 * checked. */
#include "kafka/topics/znodes.h"

#include "base/num.h"

#include <jansson.h>
#include <stdlib.h>

static json_t *load(bytes_t data) { return json_loadb((const char *)data.ptr, data.len, JSON_REJECT_DUPLICATES, NULL); }

static bytes_t take(buf_t *b, arena_t *arena)
{
    bytes_t copy = arena_copy(arena, buf_bytes(b));
    buf_deinit(b);
    return copy;
}

static int read_ids(const json_t *array, arena_t *arena, znode_replicas_t *ret_ids)
{
    if (!json_is_array(array)) return ERR_CORRUPT;
    ret_ids->count = (int32_t)json_array_size(array);
    ret_ids->ids = ARENA_ARRAY(arena, int32_t, ret_ids->count + 1);
    for (int32_t i = 0; i < ret_ids->count; i++) {
        const json_t *id = json_array_get(array, (size_t)i);
        if (!json_is_integer(id)) return ERR_CORRUPT;
        ret_ids->ids[i] = (int32_t)json_integer_value(id);
    }
    return 0;
}

static void write_ids(buf_t *b, const znode_replicas_t *replicas)
{
    buf_printf(b, "[");
    for (int32_t i = 0; i < replicas->count; i++) buf_printf(b, i ? ",%" PRId32 : "%" PRId32, replicas->ids[i]);
    buf_printf(b, "]");
}

static int read_partitions(json_t *map, arena_t *arena, znode_topic_t *topic)
{
    if (!json_is_object(map) || json_object_size(map) > KAFKA_PARTITIONS_MAX) return ERR_CORRUPT;
    topic->partitions_count = (int32_t)json_object_size(map);
    topic->partitions = ARENA_ARRAY(arena, znode_replicas_t, topic->partitions_count + 1);
    for (int32_t i = 0; i < topic->partitions_count; i++) {
        char key[16];
        snprintf(key, sizeof(key), "%" PRId32, i);
        if (read_ids(json_object_get(map, key), arena, &topic->partitions[i]) != 0) return ERR_CORRUPT;
    }
    return 0;
}

int znode_parse_topic(bytes_t data, arena_t *arena, znode_topic_t *ret_topic)
{
    json_t *root = load(data);
    znode_topic_t topic = {0};
    int err = root ? read_partitions(json_object_get(root, "partitions"), arena, &topic) : ERR_CORRUPT;
    const char *id = root ? json_string_value(json_object_get(root, "topic_id")) : NULL;
    topic.has_id = id && kafka_uuid_parse(bytes_str(id), &topic.id);
    if (id && !topic.has_id) err = ERR_CORRUPT;
    json_decref(root);
    if (!err) *ret_topic = topic;
    return err;
}

bytes_t znode_format_topic(const znode_topic_t *topic, arena_t *arena)
{
    buf_t b = BUF_INIT;
    char id[KAFKA_UUID_CHARS + 1];
    kafka_uuid_format(topic->id, id);
    buf_printf(&b, "{\"partitions\":{");
    for (int32_t i = 0; i < topic->partitions_count; i++) {
        buf_printf(&b, "%s\"%" PRId32 "\":", i ? "," : "", i);
        write_ids(&b, &topic->partitions[i]);
    }
    buf_printf(&b, "},\"topic_id\":\"%s\",\"adding_replicas\":{},\"removing_replicas\":{},\"version\":3}", id);
    return take(&b, arena);
}

int znode_parse_state(bytes_t data, arena_t *arena, znode_state_t *ret_state)
{
    json_t *root = load(data);
    if (!root) return ERR_CORRUPT;
    const json_t *leader = json_object_get(root, "leader"), *epoch = json_object_get(root, "leader_epoch");
    znode_state_t state = {.leader = (int32_t)json_integer_value(leader),
                           .leader_epoch = (int32_t)json_integer_value(epoch),
                           .controller_epoch = (int32_t)json_integer_value(json_object_get(root, "controller_epoch"))};
    int err = read_ids(json_object_get(root, "isr"), arena, &state.isr);
    if (!json_is_integer(leader) || !json_is_integer(epoch)) err = ERR_CORRUPT;
    json_decref(root);
    if (!err) *ret_state = state;
    return err;
}

bytes_t znode_format_state(const znode_state_t *state, arena_t *arena)
{
    buf_t b = BUF_INIT;
    buf_printf(&b,
               "{\"controller_epoch\":%" PRId32 ",\"leader\":%" PRId32 ",\"version\":1,\"leader_epoch\":%" PRId32
               ",\"isr\":",
               state->controller_epoch, state->leader, state->leader_epoch);
    write_ids(&b, &state->isr);
    buf_printf(&b, "}");
    return take(&b, arena);
}

int32_t znode_parse_controller_epoch(bytes_t data)
{
    int64_t epoch;
    return num_parse_i64(data, &epoch) && epoch >= 0 && epoch < INT32_MAX ? (int32_t)epoch : 0;
}

int znode_parse_config(bytes_t data, void (*each)(void *user, const char *name, const char *value), void *user)
{
    json_t *root = load(data), *value;
    json_t *config = root ? json_object_get(root, "config") : NULL;
    const char *name;
    int err = json_is_object(config) ? 0 : ERR_CORRUPT;
    if (!err) {
        json_object_foreach(config, name, value)
        {
            if (json_is_string(value)) each(user, name, json_string_value(value));
        }
    }
    json_decref(root);
    return err;
}

bytes_t znode_format_config(const kafka_setting_t *settings, int32_t count, arena_t *arena)
{
    json_t *config = json_object();
    for (int32_t i = 0; i < count; i++) {
        char *name = arena_strdup(arena, settings[i].name);
        json_object_set_new(config, name, json_stringn((const char *)settings[i].value.ptr, settings[i].value.len));
    }
    json_t *root = json_pack("{s:i, s:o}", "version", 1, "config", config);
    char *text = json_dumps(root, JSON_COMPACT);
    bytes_t copy = arena_copy(arena, bytes_str(text));
    free(text);
    json_decref(root);
    return copy;
}

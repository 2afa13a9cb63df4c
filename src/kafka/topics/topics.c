/* topics.c: topics in memory: finding them, naming them, making and freeing them. What they are is the tree's
 * affair (store.c). */
#include "kafka/topics/topics.h"

#include "kafka/config/config.h"
#include "kafka/partition/partition.h"

static const char *const internal_topics[] = {"__consumer_offsets", "__transaction_state", "__share_group_state"};

bool topic_is_internal(bytes_t name)
{
    for (size_t i = 0; i < ARRAY_LEN(internal_topics); i++) {
        if (bytes_eq(name, bytes_str(internal_topics[i]))) return true;
    }
    return false;
}

kafka_topic_t *kafka_topic_get(const kafka_t *kafka, bytes_t name)
{
    kafka_topic_t *topic = map_get(&kafka->topics, name);
    return topic && !topic->deleting ? topic : NULL;
}

kafka_topic_t *kafka_topic_by_id(const kafka_t *kafka, kafka_uuid_t id)
{
    kafka_topic_t *topic = map_get(&kafka->topics_by_id, bytes_of(id.bytes, sizeof(id.bytes)));
    return topic && !topic->deleting ? topic : NULL;
}

kafka_code_t kafka_topic_partition_get(const kafka_topic_t *topic, int32_t index, partition_t **ret_partition)
{
    if (index < 0 || index >= topic->partitions_count) return KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    const kafka_partition_state_t *state = &topic->partitions[index];
    if (state->leader != topic->kafka->broker_id) return KAFKA_NOT_LEADER_OR_FOLLOWER;
    if (!state->log) return KAFKA_KAFKA_STORAGE_ERROR;
    *ret_partition = state->log;
    return KAFKA_NONE;
}

kafka_code_t kafka_partition_get(const kafka_t *kafka, bytes_t name, int32_t index, partition_t **ret_partition)
{
    const kafka_topic_t *topic = kafka_topic_get(kafka, name);
    return topic ? kafka_topic_partition_get(topic, index, ret_partition) : KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
}

/* ---- finding --------------------------------------------------------------------------------------------------------- */

bytes_t topic_fold(bytes_t name, uint8_t out[KAFKA_TOPIC_NAME_BYTES_MAX])
{
    size_t n = MIN(name.len, (size_t)KAFKA_TOPIC_NAME_BYTES_MAX);
    for (size_t i = 0; i < n; i++) out[i] = name.ptr[i] == '.' ? '_' : name.ptr[i];
    return bytes_of(out, n);
}

void topic_index(kafka_topic_t *topic)
{
    uint8_t buffer[KAFKA_TOPIC_NAME_BYTES_MAX];
    kafka_t *kafka = topic->kafka;
    map_put(&kafka->topics, kafka_topic_name(topic), topic);
    map_put(&kafka->topics_by_id, bytes_of(topic->id.bytes, sizeof(topic->id.bytes)), topic);
    map_put(&kafka->topics_folded, topic_fold(kafka_topic_name(topic), buffer), topic);
}

void topic_unindex(kafka_topic_t *topic)
{
    uint8_t buffer[KAFKA_TOPIC_NAME_BYTES_MAX];
    kafka_t *kafka = topic->kafka;
    bytes_t key = topic_fold(kafka_topic_name(topic), buffer);
    map_remove(&kafka->topics, kafka_topic_name(topic));
    map_remove(&kafka->topics_by_id, bytes_of(topic->id.bytes, sizeof(topic->id.bytes)));
    if (map_get(&kafka->topics_folded, key) == topic) map_remove(&kafka->topics_folded, key);
}

const kafka_topic_t *topic_colliding(const kafka_t *kafka, bytes_t name)
{
    uint8_t buffer[KAFKA_TOPIC_NAME_BYTES_MAX];
    const kafka_topic_t *topic = map_get(&kafka->topics_folded, topic_fold(name, buffer));
    return topic && !bytes_eq(kafka_topic_name(topic), name) ? topic : NULL;
}

static bool is_legal_char(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
           c == '-';
}

const char *kafka_topic_name_problem(bytes_t name, arena_t *arena)
{
    const char *text = name.len ? arena_strdup(arena, name) : "";
    if (name.len == 0) return "Topic name is invalid: the empty string is not allowed";
    if (bytes_eq(name, BYTES_LIT("."))) return "Topic name is invalid: '.' is not allowed";
    if (bytes_eq(name, BYTES_LIT(".."))) return "Topic name is invalid: '..' is not allowed";
    if (name.len > KAFKA_TOPIC_NAME_BYTES_MAX)
        return arena_printf(arena, "Topic name is invalid: the length of '%s' is longer than the max allowed length %d",
                            text, KAFKA_TOPIC_NAME_BYTES_MAX);
    for (size_t i = 0; i < name.len; i++) {
        if (is_legal_char(name.ptr[i])) continue;
        return arena_printf(arena,
                            "Topic name is invalid: '%s' contains one or more characters other than ASCII "
                            "alphanumerics, '.', '_' and '-'",
                            text);
    }
    return NULL;
}

kafka_topic_t *topic_new(kafka_t *kafka, bytes_t name, kafka_uuid_t id)
{
    kafka_topic_t *topic = mem_zalloc(sizeof(*topic));
    topic->kafka = kafka;
    topic->name = mem_strndup(name);
    topic->name_len = name.len;
    topic->id = id;
    topic->internal = topic_is_internal(name);
    topic->overrides = MAP_INIT;
    return topic;
}

void topic_clear_overrides(kafka_topic_t *topic)
{
    size_t cursor = 0;
    for (map_entry_t *entry; (entry = map_next(&topic->overrides, &cursor));) mem_free(entry->value);
    map_deinit(&topic->overrides);
    topic->overrides = MAP_INIT;
}

/* Names and values that no topic can have are left out: the tree may hold anything. */
void topic_add_override(kafka_topic_t *topic, const char *name, const char *value)
{
    char err[KAFKA_SETTING_ERROR_BYTES_MAX];
    const kafka_setting_def_t *def = config_topic_setting(bytes_str(name));
    if (!def || kafka_setting_check(def, bytes_str(value), err, sizeof(err)) != 0) return;
    mem_free(map_put(&topic->overrides, bytes_str(name), kafka_setting_normal(def, bytes_str(value))));
}

void topic_partition_free(kafka_topic_t *topic, int32_t index)
{
    kafka_partition_state_t *p = &topic->partitions[index];
    mem_free(p->isr);
    mem_free(p->replicas);
    p->isr = p->replicas = NULL;
}

void topic_free(kafka_topic_t *topic)
{
    for (int32_t i = 0; i < topic->partitions_count; i++) topic_partition_free(topic, i);
    mem_free(topic->partitions);
    topic_clear_overrides(topic);
    mem_free(topic->name);
    mem_free(topic);
}

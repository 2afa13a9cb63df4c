/* catalog_ask.c: what the bridge asks of the catalog: would a record be taken, where does it belong, could an offset be
 * committed. The answers are those that the partitions would give. */
#include "kafka/coordinator/groups.h"
#include "kafka/door/catalog_internal.h"
#include "kafka/topics/topics.h"

#include <stdio.h>

#define PACKED_GROWTH         6 /* no codec makes more of bytes than a sixth, and some of its own */
#define PACKED_OVERHEAD_BYTES 128

static kafka_code_t refuse(kafka_code_t error, char *message, const char *text)
{
    snprintf(message, KAFKA_MESSAGE_BYTES_MAX, "%s", text ? text : kafka_error_text(error));
    return error;
}

/* ---- sizes ----------------------------------------------------------------------------------------------------------- */

/* Exactly, as it would be stored. A record's own time is given, or it makes no difference. */
static bool fits(const kafka_produce_t *record, const catalog_rules_t *rules, size_t *ret_bytes)
{
    record_builder_t builder = RECORD_BUILDER_INIT;
    buf_t packed = BUF_INIT;
    uint8_t *batch;
    produce__add(record, 0, &builder);
    kafka_code_t error = produce__finish(rules->packing, RECORD_NO_PRODUCER, &builder, &packed, &batch, ret_bytes);
    record_builder_deinit(&builder);
    buf_deinit(&packed);
    return !error && (int64_t)*ret_bytes <= rules->batch_bytes_max;
}

static kafka_code_t check_size(const kafka_produce_t *record, const catalog_rules_t *rules, char *message)
{
    int64_t max = rules->batch_bytes_max;
    size_t bytes = produce__bytes_at_most(record);
    if ((int64_t)(bytes + bytes / PACKED_GROWTH + PACKED_OVERHEAD_BYTES) <= max) return KAFKA_NONE;
    if (fits(record, rules, &bytes)) return KAFKA_NONE;
    snprintf(message, KAFKA_MESSAGE_BYTES_MAX,
             "The record takes %zu bytes, above the topic's max.message.bytes of %" PRId64, bytes, max);
    return KAFKA_MESSAGE_TOO_LARGE;
}

/* ---- a topic that would have to be made ------------------------------------------------------------------------------ */

static const catalog_topic_t *colliding(const kafka_catalog_t *catalog, bytes_t name)
{
    uint8_t buffer[KAFKA_TOPIC_NAME_BYTES_MAX];
    const catalog_topic_t *topic = map_get(&catalog->folded, topic_fold(name, buffer));
    return topic && !bytes_eq(bytes_of(topic->name, topic->name_bytes), name) ? topic : NULL;
}

static kafka_code_t check_name(const kafka_catalog_t *catalog, const kafka_produce_t *record, arena_t *arena,
                               const char **ret_text)
{
    *ret_text = kafka_topic_name_problem(record->topic, arena);
    if (*ret_text) return KAFKA_INVALID_TOPIC_EXCEPTION;
    const catalog_topic_t *other = colliding(catalog, record->topic);
    if (map_get(&catalog->topics, record->topic)) { /* it is being deleted */
        *ret_text = topic_exists_text(record->topic, arena);
        return KAFKA_TOPIC_ALREADY_EXISTS;
    }
    if (other) {
        *ret_text = topic_collides_text(record->topic, bytes_of(other->name, other->name_bytes), arena);
        return KAFKA_INVALID_TOPIC_EXCEPTION;
    }
    *ret_text = topic_replication_problem(catalog->broker.replication_factor, arena);
    if (*ret_text) return KAFKA_INVALID_REPLICATION_FACTOR;
    if (topic_is_internal(record->topic)) return KAFKA_INVALID_TOPIC_EXCEPTION;
    if (record->partition < catalog->broker.partitions_count) return KAFKA_NONE;
    *ret_text = "The topic would be created with fewer partitions";
    return KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
}

/* That it may not be made comes last: a record of a change feed waits for somebody to make it, and must fit then. */
static kafka_code_t check_new_topic(const kafka_catalog_t *catalog, const kafka_produce_t *record, char *message)
{
    const char *text = NULL;
    arena_t arena;
    arena_init(&arena, 0);
    kafka_code_t error = check_name(catalog, record, &arena, &text);
    if (error) (void)refuse(error, message, text);
    arena_deinit(&arena);
    if (!error) error = check_size(record, &catalog->broker.as_made, message);
    if (error || catalog->broker.makes_topics) return error;
    return refuse(KAFKA_UNKNOWN_TOPIC_OR_PARTITION, message, NULL);
}

/* ---- records --------------------------------------------------------------------------------------------------------- */

static kafka_code_t partition_error(const catalog_topic_t *topic, int32_t index)
{
    if (index >= topic->partitions_count) return KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    return topic->errors ? topic->errors[index] : KAFKA_NONE;
}

kafka_code_t kafka_produce_check(const kafka_catalog_t *catalog, const kafka_produce_t *record,
                                 char message[KAFKA_MESSAGE_BYTES_MAX])
{
    const catalog_topic_t *topic = catalog__find(catalog, record->topic);
    if (!topic) return check_new_topic(catalog, record, message);
    if (topic->internal) return refuse(KAFKA_INVALID_TOPIC_EXCEPTION, message, NULL);
    kafka_code_t error = partition_error(topic, MAX(record->partition, 0));
    if (error) return refuse(error, message, NULL);
    if (!record->key.ptr && topic->rules.compacted)
        return refuse(KAFKA_INVALID_RECORD, message, "A compacted topic cannot accept a record without key");
    return check_size(record, &topic->rules, message);
}

static int32_t commit_partition(const kafka_catalog_t *catalog, const kafka_produce_t *record)
{
    kafka_commit_t commit;
    int32_t count = catalog->broker.groups_partitions_count;
    bool known = count > 0 && kafka_commit_of(record, &commit) == 0;
    return known ? runtime_partition_of(commit.group, count) : -1;
}

int32_t kafka_produce_choose(kafka_catalog_t *catalog, const kafka_produce_t *record)
{
    catalog_topic_t *topic = catalog__find(catalog, record->topic);
    if (!topic) return record->partition;
    if (topic->internal) return commit_partition(catalog, record);
    return produce__choose_partition(record, topic->partitions_count, &topic->next_partition);
}

/* ---- offsets ------------------------------------------------------------------------------------------------------- */

static bool exists(const kafka_catalog_t *catalog, const kafka_commit_t *commit, bool topic_comes)
{
    const catalog_topic_t *topic = catalog__find(catalog, commit->topic);
    int32_t count = topic ? topic->partitions_count : topic_comes ? catalog->broker.partitions_count : 0;
    return commit->partition >= 0 && commit->partition < count;
}

/* Without the topic of the groups there is no group yet: the first offset has it made. */
static kafka_code_t group_error(const kafka_catalog_t *catalog, bytes_t group)
{
    int32_t count = catalog->broker.groups_partitions_count;
    const catalog_topic_t *topic = count ? catalog__find(catalog, BYTES_LIT(GROUPS_TOPIC)) : NULL;
    return topic ? partition_error(topic, runtime_partition_of(group, count)) : KAFKA_NONE;
}

kafka_code_t kafka_commit_check(const kafka_catalog_t *catalog, const kafka_commit_t *commit, bool topic_comes,
                                char message[KAFKA_MESSAGE_BYTES_MAX])
{
    if (commit->group.len == 0 || commit->group.len > INT16_MAX) return refuse(KAFKA_INVALID_GROUP_ID, message, NULL);
    if (!catalog->broker.ready) return refuse(KAFKA_BROKER_NOT_AVAILABLE, message, NULL);
    if (!exists(catalog, commit, topic_comes)) return refuse(KAFKA_UNKNOWN_TOPIC_OR_PARTITION, message, NULL);
    if ((int64_t)commit->metadata.len > catalog->broker.metadata_bytes_max)
        return refuse(KAFKA_OFFSET_METADATA_TOO_LARGE, message, NULL);
    kafka_code_t error = group_error(catalog, commit->group);
    return error ? refuse(error, message, NULL) : KAFKA_NONE;
}

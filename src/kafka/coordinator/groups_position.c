/* groups_position.c: the bridge's door to the coordinator: positions of groups that are committed in one step with keys.
 *
 * A position is an ordinary record of __consumer_offsets, appended under the outbox's number (produce_numbered.c), so that
 * it is there once however often it is given again. Its place in the log is its place among the group's other commits: the last one wins,
 * and what is given again after a crash cannot come behind a commit that came behind it before.
 *
 * Invariant: from the bridge's promise until the group has the position, nobody reads or changes the group's offsets
 * (groups_find_settled). */
#include "kafka/config/config.h"
#include "kafka/coordinator/groups_internal.h"

#include <stdio.h>

#define MEMBER_EPOCHS_SINCE 9 /* the version of OffsetCommit that knows them */

/* One that waits for stable storage, as flush.messages asks: then commits enter `offsets` in the order of the log. */
typedef struct applying {
    runtime_write_t write; /* somebody else's: the door has appended it */
    list_t node;           /* entry->applying */
    group_entry_t *entry;  /* counted */
    kafka_position_t position;
    int64_t commit_ms;
    buf_t bytes; /* what `position` points into */
} applying_t;

/* ---- as a record ---- */

void kafka_position_record(const kafka_position_t *position, int64_t commit_ms, buf_t *out, kafka_produce_t *ret_record)
{
    kafka_writer_t key = KAFKA_WRITER_INIT, value = KAFKA_WRITER_INIT;
    group_offset_t offset = {
        .offset = position->offset,
        .leader_epoch = -1,
        .metadata = position->metadata,
        .commit_ms = commit_ms,
        .expire_ms = -1,
    };
    group_record_encode_key(&key, position->group, position->topic, position->partition);
    group_record_encode_offset(&value, &offset);
    buf_clear(out);
    buf_append(out, key.buf.ptr, key.buf.len);
    buf_append(out, value.buf.ptr, value.buf.len);
    *ret_record = (kafka_produce_t){
        .topic = BYTES_LIT(GROUPS_TOPIC),
        .partition = -1,
        .key = bytes_of(out->ptr, key.buf.len),
        .value = bytes_of(out->ptr + key.buf.len, value.buf.len),
        .timestamp_ms = commit_ms,
    };
    kafka_writer_deinit(&key);
    kafka_writer_deinit(&value);
}

int kafka_position_of(const kafka_produce_t *record, kafka_position_t *ret_position)
{
    group_record_t r;
    arena_t arena;
    if (!bytes_eq(record->topic, BYTES_LIT(GROUPS_TOPIC))) return ERR_NOT_FOUND;
    arena_init(&arena, 0);
    int err = group_record_decode(record->key, record->value, &arena, &r);
    arena_deinit(&arena); /* an offset's record needs none of it */
    if (err || r.kind != GROUP_RECORD_OFFSET || r.tombstone) return ERR_INVALID;
    *ret_position = (kafka_position_t){r.group_id, r.topic, r.partition, r.offset.offset, r.offset.metadata};
    return 0;
}

/* ---- asking ---- */

int32_t groups_partitions_count(const kafka_groups_t *groups)
{
    return groups ? runtime_partitions_count(groups->runtime) : 0;
}

kafka_code_t groups_partition_error(const kafka_groups_t *groups, const kafka_topic_t *topic, int32_t index)
{
    if (runtime_topic(groups->runtime) != topic || index >= runtime_partitions_count(groups->runtime))
        return KAFKA_NONE;
    return runtime_serves(groups->runtime, index) ? KAFKA_NONE : KAFKA_NOT_COORDINATOR;
}

static bool waits(const kafka_t *kafka, bytes_t group_id, const group_entry_t *entry)
{
    if (entry && !list_empty(&entry->applying)) return true;
    return kafka->position_waits && kafka->position_waits(kafka->position_waits_user, group_id);
}

kafka_code_t groups_find_settled(kafka_groups_t *groups, bytes_t group_id, group_entry_t **ret_entry)
{
    kafka_code_t error = groups_find(groups, group_id, ret_entry);
    if (error != KAFKA_NONE) return error;
    return waits(groups->kafka, group_id, *ret_entry) ? KAFKA_COORDINATOR_LOAD_IN_PROGRESS : KAFKA_NONE;
}

void kafka_positions_hold(kafka_t *kafka, bool (*position_waits)(void *user, bytes_t group), void *user)
{
    kafka->position_waits = position_waits;
    kafka->position_waits_user = user;
}

static kafka_code_t refuse(kafka_code_t error, char *message, const char *text)
{
    snprintf(message, KAFKA_MESSAGE_BYTES_MAX, "%s", text ? text : kafka_error_text(error));
    return error;
}

static bool exists(const kafka_t *kafka, const kafka_position_t *position)
{
    const kafka_topic_t *topic = kafka_topic_get(kafka, position->topic);
    return topic && position->partition >= 0 && position->partition < topic->partitions_count;
}

/* Kafka's rule for the commits of a transaction: who names no member commits whatever members there are. */
static kafka_code_t check_member(group_entry_t *entry, const kafka_member_t *member)
{
    if (!entry) return KAFKA_UNKNOWN_MEMBER_ID;
    groups_committer_t by = {member->id, BYTES_NULL, member->generation, MEMBER_EPOCHS_SINCE, true};
    return groups_commit_check(entry, &by);
}

kafka_code_t kafka_member_check(kafka_t *kafka, bytes_t group, const kafka_member_t *member,
                                char message[KAFKA_MESSAGE_BYTES_MAX])
{
    group_entry_t *entry = NULL;
    kafka_code_t error = runtime_topic(kafka->groups->runtime) ? groups_find(kafka->groups, group, &entry) : KAFKA_NONE;
    if (error == KAFKA_NONE) error = check_member(entry, member);
    return error == KAFKA_NONE ? KAFKA_NONE : refuse(error, message, NULL);
}

kafka_code_t kafka_position_get(kafka_t *kafka, bytes_t group, bytes_t topic, int32_t partition, int64_t *ret_offset,
                                char message[KAFKA_MESSAGE_BYTES_MAX])
{
    group_entry_t *entry = NULL;
    if (group.len == 0) return refuse(KAFKA_INVALID_GROUP_ID, message, NULL);
    kafka_code_t error = runtime_topic(kafka->groups->runtime) ? groups_find(kafka->groups, group, &entry) : KAFKA_NONE;
    if (error != KAFKA_NONE) return refuse(error, message, NULL);
    const group_offset_t *offset = entry ? group_offsets_get(&entry->offsets, topic, partition) : NULL;
    *ret_offset = offset ? offset->offset : -1;
    if (!entry) return KAFKA_NONE;
    LIST_EACH(&entry->applying, a, applying_t, node) {
        if (a->position.partition == partition && bytes_eq(a->position.topic, topic)) *ret_offset = a->position.offset;
    }
    return KAFKA_NONE;
}

/* ---- taking over what was appended ---- */

static void apply(group_entry_t *entry, const kafka_position_t *position, int64_t commit_ms)
{
    group_offset_t offset = {position->offset, -1, position->metadata, commit_ms, -1};
    if (!entry->removed) group_offsets_put(&entry->offsets, position->topic, position->partition, &offset);
}

static void on_stored(runtime_write_t *write, kafka_code_t error)
{
    applying_t *a = CONTAINER_OF(write, applying_t, write);
    if (error == KAFKA_NONE) apply(a->entry, &a->position, a->commit_ms);
    list_remove(&a->node);
    group_entry_unref(a->entry);
    buf_deinit(&a->bytes);
    mem_free(a);
}

static void apply_when_stored(group_entry_t *entry, const kafka_produce_t *record)
{
    applying_t *a = mem_zalloc(sizeof(*a));
    kafka_position_t position;
    kafka_produce_t copy;
    int err = kafka_position_of(record, &position);
    ASSERT(!err);
    a->bytes = BUF_INIT;
    kafka_position_record(&position, record->timestamp_ms, &a->bytes, &copy);
    err = kafka_position_of(&copy, &a->position);
    ASSERT(!err);
    a->commit_ms = record->timestamp_ms;
    a->entry = entry;
    group_entry_ref(entry);
    list_push_back(&entry->applying, &a->node);
    runtime_write_appended(entry->groups->runtime, entry->partition, &a->write, on_stored);
}

kafka_code_t groups_position_check(kafka_t *kafka, const kafka_produce_t *record)
{
    kafka_position_t position;
    group_entry_t *entry;
    if (kafka_position_of(record, &position)) return KAFKA_INVALID_RECORD;
    return groups_find(kafka->groups, position.group, &entry);
}

bool groups_position_is_void(const kafka_t *kafka, const kafka_produce_t *record)
{
    kafka_position_t position;
    return kafka_position_of(record, &position) != 0 || !exists(kafka, &position);
}

void groups_position_apply(kafka_t *kafka, const kafka_produce_t *record)
{
    kafka_position_t position;
    group_entry_t *entry;
    int err = kafka_position_of(record, &position);
    kafka_code_t error = groups_find(kafka->groups, position.group, &entry);
    ASSERT(!err && error == KAFKA_NONE); /* as groups_position_check said */
    if (!entry) entry = groups_create(kafka->groups, position.group);
    if (runtime_write_is_stable(entry->groups->runtime, entry->partition))
        apply(entry, &position, record->timestamp_ms);
    else
        apply_when_stored(entry, record);
}

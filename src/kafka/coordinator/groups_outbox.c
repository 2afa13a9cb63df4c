/* groups_outbox.c: the bridge's door to the coordinator: offsets of groups that are committed in one step with keys.
 *
 * An offset is an ordinary record of __consumer_offsets, appended under the outbox's number (produce_numbered.c), so that
 * it is there once however often it is given again. Its place in the log is its place among the group's other commits: the last one wins,
 * and what is given again after a crash cannot come behind a commit that came behind it before.
 *
 * Invariant: from the bridge's promise until the group has the offset, nobody reads or changes the group's offsets
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
    kafka_commit_t commit;
    int64_t commit_ms;
    buf_t bytes; /* what `commit` points into */
} applying_t;

/* ---- as a record ---- */

void kafka_commit_record(const kafka_commit_t *commit, int64_t commit_ms, buf_t *out, kafka_produce_t *ret_record)
{
    kafka_writer_t key = KAFKA_WRITER_INIT, value = KAFKA_WRITER_INIT;
    group_offset_t offset = {
        .offset = commit->offset,
        .leader_epoch = -1,
        .metadata = commit->metadata,
        .commit_ms = commit_ms,
        .expire_ms = -1,
    };
    group_record_encode_key(&key, commit->group, commit->topic, commit->partition);
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

int kafka_commit_of(const kafka_produce_t *record, kafka_commit_t *ret_commit)
{
    group_record_t r;
    arena_t arena;
    if (!bytes_eq(record->topic, BYTES_LIT(GROUPS_TOPIC))) return ERR_NOT_FOUND;
    arena_init(&arena, 0);
    int err = group_record_decode(record->key, record->value, &arena, &r);
    arena_deinit(&arena); /* an offset's record needs none of it */
    if (err || r.kind != GROUP_RECORD_OFFSET || r.tombstone) return ERR_INVALID;
    *ret_commit = (kafka_commit_t){r.group_id, r.topic, r.partition, r.offset.offset, r.offset.metadata};
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
    return kafka->commit_waits && kafka->commit_waits(kafka->commit_waits_user, group_id);
}

kafka_code_t groups_find_settled(kafka_groups_t *groups, bytes_t group_id, group_entry_t **ret_entry)
{
    kafka_code_t error = groups_find(groups, group_id, ret_entry);
    if (error != KAFKA_NONE) return error;
    return waits(groups->kafka, group_id, *ret_entry) ? KAFKA_COORDINATOR_LOAD_IN_PROGRESS : KAFKA_NONE;
}

void kafka_commits_hold(kafka_t *kafka, bool (*commit_waits)(void *user, bytes_t group), void *user)
{
    kafka->commit_waits = commit_waits;
    kafka->commit_waits_user = user;
}

static kafka_code_t refuse(kafka_code_t error, char *message, const char *text)
{
    snprintf(message, KAFKA_MESSAGE_BYTES_MAX, "%s", text ? text : kafka_error_text(error));
    return error;
}

static bool exists(const kafka_t *kafka, const kafka_commit_t *commit)
{
    const kafka_topic_t *topic = kafka_topic_get(kafka, commit->topic);
    return topic && commit->partition >= 0 && commit->partition < topic->partitions_count;
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

kafka_code_t kafka_committed_offset(kafka_t *kafka, bytes_t group, bytes_t topic, int32_t partition,
                                    int64_t *ret_offset, char message[KAFKA_MESSAGE_BYTES_MAX])
{
    group_entry_t *entry = NULL;
    if (group.len == 0) return refuse(KAFKA_INVALID_GROUP_ID, message, NULL);
    kafka_code_t error = runtime_topic(kafka->groups->runtime) ? groups_find(kafka->groups, group, &entry) : KAFKA_NONE;
    if (error != KAFKA_NONE) return refuse(error, message, NULL);
    const group_offset_t *offset = entry ? group_offsets_get(&entry->offsets, topic, partition) : NULL;
    *ret_offset = offset ? offset->offset : -1;
    if (!entry) return KAFKA_NONE;
    LIST_EACH(&entry->applying, a, applying_t, node) {
        if (a->commit.partition == partition && bytes_eq(a->commit.topic, topic)) *ret_offset = a->commit.offset;
    }
    return KAFKA_NONE;
}

/* ---- taking over what was appended ---- */

static void apply(group_entry_t *entry, const kafka_commit_t *commit, int64_t commit_ms)
{
    group_offset_t offset = {commit->offset, -1, commit->metadata, commit_ms, -1};
    if (!entry->removed) groups_offset_put(entry, commit->topic, commit->partition, &offset);
}

static void on_stored(runtime_write_t *write, kafka_code_t error)
{
    applying_t *a = CONTAINER_OF(write, applying_t, write);
    if (error == KAFKA_NONE) apply(a->entry, &a->commit, a->commit_ms);
    list_remove(&a->node);
    group_entry_unref(a->entry);
    buf_deinit(&a->bytes);
    mem_free(a);
}

static void apply_when_stored(group_entry_t *entry, const kafka_produce_t *record)
{
    applying_t *a = mem_zalloc(sizeof(*a));
    kafka_commit_t commit;
    kafka_produce_t copy;
    int err = kafka_commit_of(record, &commit);
    ASSERT(!err);
    a->bytes = BUF_INIT;
    kafka_commit_record(&commit, record->timestamp_ms, &a->bytes, &copy);
    err = kafka_commit_of(&copy, &a->commit);
    ASSERT(!err);
    a->commit_ms = record->timestamp_ms;
    a->entry = entry;
    group_entry_ref(entry);
    list_push_back(&entry->applying, &a->node);
    runtime_write_appended(entry->groups->runtime, entry->partition, &a->write, on_stored);
}

kafka_code_t groups_outbox_check(kafka_t *kafka, const kafka_produce_t *record)
{
    kafka_commit_t commit;
    group_entry_t *entry;
    if (kafka_commit_of(record, &commit)) return KAFKA_INVALID_RECORD;
    return groups_find(kafka->groups, commit.group, &entry);
}

bool groups_outbox_is_void(const kafka_t *kafka, const kafka_produce_t *record)
{
    kafka_commit_t commit;
    return kafka_commit_of(record, &commit) != 0 || !exists(kafka, &commit);
}

void groups_outbox_apply(kafka_t *kafka, const kafka_produce_t *record)
{
    kafka_commit_t commit;
    group_entry_t *entry;
    int err = kafka_commit_of(record, &commit);
    kafka_code_t error = groups_find(kafka->groups, commit.group, &entry);
    ASSERT(!err && error == KAFKA_NONE); /* as groups_commit_check said */
    if (!entry) entry = groups_create(kafka->groups, commit.group);
    if (runtime_write_is_stable(entry->groups->runtime, entry->partition))
        apply(entry, &commit, record->timestamp_ms);
    else
        apply_when_stored(entry, record);
}

/* groups_machine.c: the groups as a machine of the runtime over __consumer_offsets: how a stored record is played back onto its
 * group, what starts once a partition is read, and what is forgotten when it is lost. A group without a record of its own
 * exists when it has offsets. */
#include "base/num.h"
#include "kafka/coordinator/groups_internal.h"
#include "kafka/coordinator/share/share_group_records.h"

static void describe_topic(void *user, arena_t *arena, kafka_topic_spec_t *ret_spec)
{
    const kafka_groups_t *groups = user;
    const kafka_broker_config_t *config = &groups->kafka->config;
    char *segment_bytes = arena_alloc(arena, NUM_I64_CHARS_MAX);
    size_t segment_chars = num_format_i64(segment_bytes, config->offsets_topic_segment_bytes);
    kafka_setting_t *settings = ARENA_ARRAY(arena, kafka_setting_t, 3);
    settings[0] = (kafka_setting_t){BYTES_LIT("cleanup.policy"), BYTES_LIT("compact")};
    settings[1] = (kafka_setting_t){BYTES_LIT("compression.type"), BYTES_LIT("producer")};
    settings[2] = (kafka_setting_t){BYTES_LIT("segment.bytes"), bytes_of(segment_bytes, segment_chars)};
    ret_spec->partitions_count = (int32_t)config->offsets_topic_num_partitions;
    ret_spec->replication_factor = 1; /* offsets.topic.replication.factor asks for 3, and there is one broker */
    ret_spec->overrides = settings;
    ret_spec->overrides_count = 3;
}

/* ---- playing back ---- */

static void replay_offset(kafka_groups_t *groups, int32_t partition, const batch_header_t *batch,
                          const group_record_t *record)
{
    bool pending = batch->attributes & RECORD_TRANSACTIONAL;
    group_entry_t *entry = map_get(&groups->entries, record->group_id);
    if (!record->tombstone) {
        if (!entry) entry = groups__entry_new(groups, record->group_id, partition);
        if (pending)
            groups_offset_put_pending(entry, batch->producer_id, record->topic, record->partition, &record->offset);
        else
            groups_offset_put(entry, record->topic, record->partition, &record->offset);
    } else if (entry) {
        group_offsets_remove(&entry->offsets, record->topic, record->partition);
    }
}

/* The end of a transaction: its offsets count, or are forgotten. */
static int replay_control(kafka_groups_t *groups, int32_t partition, const batch_header_t *batch,
                          const record_t *stored)
{
    record_marker_t marker;
    int err = record_marker_of(batch, stored, &marker);
    if (!err) groups_txn_end(groups, partition, marker.producer_id, marker.commits);
    return err == ERR_NOT_FOUND ? 0 : err;
}

/* The records of a protocol's groups are told apart by their keys. */
static int replay_other(kafka_groups_t *groups, int32_t partition, const record_t *stored, arena_t *arena)
{
    share_group_record_kind_t kind;
    bytes_t group_id;
    int err = share_group_record_group(stored->key, &kind, &group_id);
    return err == ERR_NOT_FOUND ? groups__consumer_replay(groups, partition, stored, arena)
                                : groups__share_replay(groups, partition, stored, arena);
}

static int replay(void *user, int32_t partition, const batch_header_t *batch, const record_t *stored, arena_t *arena)
{
    kafka_groups_t *groups = user;
    group_record_t record;
    if (batch->attributes & RECORD_CONTROL) return replay_control(groups, partition, batch, stored);
    int err = group_record_decode(stored->key, stored->value, arena, &record);
    if (err) return err;
    switch (record.kind) {
    case GROUP_RECORD_OFFSET: replay_offset(groups, partition, batch, &record); return 0;
    case GROUP_RECORD_GROUP: return groups__classic_replay(groups, partition, &record);
    case GROUP_RECORD_OTHER: return replay_other(groups, partition, stored, arena);
    }
    UNREACHABLE();
}

/* ---- starting and forgetting ---- */

/* One group; those of which only tombstones were left go. */
static bool start(void *user, int32_t index)
{
    kafka_groups_t *groups = user;
    groups_partition_t *partition = groups__partition(groups, index);
    group_entry_t *entry = partition ? LIST_FIRST(&partition->loaded, group_entry_t, node) : NULL;
    if (!entry) return false;
    if (entry->offsets.count == 0 && list_empty(&entry->txns) && entry->type->is_unused(entry)) {
        groups__remove(entry, KAFKA_NOT_COORDINATOR);
        return true;
    }
    list_remove(&entry->node);
    list_push_back(&partition->living, &entry->node);
    entry->type->start(entry);
    groups__settle(entry);
    return true;
}

static void forget(list_t *entries, kafka_code_t error)
{
    group_entry_t *entry;
    while ((entry = LIST_FIRST(entries, group_entry_t, node))) groups__remove(entry, error);
}

static void unload(void *user, int32_t index, kafka_code_t error)
{
    groups_partition_t *partition = groups__partition(user, index);
    if (!partition) return;
    forget(&partition->loaded, error);
    forget(&partition->living, error);
}

static bool expire(void *user, bool begins) { return groups__expire(user, begins); }

const runtime_machine_t groups__machine = {
    .name = "consumer groups",
    .describe_topic = describe_topic,
    .replay = replay,
    .start = start,
    .unload = unload,
    .expire = expire,
};

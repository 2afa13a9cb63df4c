/* share_state_machine.c: the states as a machine of the runtime over __share_group_state: how the topic is made, and how the states
 * are played back. */
#include "kafka/coordinator/share/share_state_internal.h"

#include "base/num.h"

static bytes_t number(arena_t *arena, int64_t value)
{
    char *text = arena_alloc(arena, NUM_I64_CHARS_MAX);
    return bytes_of(text, num_format_i64(text, value));
}

static void describe_topic(void *user, arena_t *arena, kafka_topic_spec_t *ret_spec)
{
    const kafka_share_states_t *states = user;
    const kafka_broker_config_t *config = &states->kafka->config;
    kafka_setting_t *settings = ARENA_ARRAY(arena, kafka_setting_t, 5);
    settings[0] = (kafka_setting_t){BYTES_LIT("cleanup.policy"), BYTES_LIT("delete")};
    settings[1] = (kafka_setting_t){BYTES_LIT("compression.type"), BYTES_LIT("producer")};
    settings[2] = (kafka_setting_t){BYTES_LIT("segment.bytes"),
                                    number(arena, config->share_coordinator_state_topic_segment_bytes)};
    settings[3] = (kafka_setting_t){BYTES_LIT("min.insync.replicas"),
                                    number(arena, config->share_coordinator_state_topic_min_isr)};
    settings[4] = (kafka_setting_t){BYTES_LIT("retention.ms"), BYTES_LIT("-1")};
    ret_spec->partitions_count = (int32_t)config->share_coordinator_state_topic_num_partitions;
    ret_spec->replication_factor = 1; /* the original asks for 3, and there is one broker */
    ret_spec->overrides = settings;
    ret_spec->overrides_count = 5;
}

static int replay(void *user, int32_t partition, const batch_header_t *batch, const record_t *stored, arena_t *arena)
{
    kafka_share_states_t *states = user;
    share_state_record_t record;
    char name[SHARE_STATE_NAME_BYTES_MAX];
    if (batch->attributes & RECORD_CONTROL) return 0;
    int err = share_state_record_decode(stored->key, stored->value, arena, &record);
    if (err || record.kind == SHARE_RECORD_UNKNOWN) return err;
    bytes_t key = share_state__name(&record.key, name);
    share_state_entry_t *entry = map_get(&states->entries, key);
    int64_t offset = stored->offset;
    if (record.tombstone) {
        if (entry) share_state__take_tombstone(states, entry, offset);
        return 0;
    }
    if (!entry) {
        entry = share_state__entry_new(states, &record.key, key, partition);
        entry->snapshot_offset = offset;
    }
    if (record.kind == SHARE_RECORD_SNAPSHOT)
        share_state__take_snapshot(states, entry, &record.snapshot, &record.value, offset);
    else
        share_state__take_update(entry, &record.value);
    return 0;
}

static bool start(void *user, int32_t partition) { return false; }

static void unload(void *user, int32_t index, kafka_code_t error)
{
    kafka_share_states_t *states = user;
    share_state_partition_t *p = share_state__partition(states, index);
    share_state_entry_t *entry;
    if (!p) return;
    while ((entry = LIST_FIRST(&p->entries, share_state_entry_t, node))) share_state__remove(states, entry);
    p->offset_seen = p->pruned_to = -1;
}

const runtime_machine_t share_state__machine = {
    .name = "share groups",
    .describe_topic = describe_topic,
    .replay = replay,
    .start = start,
    .unload = unload,
    .expire = share_state__expire,
};

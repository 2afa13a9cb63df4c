/* share_state_table.c: the states in memory, and what a record makes of one: the same whether it is played back or about to be
 * stored. */
#include "kafka/coordinator/share/share_state_internal.h"

#include "base/num.h"

bytes_t share_state__name(const share_state_key_t *key, char *name)
{
    ASSERT(key->group_id.len <= INT16_MAX);
    char *at = name;
    if (key->group_id.len) memcpy(at, key->group_id.ptr, key->group_id.len);
    at += key->group_id.len;
    *at++ = ':';
    kafka_uuid_format(key->topic_id, at);
    at += KAFKA_UUID_CHARS;
    *at++ = ':';
    at += num_format_i64(at, key->partition);
    return bytes_of(name, (size_t)(at - name));
}

/* As many as the topic has: another topic of that name may come once the first is gone, with all that it held. */
static share_state_partition_t *partition_for(kafka_share_states_t *states, int32_t index)
{
    int32_t count = runtime_partitions_count(states->runtime);
    if (states->partitions_count != count) {
        ASSERT(states->entries.count == 0);
        states->partitions = mem_realloc(states->partitions, sizeof(states->partitions[0]) * (size_t)count);
        states->partitions_count = count;
        for (int32_t i = 0; i < count; i++) {
            states->partitions[i] = (share_state_partition_t){.offset_seen = -1, .pruned_to = -1};
            list_init(&states->partitions[i].entries);
        }
    }
    return &states->partitions[index];
}

share_state_partition_t *share_state__partition(kafka_share_states_t *states, int32_t index)
{
    return index < states->partitions_count ? &states->partitions[index] : NULL;
}

share_state_entry_t *share_state__entry_new(kafka_share_states_t *states, const share_state_key_t *key, bytes_t name,
                                            int32_t index)
{
    share_state_partition_t *p = partition_for(states, index);
    share_state_entry_t *entry = mem_zalloc(sizeof(*entry));
    entry->key = *key;
    entry->key.group_id = bytes_of(mem_strndup(key->group_id), key->group_id.len);
    entry->name = bytes_of(mem_strndup(name), name.len);
    entry->index = index;
    list_push_back(&p->entries, &entry->node);
    list_push_back(&states->all, &entry->all_node);
    p->count++;
    void *previous = map_put(&states->entries, name, entry);
    ASSERT(!previous);
    return entry;
}

static bool is_cold(const share_state_entry_t *entry)
{
    return entry->snapshot.created_ms != entry->snapshot.written_ms;
}

void share_state__remove(kafka_share_states_t *states, share_state_entry_t *entry)
{
    share_state_partition_t *p = &states->partitions[entry->index];
    p->count--;
    p->cold -= is_cold(entry);
    map_remove(&states->entries, entry->name);
    list_remove(&entry->node);
    list_remove(&entry->all_node);
    mem_free((void *)entry->value.batches);
    mem_free((void *)entry->key.group_id.ptr);
    mem_free((void *)entry->name.ptr);
    mem_free(entry);
}

/* ---- records --------------------------------------------------------------------------------------------------------- */

static share_state_batch_t *copy_batches(const share_state_value_t *value)
{
    size_t bytes = sizeof(value->batches[0]) * value->batches_count;
    share_state_batch_t *batches = mem_alloc(bytes + 1);
    if (bytes) memcpy(batches, value->batches, bytes);
    return batches;
}

/* Epochs never go back while there is the state: who was fenced stays so. */
static void take_epochs(share_state_value_t *next, const share_state_value_t *now)
{
    next->state_epoch = MAX(next->state_epoch, now->state_epoch);
    next->leader_epoch = MAX(next->leader_epoch, now->leader_epoch);
}

void share_state__take_snapshot(kafka_share_states_t *states, share_state_entry_t *entry,
                                const share_snapshot_t *snapshot, const share_state_value_t *value, int64_t offset)
{
    share_state_partition_t *p = &states->partitions[entry->index];
    share_state_value_t next = *value;
    next.batches = copy_batches(value); /* first: they may be the entry's own */
    take_epochs(&next, &entry->value);
    p->cold -= is_cold(entry);
    mem_free((void *)entry->value.batches);
    entry->value = next;
    entry->snapshot = *snapshot;
    entry->snapshot_offset = p->offset_seen = offset;
    p->cold += is_cold(entry);
    if (entry->updates_count >= states->kafka->config.share_coordinator_snapshot_update_records_per_snapshot)
        entry->updates_count = 0;
    list_remove(&entry->node);
    list_push_back(&p->entries, &entry->node);
}

void share_state__take_update(share_state_entry_t *entry, const share_state_value_t *value)
{
    share_state_value_t *now = &entry->value;
    if (value->start_offset != -1) now->start_offset = value->start_offset;
    now->leader_epoch = MAX(now->leader_epoch, value->leader_epoch);
    now->delivery_complete_count = value->delivery_complete_count;
    const share_state_batch_t *before = now->batches;
    now->batches = share_state_batches_lay(before, now->batches_count, value->batches, value->batches_count,
                                           now->start_offset, &now->batches_count);
    mem_free((void *)before);
    entry->updates_count++;
}

void share_state__take_tombstone(kafka_share_states_t *states, share_state_entry_t *entry, int64_t offset)
{
    states->partitions[entry->index].offset_seen = offset;
    share_state__remove(states, entry);
}

/* groups.c: the table of groups, questions and requests passed on to whatever protocol a group speaks, and what follows each
 * input: storing, counting, and the next deadline. See groups.h. */
#include "kafka/coordinator/groups_internal.h"

runtime_t *groups_runtime(const kafka_groups_t *groups) { return groups->runtime; }

runtime_now_t groups_now(const kafka_groups_t *groups) { return runtime_now(groups->runtime); }

/* ---- entries ---- */

/* As many as the topic has: another topic of that name may come once the first is gone, with all its groups. */
static groups_partition_t *partition_for(kafka_groups_t *groups, int32_t index)
{
    int32_t count = runtime_partitions_count(groups->runtime);
    if (groups->partitions_count != count) {
        ASSERT(groups->entries.count == 0);
        groups->partitions = mem_realloc(groups->partitions, sizeof(groups->partitions[0]) * (size_t)count);
        groups->partitions_count = count;
        for (int32_t i = 0; i < count; i++) {
            list_init(&groups->partitions[i].loaded);
            list_init(&groups->partitions[i].living);
        }
    }
    return &groups->partitions[index];
}

groups_partition_t *groups__partition(const kafka_groups_t *groups, int32_t index)
{
    return index < groups->partitions_count ? &groups->partitions[index] : NULL;
}

static void on_timer(runtime_timer_t *timer)
{
    group_entry_t *entry = CONTAINER_OF(timer, group_entry_t, timer);
    entry->type->tick(entry);
    groups__settle(entry);
}

group_entry_t *groups__entry_new(kafka_groups_t *groups, bytes_t group_id, int32_t loaded_from)
{
    int32_t index = runtime_partition_of(group_id, runtime_partitions_count(groups->runtime));
    groups_partition_t *partition = partition_for(groups, loaded_from < 0 ? index : loaded_from);
    group_entry_t *entry = mem_zalloc(sizeof(*entry));
    entry->groups = groups;
    entry->id = bytes_of(mem_strndup(group_id), group_id.len);
    entry->refs = 1;
    entry->partition = index;
    list_init(&entry->applying);
    list_init(&entry->txns);
    list_push_back(loaded_from < 0 ? &partition->living : &partition->loaded, &entry->node);
    runtime_timer_init(groups->runtime, &entry->timer, on_timer);
    groups__classic_new(entry);
    void *previous = map_put(&groups->entries, entry->id, entry);
    ASSERT(!previous);
    return entry;
}

group_entry_t *groups_create(kafka_groups_t *groups, bytes_t group_id)
{
    return groups__entry_new(groups, group_id, -1);
}

static void count_kept(group_entry_t *entry, size_t bytes)
{
    entry->groups->kept_bytes += bytes - entry->kept_bytes;
    entry->kept_bytes = bytes;
}

bool groups_have_room(const kafka_groups_t *groups, size_t bytes)
{
    return groups->kept_bytes + bytes <= groups->kept_bytes_max;
}

void group_entry_unref(group_entry_t *entry)
{
    if (--entry->refs > 0) return;
    ASSERT(entry->removed);
    count_kept(entry, 0);
    group_offsets_deinit(&entry->offsets);
    entry->type->free(entry);
    mem_free((void *)entry->id.ptr);
    mem_free(entry);
}

void groups__remove(group_entry_t *entry, kafka_code_t error)
{
    map_remove(&entry->groups->entries, entry->id);
    list_remove(&entry->node);
    entry->removed = true;
    groups__txns_drop(entry);
    runtime_timer_stop(&entry->timer);
    entry->type->kill(entry, error);
    group_entry_unref(entry);
}

const group_config_t *groups_config(const kafka_groups_t *groups) { return &groups->config; }

uint32_t kafka_groups_count(const kafka_groups_t *groups) { return (uint32_t)groups->entries.count; }

kafka_code_t groups_find(kafka_groups_t *groups, bytes_t group_id, group_entry_t **ret_entry)
{
    int32_t partition;
    kafka_code_t error = runtime_check(groups->runtime, group_id, &partition);
    if (error == KAFKA_NONE) *ret_entry = map_get(&groups->entries, group_id);
    return error;
}

bool groups_loaded(const kafka_groups_t *groups) { return runtime_is_loaded(groups->runtime); }

/* ---- after an input ---- */

void groups__settle(group_entry_t *entry)
{
    group_entry_ref(entry);
    entry->type->flush(entry);
    count_kept(entry, entry->type->kept_bytes(entry));
    if (!entry->removed) runtime_timer_set(&entry->timer, entry->type->deadline_ms(entry));
    group_entry_unref(entry);
}

/* ---- questions ---- */

const char *groups_type_text(const group_entry_t *entry) { return entry->type->name; }
const char *groups_state_text(const group_entry_t *entry) { return entry->type->state_text(entry); }
bytes_t groups_protocol_type(const group_entry_t *entry) { return entry->type->protocol_type(entry); }
bool groups_is_empty(const group_entry_t *entry) { return entry->type->is_empty(entry); }
bool groups_subscribed(const group_entry_t *entry, bytes_t topic) { return entry->type->subscribed(entry, topic); }

const group_t *groups_classic(const group_entry_t *entry)
{
    return entry->type == &groups_type_classic ? entry->state.classic : NULL;
}

consumer_group_t *groups_consumer(const group_entry_t *entry)
{
    return entry->type == &groups_type_consumer ? entry->state.consumer : NULL;
}

/* ---- requests ---- */

void groups_join(group_entry_t *entry, const group_join_t *join)
{
    group_entry_ref(entry);
    entry->type->join(entry, join);
    groups__settle(entry);
    group_entry_unref(entry);
}

void groups_sync(group_entry_t *entry, const group_sync_t *sync)
{
    group_entry_ref(entry);
    entry->type->sync(entry, sync);
    groups__settle(entry);
    group_entry_unref(entry);
}

/* The member may have been given another deadline. */
kafka_code_t groups_heartbeat(group_entry_t *entry, bytes_t member_id, bytes_t instance_id, int32_t generation)
{
    kafka_code_t error = entry->type->heartbeat(entry, member_id, instance_id, generation);
    groups__settle(entry);
    return error;
}

kafka_code_t groups_leave(group_entry_t *entry, group_leaver_t *leavers, size_t count)
{
    kafka_code_t error = entry->type->leave(entry, leavers, count);
    groups__settle(entry);
    return error;
}

kafka_code_t groups_commit_check(group_entry_t *entry, const groups_committer_t *committer)
{
    return entry->type->commit_check(entry, committer);
}

kafka_code_t groups_fetch_check(group_entry_t *entry, bytes_t member_id, int32_t member_epoch)
{
    return entry->type->fetch_check(entry, member_id, member_epoch);
}

/* ---- the broker's topics ---- */

static kafka_groups_t *of_listener(kafka_topic_listener_t *listener)
{
    return CONTAINER_OF(listener, kafka_groups_t, listener);
}

static void on_topic_created(kafka_topic_listener_t *listener, kafka_topic_t *topic)
{
    kafka_groups_t *groups = of_listener(listener);
    groups->topics_version++;
    groups__forget_now(groups, kafka_topic_name(topic));
    topic_patterns_created(groups->consumer_host.patterns, kafka_topic_name(topic));
}

static void on_topic_grown(kafka_topic_listener_t *listener, kafka_topic_t *topic, int32_t first)
{
    of_listener(listener)->topics_version++;
}

static void on_topic_deleted(kafka_topic_listener_t *listener, kafka_topic_t *topic)
{
    kafka_groups_t *groups = of_listener(listener);
    groups->topics_version++;
    topic_patterns_deleted(groups->consumer_host.patterns, kafka_topic_name(topic));
    groups__forget_topic(groups, topic);
}

/* ---- life ---- */

kafka_groups_t *kafka_groups_new(kafka_t *kafka)
{
    kafka_groups_t *groups = mem_zalloc(sizeof(*groups));
    groups->kafka = kafka;
    list_init(&groups->forgetting);
    groups->kept_bytes_max = (size_t)MIN(io_memory_bytes() / GROUPS_MEMORY_SHARE, (uint64_t)GROUPS_BYTES_MAX);
    groups__classic_init(groups);
    groups__broker_init(groups);
    /* The runtime hears of a deleted topic first: of __consumer_offsets nothing is left to forget then. */
    groups->runtime =
        runtime_new(kafka, GROUPS_TOPIC, &groups__machine, groups, kafka->config.offsets_retention_check_interval_ms);
    groups->listener.created = on_topic_created;
    groups->listener.grown = on_topic_grown;
    groups->listener.deleted = on_topic_deleted;
    kafka_topic_listen(kafka, &groups->listener);
    return groups;
}

void kafka_groups_stop(kafka_groups_t *groups)
{
    if (groups->stopped) return;
    groups->stopped = true;
    list_remove(&groups->listener.node);
    io_timer_stop(&groups->patterns_timer);
    runtime_stop(groups->runtime);
    groups__expire_stop(groups);
    groups__forget_stop(groups);
}

void kafka_groups_free(kafka_groups_t *groups)
{
    kafka_groups_stop(groups);
    runtime_free(groups->runtime);
    groups__broker_deinit(groups);
    map_deinit(&groups->entries);
    map_deinit(&groups->producers);
    mem_free(groups->partitions);
    mem_free(groups);
}

/* store_partitions.c: the partitions of topics that come, grow and go: opened and removed within a turn's time, the rest in
 * the turns that follow. Called by store.c. */
#include "kafka/partition/partition_internal.h"
#include "kafka/topics/store_internal.h"

#include <stdio.h>

#define PRECHECKS_AHEAD 8 /* partitions of a topic whose checksums are checked while the first of them is waited for */

bool topics__turn_is_over(topics_store_t *store)
{
    return !store->closing && slices_spent(&store->kafka->slices, &store->since_ns);
}

/* ---- opening ---- */

static void copy_ids(const znode_replicas_t *from, int32_t **ids, int32_t *count)
{
    *ids = mem_realloc(*ids, sizeof(int32_t) * (size_t)(from->count + 1));
    if (from->count) memcpy(*ids, from->ids, sizeof(int32_t) * (size_t)from->count);
    *count = from->count;
}

static bool has_id(const int32_t *ids, int32_t count, int32_t id)
{
    for (int32_t i = 0; i < count; i++) {
        if (ids[i] == id) return true;
    }
    return false;
}

/* Opens what this broker should hold; false when the partition has no leader yet. */
static bool sync_partition(kafka_topic_t *topic, int32_t index, topic_look_t *look)
{
    kafka_t *kafka = topic->kafka;
    char path[PATH_CHARS_MAX];
    bytes_t data;
    znode_state_t state;
    snprintf(path, sizeof(path), ZNODES_TOPICS "/%s/partitions/%" PRId32 "/state", topic->name, index);
    if (mirror_get(kafka->tree, path, &data, NULL) != ZOK || znode_parse_state(data, &look->arena, &state) != 0)
        return false;
    kafka_partition_state_t *p = &topic->partitions[index];
    bool new_epoch = p->leader_epoch != state.leader_epoch;
    p->leader = state.leader;
    p->leader_epoch = state.leader_epoch;
    copy_ids(&state.isr, &p->isr, &p->isr_count);
    if (look->node.partitions) copy_ids(&look->node.partitions[index], &p->replicas, &p->replicas_count);
    if (p->log && new_epoch) partition_set_leader_epoch(p->log, p->leader_epoch);
    if (has_id(p->replicas, p->replicas_count, kafka->broker_id)) partition_bring(topic, index);
    partition_precheck_end(topic, index);
    return true;
}

static void make_room(kafka_topic_t *topic, int32_t count)
{
    if (count <= topic->partitions_cap) return;
    topic->partitions = mem_realloc(topic->partitions, sizeof(*topic->partitions) * (size_t)count);
    memset(topic->partitions + topic->partitions_cap, 0,
           sizeof(*topic->partitions) * (size_t)(count - topic->partitions_cap));
    topic->partitions_cap = count;
}

/* Else the next ones are read ahead, too, as far as the pool has room. */
static bool is_prechecked(kafka_topic_t *topic, int32_t index, int32_t count)
{
    if (partition_precheck(topic, index)) return true;
    int32_t end = MIN(count, index + PRECHECKS_AHEAD);
    for (int32_t next = index + 1; next < end && partition_precheck_may_begin(topic->kafka); next++)
        (void)!partition_precheck(topic, next);
    return false;
}

void topics__open_partitions(topics_store_t *store, kafka_topic_t *topic, topic_look_t *look)
{
    int32_t first = look->next;
    make_room(topic, look->end);
    store->stopped = false;
    for (; look->next < look->end; look->next++) {
        int32_t i = look->next;
        store->stopped = (i > first && topics__turn_is_over(store)) || !is_prechecked(topic, i, look->end);
        if (store->stopped) break;
        store->opened_count++;
        if (!sync_partition(topic, i, look) && i >= topic->partitions_count) break;
        topic->partitions_count = MAX(topic->partitions_count, i + 1);
    }
}

/* ---- removal ---- */

static void drop_partition(kafka_topic_t *topic, int32_t index)
{
    kafka_partition_state_t *p = &topic->partitions[index];
    partition_offline_deleted(topic, index);
    if (p->log) partition_delete(p->log);
    p->log = NULL;
    topic_partition_free(topic, index);
}

static void end_prechecks(kafka_topic_t *topic)
{
    for (int32_t i = 0; i < topic->partitions_cap; i++) partition_precheck_end(topic, i);
}

/* Removes partitions until the turn's time is over; true when the topic is gone. */
static bool drop_partitions(topics_store_t *store, dropping_t *d)
{
    kafka_topic_t *topic = d->topic;
    int32_t first = d->next;
    for (; d->next < topic->partitions_count; d->next++) {
        if (d->next > first && topics__turn_is_over(store)) return false;
        drop_partition(topic, d->next);
    }
    topic_free(topic);
    return true;
}

void topics__drop(topics_store_t *store, kafka_topic_t *topic)
{
    dropping_t *d = mem_zalloc(sizeof(*d));
    char name[KAFKA_TOPIC_NAME_BYTES_MAX + 1];
    snprintf(name, sizeof(name), "%s", topic->name);
    d->topic = topic;
    end_prechecks(topic);
    if (drop_partitions(store, d)) {
        mem_free(d);
        return;
    }
    map_put(&store->dropping, bytes_str(name), d);
    topics__work_later(store);
}

void topics__drop_more(topics_store_t *store)
{
    while (store->dropping.count > 0 && !topics__turn_is_over(store)) {
        size_t cursor = 0;
        map_entry_t *entry = map_next(&store->dropping, &cursor);
        dropping_t *d = entry->value;
        char copy[KAFKA_TOPIC_NAME_BYTES_MAX];
        bytes_t name = bytes_of(copy, entry->key.len);
        memcpy(copy, entry->key.ptr, entry->key.len);
        if (!drop_partitions(store, d)) return;
        map_remove(&store->dropping, name);
        mem_free(d);
        topics__end_waits(store, name);
    }
}

/* ---- the end ---- */

void topics__drop_all(topics_store_t *store)
{
    size_t cursor = 0;
    for (map_entry_t *entry; (entry = map_next(&store->dropping, &cursor));) {
        (void)drop_partitions(store, entry->value);
        mem_free(entry->value);
    }
    map_deinit(&store->dropping);
}

void topics__close(kafka_topic_t *topic)
{
    end_prechecks(topic);
    for (int32_t i = 0; i < topic->partitions_count; i++) {
        if (topic->partitions[i].offline) topic->kafka->partitions->failed = true;
        partition_offline_forget(topic, i);
        if (topic->partitions[i].log) partition_close(topic->partitions[i].log);
        topic->partitions[i].log = NULL;
    }
    topic_free(topic);
}

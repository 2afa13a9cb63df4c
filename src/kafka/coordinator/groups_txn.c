/* groups_txn.c: offsets that groups commit in transactions. They are in the log like others, and wait here until the marker of
 * their producer comes to the partition: then they count, or are forgotten.
 *
 * Of two commits of one partition the one counts whose record is later in the log, not the one whose marker is: so an
 * offset that was committed while a transaction was open is not taken back by it. `order` counts the records of all groups, in
 * the order in which they come, which is the log's within a partition. */
#include "kafka/coordinator/groups_internal.h"

/* What one producer's open transaction has of one group. */
typedef struct groups_txn {
    list_t entry_node; /* in entry->txns */
    list_t node;       /* in groups_producer_t */
    group_entry_t *entry;
    int64_t producer_id;
    group_offsets_t offsets;
} groups_txn_t;

/* A producer with an open transaction in one partition. */
typedef struct groups_producer {
    list_t txns; /* groups_txn_t */
} groups_producer_t;

typedef struct producer_key {
    int64_t producer_id;
    int64_t partition;
} producer_key_t;

static bytes_t key_bytes(const producer_key_t *key) { return bytes_of((const uint8_t *)key, sizeof(*key)); }

/* ---- offsets --------------------------------------------------------------------------------------------------------- */

void groups_offset_put(group_entry_t *entry, bytes_t topic, int32_t partition, const group_offset_t *offset)
{
    group_offset_t ordered = *offset;
    ordered.order = ++entry->groups->order;
    group_offsets_put(&entry->offsets, topic, partition, &ordered);
}

bool groups_offset_is_unstable(const group_entry_t *entry, bytes_t topic, int32_t partition)
{
    LIST_EACH(&entry->txns, txn, groups_txn_t, entry_node) {
        if (group_offsets_get(&txn->offsets, topic, partition)) return true;
    }
    return false;
}

static groups_txn_t *txn_of(group_entry_t *entry, int64_t producer_id)
{
    kafka_groups_t *groups = entry->groups;
    producer_key_t key = {producer_id, entry->partition};
    LIST_EACH(&entry->txns, txn, groups_txn_t, entry_node) {
        if (txn->producer_id == producer_id) return txn;
    }
    groups_producer_t *producer = map_get(&groups->producers, key_bytes(&key));
    if (!producer) {
        producer = mem_alloc(sizeof(*producer));
        list_init(&producer->txns);
        map_put(&groups->producers, key_bytes(&key), producer);
    }
    groups_txn_t *txn = mem_zalloc(sizeof(*txn));
    txn->entry = entry;
    txn->producer_id = producer_id;
    list_push_back(&entry->txns, &txn->entry_node);
    list_push_back(&producer->txns, &txn->node);
    return txn;
}

void groups_offset_put_pending(group_entry_t *entry, int64_t producer_id, bytes_t topic, int32_t partition,
                               const group_offset_t *offset)
{
    group_offset_t ordered = *offset;
    ordered.order = ++entry->groups->order;
    group_offsets_put(&txn_of(entry, producer_id)->offsets, topic, partition, &ordered);
}

/* ---- the end --------------------------------------------------------------------------------------------------------- */

static void drop(groups_txn_t *txn)
{
    list_remove(&txn->entry_node);
    list_remove(&txn->node);
    group_offsets_deinit(&txn->offsets);
    mem_free(txn);
}

static void apply_topic(group_entry_t *entry, const group_topic_t *topic)
{
    size_t cursor = 0;
    for (const group_topic_offset_t *e; (e = group_topic_next(topic, &cursor));) {
        const group_offset_t *now = group_offsets_get(&entry->offsets, topic->name, e->partition);
        if (!now || now->order < e->value.order)
            group_offsets_put(&entry->offsets, topic->name, e->partition, &e->value);
    }
}

static void apply(groups_txn_t *txn)
{
    size_t cursor = 0;
    for (const group_topic_t *t; (t = group_offsets_next(&txn->offsets, &cursor));) apply_topic(txn->entry, t);
}

void groups_txn_end(kafka_groups_t *groups, int32_t partition, int64_t producer_id, bool commits)
{
    producer_key_t key = {producer_id, partition};
    groups_producer_t *producer = map_remove(&groups->producers, key_bytes(&key));
    if (!producer) return;
    LIST_EACH(&producer->txns, txn, groups_txn_t, node) {
        if (commits) apply(txn);
        drop(txn);
    }
    mem_free(producer);
}

/* A group that goes takes with it what was pending. */
void groups__txns_drop(group_entry_t *entry)
{
    LIST_EACH(&entry->txns, txn, groups_txn_t, entry_node) {
        producer_key_t key = {txn->producer_id, entry->partition};
        groups_producer_t *producer = map_get(&entry->groups->producers, key_bytes(&key));
        drop(txn);
        if (!list_empty(&producer->txns)) continue;
        map_remove(&entry->groups->producers, key_bytes(&key));
        mem_free(producer);
    }
}

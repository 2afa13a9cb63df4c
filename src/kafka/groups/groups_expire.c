/* groups_expire.c: offsets do not live for ever: those of an empty group go offsets.retention.minutes after it became empty, those of
 * topics a group no longer reads as long after their commit, and a group with nothing left goes too. Each is a tombstone in
 * __consumer_offsets first. Also called when a topic is deleted. */
#include "kafka/groups/groups_internal.h"

#define TOMBSTONES_BYTES_MAX KIB(512) /* a batch of them, well below max.message.bytes */
#define MS_PER_MINUTE        60000

typedef struct doomed {
    bytes_t topic; /* owned */
    int32_t partition;
} doomed_t;

/* A write of tombstones for one group: what it names is forgotten when it is done. */
typedef struct expiry {
    groups_write_t write;
    group_entry_t *entry;
    doomed_t *offsets;
    size_t count, cap;
    bool group_too;
} expiry_t;

static expiry_t *expiry_new(group_entry_t *entry)
{
    expiry_t *x = mem_zalloc(sizeof(*x));
    x->entry = entry;
    x->write.records = (group_records_t){RECORD_BUILDER_INIT, io_wall_ms(entry->groups->kafka->loop)};
    group_entry_ref(entry);
    return x;
}

static void expiry_free(expiry_t *x)
{
    for (size_t i = 0; i < x->count; i++) mem_free((void *)x->offsets[i].topic.ptr);
    mem_free(x->offsets);
    record_builder_deinit(&x->write.records.builder);
    group_entry_unref(x->entry);
    mem_free(x);
}

static bool is_unused(const group_entry_t *entry)
{
    const group_t *g = entry->group;
    return g->state == GROUP_EMPTY && list_empty(&g->pending) && entry->offsets.count == 0;
}

static void on_expired(groups_write_t *write, int16_t error)
{
    expiry_t *x = CONTAINER_OF(write, expiry_t, write);
    group_entry_t *entry = x->entry;
    if (error == KAFKA_NONE && !entry->removed) {
        for (size_t i = 0; i < x->count; i++) {
            group_offsets_remove(&entry->offsets, x->offsets[i].topic, x->offsets[i].partition);
        }
        if (x->group_too && is_unused(entry)) groups_remove(entry);
    }
    expiry_free(x); /* after a failure the next round tries again */
}

static void doom(expiry_t *x, bytes_t topic, int32_t partition)
{
    if (x->count == x->cap) {
        x->cap = x->cap ? x->cap * 2 : 4;
        x->offsets = mem_realloc(x->offsets, x->cap * sizeof(x->offsets[0]));
    }
    x->offsets[x->count++] = (doomed_t){bytes_of(mem_strndup(topic), topic.len), partition};
    group_records_add_offset(&x->write.records, x->entry->group->id, topic, partition, NULL);
}

static void run(expiry_t *x)
{
    if (x->count == 0 && !x->group_too) {
        expiry_free(x);
        return;
    }
    groups_write(x->entry->groups, x->entry->partition, &x->write, on_expired);
}

/* ---- retention -------------------------------------------------------------------------------------- */

/* Since when an offset counts as unused; false when nothing of this group expires now. */
static bool unused_since(const group_t *g, const group_offset_t *offset, int64_t *ret_ms)
{
    *ret_ms = offset->commit_ms;
    if (!g->protocol_type.ptr) return true; /* a simple consumer's: from the commit on */
    if (g->state == GROUP_EMPTY) {
        if (g->state_since_ms != -1) *ret_ms = g->state_since_ms;
        return true;
    }
    return g->state == GROUP_STABLE && bytes_eq(g->protocol_type, BYTES_LIT("consumer"));
}

static bool is_expired(const group_t *g, const group_offset_t *offset, int64_t now_ms, int64_t retention_ms)
{
    int64_t since_ms;
    if (!unused_since(g, offset, &since_ms)) return false;
    if (offset->expire_ms != -1) return now_ms >= offset->expire_ms;
    return now_ms - since_ms >= retention_ms;
}

static void expire_group(group_entry_t *entry, int64_t retention_ms)
{
    const group_t *g = entry->group;
    expiry_t *x = expiry_new(entry);
    size_t cursor = 0;
    for (const group_topic_t *t; (t = group_offsets_next(&entry->offsets, &cursor));) {
        if (group_subscribed(g, t->name)) continue;
        for (size_t i = 0; i < t->count && x->write.records.builder.buf.len < TOMBSTONES_BYTES_MAX; i++) {
            if (!is_expired(g, &t->entries[i].value, x->write.records.now_ms, retention_ms)) continue;
            doom(x, t->name, t->entries[i].partition);
        }
    }
    bool nothing_left = x->count == entry->offsets.count && g->state == GROUP_EMPTY && list_empty(&g->pending);
    if (nothing_left && g->stores.next == &g->stores) {
        x->group_too = true;
        group_records_add_group_tombstone(&x->write.records, g->id);
    }
    run(x);
}

/* The table may change on the way: take the list first. */
static group_entry_t **all_entries(kafka_groups_t *groups, size_t *ret_count)
{
    group_entry_t **list = mem_alloc(sizeof(*list) * (groups->entries.count + 1));
    size_t cursor = 0;
    *ret_count = 0;
    for (group_entry_t *e; (e = groups_next(groups, &cursor));) {
        if (groups->partitions[e->partition].state != GROUPS_ACTIVE) continue;
        group_entry_ref(e);
        list[(*ret_count)++] = e;
    }
    return list;
}

void groups__expire(kafka_groups_t *groups)
{
    int64_t retention_ms = groups->kafka->config.offsets_retention_minutes * MS_PER_MINUTE;
    size_t count;
    group_entry_t **entries = all_entries(groups, &count);
    for (size_t i = 0; i < count; i++) {
        if (!entries[i]->removed) expire_group(entries[i], retention_ms);
        group_entry_unref(entries[i]);
    }
    mem_free(entries);
}

void groups__forget_topic(kafka_groups_t *groups, bytes_t topic)
{
    size_t count;
    group_entry_t **entries = all_entries(groups, &count);
    for (size_t i = 0; i < count; i++) {
        const group_topic_t *t = map_get(&entries[i]->offsets.topics, topic);
        if (t) {
            expiry_t *x = expiry_new(entries[i]);
            for (size_t n = 0; n < t->count; n++) doom(x, topic, t->entries[n].partition);
            run(x);
        }
        group_entry_unref(entries[i]);
    }
    mem_free(entries);
}

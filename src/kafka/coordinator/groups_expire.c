/* groups_expire.c: offsets do not live for ever: those of an empty group go offsets.retention.minutes after
 * it became empty, those of topics a group no longer reads as long after their commit, and a group with
 * nothing left goes too. Each is a tombstone in
 * __consumer_offsets first. Also called when a topic is deleted. */
#include "kafka/coordinator/groups_internal.h"

#define TOMBSTONES_BYTES_MAX KIB(512) /* a batch of them, well below max.message.bytes */
#define MS_PER_MINUTE        60000

typedef struct removal_offset {
    bytes_t topic; /* owned */
    int32_t partition;
} removal_offset_t;

struct groups_removal {
    groups_write_t write;
    group_entry_t *entry;
    removal_offset_t *offsets;
    size_t count, cap;
    bool group_too;
    void (*done)(void *user, int16_t error);
    void *user;
};

/* ---- removals --------------------------------------------------------------------------------------- */

groups_removal_t *groups_removal_new(group_entry_t *entry, void (*done)(void *user, int16_t error), void *user)
{
    groups_removal_t *r = mem_zalloc(sizeof(*r));
    r->entry = entry;
    r->done = done;
    r->user = user;
    r->write.records = (group_records_t){RECORD_BUILDER_INIT, groups_now(entry->groups).wall_ms};
    group_entry_ref(entry);
    return r;
}

void groups_removal_add_offset(groups_removal_t *r, bytes_t topic, int32_t partition)
{
    if (r->count == r->cap) {
        r->cap = r->cap ? r->cap * 2 : 4;
        r->offsets = mem_realloc(r->offsets, r->cap * sizeof(r->offsets[0]));
    }
    r->offsets[r->count++] = (removal_offset_t){bytes_of(mem_strndup(topic), topic.len), partition};
    group_records_add_offset(&r->write.records, r->entry->group->id, topic, partition, NULL);
}

static void add_group_tombstone(groups_removal_t *r)
{
    r->group_too = true;
    if (r->entry->cgroup) {
        cgroup_records_add_tombstones(&r->write.records, r->entry->cgroup);
    } else {
        group_records_add_group_tombstone(&r->write.records, r->entry->group->id);
    }
}

static void add_topic(groups_removal_t *r, const group_topic_t *t)
{
    size_t cursor = 0;
    for (const group_topic_offset_t *e; (e = group_topic_next(t, &cursor));)
        groups_removal_add_offset(r, t->name, e->partition);
}

void groups_removal_add_group(groups_removal_t *r)
{
    size_t cursor = 0;
    for (const group_topic_t *t; (t = group_offsets_next(&r->entry->offsets, &cursor));) {
        add_topic(r, t);
    }
    add_group_tombstone(r);
}

/* Frees first, then tells: who is told may end the request that `user` lives in. */
static void finish(groups_removal_t *r, int16_t error)
{
    void (*done)(void *user, int16_t error) = r->done;
    void *user = r->user;
    for (size_t i = 0; i < r->count; i++) mem_free((void *)r->offsets[i].topic.ptr);
    mem_free(r->offsets);
    record_builder_deinit(&r->write.records.builder);
    group_entry_unref(r->entry);
    mem_free(r);
    if (done) done(user, error);
}

static void on_written(groups_write_t *write, int16_t error)
{
    groups_removal_t *r = CONTAINER_OF(write, groups_removal_t, write);
    group_entry_t *entry = r->entry;
    if (error == KAFKA_NONE && !entry->removed) {
        for (size_t i = 0; i < r->count; i++) {
            group_offsets_remove(&entry->offsets, r->offsets[i].topic, r->offsets[i].partition);
        }
        /* Who joined meanwhile keeps the group: its next generation is a record again. */
        bool unused = groups_is_empty(entry) && entry->offsets.count == 0 && list_empty(&entry->applying);
        if (r->group_too && unused) groups_remove(entry);
    }
    finish(r, error);
}

void groups_removal_run(groups_removal_t *r)
{
    if (r->count == 0 && !r->group_too) {
        finish(r, KAFKA_NONE);
        return;
    }
    groups_write(r->entry->groups, r->entry->partition, &r->write, on_written);
}

/* ---- retention -------------------------------------------------------------------------------------- */

/* Since when an offset counts as unused; false when nothing of this group expires now. */
static bool unused_since(const group_entry_t *entry, const group_offset_t *offset, int64_t *ret_ms)
{
    const group_t *g = entry->group;
    *ret_ms = offset->commit_ms;
    if (entry->cgroup) return true;         /* as the original: from the commit on, but for what is being read */
    if (!g->protocol_type.ptr) return true; /* a simple consumer's: from the commit on */
    if (g->state == GROUP_EMPTY) {
        if (g->state_since_ms != -1) *ret_ms = g->state_since_ms;
        return true;
    }
    return g->state == GROUP_STABLE && bytes_eq(g->protocol_type, BYTES_LIT("consumer"));
}

static bool is_expired(const group_entry_t *entry, const group_offset_t *offset, int64_t now_ms, int64_t retention_ms)
{
    int64_t since_ms;
    if (!unused_since(entry, offset, &since_ms)) return false;
    if (offset->expire_ms != -1) return now_ms >= offset->expire_ms;
    return now_ms - since_ms >= retention_ms;
}

static void expire_group(group_entry_t *entry, int64_t retention_ms)
{
    const group_t *g = entry->group;
    groups_removal_t *r = groups_removal_new(entry, NULL, NULL); /* after a failure the next round tries again */
    size_t cursor = 0;
    for (const group_topic_t *t; (t = group_offsets_next(&entry->offsets, &cursor));) {
        if (groups_subscribed(entry, t->name)) continue;
        size_t at = 0;
        for (const group_topic_offset_t *e; (e = group_topic_next(t, &at));) {
            if (r->write.records.builder.buf.len >= TOMBSTONES_BYTES_MAX) break;
            if (is_expired(entry, &e->value, r->write.records.now_ms, retention_ms))
                groups_removal_add_offset(r, t->name, e->partition);
        }
    }
    bool nothing_left = r->count == entry->offsets.count && g->state == GROUP_EMPTY && list_empty(&g->pending);
    if (nothing_left && list_empty(&g->stores)) add_group_tombstone(r);
    groups_removal_run(r);
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
            groups_removal_t *r = groups_removal_new(entries[i], NULL, NULL);
            add_topic(r, t);
            groups_removal_run(r);
        }
        group_entry_unref(entries[i]);
    }
    mem_free(entries);
}

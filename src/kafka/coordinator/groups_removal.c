/* groups_removal.c: offsets do not live for ever: those of an empty group go offsets.retention.minutes after
 * it became empty, those of topics a group no longer reads as long after their commit, and a group with
 * nothing left goes too. Each is a tombstone in __consumer_offsets first: a batch of them a step, so that a group may have any
 * number. Also called when a group, some of its offsets, or a topic is deleted. */
#include "kafka/coordinator/groups_internal.h"

#define TOMBSTONES_BYTES_MAX KIB(256) /* a batch of them; more offsets take more batches */
#define MS_PER_MINUTE        60000

typedef struct removal_offset {
    bytes_t topic; /* owned */
    int32_t partition;
    int64_t offset, commit_ms; /* what was committed since stays */
    bool stays;
} removal_offset_t;

struct groups_removal {
    runtime_write_t write;
    slice_t slice;
    group_entry_t *entry;
    removal_offset_t *offsets;
    size_t count, cap;
    size_t first, next; /* offsets whose tombstones are being written */
    bool group_too;
    bool stepping, writing, over;
    kafka_code_t error;
    void (*done)(void *user, kafka_code_t error);
    void *user;
};

/* ---- removals --------------------------------------------------------------------------------------- */

groups_removal_t *groups_removal_new(group_entry_t *entry, void (*done)(void *user, kafka_code_t error), void *user)
{
    groups_removal_t *r = mem_zalloc(sizeof(*r));
    r->entry = entry;
    r->done = done;
    r->user = user;
    r->write.batch = runtime_batch(groups_now(entry->groups).wall_ms);
    group_entry_ref(entry);
    return r;
}

void groups_removal_add_offset(groups_removal_t *r, bytes_t topic, int32_t partition)
{
    if (r->count == r->cap) {
        r->cap = r->cap ? r->cap * 2 : 4;
        r->offsets = mem_realloc(r->offsets, r->cap * sizeof(r->offsets[0]));
    }
    const group_offset_t *now = group_offsets_get(&r->entry->offsets, topic, partition);
    if (!now) return;
    r->offsets[r->count++] = (removal_offset_t){
        .topic = bytes_of(mem_strndup(topic), topic.len),
        .partition = partition,
        .offset = now->offset,
        .commit_ms = now->commit_ms,
    };
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
    r->group_too = true;
}

/* Frees first, then tells: who is told may end the request that `user` lives in. */
static void finish(groups_removal_t *r, kafka_code_t error)
{
    void (*done)(void *user, kafka_code_t error) = r->done;
    void *user = r->user;
    for (size_t i = r->first; i < r->count; i++) mem_free((void *)r->offsets[i].topic.ptr);
    mem_free(r->offsets);
    record_builder_deinit(&r->write.batch.builder);
    group_entry_unref(r->entry);
    mem_free(r);
    if (done) done(user, error);
}

/* What is written is forgotten. Who joined meanwhile keeps the group: its next generation is a record again. */
static void take_written(groups_removal_t *r)
{
    group_entry_t *entry = r->entry;
    for (; r->first < r->next; r->first++) {
        const removal_offset_t *o = &r->offsets[r->first];
        if (!o->stays) group_offsets_remove(&entry->offsets, o->topic, o->partition);
        mem_free((void *)o->topic.ptr);
    }
    if (r->first < r->count) return;
    bool unused =
        groups_is_empty(entry) && entry->offsets.count == 0 && list_empty(&entry->applying) && list_empty(&entry->txns);
    if (r->group_too && unused) groups__remove(entry, KAFKA_NOT_COORDINATOR);
    r->over = true;
}

static void on_written(runtime_write_t *write, kafka_code_t error)
{
    groups_removal_t *r = CONTAINER_OF(write, groups_removal_t, write);
    r->writing = false;
    r->error = error;
    if (error == KAFKA_NONE && !r->entry->removed)
        take_written(r);
    else
        r->over = true;
    if (!r->stepping) slice_run(&r->entry->groups->kafka->slices, &r->slice);
}

static size_t batch_bytes_max(const kafka_groups_t *groups)
{
    return MIN(runtime_batch_bytes_max(groups->runtime) / 2, (size_t)TOMBSTONES_BYTES_MAX);
}

static void add_tombstone(groups_removal_t *r, removal_offset_t *o)
{
    const group_offset_t *now = group_offsets_get(&r->entry->offsets, o->topic, o->partition);
    o->stays = !now || now->offset != o->offset || now->commit_ms != o->commit_ms;
    if (!o->stays) group_records_add_offset(&r->write.batch, r->entry->id, o->topic, o->partition, NULL);
}

static void build_batch(groups_removal_t *r)
{
    record_builder_t *builder = &r->write.batch.builder;
    size_t bytes_max = batch_bytes_max(r->entry->groups);
    record_builder_reset(builder);
    while (r->next < r->count && (builder->count == 0 || builder->buf.len < bytes_max))
        add_tombstone(r, &r->offsets[r->next++]);
    if (r->group_too && r->next == r->count && groups_is_empty(r->entry))
        r->entry->type->add_tombstones(r->entry, &r->write.batch);
}

/* A group that was removed meanwhile may be there again, as another: it keeps what it has. */
static slice_state_t remove_step(slice_t *slice)
{
    groups_removal_t *r = CONTAINER_OF(slice, groups_removal_t, slice);
    if (!r->over && !r->entry->removed) build_batch(r);
    if (r->over || r->entry->removed || r->write.batch.builder.count == 0) {
        finish(r, r->error);
        return SLICE_ENDED;
    }
    r->writing = r->stepping = true;
    runtime_write(r->entry->groups->runtime, r->entry->partition, &r->write, on_written);
    r->stepping = false;
    return r->writing ? SLICE_WAITS : SLICE_MORE;
}

void groups_removal_run(groups_removal_t *r)
{
    r->slice.step = remove_step;
    slice_run(&r->entry->groups->kafka->slices, &r->slice);
}

/* ---- retention -------------------------------------------------------------------------------------- */

static bool is_expired(const group_entry_t *entry, const group_offset_t *offset, int64_t now_ms, int64_t retention_ms)
{
    int64_t since_ms;
    if (!entry->type->unused_since(entry, offset, &since_ms)) return false;
    if (offset->expire_ms != -1) return now_ms >= offset->expire_ms;
    return now_ms - since_ms >= retention_ms;
}

static void expire_group(group_entry_t *entry, int64_t retention_ms)
{
    groups_removal_t *r = groups_removal_new(entry, NULL, NULL); /* after a failure the next round tries again */
    size_t cursor = 0;
    for (const group_topic_t *t; (t = group_offsets_next(&entry->offsets, &cursor));) {
        if (groups_subscribed(entry, t->name)) continue;
        size_t at = 0;
        for (const group_topic_offset_t *e; (e = group_topic_next(t, &at));) {
            if (is_expired(entry, &e->value, r->write.batch.now_ms, retention_ms))
                groups_removal_add_offset(r, t->name, e->partition);
        }
    }
    r->group_too = r->count == entry->offsets.count && list_empty(&entry->txns) && entry->type->may_expire(entry);
    groups_removal_run(r);
}

void groups__expire_stop(kafka_groups_t *groups) { groups_walk_stop(&groups->expiring); }

bool groups__expire(kafka_groups_t *groups, bool begins)
{
    group_entry_t *entry;
    if (begins) groups_walk_begin(&groups->expiring, groups);
    if (!groups_walk_next(&groups->expiring, &entry)) return false;
    if (entry) expire_group(entry, groups->kafka->config.offsets_retention_minutes * MS_PER_MINUTE);
    return true;
}

/* ---- topics that are gone --------------------------------------------------------------------------- */

/* A round through all groups, for one topic. */
typedef struct groups_forgetting {
    list_t node;
    slice_t slice;
    groups_walk_t walk;
    char *topic;
    kafka_uuid_t topic_id;
} groups_forgetting_t;

static void forgetting_free(groups_forgetting_t *f)
{
    slice_stop(&f->slice);
    groups_walk_stop(&f->walk);
    list_remove(&f->node);
    mem_free(f->topic);
    mem_free(f);
}

static slice_state_t forget_step(slice_t *slice)
{
    groups_forgetting_t *f = CONTAINER_OF(slice, groups_forgetting_t, slice);
    group_entry_t *entry;
    if (!groups_walk_next(&f->walk, &entry)) {
        forgetting_free(f);
        return SLICE_ENDED;
    }
    if (entry) groups__share_topic_gone(entry, f->topic_id);
    const group_topic_t *t = entry ? map_get(&entry->offsets.topics, bytes_str(f->topic)) : NULL;
    if (!t) return SLICE_MORE;
    groups_removal_t *r = groups_removal_new(entry, NULL, NULL);
    add_topic(r, t);
    groups_removal_run(r);
    return SLICE_MORE;
}

void groups__forget_topic(kafka_groups_t *groups, const kafka_topic_t *topic)
{
    groups_forgetting_t *f = mem_zalloc(sizeof(*f));
    f->topic = mem_strndup(kafka_topic_name(topic));
    f->topic_id = topic->id;
    f->slice.step = forget_step;
    list_push_back(&groups->forgetting, &f->node);
    groups_walk_begin(&f->walk, groups);
    slice_run(&groups->kafka->slices, &f->slice);
}

void groups__forget_now(kafka_groups_t *groups, bytes_t topic)
{
    LIST_EACH(&groups->forgetting, f, groups_forgetting_t, node) {
        if (!bytes_eq(bytes_str(f->topic), topic)) continue;
        slice_stop(&f->slice);
        while (forget_step(&f->slice) == SLICE_MORE) continue;
    }
}

void groups__forget_stop(kafka_groups_t *groups)
{
    LIST_EACH(&groups->forgetting, f, groups_forgetting_t, node) forgetting_free(f);
}

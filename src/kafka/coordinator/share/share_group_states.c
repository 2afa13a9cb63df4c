/* share_group_states.c: which partitions of a share group have a state, are getting one, or lose theirs. See share_group.h. */
#include "kafka/coordinator/share/share_group.h"

static bytes_t key_of(const kafka_uuid_t *id) { return bytes_of(id, sizeof(*id)); }

const share_group_topic_t *share_group_find_topic(const share_group_t *g, kafka_uuid_t id)
{
    return map_get(&g->states, key_of(&id));
}

share_group_topic_t *share_group_topic(share_group_t *g, kafka_uuid_t id, bytes_t name)
{
    share_group_topic_t *topic = map_get(&g->states, key_of(&id));
    if (topic) return topic;
    topic = mem_zalloc(sizeof(*topic));
    topic->id = id;
    topic->name = bytes_of(mem_strndup(name), name.len);
    map_put(&g->states, key_of(&id), topic);
    return topic;
}

static void free_topic(share_group_topic_t *topic)
{
    mem_free((void *)topic->name.ptr);
    mem_free(topic);
}

void share_group_states_clear(share_group_t *g)
{
    size_t cursor = 0;
    for (map_entry_t *e; (e = map_next(&g->states, &cursor));) free_topic(e->value);
    map_deinit(&g->states);
    g->states = MAP_INIT;
    tp_set_clear(&g->initialized);
    tp_set_clear(&g->initializing);
}

static void remove_topic(tp_set_t *set, kafka_uuid_t topic)
{
    size_t kept = 0;
    for (size_t i = 0; i < set->count; i++) {
        if (!kafka_uuid_eq(set->items[i].topic, topic)) set->items[kept++] = set->items[i];
    }
    set->count = kept;
}

static void remove_all(tp_set_t *set, const tp_set_t *gone)
{
    size_t kept = 0;
    for (size_t i = 0; i < set->count; i++) {
        if (!tp_set_has(gone, set->items[i])) set->items[kept++] = set->items[i];
    }
    set->count = kept;
}

/* ---- wanted ---------------------------------------------------------------------------------------------------------- */

static void want_partitions(share_group_t *g, const share_group_topic_t *topic, int32_t count, bool retried,
                            tp_set_t *out)
{
    for (int32_t i = 0; i < count; i++) {
        topic_partition_t tp = {topic->id, i};
        bool has = tp_set_has(&g->initialized, tp) || (!retried && tp_set_has(&g->initializing, tp));
        if (has) continue;
        tp_set_add(&g->initializing, tp);
        tp_set_add(out, tp);
        g->dirty_states = true;
    }
}

static bool has_topic(const tp_set_t *set, kafka_uuid_t id)
{
    for (size_t at = 0; at < set->count; at += tp_set_run(set, at)) {
        if (kafka_uuid_eq(set->items[at].topic, id)) return true;
    }
    return false;
}

static void want_topic(share_group_t *g, bytes_t name, runtime_now_t now, tp_set_t *fresh, tp_set_t *grown)
{
    kafka_uuid_t id;
    int32_t count;
    if (!g->host->topic(g->user, name, &id, &count)) return;
    bool known = has_topic(&g->initialized, id); /* it has grown: what is new is read from its start */
    share_group_topic_t *topic = share_group_topic(g, id, name);
    if (topic->deleting) return;
    bool retried = now.mono_ms - topic->since_ms >= SHARE_INITIALIZE_RETRY_MS || topic->since_ms == 0;
    tp_set_t *out = known ? grown : fresh;
    size_t before = out->count;
    want_partitions(g, topic, count, retried, out);
    if (out->count > before) topic->since_ms = MAX(now.mono_ms, 1);
}

void share_group_want_states(share_group_t *g, runtime_now_t now, tp_set_t *ret_fresh, tp_set_t *ret_grown)
{
    size_t cursor = 0;
    for (map_entry_t *e; (e = map_next(&g->names, &cursor));) want_topic(g, e->key, now, ret_fresh, ret_grown);
}

/* ---- made, and gone -------------------------------------------------------------------------------------------------- */

void share_group_states_made(share_group_t *g, const tp_set_t *made)
{
    if (made->count == 0) return;
    for (size_t i = 0; i < made->count; i++) {
        if (share_group_find_topic(g, made->items[i].topic)) tp_set_add(&g->initialized, made->items[i]);
    }
    remove_all(&g->initializing, made);
    g->states_changed = g->dirty_states = true;
}

void share_group_states_failed(share_group_t *g, const tp_set_t *failed)
{
    if (failed->count == 0) return;
    remove_all(&g->initializing, failed);
    g->dirty_states = true;
}

void share_group_states_deleting(share_group_t *g, kafka_uuid_t id)
{
    share_group_topic_t *topic = map_get(&g->states, key_of(&id));
    if (!topic) return;
    remove_topic(&g->initialized, id);
    remove_topic(&g->initializing, id);
    topic->deleting = g->states_changed = g->dirty_states = true;
}

void share_group_states_gone(share_group_t *g, kafka_uuid_t id)
{
    share_group_topic_t *topic = map_remove(&g->states, key_of(&id));
    if (!topic) return;
    remove_topic(&g->initialized, id);
    remove_topic(&g->initializing, id);
    g->states_changed = g->dirty_states = true;
    free_topic(topic);
}

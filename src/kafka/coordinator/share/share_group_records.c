/* share_group_records.c: see share_group_records.h. */
#include "kafka/coordinator/share/share_group_records.h"

#include "kafka/coordinator/consumer/consumer_internal.h"
#include "kafka/coordinator/consumer/consumer_records.h"
#include "kafka_schema.h"

#define STABLE 0 /* the one state that a member's assignment has */

#define SAME_LAYOUT(type)                                                                                              \
    _Static_assert(sizeof(type) == sizeof(consumer_wire_topic_t), #type);                                              \
    _Static_assert(offsetof(type, topic_id) == offsetof(consumer_wire_topic_t, id), #type);                            \
    _Static_assert(offsetof(type, partitions) == offsetof(consumer_wire_topic_t, partitions), #type)
SAME_LAYOUT(kafka_share_group_target_assignment_member_value_topic_partition_t);
SAME_LAYOUT(kafka_share_group_current_member_assignment_value_assigned_t);

_Static_assert(sizeof(kafka_share_group_state_partition_metadata_value_initializing_t) ==
                   sizeof(kafka_share_group_state_partition_metadata_value_initialized_t),
               "both lists have the same shape");

/* ---- writing --------------------------------------------------------------------------------------------------------- */

/* A key of kind and ids, and a value of version 0; a NULL value is a tombstone. Without `member_id` the key has none. */
static void add(runtime_batch_t *records, share_group_record_kind_t kind, bytes_t group_id, bytes_t member_id,
                const kafka_shape_t *shape, const void *value)
{
    kafka_writer_t key = KAFKA_WRITER_INIT, out = KAFKA_WRITER_INIT;
    kafka_write_int16(&key, (int16_t)kind);
    kafka_write_string(&key, group_id, false, false);
    if (member_id.ptr) kafka_write_string(&key, member_id, false, false);
    if (value) {
        kafka_write_int16(&out, 0);
        kafka_encode(&out, shape, 0, value);
    }
    runtime_batch_add(records, buf_bytes(&key.buf), value ? buf_bytes(&out.buf) : BYTES_NULL);
    kafka_writer_deinit(&key);
    kafka_writer_deinit(&out);
}

static void add_member(runtime_batch_t *records, const share_group_t *g, const share_member_t *m)
{
    kafka_share_group_member_metadata_value_t v = {
        .rack_id = m->rack_id,
        .client_id = m->client_id,
        .client_host = m->client_host,
        .subscribed_topic_names = m->topics,
        .subscribed_topic_names_count = (int32_t)m->topics_count,
    };
    add(records, SHARE_GROUP_RECORD_MEMBER, g->id, m->id, &kafka_share_group_member_metadata_value_shape, &v);
}

static void add_target(runtime_batch_t *records, const share_group_t *g, const share_member_t *m, arena_t *arena)
{
    kafka_share_group_target_assignment_member_value_t v = {0};
    v.topic_partitions = (void *)consumer_wire_topics(arena, &m->target, &v.topic_partitions_count);
    add(records, SHARE_GROUP_RECORD_TARGET, g->id, m->id, &kafka_share_group_target_assignment_member_value_shape, &v);
}

static void add_current(runtime_batch_t *records, const share_group_t *g, const share_member_t *m, arena_t *arena)
{
    kafka_share_group_current_member_assignment_value_t v = {
        .member_epoch = m->epoch, .previous_member_epoch = m->previous_epoch, .state = STABLE};
    v.assigned_partitions = (void *)consumer_wire_topics(arena, &m->assigned, &v.assigned_partitions_count);
    add(records, SHARE_GROUP_RECORD_CURRENT, g->id, m->id, &kafka_share_group_current_member_assignment_value_shape,
        &v);
}

static kafka_share_group_state_partition_metadata_value_initialized_t *
named_topics(const share_group_t *g, const tp_set_t *set, arena_t *arena, int32_t *ret_count)
{
    int32_t count;
    const consumer_wire_topic_t *topics = consumer_wire_topics(arena, set, &count);
    kafka_share_group_state_partition_metadata_value_initialized_t *out =
        kafka_share_group_state_partition_metadata_value_initialized_array(arena, count);
    for (int32_t i = 0; i < count; i++) {
        out[i].topic_id = topics[i].id;
        out[i].topic_name = share_group_find_topic(g, topics[i].id)->name;
        out[i].partitions = topics[i].partitions;
        out[i].partitions_count = topics[i].partitions_count;
    }
    *ret_count = count;
    return out;
}

static void add_states(runtime_batch_t *records, const share_group_t *g, arena_t *arena)
{
    kafka_share_group_state_partition_metadata_value_t v = {0};
    size_t cursor = 0;
    v.initializing_topics = (void *)named_topics(g, &g->initializing, arena, &v.initializing_topics_count);
    v.initialized_topics = named_topics(g, &g->initialized, arena, &v.initialized_topics_count);
    v.deleting_topics =
        kafka_share_group_state_partition_metadata_value_deleting_array(arena, (int32_t)g->states.count);
    for (map_entry_t *e; (e = map_next(&g->states, &cursor));) {
        const share_group_topic_t *topic = e->value;
        if (!topic->deleting) continue;
        v.deleting_topics[v.deleting_topics_count].topic_id = topic->id;
        v.deleting_topics[v.deleting_topics_count++].topic_name = topic->name;
    }
    add(records, SHARE_GROUP_RECORD_STATES, g->id, BYTES_NULL, &kafka_share_group_state_partition_metadata_value_shape,
        &v);
}

static void add_member_tombstones(runtime_batch_t *records, bytes_t group_id, bytes_t member_id)
{
    add(records, SHARE_GROUP_RECORD_CURRENT, group_id, member_id, NULL, NULL);
    add(records, SHARE_GROUP_RECORD_TARGET, group_id, member_id, NULL, NULL);
    add(records, SHARE_GROUP_RECORD_MEMBER, group_id, member_id, NULL, NULL);
}

/* One that came back under its id has records again. */
static void add_gone(runtime_batch_t *records, share_group_t *g)
{
    LIST_EACH(&g->gone, m, share_member_t, node) {
        add_member_tombstones(records, g->id, m->id);
        list_remove(&m->node);
        share_member_free(m);
    }
}

static void add_epoch(runtime_batch_t *records, const share_group_t *g)
{
    kafka_share_group_metadata_value_t v = {.epoch = g->epoch, .metadata_hash = (int64_t)g->metadata_hash};
    add(records, SHARE_GROUP_RECORD_EPOCH, g->id, BYTES_NULL, &kafka_share_group_metadata_value_shape, &v);
}

static void add_assignment_epoch(runtime_batch_t *records, const share_group_t *g)
{
    kafka_share_group_target_assignment_metadata_value_t v = {.assignment_epoch = g->assignment_epoch,
                                                              .assignment_timestamp = g->assigned_ms};
    add(records, SHARE_GROUP_RECORD_ASSIGNMENT_EPOCH, g->id, BYTES_NULL,
        &kafka_share_group_target_assignment_metadata_value_shape, &v);
}

static bool is_dirty(const share_group_t *g)
{
    if (g->dirty_epoch || g->dirty_states || g->dirty_assignment || !list_empty(&g->gone)) return true;
    LIST_EACH(&g->members, m, share_member_t, node) {
        if (m->dirty) return true;
    }
    return false;
}

/* In the order in which one explains the next. */
bool share_group_records_add(runtime_batch_t *records, share_group_t *g)
{
    if (!is_dirty(g)) return false;
    arena_t arena;
    arena_init(&arena, 0);
    add_gone(records, g);
    LIST_EACH(&g->members, m, share_member_t, node) {
        if (m->dirty & SHARE_DIRTY_METADATA) add_member(records, g, m);
    }
    if (g->dirty_epoch) add_epoch(records, g);
    LIST_EACH(&g->members, m, share_member_t, node) {
        if (m->dirty & SHARE_DIRTY_TARGET) add_target(records, g, m, &arena);
    }
    if (g->dirty_assignment) add_assignment_epoch(records, g);
    LIST_EACH(&g->members, m, share_member_t, node) {
        if (m->dirty & SHARE_DIRTY_CURRENT) add_current(records, g, m, &arena);
        m->dirty = 0;
    }
    if (g->dirty_states) add_states(records, g, &arena);
    g->dirty_epoch = g->dirty_states = g->dirty_assignment = false;
    arena_deinit(&arena);
    return true;
}

void share_group_records_add_tombstones(runtime_batch_t *records, const share_group_t *g)
{
    LIST_EACH(&g->members, m, share_member_t, node) add_member_tombstones(records, g->id, m->id);
    add(records, SHARE_GROUP_RECORD_ASSIGNMENT_EPOCH, g->id, BYTES_NULL, NULL, NULL);
    add(records, SHARE_GROUP_RECORD_STATES, g->id, BYTES_NULL, NULL, NULL);
    add(records, SHARE_GROUP_RECORD_EPOCH, g->id, BYTES_NULL, NULL, NULL);
}

/* ---- reading --------------------------------------------------------------------------------------------------------- */

static bool names_member(share_group_record_kind_t kind)
{
    return kind == SHARE_GROUP_RECORD_MEMBER || kind == SHARE_GROUP_RECORD_TARGET || kind == SHARE_GROUP_RECORD_CURRENT;
}

static int read_key(bytes_t key, share_group_record_kind_t *ret_kind, bytes_t *ret_group_id, bytes_t *ret_member_id)
{
    kafka_reader_t r = kafka_reader(key);
    int16_t version = kafka_read_int16(&r);
    if (r.err) return r.err;
    if (version < SHARE_GROUP_RECORD_MEMBER || version > SHARE_GROUP_RECORD_STATES) return ERR_NOT_FOUND;
    *ret_kind = (share_group_record_kind_t)version;
    *ret_group_id = kafka_read_string(&r, false);
    *ret_member_id = names_member(*ret_kind) ? kafka_read_string(&r, false) : BYTES_NULL;
    if (r.err) return r.err;
    return ret_group_id->ptr && (ret_member_id->ptr || !names_member(*ret_kind)) ? 0 : ERR_INVALID;
}

int share_group_record_group(bytes_t key, share_group_record_kind_t *ret_kind, bytes_t *ret_group_id)
{
    bytes_t member_id;
    return read_key(key, ret_kind, ret_group_id, &member_id);
}

static int load_member(share_group_t *g, share_member_t *m, kafka_reader_t *r, arena_t *arena)
{
    kafka_share_group_member_metadata_value_t v;
    int err = kafka_share_group_member_metadata_value_decode(r, 0, arena, &v);
    if (err) return err;
    consumer__set_bytes(&m->rack_id, v.rack_id);
    consumer__set_bytes(&m->client_id, v.client_id);
    consumer__set_bytes(&m->client_host, v.client_host);
    share_group_set_topics(g, m, v.subscribed_topic_names, (size_t)MAX(v.subscribed_topic_names_count, 0));
    return 0;
}

static int load_target(share_member_t *m, kafka_reader_t *r, arena_t *arena)
{
    kafka_share_group_target_assignment_member_value_t v;
    int err = kafka_share_group_target_assignment_member_value_decode(r, 0, arena, &v);
    if (err) return err;
    tp_set_from_wire(&m->target, v.topic_partitions, v.topic_partitions_count);
    m->has_target = true;
    return 0;
}

static int load_current(share_member_t *m, kafka_reader_t *r, arena_t *arena)
{
    kafka_share_group_current_member_assignment_value_t v;
    int err = kafka_share_group_current_member_assignment_value_decode(r, 0, arena, &v);
    if (err) return err;
    m->epoch = v.member_epoch;
    m->previous_epoch = v.previous_member_epoch;
    tp_set_from_wire(&m->assigned, v.assigned_partitions, v.assigned_partitions_count);
    return 0;
}

static int load_epoch(share_group_t *g, kafka_reader_t *r, arena_t *arena)
{
    kafka_share_group_metadata_value_t v;
    int err = kafka_share_group_metadata_value_decode(r, 0, arena, &v);
    if (err) return err;
    g->epoch = v.epoch;
    g->metadata_hash = (uint64_t)v.metadata_hash;
    return 0;
}

static void load_set(share_group_t *g, tp_set_t *set,
                     const kafka_share_group_state_partition_metadata_value_initialized_t *topics, int32_t count)
{
    for (int32_t t = 0; t < count; t++) {
        (void)share_group_topic(g, topics[t].topic_id, topics[t].topic_name);
        for (int32_t p = 0; p < topics[t].partitions_count; p++)
            tp_set_add(set, (topic_partition_t){topics[t].topic_id, topics[t].partitions[p]});
    }
}

static int load_states(share_group_t *g, kafka_reader_t *r, arena_t *arena)
{
    kafka_share_group_state_partition_metadata_value_t v;
    int err = kafka_share_group_state_partition_metadata_value_decode(r, 0, arena, &v);
    if (err) return err;
    share_group_states_clear(g);
    load_set(g, &g->initialized, v.initialized_topics, v.initialized_topics_count);
    load_set(g, &g->initializing, (const void *)v.initializing_topics, v.initializing_topics_count);
    for (int32_t i = 0; i < v.deleting_topics_count; i++)
        share_group_topic(g, v.deleting_topics[i].topic_id, v.deleting_topics[i].topic_name)->deleting = true;
    return 0;
}

static int load_assignment_epoch(share_group_t *g, kafka_reader_t *r, arena_t *arena)
{
    kafka_share_group_target_assignment_metadata_value_t v;
    int err = kafka_share_group_target_assignment_metadata_value_decode(r, 0, arena, &v);
    if (err) return err;
    g->assignment_epoch = v.assignment_epoch;
    g->assigned_ms = v.assignment_timestamp;
    return 0;
}

static void load_tombstone(share_group_t *g, share_group_record_kind_t kind, share_member_t *m)
{
    if (kind == SHARE_GROUP_RECORD_STATES) share_group_states_clear(g);
    if (kind == SHARE_GROUP_RECORD_ASSIGNMENT_EPOCH) g->assignment_epoch = 0;
    if (!m) return;
    if (kind == SHARE_GROUP_RECORD_TARGET) tp_set_clear(&m->target);
    if (kind == SHARE_GROUP_RECORD_CURRENT) tp_set_clear(&m->assigned);
    if (kind == SHARE_GROUP_RECORD_MEMBER) share_group_remove(g, m, false);
}

int share_group_record_load(share_group_t *g, bytes_t key, bytes_t value, arena_t *arena)
{
    share_group_record_kind_t kind;
    bytes_t group_id, member_id;
    int err = read_key(key, &kind, &group_id, &member_id);
    if (err) return err;
    share_member_t *m = member_id.ptr ? share_group_find(g, member_id) : NULL;
    if (!value.ptr) {
        load_tombstone(g, kind, m);
        return 0;
    }
    if (member_id.ptr && !m) m = share_group_add(g, member_id);
    kafka_reader_t r = kafka_reader(value);
    if (kafka_read_int16(&r) != 0 || r.err) return r.err ? r.err : ERR_INVALID;
    switch (kind) {
    case SHARE_GROUP_RECORD_MEMBER: return load_member(g, m, &r, arena);
    case SHARE_GROUP_RECORD_EPOCH: return load_epoch(g, &r, arena);
    case SHARE_GROUP_RECORD_ASSIGNMENT_EPOCH: return load_assignment_epoch(g, &r, arena);
    case SHARE_GROUP_RECORD_TARGET: return load_target(m, &r, arena);
    case SHARE_GROUP_RECORD_CURRENT: return load_current(m, &r, arena);
    case SHARE_GROUP_RECORD_STATES: return load_states(g, &r, arena);
    }
    UNREACHABLE();
}

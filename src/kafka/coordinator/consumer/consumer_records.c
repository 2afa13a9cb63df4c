/* consumer_records.c: see consumer_records.h. */
#include "kafka/coordinator/consumer/consumer_records.h"

#include "kafka_schema.h"

/* The generated shapes that consumer_wire_topic_t stands for. */
#define SAME_LAYOUT(type)                                                                                              \
    _Static_assert(sizeof(type) == sizeof(consumer_wire_topic_t), #type);                                              \
    _Static_assert(offsetof(type, topic_id) == offsetof(consumer_wire_topic_t, id), #type);                            \
    _Static_assert(offsetof(type, partitions) == offsetof(consumer_wire_topic_t, partitions), #type)
SAME_LAYOUT(kafka_consumer_group_target_assignment_member_value_topic_partition_t);
SAME_LAYOUT(kafka_consumer_group_current_member_assignment_value_assigned_t);
SAME_LAYOUT(kafka_consumer_group_current_member_assignment_value_revoking_t);
SAME_LAYOUT(kafka_consumer_group_heartbeat_request_topic_partition_t);
SAME_LAYOUT(kafka_consumer_group_heartbeat_response_topic_partition_t);

consumer_wire_topic_t *consumer_wire_topics(arena_t *arena, const tp_set_t *set, int32_t *ret_count)
{
    consumer_wire_topic_t *topics = ARENA_ARRAY(arena, consumer_wire_topic_t, set->count + 1);
    int32_t count = 0;
    for (size_t at = 0; at < set->count;) {
        size_t run = tp_set_run(set, at);
        consumer_wire_topic_t *topic = &topics[count++];
        topic->id = set->items[at].topic;
        topic->partitions = ARENA_ARRAY(arena, int32_t, run);
        topic->partitions_count = (int32_t)run;
        for (size_t i = 0; i < run; i++) topic->partitions[i] = set->items[at + i].partition;
        at += run;
    }
    *ret_count = count;
    return topics;
}

void tp_set_from_wire(tp_set_t *set, const void *topics, int32_t topics_count)
{
    const consumer_wire_topic_t *from = topics;
    tp_set_clear(set);
    for (int32_t t = 0; t < topics_count; t++) {
        for (int32_t p = 0; p < from[t].partitions_count; p++) {
            tp_set_add(set, (topic_partition_t){from[t].id, from[t].partitions[p]});
        }
    }
}

_Static_assert(sizeof(kafka_consumer_group_member_metadata_value_protocol_t) == sizeof(group_protocol_t),
               "same layout");

/* ---- writing --------------------------------------------------------------------------------------- */

/* A key of kind and ids, and a value of version 0; a NULL value is a tombstone. Without `member_id` the key
 * has none. */
static void add(runtime_batch_t *records, consumer_record_kind_t kind, bytes_t group_id, bytes_t member_id,
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
    bytes_t value_bytes = value ? buf_bytes(&out.buf) : BYTES_NULL;
    runtime_batch_add(records, buf_bytes(&key.buf), value_bytes);
    kafka_writer_deinit(&key);
    kafka_writer_deinit(&out);
}

static void add_member(runtime_batch_t *records, const consumer_group_t *g, const consumer_member_t *m)
{
    kafka_consumer_group_member_metadata_value_t v = {
        .instance_id = m->instance_id,
        .rack_id = m->rack_id,
        .client_id = m->client_id,
        .client_host = m->client_host,
        .subscribed_topic_names = m->topics,
        .subscribed_topic_names_count = (int32_t)m->topics_count,
        .subscribed_topic_regex = m->regex,
        .rebalance_timeout_ms = m->rebalance_timeout_ms,
        .server_assignor = m->assignor,
    };
    kafka_consumer_group_member_metadata_value_classic_member_metadata_t classic = {
        .session_timeout_ms = m->session_timeout_ms,
        .supported_protocols = (kafka_consumer_group_member_metadata_value_protocol_t *)m->protocols,
        .supported_protocols_count = (int32_t)m->protocols_count,
    };
    if (m->classic) v.classic_member_metadata = &classic;
    add(records, CONSUMER_RECORD_MEMBER, g->id, m->id, &kafka_consumer_group_member_metadata_value_shape, &v);
}

static void add_target(runtime_batch_t *records, const consumer_group_t *g, const consumer_member_t *m, arena_t *arena)
{
    kafka_consumer_group_target_assignment_member_value_t v = {0};
    v.topic_partitions = (void *)consumer_wire_topics(arena, &m->target, &v.topic_partitions_count);
    add(records, CONSUMER_RECORD_TARGET, g->id, m->id, &kafka_consumer_group_target_assignment_member_value_shape, &v);
}

static void add_current(runtime_batch_t *records, const consumer_group_t *g, const consumer_member_t *m, arena_t *arena)
{
    kafka_consumer_group_current_member_assignment_value_t v = {
        .member_epoch = m->epoch,
        .previous_member_epoch = m->previous_epoch,
        .state = (int8_t)m->state,
    };
    v.assigned_partitions = (void *)consumer_wire_topics(arena, &m->assigned, &v.assigned_partitions_count);
    v.partitions_pending_revocation =
        (void *)consumer_wire_topics(arena, &m->revoking, &v.partitions_pending_revocation_count);
    add(records, CONSUMER_RECORD_CURRENT, g->id, m->id, &kafka_consumer_group_current_member_assignment_value_shape,
        &v);
}

static void add_topics(runtime_batch_t *records, const consumer_group_t *g, arena_t *arena)
{
    kafka_consumer_group_partition_metadata_value_t v = {
        .topics = kafka_consumer_group_partition_metadata_value_topic_array(arena, (int32_t)g->topics_count),
    };
    for (size_t i = 0; i < g->topics_count; i++) {
        kafka_consumer_group_partition_metadata_value_topic_t *topic = &v.topics[v.topics_count++];
        topic->topic_id = g->topics[i].id;
        topic->topic_name = g->topics[i].name;
        topic->num_partitions = g->topics[i].partitions_count;
    }
    add(records, CONSUMER_RECORD_TOPICS, g->id, BYTES_NULL, &kafka_consumer_group_partition_metadata_value_shape, &v);
}

static void add_member_tombstones(runtime_batch_t *records, bytes_t group_id, bytes_t member_id)
{
    add(records, CONSUMER_RECORD_CURRENT, group_id, member_id, NULL, NULL);
    add(records, CONSUMER_RECORD_TARGET, group_id, member_id, NULL, NULL);
    add(records, CONSUMER_RECORD_MEMBER, group_id, member_id, NULL, NULL);
}

static void add_gone(runtime_batch_t *records, consumer_group_t *g)
{
    LIST_EACH(&g->gone, m, consumer_member_t, node) {
        add_member_tombstones(records, g->id, m->id);
        list_remove(&m->node);
        consumer_member_free(m);
    }
}

static void add_epoch(runtime_batch_t *records, const consumer_group_t *g)
{
    kafka_consumer_group_metadata_value_t v = {.epoch = g->epoch};
    add(records, CONSUMER_RECORD_EPOCH, g->id, BYTES_NULL, &kafka_consumer_group_metadata_value_shape, &v);
}

static void add_assignment_epoch(runtime_batch_t *records, const consumer_group_t *g)
{
    kafka_consumer_group_target_assignment_metadata_value_t v = {.assignment_epoch = g->assignment_epoch};
    add(records, CONSUMER_RECORD_ASSIGNMENT_EPOCH, g->id, BYTES_NULL,
        &kafka_consumer_group_target_assignment_metadata_value_shape, &v);
}

static bool is_dirty(const consumer_group_t *g)
{
    if (g->dirty_epoch || g->dirty_topics || g->dirty_assignment || !list_empty(&g->gone)) return true;
    LIST_EACH(&g->members, m, consumer_member_t, node) {
        if (m->dirty) return true;
    }
    return false;
}

/* In the order in which one explains the next: who is there, what they read, the epoch, the targets, the
 * assignments. */
bool consumer_records_add(runtime_batch_t *records, consumer_group_t *g)
{
    if (!is_dirty(g)) return false;
    arena_t arena;
    arena_init(&arena, 0);
    add_gone(records, g);
    LIST_EACH(&g->members, m, consumer_member_t, node) {
        if (m->dirty & CONSUMER_DIRTY_METADATA) add_member(records, g, m);
    }
    if (g->dirty_topics) add_topics(records, g, &arena);
    if (g->dirty_epoch) add_epoch(records, g);
    LIST_EACH(&g->members, m, consumer_member_t, node) {
        if (m->dirty & CONSUMER_DIRTY_TARGET) add_target(records, g, m, &arena);
    }
    if (g->dirty_assignment) add_assignment_epoch(records, g);
    LIST_EACH(&g->members, m, consumer_member_t, node) {
        if (m->dirty & CONSUMER_DIRTY_CURRENT) add_current(records, g, m, &arena);
        m->dirty = 0;
    }
    g->dirty_epoch = g->dirty_topics = g->dirty_assignment = false;
    arena_deinit(&arena);
    return true;
}

void consumer_records_add_tombstones(runtime_batch_t *records, const consumer_group_t *g)
{
    bytes_t group_id = g->id;
    LIST_EACH(&g->members, m, consumer_member_t, node) add_member_tombstones(records, group_id, m->id);
    add(records, CONSUMER_RECORD_ASSIGNMENT_EPOCH, group_id, BYTES_NULL, NULL, NULL);
    add(records, CONSUMER_RECORD_TOPICS, group_id, BYTES_NULL, NULL, NULL);
    add(records, CONSUMER_RECORD_EPOCH, group_id, BYTES_NULL, NULL, NULL);
}

/* ---- reading --------------------------------------------------------------------------------------- */

static bool names_member(consumer_record_kind_t kind)
{
    return kind == CONSUMER_RECORD_MEMBER || kind == CONSUMER_RECORD_TARGET || kind == CONSUMER_RECORD_CURRENT;
}

static int read_key(bytes_t key, consumer_record_kind_t *ret_kind, bytes_t *ret_group_id, bytes_t *ret_member_id)
{
    kafka_reader_t r = kafka_reader(key);
    int16_t version = kafka_read_int16(&r);
    if (r.err) return r.err;
    if (version < CONSUMER_RECORD_EPOCH || version > CONSUMER_RECORD_CURRENT) return ERR_NOT_FOUND;
    *ret_kind = (consumer_record_kind_t)version;
    *ret_group_id = kafka_read_string(&r, false);
    *ret_member_id = names_member(*ret_kind) ? kafka_read_string(&r, false) : BYTES_NULL;
    if (r.err) return r.err;
    return ret_group_id->ptr && (ret_member_id->ptr || !names_member(*ret_kind)) ? 0 : ERR_INVALID;
}

int consumer_record_group(bytes_t key, consumer_record_kind_t *ret_kind, bytes_t *ret_group_id)
{
    bytes_t member_id;
    return read_key(key, ret_kind, ret_group_id, &member_id);
}

static void set_text(bytes_t *slot, bytes_t b)
{
    mem_free((void *)slot->ptr);
    *slot = b.ptr ? bytes_of(mem_strndup(b), b.len) : BYTES_NULL;
}

static int load_member(consumer_group_t *g, consumer_member_t *m, kafka_reader_t *r, arena_t *arena)
{
    kafka_consumer_group_member_metadata_value_t v;
    int err = kafka_consumer_group_member_metadata_value_decode(r, 0, arena, &v);
    if (err) return err;
    consumer_set_instance(g, m, v.instance_id);
    set_text(&m->rack_id, v.rack_id);
    set_text(&m->client_id, v.client_id);
    set_text(&m->client_host, v.client_host);
    set_text(&m->assignor, v.server_assignor);
    consumer_set_topics(g, m, v.subscribed_topic_names, (size_t)MAX(v.subscribed_topic_names_count, 0));
    consumer_set_regex(g, m, v.subscribed_topic_regex);
    const kafka_consumer_group_member_metadata_value_classic_member_metadata_t *classic = v.classic_member_metadata;
    if (classic && classic->supported_protocols_count > GROUP_PROTOCOLS_MAX) return ERR_INVALID;
    if (classic && classic->supported_protocols_count > 0) {
        consumer_set_classic(g, m, (const group_protocol_t *)classic->supported_protocols,
                             (size_t)classic->supported_protocols_count, classic->session_timeout_ms);
    }
    m->rebalance_timeout_ms = v.rebalance_timeout_ms;
    return 0;
}

static int load_target(consumer_member_t *m, kafka_reader_t *r, arena_t *arena)
{
    kafka_consumer_group_target_assignment_member_value_t v;
    int err = kafka_consumer_group_target_assignment_member_value_decode(r, 0, arena, &v);
    if (!err) tp_set_from_wire(&m->target, v.topic_partitions, v.topic_partitions_count);
    return err;
}

static int load_current(consumer_member_t *m, kafka_reader_t *r, arena_t *arena)
{
    kafka_consumer_group_current_member_assignment_value_t v;
    int err = kafka_consumer_group_current_member_assignment_value_decode(r, 0, arena, &v);
    if (err) return err;
    if (v.state < CONSUMER_MEMBER_STABLE || v.state > CONSUMER_MEMBER_UNRELEASED) return ERR_INVALID;
    m->epoch = v.member_epoch;
    m->previous_epoch = v.previous_member_epoch;
    m->state = (consumer_member_state_t)v.state;
    tp_set_from_wire(&m->assigned, v.assigned_partitions, v.assigned_partitions_count);
    tp_set_from_wire(&m->revoking, v.partitions_pending_revocation, v.partitions_pending_revocation_count);
    return 0;
}

static int load_topics(consumer_group_t *g, kafka_reader_t *r, arena_t *arena)
{
    kafka_consumer_group_partition_metadata_value_t v;
    int err = kafka_consumer_group_partition_metadata_value_decode(r, 0, arena, &v);
    if (err) return err;
    consumer_topics_clear(g);
    for (int32_t i = 0; i < v.topics_count; i++) {
        consumer_topics_add(g, v.topics[i].topic_name, v.topics[i].topic_id, v.topics[i].num_partitions);
    }
    return 0;
}

static void load_tombstone(consumer_group_t *g, consumer_record_kind_t kind, consumer_member_t *m)
{
    if (kind == CONSUMER_RECORD_TOPICS) consumer_topics_clear(g);
    if (kind == CONSUMER_RECORD_ASSIGNMENT_EPOCH) g->assignment_epoch = 0;
    if (!m) return;
    if (kind == CONSUMER_RECORD_TARGET) tp_set_clear(&m->target);
    if (kind == CONSUMER_RECORD_CURRENT) {
        tp_set_clear(&m->assigned);
        tp_set_clear(&m->revoking);
        m->epoch = CONSUMER_EPOCH_LEAVE;
    }
    if (kind == CONSUMER_RECORD_MEMBER) consumer_remove(g, m, false);
}

int consumer_record_load(consumer_group_t *g, bytes_t key, bytes_t value, arena_t *arena)
{
    consumer_record_kind_t kind;
    bytes_t group_id, member_id;
    int err = read_key(key, &kind, &group_id, &member_id);
    if (err) return err;
    consumer_member_t *m = member_id.ptr ? consumer_find(g, member_id) : NULL;
    if (!value.ptr) {
        load_tombstone(g, kind, m);
        return 0;
    }
    if (member_id.ptr && !m) m = consumer_add(g, member_id);
    kafka_reader_t r = kafka_reader(value);
    if (kafka_read_int16(&r) != 0 || r.err) return r.err ? r.err : ERR_INVALID;
    switch (kind) {
    case CONSUMER_RECORD_EPOCH: g->epoch = kafka_read_int32(&r); return r.err;
    case CONSUMER_RECORD_TOPICS: return load_topics(g, &r, arena);
    case CONSUMER_RECORD_MEMBER: return load_member(g, m, &r, arena);
    case CONSUMER_RECORD_ASSIGNMENT_EPOCH: g->assignment_epoch = kafka_read_int32(&r); return r.err;
    case CONSUMER_RECORD_TARGET: return load_target(m, &r, arena);
    case CONSUMER_RECORD_CURRENT: return load_current(m, &r, arena);
    }
    UNREACHABLE();
}

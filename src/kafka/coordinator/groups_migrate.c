/* groups_migrate.c: a group's way from one protocol to the other while it has members, as the original's
 * group.consumer.migration.policy allows: up when a member of the consumer protocol comes, down when the last one has
 * gone. What the classic protocol's consumers embed in their requests is read and written here; the rest is
 * consumer_classic.c's and consumer_convert.c's. */
#include "kafka/coordinator/groups_migrate.h"

#include "base/slog.h"
#include "kafka_schema.h"

#include <stdio.h>

#define SUBSCRIPTION_VERSION_MAX 3
#define ASSIGNMENT_VERSION_MAX   3

typedef kafka_consumer_protocol_assignment_assigned_partition_t wire_topic_t;

_Static_assert(sizeof(kafka_consumer_protocol_subscription_owned_partition_t) == sizeof(wire_topic_t), "same layout");

/* ---- what consumers embed ------------------------------------------------------------------------------- */

/* A newer version begins as the newest that is known. */
static int read_version(kafka_reader_t *r, int16_t version_max, int16_t *ret_version)
{
    int16_t version = kafka_read_int16(r);
    if (r->err) return r->err;
    if (version < 0) return ERR_INVALID;
    *ret_version = MIN(version, version_max);
    return 0;
}

/* Topics that do not exist (any more) are left out. */
static void add_topics(const kafka_groups_t *groups, const wire_topic_t *topics, int32_t count, tp_set_t *set)
{
    for (int32_t t = 0; t < count; t++) {
        const kafka_topic_t *topic = kafka_topic_get(groups->kafka, topics[t].topic);
        for (int32_t p = 0; topic && p < topics[t].partitions_count; p++)
            tp_set_add(set, (topic_partition_t){topic->id, topics[t].partitions[p]});
    }
}

int groups_read_subscription(const kafka_groups_t *groups, bytes_t data, arena_t *arena, tp_set_t *owned,
                             consumer_subscription_t *ret_subscription)
{
    kafka_reader_t r = kafka_reader(data);
    kafka_consumer_protocol_subscription_t v;
    int16_t version;
    int err = read_version(&r, SUBSCRIPTION_VERSION_MAX, &version);
    if (!err) err = kafka_consumer_protocol_subscription_decode(&r, version, arena, &v);
    if (err) return err;
    add_topics(groups, (const wire_topic_t *)v.owned_partitions, v.owned_partitions_count, owned);
    *ret_subscription = (consumer_subscription_t){v.topics, (size_t)MAX(v.topics_count, 0), owned, v.rack_id};
    return 0;
}

/* ERR_UNSUPPORTED: an assignor of the user's own left data there, which would be lost. */
static int read_assignment(const kafka_groups_t *groups, bytes_t data, arena_t *arena, tp_set_t *assigned)
{
    kafka_reader_t r = kafka_reader(data);
    kafka_consumer_protocol_assignment_t v;
    int16_t version;
    if (data.len == 0) return 0; /* it has none yet */
    int err = read_version(&r, ASSIGNMENT_VERSION_MAX, &version);
    if (!err) err = kafka_consumer_protocol_assignment_decode(&r, version, arena, &v);
    if (err) return err;
    if (v.user_data.len) return ERR_UNSUPPORTED;
    add_topics(groups, v.assigned_partitions, v.assigned_partitions_count, assigned);
    return 0;
}

static int16_t version_of(const group_protocol_t *protocol)
{
    kafka_reader_t r = kafka_reader(protocol->metadata);
    int16_t version;
    return read_version(&r, ASSIGNMENT_VERSION_MAX, &version) ? 0 : version;
}

bytes_t groups_write_assignment(const kafka_groups_t *groups, const tp_set_t *set, const group_protocol_t *protocol,
                                arena_t *arena)
{
    int32_t count;
    const consumer_wire_topic_t *topics = consumer_wire_topics(arena, set, &count);
    kafka_consumer_protocol_assignment_t v = {
        .assigned_partitions = kafka_consumer_protocol_assignment_assigned_partition_array(arena, count)};
    for (int32_t i = 0; i < count; i++) {
        const kafka_topic_t *topic = kafka_topic_by_id(groups->kafka, topics[i].id);
        if (!topic) continue; /* deleted meanwhile */
        v.assigned_partitions[v.assigned_partitions_count++] =
            (wire_topic_t){kafka_topic_name(topic), topics[i].partitions, topics[i].partitions_count};
    }
    int16_t version = version_of(protocol);
    kafka_writer_t w = KAFKA_WRITER_INIT;
    kafka_write_int16(&w, version);
    kafka_consumer_protocol_assignment_encode(&w, version, &v);
    bytes_t copy = arena_copy(arena, buf_bytes(&w.buf));
    kafka_writer_deinit(&w);
    return copy;
}

/* ---- the policy ------------------------------------------------------------------------------------------ */

static bool policy_allows(const kafka_groups_t *groups, uint32_t direction)
{
    uint32_t policy = groups->kafka->config.group_consumer_migration_policy;
    return policy == KAFKA_GROUP_CONSUMER_MIGRATION_POLICY_BIDIRECTIONAL || policy == direction;
}

/* ---- up ---------------------------------------------------------------------------------------------------- */

static kafka_code_t refuse(const group_t *g, const char *why, char *message)
{
    snprintf(message, CONSUMER_MESSAGE_BYTES, "Cannot upgrade classic group %.*s to consumer group because %s",
             (int)g->id.len, (const char *)g->id.ptr, why);
    return KAFKA_GROUP_ID_NOT_FOUND;
}

static kafka_code_t check_upgrade(const group_entry_t *entry, char *message)
{
    const group_t *g = entry->state.classic;
    size_t members_max = (size_t)entry->groups->consumer_config.members_max;
    if (!list_empty(&g->stores)) { /* it is being stored: what of it holds is known soon */
        snprintf(message, CONSUMER_MESSAGE_BYTES, "%s", kafka_error_text(KAFKA_COORDINATOR_LOAD_IN_PROGRESS));
        return KAFKA_COORDINATOR_LOAD_IN_PROGRESS;
    }
    if (!policy_allows(entry->groups, KAFKA_GROUP_CONSUMER_MIGRATION_POLICY_UPGRADE))
        return refuse(g, "online upgrade is disabled.", message);
    if (!bytes_eq(g->protocol_type, BYTES_LIT("consumer")))
        return refuse(g, "the group does not use the consumer embedded protocol.", message);
    if (g->members_count > members_max)
        return refuse(g, "the group size exceeds the consumer group maximum size.", message);
    return KAFKA_NONE;
}

/* What its vote was for, or would have been. */
static bytes_t subscription_of(const group_t *g, const group_member_t *m)
{
    bytes_t elected = g->protocol_name.ptr ? group_member_metadata(m, g->protocol_name) : BYTES_NULL;
    return elected.ptr ? elected : m->protocols[0].metadata;
}

typedef struct conversion {
    arena_t arena;
    consumer_converted_t *members;
    tp_set_t *owned, *assigned; /* one a member */
    size_t count;
} conversion_t;

static int decode_members(const group_entry_t *entry, conversion_t *c)
{
    const group_t *g = entry->state.classic;
    size_t count = g->members_count;
    arena_init(&c->arena, 0);
    c->members = ARENA_ARRAY(&c->arena, consumer_converted_t, count);
    c->owned = ARENA_ARRAY(&c->arena, tp_set_t, count);
    c->assigned = ARENA_ARRAY(&c->arena, tp_set_t, count);
    LIST_EACH(&g->members, m, group_member_t, node) {
        size_t i = c->count++;
        c->members[i].member = m;
        c->members[i].assigned = &c->assigned[i];
        int err = groups_read_subscription(entry->groups, subscription_of(g, m), &c->arena, &c->owned[i],
                                           &c->members[i].subscription);
        if (!err) err = read_assignment(entry->groups, m->assignment, &c->arena, &c->assigned[i]);
        if (err) return err;
    }
    return 0;
}

static void conversion_deinit(conversion_t *c)
{
    for (size_t i = 0; i < c->count; i++) {
        tp_set_deinit(&c->owned[i]);
        tp_set_deinit(&c->assigned[i]);
    }
    arena_deinit(&c->arena);
}

static void write_upgraded(group_entry_t *entry)
{
    runtime_write_t *write = runtime_write_new(entry->groups->runtime);
    group_records_add_group_tombstone(&write->batch, entry->id);
    consumer_records_add(&write->batch, entry->state.consumer);
    runtime_write_unheard(entry->groups->runtime, entry->partition, write);
}

static void upgrade(group_entry_t *entry, const conversion_t *c)
{
    group_t *old = entry->state.classic;
    runtime_now_t now = groups_now(entry->groups);
    groups__consumer_new(entry);
    consumer_from_classic(entry->state.consumer, old->generation, c->members, c->count, now);
    /* Whoever waits for the classic group's rebalance joins again, for the one that begins now. */
    group_kill(old, KAFKA_REBALANCE_IN_PROGRESS, now);
    group_free(old);
    write_upgraded(entry);
    slog(SLOG_INFO, "kafka", "a classic group became a consumer group", "group=%.*s members=%zu", (int)entry->id.len,
         (const char *)entry->id.ptr, c->count);
}

kafka_code_t groups_upgrade(group_entry_t *entry, char message[CONSUMER_MESSAGE_BYTES])
{
    conversion_t c = {0};
    kafka_code_t error = check_upgrade(entry, message);
    if (error != KAFKA_NONE) return error;
    int err = decode_members(entry, &c);
    if (err == ERR_UNSUPPORTED) {
        error = refuse(entry->state.classic,
                       "an unsupported custom assignor is in use. Please refer to the documentation or switch to a "
                       "default assignor before re-attempting the upgrade.",
                       message);
    } else if (err) {
        error = refuse(entry->state.classic, "the embedded consumer protocol is malformed.", message);
    } else {
        upgrade(entry, &c);
    }
    conversion_deinit(&c);
    return error;
}

/* ---- down -------------------------------------------------------------------------------------------------- */

bool groups_may_become_classic(const kafka_groups_t *groups, size_t members_count)
{
    return policy_allows(groups, KAFKA_GROUP_CONSUMER_MIGRATION_POLICY_DOWNGRADE) &&
           members_count <= (size_t)groups->config.members_max;
}

static void load_member(group_entry_t *entry, const consumer_member_t *m, arena_t *arena)
{
    group_loaded_member_t loaded = {
        .id = m->id,
        .instance_id = m->instance_id,
        .client_id = m->client_id,
        .client_host = m->client_host,
        .assignment = groups_write_assignment(entry->groups, &m->target, &m->protocols[0], arena),
        .protocols = m->protocols,
        .protocols_count = m->protocols_count,
        .rebalance_timeout_ms = m->rebalance_timeout_ms,
        .session_timeout_ms = m->session_timeout_ms,
    };
    int err = group_load_member(entry->state.classic, &loaded, false);
    ASSERT(!err); /* ids and instances are as unique there */
}

static void write_downgraded(group_entry_t *entry, consumer_group_t *old)
{
    static const group_store_t as_it_is = {.kind = GROUP_STORE_STATIC};
    runtime_write_t *write = runtime_write_new(entry->groups->runtime);
    consumer_records_add(&write->batch, old); /* the tombstones of those who left */
    consumer_records_add_tombstones(&write->batch, old);
    group_records_add_group(&write->batch, entry->state.classic, &as_it_is);
    runtime_write_unheard(entry->groups->runtime, entry->partition, write);
}

void groups_downgrade(group_entry_t *entry, bool rebalance)
{
    consumer_group_t *old = groups_consumer(entry);
    if (!old || !consumer_is_all_classic(old) || !groups_may_become_classic(entry->groups, old->members_count)) return;
    arena_t arena;
    runtime_now_t now = groups_now(entry->groups);
    arena_init(&arena, 0);
    groups__classic_new(entry);
    group_t *g = entry->state.classic;
    group_load(g, old->epoch, BYTES_LIT("consumer"), BYTES_NULL, now.wall_ms);
    LIST_EACH(&old->members, m, consumer_member_t, node) load_member(entry, m, &arena);
    arena_deinit(&arena);
    group_load_elect(g);
    group_load_end(g, now);
    write_downgraded(entry, old);
    slog(SLOG_INFO, "kafka", "a consumer group became a classic group", "group=%.*s members=%zu", (int)entry->id.len,
         (const char *)entry->id.ptr, old->members_count);
    consumer_group_free(old);
    if (rebalance) group_rebalance(g, now);
}

/* ---- without members -------------------------------------------------------------------------------------- */

bool groups_become_classic(group_entry_t *entry)
{
    consumer_group_t *old = groups_consumer(entry);
    if (!old || old->members_count > 0) return false;
    runtime_write_t *write = runtime_write_new(entry->groups->runtime);
    consumer_records_add_tombstones(&write->batch, old);
    groups__classic_new(entry);
    consumer_group_free(old);
    runtime_write_unheard(entry->groups->runtime, entry->partition, write);
    return true;
}

/* Ids that were given out and not used yet are forgotten: who comes with one joins the consumer group under it. */
bool groups_become_consumer(group_entry_t *entry)
{
    group_t *old = entry->state.classic;
    if (entry->type != &groups_type_classic || old->state != GROUP_EMPTY || !list_empty(&old->stores)) return false;
    if (old->generation > 0) {
        runtime_write_t *write = runtime_write_new(entry->groups->runtime);
        group_records_add_group_tombstone(&write->batch, entry->id);
        runtime_write_unheard(entry->groups->runtime, entry->partition, write);
    }
    groups__consumer_new(entry);
    group_free(old);
    return true;
}

/* groups_consumer.c: the coordinator's side of consumer-protocol groups (KIP-848): what their state machine
 * asks of the broker, storing what it changed, changing a group's protocol, and questions that do not care
 * which one it speaks. */
#include "kafka/groups/groups_internal.h"

static bool find_topic(void *user, bytes_t name, kafka_uuid_t *ret_id, int32_t *ret_partitions_count)
{
    const group_entry_t *entry = user;
    const kafka_topic_t *topic = kafka_topic_get(entry->groups->kafka, name);
    if (!topic) return false;
    *ret_id = topic->id;
    *ret_partitions_count = topic->partitions_count;
    return true;
}

static uint64_t topics_version(void *user) { return ((const group_entry_t *)user)->groups->topics_version; }

static void each_topic(void *user, void (*each)(void *arg, bytes_t name), void *arg)
{
    const kafka_t *kafka = ((const group_entry_t *)user)->groups->kafka;
    size_t cursor = 0;
    for (map_entry_t *e; (e = map_next(&kafka->topics, &cursor));) {
        const kafka_topic_t *topic = e->value;
        if (!topic->deleting) each(arg, kafka_topic_name(topic));
    }
}

void groups__consumer_init(kafka_groups_t *groups)
{
    const kafka_broker_config_t *config = &groups->kafka->config;
    groups->cgroup_config = (cgroup_config_t){
        .session_timeout_ms = (int32_t)config->group_consumer_session_timeout_ms,
        .heartbeat_interval_ms = (int32_t)config->group_consumer_heartbeat_interval_ms,
        .members_max = (int32_t)config->group_consumer_max_size,
    };
    groups->cgroup_host = (cgroup_host_t){find_topic, topics_version, each_topic};
    groups->topics_version = 1;
}

cgroup_t *groups__cgroup_new(group_entry_t *entry)
{
    kafka_groups_t *groups = entry->groups;
    return cgroup_new(entry->group->id, &groups->cgroup_config, &groups->cgroup_host, entry);
}

int32_t groups_heartbeat_interval_ms(const kafka_groups_t *groups)
{
    return groups->cgroup_config.heartbeat_interval_ms;
}

/* ---- writes that nobody waits for ------------------------------------------------------------------- */

static groups_write_t *write_new(const kafka_groups_t *groups)
{
    groups_write_t *write = mem_zalloc(sizeof(*write));
    write->records = (group_records_t){RECORD_BUILDER_INIT, groups_now(groups).wall_ms};
    return write;
}

/* A failed log fails every later request too; members find out at their next heartbeat. */
static void on_written(groups_write_t *write, int16_t error)
{
    record_builder_deinit(&write->records.builder);
    mem_free(write);
}

void groups__flush_consumer(group_entry_t *entry)
{
    groups_write_t *write = write_new(entry->groups);
    if (cgroup_records_add(&write->records, entry->cgroup)) {
        groups_write(entry->groups, entry->partition, write, on_written);
    } else {
        on_written(write, KAFKA_NONE);
    }
}

/* ---- from one protocol to the other ----------------------------------------------------------------- */

bool groups_become_classic(group_entry_t *entry)
{
    if (!entry->cgroup || entry->cgroup->members_count > 0) return false;
    groups_write_t *write = write_new(entry->groups);
    cgroup_records_add_tombstones(&write->records, entry->group->id);
    cgroup_free(entry->cgroup);
    entry->cgroup = NULL;
    groups_write(entry->groups, entry->partition, write, on_written);
    return true;
}

bool groups_become_consumer(group_entry_t *entry)
{
    group_t *g = entry->group;
    if (entry->cgroup || g->state != GROUP_EMPTY || !list_empty(&g->pending) || !list_empty(&g->stores)) return false;
    if (g->generation > 0) {
        groups_write_t *write = write_new(entry->groups);
        group_records_add_group_tombstone(&write->records, g->id);
        groups_write(entry->groups, entry->partition, write, on_written);
        entry->group = groups__group_new(entry->groups, entry, g->id);
        group_free(g);
    }
    entry->cgroup = groups__cgroup_new(entry);
    return true;
}

/* ---- questions -------------------------------------------------------------------------------------- */

const char *groups_type_text(const group_entry_t *entry) { return entry->cgroup ? "consumer" : "classic"; }

const char *groups_state_text(const group_entry_t *entry)
{
    return entry->cgroup ? cgroup_state_text(entry->cgroup) : group_state_text(entry->group->state);
}

bytes_t groups_protocol_type(const group_entry_t *entry)
{
    return entry->cgroup ? BYTES_LIT("consumer") : entry->group->protocol_type;
}

bool groups_is_empty(const group_entry_t *entry)
{
    return entry->group->state == GROUP_EMPTY && (!entry->cgroup || entry->cgroup->members_count == 0);
}

bool groups_subscribed(const group_entry_t *entry, bytes_t topic)
{
    return entry->cgroup ? cgroup_subscribed(entry->cgroup, topic) : group_subscribed(entry->group, topic);
}

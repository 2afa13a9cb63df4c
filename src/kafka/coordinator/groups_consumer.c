/* groups_consumer.c: the coordinator's side of consumer-protocol groups (KIP-848): what their state machine
 * asks of the broker, storing what it changed, changing a group's protocol, and questions that do not care
 * which one it speaks. */
#include "kafka/coordinator/groups_migrate.h"
#include "kafka/topics/config_group.h"

#include <stdlib.h>

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

static bool may_become_classic(void *user, size_t members_count)
{
    return groups_may_become_classic(((const group_entry_t *)user)->groups, members_count);
}

/* ---- patterns ---------------------------------------------------------------------------------------- */

static void each_topic(void *user, void (*each)(void *arg, bytes_t name), void *arg)
{
    const kafka_groups_t *groups = user;
    size_t cursor = 0;
    for (map_entry_t *e; (e = map_next(&groups->kafka->topics, &cursor));) {
        const kafka_topic_t *topic = e->value;
        if (!topic->deleting) each(arg, kafka_topic_name(topic));
    }
}

static bool topic_exists(void *user, bytes_t name)
{
    return kafka_topic_get(((const kafka_groups_t *)user)->kafka, name) != NULL;
}

static void on_scan_wanted(void *user) { io_timer_start(&((kafka_groups_t *)user)->patterns_timer, 0, 0); }

/* A piece a turn of the loop; once a pattern has more topics, its groups look at their next heartbeat. */
static void on_patterns_timer(io_timer_t *timer)
{
    kafka_groups_t *groups = CONTAINER_OF(timer, kafka_groups_t, patterns_timer);
    io_turn_note(groups->kafka->loop, "kafka topic patterns");
    if (topic_patterns_scan(groups->cgroup_host.patterns)) {
        io_timer_start(timer, 0, 0);
    } else {
        groups->topics_version++;
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
    groups->patterns_host = (topic_patterns_host_t){each_topic, topic_exists, on_scan_wanted};
    groups->cgroup_host = (cgroup_host_t){
        .patterns = topic_patterns_new(&groups->patterns_host, groups),
        .topic = find_topic,
        .topics_version = topics_version,
        .may_become_classic = may_become_classic,
    };
    io_timer_init(groups->kafka->loop, &groups->patterns_timer, on_patterns_timer);
    groups->topics_version = 1;
}

void groups__consumer_deinit(kafka_groups_t *groups)
{
    io_timer_stop(&groups->patterns_timer);
    topic_patterns_free(groups->cgroup_host.patterns);
}

static int32_t own_or(const config_group_t *values, bytes_t name, int32_t others)
{
    const char *own = values->own[config_group_setting(name) - config_group_settings()];
    return own ? (int32_t)strtol(own, NULL, 10) : others;
}

void groups_configure(group_entry_t *entry)
{
    arena_t arena;
    config_group_t values;
    cgroup_config_t *config = &entry->config;
    arena_init(&arena, 0);
    config_group_read(entry->groups->kafka, entry->group->id, &arena, &values);
    *config = entry->groups->cgroup_config;
    config->session_timeout_ms = own_or(&values, BYTES_LIT("consumer.session.timeout.ms"), config->session_timeout_ms);
    config->heartbeat_interval_ms =
        own_or(&values, BYTES_LIT("consumer.heartbeat.interval.ms"), config->heartbeat_interval_ms);
    arena_deinit(&arena);
}

cgroup_t *groups__cgroup_new(group_entry_t *entry)
{
    groups_configure(entry);
    return cgroup_new(entry->group->id, &entry->config, &entry->groups->cgroup_host, entry);
}

/* ---- writes that nobody waits for ------------------------------------------------------------------- */

groups_write_t *groups__write_new(const kafka_groups_t *groups)
{
    groups_write_t *write = mem_zalloc(sizeof(*write));
    write->records = (group_records_t){RECORD_BUILDER_INIT, groups_now(groups).wall_ms};
    return write;
}

/* A failed log fails every later request too; members find out at their next heartbeat. */
void groups__write_done(groups_write_t *write, int16_t error)
{
    record_builder_deinit(&write->records.builder);
    mem_free(write);
}

void groups__flush_consumer(group_entry_t *entry)
{
    groups_write_t *write = groups__write_new(entry->groups);
    if (cgroup_records_add(&write->records, entry->cgroup)) {
        groups_write(entry->groups, entry->partition, write, groups__write_done);
    } else {
        groups__write_done(write, KAFKA_NONE);
    }
}

/* ---- from one protocol to the other ----------------------------------------------------------------- */

bool groups_become_classic(group_entry_t *entry)
{
    if (!entry->cgroup || entry->cgroup->members_count > 0) return false;
    groups_write_t *write = groups__write_new(entry->groups);
    cgroup_records_add_tombstones(&write->records, entry->cgroup);
    cgroup_free(entry->cgroup);
    entry->cgroup = NULL;
    groups_write(entry->groups, entry->partition, write, groups__write_done);
    return true;
}

/* Ids that were given out and not used yet are forgotten: who comes with one joins the consumer group under it. */
bool groups_become_consumer(group_entry_t *entry)
{
    group_t *g = entry->group;
    if (entry->cgroup || g->state != GROUP_EMPTY || !list_empty(&g->stores)) return false;
    if (g->generation > 0) {
        groups_write_t *write = groups__write_new(entry->groups);
        group_records_add_group_tombstone(&write->records, g->id);
        groups_write(entry->groups, entry->partition, write, groups__write_done);
    }
    entry->group = groups__group_new(entry->groups, entry, g->id);
    group_free(g);
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

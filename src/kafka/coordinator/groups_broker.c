/* groups_broker.c: what the consumer groups' state machine asks of the broker: topics, patterns of them, and settings. */
#include "kafka/coordinator/groups_migrate.h"
#include "kafka/topics/config_group.h"

#include <stdlib.h>

/* ---- topics ---- */

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

/* ---- patterns ---- */

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
    if (topic_patterns_scan(groups->consumer_host.patterns)) {
        io_timer_start(timer, 0, 0);
    } else {
        groups->topics_version++;
    }
}

void groups__broker_init(kafka_groups_t *groups)
{
    const kafka_broker_config_t *config = &groups->kafka->config;
    groups->consumer_config = (consumer_config_t){
        .session_timeout_ms = (int32_t)config->group_consumer_session_timeout_ms,
        .heartbeat_interval_ms = (int32_t)config->group_consumer_heartbeat_interval_ms,
        .members_max = (int32_t)config->group_consumer_max_size,
    };
    groups->patterns_host = (topic_patterns_host_t){each_topic, topic_exists, on_scan_wanted};
    groups->consumer_host = (consumer_host_t){
        .patterns = topic_patterns_new(&groups->patterns_host, groups),
        .topic = find_topic,
        .topics_version = topics_version,
        .may_become_classic = may_become_classic,
    };
    groups->share_host = (share_group_host_t){.topic = find_topic, .topics_version = topics_version};
    io_timer_init(groups->kafka->loop, &groups->patterns_timer, on_patterns_timer);
    groups->topics_version = 1;
}

void groups__broker_deinit(kafka_groups_t *groups)
{
    io_timer_stop(&groups->patterns_timer);
    topic_patterns_free(groups->consumer_host.patterns);
}

/* ---- settings ---- */

static int32_t own_or(const config_group_t *values, bytes_t name, int32_t others)
{
    const char *own = values->own[config_group_setting(name) - config_group_settings()];
    return own ? (int32_t)strtol(own, NULL, 10) : others;
}

/* Takes the settings as they are now, the group's own before the broker's. */
void groups__broker_configure(group_entry_t *entry)
{
    arena_t arena;
    config_group_t values;
    consumer_config_t *config = &entry->config;
    arena_init(&arena, 0);
    config_group_read(entry->groups->kafka, entry->id, &arena, &values);
    *config = entry->groups->consumer_config;
    config->session_timeout_ms = own_or(&values, BYTES_LIT("consumer.session.timeout.ms"), config->session_timeout_ms);
    config->heartbeat_interval_ms =
        own_or(&values, BYTES_LIT("consumer.heartbeat.interval.ms"), config->heartbeat_interval_ms);
    arena_deinit(&arena);
}

void groups__broker_configure_share(group_entry_t *entry)
{
    arena_t arena;
    config_group_t values;
    const kafka_broker_config_t *broker = &entry->groups->kafka->config;
    arena_init(&arena, 0);
    config_group_read(entry->groups->kafka, entry->id, &arena, &values);
    entry->config = (consumer_config_t){
        .session_timeout_ms =
            own_or(&values, BYTES_LIT("share.session.timeout.ms"), (int32_t)broker->group_share_session_timeout_ms),
        .heartbeat_interval_ms = own_or(&values, BYTES_LIT("share.heartbeat.interval.ms"),
                                        (int32_t)broker->group_share_heartbeat_interval_ms),
        .members_max = (int32_t)broker->group_share_max_size,
    };
    arena_deinit(&arena);
}

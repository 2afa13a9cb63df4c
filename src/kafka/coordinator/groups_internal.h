/* groups_internal.h: what the coordinator's files share: groups.c (table, topic, writes), groups_load.c
 * (reading back), groups_expire.c (retention). */
#ifndef TRIVET_KAFKA_GROUPS_GROUPS_INTERNAL_H
#define TRIVET_KAFKA_GROUPS_GROUPS_INTERNAL_H

#include "kafka/coordinator/groups.h"

typedef struct groups_partition {
    enum { GROUPS_LOADING, GROUPS_ACTIVE, GROUPS_FAILED } state;
    int64_t next_offset; /* to load */
} groups_partition_t;

/* What members may make all groups together remember: this, or a part of the memory there is. */
#define GROUPS_BYTES_MAX    MIB(512)
#define GROUPS_MEMORY_SHARE 8

struct kafka_groups {
    kafka_t *kafka;
    group_config_t config;
    group_host_t host;
    cgroup_config_t cgroup_config;
    cgroup_host_t cgroup_host;
    topic_patterns_host_t patterns_host;
    io_timer_t patterns_timer; /* scans new patterns */
    kafka_topic_listener_t listener;
    map_t entries; /* id -> group_entry_t */
    size_t kept_bytes, kept_bytes_max;
    kafka_topic_t *topic; /* NULL until it exists */
    groups_partition_t *partitions;
    int32_t partitions_count; /* as it was when the topic was found: it decides where groups are */
    int32_t partitions_loading;
    io_timer_t load_timer;
    buf_t load_buf;
    list_t waiters; /* groups_waiter_t, for the topic */
    bool creating;
    io_timer_t expiry_timer;
    uint64_t topics_version; /* counts topics coming, growing and going */
    bool stopped;
};

/* groups_load.c */
void groups__load_start(kafka_groups_t *groups);
/* A partition whose groups could not be read can be read now. */
void groups__load_again(kafka_groups_t *groups, int32_t index);
void groups__load_stop(kafka_groups_t *groups);

/* groups_consumer.c */
void groups__consumer_init(kafka_groups_t *groups);
void groups__consumer_deinit(kafka_groups_t *groups);
cgroup_t *groups__cgroup_new(group_entry_t *entry);
/* A write that nobody waits for, and its `done`. */
groups_write_t *groups__write_new(const kafka_groups_t *groups);
void groups__write_done(groups_write_t *write, int16_t error);
/* Stores what heartbeats and time have changed, for nobody who waits. */
void groups__flush_consumer(group_entry_t *entry);

/* groups_expire.c */
void groups__expire(kafka_groups_t *groups);
/* Forgets the offsets that groups have in partitions of a topic that is going. */
void groups__forget_topic(kafka_groups_t *groups, bytes_t topic);

/* groups.c */
group_t *groups__group_new(kafka_groups_t *groups, group_entry_t *entry, bytes_t group_id);
group_entry_t *groups__entry_new(kafka_groups_t *groups, bytes_t group_id);

#endif

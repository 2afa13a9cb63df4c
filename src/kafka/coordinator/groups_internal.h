/* groups_internal.h: what the files of the group coordinator share: groups.c (table, settling, life), groups_machine.c (as a
 * machine of the runtime), groups_classic.c and groups_consumer.c (the protocols), groups_broker.c (what the latter asks of the
 * broker), groups_migrate.c (from one protocol to the other), groups_removal.c (tombstones, retention), groups_outbox.c (the
 * bridge's offsets), groups_txn.c (offsets of transactions). */
#ifndef TRIVET_KAFKA_COORDINATOR_GROUPS_INTERNAL_H
#define TRIVET_KAFKA_COORDINATOR_GROUPS_INTERNAL_H

#include "kafka/coordinator/groups.h"
#include "kafka/coordinator/groups_type.h"
#include "kafka/coordinator/groups_walk.h"
#include "kafka/coordinator/share/share_group.h"

/* What members may make all groups together remember: this, or a part of the memory there is. */
#define GROUPS_BYTES_MAX    MIB(512)
#define GROUPS_MEMORY_SHARE 8

/* The groups of one partition. */
typedef struct groups_partition {
    list_t loaded; /* read back, and not started yet */
    list_t living;
} groups_partition_t;

struct kafka_groups {
    kafka_t *kafka;
    runtime_t *runtime;
    group_config_t config;
    group_host_t host;
    consumer_config_t consumer_config;
    consumer_host_t consumer_host;
    share_group_host_t share_host;
    topic_patterns_host_t patterns_host;
    io_timer_t patterns_timer; /* scans new patterns */
    kafka_topic_listener_t listener;
    map_t entries;   /* id -> group_entry_t */
    map_t producers; /* with open transactions: groups_txn.c */
    uint64_t order;  /* of the last record of an offset */
    groups_partition_t *partitions;
    int32_t partitions_count;
    size_t kept_bytes, kept_bytes_max;
    groups_walk_t expiring;  /* a round of retention */
    list_t forgetting;       /* groups_removal.c: topics that are gone, and that groups still have offsets of */
    uint64_t topics_version; /* counts topics coming, growing and going */
    bool stopped;
};

/* groups.c */
/* A classic group. One that is read back waits among those of the partition it was found in, which is not the one that its id
 * hashes to when the topic has grown; -1 = it is alive at once. */
group_entry_t *groups__entry_new(kafka_groups_t *groups, bytes_t group_id, int32_t loaded_from);
/* Takes the group out of the table; its parked requests end with `error`. What is stored is the caller's business. */
void groups__remove(group_entry_t *entry, kafka_code_t error);
/* The groups of a partition; NULL when there have been none. */
groups_partition_t *groups__partition(const kafka_groups_t *groups, int32_t index);
/* After every input to a group: stores what it wants stored and sets its timer. */
void groups__settle(group_entry_t *entry);

/* groups_txn.c: forgets what transactions have of the group. */
void groups__txns_drop(group_entry_t *entry);

/* groups_machine.c */
extern const runtime_machine_t groups__machine;

/* groups_classic.c; `replay` plays one record of the protocol's kinds back. */
void groups__classic_init(kafka_groups_t *groups);
/* Makes the entry, which has no state, a classic group without members. */
void groups__classic_new(group_entry_t *entry);
int groups__classic_replay(kafka_groups_t *groups, int32_t partition, const group_record_t *record) MUST_CHECK;

/* groups_consumer.c */
void groups__consumer_new(group_entry_t *entry);
int groups__consumer_replay(kafka_groups_t *groups, int32_t partition, const record_t *record,
                            arena_t *arena) MUST_CHECK;

/* groups_share.c */
void groups__share_new(group_entry_t *entry);
/* A topic is gone, and its states with it. */
void groups__share_topic_gone(group_entry_t *entry, kafka_uuid_t topic);
int groups__share_replay(kafka_groups_t *groups, int32_t partition, const record_t *record, arena_t *arena) MUST_CHECK;

/* groups_broker.c */
void groups__broker_init(kafka_groups_t *groups);
void groups__broker_deinit(kafka_groups_t *groups);
/* Takes the settings as they are now, the group's own before the broker's, into entry->config. */
void groups__broker_configure(group_entry_t *entry);
void groups__broker_configure_share(group_entry_t *entry);

/* groups_removal.c */
/* One group of a round of retention; false at its end. */
bool groups__expire(kafka_groups_t *groups, bool begins);
void groups__expire_stop(kafka_groups_t *groups);
/* Forgets the offsets and states that groups have in partitions of a topic that is going, in this turn and those that follow. */
void groups__forget_topic(kafka_groups_t *groups, const kafka_topic_t *topic);
/* Ends that now: another topic has its name, and offsets may be committed for that. */
void groups__forget_now(kafka_groups_t *groups, bytes_t topic);
void groups__forget_stop(kafka_groups_t *groups);

#endif

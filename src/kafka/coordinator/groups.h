/* groups.h: the group coordinator: all consumer groups of this broker, and their memory, the topic
 * __consumer_offsets.
 *
 * A group belongs to the partition that its id hashes to, as Kafka computes it. What a group commits is a
 * record of that partition first; only once the record counts as written (as acks=all would have it) does the
 * table in memory change and the client get its answer. At start the partitions are read back, each group
 * answering COORDINATOR_LOAD_IN_PROGRESS until its own is.
 *
 * Called by the handlers in api/ and by the wing's start and stop. The rules of membership are group.h's. */
#ifndef TRIVET_KAFKA_GROUPS_GROUPS_H
#define TRIVET_KAFKA_GROUPS_GROUPS_H

#include "kafka/coordinator/classic/group.h"
#include "kafka/coordinator/classic/group_records.h"
#include "kafka/coordinator/consumer/cgroup_records.h"
#include "kafka/kafka_internal.h"
#include "kafka/partition/partition.h"

#define GROUPS_TOPIC "__consumer_offsets"

/* One group with its offsets. Reference counted: the table holds one, each write under way another. */
typedef struct group_entry {
    kafka_groups_t *groups;
    group_t *group;   /* of the classic protocol; empty while there is a consumer group */
    cgroup_t *cgroup; /* of the consumer protocol (KIP-848), or NULL */
    cgroup_config_t config;
    group_offsets_t offsets;
    list_t applying; /* groups_position.c: in the log, not yet in `offsets` */
    int32_t partition;
    uint32_t refs;
    size_t kept_bytes; /* of the group, as counted among all groups' */
    bool removed;      /* from the table */
    io_timer_t timer;
    int64_t timer_due_ms; /* GROUP_NEVER_MS when not armed */
} group_entry_t;

/* Listens for the topic; kafka->config must be set. */
kafka_groups_t *kafka_groups_new(kafka_t *kafka);
/* Answers every parked request NOT_COORDINATOR. Before partitions close. */
void kafka_groups_stop(kafka_groups_t *groups);
void kafka_groups_free(kafka_groups_t *groups);
const group_config_t *groups_config(const kafka_groups_t *groups);
uint32_t kafka_groups_count(const kafka_groups_t *groups);

/* ---- finding ---- */

/* KAFKA_NONE with the group's entry, NULL when there is no such group; COORDINATOR_NOT_AVAILABLE without the
 * topic, NOT_COORDINATOR, COORDINATOR_LOAD_IN_PROGRESS. */
int16_t groups_find(kafka_groups_t *groups, bytes_t group_id, group_entry_t **ret_entry);
/* The same for who reads or changes its offsets: COORDINATOR_LOAD_IN_PROGRESS also while positions that the bridge has
 * promised are not among them. */
int16_t groups_find_settled(kafka_groups_t *groups, bytes_t group_id, group_entry_t **ret_entry);
/* Whether all groups together may remember so much more. */
bool groups_have_room(const kafka_groups_t *groups, size_t bytes);
/* A new group without members; groups_find said KAFKA_NONE and NULL. */
group_entry_t *groups_create(kafka_groups_t *groups, bytes_t group_id);
/* Takes the group out of the table; its parked requests are answered. What is stored is the caller's
 * business. */
void groups_remove(group_entry_t *entry);
/* Whether all partitions of the topic are loaded (true without the topic): for ListGroups, and before the server is ready. */
bool groups_loaded(const kafka_groups_t *groups);
/* Iteration: *cursor starts at 0; NULL at the end. The table must not change meanwhile. */
group_entry_t *groups_next(const kafka_groups_t *groups, size_t *cursor);
static inline void group_entry_ref(group_entry_t *entry) { entry->refs++; }
void group_entry_unref(group_entry_t *entry);

/* ---- asking, whichever protocol the group speaks ---- */

const char *groups_type_text(const group_entry_t *entry);  /* "classic", "consumer" */
const char *groups_state_text(const group_entry_t *entry); /* "Stable" ... */
bytes_t groups_protocol_type(const group_entry_t *entry);  /* "consumer"; null of simple groups */
bool groups_is_empty(const group_entry_t *entry);
bool groups_subscribed(const group_entry_t *entry, bytes_t topic);

/* ---- acting ---- */

group_now_t groups_now(const kafka_groups_t *groups);
/* After every input to entry->group: stores what it wants stored and sets its timer. */
void groups_settle(group_entry_t *entry);

/* Where replies to parked requests go: api/join_group.c, api/sync_group.c. */
void kafka_join_group_reply(kafka_request_t *request, const group_t *group, const group_join_reply_t *reply);
void kafka_sync_group_reply(kafka_request_t *request, const group_sync_reply_t *reply);

/* Makes a group speak the other protocol. Only an empty one can: false when it is not, or when it does
 * already. What the old protocol has stored is taken back by tombstones. */
bool groups_become_classic(group_entry_t *entry);
bool groups_become_consumer(group_entry_t *entry);
/* Takes the settings as they are now, the group's own before the broker's, into entry->config. */
void groups_configure(group_entry_t *entry);

/* One append. The caller fills `records` (at least one), keeps the write alive until `done`, and deinits the
 * builder. `done` gets a code fit for group clients; it may run within groups_write. */
typedef struct groups_write {
    group_records_t records;
    void (*done)(struct groups_write *write, int16_t error);
    partition_commit_t commit;
} groups_write_t;
void groups_write(kafka_groups_t *groups, int32_t partition, groups_write_t *write,
                  void (*done)(groups_write_t *write, int16_t error));

/* Takes offsets, or a whole group, out of memory once their tombstones are written, batch by batch; what is committed
 * meanwhile stays. `done` (may be NULL) may run within groups_removal_run; the removal is gone by then. */
typedef struct groups_removal groups_removal_t;
groups_removal_t *groups_removal_new(group_entry_t *entry, void (*done)(void *user, int16_t error), void *user);
void groups_removal_add_offset(groups_removal_t *removal, bytes_t topic, int32_t partition);
/* All its offsets and the group itself, if it is still empty when the tombstones are written. */
void groups_removal_add_group(groups_removal_t *removal);
void groups_removal_run(groups_removal_t *removal);

/* ---- the bridge's positions (groups_position.c) ---- */

/* Over how many partitions of the topic groups are spread; 0 = it does not exist yet. */
int32_t groups_partitions_count(const kafka_groups_t *groups);
/* Why positions of the groups of this partition cannot be taken, if `topic` is the groups' and they could not be read. */
int16_t groups_partition_error(const kafka_groups_t *groups, const kafka_topic_t *topic, int32_t index);
/* Whether positions of this one's partition can be taken now; a code fit for the bridge. */
int16_t groups_position_check(kafka_t *kafka, const kafka_produce_t *record);
/* Its topic was deleted meanwhile, and with it what groups had of it. */
bool groups_position_is_void(const kafka_t *kafka, const kafka_produce_t *record);
/* It has just been appended: the group has it, at once or when flush.messages allows. */
void groups_position_apply(kafka_t *kafka, partition_t *partition, const kafka_produce_t *record);

/* Makes the topic unless it is there, then runs `ready` with KAFKA_NONE or COORDINATOR_NOT_AVAILABLE; maybe
 * at once. */
typedef struct groups_waiter {
    list_t node;
    void (*ready)(struct groups_waiter *waiter, int16_t error);
} groups_waiter_t;
void groups_need_topic(kafka_groups_t *groups, groups_waiter_t *waiter,
                       void (*ready)(groups_waiter_t *waiter, int16_t error));

#endif

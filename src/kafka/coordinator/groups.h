/* groups.h: the group coordinator: all groups of this broker and what they have committed, kept in __consumer_offsets. It is a
 * machine of the runtime (runtime.h), which loads, writes and expires; a group is a state machine of its protocol
 * (groups_type.h), and its offsets are one table whatever the protocol.
 *
 * Called by the handlers in api/, by the bridge's door and by the wing's start and stop. Replies leave by callback. */
#ifndef TRIVET_KAFKA_COORDINATOR_GROUPS_H
#define TRIVET_KAFKA_COORDINATOR_GROUPS_H

#include "kafka/coordinator/classic/group.h"
#include "kafka/coordinator/classic/group_records.h"
#include "kafka/coordinator/consumer/consumer_records.h"
#include "kafka/coordinator/runtime.h"
#include "kafka/kafka_internal.h"

#define GROUPS_TOPIC "__consumer_offsets"

/* One group with its offsets. Reference counted: the table holds one, each write under way another. */
typedef struct group_entry {
    kafka_groups_t *groups;
    bytes_t id;                     /* owned */
    const struct groups_type *type; /* the protocol it speaks: which member of `state` there is */
    union {
        group_t *classic;
        consumer_group_t *consumer;
        struct share_group *share;
    } state;
    consumer_config_t config; /* of a consumer or share group */
    group_offsets_t offsets;
    list_t txns;     /* groups_txn.c: what open transactions have of it */
    list_t applying; /* groups_outbox.c: in the log, not yet in `offsets` */
    list_t node;     /* among those of its partition */
    int32_t partition;
    uint32_t refs;
    size_t kept_bytes; /* of the group, as counted among all groups' */
    bool removed;      /* from the table */
    runtime_timer_t timer;
} group_entry_t;

/* Listens for topics; kafka->config must be set. */
kafka_groups_t *kafka_groups_new(kafka_t *kafka);
/* Answers every parked request NOT_COORDINATOR. Before partitions close. */
void kafka_groups_stop(kafka_groups_t *groups);
void kafka_groups_free(kafka_groups_t *groups);
runtime_t *groups_runtime(const kafka_groups_t *groups);
const group_config_t *groups_config(const kafka_groups_t *groups);
uint32_t kafka_groups_count(const kafka_groups_t *groups);
runtime_now_t groups_now(const kafka_groups_t *groups);

/* ---- finding ---- */

/* KAFKA_NONE with the group's entry, NULL when there is no such group; else as runtime_check. */
kafka_code_t groups_find(kafka_groups_t *groups, bytes_t group_id, group_entry_t **ret_entry) MUST_CHECK;
/* The same for who reads or changes its offsets: COORDINATOR_LOAD_IN_PROGRESS also while offsets that the bridge has
 * promised are not among them. */
kafka_code_t groups_find_settled(kafka_groups_t *groups, bytes_t group_id, group_entry_t **ret_entry) MUST_CHECK;
/* Whether all groups together may remember so much more. */
bool groups_have_room(const kafka_groups_t *groups, size_t bytes);
/* A new classic group without members; groups_find said KAFKA_NONE and NULL. */
group_entry_t *groups_create(kafka_groups_t *groups, bytes_t group_id);
/* Whether all partitions of the topic are loaded (true without the topic): for ListGroups, and before the server is ready. */
bool groups_loaded(const kafka_groups_t *groups);
static inline void group_entry_ref(group_entry_t *entry) { entry->refs++; }
void group_entry_unref(group_entry_t *entry);

/* ---- asking ---- */

const char *groups_type_text(const group_entry_t *entry);  /* "classic", "consumer", "share" */
const char *groups_state_text(const group_entry_t *entry); /* "Stable" ... */
bytes_t groups_protocol_type(const group_entry_t *entry);  /* "consumer"; null of simple groups */
bool groups_is_empty(const group_entry_t *entry);
bool groups_subscribed(const group_entry_t *entry, bytes_t topic);
/* The state machine, for the APIs of one protocol alone; NULL when the group speaks another. */
const group_t *groups_classic(const group_entry_t *entry);
consumer_group_t *groups_consumer(const group_entry_t *entry);

/* ---- requests of members that speak the classic protocol; the group may speak another ---- */

/* A request that waits for its reply: a member of what the API keeps of it. What a reply refers to is valid during the call
 * only. `group` is NULL unless the reply lists its members. */
typedef struct groups_request {
    void (*joined)(struct groups_request *request, const group_t *group, const group_join_reply_t *reply);
    void (*synced)(struct groups_request *request, const group_sync_reply_t *reply);
} groups_request_t;

/* `join->request` and `sync->request` are a groups_request_t each. */
void groups_join(group_entry_t *entry, const group_join_t *join);
void groups_sync(group_entry_t *entry, const group_sync_t *sync);
kafka_code_t groups_heartbeat(group_entry_t *entry, bytes_t member_id, bytes_t instance_id,
                              int32_t generation) MUST_CHECK;
kafka_code_t groups_leave(group_entry_t *entry, group_leaver_t *leavers, size_t count) MUST_CHECK;

/* ---- offsets ---- */

/* Who commits, as the request names him. */
typedef struct groups_committer {
    bytes_t member_id, instance_id;
    int32_t generation; /* or member epoch */
    int16_t api_version;
    bool transactional;
} groups_committer_t;
kafka_code_t groups_commit_check(group_entry_t *entry, const groups_committer_t *committer) MUST_CHECK;
kafka_code_t groups_fetch_check(group_entry_t *entry, bytes_t member_id, int32_t member_epoch) MUST_CHECK;

/* An offset whose record is stored. */
void groups_offset_put(group_entry_t *entry, bytes_t topic, int32_t partition, const group_offset_t *offset);
/* The same in the producer's transaction: it counts when that is committed. */
void groups_offset_put_pending(group_entry_t *entry, int64_t producer_id, bytes_t topic, int32_t partition,
                               const group_offset_t *offset);
/* An open transaction has an offset of this partition. */
bool groups_offset_is_unstable(const group_entry_t *entry, bytes_t topic, int32_t partition);
/* The producer's marker is stored in this partition of the topic. */
void groups_txn_end(kafka_groups_t *groups, int32_t partition, int64_t producer_id, bool commits);

/* Takes offsets, or a whole group, out of memory once their tombstones are written, batch by batch; what is committed
 * meanwhile stays. `done` (may be NULL) may run within groups_removal_run; the removal is gone by then. */
typedef struct groups_removal groups_removal_t;
groups_removal_t *groups_removal_new(group_entry_t *entry, void (*done)(void *user, kafka_code_t error), void *user);
void groups_removal_add_offset(groups_removal_t *removal, bytes_t topic, int32_t partition);
/* All its offsets and the group itself, if it is still empty when the tombstones are written. */
void groups_removal_add_group(groups_removal_t *removal);
void groups_removal_run(groups_removal_t *removal);

/* ---- members of the consumer protocol (groups_consumer.c) ---- */

/* The consumer group to talk to; only joining makes one, or changes a classic one. An error's words are in `message`, or the
 * code's own will do. */
kafka_code_t groups_find_consumer(kafka_groups_t *groups, bytes_t group_id, bool joining, group_entry_t **ret_entry,
                                  char message[CONSUMER_MESSAGE_BYTES]) MUST_CHECK;

/* A heartbeat on its way: a member of what the API keeps of it, alive until `done` has run. */
typedef struct groups_beat {
    /* It was accepted: the reply, which is valid during the call only. `done` follows. */
    void (*accepted)(struct groups_beat *beat, const group_entry_t *entry, const consumer_reply_t *reply);
    /* What it changed is stored; or an error, with its words or NULL. */
    void (*done)(struct groups_beat *beat, kafka_code_t error, const char *message);
    runtime_write_t write; /* the coordinator's, as what follows */
    group_entry_t *entry;
} groups_beat_t;
void groups_consumer_heartbeat(group_entry_t *entry, const consumer_heartbeat_t *in, groups_beat_t *beat);

/* ---- the bridge's offsets (groups_outbox.c) ---- */

/* Over how many partitions of the topic groups are spread; 0 = it does not exist yet. */
int32_t groups_partitions_count(const kafka_groups_t *groups);
/* Why offsets of the groups of this partition cannot be taken, if `topic` is the groups' and they could not be read. */
kafka_code_t groups_partition_error(const kafka_groups_t *groups, const kafka_topic_t *topic, int32_t index) MUST_CHECK;
/* Whether offsets of this one's partition can be taken now; a code fit for the bridge. */
kafka_code_t groups_outbox_check(kafka_t *kafka, const kafka_produce_t *record) MUST_CHECK;
/* Its topic was deleted meanwhile, and with it what groups had of it. */
bool groups_outbox_is_void(const kafka_t *kafka, const kafka_produce_t *record);
/* It has just been appended to its partition: the group has it, at once or when flush.messages allows. */
void groups_outbox_apply(kafka_t *kafka, const kafka_produce_t *record);

#endif

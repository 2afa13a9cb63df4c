/* consumer_group.h: one group of the "consumer" protocol (KIP-848) as a pure state machine: heartbeats and a time go
 * in, replies and a list of what must be stored come out. The coordinator assigns; members only reconcile:
 *
 *   Stable --- target changed, must give up ---> UnrevokedPartitions --- client has given up ---+
 *     ^  \                                                                                      |
 *     |   +--- target changed, wants what others still own ---> UnreleasedPartitions <----------+
 *     +-------------------- all of the target is its own ------------+
 *
 * Epochs: the group's grows with every change of members, subscriptions or topics; the assignment's says for
 * which group epoch the targets were computed; a member's says which target it has reached (it takes the new
 * epoch only once it has revoked). Invariant: no partition is owned by two members: one gets it only after no
 * other holds or is yet to revoke it.
 *
 * Members of the classic protocol may be in such a group (the original's online migration): their JoinGroup, SyncGroup
 * and Heartbeat stand for heartbeats, their generation is their epoch; see consumer_classic.c and consumer_convert.c. */
#ifndef TRIVET_KAFKA_GROUPS_CONSUMER_GROUP_H
#define TRIVET_KAFKA_GROUPS_CONSUMER_GROUP_H

#include "base/list.h"
#include "base/map.h"
#include "kafka/coordinator/classic/group.h"
#include "kafka/coordinator/consumer/tp_set.h"
#include "kafka/coordinator/topic_patterns.h"

#define CONSUMER_MESSAGE_BYTES    512
#define CONSUMER_MEMBER_BYTES_MAX KIB(512) /* of names that a member brings; its record must fit into a batch */

enum {
    CONSUMER_EPOCH_LEAVE = -1,
    CONSUMER_EPOCH_LEAVE_STATIC = -2, /* a static member that will be back */
};

typedef struct consumer_config {
    int32_t session_timeout_ms;    /* group.consumer.session.timeout.ms */
    int32_t heartbeat_interval_ms; /* group.consumer.heartbeat.interval.ms */
    int32_t members_max;           /* group.consumer.max.size */
} consumer_config_t;

typedef enum consumer_member_state { /* numbered as on disk */
                                     CONSUMER_MEMBER_STABLE = 0,
                                     CONSUMER_MEMBER_UNREVOKED = 1,
                                     CONSUMER_MEMBER_UNRELEASED = 2,
} consumer_member_state_t;

enum { /* what of a member must be stored */
       CONSUMER_DIRTY_METADATA = 1,
       CONSUMER_DIRTY_TARGET = 2,
       CONSUMER_DIRTY_CURRENT = 4,
       CONSUMER_DIRTY_GONE = 8, /* of a removed one: tombstones */
};

typedef struct consumer_member {
    list_t node;
    bytes_t id; /* all bytes are the member's own */
    bytes_t instance_id, rack_id, client_id, client_host, assignor;
    bytes_t *topics; /* names, ascending; one allocation */
    size_t topics_count;
    bytes_t regex;            /* null, or a pattern of further topics */
    topic_pattern_t *pattern; /* counted; NULL when it does not compile (an old record's) */
    size_t kept_bytes;
    int32_t rebalance_timeout_ms;
    int32_t epoch, previous_epoch;
    consumer_member_state_t state;
    tp_set_t assigned, revoking, target;
    int64_t session_deadline_ms;
    int64_t revoke_deadline_ms; /* while Unrevoked */
    /* of members that speak the classic protocol */
    bool classic;
    int32_t session_timeout_ms;
    group_protocol_t *protocols; /* in order of preference; one allocation, bytes included */
    size_t protocols_count;
    int64_t join_deadline_ms; /* was told to join again */
    int64_t sync_deadline_ms; /* has joined and owes a SyncGroup */
    unsigned dirty;
} consumer_member_t;

typedef struct consumer_topic {
    bytes_t name; /* owned */
    kafka_uuid_t id;
    int32_t partitions_count;
} consumer_topic_t;

typedef struct consumer_group {
    bytes_t id;
    const consumer_config_t *config;
    const struct consumer_host *host;
    void *user;
    int32_t epoch, assignment_epoch;
    list_t members; /* in the order of joining */
    size_t members_count, classic_count;
    size_t kept_bytes; /* of all members */
    map_t by_id, by_instance;
    map_t names;              /* topics that members name -> how many do (consumer_count_t) */
    map_t regexes;            /* patterns that members have -> how many do */
    map_t protocols;          /* that classic members know -> how many do */
    map_t holders;            /* topic_partition_t -> the member that owns it or has yet to let go */
    list_t gone;              /* removed members whose tombstones are not stored yet */
    consumer_topic_t *topics; /* what members read and exists, ascending by name, as of the group epoch */
    size_t topics_count;
    consumer_topic_t **topics_by_id; /* ascending by id; NULL until asked for */
    uint64_t topics_version;         /* of the broker's topics when `topics` was looked up */
    bool dirty_epoch, dirty_topics, dirty_assignment;
    int64_t next_deadline_ms;
} consumer_group_t;

/* How many members share something, and the pattern when that is what they share. */
typedef struct consumer_count {
    size_t members;
    topic_pattern_t *pattern;
} consumer_count_t;

typedef struct consumer_host {
    topic_patterns_t *patterns;
    /* Whether the topic exists, and what it is now. */
    bool (*topic)(void *user, bytes_t name, kafka_uuid_t *ret_id, int32_t *ret_partitions_count);
    /* Another number whenever topics have come, grown or gone. */
    uint64_t (*topics_version)(void *user);
    /* Whether a group of so many members, all of them of the classic protocol, may become a classic one. NULL: no. */
    bool (*may_become_classic)(void *user, size_t members_count);
} consumer_host_t;

consumer_group_t *consumer_group_new(bytes_t id, const consumer_config_t *config, const consumer_host_t *host,
                                     void *user);
void consumer_group_free(consumer_group_t *g);

typedef struct consumer_heartbeat {
    bytes_t member_id;
    int32_t member_epoch;
    bytes_t instance_id, rack_id; /* null: unchanged, as all below */
    bytes_t client_id, client_host;
    bytes_t assignor;
    int32_t rebalance_timeout_ms; /* -1 */
    const bytes_t *topics;
    int32_t topics_count;  /* -1 */
    bytes_t regex;         /* null: unchanged; empty: none */
    bool own_id_required;  /* ConsumerGroupHeartbeat >= 1: the client makes its id */
    const tp_set_t *owned; /* NULL */
} consumer_heartbeat_t;

typedef struct consumer_reply {
    kafka_code_t error;
    char message[CONSUMER_MESSAGE_BYTES]; /* with an error */
    bytes_t member_id;                    /* the member's or the request's; valid until the next input */
    int32_t member_epoch;
    const tp_set_t *assignment; /* NULL: unchanged */
} consumer_reply_t;

/* INVALID_REQUEST or UNSUPPORTED_ASSIGNOR with the original's words for what no group accepts. */
kafka_code_t consumer_heartbeat_check(const consumer_heartbeat_t *in,
                                      char ret_message[CONSUMER_MESSAGE_BYTES]) MUST_CHECK;
/* A checked heartbeat: joins, stays, or leaves, by its epoch. */
void consumer_heartbeat(consumer_group_t *g, const consumer_heartbeat_t *in, runtime_now_t now,
                        consumer_reply_t *ret_reply);
/* Sessions and revocations that took too long. */
void consumer_tick(consumer_group_t *g, runtime_now_t now);
static inline int64_t consumer_deadline_ms(const consumer_group_t *g) { return g->next_deadline_ms; }
/* KAFKA_NONE, UNKNOWN_MEMBER_ID, STALE_MEMBER_EPOCH, UNSUPPORTED_VERSION (the API is older than the
 * protocol). */
kafka_code_t consumer_commit_check(const consumer_group_t *g, bytes_t member_id, int32_t member_epoch,
                                   int16_t api_version) MUST_CHECK;
kafka_code_t consumer_fetch_check(const consumer_group_t *g, bytes_t member_id, int32_t member_epoch) MUST_CHECK;

/* ---- members of the classic protocol (consumer_classic.c) ---- */

/* What a classic member's subscription says, in the form that all its protocols embed. */
typedef struct consumer_subscription {
    const bytes_t *topics;
    size_t topics_count;
    const tp_set_t *owned;
    bytes_t rack_id;
} consumer_subscription_t;

typedef struct consumer_join_reply {
    kafka_code_t error;
    bytes_t member_id; /* valid until the next input */
    int32_t generation;
    bytes_t protocol_name;
    bool replaced_consumer; /* it took the place of a static member that spoke the consumer protocol */
} consumer_join_reply_t;

/* JoinGroup: `new_id` is for who has none yet. */
void consumer_classic_join(consumer_group_t *g, const group_join_t *join, const consumer_subscription_t *subscription,
                           bytes_t new_id, runtime_now_t now, consumer_join_reply_t *ret_reply);
/* SyncGroup: KAFKA_NONE and the member, whose `assigned` is the answer. */
kafka_code_t consumer_classic_sync(consumer_group_t *g, const group_sync_t *sync, runtime_now_t now,
                                   const consumer_member_t **ret_member) MUST_CHECK;
kafka_code_t consumer_classic_heartbeat(consumer_group_t *g, bytes_t member_id, bytes_t instance_id, int32_t generation,
                                        runtime_now_t now) MUST_CHECK;
/* LeaveGroup: of members of either protocol; an administrator names instances without a member id. */
void consumer_leave(consumer_group_t *g, group_leaver_t *leavers, size_t leavers_count);

/* ---- from one protocol to the other (consumer_convert.c) ---- */

/* A member of a classic group, its subscription and assignment decoded. */
typedef struct consumer_converted {
    const group_member_t *member;
    consumer_subscription_t subscription;
    const tp_set_t *assigned;
} consumer_converted_t;

/* Onto a new group: takes over a classic group's generation and members, all of it yet to be stored. */
void consumer_from_classic(consumer_group_t *g, int32_t generation, const consumer_converted_t *members,
                           size_t members_count, runtime_now_t now);
/* All members speak the classic protocol and share one of its protocols, so that the group may become a classic one. */
bool consumer_is_all_classic(const consumer_group_t *g);

/* "Empty", "Assigning", "Reconciling", "Stable". */
const char *consumer_state_text(const consumer_group_t *g);
bool consumer_subscribed(const consumer_group_t *g, bytes_t topic);
const consumer_topic_t *consumer_topic_by_id(consumer_group_t *g, kafka_uuid_t id);
/* The assignor that most members ask for, "uniform" unless they do. */
const char *consumer_assignor(const consumer_group_t *g);

/* ---- shared with loading (consumer_records.c) and assigning (consumer_assign.c) ---- */

consumer_member_t *consumer_find(const consumer_group_t *g, bytes_t member_id);
consumer_member_t *consumer_add(consumer_group_t *g, bytes_t member_id);
void consumer_set_instance(consumer_group_t *g, consumer_member_t *m, bytes_t instance_id);
void consumer_set_topics(consumer_group_t *g, consumer_member_t *m, const bytes_t *topics, size_t count);
void consumer_set_regex(consumer_group_t *g, consumer_member_t *m, bytes_t regex);
/* Makes it a member of the classic protocol, or, with NULL, of the consumer protocol. */
void consumer_set_classic(consumer_group_t *g, consumer_member_t *m, const group_protocol_t *protocols, size_t count,
                          int32_t session_timeout_ms);
/* `tombstones`: keeps it on the list of what must be stored. */
void consumer_remove(consumer_group_t *g, consumer_member_t *m, bool tombstones);
void consumer_member_free(consumer_member_t *m);
void consumer_topics_clear(consumer_group_t *g);
void consumer_topics_add(consumer_group_t *g, bytes_t name, kafka_uuid_t id, int32_t partitions_count);
/* After loading: sessions start. */
void consumer_load_end(consumer_group_t *g, runtime_now_t now);
bool consumer_reads(const consumer_member_t *m, bytes_t topic);
bool consumer_same_subscription(const consumer_member_t *a, const consumer_member_t *b);

/* consumer_assign.c: computes every member's target for the topics of the group. */
void consumer_assign(consumer_group_t *g);

#endif

/* cgroup.h: one group of the "consumer" protocol (KIP-848) as a pure state machine: heartbeats and a time go
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
 * and Heartbeat stand for heartbeats, their generation is their epoch; see cgroup_classic.c and cgroup_convert.c. */
#ifndef TRIVET_KAFKA_GROUPS_CGROUP_H
#define TRIVET_KAFKA_GROUPS_CGROUP_H

#include "base/list.h"
#include "base/map.h"
#include "kafka/coordinator/classic/group.h"
#include "kafka/coordinator/consumer/cgroup_set.h"
#include "kafka/coordinator/topic_patterns.h"

#define CGROUP_MESSAGE_BYTES    512
#define CGROUP_MEMBER_BYTES_MAX KIB(512) /* of names that a member brings; its record must fit into a batch */

enum {
    CGROUP_EPOCH_LEAVE = -1,
    CGROUP_EPOCH_LEAVE_STATIC = -2, /* a static member that will be back */
};

typedef struct cgroup_config {
    int32_t session_timeout_ms;    /* group.consumer.session.timeout.ms */
    int32_t heartbeat_interval_ms; /* group.consumer.heartbeat.interval.ms */
    int32_t members_max;           /* group.consumer.max.size */
} cgroup_config_t;

typedef enum cgroup_member_state { /* numbered as on disk */
                                   CGROUP_MEMBER_STABLE = 0,
                                   CGROUP_MEMBER_UNREVOKED = 1,
                                   CGROUP_MEMBER_UNRELEASED = 2,
} cgroup_member_state_t;

enum { /* what of a member must be stored */
       CGROUP_DIRTY_METADATA = 1,
       CGROUP_DIRTY_TARGET = 2,
       CGROUP_DIRTY_CURRENT = 4,
       CGROUP_DIRTY_GONE = 8, /* of a removed one: tombstones */
};

typedef struct cgroup_member {
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
    cgroup_member_state_t state;
    cgroup_set_t assigned, revoking, target;
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
} cgroup_member_t;

typedef struct cgroup_topic {
    bytes_t name; /* owned */
    kafka_uuid_t id;
    int32_t partitions_count;
} cgroup_topic_t;

typedef struct cgroup {
    bytes_t id;
    const cgroup_config_t *config;
    const struct cgroup_host *host;
    void *user;
    int32_t epoch, assignment_epoch;
    list_t members; /* in the order of joining */
    size_t members_count, classic_count;
    size_t kept_bytes; /* of all members */
    map_t by_id, by_instance;
    map_t names;            /* topics that members name -> how many do (cgroup_count_t) */
    map_t regexes;          /* patterns that members have -> how many do */
    map_t protocols;        /* that classic members know -> how many do */
    map_t holders;          /* cgroup_tp_t -> the member that owns it or has yet to let go */
    list_t gone;            /* removed members whose tombstones are not stored yet */
    cgroup_topic_t *topics; /* what members read and exists, ascending by name, as of the group epoch */
    size_t topics_count;
    cgroup_topic_t **topics_by_id; /* ascending by id; NULL until asked for */
    uint64_t topics_version;       /* of the broker's topics when `topics` was looked up */
    bool dirty_epoch, dirty_topics, dirty_assignment;
    int64_t next_deadline_ms;
} cgroup_t;

/* How many members share something, and the pattern when that is what they share. */
typedef struct cgroup_count {
    size_t members;
    topic_pattern_t *pattern;
} cgroup_count_t;

typedef struct cgroup_host {
    topic_patterns_t *patterns;
    /* Whether the topic exists, and what it is now. */
    bool (*topic)(void *user, bytes_t name, kafka_uuid_t *ret_id, int32_t *ret_partitions_count);
    /* Another number whenever topics have come, grown or gone. */
    uint64_t (*topics_version)(void *user);
    /* Whether a group of so many members, all of them of the classic protocol, may become a classic one. NULL: no. */
    bool (*may_become_classic)(void *user, size_t members_count);
} cgroup_host_t;

cgroup_t *cgroup_new(bytes_t id, const cgroup_config_t *config, const cgroup_host_t *host, void *user);
void cgroup_free(cgroup_t *g);

typedef struct cgroup_heartbeat {
    bytes_t member_id;
    int32_t member_epoch;
    bytes_t instance_id, rack_id; /* null: unchanged, as all below */
    bytes_t client_id, client_host;
    bytes_t assignor;
    int32_t rebalance_timeout_ms; /* -1 */
    const bytes_t *topics;
    int32_t topics_count;      /* -1 */
    bytes_t regex;             /* null: unchanged; empty: none */
    bool own_id_required;      /* ConsumerGroupHeartbeat >= 1: the client makes its id */
    const cgroup_set_t *owned; /* NULL */
} cgroup_heartbeat_t;

typedef struct cgroup_reply {
    kafka_code_t error;
    char message[CGROUP_MESSAGE_BYTES]; /* with an error */
    bytes_t member_id;                  /* the member's or the request's; valid until the next input */
    int32_t member_epoch;
    const cgroup_set_t *assignment; /* NULL: unchanged */
} cgroup_reply_t;

/* INVALID_REQUEST or UNSUPPORTED_ASSIGNOR with the original's words for what no group accepts. */
kafka_code_t cgroup_heartbeat_check(const cgroup_heartbeat_t *in, char ret_message[CGROUP_MESSAGE_BYTES]) MUST_CHECK;
/* A checked heartbeat: joins, stays, or leaves, by its epoch. */
void cgroup_heartbeat(cgroup_t *g, const cgroup_heartbeat_t *in, runtime_now_t now, cgroup_reply_t *ret_reply);
/* Sessions and revocations that took too long. */
void cgroup_tick(cgroup_t *g, runtime_now_t now);
static inline int64_t cgroup_deadline_ms(const cgroup_t *g) { return g->next_deadline_ms; }
/* KAFKA_NONE, UNKNOWN_MEMBER_ID, STALE_MEMBER_EPOCH, UNSUPPORTED_VERSION (the API is older than the
 * protocol). */
kafka_code_t cgroup_commit_check(const cgroup_t *g, bytes_t member_id, int32_t member_epoch,
                                 int16_t api_version) MUST_CHECK;
kafka_code_t cgroup_fetch_check(const cgroup_t *g, bytes_t member_id, int32_t member_epoch) MUST_CHECK;

/* ---- members of the classic protocol (cgroup_classic.c) ---- */

/* What a classic member's subscription says, in the form that all its protocols embed. */
typedef struct cgroup_subscription {
    const bytes_t *topics;
    size_t topics_count;
    const cgroup_set_t *owned;
    bytes_t rack_id;
} cgroup_subscription_t;

typedef struct cgroup_join_reply {
    kafka_code_t error;
    bytes_t member_id; /* valid until the next input */
    int32_t generation;
    bytes_t protocol_name;
    bool replaced_consumer; /* it took the place of a static member that spoke the consumer protocol */
} cgroup_join_reply_t;

/* JoinGroup: `new_id` is for who has none yet. */
void cgroup_classic_join(cgroup_t *g, const group_join_t *join, const cgroup_subscription_t *subscription,
                         bytes_t new_id, runtime_now_t now, cgroup_join_reply_t *ret_reply);
/* SyncGroup: KAFKA_NONE and the member, whose `assigned` is the answer. */
kafka_code_t cgroup_classic_sync(cgroup_t *g, const group_sync_t *sync, runtime_now_t now,
                                 const cgroup_member_t **ret_member) MUST_CHECK;
kafka_code_t cgroup_classic_heartbeat(cgroup_t *g, bytes_t member_id, bytes_t instance_id, int32_t generation,
                                      runtime_now_t now) MUST_CHECK;
/* LeaveGroup: of members of either protocol; an administrator names instances without a member id. */
void cgroup_leave(cgroup_t *g, group_leaver_t *leavers, size_t leavers_count);

/* ---- from one protocol to the other (cgroup_convert.c) ---- */

/* A member of a classic group, its subscription and assignment decoded. */
typedef struct cgroup_converted {
    const group_member_t *member;
    cgroup_subscription_t subscription;
    const cgroup_set_t *assigned;
} cgroup_converted_t;

/* Onto a new group: takes over a classic group's generation and members, all of it yet to be stored. */
void cgroup_from_classic(cgroup_t *g, int32_t generation, const cgroup_converted_t *members, size_t members_count,
                         runtime_now_t now);
/* All members speak the classic protocol and share one of its protocols, so that the group may become a classic one. */
bool cgroup_is_all_classic(const cgroup_t *g);

/* "Empty", "Assigning", "Reconciling", "Stable". */
const char *cgroup_state_text(const cgroup_t *g);
bool cgroup_subscribed(const cgroup_t *g, bytes_t topic);
const cgroup_topic_t *cgroup_topic_by_id(cgroup_t *g, kafka_uuid_t id);
/* The assignor that most members ask for, "uniform" unless they do. */
const char *cgroup_assignor(const cgroup_t *g);

/* ---- shared with loading (cgroup_records.c) and assigning (cgroup_assign.c) ---- */

cgroup_member_t *cgroup_find(const cgroup_t *g, bytes_t member_id);
cgroup_member_t *cgroup_add(cgroup_t *g, bytes_t member_id);
void cgroup_set_instance(cgroup_t *g, cgroup_member_t *m, bytes_t instance_id);
void cgroup_set_topics(cgroup_t *g, cgroup_member_t *m, const bytes_t *topics, size_t count);
void cgroup_set_regex(cgroup_t *g, cgroup_member_t *m, bytes_t regex);
/* Makes it a member of the classic protocol, or, with NULL, of the consumer protocol. */
void cgroup_set_classic(cgroup_t *g, cgroup_member_t *m, const group_protocol_t *protocols, size_t count,
                        int32_t session_timeout_ms);
/* `tombstones`: keeps it on the list of what must be stored. */
void cgroup_remove(cgroup_t *g, cgroup_member_t *m, bool tombstones);
void cgroup_member_free(cgroup_member_t *m);
void cgroup_topics_clear(cgroup_t *g);
void cgroup_topics_add(cgroup_t *g, bytes_t name, kafka_uuid_t id, int32_t partitions_count);
/* After loading: sessions start. */
void cgroup_load_end(cgroup_t *g, runtime_now_t now);
bool cgroup_reads(const cgroup_member_t *m, bytes_t topic);
bool cgroup_same_subscription(const cgroup_member_t *a, const cgroup_member_t *b);

/* cgroup_assign.c: computes every member's target for the topics of the group. */
void cgroup_assign(cgroup_t *g);

#endif

/* group.h: one consumer group of the classic protocol, as a pure state machine: an input and a time go in,
 * replies to parked requests and wishes to store come out through group_host_t. It does no I/O and reads no
 * clock, so that the unit tests and the simulator run exactly what ships. Called by the coordinator of this
 * folder.
 *
 *              join                       all joined, or time is up
 *     Empty ---------> PreparingRebalance --------------------------> CompletingRebalance
 *       ^                |    ^     ^                                     |          |
 *       | all have left  |    |     | join, leave, failure, missing sync  |          | leader's
 *       +----------------+    |     +-------------------------------------+          | assignment
 *                             |                                                      | stored
 *                             +--------------------- Stable <------------------------+
 *     any -> Dead (deleted, or the coordinator moved away)
 *
 * Invariants: a member in PreparingRebalance either waits for its JoinGroup reply or is expected to send one
 * by the join deadline; the generation grows by one each time a join phase ends; an assignment reaches nobody
 * before it is stored; every parked request is answered exactly once.
 *
 * Behaviour follows Apache Kafka's classic group coordinator (KIP-62, 134, 345, 394, 559, 814). Differences,
 * all on paths where the original leaves a request unanswered: a parked request that a newer one of the same
 * member replaces is answered REBALANCE_IN_PROGRESS, and a parked SyncGroup of a removed member
 * UNKNOWN_MEMBER_ID. */
#ifndef TRIVET_KAFKA_GROUPS_GROUP_H
#define TRIVET_KAFKA_GROUPS_GROUP_H

#include "base/base.h"
#include "base/list.h"
#include "base/map.h"
#include "kafka/coordinator/runtime_now.h"
#include "kafka/errors.h"

/* Members that were given an id (KIP-394) and have not come back with it. The original has no bound. */
#define GROUP_PENDING_MAX 10000
#define GROUP_NEVER_MS    INT64_MAX

/* What members may make a group remember. The original bounds it by max.message.bytes of __consumer_offsets alone, and
 * that only once the leader hands in the assignments. */
#define GROUP_PROTOCOLS_MAX    100     /* of one member */
#define GROUP_MEMBER_BYTES_MAX MIB(4)  /* its protocols with their metadata */
#define GROUP_BYTES_MAX        MIB(64) /* of all members and pending ids */

typedef struct group group_t;
typedef struct group_store group_store_t;
typedef struct group_tally group_tally_t;

typedef enum group_state {
    GROUP_EMPTY,
    GROUP_PREPARING_REBALANCE,
    GROUP_COMPLETING_REBALANCE,
    GROUP_STABLE,
    GROUP_DEAD,
} group_state_t;

/* "Empty", "PreparingRebalance", ...: as the protocol spells them. */
const char *group_state_text(group_state_t state);

typedef struct group_config {
    int32_t session_timeout_ms_min;     /* group.min.session.timeout.ms */
    int32_t session_timeout_ms_max;     /* group.max.session.timeout.ms */
    int32_t initial_rebalance_delay_ms; /* group.initial.rebalance.delay.ms */
    int32_t new_member_join_timeout_ms; /* how long a new member's JoinGroup may stay parked */
    int32_t members_max;                /* group.max.size */
} group_config_t;

/* Kafka's defaults, but for the initial delay, which is 0: one process has nobody to wait for. */
extern const group_config_t group_config_default;

typedef struct group_protocol {
    bytes_t name;
    bytes_t metadata;
} group_protocol_t;

typedef struct group_member {
    list_t node;         /* in the order of joining */
    bytes_t id;          /* this and all other bytes here are the member's own */
    bytes_t instance_id; /* null for dynamic members */
    bytes_t client_id;
    bytes_t client_host;
    int32_t rebalance_timeout_ms;
    int32_t session_timeout_ms;
    group_protocol_t *protocols; /* in order of preference; one allocation, bytes included */
    size_t protocols_count;
    bytes_t assignment;
    bytes_t assignment_next; /* from the leader, while it is being stored */
    void *join_request;      /* parked, or NULL */
    void *sync_request;
    int64_t deadline_ms; /* its session ends, or its first join has waited too long */
    bool is_new;         /* has never had a JoinGroup reply, so it cannot heartbeat */
    bool sync_due;       /* owes a SyncGroup for this generation */
} group_member_t;

/* A null protocol_type is a "simple" group: offsets without members. `leader` is NULL when there are no
 * members. */
struct group {
    bytes_t id;
    const group_config_t *config;
    const struct group_host *host;
    void *user;
    group_state_t state;
    group_state_t previous_state;
    int64_t state_since_ms; /* Unix time; -1 unknown (an old record) */
    int32_t generation;
    bytes_t protocol_type;
    bytes_t protocol_name;
    group_member_t *leader;
    list_t members;
    size_t members_count;
    size_t members_joining; /* have a parked JoinGroup */
    map_t by_id;
    map_t by_instance;
    size_t syncs_due;  /* members that owe a SyncGroup */
    map_t tallies;     /* protocol -> group_tally_t: how many members know it */
    size_t kept_bytes; /* members' protocols, pending ids */
    map_t reads;       /* topics that members read, while reads_known */
    bool reads_known, reads_all;
    list_t pending;
    map_t pending_by_id;
    list_t stores;
    /* The join phase's end: an initial delay that new members extend, or the rebalance timeout. */
    int64_t join_deadline_ms;
    bool join_initial;
    bool join_extended; /* a member came during this delay */
    int32_t initial_delay_ms;
    int32_t initial_left_ms;
    int64_t sync_deadline_ms;
    int64_t next_deadline_ms; /* no deadline is earlier */
};

/* ---- what comes out --------------------------------------------------------------------------------- */

typedef struct group_join_reply {
    kafka_code_t error;
    int32_t generation;
    bytes_t protocol_type; /* null on errors */
    bytes_t protocol_name;
    bytes_t leader;
    bytes_t member_id;
    bool skip_assignment;
    bool with_members; /* to the leader: list all members with group_member_metadata(member, protocol_name) */
} group_join_reply_t;

typedef struct group_sync_reply {
    kafka_code_t error;
    bytes_t protocol_type;
    bytes_t protocol_name;
    bytes_t assignment;
} group_sync_reply_t;

/* A wish to append the group's record, encoded from the group as it is now: members with
 * group_member_to_store, see record.h. Owned by the group; the host calls group_stored with it, after the
 * input that brought it has returned. */
struct group_store {
    list_t node;
    enum { GROUP_STORE_EMPTY, GROUP_STORE_ASSIGNMENT, GROUP_STORE_STATIC } kind;
    int32_t generation;
    bool started; /* the host's: the append is under way */
    bool skip_assignment_known;
    bytes_t member_id;     /* static: the new one */
    bytes_t old_member_id; /* static: what to go back to when storing fails */
    bytes_t old_leader;
};

/* What a reply refers to is valid during the call only. None may call back into the group. */
typedef struct group_host {
    void (*joined)(void *user, group_t *group, void *request, const group_join_reply_t *reply);
    void (*synced)(void *user, group_t *group, void *request, const group_sync_reply_t *reply);
    void (*store)(void *user, group_t *group, group_store_t *store);
    void (*random)(void *user, void *out, size_t bytes);
} group_host_t;

/* ---- what goes in ----------------------------------------------------------------------------------- */

/* `config`, `host` and `user` must outlive the group. */
group_t *group_new(bytes_t id, const group_config_t *config, const group_host_t *host, void *user, runtime_now_t now);
/* Forgets parked requests without an answer: call group_kill first. */
void group_free(group_t *group);

typedef struct group_join {
    bytes_t member_id; /* empty: unknown yet */
    bytes_t instance_id;
    bytes_t client_id;
    bytes_t client_host;
    bytes_t protocol_type;
    const group_protocol_t *protocols;
    size_t protocols_count;
    int32_t session_timeout_ms;
    int32_t rebalance_timeout_ms;
    bool member_id_required;    /* JoinGroup >= 4 */
    bool skip_assignment_known; /* JoinGroup >= 9 */
    void *request;              /* not NULL; comes back in group_host_t.joined, maybe within the call */
} group_join_t;

/* What is wrong with a request whatever the group: INVALID_GROUP_ID, INVALID_SESSION_TIMEOUT, MESSAGE_TOO_LARGE (more
 * protocols or metadata than a member may have), or 0. */
kafka_code_t group_join_check(const group_config_t *config, bytes_t group_id, const group_join_t *join) MUST_CHECK;
void group_join(group_t *group, const group_join_t *join, runtime_now_t now);

typedef struct group_assignment {
    bytes_t member_id;
    bytes_t assignment;
} group_assignment_t;

typedef struct group_sync {
    bytes_t member_id;
    bytes_t instance_id;
    int32_t generation;
    bytes_t protocol_type; /* null before SyncGroup 5 */
    bytes_t protocol_name;
    const group_assignment_t *assignments;
    size_t assignments_count;
    void *request;
} group_sync_t;
void group_sync(group_t *group, const group_sync_t *sync, runtime_now_t now);

/* A protocol error code, or 0. */
kafka_code_t group_heartbeat(group_t *group, bytes_t member_id, bytes_t instance_id, int32_t generation,
                             runtime_now_t now) MUST_CHECK;

typedef struct group_leaver {
    bytes_t member_id; /* empty with an instance id: an administrator removes a static member */
    bytes_t instance_id;
    kafka_code_t error; /* out */
} group_leaver_t;
kafka_code_t group_leave(group_t *group, group_leaver_t *leavers, size_t leavers_count, runtime_now_t now) MUST_CHECK;

/* May this member commit offsets? An accepted commit counts as a heartbeat. */
kafka_code_t group_commit_check(group_t *group, bytes_t member_id, bytes_t instance_id, int32_t generation,
                                bool transactional, runtime_now_t now) MUST_CHECK;
/* The store is done; `error` is the protocol error to give to the members who wait for it. Frees `store`. */
void group_stored(group_t *group, group_store_t *store, kafka_code_t error, runtime_now_t now);

/* Runs what is due. Call at group_deadline_ms or later; early calls are harmless. */
void group_tick(group_t *group, runtime_now_t now);
int64_t group_deadline_ms(const group_t *group); /* GROUP_NEVER_MS when there is none */
/* Answers all parked requests with `error` and ends in Dead. */
void group_kill(group_t *group, kafka_code_t error, runtime_now_t now);

/* ---- what was stored, loaded again ------------------------------------------------------------------ */

typedef struct group_loaded_member {
    bytes_t id, instance_id, client_id, client_host, subscription, assignment;
    const group_protocol_t *protocols; /* NULL: `subscription` is that of the group's protocol, the only one known */
    size_t protocols_count;
    int32_t rebalance_timeout_ms; /* -1: as the session timeout */
    int32_t session_timeout_ms;
} group_loaded_member_t;

/* Onto a group without members: sets what its last record says. Follow with group_load_member for each, then
 * group_load_end, which starts the sessions (or, with more members than allowed, a rebalance). */
void group_load(group_t *group, int32_t generation, bytes_t protocol_type, bytes_t protocol_name,
                int64_t state_since_ms);
/* ERR_EXISTS: the id or the instance id is taken. */
int group_load_member(group_t *group, const group_loaded_member_t *loaded, bool leader) MUST_CHECK;
void group_load_end(group_t *group, runtime_now_t now);
/* For a group that members of another protocol have left: elects one of the protocols that the members brought. */
void group_load_elect(group_t *group);
/* Has all members join again. */
void group_rebalance(group_t *group, runtime_now_t now);

/* ---- questions -------------------------------------------------------------------------------------- */

group_member_t *group_find(const group_t *group, bytes_t member_id);
size_t group_protocols_bytes(const group_protocol_t *protocols, size_t count);
/* One allocation: the table, then all names and metadata. */
group_protocol_t *group_protocols_copy(const group_protocol_t *protocols, size_t count);
/* The name at `index` stands before it already. */
bool group_protocols_repeat(const group_protocol_t *protocols, size_t index);
/* Null when the member does not know the protocol. */
bytes_t group_member_metadata(const group_member_t *member, bytes_t protocol);
/* The assignment that a store's record must carry. */
bytes_t group_member_to_store(const group_member_t *member, const group_store_t *store);
/* The group has members that read this topic, or may have (unparsable subscriptions of a "consumer" group).
 */
bool group_subscribed(group_t *group, bytes_t topic);

#endif

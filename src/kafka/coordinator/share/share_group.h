/* share_group.h: one share group (KIP-932) as a pure state machine: heartbeats and a time go in, replies and a list of what must be
 * stored come out. Members share partitions, so nobody waits for anybody: a member takes its target at its next heartbeat.
 *
 *   Empty <---- the last one leaves, or is silent too long ---- Stable
 *     \____________________ somebody joins _______________________^
 *
 * Only partitions that have a state (share_state.h) are assigned. A heartbeat that finds subscribed partitions without one asks for
 * it; once it is made the next heartbeat computes new targets:
 *
 *   unknown --- subscribed ---> initializing --- made ---> initialized --- offsets or topic deleted ---> unknown
 *      ^____________ failed ___________/
 *
 * Epochs as in consumer_group.h: the group's grows with every change of members, subscriptions, topics or states; a member's says
 * which target it has. */
#ifndef TRIVET_KAFKA_COORDINATOR_SHARE_GROUP_H
#define TRIVET_KAFKA_COORDINATOR_SHARE_GROUP_H

#include "base/list.h"
#include "base/map.h"
#include "kafka/coordinator/consumer/consumer_group.h"

#define SHARE_EPOCH_LEAVE            (-1)
#define SHARE_INITIALIZE_RETRY_MS    30000 /* a state that was asked for so long ago is asked for again */
#define SHARE_ASSIGNMENT_INTERVAL_MS 1000  /* targets are not computed more often, however many members come at once */
#define SHARE_ASSIGNOR               "simple"

enum { /* what of a member must be stored */
       SHARE_DIRTY_METADATA = 1,
       SHARE_DIRTY_TARGET = 2,
       SHARE_DIRTY_CURRENT = 4,
};

typedef struct share_member {
    list_t node;
    bytes_t id; /* all bytes are the member's own */
    bytes_t rack_id, client_id, client_host;
    bytes_t *topics; /* names, ascending; one allocation */
    size_t topics_count;
    size_t kept_bytes;
    int32_t epoch, previous_epoch;
    tp_set_t assigned, target;
    bool has_target; /* one was computed since it joined */
    int64_t session_deadline_ms;
    unsigned dirty;
} share_member_t;

/* A topic that the group has states of, is getting some, or is giving them up. */
typedef struct share_group_topic {
    kafka_uuid_t id;
    bytes_t name;     /* owned */
    int64_t since_ms; /* monotonic: when states were asked for last; 0 = before this start */
    bool deleting;
} share_group_topic_t;

/* What a group asks of its broker. */
typedef struct share_group_host {
    bool (*topic)(void *user, bytes_t name, kafka_uuid_t *ret_id, int32_t *ret_partitions_count);
    uint64_t (*topics_version)(void *user);
} share_group_host_t;

typedef struct share_group {
    bytes_t id;
    const consumer_config_t *config;
    const share_group_host_t *host;
    void *user;
    int32_t epoch, assignment_epoch;
    int64_t assigned_ms; /* Unix time: when the targets were computed; 0 = there are none */
    list_t members;      /* in the order of joining */
    size_t members_count;
    size_t kept_bytes;
    map_t by_id;
    map_t names;             /* topics that members name -> how many do (consumer_count_t) */
    uint64_t metadata_hash;  /* of the topics that they name and that exist, as of the group epoch */
    uint64_t topics_version; /* of the broker's topics when it was computed */
    tp_set_t initialized, initializing;
    map_t states;        /* topic id -> share_group_topic_t */
    bool states_changed; /* since the last targets */
    list_t gone;         /* removed members whose tombstones are not stored yet */
    bool dirty_epoch, dirty_assignment, dirty_states;
    int64_t next_deadline_ms;
} share_group_t;

share_group_t *share_group_new(bytes_t id, const consumer_config_t *config, const share_group_host_t *host, void *user);
void share_group_free(share_group_t *g);

typedef struct share_heartbeat {
    bytes_t member_id;
    int32_t member_epoch;
    bytes_t rack_id; /* null: unchanged */
    bytes_t client_id, client_host;
    const bytes_t *topics;
    int32_t topics_count; /* -1: unchanged */
} share_heartbeat_t;

typedef struct share_reply {
    kafka_code_t error;
    char message[CONSUMER_MESSAGE_BYTES]; /* with an error */
    bytes_t member_id;                    /* the member's or the request's; valid until the next input */
    int32_t member_epoch;
    const tp_set_t *assignment; /* NULL: unchanged */
} share_reply_t;

/* INVALID_REQUEST with the original's words for what no group accepts. */
kafka_code_t share_heartbeat_check(const share_heartbeat_t *in, bytes_t group_id,
                                   char ret_message[CONSUMER_MESSAGE_BYTES]) MUST_CHECK;
void share_heartbeat(share_group_t *g, const share_heartbeat_t *in, runtime_now_t now, share_reply_t *ret_reply);
/* Sessions that took too long. */
void share_group_tick(share_group_t *g, runtime_now_t now);
static inline int64_t share_group_deadline_ms(const share_group_t *g) { return g->next_deadline_ms; }
/* "Empty", "Stable". */
const char *share_group_state_text(const share_group_t *g);
bool share_group_subscribed(const share_group_t *g, bytes_t topic);

/* ---- states of partitions ---- */

/* Partitions that members read and that have no state, nor have been promised one lately: they are initializing from now on. A
 * topic that had some before begins at its start: `ret_grown` has those partitions, `ret_fresh` the others. */
void share_group_want_states(share_group_t *g, runtime_now_t now, tp_set_t *ret_fresh, tp_set_t *ret_grown);
/* They are made. Whoever made them without having been asked (an administrator) names the topic. */
void share_group_states_made(share_group_t *g, const tp_set_t *made);
void share_group_states_failed(share_group_t *g, const tp_set_t *failed);
/* The topic's states are being given up, or were; the latter forgets them. */
void share_group_states_deleting(share_group_t *g, kafka_uuid_t topic);
void share_group_states_gone(share_group_t *g, kafka_uuid_t topic);
share_group_topic_t *share_group_topic(share_group_t *g, kafka_uuid_t id, bytes_t name);
const share_group_topic_t *share_group_find_topic(const share_group_t *g, kafka_uuid_t id);

/* ---- shared with loading (share_group_records.c) and assigning (share_group_assign.c) ---- */

share_member_t *share_group_find(const share_group_t *g, bytes_t member_id);
share_member_t *share_group_add(share_group_t *g, bytes_t member_id);
void share_group_set_topics(share_group_t *g, share_member_t *m, const bytes_t *topics, size_t count);
/* `tombstones`: keeps it on the list of what must be stored. */
void share_group_remove(share_group_t *g, share_member_t *m, bool tombstones);
void share_member_free(share_member_t *m);
void share_group_load_end(share_group_t *g, runtime_now_t now);
void share_group_states_clear(share_group_t *g);
/* Computes every member's target. */
void share_group_assign(share_group_t *g);

#endif

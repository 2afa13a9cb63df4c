/* share_leader_internal.h: what the files of a share partition's leader share. */
#ifndef TRIVET_KAFKA_SHARE_LEADER_INTERNAL_H
#define TRIVET_KAFKA_SHARE_LEADER_INTERNAL_H

#include "kafka/coordinator/share/share_state.h"
#include "kafka/share/share_leader.h"
#include "kafka/share/shares_internal.h"

struct share_leader {
    kafka_t *kafka;
    share_group_t *group; /* NULL once it is gone */
    list_t node;          /* in group->living */
    bytes_t group_id;     /* owned: what is under way may outlive the group */
    kafka_uuid_t topic_id;
    int32_t index;
    int32_t leader_epoch, state_epoch;
    uint32_t refs;     /* the group's, one for each read and write under way, one for its news */
    uint32_t writes;   /* under way */
    bool ready;        /* what is stored has been read */
    kafka_code_t gone; /* why; 0 = it is not */
    share_partition_t records;
    io_timer_t timer;
    int64_t due_ms; /* the timer's; SHARE_NEVER_MS = it is not armed */
    list_t waiters;
    list_t news_node;
    partition_waiter_t growth; /* of the log; linked while somebody waits */
};

/* share_leader.c */
kafka_code_t share__partition(const share_leader_t *leader, partition_t **ret_partition) MUST_CHECK;
void share__leader_unref(share_leader_t *leader);
/* Closes it, and forgets its group when nothing else is left of that. */
void share__leader_end(share_leader_t *leader, kafka_code_t error);
/* Forgets it when its group has no sessions and nothing is being written; with it the group, when it was the last. */
void share__leader_maybe_drop(share_leader_t *leader);
/* There may be something to acquire. */
void share__news(share_leader_t *leader);
void share__follow_log(share_leader_t *leader);
int64_t share__now_ms(const share_leader_t *leader);
void share__set_timer(share_leader_t *leader);

/* share_load.c: begins to read what is stored; it may fail, and close the leader, within the call. */
void share__load(share_leader_t *leader);

/* share_take.c */
bool share__may_have_some(const share_leader_t *leader);

/* share_store.c */
/* Stores what was taken back from members, who need not know how that ends; others may have it. */
void share__taken_back(share_leader_t *leader, const share_stored_list_t *stored);
/* Stores where a partition begins of which nothing was stored; `stored` runs when that is done, unless the leader is gone by then. */
void share__store_start(share_leader_t *leader, void (*stored)(share_leader_t *leader));
share_state_key_t share__state_key(const share_leader_t *leader);
/* An error of the store as members are told of it. */
kafka_code_t share__code_of(kafka_code_t error) MUST_CHECK;
/* Ends the leader because its store has refused it. */
void share__refused(share_leader_t *leader, kafka_code_t error, const char *message);

#endif

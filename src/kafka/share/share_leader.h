/* share_leader.h: what the leader of a partition knows of one share group that reads it: the machine of share_partition.h with a
 * clock, a log and a store.
 *
 *              stored state is read                       (nothing was stored: the start is looked up
 *   LOADING ---------------------------> READY             by share.auto.offset.reset, and stored)
 *      |  cannot be read, nor stored       |  fenced, topic deleted, another leader epoch
 *      v                                   v
 *    gone, with an error for whoever waits; the next fetch begins anew
 *
 * Invariants: an answer counts, and is told, once it is stored. Nothing that has been written waits for anything else. Who waits is
 * woken when there may be something to acquire, or when the leader is gone. */
#ifndef TRIVET_KAFKA_SHARE_LEADER_H
#define TRIVET_KAFKA_SHARE_LEADER_H

#include "kafka/partition/partition.h"
#include "kafka/share/share_partition.h"
#include "kafka/share/share_settings.h"
#include "kafka/share/shares.h"

typedef struct share_leader share_leader_t;
struct share_group;

/* The one of a partition, made if need be. UNKNOWN_TOPIC_ID, UNKNOWN_TOPIC_OR_PARTITION, NOT_LEADER_OR_FOLLOWER, KAFKA_STORAGE_ERROR. */
kafka_code_t share_leader_get(struct share_group *group, kafka_uuid_t topic_id, int32_t index,
                              share_leader_t **ret_leader) MUST_CHECK;
/* NULL when there is none. */
share_leader_t *share_leader_find(const struct share_group *group, kafka_uuid_t topic_id, int32_t index);

/* Woken in a later turn. It is unlinked before; list_remove(&waiter->node) gives it up earlier. With an error the leader is gone. */
typedef struct share_waiter {
    list_t node;
    void (*wake)(struct share_waiter *waiter, kafka_code_t error);
} share_waiter_t;
void share_leader_wait(share_leader_t *leader, share_waiter_t *waiter);
/* Wakes who waits, if there may be something: for who has looked in an earlier turn, and may have missed news. */
void share_leader_wake(share_leader_t *leader);

/* ---- acquiring ---- */

/* How many bytes it could take, at most about `bytes_max`; 0 also while it is loading. */
kafka_code_t share_leader_look(share_leader_t *leader, const share_settings_t *settings, size_t bytes_max,
                               size_t *ret_bytes) MUST_CHECK;
/* It is loaded, and not at its limit: a fetch that wants no bytes at least need not wait for more. */
bool share_leader_is_open(const share_leader_t *leader, const share_settings_t *settings);

typedef struct share_take {
    uint64_t member;
    size_t bytes_max; /* one batch is taken even if it is larger */
    int32_t records_max, range_records;
    bool strictly;
} share_take_t;
typedef struct share_taken {
    log_slice_t slice;          /* the batches that hold what was acquired; the caller's */
    share_acquired_t *acquired; /* the arena's */
    size_t count;
    int64_t records;
    bool passed_over; /* nothing was acquired, but there is more behind what was looked at */
} share_taken_t;
kafka_code_t share_leader_take(share_leader_t *leader, const share_settings_t *settings, const share_take_t *take,
                               arena_t *arena, share_taken_t *ret_taken) MUST_CHECK;

/* ---- answers ---- */

/* On its way until `done` has run, maybe within the call. */
typedef struct share_answer {
    void (*done)(struct share_answer *answer, kafka_code_t error);
} share_answer_t;
/* `acks` are ascending. INVALID_RECORD_STATE, INVALID_REQUEST, or why it could not be stored. */
void share_leader_acknowledge(share_leader_t *leader, const share_settings_t *settings, uint64_t member,
                              const share_ack_t *acks, size_t count, arena_t *arena, share_answer_t *answer);
/* Gives back what the member has. */
void share_leader_release(share_leader_t *leader, const share_settings_t *settings, uint64_t member);

#endif

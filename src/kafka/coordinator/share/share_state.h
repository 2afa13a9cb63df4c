/* share_state.h: what survives of share partitions (KIP-932): how far each share group has got in each partition, kept in
 * __share_group_state. It is a machine of the runtime (runtime.h). The leader of a partition reads here when a group comes to it
 * first, and writes each answer of a member before it counts; the group coordinator makes and removes states, and asks where
 * they begin.
 *
 *      initialize (state epoch e)        read (leader epoch l)          write (e, l)
 *   ---------------------------> state ------------------------> state ------------------> state, and so on
 *                                  \___ delete ___ (a tombstone) ___/
 *
 * Two epochs fence. The state's grows whenever an administrator or the coordinator gives the group another start: writes of an
 * older one fail with FENCED_STATE_EPOCH, and the leader has to read again. The leader's grows with the partition's leader: reads
 * and writes of an older one fail with FENCED_LEADER_EPOCH.
 *
 * All functions run on kafka's reactor. They make the topic when there is none, and wait while its partition is read back. */
#ifndef TRIVET_KAFKA_COORDINATOR_SHARE_STATE_H
#define TRIVET_KAFKA_COORDINATOR_SHARE_STATE_H

#include "base/list.h"
#include "kafka/coordinator/runtime.h"
#include "kafka/coordinator/share/share_state_batches.h"
#include "kafka/kafka_internal.h"

#define SHARE_STATE_TOPIC       "__share_group_state"
#define SHARE_STATE_BATCHES_MAX 50000 /* of one state: a leader has fewer records under way */

kafka_share_states_t *kafka_share_states_new(kafka_t *kafka);
/* Answers who waits. Before partitions close. */
void kafka_share_states_stop(kafka_share_states_t *states);
void kafka_share_states_free(kafka_share_states_t *states);
runtime_t *share_states_runtime(const kafka_share_states_t *states);

typedef struct share_state_key {
    bytes_t group_id;
    kafka_uuid_t topic_id;
    int32_t partition;
} share_state_key_t;

typedef struct share_state_value {
    int32_t state_epoch, leader_epoch;
    int64_t start_offset;            /* -1: it has none yet, and share.auto.offset.reset decides */
    int32_t delivery_complete_count; /* how many offsets from start_offset on need no more delivery; -1 = not known */
    const share_state_batch_t *batches; /* ascending */
    size_t batches_count;
} share_state_value_t;

/* A request on its way: a member of what its caller keeps of it, alive with all it refers to until `done` has run. */
typedef struct share_state_request {
    /* On an error: its words, or NULL where the code's own will do; `value` is NULL. Else `value` is the state that a read or a
     * summary found, valid during the call only; after write, initialize and delete it is NULL. */
    void (*done)(struct share_state_request *request, kafka_code_t error, const char *message,
                 const share_state_value_t *value);
    /* the coordinator's */
    kafka_t *kafka;
    share_state_key_t key;
    share_state_value_t value;
    int kind;
    list_t node; /* among those that wait for their partition to be read back */
    runtime_waiter_t waiter;
    runtime_write_t write;
} share_state_request_t;

typedef void (*share_state_done_t)(share_state_request_t *request, kafka_code_t error, const char *message,
                                   const share_state_value_t *value);

/* What a leader goes on from. INVALID_REQUEST: the group has not been given a state for this partition;
 * FENCED_LEADER_EPOCH, UNKNOWN_TOPIC_OR_PARTITION; as every one here COORDINATOR_NOT_AVAILABLE, NOT_COORDINATOR. */
void share_state_read(kafka_t *kafka, const share_state_key_t *key, int32_t leader_epoch,
                      share_state_request_t *request, share_state_done_t done);
/* What has changed: `value->batches` are laid over those that there are, all below `start_offset` (unless it is -1) is
 * forgotten. `done` runs once it is stored. INVALID_REQUEST, FENCED_STATE_EPOCH, FENCED_LEADER_EPOCH. */
void share_state_write(kafka_t *kafka, const share_state_key_t *key, const share_state_value_t *value,
                       share_state_request_t *request, share_state_done_t done);
/* A new state without batches; -1 as start leaves it to share.auto.offset.reset. FENCED_STATE_EPOCH: it has a greater epoch. */
void share_state_initialize(kafka_t *kafka, const share_state_key_t *key, int32_t state_epoch, int64_t start_offset,
                            share_state_request_t *request, share_state_done_t done);
/* It is well when there is none. */
void share_state_delete(kafka_t *kafka, const share_state_key_t *key, share_state_request_t *request,
                        share_state_done_t done);
/* As read, without batches, and nobody is fenced: where there is no state, the start is -1. */
void share_state_summary(kafka_t *kafka, const share_state_key_t *key, int32_t leader_epoch,
                         share_state_request_t *request, share_state_done_t done);

#endif

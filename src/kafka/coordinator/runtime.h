/* runtime.h: runs a state machine over the partitions of one internal topic. The groups of __consumer_offsets are the first;
 * transactions (__transaction_state) and the state of share groups (__share_group_state) are made for the same place.
 *
 * The runtime knows no machine: it hashes a key to its partition, makes the topic when it is first needed, reads a partition
 * back, appends what the machine wants stored, runs its timers, and takes a partition away when somebody else leads it.
 *
 *             gained            all read             all started
 *     absent --------> loading ----------> starting -------------> active
 *       ^               |   ^
 *       |    unreadable v   | gained, when the partition is online again          | the log refuses what memory has
 *       |              failed                                                     v
 *       |                   loading <------------------- a moment later -------- ahead
 *       |
 *       +---- from each of them: lost (the topic is deleted, another broker leads, the server stops)
 *
 * To add a coordinator, write
 *   - a state machine without I/O and clock: an input and a time go in; records to store, replies and a deadline come out;
 *   - one file that fills in runtime_machine_t: how the topic is made, how a record is replayed onto the state, what starts
 *     once a partition is read, what is forgotten when it is lost, and what expires;
 *   - a file in api/ for each request: it asks runtime_check, finds the machine's state under its key, hands in the request
 *     with a callback for the reply, and encodes the response when the callback runs. Nothing here calls api/.
 *
 * Invariants. A reply that promises something leaves after the write that stores it has ended. A machine changes its state
 * either when a write has ended well, or before and without a reply; in the second case the log decides when it has failed:
 * the partition is read back, at once or as soon as it serves again (docs/decisions/0084, 0101). Writes of one partition end in the order in
 * which they began. Nobody waits for a partition that is lost: its writes and its parked requests have ended with an error. */
#ifndef TRIVET_KAFKA_COORDINATOR_RUNTIME_H
#define TRIVET_KAFKA_COORDINATOR_RUNTIME_H

#include "kafka/coordinator/runtime_batch.h"
#include "kafka/coordinator/runtime_now.h"
#include "kafka/kafka_internal.h"
#include "kafka/partition/partition.h"

#define RUNTIME_NEVER_MS INT64_MAX

typedef struct runtime runtime_t;

/* What plugs in. All functions run on the wing's reactor, with the `user` of runtime_new; each must return within a
 * millisecond or so. */
typedef struct runtime_machine {
    const char *name; /* of what is stored, for the log: "consumer groups" */
    /* How the topic is made: all but its name. What the answer refers to may be the arena's. */
    void (*describe_topic)(void *user, arena_t *arena, kafka_topic_spec_t *ret_spec);
    /* One stored record, and the header of its batch, which tells whose it is: a producer's, a transaction's, a marker. The
     * arena is emptied after each. An error makes the partition fail. */
    int (*replay)(void *user, int32_t partition, const batch_header_t *batch, const record_t *record, arena_t *arena);
    /* All records were replayed: starts a piece of what was read, its sessions and its timers. False when all has started. */
    bool (*start)(void *user, int32_t partition);
    /* Forgets what the partition held and answers whoever is parked with `error`. */
    void (*unload)(void *user, int32_t partition, kafka_code_t error);
    /* Looks at a piece of the state for what is too old; `begins` a round, at the interval given to runtime_new. False at its
     * end. */
    bool (*expire)(void *user, bool begins);
} runtime_machine_t;

/* Follows the topic of that name, which must last. `machine` and `user` must outlive the runtime. */
runtime_t *runtime_new(kafka_t *kafka, const char *topic, const runtime_machine_t *machine, void *user,
                       int64_t expire_interval_ms);
/* All partitions are lost. Before the partitions close. */
void runtime_stop(runtime_t *runtime);
void runtime_free(runtime_t *runtime);
runtime_now_t runtime_now(const runtime_t *runtime);

/* ---- where a key belongs ---- */

/* NULL until the topic exists. */
const kafka_topic_t *runtime_topic(const runtime_t *runtime);
/* Over how many partitions keys are spread: as many as the topic had when it was found, even if it grew since. 0 without it. */
int32_t runtime_partitions_count(const runtime_t *runtime);
/* Kafka's hash of a key, spread over so many partitions. Pure. */
int32_t runtime_partition_of(bytes_t key, int32_t partitions_count);
/* Whether the machine can be asked about the partition of this key. KAFKA_NONE with the partition; COORDINATOR_NOT_AVAILABLE
 * without the topic, COORDINATOR_LOAD_IN_PROGRESS, NOT_COORDINATOR. */
kafka_code_t runtime_check(const runtime_t *runtime, bytes_t key, int32_t *ret_partition) MUST_CHECK;
/* The same of a partition. */
kafka_code_t runtime_check_partition(const runtime_t *runtime, int32_t partition) MUST_CHECK;
/* This broker leads the partition, and it could be read or is being read. */
bool runtime_serves(const runtime_t *runtime, int32_t partition);
/* No partition is being read; so it is without the topic. */
bool runtime_is_loaded(const runtime_t *runtime);

/* Makes the topic unless it is there, then runs `ready` with KAFKA_NONE or COORDINATOR_NOT_AVAILABLE; maybe at once. */
typedef struct runtime_waiter {
    list_t node;
    void (*ready)(struct runtime_waiter *waiter, kafka_code_t error);
} runtime_waiter_t;
void runtime_need_topic(runtime_t *runtime, runtime_waiter_t *waiter,
                        void (*ready)(runtime_waiter_t *waiter, kafka_code_t error));

/* ---- the writer (runtime_write.c) ---- */

/* One append of one batch. The caller fills `batch` with at least one record, keeps the write until `done` has run, and then
 * deinits the batch. `done` gets a code fit for clients of a coordinator, and may run within runtime_write. */
typedef struct runtime_write {
    runtime_batch_t batch;
    void (*done)(struct runtime_write *write, kafka_code_t error);
} runtime_write_t;
void runtime_write(runtime_t *runtime, int32_t partition, runtime_write_t *write,
                   void (*done)(runtime_write_t *write, kafka_code_t error));
/* The same of what the machine's state has already: if the log refuses it, the partition is read back. */
void runtime_write_ahead(runtime_t *runtime, int32_t partition, runtime_write_t *write,
                         void (*done)(runtime_write_t *write, kafka_code_t error));
/* The same as runtime_write for records that somebody else has just appended to the partition: the write's batch stays empty. */
void runtime_write_appended(runtime_t *runtime, int32_t partition, runtime_write_t *write,
                            void (*done)(runtime_write_t *write, kafka_code_t error));
/* Whether such a write ends at once. */
bool runtime_write_is_stable(const runtime_t *runtime, int32_t partition);
/* A write ahead that nobody waits for: it is freed when it ends. Give it up with runtime_write_drop when nothing was added. */
runtime_write_t *runtime_write_new(const runtime_t *runtime);
void runtime_write_unheard(runtime_t *runtime, int32_t partition, runtime_write_t *write);
void runtime_write_drop(runtime_write_t *write);
/* Where in this partition the next write will be; -1 while its log cannot be written. */
int64_t runtime_next_offset(const runtime_t *runtime, int32_t partition);
/* How large a batch the topic takes. */
size_t runtime_batch_bytes_max(const runtime_t *runtime);

/* ---- the expirer (runtime_timer.c) ---- */

/* The next deadline of one piece of the machine's state. It may fire before the deadline that was set last: whoever is told
 * looks at what is due and sets the timer again. */
typedef struct runtime_timer {
    runtime_t *runtime;
    void (*fire)(struct runtime_timer *timer);
    io_timer_t timer;
    int64_t due_ms; /* RUNTIME_NEVER_MS when it is not armed */
} runtime_timer_t;
void runtime_timer_init(runtime_t *runtime, runtime_timer_t *timer, void (*fire)(runtime_timer_t *timer));
/* Moves the deadline nearer; a later one is left for when the timer fires. */
void runtime_timer_set(runtime_timer_t *timer, int64_t due_ms);
void runtime_timer_stop(runtime_timer_t *timer);

/* ---- hand-over ---- */

/* This broker leads the partition from now on: it is read back. */
void runtime_gained(runtime_t *runtime, int32_t partition);
/* It does no longer: writes under way and parked requests end with NOT_COORDINATOR, and so does whatever comes. */
void runtime_lost(runtime_t *runtime, int32_t partition);

#endif

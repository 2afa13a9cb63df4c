/* bridge_internal.h: what the files of the bridge share.
 *
 *   produce.c   KAFKA.PRODUCE           outbox.c   the records that are not yet safe in Kafka
 *   record.c    arguments to records    journal.c  their way into the append-only file and back
 *   deliver.c   towards the partitions  delivery.c there and back, batch by batch
 *   far.c       the half on Kafka's     sync.c     stable storage
 *               reactor                 waiters.c  KAFKA.WAIT
 *   straight.c  a record alone, past the outbox
 *   commit.c  KAFKA.COMMIT and what of it is under way; commit_far.c: as Kafka's reactor knows it
 *   question.c  what KAFKA.COMMIT and KAFKA.COMMITTED ask of a group before they run
 *   reroute.c   records whose partitions are gone
 *
 * A record's life:
 *
 *   UNWRITTEN --file written--> QUEUED --> SENT --appended--> PLACED --partition synced, ACK fed--> gone
 *                    \              ^---refused---/
 *                     \--AT--> DELAYED --due: a new number--> UNWRITTEN
 *
 * An offset of a consumer group is a record like the others, of __consumer_offsets.
 *
 * Invariants: numbers rise in the order of `all` and of each topic's queue; a record that is QUEUED or further, and the
 * producer id, are in the append-only file; a record leaves memory (and with it the next base of the file) only when its
 * partition has it on stable storage. */
#ifndef TRIVET_BRIDGE_INTERNAL_H
#define TRIVET_BRIDGE_INTERNAL_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/list.h"
#include "base/map.h"
#include "bridge/bridge.h"
#include "kafka/catalog.h"

#define HEADERS_COUNT_MAX 128
#define OUTBOX_BYTES_MAX  MIB(1024) /* records beyond it are refused, unless bridge_set_bytes_max said otherwise */
#define OUTBOX_RESERVE    8         /* this part of it on top is for scripts that have written when they find it full */
#define DELIVER_PER_TURN  512       /* appended before the loop turns */
#define DELIVER_SHARE     64        /* and this part of what waits: it keeps up with whoever writes more than that */
#define RETRY_MS          250       /* after a partition refused */
#define REFUSED_MS_MAX    3000      /* of a partition that its disk refuses, before who waits for it hears so */
#define NUMBERS_SKIPPED   (1 << 24) /* more than any file lost that was not synced: see deliver_start */
#define LOADING_MS        10        /* while Kafka starts and reads its groups */
#define ACK_RANGES_MAX    64        /* in one journal command */
#define LAST_ERROR_BYTES  400
#define PROBLEM_BYTES     512

typedef enum record_state {
    RECORD_UNWRITTEN,
    RECORD_DELAYED,
    RECORD_QUEUED,
    RECORD_SENT, /* Kafka's reactor reads it: it stays as it is, where it is, until the answer */
    RECORD_PLACED,
    RECORD_SYNCING
} record_state_t;

typedef struct outbox_record {
    list_t node;            /* outbox->all, by number */
    list_t queue;           /* outbox->unwritten, topic->records, outbox->placed or outbox->syncing */
    int64_t number, due_ms; /* due 0 = at once */
    int64_t added_ms;
    record_state_t state;
    kafka_produce_t record; /* points behind this struct */
    size_t bytes;
    bool partition_asked; /* PARTITION: the client's choice, which nobody else may change */
    uint64_t client_id;   /* 0 = nobody counts it */
    redis_async_t *async; /* waits for its place */
    /* of an offset until it is placed */
    list_t commit;              /* commit_group->records */
    struct commit_group *group; /* NULL = none */
    bytes_t commit_topic;       /* in the record's key */
} outbox_record_t;

/* The offsets of one consumer group that it does not have yet. */
typedef struct commit_group {
    bytes_t id;
    list_t records; /* outbox_record_t.commit, by number */
} commit_group_t;

typedef struct outbox_topic {
    bytes_t name;
    list_t node;    /* outbox->topics */
    list_t records; /* outbox_record_t.queue */
    int64_t retry_at_ms;
    int64_t refused_since_ms; /* by the disk, without a success; 0 = it is well */
    bool creating;
    bool sent; /* a run of it is under way */
} outbox_topic_t;

typedef struct waiters {
    map_t clients; /* id -> client_count_t */
    list_t waits;
} waiters_t;

struct bridge {
    io_loop_t *loop;
    redis_t *redis;
    io_loop_t *kafka_loop;
    kafka_t *kafka;                  /* NULL = the wing is off */
    kafka_catalog_t *catalog;        /* what is asked of Kafka in the middle of a command; NULL as kafka is */
    struct bridge_command *commands; /* help.c */
    bool started, stopped;
    bool unreadable; /* the append-only file had a journal command that makes no sense */
    /* the outbox */
    list_t all, unwritten, topics;
    list_t placed, syncing; /* in their partitions; of them, those that the round under way makes durable */
    map_t topics_by_name;
    map_t by_number;     /* while loading */
    map_t commit_groups; /* id -> commit_group_t; none is empty */
    size_t commits_count;
    outbox_record_t **delayed; /* a heap: the one that is due first is at 0 */
    size_t delayed_count, delayed_cap;
    size_t count, bytes, bytes_max, placed_count;
    size_t memory_bytes; /* what the allocator gave for `bytes` */
    int64_t next_number;
    int64_t producer_id; /* -1 = none yet */
    bool asking_id;
    char last_error[LAST_ERROR_BYTES];
    uint64_t delivered_total, rerouted_total, dropped_total;
    map_t coming;       /* topics that records of this turn are to make */
    uint64_t coming_ns; /* which turn that is */
    io_hook_t hook;
    io_timer_t retry_timer, due_timer, sync_timer;
    bool syncs;                          /* a round is under way */
    list_t straight;                     /* straight_t: records alone, whose clients wait */
    size_t straight_bytes;               /* of them */
    struct straight_load *straight_load; /* those of this turn; NULL = none */
    list_t questions;                    /* group_question_t */
    struct far_commits *far_commits;     /* the far half's */
    struct far_link *link;               /* what answers on their way hold: they may come when the bridge is gone */
    waiters_t waiters;
    bridge_feeds_t *feeds; /* the server's; NULL = none yet */
    char problem[PROBLEM_BYTES];
};

/* ---- bridge.c ---- */

/* What Kafka's reactor has told of its topics counts from here on: at the start of what must be decided on one picture. */
void bridge__update(bridge_t *bridge);

/* ---- record.c ---- */

typedef struct produce_args {
    kafka_produce_t record;
    kafka_header_t headers[HEADERS_COUNT_MAX];
    int64_t at_ms; /* 0 = at once */
    bytes_t once_key;
    int64_t once_seconds; /* 0 = no ONCE */
} produce_args_t;

/* Reads KAFKA.PRODUCE's arguments, which are borrowed; NULL, or what is wrong with them. */
const char *record__parse(int argc, const bytes_t *argv, produce_args_t *ret_args);
/* The same with Kafka's say: what record__parse tells or why Kafka would refuse; in bridge->problem. `midway`: a script
 * that has written already asks, and is not refused for want of room. */
const char *record__check(bridge_t *bridge, int argc, const bytes_t *argv, bool midway, produce_args_t *ret_args);
/* The same words for what Kafka said. */
const char *bridge__problem(bridge_t *bridge, kafka_code_t error, const char *message);
/* NULL, or why nothing can be taken at all. */
const char *outbox_problem(const bridge_t *bridge, bool midway);
/* One allocation with copies of all bytes. */
outbox_record_t *outbox_record_new(const kafka_produce_t *record);

/* ---- outbox.c ---- */

void outbox_init(bridge_t *bridge);
void outbox_deinit(bridge_t *bridge);
size_t outbox_waiting_bytes(void *user); /* the memory they take */
/* The newest: takes the next number. */
void outbox_add(bridge_t *bridge, outbox_record_t *record);
/* As read back: at its own number. */
void outbox_restore(bridge_t *bridge, outbox_record_t *record);
void outbox_forget(bridge_t *bridge, outbox_record_t *record);
/* Into its topic's queue, or among the delayed. */
void outbox_queue(bridge_t *bridge, outbox_record_t *record);
/* The next delayed record that is due, taken out; NULL = none. */
outbox_record_t *outbox_take_due(bridge_t *bridge, int64_t now_ms);
void outbox_topic_release(bridge_t *bridge, outbox_topic_t *topic);
void outbox_error(bridge_t *bridge, const outbox_record_t *record, kafka_code_t error, const char *message);

/* ---- journal.c ---- */

void journal_add(bridge_t *bridge, redis_call_t *call, const outbox_record_t *record);
/* In the entry of the change that is being told of (the change feed). */
void journal_add_too(bridge_t *bridge, const outbox_record_t *record);
void journal_state(bridge_t *bridge);
void journal_place(bridge_t *bridge, const outbox_record_t *record);
void journal_due(bridge_t *bridge, int64_t old_number, int64_t new_number);
void journal_ack(bridge_t *bridge, const int64_t *ranges, int ranges_count);
/* The outbox as commands: for the base of a rewritten file. */
void journal_emit(void *user, redis_base_t *base);
void journal_command(redis_call_t *call, void *user);

/* ---- reroute.c ---- */

/* The record's partition does not exist, while its topic does with so many: the topic was made anew with fewer. */
static inline bool reroute_is_due(const outbox_record_t *record, int32_t partitions_count)
{
    return record->record.partition >= partitions_count;
}
/* Chooses a partition for those of a topic's queue that have none, or none any more, and journals it: from the next turn
 * on they can be delivered. The first one that stays without, because its client chose the partition that is gone. */
const outbox_record_t *reroute_topic(bridge_t *bridge, outbox_topic_t *topic, int32_t partitions_count);
void reroute_command(redis_call_t *call, void *user);

/* ---- deliver.c ---- */

/* `last_number` is the highest that a partition has of the bridge, -1 = none; `offline`: there may be higher ones. */
void deliver_start(bridge_t *bridge, int64_t last_number, bool offline);
void deliver_stop(bridge_t *bridge);

/* ---- sync.c ---- */

void sync_init(bridge_t *bridge);
/* Something was placed: it is synced in a while. */
void sync_soon(bridge_t *bridge);

/* ---- waiters.c ---- */

void waiters_init(bridge_t *bridge);
void waiters_deinit(bridge_t *bridge);
/* A record of this client was enqueued, is delayed (or no more), is in its partition. */
void waiters_added(bridge_t *bridge, uint64_t client_id);
void waiters_placed(bridge_t *bridge, uint64_t client_id);
void waiters_command(redis_call_t *call, void *user);
void waiters_gone(void *user, uint64_t client_id);

/* ---- produce.c ---- */

void produce__reply_place(redis_client_t *client, int32_t partition, int64_t offset);
void produce_command(redis_call_t *call, void *user);
bool produce_follows(int argc, const bytes_t *argv);
const char *produce_precondition(int argc, const bytes_t *argv, redis_question_t *question, void *user);

/* ---- commit.c ---- */

/* A record is (about to be) queued that will make its topic. */
void topic_promise(bridge_t *bridge, bytes_t topic);
/* Whether one is that comes before what is added now. */
bool topic_comes(bridge_t *bridge, bytes_t topic);
/* Whether the offset must wait for records that make its topic. */
bool commit_must_wait(bridge_t *bridge, const outbox_record_t *record);
void commits_init(bridge_t *bridge);
void commits_deinit(bridge_t *bridge);
/* If the record is an offset: from now on it counts as under way, or no more. */
void commit_track(bridge_t *bridge, outbox_record_t *record);
void commit_untrack(bridge_t *bridge, outbox_record_t *record);
void commit_command(redis_call_t *call, void *user);
const char *commit_precondition(int argc, const bytes_t *argv, redis_question_t *question, void *user);
redis_question_t *commit_ask(int argc, const bytes_t *argv, void *user);
void committed_command(redis_call_t *call, void *user);
redis_question_t *committed_ask(int argc, const bytes_t *argv, void *user);

/* ---- question.c ---- */

typedef struct group_question group_question_t;
/* Asked, and perhaps answered, within the call. */
redis_question_t *question_of_member(bridge_t *bridge, const kafka_commit_t *asked, const kafka_member_t *member);
redis_question_t *question_of_offset(bridge_t *bridge, const kafka_commit_t *asked);
/* Kafka's code with its words, and of an offset what the group has (-1 = nothing). */
kafka_code_t question_answer(const redis_question_t *question, int64_t *ret_offset, const char **ret_words) MUST_CHECK;
/* The group is held for this question (NULL: for none), and from now on for an offset. */
bool question_take_hold(redis_question_t *question);
/* The record, if it is an offset, was placed: answers of before give way. */
void questions_placed(bridge_t *bridge, const outbox_record_t *record);
void questions_stop(bridge_t *bridge);

/* ---- help.c ---- */

void bridge__add_commands(bridge_t *bridge);

/* ---- show.c ---- */

void show_command(redis_call_t *call, void *user);

#endif

/* partition.h: one partition that this broker holds: its log, what its producers sent last, its high
 * watermark, and who waits on it.
 *
 * All on one reactor. With a single replica the high watermark follows the log's end at once, except where
 * flush.messages asks for stable storage first: then it follows the durable offset, and acknowledgements wait
 * for that. */
#ifndef TRIVET_KAFKA_PARTITION_H
#define TRIVET_KAFKA_PARTITION_H

#include "kafka/kafka_internal.h"
#include "kafka/record/record.h"
#include "log/log.h"

/* ---- life: called by topics.c ---------------------------------------------------------------------------------------- */

#define PARTITION_WHY_CHARS_MAX 700

/* Opens or makes <data_dir>/<topic>-<index>/ (with partition.metadata), recovers it, and leads at the epoch
 * in the topic's partition state. Needs kafka->partitions (store.h). On an error `why` says what is wrong, where, and
 * what helps. */
int partition_open(kafka_topic_t *topic, int32_t index, partition_t **ret_partition,
                   char why[PARTITION_WHY_CHARS_MAX]) MUST_CHECK;
/* The same into the topic's state, where it is not yet; a partition that cannot be opened is offline (offline.c). */
void partition_bring(kafka_topic_t *topic, int32_t index);
/* After a crash, before partition_bring: true when the partition may be opened now. Else its log is being read in the pool, or will be when
 * partition_precheck_may_begin; `prechecked` runs each time that one is done. */
bool partition_precheck(kafka_topic_t *topic, int32_t index) MUST_CHECK;
bool partition_precheck_may_begin(const kafka_t *kafka);
uint32_t partition_prechecks(const kafka_t *kafka); /* under way */
void partition_on_prechecked(kafka_t *kafka, void (*prechecked)(kafka_t *kafka));
/* It was opened, or will not be. Harmless when there is none. */
void partition_precheck_end(kafka_topic_t *topic, int32_t index);
/* Its topic goes, or the broker stops. */
void partition_offline_forget(kafka_topic_t *topic, int32_t index);
/* The same when the topic is deleted, with a line that names the directory, which stays. */
void partition_offline_deleted(kafka_topic_t *topic, int32_t index);
uint32_t partition_offline_count(const kafka_t *kafka);
/* The topic's settings changed. */
void partition_configure(partition_t *partition);
void partition_set_leader_epoch(partition_t *partition, int32_t leader_epoch);
/* Answers all who wait (NOT_LEADER_OR_FOLLOWER), writes a snapshot of the producers and closes. Stable
 * storage is partition_store_close's business, for all partitions at once. */
void partition_close(partition_t *partition);
/* Answers all who wait (UNKNOWN_TOPIC_OR_PARTITION) and removes the directory. */
void partition_delete(partition_t *partition);

/* ---- figures --------------------------------------------------------------------------------------------------------- */

kafka_topic_t *partition_topic(const partition_t *partition);
int32_t partition_index(const partition_t *partition);
int32_t partition_leader_epoch(const partition_t *partition);
log_t *partition_log(partition_t *partition);
uint64_t partition_bytes(const partition_t *partition);
int64_t partition_log_start_offset(const partition_t *partition);
int64_t partition_log_end_offset(const partition_t *partition);
int64_t partition_high_watermark(const partition_t *partition);
/* Below it every transaction is decided, and its marker may be read. */
int64_t partition_last_stable_offset(const partition_t *partition);
uint32_t partition_producers_count(const partition_t *partition);
/* The epoch and last sequence of a producer; false when it is not known here. */
bool partition_producer_last(const partition_t *partition, int64_t producer_id, int16_t *ret_epoch,
                             int32_t *ret_sequence);
void partition_keep_producer(partition_t *partition, int64_t producer_id);
typedef struct partition_producer {
    int64_t id;
    int16_t epoch;
    int32_t last_sequence; /* -1 = none */
    int64_t timestamp_ms;
    int32_t coordinator_epoch; /* of its last marker; -1 = none */
    int64_t open_offset;       /* where its open transaction began; -1 = none is open */
} partition_producer_t;
void partition_each_producer(const partition_t *partition,
                             void (*each)(void *user, const partition_producer_t *producer), void *user);
/* KAFKA_NONE, FENCED_LEADER_EPOCH, UNKNOWN_LEADER_EPOCH; -1 is not checked. */
kafka_code_t partition_check_epoch(const partition_t *partition, int32_t current_leader_epoch) MUST_CHECK;

/* ---- appending ------------------------------------------------------------------------------------------------------- */

typedef enum partition_origin {
    PARTITION_CLIENT,      /* a Produce request: everything is checked */
    PARTITION_BRIDGE,      /* a client's checks but for the sequence, which rises with gaps: produce_numbered.c */
    PARTITION_COORDINATOR, /* our own records (offsets, transaction state): any batch the log takes */
} partition_origin_t;

typedef struct partition_record_error {
    int32_t batch_index;
    const char *message;
} partition_record_error_t;

typedef struct partition_appended {
    int64_t base_offset;
    int64_t last_offset;
    int64_t log_append_time_ms; /* -1 unless message.timestamp.type=LogAppendTime */
    int64_t log_start_offset;
    bool duplicate;
    const char *message; /* when refused: more than the code says, or NULL; static or in the arena */
    partition_record_error_t *record_errors; /* in the arena */
    int32_t record_errors_count;
} partition_appended_t;

#define PARTITION_APPENDED_NONE                                                                                        \
    ((partition_appended_t){.base_offset = -1, .last_offset = -1, .log_append_time_ms = -1, .log_start_offset = -1})

/* The codec under which batches are kept, and its level, when the topic's compression.type names one; false = as their
 * producers made them. */
bool partition_codec(const kafka_topic_config_t *config, record_codec_t *ret_codec, int *ret_level);
/* Appends exactly one batch (`records` is patched in place). Returns a Kafka error code. After KAFKA_NONE the
 * record is written; whether it may be acknowledged says partition_needs_commit. Wakes waiting fetches (in a
 * later turn). */
kafka_code_t partition_append(partition_t *partition, uint8_t *records, size_t bytes, partition_origin_t origin,
                              arena_t *arena, partition_appended_t *ret_appended) MUST_CHECK;
/* The same for a Produce request, whose batch may be opened off the loop: then it is copied into the arena, which must live
 * until `produced` has run, unless the batch lasts as long itself. That runs once, and inside the call when true is returned. Batches of one partition enter it
 * in the order of the calls. */
typedef void (*partition_produced_cb)(void *user, kafka_code_t error, const partition_appended_t *appended);
/* `guard`: what partition_guard said before the coordinator said that this partition is part of its producer's transaction. */
#define PARTITION_UNVERIFIED (-1)
bool partition_produce(partition_t *partition, bytes_t records, bool lasts, int64_t guard, arena_t *arena,
                       partition_produced_cb produced, void *user);
/* Acknowledging must wait for partition_commit: flush.messages says so. */
bool partition_needs_commit(const partition_t *partition);
/* `done` runs later, once everything appended so far is on stable storage, with KAFKA_NONE or an error code.
 */
typedef struct partition_commit {
    void (*done)(struct partition_commit *commit, kafka_code_t error);
    partition_t *partition;
    int64_t end_offset;
    log_commit_t log_commit;
} partition_commit_t;
void partition_commit(partition_t *partition, partition_commit_t *commit,
                      void (*done)(partition_commit_t *commit, kafka_code_t error));

/* ---- transactions (transactions.c) ----------------------------------------------------------------------------------- */

/* Appends the marker that ends a producer's transaction here, if it has one. INVALID_PRODUCER_EPOCH,
 * TRANSACTION_COORDINATOR_FENCED, or an error of the log. It may be acknowledged as an append may. */
kafka_code_t partition_end_transaction(partition_t *partition, const record_marker_t *marker) MUST_CHECK;
/* A transaction of this producer and epoch is open here: its coordinator knows of this partition. */
bool partition_has_open(const partition_t *partition, int64_t producer_id, int16_t epoch);
/* Changes when a marker of this producer is appended: what its coordinator said before counts no more. */
uint32_t partition_guard(const partition_t *partition, int64_t producer_id);
/* The aborted transactions with records in [from, to). */
kafka_code_t partition_aborted(partition_t *partition, int64_t from, int64_t to,
                               void (*each)(void *user, const log_aborted_t *aborted), void *user) MUST_CHECK;

/* ---- reading --------------------------------------------------------------------------------------------------------- */

/* Batches from the one that holds `offset`, below the high watermark (read_committed: the last stable
 * offset). Returns a Kafka error code (OFFSET_OUT_OF_RANGE, KAFKA_STORAGE_ERROR); an empty slice is no error.
 */
kafka_code_t partition_find(partition_t *partition, int64_t offset, size_t bytes_max, bool whole_first,
                            bool read_committed, log_slice_t *ret_slice) MUST_CHECK;
/* Who keeps a slice keeps a file open. While many do, let go of it, and find it again when its bytes are copied. */
bool partition_files_scarce(const partition_t *partition);
/* The same, copied behind what `out` holds: for readers inside the process. *ret_next_offset is where to go
 * on. */
kafka_code_t partition_read(partition_t *partition, int64_t offset, size_t bytes_max, buf_t *out,
                            int64_t *ret_next_offset) MUST_CHECK;
/* The first record at or after a time (or one of ListOffsets' negative times). offset -1: there is none. */
typedef struct partition_offset {
    int64_t offset;
    int64_t timestamp_ms;
    int32_t leader_epoch;
} partition_offset_t;
/* `told` runs once, inside the call when it returns true; else the arena must live until then. */
typedef void (*partition_offset_cb)(void *user, kafka_code_t error, const partition_offset_t *found);
bool partition_offset_for(partition_t *partition, int64_t timestamp_ms, bool read_committed, arena_t *arena,
                          partition_offset_cb told, void *user);
/* Moves the log's start up to `offset` (-1 = the high watermark). */
kafka_code_t partition_delete_records(partition_t *partition, int64_t offset, int64_t *ret_low_watermark) MUST_CHECK;

/* Runs `wake` in a later turn, once, when the high watermark has moved or the partition is gone (error: why).
 * The waiter is unlinked before it runs; unlink it earlier with list_remove(&waiter->node). */
typedef struct partition_waiter {
    list_t node;
    void (*wake)(struct partition_waiter *waiter, kafka_code_t error);
} partition_waiter_t;
void partition_wait(partition_t *partition, partition_waiter_t *waiter);

#endif

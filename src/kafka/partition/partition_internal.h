/* partition_internal.h: what the files of this room share. */
#ifndef TRIVET_KAFKA_PARTITION_INTERNAL_H
#define TRIVET_KAFKA_PARTITION_INTERNAL_H

#include "kafka/partition/cleaner.h"
#include "kafka/partition/partition.h"
#include "kafka/partition/producer_state.h"
#include "kafka/partition/store.h"

#define PARTITION_PATH_CHARS_MAX 4096

struct partition {
    kafka_topic_t *topic;
    int32_t index;
    int32_t leader_epoch;
    log_t *log;
    int64_t high_watermark;
    int64_t snapshot_offset; /* of the newest snapshot written or read; -1 = none */
    int64_t snapshot_before; /* of the one before, which is kept too */
    producers_t producers;
    list_t decided;     /* transactions.c: ended, and readers do not see it yet */
    list_t waiters;     /* partition_waiter_t */
    list_t lookups;     /* offset.c: those that the opener has */
    list_t produces;    /* produce.c: batches on their way in; the first is being opened */
    list_t store_node;  /* in store->partitions */
    list_t news_node;   /* in store->news while waiters must be woken */
    log_commit_t flush; /* ours, for the high watermark where flush.messages counts */
    bool flushing;
    bool unreadable;           /* and that was told */
    uint32_t clean_failures;   /* in a row */
    uint64_t clean_not_before; /* on the loop's monotonic clock, in ns: after a failure */
    kafka_code_t closing;      /* the error that whoever still waits gets; 0 = open */
};

typedef struct partition_offline partition_offline_t;
typedef struct partition_precheck partition_precheck_t;

#define PARTITION_PRECHECKS_MAX 2 /* at a time */

enum { PARTITION_SUMS = 2 }; /* checkpoints that have one */
#define PARTITION_SUMS_NAME ".checkpoint-sums"
typedef struct partition_sum {
    bool known;
    uint32_t now, before; /* CRC-32C of the file as written last, and as it was before */
} partition_sum_t;

typedef struct partition_checkpoints partition_checkpoints_t;

struct partition_store {
    kafka_t *kafka;
    cleaner_t *cleaner;
    log_files_t *files; /* of all partitions' logs */
    list_t partitions;
    list_t news;
    list_t offline; /* partition_offline_t */
    bool offline_changed;
    io_timer_t offline_timer;
    int refused_err; /* of an append, of late; 0 = none */
    uint64_t refused_ns;
    io_timer_t refused_timer;
    io_hook_t hook;
    uint32_t partitions_count;
    slice_t maintenance;          /* a round over all partitions */
    uint32_t maintain_left;       /* partitions of it */
    bool expiry_wanted, expiring; /* of producers: by the next round, by this one */
    io_timer_t news_timer, maintain_timer, checkpoint_timer, expiry_timer;
    partition_checkpoints_t *checkpoints;
    uint32_t prechecks; /* under way */
    void (*prechecked)(kafka_t *kafka);
    bool opened; /* what was there at the start has been opened */
    partition_sum_t sums[PARTITION_SUMS];
    bool suspect;    /* a checkpoint is damaged or missing */
    bool clean;      /* the last stop was orderly */
    bool power_lost; /* the machine may have lost power since */
    bool failed;     /* a partition did not close: the next start must recover */
};

/* A partition's lines in the checkpoint files; -1 = none. */
typedef struct partition_checkpoint {
    int64_t recovery_point, log_start, high_watermark;
    int64_t cleaned;    /* below it the log was compacted; once there is a line, the log may have gaps */
    bool seen;          /* somebody asked for it: the partition is there */
    int64_t closed_end; /* the end of a log that was closed, once the stop has synced it: -1 = open */
} partition_checkpoint_t;
#define PARTITION_CHECKPOINT_NONE                                                                                      \
    ((partition_checkpoint_t){                                                                                         \
        .recovery_point = -1, .log_start = -1, .high_watermark = -1, .cleaned = -1, .closed_end = -1})

/* store.c */
void partition__store_add(partition_t *partition);
/* Takes the partition off; what it knows is kept for the checkpoints, unless it was deleted. */
void partition__store_remove(partition_t *partition, bool deleted);
/* Wakes the partition's waiters before the loop waits again. */
void partition__store_news(partition_t *partition);

/* produce.c: the partition closes; who is still on the way in gets `error`. */
void partition__produces_end(partition_t *partition, kafka_code_t error);

/* offset.c: likewise. */
void partition__lookups_end(partition_t *partition, kafka_code_t error);

/* checkpoint.c */
partition_checkpoints_t *partition__checkpoints_new(partition_store_t *store);
/* Ends what is under way; then nothing is written but by partition__checkpoints_write_now. */
void partition__checkpoints_stop(partition_checkpoints_t *checkpoints);
void partition__checkpoints_free(partition_checkpoints_t *checkpoints);
int partition__checkpoints_read(partition_checkpoints_t *checkpoints) MUST_CHECK;
/* Those of partitions that nobody has asked for: one that gets their name must not be measured by them. */
void partition__checkpoints_drop_unseen(partition_checkpoints_t *checkpoints);
/* Writes them anew, over the turns to come. */
void partition__checkpoints_run(partition_checkpoints_t *checkpoints);
/* The same, waiting for the disk: at the end. */
int partition__checkpoints_write_now(partition_checkpoints_t *checkpoints) MUST_CHECK;
/* What is known of a partition that is being opened. */
partition_checkpoint_t partition__checkpoint(const partition_checkpoints_t *checkpoints, const char *topic,
                                             int32_t index);
/* A new partition must not inherit the lines of one that had its name. */
int partition__checkpoint_forget(partition_checkpoints_t *checkpoints, const char *topic, int32_t index) MUST_CHECK;
void partition__checkpoint_opened(partition_checkpoints_t *checkpoints, const partition_t *partition);
/* What it knows is kept, unless it was deleted. */
void partition__checkpoint_taken_off(partition_checkpoints_t *checkpoints, const partition_t *partition, bool deleted);
/* The log of a partition that was taken off is closed, and ends there. */
void partition__checkpoint_closed(partition_checkpoints_t *checkpoints, const kafka_topic_t *topic, int32_t index,
                                  int64_t end_offset);
/* The logs that were closed are on stable storage to their ends. */
void partition__checkpoints_take_ends(partition_checkpoints_t *checkpoints);
/* The partition is clean up to here: older lines only make the cleaner read more. */
void partition__checkpoint_cleaned(partition_checkpoints_t *checkpoints, const partition_t *partition, int64_t offset);
/* `done` runs when stable storage has it, or with why it has not: then nothing was noted. */
typedef struct partition_cleaned_waiter {
    list_t node;
    void (*done)(struct partition_cleaned_waiter *waiter, int err);
} partition_cleaned_waiter_t;
void partition__checkpoint_cleaned_durably(partition_checkpoints_t *checkpoints, const partition_t *partition,
                                           int64_t offset, partition_cleaned_waiter_t *waiter);
void partition__checkpoint_uncleaned(partition_checkpoints_t *checkpoints, const partition_t *partition);

/* metadata.c */
/* Whose the directory is; it need not be there. One of another topic is put aside. */
int partition__metadata_check(const kafka_topic_t *topic, const char *dir, bool *ret_put_aside,
                              char why[PARTITION_WHY_CHARS_MAX]) MUST_CHECK;
/* Unless it is there. */
int partition__metadata_write(const kafka_topic_t *topic, const char *dir) MUST_CHECK;

/* offline.c */
/* Writes a sentence; what is longer than it may be is cut. */
void partition__why(char why[PARTITION_WHY_CHARS_MAX], const char *fmt, ...) PRINTF_LIKE(2, 3);
/* The partition's log has failed: closes it, and the partition is offline. */
void partition__fail(partition_t *partition, int err);
void partition__offline_run(io_timer_t *timer);

/* sums.c */
void partition__sums_read(partition_store_t *store);
/* The file is as it was written, or has no sum. */
bool partition__sums_fit(const partition_store_t *store, const char *name, bytes_t data);
/* What must be written before the files themselves, and be kept when all are. */
void partition__sums_next(const partition_store_t *store, bytes_t recovery_points, bytes_t log_starts,
                          partition_sum_t ret_sums[PARTITION_SUMS], buf_t *ret_text);
void partition__sums_keep(partition_store_t *store, const partition_sum_t sums[PARTITION_SUMS]);

/* writes.c */
/* The log did not take a batch, for a reason that is the disk's. */
void partition__write_refused(partition_t *partition, int err);
/* A look-up failed where there should be records; told once while it is open. */
void partition__unreadable(partition_t *partition, int64_t offset, int err);
void partition__refused_run(io_timer_t *timer);
/* How the checkpoints' writing ended: 0, or why they are old. */
void partition__checkpoints_told(partition_store_t *store, int err);

/* transactions.c */
/* The high watermark reaches this offset. */
void partition__decided_below(partition_t *partition, int64_t high_watermark);
/* A control batch that the log had when it was opened. */
int partition__replay_control(partition_t *partition, const batch_header_t *batch) MUST_CHECK;

/* snapshot.c */
void partition__snapshot_write(partition_t *partition, int64_t offset);
/* Loads the newest snapshot that is whole, and what came after it from the log. From `control_from` on (log_report_t) markers
 * count for the index of aborted transactions, too. */
int partition__producers_recover(partition_t *partition, int64_t control_from) MUST_CHECK;

/* partition.c */
/* Opens it again from what the disk has, past the page cache. A log that ended at `end_offset` (-1 = not known) must reach so
 * far. */
int partition__open_again(kafka_topic_t *topic, int32_t index, int64_t end_offset, partition_t **ret_partition,
                          char why[PARTITION_WHY_CHARS_MAX]) MUST_CHECK;
/* Answers all who wait (KAFKA_STORAGE_ERROR) and closes without writing. */
void partition__close_failed(partition_t *partition);
bool partition__is_compacted(const partition_t *partition);
/* How the log of a partition that was not open yet is opened; of precheck.c too. */
log_recovery_t partition__recovery(const kafka_topic_t *topic, int32_t index);
/* What is known of it already; NULL = nothing. */
const log_precheck_t *partition__precheck_of(const kafka_topic_t *topic, int32_t index);
void partition__path(const kafka_topic_t *topic, int32_t index, char out[PARTITION_PATH_CHARS_MAX]);
void partition__wake(partition_t *partition, kafka_code_t error);
/* Brings the log to stable storage, and the high watermark with it. */
void partition__flush(partition_t *partition);
/* Something was appended: the high watermark follows, at once or when it is on stable storage. */
void partition__appended(partition_t *partition);
void partition__advance_high_watermark(partition_t *partition, int64_t offset);
kafka_code_t partition__error(int err) MUST_CHECK; /* an ERR_ code of the log in Kafka's terms */

#endif

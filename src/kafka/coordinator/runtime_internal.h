/* runtime_internal.h: what the runtime's files share: runtime.c (topic, partitions, hand-over), runtime_load.c (the loader),
 * runtime_write.c (the writer), runtime_timer.c (the expirer). */
#ifndef TRIVET_KAFKA_COORDINATOR_RUNTIME_INTERNAL_H
#define TRIVET_KAFKA_COORDINATOR_RUNTIME_INTERNAL_H

#include "kafka/coordinator/runtime.h"
#include "kafka/record/stream.h"

typedef struct runtime_partition {
    enum { RUNTIME_ABSENT, RUNTIME_LOADING, RUNTIME_STARTING, RUNTIME_ACTIVE, RUNTIME_AHEAD, RUNTIME_FAILED } state;
    int64_t next_offset; /* to load */
    list_t commits;      /* runtime_write.c: writes that wait for stable storage */
} runtime_partition_t;

/* Where the loader stands: one partition at a time, one piece of it, one batch of that, which is opened first, then one record
 * of that. */
typedef struct runtime_loader {
    slice_t slice;
    bool running;      /* the slice is stepping or waits for its turn */
    int32_t partition; /* that `piece` is of; -1 = of none */
    buf_t piece;
    size_t piece_at;         /* the next batch */
    batch_header_t batch;    /* the one before it */
    record_stream_t *stream; /* while it is being opened */
    buf_t opened;            /* what it was opened to, if it is compressed */
    record_iter_t iter;
    bool iterating;
    arena_t arena; /* of one record */
} runtime_loader_t;

struct runtime {
    kafka_t *kafka;
    const char *topic_name;
    const runtime_machine_t *machine;
    void *user;
    kafka_topic_listener_t listener;
    kafka_topic_t *topic;
    runtime_partition_t *partitions;
    int32_t partitions_count;   /* as it was when the topic was found: it decides where keys are */
    int32_t partitions_loading; /* and starting */
    runtime_loader_t loader;
    list_t waiters; /* runtime_waiter_t, for the topic */
    bool creating;
    io_timer_t expiry_timer;
    slice_t expiry; /* a round of it */
    bool expiring, expiry_begins;
    io_timer_t reread_timer; /* while a partition is ahead of its log */
    bool stopped;
};

/* runtime_load.c */
void runtime__load_init(runtime_t *runtime);
/* A partition has begun to load. */
void runtime__load(runtime_t *runtime, int32_t partition);
/* What was read of this partition is void. */
void runtime__load_forget(runtime_t *runtime, int32_t partition);
void runtime__load_deinit(runtime_t *runtime);

/* runtime_write.c: ends all writes of the partition that wait, with `error`. */
void runtime__write_fail(runtime_partition_t *partition, kafka_code_t error);

/* runtime.c: what is in memory was refused by the log: nobody sees it, and the partition is read back. */
void runtime__reread(runtime_t *runtime, int32_t partition);

/* runtime_timer.c */
void runtime__expiry_start(runtime_t *runtime, int64_t interval_ms);
void runtime__expiry_stop(runtime_t *runtime);

#endif

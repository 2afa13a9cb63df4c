/* share_jobs.h: the same request to the states of many partitions of one group, one after the other. */
#ifndef TRIVET_KAFKA_COORDINATOR_SHARE_JOBS_H
#define TRIVET_KAFKA_COORDINATOR_SHARE_JOBS_H

#include "kafka/coordinator/consumer/tp_set.h"
#include "kafka/coordinator/share/share_state.h"

typedef enum share_job_kind { SHARE_JOB_INITIALIZE, SHARE_JOB_DELETE, SHARE_JOB_SUMMARY } share_job_kind_t;

typedef struct share_job_item {
    topic_partition_t tp;
    int32_t state_epoch;  /* to initialize with */
    int64_t start_offset; /* the same; of a summary what was found */
    /* what came of it */
    int32_t leader_epoch, delivery_complete_count;
    kafka_code_t error;
    const char *message; /* NULL: the code's own */
} share_job_item_t;

typedef struct share_job {
    kafka_t *kafka;
    share_job_kind_t kind;
    bytes_t group_id; /* owned, as the items */
    share_job_item_t *items;
    size_t count, next;
    bool stepping, asking;
    slice_t slice;
    share_state_request_t request;
    void (*done)(struct share_job *job); /* the job is gone when it returns */
    void *user;
} share_job_t;

/* The caller fills in `count` items, then runs it. */
share_job_t *share_job_new(kafka_t *kafka, share_job_kind_t kind, bytes_t group_id, size_t count,
                           void (*done)(share_job_t *job), void *user);
/* `done` may run within. */
void share_job_run(share_job_t *job);

#endif

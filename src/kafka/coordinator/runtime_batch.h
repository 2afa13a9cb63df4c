/* runtime_batch.h: records of a coordinator's state machine on their way to its partition. State machines fill a batch and
 * know nothing of where it goes. */
#ifndef TRIVET_KAFKA_COORDINATOR_RUNTIME_BATCH_H
#define TRIVET_KAFKA_COORDINATOR_RUNTIME_BATCH_H

#include "kafka/record/record.h"

typedef struct runtime_batch {
    record_builder_t builder;
    int64_t now_ms;             /* Unix time: the timestamp of all its records */
    record_producer_t producer; /* in whose transaction they are */
} runtime_batch_t;

static inline runtime_batch_t runtime_batch(int64_t now_ms)
{
    return (runtime_batch_t){RECORD_BUILDER_INIT, now_ms, RECORD_NO_PRODUCER};
}

/* A null value is a tombstone. */
static inline void runtime_batch_add(runtime_batch_t *batch, bytes_t key, bytes_t value)
{
    record_builder_add(&batch->builder, batch->now_ms, key, value, NULL, 0);
}

#endif

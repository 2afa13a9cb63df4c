/* producer_state.h: what a partition knows of each idempotent producer: its epoch and its last five batches,
 * so that a batch sent twice is stored once and a gap is refused, and where its open transaction began (KIP-98). Pure state:
 * partition.c feeds it, snapshots persist it.
 *
 * Sequence numbers count records, from 0 to INT32_MAX and again from 0. */
#ifndef TRIVET_KAFKA_PRODUCER_STATE_H
#define TRIVET_KAFKA_PRODUCER_STATE_H

#include "base/base.h"
#include "base/buf.h"
#include "base/list.h"
#include "base/map.h"
#include "kafka/errors.h"
#include "kafka/record/record.h"
#include "log/log.h"

#define PRODUCER_BATCHES_KEPT 5
#define PRODUCERS_MAX         100000 /* of one partition; above, the longest idle ones are forgotten early */

typedef struct producer_batch {
    int32_t last_sequence;
    int32_t offset_delta;
    int64_t last_offset;
    int64_t timestamp_ms;
} producer_batch_t;

typedef struct producer {
    int64_t id;
    int16_t epoch;
    uint8_t batches_count; /* the newest is the last */
    int32_t coordinator_epoch;
    int64_t txn_first_offset; /* -1 = no transaction is open */
    int64_t timestamp_ms;     /* of its last batch: what expiry looks at */
    list_t open_node;         /* in producers->open while a transaction is open */
    uint32_t ended;           /* markers since it became known: producers_guard */
    producer_batch_t batches[PRODUCER_BATCHES_KEPT];
} producer_t;

#define PRODUCERS_KEEP_ALL INT64_MIN /* nobody knows yet which is the bridge's */

typedef struct producers {
    map_t by_id;     /* 8 bytes -> producer_t */
    int64_t kept_id; /* never forgotten: the bridge's own; -1 = none; PRODUCERS_KEEP_ALL */
    list_t open;     /* producer_t with open transactions, by their first offsets */
} producers_t;

void producers_init(producers_t *producers);
void producers_deinit(producers_t *producers);
void producers_clear(producers_t *producers);
producer_t *producers_get(const producers_t *producers, int64_t id);

/* May this batch of a client be appended? A Kafka error code (INVALID_PRODUCER_EPOCH,
 * OUT_OF_ORDER_SEQUENCE_NUMBER), or KAFKA_NONE; then *ret_duplicate is the batch that it repeats, or NULL.
 * `message` explains, in 160 bytes at most. */
#define PRODUCER_MESSAGE_BYTES_MAX 200
kafka_code_t producers_check(const producers_t *producers, const batch_header_t *batch,
                             const producer_batch_t **ret_duplicate,
                             char message[PRODUCER_MESSAGE_BYTES_MAX]) MUST_CHECK;
/* The same for a batch of a coordinator, which has no sequence. */
kafka_code_t producers_check_epoch(const producers_t *producers, const batch_header_t *batch,
                                   char message[PRODUCER_MESSAGE_BYTES_MAX]) MUST_CHECK;
/* Notes a batch of records that is in the log. Batches without producer id are ignored; a transactional one opens a transaction
 * unless one is open. */
void producers_note(producers_t *producers, const batch_header_t *batch);
/* Forgets who was idle for `idle_ms_max`. */
void producers_expire(producers_t *producers, int64_t now_ms, int64_t idle_ms_max);

/* ---- transactions ---- */

/* The first offset of the open transaction that began first; INT64_MAX = none is open. */
int64_t producers_open_offset(const producers_t *producers);
/* Whether a transaction of this producer and epoch is open. One of an earlier epoch has been ended, and its marker is to come. */
bool producers_is_open(const producers_t *producers, int64_t producer_id, int16_t epoch);
/* Changes when a transaction of this producer ends: what was found out about it before counts no more. */
uint32_t producers_guard(const producers_t *producers, int64_t producer_id);
/* May this marker be appended? INVALID_PRODUCER_EPOCH, TRANSACTION_COORDINATOR_FENCED, or KAFKA_NONE. */
kafka_code_t producers_check_marker(const producers_t *producers, const record_marker_t *marker) MUST_CHECK;
/* Notes a marker that is in the log. True when it ended a transaction: *ret_ended tells of it as the index would, had it been
 * aborted. */
bool producers_note_marker(producers_t *producers, const record_marker_t *marker, int64_t offset, int64_t timestamp_ms,
                           log_aborted_t *ret_ended);

/* A snapshot: i16 version 1, u32 CRC-32C of what follows, i32 count, and for each producer: id i64, epoch
 * i16, last sequence i32, last offset i64, offset delta i32, timestamp i64, coordinator epoch i32, first
 * offset of its transaction i64. */
void producers_encode(const producers_t *producers, buf_t *out);
int producers_decode(producers_t *producers, bytes_t data) MUST_CHECK; /* ERR_CORRUPT: nothing was changed */

static inline int32_t producer_sequence_add(int32_t sequence, int32_t n)
{
    return sequence > INT32_MAX - n ? n - (INT32_MAX - sequence) - 1 : sequence + n;
}
static inline int32_t producer_sequence_sub(int32_t sequence, int32_t n)
{
    return sequence < n ? INT32_MAX - (n - sequence) + 1 : sequence - n;
}

#endif

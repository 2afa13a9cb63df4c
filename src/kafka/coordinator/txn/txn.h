/* txn.h: one transactional id: the state machine of its transactions (KIP-98, KIP-360, KIP-588, KIP-890). Pure: an input and a time
 * go in; the next state, or why not, comes out. Who owns it stores the next state and enters it when that is stored.
 *
 *                 a partition is added        commits                          all markers are written
 *      EMPTY ---------------------------> ONGOING ------> PREPARE_COMMIT ---------------------------> COMPLETE_COMMIT
 *        ^                                 ^    |                                                        |
 *        |     a producer is initialised   |    +-------> PREPARE_ABORT ----------------------------> COMPLETE_ABORT
 *        +---------------------------------|----- aborts, timed out, another producer                    |
 *                                          +-------------------------------------------------------------+
 *
 * A producer of the second protocol version (transaction.version 2) gets a new epoch with each end, so that nothing of an ended
 * transaction can enter the next one.
 *
 * Invariants: nothing is prepared while another step is being stored (`pending`); epochs of a producer id only rise, and the last one
 * is kept for fencing. */
#ifndef TRIVET_KAFKA_COORDINATOR_TXN_H
#define TRIVET_KAFKA_COORDINATOR_TXN_H

#include "base/base.h"
#include "base/map.h"
#include "kafka/errors.h"

typedef enum txn_state { /* as stored */
                         TXN_EMPTY,
                         TXN_ONGOING,
                         TXN_PREPARE_COMMIT,
                         TXN_PREPARE_ABORT,
                         TXN_COMPLETE_COMMIT,
                         TXN_COMPLETE_ABORT,
                         TXN_DEAD,
                         TXN_PREPARE_EPOCH_FENCE,
} txn_state_t;
#define TXN_STATES_COUNT 8

const char *txn_state_text(txn_state_t state); /* "Empty", "PrepareCommit" ... */

/* What a step changes, but for the partitions. */
typedef struct txn_fields {
    txn_state_t state;
    int64_t producer_id;
    int64_t previous_producer_id, next_producer_id; /* -1 = none */
    int16_t producer_epoch;                         /* -1 = of an id that has just been made */
    int16_t last_producer_epoch;
    int16_t client_version; /* of the protocol, as the producer spoke it when this was entered; 0 and 1 are the first */
    int32_t timeout_ms;
    int64_t start_ms; /* Unix time; -1 = none has begun */
    int64_t update_ms;
} txn_fields_t;

/* The partitions of a transaction, by topic. */
typedef struct txn_topic {
    bytes_t name;     /* owned */
    int32_t *indexes; /* ascending */
    int32_t count, cap;
} txn_topic_t;
typedef struct txn_parts {
    map_t topics; /* name -> txn_topic_t; none is empty */
    int32_t count;
} txn_parts_t;

void txn_parts_clear(txn_parts_t *parts);
void txn_parts_add(txn_parts_t *parts, bytes_t topic, int32_t index);
void txn_parts_add_all(txn_parts_t *parts, const txn_parts_t *from);
bool txn_parts_has(const txn_parts_t *parts, bytes_t topic, int32_t index);
bool txn_parts_has_all(const txn_parts_t *parts, const txn_parts_t *of);
/* Iteration: *cursor starts at 0; NULL at the end. */
const txn_topic_t *txn_parts_next(const txn_parts_t *parts, size_t *cursor);

typedef struct txn {
    txn_fields_t now;
    txn_parts_t parts;
    bool pending; /* a step is being stored, or markers are being written */
} txn_t;

/* Of an id that nobody has used yet. */
void txn_init(txn_t *txn, int64_t producer_id, int32_t timeout_ms, int64_t now_ms);
void txn_deinit(txn_t *txn);

typedef struct txn_producer {
    int64_t id; /* -1 = none */
    int16_t epoch;
} txn_producer_t;
#define TXN_NO_PRODUCER ((txn_producer_t){-1, -1})

/* A producer begins with this id. `expected` is what it had before. With *ret_needs_id the epochs of the producer id are used up:
 * the caller comes again with `fresh_id`. When the next state is PREPARE_ABORT, its transaction must be ended so first, and the
 * producer hears CONCURRENT_TRANSACTIONS. */
typedef struct txn_begin {
    txn_producer_t expected;
    int32_t timeout_ms;
    int64_t fresh_id; /* -1 = none yet */
} txn_begin_t;
kafka_code_t txn_begin(const txn_t *txn, const txn_begin_t *in, int64_t now_ms, txn_fields_t *ret_next,
                       bool *ret_needs_id) MUST_CHECK;
/* Adds partitions; *ret_there: they are all among it, and nothing needs to be stored. */
kafka_code_t txn_add(const txn_t *txn, txn_producer_t by, const txn_parts_t *adding, int64_t now_ms,
                     txn_fields_t *ret_next, bool *ret_there) MUST_CHECK;
/* May this producer write to the partition? Who adds nothing himself hears TRANSACTION_ABORTABLE when it is not among them. */
kafka_code_t txn_verify(const txn_t *txn, txn_producer_t by, bytes_t topic, int32_t index) MUST_CHECK;
/* The producer ends it; *ret_done: it has ended so already. */
typedef struct txn_end {
    txn_producer_t by;
    bool commits;
    int16_t client_version;
    int64_t fresh_id; /* as above */
} txn_end_t;
kafka_code_t txn_end(const txn_t *txn, const txn_end_t *in, int64_t now_ms, txn_fields_t *ret_next, bool *ret_done,
                     bool *ret_needs_id) MUST_CHECK;
/* It is aborted without its producer, whose epoch counts no more. Only of one that is ongoing. */
void txn_fence(const txn_t *txn, int64_t now_ms, txn_fields_t *ret_next);
/* All markers are written. */
void txn_complete(const txn_t *txn, int64_t now_ms, txn_fields_t *ret_next);
/* The next state is stored; `adding` may be NULL. */
void txn_enter(txn_t *txn, const txn_fields_t *next, const txn_parts_t *adding);

static inline bool txn_is_prepared(const txn_t *txn)
{
    return txn->now.state == TXN_PREPARE_COMMIT || txn->now.state == TXN_PREPARE_ABORT;
}
bool txn_is_late(const txn_t *txn, int64_t now_ms);                       /* it takes longer than it may */
bool txn_is_old(const txn_t *txn, int64_t now_ms, int64_t expiration_ms); /* the id has not been used for so long */

#endif

/* txns.h: the transaction coordinator: all transactional ids of this broker, kept in __transaction_state. It is a machine of the
 * runtime (runtime.h); an id is a state machine (txn.h). Ending a transaction has two phases:
 *
 *      the decision is stored -> the producer is told -> a marker in each partition -> that all are there is stored
 *
 * A start goes on wherever a crash cut that: a decision without its end has its markers written, maybe again, which changes nothing.
 *
 * Called by the handlers in api/ and by the wing's start and stop. Replies leave by callback, maybe within the call. */
#ifndef TRIVET_KAFKA_COORDINATOR_TXNS_H
#define TRIVET_KAFKA_COORDINATOR_TXNS_H

#include "kafka/coordinator/runtime.h"
#include "kafka/coordinator/txn/producer_ids.h"
#include "kafka/coordinator/txn/txn.h"
#include "kafka/kafka_internal.h"

#define TXNS_TOPIC   "__transaction_state"
#define TXNS_MAX     1000000 /* transactional ids; a producer with another one hears COORDINATOR_NOT_AVAILABLE */
#define TXNS_VERSION 2       /* transaction.version: the protocol's, finalised */

kafka_txns_t *kafka_txns_new(kafka_t *kafka);
/* Answers who waits NOT_COORDINATOR. Before partitions close. */
void kafka_txns_stop(kafka_txns_t *txns);
void kafka_txns_free(kafka_txns_t *txns);
runtime_t *txns_runtime(const kafka_txns_t *txns);
bool txns_loaded(const kafka_txns_t *txns);
uint32_t kafka_txns_count(const kafka_txns_t *txns);

/* ---- requests: a member of what the API keeps of one, alive with all it refers to until `done` has run ---- */

typedef struct txns_request {
    void (*done)(struct txns_request *request, kafka_code_t error, txn_producer_t producer);
    /* the coordinator's */
    struct kafka_txns *txns;
    bytes_t id;
    union {
        txn_begin_t begin;
        txn_end_t end;
    } in;
    producer_id_request_t fresh;
} txns_request_t;

/* A producer begins with a transactional id. */
void txns_begin(kafka_txns_t *txns, bytes_t id, int32_t timeout_ms, txn_producer_t expected, txns_request_t *request,
                void (*done)(txns_request_t *request, kafka_code_t error, txn_producer_t producer));
/* Adds partitions to its transaction. */
void txns_add(kafka_txns_t *txns, bytes_t id, txn_producer_t by, const txn_parts_t *adding, txns_request_t *request,
              void (*done)(txns_request_t *request, kafka_code_t error, txn_producer_t producer));
/* Ends it. */
void txns_end(kafka_txns_t *txns, bytes_t id, txn_producer_t by, bool commits, int16_t client_version,
              txns_request_t *request,
              void (*done)(txns_request_t *request, kafka_code_t error, txn_producer_t producer));
/* As txn_verify. */
kafka_code_t txns_verify(const kafka_txns_t *txns, bytes_t id, txn_producer_t by, bytes_t topic,
                         int32_t index) MUST_CHECK;

/* ---- asking ---- */

/* NULL: there is no such id. */
kafka_code_t txns_find(const kafka_txns_t *txns, bytes_t id, const txn_t **ret_txn) MUST_CHECK;
/* Shows those of one partition of the topic; false when it has no such partition. */
bool txns_each_of(const kafka_txns_t *txns, int32_t partition, void (*each)(void *user, bytes_t id, const txn_t *txn),
                  void *user);
int64_t txns_now_ms(const kafka_txns_t *txns);

#endif

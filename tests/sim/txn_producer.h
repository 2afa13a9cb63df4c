/* txn_producer.h: a scenario's transactional producer: one transaction after the other, some left without an end, some slower than
 * they may be, some thrown out by another producer of the same id. What it was told goes into a ledger, which the scenario
 * compares with what consumers see. */
#ifndef TRIVET_TESTS_SIM_TXN_PRODUCER_H
#define TRIVET_TESTS_SIM_TXN_PRODUCER_H

#include "kafka_client.h"

#include "kafka/record/record.h"

#define TXN_PARTITIONS  4 /* of two topics */
#define TXN_LEDGER_MAX  512
#define TXN_TIMEOUT_MS  300
#define TXN_NAME_CHARS  8
#define TXN_TOPIC_COUNT 2
#define TXN_PER_TOPIC   (TXN_PARTITIONS / TXN_TOPIC_COUNT)

typedef enum txn_outcome {
    TXN_UNDECIDED, /* nobody asked for its commit: nobody may ever see it */
    TXN_ASKED,     /* to commit, and no answer: all of it is there or nothing */
    TXN_COMMITTED,
    TXN_ABORTED,
} txn_outcome_t;

typedef struct txn_line {
    int producer;
    unsigned partitions; /* a bit each: it writes one record there, with its number */
    bool offsets;        /* it commits its number as its group's offset */
    txn_outcome_t outcome;
} txn_line_t;

typedef struct txn_ledger {
    txn_line_t lines[TXN_LEDGER_MAX];
    int count;
} txn_ledger_t;

typedef enum txn_step {
    TXN_FIND_ID, /* makes __transaction_state */
    TXN_FIND_GROUP,
    TXN_MAKE_TOPICS,
    TXN_INIT,
    TXN_ZOMBIE_WRITES, /* with the epoch of before, which must be refused */
    TXN_ZOMBIE_ENDS,
    TXN_BEGIN,
    TXN_ADD,
    TXN_WRITE,
    TXN_ADD_OFFSETS,
    TXN_OFFSETS,
    TXN_END,
    TXN_IDLE,
} txn_step_t;

typedef struct txn_producer {
    run_t *run;
    txn_ledger_t *ledger;
    kafka_client_t kafka;
    io_timer_t timer;
    int number;
    char id[TXN_NAME_CHARS], group[TXN_NAME_CHARS];
    bool second; /* it speaks the protocol of transaction.version 2 */
    txn_step_t step;
    bool waits;
    int64_t producer_id, zombie_id;
    int16_t epoch, zombie_epoch; /* -1 = there was none */
    int32_t sequences[TXN_PARTITIONS];
    int line; /* of the ledger */
    bool commits;
    int partition; /* that is written next */
    int left;      /* transactions to come */
} txn_producer_t;

void txn_producer_init(txn_producer_t *producer, run_t *run, txn_ledger_t *ledger, int number);
/* Connects; goes on with what it had begun, as who tries again does, or as another process with the same id. */
void txn_producer_start(txn_producer_t *producer, io_loop_t *loop, const char *host, uint16_t port, int transactions);
void txn_producer_stop(txn_producer_t *producer);
void txn_producer_deinit(txn_producer_t *producer);
static inline bool txn_producer_is_idle(const txn_producer_t *producer) { return producer->step == TXN_IDLE; }

/* The topic of a partition of the ledger's. */
const char *txn_topic_name(int partition);

#endif

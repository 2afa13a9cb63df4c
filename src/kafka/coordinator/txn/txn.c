/* txn.c: see txn.h. */
#include "kafka/coordinator/txn/txn.h"

#define EPOCH_LAST_GIVEN (INT16_MAX - 1) /* to a producer: one is kept, with which it can be fenced */
#define VERSION_BUMPS    2               /* of the protocol: each end brings a new epoch */

static const char *const state_texts[TXN_STATES_COUNT] = {
    "Empty", "Ongoing", "PrepareCommit", "PrepareAbort", "CompleteCommit", "CompleteAbort", "Dead", "PrepareEpochFence",
};

const char *txn_state_text(txn_state_t state) { return state_texts[state]; }

void txn_init(txn_t *txn, int64_t producer_id, int32_t timeout_ms, int64_t now_ms)
{
    *txn = (txn_t){.parts = {.topics = MAP_INIT}};
    txn->now = (txn_fields_t){
        .state = TXN_EMPTY,
        .producer_id = producer_id,
        .previous_producer_id = -1,
        .next_producer_id = -1,
        .producer_epoch = -1,
        .last_producer_epoch = -1,
        .timeout_ms = timeout_ms,
        .start_ms = -1,
        .update_ms = now_ms,
    };
}

void txn_deinit(txn_t *txn) { txn_parts_clear(&txn->parts); }

static bool is_exhausted(int16_t epoch) { return epoch >= EPOCH_LAST_GIVEN; }

/* What every step leaves as it is, and what it notes. */
static txn_fields_t step_to(const txn_t *txn, txn_state_t state, int64_t now_ms)
{
    txn_fields_t next = txn->now;
    next.state = state;
    next.previous_producer_id = txn->now.producer_id;
    next.next_producer_id = -1;
    next.client_version = 0;
    next.update_ms = now_ms;
    return next;
}

/* ---- a producer begins ----------------------------------------------------------------------------------------------- */

/* It had this id, or the one before it, whose epochs it has used up: then it did not hear of the new one. */
static bool may_begin(const txn_t *txn, txn_producer_t expected)
{
    const txn_fields_t *now = &txn->now;
    if (expected.id == -1 || now->producer_epoch == -1 || expected.id == now->producer_id) return true;
    return expected.id == now->previous_producer_id && is_exhausted(expected.epoch);
}

static txn_fields_t with_fresh_id(const txn_t *txn, const txn_begin_t *in, int64_t now_ms)
{
    txn_fields_t next = step_to(txn, TXN_EMPTY, now_ms);
    next.producer_id = in->fresh_id;
    next.producer_epoch = 0;
    next.last_producer_epoch = in->expected.id != -1 ? txn->now.producer_epoch : -1;
    return next;
}

static kafka_code_t with_next_epoch(const txn_t *txn, const txn_begin_t *in, int64_t now_ms, txn_fields_t *ret_next)
{
    const txn_fields_t *now = &txn->now;
    bool names_epoch = in->expected.id != -1;
    bool is_current = now->producer_epoch == -1 || in->expected.epoch == now->producer_epoch;
    txn_fields_t next = step_to(txn, TXN_EMPTY, now_ms);
    if (!names_epoch || is_current) {
        next.producer_epoch = (int16_t)(now->producer_epoch + 1);
        next.last_producer_epoch = names_epoch ? now->producer_epoch : -1;
    } else if (in->expected.epoch != now->last_producer_epoch) {
        return KAFKA_PRODUCER_FENCED;
    } /* else it asks again for what it did not hear */
    *ret_next = next;
    return KAFKA_NONE;
}

static kafka_code_t begin_idle(const txn_t *txn, const txn_begin_t *in, int64_t now_ms, txn_fields_t *ret_next,
                               bool *ret_needs_id)
{
    kafka_code_t error = KAFKA_NONE;
    bool same = in->expected.id == -1 || in->expected.epoch == txn->now.producer_epoch;
    if (!is_exhausted(txn->now.producer_epoch))
        error = with_next_epoch(txn, in, now_ms, ret_next);
    else if (!same)
        error = KAFKA_PRODUCER_FENCED;
    else if (in->fresh_id == -1)
        *ret_needs_id = true;
    else
        *ret_next = with_fresh_id(txn, in, now_ms);
    if (error || *ret_needs_id) return error;
    ret_next->timeout_ms = in->timeout_ms;
    ret_next->start_ms = -1;
    return KAFKA_NONE;
}

kafka_code_t txn_begin(const txn_t *txn, const txn_begin_t *in, int64_t now_ms, txn_fields_t *ret_next,
                       bool *ret_needs_id)
{
    *ret_needs_id = false;
    if (txn->pending) return KAFKA_CONCURRENT_TRANSACTIONS;
    if (!may_begin(txn, in->expected)) return KAFKA_PRODUCER_FENCED;
    switch (txn->now.state) {
    case TXN_PREPARE_COMMIT:
    case TXN_PREPARE_ABORT: return KAFKA_CONCURRENT_TRANSACTIONS;
    case TXN_ONGOING: txn_fence(txn, now_ms, ret_next); return KAFKA_NONE;
    case TXN_EMPTY:
    case TXN_COMPLETE_COMMIT:
    case TXN_COMPLETE_ABORT: return begin_idle(txn, in, now_ms, ret_next, ret_needs_id);
    case TXN_DEAD:
    case TXN_PREPARE_EPOCH_FENCE: break;
    }
    UNREACHABLE(); /* neither is ever entered */
}

/* ---- partitions ------------------------------------------------------------------------------------------------------ */

static kafka_code_t check_producer(const txn_t *txn, txn_producer_t by)
{
    if (by.id != txn->now.producer_id) return KAFKA_INVALID_PRODUCER_ID_MAPPING;
    return by.epoch == txn->now.producer_epoch ? KAFKA_NONE : KAFKA_PRODUCER_FENCED;
}

kafka_code_t txn_add(const txn_t *txn, txn_producer_t by, const txn_parts_t *adding, int64_t now_ms,
                     txn_fields_t *ret_next, bool *ret_there)
{
    *ret_there = false;
    kafka_code_t error = check_producer(txn, by);
    if (error) return error;
    if (txn->pending || txn_is_prepared(txn)) return KAFKA_CONCURRENT_TRANSACTIONS;
    bool ongoing = txn->now.state == TXN_ONGOING;
    *ret_there = ongoing && txn_parts_has_all(&txn->parts, adding);
    if (*ret_there) return KAFKA_NONE;
    *ret_next = step_to(txn, TXN_ONGOING, now_ms);
    if (!ongoing) ret_next->start_ms = now_ms;
    return KAFKA_NONE;
}

kafka_code_t txn_verify(const txn_t *txn, txn_producer_t by, bytes_t topic, int32_t index)
{
    kafka_code_t error = check_producer(txn, by);
    if (error) return error;
    if (txn_is_prepared(txn)) return KAFKA_CONCURRENT_TRANSACTIONS;
    return txn_parts_has(&txn->parts, topic, index) ? KAFKA_NONE : KAFKA_TRANSACTION_ABORTABLE;
}

/* ---- the end --------------------------------------------------------------------------------------------------------- */

/* The producer did not hear that its end was stored, and asks again with the epoch from before. */
static bool is_repeated(const txn_t *txn, txn_producer_t by)
{
    const txn_fields_t *now = &txn->now;
    return by.id == now->producer_id && now->producer_epoch == by.epoch + 1;
}

/* The same where the epochs were used up by it, so that a new producer id came. */
static bool is_repeated_before(const txn_t *txn, txn_producer_t by)
{
    const txn_fields_t *now = &txn->now;
    return by.id == now->previous_producer_id && by.epoch == EPOCH_LAST_GIVEN && now->producer_epoch == 0;
}

static kafka_code_t check_end(const txn_t *txn, const txn_end_t *in, bool repeated)
{
    const txn_fields_t *now = &txn->now;
    bool bumps = in->client_version >= VERSION_BUMPS;
    if (in->by.id != now->producer_id && !repeated) return KAFKA_INVALID_PRODUCER_ID_MAPPING;
    bool same = in->by.epoch == now->producer_epoch;
    bool over = now->state == TXN_COMPLETE_COMMIT || now->state == TXN_COMPLETE_ABORT;
    bool valid = bumps && txn_is_prepared(txn) ? repeated : same || (bumps && over && repeated);
    if (!valid) return KAFKA_PRODUCER_FENCED;
    return txn->pending ? KAFKA_CONCURRENT_TRANSACTIONS : KAFKA_NONE;
}

static txn_fields_t prepare(const txn_t *txn, bool commits, int16_t client_version, int64_t fresh_id, int64_t now_ms)
{
    txn_fields_t next = step_to(txn, commits ? TXN_PREPARE_COMMIT : TXN_PREPARE_ABORT, now_ms);
    next.client_version = client_version;
    if (next.start_ms == -1) next.start_ms = now_ms;
    if (client_version < VERSION_BUMPS) return next;
    next.last_producer_epoch = txn->now.producer_epoch;
    next.producer_epoch = (int16_t)MIN(txn->now.producer_epoch + 1, INT16_MAX);
    next.next_producer_id = fresh_id;
    return next;
}

/* Nothing was written in this transaction: the second version aborts all the same, for the sake of the new epoch. */
static bool aborts_empty(const txn_t *txn, const txn_end_t *in, bool repeated)
{
    return in->client_version >= VERSION_BUMPS && !in->commits && !repeated && !txn_is_prepared(txn);
}

kafka_code_t txn_end(const txn_t *txn, const txn_end_t *in, int64_t now_ms, txn_fields_t *ret_next, bool *ret_done,
                     bool *ret_needs_id)
{
    txn_state_t state = txn->now.state;
    bool bumps = in->client_version >= VERSION_BUMPS;
    bool repeated = bumps && (is_repeated(txn, in->by) || is_repeated_before(txn, in->by));
    *ret_done = *ret_needs_id = false;
    kafka_code_t error = check_end(txn, in, repeated);
    if (error) return error;
    if (state == TXN_ONGOING || aborts_empty(txn, in, repeated)) {
        *ret_needs_id = bumps && is_exhausted(txn->now.producer_epoch) && in->fresh_id == -1;
        if (!*ret_needs_id) *ret_next = prepare(txn, in->commits, in->client_version, in->fresh_id, now_ms);
        if (!*ret_needs_id && !is_exhausted(txn->now.producer_epoch)) ret_next->next_producer_id = -1;
        return KAFKA_NONE;
    }
    txn_state_t prepared = in->commits ? TXN_PREPARE_COMMIT : TXN_PREPARE_ABORT;
    txn_state_t completed = in->commits ? TXN_COMPLETE_COMMIT : TXN_COMPLETE_ABORT;
    if (state == prepared) return KAFKA_CONCURRENT_TRANSACTIONS;
    *ret_done = state == completed && (repeated || !bumps);
    return *ret_done ? KAFKA_NONE : KAFKA_INVALID_TXN_STATE;
}

void txn_fence(const txn_t *txn, int64_t now_ms, txn_fields_t *ret_next)
{
    ASSERT(txn->now.state == TXN_ONGOING);
    *ret_next = prepare(txn, false, VERSION_BUMPS, -1, now_ms);
}

void txn_complete(const txn_t *txn, int64_t now_ms, txn_fields_t *ret_next)
{
    const txn_fields_t *now = &txn->now;
    ASSERT(txn_is_prepared(txn));
    txn_fields_t next =
        step_to(txn, now->state == TXN_PREPARE_COMMIT ? TXN_COMPLETE_COMMIT : TXN_COMPLETE_ABORT, now_ms);
    next.client_version = now->client_version;
    if (now->client_version >= VERSION_BUMPS && now->next_producer_id != -1) {
        next.producer_id = now->next_producer_id;
        next.producer_epoch = 0;
        next.last_producer_epoch = now->producer_epoch;
    }
    *ret_next = next;
}

void txn_enter(txn_t *txn, const txn_fields_t *next, const txn_parts_t *adding)
{
    txn->now = *next;
    txn->pending = false;
    if (adding) txn_parts_add_all(&txn->parts, adding);
    bool over = next->state == TXN_EMPTY || next->state == TXN_COMPLETE_COMMIT || next->state == TXN_COMPLETE_ABORT;
    if (over) txn_parts_clear(&txn->parts);
}

bool txn_is_late(const txn_t *txn, int64_t now_ms)
{
    return txn->now.state == TXN_ONGOING && !txn->pending && txn->now.start_ms + txn->now.timeout_ms < now_ms;
}

bool txn_is_old(const txn_t *txn, int64_t now_ms, int64_t expiration_ms)
{
    txn_state_t state = txn->now.state;
    bool idle = state == TXN_EMPTY || state == TXN_COMPLETE_COMMIT || state == TXN_COMPLETE_ABORT;
    return idle && !txn->pending && txn->now.update_ms <= now_ms - expiration_ms;
}

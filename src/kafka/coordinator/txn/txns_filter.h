/* txns_filter.h: which transactional ids a client wants listed. */
#ifndef TRIVET_KAFKA_COORDINATOR_TXNS_FILTER_H
#define TRIVET_KAFKA_COORDINATOR_TXNS_FILTER_H

#include "kafka/coordinator/txn/txn.h"

typedef struct txns_filter {
    const int64_t *producer_ids; /* the caller's; none = any */
    int32_t producer_ids_count;
    bool by_state;
    bool states[TXN_STATES_COUNT];
    int64_t duration_ms; /* -1 = any */
    int64_t now_ms;
    struct pattern *pattern; /* of the id; NULL = any */
} txns_filter_t;

/* False: there is no such state. */
bool txns_filter_add_state(txns_filter_t *filter, bytes_t name);
/* INVALID_REGULAR_EXPRESSION. */
kafka_code_t txns_filter_set_pattern(txns_filter_t *filter, bytes_t text) MUST_CHECK;
void txns_filter_deinit(txns_filter_t *filter);
bool txns_filter_passes(const txns_filter_t *filter, bytes_t id, const txn_t *txn);

#endif

/* txn_apis.h: what the handlers of transactions share. */
#ifndef TRIVET_KAFKA_API_TXN_APIS_H
#define TRIVET_KAFKA_API_TXN_APIS_H

#include "kafka/coordinator/txn/txns.h"
#include "kafka/kafka_internal.h"

/* Clients of versions below `since` know only the older code. */
static inline kafka_code_t txn_code_for(const kafka_request_t *request, int16_t since, kafka_code_t error)
{
    bool old = error == KAFKA_PRODUCER_FENCED && request->header.api_version < since;
    return old ? KAFKA_INVALID_PRODUCER_EPOCH : error;
}

#endif

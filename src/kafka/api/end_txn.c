/* end_txn.c: EndTxn: commits or aborts a transaction. Version 5 is the second protocol's: each end brings a new epoch. */
#include "kafka/api/apis.h"
#include "kafka/api/txn_apis.h"

#define VERSION_WITH_FENCED 2
#define VERSION_WITH_BUMP   5

typedef struct end_state {
    txns_request_t end;
    kafka_request_t *request;
} end_state_t;

static void ended(txns_request_t *end, kafka_code_t error, txn_producer_t producer)
{
    kafka_request_t *request = CONTAINER_OF(end, end_state_t, end)->request;
    kafka_end_txn_response_t *response = KAFKA_MESSAGE(request, end_txn_response);
    response->error_code = txn_code_for(request, VERSION_WITH_FENCED, error);
    response->producer_id = producer.id;
    response->producer_epoch = producer.epoch;
    kafka_respond(request, response);
}

void kafka_handle_end_txn(kafka_request_t *request)
{
    const kafka_end_txn_request_t *body = request->body;
    end_state_t *state = ARENA_NEW(&request->arena, end_state_t);
    state->request = request;
    txns_end(request->kafka->txns, body->transactional_id, (txn_producer_t){body->producer_id, body->producer_epoch},
             body->committed, request->header.api_version >= VERSION_WITH_BUMP ? TXNS_VERSION : 0, &state->end, ended);
}

/* init_producer_id.c: InitProducerId: an id and an epoch for an idempotent or a transactional producer. */
#include "kafka/api/apis.h"
#include "kafka/api/txn_apis.h"
#include "kafka/coordinator/txn/producer_ids.h"

#define VERSION_WITH_FENCED 4

typedef struct init_state {
    producer_id_request_t id_request;
    txns_request_t begin;
    kafka_request_t *request;
} init_state_t;

static void respond(kafka_request_t *request, kafka_code_t error, txn_producer_t producer)
{
    kafka_init_producer_id_response_t *response = KAFKA_MESSAGE(request, init_producer_id_response);
    response->error_code = txn_code_for(request, VERSION_WITH_FENCED, error);
    response->producer_id = producer.id;
    response->producer_epoch = producer.epoch;
    kafka_respond(request, response);
}

static void got_id(producer_id_request_t *id_request, kafka_code_t error, int64_t producer_id)
{
    init_state_t *state = CONTAINER_OF(id_request, init_state_t, id_request);
    respond(state->request, error, (txn_producer_t){producer_id, error ? -1 : 0});
}

static void begun(txns_request_t *begin, kafka_code_t error, txn_producer_t producer)
{
    respond(CONTAINER_OF(begin, init_state_t, begin)->request, error, producer);
}

void kafka_handle_init_producer_id(kafka_request_t *request)
{
    const kafka_init_producer_id_request_t *body = request->body;
    if ((body->producer_id == -1) != (body->producer_epoch == -1)) {
        respond(request, KAFKA_INVALID_REQUEST, TXN_NO_PRODUCER);
        return;
    }
    init_state_t *state = ARENA_NEW(&request->arena, init_state_t);
    state->request = request;
    txn_producer_t expected = {body->producer_id, body->producer_epoch};
    if (body->transactional_id.ptr)
        txns_begin(request->kafka->txns, body->transactional_id, body->transaction_timeout_ms, expected, &state->begin,
                   begun);
    else
        producer_ids_next(request->kafka, &state->id_request, got_id);
}

/* init_producer_id.c: InitProducerId: an id for an idempotent producer. There is no transaction coordinator
 * yet, so a transactional id gets what a broker answers that has none for it: COORDINATOR_NOT_AVAILABLE. */
#include "kafka/api/apis.h"
#include "kafka/broker/producer_ids.h"

typedef struct init_state {
    producer_id_request_t id_request;
    kafka_request_t *request;
} init_state_t;

static void respond(kafka_request_t *request, kafka_code_t error, int64_t producer_id, int16_t epoch)
{
    kafka_init_producer_id_response_t *response = KAFKA_MESSAGE(request, init_producer_id_response);
    response->error_code = error;
    response->producer_id = producer_id;
    response->producer_epoch = epoch;
    kafka_respond(request, response);
}

static void got_id(producer_id_request_t *id_request, kafka_code_t error, int64_t producer_id)
{
    init_state_t *state = CONTAINER_OF(id_request, init_state_t, id_request);
    respond(state->request, error, producer_id, error ? -1 : 0);
}

void kafka_handle_init_producer_id(kafka_request_t *request)
{
    const kafka_init_producer_id_request_t *body = request->body;
    if (body->transactional_id.ptr) {
        kafka_code_t error = body->transactional_id.len == 0 ? KAFKA_INVALID_REQUEST : KAFKA_COORDINATOR_NOT_AVAILABLE;
        respond(request, error, -1, -1);
        return;
    }
    if ((body->producer_id == -1) != (body->producer_epoch == -1)) {
        respond(request, KAFKA_INVALID_REQUEST, -1, -1);
        return;
    }
    init_state_t *state = ARENA_NEW(&request->arena, init_state_t);
    state->request = request;
    producer_ids_next(request->kafka, &state->id_request, got_id);
}

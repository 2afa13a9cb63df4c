/* list_transactions.c: ListTransactions: the transactional ids of this broker, by state, producer, age (version 1 on) and pattern
 * (version 2 on). Those of one partition of __transaction_state a step. */
#include "kafka/api/apis.h"
#include "kafka/api/txn_apis.h"
#include "kafka/coordinator/txn/txns_filter.h"

typedef struct list_job {
    kafka_request_t *request;
    kafka_list_transactions_response_t *response;
    int32_t partition; /* whose turn it is */
    int32_t room;      /* ids that there were when it began */
    txns_filter_t filter;
} list_job_t;

/* Names that are no states are told back. */
static void take_states(list_job_t *job, const kafka_list_transactions_request_t *body)
{
    kafka_list_transactions_response_t *response = job->response;
    response->unknown_state_filters = ARENA_ARRAY(&job->request->arena, bytes_t, MAX(body->state_filters_count, 0));
    for (int32_t i = 0; i < body->state_filters_count; i++) {
        if (!txns_filter_add_state(&job->filter, body->state_filters[i]))
            response->unknown_state_filters[response->unknown_state_filters_count++] = body->state_filters[i];
    }
}

static void list_one(void *user, bytes_t id, const txn_t *txn)
{
    list_job_t *job = user;
    kafka_list_transactions_response_t *response = job->response;
    if (response->transaction_states_count == job->room || !txns_filter_passes(&job->filter, id, txn)) return;
    kafka_list_transactions_response_state_t *out = &response->transaction_states[response->transaction_states_count++];
    out->transactional_id = arena_copy(&job->request->arena, id);
    out->producer_id = txn->now.producer_id;
    out->transaction_state = bytes_str(txn_state_text(txn->now.state));
}

static slice_state_t step(slice_t *slice)
{
    kafka_request_t *request = CONTAINER_OF(slice, kafka_request_t, slice);
    list_job_t *job = request->state;
    if (txns_each_of(request->kafka->txns, job->partition++, list_one, job)) return SLICE_MORE;
    txns_filter_deinit(&job->filter);
    kafka_respond(request, job->response);
    return SLICE_ENDED;
}

void kafka_handle_list_transactions(kafka_request_t *request)
{
    const kafka_list_transactions_request_t *body = request->body;
    kafka_txns_t *txns = request->kafka->txns;
    list_job_t *job = request->state = ARENA_NEW(&request->arena, list_job_t);
    job->request = request;
    job->response = KAFKA_MESSAGE(request, list_transactions_response);
    job->filter = (txns_filter_t){.producer_ids = body->producer_id_filters,
                                  .producer_ids_count = body->producer_id_filters_count,
                                  .duration_ms = body->duration_filter,
                                  .now_ms = txns_now_ms(txns)};
    kafka_code_t error = KAFKA_COORDINATOR_LOAD_IN_PROGRESS;
    if (txns_loaded(txns)) error = txns_filter_set_pattern(&job->filter, body->transactional_id_pattern);
    if (error) {
        job->response->error_code = error;
        kafka_respond(request, job->response);
        return;
    }
    take_states(job, body);
    job->room = (int32_t)kafka_txns_count(txns);
    job->response->transaction_states =
        kafka_array_new(&kafka_list_transactions_response_state_shape, &request->arena, job->room);
    kafka_request_run(request, step, NULL);
}

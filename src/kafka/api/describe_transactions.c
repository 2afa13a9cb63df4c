/* describe_transactions.c: DescribeTransactions: the state of transactional ids, one a step. */
#include "kafka/api/apis.h"
#include "kafka/api/txn_apis.h"

typedef kafka_describe_transactions_response_state_t state_t;

typedef struct describe_job {
    kafka_describe_transactions_response_t *response;
    int32_t next;
} describe_job_t;

static void fill_topics(kafka_request_t *request, const txn_parts_t *parts, state_t *out)
{
    size_t cursor = 0;
    out->topics = kafka_array_new(&kafka_describe_transactions_response_topic_shape, &request->arena,
                                  (int32_t)parts->topics.count);
    for (const txn_topic_t *t; (t = txn_parts_next(parts, &cursor));) {
        kafka_describe_transactions_response_topic_t *topic = &out->topics[out->topics_count++];
        topic->topic = arena_copy(&request->arena, t->name);
        topic->partitions = ARENA_ARRAY(&request->arena, int32_t, t->count);
        topic->partitions_count = t->count;
        memcpy(topic->partitions, t->indexes, (size_t)t->count * sizeof(int32_t));
    }
}

static void describe(kafka_request_t *request, bytes_t id, state_t *out)
{
    const txn_t *txn = NULL;
    kafka_code_t error = id.len == 0 ? KAFKA_INVALID_REQUEST : txns_find(request->kafka->txns, id, &txn);
    if (!error && !txn) error = KAFKA_TRANSACTIONAL_ID_NOT_FOUND;
    out->transactional_id = id;
    out->error_code = error;
    if (error) return;
    out->transaction_state = bytes_str(txn_state_text(txn->now.state));
    out->transaction_timeout_ms = txn->now.timeout_ms;
    out->transaction_start_time_ms = txn->now.start_ms;
    out->producer_id = txn->now.producer_id;
    out->producer_epoch = txn->now.producer_epoch;
    if (!kafka_response_is_full(request)) fill_topics(request, &txn->parts, out);
}

static slice_state_t step(slice_t *slice)
{
    kafka_request_t *request = CONTAINER_OF(slice, kafka_request_t, slice);
    const kafka_describe_transactions_request_t *body = request->body;
    describe_job_t *job = request->state;
    if (job->next == body->transactional_ids_count) {
        kafka_respond(request, job->response);
        return SLICE_ENDED;
    }
    bytes_t id = body->transactional_ids[job->next++];
    describe(request, id, &job->response->transaction_states[job->response->transaction_states_count++]);
    return SLICE_MORE;
}

void kafka_handle_describe_transactions(kafka_request_t *request)
{
    const kafka_describe_transactions_request_t *body = request->body;
    describe_job_t *job = request->state = ARENA_NEW(&request->arena, describe_job_t);
    job->response = KAFKA_MESSAGE(request, describe_transactions_response);
    job->response->transaction_states = kafka_array_new(&kafka_describe_transactions_response_state_shape,
                                                        &request->arena, body->transactional_ids_count);
    kafka_request_run(request, step, NULL);
}

/* add_partitions_to_txn.c: AddPartitionsToTxn: partitions that a transaction will write to. From version 4 on a request holds many
 * transactions, whose partitions are added, or only looked up (KIP-890): brokers ask so. What is wrong with one
 * partition keeps all of its transaction from being added. One partition a step. */
#include "kafka/api/apis.h"
#include "kafka/api/txn_apis.h"

#define VERSION_WITH_FENCED 2
#define VERSION_WITH_MANY   4

typedef kafka_add_partitions_to_txn_request_topic_t in_topic_t;
typedef kafka_add_partitions_to_txn_response_result_t result_t;

/* Version 3 names the same shape differently. */
_Static_assert(sizeof(kafka_add_partitions_to_txn_response_partition_t) ==
                   sizeof(kafka_add_partitions_to_txn_response_old_partition_t),
               "same shape");

typedef struct add_job {
    kafka_request_t *request;
    kafka_add_partitions_to_txn_response_t *response;
    int32_t transaction, topic, partition; /* whose turn it is */
    txn_parts_t parts;                     /* of that transaction, as far as they are there */
    bool refused;                          /* one of them is not */
    int32_t pending;
    bool walked;
} add_job_t;

typedef struct add_one {
    txns_request_t add;
    add_job_t *job;
    result_t *result;
} add_one_t;

/* A request of one transaction, as a version before 4 has it, looks like one of many from here on. */
static void normalise(kafka_request_t *request)
{
    kafka_add_partitions_to_txn_request_t *body = request->body;
    if (request->header.api_version >= VERSION_WITH_MANY) return;
    body->transactions = kafka_array_new(&kafka_add_partitions_to_txn_request_transaction_shape, &request->arena, 1);
    body->transactions_count = 1;
    kafka_add_partitions_to_txn_request_transaction_t *t = body->transactions;
    t->transactional_id = body->v3_and_below_transactional_id;
    t->producer_id = body->v3_and_below_producer_id;
    t->producer_epoch = body->v3_and_below_producer_epoch;
    t->topics_count = body->v3_and_below_topics_count;
    t->topics = kafka_array_new(&kafka_add_partitions_to_txn_request_topic_shape, &request->arena, t->topics_count);
    for (int32_t i = 0; i < t->topics_count; i++) {
        const kafka_add_partitions_to_txn_request_old_topic_t *old = &body->v3_and_below_topics[i];
        t->topics[i].name = old->name;
        t->topics[i].partitions = old->partitions;
        t->topics[i].partitions_count = old->partitions_count;
    }
}

static void old_results(kafka_request_t *request, kafka_add_partitions_to_txn_response_t *response)
{
    const result_t *result = &response->results_by_transaction[0];
    int32_t count = result->topics_count;
    response->results_by_topic_v3_and_below_count = count;
    response->results_by_topic_v3_and_below =
        kafka_array_new(&kafka_add_partitions_to_txn_response_old_topic_shape, &request->arena, count);
    for (int32_t t = 0; t < count; t++) {
        const kafka_add_partitions_to_txn_response_topic_t *in = &result->topics[t];
        kafka_add_partitions_to_txn_response_old_topic_t *out = &response->results_by_topic_v3_and_below[t];
        out->name = in->name;
        out->partitions_count = in->partitions_count;
        out->partitions = (kafka_add_partitions_to_txn_response_old_partition_t *)in->partitions;
    }
}

static void finish(add_job_t *job)
{
    kafka_request_t *request = job->request;
    if (!job->walked || job->pending > 0) return;
    if (request->header.api_version < VERSION_WITH_MANY) old_results(request, job->response);
    kafka_respond(request, job->response);
}

/* All that have no error of their own get this one. */
static void set_error(const add_job_t *job, result_t *result, kafka_code_t error)
{
    for (int32_t t = 0; t < result->topics_count; t++) {
        for (int32_t p = 0; p < result->topics[t].partitions_count; p++) {
            int16_t *code = &result->topics[t].partitions[p].error_code;
            if (*code == KAFKA_NONE) *code = txn_code_for(job->request, VERSION_WITH_FENCED, error);
        }
    }
}

static void added(txns_request_t *add, kafka_code_t error, txn_producer_t producer)
{
    add_one_t *one = CONTAINER_OF(add, add_one_t, add);
    set_error(one->job, one->result, error);
    one->job->pending--;
    finish(one->job);
}

typedef kafka_add_partitions_to_txn_request_transaction_t in_transaction_t;

static void begin_transaction(add_job_t *job, const in_transaction_t *in)
{
    result_t *result = &job->response->results_by_transaction[job->response->results_by_transaction_count++];
    job->topic = job->partition = 0;
    job->parts = (txn_parts_t){.topics = MAP_INIT};
    job->refused = false;
    result->transactional_id = in->transactional_id;
    result->topics =
        kafka_array_new(&kafka_add_partitions_to_txn_response_topic_shape, &job->request->arena, in->topics_count);
}

static void begin_topic(add_job_t *job, const in_topic_t *in, result_t *result)
{
    kafka_add_partitions_to_txn_response_topic_t *out = &result->topics[result->topics_count++];
    out->name = in->name;
    out->partitions = kafka_array_new(&kafka_add_partitions_to_txn_response_partition_shape, &job->request->arena,
                                      in->partitions_count);
}

static kafka_code_t take_partition(add_job_t *job, const in_transaction_t *in, bytes_t topic, int32_t index)
{
    const kafka_t *kafka = job->request->kafka;
    const kafka_topic_t *known = kafka_topic_get(kafka, topic);
    if (!known || index < 0 || index >= known->partitions_count) {
        job->refused = true;
        return KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    }
    if (in->verify_only)
        return txns_verify(kafka->txns, in->transactional_id, (txn_producer_t){in->producer_id, in->producer_epoch},
                           topic, index);
    txn_parts_add(&job->parts, topic, index);
    return KAFKA_NONE;
}

static void take_next(add_job_t *job, const in_transaction_t *in, result_t *result)
{
    const in_topic_t *topic = &in->topics[job->topic];
    if (job->partition == 0) begin_topic(job, topic, result);
    if (job->partition == topic->partitions_count) {
        job->topic++;
        job->partition = 0;
        return;
    }
    kafka_add_partitions_to_txn_response_topic_t *answers = &result->topics[job->topic];
    int32_t index = topic->partitions[job->partition++];
    kafka_add_partitions_to_txn_response_partition_t *out = &answers->partitions[answers->partitions_count++];
    out->partition_index = index;
    out->error_code = take_partition(job, in, topic->name, index);
}

/* Of a transaction that is refused, what was found out by looking it up does not count. */
static void forget_verified(result_t *result)
{
    for (int32_t t = 0; t < result->topics_count; t++) {
        for (int32_t p = 0; p < result->topics[t].partitions_count; p++) {
            int16_t *code = &result->topics[t].partitions[p].error_code;
            if (*code != KAFKA_UNKNOWN_TOPIC_OR_PARTITION) *code = KAFKA_NONE;
        }
    }
}

static void end_transaction(add_job_t *job, const in_transaction_t *in, result_t *result)
{
    if (job->refused) {
        if (in->verify_only) forget_verified(result);
        set_error(job, result, KAFKA_OPERATION_NOT_ATTEMPTED);
    } else if (!in->verify_only) {
        add_one_t *one = ARENA_NEW(&job->request->arena, add_one_t);
        one->job = job;
        one->result = result;
        job->pending++;
        txns_add(job->request->kafka->txns, in->transactional_id, (txn_producer_t){in->producer_id, in->producer_epoch},
                 &job->parts, &one->add, added);
    }
    txn_parts_clear(&job->parts);
    job->transaction++;
}

static slice_state_t step(slice_t *slice)
{
    kafka_request_t *request = CONTAINER_OF(slice, kafka_request_t, slice);
    const kafka_add_partitions_to_txn_request_t *body = request->body;
    add_job_t *job = request->state;
    if (job->transaction == body->transactions_count) {
        job->walked = true;
        finish(job);
        return SLICE_ENDED;
    }
    const in_transaction_t *in = &body->transactions[job->transaction];
    if (job->response->results_by_transaction_count == job->transaction) begin_transaction(job, in);
    result_t *result = &job->response->results_by_transaction[job->transaction];
    if (job->topic < in->topics_count)
        take_next(job, in, result);
    else
        end_transaction(job, in, result);
    return SLICE_MORE;
}

void kafka_handle_add_partitions_to_txn(kafka_request_t *request)
{
    const kafka_add_partitions_to_txn_request_t *body = request->body;
    add_job_t *job = request->state = ARENA_NEW(&request->arena, add_job_t);
    normalise(request);
    job->request = request;
    job->response = KAFKA_MESSAGE(request, add_partitions_to_txn_response);
    job->response->results_by_transaction =
        kafka_array_new(&kafka_add_partitions_to_txn_response_result_shape, &request->arena, body->transactions_count);
    kafka_request_run(request, step, NULL);
}

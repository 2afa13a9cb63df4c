/* add_partitions_to_txn.c: AddPartitionsToTxn: partitions that a transaction will write to. From version 4 on a request holds many
 * transactions, whose partitions are added, or only looked up (KIP-890): brokers ask so. What is wrong with one
 * partition keeps all of its transaction from being added. */
#include "kafka/api/apis.h"
#include "kafka/api/txn_apis.h"

#define VERSION_WITH_FENCED 2
#define VERSION_WITH_MANY   4

typedef kafka_add_partitions_to_txn_request_topic_t in_topic_t;
typedef kafka_add_partitions_to_txn_response_result_t result_t;

typedef struct add_job {
    kafka_request_t *request;
    kafka_add_partitions_to_txn_response_t *response;
    int32_t next, pending;
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
        out->partitions = kafka_array_new(&kafka_add_partitions_to_txn_response_old_partition_shape, &request->arena,
                                          in->partitions_count);
        for (int32_t p = 0; p < in->partitions_count; p++) {
            out->partitions[p].partition_index = in->partitions[p].partition_index;
            out->partitions[p].error_code = in->partitions[p].error_code;
        }
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

/* The partitions as they are asked for; false when one of them is not there. */
static bool fill_result(const add_job_t *job, const kafka_add_partitions_to_txn_request_transaction_t *in,
                        result_t *result, txn_parts_t *parts)
{
    kafka_request_t *request = job->request;
    bool all = true;
    result->transactional_id = in->transactional_id;
    result->topics_count = in->topics_count;
    result->topics =
        kafka_array_new(&kafka_add_partitions_to_txn_response_topic_shape, &request->arena, in->topics_count);
    for (int32_t t = 0; t < in->topics_count; t++) {
        const in_topic_t *topic = &in->topics[t];
        const kafka_topic_t *known = kafka_topic_get(request->kafka, topic->name);
        kafka_add_partitions_to_txn_response_topic_t *out = &result->topics[t];
        out->name = topic->name;
        out->partitions_count = topic->partitions_count;
        out->partitions = kafka_array_new(&kafka_add_partitions_to_txn_response_partition_shape, &request->arena,
                                          topic->partitions_count);
        for (int32_t p = 0; p < topic->partitions_count; p++) {
            int32_t index = topic->partitions[p];
            bool there = known && index >= 0 && index < known->partitions_count;
            out->partitions[p].partition_index = index;
            out->partitions[p].error_code = there ? KAFKA_NONE : KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
            if (there) txn_parts_add(parts, topic->name, index);
            all = all && there;
        }
    }
    return all;
}

static void verify(const add_job_t *job, const kafka_add_partitions_to_txn_request_transaction_t *in, result_t *result)
{
    txn_producer_t by = {in->producer_id, in->producer_epoch};
    for (int32_t t = 0; t < result->topics_count; t++) {
        for (int32_t p = 0; p < result->topics[t].partitions_count; p++) {
            kafka_add_partitions_to_txn_response_partition_t *out = &result->topics[t].partitions[p];
            out->error_code = txns_verify(job->request->kafka->txns, in->transactional_id, by, result->topics[t].name,
                                          out->partition_index);
        }
    }
}

static void take(add_job_t *job, const kafka_add_partitions_to_txn_request_transaction_t *in)
{
    txn_parts_t parts = {.topics = MAP_INIT};
    result_t *result = &job->response->results_by_transaction[job->response->results_by_transaction_count++];
    bool all = fill_result(job, in, result, &parts);
    if (!all) {
        set_error(job, result, KAFKA_OPERATION_NOT_ATTEMPTED);
    } else if (in->verify_only) {
        verify(job, in, result);
    } else {
        add_one_t *one = ARENA_NEW(&job->request->arena, add_one_t);
        one->job = job;
        one->result = result;
        job->pending++;
        txns_add(job->request->kafka->txns, in->transactional_id, (txn_producer_t){in->producer_id, in->producer_epoch},
                 &parts, &one->add, added);
    }
    txn_parts_clear(&parts);
}

static slice_state_t step(slice_t *slice)
{
    kafka_request_t *request = CONTAINER_OF(slice, kafka_request_t, slice);
    const kafka_add_partitions_to_txn_request_t *body = request->body;
    add_job_t *job = request->state;
    if (job->next < body->transactions_count) {
        take(job, &body->transactions[job->next++]);
        return SLICE_MORE;
    }
    job->walked = true;
    finish(job);
    return SLICE_ENDED;
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

/* produce.c: Produce: one batch a partition goes from the request's frame to the log and is never copied. The
 * answer waits only where flush.messages asks for stable storage; all partitions of all requests of a turn
 * share the sync.
 *
 * acks=0 has no answer: an error closes the connection, so that the producer notices. */
#include "kafka/api/apis.h"
#include "kafka/api/txn_apis.h"
#include "kafka/partition/partition.h"
#include "kafka/record/record.h"

#define ADMIN_CLIENT_ID        "__admin_client"
#define VERSION_WITH_BATCHES   3 /* older versions carry message sets; they are advertised for librdkafka's sake */
#define VERSION_WITH_ZSTD      7
#define VERSION_WITH_ABORTABLE 11 /* clients know TRANSACTION_ABORTABLE */
#define VERSION_THAT_ADDS      12 /* to the transaction what is not part of it (KIP-890) */

/* A request on its way through its partitions, one a step. */
typedef struct produce_job {
    kafka_request_t *request;
    kafka_produce_response_t *response;
    int32_t topic, partition; /* of the request, whose turn it is */
    kafka_code_t refusal;     /* of the request as a whole */
    bool kept;                /* what is left of the body no longer borrows from the frame */
    bool failed;              /* any of them */
    bool walked;              /* all of them were tried */
    bool stepping;            /* inside produce_step */
    bool waiting;             /* for the partition whose turn it is: its batch was copied */
    uint32_t pending;         /* commits */
    partition_t *target;
    txns_request_t *adding; /* the partitions to the transaction; NULL = it was not needed yet */
    kafka_code_t added;     /* how that ended */
} produce_job_t;

typedef struct produce_commit {
    partition_commit_t commit;
    produce_job_t *job;
    kafka_produce_response_partition_t *answer;
} produce_commit_t;

static void finish(produce_job_t *job)
{
    const kafka_produce_request_t *body = job->request->body;
    if (!job->walked || job->pending > 0) return;
    if (body->acks != 0)
        kafka_respond(job->request, job->response);
    else if (job->failed)
        kafka_respond_close(job->request);
    else
        kafka_respond_nothing(job->request);
}

static void committed(partition_commit_t *commit, kafka_code_t error)
{
    produce_commit_t *c = CONTAINER_OF(commit, produce_commit_t, commit);
    if (error) {
        c->answer->error_code = error;
        c->answer->base_offset = -1;
    }
    c->job->pending--;
    finish(c->job);
}

/* The batch at the front of `records`, as Kafka finds it: whole, or not yet; or an error code. */
static kafka_code_t next_batch(bytes_t records, bool *ret_whole, size_t *ret_bytes)
{
    enum { LENGTH_MIN = 14 };
    *ret_whole = false;
    if (records.len < BATCH_OVERHEAD_BYTES) return KAFKA_NONE;
    int32_t length = batch_peek_length(records);
    if (length < LENGTH_MIN) return KAFKA_CORRUPT_MESSAGE;
    if (length > INT32_MAX - BATCH_OVERHEAD_BYTES) return KAFKA_UNKNOWN_SERVER_ERROR; /* it overflows there */
    int magic = batch_peek_magic(records);
    if (magic < 0) return KAFKA_NONE;
    if (magic > BATCH_MAGIC) return KAFKA_CORRUPT_MESSAGE;
    *ret_bytes = (size_t)length + BATCH_OVERHEAD_BYTES;
    *ret_whole = *ret_bytes <= records.len;
    return KAFKA_NONE;
}

/* What a request of this version may carry, before the partition looks at it: exactly one batch. Bytes behind
 * it that make no batch are cut off. */
static kafka_code_t check_version(int16_t version, bytes_t *records, const char **ret_message)
{
    bool whole, more;
    size_t bytes, more_bytes;
    if (version < VERSION_WITH_BATCHES) return KAFKA_UNSUPPORTED_VERSION;
    kafka_code_t error = next_batch(*records, &whole, &bytes);
    if (error) return error;
    if (!whole) {
        *ret_message = "Produce requests must have exactly one record batch per partition";
        return KAFKA_INVALID_RECORD;
    }
    if (batch_peek_magic(*records) != BATCH_MAGIC) {
        *ret_message = "Produce requests may only contain record batches with magic version 2";
        return KAFKA_INVALID_RECORD;
    }
    error = next_batch(bytes_of(records->ptr + bytes, records->len - bytes), &more, &more_bytes);
    if (error) return error;
    if (more) {
        *ret_message = "Produce requests must have exactly one record batch per partition";
        return KAFKA_INVALID_RECORD;
    }
    records->len = bytes;
    if (bytes < BATCH_HEADER_BYTES) return KAFKA_CORRUPT_MESSAGE;
    if (version < VERSION_WITH_ZSTD && (batch_peek_attributes(*records) & RECORD_COMPRESSION_MASK) == RECORD_ZSTD) {
        *ret_message = "Produce requests before version 7 may not use zstd compression";
        return KAFKA_UNSUPPORTED_COMPRESSION_TYPE;
    }
    return KAFKA_NONE;
}

static kafka_code_t check_topic(kafka_request_t *request, const kafka_topic_t *topic, int16_t acks,
                                const char **ret_message)
{
    if (!topic) return KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    if (topic->internal && !bytes_eq(request->header.client_id, BYTES_LIT(ADMIN_CLIENT_ID))) {
        *ret_message = arena_printf(&request->arena, "Cannot append to internal topic %s", topic->name);
        return KAFKA_INVALID_TOPIC_EXCEPTION;
    }
    if (acks == -1 && topic->config.min_insync_replicas > 1) { /* this broker is the only replica */
        *ret_message = arena_printf(&request->arena,
                                    "The size of the current ISR is insufficient to satisfy the min.isr requirement of "
                                    "%" PRId64 " for topic %s",
                                    topic->config.min_insync_replicas, topic->name);
        return KAFKA_NOT_ENOUGH_REPLICAS;
    }
    return KAFKA_NONE;
}

static void answer_record_errors(kafka_request_t *request, const partition_appended_t *appended,
                                 kafka_produce_response_partition_t *answer)
{
    if (appended->record_errors_count == 0) return;
    answer->record_errors =
        kafka_array_new(&kafka_produce_response_record_error_shape, &request->arena, appended->record_errors_count);
    answer->record_errors_count = appended->record_errors_count;
    for (int32_t i = 0; i < appended->record_errors_count; i++) {
        answer->record_errors[i].batch_index = appended->record_errors[i].batch_index;
        answer->record_errors[i].batch_index_error_message = bytes_str(appended->record_errors[i].message);
    }
}

/* Transactional batches in a request that names no transaction: nobody may write in the name of none. */
static bool is_unauthorized(const kafka_produce_request_t *body)
{
    for (int32_t t = 0; t < body->topic_data_count && !body->transactional_id.ptr; t++) {
        for (int32_t p = 0; p < body->topic_data[t].partition_data_count; p++) {
            bytes_t records = body->topic_data[t].partition_data[p].records.bytes;
            if (records.len >= BATCH_HEADER_BYTES && batch_peek_magic(records) == BATCH_MAGIC &&
                (batch_peek_attributes(records) & RECORD_TRANSACTIONAL))
                return true;
        }
    }
    return false;
}

/* What refuses a request as a whole. */
static kafka_code_t check_request(const kafka_produce_request_t *body)
{
    if (is_unauthorized(body)) return KAFKA_TRANSACTIONAL_ID_AUTHORIZATION_FAILED;
    return body->acks >= -1 && body->acks <= 1 ? KAFKA_NONE : KAFKA_INVALID_REQUIRED_ACKS;
}

/* ---- transactions ---------------------------------------------------------------------------------------------------- */

static bool is_transactional(bytes_t records) { return batch_peek_attributes(records) & RECORD_TRANSACTIONAL; }

/* As a producer knows what its coordinator says. Which wait and come again are told so by a code that they all know. */
static kafka_code_t produce_code(kafka_request_t *request, kafka_code_t error, const char **ret_message)
{
    int16_t version = request->header.api_version;
    switch (error) {
    case KAFKA_PRODUCER_FENCED: return KAFKA_INVALID_PRODUCER_EPOCH;
    case KAFKA_TRANSACTION_ABORTABLE:
        if (version >= VERSION_WITH_ABORTABLE) return error;
        *ret_message = "Partition was not added to the transaction";
        return KAFKA_INVALID_TXN_STATE;
    case KAFKA_CONCURRENT_TRANSACTIONS:
    case KAFKA_COORDINATOR_LOAD_IN_PROGRESS:
    case KAFKA_COORDINATOR_NOT_AVAILABLE:
    case KAFKA_NOT_COORDINATOR:
        *ret_message = arena_printf(&request->arena,
                                    "Unable to verify the partition has been added to the transaction. Underlying "
                                    "error: %s",
                                    kafka_error_name(error));
        return KAFKA_NOT_ENOUGH_REPLICAS;
    default: return error;
    }
}

/* All of the request that its transaction will write to, so that one record tells of them. */
static void parts_of(const kafka_request_t *request, txn_parts_t *parts)
{
    const kafka_produce_request_t *body = request->body;
    for (int32_t t = 0; t < body->topic_data_count; t++) {
        const kafka_topic_t *topic = kafka_topic_get(request->kafka, body->topic_data[t].name);
        for (int32_t p = 0; topic && p < body->topic_data[t].partition_data_count; p++) {
            const kafka_produce_request_partition_t *in = &body->topic_data[t].partition_data[p];
            bool there = in->index >= 0 && in->index < topic->partitions_count;
            bool whole = in->records.bytes.len >= BATCH_HEADER_BYTES;
            if (there && whole && is_transactional(in->records.bytes))
                txn_parts_add(parts, kafka_topic_name(topic), in->index);
        }
    }
}

typedef struct produce_add {
    txns_request_t request;
    produce_job_t *job;
    bool over;
} produce_add_t;

static void added(txns_request_t *request, kafka_code_t error, txn_producer_t producer)
{
    produce_add_t *add = CONTAINER_OF(request, produce_add_t, request);
    add->over = true;
    add->job->added = error;
    if (!add->job->stepping) slice_run(&add->job->request->kafka->slices, &add->job->request->slice);
}

/* False when it goes on in `added`. */
static bool add_to_transaction(produce_job_t *job, txn_producer_t by)
{
    const kafka_produce_request_t *body = job->request->body;
    produce_add_t *add = ARENA_NEW(&job->request->arena, produce_add_t);
    txn_parts_t parts = {.topics = MAP_INIT};
    add->job = job;
    job->adding = &add->request;
    parts_of(job->request, &parts);
    txns_add(job->request->kafka->txns, body->transactional_id, by, &parts, &add->request, added);
    txn_parts_clear(&parts);
    return add->over;
}

/* Whether the coordinator lets the batch into the partition: then *ret_guard holds. *ret_waits: it is being asked. */
static kafka_code_t ask_coordinator(produce_job_t *job, bytes_t topic, int32_t index, bytes_t records,
                                    int64_t *ret_guard, bool *ret_waits)
{
    kafka_request_t *request = job->request;
    const kafka_produce_request_t *body = request->body;
    batch_header_t batch;
    *ret_waits = false;
    if (batch_header_read(records, &batch)) return KAFKA_NONE; /* the partition says what is wrong with it */
    /* A batch of no producer is in no transaction, whatever it says; the original takes it, too. */
    if (batch.producer_id < 0 || partition_has_open(job->target, batch.producer_id, batch.producer_epoch))
        return KAFKA_NONE;
    txn_producer_t by = {batch.producer_id, batch.producer_epoch};
    bool adds = request->header.api_version >= VERSION_THAT_ADDS;
    kafka_code_t error = txns_verify(request->kafka->txns, body->transactional_id, by, topic, index);
    if (error == KAFKA_TRANSACTION_ABORTABLE && adds && !job->adding) {
        *ret_waits = !add_to_transaction(job, by);
        if (*ret_waits) return KAFKA_NONE;
        error = job->added;
        if (!error) error = txns_verify(request->kafka->txns, body->transactional_id, by, topic, index);
    } else if (error == KAFKA_TRANSACTION_ABORTABLE && job->adding && job->added) {
        error = job->added;
    }
    if (!error) *ret_guard = partition_guard(job->target, batch.producer_id);
    return error;
}

/* ---- one partition --------------------------------------------------------------------------------------------------- */

static kafka_produce_response_partition_t *answer_of(const produce_job_t *job)
{
    return &job->response->responses[job->topic].partition_responses[job->partition];
}

static void wait_for_commit(produce_job_t *job, kafka_produce_response_partition_t *answer)
{
    produce_commit_t *c = ARENA_NEW(&job->request->arena, produce_commit_t);
    c->job = job;
    c->answer = answer;
    job->pending++;
    partition_commit(job->target, &c->commit, committed);
}

/* The answer of the partition whose turn it is; the next one's turn comes. */
static void answered(produce_job_t *job, kafka_code_t error, const partition_appended_t *appended, const char *message)
{
    const kafka_produce_request_t *body = job->request->body;
    kafka_produce_response_partition_t *answer = answer_of(job);
    answer->error_code = error;
    answer->base_offset = error ? -1 : appended->base_offset;
    answer->log_append_time_ms = appended->log_append_time_ms;
    answer->log_start_offset = appended->log_start_offset;
    if (message) answer->error_message = bytes_str(message);
    answer_record_errors(job->request, appended, answer);
    job->failed = job->failed || error;
    if (!error && body->acks != 0 && partition_needs_commit(job->target)) wait_for_commit(job, answer);
    job->partition++;
    job->waiting = false;
}

static void produced(void *user, kafka_code_t error, const partition_appended_t *appended)
{
    produce_job_t *job = user;
    answered(job, error, appended, appended->message);
    if (!job->stepping) slice_run(&job->request->kafka->slices, &job->request->slice);
}

/* False when it goes on in `produced`. */
static bool produce_partition(produce_job_t *job, const kafka_topic_t *topic)
{
    kafka_request_t *request = job->request;
    const kafka_produce_request_t *body = request->body;
    const kafka_produce_request_partition_t *in = &body->topic_data[job->topic].partition_data[job->partition];
    const char *message = NULL;
    kafka_code_t error = job->refusal;
    if (!error) error = check_topic(request, topic, body->acks, &message);
    if (!error) error = kafka_topic_partition_get(topic, in->index, &job->target);
    bytes_t records = in->records.bytes;
    if (!error) error = check_version(request->header.api_version, &records, &message);
    int64_t guard = PARTITION_UNVERIFIED;
    bool waits = false;
    if (!error && is_transactional(records)) {
        error = ask_coordinator(job, kafka_topic_name(topic), in->index, records, &guard, &waits);
        if (waits) {
            job->waiting = false; /* what the frame holds of it is needed again */
            return false;
        }
        error = produce_code(request, error, &message);
    }
    answer_of(job)->index = in->index;
    /* The frame is ours to write to: offset and epoch are patched where they lie. */
    if (!error) {
        bool lasts = kafka_request_keep_frame(request);
        return partition_produce(job->target, records, lasts, guard, &request->arena, produced, job);
    }
    answered(job, error, &PARTITION_APPENDED_NONE, message);
    return true;
}

/* ---- the request ----------------------------------------------------------------------------------------------------- */

/* The frame goes when the handler returns. A large one is kept as it is; of a small one what is still to be done is copied, once. */
static void keep_body(slice_t *slice)
{
    kafka_request_t *request = CONTAINER_OF(slice, kafka_request_t, slice);
    produce_job_t *job = request->state;
    kafka_produce_request_t *body = request->body;
    int32_t first = job->partition + job->waiting;
    if (job->kept) return;
    job->kept = true;
    kafka_request_hold(request);
    if (kafka_request_keep_frame(request)) return;
    body->transactional_id = arena_copy(&request->arena, body->transactional_id);
    for (int32_t t = 0; t < body->topic_data_count; t++) {
        kafka_produce_request_topic_t *topic = &body->topic_data[t];
        job->response->responses[t].name = topic->name = arena_copy(&request->arena, topic->name);
        for (int32_t p = 0; t >= job->topic && p < topic->partition_data_count; p++) {
            bytes_t *records = &topic->partition_data[p].records.bytes;
            if (t > job->topic || p >= first) *records = arena_copy(&request->arena, *records);
        }
    }
}

static void begin_topic(produce_job_t *job)
{
    const kafka_produce_request_t *body = job->request->body;
    const kafka_produce_request_topic_t *in = &body->topic_data[job->topic];
    kafka_produce_response_topic_t *out = &job->response->responses[job->topic];
    out->name = in->name;
    out->partition_responses_count = in->partition_data_count;
    out->partition_responses =
        kafka_array_new(&kafka_produce_response_partition_shape, &job->request->arena, in->partition_data_count);
}

/* All were tried: the connection's next request may begin, also while this one waits for the disk. */
static slice_state_t walked(produce_job_t *job)
{
    slice_t *slice = &job->request->slice;
    job->walked = true;
    if (job->pending > 0 && !job->kept) keep_body(slice);
    kafka_request_release(job->request);
    finish(job);
    return SLICE_ENDED;
}

static slice_state_t produce_step(slice_t *slice)
{
    kafka_request_t *request = CONTAINER_OF(slice, kafka_request_t, slice);
    produce_job_t *job = request->state;
    const kafka_produce_request_t *body = request->body;
    if (job->topic == body->topic_data_count) return walked(job);
    const kafka_produce_request_topic_t *in = &body->topic_data[job->topic];
    if (job->partition == 0) begin_topic(job);
    if (job->partition == in->partition_data_count) {
        job->topic++;
        job->partition = 0;
        return SLICE_MORE;
    }
    job->stepping = true;
    job->waiting = true;
    bool over = produce_partition(job, kafka_topic_get(request->kafka, in->name));
    job->stepping = false;
    if (over) return SLICE_MORE;
    keep_body(slice);
    return SLICE_WAITS;
}

void kafka_handle_produce(kafka_request_t *request)
{
    const kafka_produce_request_t *body = request->body;
    produce_job_t *job = request->state = ARENA_NEW(&request->arena, produce_job_t);
    job->request = request;
    job->response = KAFKA_MESSAGE(request, produce_response);
    job->refusal = check_request(body);
    job->response->responses_count = body->topic_data_count;
    job->response->responses =
        kafka_array_new(&kafka_produce_response_topic_shape, &request->arena, body->topic_data_count);
    kafka_request_run(request, produce_step, keep_body);
}

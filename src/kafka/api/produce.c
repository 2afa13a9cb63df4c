/* produce.c: Produce: one batch a partition goes from the request's frame to the log and is never copied. The
 * answer waits only where flush.messages asks for stable storage; all partitions of all requests of a turn
 * share the sync.
 *
 * acks=0 has no answer: an error closes the connection, so that the producer notices. */
#include "kafka/apis.h"
#include "kafka/partition.h"
#include "kafka/record.h"

#define ADMIN_CLIENT_ID "__admin_client"
#define VERSION_WITH_BATCHES                                                                                 \
    3 /* older versions carry message sets; they are advertised for librdkafka's sake */
#define VERSION_WITH_ZSTD 7

typedef struct produce_wait {
    kafka_request_t *request;
    kafka_produce_response_t *response;
    uint32_t pending;
} produce_wait_t;

typedef struct produce_commit {
    partition_commit_t commit;
    produce_wait_t *wait;
    kafka_produce_response_partition_t *answer;
} produce_commit_t;

static void finish(kafka_request_t *request, const kafka_produce_response_t *response, bool failed)
{
    const kafka_produce_request_t *body = request->body;
    if (body->acks != 0)
        kafka_respond(request, response);
    else if (failed)
        kafka_respond_close(request);
    else
        kafka_respond_nothing(request);
}

static void committed(partition_commit_t *commit, int16_t error)
{
    produce_commit_t *c = CONTAINER_OF(commit, produce_commit_t, commit);
    produce_wait_t *wait = c->wait;
    if (error) {
        c->answer->error_code = error;
        c->answer->base_offset = -1;
    }
    if (--wait->pending == 0) kafka_respond(wait->request, wait->response);
}

/* The batch at the front of `records`, as Kafka finds it: whole, or not yet; or an error code. */
static int16_t next_batch(bytes_t records, bool *ret_whole, size_t *ret_bytes)
{
    enum { AT_MAGIC = 16, LENGTH_MIN = 14 };
    *ret_whole = false;
    if (records.len < LOG_BATCH_OVERHEAD_BYTES) return KAFKA_NONE;
    int32_t length = (int32_t)load_be32(records.ptr + 8);
    if (length < LENGTH_MIN) return KAFKA_CORRUPT_MESSAGE;
    if (length > INT32_MAX - LOG_BATCH_OVERHEAD_BYTES)
        return KAFKA_UNKNOWN_SERVER_ERROR; /* it overflows there */
    if (records.len <= AT_MAGIC) return KAFKA_NONE;
    if (records.ptr[AT_MAGIC] > 2) return KAFKA_CORRUPT_MESSAGE;
    *ret_bytes = (size_t)length + LOG_BATCH_OVERHEAD_BYTES;
    *ret_whole = *ret_bytes <= records.len;
    return KAFKA_NONE;
}

/* What a request of this version may carry, before the partition looks at it: exactly one batch. Bytes behind
 * it that make no batch are cut off. */
static int16_t check_version(int16_t version, bytes_t *records, const char **ret_message)
{
    enum { AT_MAGIC = 16, AT_ATTRIBUTES_LOW = 22 };
    bool whole, more;
    size_t bytes, more_bytes;
    if (version < VERSION_WITH_BATCHES) return KAFKA_UNSUPPORTED_VERSION;
    int16_t error = next_batch(*records, &whole, &bytes);
    if (error) return error;
    if (!whole) {
        *ret_message = "Produce requests must have exactly one record batch per partition";
        return KAFKA_INVALID_RECORD;
    }
    if (records->ptr[AT_MAGIC] != 2) {
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
    if (bytes < LOG_BATCH_HEADER_BYTES) return KAFKA_CORRUPT_MESSAGE;
    if (version < VERSION_WITH_ZSTD &&
        (records->ptr[AT_ATTRIBUTES_LOW] & RECORD_COMPRESSION_MASK) == RECORD_ZSTD) {
        *ret_message = "Produce requests before version 7 may not use zstd compression";
        return KAFKA_UNSUPPORTED_COMPRESSION_TYPE;
    }
    return KAFKA_NONE;
}

static int16_t check_topic(kafka_request_t *request, const kafka_topic_t *topic, int16_t acks,
                           const char **ret_message)
{
    if (!topic) return KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    if (topic->internal && !bytes_eq(request->header.client_id, BYTES_LIT(ADMIN_CLIENT_ID))) {
        *ret_message = arena_printf(&request->arena, "Cannot append to internal topic %s", topic->name);
        return KAFKA_INVALID_TOPIC_EXCEPTION;
    }
    if (acks == -1 && topic->config.min_insync_replicas > 1) { /* this broker is the only replica */
        *ret_message =
            arena_printf(&request->arena,
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
    answer->record_errors = kafka_array_new(&kafka_produce_response_record_error_shape, &request->arena,
                                            appended->record_errors_count);
    answer->record_errors_count = appended->record_errors_count;
    for (int32_t i = 0; i < appended->record_errors_count; i++) {
        answer->record_errors[i].batch_index = appended->record_errors[i].batch_index;
        answer->record_errors[i].batch_index_error_message = bytes_str(appended->record_errors[i].message);
    }
}

/* Transactional batches in a request that names no transaction: nobody may write in the name of none. */
static bool is_unauthorized(const kafka_produce_request_t *body)
{
    enum { AT_MAGIC = 16, AT_ATTRIBUTES_LOW = 22 };
    for (int32_t t = 0; t < body->topic_data_count && !body->transactional_id.ptr; t++) {
        for (int32_t p = 0; p < body->topic_data[t].partition_data_count; p++) {
            bytes_t records = body->topic_data[t].partition_data[p].records.bytes;
            if (records.len >= LOG_BATCH_HEADER_BYTES && records.ptr[AT_MAGIC] == 2 &&
                records.ptr[AT_ATTRIBUTES_LOW] & RECORD_TRANSACTIONAL)
                return true;
        }
    }
    return false;
}

/* What refuses a request as a whole. */
static int16_t check_request(const kafka_produce_request_t *body)
{
    if (is_unauthorized(body)) return KAFKA_TRANSACTIONAL_ID_AUTHORIZATION_FAILED;
    return body->acks >= -1 && body->acks <= 1 ? KAFKA_NONE : KAFKA_INVALID_REQUIRED_ACKS;
}

/* Appends one partition's batch and fills its answer. The partition, when its answer must wait for the disk;
 * else NULL. */
static partition_t *produce_partition(kafka_request_t *request, const kafka_topic_t *topic,
                                      const kafka_produce_request_partition_t *in,
                                      kafka_produce_response_partition_t *answer)
{
    const kafka_produce_request_t *body = request->body;
    partition_appended_t appended = {.base_offset = -1, .log_append_time_ms = -1, .log_start_offset = -1};
    partition_t *partition = NULL;
    const char *message = NULL;
    int16_t error = check_topic(request, topic, body->acks, &message);
    if (!error) error = kafka_topic_partition_get(topic, in->index, &partition);
    bytes_t records = in->records.bytes;
    if (!error) error = check_version(request->header.api_version, &records, &message);
    if (!error) {
        /* The frame is ours to write to: offset and epoch are patched where they lie. */
        error = partition_append(partition, (uint8_t *)records.ptr, records.len, PARTITION_CLIENT,
                                 &request->arena, &appended);
        message = appended.message;
    }
    answer->index = in->index;
    answer->error_code = error;
    answer->base_offset = error ? -1 : appended.base_offset;
    answer->log_append_time_ms = appended.log_append_time_ms;
    answer->log_start_offset = appended.log_start_offset;
    if (message) answer->error_message = bytes_str(message);
    answer_record_errors(request, &appended, answer);
    return !error && partition_needs_commit(partition) ? partition : NULL;
}

static void wait_for(kafka_request_t *request, partition_t *partition, kafka_produce_response_t *response,
                     kafka_produce_response_partition_t *answer)
{
    produce_wait_t *wait = request->state;
    if (!wait) {
        wait = request->state = ARENA_NEW(&request->arena, produce_wait_t);
        wait->request = request;
        wait->response = response;
    }
    produce_commit_t *c = ARENA_NEW(&request->arena, produce_commit_t);
    c->wait = wait;
    c->answer = answer;
    wait->pending++;
    partition_commit(partition, &c->commit, committed);
}

void kafka_handle_produce(kafka_request_t *request)
{
    const kafka_produce_request_t *body = request->body;
    kafka_produce_response_t *response = KAFKA_MESSAGE(request, produce_response);
    bool failed = false;
    int16_t refusal = check_request(body);
    response->responses_count = body->topic_data_count;
    response->responses =
        kafka_array_new(&kafka_produce_response_topic_shape, &request->arena, body->topic_data_count);
    for (int32_t t = 0; t < body->topic_data_count; t++) {
        const kafka_produce_request_topic_t *in = &body->topic_data[t];
        kafka_produce_response_topic_t *out = &response->responses[t];
        const kafka_topic_t *topic = kafka_topic_get(request->kafka, in->name);
        out->name = in->name;
        out->partition_responses_count = in->partition_data_count;
        out->partition_responses = kafka_array_new(&kafka_produce_response_partition_shape, &request->arena,
                                                   in->partition_data_count);
        for (int32_t p = 0; p < in->partition_data_count; p++) {
            kafka_produce_response_partition_t *answer = &out->partition_responses[p];
            answer->index = in->partition_data[p].index;
            answer->base_offset = -1;
            answer->error_code = refusal;
            answer->log_start_offset = -1;
            failed = failed || refusal;
            if (refusal) continue;
            partition_t *waits = produce_partition(request, topic, &in->partition_data[p], answer);
            if (waits && body->acks != 0) wait_for(request, waits, response, answer);
            failed = failed || answer->error_code != KAFKA_NONE;
        }
    }
    if (!request->state) {
        finish(request, response, failed);
        return;
    }
    for (int32_t t = 0; t < body->topic_data_count; t++) { /* the frame is gone when the answer is written */
        response->responses[t].name = arena_copy(&request->arena, body->topic_data[t].name);
    }
}

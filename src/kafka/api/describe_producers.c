/* describe_producers.c: DescribeProducers: what partitions know of their idempotent and transactional producers. One partition
 * a step. */
#include "kafka/api/apis.h"
#include "kafka/api/topic_steps.h"
#include "kafka/partition/partition.h"

static void add_producer(void *user, const partition_producer_t *producer)
{
    kafka_describe_producers_response_partition_t *out = user;
    kafka_describe_producers_response_producer_t *p = &out->active_producers[out->active_producers_count++];
    p->producer_id = producer->id;
    p->producer_epoch = producer->epoch;
    p->last_sequence = producer->last_sequence;
    p->last_timestamp = producer->timestamp_ms;
    p->coordinator_epoch = producer->coordinator_epoch;
    p->current_txn_start_offset = producer->open_offset;
}

static void describe(kafka_request_t *request, bytes_t topic, kafka_describe_producers_response_partition_t *out)
{
    partition_t *partition;
    kafka_code_t error = kafka_partition_get(request->kafka, topic, out->partition_index, &partition);
    out->error_code = error;
    if (error) {
        out->error_message = bytes_str(kafka_error_text(error));
        return;
    }
    if (kafka_response_is_full(request)) return;
    out->active_producers = kafka_array_new(&kafka_describe_producers_response_producer_shape, &request->arena,
                                            (int32_t)partition_producers_count(partition));
    partition_each_producer(partition, add_producer, out);
}

static int32_t begin_topic(kafka_request_t *request, void *answer, int32_t topic)
{
    const kafka_describe_producers_request_t *body = request->body;
    kafka_describe_producers_response_t *response = answer;
    const kafka_describe_producers_request_topic_t *in = &body->topics[topic];
    kafka_describe_producers_response_topic_t *out = &response->topics[topic];
    out->name = in->name;
    out->partitions_count = in->partition_indexes_count;
    out->partitions = kafka_array_new(&kafka_describe_producers_response_partition_shape, &request->arena,
                                      in->partition_indexes_count);
    return in->partition_indexes_count;
}

static void one_partition(kafka_request_t *request, void *answer, int32_t topic, int32_t partition)
{
    const kafka_describe_producers_request_t *body = request->body;
    kafka_describe_producers_response_t *response = answer;
    const kafka_describe_producers_request_topic_t *in = &body->topics[topic];
    kafka_describe_producers_response_partition_t *out = &response->topics[topic].partitions[partition];
    out->partition_index = in->partition_indexes[partition];
    describe(request, in->name, out);
}

void kafka_handle_describe_producers(kafka_request_t *request)
{
    const kafka_describe_producers_request_t *body = request->body;
    kafka_describe_producers_response_t *response = KAFKA_MESSAGE(request, describe_producers_response);
    response->topics_count = body->topics_count;
    response->topics =
        kafka_array_new(&kafka_describe_producers_response_topic_shape, &request->arena, body->topics_count);
    kafka_topic_steps_run(request, body->topics_count, begin_topic, one_partition, response);
}

/* list_offsets.c: ListOffsets: the offset of a time, or of an end of the log. */
#include "kafka/apis.h"
#include "kafka/name_count.h"
#include "kafka/partition.h"

#define VERSION_WITH_MAX_TIMESTAMP  7
#define VERSION_WITH_EARLIEST_LOCAL 8
#define VERSION_WITH_LATEST_TIERED  9

/* Negative times that a version does not know. */
static bool is_supported(int64_t timestamp, int16_t version)
{
    if (timestamp >= -2) return true;
    if (timestamp == -3) return version >= VERSION_WITH_MAX_TIMESTAMP;
    if (timestamp == -4) return version >= VERSION_WITH_EARLIEST_LOCAL;
    return timestamp == -5 && version >= VERSION_WITH_LATEST_TIERED;
}

static void list_offset(kafka_request_t *request, const kafka_topic_t *topic,
                        const kafka_list_offsets_request_partition_t *in,
                        kafka_list_offsets_response_partition_t *out)
{
    const kafka_list_offsets_request_t *body = request->body;
    partition_t *partition;
    partition_offset_t found;
    int16_t error = topic ? kafka_topic_partition_get(topic, in->partition_index, &partition)
                          : KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    if (!error) error = partition_check_epoch(partition, in->current_leader_epoch);
    if (!error && !is_supported(in->timestamp, request->header.api_version))
        error = KAFKA_UNSUPPORTED_VERSION;
    if (!error) error = partition_offset_for(partition, in->timestamp, body->isolation_level == 1, &found);
    out->partition_index = in->partition_index;
    out->error_code = error;
    if (error) return;
    out->offset = found.offset;
    out->timestamp = found.timestamp_ms;
    out->leader_epoch = found.leader_epoch;
}

static bytes_t index_key(const kafka_list_offsets_request_partition_t *in)
{
    return bytes_of((const uint8_t *)&in->partition_index, sizeof(in->partition_index));
}

/* A partition that is asked for twice is refused once. */
static void list_topic(kafka_request_t *request, const kafka_list_offsets_request_topic_t *in,
                       kafka_list_offsets_response_topic_t *out)
{
    const kafka_topic_t *topic = kafka_topic_get(request->kafka, in->name);
    name_count_t indexes = {0};
    out->name = in->name;
    out->partitions =
        kafka_array_new(&kafka_list_offsets_response_partition_shape, &request->arena, in->partitions_count);
    for (int32_t p = 0; p < in->partitions_count; p++) name_count_add(&indexes, index_key(&in->partitions[p]));
    for (int32_t p = 0; p < in->partitions_count; p++) {
        uintptr_t times = name_count_take(&indexes, index_key(&in->partitions[p]));
        if (times == 0) continue;
        kafka_list_offsets_response_partition_t *told = &out->partitions[out->partitions_count++];
        told->partition_index = in->partitions[p].partition_index;
        told->error_code = KAFKA_INVALID_REQUEST;
        if (times == 1) list_offset(request, topic, &in->partitions[p], told);
    }
    name_count_deinit(&indexes);
}

void kafka_handle_list_offsets(kafka_request_t *request)
{
    const kafka_list_offsets_request_t *body = request->body;
    kafka_list_offsets_response_t *response = KAFKA_MESSAGE(request, list_offsets_response);
    response->topics_count = body->topics_count;
    response->topics =
        kafka_array_new(&kafka_list_offsets_response_topic_shape, &request->arena, body->topics_count);
    for (int32_t t = 0; t < body->topics_count; t++) list_topic(request, &body->topics[t], &response->topics[t]);
    kafka_respond(request, response);
}

/* produce_numbered.c: the outbox's door into partitions: checked beforehand, appended once however often it is given
 * again, and told when it is on stable storage.
 *
 * A record's number becomes epoch and sequence of an ordinary idempotent producer (number = epoch * 2^31 + sequence), so
 * that it is kept where Kafka keeps such things: in the batch header, and from there in the producers' snapshots. */
#include "kafka/config.h"
#include "kafka/groups/groups.h"
#include "kafka/partition.h"
#include "kafka/produce_record.h"
#include "kafka/producer_ids.h"
#include "kafka/topics.h"

#include <stdio.h>

#define BATCH_OVERHEAD_BYTES  128 /* header, and the lengths of one record */
#define HEADER_OVERHEAD_BYTES 10

static int16_t refuse(int16_t error, char *message, const char *text)
{
    snprintf(message, KAFKA_MESSAGE_BYTES_MAX, "%s", text ? text : kafka_error_text(error));
    return error;
}

/* What the batch may take at most; exact sizes are only built where this is above the bound. */
static size_t bytes_at_most(const kafka_produce_t *r)
{
    size_t bytes = BATCH_OVERHEAD_BYTES + r->key.len + r->value.len;
    for (int32_t i = 0; i < r->headers_count; i++)
        bytes += HEADER_OVERHEAD_BYTES + r->headers[i].key.len + r->headers[i].value.len;
    return bytes;
}

static int16_t check_size(kafka_t *kafka, const kafka_produce_t *record, const kafka_topic_config_t *config,
                          char *message)
{
    int64_t max = config ? config->max_message_bytes : kafka->config.message_max_bytes;
    size_t bytes = bytes_at_most(record);
    bool repacked = config && config->compression_type && strcmp(config->compression_type, "producer") != 0;
    if ((int64_t)bytes + (repacked ? (int64_t)bytes / 64 : 0) <= max) return KAFKA_NONE;
    record_builder_t builder = RECORD_BUILDER_INIT;
    arena_t arena;
    arena_init(&arena, 0);
    (void)produce__build(kafka->loop, record, RECORD_NO_PRODUCER, &arena, &builder, &bytes);
    record_builder_deinit(&builder);
    arena_deinit(&arena);
    if ((int64_t)bytes <= max && !repacked) return KAFKA_NONE;
    snprintf(message, KAFKA_MESSAGE_BYTES_MAX,
             "The record takes %zu bytes, above the topic's max.message.bytes of %" PRId64, bytes, max);
    return KAFKA_MESSAGE_TOO_LARGE;
}

static int16_t check_new_topic(kafka_t *kafka, const kafka_produce_t *record, char *message)
{
    if (!kafka->config.auto_create_topics_enable) return refuse(KAFKA_UNKNOWN_TOPIC_OR_PARTITION, message, NULL);
    const char *text = NULL;
    arena_t arena;
    arena_init(&arena, 0);
    kafka_topic_spec_t spec = {.name = record->topic, .partitions_count = -1, .replication_factor = -1};
    int16_t error = topic_create_check(kafka, &spec, &arena, &text);
    if (!error && topic_is_internal(record->topic)) error = KAFKA_INVALID_TOPIC_EXCEPTION;
    if (!error && record->partition >= (int32_t)kafka->config.num_partitions) {
        error = KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
        text = "The topic would be created with fewer partitions";
    }
    if (error) (void)refuse(error, message, text);
    arena_deinit(&arena);
    return error ? error : check_size(kafka, record, NULL, message);
}

int16_t kafka_produce_check(kafka_t *kafka, const kafka_produce_t *record, char message[KAFKA_MESSAGE_BYTES_MAX])
{
    partition_t *partition;
    kafka_topic_t *topic = kafka_topic_get(kafka, record->topic);
    if (!topic) return check_new_topic(kafka, record, message);
    if (topic->internal) return refuse(KAFKA_INVALID_TOPIC_EXCEPTION, message, NULL);
    int16_t error = kafka_topic_partition_get(topic, MAX(record->partition, 0), &partition);
    if (error) return refuse(error, message, NULL);
    const char *policy = topic->config.cleanup_policy;
    if (!record->key.ptr && policy && strstr(policy, "compact"))
        return refuse(KAFKA_INVALID_RECORD, message, "A compacted topic cannot accept a record without key");
    return check_size(kafka, record, &topic->config, message);
}

int32_t kafka_produce_choose(kafka_t *kafka, const kafka_produce_t *record)
{
    kafka_topic_t *topic = kafka_topic_get(kafka, record->topic);
    if (!topic) return record->partition;
    return topic->internal ? groups_position_partition(kafka, record) : produce__choose_partition(topic, record);
}

int16_t kafka_produce_numbered(kafka_t *kafka, const kafka_produce_t *record, int64_t producer_id, int64_t number,
                               int64_t *ret_offset, char message[KAFKA_MESSAGE_BYTES_MAX])
{
    partition_t *partition;
    partition_appended_t appended;
    ASSERT(number >= 0 && number <= KAFKA_NUMBER_MAX);
    kafka_topic_t *topic = kafka_topic_get(kafka, record->topic);
    int16_t error =
        topic ? kafka_topic_partition_get(topic, record->partition, &partition) : KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    record_producer_t producer = {producer_id, (int16_t)(number >> 31), (int32_t)(number & INT32_MAX)};
    if (!error && topic->internal) {
        error = groups_position_append(kafka, record, producer, ret_offset);
        return error ? refuse(error, message, NULL) : KAFKA_NONE;
    }
    if (error) return refuse(error, message, NULL);
    record_builder_t builder = RECORD_BUILDER_INIT;
    size_t bytes;
    arena_t arena;
    arena_init(&arena, 0);
    uint8_t *batch = produce__build(kafka->loop, record, producer, &arena, &builder, &bytes);
    error = partition_append(partition, batch, bytes, PARTITION_BRIDGE, &arena, &appended);
    if (error) (void)refuse(error, message, appended.message);
    *ret_offset = appended.base_offset;
    record_builder_deinit(&builder);
    arena_deinit(&arena);
    return error;
}

/* ---- later answers ---- */

typedef struct door_job {
    partition_commit_t commit;
    producer_id_request_t id_request;
    kafka_door_cb done;
    void *user;
} door_job_t;

static door_job_t *job_new(kafka_door_cb done, void *user)
{
    door_job_t *job = mem_zalloc(sizeof(*job));
    job->done = done;
    job->user = user;
    return job;
}

static void job_end(door_job_t *job, int64_t value, int16_t error, const char *message)
{
    job->done(job->user, value, error, message ? message : kafka_error_text(error));
    mem_free(job);
}

static void topic_made(void *user, kafka_topic_t *topic, int16_t error, const char *message)
{
    if (error == KAFKA_TOPIC_ALREADY_EXISTS) error = KAFKA_NONE; /* on its way: who asks again finds it */
    job_end(user, 0, error, message);
}

void kafka_topic_ensure(kafka_t *kafka, bytes_t topic, kafka_door_cb done, void *user)
{
    if (kafka_topic_get(kafka, topic))
        done(user, 0, KAFKA_NONE, NULL);
    else if (!kafka->ready || !(kafka->config.auto_create_topics_enable || topic_is_internal(topic)))
        done(user, 0, kafka->ready ? KAFKA_UNKNOWN_TOPIC_OR_PARTITION : KAFKA_BROKER_NOT_AVAILABLE,
             "The topic does not exist and may not be created");
    else
        kafka_topic_create_auto(kafka, topic, topic_made, job_new(done, user));
}

bool kafka_topic_exists(const kafka_t *kafka, bytes_t topic) { return kafka_topic_get(kafka, topic) != NULL; }

static void synced(partition_commit_t *commit, int16_t error)
{
    job_end(CONTAINER_OF(commit, door_job_t, commit), 0, error, NULL);
}

void kafka_partition_sync(kafka_t *kafka, bytes_t topic, int32_t index, kafka_door_cb done, void *user)
{
    partition_t *partition;
    int16_t error = kafka_partition_get(kafka, topic, index, &partition);
    if (error)
        done(user, 0, error, kafka_error_text(error));
    else
        partition_commit(partition, &job_new(done, user)->commit, synced);
}

static void id_given(producer_id_request_t *request, int16_t error, int64_t producer_id)
{
    job_end(CONTAINER_OF(request, door_job_t, id_request), producer_id, error, NULL);
}

void kafka_producer_id_new(kafka_t *kafka, kafka_door_cb done, void *user)
{
    producer_ids_next(kafka, &job_new(done, user)->id_request, id_given);
}

/* ---- the kept producer ---- */

static partition_t *partition_at(const kafka_topic_t *topic, int32_t index) { return topic->partitions[index].log; }

void kafka_producer_keep(kafka_t *kafka, int64_t producer_id)
{
    size_t cursor = 0;
    kafka->kept_producer_id = producer_id;
    for (map_entry_t *e; (e = map_next(&kafka->topics, &cursor)) != NULL;) {
        const kafka_topic_t *topic = e->value;
        for (int32_t i = 0; i < topic->partitions_count; i++)
            if (partition_at(topic, i)) partition_keep_producer(partition_at(topic, i), producer_id);
    }
}

int64_t kafka_producer_last_number(const kafka_t *kafka, int64_t producer_id)
{
    size_t cursor = 0;
    int64_t last = -1;
    for (map_entry_t *e; (e = map_next(&kafka->topics, &cursor)) != NULL;) {
        const kafka_topic_t *topic = e->value;
        int16_t epoch;
        int32_t sequence;
        for (int32_t i = 0; i < topic->partitions_count; i++)
            if (partition_at(topic, i) &&
                partition_producer_last(partition_at(topic, i), producer_id, &epoch, &sequence))
                last = MAX(last, ((int64_t)epoch << 31) + sequence);
    }
    return last;
}

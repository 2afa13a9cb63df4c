/* produce_numbered.c: the outbox's door into partitions: a record is appended once however often it is given again, and the
 * outbox is told when it is on stable storage. (catalog_ask.c checks it beforehand.)
 *
 * A record's number becomes epoch and sequence of an ordinary idempotent producer (number = epoch * 2^31 + sequence), so
 * that it is kept where Kafka keeps such things: in the batch header, and from there in the producers' snapshots. Records
 * of one partition that come together are one batch. */
#include "kafka/config/config.h"
#include "kafka/coordinator/groups.h"
#include "kafka/coordinator/txn/producer_ids.h"
#include "kafka/door/produce_record.h"
#include "kafka/partition/partition.h"
#include "kafka/topics/topics.h"

#include <stdio.h>

static kafka_code_t refuse(kafka_code_t error, char *message, const char *text)
{
    snprintf(message, KAFKA_MESSAGE_BYTES_MAX, "%s", text ? text : kafka_error_text(error));
    return error;
}

/* ---- appending ---- */

typedef struct numbered_batch {
    kafka_t *kafka;
    partition_t *partition;
    const kafka_topic_config_t *config;
    record_builder_t builder;
    buf_t packed;
    int64_t last_number;
    int32_t count; /* of records in it */
} numbered_batch_t;

static int16_t epoch_of(int64_t number) { return (int16_t)(number >> 31); }
static int32_t sequence_of(int64_t number) { return (int32_t)(number & INT32_MAX); }

/* Numbers run over all partitions, so each sees them rise with gaps: what is not above the last was here before. */
static int count_known(const partition_t *partition, int64_t producer_id, const kafka_numbered_t *records, int count)
{
    int16_t epoch;
    int32_t sequence;
    int n = 0;
    if (!partition_producer_last(partition, producer_id, &epoch, &sequence)) return 0;
    while (n < count && records[n].number <= ((int64_t)epoch << 31) + sequence) n++;
    return n;
}

/* Returns how many of the records it takes, among them offsets that are void, which leave no trace. */
static int fill(numbered_batch_t *b, kafka_numbered_t *records, int count, bool commits)
{
    size_t bytes = 0, bytes_max = (size_t)MIN(KAFKA_BATCH_BYTES, b->config->max_message_bytes);
    int64_t now_ms = io_wall_ms(b->kafka->loop);
    int n = 0;
    for (; n < count && epoch_of(records[n].number) == epoch_of(records[0].number); n++) {
        bytes += produce__bytes_at_most(records[n].record);
        if (n > 0 && bytes > bytes_max) break;
        if (commits && groups_outbox_is_void(b->kafka, records[n].record)) continue;
        produce__add(records[n].record, now_ms, &b->builder);
        records[n].offset = b->count++; /* within the batch: append_new adds where that begins */
        b->last_number = records[n].number;
    }
    return n;
}

/* Its last sequence is its last record's number. As numbers rise, its first is not below the first record's. */
static kafka_code_t append(numbered_batch_t *b, int64_t producer_id, partition_origin_t origin,
                           int64_t *ret_base_offset, char *message)
{
    record_producer_t producer = {producer_id, epoch_of(b->last_number), sequence_of(b->last_number) - (b->count - 1)};
    partition_appended_t appended = {0};
    uint8_t *batch;
    size_t bytes;
    arena_t arena;
    arena_init(&arena, 0);
    kafka_code_t error = KAFKA_NONE;
    if (origin == PARTITION_COORDINATOR)
        batch = record_builder_finish(&b->builder, 0, producer, &bytes);
    else
        error =
            produce__finish(produce__packing(b->kafka, b->config), producer, &b->builder, &b->packed, &batch, &bytes);
    if (!error) error = partition_append(b->partition, batch, bytes, origin, &arena, &appended);
    if (error) (void)refuse(error, message, appended.message);
    *ret_base_offset = appended.base_offset;
    arena_deinit(&arena);
    return error;
}

static kafka_code_t append_new(numbered_batch_t *b, kafka_numbered_t *records, int count, int64_t producer_id,
                               int *ret_taken, char *message)
{
    bool commits = partition_topic(b->partition)->internal;
    int64_t base_offset = -1;
    for (int i = 0; i < count; i++) records[i].offset = -1;
    int taken = fill(b, records, count, commits);
    partition_origin_t origin = commits ? PARTITION_COORDINATOR : PARTITION_BRIDGE;
    kafka_code_t error = b->count ? append(b, producer_id, origin, &base_offset, message) : KAFKA_NONE;
    if (error) return error;
    for (int i = 0; i < taken; i++) {
        if (records[i].offset < 0) continue;
        records[i].offset += base_offset;
        if (commits) groups_outbox_apply(b->kafka, records[i].record);
    }
    *ret_taken = taken;
    return KAFKA_NONE;
}

kafka_code_t kafka_produce_numbered(kafka_t *kafka, kafka_numbered_t *records, int count, int64_t producer_id,
                                    int *ret_taken, char message[KAFKA_MESSAGE_BYTES_MAX])
{
    const kafka_produce_t *first = records[0].record;
    numbered_batch_t b = {.kafka = kafka, .builder = RECORD_BUILDER_INIT, .packed = BUF_INIT};
    ASSERT(count > 0 && records[0].number >= 0 && records[count - 1].number <= KAFKA_NUMBER_MAX);
    kafka_topic_t *topic = kafka_topic_get(kafka, first->topic);
    kafka_code_t error =
        topic ? kafka_topic_partition_get(topic, first->partition, &b.partition) : KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    if (!error && topic->internal) error = groups_outbox_check(kafka, first);
    if (error) return refuse(error, message, NULL);
    *ret_taken = count_known(b.partition, producer_id, records, count);
    for (int i = 0; i < *ret_taken; i++) records[i].offset = -1;
    if (*ret_taken > 0) return KAFKA_NONE;
    b.config = &topic->config;
    error = append_new(&b, records, count, producer_id, ret_taken, message);
    record_builder_deinit(&b.builder);
    buf_deinit(&b.packed);
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

static void job_end(door_job_t *job, int64_t value, kafka_code_t error, const char *message)
{
    job->done(job->user, value, error, message ? message : kafka_error_text(error));
    mem_free(job);
}

static void topic_made(void *user, kafka_topic_t *topic, kafka_code_t error, const char *message)
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

static void synced(partition_commit_t *commit, kafka_code_t error)
{
    job_end(CONTAINER_OF(commit, door_job_t, commit), 0, error, NULL);
}

void kafka_partition_sync(kafka_t *kafka, bytes_t topic, int32_t index, kafka_door_cb done, void *user)
{
    partition_t *partition;
    kafka_code_t error = kafka_partition_get(kafka, topic, index, &partition);
    if (error)
        done(user, 0, error, kafka_error_text(error));
    else
        partition_commit(partition, &job_new(done, user)->commit, synced);
}

static void id_given(producer_id_request_t *request, kafka_code_t error, int64_t producer_id)
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
    for (map_entry_t *e; (e = map_next(&kafka->topics, &cursor));) {
        const kafka_topic_t *topic = e->value;
        for (int32_t i = 0; i < topic->partitions_count; i++)
            if (partition_at(topic, i)) partition_keep_producer(partition_at(topic, i), producer_id);
    }
}

int64_t kafka_producer_last_number(const kafka_t *kafka, int64_t producer_id)
{
    size_t cursor = 0;
    int64_t last = -1;
    for (map_entry_t *e; (e = map_next(&kafka->topics, &cursor));) {
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

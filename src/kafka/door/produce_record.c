/* produce_record.c: one record into a partition from inside the process: the bridge's door. The record
 * becomes a batch of one, compressed as a producer would, and passes the same checks as a client's. */
#include "kafka/door/produce_record.h"
#include "kafka/config/config.h"
#include "kafka/partition/partition.h"
#include "kafka/topics/topics.h"

#include "base/hash.h"

#define ALONE_OVERHEAD_BYTES  128 /* header, and the lengths of one record */
#define HEADER_OVERHEAD_BYTES 10

typedef struct produce_job {
    partition_commit_t commit;
    kafka_t *kafka;
    kafka_produce_t record;
    kafka_produced_cb done;
    void *user;
    int32_t partition;
    int64_t offset;
} produce_job_t;

static void job_end(produce_job_t *job, kafka_code_t error, const char *message)
{
    if (error && !message) message = kafka_error_text(error);
    job->done(job->user, job->partition, error ? -1 : job->offset, error, message);
    mem_free(job);
}

static void committed(partition_commit_t *commit, kafka_code_t error)
{
    job_end(CONTAINER_OF(commit, produce_job_t, commit), error, NULL);
}

int32_t produce__choose_partition(const kafka_produce_t *record, int32_t partitions_count, uint32_t *next)
{
    if (record->partition >= 0) return record->partition;
    uint32_t n = record->key.ptr ? murmur2(record->key.ptr, record->key.len) & 0x7fffffff : (*next)++;
    return (int32_t)(n % (uint32_t)partitions_count);
}

size_t produce__bytes_at_most(const kafka_produce_t *r)
{
    size_t bytes = ALONE_OVERHEAD_BYTES + r->key.len + r->value.len;
    for (int32_t i = 0; i < r->headers_count; i++)
        bytes += HEADER_OVERHEAD_BYTES + r->headers[i].key.len + r->headers[i].value.len;
    return bytes;
}

void produce__add(const kafka_produce_t *record, int64_t now_ms, record_builder_t *builder)
{
    _Static_assert(sizeof(record_header_t) == sizeof(kafka_header_t), "same shape");
    const record_header_t *headers = (const record_header_t *)(const void *)record->headers;
    int64_t timestamp_ms = record->timestamp_ms >= 0 ? record->timestamp_ms : now_ms;
    record_builder_add(builder, timestamp_ms, record->key, record->value, headers, record->headers_count);
}

/* ---- compression ---- */

static const struct {
    const char *name;
    int level; /* the Java client's default */
} codecs[] = {
    [RECORD_NONE] = {"none", 0}, [RECORD_GZIP] = {"gzip", -1}, [RECORD_SNAPPY] = {"snappy", 0},
    [RECORD_LZ4] = {"lz4", 9},   [RECORD_ZSTD] = {"zstd", 3},
};

int kafka_codec_of(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(codecs); i++)
        if (strcmp(codecs[i].name, name) == 0) return (int)i;
    return ERR_INVALID;
}

void kafka_produce_compress(kafka_t *kafka, int codec)
{
    ASSERT(codec >= 0 && codec < (int)ARRAY_LEN(codecs));
    kafka->produce_codec = codec;
}

produce_packing_t produce__packing(const kafka_t *kafka, const kafka_topic_config_t *config)
{
    produce_packing_t packing = {(record_codec_t)kafka->produce_codec, codecs[kafka->produce_codec].level};
    (void)partition_codec(config, &packing.codec, &packing.level);
    return packing;
}

kafka_code_t produce__finish(produce_packing_t packing, record_producer_t producer, record_builder_t *builder,
                             buf_t *packed, uint8_t **ret_batch, size_t *ret_bytes)
{
    *ret_batch = record_builder_finish(builder, 0, producer, ret_bytes);
    if (packing.codec == RECORD_NONE) return KAFKA_NONE;
    if (record_recompress(bytes_of(*ret_batch, *ret_bytes), packing.codec, packing.level, 0, packed))
        return KAFKA_UNKNOWN_SERVER_ERROR;
    *ret_batch = packed->ptr;
    *ret_bytes = packed->len;
    return KAFKA_NONE;
}

static kafka_code_t append(produce_job_t *job, partition_t *partition, const char **ret_message, arena_t *arena)
{
    record_builder_t builder = RECORD_BUILDER_INIT;
    buf_t packed = BUF_INIT;
    partition_appended_t appended = {0};
    uint8_t *batch;
    size_t bytes;
    produce__add(&job->record, io_wall_ms(job->kafka->loop), &builder);
    produce_packing_t packing = produce__packing(job->kafka, &partition_topic(partition)->config);
    kafka_code_t error = produce__finish(packing, RECORD_NO_PRODUCER, &builder, &packed, &batch, &bytes);
    if (!error) error = partition_append(partition, batch, bytes, PARTITION_CLIENT, arena, &appended);
    *ret_message = appended.message;
    job->offset = appended.base_offset;
    record_builder_deinit(&builder);
    buf_deinit(&packed);
    return error;
}

static void produce(produce_job_t *job, kafka_topic_t *topic)
{
    arena_t arena;
    partition_t *partition = NULL;
    const char *message = NULL;
    arena_init(&arena, 0);
    job->partition = produce__choose_partition(&job->record, topic->partitions_count, &topic->next_partition);
    kafka_code_t error = kafka_topic_partition_get(topic, job->partition, &partition);
    if (!error && topic->internal) error = KAFKA_INVALID_TOPIC_EXCEPTION; /* clients may not write there either */
    if (!error) error = append(job, partition, &message, &arena);
    if (!error && partition_needs_commit(partition))
        partition_commit(partition, &job->commit, committed);
    else
        job_end(job, error, message);
    arena_deinit(&arena);
}

static void topic_is_there(void *user, kafka_topic_t *topic, kafka_code_t error, const char *message)
{
    produce_job_t *job = user;
    if (topic)
        produce(job, topic);
    else
        job_end(job, error, message);
}

static void topic_was_made(void *user, kafka_topic_t *topic, kafka_code_t error, const char *message)
{
    produce_job_t *job = user;
    if (error == KAFKA_TOPIC_ALREADY_EXISTS)
        topics_store_wait(job->kafka, job->record.topic, 1, topic_is_there, job);
    else
        topic_is_there(user, topic, error, message);
}

void kafka_produce_record(kafka_t *kafka, const kafka_produce_t *record, kafka_produced_cb done, void *user)
{
    produce_job_t *job = mem_zalloc(sizeof(*job));
    job->kafka = kafka;
    job->record = *record;
    job->done = done;
    job->user = user;
    job->partition = record->partition;
    kafka_topic_t *topic = kafka_topic_get(kafka, record->topic);
    if (topic)
        produce(job, topic);
    else if (!kafka->ready)
        job_end(job, KAFKA_BROKER_NOT_AVAILABLE, NULL);
    else if (!kafka->config.auto_create_topics_enable)
        job_end(job, KAFKA_UNKNOWN_TOPIC_OR_PARTITION, NULL);
    else
        kafka_topic_create_auto(kafka, record->topic, topic_was_made, job);
}

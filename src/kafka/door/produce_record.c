/* produce_record.c: single records into their partitions from inside the process: the bridge's door. What comes together for
 * one partition becomes one batch, compressed as a producer would, and passes the same checks as a client's. */
#include "kafka/door/produce_record.h"
#include "kafka/config/config.h"
#include "kafka/partition/partition.h"
#include "kafka/topics/topics.h"

#include "base/hash.h"

#define ALONE_OVERHEAD_BYTES  128 /* header, and the lengths of one record */
#define HEADER_OVERHEAD_BYTES 10

/* Records of one batch that wait for stable storage. */
typedef struct produce_commit {
    partition_commit_t commit;
    int32_t partition;
    int64_t base_offset;
    int count;
    struct {
        kafka_produced_cb done;
        void *user;
    } waits[];
} produce_commit_t;

/* A record that waits for its topic. */
typedef struct produce_job {
    kafka_t *kafka;
    kafka_produce_t record;
    kafka_produced_cb done;
    void *user;
} produce_job_t;

static void answer(const kafka_single_t *single, int64_t offset, kafka_code_t error, const char *message)
{
    if (error && !message) message = kafka_error_text(error);
    single->done(single->user, single->partition, error ? -1 : offset, error, message);
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

/* ---- appending ---- */

static kafka_code_t append(kafka_t *kafka, partition_t *partition, kafka_single_t *const *singles, int count,
                           int64_t *ret_base_offset, const char **ret_message, arena_t *arena)
{
    record_builder_t builder = RECORD_BUILDER_INIT;
    buf_t packed = BUF_INIT;
    partition_appended_t appended = {0};
    uint8_t *batch;
    size_t bytes;
    for (int i = 0; i < count; i++) produce__add(singles[i]->record, io_wall_ms(kafka->loop), &builder);
    produce_packing_t packing = produce__packing(kafka, &partition_topic(partition)->config);
    kafka_code_t error = produce__finish(packing, RECORD_NO_PRODUCER, &builder, &packed, &batch, &bytes);
    if (!error) error = partition_append(partition, batch, bytes, PARTITION_CLIENT, arena, &appended);
    *ret_message = appended.message;
    *ret_base_offset = appended.base_offset;
    record_builder_deinit(&builder);
    buf_deinit(&packed);
    return error;
}

static void committed(partition_commit_t *commit, kafka_code_t error)
{
    produce_commit_t *c = CONTAINER_OF(commit, produce_commit_t, commit);
    const char *message = error ? kafka_error_text(error) : NULL;
    for (int i = 0; i < c->count; i++)
        c->waits[i].done(c->waits[i].user, c->partition, error ? -1 : c->base_offset + i, error, message);
    mem_free(c);
}

static void answer_when_stored(partition_t *partition, kafka_single_t *const *singles, int count, int64_t base_offset)
{
    produce_commit_t *c = mem_zalloc(sizeof(*c) + sizeof(c->waits[0]) * (size_t)count);
    c->partition = singles[0]->partition;
    c->base_offset = base_offset;
    c->count = count;
    for (int i = 0; i < count; i++) {
        c->waits[i].done = singles[i]->done;
        c->waits[i].user = singles[i]->user;
    }
    partition_commit(partition, &c->commit, committed);
}

/* All of one partition. Where several together are refused, each is given alone: it may be another's fault. */
static void produce(kafka_t *kafka, kafka_topic_t *topic, kafka_single_t *const *singles, int count)
{
    arena_t arena;
    partition_t *partition = NULL;
    const char *message = NULL;
    int64_t base_offset = -1;
    arena_init(&arena, 0);
    kafka_code_t error = kafka_topic_partition_get(topic, singles[0]->partition, &partition);
    if (!error && topic->internal) error = KAFKA_INVALID_TOPIC_EXCEPTION; /* clients may not write there either */
    if (!error) error = append(kafka, partition, singles, count, &base_offset, &message, &arena);
    if (!error && partition_needs_commit(partition))
        answer_when_stored(partition, singles, count, base_offset);
    else if (error && count > 1)
        for (int i = 0; i < count; i++) produce(kafka, topic, &singles[i], 1);
    else
        for (int i = 0; i < count; i++) answer(singles[i], base_offset + i, error, message);
    arena_deinit(&arena);
}

/* ---- a topic that has yet to be made ---- */

static void topic_is_there(void *user, kafka_topic_t *topic, kafka_code_t error, const char *message)
{
    produce_job_t *job = user;
    kafka_single_t single = {&job->record, job->done, job->user, .partition = job->record.partition}, *alone = &single;
    if (topic) {
        single.partition = produce__choose_partition(&job->record, topic->partitions_count, &topic->next_partition);
        produce(job->kafka, topic, &alone, 1);
    } else {
        answer(&single, -1, error, message);
    }
    mem_free(job);
}

static void topic_was_made(void *user, kafka_topic_t *topic, kafka_code_t error, const char *message)
{
    produce_job_t *job = user;
    if (error == KAFKA_TOPIC_ALREADY_EXISTS)
        topics_store_wait(job->kafka, job->record.topic, 1, topic_is_there, job);
    else
        topic_is_there(user, topic, error, message);
}

static void make_topic(kafka_t *kafka, const kafka_single_t *single)
{
    if (!kafka->ready) {
        answer(single, -1, KAFKA_BROKER_NOT_AVAILABLE, NULL);
    } else if (!kafka->config.auto_create_topics_enable) {
        answer(single, -1, KAFKA_UNKNOWN_TOPIC_OR_PARTITION, NULL);
    } else {
        produce_job_t *job = mem_zalloc(sizeof(*job));
        *job = (produce_job_t){kafka, *single->record, single->done, single->user};
        kafka_topic_create_auto(kafka, single->record->topic, topic_was_made, job);
    }
}

/* ---- together ---- */

#define TOGETHER_MAX 512 /* looked at for one batch */

/* The first with all behind it that may be in its batch. */
static void produce_first(kafka_t *kafka, kafka_topic_t *topic, kafka_single_t *records, int count)
{
    kafka_single_t *together[TOGETHER_MAX];
    const bytes_t name = records[0].record->topic;
    size_t bytes = 0, bytes_max = (size_t)MIN(KAFKA_BATCH_BYTES, topic->config.max_message_bytes);
    int taken = 0;
    for (int i = 0; i < MIN(count, TOGETHER_MAX) && bytes < bytes_max; i++) {
        kafka_single_t *r = &records[i];
        if (r->taken || r->partition != records[0].partition || !bytes_eq(r->record->topic, name)) continue;
        bytes += produce__bytes_at_most(r->record);
        if (taken && bytes > bytes_max) break;
        r->taken = true;
        together[taken++] = r;
    }
    produce(kafka, topic, together, taken);
}

static kafka_topic_t *find_topic(kafka_t *kafka, kafka_single_t *single)
{
    kafka_topic_t *topic = kafka_topic_get(kafka, single->record->topic);
    if (topic && single->partition < 0)
        single->partition = produce__choose_partition(single->record, topic->partitions_count, &topic->next_partition);
    return topic;
}

void kafka_produce_records(kafka_t *kafka, kafka_single_t *records, int count)
{
    for (int i = 0; i < count; i++) {
        records[i].taken = false;
        records[i].partition = records[i].record->partition;
        (void)find_topic(kafka, &records[i]);
    }
    for (int i = 0; i < count; i++) {
        if (records[i].taken) continue;
        kafka_topic_t *topic = find_topic(kafka, &records[i]);
        if (topic)
            produce_first(kafka, topic, &records[i], count - i);
        else
            make_topic(kafka, &records[i]);
    }
}

void kafka_produce_record(kafka_t *kafka, const kafka_produce_t *record, kafka_produced_cb done, void *user)
{
    kafka_single_t single = {.record = record, .done = done, .user = user};
    kafka_produce_records(kafka, &single, 1);
}

/* partition_append.c: what must hold of a batch before it enters a partition, in the order in which Kafka
 * looks, and the append.
 *
 * Every record is looked at once (record_check): a batch that its consumers could not read must not get into
 * the log. The records are named one by one only when a refusal must tell which of them are wrong. */
#include "base/hash.h"
#include "kafka/partition_internal.h"
#include "kafka/record.h"

#include <stdio.h>

#define RECORD_ERRORS_MAX 100 /* named in one response */

typedef struct check {
    partition_t *partition;
    const kafka_topic_config_t *config;
    uint8_t *records;
    size_t bytes;
    log_batch_t batch;
    record_facts_t facts;
    arena_t *arena;
    partition_appended_t *out;
} check_t;

static bool stamps(const kafka_topic_config_t *config)
{
    return config->message_timestamp_type && strcmp(config->message_timestamp_type, "LogAppendTime") == 0;
}

/* The header: sizes, checksum, counts. */
static int16_t check_header(check_t *c)
{
    partition_appended_t *out = c->out;
    const log_batch_t *b = &c->batch;
    const char *topic = c->partition->topic->name;
    int32_t index = c->partition->index;
    int err = log_batch_parse(bytes_of(c->records, c->bytes), &c->batch);
    if (err == ERR_UNSUPPORTED) return KAFKA_UNSUPPORTED_FOR_MESSAGE_FORMAT;
    if (err || log_batch_bytes(b) != c->bytes) {
        out->message = "Batch header is corrupt";
        return KAFKA_CORRUPT_MESSAGE;
    }
    if (b->base_offset != 0) {
        out->message = arena_printf(
            c->arena, "The baseOffset of the record batch in the append to %s-%d should be 0, but it is %" PRId64,
            topic, index, b->base_offset);
        return KAFKA_INVALID_RECORD;
    }
    if (c->bytes > (uint64_t)MAX(c->config->max_message_bytes, 0)) {
        out->message =
            arena_printf(c->arena,
                         "The record batch size in the append to %s-%d is %zu bytes which exceeds the maximum "
                         "configured value of %" PRId64 ".",
                         topic, index, c->bytes, c->config->max_message_bytes);
        return KAFKA_MESSAGE_TOO_LARGE;
    }
    if (!log_batch_crc_ok(bytes_of(c->records, c->bytes))) {
        out->message = arena_printf(c->arena, "Record is corrupt (stored crc = %" PRIu32 ") in topic partition %s-%d.",
                                    b->crc, topic, index);
        return KAFKA_CORRUPT_MESSAGE;
    }
    if (b->count != (int64_t)b->last_offset_delta + 1) {
        out->message =
            arena_printf(c->arena, "Inconsistent batch offset range [%" PRId64 ", %" PRId64 "] and count of records %d",
                         b->base_offset, log_batch_last_offset(b), b->count);
        return KAFKA_INVALID_RECORD;
    }
    return KAFKA_NONE;
}

static int16_t check_kind(check_t *c)
{
    const log_batch_t *b = &c->batch;
    if (b->attributes & RECORD_CONTROL) {
        c->out->message = "Clients are not allowed to write control records";
        return KAFKA_INVALID_RECORD;
    }
    if ((b->attributes & RECORD_COMPRESSION_MASK) > RECORD_ZSTD) {
        c->out->message = "Unknown compression type";
        return KAFKA_UNKNOWN_SERVER_ERROR;
    }
    if (b->producer_id >= 0 && b->base_sequence < 0) {
        c->out->message = arena_printf(c->arena, "Invalid sequence number %d in record batch with producerId %" PRId64,
                                       b->base_sequence, b->producer_id);
        return KAFKA_INVALID_RECORD;
    }
    if (b->attributes & RECORD_TRANSACTIONAL) {
        c->out->message = "Record was not part of an ongoing transaction";
        return KAFKA_INVALID_TXN_STATE;
    }
    return KAFKA_NONE;
}

static int16_t check_records(check_t *c)
{
    int err = record_check(&c->batch, bytes_of(c->records, c->bytes), PARTITION_OPENED_BATCH_BYTES_MAX, &c->facts);
    switch (err) {
    case 0: return KAFKA_NONE;
    case ERR_LIMIT: /* it may be sound, and opening it is not for us: its header is believed */
        c->facts = (record_facts_t){c->batch.base_timestamp, c->batch.max_timestamp, c->batch.count};
        return KAFKA_NONE;
    case ERR_CORRUPT:
        c->out->message = "Found invalid record structure, or not as many records as the batch declares";
        return KAFKA_INVALID_RECORD;
    default: c->out->message = "Records cannot be opened"; return KAFKA_UNKNOWN_SERVER_ERROR;
    }
}

/* Names the records for which `wrong` gives a message. */
typedef const char *(*wrong_t)(check_t *c, const record_t *record);

static int16_t name_records(check_t *c, wrong_t wrong, int16_t error)
{
    record_iter_t iter;
    record_t record;
    int found = 0, total = 0;
    int err = record_iter_init(&iter, bytes_of(c->records, c->bytes), PARTITION_OPENED_BATCH_BYTES_MAX);
    partition_record_error_t *named = ARENA_ARRAY(c->arena, partition_record_error_t, RECORD_ERRORS_MAX);
    for (int32_t i = 0; !err && (err = record_iter_next(&iter, &record)) == 0; i++) {
        const char *message = wrong(c, &record);
        if (!message) continue;
        total++;
        if (found < RECORD_ERRORS_MAX) named[found++] = (partition_record_error_t){i, message};
    }
    record_iter_deinit(&iter);
    if (err && err != ERR_NOT_FOUND) {
        c->out->message = "Records cannot be read";
        return err == ERR_LIMIT ? KAFKA_MESSAGE_TOO_LARGE : KAFKA_CORRUPT_MESSAGE;
    }
    if (total == 0) return KAFKA_NONE;
    c->out->record_errors = named;
    c->out->record_errors_count = found;
    c->out->message = "One or more records have been rejected due to invalid records";
    return error;
}

static const char *wrong_key(check_t *c, const record_t *record)
{
    if (record->key.ptr) return NULL;
    return arena_printf(c->arena, "Compacted topic cannot accept message without key in topic partition %s-%d.",
                        c->partition->topic->name, c->partition->index);
}

/* The window into which CreateTime must fall. */
static void timestamp_window(const check_t *c, int64_t *ret_from_ms, int64_t *ret_to_ms)
{
    int64_t now_ms = io_wall_ms(c->partition->topic->kafka->loop);
    int64_t before = c->config->message_timestamp_before_max_ms, after = c->config->message_timestamp_after_max_ms;
    *ret_from_ms = before > now_ms ? 0 : now_ms - before;
    *ret_to_ms = after > INT64_MAX - now_ms ? INT64_MAX : now_ms + after;
}

static const char *wrong_timestamp(check_t *c, const record_t *record)
{
    int64_t from_ms, to_ms;
    timestamp_window(c, &from_ms, &to_ms);
    if (record->timestamp_ms == -1 || (record->timestamp_ms >= from_ms && record->timestamp_ms <= to_ms)) return NULL;
    return arena_printf(c->arena,
                        "Timestamp %" PRId64 " of message with offset %" PRId64
                        " is out of range. The timestamp should be "
                        "within [%" PRId64 ", %" PRId64 "]",
                        record->timestamp_ms, record->offset, from_ms, to_ms);
}

static int16_t check_timestamps(check_t *c)
{
    int64_t from_ms, to_ms;
    if (stamps(c->config)) return KAFKA_NONE;
    if (c->batch.attributes & RECORD_LOG_APPEND_TIME && c->batch.max_timestamp == -1) {
        c->out->message = "Invalid timestamp type in message. Producer should not set timestamp type to LogAppendTime.";
        return KAFKA_INVALID_TIMESTAMP;
    }
    timestamp_window(c, &from_ms, &to_ms);
    if (c->facts.min_timestamp_ms >= from_ms && c->facts.max_timestamp_ms <= to_ms) return KAFKA_NONE;
    return name_records(c, wrong_timestamp, KAFKA_INVALID_TIMESTAMP);
}

static int16_t check_client(check_t *c)
{
    int16_t error = check_header(c);
    if (!error) error = check_kind(c);
    if (!error) error = check_records(c);
    if (!error) error = check_timestamps(c);
    if (!error && c->facts.keyless > 0 && c->config->cleanup_policy && strstr(c->config->cleanup_policy, "compact"))
        error = name_records(c, wrong_key, KAFKA_INVALID_RECORD);
    return error;
}

bool partition_codec(const kafka_topic_config_t *config, record_codec_t *ret_codec, int *ret_level)
{
    const struct {
        const char *name;
        record_codec_t codec;
        int level;
    } codecs[] = {
        {"uncompressed", RECORD_NONE, 0},
        {"gzip", RECORD_GZIP, (int)config->compression_gzip_level},
        {"snappy", RECORD_SNAPPY, 0},
        {"lz4", RECORD_LZ4, (int)config->compression_lz4_level},
        {"zstd", RECORD_ZSTD, (int)config->compression_zstd_level},
    };
    for (size_t i = 0; i < ARRAY_LEN(codecs) && config->compression_type; i++) {
        if (strcmp(config->compression_type, codecs[i].name) != 0) continue;
        *ret_codec = codecs[i].codec;
        *ret_level = codecs[i].level;
        return true;
    }
    return false; /* "producer" */
}

/* compression.type: the batch under the topic's own codec, in `packed`. */
static int16_t recompress(check_t *c, buf_t *packed)
{
    record_codec_t codec;
    int level;
    if (!partition_codec(c->config, &codec, &level)) return KAFKA_NONE;
    if (codec == (record_codec_t)(c->batch.attributes & RECORD_COMPRESSION_MASK)) return KAFKA_NONE;
    int err = record_recompress(bytes_of(c->records, c->bytes), codec, level, PARTITION_OPENED_BATCH_BYTES_MAX, packed);
    if (err == ERR_NOMEM) return KAFKA_UNKNOWN_SERVER_ERROR;
    if (err) {
        c->out->message = "Records cannot be opened";
        return err == ERR_LIMIT ? KAFKA_MESSAGE_TOO_LARGE : KAFKA_CORRUPT_MESSAGE;
    }
    if (packed->len > (uint64_t)MAX(c->config->max_message_bytes, 0)) {
        c->out->message = "The record batch is larger than max.message.bytes under the topic's compression type";
        return KAFKA_MESSAGE_TOO_LARGE;
    }
    c->records = packed->ptr;
    c->bytes = packed->len;
    return log_batch_parse(buf_bytes(packed), &c->batch) ? KAFKA_CORRUPT_MESSAGE : KAFKA_NONE;
}

/* The header says what the records are, under a new checksum when it was wrong: their largest time, and that
 * it is the producer's. Under LogAppendTime the time of the append replaces it. */
static void set_time(check_t *c)
{
    bool stamped = stamps(c->config);
    int64_t time_ms = stamped ? io_wall_ms(c->partition->topic->kafka->loop) : c->facts.max_timestamp_ms;
    int16_t attributes = c->batch.attributes & ~RECORD_LOG_APPEND_TIME;
    if (stamped) attributes |= RECORD_LOG_APPEND_TIME;
    if (stamped) c->out->log_append_time_ms = time_ms;
    if (attributes == c->batch.attributes && time_ms == c->batch.max_timestamp) return;
    c->batch.attributes = attributes;
    c->batch.max_timestamp = time_ms;
    store_be16(c->records + 21, (uint16_t)attributes);
    store_be64(c->records + 35, (uint64_t)time_ms);
    store_be32(c->records + 17, crc32c(0, c->records + 21, c->bytes - 21));
}

/* A producer's sequence: a repetition is answered with what it got the first time. */
static int16_t check_sequence(check_t *c)
{
    const producer_batch_t *duplicate;
    char message[PRODUCER_MESSAGE_BYTES_MAX];
    if (c->batch.producer_id < 0) return KAFKA_NONE;
    int16_t error = producers_check(&c->partition->producers, &c->batch, &duplicate, message);
    if (error) {
        c->out->message = arena_strdup(c->arena, bytes_str(message));
    } else if (duplicate) {
        c->out->duplicate = true;
        c->out->base_offset = duplicate->last_offset - duplicate->offset_delta;
        c->out->last_offset = duplicate->last_offset;
        c->out->log_append_time_ms = duplicate->timestamp_ms; /* as Kafka does, whoever set the time */
    }
    return error;
}

static int16_t write_batch(check_t *c)
{
    partition_t *p = c->partition;
    int64_t base_offset;
    int err = log_append(p->log, c->records, c->bytes, p->leader_epoch, &base_offset);
    if (err == ERR_LIMIT) {
        c->out->message =
            arena_printf(c->arena,
                         "Message batch size is %zu bytes in append to partition %s-%d, which exceeds the "
                         "maximum configured segment size of %" PRId64 ".",
                         c->bytes, p->topic->name, p->index, c->config->segment_bytes);
    }
    if (err) return partition__error(err);
    c->batch.base_offset = base_offset;
    producers_note(&p->producers, &c->batch);
    c->out->base_offset = base_offset;
    c->out->last_offset = log_batch_last_offset(&c->batch);
    if (partition_needs_commit(p))
        partition__flush(p);
    else
        partition__advance_high_watermark(p, log_end_offset(p->log));
    kafka_stats_t *stats = &p->topic->kafka->stats;
    stats->produced_records += (uint64_t)c->batch.count;
    stats->produced_bytes += c->bytes;
    return KAFKA_NONE;
}

/* Kafka knows no log start where the batch as such or the disk was at fault. */
static bool tells_log_start(int16_t error)
{
    return error != KAFKA_CORRUPT_MESSAGE && error != KAFKA_MESSAGE_TOO_LARGE && error != KAFKA_RECORD_LIST_TOO_LARGE &&
           error != KAFKA_KAFKA_STORAGE_ERROR;
}

int16_t partition_append(partition_t *partition, uint8_t *records, size_t bytes, partition_origin_t origin,
                         arena_t *arena, partition_appended_t *ret_appended)
{
    *ret_appended = (partition_appended_t){.base_offset = -1, .last_offset = -1, .log_append_time_ms = -1};
    check_t c = {.partition = partition,
                 .config = &partition->topic->config,
                 .records = records,
                 .bytes = bytes,
                 .arena = arena,
                 .out = ret_appended};
    buf_t packed = BUF_INIT;
    int16_t error;
    if (origin == PARTITION_CLIENT || origin == PARTITION_BRIDGE) {
        error = check_client(&c);
        if (!error && origin == PARTITION_CLIENT) error = check_sequence(&c);
        if (!error && !ret_appended->duplicate) error = recompress(&c, &packed);
        if (!error && !ret_appended->duplicate) set_time(&c);
    } else {
        error = log_batch_parse(bytes_of(records, bytes), &c.batch) ? KAFKA_CORRUPT_MESSAGE : KAFKA_NONE;
    }
    if (!error && !ret_appended->duplicate) error = write_batch(&c);
    buf_deinit(&packed);
    ret_appended->log_start_offset = tells_log_start(error) ? log_start_offset(partition->log) : -1;
    return error;
}

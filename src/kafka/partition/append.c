/* append.c: the append of a batch that was checked (check.c): its producer's sequence, the topic's codec,
 * the times, the log. */
#include "kafka/partition/check.h"
#include "kafka/partition/opener.h"

bool partition_codec(const kafka_topic_config_t *config, record_codec_t *ret_codec, int *ret_level)
{
    switch (config->compression_type) {
    case KAFKA_COMPRESSION_TYPE_UNCOMPRESSED: *ret_codec = RECORD_NONE, *ret_level = 0; return true;
    case KAFKA_COMPRESSION_TYPE_GZIP:
        *ret_codec = RECORD_GZIP, *ret_level = (int)config->compression_gzip_level;
        return true;
    case KAFKA_COMPRESSION_TYPE_SNAPPY: *ret_codec = RECORD_SNAPPY, *ret_level = 0; return true;
    case KAFKA_COMPRESSION_TYPE_LZ4:
        *ret_codec = RECORD_LZ4, *ret_level = (int)config->compression_lz4_level;
        return true;
    case KAFKA_COMPRESSION_TYPE_ZSTD:
        *ret_codec = RECORD_ZSTD, *ret_level = (int)config->compression_zstd_level;
        return true;
    default: return false; /* as the producer chose */
    }
}

/* compression.type: the batch under the topic's own codec takes its place. */
static kafka_code_t take_packed(partition_check_t *c)
{
    if (!c->repacks) return KAFKA_NONE;
    if (c->repack_err == ERR_NOMEM) return KAFKA_UNKNOWN_SERVER_ERROR;
    if (c->repack_err) {
        c->out->message = "Records cannot be opened";
        return c->repack_err == ERR_LIMIT ? KAFKA_MESSAGE_TOO_LARGE : KAFKA_CORRUPT_MESSAGE;
    }
    if (c->packed.len > (uint64_t)MAX(c->config->max_message_bytes, 0)) {
        c->out->message = "The record batch is larger than max.message.bytes under the topic's compression type";
        return KAFKA_MESSAGE_TOO_LARGE;
    }
    c->records = c->packed.ptr;
    c->bytes = c->packed.len;
    return batch_header_read(buf_bytes(&c->packed), &c->batch) ? KAFKA_CORRUPT_MESSAGE : KAFKA_NONE;
}

/* The header says what the records are, under a new checksum when it was wrong: their largest time, and that
 * it is the producer's. Under LogAppendTime the time of the append replaces it. */
static void set_time(partition_check_t *c)
{
    bool stamped = partition__stamps(c->config);
    int64_t time_ms = stamped ? io_wall_ms(c->partition->topic->kafka->loop) : c->facts.max_timestamp_ms;
    int16_t attributes = c->batch.attributes & ~RECORD_LOG_APPEND_TIME;
    if (stamped) attributes |= RECORD_LOG_APPEND_TIME;
    if (stamped) c->out->log_append_time_ms = time_ms;
    if (attributes == c->batch.attributes && time_ms == c->batch.max_timestamp) return;
    c->batch.attributes = attributes;
    c->batch.max_timestamp = time_ms;
    batch_header_write(c->records, &c->batch);
    batch_seal(c->records, c->bytes);
}

/* A producer's sequence: a repetition is answered with what it got the first time. */
static kafka_code_t check_sequence(partition_check_t *c)
{
    const producer_batch_t *duplicate;
    char message[PRODUCER_MESSAGE_BYTES_MAX];
    if (c->batch.producer_id < 0) return KAFKA_NONE;
    kafka_code_t error = producers_check(&c->partition->producers, &c->batch, &duplicate, message);
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

/* A coordinator's records of a transaction have an epoch, and no sequence. */
static kafka_code_t check_epoch(partition_check_t *c)
{
    char message[PRODUCER_MESSAGE_BYTES_MAX];
    if (c->batch.producer_id < 0) return KAFKA_NONE;
    kafka_code_t error = producers_check_epoch(&c->partition->producers, &c->batch, message);
    if (error) c->out->message = arena_strdup(c->arena, bytes_str(message));
    return error;
}

/* Records of a transaction that its coordinator does not know to be open here would never be decided. */
static kafka_code_t check_transaction(partition_check_t *c)
{
    const producers_t *producers = &c->partition->producers;
    bool transactional = c->batch.attributes & RECORD_TRANSACTIONAL && c->batch.producer_id >= 0;
    if (!transactional || producers_is_open(producers, c->batch.producer_id, c->batch.producer_epoch))
        return KAFKA_NONE;
    if (c->guard >= 0 && (uint32_t)c->guard == producers_guard(producers, c->batch.producer_id)) return KAFKA_NONE;
    c->out->message = "Record was not part of an ongoing transaction";
    return KAFKA_INVALID_TXN_STATE;
}

static kafka_code_t write_batch(partition_check_t *c)
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
    if (err && err != ERR_LIMIT && err != ERR_STATE)
        partition__write_refused(p, err); /* STATE: it has failed, and says so */
    if (err) return partition__error(err);
    c->batch.base_offset = base_offset;
    producers_note(&p->producers, &c->batch);
    c->out->base_offset = base_offset;
    c->out->last_offset = batch_last_offset(&c->batch);
    partition__appended(p);
    kafka_stats_t *stats = &p->topic->kafka->stats;
    stats->produced_records += (uint64_t)c->batch.count;
    stats->produced_bytes += c->bytes;
    return KAFKA_NONE;
}

/* Kafka knows no log start where the batch as such or the disk was at fault. */
static bool tells_log_start(kafka_code_t error)
{
    return error != KAFKA_CORRUPT_MESSAGE && error != KAFKA_MESSAGE_TOO_LARGE && error != KAFKA_RECORD_LIST_TOO_LARGE &&
           error != KAFKA_KAFKA_STORAGE_ERROR;
}

void partition__tell_log_start(const partition_t *partition, kafka_code_t error, partition_appended_t *appended)
{
    appended->log_start_offset = tells_log_start(error) ? log_start_offset(partition->log) : -1;
}

kafka_code_t partition__append_checked(partition_check_t *c, bool checks_sequence)
{
    kafka_code_t error = checks_sequence ? check_sequence(c) : KAFKA_NONE;
    if (error || c->out->duplicate) return error;
    error = check_transaction(c);
    if (!error) error = take_packed(c);
    if (error) return error;
    set_time(c);
    return write_batch(c);
}

kafka_code_t partition_append(partition_t *partition, uint8_t *records, size_t bytes, partition_origin_t origin,
                              arena_t *arena, partition_appended_t *ret_appended)
{
    *ret_appended = PARTITION_APPENDED_NONE;
    partition_check_t c; /* its lists of records are long and need no zeros */
    partition__check_init(&c, partition, bytes_of(records, bytes), arena, ret_appended);
    kafka_code_t error;
    if (origin == PARTITION_COORDINATOR) {
        error = batch_header_read(bytes_of(records, bytes), &c.batch) ? KAFKA_CORRUPT_MESSAGE : KAFKA_NONE;
        if (!error) error = check_epoch(&c);
        if (!error) error = write_batch(&c);
    } else {
        error = partition__check_begin(&c);
        if (!error) error = partition__check_end(&c, partition__check_open(&c, OPENER_LARGE_BYTES_MAX));
        if (!error) error = partition__append_checked(&c, origin == PARTITION_CLIENT);
    }
    partition__check_deinit(&c);
    partition__tell_log_start(partition, error, ret_appended);
    return error;
}

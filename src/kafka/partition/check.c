/* check.c: what must hold of a client's batch before it enters a partition, in the order in which Kafka looks.
 *
 * Every record is looked at once (record_check): a batch that its consumers could not read must not get into the log. That
 * look, and the batch under the topic's own codec, are the part that may leave the loop: partition__check_open is pure. */
#include "kafka/partition/check.h"
#include "kafka/partition/opener.h"

#define PACK_INLINE_BYTES_MAX KIB(32) /* compressing takes many times what opening does */

bool partition__stamps(const kafka_topic_config_t *config)
{
    return config->message_timestamp_type == KAFKA_MESSAGE_TIMESTAMP_TYPE_LOGAPPENDTIME;
}

static kafka_code_t wrong_sum(partition_check_t *c)
{
    c->out->message = arena_printf(c->arena, "Record is corrupt (stored crc = %" PRIu32 ") in topic partition %s-%d.",
                                   c->batch.crc, c->partition->topic->name, c->partition->index);
    return KAFKA_CORRUPT_MESSAGE;
}

static bool sum_ok(const partition_check_t *c) { return batch_crc_ok(bytes_of(c->records, c->bytes)); }

/* The header: sizes, checksum, counts. */
static kafka_code_t check_header(partition_check_t *c)
{
    partition_appended_t *out = c->out;
    const batch_header_t *b = &c->batch;
    const char *topic = c->partition->topic->name;
    int32_t index = c->partition->index;
    int err = batch_header_read(bytes_of(c->records, c->bytes), &c->batch);
    if (err == ERR_UNSUPPORTED) return KAFKA_UNSUPPORTED_FOR_MESSAGE_FORMAT;
    if (err || batch_bytes(b) != c->bytes) {
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
    c->sums_later = c->bytes > CHECK_PLAIN_BYTES_MAX;
    if (!c->sums_later && !sum_ok(c)) return wrong_sum(c);
    if (b->count != (int64_t)b->last_offset_delta + 1) {
        out->message =
            arena_printf(c->arena, "Inconsistent batch offset range [%" PRId64 ", %" PRId64 "] and count of records %d",
                         b->base_offset, batch_last_offset(b), b->count);
        return KAFKA_INVALID_RECORD;
    }
    return KAFKA_NONE;
}

static kafka_code_t check_kind(partition_check_t *c)
{
    const batch_header_t *b = &c->batch;
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
    return KAFKA_NONE;
}

/* The window into which CreateTime must fall. */
static void timestamp_window(const partition_check_t *c, int64_t *ret_from_ms, int64_t *ret_to_ms)
{
    int64_t now_ms = io_wall_ms(c->partition->topic->kafka->loop);
    int64_t before = c->config->message_timestamp_before_max_ms, after = c->config->message_timestamp_after_max_ms;
    *ret_from_ms = now_ms - before;
    *ret_to_ms = after > INT64_MAX - now_ms ? INT64_MAX : now_ms + after;
}

kafka_code_t partition__check_begin(partition_check_t *c)
{
    record_codec_t codec;
    int level;
    kafka_code_t error = check_header(c);
    if (!error) error = check_kind(c);
    if (error) return c->sums_later && !sum_ok(c) ? wrong_sum(c) : error; /* what it says may be damage */
    c->rules = (record_rules_t){
        .record_bytes_max = c->config->max_decompressed_message_bytes, .from_ms = INT64_MIN, .to_ms = INT64_MAX};
    if (!partition__stamps(c->config)) timestamp_window(c, &c->rules.from_ms, &c->rules.to_ms);
    c->repacks = partition_codec(c->config, &codec, &level) &&
                 codec != (record_codec_t)(c->batch.attributes & RECORD_COMPRESSION_MASK);
    c->codec = codec;
    c->level = level;
    return KAFKA_NONE;
}

/* ---- the records ----------------------------------------------------------------------------------------------------- */

int partition__check_open(partition_check_t *c, size_t opened_bytes_max)
{
    bytes_t batch = bytes_of(c->records, c->bytes);
    c->rules.opened_bytes_max = opened_bytes_max;
    c->sum_wrong = c->sums_later && !sum_ok(c);
    if (c->sum_wrong) return ERR_CORRUPT;
    int err = record_check(&c->batch, batch, &c->rules, &c->facts);
    if (err || !c->repacks) return err;
    bool here = opened_bytes_max <= OPENER_INLINE_BYTES_MAX;
    if (here && c->facts.opened_bytes > PACK_INLINE_BYTES_MAX) return ERR_LIMIT;
    c->repack_err = record_recompress(batch, c->codec, c->level, opened_bytes_max, &c->packed);
    return 0;
}

static kafka_code_t check_opened(partition_check_t *c, int err)
{
    if (c->sum_wrong) return wrong_sum(c);
    switch (err) {
    case 0: return KAFKA_NONE;
    case ERR_LIMIT:
        c->out->message = arena_printf(c->arena, "The records take more than %zu bytes when they are opened",
                                       (size_t)OPENER_LARGE_BYTES_MAX);
        return KAFKA_INVALID_RECORD;
    case ERR_CORRUPT:
        c->out->message = c->facts.oversized
                              ? "A record is larger than max.decompressed.message.bytes when it is opened"
                              : "Found invalid record structure, or not as many records as the batch declares";
        return KAFKA_INVALID_RECORD;
    case ERR_CLOSED: return KAFKA_NOT_LEADER_OR_FOLLOWER;
    default: c->out->message = "Records cannot be opened"; return KAFKA_UNKNOWN_SERVER_ERROR;
    }
}

static const char *wrong_key(partition_check_t *c, const record_noted_t *record)
{
    return arena_printf(c->arena, "Compacted topic cannot accept message without key in topic partition %s-%d.",
                        c->partition->topic->name, c->partition->index);
}

static const char *wrong_timestamp(partition_check_t *c, const record_noted_t *record)
{
    return arena_printf(
        c->arena,
        "Timestamp %" PRId64 " of message with offset %" PRId64 " is out of range. The timestamp should be "
        "within [%" PRId64 ", %" PRId64 "]",
        record->timestamp_ms, c->batch.base_offset + record->offset_delta, c->rules.from_ms, c->rules.to_ms);
}

/* Names the records that were noted, as many as there is room for. */
static kafka_code_t name_records(partition_check_t *c, const record_noted_t *noted, int32_t count, kafka_code_t error,
                                 const char *(*why)(partition_check_t *c, const record_noted_t *record))
{
    int32_t named = MIN(count, RECORD_NOTED_MAX);
    c->out->record_errors = ARENA_ARRAY(c->arena, partition_record_error_t, named);
    c->out->record_errors_count = named;
    for (int32_t i = 0; i < named; i++)
        c->out->record_errors[i] = (partition_record_error_t){noted[i].index, why(c, &noted[i])};
    c->out->message = "One or more records have been rejected due to invalid records";
    return error;
}

kafka_code_t partition__check_end(partition_check_t *c, int err)
{
    kafka_code_t error = check_opened(c, err);
    if (error) return error;
    if (!partition__stamps(c->config) && c->batch.attributes & RECORD_LOG_APPEND_TIME && c->batch.max_timestamp == -1) {
        c->out->message = "Invalid timestamp type in message. Producer should not set timestamp type to LogAppendTime.";
        return KAFKA_INVALID_TIMESTAMP;
    }
    if (c->facts.untimely > 0)
        return name_records(c, c->facts.untimely_noted, c->facts.untimely, KAFKA_INVALID_TIMESTAMP, wrong_timestamp);
    if (c->facts.keyless > 0 && partition__is_compacted(c->partition))
        return name_records(c, c->facts.keyless_noted, c->facts.keyless, KAFKA_INVALID_RECORD, wrong_key);
    return KAFKA_NONE;
}

void partition__check_init(partition_check_t *c, partition_t *partition, bytes_t records, arena_t *arena,
                           partition_appended_t *out)
{
    c->partition = partition;
    c->config = &partition->topic->config;
    c->records = (uint8_t *)records.ptr;
    c->bytes = records.len;
    c->arena = arena;
    c->out = out;
    c->guard = PARTITION_UNVERIFIED;
    c->repacks = c->sums_later = c->sum_wrong = false;
    c->packed = BUF_INIT;
}

void partition__check_deinit(partition_check_t *c) { buf_deinit(&c->packed); }

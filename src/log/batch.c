/* batch.c: the 61-byte header of a record batch, and its checksum. Takes hostile bytes. */
#include "base/hash.h"
#include "log/log_internal.h"

enum {
    AT_LENGTH = 8,
    AT_EPOCH = 12,
    AT_MAGIC = 16,
    AT_CRC = 17,
    AT_ATTRIBUTES = 21,
    AT_LAST_DELTA = 23,
    AT_BASE_TIMESTAMP = 27,
    AT_MAX_TIMESTAMP = 35,
    AT_PRODUCER_ID = 43,
    AT_PRODUCER_EPOCH = 51,
    AT_BASE_SEQUENCE = 53,
    AT_COUNT = 57,
};
_Static_assert(AT_COUNT + 4 == LOG_BATCH_HEADER_BYTES, "the header's fields fill it");

int log_batch_parse(bytes_t data, log_batch_t *ret_batch)
{
    if (data.len <= AT_MAGIC) return ERR_TRUNCATED;
    const uint8_t *p = data.ptr;
    int8_t magic = (int8_t)p[AT_MAGIC];
    if (magic >= 0 && magic < 2) return ERR_UNSUPPORTED; /* message sets of Kafka 0.x */
    if (magic != 2) return ERR_CORRUPT;
    if (data.len < LOG_BATCH_HEADER_BYTES) return ERR_TRUNCATED;
    log_batch_t b = {
        .base_offset = (int64_t)load_be64(p),
        .length = (int32_t)load_be32(p + AT_LENGTH),
        .leader_epoch = (int32_t)load_be32(p + AT_EPOCH),
        .magic = magic,
        .crc = load_be32(p + AT_CRC),
        .attributes = (int16_t)load_be16(p + AT_ATTRIBUTES),
        .last_offset_delta = (int32_t)load_be32(p + AT_LAST_DELTA),
        .base_timestamp = (int64_t)load_be64(p + AT_BASE_TIMESTAMP),
        .max_timestamp = (int64_t)load_be64(p + AT_MAX_TIMESTAMP),
        .producer_id = (int64_t)load_be64(p + AT_PRODUCER_ID),
        .producer_epoch = (int16_t)load_be16(p + AT_PRODUCER_EPOCH),
        .base_sequence = (int32_t)load_be32(p + AT_BASE_SEQUENCE),
        .count = (int32_t)load_be32(p + AT_COUNT),
    };
    if (b.length < LOG_BATCH_HEADER_BYTES - LOG_BATCH_OVERHEAD_BYTES) return ERR_CORRUPT;
    if (b.length > INT32_MAX - LOG_BATCH_OVERHEAD_BYTES) return ERR_CORRUPT;
    if (b.base_offset < 0 || b.last_offset_delta < 0 || b.base_offset > INT64_MAX - b.last_offset_delta - 1) {
        return ERR_CORRUPT;
    }
    *ret_batch = b;
    return 0;
}

bool log_batch_crc_ok(bytes_t batch)
{
    ASSERT(batch.len >= LOG_BATCH_HEADER_BYTES);
    return load_be32(batch.ptr + AT_CRC) == crc32c(0, batch.ptr + AT_ATTRIBUTES, batch.len - AT_ATTRIBUTES);
}

void log__put_empty(uint8_t *out, int64_t base_offset, int32_t count, int32_t epoch)
{
    memset(out, 0, LOG_BATCH_HEADER_BYTES);
    store_be64(out, (uint64_t)base_offset);
    store_be32(out + AT_LENGTH, LOG_BATCH_HEADER_BYTES - LOG_BATCH_OVERHEAD_BYTES);
    store_be32(out + AT_EPOCH, (uint32_t)epoch);
    out[AT_MAGIC] = 2;
    store_be32(out + AT_LAST_DELTA, (uint32_t)count - 1);
    store_be64(out + AT_BASE_TIMESTAMP, UINT64_MAX);
    store_be64(out + AT_MAX_TIMESTAMP, UINT64_MAX);
    store_be64(out + AT_PRODUCER_ID, UINT64_MAX);
    store_be16(out + AT_PRODUCER_EPOCH, UINT16_MAX);
    store_be32(out + AT_BASE_SEQUENCE, UINT32_MAX);
    store_be32(out + AT_CRC, crc32c(0, out + AT_ATTRIBUTES, LOG_BATCH_HEADER_BYTES - AT_ATTRIBUTES));
}

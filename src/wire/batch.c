/* batch.c: see batch.h. The only place that knows where the fields are. Takes hostile bytes. */
#include "wire/batch.h"

#include "base/hash.h"

enum {
    AT_BASE_OFFSET = 0,
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

/* Each field begins where the one before it ends. */
#define FOLLOWS(field, before, member)                                                                                 \
    _Static_assert(field == before + sizeof(((batch_header_t *)0)->member), #field " follows " #before)
FOLLOWS(AT_LENGTH, AT_BASE_OFFSET, base_offset);
FOLLOWS(AT_EPOCH, AT_LENGTH, length);
FOLLOWS(AT_MAGIC, AT_EPOCH, leader_epoch);
FOLLOWS(AT_CRC, AT_MAGIC, magic);
FOLLOWS(AT_ATTRIBUTES, AT_CRC, crc);
FOLLOWS(AT_LAST_DELTA, AT_ATTRIBUTES, attributes);
FOLLOWS(AT_BASE_TIMESTAMP, AT_LAST_DELTA, last_offset_delta);
FOLLOWS(AT_MAX_TIMESTAMP, AT_BASE_TIMESTAMP, base_timestamp);
FOLLOWS(AT_PRODUCER_ID, AT_MAX_TIMESTAMP, max_timestamp);
FOLLOWS(AT_PRODUCER_EPOCH, AT_PRODUCER_ID, producer_id);
FOLLOWS(AT_BASE_SEQUENCE, AT_PRODUCER_EPOCH, producer_epoch);
FOLLOWS(AT_COUNT, AT_BASE_SEQUENCE, base_sequence);
FOLLOWS(BATCH_HEADER_BYTES, AT_COUNT, count);
FOLLOWS(BATCH_OVERHEAD_BYTES, AT_LENGTH, length);

int32_t batch_peek_length(bytes_t data)
{
    ASSERT(data.len >= BATCH_OVERHEAD_BYTES);
    return (int32_t)load_be32(data.ptr + AT_LENGTH);
}

int batch_peek_magic(bytes_t data) { return data.len > AT_MAGIC ? data.ptr[AT_MAGIC] : -1; }

int16_t batch_peek_attributes(bytes_t data)
{
    ASSERT(data.len >= BATCH_HEADER_BYTES);
    return (int16_t)load_be16(data.ptr + AT_ATTRIBUTES);
}

static batch_header_t decode(const uint8_t *p)
{
    return (batch_header_t){
        .base_offset = (int64_t)load_be64(p + AT_BASE_OFFSET),
        .length = (int32_t)load_be32(p + AT_LENGTH),
        .leader_epoch = (int32_t)load_be32(p + AT_EPOCH),
        .magic = (int8_t)p[AT_MAGIC],
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
}

int batch_header_read(bytes_t data, batch_header_t *ret_header)
{
    if (data.len <= AT_MAGIC) return ERR_TRUNCATED;
    int8_t magic = (int8_t)data.ptr[AT_MAGIC];
    if (magic >= 0 && magic < BATCH_MAGIC) return ERR_UNSUPPORTED; /* message sets of Kafka 0.x */
    if (magic != BATCH_MAGIC) return ERR_CORRUPT;
    if (data.len < BATCH_HEADER_BYTES) return ERR_TRUNCATED;
    batch_header_t h = decode(data.ptr);
    if (h.length < BATCH_HEADER_BYTES - BATCH_OVERHEAD_BYTES) return ERR_CORRUPT;
    if (h.length > INT32_MAX - BATCH_OVERHEAD_BYTES) return ERR_CORRUPT;
    if (h.base_offset < 0 || h.last_offset_delta < 0 || h.base_offset > INT64_MAX - h.last_offset_delta - 1) {
        return ERR_CORRUPT;
    }
    *ret_header = h;
    return 0;
}

void batch_header_write(uint8_t out[BATCH_HEADER_BYTES], const batch_header_t *h)
{
    store_be64(out + AT_BASE_OFFSET, (uint64_t)h->base_offset);
    store_be32(out + AT_LENGTH, (uint32_t)h->length);
    store_be32(out + AT_EPOCH, (uint32_t)h->leader_epoch);
    out[AT_MAGIC] = (uint8_t)h->magic;
    store_be32(out + AT_CRC, h->crc);
    store_be16(out + AT_ATTRIBUTES, (uint16_t)h->attributes);
    store_be32(out + AT_LAST_DELTA, (uint32_t)h->last_offset_delta);
    store_be64(out + AT_BASE_TIMESTAMP, (uint64_t)h->base_timestamp);
    store_be64(out + AT_MAX_TIMESTAMP, (uint64_t)h->max_timestamp);
    store_be64(out + AT_PRODUCER_ID, (uint64_t)h->producer_id);
    store_be16(out + AT_PRODUCER_EPOCH, (uint16_t)h->producer_epoch);
    store_be32(out + AT_BASE_SEQUENCE, (uint32_t)h->base_sequence);
    store_be32(out + AT_COUNT, (uint32_t)h->count);
}

static uint32_t crc_of(const uint8_t *batch, size_t bytes)
{
    return crc32c(0, batch + AT_ATTRIBUTES, bytes - AT_ATTRIBUTES);
}

void batch_set_crc(uint8_t *batch, size_t bytes)
{
    ASSERT(bytes >= BATCH_HEADER_BYTES);
    store_be32(batch + AT_CRC, crc_of(batch, bytes));
}

void batch_seal(uint8_t *batch, size_t bytes)
{
    ASSERT(bytes <= INT32_MAX);
    store_be32(batch + AT_LENGTH, (uint32_t)(bytes - BATCH_OVERHEAD_BYTES));
    batch_set_crc(batch, bytes);
}

void batch_set_place(uint8_t *batch, int64_t base_offset, int32_t leader_epoch)
{
    store_be64(batch + AT_BASE_OFFSET, (uint64_t)base_offset);
    store_be32(batch + AT_EPOCH, (uint32_t)leader_epoch);
}

bool batch_crc_ok(bytes_t batch)
{
    ASSERT(batch.len >= BATCH_HEADER_BYTES);
    return load_be32(batch.ptr + AT_CRC) == crc_of(batch.ptr, batch.len);
}

/* record.c: walking the records of a batch, and building batches. Varints are Kafka's zigzag ones. */
#include "kafka/record/record.h"

/* ---- walking --------------------------------------------------------------------------------------------------------- */

/* Reads a varint of at most 10 bytes; false at the end of the bytes or past 64 bits. */
static bool read_varlong(const uint8_t **at, const uint8_t *end, int64_t *ret_value)
{
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        if (*at == end) return false;
        uint8_t byte = *(*at)++;
        v |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80)) {
            *ret_value = (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
            return true;
        }
    }
    return false;
}

/* Bytes behind a varint length; -1 is null. */
static bool read_bytes(const uint8_t **at, const uint8_t *end, bytes_t *ret_bytes)
{
    int64_t n;
    if (!read_varlong(at, end, &n) || n < -1 || n > end - *at) return false;
    *ret_bytes = n < 0 ? BYTES_NULL : bytes_of(*at, (size_t)n);
    if (n > 0) *at += n;
    return true;
}

int record_iter_init(record_iter_t *iter, bytes_t batch, size_t bytes_max)
{
    *iter = (record_iter_t){0};
    int err = batch_header_read(batch, &iter->batch);
    if (err) return err;
    if (batch_bytes(&iter->batch) > batch.len) return ERR_TRUNCATED;
    bytes_t payload = bytes_of(batch.ptr + BATCH_HEADER_BYTES, batch_bytes(&iter->batch) - BATCH_HEADER_BYTES);
    iter->left = iter->batch.count;
    record_codec_t codec = (record_codec_t)(iter->batch.attributes & RECORD_COMPRESSION_MASK);
    if (codec != RECORD_NONE && payload.len > 0) {
        size_t bytes = 0;
        err = record_decompress(codec, payload, bytes_max, &iter->opened, &bytes);
        if (err) return err;
        payload = bytes_of(iter->opened, bytes);
    }
    iter->ptr = payload.ptr;
    iter->end = bytes_end(payload);
    return 0;
}

void record_iter_init_opened(record_iter_t *iter, const batch_header_t *batch, bytes_t payload)
{
    *iter = (record_iter_t){.batch = *batch, .ptr = payload.ptr, .end = bytes_end(payload), .left = batch->count};
}

void record_iter_deinit(record_iter_t *iter)
{
    mem_free(iter->opened);
    iter->opened = NULL;
}

int record_iter_next(record_iter_t *iter, record_t *ret_record)
{
    if (iter->left <= 0) return iter->ptr == iter->end ? ERR_NOT_FOUND : ERR_CORRUPT;
    int64_t length, timestamp_delta, offset_delta, headers;
    if (!read_varlong(&iter->ptr, iter->end, &length)) return ERR_CORRUPT;
    if (length < 1 || length > iter->end - iter->ptr) return ERR_CORRUPT;
    const uint8_t *at = iter->ptr + 1; /* attributes say nothing */
    const uint8_t *end = iter->ptr + length;
    record_t r = {0};
    if (!read_varlong(&at, end, &timestamp_delta) || !read_varlong(&at, end, &offset_delta)) return ERR_CORRUPT;
    if (!read_bytes(&at, end, &r.key) || !read_bytes(&at, end, &r.value)) return ERR_CORRUPT;
    if (!read_varlong(&at, end, &headers) || headers < 0 || headers > end - at) return ERR_CORRUPT;
    r.headers_count = (int32_t)headers;
    r.headers = bytes_of(at, (size_t)(end - at));
    r.offset = (int64_t)((uint64_t)iter->batch.base_offset + (uint64_t)offset_delta);
    bool stamped = iter->batch.attributes & RECORD_LOG_APPEND_TIME;
    r.timestamp_ms = stamped ? iter->batch.max_timestamp
                             : (int64_t)((uint64_t)iter->batch.base_timestamp + (uint64_t)timestamp_delta);
    iter->ptr = end;
    iter->left--;
    *ret_record = r;
    return 0;
}

bool record_header_next(bytes_t *at, bytes_t *ret_key, bytes_t *ret_value)
{
    const uint8_t *p = at->ptr, *end = at->ptr + at->len;
    if (p == end || !read_bytes(&p, end, ret_key) || !ret_key->ptr || !read_bytes(&p, end, ret_value)) return false;
    *at = bytes_of(p, (size_t)(end - p));
    return true;
}

/* ---- building -------------------------------------------------------------------------------------------------------- */

enum { VARLONG_BYTES_MAX = 10 };

static size_t varlong_bytes(int64_t v)
{
    uint64_t z = ((uint64_t)v << 1) ^ (uint64_t)(v >> 63);
    return 1 + (size_t)(63 - __builtin_clzll(z | 1)) / 7;
}

static void write_varlong(buf_t *buf, int64_t v)
{
    uint64_t z = ((uint64_t)v << 1) ^ (uint64_t)(v >> 63);
    uint8_t *at = buf_reserve(buf, VARLONG_BYTES_MAX), *from = at;
    while (z >= 0x80) {
        *at++ = (uint8_t)z | 0x80;
        z >>= 7;
    }
    *at++ = (uint8_t)z;
    buf->len += (size_t)(at - from);
}

static size_t bytes_size(bytes_t b) { return b.ptr ? varlong_bytes((int64_t)b.len) + b.len : 1; }

static void write_bytes(buf_t *buf, bytes_t b)
{
    write_varlong(buf, b.ptr ? (int64_t)b.len : -1);
    if (b.len > 0) buf_append(buf, b.ptr, b.len);
}

void record_write(buf_t *out, const record_t *record, int64_t timestamp_delta_ms, int32_t offset_delta)
{
    size_t bytes = 1 + varlong_bytes(timestamp_delta_ms) + varlong_bytes(offset_delta) + bytes_size(record->key) +
                   bytes_size(record->value) + varlong_bytes(record->headers_count) + record->headers.len;
    write_varlong(out, (int64_t)bytes);
    buf_u8(out, 0);
    write_varlong(out, timestamp_delta_ms);
    write_varlong(out, offset_delta);
    write_bytes(out, record->key);
    write_bytes(out, record->value);
    write_varlong(out, record->headers_count);
    if (record->headers.len > 0) buf_append(out, record->headers.ptr, record->headers.len);
}

void record_builder_reset(record_builder_t *builder)
{
    buf_clear(&builder->buf);
    builder->count = 0;
}

void record_builder_deinit(record_builder_t *builder)
{
    buf_deinit(&builder->buf);
    *builder = RECORD_BUILDER_INIT;
}

void record_builder_add(record_builder_t *builder, int64_t timestamp_ms, bytes_t key, bytes_t value,
                        const record_header_t *headers, int32_t headers_count)
{
    buf_t *buf = &builder->buf;
    if (builder->count == 0) {
        buf_clear(buf);
        memset(buf_reserve(buf, BATCH_HEADER_BYTES), 0, BATCH_HEADER_BYTES);
        buf->len = BATCH_HEADER_BYTES;
        builder->base_timestamp_ms = builder->max_timestamp_ms = timestamp_ms;
    }
    int64_t delta = timestamp_ms - builder->base_timestamp_ms;
    builder->max_timestamp_ms = MAX(builder->max_timestamp_ms, timestamp_ms);
    size_t bytes = 1 + varlong_bytes(delta) + varlong_bytes(builder->count) + bytes_size(key) + bytes_size(value) +
                   varlong_bytes(headers_count);
    for (int32_t i = 0; i < headers_count; i++) bytes += bytes_size(headers[i].key) + bytes_size(headers[i].value);
    write_varlong(buf, (int64_t)bytes);
    buf_u8(buf, 0);
    write_varlong(buf, delta);
    write_varlong(buf, builder->count);
    write_bytes(buf, key);
    write_bytes(buf, value);
    write_varlong(buf, headers_count);
    for (int32_t i = 0; i < headers_count; i++) {
        write_bytes(buf, headers[i].key);
        write_bytes(buf, headers[i].value);
    }
    builder->count++;
}

uint8_t *record_builder_finish(record_builder_t *builder, int16_t attributes, record_producer_t producer,
                               size_t *ret_bytes)
{
    ASSERT(builder->count > 0);
    uint8_t *b = builder->buf.ptr;
    size_t bytes = builder->buf.len;
    batch_header_t header = BATCH_HEADER_NONE;
    header.attributes = attributes;
    header.last_offset_delta = builder->count - 1;
    header.base_timestamp = builder->base_timestamp_ms;
    header.max_timestamp = builder->max_timestamp_ms;
    header.producer_id = producer.id;
    header.producer_epoch = producer.epoch;
    header.base_sequence = producer.base_sequence;
    header.count = builder->count;
    batch_header_write(b, &header);
    batch_seal(b, bytes);
    builder->count = 0; /* the next add begins anew */
    *ret_bytes = bytes;
    return b;
}

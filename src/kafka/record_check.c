/* record_check.c: what a producer's batch holds, looked at once before it enters a log: whether its records have the
 * shape that every consumer relies on, and what the append must know of them (times, missing keys).
 *
 * It runs over every record produced, so the walk reads lengths only: a varint of one byte is the common case, and
 * keys and values are stepped over. */
#include "kafka/record.h"

typedef struct walk {
    const uint8_t *at, *end;
} walk_t;

enum { INT_VARINT_BYTES_MAX = 5, LONG_VARINT_BYTES_MAX = 10 };

/* False at the end of the bytes or past `bytes_max`. */
static bool varint_slow(walk_t *w, int bytes_max, int64_t *ret_value)
{
    uint64_t v = 0;
    for (int i = 0; i < bytes_max && w->at < w->end; i++) {
        uint8_t byte = *w->at++;
        v |= (uint64_t)(byte & 0x7f) << (7 * i);
        if (byte & 0x80) continue;
        *ret_value = (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
        return true;
    }
    return false;
}

static inline bool varint(walk_t *w, int bytes_max, int64_t *ret_value)
{
    if (UNLIKELY(w->at >= w->end || *w->at & 0x80)) return varint_slow(w, bytes_max, ret_value);
    uint8_t byte = *w->at++;
    *ret_value = (int64_t)(byte >> 1) ^ -(int64_t)(byte & 1);
    return true;
}

/* Steps over bytes behind their length; -1 is null. */
static inline bool skip_bytes(walk_t *w, int64_t *ret_length)
{
    if (!varint(w, INT_VARINT_BYTES_MAX, ret_length)) return false;
    if (*ret_length < -1 || *ret_length > w->end - w->at) return false;
    w->at += MAX(*ret_length, 0);
    return true;
}

static bool skip_headers(walk_t *w)
{
    int64_t count, length;
    if (!varint(w, INT_VARINT_BYTES_MAX, &count) || count < 0 || count > w->end - w->at) return false;
    for (; count > 0; count--) {
        if (!skip_bytes(w, &length) || length < 0 || !skip_bytes(w, &length)) return false;
    }
    return true;
}

static void note_time(record_facts_t *facts, int64_t timestamp_ms)
{
    facts->max_timestamp_ms = MAX(facts->max_timestamp_ms, timestamp_ms);
    if (timestamp_ms != -1) facts->min_timestamp_ms = MIN(facts->min_timestamp_ms, timestamp_ms);
}

static int check_one(walk_t *w, const log_batch_t *batch, bool consecutive, int32_t index, record_facts_t *facts)
{
    int64_t length, time_delta, offset_delta, key_bytes, value_bytes;
    const uint8_t *before = w->at;
    if (!varint(w, INT_VARINT_BYTES_MAX, &length))
        return w->at - before == INT_VARINT_BYTES_MAX && !consecutive ? ERR_INVALID : ERR_CORRUPT;
    if (length < 1 || length > w->end - w->at) return ERR_CORRUPT;
    walk_t body = {w->at + 1, w->at + length}; /* attributes say nothing */
    w->at = body.end;
    if (!varint(&body, LONG_VARINT_BYTES_MAX, &time_delta) || !varint(&body, INT_VARINT_BYTES_MAX, &offset_delta) ||
        !skip_bytes(&body, &key_bytes) || !skip_bytes(&body, &value_bytes) || !skip_headers(&body) ||
        body.at != body.end || (consecutive && offset_delta != index))
        return ERR_CORRUPT;
    facts->keyless += key_bytes < 0;
    if (!(batch->attributes & RECORD_LOG_APPEND_TIME))
        note_time(facts, (int64_t)((uint64_t)batch->base_timestamp + (uint64_t)time_delta));
    return 0;
}

static int check_all(bytes_t records, const log_batch_t *batch, bool consecutive, record_facts_t *facts)
{
    walk_t walk = {records.ptr, bytes_end(records)};
    for (int32_t i = 0; i < batch->count; i++) {
        int err = check_one(&walk, batch, consecutive, i, facts);
        if (err) return err;
    }
    return walk.at == walk.end ? 0 : ERR_CORRUPT;
}

int record_check(const log_batch_t *batch, bytes_t data, size_t bytes_max, record_facts_t *ret_facts)
{
    ASSERT(data.len >= LOG_BATCH_HEADER_BYTES);
    bytes_t payload = bytes_of(data.ptr + LOG_BATCH_HEADER_BYTES, data.len - LOG_BATCH_HEADER_BYTES);
    record_codec_t codec = (record_codec_t)(batch->attributes & RECORD_COMPRESSION_MASK);
    record_facts_t facts = {.min_timestamp_ms = INT64_MAX, .max_timestamp_ms = -1};
    uint8_t *opened = NULL;
    if (batch->attributes & RECORD_LOG_APPEND_TIME) note_time(&facts, batch->max_timestamp);
    if (codec != RECORD_NONE) {
        size_t bytes = 0;
        int err = record_decompress(codec, payload, bytes_max, &opened, &bytes);
        if (err) return err == ERR_CORRUPT ? ERR_INVALID : err;
        payload = bytes_of(opened, bytes);
    }
    int err = check_all(payload, batch, codec != RECORD_NONE, &facts);
    mem_free(opened);
    if (!err) *ret_facts = facts;
    return err;
}

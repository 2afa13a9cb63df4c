/* check.c: what a producer's batch holds, looked at once before it enters a log: whether its records have the
 * shape that every consumer relies on, and what the append must know of them (times, missing keys).
 *
 * It runs over every record produced, so the walk reads lengths only: a varint of one byte is the common case, and
 * keys and values are stepped over. A compressed payload passes through a window; a record may be larger than that.
 *
 *      at          end            window_end
 *      |-- record --|-- further records --|      record_left: what is still to come of the record, behind the window
 */
#include "kafka/record/stream.h"

enum { INT_VARINT_BYTES_MAX = 5, LONG_VARINT_BYTES_MAX = 10, WINDOW_BYTES = KIB(64) };

typedef struct walk {
    const uint8_t *at, *end, *window_end;
    int64_t record_left;
    record_stream_t *stream; /* NULL: all is in the window */
    uint8_t *window;
    size_t opened, opened_max;
    int64_t record_max; /* of a record's bytes */
    bool oversized;     /* one is larger */
    int err;            /* why no more came */
} walk_t;

/* ---- bytes ----------------------------------------------------------------------------------------------------------- */

/* More of the record, once all of the window was taken; false at its end. */
static bool refill(walk_t *w)
{
    size_t bytes;
    if (!w->stream || w->record_left == 0 || w->err) return false;
    w->err = record_stream_read(w->stream, w->window, WINDOW_BYTES, &bytes);
    if (w->err == ERR_CORRUPT) w->err = ERR_INVALID;
    if (w->err || bytes == 0) return false;
    w->opened += bytes;
    if (w->opened > w->opened_max) w->err = ERR_LIMIT;
    if (w->err) return false;
    size_t mine = (size_t)MIN(w->record_left, (int64_t)bytes);
    w->at = w->window;
    w->end = w->at + mine;
    w->window_end = w->at + bytes;
    w->record_left -= (int64_t)mine;
    return true;
}

/* False at the end of the bytes or past `bytes_max`. */
static bool varint_slow(walk_t *w, int bytes_max, int64_t *ret_value)
{
    uint64_t v = 0;
    for (int i = 0; i < bytes_max && (w->at < w->end || refill(w)); i++) {
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

static inline int64_t left_of_record(const walk_t *w) { return w->end - w->at + w->record_left; }

/* The caller has seen that the record holds as many. */
static bool skip_slow(walk_t *w, int64_t bytes)
{
    while (bytes > w->end - w->at) {
        bytes -= w->end - w->at;
        w->at = w->end;
        if (!refill(w)) return false;
    }
    w->at += bytes;
    return true;
}

/* Steps over bytes behind their length; -1 is null. */
static inline bool skip_bytes(walk_t *w, int64_t *ret_length)
{
    if (!varint(w, INT_VARINT_BYTES_MAX, ret_length)) return false;
    if (*ret_length < -1 || *ret_length > left_of_record(w)) return false;
    if (UNLIKELY(*ret_length > w->end - w->at)) return skip_slow(w, *ret_length);
    w->at += MAX(*ret_length, 0);
    return true;
}

/* ---- records --------------------------------------------------------------------------------------------------------- */

/* What is read of a record. */
typedef struct seen {
    int64_t time_delta, offset_delta, key_bytes;
} seen_t;

static bool skip_headers(walk_t *w)
{
    int64_t count, length;
    if (!varint(w, INT_VARINT_BYTES_MAX, &count) || count < 0 || count > left_of_record(w)) return false;
    for (; count > 0; count--) {
        if (!skip_bytes(w, &length) || length < 0 || !skip_bytes(w, &length)) return false;
    }
    return true;
}

static bool walk_body(walk_t *w, seen_t *seen)
{
    int64_t value_bytes;
    return skip_slow(w, 1) && /* attributes say nothing */
           varint(w, LONG_VARINT_BYTES_MAX, &seen->time_delta) &&
           varint(w, INT_VARINT_BYTES_MAX, &seen->offset_delta) && skip_bytes(w, &seen->key_bytes) &&
           skip_bytes(w, &value_bytes) && skip_headers(w) && left_of_record(w) == 0;
}

/* The next record. ERR_INVALID: a length that Kafka cannot make sense of in plain bytes, or damaged compression. */
static int walk_record(walk_t *w, seen_t *seen)
{
    int64_t length;
    const uint8_t *before = w->at;
    w->end = w->window_end;
    w->record_left = w->stream ? INT64_MAX : 0;
    if (!varint(w, INT_VARINT_BYTES_MAX, &length)) {
        if (w->err) return w->err;
        return w->at - before == INT_VARINT_BYTES_MAX && !w->stream ? ERR_INVALID : ERR_CORRUPT;
    }
    int64_t here = w->window_end - w->at;
    if (length < 1 || (!w->stream && length > here)) return ERR_CORRUPT;
    if (length > w->record_max) {
        w->oversized = true;
        return ERR_CORRUPT;
    }
    if (length > here && length - here > (int64_t)(w->opened_max - w->opened)) return ERR_LIMIT;
    w->end = w->at + MIN(length, here);
    w->record_left = MAX(length - here, 0);
    if (walk_body(w, seen)) return 0;
    return w->err ? w->err : ERR_CORRUPT;
}

/* Behind the last record there must be nothing. */
static int walk_end(walk_t *w)
{
    w->record_left = INT64_MAX;
    if (w->at < w->window_end || refill(w)) return ERR_CORRUPT;
    return w->err == ERR_LIMIT ? ERR_CORRUPT : w->err;
}

static int walk_begin(walk_t *w, const batch_header_t *batch, bytes_t data, size_t opened_bytes_max)
{
    ASSERT(data.len >= BATCH_HEADER_BYTES);
    bytes_t payload = bytes_of(data.ptr + BATCH_HEADER_BYTES, data.len - BATCH_HEADER_BYTES);
    record_codec_t codec = (record_codec_t)(batch->attributes & RECORD_COMPRESSION_MASK);
    *w = (walk_t){.at = payload.ptr, .end = bytes_end(payload), .window_end = bytes_end(payload)};
    w->opened = payload.len;
    w->opened_max = MAX(opened_bytes_max, payload.len);
    w->record_max = INT64_MAX;
    if (codec == RECORD_NONE) return 0;
    int err = record_stream_new(codec, payload, opened_bytes_max, &w->stream);
    if (err) return err == ERR_CORRUPT ? ERR_INVALID : err;
    w->opened = 0;
    w->opened_max = opened_bytes_max;
    w->window = mem_alloc(WINDOW_BYTES);
    w->at = w->end = w->window_end = w->window;
    return 0;
}

static void walk_free(walk_t *w)
{
    record_stream_free(w->stream);
    mem_free(w->window);
}

/* ---- what is asked --------------------------------------------------------------------------------------------------- */

static void note(record_noted_t *noted, int32_t *count, int32_t index, const seen_t *seen, int64_t timestamp_ms)
{
    if (*count < RECORD_NOTED_MAX) noted[*count] = (record_noted_t){index, (int32_t)seen->offset_delta, timestamp_ms};
    ++*count;
}

static int64_t time_of(const batch_header_t *batch, const seen_t *seen)
{
    if (batch->attributes & RECORD_LOG_APPEND_TIME) return batch->max_timestamp;
    return (int64_t)((uint64_t)batch->base_timestamp + (uint64_t)seen->time_delta);
}

static int check_all(walk_t *w, const batch_header_t *batch, const record_rules_t *rules, record_facts_t *facts)
{
    for (int32_t i = 0; i < batch->count; i++) {
        seen_t seen;
        int err = walk_record(w, &seen);
        if (err) return err;
        if (w->stream && seen.offset_delta != i) return ERR_CORRUPT;
        int64_t timestamp_ms = time_of(batch, &seen);
        facts->max_timestamp_ms = MAX(facts->max_timestamp_ms, timestamp_ms);
        if (UNLIKELY(seen.key_bytes < 0)) note(facts->keyless_noted, &facts->keyless, i, &seen, timestamp_ms);
        if (UNLIKELY(timestamp_ms < rules->from_ms || timestamp_ms > rules->to_ms) && timestamp_ms != -1)
            note(facts->untimely_noted, &facts->untimely, i, &seen, timestamp_ms);
    }
    return walk_end(w);
}

int record_check(const batch_header_t *batch, bytes_t data, const record_rules_t *rules, record_facts_t *ret_facts)
{
    walk_t walk;
    ret_facts->max_timestamp_ms = -1; /* the lists are long and stay as they are */
    ret_facts->keyless = ret_facts->untimely = 0;
    int err = walk_begin(&walk, batch, data, rules->opened_bytes_max);
    if (walk.stream && rules->record_bytes_max > 0) walk.record_max = rules->record_bytes_max;
    if (!err) err = check_all(&walk, batch, rules, ret_facts);
    ret_facts->opened_bytes = walk.opened;
    ret_facts->oversized = walk.oversized;
    walk_free(&walk);
    return err;
}

int record_find(const batch_header_t *batch, bytes_t data, size_t opened_bytes_max, record_search_t *search)
{
    walk_t walk;
    int err = walk_begin(&walk, batch, data, opened_bytes_max);
    bool found = false;
    for (int32_t i = 0; !err && !found && i < batch->count; i++) {
        seen_t seen;
        err = walk_record(&walk, &seen);
        if (err) break;
        int64_t offset = (int64_t)((uint64_t)batch->base_offset + (uint64_t)seen.offset_delta);
        int64_t timestamp_ms = time_of(batch, &seen);
        found = timestamp_ms >= search->timestamp_ms && offset >= search->from_offset;
        search->found_offset = offset;
        search->found_ms = timestamp_ms;
    }
    search->opened_bytes = walk.opened;
    walk_free(&walk);
    return err || found ? err : ERR_NOT_FOUND;
}

/* filter.c: see filter.h. Each batch is walked once to mark what stays; only one that loses a record, or gets
 * its delete horizon, is walked again to be written anew. */
#include "kafka/record/filter.h"

enum { RECORD_GROWS_BYTES_MAX = 9 + 4 }; /* a rewritten record's deltas and length may be so much longer */
enum { KIND_BITS = RECORD_LOG_APPEND_TIME | RECORD_TRANSACTIONAL | RECORD_CONTROL };

/* What the first walk found. */
typedef struct survey {
    int32_t kept, lost;
    bool passing; /* among those kept are some that stay for a while only: tombstones, a spent marker */
    int64_t first_timestamp_ms, max_timestamp_ms;
} survey_t;

void record_filter_deinit(record_filter_t *filter)
{
    offset_map_deinit(&filter->newest);
    buf_deinit(&filter->marks);
    buf_deinit(&filter->payload);
}

/* Nobody checked the offsets inside an uncompressed batch: a record that claims another place does not get it. */
static int64_t offset_of(const record_t *record, const batch_header_t *b)
{
    return MIN(MAX(record->offset, b->base_offset), batch_last_offset(b));
}

static int open_batch(const record_filter_t *f, bytes_t batch, record_iter_t *ret_iter)
{
    *ret_iter = (record_iter_t){0};
    if (batch.len < BATCH_HEADER_BYTES || !batch_crc_ok(batch)) return ERR_CORRUPT;
    return record_iter_init(ret_iter, batch, f->opened_bytes_max);
}

int record_filter_note(record_filter_t *filter, bytes_t batch, record_fate_t fate, int64_t from, bool *ret_full)
{
    record_iter_t iter;
    record_t record;
    int err = open_batch(filter, batch, &iter);
    *ret_full = false;
    bool counts = fate == RECORD_FATE_COUNTS;
    while (!err && counts && !*ret_full && (err = record_iter_next(&iter, &record)) == 0) {
        int64_t offset = offset_of(&record, &iter.batch);
        if (offset < from || !record.key.ptr) continue;
        *ret_full = !offset_map_put(&filter->newest, record.key, offset);
        if (!*ret_full) filter->mapped_end = MAX(filter->mapped_end, offset + 1);
    }
    if (err == ERR_NOT_FOUND) err = 0;
    if (!err && !*ret_full) filter->mapped_end = MAX(filter->mapped_end, batch_last_offset(&iter.batch) + 1);
    record_iter_deinit(&iter);
    return err;
}

/* The delete horizon of the batch is passed, so that what stayed for a while goes. */
static bool is_due(const record_filter_t *f, const batch_header_t *b)
{
    return b->attributes & RECORD_DELETE_HORIZON && f->now_ms >= b->base_timestamp;
}

static bool stays(const record_filter_t *f, const batch_header_t *b, record_fate_t fate, const record_t *record)
{
    int64_t offset = offset_of(record, b);
    if (fate == RECORD_FATE_ABORTED) return false;
    if (fate == RECORD_FATE_MARKER) return true;
    if (fate == RECORD_FATE_MARKER_SPENT) return !is_due(f, b);
    if (offset >= f->mapped_end) return true;
    if (!record->key.ptr) return false; /* from before the topic was compacted */
    if (offset_map_get(&f->newest, record->key) > offset) return false;
    return record->value.ptr || !is_due(f, b);
}

static int survey(record_filter_t *f, record_iter_t *iter, record_fate_t fate, survey_t *ret_survey)
{
    survey_t s = {.max_timestamp_ms = -1};
    record_t record;
    int err;
    buf_clear(&f->marks);
    while ((err = record_iter_next(iter, &record)) == 0) {
        bool kept = stays(f, &iter->batch, fate, &record);
        if (f->marks.len == f->marks.cap && (err = buf_try_reserve(&f->marks, MAX(f->marks.cap, 256)))) return err;
        f->marks.ptr[f->marks.len++] = kept;
        s.lost += !kept;
        if (!kept) continue;
        if (s.kept++ == 0) s.first_timestamp_ms = record.timestamp_ms;
        s.max_timestamp_ms = MAX(s.max_timestamp_ms, record.timestamp_ms);
        s.passing |= fate == RECORD_FATE_MARKER_SPENT || (fate == RECORD_FATE_COUNTS && !record.value.ptr);
    }
    *ret_survey = s;
    return err == ERR_NOT_FOUND ? 0 : err;
}

/* ---- what is written ------------------------------------------------------------------------------------------------- */

static int append(buf_t *out, bytes_t bytes)
{
    int err = buf_try_reserve(out, bytes.len);
    if (!err) buf_append(out, bytes.ptr, bytes.len);
    return err;
}

/* The header of the batch that begins at `start`, whose payload is there: what it had, but for what is given. */
static void finish_header(buf_t *out, size_t start, const batch_header_t *old, int16_t attributes, int64_t base_ms,
                          int64_t max_ms, int32_t count)
{
    batch_header_t header = *old;
    header.attributes = attributes;
    header.base_timestamp = base_ms;
    header.max_timestamp = max_ms;
    header.count = count;
    batch_header_write(out->ptr + start, &header);
    batch_seal(out->ptr + start, out->len - start);
}

/* All that a producer's state is made of, and the offsets. */
static int write_empty(const batch_header_t *b, bytes_t batch, buf_t *out)
{
    size_t start = out->len;
    int err = append(out, bytes_of(batch.ptr, BATCH_HEADER_BYTES));
    if (!err) finish_header(out, start, b, b->attributes & KIND_BITS, -1, b->max_timestamp, 0);
    return err;
}

/* The records that are marked, with deltas from `base_ms`; `iter` stands at the first record. */
static int write_records(const record_filter_t *f, record_iter_t *iter, int64_t base_ms, buf_t *out)
{
    record_t record;
    int err = buf_try_reserve(out, (size_t)(iter->end - iter->ptr) + f->marks.len * RECORD_GROWS_BYTES_MAX);
    for (size_t i = 0; !err && i < f->marks.len; i++) {
        err = record_iter_next(iter, &record);
        if (err || !f->marks.ptr[i]) continue;
        int64_t delta_ms = (int64_t)((uint64_t)record.timestamp_ms - (uint64_t)base_ms);
        record_write(out, &record, delta_ms, (int32_t)(offset_of(&record, &iter->batch) - iter->batch.base_offset));
    }
    return err;
}

static int rewrite(record_filter_t *f, record_iter_t *iter, bytes_t batch, const survey_t *s, buf_t *out)
{
    const batch_header_t *b = &iter->batch;
    record_codec_t codec = (record_codec_t)(b->attributes & RECORD_COMPRESSION_MASK);
    bool horizon = b->attributes & RECORD_DELETE_HORIZON;
    int64_t base_ms = horizon ? b->base_timestamp : s->first_timestamp_ms;
    if (!horizon && s->passing) {
        horizon = true;
        base_ms = f->now_ms > INT64_MAX - f->delete_retention_ms ? INT64_MAX : f->now_ms + f->delete_retention_ms;
    }
    size_t start = out->len;
    int err = append(out, bytes_of(batch.ptr, BATCH_HEADER_BYTES));
    if (err) return err;
    if (codec == RECORD_NONE) {
        err = write_records(f, iter, base_ms, out);
    } else {
        buf_clear(&f->payload);
        err = write_records(f, iter, base_ms, &f->payload);
        if (!err) err = record_compress(codec, f->levels[codec], buf_bytes(&f->payload), out);
    }
    if (err) return err;
    if (out->len - start > INT32_MAX) return ERR_LIMIT;
    int16_t attributes = (int16_t)((b->attributes & KIND_BITS) | codec | (horizon ? RECORD_DELETE_HORIZON : 0));
    finish_header(out, start, b, attributes, base_ms, s->max_timestamp_ms, s->kept);
    return 0;
}

int record_filter_batch(record_filter_t *filter, bytes_t batch, record_fate_t fate, bool keep_empty, buf_t *out)
{
    record_iter_t iter;
    survey_t s;
    int err = open_batch(filter, batch, &iter);
    if (err) goto out;
    const uint8_t *first = iter.ptr;
    err = survey(filter, &iter, fate, &s);
    if (err) goto out;
    filter->records_seen += (uint64_t)s.kept + (uint64_t)s.lost;
    filter->records_kept += (uint64_t)s.kept;
    bool gets_horizon = s.passing && !(iter.batch.attributes & RECORD_DELETE_HORIZON);
    if (s.kept == 0) {
        err = keep_empty ? write_empty(&iter.batch, batch, out) : 0;
    } else if (s.lost == 0 && !gets_horizon) {
        err = append(out, batch);
    } else {
        iter.ptr = first;
        iter.left = iter.batch.count;
        err = rewrite(filter, &iter, batch, &s, out);
    }
out:
    record_iter_deinit(&iter);
    return err;
}

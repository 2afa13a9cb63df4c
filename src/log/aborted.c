/* aborted.c: the index of aborted transactions beside a segment, in Kafka's format. The log only keeps it: its owner knows
 * what a marker ends.
 *
 *   .txnindex   | version i16 0 | producer id i64 | first offset i64 | last offset i64 | last stable offset i64 |
 *
 * Entries stand in the order of their last offsets, those of the markers, in the segment that holds the marker. Behind an
 * entry whose last stable offset is at or above an offset, no entry has records below that offset: a search ends there.
 *
 * Unlike the other indexes this one is no hint: without an entry a reader would take aborted records for committed. So a write
 * that fails, fails the log; and a segment that recovery reads whole has its entries made anew by the owner, from the markers. */
#include "log/log_internal.h"

#define ENTRIES_AT_ONCE 64

static int64_t key_last_offset(const uint8_t *entry) { return (int64_t)load_be64(entry + 18); }

static void encode(const log_aborted_t *a, uint8_t *entry)
{
    store_be16(entry, 0);
    store_be64(entry + 2, (uint64_t)a->producer_id);
    store_be64(entry + 10, (uint64_t)a->first_offset);
    store_be64(entry + 18, (uint64_t)a->last_offset);
    store_be64(entry + 26, (uint64_t)a->last_stable_offset);
}

static log_aborted_t decode(const uint8_t *entry)
{
    return (log_aborted_t){
        .producer_id = (int64_t)load_be64(entry + 2),
        .first_offset = (int64_t)load_be64(entry + 10),
        .last_offset = (int64_t)load_be64(entry + 18),
        .last_stable_offset = (int64_t)load_be64(entry + 26),
    };
}

/* ---- one segment's --------------------------------------------------------------------------------------------------- */

void log__aborted_new(log_segment_t *segment, bool present)
{
    if (segment->aborted) return;
    segment->aborted = mem_zalloc(sizeof(*segment->aborted));
    segment->aborted->segment = segment;
    segment->aborted->index.entry_bytes = LOG_ABORTED_ENTRY_BYTES;
    segment->aborted->index.present = present;
    segment->aborted->index.loaded = !present;
}

void log__aborted_free(log_segment_t *segment)
{
    if (!segment->aborted) return;
    mem_free(segment->aborted->index.pending);
    mem_free(segment->aborted);
}

int log__aborted_check(log_segment_t *segment, int64_t end_offset)
{
    uint8_t entry[LOG_ABORTED_ENTRY_BYTES];
    if (!segment->aborted) return 0;
    log_index_t *index = &segment->aborted->index;
    int err = log__index_load(segment, index);
    uint32_t count = err ? 0 : log__index_count(index);
    if (!err && count > 0) err = log__index_get(segment, index, count - 1, entry);
    if (err || count == 0) return err;
    log_aborted_t last = decode(entry);
    bool fits = load_be16(entry) == 0 && last.first_offset <= last.last_offset &&
                last.last_offset >= segment->base_offset && last.last_offset < end_offset;
    return fits ? 0 : ERR_CORRUPT;
}

int log__aborted_reset(log_segment_t *segment)
{
    return segment->aborted ? log__index_reset(segment, &segment->aborted->index) : 0;
}

int log__aborted_cut(log_segment_t *segment, int64_t offset)
{
    if (!segment->aborted) return 0;
    int err = log__index_load(segment, &segment->aborted->index);
    return err ? err : log__index_cut(segment, &segment->aborted->index, key_last_offset, offset);
}

int log__aborted_flush(log_segment_t *segment)
{
    return segment->aborted ? log__index_flush(segment, &segment->aborted->index) : 0;
}

int log__aborted_put(log_segment_t *segment, const log_aborted_t *aborted)
{
    uint8_t entry[LOG_ABORTED_ENTRY_BYTES];
    uint32_t behind;
    log__aborted_new(segment, false);
    log_index_t *index = &segment->aborted->index;
    int err = log__index_load(segment, index);
    if (!err) err = log__index_rank(segment, index, key_last_offset, aborted->last_offset - 1, &behind);
    if (err || behind < log__index_count(index)) return err; /* it is there already */
    if (index->pending_count == LOG_INDEX_PENDING_MAX) err = log__index_flush(segment, index);
    if (err) return err;
    encode(aborted, entry);
    log__index_append(segment, index, entry);
    segment->touched = true;
    return 0;
}

/* ---- the log's ------------------------------------------------------------------------------------------------------- */

int log_aborted_add(log_t *log, const log_aborted_t *aborted)
{
    ASSERT(aborted->first_offset <= aborted->last_offset && aborted->last_offset < log->end_offset);
    if (log->failed) return ERR_STATE;
    int err = log__aborted_put(log->segments[log__segment_at(log, aborted->last_offset)], aborted);
    if (err) log__fail(log, err);
    return err;
}

typedef struct search {
    int64_t from, to;
    void (*each)(void *user, const log_aborted_t *aborted);
    void *user;
    bool over;
} search_t;

static int search_segment(search_t *s, log_segment_t *segment)
{
    uint8_t entries[ENTRIES_AT_ONCE * LOG_ABORTED_ENTRY_BYTES];
    log_index_t *index = &segment->aborted->index;
    uint32_t at, count;
    int err = log__index_load(segment, index);
    if (!err) err = log__index_rank(segment, index, key_last_offset, s->from - 1, &at);
    for (; !err && !s->over; at += count) {
        err = log__index_get_some(segment, index, at, ENTRIES_AT_ONCE, entries, &count);
        if (err || count == 0) break;
        for (uint32_t i = 0; i < count && !s->over; i++) {
            log_aborted_t a = decode(entries + (size_t)i * LOG_ABORTED_ENTRY_BYTES);
            if (a.first_offset < s->to) s->each(s->user, &a);
            s->over = a.last_stable_offset >= s->to;
        }
    }
    segment->touched = true;
    return err;
}

int log_aborted_find(log_t *log, int64_t from, int64_t to, void (*each)(void *user, const log_aborted_t *aborted),
                     void *user)
{
    search_t search = {from, to, each, user, false};
    for (uint32_t i = log__segment_at(log, from); i < log->segments_count && !search.over; i++) {
        if (!log->segments[i]->aborted) continue;
        int err = search_segment(&search, log->segments[i]);
        if (err) return err;
    }
    return 0;
}

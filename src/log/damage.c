/* damage.c: what lies behind the place where a log's batches end. Behind a torn tail there is nothing; valid batches behind
 * invalid bytes mean that the bytes were once valid too. recover.c asks, and decides.
 *
 * The search looks at every byte for a header that could be of this segment, and believes it when its CRC fits. It reads
 * the file once; the CRCs together may cover SEARCH_CRC_FACTOR times as much, so that bytes full of promising headers cannot
 * make it long. When that is used up it says that there may be more. */
#include "log/log_internal.h"

#include <stdio.h>

#define SEARCH_CRC_FACTOR 8
#define SEARCH_CRC_BYTES  MIB(1) /* beside that */
#define ATTRIBUTES_UNUSED 0xff80
#define HEADER_MAGIC_AT   16
#define HEADER_MAGIC      2

typedef struct search {
    int64_t base_offset;
    log_scan_t scan;
    uint64_t crc_bytes_left;
    log_found_cb found;
    void *user;
} search_t;

/* Could be a batch of this segment, by its header. */
static bool plausible(const search_t *s, const batch_header_t *batch)
{
    return batch->base_offset >= s->base_offset && batch_last_offset(batch) - s->base_offset <= INT32_MAX &&
           (batch->attributes & ATTRIBUTES_UNUSED) == 0 && batch->count >= 0 &&
           batch->count <= (int64_t)batch->last_offset_delta + 1;
}

/* A whole and valid batch at the scan's position: 0. ERR_NOT_FOUND, ERR_LIMIT (the CRCs' budget), or a read error. */
static int valid_here(search_t *s, batch_header_t *ret_batch)
{
    int err = log__scan_peek(&s->scan, ret_batch);
    if (err && err != ERR_CORRUPT && err != ERR_TRUNCATED && err != ERR_UNSUPPORTED && err != ERR_NOT_FOUND) return err;
    if (err || !plausible(s, ret_batch)) return ERR_NOT_FOUND;
    if (batch_bytes(ret_batch) > s->crc_bytes_left) return ERR_LIMIT;
    s->crc_bytes_left -= batch_bytes(ret_batch);
    err = log__scan_verify(&s->scan, ret_batch);
    return err == ERR_CORRUPT || err == ERR_TRUNCATED ? ERR_NOT_FOUND : err;
}

/* Moves the scan to the next place whose byte at the magic's is right: false at the end. */
static int next_candidate(search_t *s, bool *ret_found)
{
    log_scan_t *scan = &s->scan;
    *ret_found = false;
    while (scan->end - scan->position >= BATCH_HEADER_BYTES) {
        ssize_t n = log__scan_fill(scan, scan->position + HEADER_MAGIC_AT, 1);
        if (n <= 0) return (int)n;
        const uint8_t *from = scan->window + (scan->position + HEADER_MAGIC_AT - scan->window_at);
        const uint8_t *at = memchr(from, HEADER_MAGIC, (size_t)n);
        scan->position += at ? (size_t)(at - from) : (size_t)n;
        if (!at) continue;
        *ret_found = scan->end - scan->position >= BATCH_HEADER_BYTES;
        return 0;
    }
    return 0;
}

static int search(search_t *s)
{
    bool found;
    batch_header_t batch;
    for (;;) {
        int err = next_candidate(s, &found);
        if (err || !found) return err;
        while ((err = valid_here(s, &batch)) == 0) {
            s->found(s->user, s->scan.position, &batch);
            log__scan_skip(&s->scan, &batch);
        }
        if (err != ERR_NOT_FOUND) return err;
        if (s->scan.position < s->scan.end) s->scan.position++;
    }
}

int log__each_valid(io_file_t *file, int64_t base_offset, uint64_t from, uint64_t end, log_found_cb found, void *user)
{
    search_t s = {.base_offset = base_offset, .found = found, .user = user};
    if (from >= end) return 0;
    uint8_t *window = mem_alloc(LOG_RECOVER_WINDOW_BYTES);
    s.crc_bytes_left = (end - from) * SEARCH_CRC_FACTOR + SEARCH_CRC_BYTES;
    log__scan_init(&s.scan, file, from, end, window, LOG_RECOVER_WINDOW_BYTES);
    int err = search(&s);
    mem_free(window);
    return err;
}

typedef struct behind {
    const log_recovery_t *how;
    log_damage_t *damage;
} behind_t;

static void count(void *user, uint64_t position, const batch_header_t *batch)
{
    const behind_t *b = user;
    if (b->damage->behind_count == 0) b->damage->behind_offset = batch->base_offset;
    b->damage->behind_count++;
    if (b->how->durable_of) b->damage->durable_min = MAX(b->damage->durable_min, b->how->durable_of(batch));
}

int log__look_behind(log_segment_t *segment, const log_recovery_t *how, uint64_t from, log_damage_t *damage)
{
    io_file_t *file;
    behind_t behind = {how, damage};
    if (from >= segment->bytes) return 0;
    int err = log__segment_file(segment, false, &file);
    if (!err) err = log__each_valid(file, segment->base_offset, from, segment->bytes, count, &behind);
    if (err != ERR_LIMIT) return err;
    damage->behind_more = true;
    return 0;
}

/* ---- in words ---- */

static int put_behind(const log_damage_t *d, char *out, size_t chars)
{
    if (d->behind_count == 0)
        return snprintf(out, chars, "%s", d->behind_more ? "; what lies behind is too much to search" : "");
    return snprintf(out, chars, "; %s%" PRIu64 " valid %s behind it, from offset %" PRId64 " on",
                    d->behind_more ? "at least " : "", d->behind_count,
                    d->behind_count == 1 ? "batch lies" : "batches lie", d->behind_offset);
}

static int short_text(const log_damage_t *d, char *out)
{
    if (!d->file[0])
        return snprintf(out, LOG_TEXT_CHARS_MAX, "there is no .log file, though all below %" PRId64 " was on the disk",
                        d->found_offset);
    return snprintf(out, LOG_TEXT_CHARS_MAX,
                    "%s ends at byte %" PRIu64 " with offset %" PRId64 ", though all below %" PRId64 " was on the disk",
                    d->file, d->position, d->offset, d->found_offset);
}

void log_damage_text(const log_damage_t *d, char out[LOG_TEXT_CHARS_MAX])
{
    int n = 0;
    switch (d->fault) {
    case LOG_SOUND: break;
    case LOG_INVALID:
        n = snprintf(out, LOG_TEXT_CHARS_MAX, "%s has invalid bytes at %" PRIu64 ", where offset %" PRId64 " should be",
                     d->file, d->position, d->offset);
        break;
    case LOG_MISPLACED:
        n = snprintf(out, LOG_TEXT_CHARS_MAX,
                     "%s has offset %" PRId64 " at byte %" PRIu64 ", where %" PRId64 " should be", d->file,
                     d->found_offset, d->position, d->offset);
        break;
    case LOG_GAP:
        n = snprintf(out, LOG_TEXT_CHARS_MAX, "offsets %" PRId64 " to %" PRId64 " are missing in front of %s",
                     d->offset, d->found_offset - 1, d->file);
        break;
    case LOG_MISSING: n = snprintf(out, LOG_TEXT_CHARS_MAX, "%s is missing, though its index is there", d->file); break;
    case LOG_SHORT: n = short_text(d, out); break;
    }
    out[MAX(n, 0)] = '\0';
    if (n > 0 && n < LOG_TEXT_CHARS_MAX) (void)put_behind(d, out + n, LOG_TEXT_CHARS_MAX - (size_t)n);
}

void log_cut_text(const log_report_t *r, char out[LOG_TEXT_CHARS_MAX])
{
    int n = snprintf(out, LOG_TEXT_CHARS_MAX,
                     "%s was cut at byte %" PRIu64 " (%" PRIu64
                     " bytes of an unfinished write), and ends at offset %" PRId64,
                     r->cut_file, r->cut_position, r->cut_bytes, r->cut_offset);
    if (r->cut_segments > 0 && n < LOG_TEXT_CHARS_MAX)
        n += snprintf(out + n, LOG_TEXT_CHARS_MAX - (size_t)n, "; %u later files were set aside", r->cut_segments);
    if (r->copy[0] && n < LOG_TEXT_CHARS_MAX)
        (void)snprintf(out + n, LOG_TEXT_CHARS_MAX - (size_t)n, "; %s keeps what was cut", r->copy);
}

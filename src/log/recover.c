/* recover.c: what log_open finds in a directory becomes a log again. After a crash the bytes are the only
 * truth: every batch that may not have been durable is checked by its CRC, and indexes and leader epochs are made anew from
 * the headers. After a clean stop only the segments' ends are looked at.
 *
 * A log ends early only at a torn tail, an unfinished or invalid last write with nothing valid behind it. Everything else
 * is damage: the log is not opened and nothing of it is cut. Except after a loss of power: what was never synced may lack
 * single sectors, and is cut where the first is missing. Whatever is cut stays beside the log as a copy. */
#include "log/log_internal.h"

#include <stdio.h>
#include <stdlib.h>

typedef struct found {
    int64_t base;
    bool has_log, has_index, has_aborted;
} found_t;

typedef struct listing {
    found_t *found; /* by name, and so by base */
    size_t count, cap;
    bool temporary; /* there are names that a crash may have left */
} listing_t;

static found_t *found_of(listing_t *l, int64_t base)
{
    if (l->count > 0 && l->found[l->count - 1].base == base) return &l->found[l->count - 1];
    if (l->count == l->cap) {
        l->cap = MAX(l->cap * 2, 8);
        l->found = mem_realloc(l->found, l->cap * sizeof(found_t));
    }
    l->found[l->count] = (found_t){.base = base};
    return &l->found[l->count++];
}

static void list_name(void *user, const char *name, bool is_dir)
{
    listing_t *l = user;
    int64_t base;
    if (is_dir || !log__parse_base(name, &base)) return;
    l->temporary |= log__is_temporary(name);
    const char *kind = name + LOG_NAME_DIGITS;
    if (strcmp(kind, ".log") == 0) found_of(l, base)->has_log = true;
    /* One without a segment says nothing of any. */
    if (strcmp(kind, ".txnindex") == 0 && l->count > 0 && l->found[l->count - 1].base == base)
        l->found[l->count - 1].has_aborted = true;
    if (strcmp(kind, ".index") == 0 || strcmp(kind, ".timeindex") == 0) found_of(l, base)->has_index = true;
}

static int add_found(log_t *log, const found_t *found)
{
    log_segment_t *segment = log__segment_new(log, found->base);
    if (found->has_aborted) log__aborted_new(segment, true);
    io_file_t *file;
    uint64_t bytes = 0;
    int err = log__segment_file(segment, false, &file);
    if (!err) err = io_file_size(file, &bytes);
    if (!err && bytes > LOG_SEGMENT_BYTES_LIMIT) err = ERR_LIMIT;
    if (err) {
        log__segment_unref(segment);
        return err;
    }
    log__segment_close_files(segment);
    segment->bytes = (uint32_t)bytes;
    segment->max_timestamp = LOG_TIMESTAMP_UNREAD;
    log__push_segment(segment);
    return 0;
}

static int list_segments(log_t *log, log_report_t *report, listing_t *l)
{
    int err = io_list_dir(log->loop, log->dir, list_name, l);
    if (err || !l->temporary) return err;
    err = log__recover_names(log, report);
    l->count = 0;
    return err ? err : io_list_dir(log->loop, log->dir, list_name, l);
}

/* Whoever removes a segment removes its index first, and who makes one makes the .log first: an index alone means that
 * something else took the .log. */
static int find_segments(log_recover_t *r)
{
    listing_t l = {0};
    int err = list_segments(r->log, r->report, &l);
    for (size_t i = 0; !err && i < l.count; i++) {
        if (l.found[i].has_log) {
            err = add_found(r->log, &l.found[i]);
            continue;
        }
        log_damage_t *damage = &r->report->damage;
        *damage = (log_damage_t){.fault = LOG_MISSING, .offset = l.found[i].base};
        log__segment_name(damage->file, l.found[i].base, ".log");
        err = ERR_DAMAGED;
    }
    mem_free(l.found);
    return err;
}

/* What the next segment's name says must lie right behind this one. */
static int check_next(log_recover_t *r, uint32_t at)
{
    const log_segment_t *next = r->log->segments[at + 1];
    log_damage_t damage = {.offset = r->next_offset, .found_offset = next->base_offset};
    if (next->base_offset == r->next_offset) return 0;
    if (next->base_offset > r->next_offset && r->how->compacted) return 0;
    log__segment_name(damage.file, next->base_offset, ".log");
    damage.fault = next->base_offset < r->next_offset ? LOG_MISPLACED : LOG_GAP;
    return log__recover_judge(r, at + 1, &damage);
}

/* The log is sound and ends at `position` of the segment of that base, though all below `found_offset` had been durable. */
static int report_short(log_recover_t *r, int64_t base_offset, uint64_t position, int64_t found_offset)
{
    log_damage_t *damage = &r->report->damage;
    *damage = (log_damage_t){
        .fault = LOG_SHORT, .position = position, .offset = r->next_offset, .found_offset = found_offset};
    log__segment_name(damage->file, base_offset, ".log");
    return ERR_DAMAGED;
}

static int check_end(log_recover_t *r, const log_segment_t *last)
{
    int64_t end_min = log__recover_end_min(r->how);
    return r->next_offset >= end_min ? 0 : report_short(r, last->base_offset, last->bytes, end_min);
}

static int recover_segment(log_recover_t *r, uint32_t at)
{
    log_t *log = r->log;
    log_segment_t *segment = log->segments[at];
    bool last = at + 1 == log->segments_count;
    int err;
    r->next_offset = MAX(r->next_offset, segment->base_offset);
    /* At the point itself: a segment that was full and durable when it was sealed has indexes of later date. */
    if (!r->how->clean && (last || log->segments[at + 1]->base_offset >= r->how->recovery_point))
        err = log__verify_segment(r, at);
    else
        err = log__open_segment_kept(r, at);
    if (!err && !r->cut && !last) err = check_next(r, at);
    if (!err && r->cut) err = log__set_aside_after(r, at + 1);
    if (!err && !r->cut && !last) log__segment_flush_indexes(segment, true);
    if (!err && !r->cut && last) err = check_end(r, segment);
    if (err) return err;
    log__segment_trim(segment);
    log__segment_close_files(segment); /* opened again when there is something to do */
    return 0;
}

static int recover_segments(log_recover_t *r)
{
    log_t *log = r->log;
    r->next_offset = log->segments[0]->base_offset;
    for (uint32_t i = 0; i < log->segments_count; i++) { /* a cut shortens the list */
        int err = recover_segment(r, i);
        if (err) return err;
    }
    log->end_offset = r->next_offset;
    return 0;
}

static int begin_empty(log_recover_t *r, int64_t start)
{
    log_t *log = r->log;
    int64_t end_min = log__recover_end_min(r->how);
    log->start_offset = log->end_offset = log->durable_offset = r->next_offset = start;
    if (end_min <= start) return log__add_segment(log, start);
    r->report->damage = (log_damage_t){.fault = LOG_SHORT, .offset = start, .found_offset = end_min};
    return ERR_DAMAGED;
}

/* All that is there lies below the log's start: only a loss of power takes what was there above. */
static int begin_anew(log_recover_t *r)
{
    log_t *log = r->log;
    const log_segment_t *active = log__active(log);
    if (!r->how->power_lost && active->bytes > 0)
        return report_short(r, active->base_offset, active->bytes, log->start_offset);
    int err = log__set_aside_after(r, 0);
    return err ? err : log_truncate_all(log, log->start_offset);
}

int log__recover(log_t *log, const log_recovery_t *recovery, log_report_t *report)
{
    int64_t start = MAX(recovery->start_offset, 0);
    log_recover_t r = {.log = log, .how = recovery, .report = report};
    int err = find_segments(&r);
    if (err) return err;
    if (log->segments_count == 0) return begin_empty(&r, start);
    err = recover_segments(&r);
    report->rebuilt_count += log->rebuilt_count;
    if (err) return err;
    log->durable_offset = recovery->clean ? log->end_offset : MIN(recovery->recovery_point, log->end_offset);
    log->start_offset = MAX(start, log->segments[0]->base_offset);
    if (log->start_offset > log->end_offset) return begin_anew(&r);
    log__epochs_cut_from(log, log->end_offset);
    log__epochs_cut_below(log, log->start_offset);
    err = log__epochs_check(log, &report->epochs_rebuilt);
    if (err) return err;
    /* How long the segment has been written to: what its first batch says is the best that is left of that. */
    log_segment_t *active = log__active(log);
    if (active->bytes > 0 && active->first_timestamp >= 0)
        active->created_ms = MIN(active->created_ms, active->first_timestamp);
    return 0;
}

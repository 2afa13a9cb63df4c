/* recover_cut.c: may a log end where its sound batches end? And if so, the cut, with a copy of what it takes. See recover.c.
 *
 *   NNN.log.cut-51234    the bytes that followed byte 51234 of NNN.log
 *   NNN.log.cut          a whole segment that came after the cut
 *
 * Nobody reads these files again; who is sure that he does not need them removes them. */
#include "log/log_internal.h"

#include <stdio.h>

int64_t log__recover_end_min(const log_recovery_t *how)
{
    return MAX(how->end_min, how->clean ? how->recovery_point : 0); /* a clean stop made all of it durable */
}

/* Power may have been lost while what lies at the log's sound end was not durable yet. */
static bool excused(const log_recover_t *r, const log_damage_t *damage)
{
    int64_t durable_min = MAX(MAX(r->how->recovery_point, r->how->end_min), damage->durable_min);
    return r->how->power_lost && !r->how->clean && r->next_offset >= durable_min && !damage->behind_more;
}

static int look_behind_all(log_recover_t *r, uint32_t at, log_damage_t *damage)
{
    log_t *log = r->log;
    int err = 0;
    for (uint32_t i = at; !err && i < log->segments_count; i++) {
        err = log__look_behind(log->segments[i], r->how, i == at ? damage->position : 0, damage);
        if (i > at) log__segment_close_files(log->segments[i]);
    }
    return err;
}

int log__recover_judge(log_recover_t *r, uint32_t at, log_damage_t *damage)
{
    bool last = at + 1 == r->log->segments_count;
    int err = look_behind_all(r, at, damage);
    if (err) return err;
    bool torn = damage->fault == LOG_INVALID && damage->behind_count == 0 && !damage->behind_more && last &&
                r->next_offset >= log__recover_end_min(r->how);
    if (torn || excused(r, damage)) {
        r->cut = true;
        r->behind_count = damage->behind_count;
        return 0;
    }
    r->report->damage = *damage;
    return ERR_DAMAGED;
}

int log__only_zeros(const log_segment_t *segment, io_file_t *file, uint64_t from, bool *ret_zeros)
{
    uint8_t window[LOG_SCAN_WINDOW_BYTES];
    *ret_zeros = false;
    if (segment->log->options.ahead_bytes == 0) return 0;
    while (from < segment->bytes) {
        ssize_t n = io_file_read(file, from, window, (size_t)MIN(sizeof(window), segment->bytes - from));
        if (n < 0) return (int)n;
        if (n == 0 || window[0] != 0 || memcmp(window, window + 1, (size_t)n - 1) != 0) return 0;
        from += (uint64_t)n;
    }
    *ret_zeros = true;
    return 0;
}

/* ---- copies --------------------------------------------------------------------------------------------------------- */

static int keep_copy(log_recover_t *r, log_segment_t *segment, io_file_t *file, uint64_t position)
{
    char path[LOG_PATH_CHARS_MAX], kind[40];
    snprintf(kind, sizeof(kind), ".log.cut-%" PRIu64, position);
    log__segment_path(segment, kind, path);
    int err = io_copy_tail(r->log->loop, file, position, segment->bytes, path);
    if (!err) log__segment_name(r->report->copy, segment->base_offset, kind);
    return err;
}

static int keep_and_report(log_recover_t *r, log_segment_t *segment, io_file_t *file, uint64_t position)
{
    log_report_t *report = r->report;
    report->cut_position = position;
    report->cut_bytes = segment->bytes - position;
    report->cut_offset = r->next_offset;
    log__segment_name(report->cut_file, segment->base_offset, ".log");
    int err = keep_copy(r, segment, file, position);
    /* Half a write is no loss that a full disk should make worse. */
    return err == ERR_NOSPACE && r->behind_count == 0 ? 0 : err;
}

int log__recover_cut(log_recover_t *r, log_segment_t *segment, uint64_t position)
{
    io_file_t *file;
    int err = log__segment_file(segment, false, &file);
    if (!err) err = keep_and_report(r, segment, file, position);
    /* The cut must last before anything is appended: a power loss that undid it could leave what was cut behind new batches,
     * and whole. */
    if (!err) err = io_file_truncate(file, position);
    if (!err) err = io_file_sync_now(file);
    if (!err) segment->bytes = (uint32_t)position;
    return err;
}

/* The .log last: an index without one would tell of damage. */
static int set_aside(log_segment_t *segment)
{
    static const char *const derived[] = {".index", ".timeindex", ".txnindex"};
    char path[LOG_PATH_CHARS_MAX], aside[LOG_PATH_CHARS_MAX];
    log__segment_close_files(segment);
    for (size_t i = 0; i < ARRAY_LEN(derived); i++) {
        log__segment_path(segment, derived[i], path);
        int err = io_remove(segment->log->loop, path);
        if (err && err != ERR_NOT_FOUND) return err;
    }
    log__segment_path(segment, ".log", path);
    log__segment_path(segment, ".log.cut", aside);
    return io_rename(segment->log->loop, path, aside);
}

int log__set_aside_after(log_recover_t *r, uint32_t keep)
{
    log_t *log = r->log;
    log_report_t *report = r->report;
    if (keep >= log->segments_count) return 0;
    if (!report->cut_file[0] && keep > 0) {
        const log_segment_t *last = log->segments[keep - 1];
        log__segment_name(report->cut_file, last->base_offset, ".log");
        report->cut_position = last->bytes;
        report->cut_offset = r->next_offset;
    }
    for (uint32_t i = log->segments_count; i > keep; i--) {
        if (log->segments[i - 1]->bytes == 0) continue;
        int err = set_aside(log->segments[i - 1]);
        if (err) return err;
        report->cut_segments++;
    }
    return log__remove_after(log, keep);
}

/* recover_names.c: the file names that a crash left in the middle of something. By Kafka's names and rules, so that
 * either may finish what the other began:
 *
 *   .deleted   left the log: removed
 *   .cleaned   a segment that compaction was still writing: removed, and so is a .swap at or above it, for it may lack
 *              some of its files
 *   .swap      a segment that was whole and durable, and whose swap had begun: the segments that it replaces are
 *              removed, those whose base lies between its base and its end, and it gets its name
 *
 * Each step may be cut short in its turn; the next open goes on from there. */
#include "log/log_internal.h"

#include <stdio.h>

typedef struct names {
    log_t *log;
    int64_t cleaned_min;        /* the lowest base of a .cleaned file */
    int64_t swap_from, swap_to; /* what .swap files replace */
    bool changed;
    log_report_t *report;
    int err;
} names_t;

static bool ends_with(const char *name, const char *suffix)
{
    size_t n = strlen(name), m = strlen(suffix);
    return n >= m && strcmp(name + n - m, suffix) == 0;
}

bool log__is_temporary(const char *name)
{
    return ends_with(name, ".deleted") || ends_with(name, ".cleaned") || ends_with(name, ".swap");
}

bool log__parse_base(const char *name, int64_t *ret_base)
{
    int64_t base = 0;
    for (int i = 0; i < LOG_NAME_DIGITS; i++) {
        if (name[i] < '0' || name[i] > '9') return false;
        if (__builtin_mul_overflow(base, 10, &base) || __builtin_add_overflow(base, name[i] - '0', &base)) return false;
    }
    *ret_base = base;
    return name[LOG_NAME_DIGITS] == '.';
}

/* ".log", ".index", ".timeindex" or ".txnindex", without anything behind. */
static bool is_live(const char *name)
{
    const char *kind = name + LOG_NAME_DIGITS;
    return strcmp(kind, ".log") == 0 || strcmp(kind, ".index") == 0 || strcmp(kind, ".timeindex") == 0 ||
           strcmp(kind, ".txnindex") == 0;
}

static int path_of(const names_t *n, const char *name, char out[LOG_PATH_CHARS_MAX])
{
    int chars = snprintf(out, LOG_PATH_CHARS_MAX, "%s/%s", n->log->dir, name);
    return chars < LOG_PATH_CHARS_MAX ? 0 : ERR_LIMIT;
}

static void drop(names_t *n, const char *name)
{
    char path[LOG_PATH_CHARS_MAX];
    int err = path_of(n, name, path);
    if (!err) err = io_remove(n->log->loop, path);
    if (err && !n->err) n->err = err;
    n->changed = true;
}

/* Only takes room, if it stays. */
static void drop_quietly(names_t *n, const char *name)
{
    char path[LOG_PATH_CHARS_MAX];
    if (path_of(n, name, path) == 0) (void)!io_remove(n->log->loop, path);
}

static void find_cleaned(void *user, const char *name, bool is_dir)
{
    names_t *n = user;
    int64_t base;
    if (is_dir || !log__parse_base(name, &base)) return;
    if (ends_with(name, ".cleaned")) n->cleaned_min = MIN(n->cleaned_min, base);
}

static void drop_unfinished(void *user, const char *name, bool is_dir)
{
    names_t *n = user;
    int64_t base;
    if (is_dir || !log__parse_base(name, &base)) return;
    bool half = ends_with(name, ".swap") && base >= n->cleaned_min;
    if (half || ends_with(name, ".cleaned")) drop(n, name);
    if (ends_with(name, ".deleted")) drop_quietly(n, name);
}

/* What it takes the place of is about to go, so it must be whole. */
static int refuse_swap(const names_t *n, const char *name, uint64_t position, int64_t offset)
{
    log_damage_t *damage = &n->report->damage;
    *damage = (log_damage_t){.fault = LOG_INVALID, .position = position, .offset = offset};
    snprintf(damage->file, sizeof(damage->file), "%s", name);
    return ERR_DAMAGED;
}

/* The offset behind the last batch of a segment that waits for its name. */
static int end_of_swap(const names_t *n, const char *name, int64_t base, int64_t *ret_end)
{
    uint8_t window[LOG_SCAN_WINDOW_BYTES];
    char path[LOG_PATH_CHARS_MAX];
    io_file_t *file;
    uint64_t bytes;
    log_scan_t scan = {0};
    batch_header_t batch;
    int err = path_of(n, name, path);
    if (!err) err = io_file_open(n->log->loop, path, IO_FILE_READ, &file);
    if (err) return err;
    err = io_file_size(file, &bytes);
    *ret_end = base;
    if (!err) log__scan_init(&scan, file, 0, bytes, window, sizeof(window));
    while (!err && (err = log__scan_peek(&scan, &batch)) == 0) {
        err = log__scan_verify(&scan, &batch);
        if (err || batch.base_offset < *ret_end) break;
        *ret_end = batch_last_offset(&batch) + 1;
        log__scan_skip(&scan, &batch);
    }
    io_file_close(file);
    if (err == ERR_NOT_FOUND) return 0;
    bool of_data = !err || err == ERR_CORRUPT || err == ERR_TRUNCATED || err == ERR_UNSUPPORTED;
    return of_data ? refuse_swap(n, name, scan.position, *ret_end) : err;
}

static void find_swap(void *user, const char *name, bool is_dir)
{
    names_t *n = user;
    int64_t base, end;
    if (is_dir || n->err || !log__parse_base(name, &base) || !ends_with(name, ".log.swap")) return;
    n->err = end_of_swap(n, name, base, &end);
    if (n->err) return;
    n->swap_from = MIN(n->swap_from, base);
    n->swap_to = MAX(n->swap_to, end);
}

static void drop_replaced(void *user, const char *name, bool is_dir)
{
    names_t *n = user;
    int64_t base;
    if (is_dir || !log__parse_base(name, &base) || !is_live(name)) return;
    if (base >= n->swap_from && base < n->swap_to) drop(n, name);
}

/* In two passes, the .log files first: without one, an index that has its name already would be taken for one of the
 * segment that is replaced. */
static void rename_swap(names_t *n, const char *name)
{
    char from[LOG_PATH_CHARS_MAX], to[LOG_PATH_CHARS_MAX];
    int err = path_of(n, name, from);
    if (!err) err = path_of(n, name, to);
    if (!err) {
        to[strlen(to) - strlen(".swap")] = '\0';
        err = io_rename(n->log->loop, from, to);
    }
    if (err && !n->err) n->err = err;
    n->changed = true;
}

static void rename_logs(void *user, const char *name, bool is_dir)
{
    int64_t base;
    if (!is_dir && log__parse_base(name, &base) && ends_with(name, ".log.swap")) rename_swap(user, name);
}

static void rename_indexes(void *user, const char *name, bool is_dir)
{
    int64_t base;
    if (!is_dir && log__parse_base(name, &base) && ends_with(name, ".swap")) rename_swap(user, name);
}

int log__recover_names(log_t *log, log_report_t *report)
{
    void (*const steps[])(void *user, const char *name, bool is_dir) = {
        find_cleaned, drop_unfinished, find_swap, drop_replaced, rename_logs, rename_indexes,
    };
    names_t n = {.log = log, .report = report, .cleaned_min = INT64_MAX, .swap_from = INT64_MAX, .swap_to = INT64_MIN};
    for (size_t i = 0; i < ARRAY_LEN(steps) && !n.err; i++) {
        int err = io_list_dir(log->loop, log->dir, steps[i], &n);
        if (!n.err) n.err = err;
    }
    if (n.changed) log->names_dirty = true;
    return n.err;
}

/* check.c: a log's directory as nobody has it open: what is sound in it and what is not, and its mending. For `trivet check`, which
 * writes nothing, and `trivet repair`, which mends a copy. The same rules as recover.c's. */
#include "log/log_internal.h"

#include <stdio.h>
#include <stdlib.h>

typedef struct names {
    int64_t *bases;
    bool *has_log;
    size_t count, cap;
} names_t;

static void add_name(void *user, const char *name, bool is_dir)
{
    names_t *n = user;
    int64_t base;
    if (is_dir || !log__parse_base(name, &base)) return;
    bool is_log = strcmp(name + LOG_NAME_DIGITS, ".log") == 0;
    if (!is_log && strcmp(name + LOG_NAME_DIGITS, ".index") != 0 && strcmp(name + LOG_NAME_DIGITS, ".timeindex") != 0)
        return;
    if (n->count == 0 || n->bases[n->count - 1] != base) {
        if (n->count == n->cap) {
            n->cap = MAX(n->cap * 2, 8);
            n->bases = mem_realloc(n->bases, n->cap * sizeof(*n->bases));
            n->has_log = mem_realloc(n->has_log, n->cap * sizeof(*n->has_log));
        }
        n->bases[n->count] = base;
        n->has_log[n->count++] = false;
    }
    if (is_log) n->has_log[n->count - 1] = true;
}

static void names_deinit(names_t *n)
{
    mem_free(n->bases);
    mem_free(n->has_log);
}

/* ---- checking ---------------------------------------------------------------------------------------------------------- */

typedef struct walk {
    bool compacted;
    int64_t next_offset;
    uint64_t next_position;
    log_checked_t *file;
} walk_t;

static void find(walk_t *w, log_fault_t fault, uint64_t position, int64_t found_offset)
{
    log_damage_t *d = &w->file->damage;
    if (d->fault != LOG_SOUND) return;
    *d = (log_damage_t){.fault = fault, .position = position, .offset = w->next_offset, .found_offset = found_offset};
    snprintf(d->file, sizeof(d->file), "%s", w->file->file);
}

static void see(void *user, uint64_t position, const batch_header_t *batch)
{
    walk_t *w = user;
    log_damage_t *d = &w->file->damage;
    bool fits = batch->base_offset == w->next_offset || (w->compacted && batch->base_offset > w->next_offset);
    if (position != w->next_position) find(w, LOG_INVALID, w->next_position, 0);
    if (!fits) find(w, LOG_MISPLACED, position, batch->base_offset);
    if (d->fault != LOG_SOUND && d->behind_count++ == 0) d->behind_offset = batch->base_offset;
    w->file->batches++;
    w->next_position = position + batch_bytes(batch);
    w->next_offset = batch_last_offset(batch) + 1;
}

static int is_zeros(io_file_t *file, uint64_t from, uint64_t end, bool *ret_zeros)
{
    uint8_t window[LOG_SCAN_WINDOW_BYTES];
    *ret_zeros = true;
    while (*ret_zeros && from < end) {
        ssize_t n = io_file_read(file, from, window, (size_t)MIN(sizeof(window), end - from));
        if (n <= 0) return n < 0 ? (int)n : ERR_TRUNCATED;
        *ret_zeros = window[0] == 0 && memcmp(window, window + 1, (size_t)n - 1) == 0;
        from += (uint64_t)n;
    }
    return 0;
}

static int check_file(io_loop_t *loop, const char *dir, int64_t base, walk_t *w)
{
    char path[LOG_PATH_CHARS_MAX];
    io_file_t *file;
    bool zeros = true;
    int n = snprintf(path, sizeof(path), "%s/%s", dir, w->file->file);
    int err = n < (int)sizeof(path) ? io_file_open(loop, path, IO_FILE_READ, &file) : ERR_LIMIT;
    if (err) return err;
    err = io_file_size(file, &w->file->bytes);
    if (!err) err = log__each_valid(file, base, 0, w->file->bytes, see, w);
    if (err == ERR_LIMIT) {
        find(w, LOG_INVALID, w->next_position, 0);
        w->file->damage.behind_more = true;
        err = 0;
    }
    if (!err) err = is_zeros(file, w->next_position, w->file->bytes, &zeros);
    if (!err && !zeros) find(w, LOG_INVALID, w->next_position, 0);
    io_file_close(file);
    return err;
}

static int check_segment(io_loop_t *loop, const char *dir, const names_t *n, size_t at, walk_t *w)
{
    int64_t base = n->bases[at];
    bool gap = at > 0 && base > w->next_offset && !w->compacted;
    log__segment_name(w->file->file, base, ".log");
    if (!n->has_log[at]) {
        find(w, LOG_MISSING, 0, 0);
        return 0;
    }
    if (gap) find(w, LOG_GAP, 0, base);
    if (at > 0 && base < w->next_offset) find(w, LOG_MISPLACED, 0, base);
    w->next_offset = base;
    w->next_position = 0;
    int err = check_file(loop, dir, base, w);
    const log_damage_t *d = &w->file->damage;
    w->file->torn = d->fault == LOG_INVALID && d->behind_count == 0 && !d->behind_more && at + 1 == n->count;
    return err;
}

int log_check(io_loop_t *loop, const char *dir, bool compacted, void (*each)(void *user, const log_checked_t *file),
              void *user)
{
    names_t n = {0};
    walk_t w = {.compacted = compacted};
    int err = io_list_dir(loop, dir, add_name, &n);
    for (size_t i = 0; !err && i < n.count; i++) {
        log_checked_t file = {0};
        w.file = &file;
        err = check_segment(loop, dir, &n, i, &w);
        file.begin_offset = n.bases[i];
        file.end_offset = w.next_offset;
        if (!err) each(user, &file);
    }
    names_deinit(&n);
    return err;
}

/* ---- mending -------------------------------------------------------------------------------------------------------- */

typedef struct found { /* a valid batch of the segment being mended */
    uint64_t position;
    size_t bytes;
    int64_t base;
    int32_t delta, epoch;
} found_t;

typedef struct mend {
    const log_mending_t *how;
    found_t *found;
    size_t count, cap;
    io_file_t *from, *to; /* `to` NULL: nothing is kept any more */
    uint64_t written;
    int64_t next_offset;
    int32_t epoch;
    log_mended_t *result;
    bool ended; /* --cut: the log ends at the first damage */
    int err;
} mend_t;

static void put(mend_t *m, bytes_t data)
{
    struct iovec iov = {(void *)data.ptr, data.len};
    if (!m->err && data.len) m->err = io_file_write(m->to, m->written, &iov, 1);
    m->written += data.len;
}

static void fill(mend_t *m, int64_t to)
{
    buf_t data = BUF_INIT;
    m->result->lost_offsets += (uint64_t)(to - m->next_offset);
    m->how->fill(m->next_offset, to, m->epoch, &data);
    put(m, buf_bytes(&data));
    buf_deinit(&data);
    m->next_offset = to;
}

static void collect(void *user, uint64_t position, const batch_header_t *batch)
{
    mend_t *m = user;
    if (m->count == m->cap) {
        m->cap = MAX(m->cap * 2, 64);
        m->found = mem_realloc(m->found, m->cap * sizeof(*m->found));
    }
    m->found[m->count++] =
        (found_t){position, batch_bytes(batch), batch->base_offset, batch->last_offset_delta, batch->leader_epoch};
}

/* The offset of a batch is not covered by its sum. One that jumps ahead of a later batch is wrong; when what follows begins
 * right behind the place where this one stands, that is its own. */
static bool settle_offset(const mend_t *m, size_t at, int64_t limit)
{
    found_t *f = &m->found[at];
    int64_t following = at + 1 < m->count ? m->found[at + 1].base : limit;
    bool ahead = f->base > m->next_offset && following >= m->next_offset && following <= f->base + f->delta;
    if (!ahead && f->base >= m->next_offset) return f->base + f->delta < limit;
    f->base = m->next_offset;
    return following == m->next_offset + f->delta + 1;
}

static void keep_one(mend_t *m, const found_t *f)
{
    uint8_t *data = mem_alloc(f->bytes);
    if (io_file_read(m->from, f->position, data, f->bytes) != (ssize_t)f->bytes) m->err = ERR_IO;
    store_be64(data, (uint64_t)f->base);
    put(m, bytes_of(data, f->bytes));
    mem_free(data);
    m->next_offset = f->base + f->delta + 1;
    m->epoch = MAX(m->epoch, f->epoch);
    m->result->kept_batches++;
}

static void keep(mend_t *m, size_t at, int64_t limit)
{
    const found_t *f = &m->found[at];
    bool follows = f->base == m->next_offset || (m->how->compacted && f->base > m->next_offset);
    if (!follows && !m->how->salvage) m->ended = true;
    if (!m->ended && !settle_offset(m, at, limit)) {
        m->result->lost_batches++;
        return;
    }
    if (f->base - m->next_offset > m->how->fill_offsets_max) m->ended = true;
    if (m->err || m->ended) {
        m->result->lost_batches++;
        return;
    }
    if (f->base > m->next_offset && !m->how->compacted) fill(m, f->base);
    keep_one(m, f);
}

static void path_of(const char *dir, int64_t base, const char *kind, char out[LOG_PATH_CHARS_MAX])
{
    int n = snprintf(out, LOG_PATH_CHARS_MAX, "%s/%020" PRId64 "%s", dir, base, kind);
    ASSERT(n > 0 && n < LOG_PATH_CHARS_MAX);
}

/* Writes what is valid of a segment to a new file, which takes its place. */
static int mend_segment(io_loop_t *loop, const char *dir, const names_t *n, size_t at, mend_t *m)
{
    char path[LOG_PATH_CHARS_MAX], fresh[LOG_PATH_CHARS_MAX];
    uint64_t bytes;
    path_of(dir, n->bases[at], ".log", path);
    path_of(dir, n->bases[at], ".log.mending", fresh);
    m->from = m->to = NULL;
    int err = io_file_open(loop, path, IO_FILE_READ, &m->from);
    if (!err) err = io_file_size(m->from, &bytes);
    if (!err) err = io_file_open(loop, fresh, IO_FILE_WRITE | IO_FILE_CREATE | IO_FILE_TRUNCATE, &m->to);
    m->written = m->count = 0;
    if (!err) err = log__each_valid(m->from, n->bases[at], 0, bytes, collect, m);
    if (err == ERR_LIMIT) err = 0; /* what the search gave up on counts as lost */
    int64_t limit = at + 1 < n->count ? n->bases[at + 1] : INT64_MAX;
    for (size_t i = 0; !err && i < m->count; i++) keep(m, i, limit);
    bool more = at + 1 < n->count && !m->how->compacted && !m->ended && m->next_offset != n->bases[at + 1];
    bool wide = more && n->bases[at + 1] - m->next_offset > m->how->fill_offsets_max;
    if (!err && more && (!m->how->salvage || wide)) m->ended = true;
    if (!err && more && !m->ended && m->next_offset < n->bases[at + 1]) fill(m, n->bases[at + 1]);
    if (!err) err = m->err;
    if (!err) err = io_file_sync_now(m->to);
    if (m->from) io_file_close(m->from);
    if (m->to) io_file_close(m->to);
    return err ? err : io_rename(loop, fresh, path);
}

static int drop_derived(io_loop_t *loop, const char *dir, int64_t base, bool log_too)
{
    static const char *const kinds[] = {".index", ".timeindex", ".txnindex", ".log"};
    for (size_t i = 0; i < ARRAY_LEN(kinds) - !log_too; i++) {
        char path[LOG_PATH_CHARS_MAX];
        path_of(dir, base, kinds[i], path);
        int err = io_remove(loop, path);
        if (err && err != ERR_NOT_FOUND) return err;
    }
    return 0;
}

static void count_lost(void *user, uint64_t position, const batch_header_t *batch)
{
    ((mend_t *)user)->result->lost_batches++;
}

static int drop_segment(io_loop_t *loop, const char *dir, int64_t base, mend_t *m)
{
    char path[LOG_PATH_CHARS_MAX];
    uint64_t bytes;
    path_of(dir, base, ".log", path);
    if (io_file_open(loop, path, IO_FILE_READ, &m->from) == 0) {
        if (io_file_size(m->from, &bytes) == 0) (void)!log__each_valid(m->from, base, 0, bytes, count_lost, m);
        io_file_close(m->from);
    }
    return drop_derived(loop, dir, base, true);
}

/* A segment whose .log is gone holds nothing: its offsets are a gap between its neighbours, which is filled at the end of the
 * one before it. Without one before it, what is salvaged begins behind it. */
static int drop_missing(io_loop_t *loop, const char *dir, names_t *n, mend_t *m)
{
    size_t kept = 0;
    if (n->count > 0) m->next_offset = n->bases[0];
    m->ended = n->count > 0 && !n->has_log[0] && !m->how->salvage;
    for (size_t i = 0; i < n->count; i++) {
        if (n->has_log[i]) {
            n->has_log[kept] = true;
            n->bases[kept++] = n->bases[i];
            continue;
        }
        int err = drop_derived(loop, dir, n->bases[i], false);
        if (err) return err;
    }
    n->count = kept;
    if (kept > 0 && !m->ended) m->next_offset = n->bases[0];
    return 0;
}

int log_mend(io_loop_t *loop, const char *dir, const log_mending_t *how, log_mended_t *ret_mended)
{
    names_t n = {0};
    *ret_mended = (log_mended_t){0};
    mend_t m = {.how = how, .result = ret_mended};
    int err = io_list_dir(loop, dir, add_name, &n);
    if (!err) err = drop_missing(loop, dir, &n, &m);
    for (size_t i = 0; !err && i < n.count; i++) {
        bool overlaps = n.bases[i] < m.next_offset;
        if (overlaps && !how->salvage) m.ended = true;
        if (m.ended || overlaps) {
            err = drop_segment(loop, dir, n.bases[i], &m);
            continue;
        }
        err = mend_segment(loop, dir, &n, i, &m);
        if (!err) err = drop_derived(loop, dir, n.bases[i], false);
    }
    names_deinit(&n);
    mem_free(m.found);
    ret_mended->end_offset = m.next_offset;
    return err ? err : io_sync_dir(loop, dir);
}

/* A batch of `count` offsets and no record. */
static void put_empty(uint8_t *out, int64_t base_offset, int32_t count, int32_t epoch)
{
    batch_header_t header = BATCH_HEADER_NONE;
    header.base_offset = base_offset;
    header.leader_epoch = epoch;
    header.last_offset_delta = count - 1;
    batch_header_write(out, &header);
    batch_seal(out, BATCH_HEADER_BYTES);
}

void log_fill_empty(int64_t from, int64_t to, int32_t epoch, buf_t *out)
{
    while (from < to) {
        int64_t count = MIN(to - from, (int64_t)INT32_MAX);
        uint8_t *b = buf_reserve(out, BATCH_HEADER_BYTES);
        put_empty(b, from, (int32_t)count, epoch);
        out->len += BATCH_HEADER_BYTES;
        from += count;
    }
}

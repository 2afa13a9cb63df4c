/* precheck.c: checks the checksums that log_open is about to check, ahead of it and off the loop: what is left for log_open are the
 * headers. Called by whoever opens many logs after a crash.
 *
 * Nobody may write to the log between the two. What was found sound is a number of bytes from the segment's start; everything
 * else (a batch out of place, a torn tail, damage) log_open finds and judges itself. */
#include "log/log_internal.h"

#include <stdatomic.h>
#include <stdio.h>

typedef struct checked {
    int64_t base_offset;
    io_file_t *file;
    uint64_t bytes, sound_bytes;
} checked_t;

struct log_precheck {
    io_loop_t *loop;
    const char *dir;
    bool distrust_cache;
    checked_t *segments; /* by base offset, as they are listed */
    size_t count, cap;
    atomic_bool stopped;
    bool temporary; /* log_open will rename files first: nothing here is known of them */
};

static void list_name(void *user, const char *name, bool is_dir)
{
    log_precheck_t *p = user;
    int64_t base;
    if (is_dir || !log__parse_base(name, &base)) return;
    p->temporary |= log__is_temporary(name);
    if (strcmp(name + LOG_NAME_DIGITS, ".log") != 0) return;
    if (p->count == p->cap) {
        p->cap = MAX(p->cap * 2, 8);
        p->segments = mem_realloc(p->segments, p->cap * sizeof(checked_t));
    }
    p->segments[p->count++] = (checked_t){.base_offset = base};
}

/* Those below the point end where the next begins: as in recover.c. */
static void drop_below(log_precheck_t *p, int64_t recovery_point)
{
    size_t first = 0;
    while (first + 1 < p->count && p->segments[first + 1].base_offset < recovery_point) first++;
    if (first == 0) return;
    memmove(p->segments, p->segments + first, (p->count - first) * sizeof(checked_t));
    p->count -= first;
}

static int open_files(log_precheck_t *p, uint64_t *ret_bytes)
{
    char path[LOG_PATH_CHARS_MAX];
    *ret_bytes = 0;
    for (size_t i = 0; i < p->count; i++) {
        checked_t *c = &p->segments[i];
        int n = snprintf(path, sizeof(path), "%s/%0*" PRId64 ".log", p->dir, LOG_NAME_DIGITS, c->base_offset);
        if (n < 0 || (size_t)n >= sizeof(path)) return ERR_LIMIT;
        int err = io_file_open(p->loop, path, IO_FILE_READ, &c->file);
        if (!err) err = io_file_size(c->file, &c->bytes);
        if (err) return err;
        *ret_bytes += c->bytes;
    }
    return 0;
}

int log_precheck_new(io_loop_t *loop, const char *dir, const log_recovery_t *recovery, uint64_t bytes_min,
                     log_precheck_t **ret_precheck)
{
    log_precheck_t *p = mem_zalloc(sizeof(*p));
    uint64_t bytes = 0;
    p->loop = loop;
    p->dir = dir;
    p->distrust_cache = recovery->distrust_cache;
    int err = io_list_dir(loop, dir, list_name, p);
    bool useful = !err && !recovery->clean && !p->temporary && p->count <= LOG_PRECHECK_SEGMENTS_MAX;
    if (useful) {
        drop_below(p, recovery->recovery_point);
        err = open_files(p, &bytes);
    }
    p->dir = NULL; /* the caller's */
    *ret_precheck = NULL;
    if (!err && useful && bytes >= bytes_min) {
        *ret_precheck = p;
        return 0;
    }
    log_precheck_free(p);
    return err == ERR_NOT_FOUND ? 0 : err;
}

/* Where the first batch is that is not whole and sound. What cannot be read now, log_open will say. */
static uint64_t sound_bytes(const log_precheck_t *p, const checked_t *c, uint8_t *window)
{
    log_scan_t scan;
    batch_header_t batch;
    log__scan_init(&scan, c->file, 0, c->bytes, window, LOG_RECOVER_WINDOW_BYTES);
    while (!atomic_load_explicit(&p->stopped, memory_order_relaxed) && log__scan_peek(&scan, &batch) == 0 &&
           log__scan_verify(&scan, &batch) == 0)
        log__scan_skip(&scan, &batch);
    return scan.position;
}

void log_precheck_stop(log_precheck_t *p) { atomic_store_explicit(&p->stopped, true, memory_order_relaxed); }

void log_precheck_run(log_precheck_t *p)
{
    uint8_t *window = mem_alloc(LOG_RECOVER_WINDOW_BYTES);
    for (size_t i = 0; i < p->count; i++) {
        if (p->distrust_cache) io_file_drop_cache(p->segments[i].file);
        p->segments[i].sound_bytes = sound_bytes(p, &p->segments[i], window);
    }
    mem_free(window);
}

void log_precheck_free(log_precheck_t *p)
{
    if (!p) return;
    for (size_t i = 0; i < p->count; i++)
        if (p->segments[i].file) io_file_close(p->segments[i].file);
    mem_free(p->segments);
    mem_free(p);
}

uint64_t log__precheck_sound(const log_precheck_t *p, const log_segment_t *segment)
{
    for (size_t i = 0; p && i < p->count; i++) {
        const checked_t *c = &p->segments[i];
        if (c->base_offset == segment->base_offset && c->bytes == segment->bytes) return c->sound_bytes;
    }
    return 0;
}

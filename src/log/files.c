/* files.c: the open files of many logs, of which only so many are open at a time. A log asks for a file whenever it has
 * something to do there; the one that was used least lately gives its descriptor to the next. So fifty thousand partitions,
 * and logs of thousands of small segments, need no more descriptors than log_files_new was told.
 *
 *   closed ──open──> idle (in a list, the one used last in front) ──pin──> pinned ──unpin──> idle
 *     ^─────────────── close, or the place is wanted ──┘
 *
 * What a sync writes back or a connection sends from is pinned: it stays open, and counts. When all are pinned there is no
 * place: ERR_FILES, for a moment.
 *
 * Readers keep slices while less than half is pinned, syncs begin while less than three quarters are: so neither keeps the
 * other waiting for long, nor those who append.
 *
 * A few of the idle ones are never closed for another's sake, so that a function may hold one file while it opens the next. */
#include "log/log_internal.h"

#define FILES_MIN  16
#define FILES_KEPT 2 /* idle ones that stay */

struct log_files {
    list_t idle; /* log_open_t */
    uint32_t idle_count, count, count_max;
};

log_files_t *log_files_new(uint32_t files_max)
{
    log_files_t *files = mem_zalloc(sizeof(*files));
    list_init(&files->idle);
    files->count_max = MAX(files_max, FILES_MIN);
    return files;
}

void log_files_free(log_files_t *files)
{
    ASSERT(!files || files->count == 0);
    mem_free(files);
}

uint32_t log_files_count(const log_files_t *files) { return files->count; }

static bool pinned_reach(const log_files_t *files, uint32_t quarters)
{
    return files && files->count - files->idle_count >= files->count_max / 4 * quarters;
}

bool log_files_scarce(const log_files_t *files) { return pinned_reach(files, 2); }

bool log__files_for_sync(const log_files_t *files) { return !pinned_reach(files, 3); }

static void to_front(log_open_t *open)
{
    list_push_front(&open->files->idle, &open->node);
    open->files->idle_count++;
}

static void from_idle(log_open_t *open)
{
    list_remove(&open->node);
    open->files->idle_count--;
}

/* Leaves the list of who is counted; the file may stay open. */
void log__open_forget(log_open_t *open)
{
    if (!open->files) return;
    if (open->pins == 0) from_idle(open);
    open->files->count--;
    open->files = NULL;
}

void log__open_close(log_open_t *open)
{
    ASSERT(open->pins == 0);
    if (!open->file) return;
    log__open_forget(open);
    io_file_close(open->file);
    open->file = NULL;
}

static bool close_oldest(log_files_t *files)
{
    if (!files || files->idle_count <= FILES_KEPT) return false;
    log__open_close(CONTAINER_OF(files->idle.prev, log_open_t, node));
    return true;
}

int log__open(log_t *log, log_open_t *open, const char *path, int flags)
{
    log_files_t *files = log->options.files;
    ASSERT(!open->file && open->pins == 0);
    while (files && files->count >= files->count_max) {
        if (!close_oldest(files)) return ERR_FILES;
    }
    int err;
    do err = io_file_open(log->loop, path, flags, &open->file);
    while (err == ERR_FILES && close_oldest(files));
    if (err || !files) return err;
    open->files = files;
    files->count++;
    to_front(open);
    return 0;
}

void log__open_touch(log_open_t *open)
{
    if (!open->files || open->pins > 0 || open->files->idle.next == &open->node) return;
    list_remove(&open->node);
    list_push_front(&open->files->idle, &open->node);
}

void log__open_pin(log_open_t *open)
{
    ASSERT(open->file);
    if (open->pins++ == 0 && open->files) from_idle(open);
}

void log__open_unpin(log_open_t *open)
{
    ASSERT(open->pins > 0);
    if (--open->pins == 0 && open->files) to_front(open);
}

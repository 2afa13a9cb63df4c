/* snapshot.c: snapshots' points, and their files by name. See snapshot.h. */
#include "coord/raft/snapshot.h"

#include <stdio.h>
#include <stdlib.h>

#define NAME_PREFIX       "snapshot."
#define NAME_PREFIX_CHARS (sizeof(NAME_PREFIX) - 1)
#define INDEX_CHARS       20
#define PATH_CHARS_MAX    4096

snapshot_point_t snapshot_point_copy(const snapshot_point_t *point)
{
    snapshot_point_t copy = *point;
    uint8_t *configuration = mem_alloc(point->configuration.len + 1);
    if (point->configuration.len > 0) memcpy(configuration, point->configuration.ptr, point->configuration.len);
    copy.configuration.ptr = configuration;
    return copy;
}

void snapshot_point_deinit(snapshot_point_t *point)
{
    mem_free((void *)point->configuration.ptr);
    *point = (snapshot_point_t){0};
}

void snapshot_name(uint64_t index, char out[SNAPSHOT_NAME_CHARS_MAX])
{
    int n = snprintf(out, SNAPSHOT_NAME_CHARS_MAX, NAME_PREFIX "%0*" PRIu64, INDEX_CHARS, index);
    ASSERT(n == NAME_PREFIX_CHARS + INDEX_CHARS);
}

char *snapshot_path(const char *dir, uint64_t index)
{
    char name[SNAPSHOT_NAME_CHARS_MAX];
    buf_t path = BUF_INIT;
    snapshot_name(index, name);
    buf_printf(&path, "%s/%s", dir, name);
    buf_u8(&path, 0);
    return (char *)path.ptr;
}

/* "snapshot.<20 digits>" exactly. */
static bool parse_name(const char *name, uint64_t *ret_index)
{
    char *end;
    if (strncmp(name, NAME_PREFIX, NAME_PREFIX_CHARS) != 0 || strlen(name) != NAME_PREFIX_CHARS + INDEX_CHARS)
        return false;
    *ret_index = strtoull(name + NAME_PREFIX_CHARS, &end, 10);
    return *end == '\0';
}

typedef struct newest {
    uint64_t end, index;
    bool found;
} newest_t;

static void find_newest(void *user, const char *name, bool is_dir)
{
    newest_t *newest = user;
    uint64_t index;
    if (is_dir || !parse_name(name, &index) || index >= newest->end) return;
    if (!newest->found || index > newest->index) newest->index = index;
    newest->found = true;
}

int snapshot_newest(io_loop_t *loop, const char *dir, uint64_t end, uint64_t *ret_index)
{
    newest_t newest = {.end = end};
    int err = io_list_dir(loop, dir, find_newest, &newest);
    if (err) return err;
    if (!newest.found) return ERR_NOT_FOUND;
    *ret_index = newest.index;
    return 0;
}

typedef struct prune {
    io_loop_t *loop;
    const char *dir;
    uint64_t keep;
} prune_t;

static void prune_one(void *user, const char *name, bool is_dir)
{
    const prune_t *prune = user;
    uint64_t index;
    if (is_dir || strncmp(name, NAME_PREFIX, NAME_PREFIX_CHARS) != 0) return;
    if (parse_name(name, &index) && index == prune->keep) return;
    char path[PATH_CHARS_MAX];
    int n = snprintf(path, sizeof(path), "%s/%s", prune->dir, name);
    if (n > 0 && (size_t)n < sizeof(path)) io_remove_later(prune->loop, path); /* a large file takes long to remove */
}

void snapshot_prune(io_loop_t *loop, const char *dir, uint64_t index)
{
    prune_t prune = {loop, dir, index};
    (void)!io_list_dir(loop, dir, prune_one, &prune);
}

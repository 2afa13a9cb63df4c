/* snapshot.c: writing, and the files by name. See snapshot.h; loading is in snapshot_load.c. Called by keep.c. */
#include "coord/service/snapshot.h"

#include "base/hash.h"
#include "coord/service/snapshot_format.h"

#include <stdio.h>
#include <stdlib.h>

#define PATH_CHARS_MAX 4096

struct snapshot_writer {
    io_loop_t *loop;
    state_t *state;
    io_file_t *file;
    char *dir, *path, *path_tmp;
    uint64_t offset;
    uint64_t nodes;
    buf_t block; /* head, then records */
    int err;
    io_sync_t sync;
    void (*done)(void *user, int err);
    void *user;
};

/* ---- writing ------------------------------------------------------------------------------------------------------- */

#define PUT_RECORD(w, tag, type, record)                                                                               \
    do {                                                                                                               \
        size_t size_ = zk_##type##_size(record);                                                                       \
        uint8_t *at_ = buf_reserve(&(w)->block, 1 + size_);                                                            \
        *at_ = (tag);                                                                                                  \
        zk_##type##_put(at_ + 1, record);                                                                              \
        (w)->block.len += 1 + size_;                                                                                   \
    } while (0)

static void block_begin(snapshot_writer_t *w) { w->block.len = SNAPSHOT_BLOCK_HEAD_BYTES; }

static int block_write(snapshot_writer_t *w)
{
    size_t bytes = w->block.len - SNAPSHOT_BLOCK_HEAD_BYTES;
    if (bytes == 0) return 0;
    store_be32(w->block.ptr, (uint32_t)bytes);
    store_be32(w->block.ptr + 4, crc32c(0, w->block.ptr + SNAPSHOT_BLOCK_HEAD_BYTES, bytes));
    struct iovec iov = {w->block.ptr, w->block.len};
    int err = io_file_write(w->file, w->offset, &iov, 1);
    w->offset += w->block.len;
    block_begin(w);
    return err;
}

static void block_end_when_full(snapshot_writer_t *w)
{
    if (w->block.len >= SNAPSHOT_BLOCK_BYTES_AIM && w->err == 0) w->err = block_write(w);
}

static void put_node(snapshot_writer_t *w, const znode_t *node)
{
    zk_snapshot_node_t record = {znode_path(node), znode_data(node), (int32_t)node->acl->number,
                                 node->czxid,      node->mzxid,      node->pzxid,
                                 node->ctime_ms,   node->mtime_ms,   node->version,
                                 node->cversion,   node->aversion,   node->owner};
    PUT_RECORD(w, TAG_NODE, snapshot_node, &record);
    w->nodes++;
    block_end_when_full(w);
}

static void touch(state_t *state, znode_t *node) { put_node(state->snapshot_user, node); }

static void put_tables(snapshot_writer_t *w, const snapshot_point_t *point)
{
    const state_t *state = w->state;
    zk_snapshot_head_t head = {state->zxid,
                               state->time_ms,
                               (int64_t)point->index,
                               (int64_t)point->term,
                               (int64_t)point->configuration_index,
                               point->configuration};
    PUT_RECORD(w, TAG_HEAD, snapshot_head, &head);
    size_t cursor = 0;
    for (session_t *s; (s = sessions_next(&state->sessions, &cursor)) != NULL;) {
        zk_snapshot_session_t record = {s->id, s->timeout_ms, bytes_of(s->passwd, COORD_PASSWD_BYTES), s->own_server};
        PUT_RECORD(w, TAG_SESSION, snapshot_session, &record);
        block_end_when_full(w);
    }
    cursor = 0;
    for (map_entry_t *e; (e = map_next(&state->tree.acls.by_wire, &cursor)) != NULL;) {
        const acl_t *acl = e->value;
        zk_snapshot_acl_t record = {(int32_t)acl->number, acl->entries, acl->count};
        PUT_RECORD(w, TAG_ACL, snapshot_acl, &record);
        block_end_when_full(w);
    }
}

static char *path_of(const char *dir, uint64_t index, const char *suffix)
{
    buf_t path = BUF_INIT;
    buf_printf(&path, "%s/snapshot.%020" PRIu64 "%s", dir, index, suffix);
    buf_u8(&path, 0);
    return (char *)path.ptr;
}

int snapshot_begin(io_loop_t *loop, const char *dir, state_t *state, const snapshot_point_t *point,
                   snapshot_writer_t **ret_writer)
{
    ASSERT(!state->snapshotting);
    snapshot_writer_t *w = mem_zalloc(sizeof(*w));
    w->loop = loop;
    w->state = state;
    w->dir = mem_strdup(dir);
    w->path = path_of(dir, point->index, "");
    w->path_tmp = path_of(dir, point->index, ".tmp");
    int err = io_file_open(loop, w->path_tmp, IO_FILE_WRITE | IO_FILE_CREATE | IO_FILE_TRUNCATE, &w->file);
    if (err == 0) err = io_file_write(w->file, 0, &(struct iovec){(void *)SNAPSHOT_MAGIC, SNAPSHOT_MAGIC_BYTES}, 1);
    if (err != 0) {
        snapshot_end(w);
        return err;
    }
    w->offset = SNAPSHOT_MAGIC_BYTES;
    buf_reserve(&w->block, SNAPSHOT_BLOCK_HEAD_BYTES);
    block_begin(w);
    put_tables(w, point);
    state->snapshot++;
    state->snapshotting = true;
    state->snapshot_cursor = state->tree.root;
    state->snapshot_touch = touch;
    state->snapshot_user = w;
    *ret_writer = w;
    return 0;
}

int snapshot_step(snapshot_writer_t *w, size_t bytes)
{
    state_t *state = w->state;
    uint64_t until = w->offset + w->block.len + bytes;
    while (w->err == 0 && state->snapshot_cursor != NULL && w->offset + w->block.len < until) {
        znode_t *node = state->snapshot_cursor;
        state->snapshot_cursor = tree_next(node);
        if (node->snapshot == state->snapshot) continue;
        put_node(w, node);
        node->snapshot = state->snapshot;
    }
    if (w->err != 0) return w->err;
    if (state->snapshot_cursor != NULL) return 0;
    state->snapshotting = false;
    zk_snapshot_tail_t tail = {(int64_t)w->nodes};
    PUT_RECORD(w, TAG_TAIL, snapshot_tail, &tail);
    int err = block_write(w);
    return err != 0 ? err : 1;
}

static void synced(io_sync_t *sync, int err)
{
    snapshot_writer_t *w = CONTAINER_OF(sync, snapshot_writer_t, sync);
    io_file_close(w->file);
    w->file = NULL;
    if (err == 0) err = io_rename(w->loop, w->path_tmp, w->path);
    if (err == 0) err = io_sync_dir(w->loop, w->dir);
    w->done(w->user, err);
}

void snapshot_finish(snapshot_writer_t *w, void (*done)(void *user, int err), void *user)
{
    w->done = done;
    w->user = user;
    io_file_sync(w->file, &w->sync, synced);
}

uint64_t snapshot_bytes(const snapshot_writer_t *w) { return w->offset; }

void snapshot_end(snapshot_writer_t *w)
{
    if (w->state->snapshot_user == w) {
        w->state->snapshotting = false;
        w->state->snapshot_user = NULL;
    }
    if (w->file != NULL) {
        io_file_close(w->file);
        (void)!io_remove(w->loop, w->path_tmp);
    }
    buf_deinit(&w->block);
    mem_free(w->dir);
    mem_free(w->path);
    mem_free(w->path_tmp);
    mem_free(w);
}

/* ---- names --------------------------------------------------------------------------------------------------------- */

char *snapshot_path(const char *dir, uint64_t index) { return path_of(dir, index, ""); }

/* "snapshot.<20 digits>" exactly. */
static bool parse_name(const char *name, uint64_t *ret_index)
{
    char *end;
    if (strncmp(name, "snapshot.", 9) != 0 || strlen(name) != 29) return false;
    *ret_index = strtoull(name + 9, &end, 10);
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
    if (err != 0) return err;
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
    if (is_dir || strncmp(name, "snapshot.", 9) != 0) return;
    if (parse_name(name, &index) && index == prune->keep) return;
    char path[PATH_CHARS_MAX];
    snprintf(path, sizeof(path), "%s/%s", prune->dir, name);
    io_remove_later(prune->loop, path); /* a large file takes long to remove */
}

void snapshot_prune(io_loop_t *loop, const char *dir, uint64_t index)
{
    prune_t prune = {loop, dir, index};
    (void)!io_list_dir(loop, dir, prune_one, &prune);
}

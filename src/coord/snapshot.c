/* snapshot.c: see snapshot.h. Called by coord.c. */
#include "coord/snapshot.h"

#include "base/hash.h"

#include <stdio.h>
#include <stdlib.h>

#define MAGIC "TRVSNAP1"
#define MAGIC_BYTES 8
#define BLOCK_HEAD_BYTES 8
#define BLOCK_BYTES_AIM KIB(128)
#define PATH_CHARS_MAX 4096
#define FILE_BYTES_MAX ((size_t)16 << 30)

enum { TAG_HEAD = 1, TAG_SESSION, TAG_ACL, TAG_NODE, TAG_TAIL };

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

static void block_begin(snapshot_writer_t *w) { w->block.len = BLOCK_HEAD_BYTES; }

static int block_write(snapshot_writer_t *w)
{
    size_t bytes = w->block.len - BLOCK_HEAD_BYTES;
    if (bytes == 0) return 0;
    store_be32(w->block.ptr, (uint32_t)bytes);
    store_be32(w->block.ptr + 4, crc32c(0, w->block.ptr + BLOCK_HEAD_BYTES, bytes));
    struct iovec iov = {w->block.ptr, w->block.len};
    int err = io_file_write(w->file, w->offset, &iov, 1);
    w->offset += w->block.len;
    block_begin(w);
    return err;
}

static void put_node(snapshot_writer_t *w, const znode_t *node)
{
    zk_snapshot_node_t record = {
        znode_path(node), znode_data(node), (int32_t)node->acl->number, node->czxid, node->mzxid, node->pzxid,
        node->ctime_ms, node->mtime_ms, node->version, node->cversion, node->aversion, node->owner};
    PUT_RECORD(w, TAG_NODE, snapshot_node, &record);
    w->nodes++;
    if (w->block.len >= BLOCK_BYTES_AIM && w->err == 0) w->err = block_write(w);
}

static void touch(state_t *state, znode_t *node) { put_node(state->snapshot_user, node); }

static void put_tables(snapshot_writer_t *w, const snapshot_point_t *point)
{
    const state_t *state = w->state;
    zk_snapshot_head_t head = {state->zxid, state->time_ms, (int64_t)point->index, (int64_t)point->term,
                               (int64_t)point->configuration_index, point->configuration};
    PUT_RECORD(w, TAG_HEAD, snapshot_head, &head);
    size_t cursor = 0;
    for (session_t *s; (s = sessions_next(&state->sessions, &cursor)) != NULL;) {
        zk_snapshot_session_t record = {s->id, s->timeout_ms, bytes_of(s->passwd, COORD_PASSWD_BYTES), s->own_server};
        PUT_RECORD(w, TAG_SESSION, snapshot_session, &record);
    }
    cursor = 0;
    for (map_entry_t *e; (e = map_next(&state->tree.acls.by_wire, &cursor)) != NULL;) {
        const acl_t *acl = e->value;
        zk_snapshot_acl_t record = {(int32_t)acl->number, acl->entries, acl->count};
        PUT_RECORD(w, TAG_ACL, snapshot_acl, &record);
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
    if (err == 0) err = io_file_write(w->file, 0, &(struct iovec){(void *)MAGIC, MAGIC_BYTES}, 1);
    if (err != 0) {
        snapshot_end(w);
        return err;
    }
    w->offset = MAGIC_BYTES;
    buf_reserve(&w->block, BLOCK_HEAD_BYTES);
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

/* ---- loading ------------------------------------------------------------------------------------------------------- */

typedef struct loader {
    state_t *state;
    snapshot_point_t *point;
    acl_t **acls; /* by number */
    uint32_t acls_cap;
    uint64_t nodes;
    bool head_seen, tail_seen;
    arena_t arena;
} loader_t;

static int load_head(loader_t *l, jute_reader_t *r)
{
    zk_snapshot_head_t head;
    zk_snapshot_head_get(r, &head);
    if (r->bad || l->head_seen) return ERR_CORRUPT;
    l->head_seen = true;
    l->state->zxid = head.zxid;
    l->state->time_ms = head.time_ms;
    *l->point = (snapshot_point_t){(uint64_t)head.raft_index, (uint64_t)head.raft_term, (uint64_t)head.configuration_index,
                                   bytes_of(tree_copy_data(head.configuration), head.configuration.len)};
    return 0;
}

static int load_session(loader_t *l, jute_reader_t *r)
{
    zk_snapshot_session_t record;
    zk_snapshot_session_get(r, &record);
    if (r->bad) return ERR_CORRUPT;
    sessions_add(&l->state->sessions, record.session_id, record.time_out, record.passwd, record.own_server);
    return 0;
}

static int load_acl(loader_t *l, jute_reader_t *r)
{
    zk_snapshot_acl_t record;
    zk_snapshot_acl_get(r, &record);
    uint32_t number = (uint32_t)record.number;
    if (r->bad || record.acl_count < 0 || record.number < 0 || number > (1u << 24)) return ERR_CORRUPT;
    if (number >= l->acls_cap) {
        uint32_t cap = MAX(number + 1, l->acls_cap * 2);
        l->acls = mem_realloc(l->acls, cap * sizeof(acl_t *));
        memset(l->acls + l->acls_cap, 0, (cap - l->acls_cap) * sizeof(acl_t *));
        l->acls_cap = cap;
    }
    if (l->acls[number] != NULL) return ERR_CORRUPT;
    l->acls[number] = acl_intern(&l->state->tree.acls, record.acl, record.acl_count);
    return 0;
}

static int load_node(loader_t *l, jute_reader_t *r)
{
    zk_snapshot_node_t record;
    zk_snapshot_node_get(r, &record);
    if (r->bad || record.path.len == 0 || (uint32_t)record.acl >= l->acls_cap || l->acls[record.acl] == NULL) {
        return ERR_CORRUPT;
    }
    if (tree_find(&l->state->tree, record.path) != NULL) return ERR_CORRUPT;
    if (znode_kind_of(record.owner) == ZNODE_EPHEMERAL && sessions_find(&l->state->sessions, record.owner) == NULL) {
        return ERR_CORRUPT;
    }
    znode_t *node = znode_new(record.path, record.data, acl_ref(l->acls[record.acl]));
    node->czxid = record.czxid;
    node->mzxid = record.mzxid;
    node->pzxid = record.pzxid;
    node->ctime_ms = record.ctime;
    node->mtime_ms = record.mtime;
    node->version = record.version;
    node->cversion = record.cversion;
    node->aversion = record.aversion;
    node->owner = record.owner;
    tree_insert(&l->state->tree, node);
    state__own(l->state, node);
    l->nodes++;
    return 0;
}

static int load_record(loader_t *l, jute_reader_t *r)
{
    const uint8_t *tag = jute_take(r, 1);
    if (tag == NULL || (!l->head_seen && *tag != TAG_HEAD) || l->tail_seen) return ERR_CORRUPT;
    arena_reset(&l->arena);
    switch (*tag) {
    case TAG_HEAD: return load_head(l, r);
    case TAG_SESSION: return load_session(l, r);
    case TAG_ACL: return load_acl(l, r);
    case TAG_NODE: return load_node(l, r);
    case TAG_TAIL: {
        zk_snapshot_tail_t tail;
        zk_snapshot_tail_get(r, &tail);
        l->tail_seen = true;
        return r->bad || (uint64_t)tail.nodes != l->nodes ? ERR_CORRUPT : 0;
    }
    }
    return ERR_CORRUPT;
}

static int load_block(loader_t *l, bytes_t block)
{
    jute_reader_t r = jute_reader(block, &l->arena);
    int err = 0;
    while (err == 0 && jute_left(&r) > 0) err = load_record(l, &r);
    return err;
}

static int load_blocks(loader_t *l, bytes_t file)
{
    if (file.len < MAGIC_BYTES || memcmp(file.ptr, MAGIC, MAGIC_BYTES) != 0) return ERR_CORRUPT;
    const uint8_t *at = file.ptr + MAGIC_BYTES, *end = file.ptr + file.len;
    while (end - at >= BLOCK_HEAD_BYTES) {
        size_t bytes = load_be32(at);
        if (bytes > (size_t)(end - at) - BLOCK_HEAD_BYTES) return ERR_TRUNCATED;
        if (crc32c(0, at + BLOCK_HEAD_BYTES, bytes) != load_be32(at + 4)) return ERR_CORRUPT;
        int err = load_block(l, bytes_of(at + BLOCK_HEAD_BYTES, bytes));
        if (err != 0) return err;
        at += BLOCK_HEAD_BYTES + bytes;
    }
    if (!l->tail_seen) return ERR_TRUNCATED;
    return tree_adopt_all(&l->state->tree) ? 0 : ERR_CORRUPT;
}

int snapshot_parse(bytes_t file, state_t *state, snapshot_point_t *ret_point)
{
    loader_t l = {.state = state, .point = ret_point};
    *ret_point = (snapshot_point_t){0};
    arena_init(&l.arena, MIB(64));
    int err = load_blocks(&l, file);
    for (uint32_t i = 0; i < l.acls_cap; i++) {
        if (l.acls[i] != NULL) acl_unref(&state->tree.acls, l.acls[i]);
    }
    mem_free(l.acls);
    arena_deinit(&l.arena);
    if (err == 0) quota_rebuild(&state->quotas, &state->tree);
    else mem_free((void *)ret_point->configuration.ptr);
    return err;
}

int snapshot_peek(bytes_t file, snapshot_point_t *ret_point)
{
    zk_snapshot_head_t head;
    size_t skip = MAGIC_BYTES + BLOCK_HEAD_BYTES + 1;
    if (file.len < skip || memcmp(file.ptr, MAGIC, MAGIC_BYTES) != 0 || file.ptr[skip - 1] != TAG_HEAD) return ERR_CORRUPT;
    jute_reader_t r = jute_reader(bytes_of(file.ptr + skip, file.len - skip), NULL);
    zk_snapshot_head_get(&r, &head);
    if (r.bad) return ERR_CORRUPT;
    *ret_point = (snapshot_point_t){(uint64_t)head.raft_index, (uint64_t)head.raft_term, (uint64_t)head.configuration_index,
                                    bytes_of(tree_copy_data(head.configuration), head.configuration.len)};
    return 0;
}

char *snapshot_path(const char *dir, uint64_t index) { return path_of(dir, index, ""); }

typedef struct newest {
    uint64_t index;
    bool found;
} newest_t;

/* "snapshot.<20 digits>" exactly. */
static bool parse_name(const char *name, uint64_t *ret_index)
{
    char *end;
    if (strncmp(name, "snapshot.", 9) != 0 || strlen(name) != 29) return false;
    *ret_index = strtoull(name + 9, &end, 10);
    return *end == '\0';
}

static void find_newest(void *user, const char *name, bool is_dir)
{
    newest_t *newest = user;
    uint64_t index;
    if (is_dir || !parse_name(name, &index)) return;
    if (!newest->found || index > newest->index) newest->index = index;
    newest->found = true;
}

static int load_file(io_loop_t *loop, const char *path, state_t *state, snapshot_point_t *ret_point, uint64_t *ret_bytes)
{
    uint8_t *data;
    size_t bytes;
    int err = io_read_whole(loop, path, FILE_BYTES_MAX, &data, &bytes);
    if (err != 0) return err;
    err = snapshot_parse(bytes_of(data, bytes), state, ret_point);
    *ret_bytes = bytes;
    mem_free(data);
    return err;
}

int snapshot_load(io_loop_t *loop, const char *dir, state_t *state, snapshot_point_t *ret_point, uint64_t *ret_bytes)
{
    newest_t newest = {0};
    int err = io_list_dir(loop, dir, find_newest, &newest);
    if (err != 0) return err;
    if (!newest.found) return ERR_NOT_FOUND;
    char *path = path_of(dir, newest.index, "");
    err = load_file(loop, path, state, ret_point, ret_bytes);
    mem_free(path);
    return err;
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

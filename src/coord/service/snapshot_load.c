/* snapshot_load.c: from a snapshot's file to a state, block by block, so that a server goes on while it loads what another
 * sent it. See snapshot.h.
 *
 * Nodes come in preorder but for those that changed while the snapshot was written, so the parent of nearly every node is the
 * node before or above that: no look-up. What has no parent yet is adopted when all are there. What costs most of the time
 * are cache misses in the table: a node goes there some nodes later, when its bucket has arrived. */
#include "base/hash.h"
#include "coord/service/snapshot.h"
#include "coord/service/snapshot_format.h"
#include "coord/tree/path.h"

#define ARENA_BYTES_MAX MIB(64)
#define ACL_NUMBER_MAX  (1u << 24)
#define PEEK_BYTES      KIB(64) /* holds the head with its configuration */
#define ADOPTION_BYTES  128     /* what an orphan counts for in a slice */
#define WAITING_NODES   16      /* for their buckets */

struct snapshot_loader {
    state_t *state;
    io_file_t *file;
    uint64_t file_bytes, offset;
    buf_t block;
    snapshot_point_t point;
    acl_t **acls; /* by number */
    uint32_t acls_cap;
    znode_t *waiting[WAITING_NODES]; /* a ring: not yet in the table */
    uint64_t inserted;               /* of `nodes` */
    znode_t *last;
    znode_t **orphans;
    size_t orphans_count, orphans_cap, orphans_adopted;
    uint64_t nodes;
    bool head_seen, tail_seen;
    arena_t arena;
};

/* ---- records ------------------------------------------------------------------------------------------------------- */

static snapshot_point_t point_of(const zk_snapshot_head_t *head)
{
    return (snapshot_point_t){(uint64_t)head->raft_index, (uint64_t)head->raft_term,
                              (uint64_t)head->configuration_index,
                              bytes_of(tree_copy_data(head->configuration), head->configuration.len)};
}

static int load_head(snapshot_loader_t *l, jute_reader_t *r)
{
    zk_snapshot_head_t head;
    zk_snapshot_head_get(r, &head);
    if (r->bad || l->head_seen) return ERR_CORRUPT;
    l->head_seen = true;
    l->state->zxid = head.zxid;
    l->state->time_ms = head.time_ms;
    l->point = point_of(&head);
    return 0;
}

static int load_session(snapshot_loader_t *l, jute_reader_t *r)
{
    zk_snapshot_session_t record;
    zk_snapshot_session_get(r, &record);
    if (r->bad) return ERR_CORRUPT;
    sessions_add(&l->state->sessions, record.session_id, record.time_out, record.passwd, record.own_server);
    return 0;
}

static int load_acl(snapshot_loader_t *l, jute_reader_t *r)
{
    zk_snapshot_acl_t record;
    zk_snapshot_acl_get(r, &record);
    uint32_t number = (uint32_t)record.number;
    if (r->bad || record.acl_count < 0 || record.number < 0 || number > ACL_NUMBER_MAX) return ERR_CORRUPT;
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

static int insert_oldest(snapshot_loader_t *l)
{
    znode_t *node = l->waiting[l->inserted % WAITING_NODES];
    if (!tree_insert_once(&l->state->tree, node)) return ERR_CORRUPT;
    l->inserted++;
    state__own(l->state, node);
    return 0;
}

static int insert_all(snapshot_loader_t *l)
{
    int err = 0;
    while (err == 0 && l->inserted < l->nodes) err = insert_oldest(l);
    return err;
}

static int insert_later(snapshot_loader_t *l, znode_t *node)
{
    tree_prefetch_bucket(&l->state->tree, node);
    l->waiting[l->nodes++ % WAITING_NODES] = node;
    if (l->nodes - l->inserted > WAITING_NODES / 2) {
        tree_prefetch_chain(&l->state->tree, l->waiting[(l->nodes - WAITING_NODES / 2) % WAITING_NODES]);
    }
    return l->nodes - l->inserted == WAITING_NODES ? insert_oldest(l) : 0;
}

static void remember_orphan(snapshot_loader_t *l, znode_t *node)
{
    if (l->orphans_count == l->orphans_cap) {
        l->orphans_cap = l->orphans_cap ? l->orphans_cap * 2 : 64;
        l->orphans = mem_realloc(l->orphans, l->orphans_cap * sizeof(*l->orphans));
    }
    l->orphans[l->orphans_count++] = node;
}

static int find_parent(snapshot_loader_t *l, const znode_t *node, znode_t **ret_parent)
{
    bytes_t path;
    if (!path_parent(znode_path(node), &path)) return ERR_CORRUPT;
    *ret_parent = l->last;
    while (*ret_parent != NULL && !bytes_eq(znode_path(*ret_parent), path)) *ret_parent = (*ret_parent)->parent;
    if (*ret_parent != NULL) return 0;
    int err = insert_all(l);
    *ret_parent = tree_find(&l->state->tree, path);
    return err;
}

static int add_node(snapshot_loader_t *l, znode_t *node)
{
    znode_t *parent = NULL;
    int err = bytes_eq(znode_path(node), BYTES_LIT("/")) ? 0 : find_parent(l, node, &parent);
    l->last = node;
    if (parent != NULL)
        tree_adopt(parent, node);
    else
        remember_orphan(l, node);
    int insert_err = insert_later(l, node);
    return err != 0 ? err : insert_err;
}

static int load_node(snapshot_loader_t *l, jute_reader_t *r)
{
    zk_snapshot_node_t record;
    zk_snapshot_node_get(r, &record);
    if (r->bad || record.path.len == 0 || (uint32_t)record.acl >= l->acls_cap || l->acls[record.acl] == NULL) {
        return ERR_CORRUPT;
    }
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
    return add_node(l, node);
}

static int load_record(snapshot_loader_t *l, jute_reader_t *r)
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

/* ---- slices -------------------------------------------------------------------------------------------------------- */

static int read_exactly(snapshot_loader_t *l, void *out, size_t bytes)
{
    ssize_t n = io_file_read(l->file, l->offset, out, bytes);
    if (n < 0) return (int)n;
    if ((size_t)n < bytes) return ERR_TRUNCATED;
    l->offset += bytes;
    return 0;
}

static int load_block(snapshot_loader_t *l)
{
    uint8_t head[SNAPSHOT_BLOCK_HEAD_BYTES];
    int err = read_exactly(l, head, sizeof(head));
    if (err != 0) return err;
    size_t bytes = load_be32(head);
    if (bytes == 0 || bytes > SNAPSHOT_BLOCK_BYTES_MAX) return ERR_CORRUPT;
    if (bytes > l->file_bytes - l->offset) return ERR_TRUNCATED;
    buf_clear(&l->block);
    err = read_exactly(l, buf_reserve(&l->block, bytes), bytes);
    if (err != 0) return err;
    if (crc32c(0, l->block.ptr, bytes) != load_be32(head + 4)) return ERR_CORRUPT;
    jute_reader_t r = jute_reader(bytes_of(l->block.ptr, bytes), &l->arena);
    while (err == 0 && jute_left(&r) > 0) err = load_record(l, &r);
    return err;
}

static int adopt_one(snapshot_loader_t *l)
{
    znode_t *node = l->orphans[l->orphans_adopted++], *parent;
    if (node == l->state->tree.root) return 0;
    int err = find_parent(l, node, &parent);
    if (err != 0) return err;
    if (parent == NULL) return ERR_CORRUPT;
    tree_adopt(parent, node);
    return 0;
}

int snapshot_loader_step(snapshot_loader_t *l, size_t bytes)
{
    int err = 0;
    uint64_t from = l->offset;
    while (err == 0 && l->offset < l->file_bytes && l->offset - from < bytes) err = load_block(l);
    if (err != 0 || l->offset < l->file_bytes) return err;
    if (!l->tail_seen) return ERR_TRUNCATED;
    err = insert_all(l);
    if (err == 0 && l->state->tree.root == NULL) err = ERR_CORRUPT;
    for (size_t done = 0; err == 0 && l->orphans_adopted < l->orphans_count && done < bytes; done += ADOPTION_BYTES) {
        err = adopt_one(l);
    }
    if (err != 0 || l->orphans_adopted < l->orphans_count) return err;
    quota_rebuild(&l->state->quotas, &l->state->tree);
    return 1;
}

/* The number of nodes is in the last bytes of a whole file: so the table gets its size at once. Not yet checked: only a
 * number that this file could hold is believed. */
static void reserve_tree(snapshot_loader_t *l)
{
    uint8_t tail[SNAPSHOT_TAIL_BYTES];
    if (l->file_bytes < sizeof(tail)) return;
    if (io_file_read(l->file, l->file_bytes - sizeof(tail), tail, sizeof(tail)) != (ssize_t)sizeof(tail)) return;
    uint64_t nodes = load_be64(tail + 1);
    if (tail[0] == TAG_TAIL && nodes <= l->file_bytes / SNAPSHOT_NODE_BYTES_MIN) tree_reserve(&l->state->tree, nodes);
}

int snapshot_loader_open(io_loop_t *loop, const char *path, state_t *state, snapshot_loader_t **ret_loader)
{
    snapshot_loader_t *l = mem_zalloc(sizeof(*l));
    uint8_t magic[SNAPSHOT_MAGIC_BYTES];
    l->state = state;
    arena_init(&l->arena, ARENA_BYTES_MAX);
    int err = io_file_open(loop, path, IO_FILE_READ, &l->file);
    if (err == 0) err = io_file_size(l->file, &l->file_bytes);
    if (err == 0) err = read_exactly(l, magic, sizeof(magic));
    if (err == 0 && memcmp(magic, SNAPSHOT_MAGIC, sizeof(magic)) != 0) err = ERR_CORRUPT;
    if (err != 0) {
        snapshot_loader_free(l);
        return err;
    }
    reserve_tree(l);
    *ret_loader = l;
    return 0;
}

uint64_t snapshot_loader_bytes(const snapshot_loader_t *l) { return l->file_bytes; }

void snapshot_loader_free(snapshot_loader_t *l)
{
    for (uint32_t i = 0; i < l->acls_cap; i++) {
        if (l->acls[i] != NULL) acl_unref(&l->state->tree.acls, l->acls[i]);
    }
    while (l->inserted < l->nodes) znode_free(&l->state->tree, l->waiting[l->inserted++ % WAITING_NODES]);
    mem_free(l->acls);
    mem_free(l->orphans);
    mem_free((void *)l->point.configuration.ptr);
    if (l->file != NULL) io_file_close(l->file);
    buf_deinit(&l->block);
    arena_deinit(&l->arena);
    mem_free(l);
}

/* ---- at once ------------------------------------------------------------------------------------------------------- */

int snapshot_load(io_loop_t *loop, const char *dir, uint64_t index, state_t *state, snapshot_point_t *ret_point,
                  uint64_t *ret_bytes)
{
    snapshot_loader_t *l;
    char *path = snapshot_path(dir, index);
    *ret_bytes = 0;
    int err = snapshot_loader_open(loop, path, state, &l);
    mem_free(path);
    if (err != 0) return err;
    int done;
    do done = snapshot_loader_step(l, SIZE_MAX);
    while (done == 0);
    if (done == 1 && l->point.index != index) done = ERR_CORRUPT; /* another snapshot by this one's name */
    *ret_bytes = l->offset;
    if (done == 1) {
        *ret_point = l->point;
        l->point.configuration = BYTES_NULL; /* the caller's now */
    }
    snapshot_loader_free(l);
    return done == 1 ? 0 : done;
}

int snapshot_peek(io_file_t *file, snapshot_point_t *ret_point)
{
    uint8_t *start = mem_alloc(PEEK_BYTES);
    zk_snapshot_head_t head;
    size_t skip = SNAPSHOT_MAGIC_BYTES + SNAPSHOT_BLOCK_HEAD_BYTES + 1;
    ssize_t n = io_file_read(file, 0, start, PEEK_BYTES);
    int err = n < 0 ? (int)n : 0;
    if (err == 0 && ((size_t)n < skip || start[skip - 1] != TAG_HEAD)) err = ERR_CORRUPT;
    if (err == 0) {
        jute_reader_t r = jute_reader(bytes_of(start + skip, (size_t)n - skip), NULL);
        zk_snapshot_head_get(&r, &head);
        if (r.bad)
            err = ERR_CORRUPT;
        else
            *ret_point = point_of(&head);
    }
    mem_free(start);
    return err;
}

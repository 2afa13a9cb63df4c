/* tree_loader.c: from a snapshot's records to a state, block by block, so that a server goes on while it loads what another
 * sent it. See tree_snapshot.h.
 *
 * Nodes come in preorder but for those that changed while the snapshot was written, so the parent of nearly every node is the
 * node before or above that: no look-up. What has no parent yet is adopted when all are there. What costs most of the time
 * are cache misses in the table: a node goes there some nodes later, when its bucket has arrived. */
#include "coord/service/tree_records.h"
#include "coord/service/tree_snapshot.h"
#include "coord/tree/path.h"

#define ARENA_BYTES_MAX MIB(64)
#define ACL_NUMBER_MAX  (1u << 24)
#define ADOPTION_BYTES  128 /* what an orphan counts for in a slice */
#define WAITING_NODES   16  /* for their buckets */

struct tree_loader {
    state_t *state;
    snapshot_reader_t *reader;
    bool read;    /* all of it */
    acl_t **acls; /* by number */
    uint32_t acls_cap;
    znode_t *waiting[WAITING_NODES]; /* a ring: not yet in the table */
    uint64_t inserted;               /* of `nodes` */
    znode_t *last;
    znode_t **orphans;
    size_t orphans_count, orphans_cap, orphans_adopted;
    uint64_t nodes;
    arena_t arena;
};

/* ---- records ------------------------------------------------------------------------------------------------------- */

static int load_session(tree_loader_t *l, jute_reader_t *r)
{
    zk_snapshot_session_t record;
    zk_snapshot_session_get(r, &record);
    if (r->bad) return ERR_CORRUPT;
    sessions_add(&l->state->sessions, record.session_id, record.time_out, record.passwd, record.own_server);
    return 0;
}

static int load_acl(tree_loader_t *l, jute_reader_t *r)
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
    if (l->acls[number]) return ERR_CORRUPT;
    l->acls[number] = acl_intern(&l->state->tree.acls, record.acl, record.acl_count);
    return 0;
}

static int insert_oldest(tree_loader_t *l)
{
    znode_t *node = l->waiting[l->inserted % WAITING_NODES];
    if (!tree_insert_once(&l->state->tree, node)) return ERR_CORRUPT;
    l->inserted++;
    state__own(l->state, node);
    return 0;
}

static int insert_all(tree_loader_t *l)
{
    int err = 0;
    while (!err && l->inserted < l->nodes) err = insert_oldest(l);
    return err;
}

static int insert_later(tree_loader_t *l, znode_t *node)
{
    tree_prefetch_bucket(&l->state->tree, node);
    l->waiting[l->nodes++ % WAITING_NODES] = node;
    if (l->nodes - l->inserted > WAITING_NODES / 2) {
        tree_prefetch_chain(&l->state->tree, l->waiting[(l->nodes - WAITING_NODES / 2) % WAITING_NODES]);
    }
    return l->nodes - l->inserted == WAITING_NODES ? insert_oldest(l) : 0;
}

static void remember_orphan(tree_loader_t *l, znode_t *node)
{
    if (l->orphans_count == l->orphans_cap) {
        l->orphans_cap = l->orphans_cap ? l->orphans_cap * 2 : 64;
        l->orphans = mem_realloc(l->orphans, l->orphans_cap * sizeof(*l->orphans));
    }
    l->orphans[l->orphans_count++] = node;
}

static int find_parent(tree_loader_t *l, const znode_t *node, znode_t **ret_parent)
{
    bytes_t path;
    if (!path_parent(znode_path(node), &path)) return ERR_CORRUPT;
    *ret_parent = l->last;
    while (*ret_parent && !bytes_eq(znode_path(*ret_parent), path)) *ret_parent = (*ret_parent)->parent;
    if (*ret_parent) return 0;
    int err = insert_all(l);
    *ret_parent = tree_find(&l->state->tree, path);
    return err;
}

static int add_node(tree_loader_t *l, znode_t *node)
{
    znode_t *parent = NULL;
    int err = bytes_eq(znode_path(node), BYTES_LIT("/")) ? 0 : find_parent(l, node, &parent);
    l->last = node;
    if (parent)
        tree_adopt(parent, node);
    else
        remember_orphan(l, node);
    int insert_err = insert_later(l, node);
    return err ? err : insert_err;
}

static int load_node(tree_loader_t *l, jute_reader_t *r)
{
    zk_snapshot_node_t record;
    zk_snapshot_node_get(r, &record);
    if (r->bad || record.path.len == 0 || (uint32_t)record.acl >= l->acls_cap || !l->acls[record.acl]) {
        return ERR_CORRUPT;
    }
    if (znode_kind_of(record.owner) == ZNODE_EPHEMERAL && !sessions_find(&l->state->sessions, record.owner)) {
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

static int load_record(tree_loader_t *l, jute_reader_t *r)
{
    const uint8_t *tag = jute_take(r, 1);
    if (!tag) return ERR_CORRUPT;
    switch (*tag) {
    case TREE_TAG_SESSION: return load_session(l, r);
    case TREE_TAG_ACL: return load_acl(l, r);
    case TREE_TAG_NODE: return load_node(l, r);
    }
    return ERR_CORRUPT;
}

/* ---- slices -------------------------------------------------------------------------------------------------------- */

static int load_block(tree_loader_t *l)
{
    bytes_t records;
    int done = snapshot_reader_next(l->reader, &records);
    l->read = done == 1;
    if (done) return done < 0 ? done : 0;
    jute_reader_t r = jute_reader(records, &l->arena);
    int err = 0;
    while (!err && jute_left(&r) > 0) err = load_record(l, &r);
    return err;
}

static int adopt_one(tree_loader_t *l)
{
    znode_t *node = l->orphans[l->orphans_adopted++], *parent;
    if (node == l->state->tree.root) return 0;
    int err = find_parent(l, node, &parent);
    if (err) return err;
    if (!parent) return ERR_CORRUPT;
    tree_adopt(parent, node);
    return 0;
}

int tree_loader_step(tree_loader_t *l, size_t bytes)
{
    int err = 0;
    uint64_t from = snapshot_reader_offset(l->reader);
    while (!err && !l->read && snapshot_reader_offset(l->reader) - from < bytes) err = load_block(l);
    if (err || !l->read) return err;
    if (snapshot_reader_records(l->reader) != l->nodes) return ERR_CORRUPT;
    err = insert_all(l);
    if (!err && !l->state->tree.root) err = ERR_CORRUPT;
    for (size_t done = 0; !err && l->orphans_adopted < l->orphans_count && done < bytes; done += ADOPTION_BYTES) {
        err = adopt_one(l);
    }
    if (err || l->orphans_adopted < l->orphans_count) return err;
    quota_rebuild(&l->state->quotas, &l->state->tree);
    return 1;
}

/* The table gets its size at once, if this is a number of nodes that the file could hold. */
static void reserve_tree(tree_loader_t *l)
{
    uint64_t nodes = snapshot_reader_records(l->reader);
    if (nodes <= snapshot_reader_bytes(l->reader) / TREE_NODE_BYTES_MIN) tree_reserve(&l->state->tree, nodes);
}

tree_loader_t *tree_loader_new(snapshot_reader_t *reader, state_t *state)
{
    tree_loader_t *l = mem_zalloc(sizeof(*l));
    l->reader = reader;
    l->state = state;
    state->zxid = snapshot_reader_revision(reader);
    state->time_ms = snapshot_reader_time_ms(reader);
    arena_init(&l->arena, ARENA_BYTES_MAX);
    reserve_tree(l);
    return l;
}

void tree_loader_free(tree_loader_t *l)
{
    for (uint32_t i = 0; i < l->acls_cap; i++) {
        if (l->acls[i]) acl_unref(&l->state->tree.acls, l->acls[i]);
    }
    while (l->inserted < l->nodes) znode_free(&l->state->tree, l->waiting[l->inserted++ % WAITING_NODES]);
    mem_free(l->acls);
    mem_free(l->orphans);
    arena_deinit(&l->arena);
    mem_free(l);
}

/* tree.c: see tree.h. */
#include "coord/tree/tree.h"

#include "base/hash.h"
#include "coord/tree/path.h"

static znode_t **bucket_at(const tree_t *tree, size_t index)
{
    return &tree->segments[index / TREE_SEGMENT_BUCKETS][index % TREE_SEGMENT_BUCKETS];
}

static znode_t **bucket_of(const tree_t *tree, uint32_t hash)
{
    size_t index = hash & (tree->low_mask * 2 + 1);
    if (index >= tree->buckets) index = hash & tree->low_mask;
    return bucket_at(tree, index);
}

static void add_segment(tree_t *tree)
{
    tree->segments = mem_realloc(tree->segments, (tree->segments_count + 1) * sizeof(*tree->segments));
    tree->segments[tree->segments_count++] = mem_zalloc(TREE_SEGMENT_BUCKETS * sizeof(znode_t *));
}

/* Linear hashing: one more bucket, which takes its share of the chain at `buckets - (low_mask + 1)`. */
static void split_one(tree_t *tree)
{
    size_t fresh = tree->buckets;
    if (fresh == tree->segments_count * TREE_SEGMENT_BUCKETS) add_segment(tree);
    znode_t **from = bucket_at(tree, fresh - (tree->low_mask + 1)), **to = bucket_at(tree, fresh);
    size_t mask = tree->low_mask * 2 + 1;
    while (*from) {
        znode_t *node = *from;
        if ((node->hash & mask) != fresh) {
            from = &node->chain;
            continue;
        }
        *from = node->chain;
        node->chain = *to;
        *to = node;
    }
    tree->buckets++;
    if (tree->buckets == (tree->low_mask + 1) * 2) tree->low_mask = mask;
}

static uint32_t hash_path(bytes_t path) { return (uint32_t)hash_bytes(path.ptr, path.len); }

void tree_init(tree_t *tree)
{
    *tree = (tree_t){.buckets = 64, .low_mask = 63};
    acls_init(&tree->acls);
    add_segment(tree);
}

bool tree_deinit_some(tree_t *tree, size_t buckets)
{
    for (; tree->buckets > 0 && buckets > 0; buckets--) {
        for (znode_t *node = *bucket_at(tree, --tree->buckets); node;) {
            znode_t *next = node->chain;
            mem_free(node->data);
            mem_free(node);
            node = next;
        }
    }
    return tree->buckets > 0;
}

void tree_deinit(tree_t *tree)
{
    (void)!tree_deinit_some(tree, SIZE_MAX);
    for (size_t i = 0; i < tree->segments_count; i++) mem_free(tree->segments[i]);
    mem_free(tree->segments);
    acls_deinit(&tree->acls);
}

void tree_reserve(tree_t *tree, size_t nodes)
{
    ASSERT(tree->count == 0);
    while (tree->segments_count * TREE_SEGMENT_BUCKETS < nodes) add_segment(tree);
    tree->buckets = MAX(tree->buckets, nodes);
    while (tree->low_mask * 2 + 1 < tree->buckets) tree->low_mask = tree->low_mask * 2 + 1;
}

znode_t *tree_find(const tree_t *tree, bytes_t path)
{
    if (path_is_root(path)) return tree->root;
    uint32_t hash = hash_path(path);
    for (znode_t *node = *bucket_of(tree, hash); node; node = node->chain) {
        if (node->hash == hash && bytes_eq(znode_path(node), path)) return node;
    }
    return NULL;
}

bytes_t znode_name(const znode_t *node)
{
    const char *slash = memrchr(node->path, '/', node->path_bytes);
    size_t skip = slash == NULL ? 0 : (size_t)(slash - node->path) + 1;
    return bytes_of(node->path + skip, node->path_bytes - skip);
}

void znode_stat(const znode_t *node, coord_stat_t *ret_stat)
{
    *ret_stat = (coord_stat_t){
        .czxid = node->czxid,
        .mzxid = node->mzxid,
        .ctime_ms = node->ctime_ms,
        .mtime_ms = node->mtime_ms,
        .version = node->version,
        /* Stored: creates. Shown: changes, each child that is gone having made two. Wraps as Java's does. */
        .cversion = (int32_t)((uint32_t)node->cversion * 2 - node->children_count),
        .aversion = node->aversion,
        .ephemeral_owner = znode_kind_of(node->owner) == ZNODE_EPHEMERAL ? node->owner : 0,
        .data_length = (int32_t)node->data_bytes,
        .num_children = (int32_t)node->children_count,
        .pzxid = node->pzxid,
    };
}

uint8_t *tree_copy_data(bytes_t data)
{
    if (!data.ptr) return NULL;
    uint8_t *copy = mem_alloc(data.len ? data.len : 1);
    if (data.len) memcpy(copy, data.ptr, data.len);
    return copy;
}

znode_t *znode_new(bytes_t path, bytes_t data, acl_t *acl)
{
    znode_t *node = mem_zalloc(sizeof(*node) + path.len + 1);
    memcpy(node->path, path.ptr, path.len);
    node->path_bytes = (uint32_t)path.len;
    node->hash = hash_path(path);
    node->data = tree_copy_data(data);
    node->data_bytes = (uint32_t)data.len;
    node->acl = acl;
    list_init(&node->owned);
    return node;
}

void znode_free(tree_t *tree, znode_t *node)
{
    if (node->acl) acl_unref(&tree->acls, node->acl);
    mem_free(node->data);
    mem_free(node);
}

static void insert_into(tree_t *tree, znode_t **bucket, znode_t *node)
{
    node->chain = *bucket;
    *bucket = node;
    tree->count++;
    tree->data_bytes += node->path_bytes + node->data_bytes;
    if (node->path_bytes == 1 && node->path[0] == '/') tree->root = node;
}

void tree_prefetch_bucket(const tree_t *tree, const znode_t *node) { mem_prefetch(bucket_of(tree, node->hash)); }

void tree_prefetch_chain(const tree_t *tree, const znode_t *node)
{
    const znode_t *first = *bucket_of(tree, node->hash);
    if (first) mem_prefetch(&first->hash);
}

bool tree_insert_once(tree_t *tree, znode_t *node)
{
    if (tree->count >= tree->buckets) split_one(tree);
    znode_t **bucket = bucket_of(tree, node->hash);
    for (const znode_t *other = *bucket; other; other = other->chain) {
        if (other->hash == node->hash && bytes_eq(znode_path(other), znode_path(node))) return false;
    }
    insert_into(tree, bucket, node);
    return true;
}

void tree_adopt(znode_t *parent, znode_t *node)
{
    node->parent = parent;
    node->next = NULL;
    if (!parent->first_child) {
        parent->first_child = node->prev = node;
    } else {
        node->prev = parent->first_child->prev;
        node->prev->next = node;
        parent->first_child->prev = node;
    }
    parent->children_count++;
    for (; parent; parent = parent->parent) parent->descendants_count += 1 + node->descendants_count;
}

void tree_link(tree_t *tree, znode_t *parent, znode_t *node)
{
    if (tree->count >= tree->buckets) split_one(tree);
    insert_into(tree, bucket_of(tree, node->hash), node);
    if (parent) tree_adopt(parent, node);
}

static void remove_child(znode_t *node)
{
    znode_t *parent = node->parent;
    if (node->next) {
        node->next->prev = node->prev;
    } else {
        parent->first_child->prev = node->prev; /* the last one: its neighbour becomes the last */
    }
    if (parent->first_child == node) {
        parent->first_child = node->next;
    } else {
        node->prev->next = node->next;
    }
    parent->children_count--;
    for (; parent; parent = parent->parent) parent->descendants_count--;
    node->parent = NULL;
}

void tree_unlink(tree_t *tree, znode_t *node)
{
    ASSERT(!node->first_child && node->parent);
    remove_child(node);
    znode_t **link = bucket_of(tree, node->hash);
    while (*link != node) link = &(*link)->chain;
    *link = node->chain;
    tree->count--;
    tree->data_bytes -= node->path_bytes + node->data_bytes;
}

uint8_t *tree_swap_data(tree_t *tree, znode_t *node, uint8_t *data, uint32_t bytes)
{
    uint8_t *old = node->data;
    tree->data_bytes += bytes;
    tree->data_bytes -= node->data_bytes;
    node->data = data;
    node->data_bytes = bytes;
    return old;
}

znode_t *tree_next(const znode_t *node)
{
    if (node->first_child) return node->first_child;
    while (node && !node->next) node = node->parent;
    return node == NULL ? NULL : node->next;
}

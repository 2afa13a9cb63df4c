/* tree.h: znodes: found by full path through one hash table, linked to parent and siblings.
 *
 * A node is one allocation (its path behind it) and its data another. The table grows by linear hashing, one bucket an
 * insert, so that no insert ever pays for rehashing a million nodes. "" and "/" are the root.
 *
 * Only apply (state.h) changes the tree, and tells the snapshot writer before it touches a node (tree.touch), so that
 * a snapshot sees the tree as it was when it began. */
#ifndef TRIVET_COORD_TREE_H
#define TRIVET_COORD_TREE_H

#include "base/list.h"
#include "coord/coord.h"
#include "coord/tree/acl.h"

typedef struct znode znode_t;

struct znode {
    znode_t *chain; /* next in its bucket */
    znode_t *parent;
    znode_t *first_child;
    znode_t *next; /* siblings; the last one's is NULL */
    znode_t *prev; /* the first one's is the last */
    list_t owned;  /* among its session's ephemerals, the containers or the TTL nodes */
    acl_t *acl;
    uint8_t *data; /* NULL with data_bytes 0: a null value */
    uint32_t data_bytes;
    uint32_t hash;
    int64_t czxid, mzxid, pzxid;
    int64_t ctime_ms, mtime_ms;
    int64_t owner; /* 0, a session, or OWNER_CONTAINER / an encoded TTL */
    int32_t version, cversion, aversion;
    uint32_t children_count;
    uint32_t descendants_count; /* children, theirs, and so on */
    uint32_t snapshot;          /* the last snapshot this node is written to or not part of */
    uint32_t path_bytes;
    char path[];
};

/* The ephemeralOwner of nodes that no session owns, as ZooKeeper stores them. */
#define OWNER_CONTAINER INT64_MIN
#define OWNER_TTL_MASK  ((int64_t)0xff00000000000000u)
#define TTL_MS_MAX      ((int64_t)0x000000ffffffffff)

typedef enum znode_kind { ZNODE_PERSISTENT, ZNODE_EPHEMERAL, ZNODE_CONTAINER, ZNODE_TTL } znode_kind_t;
static inline znode_kind_t znode_kind_of(int64_t owner)
{
    if (owner == 0) return ZNODE_PERSISTENT;
    if (owner == OWNER_CONTAINER) return ZNODE_CONTAINER;
    return (owner & OWNER_TTL_MASK) == OWNER_TTL_MASK ? ZNODE_TTL : ZNODE_EPHEMERAL;
}
static inline int64_t znode_ttl_ms(int64_t owner) { return owner & TTL_MS_MAX; }

#define TREE_SEGMENT_BUCKETS 4096

typedef struct tree {
    znode_t ***segments; /* of TREE_SEGMENT_BUCKETS chains */
    size_t segments_count;
    size_t buckets;  /* in use */
    size_t low_mask; /* the largest power of two <= buckets, minus 1 */
    size_t count;
    uint64_t data_bytes; /* of paths and data: ZooKeeper's approximate data size */
    znode_t *root;
    acls_t acls;
} tree_t;

void tree_init(tree_t *tree);
void tree_deinit(tree_t *tree);
/* Frees nodes of some `buckets` more, of a tree that nothing but this and tree_deinit touches any more. False when none is
 * left. */
bool tree_deinit_some(tree_t *tree, size_t buckets) MUST_CHECK;
znode_t *tree_find(const tree_t *tree, bytes_t path);
static inline bytes_t znode_path(const znode_t *node) { return bytes_of(node->path, node->path_bytes); }
static inline bytes_t znode_data(const znode_t *node) { return bytes_of(node->data, node->data_bytes); }
/* The last component. */
bytes_t znode_name(const znode_t *node);
void znode_stat(const znode_t *node, coord_stat_t *ret_stat);

/* A node that is not yet in the tree; takes over the reference to `acl`. */
znode_t *znode_new(bytes_t path, bytes_t data, acl_t *acl);
void znode_free(tree_t *tree, znode_t *node);
/* Adds to the table and, with a parent, to its children; and the reverse. Counters of the parent's stat are the caller's. */
void tree_link(tree_t *tree, znode_t *parent, znode_t *node);
void tree_unlink(tree_t *tree, znode_t *node);
/* The same in two steps, for a snapshot, whose nodes may come before their parents. Insert: table only; false when there
 * is a node of that path already. */
bool tree_insert_once(tree_t *tree, znode_t *node) MUST_CHECK;
void tree_adopt(znode_t *parent, znode_t *node);
/* Insert soon touches where `node` goes: first the bucket, then what is in it. */
void tree_prefetch_bucket(const tree_t *tree, const znode_t *node);
void tree_prefetch_chain(const tree_t *tree, const znode_t *node);
/* Room in the table for so many nodes; of an empty tree. */
void tree_reserve(tree_t *tree, size_t nodes);
/* Replaces the data and returns the old one, which the caller frees or puts back. */
uint8_t *tree_swap_data(tree_t *tree, znode_t *node, uint8_t *data, uint32_t bytes);
/* Preorder; NULL after the last. */
znode_t *tree_next(const znode_t *node);
/* Copies into malloc'd memory; a null value stays NULL, an empty one does not. */
uint8_t *tree_copy_data(bytes_t data);

#endif

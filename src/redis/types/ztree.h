/* ztree.h: the order of a large sorted set: a B+ tree of (score, member), each inner entry counting what is
 * below it, so that ranks are found on the way down.
 *
 *      inner   | least score, item | child | size |  ... 62 entries
 *      leaf    | score | item | ... 62 entries, linked to its neighbours
 *
 * Scores lie in the nodes: a search follows no pointer but on equal scores. A tree of a million members is
 * four nodes deep. Items belong to the owner (zset.c), whose member table holds the same pointers. */
#ifndef TRIVET_REDIS_TYPES_ZTREE_H
#define TRIVET_REDIS_TYPES_ZTREE_H

#include "base/base.h"

typedef struct zitem {
    double score;
    uint32_t len;
    uint8_t member[];
} zitem_t;

typedef struct ztree_node ztree_node_t;

typedef struct ztree {
    ztree_node_t *root; /* NULL when empty */
    size_t count;
    size_t heap_bytes; /* of the nodes */
} ztree_t;

/* An item's place; node NULL: past an end. Dead after a change. */
typedef struct ztree_pos {
    ztree_node_t *node;
    unsigned index;
} ztree_pos_t;

/* Where a range begins: in front of the first item that is not before the bound. */
typedef enum ztree_bound_kind {
    ZBOUND_SCORE_GE, /* score >= bound */
    ZBOUND_SCORE_GT,
    ZBOUND_ITEM_GE, /* (score, member) >= bound */
    ZBOUND_ITEM_GT,
    ZBOUND_LEX_GE, /* member >= bound, in a set whose scores are all equal */
    ZBOUND_LEX_GT,
} ztree_bound_kind_t;

typedef struct ztree_bound {
    ztree_bound_kind_t kind;
    double score;
    bytes_t member;
} ztree_bound_t;

static inline bytes_t zitem_member(const zitem_t *item) { return bytes_of(item->member, item->len); }
static inline size_t zitem_bytes(size_t len) { return offsetof(zitem_t, member) + len; }
zitem_t *zitem_new(double score, bytes_t member);
void zitem_free(zitem_t *item);

#define ZTREE_INIT ((ztree_t){NULL, 0, 0})
/* Frees the nodes, not the items. */
void ztree_deinit(ztree_t *t);
/* The same piece by piece, of a tree that nobody uses any more: a node costs one of the budget. True when it is done. */
bool ztree_drain(ztree_t *t, size_t *budget);
/* The item must not be there. */
void ztree_insert(ztree_t *t, zitem_t *item);
/* The item must be there, under its present score. */
void ztree_remove(ztree_t *t, zitem_t *item);
/* Gives the item another score, in place when its neighbours allow. */
void ztree_set_score(ztree_t *t, zitem_t *item, double score);
/* The first item not before the bound and its rank (= count when there is none). */
size_t ztree_seek(const ztree_t *t, const ztree_bound_t *bound, ztree_pos_t *ret_pos);
ztree_pos_t ztree_at(const ztree_t *t, size_t rank);
zitem_t *ztree_item(ztree_pos_t pos);
ztree_pos_t ztree_next(ztree_pos_t pos);
ztree_pos_t ztree_prev(ztree_pos_t pos);
/* Dies unless the tree is in order and its counts are right (for tests). */
void ztree_check(const ztree_t *t);

#endif

/* idtree.c: see idtree.h. Each node knows its parent, so that a change at either end needs no path. An ID above a child
 * is not above any ID in it, and is above every ID to its left. Only a root may be empty, and only a leaf that is the
 * root may have less room than NODE_CAP. */
#include "redis/types/idtree.h"

enum { NODE_CAP = 62, MERGE_BELOW = NODE_CAP / 4, MERGED_MAX = NODE_CAP * 3 / 4 };

struct idtree_node {
    idtree_node_t *parent;
    idtree_node_t *prev, *next; /* leaves */
    uint16_t count, cap;
    bool inner;
    stream_id_t ids[]; /* `cap` of them, then as many pointers */
};

static size_t node_bytes(size_t cap) { return sizeof(idtree_node_t) + cap * (sizeof(stream_id_t) + sizeof(void *)); }

static inline void **values(const idtree_node_t *n) { return (void **)(void *)(n->ids + n->cap); }
static inline idtree_node_t *child(const idtree_node_t *n, unsigned i) { return values(n)[i]; }

/* A small leaf fills its block of 160 or 512 bytes, a full one 1,536. */
static uint16_t next_cap(uint16_t cap) { return cap == 0 ? 5 : cap == 5 ? 19 : NODE_CAP; }

static idtree_node_t *node_new(idtree_t *t, bool inner, uint16_t cap)
{
    idtree_node_t *n = mem_alloc(node_bytes(cap));
    *n = (idtree_node_t){.inner = inner, .cap = cap};
    t->nodes_count++;
    t->inners_count += inner;
    return n;
}

static void node_free(idtree_t *t, idtree_node_t *n)
{
    t->nodes_count--;
    t->inners_count -= n->inner;
    mem_free(n);
}

/* ---- finding --------------------------------------------------------------------------------------------------------- */

/* How many of the node's IDs are before `id`. */
static inline unsigned count_before(const idtree_node_t *n, stream_id_t id)
{
    unsigned lo = 0, hi = n->count;
    while (lo < hi) {
        unsigned mid = (lo + hi) / 2;
        if (stream_id_cmp(n->ids[mid], id) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

static unsigned child_for(const idtree_node_t *n, stream_id_t id)
{
    unsigned i = count_before(n, id);
    bool exact = i < n->count && stream_id_eq(n->ids[i], id);
    return exact || i == 0 ? i : i - 1;
}

/* The leaf that has the ID, if any has. */
static idtree_node_t *leaf_for(const idtree_t *t, stream_id_t id)
{
    if (t->count == 0 || stream_id_cmp(id, t->last->ids[0]) >= 0) return t->last;
    if (stream_id_cmp(id, t->first->ids[t->first->count - 1]) <= 0) return t->first;
    idtree_node_t *n = t->root;
    while (n->inner) n = child(n, child_for(n, id));
    return n;
}

static bool find(const idtree_t *t, stream_id_t id, idtree_pos_t *ret_pos)
{
    idtree_node_t *leaf = leaf_for(t, id);
    if (!leaf) return false;
    *ret_pos = (idtree_pos_t){leaf, count_before(leaf, id)};
    return ret_pos->index < leaf->count && stream_id_eq(leaf->ids[ret_pos->index], id);
}

void *idtree_get(const idtree_t *t, stream_id_t id)
{
    idtree_pos_t pos;
    return find(t, id, &pos) ? idtree_value(pos) : NULL;
}

static idtree_pos_t at_end(idtree_node_t *leaf)
{
    if (!leaf || leaf->count == 0) return (idtree_pos_t){NULL, 0};
    return (idtree_pos_t){leaf, leaf->count - 1u};
}

idtree_pos_t idtree_first(const idtree_t *t) { return (idtree_pos_t){t->count ? t->first : NULL, 0}; }
idtree_pos_t idtree_last(const idtree_t *t) { return at_end(t->last); }

idtree_pos_t idtree_next(idtree_pos_t pos)
{
    if (pos.index + 1u < pos.leaf->count) return (idtree_pos_t){pos.leaf, pos.index + 1};
    return (idtree_pos_t){pos.leaf->next, 0};
}

idtree_pos_t idtree_prev(idtree_pos_t pos)
{
    if (pos.index > 0) return (idtree_pos_t){pos.leaf, pos.index - 1};
    return at_end(pos.leaf->prev);
}

idtree_pos_t idtree_seek_ge(const idtree_t *t, stream_id_t id)
{
    idtree_node_t *leaf = leaf_for(t, id);
    if (!leaf || leaf->count == 0) return (idtree_pos_t){NULL, 0};
    idtree_pos_t pos = {leaf, count_before(leaf, id)};
    return pos.index < leaf->count ? pos : (idtree_pos_t){leaf->next, 0};
}

idtree_pos_t idtree_seek_le(const idtree_t *t, stream_id_t id)
{
    idtree_pos_t pos;
    if (find(t, id, &pos)) return pos;
    if (t->count == 0) return (idtree_pos_t){NULL, 0};
    return pos.index > 0 ? (idtree_pos_t){pos.leaf, pos.index - 1} : at_end(pos.leaf->prev);
}

stream_id_t idtree_id(idtree_pos_t pos) { return pos.leaf->ids[pos.index]; }
void *idtree_value(idtree_pos_t pos) { return values(pos.leaf)[pos.index]; }
void idtree_set_value(idtree_pos_t pos, void *value) { values(pos.leaf)[pos.index] = value; }

/* ---- adding ---------------------------------------------------------------------------------------------------------- */

static void insert_at(idtree_node_t *n, unsigned i, stream_id_t id, void *value)
{
    unsigned after = n->count - i;
    ASSERT(n->count < n->cap);
    memmove(n->ids + i + 1, n->ids + i, after * sizeof(*n->ids));
    memmove(values(n) + i + 1, values(n) + i, after * sizeof(void *));
    n->ids[i] = id;
    values(n)[i] = value;
    n->count++;
    if (n->inner) ((idtree_node_t *)value)->parent = n;
}

static void move_tail(idtree_node_t *from, unsigned i, idtree_node_t *to)
{
    unsigned n = from->count - i;
    memcpy(to->ids + to->count, from->ids + i, n * sizeof(*to->ids));
    memcpy(values(to) + to->count, values(from) + i, n * sizeof(void *));
    for (unsigned k = 0; to->inner && k < n; k++) child(to, to->count + k)->parent = to;
    to->count = (uint16_t)(to->count + n);
    from->count = (uint16_t)i;
}

static void link_behind(idtree_t *t, idtree_node_t *left, idtree_node_t *right)
{
    right->prev = left;
    right->next = left->next;
    if (left->next)
        left->next->prev = right;
    else
        t->last = right;
    left->next = right;
}

static unsigned index_in_parent(const idtree_node_t *n)
{
    unsigned i = 0;
    while (child(n->parent, i) != n) i++;
    return i;
}

static idtree_node_t *split(idtree_t *t, idtree_node_t *n, unsigned *i, stream_id_t id);

static void add_sibling(idtree_t *t, idtree_node_t *left, idtree_node_t *right, stream_id_t least)
{
    idtree_node_t *parent = left->parent;
    if (!parent) {
        parent = t->root = node_new(t, true, NODE_CAP);
        insert_at(parent, 0, STREAM_ID_LEAST, left);
    }
    unsigned i = index_in_parent(left) + 1;
    if (parent->count == parent->cap) parent = split(t, parent, &i, least);
    insert_at(parent, i, least, right);
}

/* Makes room for `id` at *i of a full node; returns the half where it belongs. Behind the last one begins a new node. */
static idtree_node_t *split(idtree_t *t, idtree_node_t *n, unsigned *i, stream_id_t id)
{
    idtree_node_t *right = node_new(t, n->inner, NODE_CAP);
    unsigned keep = *i == n->count ? *i : n->count / 2u;
    move_tail(n, keep, right);
    if (!n->inner) link_behind(t, n, right);
    add_sibling(t, n, right, right->count ? right->ids[0] : id);
    if (*i < keep || (*i == keep && right->count)) return n;
    *i -= keep;
    return right;
}

static idtree_node_t *enlarge(idtree_t *t, idtree_node_t *leaf)
{
    idtree_node_t *n = node_new(t, false, next_cap(leaf->cap));
    move_tail(leaf, 0, n);
    node_free(t, leaf);
    t->root = t->first = t->last = n;
    return n;
}

void **idtree_slot(idtree_t *t, stream_id_t id, bool *ret_added)
{
    if (!t->root) t->root = t->first = t->last = node_new(t, false, next_cap(0));
    idtree_pos_t pos;
    *ret_added = !find(t, id, &pos);
    if (*ret_added) {
        if (pos.leaf->count == pos.leaf->cap)
            pos.leaf = pos.leaf->cap < NODE_CAP ? enlarge(t, pos.leaf) : split(t, pos.leaf, &pos.index, id);
        insert_at(pos.leaf, pos.index, id, NULL);
        t->count++;
    }
    return values(pos.leaf) + pos.index;
}

/* ---- removing -------------------------------------------------------------------------------------------------------- */

static void close_hole(idtree_node_t *n, unsigned i)
{
    unsigned after = n->count - i - 1u;
    memmove(n->ids + i, n->ids + i + 1, after * sizeof(*n->ids));
    memmove(values(n) + i, values(n) + i + 1, after * sizeof(void *));
    n->count--;
}

static void unlink_leaf(idtree_t *t, idtree_node_t *n)
{
    if (n->prev)
        n->prev->next = n->next;
    else
        t->first = n->next;
    if (n->next)
        n->next->prev = n->prev;
    else
        t->last = n->prev;
}

/* Takes a node that has nothing left out of the tree; returns its parent, which now has one child less. */
static idtree_node_t *drop(idtree_t *t, idtree_node_t *n)
{
    idtree_node_t *parent = n->parent;
    if (!n->inner) unlink_leaf(t, n);
    if (parent)
        close_hole(parent, index_in_parent(n));
    else
        t->root = NULL;
    node_free(t, n);
    return parent;
}

/* Joins the children at `left` and behind it when both fit well. */
static bool join(idtree_t *t, idtree_node_t *parent, unsigned left)
{
    if (left + 1u >= parent->count) return false;
    idtree_node_t *to = child(parent, left), *from = child(parent, left + 1);
    if (to->count + from->count > MERGED_MAX) return false;
    if (from->inner) from->ids[0] = parent->ids[left + 1];
    move_tail(from, 0, to);
    drop(t, from);
    return true;
}

/* Joins the node with a neighbour under the same parent; returns the parent if that was possible. */
static idtree_node_t *merge(idtree_t *t, idtree_node_t *n)
{
    idtree_node_t *parent = n->parent;
    unsigned i = index_in_parent(n);
    return (i > 0 && join(t, parent, i - 1)) || join(t, parent, i) ? parent : NULL;
}

/* After a node has lost something: it goes when empty, and joins a neighbour when it has little. */
static void shrink(idtree_t *t, idtree_node_t *n)
{
    while (n && n->parent && n->count < MERGE_BELOW) n = n->count ? merge(t, n) : drop(t, n);
    while (t->root && t->root->inner && t->root->count == 1) {
        idtree_node_t *old = t->root;
        t->root = child(old, 0);
        t->root->parent = NULL;
        node_free(t, old);
    }
    if (t->count == 0 && t->root && t->root->cap > next_cap(0)) drop(t, t->root);
}

void *idtree_remove_at(idtree_t *t, idtree_pos_t pos)
{
    void *value = idtree_value(pos);
    close_hole(pos.leaf, pos.index);
    t->count--;
    if (pos.leaf->count < MERGE_BELOW) shrink(t, pos.leaf);
    return value;
}

void *idtree_remove(idtree_t *t, stream_id_t id)
{
    idtree_pos_t pos;
    return find(t, id, &pos) ? idtree_remove_at(t, pos) : NULL;
}

static void free_below(idtree_node_t *n, void (*free_value)(void *value))
{
    for (unsigned i = 0; i < n->count; i++) {
        if (n->inner)
            free_below(child(n, i), free_value);
        else if (free_value)
            free_value(values(n)[i]);
    }
    mem_free(n);
}

void idtree_deinit(idtree_t *t, void (*free_value)(void *value))
{
    if (t->root) free_below(t->root, free_value);
    *t = IDTREE_INIT;
}

/* ---- sizes and tests ------------------------------------------------------------------------------------------------- */

size_t idtree_heap_bytes(const idtree_t *t)
{
    if (!t->root) return 0;
    return t->nodes_count == 1 ? node_bytes(t->root->cap) : t->nodes_count * node_bytes(NODE_CAP);
}

/* Counts what is below; the IDs are in [from, to). */
static size_t check_below(const idtree_node_t *n, stream_id_t from, const stream_id_t *to)
{
    size_t count = n->inner ? 0 : n->count;
    ASSERT(n->count <= n->cap && (n->parent == NULL || (n->count > 0 && n->cap == NODE_CAP)));
    for (unsigned i = 0; i < n->count; i++) {
        const stream_id_t *end = i + 1u < n->count ? &n->ids[i + 1] : to;
        stream_id_t least = n->inner && i == 0 ? from : n->ids[i];
        ASSERT(stream_id_cmp(least, from) >= 0 && (!end || stream_id_cmp(least, *end) < 0));
        if (!n->inner) continue;
        ASSERT(child(n, i)->parent == n);
        count += check_below(child(n, i), least, end);
    }
    return count;
}

void idtree_check(const idtree_t *t)
{
    size_t forward = 0, backward = 0;
    ASSERT((t->root ? check_below(t->root, STREAM_ID_LEAST, NULL) : 0) == t->count);
    for (idtree_pos_t pos = idtree_first(t); pos.leaf; pos = idtree_next(pos)) forward++;
    for (idtree_pos_t pos = idtree_last(t); pos.leaf; pos = idtree_prev(pos)) backward++;
    ASSERT(forward == t->count && backward == t->count);
}

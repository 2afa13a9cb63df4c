/* ztree.c: see ztree.h. Inner nodes carry the least item of each child exactly, entry 0 included, so that no
 * separator outlives its item. */
#include "redis/types/ztree.h"

#define FANOUT    62           /* a leaf is 1016 bytes, an inner node 2008 */
#define FEW       (FANOUT / 4) /* a node with fewer entries is joined or filled up from a neighbour */
#define DEPTH_MAX 12           /* 16^12 items at the least fill */

struct ztree_node {
    uint16_t count;
    bool leaf;
    ztree_node_t *prev; /* leaves only */
    ztree_node_t *next;
    double scores[FANOUT];
    zitem_t *items[FANOUT]; /* an inner node's: the least below each child */
};

typedef struct inner {
    ztree_node_t base;
    ztree_node_t *children[FANOUT];
    size_t sizes[FANOUT];
} inner_t;

/* The way from the root to a leaf: path[0] is the root; `index` is the entry taken. */
typedef struct path {
    struct {
        ztree_node_t *node;
        unsigned index;
    } at[DEPTH_MAX];
    unsigned depth;
} path_t;

static inner_t *inner_of(ztree_node_t *node) { return (inner_t *)node; }

zitem_t *zitem_new(double score, bytes_t member)
{
    zitem_t *item = mem_small_alloc(zitem_bytes(member.len));
    item->score = score;
    item->len = (uint32_t)member.len;
    if (member.len) memcpy(item->member, member.ptr, member.len);
    return item;
}

void zitem_free(zitem_t *item) { mem_small_free(item, zitem_bytes(item->len)); }

/* A search of a cold node would wait for one cache line after another: asks for all of its scores at once. */
static inline ztree_node_t *prefetched(ztree_node_t *node)
{
    for (unsigned i = 0; i < FANOUT; i += 8) mem_prefetch(&node->scores[i]);
    return node;
}

/* ---- searching a node -------------------------------------------------------------------- */

/* How many of `n` ascending scores are below `score` (or equal to it, if `or_equal`). */
static unsigned count_below(const double *scores, unsigned n, double score, bool or_equal)
{
    unsigned lo = 0;
    while (n > 0) {
        unsigned half = n / 2;
        double probe = scores[lo + half];
        bool below = probe < score || (or_equal && probe == score);
        lo = below ? lo + half + 1 : lo;
        n = below ? n - half - 1 : half;
    }
    return lo;
}

/* How many of items[lo, hi) have a member below `member` (or equal to it). */
static unsigned count_members_below(zitem_t *const *items, unsigned lo, unsigned hi, bytes_t member, bool or_equal)
{
    while (lo < hi) {
        unsigned mid = lo + (hi - lo) / 2;
        int order = bytes_cmp(zitem_member(items[mid]), member);
        if (order < 0 || (or_equal && order == 0))
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

/* The number of entries of `node` from `first` on that lie before the bound, plus `first`. */
static unsigned search_node(const ztree_node_t *node, unsigned first, const ztree_bound_t *b)
{
    unsigned n = node->count;
    bool or_equal = b->kind & 1;
    switch (b->kind) {
    case ZBOUND_SCORE_GE:
    case ZBOUND_SCORE_GT: return first + count_below(node->scores + first, n - first, b->score, or_equal);
    case ZBOUND_LEX_GE:
    case ZBOUND_LEX_GT: return count_members_below(node->items, first, n, b->member, or_equal);
    default: break;
    }
    unsigned lo = first + count_below(node->scores + first, n - first, b->score, false);
    if (lo == n || node->scores[lo] != b->score) return lo;
    unsigned hi = lo + 1;
    if (hi < n && node->scores[hi] == b->score) hi = lo + count_below(node->scores + lo, n - lo, b->score, true);
    return count_members_below(node->items, lo, hi, b->member, or_equal);
}

size_t ztree_seek(const ztree_t *t, const ztree_bound_t *bound, ztree_pos_t *ret_pos)
{
    size_t rank = 0;
    ztree_node_t *node = t->root;
    *ret_pos = (ztree_pos_t){NULL, 0};
    if (!node) return 0;
    while (!node->leaf) {
        unsigned child = search_node(node, 1, bound) - 1;
        for (unsigned i = 0; i < child; i++) rank += inner_of(node)->sizes[i];
        node = prefetched(inner_of(node)->children[child]);
    }
    unsigned index = search_node(node, 0, bound);
    rank += index;
    if (index < node->count)
        *ret_pos = (ztree_pos_t){node, index};
    else
        *ret_pos = (ztree_pos_t){node->next, 0};
    return rank;
}

ztree_pos_t ztree_at(const ztree_t *t, size_t rank)
{
    if (rank >= t->count) return (ztree_pos_t){NULL, 0};
    ztree_node_t *node = t->root;
    while (!node->leaf) {
        unsigned i = 0;
        for (; rank >= inner_of(node)->sizes[i]; i++) rank -= inner_of(node)->sizes[i];
        node = inner_of(node)->children[i];
    }
    return (ztree_pos_t){node, (unsigned)rank};
}

zitem_t *ztree_item(ztree_pos_t pos) { return pos.node->items[pos.index]; }

ztree_pos_t ztree_next(ztree_pos_t pos)
{
    if (pos.index + 1 < pos.node->count) return (ztree_pos_t){pos.node, pos.index + 1};
    return (ztree_pos_t){pos.node->next, 0};
}

ztree_pos_t ztree_prev(ztree_pos_t pos)
{
    if (pos.index > 0) return (ztree_pos_t){pos.node, pos.index - 1};
    ztree_node_t *prev = pos.node->prev;
    return (ztree_pos_t){prev, prev ? prev->count - 1u : 0};
}

/* ---- nodes ------------------------------------------------------------------------------- */

static ztree_node_t *node_new(ztree_t *t, bool leaf)
{
    size_t bytes = leaf ? sizeof(ztree_node_t) : sizeof(inner_t);
    ztree_node_t *node = mem_alloc(bytes);
    node->count = 0;
    node->leaf = leaf;
    node->prev = node->next = NULL;
    t->heap_bytes += bytes;
    return node;
}

static void node_free(ztree_t *t, ztree_node_t *node)
{
    t->heap_bytes -= node->leaf ? sizeof(ztree_node_t) : sizeof(inner_t);
    mem_free(node);
}

static void free_below(ztree_t *t, ztree_node_t *node)
{
    for (unsigned i = 0; !node->leaf && i < node->count; i++) free_below(t, inner_of(node)->children[i]);
    node_free(t, node);
}

/* Frees the last leaf, and what above it has no other. False when the tree is empty. */
static bool free_last(ztree_t *t)
{
    ztree_node_t **link = &t->root, **lone = NULL; /* where the branch begins that has but one leaf */
    if (!t->root) return false;
    for (; !(*link)->leaf; link = &inner_of(*link)->children[(*link)->count - 1]) {
        if ((*link)->count > 1)
            lone = NULL;
        else if (!lone)
            lone = link;
    }
    if (!lone) lone = link;
    ztree_node_t *top = *lone;
    *lone = NULL;
    free_below(t, top);
    return true;
}

/* The node that has lost its last child. */
static void drop_last_child(ztree_t *t)
{
    for (ztree_node_t *node = t->root; node && !node->leaf;) {
        ztree_node_t *last = inner_of(node)->children[node->count - 1];
        if (!last) node->count--;
        node = last;
    }
}

bool ztree_drain(ztree_t *t, size_t *budget)
{
    while (*budget > 0 && free_last(t)) {
        drop_last_child(t);
        (*budget)--;
    }
    if (t->root) return false;
    *t = ZTREE_INIT;
    return true;
}

void ztree_deinit(ztree_t *t)
{
    if (t->root) free_below(t, t->root);
    *t = ZTREE_INIT;
}

/* Copies `n` entries; the runs may overlap. Counts are the caller's. */
static void copy_entries(ztree_node_t *to, unsigned to_index, const ztree_node_t *from, unsigned index, unsigned n)
{
    memmove(to->scores + to_index, from->scores + index, n * sizeof(double));
    memmove(to->items + to_index, from->items + index, n * sizeof(zitem_t *));
    if (to->leaf) return;
    inner_t *a = inner_of(to);
    const inner_t *b = (const inner_t *)from;
    memmove(a->children + to_index, b->children + index, n * sizeof(ztree_node_t *));
    memmove(a->sizes + to_index, b->sizes + index, n * sizeof(size_t));
}

static void open_gap(ztree_node_t *node, unsigned index, unsigned n)
{
    copy_entries(node, index + n, node, index, node->count - index);
    node->count = (uint16_t)(node->count + n);
}

static void close_gap(ztree_node_t *node, unsigned index, unsigned n)
{
    copy_entries(node, index, node, index + n, node->count - index - n);
    node->count = (uint16_t)(node->count - n);
}

static size_t node_size(const ztree_node_t *node)
{
    if (node->leaf) return node->count;
    size_t size = 0;
    for (unsigned i = 0; i < node->count; i++) size += ((const inner_t *)node)->sizes[i];
    return size;
}

/* Entry `index` of `parent` describes `child` as it now is. */
static void set_entry(ztree_node_t *parent, unsigned index, ztree_node_t *child)
{
    parent->scores[index] = child->scores[0];
    parent->items[index] = child->items[0];
    inner_of(parent)->children[index] = child;
    inner_of(parent)->sizes[index] = node_size(child);
}

/* The path to the leaf where (score, member) is or belongs, and its index there: where it is if it is
 * present. */
static path_t descend(const ztree_t *t, const zitem_t *item)
{
    path_t path = {.depth = 0};
    ztree_bound_t bound = {ZBOUND_ITEM_GT, item->score, zitem_member(item)};
    ztree_node_t *node = t->root;
    for (; !node->leaf; path.depth++) {
        ASSERT(path.depth < DEPTH_MAX - 1);
        unsigned child = search_node(node, 1, &bound) - 1;
        path.at[path.depth].node = node;
        path.at[path.depth].index = child;
        node = prefetched(inner_of(node)->children[child]);
    }
    bound.kind = ZBOUND_ITEM_GE;
    path.at[path.depth].node = node;
    path.at[path.depth].index = search_node(node, 0, &bound);
    path.depth++;
    return path;
}

/* The least item of path.at[level].node has changed: says so in the nodes above. */
static void least_changed(path_t *path, unsigned level)
{
    ztree_node_t *node = path->at[level].node;
    while (level-- > 0) {
        ztree_node_t *above = path->at[level].node;
        above->scores[path->at[level].index] = node->scores[0];
        above->items[path->at[level].index] = node->items[0];
        if (path->at[level].index > 0) return;
    }
}

/* ---- insertion --------------------------------------------------------------------------- */

/* Splits the full node; the new right half is returned. An entry that is about to be added behind the last
 * one gets the new node to itself: ascending insertion leaves full nodes. */
static ztree_node_t *split(ztree_t *t, ztree_node_t *node, unsigned index)
{
    ztree_node_t *right = node_new(t, node->leaf);
    unsigned keep = index == FANOUT && !node->next ? FANOUT - 1 : FANOUT / 2;
    right->count = (uint16_t)(FANOUT - keep);
    copy_entries(right, 0, node, keep, right->count);
    node->count = (uint16_t)keep;
    if (node->leaf) {
        right->prev = node;
        right->next = node->next;
        if (node->next) node->next->prev = right;
        node->next = right;
    }
    return right;
}

static void grow_root(ztree_t *t, ztree_node_t *right)
{
    ztree_node_t *root = node_new(t, false), *left = t->root;
    root->count = 2;
    set_entry(root, 0, left);
    set_entry(root, 1, right);
    t->root = root;
}

/* Makes the node at `level` ready to take one more at path.at[level].index, splitting upwards as needed. */
static void make_room(ztree_t *t, path_t *path, unsigned level)
{
    ztree_node_t *node = path->at[level].node;
    if (node->count < FANOUT) return;
    unsigned index = path->at[level].index;
    if (level > 0) {
        path->at[level - 1].index++; /* the new right half goes behind this node */
        make_room(t, path, level - 1);
        path->at[level - 1].index--;
    }
    ztree_node_t *right = split(t, node, index);
    if (level == 0) {
        grow_root(t, right);
    } else {
        ztree_node_t *above = path->at[level - 1].node;
        unsigned at = path->at[level - 1].index;
        open_gap(above, at + 1, 1);
        set_entry(above, at, node);
        set_entry(above, at + 1, right);
    }
    if (index > node->count) {
        path->at[level].node = right;
        path->at[level].index = index - node->count;
        if (level > 0) path->at[level - 1].index++;
    }
}

static void insert_first(ztree_t *t, zitem_t *item)
{
    t->root = node_new(t, true);
    t->root->count = 1;
    t->root->scores[0] = item->score;
    t->root->items[0] = item;
    t->count = 1;
}

void ztree_insert(ztree_t *t, zitem_t *item)
{
    if (!t->root) {
        insert_first(t, item);
        return;
    }
    path_t path = descend(t, item);
    if (path.at[path.depth - 1].node->count == FANOUT) {
        make_room(t, &path, path.depth - 1);
        path = descend(t, item); /* rare: one insertion in FANOUT / 2 */
    }
    unsigned last = path.depth - 1, index = path.at[last].index;
    ztree_node_t *leaf = path.at[last].node;
    open_gap(leaf, index, 1);
    leaf->scores[index] = item->score;
    leaf->items[index] = item;
    for (unsigned i = 0; i < last; i++) inner_of(path.at[i].node)->sizes[path.at[i].index]++;
    if (index == 0) least_changed(&path, last);
    t->count++;
}

/* ---- removal ----------------------------------------------------------------------------- */

/* Moves all of `right` into `left`, its neighbour, and frees it. */
static void join(ztree_t *t, ztree_node_t *left, ztree_node_t *right)
{
    copy_entries(left, left->count, right, 0, right->count);
    left->count = (uint16_t)(left->count + right->count);
    if (left->leaf) {
        left->next = right->next;
        if (right->next) right->next->prev = left;
    }
    node_free(t, right);
}

/* Evens out two neighbours. */
static void share(ztree_node_t *left, ztree_node_t *right)
{
    unsigned want = (left->count + right->count) / 2u;
    if (left->count < want) {
        unsigned n = want - left->count;
        copy_entries(left, left->count, right, 0, n);
        left->count = (uint16_t)want;
        close_gap(right, 0, n);
    } else {
        unsigned n = left->count - want;
        open_gap(right, 0, n);
        copy_entries(right, 0, left, want, n);
        left->count = (uint16_t)want;
    }
}

/* The node at `level` has lost an entry: joins it with a neighbour or fills it up, upwards as needed. */
static void refill(ztree_t *t, path_t *path, unsigned level)
{
    for (; level > 0; level--) {
        ztree_node_t *node = path->at[level].node, *above = path->at[level - 1].node;
        if (node->count >= FEW) return;
        unsigned at = path->at[level - 1].index;
        if (at > 0) at--; /* `at` and `at + 1` are the pair */
        ztree_node_t *left = inner_of(above)->children[at], *right = inner_of(above)->children[at + 1];
        if (left->count + right->count > FANOUT * 3 / 4) {
            share(left, right);
            set_entry(above, at, left);
            set_entry(above, at + 1, right);
            return;
        }
        join(t, left, right);
        set_entry(above, at, left);
        close_gap(above, at + 1, 1);
    }
    ztree_node_t *root = t->root;
    if (!root->leaf && root->count == 1) {
        t->root = inner_of(root)->children[0];
        node_free(t, root);
    }
}

static void remove_at(ztree_t *t, path_t *path)
{
    unsigned last = path->depth - 1, index = path->at[last].index;
    ztree_node_t *leaf = path->at[last].node;
    close_gap(leaf, index, 1);
    t->count--;
    if (t->count == 0) {
        ztree_deinit(t);
        return;
    }
    for (unsigned i = 0; i < last; i++) inner_of(path->at[i].node)->sizes[path->at[i].index]--;
    if (index == 0) least_changed(path, last);
    refill(t, path, last);
}

static path_t find(const ztree_t *t, const zitem_t *item)
{
    path_t path = descend(t, item);
    ztree_node_t *leaf = path.at[path.depth - 1].node;
    unsigned index = path.at[path.depth - 1].index;
    ASSERT(index < leaf->count && leaf->items[index] == item);
    return path;
}

void ztree_remove(ztree_t *t, zitem_t *item)
{
    path_t path = find(t, item);
    remove_at(t, &path);
}

/* With `score` the item at `index` would still stand strictly between its neighbours in this leaf. */
static bool fits_in_place(const ztree_node_t *leaf, unsigned index, double score)
{
    return index > 0 && index + 1u < leaf->count && leaf->scores[index - 1] < score && score < leaf->scores[index + 1];
}

void ztree_set_score(ztree_t *t, zitem_t *item, double score)
{
    path_t path = find(t, item);
    ztree_node_t *leaf = path.at[path.depth - 1].node;
    unsigned index = path.at[path.depth - 1].index;
    if (fits_in_place(leaf, index, score)) {
        leaf->scores[index] = item->score = score;
        return;
    }
    remove_at(t, &path);
    item->score = score;
    ztree_insert(t, item);
}

/* ---- checking ---------------------------------------------------------------------------- */

static bool in_order(const zitem_t *a, const zitem_t *b)
{
    if (a->score != b->score) return a->score < b->score;
    return bytes_cmp(zitem_member(a), zitem_member(b)) < 0;
}

static void check_node(const ztree_node_t *node, bool is_root)
{
    ASSERT(node->count >= (is_root ? 1 : 1) && node->count <= FANOUT);
    for (unsigned i = 0; i < node->count; i++) {
        ASSERT(node->scores[i] == node->items[i]->score);
        ASSERT(i == 0 || in_order(node->items[i - 1], node->items[i]));
        if (node->leaf) continue;
        const inner_t *inner = (const inner_t *)node;
        const ztree_node_t *child = inner->children[i];
        check_node(child, false);
        ASSERT(child->items[0] == node->items[i] && inner->sizes[i] == node_size(child));
        ASSERT(child->leaf == inner->children[0]->leaf);
    }
}

void ztree_check(const ztree_t *t)
{
    if (!t->root) {
        ASSERT(t->count == 0);
        return;
    }
    check_node(t->root, true);
    ASSERT(node_size(t->root) == t->count);
    size_t seen = 0;
    const zitem_t *before = NULL;
    for (ztree_pos_t pos = ztree_at(t, 0); pos.node; pos = ztree_next(pos), seen++) {
        ASSERT(!before || in_order(before, ztree_item(pos)));
        before = ztree_item(pos);
    }
    ASSERT(seen == t->count);
}

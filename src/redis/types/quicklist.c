/* quicklist.c: see quicklist.h. */
#include "redis/types/quicklist_internal.h"

#define SAFE_NODE_BYTES      8192
#define ENTRY_ESTIMATE_BYTES 8

/* ---- limits ------------------------------------------------------------------------------ */

void ql_limits(int64_t fill, size_t *ret_bytes, size_t *ret_count)
{
    *ret_bytes = *ret_count = SIZE_MAX;
    if (fill >= 0)
        *ret_count = fill == 0 ? 1 : (size_t)fill;
    else
        *ret_bytes = (size_t)4096 << (MIN(-fill, 5) - 1);
}

bool ql_exceeds(int64_t fill, size_t bytes, size_t count)
{
    size_t bytes_max, count_max;
    ql_limits(fill, &bytes_max, &count_max);
    if (bytes_max != SIZE_MAX) return bytes > bytes_max;
    return bytes > SAFE_NODE_BYTES || count > count_max;
}

static bool is_large(const quicklist_t *ql, size_t bytes)
{
    if (UNLIKELY(ql->plain_bytes_min != 0)) return bytes >= ql->plain_bytes_min;
    return bytes > SAFE_NODE_BYTES ? ql_exceeds(ql->fill, bytes, 1) : ql->fill < 0 && ql_exceeds(ql->fill, bytes, 1);
}

static bool node_accepts(const quicklist_t *ql, const ql_node_t *node, size_t bytes)
{
    if (!node || node->plain || is_large(ql, bytes)) return false;
    return !ql_exceeds(ql->fill, ql_node_bytes(node) + bytes + ENTRY_ESTIMATE_BYTES, node->count + 1);
}

/* ---- nodes ------------------------------------------------------------------------------- */

quicklist_t *ql_new(int64_t fill)
{
    quicklist_t *ql = mem_zalloc(sizeof(*ql));
    ql->fill = fill;
    return ql;
}

static void node_free(quicklist_t *ql, ql_node_t *node)
{
    ql__forget(ql, node);
    if (node->plain)
        mem_free(node->data);
    else
        lp_free(node->data);
    mem_free(node);
}

/* Links `node` behind `at`; NULL: at the head. */
static void link_after(quicklist_t *ql, ql_node_t *at, ql_node_t *node)
{
    node->prev = at;
    node->next = at ? at->next : ql->head;
    *(node->next ? &node->next->prev : &ql->tail) = node;
    *(at ? &at->next : &ql->head) = node;
    ql->nodes_count++;
}

static void unlink_node(quicklist_t *ql, ql_node_t *node)
{
    *(node->prev ? &node->prev->next : &ql->head) = node->next;
    *(node->next ? &node->next->prev : &ql->tail) = node->prev;
    ASSERT(ql->nodes_count > 0);
    ql->nodes_count--;
    node_free(ql, node);
}

static ql_node_t *node_of_listpack(uint8_t *lp)
{
    ql_node_t *node = mem_zalloc(sizeof(*node));
    node->data = lp;
    node->count = (uint32_t)lp_count(lp);
    return node;
}

static ql_node_t *node_of_plain(bytes_t text)
{
    ql_node_t *node = mem_zalloc(sizeof(*node));
    node->data = mem_alloc(text.len + 1);
    if (text.len) memcpy(node->data, text.ptr, text.len);
    node->plain_len = (uint32_t)text.len;
    node->count = 1;
    node->plain = true;
    return node;
}

/* A node with one element. At an end of a list that has several nodes it gets its full room at once, since it
 * will most likely be filled. */
static ql_node_t *node_of(const quicklist_t *ql, bytes_t text, bool at_head)
{
    if (is_large(ql, text.len)) return node_of_plain(text);
    size_t bytes_max, count_max;
    ql_limits(ql->fill, &bytes_max, &count_max);
    size_t room = ql->nodes_count > 1 && bytes_max <= SAFE_NODE_BYTES ? bytes_max - 8 : 0;
    uint8_t *lp = lp_new_with_room(MAX(room, text.len + LP_EMPTY_BYTES + LP_ENTRY_OVERHEAD_BYTES_MAX), at_head);
    return node_of_listpack(at_head ? lp_prepend(lp, text) : lp_append(lp, text));
}

void ql_free(quicklist_t *ql)
{
    for (ql_node_t *node = ql->head, *next; node; node = next) {
        next = node->next;
        node_free(ql, node);
    }
    mem_free(ql);
}

bool ql_drain(quicklist_t *ql, size_t *budget)
{
    for (ql_node_t *node = ql->head, *next; node && *budget > 0; node = next, (*budget)--) {
        next = node->next;
        node_free(ql, node);
        ql->head = next;
    }
    if (ql->head) return false;
    mem_free(ql);
    return true;
}

static void append_packed(quicklist_t *ql, const ql_node_t *from)
{
    ql_node_t *node = mem_zalloc(sizeof(*node));
    node->count = from->count;
    node->plain = from->plain;
    node->plain_len = from->plain_len;
    ql__copy_packed(ql, node, from);
    link_after(ql, ql->tail, node);
    ql->count += node->count;
}

quicklist_t *ql_copy(const quicklist_t *ql)
{
    quicklist_t *copy = ql_new(ql->fill);
    copy->compress_depth = ql->compress_depth;
    for (const ql_node_t *node = ql->head; node; node = node->next) {
        if (node->packed)
            append_packed(copy, node);
        else if (node->plain)
            ql_append_plain(copy, bytes_of(node->data, node->plain_len));
        else
            ql_append_listpack(copy, lp_copy(node->data));
    }
    return copy;
}

void ql_append_listpack(quicklist_t *ql, uint8_t *lp)
{
    ql_node_t *node = node_of_listpack(lp);
    ASSERT(node->count > 0);
    link_after(ql, ql->tail, node);
    ql->count += node->count;
}

void ql_append_plain(quicklist_t *ql, bytes_t text)
{
    link_after(ql, ql->tail, node_of_plain(text));
    ql->count++;
}

static size_t node_heap_bytes(const ql_node_t *node)
{
    if (node->packed) return sizeof(*node) + node->packed_bytes;
    return sizeof(*node) + (node->plain ? (size_t)node->plain_len + 1 : lp_heap_bytes(node->data));
}

size_t ql_heap_bytes(const quicklist_t *ql, size_t samples)
{
    size_t bytes = 0, seen = 0;
    for (const ql_node_t *node = ql->head; node && (samples == 0 || seen < samples); node = node->next, seen++)
        bytes += node_heap_bytes(node);
    return sizeof(*ql) + (seen ? (size_t)((double)bytes / (double)seen * (double)ql->nodes_count) : 0);
}

/* ---- walking ----------------------------------------------------------------------------- */

/* The node that a position moves into; what the last one was in is packed again. */
static void enter(quicklist_t *ql, ql_node_t *node)
{
    if (LIKELY(ql->compress_depth == 0)) return;
    if (node) ql__open(ql, node);
    ql__close_opened(ql, node);
}

static ql_pos_t node_first(quicklist_t *ql, ql_node_t *node)
{
    enter(ql, node);
    if (!node) return (ql_pos_t){NULL, NULL};
    return (ql_pos_t){node, node->plain ? node->data : lp_first(node->data)};
}

static ql_pos_t node_last(quicklist_t *ql, ql_node_t *node)
{
    enter(ql, node);
    if (!node) return (ql_pos_t){NULL, NULL};
    return (ql_pos_t){node, node->plain ? node->data : lp_last(node->data)};
}

ql_pos_t ql_first(quicklist_t *ql) { return node_first(ql, ql->head); }
ql_pos_t ql_last(quicklist_t *ql) { return node_last(ql, ql->tail); }

ql_pos_t ql_next(quicklist_t *ql, ql_pos_t pos)
{
    ASSERT(pos.node->data);
    const uint8_t *p = pos.node->plain ? NULL : lp_next(pos.p);
    return p ? (ql_pos_t){pos.node, p} : node_first(ql, pos.node->next);
}

ql_pos_t ql_prev(quicklist_t *ql, ql_pos_t pos)
{
    ASSERT(pos.node->data);
    const uint8_t *p = pos.node->plain ? NULL : lp_prev(pos.node->data, pos.p);
    return p ? (ql_pos_t){pos.node, p} : node_last(ql, pos.node->prev);
}

ql_pos_t ql_seek(quicklist_t *ql, int64_t index)
{
    int64_t count = (int64_t)ql->count;
    if (index < 0) index += count;
    if (index < 0 || index >= count) return (ql_pos_t){NULL, NULL};
    ql_node_t *node;
    if (index < count / 2) {
        for (node = ql->head; index >= node->count; node = node->next) index -= node->count;
    } else {
        int64_t from_end = count - 1 - index;
        for (node = ql->tail; from_end >= node->count; node = node->prev) from_end -= node->count;
        index = node->count - 1 - from_end;
    }
    enter(ql, node);
    ql_pos_t pos = {node, node->plain ? node->data : lp_seek(node->data, index)};
    ASSERT(pos.p); /* the nodes' counts are those of their listpacks */
    return pos;
}

bytes_t ql_text(ql_pos_t pos, char room[NUM_I64_CHARS_MAX])
{
    return pos.node->plain ? bytes_of(pos.node->data, pos.node->plain_len) : lp_text(pos.p, room);
}

/* ---- changing ---------------------------------------------------------------------------- */

void ql_push(quicklist_t *ql, bytes_t text, bool at_head)
{
    ql_node_t *node = at_head ? ql->head : ql->tail;
    if (LIKELY(node_accepts(ql, node, text.len))) {
        ql__edit(ql, node);
        node->data = at_head ? lp_prepend(node->data, text) : lp_append(node->data, text);
        node->count++;
    } else {
        link_after(ql, at_head ? NULL : ql->tail, node_of(ql, text, at_head));
    }
    ql->count++;
    ql__settle(ql, NULL);
}

/* Joins `node` with its successor when both fit into one listpack. */
static void try_merge(quicklist_t *ql, ql_node_t *node)
{
    ql_node_t *next = node ? node->next : NULL;
    if (!next || node->plain || next->plain) return;
    size_t bytes = ql_node_bytes(node) + ql_node_bytes(next) - LP_EMPTY_BYTES;
    if (ql_exceeds(ql->fill, bytes, (size_t)node->count + next->count)) return;
    ql__edit(ql, node);
    ql__edit(ql, next);
    node->data = lp_concat(node->data, next->data);
    node->count += next->count;
    unlink_node(ql, next);
}

/* Moves the entries from `p` on into a new node behind `node`. Both must keep at least one. */
static void split(quicklist_t *ql, ql_node_t *node, const uint8_t *p)
{
    size_t off = (size_t)(p - node->data);
    uint8_t *tail = lp_copy(node->data), *head = node->data;
    size_t before = 0;
    for (const uint8_t *q = lp_first(head); q < p; q = lp_skip(q)) before++;
    tail = lp_delete_range(tail, 0, before);
    node->data = lp_delete(head, head + off, SIZE_MAX, NULL);
    node->count = (uint32_t)before;
    ql_node_t *rest = node_of_listpack(tail);
    ASSERT(before > 0 && rest->count > 0);
    link_after(ql, node, rest);
    ql__edit(ql, rest);
}

/* Inserts between `node` and its successor, into either when it accepts, else into a node of its own. */
static void insert_between(quicklist_t *ql, ql_node_t *node, bytes_t text)
{
    ql_node_t *next = node ? node->next : ql->head;
    if (node_accepts(ql, node, text.len)) {
        ql__edit(ql, node);
        node->data = lp_append(node->data, text);
        node->count++;
    } else if (node_accepts(ql, next, text.len)) {
        ql__edit(ql, next);
        next->data = lp_prepend(next->data, text);
        next->count++;
    } else {
        ql_node_t *fresh = node_of(ql, text, false);
        link_after(ql, node, fresh);
        ql__edit(ql, fresh);
    }
}

static void insert(quicklist_t *ql, ql_pos_t pos, bytes_t text, bool after)
{
    ql_node_t *node = pos.node;
    const uint8_t *p = node->plain ? NULL : after ? lp_skip(pos.p) : pos.p;
    ql->count++;
    ql__edit(ql, node);
    if (p && node_accepts(ql, node, text.len)) {
        node->data = lp_insert(node->data, p, text, NULL);
        node->count++;
    } else if (after && (!p || *p == LP_EOF)) {
        insert_between(ql, node, text);
    } else if (!after && (!p || p == lp_first(node->data))) {
        insert_between(ql, node->prev, text);
    } else {
        split(ql, node, p);
        ql_node_t *rest = node->next;
        insert_between(ql, node, text);
        try_merge(ql, rest);
        try_merge(ql, node->prev);
    }
}

void ql_insert(quicklist_t *ql, ql_pos_t pos, bytes_t text, bool after)
{
    insert(ql, pos, text, after);
    ql__settle(ql, NULL);
}

static void replace(quicklist_t *ql, ql_pos_t pos, bytes_t text)
{
    ql_node_t *node = pos.node;
    ql__edit(ql, node);
    if (!node->plain && !is_large(ql, text.len) &&
        (node->count == 1 || !ql_exceeds(ql->fill, lp_bytes(node->data) + text.len, node->count))) {
        node->data = lp_replace(node->data, pos.p, text, NULL);
        return;
    }
    if (node->count == 1) {
        ql_node_t *fresh = node_of(ql, text, false);
        link_after(ql, node, fresh);
        ql__edit(ql, fresh);
        unlink_node(ql, node);
        return;
    }
    size_t off = (size_t)(pos.p - node->data);
    node->data = lp_delete(node->data, pos.p, 1, NULL);
    node->count--;
    ql->count--;
    const uint8_t *p = node->data + off;
    bool at_end = *p == LP_EOF;
    insert(ql, (ql_pos_t){node, at_end ? lp_last(node->data) : p}, text, at_end);
}

void ql_replace(quicklist_t *ql, ql_pos_t pos, bytes_t text)
{
    replace(ql, pos, text);
    ql__settle(ql, NULL);
}

static ql_pos_t remove_one(quicklist_t *ql, ql_pos_t pos, bool backwards)
{
    ql_node_t *node = pos.node;
    ql_node_t *beside = backwards ? node->prev : node->next;
    ql->count--;
    if (node->count == 1) {
        unlink_node(ql, node);
        return backwards ? node_last(ql, beside) : node_first(ql, beside);
    }
    size_t off = (size_t)(pos.p - node->data);
    ql__edit(ql, node);
    node->data = lp_delete(node->data, pos.p, 1, NULL);
    node->count--;
    const uint8_t *p = node->data + off;
    if (backwards) {
        p = lp_prev(node->data, p);
        return p ? (ql_pos_t){node, p} : node_last(ql, beside);
    }
    return *p != LP_EOF ? (ql_pos_t){node, p} : node_first(ql, beside);
}

ql_pos_t ql_remove(quicklist_t *ql, ql_pos_t pos, bool backwards)
{
    pos = remove_one(ql, pos, backwards);
    ql__settle(ql, pos.node);
    return pos;
}

void ql_delete_range(quicklist_t *ql, size_t start, size_t count)
{
    if (start >= ql->count) return;
    count = MIN(count, ql->count - start);
    ql->count -= count;
    ql_node_t *node = ql->head;
    for (; start >= node->count; node = node->next) start -= node->count;
    while (count > 0) {
        ql_node_t *next = node->next;
        size_t here = MIN(count, node->count - start);
        if (here == node->count) {
            unlink_node(ql, node);
        } else {
            ql__edit(ql, node);
            node->data = lp_delete_range(node->data, (int64_t)start, here);
            node->count -= (uint32_t)here;
        }
        count -= here;
        start = 0;
        node = next;
    }
    ql__settle(ql, NULL);
}

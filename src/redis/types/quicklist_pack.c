/* quicklist_pack.c: list-compress-depth: all nodes of a list but those at most `compress_depth` from an end are packed.
 *
 *     +------+    +--------+    +--------+    +--------+    +------+      depth 1: head and tail are open
 *     | open |<-->| packed |<-->| opened |<-->| packed |<-->| open |      `opened`: a position is in it, or it
 *     +------+    +--------+    +--------+    +--------+    +------+      has just been changed
 *
 * The list remembers the nodes that are opened for a while, so that whoever comes next packs them again and nobody
 * searches the list for them. A node that gains too little stays as it is until it is changed. */
#include "redis/types/quicklist_internal.h"

#include <lz4.h>

enum { PACK_BYTES_MIN = 48, PACK_GAIN_BYTES_MIN = 8 };

size_t ql_node_bytes(const ql_node_t *node)
{
    if (node->packed) return node->raw_bytes;
    return node->plain ? node->plain_len : lp_bytes(node->data);
}

/* ---- one node ------------------------------------------------------------------------------------------------------- */

static void set_packed(quicklist_t *ql, ql_node_t *node, const void *bytes, size_t len, size_t raw_bytes)
{
    node->packed = mem_alloc(len);
    memcpy(node->packed, bytes, len);
    node->packed_bytes = (uint32_t)len;
    node->raw_bytes = (uint32_t)raw_bytes;
    ql->packed_count++;
}

static void pack(quicklist_t *ql, ql_node_t *node)
{
    size_t raw = ql_node_bytes(node);
    if (node->packed || node->stubborn || raw < PACK_BYTES_MIN || raw > LZ4_MAX_INPUT_SIZE) return;
    int room = (int)(raw - PACK_GAIN_BYTES_MIN);
    char *bytes = mem_alloc((size_t)room);
    int len = LZ4_compress_default((const char *)node->data, bytes, (int)raw, room);
    node->stubborn = len <= 0;
    if (!node->stubborn) {
        set_packed(ql, node, bytes, (size_t)len, raw);
        node->plain ? mem_free(node->data) : lp_free(node->data);
        node->data = NULL;
    }
    mem_free(bytes);
}

static void unpack(quicklist_t *ql, ql_node_t *node)
{
    if (!node->packed) return;
    uint8_t *bytes = mem_alloc(node->raw_bytes + 1);
    int len =
        LZ4_decompress_safe((const char *)node->packed, (char *)bytes, (int)node->packed_bytes, (int)node->raw_bytes);
    ASSERT(len == (int)node->raw_bytes);
    mem_free(node->packed);
    node->packed = NULL;
    ql->packed_count--;
    node->data = node->plain ? bytes : lp_from_bytes(bytes_of(bytes, (size_t)len));
    if (!node->plain) mem_free(bytes);
}

bytes_t ql_node_image(const ql_node_t *node, buf_t *scratch)
{
    if (!node->packed) return bytes_of(node->data, ql_node_bytes(node));
    buf_clear(scratch);
    char *bytes = (char *)buf_reserve(scratch, node->raw_bytes);
    int len = LZ4_decompress_safe((const char *)node->packed, bytes, (int)node->packed_bytes, (int)node->raw_bytes);
    ASSERT(len == (int)node->raw_bytes);
    return bytes_of(bytes, (size_t)len);
}

void ql__copy_packed(quicklist_t *ql, ql_node_t *node, const ql_node_t *from)
{
    set_packed(ql, node, from->packed, from->packed_bytes, from->raw_bytes);
}

/* ---- which are open ------------------------------------------------------------------------------------------------- */

static bool is_inner(const quicklist_t *ql, const ql_node_t *node)
{
    const ql_node_t *before = node, *after = node;
    if (ql->nodes_count <= 2 * (size_t)ql->compress_depth) return false;
    for (uint32_t i = 0; i < ql->compress_depth; i++) {
        before = before->prev;
        after = after->next;
        if (!before || !after) return false;
    }
    return true;
}

void ql__open(quicklist_t *ql, ql_node_t *node)
{
    if (LIKELY(ql->compress_depth == 0)) return;
    unpack(ql, node);
    if (node->opened) return;
    node->opened = true;
    node->opened_next = ql->opened;
    ql->opened = node;
}

void ql__edit(quicklist_t *ql, ql_node_t *node)
{
    if (LIKELY(ql->compress_depth == 0)) return;
    ql__open(ql, node);
    node->stubborn = false;
}

void ql__forget(quicklist_t *ql, ql_node_t *node)
{
    if (node->packed) ql->packed_count--;
    mem_free(node->packed);
    ql_node_t **at = &ql->opened;
    while (node->opened && *at != node) at = &(*at)->opened_next;
    if (node->opened) *at = node->opened_next;
}

void ql__close_opened(quicklist_t *ql, const ql_node_t *keep)
{
    ql_node_t *node = ql->opened, *kept = NULL;
    ql->opened = NULL;
    for (ql_node_t *next; node; node = next) {
        next = node->opened_next;
        if (node == keep) {
            kept = node;
            continue;
        }
        node->opened = false;
        if (is_inner(ql, node)) pack(ql, node);
    }
    if (!kept) return;
    kept->opened_next = NULL;
    ql->opened = kept;
}

void ql__settle(quicklist_t *ql, const ql_node_t *keep)
{
    ASSERT(!ql->head == !ql->count && !ql->tail == !ql->count && ql->nodes_count <= ql->count);
    if (LIKELY(ql->compress_depth == 0)) return;
    ql_node_t *from_head = ql->head, *from_tail = ql->tail;
    bool any_inner = ql->nodes_count > 2 * (size_t)ql->compress_depth;
    for (uint32_t i = 0; i < ql->compress_depth && (any_inner || ql->packed_count) && from_head; i++) {
        unpack(ql, from_head);
        unpack(ql, from_tail);
        from_head = from_head->next;
        from_tail = from_tail->prev;
    }
    if (any_inner && from_head != keep) pack(ql, from_head);
    if (any_inner && from_tail != keep) pack(ql, from_tail);
    ql__close_opened(ql, keep);
}

/* quicklist.h: a long list: a doubly linked chain of listpacks, each as large as list-max-listpack-size
 * allows.
 *
 *      head                                      tail
 *     +------+    +------+    +---------+    +------+
 *     | lp   |<-->| lp   |<-->| plain   |<-->| lp   |      plain: one element too large for a listpack
 *     +------+    +------+    +---------+    +------+
 *
 * No node is empty; `count` is the sum of the nodes' counts. A position is invalid after any change that does
 * not return it anew, and as soon as another one of the same list is sought: inner nodes may be packed
 * (quicklist_pack.c), and only the one that the last position is in is open. */
#ifndef TRIVET_REDIS_TYPES_QUICKLIST_H
#define TRIVET_REDIS_TYPES_QUICKLIST_H

#include "base/buf.h"
#include "redis/types/listpack.h"

typedef struct ql_node {
    struct ql_node *prev;
    struct ql_node *next;
    uint8_t *data;      /* a listpack, or the bytes of a plain element; NULL while packed */
    uint32_t count;     /* elements */
    uint32_t plain_len; /* of a plain element */
    bool plain;
    bool stubborn; /* packing it gained nothing */
    bool opened;   /* in the list's chain of those */
    struct ql_node *opened_next;
    uint8_t *packed; /* `data` as LZ4, of raw_bytes when unpacked */
    uint32_t packed_bytes, raw_bytes;
} ql_node_t;

typedef struct quicklist {
    ql_node_t *head;
    ql_node_t *tail;
    size_t count;
    size_t nodes_count;
    int64_t fill;             /* list-max-listpack-size */
    uint64_t plain_bytes_min; /* an element from this size on has a node of its own; 0 = as `fill` says */
    uint32_t compress_depth;  /* list-compress-depth: so many nodes at either end are never packed; 0 = none is */
    size_t packed_count;
    ql_node_t *opened; /* inner nodes that are unpacked for a while */
} quicklist_t;

#define QL_COMPRESS_DEPTH_MAX 65535

typedef struct ql_pos {
    ql_node_t *node; /* NULL: past an end */
    const uint8_t *p;
} ql_pos_t;

/* What the node's listpack or plain element takes when it is not packed. */
size_t ql_node_bytes(const ql_node_t *node);
/* Its bytes: a listpack's image, or a plain element; a packed one's are unpacked into `scratch`. */
bytes_t ql_node_image(const ql_node_t *node, buf_t *scratch);
/* How much one listpack may hold: bytes for a negative `fill`, else elements (and at most 8 KiB). */
bool ql_exceeds(int64_t fill, size_t bytes, size_t count);
/* The limits themselves; SIZE_MAX where there is none. */
void ql_limits(int64_t fill, size_t *ret_bytes, size_t *ret_count);

quicklist_t *ql_new(int64_t fill);
void ql_free(quicklist_t *ql);
/* The same piece by piece, of a list that nobody uses any more: a node costs one of the budget. True when it is gone. */
bool ql_drain(quicklist_t *ql, size_t *budget);
quicklist_t *ql_copy(const quicklist_t *ql);
/* Takes a non-empty listpack as the new last node. */
void ql_append_listpack(quicklist_t *ql, uint8_t *lp);
/* Takes the element as a new last node of its own, however small. */
void ql_append_plain(quicklist_t *ql, bytes_t text);
/* Judged by at most `samples` nodes (0 = all). */
size_t ql_heap_bytes(const quicklist_t *ql, size_t samples);

void ql_push(quicklist_t *ql, bytes_t text, bool at_head);
ql_pos_t ql_first(quicklist_t *ql);
ql_pos_t ql_last(quicklist_t *ql);
ql_pos_t ql_seek(quicklist_t *ql, int64_t index); /* negative from the end */
ql_pos_t ql_next(quicklist_t *ql, ql_pos_t pos);
ql_pos_t ql_prev(quicklist_t *ql, ql_pos_t pos);
bytes_t ql_text(ql_pos_t pos, char room[NUM_I64_CHARS_MAX]);

/* `text` must not point into the list. */
void ql_insert(quicklist_t *ql, ql_pos_t pos, bytes_t text, bool after);
void ql_replace(quicklist_t *ql, ql_pos_t pos, bytes_t text);
/* Removes; returns the next position, or the previous one when walking backwards. */
ql_pos_t ql_remove(quicklist_t *ql, ql_pos_t pos, bool backwards);
void ql_delete_range(quicklist_t *ql, size_t start, size_t count);

#endif

/* heap.h: things in the order of their times, the earliest first. A binary heap of pointers to nodes; a node lies in what it
 * stands for, at any address, and knows its place, so that it is found and moved without a search.
 *
 * Up to HEAP_CHUNK nodes are in one block that grows by doubling. More are in blocks of that size: then no insert copies much,
 * however many there are. */
#ifndef TRIVET_BASE_HEAP_H
#define TRIVET_BASE_HEAP_H

#include "base/base.h"

#define HEAP_CHUNK 1024
#define HEAP_NONE  UINT32_MAX /* the place of a node that is in no heap */

/* Of bytes alone, so that it may be packed between strings. */
typedef struct heap_node {
    uint8_t at_ms[8];
    uint8_t place[4];
} heap_node_t;
_Static_assert(_Alignof(heap_node_t) == 1, "a node may lie anywhere");

typedef struct heap {
    union {
        heap_node_t **nodes;   /* cap <= HEAP_CHUNK */
        heap_node_t ***chunks; /* cap > HEAP_CHUNK */
    };
    uint32_t count, cap;
} heap_t;

static inline int64_t heap_at_ms(const heap_node_t *n) { return (int64_t)load_le64(n->at_ms); }
static inline uint32_t heap_place(const heap_node_t *n) { return load_le32(n->place); }
static inline void heap_node_init(heap_node_t *n, int64_t at_ms)
{
    store_le64(n->at_ms, (uint64_t)at_ms);
    store_le32(n->place, HEAP_NONE);
}

/* The nodes are their owners', and are not looked at. */
void heap_deinit(heap_t *h);
/* The same; all nodes know that they are in no heap. */
void heap_clear(heap_t *h);
/* Adds a node that was initialized with its time. */
void heap_insert(heap_t *h, heap_node_t *n);
void heap_remove(heap_t *h, heap_node_t *n);
/* Gives a node of the heap another time. */
void heap_set_at_ms(heap_t *h, heap_node_t *n, int64_t at_ms);
/* The node was copied to another address and lives there from now on. */
void heap_moved(heap_t *h, heap_node_t *n);
/* The earliest; NULL when empty. */
heap_node_t *heap_first(const heap_t *h);
/* How many have a time before `ms`; the effort is theirs. */
uint32_t heap_count_before(const heap_t *h, int64_t ms);
size_t heap_bytes(const heap_t *h);

#endif

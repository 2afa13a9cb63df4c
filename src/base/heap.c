/* heap.c: see heap.h.
 *
 * Invariant: heap_place(node i) == i, and no node is earlier than its parent, (i - 1) / 2. */
#include "base/heap.h"

enum { CAP_LEAST = 1 };

static inline heap_node_t **slot(const heap_t *h, uint32_t i)
{
    return h->cap <= HEAP_CHUNK ? &h->nodes[i] : &h->chunks[i / HEAP_CHUNK][i % HEAP_CHUNK];
}

static inline void put(heap_t *h, uint32_t i, heap_node_t *n)
{
    *slot(h, i) = n;
    store_le32(n->place, i);
}

/* ---- room ------------------------------------------------------------------------------------------------------------ */

static bool is_power_of_two(uint32_t n) { return (n & (n - 1)) == 0; }

/* The array of chunks doubles when its length is a power of two, so that its length need not be kept. */
static void add_chunk(heap_t *h)
{
    uint32_t chunks = h->cap / HEAP_CHUNK;
    heap_node_t **added = mem_alloc(sizeof(heap_node_t *) * HEAP_CHUNK);
    if (chunks == 1) {
        heap_node_t **first = h->nodes;
        h->chunks = mem_alloc(sizeof(heap_node_t **) * 2);
        h->chunks[0] = first;
    } else if (is_power_of_two(chunks)) {
        h->chunks = mem_realloc(h->chunks, sizeof(heap_node_t **) * chunks * 2);
    }
    h->chunks[chunks] = added;
    h->cap += HEAP_CHUNK;
}

static void grow(heap_t *h)
{
    ASSERT(h->cap < HEAP_NONE - HEAP_CHUNK);
    if (h->cap >= HEAP_CHUNK) {
        add_chunk(h);
        return;
    }
    h->cap = MAX(h->cap * 2, (uint32_t)CAP_LEAST);
    h->nodes = mem_realloc(h->nodes, sizeof(heap_node_t *) * h->cap);
}

static void drop_chunk(heap_t *h)
{
    uint32_t chunks = h->cap / HEAP_CHUNK - 1;
    mem_free(h->chunks[chunks]);
    h->cap -= HEAP_CHUNK;
    if (chunks == 1) {
        heap_node_t **first = h->chunks[0];
        mem_free(h->chunks);
        h->nodes = first;
    } else if (is_power_of_two(chunks)) {
        h->chunks = mem_realloc(h->chunks, sizeof(heap_node_t **) * chunks);
    }
}

/* Leaves room to come back into, so that a heap at the border does not grow and shrink with each change. */
static void shrink(heap_t *h)
{
    if (h->count == 0) {
        heap_deinit(h);
    } else if (h->cap > HEAP_CHUNK) {
        if (h->cap - h->count > HEAP_CHUNK + HEAP_CHUNK / 2) drop_chunk(h);
    } else if (h->cap > CAP_LEAST && h->count <= h->cap / 4) {
        h->cap /= 2;
        h->nodes = mem_realloc(h->nodes, sizeof(heap_node_t *) * h->cap);
    }
}

void heap_deinit(heap_t *h)
{
    if (h->cap > HEAP_CHUNK)
        for (uint32_t i = 0; i < h->cap / HEAP_CHUNK; i++) mem_free(h->chunks[i]);
    mem_free(h->cap > HEAP_CHUNK ? (void *)h->chunks : (void *)h->nodes);
    *h = (heap_t){0};
}

void heap_clear(heap_t *h)
{
    for (uint32_t i = 0; i < h->count; i++) store_le32((*slot(h, i))->place, HEAP_NONE);
    heap_deinit(h);
}

size_t heap_bytes(const heap_t *h)
{
    size_t chunks = h->cap > HEAP_CHUNK ? h->cap / HEAP_CHUNK : 0;
    return sizeof(heap_node_t *) * h->cap + sizeof(heap_node_t **) * chunks;
}

/* ---- order ----------------------------------------------------------------------------------------------------------- */

static void sift_up(heap_t *h, uint32_t i, heap_node_t *n)
{
    int64_t at_ms = heap_at_ms(n);
    while (i > 0) {
        uint32_t parent = (i - 1) / 2;
        heap_node_t *p = *slot(h, parent);
        if (at_ms >= heap_at_ms(p)) break;
        put(h, i, p);
        i = parent;
    }
    put(h, i, n);
}

static void sift_down(heap_t *h, uint32_t i, heap_node_t *n)
{
    int64_t at_ms = heap_at_ms(n);
    for (uint32_t child; (child = 2 * i + 1) < h->count; i = child) {
        heap_node_t *c = *slot(h, child);
        if (child + 1 < h->count) {
            heap_node_t *other = *slot(h, child + 1);
            if (heap_at_ms(other) < heap_at_ms(c)) {
                c = other;
                child++;
            }
        }
        if (at_ms <= heap_at_ms(c)) break;
        put(h, i, c);
    }
    put(h, i, n);
}

static void restore(heap_t *h, uint32_t i, heap_node_t *n)
{
    if (i > 0 && heap_at_ms(n) < heap_at_ms(*slot(h, (i - 1) / 2)))
        sift_up(h, i, n);
    else
        sift_down(h, i, n);
}

static uint32_t place_of(const heap_t *h, const heap_node_t *n)
{
    uint32_t i = heap_place(n);
    ASSERT(i < h->count && *slot(h, i) == n);
    return i;
}

/* ---- changes --------------------------------------------------------------------------------------------------------- */

void heap_insert(heap_t *h, heap_node_t *n)
{
    ASSERT(heap_place(n) == HEAP_NONE);
    if (h->count == h->cap) grow(h);
    h->count++;
    sift_up(h, h->count - 1, n);
}

void heap_remove(heap_t *h, heap_node_t *n)
{
    uint32_t i = place_of(h, n);
    heap_node_t *last = *slot(h, --h->count);
    if (last != n) restore(h, i, last);
    store_le32(n->place, HEAP_NONE);
    shrink(h);
}

void heap_set_at_ms(heap_t *h, heap_node_t *n, int64_t at_ms)
{
    uint32_t i = place_of(h, n);
    store_le64(n->at_ms, (uint64_t)at_ms);
    restore(h, i, n);
}

void heap_moved(heap_t *h, heap_node_t *n)
{
    uint32_t i = heap_place(n);
    ASSERT(i < h->count);
    *slot(h, i) = n;
}

heap_node_t *heap_first(const heap_t *h) { return h->count ? *slot(h, 0) : NULL; }

/* No deeper than the heap is. */
static uint32_t count_below(const heap_t *h, uint32_t i, int64_t ms)
{
    if (i >= h->count || heap_at_ms(*slot(h, i)) >= ms) return 0;
    return 1 + count_below(h, 2 * i + 1, ms) + count_below(h, 2 * i + 2, ms);
}

uint32_t heap_count_before(const heap_t *h, int64_t ms) { return count_below(h, 0, ms); }

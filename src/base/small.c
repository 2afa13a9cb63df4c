/* small.c: small blocks in steps of 8 bytes, without a header each. Who frees one says how long it is, as who allocated it did.
 *
 *   chunk, 2 MiB on its own bound:  | page | page | ... 64 of 32 KiB, each of one size of block or free |
 *   page, on its own bound:         | header | block | block | ... |
 *
 * jemalloc's classes lie 16 bytes apart and above 128 up to a fifth: an entry of 88 bytes takes 96 there, one of 136 takes 160.
 *
 * Each thread has a heap of its own, without locks. A block that another thread frees is pushed onto its heap's `returned` and
 * taken in by the owner when a page runs full, or when it frees itself. Invariants: a page is in its size's list if and only if
 * it has room; a chunk is in the heap's list if and only if it has a free page. */
#include "base/base.h"
#include "base/list.h"

#include <stdatomic.h>
#include <sys/mman.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
/* The sanitizers watch each block by itself. */
void *mem_small_alloc(size_t bytes) { return mem_alloc(bytes); }
void mem_small_free(void *block, size_t bytes) { mem_free(block); }
size_t mem_small_used(void) { return 0; }
const size_t *mem_small_meter(void) { return NULL; }
#else

enum {
    STEP_BYTES = 8,
    PAGE_BYTES = 32 << 10,
    CHUNK_PAGES = 64,
    CHUNK_BYTES = CHUNK_PAGES * PAGE_BYTES,
    SIZES = MEM_SMALL_BYTES_MAX / STEP_BYTES,
};

typedef struct small_heap small_heap_t;

typedef struct chunk {
    list_t node;
    uint8_t *memory;
    uint64_t free_pages; /* a bit each */
} chunk_t;

typedef struct page {
    list_t node;
    small_heap_t *heap;
    chunk_t *chunk;
    uint16_t free;  /* the last block that was freed, in steps from the page; 0 = none. Each names the next. */
    uint16_t fresh; /* the first block that was never used, in steps from the page */
    uint16_t used;  /* blocks */
    uint16_t size;  /* of a block, in steps */
} page_t;
_Static_assert(sizeof(page_t) % STEP_BYTES == 0, "blocks are aligned behind the header");
_Static_assert(PAGE_BYTES / STEP_BYTES <= UINT16_MAX, "a place in a page fits 16 bits");

/* A block on its way back to its heap. */
typedef struct returned {
    struct returned *next;
    size_t bytes;
} returned_t;

/* Owned by its thread, and never freed: its blocks may outlive the thread. */
struct small_heap {
    list_t pages[SIZES + 1]; /* with room, by size in steps */
    list_t chunks;           /* with free pages */
    size_t chunks_made;
    size_t used_bytes; /* read by other threads */
    _Atomic(returned_t *) returned;
    small_heap_t *next;
};

/* Of the process, like the heap behind malloc. */
static _Atomic(small_heap_t *) heaps;
static _Thread_local small_heap_t *own;

static void count(small_heap_t *heap, size_t bytes) { __atomic_store_n(&heap->used_bytes, bytes, __ATOMIC_RELAXED); }

static small_heap_t *heap_new(void)
{
    small_heap_t *heap = mem_zalloc(sizeof(*heap));
    for (size_t i = 0; i <= SIZES; i++) list_init(&heap->pages[i]);
    list_init(&heap->chunks);
    heap->next = atomic_load(&heaps);
    while (!atomic_compare_exchange_weak(&heaps, &heap->next, heap)) {
    }
    return own = heap;
}

static inline small_heap_t *heap_of_thread(void) { return LIKELY(own != NULL) ? own : heap_new(); }

/* ---- chunks and pages ------------------------------------------------------------------------------------------------ */

static uint8_t *map(size_t bytes)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) mem_exhausted(bytes);
    return memory;
}

/* Kernels that lay large mappings on the bounds of huge pages do so at the first try. */
static uint8_t *map_chunk(void)
{
    uint8_t *memory = map(CHUNK_BYTES);
    if ((uintptr_t)memory % CHUNK_BYTES == 0) return memory;
    munmap(memory, CHUNK_BYTES);
    memory = map(2 * (size_t)CHUNK_BYTES);
    size_t before = CHUNK_BYTES - (uintptr_t)memory % CHUNK_BYTES;
    munmap(memory, before);
    if (before < CHUNK_BYTES) munmap(memory + before + CHUNK_BYTES, CHUNK_BYTES - before);
    return memory + before;
}

static chunk_t *chunk_new(small_heap_t *heap)
{
    chunk_t *chunk = mem_alloc(sizeof(*chunk));
    *chunk = (chunk_t){.memory = map_chunk(), .free_pages = UINT64_MAX};
    /* Not the first: few keys need no huge page. */
    if (heap->chunks_made++ > 0) mem_huge_advise(chunk->memory, CHUNK_BYTES);
    list_push_front(&heap->chunks, &chunk->node);
    return chunk;
}

/* The last chunk with room stays. */
static void release_page(small_heap_t *heap, page_t *page)
{
    chunk_t *chunk = page->chunk;
    bool had = chunk->free_pages != 0;
    chunk->free_pages |= UINT64_C(1) << ((size_t)((uint8_t *)page - chunk->memory) / PAGE_BYTES);
    if (!had) list_push_back(&heap->chunks, &chunk->node);
    if (chunk->free_pages != UINT64_MAX || list_has_one(&heap->chunks)) return;
    list_remove(&chunk->node);
    munmap(chunk->memory, CHUNK_BYTES);
    mem_free(chunk);
}

static page_t *page_new(small_heap_t *heap, size_t size)
{
    chunk_t *chunk = list_empty(&heap->chunks) ? chunk_new(heap) : CONTAINER_OF(heap->chunks.next, chunk_t, node);
    unsigned at = (unsigned)__builtin_ctzll(chunk->free_pages);
    chunk->free_pages &= chunk->free_pages - 1;
    if (chunk->free_pages == 0) list_remove(&chunk->node);
    page_t *page = (page_t *)(chunk->memory + (size_t)at * PAGE_BYTES);
    *page = (page_t){.heap = heap, .chunk = chunk, .fresh = sizeof(page_t) / STEP_BYTES, .size = (uint16_t)size};
    list_push_front(&heap->pages[size], &page->node);
    return page;
}

/* ---- blocks ---------------------------------------------------------------------------------------------------------- */

static inline bool is_full(const page_t *page)
{
    return page->free == 0 && page->fresh + page->size > PAGE_BYTES / STEP_BYTES;
}

static inline uint8_t *at_step(page_t *page, size_t step) { return (uint8_t *)page + step * STEP_BYTES; }

static void free_own(small_heap_t *heap, page_t *page, void *block)
{
    bool was_full = is_full(page);
    memcpy(block, &page->free, sizeof(page->free));
    page->free = (uint16_t)((size_t)((uint8_t *)block - (uint8_t *)page) / STEP_BYTES);
    page->used--;
    count(heap, heap->used_bytes - (size_t)page->size * STEP_BYTES);
    list_t *pages = &heap->pages[page->size];
    if (was_full) list_push_front(pages, &page->node);
    if (page->used || list_has_one(pages)) return;
    list_remove(&page->node);
    release_page(heap, page);
}

static page_t *page_of(void *block) { return (page_t *)((uintptr_t)block & ~(uintptr_t)(PAGE_BYTES - 1)); }

/* Takes in what other threads have freed. */
static void take_returned(small_heap_t *heap)
{
    if (!atomic_load_explicit(&heap->returned, memory_order_relaxed)) return;
    returned_t *r = atomic_exchange_explicit(&heap->returned, NULL, memory_order_acquire);
    while (r) {
        returned_t *next = r->next;
        free_own(heap, page_of(r), r);
        r = next;
    }
}

static page_t *page_with_room(small_heap_t *heap, size_t size)
{
    list_t *pages = &heap->pages[size];
    if (UNLIKELY(list_empty(pages))) take_returned(heap);
    return LIKELY(!list_empty(pages)) ? CONTAINER_OF(pages->next, page_t, node) : page_new(heap, size);
}

void *mem_small_alloc(size_t bytes)
{
    if (UNLIKELY(bytes > MEM_SMALL_BYTES_MAX)) return mem_alloc(bytes);
    small_heap_t *heap = heap_of_thread();
    size_t size = MAX(bytes + STEP_BYTES - 1, sizeof(returned_t)) / STEP_BYTES;
    page_t *page = page_with_room(heap, size);
    uint8_t *block = at_step(page, page->free ? page->free : page->fresh);
    if (page->free)
        memcpy(&page->free, block, sizeof(page->free));
    else
        page->fresh = (uint16_t)(page->fresh + size);
    page->used++;
    count(heap, heap->used_bytes + size * STEP_BYTES);
    if (is_full(page)) list_remove(&page->node);
    return block;
}

void mem_small_free(void *block, size_t bytes)
{
    if (UNLIKELY(bytes > MEM_SMALL_BYTES_MAX)) {
        mem_free(block);
        return;
    }
    page_t *page = page_of(block);
    small_heap_t *heap = page->heap;
    ASSERT(page->size == MAX(bytes + STEP_BYTES - 1, sizeof(returned_t)) / STEP_BYTES);
    if (LIKELY(heap == own)) {
        free_own(heap, page, block);
        return;
    }
    returned_t *r = block;
    r->next = atomic_load_explicit(&heap->returned, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(&heap->returned, &r->next, r, memory_order_release,
                                                  memory_order_relaxed)) {
    }
}

size_t mem_small_used(void)
{
    size_t bytes = 0;
    for (small_heap_t *heap = atomic_load(&heaps); heap; heap = heap->next)
        bytes += __atomic_load_n(&heap->used_bytes, __ATOMIC_RELAXED);
    return bytes;
}

const size_t *mem_small_meter(void) { return &heap_of_thread()->used_bytes; }

#endif

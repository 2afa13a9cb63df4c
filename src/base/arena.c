/* arena.c: see arena.h. Chunks start at 4 KiB and double up to 1 MiB; a larger request gets a chunk of its own size. */
#include "base/arena.h"

#include <stdarg.h>
#include <stdio.h>

struct arena_chunk {
    arena_chunk_t *older;
    size_t bytes;
    uint8_t data[];
};

#define CHUNK_BYTES_FIRST KIB(4)
#define CHUNK_BYTES_MAX   MIB(1)

void arena_init(arena_t *a, size_t bytes_max) { *a = (arena_t){.bytes_max = bytes_max}; }

static void free_chunks(arena_chunk_t *chunk)
{
    while (chunk) {
        arena_chunk_t *older = chunk->older;
        mem_free(chunk);
        chunk = older;
    }
}

void arena_deinit(arena_t *a)
{
    free_chunks(a->head);
    arena_init(a, a->bytes_max);
}

void arena_reset(arena_t *a)
{
    a->bytes_used = 0;
    if (!a->head) return;
    if (a->head->bytes > CHUNK_BYTES_MAX) { /* one oversized request must not pin its memory */
        arena_deinit(a);
        return;
    }
    free_chunks(a->head->older);
    a->head->older = NULL;
    a->next = a->head->data;
    a->end = a->head->data + a->head->bytes;
}

static bool add_chunk(arena_t *a, size_t bytes)
{
    size_t size = a->head ? MIN(a->head->bytes * 2, CHUNK_BYTES_MAX) : CHUNK_BYTES_FIRST;
    size = MAX(size, bytes);
    arena_chunk_t *chunk = mem_try_alloc(sizeof(*chunk) + size);
    if (!chunk) return false;
    *chunk = (arena_chunk_t){.older = a->head, .bytes = size};
    a->head = chunk;
    a->next = chunk->data;
    a->end = chunk->data + size;
    return true;
}

void *arena_try_alloc(arena_t *a, size_t bytes)
{
    if (UNLIKELY(bytes > SIZE_MAX / 2)) return NULL;
    bytes = (bytes + 7) & ~(size_t)7;
    if (UNLIKELY(a->bytes_max && a->bytes_used + bytes > a->bytes_max)) return NULL;
    if (UNLIKELY((size_t)(a->end - a->next) < bytes || !a->next)) {
        if (!add_chunk(a, bytes)) return NULL;
    }
    void *ptr = a->next;
    a->next += bytes;
    a->bytes_used += bytes;
    return ptr;
}

void *arena_alloc(arena_t *a, size_t bytes)
{
    size_t bound = a->bytes_max;
    a->bytes_max = 0;
    void *ptr = arena_try_alloc(a, bytes);
    a->bytes_max = bound;
    if (UNLIKELY(!ptr)) mem_exhausted(bytes);
    return ptr;
}

void *arena_zalloc(arena_t *a, size_t bytes) { return memset(arena_alloc(a, bytes), 0, bytes); }

bytes_t arena_copy(arena_t *a, bytes_t b)
{
    if (!b.ptr) return b;
    uint8_t *copy = arena_alloc(a, b.len);
    memcpy(copy, b.ptr, b.len);
    return bytes_of(copy, b.len);
}

char *arena_strdup(arena_t *a, bytes_t b)
{
    char *copy = arena_alloc(a, b.len + 1);
    if (b.len) memcpy(copy, b.ptr, b.len);
    copy[b.len] = '\0';
    return copy;
}

char *arena_printf(arena_t *a, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    ASSERT(n >= 0);
    char *text = arena_alloc(a, (size_t)n + 1);
    va_start(args, fmt);
    vsnprintf(text, (size_t)n + 1, fmt, args);
    va_end(args);
    return text;
}

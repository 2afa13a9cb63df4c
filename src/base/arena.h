/* arena.h: memory that belongs to one request and dies with its reply.
 *
 * An arena is a list of chunks; allocation bumps a pointer, reset keeps the first chunk. Nothing is freed singly.
 * Pointers are aligned to 8 bytes. */
#ifndef TRIVET_BASE_ARENA_H
#define TRIVET_BASE_ARENA_H

#include "base/base.h"

typedef struct arena_chunk arena_chunk_t;

typedef struct arena {
    arena_chunk_t *head; /* the chunk being filled; older ones behind it */
    uint8_t *next;
    uint8_t *end;
    size_t bytes_used; /* handed out since the last reset */
    size_t bytes_max;  /* arena_try_alloc fails past this; 0 = no bound */
} arena_t;

void arena_init(arena_t *a, size_t bytes_max);
void arena_deinit(arena_t *a);
void arena_reset(arena_t *a);

/* NULL when `bytes_max` would be passed or the heap is gone: decoders use this for sizes that a client chose. */
void *arena_try_alloc(arena_t *a, size_t bytes);
/* Cannot fail; for sizes that are ours. */
void *arena_alloc(arena_t *a, size_t bytes);
void *arena_zalloc(arena_t *a, size_t bytes);
bytes_t arena_copy(arena_t *a, bytes_t b);
/* A NUL-terminated copy. */
char *arena_strdup(arena_t *a, bytes_t b);
char *arena_printf(arena_t *a, const char *fmt, ...) PRINTF_LIKE(2, 3);

#define ARENA_NEW(a, type)      ((type *)arena_zalloc((a), sizeof(type)))
#define ARENA_ARRAY(a, type, n) ((type *)arena_zalloc((a), sizeof(type) * (size_t)(n)))

#endif

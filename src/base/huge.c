/* huge.c: huge pages under the heap. Tables and entries are read at random, and with pages of 4 KiB half of a lookup's time
 * goes into address translation. Nothing here forks, so huge pages cost no copies.
 *
 * jemalloc's own `thp:always` would back the first pages of every arena too, and an idle server would take twice its memory.
 * Hooks stand in for the arena's way to the kernel instead: the first HUGE_AFTER_BYTES of an arena stay as they are, and what
 * follows is laid out on the bounds of huge pages and advised. The arena of very large blocks is advised from the start. */
#include "base/base.h"

#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>

/* Of the process, like the heap. */
static atomic_bool given; /* the kernel gives huge pages to whom asks */
static atomic_size_t advised_bytes;

void mem_huge_advise(void *at, size_t bytes)
{
    if (!atomic_load_explicit(&given, memory_order_relaxed) || madvise(at, bytes, MADV_HUGEPAGE) != 0) return;
    atomic_fetch_add_explicit(&advised_bytes, bytes, memory_order_relaxed);
}

bool mem_huge_advised(size_t *ret_bytes)
{
    *ret_bytes = atomic_load_explicit(&advised_bytes, memory_order_relaxed);
    return atomic_load_explicit(&given, memory_order_relaxed);
}

#ifdef TRIVET_JEMALLOC
#include <jemalloc/jemalloc.h>

#define HUGE_PAGE_BYTES  MIB(2)
#define HUGE_AFTER_BYTES MIB(4)
#define AHEAD_BYTES_MAX  MIB(16)

/* Owned by an arena, which stays until the process ends. */
typedef struct huge_hooks {
    extent_hooks_t hooks;
    extent_alloc_t *alloc; /* jemalloc's own */
    size_t plain_bytes_max;
    atomic_size_t mapped_bytes;
} huge_hooks_t;

static void *alloc_extent(extent_hooks_t *hooks, void *at, size_t size, size_t alignment, bool *zero, bool *commit,
                          unsigned arena)
{
    huge_hooks_t *h = CONTAINER_OF(hooks, huge_hooks_t, hooks);
    size_t before = atomic_fetch_add_explicit(&h->mapped_bytes, size, memory_order_relaxed);
    bool huge = size >= HUGE_PAGE_BYTES && before >= h->plain_bytes_max;
    void *block = h->alloc(hooks, at, size, huge ? MAX(alignment, HUGE_PAGE_BYTES) : alignment, zero, commit, arena);
    if (block && huge) mem_huge_advise(block, size);
    return block;
}

static void hook(unsigned arena, size_t plain_bytes_max)
{
    char name[48];
    extent_hooks_t *old = NULL;
    size_t size = sizeof(old);
    snprintf(name, sizeof(name), "arena.%u.extent_hooks", arena);
    if (mallctl(name, (void *)&old, &size, NULL, 0) != 0 || !old || old->alloc == alloc_extent) return;
    huge_hooks_t *h = mem_zalloc(sizeof(*h));
    h->hooks = *old;
    h->hooks.alloc = alloc_extent;
    h->alloc = old->alloc;
    h->plain_bytes_max = plain_bytes_max;
    extent_hooks_t *hooks = &h->hooks;
    if (mallctl(name, NULL, NULL, (void *)&hooks, sizeof(hooks)) != 0) mem_free(h);
}

static unsigned arena_of_thread(void)
{
    unsigned arena = 0;
    size_t size = sizeof(arena);
    return mallctl("thread.arena", &arena, &size, NULL, 0) == 0 ? arena : 0;
}

/* Very large blocks come from an arena that is made for the first of them. */
static bool arena_of_large(unsigned *ret_arena)
{
    size_t bytes = 0, size = sizeof(bytes);
    if (mallctl("opt.oversize_threshold", &bytes, &size, NULL, 0) != 0 || bytes == 0) return false;
    void *block = mem_try_alloc(bytes);
    if (!block) return false;
    size = sizeof(*ret_arena);
    int rc = mallctl("arenas.lookup", ret_arena, &size, (void *)&block, sizeof(block));
    mem_free(block);
    return rc == 0;
}

/* False when the kernel gives none to this process, or to all without being asked. */
static bool can_advise(void)
{
    char modes[64] = "";
    FILE *file = fopen("/sys/kernel/mm/transparent_hugepage/enabled", "re");
    if (!file) return false;
    bool got = fgets(modes, sizeof(modes), file) != NULL;
    fclose(file);
    return got && !strstr(modes, "[never]");
}

static bool address_space_is_limited(void)
{
    struct rlimit space;
    return getrlimit(RLIMIT_AS, &space) == 0 && space.rlim_cur != RLIM_INFINITY;
}

/* An arena reserves ahead a fifth of what it has, which another thread's heap would miss. Much smaller steps than this would leave
 * ends in which values of mebibytes do not fit. */
static void reserve_little(unsigned arena)
{
    char name[48];
    size_t bytes_max = AHEAD_BYTES_MAX;
    snprintf(name, sizeof(name), "arena.%u.retain_grow_limit", arena);
    (void)mallctl(name, NULL, NULL, &bytes_max, sizeof(bytes_max)); /* an older jemalloc has no such limit */
}

void mem_thread_begin(void)
{
    unsigned own = arena_of_thread(), large;
    bool has_large = arena_of_large(&large);
    if (address_space_is_limited()) {
        reserve_little(own);
        if (has_large) reserve_little(large);
    }
    if (!can_advise()) return;
    atomic_store_explicit(&given, true, memory_order_relaxed);
    hook(own, HUGE_AFTER_BYTES);
    if (has_large) hook(large, 0);
}

#else

void mem_thread_begin(void) {}

#endif

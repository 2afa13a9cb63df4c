/* base.c: error texts, assertions, byte comparison and the allocator's front. */
#include "base/base.h"

#include <ctype.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <unistd.h>

#ifdef TRIVET_JEMALLOC
#include <jemalloc/jemalloc.h>
#else
#include <malloc.h>
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define ALLOCATOR_OF_SANITIZER 1
size_t __sanitizer_get_current_allocated_bytes(void); /* its allocator does not answer mallinfo2 */
#endif

const char *err_text(int err)
{
    switch (err) {
    case 0: return "success";
#define X(name, code, text)                                                                                            \
    case code: return text;
        ERR_MAP(X)
#undef X
    default: return "unknown error";
    }
}

int err_from_errno(int errno_value)
{
    switch (errno_value) {
    case EAGAIN:
    case EINTR: return ERR_AGAIN;
    case ENOMEM:
    case ENOBUFS: return ERR_NOMEM;
    case ENOSPC:
    case EDQUOT: return ERR_NOSPACE;
    case ENOENT: return ERR_NOT_FOUND;
    case EEXIST: return ERR_EXISTS;
    case ENOTEMPTY: return ERR_NOT_EMPTY;
    case EACCES:
    case EPERM: return ERR_ACCESS;
    case EROFS: return ERR_READONLY;
    case ENOTDIR: return ERR_NOT_DIR;
    case EADDRINUSE: return ERR_ADDRINUSE;
    case ECONNREFUSED: return ERR_CONNREFUSED;
    case ETIMEDOUT: return ERR_TIMEDOUT;
    case EPIPE:
    case ENOTCONN:
    case ECONNABORTED:
    case ECONNRESET: return ERR_CLOSED;
    case EMFILE:
    case ENFILE: return ERR_FILES;
    case EFBIG: return ERR_LIMIT;
    case EADDRNOTAVAIL: return ERR_ADDRNOTAVAIL;
    case EINVAL: return ERR_INVALID;
    case EBUSY: return ERR_BUSY;
    case ENOTSUP: return ERR_UNSUPPORTED;
    default: return ERR_IO;
    }
}

void assert_failed(const char *expr, const char *file, int line)
{
    fprintf(stderr, "trivet: assertion failed: %s (%s:%d)\n", expr, file, line);
    fflush(stderr);
    abort();
}

bool bytes_eq_nocase(bytes_t a, bytes_t b)
{
    return a.len == b.len && (a.len == 0 || strncasecmp((const char *)a.ptr, (const char *)b.ptr, a.len) == 0);
}

/* The bytes that a UTF-8 sequence takes which begins with `lead`; 0 = none does. *ret_least: what its code point must reach. */
static size_t utf8_bytes(uint8_t lead, uint32_t *ret_least)
{
    static const uint32_t least[] = {0, 1, 0x80, 0x800, 0x10000};
    size_t n = lead < 0x80 ? lead > 0 : lead < 0xc0 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : lead < 0xf8 ? 4 : 0;
    *ret_least = least[n];
    return n;
}

bool bytes_are_text(bytes_t b)
{
    while (b.len) {
        uint32_t least;
        size_t n = utf8_bytes(b.ptr[0], &least);
        if (n == 0 || n > b.len) return false;
        uint32_t point = n == 1 ? b.ptr[0] : b.ptr[0] & (0x7fu >> n);
        for (size_t i = 1; i < n; i++) {
            if ((b.ptr[i] & 0xc0) != 0x80) return false;
            point = point << 6 | (b.ptr[i] & 0x3fu);
        }
        if (point < least || point > 0x10ffff || (point >= 0xd800 && point < 0xe000)) return false;
        b = bytes_of(b.ptr + n, b.len - n);
    }
    return true;
}

int bytes_cmp(bytes_t a, bytes_t b)
{
    size_t n = MIN(a.len, b.len);
    int c = n ? memcmp(a.ptr, b.ptr, n) : 0;
    if (c != 0) return c;
    return a.len < b.len ? -1 : a.len > b.len;
}

/* Of the process: like its standard error, there is one. */
static struct {
    void (*tell)(void *user);
    void *user;
} on_exhausted;

void mem_on_exhausted(void (*tell)(void *user), void *user)
{
    on_exhausted.tell = tell;
    on_exhausted.user = user;
}

/* Not abort: nothing is wrong with the program, and a core of all its memory would help nobody. */
void mem_exhausted(size_t bytes)
{
    fprintf(stderr, "trivet: out of memory: %zu bytes were asked for\n", bytes);
    if (on_exhausted.tell) on_exhausted.tell(on_exhausted.user);
    _exit(EXIT_OUT_OF_MEMORY);
}

static void *check_alloc(void *ptr, size_t bytes)
{
    if (UNLIKELY(ptr == NULL) && bytes > 0) mem_exhausted(bytes);
    return ptr;
}

static atomic_size_t refused; /* of the process, too */

size_t mem_refused(void) { return atomic_load_explicit(&refused, memory_order_relaxed); }

/* Where not even little can be had, one caller who gives up is followed by all others: the process would live on and serve
 * nobody. */
static void *check_try(void *ptr, size_t bytes)
{
    if (LIKELY(ptr != NULL) || bytes == 0) return ptr;
    if (bytes < MEM_REFUSED_BYTES_MIN) mem_exhausted(bytes);
    atomic_fetch_add_explicit(&refused, 1, memory_order_relaxed);
    return NULL;
}

void *mem_alloc(size_t bytes) { return check_alloc(malloc(bytes), bytes); }
void *mem_zalloc(size_t bytes) { return check_alloc(calloc(1, bytes), bytes); }
void *mem_realloc(void *ptr, size_t bytes) { return check_alloc(realloc(ptr, bytes), bytes); }
void *mem_try_alloc(size_t bytes) { return check_try(malloc(bytes), bytes); }
void *mem_try_realloc(void *ptr, size_t bytes) { return check_try(realloc(ptr, bytes), bytes); }
void mem_free(void *ptr) { free(ptr); }

char *mem_strdup(const char *s) { return mem_strndup(bytes_str(s)); }

char *mem_strndup(bytes_t b)
{
    char *copy = mem_alloc(b.len + 1);
    if (b.len) memcpy(copy, b.ptr, b.len);
    copy[b.len] = '\0';
    return copy;
}

static size_t heap_used(void)
{
#ifdef TRIVET_JEMALLOC
    uint64_t epoch = 1;
    size_t size = sizeof(epoch), used = 0;
    mallctl("epoch", &epoch, &size, &epoch, size);
    size = sizeof(used);
    if (mallctl("stats.allocated", &used, &size, NULL, 0) != 0) return 0;
    return used;
#elif defined(ALLOCATOR_OF_SANITIZER)
    return __sanitizer_get_current_allocated_bytes();
#else
    return mallinfo2().uordblks;
#endif
}

size_t mem_used(void) { return heap_used() + mem_small_used(); }

mem_totals_t mem_totals(void)
{
    mem_totals_t t;
    t.used_bytes = t.active_bytes = t.resident_bytes = mem_used();
#ifdef TRIVET_JEMALLOC
    size_t size = sizeof(t.active_bytes);
    if (mallctl("stats.active", &t.active_bytes, &size, NULL, 0) != 0) t.active_bytes = heap_used();
    size = sizeof(t.resident_bytes);
    if (mallctl("stats.resident", &t.resident_bytes, &size, NULL, 0) != 0) t.resident_bytes = t.active_bytes;
    t.active_bytes += mem_small_used();
    t.resident_bytes += mem_small_used();
#endif
    return t;
}

void mem_purge(void)
{
#ifdef TRIVET_JEMALLOC
    char name[48];
    snprintf(name, sizeof(name), "arena.%u.purge", (unsigned)MALLCTL_ARENAS_ALL);
    (void)mallctl(name, NULL, NULL, NULL, 0);
#else
    malloc_trim(0);
#endif
}

bool mem_describe(void (*piece)(void *user, const char *text), void *user)
{
#ifdef TRIVET_JEMALLOC
    malloc_stats_print(piece, user, NULL);
    return true;
#else
    (void)piece;
    (void)user;
    return false;
#endif
}

void mem_meter_set(mem_meter_t *meter)
{
    *meter = (mem_meter_t){.used_bytes = mem_used()};
#ifdef TRIVET_JEMALLOC
    size_t size = sizeof(meter->taken_bytes);
    if (mallctl("thread.allocatedp", &meter->taken_bytes, &size, NULL, 0) != 0 ||
        mallctl("thread.deallocatedp", &meter->given_bytes, &size, NULL, 0) != 0) {
        meter->taken_bytes = NULL;
        return;
    }
    meter->taken_at_set = *meter->taken_bytes;
    meter->given_at_set = *meter->given_bytes;
    meter->small_bytes = mem_small_meter();
    meter->small_at_set = *meter->small_bytes;
#endif
}

size_t mem_usable(const void *ptr) { return malloc_usable_size((void *)ptr); }

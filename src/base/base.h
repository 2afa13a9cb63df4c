/* base.h: the words every file of Trivet may use: sizes, assertions, attributes and the error table.
 *
 * Functions return 0 or a negative ERR_ code from the one table below; outputs are `ret_...` parameters, last,
 * written only on success. Assertions stay on in release builds: they catch our bugs, never bad input. */
#ifndef TRIVET_BASE_BASE_H
#define TRIVET_BASE_BASE_H

#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/types.h>

#define MUST_CHECK                      __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, first)         __attribute__((format(printf, fmt, first)))
#define NORETURN                        __attribute__((noreturn))
#define UNUSED                          __attribute__((unused))
#define PACKED                          __attribute__((packed))
#define LIKELY(x)                       __builtin_expect(!!(x), 1)
#define UNLIKELY(x)                     __builtin_expect(!!(x), 0)
#define ARRAY_LEN(a)                    (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b)                       ((a) < (b) ? (a) : (b))
#define MAX(a, b)                       ((a) > (b) ? (a) : (b))
#define CONTAINER_OF(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

#define KIB(n) ((size_t)(n) << 10)
#define MIB(n) ((size_t)(n) << 20)

/* X(NAME, code, text): the one table of errors. Protocols map these to their own codes once, at their edge. */
#define ERR_MAP(X)                                                                                                     \
    X(ERR_AGAIN, -1, "would block")                                                                                    \
    X(ERR_NOMEM, -2, "out of memory")                                                                                  \
    X(ERR_NOSPACE, -3, "no space left on device")                                                                      \
    X(ERR_IO, -4, "input/output error")                                                                                \
    X(ERR_CORRUPT, -5, "data is corrupt")                                                                              \
    X(ERR_TRUNCATED, -6, "data ends early")                                                                            \
    X(ERR_INVALID, -7, "invalid value")                                                                                \
    X(ERR_LIMIT, -8, "limit exceeded")                                                                                 \
    X(ERR_NOT_FOUND, -9, "not found")                                                                                  \
    X(ERR_EXISTS, -10, "already exists")                                                                               \
    X(ERR_CLOSED, -11, "closed")                                                                                       \
    X(ERR_ADDRINUSE, -12, "address already in use")                                                                    \
    X(ERR_ACCESS, -13, "permission denied")                                                                            \
    X(ERR_CONNREFUSED, -14, "connection refused")                                                                      \
    X(ERR_TIMEDOUT, -15, "timed out")                                                                                  \
    X(ERR_BUSY, -16, "busy")                                                                                           \
    X(ERR_UNSUPPORTED, -17, "not supported")                                                                           \
    X(ERR_STATE, -18, "not possible in this state")                                                                    \
    X(ERR_NOT_EMPTY, -19, "not empty")                                                                                 \
    X(ERR_OUT_OF_RANGE, -20, "out of range")                                                                           \
    X(ERR_FILES, -21, "too many open files")                                                                           \
    X(ERR_READONLY, -22, "the file system is read-only")                                                               \
    X(ERR_NOT_DIR, -23, "not a directory")                                                                             \
    X(ERR_DAMAGED, -24, "damaged")                                                                                     \
    X(ERR_ADDRNOTAVAIL, -25, "not an address of this machine")

enum {
#define X(name, code, text) name = (code),
    ERR_MAP(X)
#undef X
};

/* The text of an error code; never NULL. */
const char *err_text(int err);
/* Maps an errno value to an ERR_ code (always negative). */
int err_from_errno(int errno_value) MUST_CHECK;

void assert_failed(const char *expr, const char *file, int line) NORETURN;
#define ASSERT(expr)  (LIKELY(expr) ? (void)0 : assert_failed(#expr, __FILE__, __LINE__))
#define UNREACHABLE() assert_failed("unreachable", __FILE__, __LINE__)

/* A borrowed run of bytes. `ptr` may be NULL only when `len` is 0 (a null value is ptr NULL, an empty one is not). */
typedef struct bytes {
    const uint8_t *ptr;
    size_t len;
} bytes_t;

#define BYTES_NULL   ((bytes_t){NULL, 0})
#define BYTES_LIT(s) ((bytes_t){(const uint8_t *)(s), sizeof(s) - 1})

static inline bytes_t bytes_of(const void *ptr, size_t len) { return (bytes_t){(const uint8_t *)ptr, len}; }
/* Behind the last byte. Of BYTES_NULL too, to whose pointer C does not let even 0 be added. */
static inline const uint8_t *bytes_end(bytes_t b) { return b.len ? b.ptr + b.len : b.ptr; }
static inline bytes_t bytes_str(const char *s) { return (bytes_t){(const uint8_t *)s, strlen(s)}; }
static inline bool bytes_eq(bytes_t a, bytes_t b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}
bool bytes_eq_nocase(bytes_t a, bytes_t b);
/* UTF-8 without a NUL: what may become a C string or a string of JSON and be the same when read back. */
bool bytes_are_text(bytes_t b);
/* memcmp order, shorter first on a tie. */
int bytes_cmp(bytes_t a, bytes_t b);

/* Allocation that cannot fail: small control structures die with a clear line when the heap is gone. Buffers whose
 * size a client chooses use mem_try_* and answer ERR_NOMEM: it is refused from MEM_REFUSED_BYTES_MIN on; less than that
 * everybody needs, and its want ends the process as well. */
void *mem_alloc(size_t bytes);
/* What an allocation that fails does: a line, what `tell` adds to it (it must not allocate), and the end of the process. */
_Noreturn void mem_exhausted(size_t bytes);
void mem_on_exhausted(void (*tell)(void *user), void *user);
#define EXIT_OUT_OF_MEMORY 71
void *mem_zalloc(size_t bytes);
void *mem_realloc(void *ptr, size_t bytes);
#define MEM_REFUSED_BYTES_MIN MIB(1)
void *mem_try_alloc(size_t bytes);
void *mem_try_realloc(void *ptr, size_t bytes);
size_t mem_refused(void); /* how often they did */
void mem_free(void *ptr);
char *mem_strdup(const char *s);
/* A NUL-terminated copy of `b`. */
char *mem_strndup(bytes_t b);
/* From now on what the calling thread's heap grows by lies on huge pages, where the kernel gives them; and where the address
 * space is limited little of it is reserved ahead. Once a thread. */
void mem_thread_begin(void);
/* Whether huge pages are asked for; *ret_bytes: for how much they have been, so far. */
bool mem_huge_advised(size_t *ret_bytes);
/* The same for a mapping that did not come from the heap. */
void mem_huge_advise(void *at, size_t bytes);
/* Blocks in steps of 8 bytes, aligned to 8, up to MEM_SMALL_BYTES_MAX; longer ones are mem_alloc's. They do not know their size:
 * who frees one says it. Any thread may free. */
#define MEM_SMALL_BYTES_MAX 512
void *mem_small_alloc(size_t bytes);
void mem_small_free(void *block, size_t bytes);
/* What a small block of so many bytes takes. */
static inline size_t mem_small_bytes(size_t bytes) { return bytes <= 16 ? 16 : (bytes + 7) & ~(size_t)7; }
/* Bytes of small blocks in use; part of mem_used. */
size_t mem_small_used(void);
/* The calling thread's part of that, to be read whenever its thread likes. */
const size_t *mem_small_meter(void);
/* Usable size of one block. */
size_t mem_usable(const void *ptr);
/* Bytes in use by the process: what the allocator says (jemalloc stats.allocated), and small blocks. */
size_t mem_used(void);
/* Of the allocator: in use, in pages that hold something, in pages that the system has given. Where it does not tell, all are
 * what is in use. */
typedef struct mem_totals {
    size_t used_bytes, active_bytes, resident_bytes;
} mem_totals_t;
mem_totals_t mem_totals(void);
/* Gives unused pages back to the system. */
void mem_purge(void);
/* What the allocator tells of itself, piece by piece; false when it tells nothing. */
bool mem_describe(void (*piece)(void *user, const char *text), void *user);
/* The same, cheap enough to be asked before every command: what mem_used said when the meter was set, and what its thread
 * has taken and given back since. What other threads do counts at the next setting. */
typedef struct mem_meter {
    size_t used_bytes;
    const uint64_t *taken_bytes, *given_bytes; /* the thread's own counters; NULL = the allocator has none */
    uint64_t taken_at_set, given_at_set;
    const size_t *small_bytes; /* the thread's own as well */
    size_t small_at_set;
} mem_meter_t;
void mem_meter_set(mem_meter_t *meter);
static inline size_t mem_meter_read(const mem_meter_t *meter)
{
    if (UNLIKELY(!meter->taken_bytes)) return mem_used();
    uint64_t change = (*meter->taken_bytes - meter->taken_at_set) - (*meter->given_bytes - meter->given_at_set);
    int64_t used = (int64_t)(meter->used_bytes + change + *meter->small_bytes - meter->small_at_set);
    return used > 0 ? (size_t)used : 0;
}

/* Asks for the cache line at `p`, which may be any address. The empty statement keeps it: a function that did nothing but
 * __builtin_prefetch would count as one without effects, and the compiler drops calls of those. */
static inline void mem_prefetch(const void *p)
{
    __builtin_prefetch(p);
    __asm__ volatile("");
}

/* Unaligned loads and stores. be = network order (Kafka, Jute), le = host order on disk where Redis wants it. */
static inline uint16_t load_be16(const void *p)
{
    uint16_t v;
    memcpy(&v, p, 2);
    return __builtin_bswap16(v);
}
static inline uint32_t load_be32(const void *p)
{
    uint32_t v;
    memcpy(&v, p, 4);
    return __builtin_bswap32(v);
}
static inline uint64_t load_be64(const void *p)
{
    uint64_t v;
    memcpy(&v, p, 8);
    return __builtin_bswap64(v);
}
static inline void store_be16(void *p, uint16_t v)
{
    v = __builtin_bswap16(v);
    memcpy(p, &v, 2);
}
static inline void store_be32(void *p, uint32_t v)
{
    v = __builtin_bswap32(v);
    memcpy(p, &v, 4);
}
static inline void store_be64(void *p, uint64_t v)
{
    v = __builtin_bswap64(v);
    memcpy(p, &v, 8);
}
static inline uint16_t load_le16(const void *p)
{
    uint16_t v;
    memcpy(&v, p, 2);
    return v;
}
static inline uint32_t load_le32(const void *p)
{
    uint32_t v;
    memcpy(&v, p, 4);
    return v;
}
static inline uint64_t load_le64(const void *p)
{
    uint64_t v;
    memcpy(&v, p, 8);
    return v;
}
static inline void store_le16(void *p, uint16_t v) { memcpy(p, &v, 2); }
static inline void store_le32(void *p, uint32_t v) { memcpy(p, &v, 4); }
static inline void store_le64(void *p, uint64_t v) { memcpy(p, &v, 8); }

#endif

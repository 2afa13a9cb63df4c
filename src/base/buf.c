/* buf.c: see buf.h. Growth doubles. */
#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>

void buf_deinit(buf_t *b)
{
    mem_free(b->ptr);
    *b = BUF_INIT;
}

int buf_try_reserve(buf_t *b, size_t n)
{
    if (LIKELY(b->cap - b->len >= n)) return 0;
    if (n > SIZE_MAX / 4) return ERR_NOMEM;
    size_t cap = MAX(b->cap * 2, MAX(b->len + n, (size_t)64));
    uint8_t *ptr = mem_try_realloc(b->ptr, cap);
    if (!ptr) ptr = mem_try_realloc(b->ptr, cap = b->len + n); /* room to grow is a luxury */
    if (!ptr) return ERR_NOMEM;
    b->ptr = ptr;
    b->cap = cap;
    return 0;
}

uint8_t *buf_reserve(buf_t *b, size_t n)
{
    if (UNLIKELY(buf_try_reserve(b, n) != 0)) mem_exhausted(b->len + n);
    return b->ptr + b->len;
}

void buf_append(buf_t *b, const void *ptr, size_t n)
{
    if (n == 0) return;
    memcpy(buf_reserve(b, n), ptr, n);
    b->len += n;
}

void buf_printf(buf_t *b, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    ASSERT(n >= 0);
    buf_reserve(b, (size_t)n + 1);
    va_start(args, fmt);
    vsnprintf((char *)b->ptr + b->len, (size_t)n + 1, fmt, args);
    va_end(args);
    b->len += (size_t)n;
}

void buf_consume(buf_t *b, size_t n)
{
    ASSERT(n <= b->len);
    b->len -= n;
    if (b->len && n) memmove(b->ptr, b->ptr + n, b->len);
}

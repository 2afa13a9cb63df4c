/* buf.h: a growable byte buffer that owns its memory. */
#ifndef TRIVET_BASE_BUF_H
#define TRIVET_BASE_BUF_H

#include "base/base.h"

typedef struct buf {
    uint8_t *ptr;
    size_t len;
    size_t cap;
} buf_t;

#define BUF_INIT ((buf_t){NULL, 0, 0})

void buf_deinit(buf_t *b);
static inline void buf_clear(buf_t *b) { b->len = 0; }
static inline bytes_t buf_bytes(const buf_t *b) { return bytes_of(b->ptr, b->len); }
/* Makes room for `n` more bytes and returns where they go; commit by adding to `len`. Cannot fail. */
uint8_t *buf_reserve(buf_t *b, size_t n);
/* As buf_reserve, for sizes a client chose: ERR_NOMEM. */
int buf_try_reserve(buf_t *b, size_t n) MUST_CHECK;
void buf_append(buf_t *b, const void *ptr, size_t n);
void buf_printf(buf_t *b, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Drops the first `n` bytes. */
void buf_consume(buf_t *b, size_t n);

static inline void buf_u8(buf_t *b, uint8_t v)
{
    *buf_reserve(b, 1) = v;
    b->len += 1;
}
static inline void buf_be16(buf_t *b, uint16_t v)
{
    store_be16(buf_reserve(b, 2), v);
    b->len += 2;
}
static inline void buf_be32(buf_t *b, uint32_t v)
{
    store_be32(buf_reserve(b, 4), v);
    b->len += 4;
}
static inline void buf_be64(buf_t *b, uint64_t v)
{
    store_be64(buf_reserve(b, 8), v);
    b->len += 8;
}

#endif

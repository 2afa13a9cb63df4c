/* reply.c: see reply.h; out.h gives the room. */
#include "redis/conn/reply.h"
#include "redis/conn/clients.h"
#include "redis/conn/out.h"
#include "redis/number.h"

#include "base/num.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>

#define DEFERRED_BULK_MAX 64

/* ---- headers and numbers --------------------------------------------------------------------------------------------- */

static inline void put_number_line(redis_client_t *c, char kind, int64_t v)
{
    uint8_t *p = out_room(c, NUM_I64_CHARS_MAX + 3);
    p[0] = (uint8_t)kind;
    size_t n = 1;
    if (v >= 0 && v < 10)
        p[n++] = (uint8_t)('0' + v);
    else
        n += num_format_i64((char *)p + 1, v);
    p[n] = '\r';
    p[n + 1] = '\n';
    c->out = p + n + 2;
}

static void put_line(redis_client_t *c, char kind, const void *text, size_t len)
{
    uint8_t *p = out_room(c, len + 3);
    p[0] = (uint8_t)kind;
    memcpy(p + 1, text, len);
    p[len + 1] = '\r';
    p[len + 2] = '\n';
    c->out = p + len + 3;
}

#define PUT_LITERAL(c, text) out_bytes((c), text, sizeof(text) - 1)

void reply_raw(redis_client_t *c, const void *resp, size_t len) { out_bytes(c, resp, len); }
void reply_ok(redis_client_t *c) { PUT_LITERAL(c, "+OK\r\n"); }
void reply_simple(redis_client_t *c, const char *text) { put_line(c, '+', text, strlen(text)); }
void reply_int(redis_client_t *c, int64_t v) { put_number_line(c, ':', v); }
void reply_array(redis_client_t *c, size_t n) { put_number_line(c, '*', (int64_t)n); }
void reply_map(redis_client_t *c, size_t pairs)
{
    if (c->resp == 3)
        put_number_line(c, '%', (int64_t)pairs);
    else
        put_number_line(c, '*', (int64_t)pairs * 2);
}
void reply_set(redis_client_t *c, size_t n) { put_number_line(c, c->resp == 3 ? '~' : '*', (int64_t)n); }
void reply_push(redis_client_t *c, size_t n) { put_number_line(c, c->resp == 3 ? '>' : '*', (int64_t)n); }

/* ---- strings --------------------------------------------------------------------------------------------------------- */

void reply_bulk(redis_client_t *c, bytes_t b)
{
    if (UNLIKELY(b.ptr == NULL)) {
        reply_null(c);
        return;
    }
    uint8_t *p = out_room(c, b.len + NUM_I64_CHARS_MAX + 5);
    *p++ = '$';
    if (b.len < 10)
        *p++ = (uint8_t)('0' + b.len);
    else
        p += num_format_u64((char *)p, b.len);
    *p++ = '\r';
    *p++ = '\n';
    memcpy(p, b.ptr, b.len);
    p += b.len;
    *p++ = '\r';
    *p++ = '\n';
    c->out = p;
}

void reply_bulk_str(redis_client_t *c, const char *s) { reply_bulk(c, bytes_str(s)); }

void reply_bulk_i64(redis_client_t *c, int64_t v)
{
    char text[NUM_I64_CHARS_MAX];
    reply_bulk(c, bytes_of(text, num_format_i64(text, v)));
}

void reply_bulk_f(redis_client_t *c, const char *fmt, ...)
{
    char text[1024];
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    reply_bulk(c, bytes_of(text, MIN((size_t)n, sizeof(text) - 1)));
}

void reply_verbatim(redis_client_t *c, const char *ext3, bytes_t text)
{
    if (c->resp != 3) {
        reply_bulk(c, text);
        return;
    }
    put_number_line(c, '=', (int64_t)text.len + 4);
    out_bytes(c, ext3, 3);
    out_bytes(c, ":", 1);
    out_bytes(c, text.ptr, text.len);
    PUT_LITERAL(c, "\r\n");
}

/* ---- the other scalars ----------------------------------------------------------------------------------------------- */

void reply_null(redis_client_t *c)
{
    if (c->resp == 3)
        PUT_LITERAL(c, "_\r\n");
    else
        PUT_LITERAL(c, "$-1\r\n");
}

void reply_null_array(redis_client_t *c)
{
    if (c->resp == 3)
        PUT_LITERAL(c, "_\r\n");
    else
        PUT_LITERAL(c, "*-1\r\n");
}

void reply_bool(redis_client_t *c, bool v)
{
    if (c->resp == 3)
        put_line(c, '#', v ? "t" : "f", 1);
    else
        reply_int(c, v);
}

void reply_decimal(redis_client_t *c, bytes_t digits)
{
    if (c->resp == 3)
        put_line(c, ',', digits.ptr, digits.len);
    else
        reply_bulk(c, digits);
}

void reply_double(redis_client_t *c, double v)
{
    char text[DOUBLE_CHARS_MAX];
    reply_decimal(c, bytes_of(text, format_double(text, v)));
}

void reply_bignum(redis_client_t *c, const char *digits)
{
    if (c->resp == 3)
        put_line(c, '(', digits, strlen(digits));
    else
        reply_bulk_str(c, digits);
}

/* ---- errors ---------------------------------------------------------------------------------------------------------- */

/* A line break inside would end the reply early; what a client sent may be in the text. */
static void put_error(redis_client_t *c, char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (text[i] == '\r' || text[i] == '\n') text[i] = ' ';
    c->failed = true;
    c->clients->host->refused(c, text, len);
    put_line(c, '-', text, len);
}

void reply_error(redis_client_t *c, const char *text)
{
    char copy[1024];
    size_t len = MIN(strlen(text), sizeof(copy));
    memcpy(copy, text, len);
    put_error(c, copy, len);
}

void reply_errorf(redis_client_t *c, const char *fmt, ...)
{
    char text[1024];
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    put_error(c, text, MIN((size_t)n, sizeof(text) - 1));
}

void reply_error_wrong_type(redis_client_t *c)
{
    reply_error(c, "WRONGTYPE Operation against a key holding the wrong kind of value");
}
void reply_error_syntax(redis_client_t *c) { reply_error(c, "ERR syntax error"); }
void reply_error_not_integer(redis_client_t *c) { reply_error(c, "ERR value is not an integer or out of range"); }
void reply_error_not_float(redis_client_t *c) { reply_error(c, "ERR value is not a valid float"); }
void reply_error_out_of_range(redis_client_t *c) { reply_error(c, "ERR index out of range"); }
void reply_error_no_such_key(redis_client_t *c) { reply_error(c, "ERR no such key"); }

int redis_client_resp(const redis_client_t *c) { return c->resp; }

/* ---- lengths known at the end ---------------------------------------------------------------------------------------- */

/* While one is open, replies go to c->deferred, so that its header can be put before them. */
reply_deferred_t reply_deferred_begin(redis_client_t *c)
{
    if (c->deferred_depth == 0) {
        out__flush(c);
        c->deferred.len = 0;
    }
    c->deferred_depth++;
    out_room(c, NUM_I64_CHARS_MAX);
    return (reply_deferred_t){(size_t)(c->out - c->deferred.ptr)};
}

static void close_with(redis_client_t *c, reply_deferred_t d, const void *header, size_t len)
{
    size_t end = (size_t)(c->out - c->deferred.ptr);
    ASSERT(c->deferred_depth > 0 && d.offset <= end);
    if (c->deferred_depth == 1) {
        c->deferred_depth = 0;
        c->out = c->out_end = c->out_start = NULL;
        out_bytes(c, header, len);
        out_bytes(c, c->deferred.ptr, end);
        if (c->deferred.cap > KIB(64)) buf_deinit(&c->deferred);
        return;
    }
    out_room(c, len);
    uint8_t *at = c->deferred.ptr + d.offset;
    memmove(at + len, at, end - d.offset);
    memcpy(at, header, len);
    c->out += len;
    c->deferred_depth--;
}

static void close_deferred(redis_client_t *c, reply_deferred_t d, char kind, size_t n)
{
    char header[NUM_I64_CHARS_MAX + 3];
    header[0] = kind;
    size_t len = 1 + num_format_u64(header + 1, n);
    memcpy(header + len, "\r\n", 2);
    close_with(c, d, header, len + 2);
}

void reply_deferred_bulk(redis_client_t *c, reply_deferred_t d, bytes_t b)
{
    char text[DEFERRED_BULK_MAX + NUM_I64_CHARS_MAX + 5];
    ASSERT(b.len <= DEFERRED_BULK_MAX);
    int len = snprintf(text, sizeof(text), "$%zu\r\n%.*s\r\n", b.len, (int)b.len, (const char *)b.ptr);
    close_with(c, d, text, (size_t)len);
}

void reply_deferred_array(redis_client_t *c, reply_deferred_t d, size_t n) { close_deferred(c, d, '*', n); }
void reply_deferred_map(redis_client_t *c, reply_deferred_t d, size_t pairs)
{
    close_deferred(c, d, c->resp == 3 ? '%' : '*', c->resp == 3 ? pairs : pairs * 2);
}
void reply_deferred_set(redis_client_t *c, reply_deferred_t d, size_t n)
{
    close_deferred(c, d, c->resp == 3 ? '~' : '*', n);
}

/* reply.h: replies to a client in the protocol version it speaks (RESP2, or RESP3 after HELLO 3).
 *
 * Bytes go straight into the connection's output memory. A reply is one value; an array, map or set header of
 * n is followed by its n (map: 2n) values. */
#ifndef TRIVET_REDIS_REPLY_H
#define TRIVET_REDIS_REPLY_H

#include "base/base.h"

typedef struct redis_client redis_client_t;

void reply_ok(redis_client_t *c);                       /* +OK */
void reply_simple(redis_client_t *c, const char *text); /* +text */
void reply_error(redis_client_t *c, const char *text);  /* -text; begins with its code: "ERR ...", "NOSCRIPT ..." */
void reply_errorf(redis_client_t *c, const char *fmt, ...) PRINTF_LIKE(2, 3);
void reply_error_wrong_type(redis_client_t *c);   /* WRONGTYPE Operation against ... */
void reply_error_syntax(redis_client_t *c);       /* ERR syntax error */
void reply_error_not_integer(redis_client_t *c);  /* ERR value is not an integer or out of range */
void reply_error_not_float(redis_client_t *c);    /* ERR value is not a valid float */
void reply_error_out_of_range(redis_client_t *c); /* ERR index out of range */
void reply_error_no_such_key(redis_client_t *c);  /* ERR no such key */
void reply_int(redis_client_t *c, int64_t v);
void reply_bulk(redis_client_t *c, bytes_t b); /* ptr NULL = null */
void reply_bulk_str(redis_client_t *c, const char *s);
void reply_bulk_i64(redis_client_t *c, int64_t v); /* the number's text as a bulk string */
void reply_bulk_f(redis_client_t *c, const char *fmt, ...) PRINTF_LIKE(2, 3);
void reply_null(redis_client_t *c);                       /* RESP2 $-1, RESP3 _ */
void reply_null_array(redis_client_t *c);                 /* RESP2 *-1, RESP3 _ */
void reply_bool(redis_client_t *c, bool v);               /* RESP2 :1/:0 */
void reply_double(redis_client_t *c, double v);           /* RESP2 bulk string */
void reply_decimal(redis_client_t *c, bytes_t digits);    /* a double with just these digits; RESP2 bulk string */
void reply_bignum(redis_client_t *c, const char *digits); /* RESP2 bulk string */
void reply_verbatim(redis_client_t *c, const char *ext3, bytes_t text); /* RESP2 bulk string */
void reply_array(redis_client_t *c, size_t n);
void reply_map(redis_client_t *c, size_t pairs);                 /* RESP2 array of 2n */
void reply_set(redis_client_t *c, size_t n);                     /* RESP2 array */
void reply_push(redis_client_t *c, size_t n);                    /* RESP2 array */
void reply_raw(redis_client_t *c, const void *resp, size_t len); /* bytes that are RESP already */
int redis_client_resp(const redis_client_t *c);                  /* 2 or 3 */

/* An array, map or set whose length is known only at its end. They nest; close the inner one first. */
typedef struct reply_deferred {
    size_t offset;
} reply_deferred_t;
reply_deferred_t reply_deferred_begin(redis_client_t *c);
void reply_deferred_array(redis_client_t *c, reply_deferred_t d, size_t n);
void reply_deferred_map(redis_client_t *c, reply_deferred_t d, size_t pairs);
void reply_deferred_set(redis_client_t *c, reply_deferred_t d, size_t n);
/* A string that was not known yet, in front of what followed. */
void reply_deferred_bulk(redis_client_t *c, reply_deferred_t d, bytes_t b);

#endif

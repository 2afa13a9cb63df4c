/* resp.h: the Redis protocol's requests as bytes: pure functions, no copy.
 *
 * A request is an array of bulk strings, or an inline line of words. The parser is total: any bytes give a
 * request, "more needed" or an error text, and nothing outside the input is read. */
#ifndef TRIVET_WIRE_RESP_H
#define TRIVET_WIRE_RESP_H

#include "base/base.h"

#define RESP_INLINE_BYTES_MAX KIB(64) /* also of a length line */
#define RESP_ARGC_MAX         INT32_MAX

typedef struct resp_limits {
    int64_t argc_max;       /* RESP_ARGC_MAX; 10 before login */
    int64_t bulk_bytes_max; /* proto-max-bulk-len; 16384 before login */
    bool unauthenticated;   /* which error text a limit has */
} resp_limits_t;

/* A long request that arrives in pieces is not parsed from its start each time: what is known is kept here
 * (offsets from the request's first byte). Zeroed = nothing known. */
typedef struct resp_resume {
    bytes_t *args; /* ptr is an offset */
    size_t cap;
    size_t pos;   /* where to go on */
    int64_t argc; /* 0 = inactive */
    int64_t done;
} resp_resume_t;
void resp_resume_deinit(resp_resume_t *r);

typedef enum resp_result {
    RESP_REQUEST, /* argc, argv and consumed are set; argc may be 0 (an empty line): nothing to run */
    RESP_MORE,    /* incomplete; `expect` is how long it will be at least (0 = unknown) */
    RESP_ROOM,    /* argv has not room for `argc` words: call again with more */
    RESP_BAD,     /* `error` is the text behind "-ERR Protocol error: " */
} resp_result_t;

typedef struct resp_request {
    bytes_t *argv; /* in: room for argv_max words */
    int argv_max;
    int argc;
    bool is_inline;
    size_t consumed;
    size_t expect, expect_from; /* RESP_MORE: the latter is where the argument begins that is not whole */
    char error[48];
} resp_request_t;

/* Reads the request at data[0..len). Inline words are unquoted in place. `resume` may be NULL. */
resp_result_t resp_parse(uint8_t *data, size_t len, const resp_limits_t *limits, resp_resume_t *resume,
                         resp_request_t *request) MUST_CHECK;

/* Splits a line into words as Redis does (quotes, \n \xHH escapes), in place. -1 on unbalanced quotes,
 * ERR_LIMIT when there are more than argv_max, else the number of words. */
int resp_split_line(uint8_t *line, size_t len, bytes_t *argv, int argv_max) MUST_CHECK;

#endif

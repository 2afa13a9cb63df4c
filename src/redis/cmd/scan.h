/* scan.h: the arguments of SCAN and its kin. */
#ifndef TRIVET_REDIS_CMD_SCAN_H
#define TRIVET_REDIS_CMD_SCAN_H

#include "redis/exec/command.h"
#include "redis/glob.h"

typedef struct scan_options {
    uint64_t cursor;
    int64_t count;  /* default 10 */
    bytes_t match;  /* ptr NULL = all */
    bytes_t type;   /* SCAN only */
    bool no_values; /* HSCAN NOVALUES, ZSCAN NOSCORES */
} scan_options_t;
/* Reads the cursor at argv[i], then `[MATCH p] [COUNT n] ...` from argv[i] on; false after replying the error. */
bool scan_parse_cursor(redis_call_t *call, int i, scan_options_t *ret_options) MUST_CHECK;
bool scan_parse_options(redis_call_t *call, int i, scan_options_t *options) MUST_CHECK;
static inline bool scan_matches(const scan_options_t *o, bytes_t name)
{
    return o->match.ptr == NULL || glob_match(o->match, name, false);
}

#endif

/* num.h: numbers to text and back, exactly as the protocols spell them. */
#ifndef TRIVET_BASE_NUM_H
#define TRIVET_BASE_NUM_H

#include "base/base.h"

#define NUM_I64_CHARS_MAX 21

/* Writes the decimal form (no NUL) and returns its length; `out` holds NUM_I64_CHARS_MAX. */
size_t num_format_i64(char *out, int64_t v);
size_t num_format_u64(char *out, uint64_t v);
/* Strict decimal as Redis's string2ll: no spaces, no '+', no leading zeros but "0", no "-0". */
bool num_parse_i64(bytes_t text, int64_t *ret_v);
/* As redis.conf writes amounts of memory: "100", "1k" (1000), "1kb" (1024) and so on to g. */
bool num_parse_memory(bytes_t text, uint64_t *ret_bytes);

#endif

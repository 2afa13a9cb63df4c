/* string_if.h: conditions on what a string holds: IFEQ, IFNE, and by its digest IFDEQ, IFDNE. */
#ifndef TRIVET_REDIS_CMD_STRING_IF_H
#define TRIVET_REDIS_CMD_STRING_IF_H

#include "redis/exec/key.h"

typedef enum { IF_ALWAYS, IF_EQUAL, IF_OTHER, IF_DIGEST, IF_OTHER_DIGEST } string_if_kind_t;
typedef struct string_if {
    string_if_kind_t kind;
    bytes_t operand;
} string_if_t;

/* Whether argv[i] names a condition, whose operand is the next argument. */
bool string_if__read(const redis_call_t *call, int i, string_if_t *ret_condition);
/* False after replying that the operand is no digest. */
bool string_if__check(redis_call_t *call, const string_if_t *condition) MUST_CHECK;
/* `e`: a string, or NULL for a key that is not there, which is unlike everything. */
bool string_if__holds(const string_if_t *condition, const redis_entry_t *e);

#endif

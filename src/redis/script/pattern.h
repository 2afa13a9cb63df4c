/* pattern.h: Lua's patterns. */
#ifndef TRIVET_REDIS_SCRIPT_PATTERN_H
#define TRIVET_REDIS_SCRIPT_PATTERN_H

#include <lua.h>

#include "base/base.h"

#define PATTERN_CAPTURES_MAX 32

typedef struct capture {
    const char *start;
    ptrdiff_t len; /* or CAPTURE_UNFINISHED, CAPTURE_POSITION */
} capture_t;

enum { CAPTURE_UNFINISHED = -1, CAPTURE_POSITION = -2 };

typedef struct matcher {
    lua_State *lua;
    const char *start, *end; /* of the subject; a NUL stands behind it */
    int depth;
    int level; /* captures, finished or not */
    capture_t captures[PATTERN_CAPTURES_MAX];
} matcher_t;

void pattern_init(matcher_t *m, lua_State *lua, const char *subject, size_t len);
/* Where the match of the pattern (which ends at a NUL) at `s` ends; NULL = none. Raises an error for a malformed pattern, and
 * asks the host on its way whether to go on. */
const char *pattern_match(matcher_t *m, const char *s, const char *p);
/* Pushes capture `i`: the whole match when there are none and `i` is 0. */
void pattern_push_capture(matcher_t *m, int i, const char *s, const char *e);
/* Pushes all, or the whole match unless `s` is NULL, and returns how many. */
int pattern_push_captures(matcher_t *m, const char *s, const char *e);

#endif

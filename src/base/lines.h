/* lines.h: whoever is told in sentences for a person what was done, a line each. */
#ifndef TRIVET_BASE_LINES_H
#define TRIVET_BASE_LINES_H

#include "base/base.h"

#define LINES_CHARS_MAX 1024 /* of one; the rest is cut */

typedef struct lines {
    void (*line)(void *user, const char *line);
    void *user;
} lines_t;

void lines_say(const lines_t *lines, const char *format, ...) PRINTF_LIKE(2, 3);

#endif

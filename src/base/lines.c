/* lines.c: see lines.h. */
#include "base/lines.h"

#include <stdarg.h>
#include <stdio.h>

void lines_say(const lines_t *lines, const char *format, ...)
{
    char line[LINES_CHARS_MAX];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    lines->line(lines->user, line);
}

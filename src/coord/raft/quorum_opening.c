/* quorum_opening.c: see quorum_opening.h. */
#include "coord/raft/quorum_opening.h"

#include <stdarg.h>
#include <stdio.h>

void quorum_opening_why(quorum_opening_t *opening, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vsnprintf(opening->why, sizeof(opening->why), format, args);
    va_end(args);
}

void quorum_opening_warn(quorum_opening_t *opening, const char *format, ...)
{
    va_list args;
    size_t n = strlen(opening->warning);
    if (n > 0) n += (size_t)snprintf(opening->warning + n, sizeof(opening->warning) - n, "; ");
    if (n >= sizeof(opening->warning)) return;
    va_start(args, format);
    (void)vsnprintf(opening->warning + n, sizeof(opening->warning) - n, format, args);
    va_end(args);
}

/* slog.c: see slog.h. One write a line, so that lines of several threads do not mix. */
#include "base/slog.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

static slog_level_t level_min = SLOG_INFO;

void slog_set_level(slog_level_t level) { level_min = level; }

void slog(slog_level_t level, const char *module, const char *message, const char *fmt, ...)
{
    static const char *const names[] = {"debug", "info", "warn", "error"};
    if (level < level_min) return;
    char line[2048];
    struct timespec now;
    struct tm utc;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    size_t n = strftime(line, sizeof(line), "%Y-%m-%dT%H:%M:%S", &utc);
    n += (size_t)snprintf(line + n, sizeof(line) - n, ".%03ldZ %-5s %-9s %s%s", now.tv_nsec / 1000000, names[level],
                          module, message, fmt[0] ? " " : "");
    n = MIN(n, sizeof(line) - 2);
    va_list args;
    va_start(args, fmt);
    int more = vsnprintf(line + n, sizeof(line) - 1 - n, fmt, args);
    va_end(args);
    if (more > 0) n = MIN(n + (size_t)more, sizeof(line) - 2);
    line[n++] = '\n';
    ssize_t written = write(STDERR_FILENO, line, n);
    (void)written; /* nowhere to report that stderr is gone */
}

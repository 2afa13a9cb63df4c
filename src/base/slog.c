/* slog.c: see slog.h. One write a line, so that lines of several threads do not mix. */
#include "base/slog.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

static slog_level_t level_min = SLOG_INFO;
static int64_t (*clock_wall_ms)(void);

void slog_set_level(slog_level_t level) { level_min = level; }

void slog_set_clock(int64_t (*wall_ms)(void)) { clock_wall_ms = wall_ms; }

/* "2026-01-31T23:59:59.999Z ", or nothing; returns its length. */
static size_t put_time(char *out, size_t cap)
{
    if (!clock_wall_ms) return 0;
    struct tm utc;
    int64_t now_ms = clock_wall_ms();
    time_t seconds = (time_t)(now_ms / 1000);
    gmtime_r(&seconds, &utc);
    size_t n = strftime(out, cap, "%Y-%m-%dT%H:%M:%S", &utc);
    return n + (size_t)snprintf(out + n, cap - n, ".%03dZ ", (int)(now_ms % 1000));
}

void slog(slog_level_t level, const char *module, const char *message, const char *fmt, ...)
{
    static const char *const names[] = {"debug", "info", "warn", "error"};
    if (level < level_min) return;
    char line[2048];
    size_t n = put_time(line, sizeof(line));
    n += (size_t)snprintf(line + n, sizeof(line) - n, "%-5s %-9s %s%s", names[level], module, message,
                          fmt[0] ? " " : "");
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

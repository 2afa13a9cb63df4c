/* slog.h: structured log lines on stderr: time level module message key=value ...
 * Only src/server and the wings' top level log; below, an error is returned. */
#ifndef TRIVET_BASE_SLOG_H
#define TRIVET_BASE_SLOG_H

#include "base/base.h"

typedef enum slog_level { SLOG_DEBUG, SLOG_INFO, SLOG_WARN, SLOG_ERROR } slog_level_t;

void slog_set_level(slog_level_t level);
/* Unix milliseconds, for the lines; without it they bear no time. Before there is a second thread. */
void slog_set_clock(int64_t (*wall_ms)(void));
/* `fmt` makes the key=value part and may be "". Example: slog(SLOG_WARN, "kafka", "segment truncated", "topic=%s", t) */
void slog(slog_level_t level, const char *module, const char *message, const char *fmt, ...) PRINTF_LIKE(4, 5);

#endif

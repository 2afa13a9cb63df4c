/* slog.h: structured log lines on stderr: time level module message key=value ...
 * Only src/server and the wings' top level log; below, an error is returned. */
#ifndef TRIVET_BASE_SLOG_H
#define TRIVET_BASE_SLOG_H

#include "base/base.h"

typedef enum slog_level { SLOG_DEBUG, SLOG_INFO, SLOG_WARN, SLOG_ERROR, SLOG_NOTHING } slog_level_t;

void slog_set_level(slog_level_t level);
/* As the originals' log-format and log-timestamp-format: LEGACY is the line above, with its time. */
typedef enum slog_format { SLOG_LEGACY, SLOG_LOGFMT, SLOG_JSON } slog_format_t;
typedef enum slog_time { SLOG_TIME_LEGACY, SLOG_TIME_ISO8601, SLOG_TIME_MILLISECONDS } slog_time_t;
void slog_set_format(slog_format_t format, slog_time_t time);
/* In place of standard error. Before there is a second thread. */
void slog_set_fd(int fd);
/* Each line goes there, too: syslog. Before there is a second thread. */
void slog_set_also(void (*also)(slog_level_t level, const char *line));
/* Unix milliseconds, for the lines; without it they bear no time. Before there is a second thread. */
void slog_set_clock(int64_t (*wall_ms)(void));
/* `fmt` makes the key=value part and may be "". Example: slog(SLOG_WARN, "kafka", "segment truncated", "topic=%s", t) */
void slog(slog_level_t level, const char *module, const char *message, const char *fmt, ...) PRINTF_LIKE(4, 5);

#endif

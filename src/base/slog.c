/* slog.c: see slog.h. One write a line, so that lines of several threads do not mix. */
#include "base/slog.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define LINE_BYTES_MAX 2048
#define TEXT_BYTES_MAX 1900 /* of what the caller says: escapes and the rest of a line find room behind it */

/* One machine's log, as its clock is one: set while it is configured, read by all threads. */
static slog_level_t level_min = SLOG_INFO;
static slog_format_t line_format = SLOG_LEGACY;
static slog_time_t time_format = SLOG_TIME_LEGACY;
static int64_t (*clock_wall_ms)(void);
static int line_fd = STDERR_FILENO;
static void (*line_also)(slog_level_t level, const char *line);

typedef struct line {
    char text[LINE_BYTES_MAX];
    size_t len;
} line_t;

void slog_set_level(slog_level_t level) { level_min = level; }

void slog_set_clock(int64_t (*wall_ms)(void)) { clock_wall_ms = wall_ms; }

void slog_set_fd(int fd) { line_fd = fd; }

void slog_set_also(void (*also)(slog_level_t level, const char *line)) { line_also = also; }

void slog_set_format(slog_format_t format, slog_time_t time)
{
    line_format = format;
    time_format = time;
}

PRINTF_LIKE(2, 3) static void put(line_t *line, const char *fmt, ...)
{
    size_t room = sizeof(line->text) - 1 - line->len; /* the newline's place stays */
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(line->text + line->len, room, fmt, args);
    va_end(args);
    if (n > 0) line->len += MIN((size_t)n, room - 1);
}

/* "2026-01-31T23:59:59.999Z", or Unix milliseconds, or nothing. */
static void put_time(line_t *line)
{
    struct tm utc;
    char text[32];
    if (!clock_wall_ms) return;
    int64_t now_ms = clock_wall_ms();
    time_t seconds = (time_t)(now_ms / 1000);
    if (time_format == SLOG_TIME_MILLISECONDS) {
        put(line, "%" PRId64, now_ms);
        return;
    }
    gmtime_r(&seconds, &utc);
    strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &utc);
    put(line, "%s.%03dZ", text, (int)(now_ms % 1000));
}

/* Inside double quotes, of which the text has none that ends them. */
static void put_quoted(line_t *line, const char *text)
{
    put(line, "\"");
    for (; *text; text++) {
        bool plain = (unsigned char)*text >= 0x20;
        if (line_format == SLOG_LOGFMT)
            put(line, "%c", *text == '"' ? '\'' : plain ? *text : ' ');
        else if (plain)
            put(line, "%s%c", *text == '"' || *text == '\\' ? "\\" : "", *text);
        else
            put(line, "\\u%04x", (unsigned)*text);
    }
    put(line, "\"");
}

static void put_named(line_t *line, slog_level_t level, const char *module, const char *text)
{
    static const char *const names[] = {"debug", "notice", "warning", "warning"};
    bool json = line_format == SLOG_JSON;
    put(line, json ? "{\"pid\":%d,\"role\":\"primary\",\"timestamp\":\"" : "pid=%d role=primary timestamp=\"",
        (int)getpid());
    put_time(line);
    put(line,
        json ? "\",\"level\":\"%s\",\"module\":\"%s\",\"message\":" : "\" level=%s module=%s message=", names[level],
        module);
    put_quoted(line, text);
    if (json) put(line, "}");
}

static void put_legacy(line_t *line, slog_level_t level, const char *module, const char *text)
{
    static const char *const names[] = {"debug", "info", "warn", "error"};
    put_time(line);
    put(line, "%s%-5s %-9s %s", line->len ? " " : "", names[level], module, text);
}

void slog(slog_level_t level, const char *module, const char *message, const char *fmt, ...)
{
    char text[TEXT_BYTES_MAX];
    line_t line = {.len = 0};
    if (level < level_min) return;
    size_t n = MIN((size_t)snprintf(text, sizeof(text), "%s%s", message, fmt[0] ? " " : ""), sizeof(text) - 1);
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text + n, sizeof(text) - n, fmt, args);
    va_end(args);
    if (line_format == SLOG_LEGACY)
        put_legacy(&line, level, module, text);
    else
        put_named(&line, level, module, text);
    if (line_also) line_also(level, text);
    line.text[line.len++] = '\n';
    ssize_t written = write(line_fd, line.text, line.len);
    (void)written; /* nowhere to report that it is gone */
}

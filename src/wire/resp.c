/* resp.c: see resp.h. */
#include "wire/resp.h"

#include "base/num.h"

#include <ctype.h>
#include <stdio.h>

enum { RESUME_ARGS_MIN = 64 }; /* shorter requests are cheaper to parse again */

void resp_resume_deinit(resp_resume_t *r)
{
    mem_free(r->args);
    memset(r, 0, sizeof(*r));
}

static resp_result_t bad(resp_request_t *q, const char *text)
{
    snprintf(q->error, sizeof(q->error), "%s", text);
    return RESP_BAD;
}

/* ---- length lines: "*3\r\n", "$16\r\n" ------------------------------------------------------------------------------- */

typedef enum { LINE_OK, LINE_MORE, LINE_TOO_LONG, LINE_NOT_A_NUMBER } line_t;

static line_t read_long_length(const uint8_t *p, size_t left, int64_t *ret_value, size_t *ret_used)
{
    const uint8_t *cr = memchr(p, '\r', left);
    if (!cr) return left > RESP_INLINE_BYTES_MAX ? LINE_TOO_LONG : LINE_MORE;
    if ((size_t)(cr - p) + 2 > left) return LINE_MORE;
    *ret_used = (size_t)(cr - p) + 2;
    return num_parse_i64(bytes_of(p, (size_t)(cr - p)), ret_value) ? LINE_OK : LINE_NOT_A_NUMBER;
}

/* Reads digits and CRLF at p (behind the marker). One to three digits are the rule and have the fast way. */
static inline line_t read_length(const uint8_t *p, size_t left, int64_t *ret_value, size_t *ret_used)
{
    if (LIKELY(left >= 5)) {
        unsigned a = p[0] - '0', b = p[1] - '0', c = p[2] - '0';
        if (a <= 9) {
            if (p[1] == '\r') {
                *ret_value = a;
                *ret_used = 3;
                return LINE_OK;
            }
            if (a && b <= 9 && p[2] == '\r') {
                *ret_value = a * 10 + b;
                *ret_used = 4;
                return LINE_OK;
            }
            if (a && b <= 9 && c <= 9 && p[3] == '\r') {
                *ret_value = a * 100 + b * 10 + c;
                *ret_used = 5;
                return LINE_OK;
            }
        }
    }
    return read_long_length(p, left, ret_value, ret_used);
}

/* ---- inline requests ------------------------------------------------------------------------------------------------- */

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9') return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static uint8_t unescape(uint8_t c)
{
    switch (c) {
    case 'n': return '\n';
    case 'r': return '\r';
    case 't': return '\t';
    case 'b': return '\b';
    case 'a': return '\a';
    default: return c;
    }
}

/* A "..." or '...' part at line[i]; appends to line[*out]. Returns the position behind the closing quote, or
 * -1. */
static ssize_t read_quoted(uint8_t *line, size_t len, size_t i, size_t *out)
{
    uint8_t quote = line[i++];
    for (; i < len; i++) {
        if (line[i] == quote) {
            bool at_end = i + 1 == len || isspace(line[i + 1]);
            return at_end ? (ssize_t)i + 1 : -1;
        }
        if (quote == '"' && line[i] == '\\' && i + 3 < len && line[i + 1] == 'x' && hex_digit(line[i + 2]) >= 0 &&
            hex_digit(line[i + 3]) >= 0) {
            line[(*out)++] = (uint8_t)(hex_digit(line[i + 2]) * 16 + hex_digit(line[i + 3]));
            i += 3;
        } else if (quote == '"' && line[i] == '\\' && i + 1 < len) {
            line[(*out)++] = unescape(line[++i]);
        } else if (quote == '\'' && line[i] == '\\' && i + 1 < len && line[i + 1] == '\'') {
            line[(*out)++] = line[++i];
        } else {
            line[(*out)++] = line[i];
        }
    }
    return -1;
}

int resp_split_line(uint8_t *line, size_t len, bytes_t *argv, int argv_max)
{
    int argc = 0;
    size_t i = 0;
    for (;;) {
        while (i < len && isspace(line[i])) i++;
        if (i == len) return argc;
        if (argc == argv_max) return ERR_LIMIT;
        size_t start = i, out = i;
        while (i < len && !isspace(line[i])) {
            if (line[i] == '"' || line[i] == '\'') {
                ssize_t after = read_quoted(line, len, i, &out);
                if (after < 0) return -1;
                i = (size_t)after;
            } else {
                line[out++] = line[i++];
            }
        }
        argv[argc++] = bytes_of(line + start, out - start);
    }
}

static size_t count_words(const uint8_t *line, size_t len)
{
    size_t words = 0;
    for (size_t i = 0; i < len; i++)
        if (!isspace(line[i]) && (i == 0 || isspace(line[i - 1]))) words++;
    return words;
}

static resp_result_t parse_inline(uint8_t *data, size_t len, resp_request_t *q)
{
    uint8_t *newline = memchr(data, '\n', len);
    if (!newline) return len > RESP_INLINE_BYTES_MAX ? bad(q, "too big inline request") : RESP_MORE;
    size_t line_len = (size_t)(newline - data);
    size_t words = count_words(data, line_len); /* quoting only joins words, so this is enough */
    if (words > (size_t)q->argv_max) {
        q->argc = (int)words;
        return RESP_ROOM;
    }
    q->is_inline = true;
    q->consumed = line_len + 1;
    if (line_len && data[line_len - 1] == '\r') line_len--;
    q->argc = resp_split_line(data, line_len, q->argv, q->argv_max);
    return q->argc < 0 ? bad(q, "unbalanced quotes in request") : RESP_REQUEST;
}

/* ---- arrays of bulk strings ------------------------------------------------------------------------------------------ */

static resp_result_t read_argc(const uint8_t *data, size_t len, const resp_limits_t *limits, resp_request_t *q,
                               int64_t *ret_argc, size_t *ret_pos)
{
    size_t used;
    switch (read_length(data + 1, len - 1, ret_argc, &used)) {
    case LINE_MORE: return RESP_MORE;
    case LINE_TOO_LONG: return bad(q, "too big mbulk count string");
    case LINE_NOT_A_NUMBER: return bad(q, "invalid multibulk length");
    case LINE_OK: break;
    }
    if (*ret_argc > RESP_ARGC_MAX) return bad(q, "invalid multibulk length");
    if (*ret_argc > limits->argc_max && limits->unauthenticated) return bad(q, "unauthenticated multibulk length");
    *ret_pos = 1 + used;
    return RESP_REQUEST;
}

/* The bulk string at data[*pos]; moves *pos behind it. */
static inline resp_result_t read_bulk(const uint8_t *data, size_t len, const resp_limits_t *limits, resp_request_t *q,
                                      size_t *pos, bytes_t *ret_arg)
{
    size_t at = *pos, used;
    int64_t bytes;
    if (UNLIKELY(at >= len)) return RESP_MORE;
    line_t line = read_length(data + at + 1, len - at - 1, &bytes, &used);
    if (line == LINE_MORE) return RESP_MORE;
    if (line == LINE_TOO_LONG) return bad(q, "too big bulk count string");
    if (UNLIKELY(data[at] != '$')) {
        snprintf(q->error, sizeof(q->error), "expected '$', got '%c'", data[at]);
        return RESP_BAD;
    }
    if (UNLIKELY(line == LINE_NOT_A_NUMBER || bytes < 0 ||
                 (bytes > limits->bulk_bytes_max && !limits->unauthenticated)))
        return bad(q, "invalid bulk length");
    if (UNLIKELY(bytes > limits->bulk_bytes_max)) return bad(q, "unauthenticated bulk length");
    at += 1 + used;
    if (UNLIKELY(len - at < (size_t)bytes + 2)) {
        q->expect = at + (size_t)bytes + 2;
        q->expect_from = at;
        return RESP_MORE;
    }
    *ret_arg = bytes_of(data + at, (size_t)bytes);
    *pos = at + (size_t)bytes + 2;
    return RESP_REQUEST;
}

static resp_result_t finish_resume(const uint8_t *data, resp_resume_t *r, resp_request_t *q)
{
    if (r->argc > q->argv_max) {
        q->argc = (int)r->argc;
        return RESP_ROOM;
    }
    for (int64_t i = 0; i < r->argc; i++) q->argv[i] = bytes_of(data + (size_t)r->args[i].ptr, r->args[i].len);
    q->argc = (int)r->argc;
    q->consumed = r->pos;
    resp_resume_deinit(r);
    return RESP_REQUEST;
}

static resp_result_t parse_resumed(const uint8_t *data, size_t len, const resp_limits_t *limits, resp_resume_t *r,
                                   resp_request_t *q)
{
    while (r->done < r->argc) {
        bytes_t arg;
        resp_result_t result = read_bulk(data, len, limits, q, &r->pos, &arg);
        if (result != RESP_REQUEST) return result;
        if ((size_t)r->done == r->cap) {
            r->cap = r->cap ? r->cap * 2 : RESUME_ARGS_MIN * 4;
            r->args = mem_realloc(r->args, r->cap * sizeof(bytes_t));
        }
        r->args[r->done++] = bytes_of((const uint8_t *)(size_t)(arg.ptr - data), arg.len);
    }
    return finish_resume(data, r, q);
}

/* A request with many words: through `resume` from its start, so that argv grows with what has arrived. */
static resp_result_t start_resume(const uint8_t *data, size_t len, const resp_limits_t *limits, resp_resume_t *r,
                                  resp_request_t *q, int64_t argc, size_t pos)
{
    r->argc = argc;
    r->done = 0;
    r->pos = pos;
    return parse_resumed(data, len, limits, r, q);
}

resp_result_t resp_parse(uint8_t *data, size_t len, const resp_limits_t *limits, resp_resume_t *resume,
                         resp_request_t *q)
{
    q->expect = q->expect_from = 0;
    q->is_inline = false;
    if (len == 0) return RESP_MORE;
    if (resume && resume->argc) return parse_resumed(data, len, limits, resume, q);
    if (UNLIKELY(data[0] != '*')) return parse_inline(data, len, q);
    int64_t argc;
    size_t pos;
    resp_result_t result = read_argc(data, len, limits, q, &argc, &pos);
    if (result != RESP_REQUEST) return result;
    q->argc = 0;
    q->consumed = pos;
    if (argc <= 0) return RESP_REQUEST;
    if (UNLIKELY(argc > q->argv_max)) {
        if (resume) return start_resume(data, len, limits, resume, q, argc, pos);
        q->argc = (int)argc;
        return RESP_ROOM;
    }
    for (int64_t i = 0; i < argc; i++) {
        result = read_bulk(data, len, limits, q, &pos, &q->argv[i]);
        if (LIKELY(result == RESP_REQUEST)) continue;
        if (result == RESP_MORE && resume && i >= RESUME_ARGS_MIN)
            return start_resume(data, len, limits, resume, q, argc, q->consumed);
        return result;
    }
    q->argc = (int)argc;
    q->consumed = pos;
    return RESP_REQUEST;
}

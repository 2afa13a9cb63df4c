/* request.c: how requests are read. A head is parsed anew, from its first byte, whenever more of it has come: it is short, and so nothing
 * is kept of a half one but its bytes, which are net's. A body is parsed as it comes and dropped. */
#include "http/http_internal.h"

#include <stdio.h>
#include <strings.h>

static http_conn_t *conn_of(http_parser *parser) { return parser->data; }

static bool is_text(bytes_t bytes, const char *text)
{
    return bytes.len == strlen(text) && strncasecmp((const char *)bytes.ptr, text, bytes.len) == 0;
}

/* ---- what the parser says -------------------------------------------------------------------------------------------- */

static int on_url(http_parser *parser, const char *at, size_t len)
{
    buf_append(&conn_of(parser)->request.target, at, len);
    return 0;
}

static int on_field(http_parser *parser, const char *at, size_t len)
{
    http_conn_t *conn = conn_of(parser);
    conn->field = bytes_of(at, len);
    conn->request.hosts_count += is_text(conn->field, "host");
    return 0;
}

static int on_value(http_parser *parser, const char *at, size_t len)
{
    http_conn_t *conn = conn_of(parser);
    if (!is_text(conn->field, "expect")) return 0;
    bool known = is_text(bytes_of(at, len), "100-continue");
    conn->request.expects_continue |= known;
    conn->request.expects_else |= !known;
    return 0;
}

static int on_head(http_parser *parser)
{
    http_request_t *request = &conn_of(parser)->request;
    request->method = parser->method;
    request->major = parser->http_major;
    request->minor = parser->http_minor;
    request->keep_alive = http_should_keep_alive(parser);
    http_parser_pause(parser, 1);
    return 0;
}

static int on_body(http_parser *parser, const char *at, size_t len)
{
    conn_of(parser)->body_bytes += len;
    return 0;
}

static int on_message(http_parser *parser)
{
    http_parser_pause(parser, 1);
    return 0;
}

static const http_parser_settings head_settings = {
    .on_url = on_url,
    .on_header_field = on_field,
    .on_header_value = on_value,
    .on_headers_complete = on_head,
};
/* What a body's trailers say counts for nothing. */
static const http_parser_settings body_settings = {.on_body = on_body, .on_message_complete = on_message};

/* ---- reading --------------------------------------------------------------------------------------------------------- */

static bool is_paused(const http_parser *parser) { return HTTP_PARSER_ERRNO(parser) == HPE_PAUSED; }

static void refuse_malformed(http_conn_t *conn)
{
    char why[200];
    snprintf(why, sizeof(why), "bad request: %s", http_errno_description(HTTP_PARSER_ERRNO(&conn->parser)));
    http__refuse(conn, 400, why);
}

static bool has_body(const http_parser *parser)
{
    return (parser->flags & F_CHUNKED) || (parser->content_length > 0 && parser->content_length != UINT64_MAX);
}

/* The head is whole: may the rest come? */
static void judge_head(http_conn_t *conn)
{
    const http_request_t *request = &conn->request;
    const http_parser *parser = &conn->parser;
    if (request->major != 1)
        http__refuse(conn, 505, "only HTTP/1.1 and HTTP/1.0 are spoken here");
    else if (request->minor > 0 && request->hosts_count != 1)
        http__refuse(conn, 400, "bad request: HTTP/1.1 asks for one Host header");
    else if (request->expects_else)
        http__refuse(conn, 417, "only 100-continue can be expected");
    else if (has_body(parser) && !(parser->flags & F_CHUNKED) && parser->content_length > HTTP_BODY_BYTES_MAX)
        http__refuse(conn, 413, "the body is too large");
    else if (request->expects_continue && has_body(parser))
        net_write(conn->net, BYTES_LIT("HTTP/1.1 100 Continue\r\n\r\n").ptr, strlen("HTTP/1.1 100 Continue\r\n\r\n"));
}

/* How many bytes of it are used; 0 = more of the head must come. */
static size_t read_head(http_conn_t *conn, const char *data, size_t len)
{
    buf_t target = conn->request.target;
    buf_clear(&target);
    conn->request = (http_request_t){.target = target};
    http_parser_init(&conn->parser, HTTP_REQUEST);
    conn->parser.data = conn;
    size_t n = http_parser_execute(&conn->parser, &head_settings, data, MIN(len, HTTP_HEAD_BYTES_MAX));
    if (is_paused(&conn->parser)) {
        http_parser_pause(&conn->parser, 0);
        conn->in_body = true;
        conn->body_bytes = 0;
        judge_head(conn);
        return n;
    }
    if (HTTP_PARSER_ERRNO(&conn->parser) != HPE_OK)
        refuse_malformed(conn);
    else if (len >= HTTP_HEAD_BYTES_MAX)
        http__refuse(conn, 431, "the request's head is too large");
    return 0;
}

static size_t read_body(http_conn_t *conn, const char *data, size_t len)
{
    size_t n = http_parser_execute(&conn->parser, &body_settings, data, len);
    if (conn->body_bytes > HTTP_BODY_BYTES_MAX) {
        http__refuse(conn, 413, "the body is too large");
    } else if (is_paused(&conn->parser)) {
        conn->in_body = false;
        /* What follows is in another protocol, which is not spoken here. */
        if (conn->parser.upgrade) conn->request.keep_alive = false;
        http__answer(conn);
    } else if (HTTP_PARSER_ERRNO(&conn->parser) != HPE_OK) {
        refuse_malformed(conn);
    }
    return n;
}

ssize_t http__on_data(net_conn_t *net, uint8_t *data, size_t len)
{
    http_conn_t *conn = net_conn_user(net);
    size_t done = 0, n = 1;
    while (done < len && n > 0 && !conn->reply && !conn->ending && !net_congested(net)) {
        const char *next = (const char *)data + done;
        n = conn->in_body ? read_body(conn, next, len - done) : read_head(conn, next, len - done);
        done += n;
    }
    return conn->ending ? (ssize_t)len : (ssize_t)done;
}

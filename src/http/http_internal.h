/* http_internal.h: what http.c (pages and replies), request.c (reading requests) and conns.c (who gives way, and when) share. */
#ifndef TRIVET_HTTP_HTTP_INTERNAL_H
#define TRIVET_HTTP_HTTP_INTERNAL_H

#include "base/list.h"
#include "base/map.h"
#include "http/http.h"
#include "net/net.h"

#include <http_parser.h>

#define HTTP_HEAD_BYTES_MAX KIB(16)
#define HTTP_BODY_BYTES_MAX MIB(1) /* nothing here takes a body; so much of one is read and dropped */

typedef struct http_request {
    buf_t target; /* as the client wrote it */
    unsigned method, major, minor;
    bool keep_alive;
    uint32_t hosts_count;
    bool expects_continue, expects_else;
} http_request_t;

typedef struct http_conn {
    list_t node; /* in http->conns, oldest first */
    http_t *http;
    net_conn_t *net;
    uint64_t since_ms; /* when it was opened, or its last request was whole */
    bool asked;        /* a request of it was whole */
    bool ending;
    http_reply_t *reply; /* the page that is being made; no other request is read meanwhile */
    /* the request that is being read */
    http_parser parser;
    bool in_body; /* its head was whole */
    uint64_t body_bytes;
    bytes_t field; /* the header whose value comes */
    http_request_t request;
} http_conn_t;

struct http {
    io_loop_t *loop;
    net_t *net;
    map_t pages;
    list_t replies; /* http_reply_t: pages that are being made */
    list_t conns;
    uint32_t conns_count, conns_max;
    io_timer_t sweep;
    uint64_t evicted, late;
    uint64_t event_said_ns;
};

/* http.c */
/* A request is whole: answers it, or begins to. */
void http__answer(http_conn_t *conn);
/* Answers without a page, and closes: what follows cannot be read, or is not wanted. */
void http__refuse(http_conn_t *conn, int status, const char *why);

/* request.c */
ssize_t http__on_data(net_conn_t *net, uint8_t *data, size_t len);

/* conns.c: there are few connections, and a newcomer always finds a place: the oldest of the address that has the most gives way, so
 * that half requests, however many, cannot keep a health check out. */
void http__conns_init(http_t *http);
void http__conns_deinit(http_t *http);
void http__conn_opened(http_conn_t *conn);
void http__conn_closed(http_conn_t *conn);
/* A request is whole: the deadline for the next one begins. */
void http__conn_asked(http_conn_t *conn);

#endif

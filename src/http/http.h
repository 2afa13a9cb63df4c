/* http.h: the plain HTTP side door: metrics and health. libmicrohttpd parses; its epoll set is watched by our loop. A page
 * may be made at once, or later: by then others have said on their reactors what it shows. */
#ifndef TRIVET_HTTP_HTTP_H
#define TRIVET_HTTP_HTTP_H

#include "base/base.h"
#include "base/buf.h"
#include "io/io.h"

typedef struct http http_t;

/* A page that somebody waits for. It is answered once, on the loop of its http_t. */
typedef struct http_reply http_reply_t;
typedef void (*http_page_cb)(void *user, http_reply_t *reply);
/* Takes the body's memory; the reply is gone. May be called within the http_page_cb or at any later time. */
void http_reply(http_reply_t *reply, int status, buf_t *body);

/* Port 0 picks a free one. */
int http_new(io_loop_t *loop, const char *host, uint16_t port, http_t **ret_http) MUST_CHECK;
uint16_t http_port(const http_t *http);
/* GET and HEAD of exactly `path`. */
void http_add_page(http_t *http, const char *path, const char *content_type, http_page_cb page, void *user);
/* Peers that are not on this machine's loopback get 403 for every page. */
void http_protect(http_t *http);
/* How many connections an HTTP listener has at most where so many descriptors are. */
uint32_t http_conns_max(uint32_t descriptors_max);
/* Adds to what is there. */
typedef struct http_counts {
    uint32_t open;
    uint64_t evicted, late, strangers;
} http_counts_t;
void http_count(const http_t *http, http_counts_t *counts);
/* Pages that are still waited for are answered 503; http_reply of them is harmless until then, and not allowed after. */
void http_free(http_t *http);

#endif

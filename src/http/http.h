/* http.h: the plain HTTP side door: metrics and health. libmicrohttpd parses; its epoll set is watched by our loop, so
 * that pages are made on the reactor that owns what they show. */
#ifndef TRIVET_HTTP_HTTP_H
#define TRIVET_HTTP_HTTP_H

#include "base/base.h"
#include "base/buf.h"
#include "io/io.h"

typedef struct http http_t;

/* Fills `body`; returns the HTTP status. */
typedef int (*http_page_cb)(void *user, buf_t *body);

/* Port 0 picks a free one. */
int http_new(io_loop_t *loop, const char *host, uint16_t port, http_t **ret_http) MUST_CHECK;
uint16_t http_port(const http_t *http);
/* GET and HEAD of exactly `path`. */
void http_add_page(http_t *http, const char *path, const char *content_type, http_page_cb page, void *user);
void http_free(http_t *http);

#endif

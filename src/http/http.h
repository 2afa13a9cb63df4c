/* http.h: the HTTP door: metrics and health. Connections are net's, as those of the other protocols; http-parser reads requests. A
 * page may be made at once, or later: by then others have said on their reactors what it shows. HTTP/1.0 and 1.1 (RFC 9112). */
#ifndef TRIVET_HTTP_HTTP_H
#define TRIVET_HTTP_HTTP_H

#include "base/base.h"
#include "base/buf.h"
#include "io/io.h"
#include "net/tls.h"

typedef struct http http_t;

/* A page that somebody waits for. It is answered once, on the loop of its http_t. */
typedef struct http_reply http_reply_t;
typedef void (*http_page_cb)(void *user, http_reply_t *reply);
/* Takes the body's memory; the reply is gone. May be called within the http_page_cb or at any later time. */
void http_reply(http_reply_t *reply, int status, buf_t *body);

http_t *http_new(io_loop_t *loop);
/* Peers that are not on this machine's loopback get 403 for every page. Before http_listen. */
void http_protect(http_t *http);
/* Speaks TLS, now and when listeners come: as net_secure. */
void http_secure(http_t *http, tls_context_t *context, bool allows_plain);
/* GET and HEAD of exactly `path`. */
void http_add_page(http_t *http, const char *path, const char *content_type, http_page_cb page, void *user);
/* Port 0 picks a free one. One http_t may listen at several addresses. */
int http_listen(http_t *http, const char *host, uint16_t port, uint16_t *ret_port) MUST_CHECK;
/* How many connections there are at most where so many descriptors are. */
uint32_t http_conns_max(uint32_t descriptors_max);
typedef struct http_counts {
    uint32_t open;
    uint64_t evicted, late, strangers;
} http_counts_t;
http_counts_t http_count(const http_t *http);
/* Pages that are still waited for are answered 503; http_reply of them is not allowed afterwards. */
void http_free(http_t *http);

#endif

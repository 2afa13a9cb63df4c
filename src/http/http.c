/* http.c: see http.h. */
#include "http/http.h"

#include "base/list.h"
#include "base/map.h"
#include "base/slog.h"
#include "http/conns.h"

#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <stdio.h>

#define CONNS_MIN         8
#define CONNS_MAX         64
#define DESCRIPTORS_SHARE 16 /* one in so many */
#define CONNS_SPARE       32 /* libmicrohttpd may hold so many more: those that are ending */
#define TIMEOUT_SECONDS   30
#define STRANGER_EVERY_NS 1000000000ull

typedef struct page {
    const char *content_type;
    http_page_cb make;
    void *user;
    char turn_note[48]; /* "http /metrics" */
} page_t;

struct http_reply {
    list_t node; /* http->replies; unlinked once its http_t is gone */
    http_t *http;
    struct MHD_Connection *connection;
    const char *content_type;
    bool suspended; /* libmicrohttpd leaves the connection alone until it is resumed */
    bool done;
    int status;
    buf_t body;
};

struct http {
    io_loop_t *loop;
    list_t replies; /* http_reply_t that libmicrohttpd has not sent */
    bool closing;
    struct MHD_Daemon *daemon;
    io_fd_watch_t *watch;
    io_timer_t timer; /* libmicrohttpd's own timeouts */
    map_t pages;
    http_conns_t conns;
    bool protected;
    uint64_t strangers, stranger_said_ns;
};

static enum MHD_Result respond(struct MHD_Connection *connection, int status, const char *content_type, buf_t *body)
{
    struct MHD_Response *response = MHD_create_response_from_buffer(body->len, body->ptr, MHD_RESPMEM_MUST_COPY);
    if (!response) return MHD_NO;
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, content_type);
    if (status == MHD_HTTP_METHOD_NOT_ALLOWED) MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
    enum MHD_Result result = MHD_queue_response(connection, (unsigned)status, response);
    MHD_destroy_response(response);
    return result;
}

/* One line a second at most. */
static void say_stranger(http_t *http)
{
    uint64_t now_ns = io_now_ns(http->loop);
    http->strangers++;
    if (http->stranger_said_ns && now_ns - http->stranger_said_ns < STRANGER_EVERY_NS) return;
    http->stranger_said_ns = now_ns;
    slog(SLOG_WARN, "http", "refused a stranger: there are no users yet, so only this machine is served",
         "refused_so_far=%" PRIu64, http->strangers);
}

static enum MHD_Result refuse_stranger(http_t *http, struct MHD_Connection *connection)
{
    buf_t body = BUF_INIT;
    say_stranger(http);
    buf_printf(&body,
               "Trivet is in protected mode: it is bound beyond loopback, and until it has users it serves its own "
               "machine alone. Start it with --http.protected-mode no to let everybody in.\n");
    enum MHD_Result result = respond(connection, MHD_HTTP_FORBIDDEN, "text/plain", &body);
    buf_deinit(&body);
    return result;
}

/* ---- one request ----------------------------------------------------------------------------------------------------- */

/* libmicrohttpd is done with the connection's request. */
static void on_completed(void *user, struct MHD_Connection *connection, void **state,
                         enum MHD_RequestTerminationCode how)
{
    http_reply_t *reply = *state;
    if (!reply) return;
    list_remove(&reply->node);
    buf_deinit(&reply->body);
    mem_free(reply);
}

void http_reply(http_reply_t *reply, int status, buf_t *body)
{
    http_t *http = reply->http;
    ASSERT(!reply->done);
    reply->done = true;
    reply->status = status;
    reply->body = *body;
    *body = BUF_INIT;
    if (!reply->suspended) return; /* still within on_request */
    MHD_resume_connection(reply->connection);
    if (!http->closing) io_timer_start(&http->timer, 0, 0); /* libmicrohttpd looks at it when it next runs */
}

static enum MHD_Result ask_page(http_t *http, struct MHD_Connection *connection, const page_t *page, void **state)
{
    http_reply_t *reply = mem_zalloc(sizeof(*reply));
    *reply = (http_reply_t){.http = http, .connection = connection, .content_type = page->content_type};
    list_push_back(&http->replies, &reply->node);
    *state = reply;
    io_turn_note(http->loop, page->turn_note);
    page->make(page->user, reply);
    if (reply->done) return respond(connection, reply->status, reply->content_type, &reply->body);
    reply->suspended = true;
    MHD_suspend_connection(connection);
    return MHD_YES;
}

static enum MHD_Result on_request(void *user, struct MHD_Connection *connection, const char *url, const char *method,
                                  const char *version, const char *upload, size_t *upload_bytes, void **state)
{
    http_t *http = user;
    const page_t *page = map_get_str(&http->pages, url);
    const http_reply_t *reply = *state;
    bool reads = strcmp(method, MHD_HTTP_METHOD_GET) == 0 || strcmp(method, MHD_HTTP_METHOD_HEAD) == 0;
    buf_t body = BUF_INIT;
    int status;
    if (*upload_bytes != 0) { /* nothing here takes a body: swallow it */
        *upload_bytes = 0;
        return MHD_YES;
    }
    if (reply) return respond(connection, reply->status, reply->content_type, &((http_reply_t *)*state)->body);
    http__conn_asked(&http->conns, connection);
    if (http->protected && !http__conn_is_local(connection)) return refuse_stranger(http, connection);
    if (page && reads) return ask_page(http, connection, page, state);
    if (!page) {
        buf_printf(&body, "no page %s; / lists those there are\n", url);
        status = MHD_HTTP_NOT_FOUND;
    } else {
        buf_printf(&body, "%s is read with GET\n", url);
        status = MHD_HTTP_METHOD_NOT_ALLOWED;
    }
    enum MHD_Result result = respond(connection, status, "text/plain", &body);
    buf_deinit(&body);
    return result;
}

static void on_connection(void *user, struct MHD_Connection *connection, void **slot,
                          enum MHD_ConnectionNotificationCode code)
{
    http_t *http = user;
    if (code == MHD_CONNECTION_NOTIFY_STARTED)
        http__conn_opened(&http->conns, connection, slot);
    else
        http__conn_closed(&http->conns, slot);
}

uint32_t http_conns_max(uint32_t descriptors_max)
{
    return MIN(MAX(descriptors_max / DESCRIPTORS_SHARE, CONNS_MIN), CONNS_MAX);
}

/* Lets libmicrohttpd work, then sleeps no longer than it wants to. */
static void run_daemon(http_t *http)
{
    MHD_UNSIGNED_LONG_LONG timeout_ms;
    MHD_run(http->daemon);
    if (MHD_get_timeout(http->daemon, &timeout_ms) == MHD_YES)
        io_timer_start(&http->timer, timeout_ms, 0);
    else
        io_timer_stop(&http->timer);
}

static void on_ready(void *user, unsigned events) { run_daemon(user); }
static void on_timer(io_timer_t *timer) { run_daemon(CONTAINER_OF(timer, http_t, timer)); }

/* `host` must be numeric or "localhost". */
static int make_address(const char *host, uint16_t port, struct sockaddr_storage *ret_address, bool *ret_is_v6)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)ret_address;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)ret_address;
    memset(ret_address, 0, sizeof(*ret_address));
    if (strcmp(host, "localhost") == 0) host = "127.0.0.1";
    *ret_is_v6 = strchr(host, ':') != NULL;
    if (*ret_is_v6) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons(port);
        return inet_pton(AF_INET6, host, &v6->sin6_addr) == 1 ? 0 : ERR_INVALID;
    }
    v4->sin_family = AF_INET;
    v4->sin_port = htons(port);
    return inet_pton(AF_INET, host, &v4->sin_addr) == 1 ? 0 : ERR_INVALID;
}

int http_new(io_loop_t *loop, const char *host, uint16_t port, http_t **ret_http)
{
    struct sockaddr_storage address;
    bool is_v6;
    http_t *http = mem_zalloc(sizeof(*http));
    uint32_t conns_max = http_conns_max(io_descriptors_max());
    http->loop = loop;
    list_init(&http->replies);
    io_timer_init(loop, &http->timer, on_timer);
    http__conns_init(&http->conns, loop, conns_max);
    int err = make_address(host, port, &address, &is_v6);
    if (err) goto out;
    unsigned flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | (is_v6 ? MHD_USE_IPv6 : 0u);
    errno = 0;
    http->daemon =
        MHD_start_daemon(flags, port, NULL, NULL, on_request, http, MHD_OPTION_SOCK_ADDR, &address,
                         MHD_OPTION_CONNECTION_LIMIT, (unsigned)(conns_max + CONNS_SPARE), MHD_OPTION_NOTIFY_CONNECTION,
                         on_connection, http, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)TIMEOUT_SECONDS,
                         MHD_OPTION_NOTIFY_COMPLETED, on_completed, http, MHD_OPTION_END);
    if (!http->daemon) {
        err = errno ? err_from_errno(errno) : ERR_IO;
        goto out;
    }
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    err = io_fd_watch_new(loop, info->epoll_fd, on_ready, http, &http->watch);
    if (!err) *ret_http = http;
out:
    if (err) http_free(http);
    return err;
}

void http_protect(http_t *http) { http->protected = true; }

void http_count(const http_t *http, http_counts_t *counts)
{
    counts->open += http->conns.count;
    counts->evicted += http->conns.evicted;
    counts->late += http->conns.late;
    counts->strangers += http->strangers;
}

uint16_t http_port(const http_t *http) { return MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_BIND_PORT)->port; }

void http_add_page(http_t *http, const char *path, const char *content_type, http_page_cb make, void *user)
{
    page_t *page = mem_alloc(sizeof(*page));
    *page = (page_t){.content_type = content_type, .make = make, .user = user};
    snprintf(page->turn_note, sizeof(page->turn_note), "http %s", path);
    void *previous = map_put(&http->pages, bytes_str(path), page);
    ASSERT(!previous);
}

/* libmicrohttpd does not stop while a connection is suspended. */
static void answer_all(http_t *http)
{
    http->closing = true;
    LIST_EACH(&http->replies, reply, http_reply_t, node) {
        buf_t body = BUF_INIT;
        buf_printf(&body, "the server stops\n");
        if (!reply->done) http_reply(reply, MHD_HTTP_SERVICE_UNAVAILABLE, &body);
    }
    if (http->daemon) MHD_run(http->daemon);
}

void http_free(http_t *http)
{
    size_t cursor = 0;
    answer_all(http);
    io_timer_stop(&http->timer);
    if (http->watch) io_fd_watch_free(http->watch);
    if (http->daemon) MHD_stop_daemon(http->daemon);
    for (map_entry_t *e; (e = map_next(&http->pages, &cursor));) mem_free(e->value);
    map_deinit(&http->pages);
    http__conns_deinit(&http->conns);
    mem_free(http);
}

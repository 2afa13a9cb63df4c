/* http.c: pages, replies, and the life of connections; see http.h. */
#include "http/http_internal.h"

#include "base/slog.h"

#include <stdio.h>
#include <time.h>

#define CONNS_MIN         8
#define CONNS_MAX         64
#define DESCRIPTORS_SHARE 16 /* one in so many */
#define OUT_BYTES_HIGH    MIB(1)
#define EVENT_EVERY_NS    1000000000ull

typedef struct page {
    const char *content_type;
    http_page_cb make;
    void *user;
    char turn_note[48]; /* "http /metrics" */
} page_t;

struct http_reply {
    list_t node; /* in http->replies */
    http_t *http;
    http_conn_t *conn; /* NULL = it is gone, and nobody waits */
    const char *content_type;
    bool paused; /* its connection reads no more until it is answered */
};

/* ---- responses ------------------------------------------------------------------------------------------------------- */

static const char *reason_of(int status)
{
    switch (status) {
#define X(number, name, text)                                                                                          \
    case number: return #text;
        HTTP_STATUS_MAP(X)
#undef X
    }
    return "";
}

/* As RFC 9110 writes it, in whatever language the process was started. */
static void put_date(buf_t *head, int64_t wall_ms)
{
    static const char days[][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char months[][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    time_t seconds = (time_t)(wall_ms / 1000);
    struct tm tm;
    if (!gmtime_r(&seconds, &tm)) return; /* the clock stands beyond what a year can say */
    buf_printf(head, "Date: %s, %02d %s %04d %02d:%02d:%02d GMT\r\n", days[tm.tm_wday], tm.tm_mday, months[tm.tm_mon],
               tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
}

static void respond(http_conn_t *conn, int status, const char *content_type, bytes_t body)
{
    const http_request_t *request = &conn->request;
    bool head_only = conn->request.method == HTTP_HEAD;
    buf_t head = BUF_INIT;
    buf_printf(&head, "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\nCache-Control: no-store\r\n",
               status, reason_of(status), content_type, body.len);
    put_date(&head, io_wall_ms(conn->http->loop));
    if (status == 405) buf_printf(&head, "Allow: GET, HEAD\r\n");
    if (!request->keep_alive)
        buf_printf(&head, "Connection: close\r\n");
    else if (request->minor == 0)
        buf_printf(&head, "Connection: keep-alive\r\n");
    buf_printf(&head, "\r\n");
    net_write(conn->net, head.ptr, head.len);
    if (!head_only && body.len) net_write(conn->net, body.ptr, body.len);
    buf_deinit(&head);
    if (request->keep_alive) return;
    conn->ending = true;
    net_close(conn->net);
}

static void respond_text(http_conn_t *conn, int status, const char *text)
{
    char line[HTTP_HEAD_BYTES_MAX + 100];
    int n = snprintf(line, sizeof(line), "%s\n", text);
    respond(conn, status, "text/plain", bytes_of(line, (size_t)MIN(n, (int)sizeof(line) - 1)));
}

void http__refuse(http_conn_t *conn, int status, const char *why)
{
    conn->request.keep_alive = false;
    respond_text(conn, status, why);
}

/* ---- pages ----------------------------------------------------------------------------------------------------------- */

static void refuse_stranger(http_conn_t *conn)
{
    http__refuse(conn, 403,
                 "Trivet is in protected mode: it is bound beyond loopback, and until it has users it serves its own "
                 "machine alone. Start it with --http.protected-mode no to let everybody in.");
    net_refuse_stranger(conn->net);
}

static void ask_page(http_conn_t *conn, const page_t *page)
{
    http_t *http = conn->http;
    http_reply_t *reply = mem_alloc(sizeof(*reply));
    *reply = (http_reply_t){.http = http, .conn = conn, .content_type = page->content_type};
    list_push_back(&http->replies, &reply->node);
    conn->reply = reply;
    io_turn_note(http->loop, page->turn_note);
    page->make(page->user, reply);
    if (!conn->reply) return;
    reply->paused = true;
    net_pause(conn->net);
}

void http_reply(http_reply_t *reply, int status, buf_t *body)
{
    http_conn_t *conn = reply->conn;
    if (conn) {
        conn->reply = NULL;
        http__conn_asked(conn);
        respond(conn, status, reply->content_type, buf_bytes(body));
        if (reply->paused) net_resume(conn->net);
    }
    list_remove(&reply->node);
    mem_free(reply);
    buf_deinit(body);
}

/* The path of the target, which may be a whole address; without what is asked of it. */
static bytes_t path_of(const http_request_t *request)
{
    struct http_parser_url url;
    const buf_t *target = &request->target;
    http_parser_url_init(&url);
    if (http_parser_parse_url((const char *)target->ptr, target->len, request->method == HTTP_CONNECT, &url) != 0 ||
        !(url.field_set & (1 << UF_PATH)))
        return BYTES_LIT("");
    return bytes_of(target->ptr + url.field_data[UF_PATH].off, url.field_data[UF_PATH].len);
}

void http__answer(http_conn_t *conn)
{
    char text[HTTP_HEAD_BYTES_MAX + 50];
    bytes_t path = path_of(&conn->request);
    const page_t *page = map_get(&conn->http->pages, path);
    bool reads = conn->request.method == HTTP_GET || conn->request.method == HTTP_HEAD;
    http__conn_asked(conn);
    if (net_conn_is_stranger(conn->net)) {
        refuse_stranger(conn);
    } else if (page && reads) {
        ask_page(conn, page);
    } else if (page) {
        snprintf(text, sizeof(text), "%.*s is read with GET", (int)path.len, (const char *)path.ptr);
        respond_text(conn, 405, text);
    } else {
        snprintf(text, sizeof(text), "no page %.*s; / lists those there are", (int)path.len, (const char *)path.ptr);
        respond_text(conn, 404, text);
    }
}

void http_add_page(http_t *http, const char *path, const char *content_type, http_page_cb make, void *user)
{
    page_t *page = mem_alloc(sizeof(*page));
    *page = (page_t){.content_type = content_type, .make = make, .user = user};
    snprintf(page->turn_note, sizeof(page->turn_note), "http %s", path);
    void *previous = map_put(&http->pages, bytes_str(path), page);
    ASSERT(!previous);
}

/* ---- connections ----------------------------------------------------------------------------------------------------- */

static int on_open(net_conn_t *net, void *service)
{
    http_conn_t *conn = mem_zalloc(sizeof(*conn));
    conn->http = service;
    conn->net = net;
    conn->request.target = BUF_INIT;
    net_conn_set_user(net, conn);
    http__conn_opened(conn);
    return 0;
}

static bool is_awaited(const net_conn_t *net) { return ((const http_conn_t *)net_conn_user(net))->reply != NULL; }

static void on_close(net_conn_t *net)
{
    http_conn_t *conn = net_conn_user(net);
    if (conn->reply) conn->reply->conn = NULL;
    http__conn_closed(conn);
    buf_deinit(&conn->request.target);
    mem_free(conn);
}

static const net_service_t service = {
    .name = "http",
    .on_open = on_open,
    .on_data = http__on_data,
    .is_awaited = is_awaited,
    .on_close = on_close,
    .limits = {.in_bytes_max = NET_PAUSED_IN_BYTES_MAX + HTTP_HEAD_BYTES_MAX,
               .out_bytes_high =
                   OUT_BYTES_HIGH}, /* how many there may be is conns.c's business: the oldest gives way */
};

/* One line a second at most. */
static void on_event(void *user, net_event_t event, const char *name, const char *peer, size_t bytes, const char *why)
{
    http_t *http = user;
    uint64_t now_ns = io_now_ns(http->loop);
    if (event != NET_EVENT_STRANGER && event != NET_EVENT_TLS_FAILED) return;
    if (http->event_said_ns && now_ns - http->event_said_ns < EVENT_EVERY_NS) return;
    http->event_said_ns = now_ns;
    if (event == NET_EVENT_TLS_FAILED)
        slog(SLOG_WARN, "http", "closed a connection: TLS failed", "peer=%s why=\"%s\" failed_so_far=%" PRIu64, peer,
             why, net_totals(http->net).tls_failed);
    else
        slog(SLOG_WARN, "http", "refused a stranger: there are no users yet, so only this machine is served",
             "refused_so_far=%" PRIu64, net_totals(http->net).strangers);
}

uint32_t http_conns_max(uint32_t descriptors_max)
{
    return MIN(MAX(descriptors_max / DESCRIPTORS_SHARE, CONNS_MIN), CONNS_MAX);
}

http_counts_t http_count(const http_t *http)
{
    return (http_counts_t){http->conns_count, http->evicted, http->late, net_totals(http->net).strangers};
}

/* ---- life ------------------------------------------------------------------------------------------------------------ */

/* A net of its own: its descriptors are set aside, so that a crowd of other clients does not keep a health check out. */
http_t *http_new(io_loop_t *loop)
{
    http_t *http = mem_zalloc(sizeof(*http));
    http->loop = loop;
    http->conns_max = http_conns_max(io_descriptors_max());
    http->net = net_new(loop);
    net_on_event(http->net, on_event, http);
    list_init(&http->replies);
    http__conns_init(http);
    return http;
}

void http_protect(http_t *http) { net_protect(http->net, service.name); }

void http_secure(http_t *http, tls_context_t *context, bool allows_plain)
{
    net_secure(http->net, service.name, context, allows_plain);
}

int http_listen(http_t *http, const char *host, uint16_t port, uint16_t *ret_port)
{
    net_listener_t *listener;
    int err = net_listen(http->net, host, port, &service, http, &listener);
    if (!err) *ret_port = net_listener_port(listener);
    return err;
}

void http_free(http_t *http)
{
    size_t cursor = 0;
    LIST_EACH(&http->replies, reply, http_reply_t, node) {
        buf_t body = BUF_INIT;
        http_conn_t *conn = reply->conn;
        buf_printf(&body, "the server stops\n");
        http_reply(reply, 503, &body);
        if (conn) net_send(conn->net);
    }
    net_free(http->net);
    http__conns_deinit(http);
    for (map_entry_t *e; (e = map_next(&http->pages, &cursor));) mem_free(e->value);
    map_deinit(&http->pages);
    mem_free(http);
}

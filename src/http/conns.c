/* conns.c: see http_internal.h. Invariant: conns_count is the length of the list, of which those that end are no part. */
#include "http/http_internal.h"

#define FIRST_REQUEST_MS 10000 /* to be whole, from the beginning of the connection */
#define NEXT_REQUEST_MS  30000 /* from the end of the request before it */
#define SWEEP_MS         1000

static uint64_t now_ms(const http_t *http) { return io_now_ns(http->loop) / 1000000; }

/* The list is short: a few dozen at most. */
static void evict_one(http_t *http)
{
    http_conn_t *chosen = NULL;
    uint32_t most = 0;
    LIST_EACH(&http->conns, conn, http_conn_t, node) {
        uint32_t siblings = net_conn_siblings(conn->net);
        if (siblings <= most) continue;
        most = siblings;
        chosen = conn;
    }
    if (!chosen) return;
    http->evicted++;
    net_close_now(chosen->net);
    http__conn_closed(chosen);
}

static void sweep(io_timer_t *timer)
{
    http_t *http = CONTAINER_OF(timer, http_t, sweep);
    uint64_t now = now_ms(http);
    LIST_EACH(&http->conns, conn, http_conn_t, node) {
        if (conn->reply || now - conn->since_ms < (conn->asked ? NEXT_REQUEST_MS : FIRST_REQUEST_MS)) continue;
        http->late++;
        net_close_now(conn->net);
        http__conn_closed(conn);
    }
    if (http->conns_count) io_timer_start(timer, SWEEP_MS, 0);
}

void http__conns_init(http_t *http)
{
    list_init(&http->conns);
    io_timer_init(http->loop, &http->sweep, sweep);
}

void http__conns_deinit(http_t *http)
{
    ASSERT(http->conns_count == 0);
    io_timer_stop(&http->sweep);
}

void http__conn_opened(http_conn_t *conn)
{
    http_t *http = conn->http;
    if (http->conns_count >= http->conns_max) evict_one(http);
    conn->since_ms = now_ms(http);
    list_push_back(&http->conns, &conn->node);
    http->conns_count++;
    if (!http->sweep.due_ns) io_timer_start(&http->sweep, SWEEP_MS, 0);
}

void http__conn_closed(http_conn_t *conn)
{
    if (!list_linked(&conn->node)) return;
    list_remove(&conn->node);
    conn->http->conns_count--;
}

void http__conn_asked(http_conn_t *conn)
{
    conn->asked = true;
    conn->since_ms = now_ms(conn->http);
}

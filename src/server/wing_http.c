/* wing_http.c: the HTTP door: /metrics in Prometheus text, /healthz and /readyz. */
#include "http/http.h"
#include "server/server_internal.h"

typedef struct wing_http {
    server_t *server;
    http_t *http; /* NULL until it listens */
} wing_http_t;

static void *init(server_t *server)
{
    wing_http_t *wing = mem_zalloc(sizeof(*wing));
    wing->server = server;
    return wing;
}

static void page_metrics(void *user, http_reply_t *reply) { server__page_make(user, &server__page_metrics, reply); }
static void page_ready(void *user, http_reply_t *reply) { server__page_make(user, &server__page_ready, reply); }

/* Of the process: it does not ask the other reactors. */
static void page_health(void *user, http_reply_t *reply)
{
    buf_t body = BUF_INIT;
    buf_printf(&body, "ok\n");
    http_reply(reply, 200, &body);
}

static void page_index(void *user, http_reply_t *reply);

typedef struct page_row {
    const char *path, *content_type, *about;
    http_page_cb make;
} page_row_t;

static const page_row_t pages[] = {
    {"/", "text/plain", "this page", page_index},
    {"/metrics", "text/plain; version=0.0.4", "counters and gauges, as Prometheus reads them", page_metrics},
    {"/healthz", "text/plain", "200 while the process answers", page_health},
    {"/readyz", "text/plain", "200 when all protocols are served and can write; else 503 and why", page_ready},
};

static void page_index(void *user, http_reply_t *reply)
{
    const server_t *server = user;
    buf_t page = BUF_INIT, *body = &page;
    buf_printf(body, "Trivet %s\n\n", TRIVET_VERSION);
    for (size_t i = 0; i < ARRAY_LEN(pages); i++) buf_printf(body, "  %-10s %s\n", pages[i].path, pages[i].about);
    buf_printf(body, "\n");
    for (int door = 0; door < DOORS_COUNT; door++) {
        int port = server_port(server, (server_door_t)door);
        if (port >= 0) buf_printf(body, "  %-10s port %d\n", server_door_names[door], port);
    }
    http_reply(reply, 200, body);
}

static void start(wing_http_t *wing)
{
    wing->http = http_new(wing->server->loop);
    for (size_t i = 0; i < ARRAY_LEN(pages); i++)
        http_add_page(wing->http, pages[i].path, pages[i].content_type, pages[i].make, wing->server);
    if (wing->server->doors[DOOR_HTTP].protected) http_protect(wing->http);
}

void server__http_secure(server_t *server, tls_context_t *context, bool allows_plain)
{
    wing_http_t *wing = server->doors[DOOR_HTTP].wing;
    if (!wing->http && !server->ready_ns) start(wing);
    if (wing->http) http_secure(wing->http, context, allows_plain);
}

static int start_listening(void *user, const char *host, uint16_t port, uint16_t *ret_port)
{
    wing_http_t *wing = user;
    if (!wing->http) start(wing);
    return http_listen(wing->http, host, port, ret_port);
}

static void metrics(const void *user, buf_t *out)
{
    const wing_http_t *wing = user;
    http_counts_t counts = wing->http ? http_count(wing->http) : (http_counts_t){0};
    buf_printf(out, "trivet_connections_open{protocol=\"http\"} %" PRIu32 "\n", counts.open);
    buf_printf(out,
               "# TYPE trivet_http_connections_evicted_total counter\ntrivet_http_connections_evicted_total %" PRIu64
               "\n",
               counts.evicted);
    buf_printf(out,
               "# TYPE trivet_http_connections_late_total counter\ntrivet_http_connections_late_total %" PRIu64 "\n",
               counts.late);
    buf_printf(out,
               "# TYPE trivet_http_strangers_refused_total counter\ntrivet_http_strangers_refused_total %" PRIu64 "\n",
               counts.strangers);
}

static void stop(void *user)
{
    wing_http_t *wing = user;
    if (wing->http) http_free(wing->http);
    wing->http = NULL;
}

static void deinit(void *user) { mem_free(user); }

const server__wing_t server__http = {
    .init = init,
    .listen = start_listening,
    .stop = stop,
    .deinit = deinit,
    .metrics = metrics,
};

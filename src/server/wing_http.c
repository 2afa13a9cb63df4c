/* wing_http.c: the HTTP door: /metrics in Prometheus text, /healthz and /readyz. */
#include "http/http.h"
#include "server/server_internal.h"

#define ADDRESSES_MAX 16

typedef struct wing_http {
    server_t *server;
    http_t *https[ADDRESSES_MAX]; /* one an address */
    int https_count;
} wing_http_t;

static void *init(server_t *server)
{
    wing_http_t *wing = mem_zalloc(sizeof(*wing));
    wing->server = server;
    return wing;
}

/* ---- troubles --------------------------------------------------------------------------------------------------- */

typedef struct troubles {
    buf_t *out;
    const char *wing;
    int count;
} troubles_t;

static void write_trouble_line(void *user, const char *what, const char *text)
{
    troubles_t *troubles = user;
    buf_printf(troubles->out, "%s: %s: %s\n", troubles->wing, what, text);
    troubles->count++;
}

static void write_trouble_metric(void *user, const char *what, const char *text)
{
    const troubles_t *troubles = user;
    buf_printf(troubles->out, "trivet_trouble{wing=\"%s\",what=\"%s\"} 1\n", troubles->wing, what);
}

static void write_lines(void *user, const health_t *health)
{
    ((troubles_t *)user)->wing = health->wing;
    health_each(health, write_trouble_line, user);
}

static void write_metrics(void *user, const health_t *health)
{
    ((troubles_t *)user)->wing = health->wing;
    health_each(health, write_trouble_metric, user);
}

/* ---- pages ------------------------------------------------------------------------------------------------------ */

static int page_metrics(void *user, buf_t *body)
{
    const server_t *server = user;
    double uptime = (double)(io_hrtime_ns(server->loop) - server->started_ns) / 1e9;
    buf_printf(body, "# TYPE trivet_info gauge\ntrivet_info{version=\"%s\"} 1\n", TRIVET_VERSION);
    buf_printf(body, "# TYPE process_uptime_seconds gauge\nprocess_uptime_seconds %.3f\n", uptime);
    buf_printf(body, "# TYPE process_resident_memory_bytes gauge\nprocess_resident_memory_bytes %zu\n",
               server_resident_bytes());
    buf_printf(body, "# TYPE trivet_heap_bytes gauge\ntrivet_heap_bytes %zu\n", mem_used());
    server__watchdog_metrics(server, body);
    server__limits_metrics(server, body);
    server__metrics(server, body);
    buf_printf(body, "# TYPE trivet_trouble gauge\n");
    server__each_health(server, write_metrics, &(troubles_t){.out = body});
    return 200;
}

static int page_health(void *user, buf_t *body)
{
    buf_append(body, "ok\n", 3);
    return 200;
}

/* The doors open after recovery, this one among the last; a moment later what opening them began has ended, too. From then on
 * a wing that cannot do its whole work is not ready, and says why. */
static int page_ready(void *user, buf_t *body)
{
    const server_t *server = user;
    troubles_t troubles = {.out = body};
    if (server->ready_ns == 0) {
        buf_printf(body, "starting\n");
        return 503;
    }
    server__each_health(server, write_lines, &troubles);
    if (troubles.count) return 503;
    buf_printf(body, "ready\n");
    return 200;
}

static int page_index(void *user, buf_t *body);

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

static int page_index(void *user, buf_t *body)
{
    const server_t *server = user;
    buf_printf(body, "Trivet %s\n\n", TRIVET_VERSION);
    for (size_t i = 0; i < ARRAY_LEN(pages); i++) buf_printf(body, "  %-10s %s\n", pages[i].path, pages[i].about);
    buf_printf(body, "\n");
    for (int door = 0; door < DOORS_COUNT; door++) {
        int port = server_port(server, (server_door_t)door);
        if (port >= 0) buf_printf(body, "  %-10s port %d\n", server_door_names[door], port);
    }
    return 200;
}

static int start_listening(void *user, const char *host, uint16_t port, uint16_t *ret_port)
{
    wing_http_t *wing = user;
    http_t *http;
    if (wing->https_count == ADDRESSES_MAX) return ERR_LIMIT;
    int err = http_new(wing->server->loop, host, port, &http);
    if (err != 0) return err;
    for (size_t i = 0; i < ARRAY_LEN(pages); i++)
        http_add_page(http, pages[i].path, pages[i].content_type, pages[i].make, wing->server);
    if (wing->server->doors[DOOR_HTTP].protected) http_protect(http);
    wing->https[wing->https_count++] = http;
    *ret_port = http_port(http);
    return 0;
}

static void metrics(const void *user, buf_t *out)
{
    const wing_http_t *wing = user;
    http_counts_t counts = {0};
    for (int i = 0; i < wing->https_count; i++) http_count(wing->https[i], &counts);
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
    while (wing->https_count) http_free(wing->https[--wing->https_count]);
}

static void deinit(void *user) { mem_free(user); }

const server__wing_t server__http = {
    .init = init,
    .listen = start_listening,
    .stop = stop,
    .deinit = deinit,
    .metrics = metrics,
};

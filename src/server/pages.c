/* pages.c: pages that show all reactors. Control writes what is its own and sends the page's visits to the other reactors, each
 * of which adds what it owns. One that is not back within PAGE_WAIT_MS is named as silent, and the page goes out without its
 * part: a command that takes a minute must not keep anybody from seeing that. */
#include "server/server_internal.h"

#include <stdio.h>

#define PAGE_WAIT_MS    1000
#define VISITS_AWAY_MAX 16 /* at one reactor; further pages do without it */
#define STATUS_OK       200
#define STATUS_NOT_WELL 503

struct page;

typedef struct visit {
    io_message_t message;
    struct page *page;
    server__reactor_t *reactor;
    buf_t part;
    int troubles;
    bool back;
} visit_t;

typedef struct page {
    server_t *server;
    const server__page_t *kind;
    http_reply_t *reply; /* NULL once it is answered */
    io_timer_t timer;
    visit_t visits[REACTORS_COUNT_MAX]; /* the first is control's own part */
    int visits_count, away;
} page_t;

/* In the order of the reactors. */
static void answer(page_t *page)
{
    buf_t body = BUF_INIT;
    int troubles = 0;
    io_timer_stop(&page->timer);
    for (int i = 0; i < page->visits_count; i++) {
        const visit_t *visit = &page->visits[i];
        if (visit->back)
            buf_append(&body, visit->part.ptr, visit->part.len);
        else
            page->kind->silent(visit->reactor->name, &body);
        troubles += visit->back ? visit->troubles : 1;
    }
    http_reply(page->reply, page->kind->end(page->server, troubles, &body), &body);
    page->reply = NULL;
}

/* Whoever is still away will come back, and the last one frees the page. */
static void settle(page_t *page)
{
    if (page->reply && page->away == 0) answer(page);
    if (page->away > 0) return;
    for (int i = 0; i < page->visits_count; i++) buf_deinit(&page->visits[i].part);
    mem_free(page);
}

static void on_timeout(io_timer_t *timer) { answer(CONTAINER_OF(timer, page_t, timer)); }

static void came_back(io_message_t *message)
{
    visit_t *visit = CONTAINER_OF(message, visit_t, message);
    ASSERT(!visit->back && visit->reactor->visits_away > 0 && visit->page->away > 0);
    visit->back = true;
    visit->reactor->visits_away--;
    visit->page->away--;
    settle(visit->page);
}

/* On the reactor that is visited. */
static void make_part(io_message_t *message)
{
    visit_t *visit = CONTAINER_OF(message, visit_t, message);
    server_t *server = visit->page->server;
    visit->troubles = visit->page->kind->part(server, visit->reactor, &visit->part);
    visit->message.run = came_back;
    io_post(server->loop, &visit->message);
}

static void send(visit_t *visit)
{
    if (visit->reactor->visits_away >= VISITS_AWAY_MAX) return;
    visit->reactor->visits_away++;
    visit->page->away++;
    visit->message.run = make_part;
    io_post(visit->reactor->loop, &visit->message);
}

void server__page_make(server_t *server, const server__page_t *kind, http_reply_t *reply)
{
    page_t *page = mem_zalloc(sizeof(*page));
    *page = (page_t){.server = server, .kind = kind, .reply = reply, .visits_count = server->reactors_made};
    for (int i = 0; i < page->visits_count; i++)
        page->visits[i] = (visit_t){.page = page, .reactor = &server->reactors[i], .part = BUF_INIT};
    page->visits[0].troubles = kind->part(server, &server->reactors[0], &page->visits[0].part);
    page->visits[0].back = true;
    io_timer_init(server->loop, &page->timer, on_timeout);
    io_timer_start(&page->timer, PAGE_WAIT_MS, 0);
    for (int i = 1; i < page->visits_count; i++) send(&page->visits[i]);
    settle(page);
}

/* ---- /metrics -------------------------------------------------------------------------------------------------------- */

static void write_trouble_metric(void *user, const char *wing, const char *what, const char *text)
{
    buf_printf(user, "trivet_trouble{wing=\"%s\",what=\"%s\"} 1\n", wing, what);
}

static void write_process(const server_t *server, buf_t *out)
{
    double uptime = (double)(io_hrtime_ns(server->loop) - server->started_ns) / 1e9;
    buf_printf(out, "# TYPE trivet_info gauge\ntrivet_info{version=\"%s\"} 1\n", TRIVET_VERSION);
    buf_printf(out, "# TYPE process_uptime_seconds gauge\nprocess_uptime_seconds %.3f\n", uptime);
    buf_printf(out, "# TYPE trivet_allocations_refused_total counter\ntrivet_allocations_refused_total %zu\n",
               mem_refused());
    buf_printf(out, "# TYPE process_resident_memory_bytes gauge\nprocess_resident_memory_bytes %zu\n",
               server_resident_bytes());
    buf_printf(out, "# TYPE trivet_heap_bytes gauge\ntrivet_heap_bytes %zu\n", mem_used());
    server__watchdog_metrics(server, out);
}

static int metrics_part(server_t *server, server__reactor_t *reactor, buf_t *out)
{
    if (reactor == &server->reactors[0]) write_process(server, out);
    server__limits_metrics(server, reactor, out);
    for (int door = 0; door < DOORS_COUNT; door++) {
        const server__wing_t *wing = server__wings[door];
        const server__door_t *d = &server->doors[door];
        if (d->started && wing->metrics && server__reactor_of(server, (server_door_t)door) == reactor)
            wing->metrics(d->wing, out);
    }
    server__each_trouble(server, reactor, write_trouble_metric, out);
    return 0;
}

static void metrics_silent(const char *reactor, buf_t *out)
{
    buf_printf(out, "trivet_reactor_silent{reactor=\"%s\"} 1\n", reactor);
}

static int metrics_end(const server_t *server, int troubles, buf_t *out) { return STATUS_OK; }

const server__page_t server__page_metrics = {metrics_part, metrics_silent, metrics_end};

/* ---- /readyz --------------------------------------------------------------------------------------------------------- */

typedef struct lines {
    buf_t *out;
    int count;
} lines_t;

static void write_trouble_line(void *user, const char *wing, const char *what, const char *text)
{
    lines_t *lines = user;
    buf_printf(lines->out, "%s: %s: %s\n", wing, what, text);
    lines->count++;
}

static int ready_part(server_t *server, server__reactor_t *reactor, buf_t *out)
{
    lines_t lines = {.out = out};
    server__each_trouble(server, reactor, write_trouble_line, &lines);
    return lines.count;
}

static void ready_silent(const char *reactor, buf_t *out)
{
    buf_printf(out, "%s: has not answered for %d ms: something long runs there\n", reactor, PAGE_WAIT_MS);
}

/* Each wing is listed: ready once it has recovered. From then on one that cannot do its whole work says why, above. */
static int ready_end(const server_t *server, int troubles, buf_t *out)
{
    for (int door = 0; door < DOORS_COUNT; door++) {
        const server__door_t *d = &server->doors[door];
        if (d->started) buf_printf(out, "%s: %s\n", server_door_names[door], d->ready ? "ready" : "starting");
    }
    buf_printf(out, server->ready_ns == 0 ? "starting\n" : troubles ? "not ready\n" : "ready\n");
    return server->ready_ns == 0 || troubles ? STATUS_NOT_WELL : STATUS_OK;
}

const server__page_t server__page_ready = {ready_part, ready_silent, ready_end};

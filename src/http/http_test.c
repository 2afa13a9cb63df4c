/* http_test.c: requests as they come, whole, in pieces, one behind the other, malformed or too large; pages at once and later; who gives
 * way. On the simulator, where reads and writes are short now and then. */
#include "http/http.h"

#include "io/sim.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define ANSWER_BYTES_MAX KIB(64)
#define CLIENTS_MAX      80

typedef struct client {
    io_stream_t *stream;
    buf_t out;
    char answer[ANSWER_BYTES_MAX];
    size_t answer_bytes;
    bool ended;
} client_t;

typedef struct fixture {
    sim_t *sim;
    sim_node_t *server;
    sim_node_t *near, *far;
    http_t *http;
    uint16_t port;
    http_reply_t *waiting; /* of /later */
    io_timer_t later;
    int asked;
    client_t clients[CLIENTS_MAX];
    int clients_count;
} fixture_t;

static void make_page(void *user, http_reply_t *reply)
{
    fixture_t *f = user;
    buf_t body = BUF_INIT;
    buf_printf(&body, "page %d\n", ++f->asked);
    http_reply(reply, 200, &body);
}

static void make_trouble(void *user, http_reply_t *reply)
{
    buf_t body = BUF_INIT;
    buf_printf(&body, "not ready\n");
    http_reply(reply, 503, &body);
}

static void make_later(void *user, http_reply_t *reply) { ((fixture_t *)user)->waiting = reply; }

static void listen_with(fixture_t *f, bool protected)
{
    f->http = http_new(sim_node_loop(f->server));
    if (protected) http_protect(f->http);
    http_add_page(f->http, "/metrics", "text/plain; version=0.0.4", make_page, f);
    http_add_page(f->http, "/readyz", "text/plain", make_trouble, f);
    http_add_page(f->http, "/later", "text/plain", make_later, f);
    assert_int_equal(http_listen(f->http, "10.0.0.1", 0, &f->port), 0);
}

static int setup(void **state)
{
    fixture_t *f = mem_zalloc(sizeof(*f));
    f->sim = sim_new(7);
    f->server = sim_node_new(f->sim, "10.0.0.1");
    f->near = sim_node_new(f->sim, "10.0.0.2");
    f->far = sim_node_new(f->sim, "10.0.0.3");
    listen_with(f, false);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fixture_t *f = *state;
    for (int i = 0; i < f->clients_count; i++) {
        io_stream_close(f->clients[i].stream);
        buf_deinit(&f->clients[i].out);
    }
    if (f->http) http_free(f->http);
    sim_free(f->sim);
    mem_free(f);
    return 0;
}

/* ---- the client ---- */

static void client_ready(void *user, unsigned events);

static void client_watch(client_t *c)
{
    unsigned events = (c->ended ? 0u : IO_READABLE) | (c->out.len ? IO_WRITABLE : 0u);
    io_stream_watch(c->stream, events, client_ready, c);
}

static void client_write(client_t *c)
{
    struct iovec iov = {c->out.ptr, c->out.len};
    ssize_t n = io_stream_writev(c->stream, &iov, 1);
    if (n > 0) buf_consume(&c->out, (size_t)n);
    if (n < 0 && n != ERR_AGAIN) buf_clear(&c->out);
}

static void client_ready(void *user, unsigned events)
{
    client_t *c = user;
    if ((events & IO_WRITABLE) && c->out.len) client_write(c);
    if (events & IO_READABLE) {
        ssize_t n = io_stream_read(c->stream, c->answer + c->answer_bytes, ANSWER_BYTES_MAX - 1 - c->answer_bytes);
        if (n > 0) c->answer_bytes += (size_t)n;
        c->ended |= n == 0 || (n < 0 && n != ERR_AGAIN);
        c->answer[c->answer_bytes] = '\0';
    }
    client_watch(c);
}

static client_t *client_from(fixture_t *f, sim_node_t *node)
{
    assert_true(f->clients_count < CLIENTS_MAX);
    client_t *c = &f->clients[f->clients_count++];
    assert_int_equal(io_connect(sim_node_loop(node), "10.0.0.1", f->port, &c->stream), 0);
    client_watch(c);
    return c;
}

static void say(fixture_t *f, client_t *c, const char *text)
{
    buf_append(&c->out, text, strlen(text));
    client_watch(c);
    sim_run_for(f->sim, 100);
}

static client_t *ask(fixture_t *f, const char *text)
{
    client_t *c = client_from(f, f->near);
    say(f, c, text);
    return c;
}

/* The answer begins so, has the header, and ends with the body; it is taken off. */
static void assert_answer(client_t *c, const char *status, const char *header, const char *body)
{
    char *end = strstr(c->answer, "\r\n\r\n");
    if (!end) fail_msg("no answer but \"%s\"", c->answer);
    if (strncmp(c->answer + strlen("HTTP/1.1 "), status, strlen(status)) != 0) fail_msg("%s", c->answer);
    if (!strstr(c->answer, header)) fail_msg("no %s in %s", header, c->answer);
    end += 4;
    if (strncmp(end, body, strlen(body)) != 0) fail_msg("not \"%s\" but \"%s\"", body, end);
    size_t used = (size_t)(end - c->answer) + strlen(body);
    memmove(c->answer, c->answer + used, c->answer_bytes - used + 1);
    c->answer_bytes -= used;
}

static void get(fixture_t *f, const char *line, const char *status, const char *header, const char *body)
{
    char text[300];
    snprintf(text, sizeof(text), "%s HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n", line);
    client_t *c = ask(f, text);
    assert_answer(c, status, header, body);
    assert_int_equal(c->answer_bytes, 0);
    assert_true(c->ended);
}

static void assert_refused(fixture_t *f, const char *text, const char *status)
{
    client_t *c = ask(f, text);
    assert_answer(c, status, "Connection: close\r\n", "");
    assert_true(c->ended);
    assert_int_equal(f->asked, 0);
}

/* ---- pages ---- */

static void a_page_is_made_anew_each_time(void **state)
{
    fixture_t *f = *state;
    get(f, "GET /metrics", "200 OK", "Content-Type: text/plain; version=0.0.4\r\n", "page 1\n");
    get(f, "GET /metrics", "200 OK", "Content-Length: 7\r\n", "page 2\n");
    sim_node_jump_wall(f->server, -io_wall_ms(sim_node_loop(f->server)) + 784111777000); /* RFC 9110's example */
    get(f, "GET /metrics", "200 OK", "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n", "page 3\n");
    get(f, "GET /readyz", "503 Service Unavailable", "Content-Type: text/plain\r\n", "not ready\n");
}

static void head_has_no_body(void **state) { get(*state, "HEAD /metrics", "200", "Content-Length: 7\r\n", ""); }

static void paths_are_exact(void **state)
{
    fixture_t *f = *state;
    get(f, "GET /metrics/", "404", "text/plain", "no page /metrics/; / lists those there are\n");
    get(f, "GET /metric", "404", "text/plain", "no page /metric; / lists those there are\n");
    get(f, "POST /nowhere", "404", "text/plain", "no page /nowhere; / lists those there are\n");
    get(f, "GET /metrics?x=1", "200", "text/plain", "page 1\n");
    get(f, "GET http://here:80/metrics", "200", "text/plain", "page 2\n");
    get(f, "OPTIONS *", "404", "text/plain", "no page *; / lists those there are\n");
}

static void pages_are_only_read(void **state)
{
    fixture_t *f = *state;
    static const char *const methods[] = {"POST", "PUT", "DELETE", "OPTIONS"};
    for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
        char line[64];
        snprintf(line, sizeof(line), "%s /metrics", methods[i]);
        get(f, line, "405", "Allow: GET, HEAD\r\n", "/metrics is read with GET\n");
    }
    assert_int_equal(f->asked, 0);
}

/* On the server's loop, as those who make pages do. */
static void answer_later(io_timer_t *timer)
{
    fixture_t *f = CONTAINER_OF(timer, fixture_t, later);
    buf_t body = BUF_INIT;
    buf_printf(&body, "here it is\n");
    http_reply(f->waiting, 200, &body);
    assert_null(body.ptr); /* it is the reply's */
}

static void answer_the_waiting(fixture_t *f)
{
    assert_non_null(f->waiting);
    io_timer_init(sim_node_loop(f->server), &f->later, answer_later);
    io_timer_start(&f->later, 1, 0);
    sim_run_for(f->sim, 100);
}

static void a_page_may_come_later(void **state)
{
    fixture_t *f = *state;
    client_t *c = ask(f, "GET /later HTTP/1.1\r\nHost: here\r\n\r\nGET /metrics HTTP/1.1\r\nHost: here\r\n\r\n");
    assert_int_equal(c->answer_bytes, 0);
    assert_int_equal(f->asked, 0); /* one after the other */
    answer_the_waiting(f);
    assert_answer(c, "200", "text/plain", "here it is\n");
    assert_answer(c, "200", "text/plain", "page 1\n");
}

static void who_leaves_before_the_page_comes_harms_nobody(void **state)
{
    fixture_t *f = *state;
    client_t *c = ask(f, "GET /later HTTP/1.1\r\nHost: here\r\n\r\n");
    io_stream_close(c->stream);
    buf_deinit(&c->out);
    f->clients_count--;
    memset(c, 0, sizeof(*c));
    sim_run_for(f->sim, 100);
    answer_the_waiting(f);
    assert_int_equal(http_count(f->http).open, 0);
}

static void who_waits_at_the_end_is_told(void **state)
{
    fixture_t *f = *state;
    client_t *c = ask(f, "GET /later HTTP/1.1\r\nHost: here\r\n\r\n");
    http_free(f->http);
    f->http = NULL;
    sim_run_for(f->sim, 100);
    assert_answer(c, "503", "text/plain", "the server stops\n");
}

/* ---- requests ---- */

static void a_connection_serves_one_request_after_the_other(void **state)
{
    fixture_t *f = *state;
    client_t *c = ask(f, "GET /metrics HTTP/1.1\r\nHost: here\r\n\r\nGET /nowhere HTTP/1.1\r\nHost: here\r\n\r\n"
                         "HEAD /metrics HTTP/1.1\r\nHost: here\r\n\r\n");
    assert_answer(c, "200", "Content-Length: 7\r\n", "page 1\n");
    assert_answer(c, "404", "text/plain", "no page /nowhere; / lists those there are\n");
    assert_answer(c, "200", "Content-Length: 7\r\n", "");
    say(f, c, "GET /metrics HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n");
    assert_answer(c, "200", "Connection: close\r\n", "page 3\n");
    assert_true(c->ended);
}

static void a_request_may_come_byte_by_byte(void **state)
{
    fixture_t *f = *state;
    static const char request[] = "\r\nGET /metrics HTTP/1.1\r\nHost: here\r\nX-Long: a\r\n b\r\n\r\n";
    client_t *c = client_from(f, f->near);
    for (size_t i = 0; request[i]; i++) {
        char byte[2] = {request[i], '\0'};
        assert_int_equal(c->answer_bytes, 0);
        say(f, c, byte);
    }
    assert_answer(c, "200", "text/plain", "page 1\n");
}

static void old_clients_are_served_and_closed_unless_they_ask(void **state)
{
    fixture_t *f = *state;
    client_t *c = ask(f, "GET /metrics HTTP/1.0\r\n\r\n");
    assert_answer(c, "200", "Connection: close\r\n", "page 1\n");
    assert_true(c->ended);
    c = ask(f, "GET /metrics HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    assert_answer(c, "200", "Connection: keep-alive\r\n", "page 2\n");
    assert_false(c->ended);
    c = ask(f, "GET /metrics HTTP/1.0\n\n"); /* as a person types it */
    assert_answer(c, "200", "Connection: close\r\n", "page 3\n");
}

static void a_body_is_read_and_dropped(void **state)
{
    fixture_t *f = *state;
    client_t *c = ask(f, "POST /metrics HTTP/1.1\r\nHost: here\r\nContent-Length: 5\r\n\r\nabc");
    assert_int_equal(c->answer_bytes, 0);
    say(f, c, "deGET /metrics HTTP/1.1\r\nHost: here\r\n\r\n");
    assert_answer(c, "405", "Allow", "/metrics is read with GET\n");
    assert_answer(c, "200", "text/plain", "page 1\n");
    say(f, c, "GET /metrics HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nA: b\r\n\r\n");
    assert_answer(c, "200", "text/plain", "page 2\n");
}

static void who_asks_whether_to_go_on_is_told(void **state)
{
    fixture_t *f = *state;
    client_t *c = ask(f, "POST /metrics HTTP/1.1\r\nHost: here\r\nContent-Length: 5\r\nExpect: 100-Continue\r\n\r\n");
    assert_string_equal(c->answer, "HTTP/1.1 100 Continue\r\n\r\n");
    c->answer_bytes = 0;
    say(f, c, "abcde");
    assert_answer(c, "405", "Allow", "/metrics is read with GET\n");
}

static void what_cannot_be_read_is_refused_with_the_reason(void **state)
{
    fixture_t *f = *state;
    assert_refused(f, "\x16\x03\x01 hello\r\n\r\n", "400");
    assert_refused(f, "GET /metrics\r\n\r\n", "505");          /* as of 1991 */
    assert_refused(f, "GET /metrics HTTP/1.1\r\n\r\n", "400"); /* without a host */
    assert_refused(f, "GET /metrics HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "400");
    assert_refused(f, "GET /metrics HTTP/2.0\r\nHost: a\r\n\r\n", "505");
    assert_refused(f, "GET /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", "400");
    assert_refused(f, "GET /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
                   "400");
    assert_refused(f, "GET /metrics HTTP/1.1\r\nHost: a\r\nExpect: miracles\r\n\r\n", "417");
    assert_refused(f, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "400");
}

static void what_is_too_large_is_refused(void **state)
{
    fixture_t *f = *state;
    static char head[20000];
    snprintf(head, sizeof(head), "GET /metrics HTTP/1.1\r\nHost: here\r\nX: %0*d\r\n\r\n", 16384, 0);
    assert_refused(f, head, "431");
    assert_refused(f, "POST / HTTP/1.1\r\nHost: here\r\nContent-Length: 1048577\r\n\r\n", "413");
    assert_refused(f, "POST / HTTP/1.1\r\nHost: here\r\nContent-Length: 99999999999999999999999\r\n\r\n", "400");
    client_t *c = ask(f, "POST / HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; i < 65; i++) {
        buf_append(&c->out, "4000\r\n", 6);
        memset(buf_reserve(&c->out, 0x4000), 'x', 0x4000);
        c->out.len += 0x4000;
        buf_append(&c->out, "\r\n", 2);
    }
    say(f, c, "0\r\n\r\n");
    sim_run_for(f->sim, 1000);
    assert_answer(c, "413", "Connection: close", "");
}

static void who_wants_another_protocol_is_answered_in_this_one(void **state)
{
    fixture_t *f = *state;
    client_t *c =
        ask(f, "GET /metrics HTTP/1.1\r\nHost: here\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n\x81\x05");
    assert_answer(c, "200", "Connection: close\r\n", "page 1\n");
    assert_true(c->ended);
}

/* ---- who gives way ---- */

static void a_newcomer_takes_the_place_of_the_oldest_of_the_greediest_address(void **state)
{
    fixture_t *f = *state;
    uint32_t max = http_conns_max(io_descriptors_max());
    client_t *first_far = client_from(f, f->far);
    sim_run_for(f->sim, 10);
    client_t *first_near = client_from(f, f->near);
    sim_run_for(f->sim, 10);
    for (uint32_t i = 2; i < max; i++) client_from(f, f->near);
    sim_run_for(f->sim, 100);
    assert_int_equal(http_count(f->http).open, max);
    assert_int_equal(http_count(f->http).evicted, 0);
    client_t *newcomer = client_from(f, f->far);
    say(f, newcomer, "GET /metrics HTTP/1.1\r\nHost: here\r\n\r\n");
    assert_answer(newcomer, "200", "", "page 1\n");
    assert_true(first_near->ended);
    assert_false(first_far->ended);
    assert_int_equal(http_count(f->http).open, max);
    assert_int_equal(http_count(f->http).evicted, 1);
}

static void a_request_has_its_time(void **state)
{
    fixture_t *f = *state;
    client_t *silent = client_from(f, f->near);
    client_t *asks = ask(f, "GET /metrics HTTP/1.1\r\nHost: here\r\n\r\n");
    client_t *waits = ask(f, "GET /later HTTP/1.1\r\nHost: here\r\n\r\n");
    sim_run_for(f->sim, 9000);
    assert_false(silent->ended);
    sim_run_for(f->sim, 3000);
    assert_true(silent->ended);
    assert_false(asks->ended);
    sim_run_for(f->sim, 20000);
    assert_true(asks->ended); /* no other request came */
    assert_false(waits->ended);
    assert_int_equal(http_count(f->http).late, 2);
}

static void strangers_are_told_so_in_protected_mode(void **state)
{
    fixture_t *f = *state;
    http_free(f->http);
    listen_with(f, true);
    client_t *c = ask(f, "GET /metrics HTTP/1.1\r\nHost: here\r\n\r\n");
    assert_answer(c, "403", "Connection: close\r\n", "Trivet is in protected mode");
    assert_true(c->ended);
    assert_int_equal(f->asked, 0);
    assert_int_equal(http_count(f->http).strangers, 1);
}

static void an_address_that_is_none_is_refused(void **state)
{
    fixture_t *f = *state;
    uint16_t port;
    assert_int_not_equal(http_listen(f->http, "nowhere.example", 0, &port), 0);
    assert_int_equal(http_listen(f->http, "10.0.0.1", f->port, &port), ERR_ADDRINUSE);
}

static void the_share_of_descriptors_has_bounds(void **state)
{
    assert_int_equal(http_conns_max(20), 8);
    assert_int_equal(http_conns_max(256), 16);
    assert_int_equal(http_conns_max(1u << 20), 64);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_page_is_made_anew_each_time),
        TEST(head_has_no_body),
        TEST(paths_are_exact),
        TEST(pages_are_only_read),
        TEST(a_page_may_come_later),
        TEST(who_leaves_before_the_page_comes_harms_nobody),
        TEST(who_waits_at_the_end_is_told),
        TEST(a_connection_serves_one_request_after_the_other),
        TEST(a_request_may_come_byte_by_byte),
        TEST(old_clients_are_served_and_closed_unless_they_ask),
        TEST(a_body_is_read_and_dropped),
        TEST(who_asks_whether_to_go_on_is_told),
        TEST(what_cannot_be_read_is_refused_with_the_reason),
        TEST(what_is_too_large_is_refused),
        TEST(who_wants_another_protocol_is_answered_in_this_one),
        TEST(a_newcomer_takes_the_place_of_the_oldest_of_the_greediest_address),
        TEST(a_request_has_its_time),
        TEST(strangers_are_told_so_in_protected_mode),
        TEST(an_address_that_is_none_is_refused),
        cmocka_unit_test(the_share_of_descriptors_has_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

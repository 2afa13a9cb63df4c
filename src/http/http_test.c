/* http_test.c: pages by their paths and methods, at once and later, over a socket of this machine. */
#include "http/http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define ANSWER_BYTES_MAX 4096
#define LOOK_MS          1
#define LOOKS_MAX        30000 /* only so that a test that hangs ends */

typedef struct fixture {
    io_loop_t *loop;
    http_t *http;
    http_reply_t *waiting; /* of /later */
    int asked;
    /* a client on the same loop */
    io_timer_t look;
    int fd, looks;
    char answer[ANSWER_BYTES_MAX];
    size_t answer_bytes;
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

static fixture_t *fixture_new(void)
{
    fixture_t *f = mem_zalloc(sizeof(*f));
    assert_int_equal(io_loop_new_uv(&f->loop), 0);
    assert_int_equal(http_new(f->loop, "127.0.0.1", 0, &f->http), 0);
    http_add_page(f->http, "/metrics", "text/plain; version=0.0.4", make_page, f);
    http_add_page(f->http, "/readyz", "text/plain", make_trouble, f);
    http_add_page(f->http, "/later", "text/plain", make_later, f);
    return f;
}

static void fixture_free(fixture_t *f)
{
    if (f->http) http_free(f->http);
    io_loop_free(f->loop);
    mem_free(f);
}

/* ---- the client ---- */

static void on_look(io_timer_t *timer)
{
    fixture_t *f = CONTAINER_OF(timer, fixture_t, look);
    ssize_t n = recv(f->fd, f->answer + f->answer_bytes, sizeof(f->answer) - 1 - f->answer_bytes, MSG_DONTWAIT);
    if (n > 0) f->answer_bytes += (size_t)n;
    bool ended = n == 0 || (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK);
    if (ended || f->waiting || ++f->looks == LOOKS_MAX)
        io_loop_stop(f->loop);
    else
        io_timer_start(timer, LOOK_MS, 0);
}

/* Until the answer's end, or until a page waits. */
static void run(fixture_t *f)
{
    f->looks = 0;
    io_timer_init(f->loop, &f->look, on_look);
    io_timer_start(&f->look, 0, 0);
    io_loop_run(f->loop);
    io_timer_stop(&f->look);
    assert_in_range(f->looks, 0, LOOKS_MAX - 1);
    f->answer[f->answer_bytes] = '\0';
}

static void ask(fixture_t *f, const char *line)
{
    char request[256];
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(http_port(f->http))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int bytes = snprintf(request, sizeof(request), "%s HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n", line);
    f->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    f->answer_bytes = 0;
    assert_int_equal(connect(f->fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(send(f->fd, request, (size_t)bytes, 0), bytes);
    run(f);
}

static void assert_answer(const fixture_t *f, const char *status, const char *header, const char *body)
{
    const char *end = strstr(f->answer, "\r\n\r\n");
    assert_non_null(end);
    if (strncmp(f->answer + strlen("HTTP/1.1 "), status, strlen(status)) != 0) fail_msg("%s", f->answer);
    if (!strstr(f->answer, header)) fail_msg("no %s in %s", header, f->answer);
    assert_string_equal(end + 4, body);
}

static void get(fixture_t *f, const char *line, const char *status, const char *header, const char *body)
{
    ask(f, line);
    close(f->fd);
    assert_answer(f, status, header, body);
}

/* ---- tests ---- */

static void a_page_is_made_anew_each_time(void **state)
{
    fixture_t *f = fixture_new();
    get(f, "GET /metrics", "200", "Content-Type: text/plain; version=0.0.4\r\n", "page 1\n");
    get(f, "GET /metrics", "200", "Content-Length: 7\r\n", "page 2\n");
    get(f, "GET /readyz", "503", "Content-Type: text/plain\r\n", "not ready\n");
    fixture_free(f);
}

static void head_has_no_body(void **state)
{
    fixture_t *f = fixture_new();
    get(f, "HEAD /metrics", "200", "Content-Length: 7\r\n", "");
    fixture_free(f);
}

static void paths_are_exact(void **state)
{
    fixture_t *f = fixture_new();
    get(f, "GET /metrics/", "404", "text/plain", "no page /metrics/; / lists those there are\n");
    get(f, "GET /metric", "404", "text/plain", "no page /metric; / lists those there are\n");
    get(f, "POST /nowhere", "404", "text/plain", "no page /nowhere; / lists those there are\n");
    get(f, "GET /metrics?x=1", "200", "text/plain", "page 1\n");
    fixture_free(f);
}

static void pages_are_only_read(void **state)
{
    fixture_t *f = fixture_new();
    static const char *const methods[] = {"POST", "PUT", "DELETE", "OPTIONS"};
    for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
        char line[64];
        snprintf(line, sizeof(line), "%s /metrics", methods[i]);
        get(f, line, "405", "Allow: GET, HEAD\r\n", "/metrics is read with GET\n");
    }
    assert_int_equal(f->asked, 0);
    fixture_free(f);
}

static void a_page_may_come_later(void **state)
{
    fixture_t *f = fixture_new();
    ask(f, "GET /later");
    assert_non_null(f->waiting);
    assert_int_equal(f->answer_bytes, 0);
    buf_t body = BUF_INIT;
    buf_printf(&body, "here it is\n");
    http_reply_t *reply = f->waiting;
    f->waiting = NULL;
    http_reply(reply, 200, &body);
    assert_null(body.ptr); /* it is the reply's */
    run(f);
    close(f->fd);
    assert_answer(f, "200", "text/plain", "here it is\n");
    fixture_free(f);
}

static void who_waits_at_the_end_is_told(void **state)
{
    fixture_t *f = fixture_new();
    ask(f, "GET /later");
    assert_non_null(f->waiting);
    http_free(f->http);
    f->http = NULL;
    f->waiting = NULL;
    run(f);
    close(f->fd);
    assert_answer(f, "503", "text/plain", "the server stops\n");
    fixture_free(f);
}

static void this_machine_is_served_in_protected_mode(void **state)
{
    fixture_t *f = fixture_new();
    http_counts_t counts = {0};
    http_protect(f->http);
    get(f, "GET /metrics", "200", "text/plain", "page 1\n");
    http_count(f->http, &counts);
    assert_int_equal(counts.strangers, 0);
    fixture_free(f);
}

static void an_address_that_is_none_is_refused(void **state)
{
    io_loop_t *loop;
    http_t *http;
    assert_int_equal(io_loop_new_uv(&loop), 0);
    assert_int_equal(http_new(loop, "nowhere.example", 0, &http), ERR_INVALID);
    assert_int_equal(http_new(loop, "127.0.0.1", 0, &http), 0);
    uint16_t port = http_port(http);
    http_t *second;
    assert_int_not_equal(http_new(loop, "127.0.0.1", port, &second), 0); /* it is taken */
    http_free(http);
    io_loop_free(loop);
}

static void the_share_of_descriptors_has_bounds(void **state)
{
    assert_int_equal(http_conns_max(20), 8);
    assert_int_equal(http_conns_max(256), 16);
    assert_int_equal(http_conns_max(1u << 20), 64);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_page_is_made_anew_each_time),
        cmocka_unit_test(head_has_no_body),
        cmocka_unit_test(paths_are_exact),
        cmocka_unit_test(pages_are_only_read),
        cmocka_unit_test(a_page_may_come_later),
        cmocka_unit_test(who_waits_at_the_end_is_told),
        cmocka_unit_test(this_machine_is_served_in_protected_mode),
        cmocka_unit_test(an_address_that_is_none_is_refused),
        cmocka_unit_test(the_share_of_descriptors_has_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

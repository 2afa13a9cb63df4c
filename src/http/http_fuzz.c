/* http_fuzz.c: a client that sends anything, in two pieces, to the HTTP door in the simulator; the first byte says where the cut is. What
 * comes back must be responses, one behind the other, each as long as it says. One server serves all inputs. */
#include "http/http.h"
#include "io/sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ANSWER_BYTES_MAX MIB(4)
#define SETTLE_MS        20

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct world {
    sim_t *sim;
    sim_node_t *server, *client;
    http_t *http;
    uint16_t port;
    io_stream_t *stream;
    buf_t out, answer;
    bool ended;
} world_t;

static void page(void *user, http_reply_t *reply)
{
    buf_t body = BUF_INIT;
    buf_append(&body, "page\n", 5);
    http_reply(reply, 200, &body);
}

static void world_start(world_t *w)
{
    static const sim_net_faults_t net = {.delay_us_max = 1};
    w->sim = sim_new(1);
    sim_set_net_faults(w->sim, &net);
    w->server = sim_node_new(w->sim, "10.0.0.1");
    w->client = sim_node_new(w->sim, "10.0.0.2");
    w->http = http_new(sim_node_loop(w->server));
    http_add_page(w->http, "/", "text/plain", page, NULL);
    if (http_listen(w->http, "10.0.0.1", 0, &w->port) != 0) __builtin_trap();
}

static void ready(void *user, unsigned events)
{
    world_t *w = user;
    if (events & IO_WRITABLE) {
        struct iovec iov = {w->out.ptr, w->out.len};
        ssize_t n = w->out.len ? io_stream_writev(w->stream, &iov, 1) : 0;
        if (n > 0) buf_consume(&w->out, (size_t)n);
        if (n < 0 && n != ERR_AGAIN) buf_clear(&w->out);
    }
    if (events & IO_READABLE) {
        if (w->answer.len > ANSWER_BYTES_MAX) __builtin_trap();
        ssize_t n = io_stream_read(w->stream, buf_reserve(&w->answer, KIB(64)), KIB(64));
        if (n > 0) w->answer.len += (size_t)n;
        w->ended |= n == 0 || (n < 0 && n != ERR_AGAIN);
    }
    io_stream_watch(w->stream, (w->ended ? 0u : IO_READABLE) | (w->out.len ? IO_WRITABLE : 0u), ready, w);
}

static void say(world_t *w, const uint8_t *data, size_t size)
{
    buf_append(&w->out, data, size);
    io_stream_watch(w->stream, IO_READABLE | IO_WRITABLE, ready, w);
    sim_run_for(w->sim, SETTLE_MS);
}

/* Bytes of the response at `text`; a HEAD's has no body, which the next response's beginning shows. */
static size_t response_bytes(const char *text, size_t bytes)
{
    static const char line[] = "HTTP/1.1 ";
    const char *end = memmem(text, bytes, "\r\n\r\n", 4);
    if (bytes < sizeof(line) - 1 || memcmp(text, line, sizeof(line) - 1) != 0 || !end) __builtin_trap();
    size_t head = (size_t)(end - text) + 4;
    const char *length = memmem(text, head, "Content-Length: ", 16);
    if (!length) return memcmp(text, "HTTP/1.1 100 ", 13) == 0 ? head : (__builtin_trap(), 0);
    size_t body = strtoull(length + 16, NULL, 10);
    bool head_only = bytes - head < body || (bytes > head && bytes - head >= 9 && memcmp(text + head, line, 9) == 0);
    return head_only ? head : head + body;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static world_t w;
    if (size == 0) return 0;
    if (!w.sim) world_start(&w);
    size_t cut = (size - 1) * data[0] / 255;
    w.ended = false;
    if (io_connect(sim_node_loop(w.client), "10.0.0.1", w.port, &w.stream) != 0) __builtin_trap();
    say(&w, data + 1, cut);
    if (!w.ended) say(&w, data + 1 + cut, size - 1 - cut);
    for (size_t at = 0; at < w.answer.len;) at += response_bytes((const char *)w.answer.ptr + at, w.answer.len - at);
    io_stream_close(w.stream);
    buf_clear(&w.answer);
    buf_clear(&w.out);
    sim_run_for(w.sim, SETTLE_MS);
    if (http_count(w.http).open > 1) __builtin_trap();
    return 0;
}

/* resp_client.c: see resp_client.h. */
#include "resp_client.h"

static void take_reply(resp_client_t *c, const uint8_t *reply, size_t bytes)
{
    CHECK(c->run, c->in_flight > 0, "a reply that nobody waits for");
    int tag = c->flight[0].tag;
    if (*reply == '-' && tag && !c->replied) {
        scenario_note(c->run, "refused: %.80s", (const char *)reply);
        c->failed = true;
    }
    if (--c->flight[0].replies > 0) return;
    c->in_flight--;
    memmove(c->flight, c->flight + 1, sizeof(c->flight[0]) * (size_t)c->in_flight);
    if (!tag || c->failed) return;
    if (c->replied)
        c->replied(c->user, tag, bytes_of(reply, bytes));
    else
        c->answered(c->user, tag);
}

static void on_ready(void *user, unsigned events)
{
    resp_client_t *c = user;
    ssize_t n = io_stream_read(c->stream, buf_reserve(&c->in, KIB(16)), KIB(16));
    if (n > 0) c->in.len += (size_t)n;
    if (n == 0 || (n < 0 && n != ERR_AGAIN)) c->failed = true;
    size_t one;
    while (c->in.len > 0 && (one = resp_text_length(c->in.ptr, c->in.len)) > 0) {
        take_reply(c, c->in.ptr, one);
        buf_consume(&c->in, one);
    }
    resp_client_flush(c);
}

void resp_client_flush(resp_client_t *c)
{
    struct iovec iov = {c->out.ptr, c->out.len};
    ssize_t n = c->out.len ? io_stream_writev(c->stream, &iov, 1) : 0;
    if (n > 0) buf_consume(&c->out, (size_t)n);
    if (n < 0 && n != ERR_AGAIN) c->failed = true;
    io_stream_watch(c->stream, c->failed ? 0 : IO_READABLE | (c->out.len ? IO_WRITABLE : 0), on_ready, c);
}

void resp_client_connect(resp_client_t *c, run_t *run, io_loop_t *loop, const char *host, uint16_t port)
{
    c->run = run;
    c->failed = false;
    int err = io_connect(loop, host, port, &c->stream);
    CHECK(run, err == 0, "no connection: %s", err_text(err));
    resp_client_flush(c);
}

void resp_client_expect(resp_client_t *c, int tag, int replies)
{
    CHECK(c->run, c->in_flight < RESP_IN_FLIGHT_MAX, "%d requests in flight", c->in_flight);
    c->flight[c->in_flight].tag = tag;
    c->flight[c->in_flight++].replies = replies;
}

void resp_client_close(resp_client_t *c)
{
    if (!c->stream) return;
    io_stream_close(c->stream);
    c->stream = NULL;
    buf_clear(&c->in);
    buf_clear(&c->out);
    c->in_flight = 0;
}

void resp_client_deinit(resp_client_t *c)
{
    resp_client_close(c);
    buf_deinit(&c->in);
    buf_deinit(&c->out);
}

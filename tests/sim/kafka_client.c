/* kafka_client.c: see kafka_client.h. */
#include "kafka_client.h"

#define HEAD_BYTES 4
#define READ_BYTES KIB(16)
#define CLIENT_ID  "sim"

static const kafka_api_t *find_api(int16_t key)
{
    for (size_t i = 0; i < KAFKA_APIS_COUNT; i++)
        if (kafka_apis[i].key == key) return &kafka_apis[i];
    UNREACHABLE();
}

static void take_answer(kafka_client_t *c, bytes_t frame)
{
    kafka_reader_t r = kafka_reader(frame);
    arena_t arena;
    CHECK(c->run, c->in_flight > 0, "an answer that nobody waits for");
    const kafka_shape_t *shape = c->flight[0].shape;
    kafka_answered_t *answered = c->flight[0].answered;
    int64_t tag = c->flight[0].tag;
    CHECK(c->run, kafka_read_int32(&r) == c->flight[0].correlation, "an answer to another request");
    if (c->flight[0].flexible) (void)kafka_read_int8(&r); /* the header's tags: none */
    arena_init(&arena, 0);
    void *answer = arena_zalloc(&arena, shape->bytes);
    int err = kafka_decode(&r, shape, c->flight[0].version, &arena, answer);
    CHECK(c->run, err == 0 && kafka_reader_left(&r) == 0, "%s cannot be read: %s", shape->name, err_text(err));
    c->in_flight--;
    memmove(c->flight, c->flight + 1, sizeof(c->flight[0]) * (size_t)c->in_flight);
    answered(c->user, tag, answer);
    arena_deinit(&arena);
}

static void flush(kafka_client_t *c);

static void on_ready(void *user, unsigned events)
{
    kafka_client_t *c = user;
    ssize_t n = io_stream_read(c->stream, buf_reserve(&c->in, READ_BYTES), READ_BYTES);
    if (n > 0) c->in.len += (size_t)n;
    if (n == 0 || (n < 0 && n != ERR_AGAIN)) c->failed = true;
    while (c->in.len >= HEAD_BYTES && c->in.len - HEAD_BYTES >= load_be32(c->in.ptr)) {
        size_t bytes = load_be32(c->in.ptr);
        take_answer(c, bytes_of(c->in.ptr + HEAD_BYTES, bytes));
        buf_consume(&c->in, HEAD_BYTES + bytes);
    }
    flush(c);
}

static void flush(kafka_client_t *c)
{
    struct iovec iov = {c->out.ptr, c->out.len};
    ssize_t n = c->out.len && !c->failed ? io_stream_writev(c->stream, &iov, 1) : 0;
    if (n > 0) buf_consume(&c->out, (size_t)n);
    if (n < 0 && n != ERR_AGAIN) c->failed = true;
    io_stream_watch(c->stream, c->failed ? 0 : IO_READABLE | (c->out.len ? IO_WRITABLE : 0), on_ready, c);
}

void kafka_client_connect(kafka_client_t *c, run_t *run, io_loop_t *loop, const char *host, uint16_t port)
{
    c->run = run;
    c->failed = false;
    int err = io_connect(loop, host, port, &c->stream);
    CHECK(run, err == 0, "no connection: %s", err_text(err));
    flush(c);
}

void kafka_client_ask(kafka_client_t *c, int16_t api_key, int16_t version, const void *request,
                      kafka_answered_t *answered, int64_t tag)
{
    const kafka_api_t *api = find_api(api_key);
    kafka_writer_t w = KAFKA_WRITER_INIT;
    CHECK(c->run, c->in_flight < KAFKA_IN_FLIGHT_MAX, "%d requests in flight", c->in_flight);
    bool flexible = version >= api->flexible_since;
    kafka_write_int16(&w, api_key);
    kafka_write_int16(&w, version);
    kafka_write_int32(&w, ++c->sent);
    kafka_write_string(&w, BYTES_LIT(CLIENT_ID), false, true);
    if (flexible) kafka_write_int8(&w, 0); /* the header's tags: none */
    kafka_encode(&w, api->request, version, request);
    buf_be32(&c->out, (uint32_t)w.buf.len);
    buf_append(&c->out, w.buf.ptr, w.buf.len);
    kafka_writer_deinit(&w);
    c->flight[c->in_flight].shape = api->response;
    c->flight[c->in_flight].version = version;
    c->flight[c->in_flight].flexible = flexible;
    c->flight[c->in_flight].correlation = c->sent;
    c->flight[c->in_flight].tag = tag;
    c->flight[c->in_flight++].answered = answered;
    flush(c);
}

void kafka_client_close(kafka_client_t *c)
{
    if (!c->stream) return;
    io_stream_close(c->stream);
    c->stream = NULL;
    buf_clear(&c->in);
    buf_clear(&c->out);
    c->in_flight = 0;
}

void kafka_client_deinit(kafka_client_t *c)
{
    kafka_client_close(c);
    buf_deinit(&c->in);
    buf_deinit(&c->out);
}

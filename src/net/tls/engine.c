/* engine.c: see engine.h. OpenSSL reads from and writes to memory; records are cut out of the stream here, so that it never
 * holds a part of one and an idle connection holds no buffer. */
#include "net/tls/engine.h"

#include "net/tls/openssl.h"

#include <string.h>

#define HEADER_BYTES    5
#define HANDSHAKE       0x16    /* the type of a record, and so the first byte that a client sends */
#define SHAKE_NS_MAX    4000000 /* of a turn: whoever comes later shakes hands in the next */
#define SPARE_BYTES_MAX KIB(128)
#define RECORD_TYPE_MIN 20
#define RECORD_TYPE_MAX 24
#define RECORD_MAJOR    3

struct tls_engine {
    tls_context_t *context;
    SSL *ssl; /* NULL until something came */
    tls_state_t state;
    bool allows_plain;
    bool ended; /* the peer said goodbye */
    buf_t held; /* the beginning of a record */
    buf_t out;  /* records, of which `out_at` bytes are sent */
    size_t out_at, sealed;
    const uint8_t *in; /* whole records, within a read */
    size_t in_len;
    const char *why;
};

/* ---- OpenSSL's ends -------------------------------------------------------------------------------------------------- */

static int on_bio_read(BIO *bio, char *out, size_t cap, size_t *ret_n)
{
    tls_engine_t *e = BIO_get_data(bio);
    size_t n = MIN(cap, e->in_len);
    BIO_clear_retry_flags(bio);
    if (n == 0) {
        BIO_set_retry_read(bio);
        return 0;
    }
    memcpy(out, e->in, n);
    e->in += n;
    e->in_len -= n;
    *ret_n = n;
    return 1;
}

/* A peer that asks for answers and does not read them is none to wait for. */
static int on_bio_write(BIO *bio, const char *data, size_t n, size_t *ret_n)
{
    tls_engine_t *e = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (e->out.len - e->out_at + n > TLS_OUT_BYTES_MAX) return 0;
    buf_append(&e->out, data, n);
    *ret_n = n;
    return 1;
}

static long on_bio_ctrl(BIO *bio, int command, long number, void *pointer) { return command == BIO_CTRL_FLUSH; }

BIO_METHOD *tls__engine_bio(void)
{
    BIO_METHOD *method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "records");
    ASSERT(method);
    BIO_meth_set_read_ex(method, on_bio_read);
    BIO_meth_set_write_ex(method, on_bio_write);
    BIO_meth_set_ctrl(method, on_bio_ctrl);
    return method;
}

static void start(tls_engine_t *e)
{
    BIO *bio = BIO_new(e->context->bio);
    e->ssl = SSL_new(e->context->ctx);
    ASSERT(e->ssl && bio);
    BIO_set_data(bio, e);
    BIO_set_init(bio, 1);
    SSL_set_bio(e->ssl, bio, bio);
    SSL_set_accept_state(e->ssl);
}

/* ---- life -------------------------------------------------------------------------------------------------------------- */

void tls_workspace_init(tls_workspace_t *ws, io_loop_t *loop) { *ws = (tls_workspace_t){.loop = loop}; }

void tls_workspace_deinit(tls_workspace_t *ws)
{
    mem_free(ws->in);
    mem_free(ws->file);
    buf_deinit(&ws->spare);
}

uint8_t *tls_workspace_file(tls_workspace_t *ws)
{
    if (!ws->file) ws->file = mem_alloc(TLS_SEAL_BYTES_MAX);
    return ws->file;
}

tls_engine_t *tls_engine_new(tls_context_t *context, bool allows_plain)
{
    tls_engine_t *e = mem_zalloc(sizeof(*e));
    e->context = tls_context_ref(context);
    e->allows_plain = allows_plain;
    e->state = allows_plain ? TLS_UNKNOWN : TLS_SHAKING;
    return e;
}

void tls_engine_free(tls_engine_t *e)
{
    if (!e) return;
    SSL_free(e->ssl);
    buf_deinit(&e->held);
    buf_deinit(&e->out);
    tls_context_unref(e->context);
    mem_free(e);
}

tls_state_t tls_engine_state(const tls_engine_t *e) { return e->state; }
const char *tls_engine_why(const tls_engine_t *e) { return e->why ? e->why : "the connection broke"; }
size_t tls_engine_sealed(const tls_engine_t *e) { return e->sealed; }
size_t tls_engine_unsent(const tls_engine_t *e) { return e->out.len - e->out_at; }
size_t tls_engine_held(const tls_engine_t *e) { return e->held.len; }

void tls_engine_settle(tls_engine_t *e)
{
    if (e->state == TLS_UNKNOWN) e->state = TLS_PLAIN;
}

/* ---- reading ------------------------------------------------------------------------------------------------------------- */

/* In OpenSSL's words, which last. */
static ssize_t failed(tls_engine_t *e)
{
    unsigned long code = ERR_peek_error();
    long verified = SSL_get_verify_result(e->ssl);
    e->why = code ? ERR_reason_error_string(code) : NULL;
    if (code && ERR_GET_REASON(code) == SSL_R_CERTIFICATE_VERIFY_FAILED && verified != X509_V_OK)
        e->why = X509_verify_cert_error_string(verified);
    e->state = TLS_FAILED;
    ERR_clear_error();
    return ERR_INVALID;
}

/* False: it failed. */
static bool shake(tls_engine_t *e, tls_workspace_t *ws)
{
    uint64_t before_ns = io_hrtime_ns(ws->loop);
    int done = SSL_do_handshake(e->ssl);
    ws->spent_ns += io_hrtime_ns(ws->loop) - before_ns;
    if (done == 1) e->state = TLS_OPEN;
    return done == 1 || SSL_get_error(e->ssl, done) == SSL_ERROR_WANT_READ;
}

/* Opens all records that are there. */
static ssize_t open_records(tls_engine_t *e, tls_workspace_t *ws, uint8_t *out, size_t cap)
{
    size_t got = 0, n;
    ERR_clear_error();
    if (!e->ssl) start(e);
    if (e->state == TLS_SHAKING && !shake(e, ws)) return failed(e);
    while (e->state == TLS_OPEN && got < cap && !e->ended) {
        int ok = SSL_read_ex(e->ssl, out + got, cap - got, &n);
        int why = ok ? SSL_ERROR_NONE : SSL_get_error(e->ssl, ok);
        if (why == SSL_ERROR_WANT_READ) break;
        e->ended = why == SSL_ERROR_ZERO_RETURN;
        if (!ok && !e->ended) return failed(e);
        if (ok) got += n;
    }
    return (ssize_t)got;
}

/* Of the record at `at`. What cannot be one is not waited for: OpenSSL says what is wrong with it. */
static size_t record_bytes(const uint8_t *at, size_t len)
{
    if (at[0] < RECORD_TYPE_MIN || at[0] > RECORD_TYPE_MAX || (len > 1 && at[1] != RECORD_MAJOR)) return len;
    if (len < HEADER_BYTES) return HEADER_BYTES;
    size_t bytes = HEADER_BYTES + load_be16(at + 3);
    return bytes > TLS_RECORD_BYTES_MAX ? len : bytes;
}

static size_t whole_records(const uint8_t *in, size_t len)
{
    size_t at = 0;
    while (at < len) {
        size_t bytes = record_bytes(in + at, len - at);
        if (bytes > len - at) break;
        at += bytes;
    }
    return at;
}

/* `len` bytes lie in the workspace, those that were held in front. */
static ssize_t take(tls_engine_t *e, tls_workspace_t *ws, size_t len, uint8_t *out, size_t cap)
{
    size_t whole = whole_records(ws->in, len);
    e->in = ws->in;
    e->in_len = whole;
    ssize_t n = whole ? open_records(e, ws, out, cap) : 0;
    e->in_len = 0;
    if (whole == len || n < 0)
        buf_deinit(&e->held);
    else {
        buf_clear(&e->held);
        buf_append(&e->held, ws->in + whole, len - whole);
    }
    if (n) return n;
    return e->ended ? 0 : ERR_AGAIN;
}

/* So many that what they open to fits: plain text is shorter than its record, and the first record's is at most cap. */
static size_t read_bytes_max(const tls_engine_t *e, size_t cap)
{
    size_t held = e->held.len, rest = HEADER_BYTES;
    if (held) rest = record_bytes(e->held.ptr, held) - held;
    return MIN(MAX(cap > held ? cap - held : 0, rest), (size_t)TLS_READ_BYTES_MAX);
}

/* The first byte tells what the peer speaks. */
static ssize_t read_first(tls_engine_t *e, tls_workspace_t *ws, io_stream_t *stream, uint8_t *out, size_t cap,
                          bool *ret_more)
{
    size_t asked = MIN(cap, (size_t)TLS_READ_BYTES_MAX);
    ssize_t n = io_stream_read(stream, out, asked);
    if (n <= 0) return n;
    *ret_more = (size_t)n == asked;
    e->state = out[0] == HANDSHAKE ? TLS_SHAKING : TLS_PLAIN;
    if (e->state == TLS_PLAIN) return n;
    memcpy(ws->in, out, (size_t)n);
    return take(e, ws, (size_t)n, out, cap);
}

static bool may_shake(tls_workspace_t *ws)
{
    uint64_t now_ns = io_now_ns(ws->loop);
    if (ws->turn_ns != now_ns) ws->spent_ns = 0;
    ws->turn_ns = now_ns;
    return ws->spent_ns < SHAKE_NS_MAX;
}

static ssize_t read_on(tls_engine_t *e, tls_workspace_t *ws, io_stream_t *stream, uint8_t *out, size_t cap,
                       bool *ret_more)
{
    size_t held = e->held.len, asked = read_bytes_max(e, cap);
    ssize_t n = io_stream_read(stream, ws->in + held, asked);
    if (n == 0 && held) return ERR_TRUNCATED;
    if (n <= 0) return n;
    if (held) memcpy(ws->in, e->held.ptr, held);
    *ret_more = (size_t)n == asked;
    return take(e, ws, held + (size_t)n, out, cap);
}

ssize_t tls_engine_read(tls_engine_t *e, tls_workspace_t *ws, io_stream_t *stream, uint8_t *out, size_t cap,
                        bool *ret_more)
{
    ASSERT(cap >= TLS_PLAIN_BYTES_MAX);
    *ret_more = false;
    if (e->ended) return 0;
    if (e->state == TLS_FAILED) return ERR_INVALID;
    if (e->state < TLS_OPEN && !may_shake(ws)) return ERR_AGAIN;
    if (!ws->in) ws->in = mem_alloc(TLS_RECORD_BYTES_MAX + TLS_READ_BYTES_MAX);
    ssize_t n = e->state == TLS_UNKNOWN ? read_first(e, ws, stream, out, cap, ret_more)
                                        : read_on(e, ws, stream, out, cap, ret_more);
    uint64_t none = 0; /* what is sealed waits until the stream is writable, and is counted then */
    if (e->out.len && !e->sealed)
        (void)tls_engine_flush(e, ws, stream, &none); /* an answer, or the alert that says why */
    *ret_more |= e->ended;
    return n;
}

/* ---- writing ------------------------------------------------------------------------------------------------------------- */

/* Sealed bytes need room that most connections need for a moment only. */
static void lend(tls_engine_t *e, tls_workspace_t *ws)
{
    if (e->out.ptr || !ws->spare.ptr) return;
    e->out = ws->spare;
    ws->spare = BUF_INIT;
}

static void give_back(tls_engine_t *e, tls_workspace_t *ws)
{
    buf_clear(&e->out);
    e->out_at = 0;
    if (ws->spare.ptr || e->out.cap > SPARE_BYTES_MAX) {
        buf_deinit(&e->out);
        return;
    }
    ws->spare = e->out;
    e->out = BUF_INIT;
}

int tls_engine_seal(tls_engine_t *e, tls_workspace_t *ws, const uint8_t *data, size_t len)
{
    ASSERT(e->state == TLS_OPEN);
    lend(e, ws);
    ERR_clear_error();
    for (size_t at = 0, n; at < len; at += n)
        if (SSL_write_ex(e->ssl, data + at, MIN(len - at, (size_t)TLS_PLAIN_BYTES_MAX), &n) != 1) return (int)failed(e);
    e->sealed += len;
    return 0;
}

int tls_engine_flush(tls_engine_t *e, tls_workspace_t *ws, io_stream_t *stream, uint64_t *sent_bytes)
{
    while (e->out_at < e->out.len) {
        struct iovec iov = {e->out.ptr + e->out_at, e->out.len - e->out_at};
        ssize_t n = io_stream_writev(stream, &iov, 1);
        if (n < 0) return (int)n;
        e->out_at += (size_t)n;
    }
    if (e->out.ptr) give_back(e, ws);
    *sent_bytes += e->sealed;
    e->sealed = 0;
    return 0;
}

void tls_engine_close(tls_engine_t *e, tls_workspace_t *ws, io_stream_t *stream)
{
    uint64_t none = 0;
    if (e->state != TLS_OPEN) return;
    ERR_clear_error();
    (void)SSL_shutdown(e->ssl);
    (void)tls_engine_flush(e, ws, stream, &none);
    ERR_clear_error();
}

/* engine_test.c: a client of OpenSSL's own, which can be made to misbehave, against a listener that speaks TLS. What is sent comes back. Each
 * test runs in the simulator; those that ask a carrier to do the work run a second time on libuv, with a carrier. */
#include "io/sim.h"
#include "net/net.h"
#include "net/tls/openssl.h"
#include "net/tls/test_certs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define PORT         7000
#define WAIT_MS      30000
#define FRAME_MS     20000
#define LARGE_BYTES  MIB(3)
#define DAY_S        86400L
#define STORM        200
#define FILE_BYTES   KIB(300)
#define RECORD_BYTES KIB(16)

typedef struct world {
    sim_t *sim; /* NULL = on libuv, carried */
    io_loop_t *loop, *clients_loop, *carrier;
    net_t *net, *clients_net;
    net_service_t service, raw;
    net_listener_t *listener;
    uint16_t port;
    tls_context_t *context;
    io_hook_t hook;
    io_timer_t deadline, dribble;
    bool (*done)(void *world);
    bool late;
    /* the server's end */
    net_conn_t *server;
    buf_t heard;
    uint32_t opened, closed;
    uint32_t events[NET_EVENTS_COUNT];
    char why[100];
    bool mute;
    int releases;
    /* the client's */
    SSL_CTX *client_ctx;
    SSL *ssl; /* NULL = it speaks plain text */
    net_conn_t *client;
    buf_t raw_out, got;
    size_t expected; /* of `got` */
    size_t step;     /* bytes at a time; 0 = all */
    bool client_closed, said_goodbye, deaf, client_failed;
} world_t;

static test_cert_t authority, stranger, server_cert, client_cert, late_cert, strange_cert;

/* ---- the server ---- */

static int server_open(net_conn_t *conn, void *service)
{
    world_t *w = service;
    w->server = conn;
    w->opened++;
    net_conn_set_user(conn, w);
    return 0;
}

static ssize_t server_data(net_conn_t *conn, uint8_t *data, size_t len)
{
    world_t *w = net_conn_user(conn);
    if (net_congested(conn)) return 0;
    size_t n = MIN(len, (size_t)KIB(64));
    buf_append(&w->heard, data, n);
    if (!w->mute) net_write(conn, data, n);
    if (n < len) net_resume(conn);
    return (ssize_t)n;
}

static ssize_t server_all(net_conn_t *conn, uint8_t *data, size_t len)
{
    size_t at = 0;
    while (at < len && !net_congested(conn)) at += (size_t)server_data(conn, data + at, len - at);
    return (ssize_t)at;
}

static void server_close(net_conn_t *conn)
{
    world_t *w = net_conn_user(conn);
    w->closed++;
    if (w->server == conn) w->server = NULL;
}

static void on_event(void *user, net_event_t event, const char *service, const char *peer, size_t bytes,
                     const char *why)
{
    world_t *w = user;
    w->events[event]++;
    if (why) snprintf(w->why, sizeof(w->why), "%s", why);
}

/* ---- the client ---- */

static void send_raw(world_t *w)
{
    size_t n = w->step ? MIN(w->step, w->raw_out.len) : w->raw_out.len;
    if (!n || !w->client || w->client_closed) return;
    net_write(w->client, w->raw_out.ptr, n);
    buf_consume(&w->raw_out, n);
}

/* What OpenSSL wants to say goes where the test can delay or spoil it. */
static void take_from_ssl(world_t *w)
{
    uint8_t *data;
    long n = BIO_get_mem_data(SSL_get_wbio(w->ssl), &data);
    if (n > 0) buf_append(&w->raw_out, data, (size_t)n);
    (void)BIO_reset(SSL_get_wbio(w->ssl));
    if (!w->step) send_raw(w);
}

static void read_ssl(world_t *w)
{
    uint8_t out[KIB(16)];
    int n;
    ERR_clear_error();
    while ((n = SSL_read(w->ssl, out, sizeof(out))) > 0) buf_append(&w->got, out, (size_t)n);
    int why = SSL_get_error(w->ssl, n);
    w->said_goodbye |= why == SSL_ERROR_ZERO_RETURN;
    w->client_failed |= why != SSL_ERROR_ZERO_RETURN && why != SSL_ERROR_WANT_READ;
    take_from_ssl(w);
}

static int client_open(net_conn_t *conn, void *service)
{
    net_conn_set_user(conn, service);
    return 0;
}

static ssize_t client_data(net_conn_t *conn, uint8_t *data, size_t len)
{
    world_t *w = net_conn_user(conn);
    if (w->deaf) return (ssize_t)len;
    if (!w->ssl) {
        buf_append(&w->got, data, len);
        return (ssize_t)len;
    }
    BIO_write(SSL_get_rbio(w->ssl), data, (int)len);
    read_ssl(w);
    return (ssize_t)len;
}

static void client_close(net_conn_t *conn)
{
    world_t *w = net_conn_user(conn);
    if (!w) return;
    w->client_closed = true;
    w->client = NULL;
}

static void on_dribble(io_timer_t *timer) { send_raw(CONTAINER_OF(timer, world_t, dribble)); }

/* ---- running ---- */

static void on_late(io_timer_t *timer)
{
    world_t *w = CONTAINER_OF(timer, world_t, deadline);
    w->late = true;
    io_loop_stop(w->loop);
}

static void on_turn(io_hook_t *hook)
{
    world_t *w = CONTAINER_OF(hook, world_t, hook);
    if (w->done && w->done(w)) io_loop_stop(w->loop);
}

static void run_until(world_t *w, bool (*done)(void *world))
{
    io_loop_wake(w->loop);
    if (w->sim) {
        io_loop_wake(w->clients_loop);
        assert_true(sim_run_until(w->sim, done, w, WAIT_MS));
        return;
    }
    w->done = done;
    io_timer_start(&w->deadline, WAIT_MS, 0);
    io_loop_run(w->loop);
    assert_false(w->late);
}

static bool is_open(void *user)
{
    world_t *w = user;
    return w->ssl && SSL_is_init_finished(w->ssl) && w->server && net_conn_is_secure(w->server);
}
static bool is_closed(void *user) { return ((world_t *)user)->closed > 0; }
static bool is_over(void *user)
{
    world_t *w = user;
    return w->closed > 0 && w->client_closed;
}
static bool has_echo(void *user)
{
    world_t *w = user;
    return w->got.len >= w->expected;
}
/* Of a connection that is carried the owner learns it later. */
static bool holds_nothing(void *user)
{
    net_totals_t totals = net_totals(((world_t *)user)->net);
    return totals.in_bytes == 0 && totals.out_bytes == 0;
}
static bool has_large(void *user) { return ((world_t *)user)->got.len == LARGE_BYTES; }
static bool has_file(void *user) { return ((world_t *)user)->got.len == FILE_BYTES + 10; }
static bool is_served(void *user) { return ((world_t *)user)->server != NULL; }

/* ---- the world ---- */

static tls_context_t *make_context(tls_settings_t settings)
{
    char why[TLS_WHY_CHARS_MAX];
    tls_context_t *context = NULL;
    if (!settings.cert_pem) settings.cert_pem = server_cert.cert_pem;
    if (!settings.key_pem) settings.key_pem = server_cert.key_pem;
    assert_int_equal(tls_context_new(&settings, &context, why), 0);
    return context;
}

static void serve(world_t *w, tls_settings_t settings, bool allows_plain)
{
    tls_context_unref(w->context);
    w->context = make_context(settings);
    net_listener_secure(w->listener, w->context, allows_plain);
}

static int setup(void **state, bool carried)
{
    world_t *w = mem_zalloc(sizeof(*w));
    const char *host = carried ? "127.0.0.1" : "10.0.0.1";
    w->service = (net_service_t){.name = "echo",
                                 .on_open = server_open,
                                 .on_data = server_all,
                                 .on_close = server_close,
                                 .limits = {.in_bytes_max = MIB(1), .out_bytes_high = KIB(256), .frame_ms = FRAME_MS}};
    w->raw = (net_service_t){.name = "raw",
                             .on_open = client_open,
                             .on_data = client_data,
                             .on_close = client_close,
                             .limits = {.in_bytes_max = MIB(4), .out_bytes_high = SIZE_MAX}};
    if (carried) {
        assert_int_equal(io_loop_new_uv(&w->loop), 0);
        w->clients_loop = w->loop;
    } else {
        w->sim = sim_new(1);
        w->loop = sim_node_loop(sim_node_new(w->sim, "10.0.0.1"));
        w->clients_loop = sim_node_loop(sim_node_new(w->sim, "10.0.0.2"));
    }
    w->net = net_new(w->loop);
    w->clients_net = net_new(w->clients_loop);
    if (carried) {
        assert_int_equal(io_loop_new_uv(&w->carrier), 0);
        net_add_carrier(w->net, w->carrier);
        assert_int_equal(io_loop_spawn(w->carrier, "carrier"), 0);
        io_timer_init(w->loop, &w->deadline, on_late);
        w->hook = (io_hook_t){.rank = 100, .run = on_turn};
        io_hook_add(w->loop, &w->hook);
    }
    io_timer_init(w->clients_loop, &w->dribble, on_dribble);
    net_on_event(w->net, on_event, w);
    assert_int_equal(net_listen(w->net, host, carried ? 0 : PORT, &w->service, w, &w->listener), 0);
    w->port = net_listener_port(w->listener);
    w->client_ctx = SSL_CTX_new(TLS_client_method());
    X509_STORE_add_cert(SSL_CTX_get_cert_store(w->client_ctx), authority.cert);
    SSL_CTX_set_verify(w->client_ctx, SSL_VERIFY_PEER, NULL);
    serve(w, (tls_settings_t){0}, false);
    *state = w;
    return 0;
}

static int setup_here(void **state) { return setup(state, false); }
static int setup_carried(void **state) { return setup(state, true); }

static int teardown(void **state)
{
    world_t *w = *state;
    net_free(w->clients_net);
    if (w->carrier) io_loop_join(w->carrier);
    net_free(w->net);
    if (w->carrier) io_loop_free(w->carrier);
    tls_context_unref(w->context);
    if (w->sim) sim_free(w->sim);
    if (!w->sim) io_loop_free(w->loop);
    SSL_free(w->ssl);
    SSL_CTX_free(w->client_ctx);
    buf_t *bufs[] = {&w->heard, &w->raw_out, &w->got};
    for (size_t i = 0; i < ARRAY_LEN(bufs); i++) buf_deinit(bufs[i]);
    mem_free(w);
    return 0;
}

static void connect_plain(world_t *w)
{
    const char *host = w->sim ? "10.0.0.1" : "127.0.0.1";
    assert_int_equal(net_connect(w->clients_net, host, w->port, &w->raw, w, &w->client), 0);
    w->client_closed = w->client_failed = w->said_goodbye = false;
    run_until(w, is_served);
}

/* Says hello; what follows is the test's matter. */
static void connect_tls(world_t *w)
{
    connect_plain(w);
    w->ssl = SSL_new(w->client_ctx);
    SSL_set_bio(w->ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    SSL_set_connect_state(w->ssl);
    (void)SSL_do_handshake(w->ssl);
    take_from_ssl(w);
    if (w->step) io_timer_start(&w->dribble, 1, 1);
}

static void open_tls(world_t *w)
{
    connect_tls(w);
    run_until(w, is_open);
}

static void say(world_t *w, const void *data, size_t len)
{
    assert_int_equal(SSL_write(w->ssl, data, (int)len), len);
    take_from_ssl(w);
}

static void say_and_hear(world_t *w, const char *text)
{
    size_t before = w->got.len;
    w->expected = before + strlen(text);
    say(w, text, strlen(text));
    run_until(w, has_echo);
    assert_int_equal(w->got.len - before, strlen(text));
    assert_memory_equal(w->got.ptr + before, text, strlen(text));
}

static uint8_t *pattern(size_t bytes)
{
    uint8_t *data = mem_alloc(bytes);
    for (size_t i = 0; i < bytes; i++) data[i] = (uint8_t)(i * 2654435761u >> 13);
    return data;
}

/* ---- what works ---- */

static void what_is_said_comes_back_by_either_version(void **state)
{
    world_t *w = *state;
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        SSL_CTX_set_max_proto_version(w->client_ctx, version);
        w->server = NULL;
        open_tls(w);
        assert_int_equal(SSL_version(w->ssl), version);
        say_and_hear(w, "ping");
        SSL_free(w->ssl);
        w->ssl = NULL;
        net_conn_set_user(w->client, NULL);
        net_close_now(w->client);
        w->client = NULL;
    }
    assert_int_equal(net_totals(w->net).tls_handshakes, 2);
}

static void older_versions_are_refused(void **state)
{
    world_t *w = *state;
    SSL_CTX_set_min_proto_version(w->client_ctx, TLS1_VERSION);
    SSL_CTX_set_max_proto_version(w->client_ctx, TLS1_1_VERSION);
    SSL_CTX_set_security_level(w->client_ctx, 0);
    connect_tls(w);
    run_until(w, is_closed);
    assert_string_equal(w->why, "unsupported protocol");
}

static void megabytes_come_back_whole_and_in_order(void **state)
{
    world_t *w = *state;
    uint8_t *data = pattern(LARGE_BYTES);
    open_tls(w);
    say(w, data, LARGE_BYTES);
    run_until(w, has_large);
    assert_memory_equal(w->got.ptr, data, LARGE_BYTES);
    run_until(w, holds_nothing);
    mem_free(data);
}

static void a_byte_at_a_time_is_as_good_as_all(void **state)
{
    world_t *w = *state;
    w->step = 1;
    open_tls(w);
    say_and_hear(w, "slow but sure");
}

static void plain_text_and_tls_share_a_port_where_that_is_allowed(void **state)
{
    world_t *w = *state;
    serve(w, (tls_settings_t){0}, true);
    connect_plain(w);
    net_write(w->client, "PING\r\n", 6);
    w->expected = 6;
    run_until(w, has_echo);
    assert_memory_equal(w->got.ptr, "PING\r\n", 6);
    assert_false(net_conn_is_secure(w->server));
    w->server = NULL;
    open_tls(w);
    say_and_hear(w, "ping");
}

static void who_says_nothing_is_answered_in_plain_text(void **state)
{
    world_t *w = *state;
    serve(w, (tls_settings_t){0}, true);
    connect_plain(w);
    net_write(w->server, "busy", 4);
    net_close(w->server);
    run_until(w, is_over);
    assert_int_equal(w->got.len, 4);
    assert_memory_equal(w->got.ptr, "busy", 4);
}

static void what_is_written_before_hands_are_shaken_leaves_behind_it(void **state)
{
    world_t *w = *state;
    connect_plain(w);
    net_write(w->server, "hello", 5);
    w->ssl = SSL_new(w->client_ctx);
    SSL_set_bio(w->ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    SSL_set_connect_state(w->ssl);
    (void)SSL_do_handshake(w->ssl);
    take_from_ssl(w);
    w->expected = 5;
    run_until(w, has_echo);
    assert_memory_equal(w->got.ptr, "hello", 5);
}

static void count_release(void *user) { (*(int *)user)++; }

static bool is_released(void *user) { return ((world_t *)user)->releases == 1; }

static void a_range_of_a_file_is_sent_with_what_stands_around_it(void **state)
{
    world_t *w = *state;
    const char *path = w->sim ? "/data/range" : "tls_engine_test.tmp";
    uint8_t *data = pattern(FILE_BYTES + 100);
    io_file_t *file;
    assert_int_equal(io_file_open(w->loop, path, IO_FILE_WRITE | IO_FILE_CREATE | IO_FILE_TRUNCATE, &file), 0);
    assert_int_equal(io_file_write(file, 0, &(struct iovec){data, FILE_BYTES + 100}, 1), 0);
    open_tls(w);
    net_write(w->server, "begin", 5);
    net_write_file(w->server, file, 50, FILE_BYTES, count_release, &w->releases);
    net_write(w->server, "ended", 5);
    run_until(w, has_file);
    assert_memory_equal(w->got.ptr, "begin", 5);
    assert_memory_equal(w->got.ptr + 5, data + 50, FILE_BYTES);
    assert_memory_equal(w->got.ptr + 5 + FILE_BYTES, "ended", 5);
    run_until(w, is_released);
    io_file_close(file);
    assert_int_equal(io_remove(w->loop, path), 0);
    mem_free(data);
}

static void a_session_is_taken_up_again_by_its_ticket(void **state)
{
    world_t *w = *state;
    open_tls(w);
    say_and_hear(w, "first");
    SSL_SESSION *session = SSL_get1_session(w->ssl);
    SSL_shutdown(w->ssl);
    take_from_ssl(w);
    run_until(w, is_over);
    SSL_free(w->ssl);
    connect_plain(w);
    w->ssl = SSL_new(w->client_ctx);
    SSL_set_bio(w->ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    SSL_set_connect_state(w->ssl);
    SSL_set_session(w->ssl, session);
    SSL_SESSION_free(session);
    (void)SSL_do_handshake(w->ssl);
    take_from_ssl(w);
    run_until(w, is_open);
    assert_true(SSL_session_reused(w->ssl));
}

static void an_open_connection_outlives_the_certificate_it_began_with(void **state)
{
    world_t *w = *state;
    open_tls(w);
    serve(w, (tls_settings_t){.cert_pem = strange_cert.cert_pem, .key_pem = strange_cert.key_pem}, false);
    say_and_hear(w, "still here");
    net_listener_secure(w->listener, NULL, false);
    say_and_hear(w, "and here");
}

/* ---- how it ends ---- */

static void a_peer_that_says_goodbye_gets_what_it_asked_for_and_a_goodbye(void **state)
{
    world_t *w = *state;
    open_tls(w);
    say(w, "last words", 10);
    SSL_shutdown(w->ssl);
    take_from_ssl(w);
    run_until(w, is_over);
    assert_int_equal(w->got.len, 10);
    assert_true(w->said_goodbye);
    assert_false(w->client_failed);
}

static void half_a_record_is_nothing(void **state)
{
    world_t *w = *state;
    open_tls(w);
    assert_int_equal(SSL_write(w->ssl, "never", 5), 5);
    uint8_t *data;
    long n = BIO_get_mem_data(SSL_get_wbio(w->ssl), &data);
    net_write(w->client, data, (size_t)n - 3);
    (void)BIO_reset(SSL_get_wbio(w->ssl)); /* the rest never comes */
    net_close(w->client);
    run_until(w, is_closed);
    assert_int_equal(w->heard.len, 0);
}

static bool held(void *user) { return net_totals(((world_t *)user)->net).in_bytes > 0; }

static void half_a_record_is_not_waited_for_for_ever(void **state)
{
    world_t *w = *state;
    open_tls(w);
    assert_int_equal(SSL_write(w->ssl, "never", 5), 5);
    uint8_t *data;
    long n = BIO_get_mem_data(SSL_get_wbio(w->ssl), &data);
    net_write(w->client, data, (size_t)n - 3);
    (void)BIO_reset(SSL_get_wbio(w->ssl)); /* the rest never comes */
    run_until(w, held);
    assert_int_equal(net_totals(w->net).in_bytes, n - 3);
    run_until(w, is_closed);
    assert_int_equal(w->events[NET_EVENT_FRAME_LATE], 1);
}

static void half_a_handshake_is_not_waited_for_for_ever(void **state)
{
    world_t *w = *state;
    w->deaf = true;
    connect_tls(w);
    uint64_t before_ns = sim_now_ns(w->sim);
    run_until(w, is_closed);
    assert_int_equal(w->events[NET_EVENT_HANDSHAKE_LATE], 1);
    assert_true(sim_now_ns(w->sim) - before_ns >= (NET_TLS_HANDSHAKE_MS - 1000) * 1000000ull);
}

static void who_connects_and_says_nothing_may_do_so_where_plain_text_is_allowed(void **state)
{
    world_t *w = *state;
    serve(w, (tls_settings_t){0}, true);
    connect_plain(w);
    sim_run_for(w->sim, 10 * NET_TLS_HANDSHAKE_MS);
    assert_int_equal(w->closed, 0);
    net_listener_secure(w->listener, w->context, false);
    w->server = NULL;
    connect_plain(w);
    run_until(w, is_closed);
    assert_int_equal(w->closed, 1);
}

/* ---- who misbehaves ---- */

static void plain_text_where_tls_is_required_is_refused(void **state)
{
    world_t *w = *state;
    connect_plain(w);
    net_write(w->client, "GET / HTTP/1.1\r\n\r\n", 18);
    run_until(w, is_over);
    assert_int_equal(w->heard.len, 0);
    assert_int_equal(net_totals(w->net).tls_failed, 1);
    assert_string_equal(w->why, "http request");
}

static void a_record_that_announces_too_much_is_refused_at_once(void **state)
{
    world_t *w = *state;
    open_tls(w);
    net_write(w->client, "\x17\x03\x03\xff\xff", 5);
    run_until(w, is_over);
    assert_int_equal(w->events[NET_EVENT_TLS_FAILED], 1);
}

static void a_record_that_was_changed_ends_the_connection(void **state)
{
    world_t *w = *state;
    open_tls(w);
    assert_int_equal(SSL_write(w->ssl, "change me", 9), 9);
    uint8_t *data;
    long n = BIO_get_mem_data(SSL_get_wbio(w->ssl), &data);
    data[n - 1] ^= 1;
    take_from_ssl(w);
    run_until(w, is_over);
    assert_int_equal(w->heard.len, 0);
    assert_string_equal(w->why, "decryption failed or bad record mac");
}

/* A real beginning, then anything: nothing but the connection ends. */
static void noise_is_refused_wherever_it_comes(void **state)
{
    world_t *w = *state;
    for (int i = 0; i < 60; i++) {
        uint8_t noise[64];
        w->closed = 0;
        w->server = NULL;
        connect_plain(w);
        for (size_t k = 0; k < sizeof(noise); k++) noise[k] = (uint8_t)sim_random(w->sim, 256);
        if (i % 3) memcpy(noise, "\x16\x03\x01\x00\x30\x01", 6);
        if (i % 3 == 2) store_be16(noise + 3, 8);
        net_write(w->client, noise, sizeof(noise));
        run_until(w, is_over);
    }
    assert_int_equal(w->heard.len, 0);
    assert_int_equal(net_totals(w->net).tls_handshakes, 0);
}

static void nobody_renegotiates(void **state)
{
    world_t *w = *state;
    SSL_CTX_set_max_proto_version(w->client_ctx, TLS1_2_VERSION);
    open_tls(w);
    for (int i = 0; i < STORM && !w->closed; i++) {
        if (SSL_renegotiate(w->ssl) == 1) (void)SSL_do_handshake(w->ssl);
        take_from_ssl(w);
        if (w->sim) sim_run_for(w->sim, 10);
    }
    assert_int_equal(net_totals(w->net).tls_handshakes, 1);
}

/* Each asks for an answer; one answers all that came before it. */
static void new_keys_without_end_pile_nothing_up(void **state)
{
    world_t *w = *state;
    open_tls(w);
    for (int i = 0; i < STORM; i++) {
        assert_int_equal(SSL_key_update(w->ssl, SSL_KEY_UPDATE_REQUESTED), 1);
        (void)SSL_do_handshake(w->ssl);
    }
    take_from_ssl(w);
    say_and_hear(w, "what was that for?");
    run_until(w, holds_nothing);
}

/* ---- certificates of clients ---- */

static void expect_refused(world_t *w, const test_cert_t *cert, const char *why)
{
    serve(w, (tls_settings_t){.ca_pem = authority.cert_pem, .clients = TLS_CLIENTS_REQUIRED}, false);
    if (cert) {
        SSL_CTX_use_certificate(w->client_ctx, cert->cert);
        SSL_CTX_use_PrivateKey(w->client_ctx, cert->key);
    }
    connect_tls(w);
    run_until(w, is_closed);
    assert_int_equal(w->heard.len, 0);
    assert_string_equal(w->why, why);
}

static void a_client_without_a_certificate_is_refused_where_one_is_required(void **state)
{
    expect_refused(*state, NULL, "peer did not return a certificate");
}

static void an_expired_certificate_is_refused(void **state)
{
    expect_refused(*state, &late_cert, "certificate has expired");
}

static void a_certificate_of_another_authority_is_refused(void **state)
{
    expect_refused(*state, &strange_cert, "unable to get local issuer certificate");
}

static void a_certificate_that_is_asked_for_may_be_missing_but_not_wrong(void **state)
{
    world_t *w = *state;
    serve(w, (tls_settings_t){.ca_pem = authority.cert_pem, .clients = TLS_CLIENTS_OPTIONAL}, false);
    open_tls(w);
    say_and_hear(w, "without");
    SSL_free(w->ssl);
    w->server = NULL;
    SSL_CTX_use_certificate(w->client_ctx, client_cert.cert);
    SSL_CTX_use_PrivateKey(w->client_ctx, client_cert.key);
    open_tls(w);
    say_and_hear(w, "with");
    SSL_free(w->ssl);
    w->server = NULL;
    w->closed = 0;
    SSL_CTX_use_certificate(w->client_ctx, strange_cert.cert);
    SSL_CTX_use_PrivateKey(w->client_ctx, strange_cert.key);
    connect_tls(w);
    run_until(w, is_closed);
    assert_string_equal(w->why, "unable to get local issuer certificate");
}

/* ---- settings ---- */

static void expect_why(tls_settings_t settings, const char *why)
{
    char text[TLS_WHY_CHARS_MAX];
    tls_context_t *context = NULL;
    assert_int_equal(tls_context_new(&settings, &context, text), ERR_INVALID);
    assert_null(context);
    assert_string_equal(text, why);
}

static void settings_that_cannot_be_say_why(void **state)
{
    expect_why((tls_settings_t){0}, "TLS needs a certificate and its private key");
    expect_why((tls_settings_t){.cert_file = "/nowhere.crt", .key_file = "/nowhere.key"},
               "cannot load the certificate /nowhere.crt: system lib");
    expect_why((tls_settings_t){.cert_pem = server_cert.cert_pem, .key_pem = client_cert.key_pem},
               "cannot load the private key: key values mismatch");
    expect_why((tls_settings_t){.cert_pem = server_cert.cert_pem, .key_pem = "none"},
               "cannot load the private key: unsupported");
    expect_why((tls_settings_t){.cert_pem = server_cert.cert_pem, .key_pem = server_cert.key_pem, .ciphers = "NONE"},
               "no such ciphers: NONE: no cipher match");
    expect_why((tls_settings_t){.cert_pem = server_cert.cert_pem, .key_pem = server_cert.key_pem, .ca_pem = ""},
               "there is no trusted certificate in the text");
}

static int make_certs(void **state)
{
    authority = test_cert_new("authority", NULL, -DAY_S, DAY_S);
    stranger = test_cert_new("stranger", NULL, -DAY_S, DAY_S);
    server_cert = test_cert_new("server", &authority, -DAY_S, DAY_S);
    client_cert = test_cert_new("client", &authority, -DAY_S, DAY_S);
    late_cert = test_cert_new("late", &authority, -DAY_S, -60);
    strange_cert = test_cert_new("strange", &stranger, -DAY_S, DAY_S);
    return 0;
}

static int free_certs(void **state)
{
    test_cert_t *all[] = {&authority, &stranger, &server_cert, &client_cert, &late_cert, &strange_cert};
    for (size_t i = 0; i < ARRAY_LEN(all); i++) test_cert_free(all[i]);
    return 0;
}

#define HERE(test)                                                                                                     \
    {                                                                                                                  \
#test, test, setup_here, teardown, NULL                                                                        \
    }
#define BOTH(test)                                                                                                     \
    HERE(test), { #test " (carried)", test, setup_carried, teardown, NULL }

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(what_is_said_comes_back_by_either_version),
        BOTH(older_versions_are_refused),
        BOTH(megabytes_come_back_whole_and_in_order),
        BOTH(a_byte_at_a_time_is_as_good_as_all),
        BOTH(plain_text_and_tls_share_a_port_where_that_is_allowed),
        BOTH(who_says_nothing_is_answered_in_plain_text),
        BOTH(what_is_written_before_hands_are_shaken_leaves_behind_it),
        BOTH(a_range_of_a_file_is_sent_with_what_stands_around_it),
        BOTH(a_session_is_taken_up_again_by_its_ticket),
        BOTH(an_open_connection_outlives_the_certificate_it_began_with),
        BOTH(a_peer_that_says_goodbye_gets_what_it_asked_for_and_a_goodbye),
        BOTH(half_a_record_is_nothing),
        HERE(half_a_record_is_not_waited_for_for_ever),
        HERE(half_a_handshake_is_not_waited_for_for_ever),
        HERE(who_connects_and_says_nothing_may_do_so_where_plain_text_is_allowed),
        BOTH(plain_text_where_tls_is_required_is_refused),
        BOTH(a_record_that_announces_too_much_is_refused_at_once),
        BOTH(a_record_that_was_changed_ends_the_connection),
        HERE(noise_is_refused_wherever_it_comes),
        HERE(nobody_renegotiates),
        BOTH(new_keys_without_end_pile_nothing_up),
        BOTH(a_client_without_a_certificate_is_refused_where_one_is_required),
        BOTH(an_expired_certificate_is_refused),
        BOTH(a_certificate_of_another_authority_is_refused),
        BOTH(a_certificate_that_is_asked_for_may_be_missing_but_not_wrong),
        cmocka_unit_test(settings_that_cannot_be_say_why),
    };
    return cmocka_run_group_tests(tests, make_certs, free_certs);
}

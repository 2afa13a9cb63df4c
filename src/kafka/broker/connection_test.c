/* connection_test.c: frames in, answers out: whole or byte by byte, in order, and what closes a connection.
 * The broker under test has no topics and needs no tree. */
#include "kafka/broker/connection.h"
#include "kafka/config/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define TURNS_MS_MAX 10000

typedef struct fixture {
    io_loop_t *loop;
    net_t *net;
    kafka_t *kafka;
    net_listener_t *listener;
    net_service_t client_def;
    net_conn_t *client;
    buf_t got;
    bool opened, closed, late;
    bool leaves, stops; /* the client; the broker, which is reading a body apart */
    size_t wanted_bytes;
    io_timer_t deadline;
    io_hook_t hook;
} fixture_t;

static int client_open(net_conn_t *conn, void *service)
{
    ((fixture_t *)service)->opened = true;
    net_conn_set_user(conn, service);
    return 0;
}

static ssize_t client_data(net_conn_t *conn, uint8_t *data, size_t len)
{
    buf_append(&((fixture_t *)net_conn_user(conn))->got, data, len);
    return (ssize_t)len;
}

static void client_close(net_conn_t *conn)
{
    fixture_t *f = net_conn_user(conn);
    f->closed = true;
    f->client = NULL;
}

static void on_deadline(io_timer_t *timer)
{
    fixture_t *f = CONTAINER_OF(timer, fixture_t, deadline);
    f->late = true;
    io_loop_stop(f->loop);
}

static void on_turn(io_hook_t *hook)
{
    fixture_t *f = CONTAINER_OF(hook, fixture_t, hook);
    if (f->leaves && f->client && !list_empty(&f->kafka->reading)) net_close(f->client);
    if (f->stops && !list_empty(&f->kafka->reading)) connection__stop_all(f->kafka);
    if (f->closed || (f->opened && f->got.len >= f->wanted_bytes)) io_loop_stop(f->loop);
}

/* Runs until so many bytes have come, or the connection is closed. */
static void run(fixture_t *f, size_t bytes)
{
    f->wanted_bytes = bytes;
    io_timer_start(&f->deadline, TURNS_MS_MAX, 0);
    io_loop_run(f->loop);
    assert_false(f->late);
}

static int setup(void **state)
{
    fixture_t *f = mem_zalloc(sizeof(*f));
    kafka_config_t *config = kafka_config_new();
    char err[200];
    f->client_def = (net_service_t){.name = "client",
                                    .on_open = client_open,
                                    .on_data = client_data,
                                    .on_close = client_close,
                                    .limits = {.in_bytes_max = MIB(4), .out_bytes_high = SIZE_MAX}};
    assert_int_equal(kafka_configure(config, "socket.request.max.bytes", "1000000", err, sizeof(err)), 0);
    assert_int_equal(io_loop_new_uv(&f->loop), 0);
    f->net = net_new(f->loop);
    f->kafka = kafka_new(f->loop, f->net, NULL, "/nowhere", config);
    kafka_config_free(config);
    f->kafka->ready = true;
    f->kafka->broker_id = 1;
    io_timer_init(f->loop, &f->deadline, on_deadline);
    f->hook = (io_hook_t){.rank = 100, .run = on_turn};
    io_hook_add(f->loop, &f->hook);
    assert_int_equal(net_listen(f->net, "127.0.0.1", 0, kafka_service(), f->kafka, &f->listener), 0);
    assert_int_equal(net_connect(f->net, "127.0.0.1", net_listener_port(f->listener), &f->client_def, f, &f->client),
                     0);
    run(f, 0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fixture_t *f = *state;
    connection__stop_all(f->kafka);
    net_free(f->net);
    kafka_free(f->kafka);
    io_timer_stop(&f->deadline);
    io_hook_remove(&f->hook);
    io_loop_free(f->loop);
    buf_deinit(&f->got);
    mem_free(f);
    return 0;
}

/* A request without a client id. */
static void add_request(buf_t *out, int16_t key, int16_t version, int32_t correlation_id, bytes_t body)
{
    buf_be32(out, (uint32_t)(10 + body.len));
    buf_be16(out, (uint16_t)key);
    buf_be16(out, (uint16_t)version);
    buf_be32(out, (uint32_t)correlation_id);
    buf_be16(out, 0xffff);
    buf_append(out, body.ptr, body.len);
}

static const uint8_t no_topics[4]; /* Metadata 1: an empty list */

/* The correlation id of the next answer, which is taken off. */
static int32_t take_answer(fixture_t *f)
{
    assert_true(f->got.len >= 8);
    uint32_t bytes = load_be32(f->got.ptr);
    assert_true(f->got.len >= 4 + bytes);
    int32_t correlation_id = (int32_t)load_be32(f->got.ptr + 4);
    buf_consume(&f->got, 4 + bytes);
    return correlation_id;
}

static void pipelined_requests_are_answered_in_order_even_byte_by_byte(void **state)
{
    fixture_t *f = *state;
    buf_t out = BUF_INIT;
    for (int32_t i = 1; i <= 3; i++) {
        add_request(&out, KAFKA_API_API_VERSIONS, 0, 10 * i, BYTES_NULL);
        add_request(&out, KAFKA_API_METADATA, 1, 10 * i + 1, bytes_of(no_topics, sizeof(no_topics)));
    }
    net_write(f->client, out.ptr, out.len);
    run(f, 600);
    size_t all = f->got.len;
    for (int32_t i = 1; i <= 3; i++) {
        assert_int_equal(take_answer(f), 10 * i);
        assert_int_equal(take_answer(f), 10 * i + 1);
    }
    for (size_t i = 0; i < out.len; i++) { /* the loop turns between the bytes */
        net_write(f->client, out.ptr + i, 1);
        run(f, 0);
    }
    run(f, all);
    for (int32_t i = 1; i <= 3; i++) {
        assert_int_equal(take_answer(f), 10 * i);
        assert_int_equal(take_answer(f), 10 * i + 1);
    }
    buf_deinit(&out);
}

static void an_unknown_version_of_api_versions_is_answered_with_its_range(void **state)
{
    fixture_t *f = *state;
    buf_t out = BUF_INIT;
    add_request(&out, KAFKA_API_API_VERSIONS, 99, 7, BYTES_NULL);
    net_write(f->client, out.ptr, out.len);
    static const uint8_t expected[] = {0, 0, 0, 16, 0, 0, 0, 7, 0, 35, 0, 0, 0, 1, 0, 18, 0, 0, 0, 4};
    run(f, sizeof(expected));
    assert_true(bytes_eq(buf_bytes(&f->got), bytes_of(expected, sizeof(expected))));
    assert_false(f->closed);
    buf_deinit(&out);
}

static void expect_close(fixture_t *f, buf_t *out)
{
    net_write(f->client, out->ptr, out->len);
    buf_deinit(out);
    run(f, 1);
    assert_true(f->closed);
    assert_int_equal(f->got.len, 0);
}

static void an_unknown_api_closes(void **state)
{
    buf_t out = BUF_INIT;
    add_request(&out, 999, 0, 1, BYTES_NULL);
    expect_close(*state, &out);
}

static void an_unknown_version_of_another_api_closes(void **state)
{
    buf_t out = BUF_INIT;
    add_request(&out, KAFKA_API_METADATA, 99, 1, BYTES_NULL);
    expect_close(*state, &out);
}

static void a_body_that_ends_early_closes(void **state)
{
    buf_t out = BUF_INIT;
    add_request(&out, KAFKA_API_METADATA, 1, 1, BYTES_LIT("\x7f\xff\xff\xff"));
    expect_close(*state, &out);
}

static void a_negative_size_closes(void **state)
{
    buf_t out = BUF_INIT;
    buf_be32(&out, 0xffffffff);
    expect_close(*state, &out);
}

static void a_size_above_socket_request_max_bytes_closes(void **state)
{
    buf_t out = BUF_INIT;
    buf_be32(&out, 1000001);
    expect_close(*state, &out);
}

static void requests_wait_until_the_broker_is_ready(void **state)
{
    fixture_t *f = *state;
    buf_t out = BUF_INIT;
    f->kafka->ready = false;
    add_request(&out, KAFKA_API_API_VERSIONS, 0, 5, BYTES_NULL);
    net_write(f->client, out.ptr, out.len);
    for (int i = 0; i < 20; i++) run(f, 0);
    assert_int_equal(f->got.len, 0);
    f->kafka->ready = true;
    connection__resume_all(f->kafka);
    run(f, 20);
    assert_int_equal(take_answer(f), 5);
    buf_deinit(&out);
}

#define LARGE_PARTITIONS   50000
#define LARGE_ANSWER_BYTES (4 + 4 + 4 + 5 + 4 + LARGE_PARTITIONS * 22)

/* ListOffsets 1 of very many partitions of a topic that is not there: larger than what the loop reads itself. */
static void add_large_request(buf_t *out, int32_t correlation_id)
{
    buf_t body = BUF_INIT;
    buf_be32(&body, 0xffffffff);
    buf_be32(&body, 1);
    buf_be16(&body, 3);
    buf_append(&body, "top", 3);
    buf_be32(&body, LARGE_PARTITIONS);
    for (uint32_t i = 0; i < LARGE_PARTITIONS; i++) {
        buf_be32(&body, i);
        buf_be64(&body, 0);
    }
    add_request(out, KAFKA_API_LIST_OFFSETS, 1, correlation_id, buf_bytes(&body));
    buf_deinit(&body);
}

static void a_large_request_is_answered_in_its_place(void **state)
{
    fixture_t *f = *state;
    buf_t out = BUF_INIT;
    add_request(&out, KAFKA_API_METADATA, 1, 1, bytes_of(no_topics, sizeof(no_topics)));
    add_large_request(&out, 2);
    add_request(&out, KAFKA_API_METADATA, 1, 3, bytes_of(no_topics, sizeof(no_topics)));
    add_large_request(&out, 4);
    net_write(f->client, out.ptr, out.len);
    run(f, 2 * LARGE_ANSWER_BYTES + 40);
    for (int32_t i = 1; i <= 4; i++) {
        bool large = i % 2 == 0;
        if (large) assert_int_equal(load_be32(f->got.ptr), LARGE_ANSWER_BYTES - 4);
        assert_int_equal(take_answer(f), i);
    }
    assert_true(list_empty(&f->kafka->reading));
    buf_deinit(&out);
}

static void a_large_body_that_ends_early_closes(void **state)
{
    fixture_t *f = *state;
    buf_t out = BUF_INIT;
    add_large_request(&out, 1);
    store_be32(out.ptr, load_be32(out.ptr) - 1);
    out.len--;
    expect_close(f, &out);
    assert_int_equal(f->kafka->stats.request_errors, 1);
}

static void who_leaves_while_his_request_is_read_is_forgotten_with_it(void **state)
{
    fixture_t *f = *state;
    buf_t out = BUF_INIT;
    f->leaves = true;
    add_large_request(&out, 1);
    net_write(f->client, out.ptr, out.len);
    run(f, 1);
    assert_true(f->closed);
    uint64_t end_ns = io_now_ns(f->loop) + TURNS_MS_MAX * 1000000ull;
    while (f->kafka->requests_free_count == 0 && io_now_ns(f->loop) < end_ns)
        run(f, 0); /* it may be answered, to nobody */
    assert_true(f->kafka->requests_free_count > 0);
    buf_deinit(&out);
}

static void a_stop_forgets_what_is_read(void **state)
{
    fixture_t *f = *state;
    buf_t out = BUF_INIT;
    f->stops = true;
    add_large_request(&out, 1);
    net_write(f->client, out.ptr, out.len);
    run(f, 1);
    assert_true(f->closed);
    assert_true(list_empty(&f->kafka->reading));
    assert_int_equal(f->kafka->stats.requests, 0);
    assert_true(f->kafka->requests_free_count > 0);
    buf_deinit(&out);
}

static void addresses_are_taken_apart(void **state)
{
    assert_true(bytes_eq(connection__host_of("127.0.0.1:9092"), BYTES_LIT("127.0.0.1")));
    assert_true(bytes_eq(connection__host_of("[::1]:9092"), BYTES_LIT("::1")));
    assert_int_equal(connection__port_of("[::1]:9092"), 9092);
    bytes_t host;
    int32_t port;
    kafka_t kafka = {.config = {.advertised_listeners = "PLAINTEXT://kafka.example:1234,OTHER://x:1"}};
    connection__advertised(&kafka, NULL, "127.0.0.1:9092", &host, &port);
    assert_true(bytes_eq(host, BYTES_LIT("kafka.example")));
    assert_int_equal(port, 1234);
    connection__advertised(&kafka, "OTHER", "127.0.0.1:9092", &host, &port);
    assert_true(bytes_eq(host, BYTES_LIT("x")));
    assert_int_equal(port, 1);
    connection__advertised(&kafka, "THIRD", "127.0.0.1:9092", &host, &port);
    assert_int_equal(port, 9092);
    kafka.config.advertised_listeners = NULL;
    connection__advertised(&kafka, NULL, "127.0.0.1:9092", &host, &port);
    assert_true(bytes_eq(host, BYTES_LIT("127.0.0.1")));
    assert_int_equal(port, 9092);
}

#define IN_LOOP(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_LOOP(pipelined_requests_are_answered_in_order_even_byte_by_byte),
        IN_LOOP(an_unknown_version_of_api_versions_is_answered_with_its_range),
        IN_LOOP(an_unknown_api_closes),
        IN_LOOP(an_unknown_version_of_another_api_closes),
        IN_LOOP(a_body_that_ends_early_closes),
        IN_LOOP(a_negative_size_closes),
        IN_LOOP(a_size_above_socket_request_max_bytes_closes),
        IN_LOOP(requests_wait_until_the_broker_is_ready),
        IN_LOOP(a_large_request_is_answered_in_its_place),
        IN_LOOP(a_large_body_that_ends_early_closes),
        IN_LOOP(who_leaves_while_his_request_is_read_is_forgotten_with_it),
        IN_LOOP(a_stop_forgets_what_is_read),
        cmocka_unit_test(addresses_are_taken_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

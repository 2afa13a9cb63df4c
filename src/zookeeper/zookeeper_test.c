/* zookeeper_test.c: the wing as its clients meet it, over the simulator's network: handshakes, order, watches, expiry, limits. */
#include "base/arena.h"
#include "base/buf.h"
#include "coord/session.h"
#include "io/sim.h"
#include "zk_records.h"
#include "zookeeper/zookeeper.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define TICK_MS           2000
#define ZK_READ_BYTES_MAX MIB(32) /* of the answer to a multi that reads */

typedef struct server {
    sim_t *sim;
    sim_node_t *node, *client_node;
    coord_t *coord;
    net_t *net;
    zookeeper_t *zookeeper;
    zookeeper_config_t config;
} server_t;

typedef struct client {
    server_t *server;
    io_stream_t *stream;
    buf_t in;
    bool closed;
    int32_t xid;
    int64_t session_id;
    int32_t timeout_ms;
    uint8_t passwd[16];
} client_t;

/* ---- a server and its clients ------------------------------------------------------------------------------------------ */

static void start(server_t *s, io_loop_t *loop)
{
    coord_options_t options = coord_options_default;
    options.dir = "/data/coord";
    zookeeper_config_coord(&s->config, &options);
    assert_int_equal(coord_open(loop, &options, &s->coord), 0);
    s->net = net_new(loop);
    s->zookeeper = zookeeper_new(loop, s->net, s->coord, &s->config);
    uint16_t port;
    assert_int_equal(zookeeper_listen(s->zookeeper, "10.0.0.1", 2181, &port), 0);
    assert_int_equal(port, 2181);
}

static void stop(server_t *s)
{
    zookeeper_stop(s->zookeeper);
    coord_close(s->coord);
    net_free(s->net);
    zookeeper_free(s->zookeeper);
}

static int setup(void **state)
{
    server_t *s = calloc(1, sizeof(*s));
    s->sim = sim_new(42);
    sim_net_faults_t faults = sim_net_faults_default;
    faults.short_ppm = 0; /* the test's own client writes whole frames */
    sim_set_net_faults(s->sim, &faults);
    s->node = sim_node_new(s->sim, "10.0.0.1");
    s->client_node = sim_node_new(s->sim, "10.0.0.2");
    zookeeper_config_init(&s->config);
    start(s, sim_node_loop(s->node));
    *state = s;
    return 0;
}

static int teardown(void **state)
{
    server_t *s = *state;
    stop(s);
    zookeeper_config_deinit(&s->config);
    sim_free(s->sim);
    free(s);
    return 0;
}

static void client_ready(void *user, unsigned events)
{
    client_t *c = user;
    for (;;) {
        ssize_t n = io_stream_read(c->stream, buf_reserve(&c->in, 65536), 65536);
        if (n == ERR_AGAIN) return;
        if (n <= 0) {
            c->closed = true;
            io_stream_watch(c->stream, 0, NULL, NULL);
            return;
        }
        c->in.len += (size_t)n;
    }
}

static void client_open(server_t *s, client_t *c)
{
    *c = (client_t){.server = s};
    assert_int_equal(io_connect(sim_node_loop(s->client_node), "10.0.0.1", 2181, &c->stream), 0);
    io_stream_watch(c->stream, IO_READABLE, client_ready, c);
    sim_run_for(s->sim, 20);
}

static void client_close(client_t *c)
{
    io_stream_close(c->stream);
    buf_deinit(&c->in);
    sim_run_for(c->server->sim, 20);
}

static void client_send(client_t *c, const void *data, size_t bytes)
{
    struct iovec iov = {(void *)data, bytes};
    assert_int_equal(io_stream_writev(c->stream, &iov, 1), (ssize_t)bytes);
}

static void send_frame(client_t *c, bytes_t body)
{
    buf_t frame = BUF_INIT;
    buf_be32(&frame, (uint32_t)body.len);
    buf_append(&frame, body.ptr, body.len);
    client_send(c, frame.ptr, frame.len);
    buf_deinit(&frame);
}

/* The next frame's body; empty when there is none yet. Valid until the next call. */
static bytes_t next_frame(client_t *c)
{
    static uint8_t frame[65536];
    if (c->in.len < 4) return BYTES_NULL;
    size_t bytes = load_be32(c->in.ptr);
    if (c->in.len < 4 + bytes) return BYTES_NULL;
    memcpy(frame, c->in.ptr + 4, bytes);
    buf_consume(&c->in, 4 + bytes);
    return bytes_of(frame, bytes);
}

static void send_handshake(client_t *c, int32_t timeout_ms, int64_t session_id, const uint8_t passwd[16], bool old,
                           int64_t zxid)
{
    zk_connect_request_t request = {0, zxid, timeout_ms, session_id, bytes_of(passwd, 16)};
    uint8_t body[64];
    uint8_t *end = zk_connect_request_put(body, &request);
    if (!old) *end++ = 0;
    assert_int_equal(end - body, old ? 44 : 45);
    send_frame(c, bytes_of(body, (size_t)(end - body)));
}

/* Returns the reply's length: 37, or 36 for an old client; 0 when none came. */
static size_t handshake(client_t *c, int32_t timeout_ms, int64_t session_id, const uint8_t passwd[16], bool old,
                        int64_t zxid)
{
    send_handshake(c, timeout_ms, session_id, passwd, old, zxid);
    sim_run_for(c->server->sim, 100);
    bytes_t reply = next_frame(c);
    if (reply.len == 0) return 0;
    zk_connect_response_t response;
    jute_reader_t r = jute_reader(reply, NULL);
    zk_connect_response_get(&r, &response);
    assert_false(r.bad);
    c->session_id = response.session_id;
    c->timeout_ms = response.time_out;
    memcpy(c->passwd, response.passwd.ptr, 16);
    return reply.len;
}

static void connected(server_t *s, client_t *c, int32_t timeout_ms)
{
    static const uint8_t zeros[16];
    client_open(s, c);
    assert_int_equal(handshake(c, timeout_ms, 0, zeros, false, 0), 37);
    assert_true(c->session_id != 0);
}

static void request(client_t *c, int32_t type, bytes_t body)
{
    buf_t frame = BUF_INIT;
    buf_be32(&frame, (uint32_t)++c->xid);
    buf_be32(&frame, (uint32_t)type);
    if (body.len > 0) buf_append(&frame, body.ptr, body.len);
    send_frame(c, buf_bytes(&frame));
    buf_deinit(&frame);
}

static void request_create(client_t *c, const char *path, int flags)
{
    zk_acl_t world = {31, {BYTES_LIT("world"), BYTES_LIT("anyone")}};
    zk_create_request_t record = {bytes_str(path), BYTES_LIT("d"), &world, 1, flags};
    uint8_t body[256];
    request(c, ZK_OP_CREATE, bytes_of(body, (size_t)(zk_create_request_put(body, &record) - body)));
}

static void request_read(client_t *c, int32_t type, const char *path, bool watch)
{
    zk_path_watch_request_t record = {bytes_str(path), watch};
    uint8_t body[256];
    request(c, type, bytes_of(body, (size_t)(zk_path_watch_request_put(body, &record) - body)));
}

static zk_reply_header_t next_header(client_t *c)
{
    zk_reply_header_t header = {0};
    bytes_t frame = next_frame(c);
    assert_true(frame.len >= 16);
    jute_reader_t r = jute_reader(frame, NULL);
    zk_reply_header_get(&r, &header);
    return header;
}

static zk_reply_header_t answered(client_t *c)
{
    sim_run_for(c->server->sim, 200);
    return next_header(c);
}

/* ---- tests --------------------------------------------------------------------------------------------------------------- */

static void old_clients_get_the_short_reply(void **state)
{
    static const uint8_t zeros[16];
    client_t c;
    client_open(*state, &c);
    assert_int_equal(handshake(&c, 10000, 0, zeros, true, 0), 36);
    client_close(&c);
}

static void timeouts_are_kept_within_2_and_20_ticks(void **state)
{
    client_t c;
    connected(*state, &c, 1);
    assert_int_equal(c.timeout_ms, 2 * TICK_MS);
    client_close(&c);
    connected(*state, &c, INT32_MAX);
    assert_int_equal(c.timeout_ms, 20 * TICK_MS);
    client_close(&c);
}

static void a_session_is_resumed_by_its_password_alone(void **state)
{
    server_t *s = *state;
    client_t first, second;
    connected(s, &first, 10000);
    request_create(&first, "/e", 1);
    assert_int_equal(answered(&first).err, 0);
    uint8_t wrong[16] = {1};
    client_open(s, &second);
    assert_int_equal(handshake(&second, 10000, first.session_id, wrong, false, 0), 37);
    assert_true(second.session_id == 0 && second.timeout_ms == 0 && second.closed);
    assert_false(first.closed); /* a stranger does not throw anybody out */
    client_close(&second);
    client_open(s, &second);
    assert_int_equal(handshake(&second, 10000, first.session_id, first.passwd, false, 0), 37);
    assert_true(second.session_id == first.session_id && first.closed);
    assert_true(coord_exists(s->coord, "/e"));
    client_close(&first);
    client_close(&second);
}

static void who_has_seen_the_future_is_sent_away(void **state)
{
    static const uint8_t zeros[16];
    client_t c;
    client_open(*state, &c);
    assert_int_equal(handshake(&c, 10000, 0, zeros, false, 1000), 0);
    assert_true(c.closed);
    client_close(&c);
}

static void a_silent_session_expires_and_its_nodes_go(void **state)
{
    server_t *s = *state;
    client_t c;
    connected(s, &c, 2 * TICK_MS);
    request_create(&c, "/e", 1);
    assert_int_equal(answered(&c).err, 0);
    sim_run_for(s->sim, 2 * TICK_MS - 500);
    assert_true(coord_exists(s->coord, "/e"));
    sim_run_for(s->sim, 2 * TICK_MS + 500);
    assert_false(coord_exists(s->coord, "/e"));
    assert_true(c.closed);
    client_close(&c);
}

static void a_session_without_a_connection_expires_all_the_same(void **state)
{
    server_t *s = *state;
    for (int i = 0; i < 3; i++) {
        client_t c;
        connected(s, &c, 4000);
        request_create(&c, "/e", 1);
        assert_int_equal(answered(&c).err, 0);
        client_close(&c);
        assert_true(coord_exists(s->coord, "/e"));
        sim_run_for(s->sim, 4000 + 2 * TICK_MS);
        assert_false(coord_exists(s->coord, "/e"));
    }
}

static void pings_keep_a_session_alive(void **state)
{
    server_t *s = *state;
    client_t c;
    connected(s, &c, 2 * TICK_MS);
    for (int i = 0; i < 10; i++) {
        sim_run_for(s->sim, TICK_MS);
        request(&c, ZK_OP_PING, BYTES_NULL);
        assert_int_equal(answered(&c).err, 0);
    }
    client_close(&c);
}

static void a_read_waits_behind_its_own_writes(void **state)
{
    client_t c;
    connected(*state, &c, 10000);
    request_create(&c, "/a", 0);
    request_read(&c, ZK_OP_EXISTS, "/a", false); /* pipelined: must see the node */
    request_create(&c, "/a/b", 0);
    request_read(&c, ZK_OP_GET_CHILDREN, "/a", false);
    sim_run_for(c.server->sim, 300);
    for (int32_t xid = 1; xid <= 4; xid++) {
        zk_reply_header_t header = next_header(&c);
        assert_true(header.xid == xid && header.err == 0);
    }
    client_close(&c);
}

static void a_write_sent_with_the_handshake_is_not_left_for_the_next_tick(void **state)
{
    static const uint8_t zeros[16];
    client_t c;
    client_open(*state, &c);
    send_handshake(&c, 10000, 0, zeros, false, 0);
    request_create(&c, "/a", 0);
    sim_run_for(c.server->sim, 100);
    assert_int_equal(next_frame(&c).len, 37);
    assert_int_equal(next_header(&c).xid, 1);
    client_close(&c);
}

static void more_reads_than_may_wait_behind_a_write_are_answered_in_their_turn(void **state)
{
    enum { READS = 100 };
    client_t c;
    connected(*state, &c, 10000);
    request_create(&c, "/a", 0);
    for (int i = 0; i < READS; i++) request_read(&c, ZK_OP_GET_DATA, "/a", false);
    request_create(&c, "/b", 0);
    sim_run_for(c.server->sim, 300);
    for (int32_t xid = 1; xid <= READS + 2; xid++) {
        zk_reply_header_t header = next_header(&c);
        assert_true(header.xid == xid && header.err == 0);
    }
    client_close(&c);
}

static void a_deletion_is_answered(void **state)
{
    client_t c;
    connected(*state, &c, 10000);
    request_create(&c, "/a", 0);
    zk_delete_request_t record = {BYTES_LIT("/a"), -1};
    uint8_t body[64];
    for (int i = 0; i < 2; i++)
        request(&c, ZK_OP_DELETE, bytes_of(body, (size_t)(zk_delete_request_put(body, &record) - body)));
    sim_run_for(c.server->sim, 300);
    assert_int_equal(next_header(&c).err, ZOK);
    zk_reply_header_t first = next_header(&c), second = next_header(&c);
    assert_true(first.xid == 2 && first.err == ZOK);
    assert_true(second.xid == 3 && second.err == ZNO_NODE);
    client_close(&c);
}

static void prove(client_t *c, const char *user_password)
{
    zk_auth_packet_t record = {0, BYTES_LIT("digest"), bytes_str(user_password)};
    uint8_t body[128];
    request(c, ZK_OP_AUTH, bytes_of(body, (size_t)(zk_auth_packet_put(body, &record) - body)));
    assert_int_equal(answered(c).err, ZOK);
}

/* The digest of a password is as good as the password where an ACL asks for it. */
static void who_asks_who_he_is_learns_names_and_no_digests(void **state)
{
    static const char *const expected[] = {"ip", "10.0.0.2", "digest", "ann", "digest", "bob"};
    client_t c;
    connected(*state, &c, 10000);
    prove(&c, "ann:secret");
    prove(&c, "bob:other");
    request(&c, ZK_OP_WHO_AM_I, BYTES_NULL);
    sim_run_for(c.server->sim, 200);
    arena_t arena;
    arena_init(&arena, 4096);
    zk_reply_header_t header;
    zk_who_am_i_t answer;
    jute_reader_t r = jute_reader(next_frame(&c), &arena);
    zk_reply_header_get(&r, &header);
    zk_who_am_i_get(&r, &answer);
    assert_true(!r.bad && header.err == ZOK);
    assert_int_equal(answer.client_info_count, ARRAY_LEN(expected) / 2);
    for (int i = 0; i < answer.client_info_count; i++) {
        assert_true(bytes_eq(answer.client_info[i].auth_scheme, bytes_str(expected[2 * i])));
        assert_true(bytes_eq(answer.client_info[i].user, bytes_str(expected[2 * i + 1])));
    }
    arena_deinit(&arena);
    client_close(&c);
}

static bool has_frame(void *user)
{
    const client_t *c = user;
    return c->in.len >= 4 && c->in.len >= 4 + load_be32(c->in.ptr);
}

/* Reads so often the data of one node; what the answer begins with. */
static zk_reply_header_t read_many_times(client_t *c, int count)
{
    static uint8_t body[65536];
    uint8_t *p = body;
    zk_multi_header_t part = {ZK_OP_GET_DATA, false, -1}, end = {-1, true, -1};
    zk_path_watch_request_t asked = {BYTES_LIT("/large"), false};
    for (int i = 0; i < count; i++) {
        p = zk_multi_header_put(p, &part);
        p = zk_path_watch_request_put(p, &asked);
    }
    p = zk_multi_header_put(p, &end);
    assert_true(p < body + sizeof(body));
    request(c, ZK_OP_MULTI_READ, bytes_of(body, (size_t)(p - body)));
    zk_reply_header_t header;
    assert_true(sim_run_until(c->server->sim, has_frame, c, 20000));
    jute_reader_t r = jute_reader(bytes_of(c->in.ptr + 4, 16), NULL);
    zk_reply_header_get(&r, &header);
    buf_clear(&c->in);
    return header;
}

/* What it would answer has a bound. */
static void a_small_request_for_much_data_is_refused(void **state)
{
    enum { LARGE_BYTES = 48 * 1024, FITS = ZK_READ_BYTES_MAX / LARGE_BYTES };
    server_t *s = *state;
    client_t c;
    connected(s, &c, 10000);
    zk_acl_t world = {31, {BYTES_LIT("world"), BYTES_LIT("anyone")}};
    buf_t data = BUF_INIT, body = BUF_INIT;
    memset(buf_reserve(&data, LARGE_BYTES), 'x', LARGE_BYTES);
    zk_create_request_t record = {BYTES_LIT("/large"), bytes_of(data.ptr, LARGE_BYTES), &world, 1, 0};
    uint8_t *end = zk_create_request_put(buf_reserve(&body, zk_create_request_size(&record)), &record);
    request(&c, ZK_OP_CREATE, bytes_of(body.ptr, (size_t)(end - body.ptr)));
    assert_int_equal(answered(&c).err, ZOK);
    assert_int_equal(read_many_times(&c, 2).err, ZOK);
    assert_int_equal(read_many_times(&c, FITS + 3).err, ZMARSHALLING_ERROR);
    buf_deinit(&data);
    buf_deinit(&body);
    client_close(&c);
}

static void an_event_comes_before_the_reply_that_shows_the_change(void **state)
{
    client_t c;
    connected(*state, &c, 10000);
    request_read(&c, ZK_OP_EXISTS, "/w", true);
    assert_int_equal(answered(&c).err, ZNO_NODE);
    request_create(&c, "/w", 0);
    sim_run_for(c.server->sim, 300);
    bytes_t frame = next_frame(&c);
    zk_reply_header_t header;
    zk_watcher_event_t event;
    jute_reader_t r = jute_reader(frame, NULL);
    zk_reply_header_get(&r, &header);
    zk_watcher_event_get(&r, &event);
    assert_true(!r.bad && header.xid == -1 && event.type == COORD_EVENT_CREATED &&
                bytes_eq(event.path, BYTES_LIT("/w")));
    assert_int_equal(next_header(&c).xid, 2);
    client_close(&c);
}

static void watches_go_with_the_connection(void **state)
{
    server_t *s = *state;
    client_t c;
    coord_figures_t figures;
    connected(s, &c, 10000);
    request_read(&c, ZK_OP_EXISTS, "/w", true);
    assert_int_equal(answered(&c).err, ZNO_NODE);
    coord_figures(s->coord, &figures);
    assert_int_equal(figures.watches[COORD_WATCH_DATA], 1);
    client_close(&c);
    sim_run_for(s->sim, 100);
    coord_figures(s->coord, &figures);
    assert_int_equal(figures.watches[COORD_WATCH_DATA], 0);
}

static void closing_answers_and_ends_the_session(void **state)
{
    server_t *s = *state;
    client_t c;
    connected(s, &c, 10000);
    request_create(&c, "/e", 1);
    request(&c, ZK_OP_CLOSE_SESSION, BYTES_NULL);
    sim_run_for(s->sim, 300);
    assert_int_equal(next_header(&c).xid, 1);
    zk_reply_header_t header = next_header(&c);
    assert_true(header.xid == 2 && header.err == 0 && c.closed);
    assert_false(coord_exists(s->coord, "/e"));
    client_close(&c);
}

static void too_long_a_frame_closes_the_connection(void **state)
{
    client_t c;
    connected(*state, &c, 10000);
    client_send(&c, "\x00\x10\x00\x00", 4); /* 0xfffff + 1 */
    sim_run_for(c.server->sim, 100);
    assert_true(c.closed);
    client_close(&c);
}

static void an_unknown_operation_is_refused_and_closes(void **state)
{
    client_t c;
    connected(*state, &c, 10000);
    request(&c, 99, BYTES_NULL);
    zk_reply_header_t header = answered(&c);
    assert_true(header.err == ZUNIMPLEMENTED && header.zxid == -1 && c.closed);
    client_close(&c);
}

static void four_letters_answer_unless_switched_off(void **state)
{
    client_t c;
    client_open(*state, &c);
    client_send(&c, "ruok", 4);
    sim_run_for(c.server->sim, 100);
    assert_true(c.closed && bytes_eq(buf_bytes(&c.in), BYTES_LIT("imok")));
    client_close(&c);
    client_open(*state, &c);
    client_send(&c, "wchp", 4);
    sim_run_for(c.server->sim, 100);
    assert_true(c.closed &&
                bytes_eq(buf_bytes(&c.in), BYTES_LIT("wchp is not executed because it is not in the whitelist.\n")));
    client_close(&c);
}

static void a_session_outlives_the_servers_crash(void **state)
{
    server_t *s = *state;
    client_t c;
    connected(s, &c, 10000);
    request_create(&c, "/e", 1);
    assert_int_equal(answered(&c).err, 0);
    sim_node_crash(s->node);
    stop(s);
    start(s, sim_node_start(s->node));
    client_t again;
    client_open(s, &again);
    assert_int_equal(handshake(&again, 10000, c.session_id, c.passwd, false, 0), 37);
    assert_true(again.session_id == c.session_id && coord_exists(s->coord, "/e"));
    client_close(&c);
    client_close(&again);
}

static void settings_say_what_would_fit(void **state)
{
    char err[512];
    zookeeper_config_t config;
    zookeeper_config_init(&config);
    assert_int_equal(zookeeper_configure(&config, "tickTime", "500", err, sizeof(err)), 0);
    assert_int_equal(config.tick_time_ms, 500);
    assert_int_equal(zookeeper_configure(&config, "tickTime", "soon", err, sizeof(err)), ERR_INVALID);
    assert_string_equal(err, "tickTime: 'soon' is not a whole number from 1 to 3600000");
    assert_int_equal(zookeeper_configure(&config, "forceSync", "no", err, sizeof(err)), 0);
    assert_false(config.force_sync);
    assert_int_equal(zookeeper_configure(&config, "tikTime", "1", err, sizeof(err)), ERR_NOT_FOUND);
    zookeeper_config_deinit(&config);
}

#define WITH_SERVER(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_SERVER(old_clients_get_the_short_reply),
        WITH_SERVER(timeouts_are_kept_within_2_and_20_ticks),
        WITH_SERVER(a_session_is_resumed_by_its_password_alone),
        WITH_SERVER(who_has_seen_the_future_is_sent_away),
        WITH_SERVER(a_silent_session_expires_and_its_nodes_go),
        WITH_SERVER(a_session_without_a_connection_expires_all_the_same),
        WITH_SERVER(pings_keep_a_session_alive),
        WITH_SERVER(a_read_waits_behind_its_own_writes),
        WITH_SERVER(a_write_sent_with_the_handshake_is_not_left_for_the_next_tick),
        WITH_SERVER(more_reads_than_may_wait_behind_a_write_are_answered_in_their_turn),
        WITH_SERVER(a_deletion_is_answered),
        WITH_SERVER(who_asks_who_he_is_learns_names_and_no_digests),
        WITH_SERVER(a_small_request_for_much_data_is_refused),
        WITH_SERVER(an_event_comes_before_the_reply_that_shows_the_change),
        WITH_SERVER(watches_go_with_the_connection),
        WITH_SERVER(closing_answers_and_ends_the_session),
        WITH_SERVER(too_long_a_frame_closes_the_connection),
        WITH_SERVER(an_unknown_operation_is_refused_and_closes),
        WITH_SERVER(four_letters_answer_unless_switched_off),
        WITH_SERVER(a_session_outlives_the_servers_crash),
        cmocka_unit_test(settings_say_what_would_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* net_test.c: two ends of a connection in one loop: framing, back-pressure, limits, closing. Each test runs a
 * second time with the accepted end carried by a thread of its own. */
#include "base/buf.h"
#include "net/net.h"

#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define TURNS_MS_MAX 10000
#define ECHOED_BYTES MIB(48) /* more than the kernel's socket buffers take */
#define MESSAGES     2000
#define REST_MS      50
#define LARGE_BYTES  MIB(20)
#define LARGE_FRAMES 3

/* One end: remembers what it got. */
typedef struct peer {
    net_conn_t *conn;
    buf_t got;
    bool closed;
    bool takes_lines;  /* consume whole lines only */
    bool takes_memory; /* consume frames, and keep the memory of the large ones */
    buf_t kept[LARGE_FRAMES];
    int kept_count, small_count;
    bool echoes;
    bool is_careful; /* echoes a piece at a time, sends it, and stops when congested */
    bool owes;       /* says so when its peer has ended */
} peer_t;

typedef struct fixture {
    io_loop_t *loop, *carrier; /* NULL = no carrier */
    net_t *net;
    net_listener_t *listener;
    net_service_t server_def, client_def;
    peer_t server, client;
    io_timer_t deadline;
    io_hook_t hook;
    bool (*done)(struct fixture *f);
    bool late;
    io_timer_t rest;
    bool rested;
    int turns_left, releases;
    int fd; /* a plain socket's */
    size_t read_bytes;
} fixture_t;

static int on_open(net_conn_t *conn, void *service)
{
    peer_t *peer = service;
    peer->conn = conn;
    net_conn_set_user(conn, peer);
    return 0;
}

static size_t echo_carefully(net_conn_t *conn, const uint8_t *data, size_t len)
{
    size_t done = 0;
    while (done < len && !net_congested(conn)) {
        size_t n = MIN(len - done, (size_t)KIB(4));
        net_write(conn, data + done, n);
        done += n;
        if (done % KIB(32) == 0) net_send(conn);
    }
    return done;
}

static bool is_awaited(const net_conn_t *conn)
{
    const peer_t *peer = net_conn_user(conn);
    return peer->owes;
}

static ssize_t take_frames(peer_t *peer, const uint8_t *data, size_t len)
{
    size_t used = 0;
    while (len - used >= 4) {
        size_t bytes = 4 + load_be32(data + used);
        if (len - used < bytes) {
            net_expect(peer->conn, bytes);
            break;
        }
        used += bytes;
        if (bytes < LARGE_BYTES) {
            peer->small_count++;
            continue;
        }
        assert_true(net_take_memory(peer->conn, data + used, &peer->kept[peer->kept_count++]));
        break;
    }
    return (ssize_t)used;
}

static ssize_t on_data(net_conn_t *conn, uint8_t *data, size_t len)
{
    peer_t *peer = net_conn_user(conn);
    size_t take = len;
    if (peer->takes_memory) return take_frames(peer, data, len);
    if (peer->is_careful) return (ssize_t)echo_carefully(conn, data, len);
    if (peer->takes_lines) {
        uint8_t *end = memrchr(data, '\n', len);
        take = end ? (size_t)(end - data) + 1 : 0;
    }
    if (take && data[0] == '!') return ERR_INVALID;
    buf_append(&peer->got, data, take);
    if (peer->echoes) net_write(conn, data, take);
    return (ssize_t)take;
}

static void on_close(net_conn_t *conn)
{
    peer_t *peer = net_conn_user(conn);
    if (peer) peer->closed = true;
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
    if (f->done(f)) io_loop_stop(f->loop);
}

static void run_until(fixture_t *f, bool (*done)(fixture_t *f))
{
    f->done = done;
    io_timer_start(&f->deadline, TURNS_MS_MAX, 0);
    io_loop_run(f->loop);
    assert_false(f->late);
}

static bool turns_are_over(fixture_t *f)
{
    io_loop_wake(f->loop);
    return f->turns_left-- == 0;
}

static void run_turns(fixture_t *f, int turns)
{
    f->turns_left = turns;
    run_until(f, turns_are_over);
}

static void on_rested(io_timer_t *timer) { CONTAINER_OF(timer, fixture_t, rest)->rested = true; }
static bool is_rested(fixture_t *f) { return f->rested; }

/* Long enough for what is on its way, through the kernel and the carrier. */
static void rest(fixture_t *f)
{
    f->rested = false;
    io_timer_init(f->loop, &f->rest, on_rested);
    io_timer_start(&f->rest, REST_MS, 0);
    run_until(f, is_rested);
}

static bool connected(fixture_t *f) { return f->server.conn && f->client.conn && net_conn_user(f->client.conn); }

static void add_carrier(fixture_t *f)
{
    assert_int_equal(io_loop_new_uv(&f->carrier), 0);
    net_add_carrier(f->net, f->carrier);
    assert_int_equal(io_loop_spawn(f->carrier, "carrier"), 0);
}

static int setup(void **state, bool carried)
{
    fixture_t *f = mem_zalloc(sizeof(*f));
    f->server_def = f->client_def =
        (net_service_t){.name = "test",
                        .on_open = on_open,
                        .on_data = on_data,
                        .on_close = on_close,
                        .is_awaited = is_awaited,
                        .limits = {.in_bytes_max = MIB(4), .out_bytes_high = KIB(256), .out_bytes_max = MIB(64)}};
    f->client_def.limits.out_bytes_high = SIZE_MAX; /* else two congested ends would wait for each other */
    assert_int_equal(io_loop_new_uv(&f->loop), 0);
    f->net = net_new(f->loop);
    if (carried) add_carrier(f);
    io_timer_init(f->loop, &f->deadline, on_deadline);
    f->hook = (io_hook_t){.rank = 100, .run = on_turn};
    io_hook_add(f->loop, &f->hook);
    assert_int_equal(net_listen(f->net, "127.0.0.1", 0, &f->server_def, &f->server, &f->listener), 0);
    uint16_t port = net_listener_port(f->listener);
    assert_int_equal(net_connect(f->net, "127.0.0.1", port, &f->client_def, &f->client, &f->client.conn), 0);
    run_until(f, connected);
    *state = f;
    return 0;
}

static int setup_own(void **state) { return setup(state, false); }
static int setup_carried(void **state) { return setup(state, true); }

static int teardown(void **state)
{
    fixture_t *f = *state;
    if (f->carrier) io_loop_join(f->carrier);
    net_free(f->net);
    io_loop_free(f->carrier);
    io_timer_stop(&f->deadline);
    io_hook_remove(&f->hook);
    io_loop_free(f->loop);
    buf_deinit(&f->server.got);
    buf_deinit(&f->client.got);
    mem_free(f);
    return 0;
}

static void write_many(net_conn_t *conn, char c, size_t n)
{
    uint8_t *data = mem_alloc(n);
    net_write(conn, memset(data, c, n), n);
    mem_free(data);
}

static bool server_got_frame(fixture_t *f) { return f->server.got.len == 3000001; }

static void a_frame_larger_than_any_read_arrives_whole(void **state)
{
    fixture_t *f = *state;
    f->server.takes_lines = true;
    uint8_t *frame = mem_alloc(3000001);
    memset(frame, 'x', 3000000);
    frame[3000000] = '\n';
    net_write(f->client.conn, frame, 3000001);
    mem_free(frame);
    run_until(f, server_got_frame);
}

static void write_frame(net_conn_t *conn, char c, size_t n)
{
    uint8_t size[4];
    store_be32(size, (uint32_t)n);
    net_write(conn, size, sizeof(size));
    write_many(conn, c, n);
}

static bool server_got_large(fixture_t *f)
{
    return f->server.kept_count == LARGE_FRAMES && f->server.small_count == LARGE_FRAMES;
}

/* The memory has room for the frame and hardly for more: it was not doubled on its way, with a copy each time. */
static void a_large_frame_is_read_into_memory_of_its_size_that_its_service_may_keep(void **state)
{
    fixture_t *f = *state;
    f->server.takes_memory = true;
    f->server_def.limits.in_bytes_max = 2 * LARGE_BYTES;
    for (int i = 0; i < LARGE_FRAMES; i++) {
        write_frame(f->client.conn, (char)('a' + i), LARGE_BYTES);
        write_frame(f->client.conn, 's', 10);
    }
    run_until(f, server_got_large);
    for (int i = 0; i < LARGE_FRAMES; i++) {
        buf_t *kept = &f->server.kept[i];
        const uint8_t *end = memrchr(kept->ptr, 'a' + i, kept->len);
        assert_true(kept->cap <= LARGE_BYTES + KIB(256));
        for (size_t back = 0; back < LARGE_BYTES; back += 4096) assert_int_equal(end[-(ptrdiff_t)back], 'a' + i);
        buf_deinit(kept);
    }
}

static bool server_got_ping(fixture_t *f) { return f->server.got.len == 4; }
static bool client_got_ten(fixture_t *f) { return f->client.got.len == 10; }
static bool client_got_all(fixture_t *f) { return f->client.got.len == 12; }

/* Chunks that were used once lie in a cache: what refers to a file must not be made of one and then filled. */
static void bytes_written_behind_ranges_of_a_file_follow_them(void **state)
{
    fixture_t *f = *state;
    char path[] = "/tmp/trivet-net-XXXXXX";
    io_file_t *file;
    int fd = mkstemp(path);
    assert_int_equal(write(fd, "..abcdefij", 10), 10);
    close(fd);
    assert_int_equal(io_file_open(f->loop, path, IO_FILE_READ, &file), 0);
    unlink(path);
    net_write(f->server.conn, "0123456789", 10);
    run_until(f, client_got_ten);
    buf_clear(&f->client.got);
    net_write_file(f->server.conn, file, 2, 6, NULL, NULL);
    net_write(f->server.conn, "gh", 2);
    net_write_file(f->server.conn, file, 8, 2, NULL, NULL);
    net_write(f->server.conn, "kl", 2);
    run_until(f, client_got_all);
    assert_memory_equal(f->client.got.ptr, "abcdefghijkl", 12);
    io_file_close(file);
}

static bool client_closed(fixture_t *f) { return f->client.closed; }

static void an_error_from_the_service_closes_after_its_last_words(void **state)
{
    fixture_t *f = *state;
    net_write(f->server.conn, "last words", 10);
    net_write(f->client.conn, "!", 1);
    run_until(f, client_closed);
    assert_memory_equal(f->client.got.ptr, "last words", 10);
}

static bool server_closed(fixture_t *f) { return f->server.closed; }

static void unconsumed_input_past_its_limit_closes_the_connection(void **state)
{
    fixture_t *f = *state;
    f->server.takes_lines = true;
    write_many(f->client.conn, 'x', MIB(5));
    run_until(f, server_closed);
    assert_int_equal(f->server.got.len, 0);
}

static bool server_congested(fixture_t *f) { return net_congested(f->server.conn); }
static bool all_echoed(fixture_t *f) { return f->client.got.len == ECHOED_BYTES; }

static void a_reader_that_stops_stops_its_writer_and_loses_nothing(void **state)
{
    fixture_t *f = *state;
    f->server.echoes = true;
    net_pause(f->client.conn);
    write_many(f->client.conn, 'y', ECHOED_BYTES);
    run_until(f, server_congested);
    assert_true(net_conn_out_bytes(f->server.conn) < MIB(2));
    net_resume(f->client.conn);
    run_until(f, all_echoed);
    assert_int_equal(f->server.got.len, ECHOED_BYTES);
}

static bool all_read(fixture_t *f) { return f->server.got.len + net_conn_in_bytes(f->server.conn) == ECHOED_BYTES; }

static void a_writer_that_does_not_read_yet_may_say_all_and_gets_it_back_in_order(void **state)
{
    fixture_t *f = *state;
    uint8_t *said = mem_alloc(ECHOED_BYTES);
    for (uint32_t i = 0; i < ECHOED_BYTES / 4; i++) store_be32(said + 4 * i, i | 0x80808080); /* no '!' */
    f->server_def.limits.in_bytes_max = f->server_def.limits.in_bytes_congested_max = ECHOED_BYTES;
    f->server.echoes = true;
    net_pause(f->client.conn);
    net_write(f->client.conn, said, ECHOED_BYTES);
    run_until(f, all_read);
    assert_true(net_congested(f->server.conn) && net_conn_out_bytes(f->server.conn) < MIB(2));
    net_resume(f->client.conn);
    run_until(f, all_echoed);
    assert_memory_equal(f->client.got.ptr, said, ECHOED_BYTES);
    mem_free(said);
}

static void more_output_than_the_limit_closes_the_connection(void **state)
{
    fixture_t *f = *state;
    net_pause(f->client.conn);
    for (int i = 0; i < 80; i++) write_many(f->server.conn, 'z', MIB(1));
    run_until(f, server_closed);
}

/* Blocks the server's end: the client does not read, and the kernel's buffers are full. */
static void fill_the_way_out(fixture_t *f)
{
    f->server_def.limits.out_bytes_high = SIZE_MAX;
    net_pause(f->client.conn);
    write_many(f->server.conn, 'f', MIB(16));
    rest(f);
    assert_true(net_conn_out_bytes(f->server.conn) > 0);
}

static bool client_got_all_messages(fixture_t *f) { return f->client.got.len == MIB(16) + 10 * MESSAGES; }

/* A subscriber that does not read: its messages, one a turn, take the memory that they count for, not a chunk each. */
static void small_replies_behind_a_full_stream_share_their_chunks(void **state)
{
    fixture_t *f = *state;
    fill_the_way_out(f);
    size_t before = mem_used();
    for (int i = 0; i < MESSAGES; i++) {
        net_write(f->server.conn, "0123456789", 10);
        run_turns(f, 1);
    }
    rest(f);
    assert_in_range(mem_used(), 0, before + MIB(4));
    net_resume(f->client.conn);
    run_until(f, client_got_all_messages);
    for (int i = 0; i < MESSAGES; i++) assert_memory_equal(f->client.got.ptr + MIB(16) + 10 * i, "0123456789", 10);
}

/* A peer that can end one direction, and then vanish. */
static int connect_plain(fixture_t *f)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(net_listener_port(f->listener))};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    return fd;
}

static bool server_got_one(fixture_t *f) { return f->server.got.len == 1; }

/* It said all, and is sent what it does not read: only the write can tell that it is gone. */
static void a_peer_that_ended_and_then_vanishes_is_closed(void **state)
{
    fixture_t *f = *state;
    f->server_def.limits.out_bytes_high = KIB(64);
    int fd = connect_plain(f);
    assert_int_equal(send(fd, "x", 1, 0), 1);
    run_until(f, server_got_one);
    write_many(f->server.conn, 'f', MIB(16));
    rest(f);
    assert_true(net_congested(f->server.conn));
    assert_int_equal(shutdown(fd, SHUT_WR), 0);
    rest(f);
    assert_false(f->server.closed);
    close(fd); /* with bytes it did not read: a reset */
    run_until(f, server_closed);
}

static bool read_some(fixture_t *f)
{
    char got[KIB(16)];
    io_loop_wake(f->loop);
    ssize_t n = recv(f->fd, got, sizeof(got), MSG_DONTWAIT);
    if (n > 0) f->read_bytes += (size_t)n;
    return n == 0;
}

/* Its last words are read while its first ones still wait for it to read. */
static void a_peer_that_ended_gets_all_that_it_asked_for(void **state)
{
    fixture_t *f = *state;
    f->server_def.limits.out_bytes_high = KIB(64);
    f->server_def.limits.in_bytes_congested_max = MIB(32);
    f->server_def.limits.in_bytes_max = MIB(64);
    f->fd = connect_plain(f);
    assert_int_equal(send(f->fd, "x", 1, 0), 1);
    run_until(f, server_got_one);
    f->server.is_careful = true;
    int taken_bytes_max = KIB(64);
    assert_int_equal(setsockopt(f->fd, SOL_SOCKET, SO_RCVBUF, &taken_bytes_max, sizeof(taken_bytes_max)), 0);
    size_t sent = 0;
    static char data[KIB(64)];
    while (sent < MIB(16)) {
        ssize_t n = send(f->fd, data, sizeof(data), MSG_DONTWAIT);
        if (n > 0) sent += (size_t)n;
        run_turns(f, 2);
    }
    assert_int_equal(shutdown(f->fd, SHUT_WR), 0);
    run_until(f, read_some);
    assert_int_equal(f->read_bytes, sent);
    close(f->fd);
}

/* What its service still owes, it gets. */
static void a_peer_that_ended_is_kept_while_its_service_awaits_something(void **state)
{
    fixture_t *f = *state;
    int fd = connect_plain(f);
    assert_int_equal(send(fd, "x", 1, 0), 1);
    run_until(f, server_got_one);
    f->server.owes = true;
    assert_int_equal(shutdown(fd, SHUT_WR), 0);
    rest(f);
    assert_false(f->server.closed);
    f->server.owes = false;
    net_write(f->server.conn, "0123456789", 10);
    run_until(f, server_closed);
    char got[11];
    assert_int_equal(recv(fd, got, sizeof(got), MSG_WAITALL), 10);
    close(fd);
}

static void count_release(void *user) { (*(int *)user)++; }
static bool released(fixture_t *f) { return f->releases == 1; }

static void an_empty_piece_of_a_file_is_released(void **state)
{
    fixture_t *f = *state;
    net_write_file(f->server.conn, NULL, 0, 0, count_release, &f->releases);
    run_until(f, released);
}

/* Services stop one after another at the end: what comes then must not reach one whose friends are gone. */
static void a_quiet_net_gives_no_input_and_still_sends(void **state)
{
    fixture_t *f = *state;
    net_write(f->client.conn, "ping", 4);
    run_until(f, server_got_ping);
    net_quiet(f->net);
    int fd = connect_plain(f);
    assert_int_equal(send(fd, "late", 4, 0), 4);
    rest(f);
    assert_int_equal(f->server.got.len, 4);
    net_write(f->server.conn, "0123456789", 10);
    char got[10];
    run_turns(f, 10);
    assert_int_equal(recv(fd, got, sizeof(got), MSG_WAITALL), 10);
    close(fd);
}

#define BOTH_WAYS(test)                                                                                                \
    {#test, test, setup_own, teardown, NULL}, { #test " (carried)", test, setup_carried, teardown, NULL }

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH_WAYS(a_frame_larger_than_any_read_arrives_whole),
        BOTH_WAYS(a_large_frame_is_read_into_memory_of_its_size_that_its_service_may_keep),
        BOTH_WAYS(bytes_written_behind_ranges_of_a_file_follow_them),
        BOTH_WAYS(an_error_from_the_service_closes_after_its_last_words),
        BOTH_WAYS(unconsumed_input_past_its_limit_closes_the_connection),
        BOTH_WAYS(a_reader_that_stops_stops_its_writer_and_loses_nothing),
        BOTH_WAYS(a_writer_that_does_not_read_yet_may_say_all_and_gets_it_back_in_order),
        BOTH_WAYS(more_output_than_the_limit_closes_the_connection),
        BOTH_WAYS(small_replies_behind_a_full_stream_share_their_chunks),
        BOTH_WAYS(a_peer_that_ended_and_then_vanishes_is_closed),
        BOTH_WAYS(a_peer_that_ended_gets_all_that_it_asked_for),
        BOTH_WAYS(a_peer_that_ended_is_kept_while_its_service_awaits_something),
        BOTH_WAYS(an_empty_piece_of_a_file_is_released),
        BOTH_WAYS(a_quiet_net_gives_no_input_and_still_sends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

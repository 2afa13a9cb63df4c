/* limits_test.c: budgets, deadlines and who gets in, between two simulated machines, so that minutes pass at once. The server's service
 * cuts frames: four bytes of length, then so many; 'G' as a frame's first byte is a greeting. */
#include "base/buf.h"
#include "io/sim.h"
#include "net/net.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define PORT         7000
#define CLIENTS_MAX  64
#define HANDSHAKE_MS 10000
#define FRAME_MS     60000
#define FRAME_MAX    MIB(4)
#define REFUSAL      "go away\n"

typedef struct client {
    net_conn_t *conn; /* NULL = closed */
    buf_t got;
} client_t;

typedef struct world {
    sim_t *sim;
    sim_node_t *here, *there;
    net_t *net, *clients_net;
    net_service_t service, client_service;
    net_listener_t *listener;
    client_t clients[CLIENTS_MAX];
    net_conn_t *accepted[CLIENTS_MAX]; /* in their order */
    bool closes_slowly;                /* a millisecond each */
    int closed[CLIENTS_MAX], closed_count, closed_before, closed_in_turn_max;
    io_hook_t turn;
    int accepted_count, frames, refused_strangers;
    net_event_t last_event;
    int events[NET_EVENTS_COUNT];
} world_t;

/* ---- the server ---- */

static int on_open(net_conn_t *conn, void *service)
{
    world_t *w = service;
    net_conn_set_user(conn, w);
    if (net_conn_is_stranger(conn)) {
        net_refuse_stranger(conn);
        w->refused_strangers++;
        return ERR_ACCESS;
    }
    if (w->accepted_count < CLIENTS_MAX) w->accepted[w->accepted_count++] = conn;
    return 0;
}

static ssize_t on_data(net_conn_t *conn, uint8_t *data, size_t len)
{
    world_t *w = net_conn_user(conn);
    size_t used = 0;
    while (len - used >= 4) {
        size_t bytes = load_be32(data + used);
        if (bytes > FRAME_MAX) return ERR_LIMIT;
        if (len - used - 4 < bytes) {
            net_expect(conn, 4 + bytes);
            break;
        }
        if (bytes && data[used + 4] == 'G') net_greeted(conn);
        w->frames++;
        used += 4 + bytes;
    }
    return (ssize_t)used;
}

static void on_close(net_conn_t *conn)
{
    world_t *w = net_conn_user(conn);
    for (int i = 0; i < w->accepted_count; i++) {
        if (w->accepted[i] != conn) continue;
        w->accepted[i] = NULL;
        w->closed[w->closed_count++] = i;
    }
    uint64_t until_ns = w->closes_slowly ? io_hrtime_ns(net_loop(w->net)) + 1000000 : 0;
    while (w->closes_slowly && io_hrtime_ns(net_loop(w->net)) < until_ns) {
    }
}

static void count_closed(io_hook_t *hook)
{
    world_t *w = CONTAINER_OF(hook, world_t, turn);
    w->closed_in_turn_max = MAX(w->closed_in_turn_max, w->closed_count - w->closed_before);
    w->closed_before = w->closed_count;
}

static void on_event(void *user, net_event_t event, const char *service, const char *peer, size_t bytes,
                     const char *why)
{
    world_t *w = user;
    assert_string_equal(service, "framed");
    w->events[event]++;
}

/* ---- the clients ---- */

static int client_open(net_conn_t *conn, void *service)
{
    net_conn_set_user(conn, service);
    return 0;
}

static ssize_t client_data(net_conn_t *conn, uint8_t *data, size_t len)
{
    client_t *client = net_conn_user(conn);
    buf_append(&client->got, data, len);
    return (ssize_t)len;
}

static void client_close(net_conn_t *conn)
{
    client_t *client = net_conn_user(conn);
    if (client) client->conn = NULL;
}

static void run_ms(world_t *w, uint64_t ms)
{
    io_loop_wake(sim_node_loop(w->here));
    io_loop_wake(sim_node_loop(w->there));
    sim_run_for(w->sim, ms);
}

static void connect_client(world_t *w, int i)
{
    assert_int_equal(
        net_connect(w->clients_net, "10.0.0.1", PORT, &w->client_service, &w->clients[i], &w->clients[i].conn), 0);
    run_ms(w, 100);
}

static void announce(world_t *w, int i, uint32_t frame_bytes)
{
    uint8_t head[4];
    store_be32(head, frame_bytes);
    net_write(w->clients[i].conn, head, sizeof(head));
}

static void send_bytes(world_t *w, int i, size_t bytes)
{
    uint8_t *data = mem_zalloc(bytes);
    net_write(w->clients[i].conn, data, bytes);
    mem_free(data);
    run_ms(w, 2000);
}

static void greet(world_t *w, int i)
{
    announce(w, i, 1);
    net_write(w->clients[i].conn, "G", 1);
    run_ms(w, 100);
}

/* ---- the world ---- */

static int setup(void **state)
{
    world_t *w = mem_zalloc(sizeof(*w));
    w->sim = sim_new(1);
    w->here = sim_node_new(w->sim, "10.0.0.1");
    w->there = sim_node_new(w->sim, "10.0.0.2");
    w->service = (net_service_t){.name = "framed",
                                 .on_open = on_open,
                                 .on_data = on_data,
                                 .on_close = on_close,
                                 .limits = {.in_bytes_max = FRAME_MAX + 4,
                                            .out_bytes_high = MIB(1),
                                            .handshake_ms = HANDSHAKE_MS,
                                            .frame_ms = FRAME_MS},
                                 .refusal = REFUSAL};
    w->client_service = (net_service_t){.name = "client",
                                        .on_open = client_open,
                                        .on_data = client_data,
                                        .on_close = client_close,
                                        .limits = {.in_bytes_max = MIB(4), .out_bytes_high = SIZE_MAX}};
    w->net = net_new(sim_node_loop(w->here));
    w->clients_net = net_new(sim_node_loop(w->there));
    net_on_event(w->net, on_event, w);
    *state = w;
    return 0;
}

static void listen_here(world_t *w)
{
    assert_int_equal(net_listen(w->net, "10.0.0.1", PORT, &w->service, w, &w->listener), 0);
}

static int teardown(void **state)
{
    world_t *w = *state;
    net_free(w->clients_net);
    net_free(w->net);
    for (int i = 0; i < CLIENTS_MAX; i++) buf_deinit(&w->clients[i].got);
    sim_free(w->sim);
    mem_free(w);
    return 0;
}

static void open_clients(world_t *w, int count, const net_bounds_t *bounds)
{
    w->service.limits.handshake_ms = 0;
    listen_here(w);
    net_set_bounds(w->net, bounds);
    for (int i = 0; i < count; i++) connect_client(w, i);
    assert_int_equal(w->accepted_count, count);
}

/* ---- turns ---- */

/* What there is to do for very many connections is done over several turns, in their order. The clock moves with what is done. */
static void work_for_many_connections_leaves_others_their_turn(void **state)
{
    world_t *w = *state;
    open_clients(w, CLIENTS_MAX, &(net_bounds_t){0});
    w->turn = (io_hook_t){.rank = 100, .run = count_closed};
    io_hook_add(net_loop(w->net), &w->turn);
    w->closes_slowly = true;
    for (int i = 0; i < CLIENTS_MAX; i++) net_close(w->accepted[i]);
    run_ms(w, 5000);
    io_hook_remove(&w->turn);
    w->closes_slowly = false;
    assert_int_equal(w->closed_count, CLIENTS_MAX);
    for (int i = 0; i < CLIENTS_MAX; i++) assert_int_equal(w->closed[i], i);
    assert_in_range(w->closed_in_turn_max, 1, CLIENTS_MAX / 2);
}

/* ---- budgets ---- */

static void a_frame_that_is_only_announced_takes_no_memory(void **state)
{
    world_t *w = *state;
    open_clients(w, 8, &(net_bounds_t){0});
    for (int i = 0; i < 8; i++) announce(w, i, FRAME_MAX);
    run_ms(w, 1000);
    assert_in_range(net_totals(w->net).in_bytes, 8 * 4, 8 * KIB(128));
}

static void too_much_unfinished_input_closes_the_greediest_first(void **state)
{
    world_t *w = *state;
    open_clients(w, 8, &(net_bounds_t){.in_bytes_max = MIB(2)});
    announce(w, 3, FRAME_MAX);
    send_bytes(w, 3, KIB(900));
    for (int i = 0; i < 8; i++) {
        if (i == 3) continue;
        announce(w, i, FRAME_MAX);
        send_bytes(w, i, KIB(200));
    }
    assert_null(w->clients[3].conn);
    for (int i = 0; i < 3; i++) assert_non_null(w->clients[i].conn);
    assert_true(net_totals(w->net).in_bytes <= MIB(2));
    assert_int_equal(net_totals(w->net).in_shed, w->events[NET_EVENT_INPUT_BUDGET]);
    assert_int_equal(w->events[NET_EVENT_INPUT_BUDGET], 1);
}

static void one_large_frame_alone_may_pass_the_budget(void **state)
{
    world_t *w = *state;
    open_clients(w, 2, &(net_bounds_t){.in_bytes_max = MIB(1), .alone_bytes_max = MIB(8)});
    announce(w, 0, FRAME_MAX);
    send_bytes(w, 0, FRAME_MAX);
    assert_int_equal(w->frames, 1);
    assert_int_equal(net_totals(w->net).in_bytes, 0);
    announce(w, 0, FRAME_MAX);
    send_bytes(w, 0, MIB(3));
    announce(w, 1, FRAME_MAX);
    send_bytes(w, 1, MIB(2));
    assert_null(w->clients[0].conn); /* two of them may not: the larger goes */
    assert_non_null(w->clients[1].conn);
}

static void whole_frames_leave_nothing_behind_in_the_budget(void **state)
{
    world_t *w = *state;
    open_clients(w, 1, &(net_bounds_t){.in_bytes_max = MIB(2)});
    for (int i = 0; i < 20; i++) {
        announce(w, 0, KIB(600));
        send_bytes(w, 0, KIB(600));
    }
    assert_int_equal(w->frames, 20);
    assert_int_equal(net_totals(w->net).in_bytes, 0);
    assert_int_equal(w->events[NET_EVENT_INPUT_BUDGET], 0);
}

static void write_kib(world_t *w, int i, size_t kib)
{
    static const uint8_t data[1024];
    if (!w->accepted[i]) return;
    for (size_t n = 0; n < kib; n++) net_write(w->accepted[i], data, sizeof(data));
}

static void too_much_unread_output_closes_the_greediest_first(void **state)
{
    world_t *w = *state;
    open_clients(w, 8, &(net_bounds_t){.out_bytes_max = MIB(4)});
    for (int i = 0; i < 8; i++) net_pause(w->clients[i].conn);
    for (int i = 0; i < 8; i++) {
        write_kib(w, i, i == 5 ? 3000 : 600);
        run_ms(w, 1000);
    }
    assert_null(w->accepted[5]);
    assert_non_null(w->accepted[0]);
    assert_true(net_totals(w->net).out_bytes <= MIB(4));
    assert_int_equal(net_totals(w->net).out_shed, w->events[NET_EVENT_OUTPUT_BUDGET]);
    assert_int_equal(w->events[NET_EVENT_OUTPUT_BUDGET], 1);
}

/* In one turn, before anything can be sent or closed: what is written on takes no memory. */
static void a_connection_that_was_closed_for_its_output_takes_no_more_of_it(void **state)
{
    world_t *w = *state;
    open_clients(w, 1, &(net_bounds_t){.out_bytes_max = MIB(1)});
    net_conn_t *conn = w->accepted[0];
    size_t before = mem_used();
    write_kib(w, 0, 100 * 1024);
    assert_true(net_conn_out_bytes(conn) <= MIB(2));
    assert_true(mem_used() < before + MIB(4));
    assert_int_equal(net_totals(w->net).out_bytes, 0);
    run_ms(w, 1000);
    assert_null(w->accepted[0]);
}

/* ---- deadlines ---- */

static void who_says_nothing_is_closed_when_the_handshake_is_due(void **state)
{
    world_t *w = *state;
    listen_here(w);
    connect_client(w, 0);
    run_ms(w, HANDSHAKE_MS - 1000);
    assert_non_null(w->accepted[0]);
    run_ms(w, 2000);
    assert_null(w->accepted[0]);
    assert_int_equal(w->events[NET_EVENT_HANDSHAKE_LATE], 1);
    assert_int_equal(net_totals(w->net).late, 1);
}

static void who_greets_slowly_has_longer_but_not_for_ever(void **state)
{
    world_t *w = *state;
    listen_here(w);
    connect_client(w, 0);
    announce(w, 0, KIB(4));
    for (int i = 0; i < 6; i++) {
        assert_non_null(w->accepted[0]);
        send_bytes(w, 0, 1);
        run_ms(w, 7000);
    }
    run_ms(w, 8000);
    assert_null(w->accepted[0]);
}

static void who_has_greeted_may_be_silent_for_a_day(void **state)
{
    world_t *w = *state;
    listen_here(w);
    connect_client(w, 0);
    greet(w, 0);
    run_ms(w, 24 * 3600 * 1000);
    assert_non_null(w->accepted[0]);
}

static void a_frame_that_stops_in_the_middle_is_closed(void **state)
{
    world_t *w = *state;
    listen_here(w);
    connect_client(w, 0);
    greet(w, 0);
    run_ms(w, 3600 * 1000);
    announce(w, 0, KIB(300));
    send_bytes(w, 0, KIB(10));
    run_ms(w, FRAME_MS - 5000);
    assert_non_null(w->accepted[0]);
    run_ms(w, 10000);
    assert_null(w->accepted[0]);
    assert_int_equal(w->events[NET_EVENT_FRAME_LATE], 1);
}

/* The rest of its frame may be here, or on its way: nobody looks. */
static void a_connection_that_is_not_read_may_stop_in_the_middle(void **state)
{
    world_t *w = *state;
    listen_here(w);
    connect_client(w, 0);
    greet(w, 0);
    announce(w, 0, KIB(300));
    send_bytes(w, 0, KIB(10));
    net_pause(w->accepted[0]);
    run_ms(w, 3 * FRAME_MS);
    assert_non_null(w->accepted[0]);
    assert_int_equal(w->events[NET_EVENT_FRAME_LATE], 0);
}

static void a_frame_that_trickles_is_closed_and_one_that_grows_is_not(void **state)
{
    world_t *w = *state;
    listen_here(w);
    for (int i = 0; i < 2; i++) {
        connect_client(w, i);
        greet(w, i);
        announce(w, i, KIB(300));
    }
    for (int i = 0; i < 10; i++) {
        if (w->accepted[0]) send_bytes(w, 0, 1);
        send_bytes(w, 1, KIB(3));
        run_ms(w, 25000);
    }
    assert_null(w->accepted[0]);
    assert_non_null(w->accepted[1]);
}

static void frames_that_end_in_time_may_come_for_ever(void **state)
{
    world_t *w = *state;
    listen_here(w);
    connect_client(w, 0);
    greet(w, 0);
    announce(w, 0, 20);
    for (int i = 0; i < 50; i++) { /* each ends one frame and begins the next */
        send_bytes(w, 0, 20);
        announce(w, 0, 20);
        run_ms(w, FRAME_MS - 10000);
    }
    assert_non_null(w->accepted[0]);
    assert_int_equal(w->frames, 51);
}

/* ---- who gets in ---- */

static void more_connections_than_all_may_have_are_told_so(void **state)
{
    world_t *w = *state;
    open_clients(w, 3, &(net_bounds_t){.conns_max = 3});
    connect_client(w, 3);
    run_ms(w, 1000);
    assert_null(w->clients[3].conn);
    assert_int_equal(w->clients[3].got.len, strlen(REFUSAL));
    assert_int_equal(w->events[NET_EVENT_CONNS_MAX], 1);
    net_close(w->clients[0].conn);
    run_ms(w, 1000);
    connect_client(w, 4); /* there is room again */
    assert_non_null(w->clients[4].conn);
    assert_int_equal(net_totals(w->net).conns, 3);
}

static void connections_are_counted_by_address(void **state)
{
    world_t *w = *state;
    open_clients(w, 3, &(net_bounds_t){0});
    assert_int_equal(net_conn_siblings(w->accepted[0]), 3);
    net_close(w->clients[1].conn);
    run_ms(w, 1000);
    assert_int_equal(net_conn_siblings(w->accepted[2]), 2);
    assert_true(bytes_eq(net_conn_host(w->accepted[2]), BYTES_LIT("10.0.0.2")));
}

static void strangers_are_refused_where_that_is_asked_for(void **state)
{
    world_t *w = *state;
    net_protect(w->net, "framed");
    listen_here(w);
    connect_client(w, 0);
    assert_int_equal(w->refused_strangers, 1);
    run_ms(w, 1000);
    assert_int_equal(net_totals(w->net).conns, 0);
    assert_int_equal(w->events[NET_EVENT_STRANGER], 1);
}

static void whose_address_is_the_loopback_s_is_no_stranger(void **state)
{
    assert_true(net_host_is_loopback(BYTES_LIT("127.0.0.1")));
    assert_true(net_host_is_loopback(BYTES_LIT("127.9.9.9")));
    assert_true(net_host_is_loopback(BYTES_LIT("::1")));
    assert_true(net_host_is_loopback(BYTES_LIT("::ffff:127.0.0.1")));
    assert_false(net_host_is_loopback(BYTES_LIT("10.0.0.1")));
    assert_false(net_host_is_loopback(BYTES_LIT("12")));
    assert_false(net_host_is_loopback(BYTES_LIT("::ffff:10.0.0.1")));
    assert_false(net_host_is_loopback(BYTES_LIT("fe80::1")));
}

#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(work_for_many_connections_leaves_others_their_turn),
        T(a_frame_that_is_only_announced_takes_no_memory),
        T(too_much_unfinished_input_closes_the_greediest_first),
        T(one_large_frame_alone_may_pass_the_budget),
        T(whole_frames_leave_nothing_behind_in_the_budget),
        T(too_much_unread_output_closes_the_greediest_first),
        T(a_connection_that_was_closed_for_its_output_takes_no_more_of_it),
        T(who_says_nothing_is_closed_when_the_handshake_is_due),
        T(who_greets_slowly_has_longer_but_not_for_ever),
        T(who_has_greeted_may_be_silent_for_a_day),
        T(a_frame_that_stops_in_the_middle_is_closed),
        T(a_connection_that_is_not_read_may_stop_in_the_middle),
        T(a_frame_that_trickles_is_closed_and_one_that_grows_is_not),
        T(frames_that_end_in_time_may_come_for_ever),
        T(more_connections_than_all_may_have_are_told_so),
        T(connections_are_counted_by_address),
        T(strangers_are_refused_where_that_is_asked_for),
        cmocka_unit_test(whose_address_is_the_loopback_s_is_no_stranger),
    };
    return cmocka_run_group_tests_name("net limits", tests, NULL, NULL);
}

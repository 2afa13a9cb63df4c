/* conns_test.c: who gives way when an HTTP listener is full, and who has had his time. The connections are pairs of sockets, and
 * libmicrohttpd's word on them is the test's. */
#include "http/conns.h"

#include "io/sim.h"

#include <arpa/inet.h>
#include <microhttpd.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define CONNS_MAX 4
#define PEERS_MAX 16
#define FIRST_MS  10000 /* for a whole request, from the beginning */
#define NEXT_MS   30000 /* and from one to the next */
#define TOLERANCE 1100  /* they are looked at once a second */

/* What libmicrohttpd has of a connection. */
struct MHD_Connection {
    int fd, far_fd;
    struct sockaddr_storage address;
    void *slot;
    union MHD_ConnectionInfo info;
    bool open;
};

const union MHD_ConnectionInfo *MHD_get_connection_info(struct MHD_Connection *c, enum MHD_ConnectionInfoType type, ...)
{
    if (type == MHD_CONNECTION_INFO_CONNECTION_FD)
        c->info.connect_fd = c->fd;
    else if (type == MHD_CONNECTION_INFO_CLIENT_ADDRESS)
        c->info.client_addr = (struct sockaddr *)&c->address;
    else if (type == MHD_CONNECTION_INFO_SOCKET_CONTEXT)
        c->info.socket_context = c->slot;
    else
        return NULL;
    return &c->info;
}

typedef struct fixture {
    sim_t *sim;
    http_conns_t conns;
    struct MHD_Connection peers[PEERS_MAX];
    int peers_count;
} fixture_t;

static fixture_t *fixture_new(void)
{
    fixture_t *f = mem_zalloc(sizeof(*f));
    f->sim = sim_new(1);
    http__conns_init(&f->conns, sim_node_loop(sim_node_new(f->sim, "10.0.0.1")), CONNS_MAX);
    return f;
}

static void set_address(struct MHD_Connection *c, const char *address)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)&c->address;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&c->address;
    if (strchr(address, ':')) {
        v6->sin6_family = AF_INET6;
        assert_int_equal(inet_pton(AF_INET6, address, &v6->sin6_addr), 1);
    } else {
        v4->sin_family = AF_INET;
        assert_int_equal(inet_pton(AF_INET, address, &v4->sin_addr), 1);
    }
}

static struct MHD_Connection *come(fixture_t *f, const char *address)
{
    struct MHD_Connection *c = &f->peers[f->peers_count++];
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    c->fd = pair[0];
    c->far_fd = pair[1];
    c->open = true;
    set_address(c, address);
    http__conn_opened(&f->conns, c, &c->slot);
    return c;
}

/* As libmicrohttpd does when the peer or this side has ended it. */
static void go(fixture_t *f, struct MHD_Connection *c)
{
    http__conn_closed(&f->conns, &c->slot);
    assert_null(c->slot);
    close(c->fd);
    close(c->far_fd);
    c->open = false;
}

/* Its socket was shut down: the peer reads the end. */
static bool was_ended(const struct MHD_Connection *c)
{
    char byte;
    return recv(c->far_fd, &byte, 1, MSG_DONTWAIT) == 0;
}

static void fixture_free(fixture_t *f)
{
    for (int i = 0; i < f->peers_count; i++)
        if (f->peers[i].open) go(f, &f->peers[i]);
    assert_int_equal(f->conns.count, 0);
    http__conns_deinit(&f->conns);
    sim_free(f->sim);
    mem_free(f);
}

static void there_is_room_up_to_the_bound(void **state)
{
    fixture_t *f = fixture_new();
    for (int i = 0; i < CONNS_MAX; i++) come(f, "192.0.2.1");
    for (int i = 0; i < CONNS_MAX; i++) assert_false(was_ended(&f->peers[i]));
    assert_int_equal(f->conns.evicted, 0);
    fixture_free(f);
}

static void the_oldest_of_the_greediest_address_gives_way(void **state)
{
    fixture_t *f = fixture_new();
    struct MHD_Connection *alone = come(f, "192.0.2.1"), *first = come(f, "192.0.2.2"), *second = come(f, "192.0.2.2");
    struct MHD_Connection *third = come(f, "192.0.2.2");
    struct MHD_Connection *newcomer = come(f, "192.0.2.3");
    assert_true(was_ended(first));
    assert_false(was_ended(alone) || was_ended(second) || was_ended(third) || was_ended(newcomer));
    /* It has not gone yet, and counts for nothing: the next one takes another place. */
    come(f, "192.0.2.4");
    assert_true(was_ended(second));
    assert_false(was_ended(third) || was_ended(alone));
    assert_int_equal(f->conns.evicted, 2);
    fixture_free(f);
}

static void among_equals_the_oldest_gives_way(void **state)
{
    fixture_t *f = fixture_new();
    static const char *const addresses[] = {"192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8::2"};
    for (int i = 0; i < CONNS_MAX; i++) come(f, addresses[i]);
    come(f, "192.0.2.9");
    assert_true(was_ended(&f->peers[0]));
    for (int i = 1; i <= CONNS_MAX; i++) assert_false(was_ended(&f->peers[i]));
    fixture_free(f);
}

/* An IPv4 address is the same however it is written. */
static void a_mapped_address_is_the_same_address(void **state)
{
    fixture_t *f = fixture_new();
    come(f, "192.0.2.1");
    struct MHD_Connection *plain = come(f, "192.0.2.2"), *mapped = come(f, "::ffff:192.0.2.2");
    come(f, "192.0.2.3");
    come(f, "192.0.2.4");
    assert_true(was_ended(plain));
    assert_false(was_ended(mapped));
    fixture_free(f);
}

static void a_first_request_has_its_time(void **state)
{
    fixture_t *f = fixture_new();
    struct MHD_Connection *slow = come(f, "192.0.2.1");
    sim_run_for(f->sim, FIRST_MS - TOLERANCE);
    assert_false(was_ended(slow));
    sim_run_for(f->sim, 2 * TOLERANCE);
    assert_true(was_ended(slow));
    assert_int_equal(f->conns.late, 1);
    sim_run_for(f->sim, NEXT_MS);
    assert_int_equal(f->conns.late, 1); /* it is ended once */
    fixture_free(f);
}

static void each_request_gives_time_for_the_next(void **state)
{
    fixture_t *f = fixture_new();
    struct MHD_Connection *c = come(f, "192.0.2.1");
    for (int i = 0; i < 5; i++) {
        sim_run_for(f->sim, FIRST_MS - TOLERANCE);
        http__conn_asked(&f->conns, c);
    }
    sim_run_for(f->sim, NEXT_MS - TOLERANCE);
    assert_false(was_ended(c));
    sim_run_for(f->sim, 2 * TOLERANCE);
    assert_true(was_ended(c));
    fixture_free(f);
}

static void only_loopback_is_local(void **state)
{
    static const struct {
        const char *address;
        bool local;
    } cases[] = {{"127.0.0.1", true},         {"127.9.9.9", true},  {"::1", true},
                 {"::ffff:127.0.0.1", true},  {"192.0.2.1", false}, {"2001:db8::1", false},
                 {"::ffff:192.0.2.1", false}, {"128.0.0.1", false}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct MHD_Connection c = {0};
        set_address(&c, cases[i].address);
        if (http__conn_is_local(&c) != cases[i].local) fail_msg("%s", cases[i].address);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(there_is_room_up_to_the_bound),
        cmocka_unit_test(the_oldest_of_the_greediest_address_gives_way),
        cmocka_unit_test(among_equals_the_oldest_gives_way),
        cmocka_unit_test(a_mapped_address_is_the_same_address),
        cmocka_unit_test(a_first_request_has_its_time),
        cmocka_unit_test(each_request_gives_time_for_the_next),
        cmocka_unit_test(only_loopback_is_local),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

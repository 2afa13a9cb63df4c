/* expiry_test.c: when sessions, containers and TTL nodes end, in the simulator's time: not before, and not a tick later than the wheel
 * of ticks makes it. The clock of the tree is set half a tick apart from the ticks themselves, so that each mistake by one shows. */
#include "coord/coord.h"
#include "coord/session.h"
#include "io/sim.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define TICK_MS    2000
#define TIMEOUT_MS 10000
#define REAP_MS    60000 /* how often containers and TTL nodes are looked at */
#define SLACK_MS   100   /* the entry is written and applied */
#define SESSIONS   23
#define APART_MS   170
#define TTL_MS     150000
#define BODY_BYTES 256

typedef struct session_times {
    int64_t id;
    uint64_t heard_ms, closed_ms; /* 0 = lives */
} session_times_t;

typedef struct fixture {
    sim_t *sim;
    sim_node_t *node;
    coord_t *coord;
    session_times_t sessions[SESSIONS];
    int sessions_count;
} fixture_t;

static uint64_t now_ms(const fixture_t *f) { return sim_now_ns(f->sim) / 1000000; }

static void on_closed(void *user, int64_t session_id)
{
    fixture_t *f = user;
    for (int i = 0; i < f->sessions_count; i++)
        if (f->sessions[i].id == session_id) f->sessions[i].closed_ms = now_ms(f);
}

static fixture_t *fixture_new(uint64_t seed)
{
    fixture_t *f = mem_zalloc(sizeof(*f));
    coord_options_t options = coord_options_default;
    f->sim = sim_new(seed);
    f->node = sim_node_new(f->sim, "10.0.0.1");
    options.dir = "/data/coord";
    options.tick_time_ms = TICK_MS;
    options.container_check_ms = REAP_MS;
    sim_run_for(f->sim, TICK_MS + TICK_MS / 2 - now_ms(f) % TICK_MS);
    assert_int_equal(coord_open(sim_node_loop(f->node), &options, &f->coord), 0);
    coord_session_listen(f->coord, on_closed, f);
    return f;
}

static void fixture_free(fixture_t *f)
{
    coord_close(f->coord);
    sim_free(f->sim);
    mem_free(f);
}

/* ---- writes that are waited for ---- */

typedef struct answer {
    coord_write_t write;
    bool done;
    coord_result_t result; /* without what it points at */
} answer_t;

static void on_done(coord_write_t *write, const coord_result_t *result)
{
    answer_t *a = CONTAINER_OF(write, answer_t, write);
    a->done = true;
    a->result = *result;
}

static bool is_done(void *user) { return ((answer_t *)user)->done; }

static void wait_for(fixture_t *f, answer_t *a)
{
    io_loop_wake(sim_node_loop(f->node));
    assert_true(sim_run_until(f->sim, is_done, a, 10000));
    assert_int_equal(a->result.err, ZOK);
}

static session_times_t *open_session(fixture_t *f)
{
    answer_t a = {0};
    coord_session_create(f->coord, TIMEOUT_MS, &a.write, on_done);
    wait_for(f, &a);
    session_times_t *s = &f->sessions[f->sessions_count++];
    s->id = a.result.session_id;
    s->heard_ms = now_ms(f);
    return s;
}

static void write_body(fixture_t *f, int32_t type, const uint8_t *body, const uint8_t *end)
{
    answer_t a = {0};
    zk_id_t super = {BYTES_LIT("super"), BYTES_LIT("")};
    coord_who_t who = {&super, 1};
    coord_write(f->coord, &a.write, type, 0, who, bytes_of(body, (size_t)(end - body)), on_done);
    wait_for(f, &a);
}

static zk_acl_t anyone(void) { return (zk_acl_t){31, {BYTES_LIT("world"), BYTES_LIT("anyone")}}; }

static void create(fixture_t *f, int32_t type, const char *path, int32_t flags)
{
    uint8_t body[BODY_BYTES];
    zk_acl_t acl = anyone();
    zk_create_request_t request = {bytes_str(path), BYTES_LIT(""), &acl, 1, flags};
    assert_true(zk_create_request_size(&request) <= sizeof(body));
    write_body(f, type, body, zk_create_request_put(body, &request));
}

static void create_ttl(fixture_t *f, const char *path, int64_t ttl_ms)
{
    uint8_t body[BODY_BYTES];
    zk_acl_t acl = anyone();
    zk_create_ttl_request_t request = {bytes_str(path), BYTES_LIT(""), &acl, 1, 5, ttl_ms};
    assert_true(zk_create_ttl_request_size(&request) <= sizeof(body));
    write_body(f, ZK_OP_CREATE_TTL, body, zk_create_ttl_request_put(body, &request));
}

static void remove_node(fixture_t *f, const char *path)
{
    uint8_t body[BODY_BYTES];
    zk_delete_request_t request = {bytes_str(path), -1};
    write_body(f, ZK_OP_DELETE, body, zk_delete_request_put(body, &request));
}

/* ---- sessions ---- */

/* The wheel looks at the first tick behind the end of the timeout; ticks come half a tick apart from the wheel's bounds. */
static void assert_closed_in_time(const session_times_t *s)
{
    uint64_t end_ms = s->heard_ms + TIMEOUT_MS, bucket_ms = (end_ms / TICK_MS + 1) * TICK_MS;
    assert_true(s->closed_ms >= end_ms);
    assert_in_range(s->closed_ms, bucket_ms + TICK_MS / 2 - SLACK_MS, bucket_ms + TICK_MS / 2 + SLACK_MS);
}

static void a_session_ends_at_the_tick_behind_its_timeout(void **state)
{
    for (uint64_t seed = 1; seed <= 3; seed++) {
        fixture_t *f = fixture_new(seed);
        for (int i = 0; i < SESSIONS; i++) {
            open_session(f);
            sim_run_for(f->sim, APART_MS);
        }
        sim_run_for(f->sim, TIMEOUT_MS + 4 * TICK_MS);
        for (int i = 0; i < SESSIONS; i++) assert_closed_in_time(&f->sessions[i]);
        fixture_free(f);
    }
}

static void a_session_that_is_heard_from_lives(void **state)
{
    fixture_t *f = fixture_new(4);
    session_times_t *s = open_session(f), *quiet = open_session(f);
    for (int i = 0; i < 40; i++) {
        sim_run_for(f->sim, TIMEOUT_MS / 4);
        coord_session_touch(f->coord, s->id, TIMEOUT_MS);
        s->heard_ms = now_ms(f);
    }
    assert_int_equal(s->closed_ms, 0);
    assert_closed_in_time(quiet);
    sim_run_for(f->sim, TIMEOUT_MS + 4 * TICK_MS);
    assert_closed_in_time(s);
    fixture_free(f);
}

/* ---- containers and TTL nodes ---- */

static void a_container_goes_when_its_last_child_has(void **state)
{
    fixture_t *f = fixture_new(5);
    create(f, ZK_OP_CREATE_CONTAINER, "/never", 4);
    create(f, ZK_OP_CREATE_CONTAINER, "/used", 4);
    create(f, ZK_OP_CREATE_CONTAINER, "/kept", 4);
    create(f, ZK_OP_CREATE, "/used/child", 0);
    create(f, ZK_OP_CREATE, "/kept/child", 0);
    sim_run_for(f->sim, 2 * REAP_MS);
    assert_true(coord_exists(f->coord, "/used"));
    remove_node(f, "/used/child");
    sim_run_for(f->sim, REAP_MS + TICK_MS + SLACK_MS);
    assert_false(coord_exists(f->coord, "/used"));
    assert_true(coord_exists(f->coord, "/kept"));
    sim_run_for(f->sim, 5 * REAP_MS);
    assert_true(coord_exists(f->coord, "/never")); /* one that nobody has used yet is not done */
    fixture_free(f);
}

static void a_ttl_node_goes_when_its_time_is_over_and_it_has_no_child(void **state)
{
    fixture_t *f = fixture_new(6);
    create_ttl(f, "/short", TTL_MS);
    create_ttl(f, "/parent", TTL_MS);
    create(f, ZK_OP_CREATE, "/parent/child", 0);
    sim_run_for(f->sim, TTL_MS - SLACK_MS);
    assert_true(coord_exists(f->coord, "/short"));
    sim_run_for(f->sim, REAP_MS + TICK_MS + 2 * SLACK_MS);
    assert_false(coord_exists(f->coord, "/short"));
    assert_true(coord_exists(f->coord, "/parent"));
    remove_node(f, "/parent/child");
    sim_run_for(f->sim, TTL_MS + REAP_MS + TICK_MS + SLACK_MS); /* losing the child may count as a change */
    assert_false(coord_exists(f->coord, "/parent"));
    fixture_free(f);
}

/* ---- sync ---- */

typedef struct order {
    coord_write_t write;
    int *next, place;
} order_t;

static void on_order(coord_write_t *write, const coord_result_t *result)
{
    order_t *o = CONTAINER_OF(write, order_t, write);
    o->place = ++*o->next;
}

/* Each sync is answered behind what was proposed before it, also when that is under way already. */
static void a_sync_is_answered_behind_the_writes_before_it(void **state)
{
    for (uint64_t seed = 1; seed <= 20; seed++) {
        fixture_t *f = fixture_new(seed);
        order_t orders[40];
        int answered = 0;
        for (int i = 0; i < (int)ARRAY_LEN(orders); i++) {
            orders[i] = (order_t){.next = &answered};
            if (sim_random(f->sim, 2))
                coord_sync(f->coord, &orders[i].write, on_order);
            else
                coord_session_create(f->coord, TIMEOUT_MS, &orders[i].write, on_order);
            io_loop_wake(sim_node_loop(f->node));
            for (uint64_t steps = sim_random(f->sim, 4); steps > 0; steps--) (void)sim_step(f->sim);
        }
        sim_run_for(f->sim, 1000);
        for (int i = 0; i < (int)ARRAY_LEN(orders); i++) assert_int_equal(orders[i].place, i + 1);
        fixture_free(f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_session_ends_at_the_tick_behind_its_timeout),
        cmocka_unit_test(a_session_that_is_heard_from_lives),
        cmocka_unit_test(a_container_goes_when_its_last_child_has),
        cmocka_unit_test(a_ttl_node_goes_when_its_time_is_over_and_it_has_no_child),
        cmocka_unit_test(a_sync_is_answered_behind_the_writes_before_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* readiness_test.c: wings that recover side by side, in every order: each is told ready once, when it is; the bridge starts when both
 * of its wings have recovered; a feed holds Redis until then; and what fails on any reactor ends the start with its words. The wings,
 * the bridge and the reactors' loops are the test's own. */
#include "server/server_internal.h"

#include "bridge/bridge.h"
#include "io/sim.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

typedef struct wing {
    io_loop_t *loop;
    int slices; /* of recovery that are left */
    int err;    /* that the last one ends with */
} wing_t;

typedef struct fixture {
    sim_t *sim;
    server_t server;
    wing_t wings[DOORS_COUNT];
    server_door_t order[DOORS_COUNT]; /* as they were told ready */
    int ready_count;
    int bridge_starts, bridge_err; /* how often it was asked; what it answers */
    int feeds_err;
    bool has_feeds, holds, both_recovered;
} fixture_t;

static fixture_t *current; /* the stand-ins below get nothing that could hold it */

/* ---- in place of the rest of the server ---- */

static int recover(void *user, char *error)
{
    wing_t *wing = user;
    if (wing->slices > 0) wing->slices--;
    if (wing->slices > 0) io_loop_wake(wing->loop);
    if (wing->slices > 0 || !wing->err) return 0;
    snprintf(error, OPTIONS_ERROR_CHARS_MAX, "the file is damaged");
    return wing->err;
}

static bool ready(const void *user) { return ((const wing_t *)user)->slices == 0; }

static const server__wing_t slow = {.recover = recover, .ready = ready}, at_once = {0};
const server__wing_t *const server__wings[DOORS_COUNT] = {&slow, &slow, &slow, &at_once};

server__reactor_t *server__reactor_of(server_t *server, server_door_t door)
{
    return &server->reactors[door == DOOR_REDIS ? 1 : door == DOOR_KAFKA ? 2 : 0];
}

bool bridge_feeds_any(const bridge_feeds_t *feeds) { return current->has_feeds; }

int bridge_feeds_start(bridge_feeds_t *feeds, bridge_t *bridge, char *err, size_t err_bytes)
{
    snprintf(err, err_bytes, "a feed has no topic");
    return current->feeds_err;
}

int bridge_start(bridge_t *bridge, void (*started)(void *user), void *user)
{
    current->bridge_starts++;
    current->both_recovered = current->wings[DOOR_REDIS].slices == 0 && current->wings[DOOR_KAFKA].slices == 0;
    if (!current->bridge_err) started(user);
    return current->bridge_err;
}

void redis_hold(redis_t *redis, bool hold) { current->holds = hold; }

/* ---- a start ---- */

static void on_ready(const server_t *server, server_door_t door)
{
    assert_int_equal(current->wings[door].slices, 0);
    if (door == DOOR_REDIS && current->has_feeds) assert_false(current->holds);
    current->order[current->ready_count++] = door;
}

static fixture_t *fixture_new(uint64_t seed, const int slices[DOORS_COUNT])
{
    fixture_t *f = mem_zalloc(sizeof(*f));
    current = f;
    f->sim = sim_new(seed);
    sim_node_t *node = sim_node_new(f->sim, "10.0.0.1");
    server_t *s = &f->server;
    s->reactors_count = s->reactors_made = REACTORS_COUNT_MAX;
    for (int i = 0; i < REACTORS_COUNT_MAX; i++)
        s->reactors[i].loop = i == 0 ? sim_node_loop(node) : sim_node_loop_new(node);
    s->loop = s->reactors[0].loop;
    s->on_ready = on_ready;
    for (int door = 0; door < DOORS_COUNT; door++) {
        f->wings[door].slices = door == DOOR_HTTP ? 0 : slices[door];
        s->doors[door].started = slices[door] >= 0;
        s->doors[door].wing = &f->wings[door];
        f->wings[door].loop = server__reactor_of(s, (server_door_t)door)->loop;
    }
    return f;
}

static void with_bridge(fixture_t *f, bool feeds)
{
    f->server.bridge = (bridge_t *)f; /* never looked into */
    f->has_feeds = f->holds = feeds;
}

static int wait_ready(fixture_t *f, char *error)
{
    server__readiness_watch(&f->server);
    for (int i = 0; i < REACTORS_COUNT_MAX; i++) io_loop_wake(f->server.reactors[i].loop);
    return server__readiness_wait(&f->server, error);
}

static void fixture_free(fixture_t *f)
{
    sim_free(f->sim);
    mem_free(f);
}

static bool was_ready(const fixture_t *f, server_door_t door)
{
    for (int i = 0; i < f->ready_count; i++)
        if (f->order[i] == door) return true;
    return false;
}

static void all_wings_become_ready_once_each(void **state)
{
    for (uint64_t seed = 1; seed <= 30; seed++) {
        char error[OPTIONS_ERROR_CHARS_MAX] = "";
        int slices[DOORS_COUNT] = {(int)(seed % 5), (int)(seed % 7), (int)(seed % 11), 0};
        fixture_t *f = fixture_new(seed, slices);
        with_bridge(f, false);
        assert_int_equal(wait_ready(f, error), 0);
        assert_int_equal(f->ready_count, DOORS_COUNT);
        for (int door = 0; door < DOORS_COUNT; door++) assert_true(was_ready(f, (server_door_t)door));
        assert_int_equal(f->bridge_starts, 1);
        assert_true(f->both_recovered);
        fixture_free(f);
    }
}

static void what_is_off_is_not_waited_for(void **state)
{
    char error[OPTIONS_ERROR_CHARS_MAX] = "";
    int slices[DOORS_COUNT] = {0, -1, 0, -1};
    fixture_t *f = fixture_new(1, slices);
    with_bridge(f, false); /* without Kafka it keeps its records */
    assert_int_equal(wait_ready(f, error), 0);
    assert_int_equal(f->ready_count, 2);
    assert_false(was_ready(f, DOOR_KAFKA) || was_ready(f, DOOR_HTTP));
    assert_int_equal(f->bridge_starts, 1);
    fixture_free(f);
}

static void with_a_feed_redis_is_ready_behind_the_bridge(void **state)
{
    for (uint64_t seed = 1; seed <= 30; seed++) {
        char error[OPTIONS_ERROR_CHARS_MAX] = "";
        int slices[DOORS_COUNT] = {(int)(seed % 3), (int)(seed % 13), 0, 0};
        fixture_t *f = fixture_new(seed, slices);
        with_bridge(f, true);
        assert_int_equal(wait_ready(f, error), 0);
        assert_true(was_ready(f, DOOR_REDIS));
        assert_true(f->both_recovered);
        assert_false(f->holds);
        fixture_free(f);
    }
}

static void a_wing_that_cannot_recover_ends_the_start(void **state)
{
    for (int door = DOOR_REDIS; door <= DOOR_ZOOKEEPER; door++) {
        char error[OPTIONS_ERROR_CHARS_MAX] = "";
        int slices[DOORS_COUNT] = {0, 0, 0, 0};
        fixture_t *f = fixture_new(1, slices);
        f->wings[door].err = ERR_DAMAGED;
        assert_int_equal(wait_ready(f, error), ERR_DAMAGED);
        assert_string_equal(error, "the file is damaged");
        assert_false(was_ready(f, (server_door_t)door));
        fixture_free(f);
    }
}

static void a_bridge_that_cannot_start_ends_the_start(void **state)
{
    char error[OPTIONS_ERROR_CHARS_MAX] = "";
    int slices[DOORS_COUNT] = {0, 0, 0, 0};
    fixture_t *f = fixture_new(1, slices);
    with_bridge(f, false);
    f->bridge_err = ERR_CORRUPT;
    assert_int_equal(wait_ready(f, error), ERR_CORRUPT);
    assert_non_null(strstr(error, "KAFKA.JOURNAL commands cannot be understood"));
    fixture_free(f);
}

static void a_feed_that_cannot_be_ends_the_start(void **state)
{
    char error[OPTIONS_ERROR_CHARS_MAX] = "";
    int slices[DOORS_COUNT] = {0, 0, 0, 0};
    fixture_t *f = fixture_new(1, slices);
    with_bridge(f, true);
    f->feeds_err = ERR_INVALID;
    assert_int_equal(wait_ready(f, error), ERR_INVALID);
    assert_string_equal(error, "a feed has no topic");
    assert_true(f->holds); /* nobody was served */
    assert_false(was_ready(f, DOOR_REDIS));
    fixture_free(f);
}

static void a_signal_ends_the_wait(void **state)
{
    char error[OPTIONS_ERROR_CHARS_MAX] = "";
    int slices[DOORS_COUNT] = {9, 0, 0, 0};
    fixture_t *f = fixture_new(1, slices);
    f->server.terminated = true;
    assert_int_equal(wait_ready(f, error), ERR_CLOSED);
    assert_non_null(strstr(error, "stopped by a signal"));
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_wings_become_ready_once_each),
        cmocka_unit_test(what_is_off_is_not_waited_for),
        cmocka_unit_test(with_a_feed_redis_is_ready_behind_the_bridge),
        cmocka_unit_test(a_wing_that_cannot_recover_ends_the_start),
        cmocka_unit_test(a_bridge_that_cannot_start_ends_the_start),
        cmocka_unit_test(a_feed_that_cannot_be_ends_the_start),
        cmocka_unit_test(a_signal_ends_the_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

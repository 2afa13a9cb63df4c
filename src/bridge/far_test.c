/* far_test.c: requests to Kafka's reactor and back, on one loop and on two, and what comes of them when the bridge has gone. */
#include "bridge/far.h"

#include "io/sim.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define REQUESTS 20

typedef struct fixture {
    sim_t *sim;
    bridge_t bridge;
    int ran[REQUESTS], ran_count;   /* which, in the order in which they ran */
    int answered_count, gone_count; /* gone: their bridge was */
} fixture_t;

typedef struct asked {
    far_request_t request;
    fixture_t *fixture;
    int number;
} asked_t;

static fixture_t *fixture_new(uint64_t seed, bool apart)
{
    fixture_t *f = mem_zalloc(sizeof(*f));
    f->sim = sim_new(seed);
    sim_node_t *node = sim_node_new(f->sim, "10.0.0.1");
    f->bridge.loop = sim_node_loop(node);
    f->bridge.kafka_loop = apart ? sim_node_loop_new(node) : f->bridge.loop;
    return f;
}

static void fixture_free(fixture_t *f)
{
    far_close(&f->bridge);
    sim_free(f->sim);
    mem_free(f);
}

/* There is no catalog here that could have news. */
void __wrap_kafka_catalog_flush(kafka_catalog_t *catalog);
void __wrap_kafka_catalog_flush(kafka_catalog_t *catalog) {}

static void run(far_request_t *request)
{
    asked_t *asked = CONTAINER_OF(request, asked_t, request);
    asked->fixture->ran[asked->fixture->ran_count++] = asked->number;
    far_answer(request, asked->number * 2, (kafka_code_t)(asked->number % 2), "odd");
}

static void answered(bridge_t *bridge, far_request_t *request)
{
    asked_t *asked = CONTAINER_OF(request, asked_t, request);
    asked->fixture->answered_count++;
    if (!bridge) {
        asked->fixture->gone_count++;
    } else {
        assert_ptr_equal(bridge, &asked->fixture->bridge);
        assert_int_equal(request->value, asked->number * 2);
        assert_int_equal(request->error, asked->number % 2);
        assert_string_equal(request->words, asked->number % 2 ? "odd" : "");
    }
    mem_free(asked);
}

static asked_t *new_request(fixture_t *f, int number)
{
    asked_t *asked = mem_zalloc(sizeof(*asked));
    asked->fixture = f;
    asked->number = number;
    return asked;
}

static void requests_run_in_the_order_of_sending(void **state)
{
    for (uint64_t seed = 1; seed <= 40; seed++) {
        fixture_t *f = fixture_new(seed, seed % 2);
        for (int i = 0; i < REQUESTS; i++) {
            far_send(&f->bridge, &new_request(f, i)->request, run, answered);
            assert_true(f->ran_count <= i); /* never within the call */
            if (seed % 3 == 0) sim_run_for(f->sim, 1);
        }
        sim_run_for(f->sim, 100);
        assert_int_equal(f->ran_count, REQUESTS);
        assert_int_equal(f->answered_count, REQUESTS);
        for (int i = 0; i < REQUESTS; i++) assert_int_equal(f->ran[i], i);
        fixture_free(f);
    }
}

static void where_both_share_a_loop_nobody_waits_for_what_is_answered_at_once(void **state)
{
    fixture_t *f = fixture_new(1, false);
    assert_true(far_ask(&f->bridge, &new_request(f, 4)->request, run, answered));
    assert_int_equal(f->answered_count, 1);
    fixture_free(f);
}

static void another_loop_is_asked_by_message(void **state)
{
    fixture_t *f = fixture_new(1, true);
    assert_false(far_ask(&f->bridge, &new_request(f, 4)->request, run, answered));
    assert_int_equal(f->ran_count, 0);
    sim_run_for(f->sim, 100);
    assert_int_equal(f->answered_count, 1);
    fixture_free(f);
}

static void run_later(far_request_t *request) {}

static void what_is_answered_later_comes_by_message(void **state)
{
    fixture_t *f = fixture_new(1, false);
    asked_t *asked = new_request(f, 4);
    assert_false(far_ask(&f->bridge, &asked->request, run_later, answered));
    assert_int_equal(f->answered_count, 0);
    far_answer(&asked->request, 8, KAFKA_NONE, NULL);
    assert_int_equal(f->answered_count, 0);
    sim_run_for(f->sim, 10);
    assert_int_equal(f->answered_count, 1);
    fixture_free(f);
}

/* Kafka is not asked any more, and who asked frees what he sent. */
static void a_bridge_that_has_gone_is_not_met(void **state)
{
    fixture_t *f = fixture_new(1, true);
    for (int i = 0; i < REQUESTS; i++) far_send(&f->bridge, &new_request(f, i)->request, run, answered);
    far_close(&f->bridge);
    memset(&f->bridge, 0xee, sizeof(f->bridge));
    sim_run_for(f->sim, 100);
    assert_int_equal(f->ran_count, 0);
    assert_int_equal(f->answered_count, REQUESTS);
    assert_int_equal(f->gone_count, REQUESTS);
    sim_free(f->sim);
    mem_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_run_in_the_order_of_sending),
        cmocka_unit_test(where_both_share_a_loop_nobody_waits_for_what_is_answered_at_once),
        cmocka_unit_test(another_loop_is_asked_by_message),
        cmocka_unit_test(what_is_answered_later_comes_by_message),
        cmocka_unit_test(a_bridge_that_has_gone_is_not_met),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

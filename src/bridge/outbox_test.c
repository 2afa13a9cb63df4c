/* outbox_test.c: numbers, queues and the heap of the outbox, without a wing: whatever comes in any order, leaves in its own. */
#include "bridge/bridge_internal.h"

#include "io/sim.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define DELAYED 300

typedef struct fixture {
    sim_t *sim;
    bridge_t bridge;
} fixture_t;

static fixture_t *fixture_new(void)
{
    fixture_t *f = mem_zalloc(sizeof(*f));
    f->sim = sim_new(7);
    f->bridge.loop = sim_node_loop(sim_node_new(f->sim, "10.0.0.1"));
    outbox_init(&f->bridge);
    return f;
}

static void fixture_free(fixture_t *f)
{
    outbox_deinit(&f->bridge);
    sim_free(f->sim);
    mem_free(f);
}

static outbox_record_t *new_record(const char *topic, int64_t due_ms)
{
    kafka_produce_t record = {.topic = bytes_str(topic), .partition = 0, .value = BYTES_LIT("value")};
    outbox_record_t *r = outbox_record_new(&record);
    r->due_ms = due_ms;
    return r;
}

static outbox_record_t *add(fixture_t *f, const char *topic, int64_t due_ms)
{
    outbox_record_t *r = new_record(topic, due_ms);
    outbox_add(&f->bridge, r);
    return r;
}

/* As the append-only file's hook does when it has written them. */
static void write_all(fixture_t *f)
{
    LIST_EACH(&f->bridge.unwritten, r, outbox_record_t, queue) {
        list_remove(&r->queue);
        outbox_queue(&f->bridge, r);
    }
}

static void numbers_rise_from_one(void **state)
{
    fixture_t *f = fixture_new();
    for (int64_t n = 1; n <= 5; n++) assert_int_equal(add(f, "t", 0)->number, n);
    assert_int_equal(f->bridge.count, 5);
    fixture_free(f);
}

/* What is read back has its number, and new ones go on above the highest. */
static void numbers_go_on_above_what_was_read_back(void **state)
{
    fixture_t *f = fixture_new();
    outbox_record_t *r = new_record("t", 0);
    r->number = 41;
    outbox_restore(&f->bridge, r);
    outbox_record_t *older = new_record("t", 0);
    older->number = 17;
    outbox_restore(&f->bridge, older);
    outbox_queue(&f->bridge, r);
    outbox_queue(&f->bridge, older);
    assert_int_equal(add(f, "t", 0)->number, 42);
    fixture_free(f);
}

static void a_topic_has_its_records_in_order(void **state)
{
    fixture_t *f = fixture_new();
    for (int i = 0; i < 10; i++) add(f, i % 2 ? "odd" : "even", 0);
    write_all(f);
    int topics = 0;
    LIST_EACH(&f->bridge.topics, t, outbox_topic_t, node) {
        int64_t last = 0;
        topics++;
        LIST_EACH(&t->records, r, outbox_record_t, queue) {
            assert_true(bytes_eq(r->record.topic, t->name));
            assert_int_equal(r->state, RECORD_QUEUED);
            assert_true(last == 0 || r->number == last + 2);
            last = r->number;
        }
        assert_in_range(last, 9, 10);
    }
    assert_int_equal(topics, 2);
    fixture_free(f);
}

static void the_delayed_come_by_time_then_by_number(void **state)
{
    fixture_t *f = fixture_new();
    uint64_t draw = 12345;
    for (int i = 0; i < DELAYED; i++) {
        draw = draw * 6364136223846793005u + 1442695040888963407u;
        add(f, "t", 1000 + (int64_t)(draw >> 33) % 40);
    }
    write_all(f);
    assert_null(outbox_take_due(&f->bridge, 999));
    int64_t last_ms = 0, last_number = 0;
    for (int i = 0; i < DELAYED; i++) {
        outbox_record_t *r = outbox_take_due(&f->bridge, 2000);
        assert_non_null(r);
        assert_int_equal(r->state, RECORD_DELAYED);
        assert_true(r->due_ms > last_ms || (r->due_ms == last_ms && r->number > last_number));
        last_ms = r->due_ms;
        last_number = r->number;
        r->due_ms = 0;
        outbox_queue(&f->bridge, r);
    }
    assert_null(outbox_take_due(&f->bridge, 2000));
    fixture_free(f);
}

static void nothing_comes_before_its_time(void **state)
{
    fixture_t *f = fixture_new();
    add(f, "t", 500);
    add(f, "t", 100);
    write_all(f);
    assert_null(outbox_take_due(&f->bridge, 99));
    outbox_record_t *first = outbox_take_due(&f->bridge, 100);
    assert_int_equal(first->number, 2);
    assert_null(outbox_take_due(&f->bridge, 499));
    outbox_record_t *second = outbox_take_due(&f->bridge, 500);
    assert_int_equal(second->number, 1);
    second->due_ms = first->due_ms = 0;
    outbox_queue(&f->bridge, first);
    outbox_queue(&f->bridge, second);
    fixture_free(f);
}

/* The bound of the outbox is about these. */
static void bytes_are_counted_in_and_out(void **state)
{
    fixture_t *f = fixture_new();
    outbox_record_t *one = add(f, "t", 0), *other = add(f, "t", 0);
    assert_int_equal(f->bridge.bytes, one->bytes + other->bytes);
    assert_true(outbox_waiting_bytes(&f->bridge) >= f->bridge.bytes);
    write_all(f);
    outbox_forget(&f->bridge, one);
    assert_int_equal(f->bridge.bytes, other->bytes);
    outbox_forget(&f->bridge, other);
    assert_int_equal(f->bridge.bytes, 0);
    assert_int_equal(f->bridge.count, 0);
    assert_int_equal(outbox_waiting_bytes(&f->bridge), 0);
    fixture_free(f);
}

static void a_topic_goes_when_nothing_of_it_is_left(void **state)
{
    fixture_t *f = fixture_new();
    outbox_record_t *r = add(f, "t", 0);
    write_all(f);
    outbox_topic_t *t = LIST_FIRST(&f->bridge.topics, outbox_topic_t, node);
    outbox_topic_release(&f->bridge, t); /* it has a record */
    assert_false(list_empty(&f->bridge.topics));
    outbox_forget(&f->bridge, r);
    t->sent = true; /* an answer about it is on its way */
    outbox_topic_release(&f->bridge, t);
    assert_false(list_empty(&f->bridge.topics));
    t->sent = false;
    t->creating = true;
    outbox_topic_release(&f->bridge, t);
    assert_false(list_empty(&f->bridge.topics));
    t->creating = false;
    outbox_topic_release(&f->bridge, t);
    assert_true(list_empty(&f->bridge.topics));
    assert_null(map_get(&f->bridge.topics_by_name, BYTES_LIT("t")));
    fixture_free(f);
}

static void an_error_names_the_record_and_the_code(void **state)
{
    fixture_t *f = fixture_new();
    outbox_record_t *r = add(f, "payments", 0);
    outbox_error(&f->bridge, r, (kafka_code_t)3, "it is gone");
    assert_string_equal(f->bridge.last_error, "record 1 for payments: UNKNOWN_TOPIC_OR_PARTITION it is gone");
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_rise_from_one),
        cmocka_unit_test(numbers_go_on_above_what_was_read_back),
        cmocka_unit_test(a_topic_has_its_records_in_order),
        cmocka_unit_test(the_delayed_come_by_time_then_by_number),
        cmocka_unit_test(nothing_comes_before_its_time),
        cmocka_unit_test(bytes_are_counted_in_and_out),
        cmocka_unit_test(a_topic_goes_when_nothing_of_it_is_left),
        cmocka_unit_test(an_error_names_the_record_and_the_code),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

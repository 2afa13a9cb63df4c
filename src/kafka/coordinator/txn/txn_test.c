/* txn_test.c: what a transactional id goes through, step by step and at random: who may do what when, and that epochs only rise. */
#include "kafka/coordinator/txn/txn.h"

#include "kafka/coordinator/txn/txn_records.h"
#include "kafka_schema.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define TIMEOUT_MS 60000

static int setup(void **state)
{
    txn_t *t = calloc(1, sizeof(*t));
    txn_init(t, 1000, TIMEOUT_MS, 1);
    *state = t;
    return 0;
}

static int teardown(void **state)
{
    txn_deinit(*state);
    free(*state);
    return 0;
}

static txn_producer_t current(const txn_t *t) { return (txn_producer_t){t->now.producer_id, t->now.producer_epoch}; }

/* Each enters the next state when there is one. */
static kafka_code_t begin(txn_t *t, txn_producer_t expected, int64_t fresh)
{
    txn_fields_t next;
    bool needs;
    txn_begin_t in = {expected, TIMEOUT_MS, fresh};
    kafka_code_t error = txn_begin(t, &in, 5, &next, &needs);
    if (!error && needs) return KAFKA_UNKNOWN_PRODUCER_ID;
    if (!error) txn_enter(t, &next, NULL);
    return error;
}

static kafka_code_t add(txn_t *t, txn_producer_t by, const char *topic, int32_t index)
{
    txn_parts_t parts = {.topics = MAP_INIT};
    txn_fields_t next;
    bool there;
    txn_parts_add(&parts, bytes_str(topic), index);
    kafka_code_t error = txn_add(t, by, &parts, 10, &next, &there);
    if (!error && !there) txn_enter(t, &next, &parts);
    txn_parts_clear(&parts);
    return error;
}

static kafka_code_t end(txn_t *t, txn_producer_t by, bool commits, int16_t version, int64_t fresh)
{
    txn_fields_t next;
    bool done, needs;
    txn_end_t in = {by, commits, version, fresh};
    kafka_code_t error = txn_end(t, &in, 20, &next, &done, &needs);
    if (!error && needs) return KAFKA_UNKNOWN_PRODUCER_ID;
    if (!error && !done) txn_enter(t, &next, NULL);
    return error;
}

static void complete(txn_t *t)
{
    txn_fields_t next;
    txn_complete(t, 30, &next);
    txn_enter(t, &next, NULL);
}

static void the_first_protocol_keeps_the_epoch_over_transactions(void **state)
{
    txn_t *t = *state;
    assert_int_equal(begin(t, TXN_NO_PRODUCER, -1), KAFKA_NONE);
    txn_producer_t p = current(t);
    assert_int_equal(p.epoch, 0);
    assert_int_equal(end(t, p, true, 0, -1), KAFKA_INVALID_TXN_STATE);
    assert_int_equal(add(t, p, "a", 0), KAFKA_NONE);
    assert_int_equal(add(t, p, "a", 0), KAFKA_NONE);
    assert_int_equal(add(t, p, "b", 3), KAFKA_NONE);
    assert_int_equal(t->parts.count, 2);
    assert_int_equal(txn_verify(t, p, BYTES_LIT("b"), 3), KAFKA_NONE);
    assert_int_equal(txn_verify(t, p, BYTES_LIT("b"), 2), KAFKA_TRANSACTION_ABORTABLE);
    assert_int_equal(end(t, p, true, 0, -1), KAFKA_NONE);
    assert_int_equal(t->now.state, TXN_PREPARE_COMMIT);
    assert_int_equal(add(t, p, "a", 0), KAFKA_CONCURRENT_TRANSACTIONS);
    assert_int_equal(txn_verify(t, p, BYTES_LIT("b"), 3), KAFKA_CONCURRENT_TRANSACTIONS);
    assert_int_equal(end(t, p, true, 0, -1), KAFKA_CONCURRENT_TRANSACTIONS);
    assert_int_equal(end(t, p, false, 0, -1), KAFKA_INVALID_TXN_STATE);
    assert_int_equal(begin(t, TXN_NO_PRODUCER, -1), KAFKA_CONCURRENT_TRANSACTIONS);
    complete(t);
    assert_int_equal(t->now.state, TXN_COMPLETE_COMMIT);
    assert_int_equal(t->parts.count, 0);
    assert_int_equal(end(t, p, true, 0, -1), KAFKA_NONE); /* it did not hear of it */
    assert_int_equal(end(t, p, false, 0, -1), KAFKA_INVALID_TXN_STATE);
    assert_int_equal(current(t).epoch, 0);
}

static void the_second_protocol_brings_an_epoch_with_each_end(void **state)
{
    txn_t *t = *state;
    assert_int_equal(begin(t, TXN_NO_PRODUCER, -1), KAFKA_NONE);
    txn_producer_t p = current(t);
    assert_int_equal(add(t, p, "a", 0), KAFKA_NONE);
    assert_int_equal(end(t, p, true, 2, -1), KAFKA_NONE);
    assert_int_equal(current(t).epoch, 1);
    assert_int_equal(end(t, p, true, 2, -1), KAFKA_CONCURRENT_TRANSACTIONS);
    complete(t);
    assert_int_equal(end(t, p, true, 2, -1), KAFKA_NONE); /* again, with the epoch from before */
    assert_int_equal(end(t, p, false, 2, -1), KAFKA_INVALID_TXN_STATE);
    assert_int_equal(add(t, p, "a", 0), KAFKA_PRODUCER_FENCED);
    p = current(t);
    assert_int_equal(end(t, p, false, 2, -1), KAFKA_NONE); /* nothing was written: a new epoch all the same */
    assert_int_equal(t->now.state, TXN_PREPARE_ABORT);
    complete(t);
    assert_int_equal(current(t).epoch, 2);
}

static void epochs_that_are_used_up_bring_another_id(void **state)
{
    txn_t *t = *state;
    t->now.producer_epoch = INT16_MAX - 1;
    txn_producer_t p = current(t);
    assert_int_equal(add(t, p, "a", 0), KAFKA_NONE);
    assert_int_equal(end(t, p, true, 2, -1), KAFKA_UNKNOWN_PRODUCER_ID);
    assert_int_equal(end(t, p, true, 2, 2000), KAFKA_NONE);
    assert_int_equal(t->now.producer_id, 1000); /* the markers are its */
    assert_int_equal(t->now.producer_epoch, INT16_MAX);
    assert_int_equal(t->now.next_producer_id, 2000);
    complete(t);
    assert_int_equal(t->now.producer_id, 2000);
    assert_int_equal(t->now.producer_epoch, 0);
    assert_int_equal(end(t, p, true, 2, -1), KAFKA_NONE); /* it did not hear of it */
    t->now.producer_epoch = INT16_MAX - 1;
    p = current(t);
    assert_int_equal(begin(t, p, -1), KAFKA_UNKNOWN_PRODUCER_ID);
    assert_int_equal(begin(t, p, 3000), KAFKA_NONE);
    assert_int_equal(current(t).id, 3000);
    assert_int_equal(begin(t, p, -1), KAFKA_NONE); /* likewise */
    assert_int_equal(current(t).epoch, 0);
}

static void who_begins_ends_what_was_open(void **state)
{
    txn_t *t = *state;
    assert_int_equal(begin(t, TXN_NO_PRODUCER, -1), KAFKA_NONE);
    txn_producer_t old = current(t);
    assert_int_equal(add(t, old, "a", 0), KAFKA_NONE);
    assert_int_equal(begin(t, TXN_NO_PRODUCER, -1), KAFKA_NONE);
    assert_int_equal(t->now.state, TXN_PREPARE_ABORT);
    assert_true(current(t).epoch > old.epoch);
    complete(t);
    assert_int_equal(begin(t, TXN_NO_PRODUCER, -1), KAFKA_NONE);
    assert_int_equal(add(t, old, "a", 0), KAFKA_PRODUCER_FENCED);
    assert_int_equal(begin(t, old, -1), KAFKA_PRODUCER_FENCED);
    txn_producer_t now = current(t);
    assert_int_equal(begin(t, now, -1), KAFKA_NONE);
    assert_int_equal(begin(t, now, -1), KAFKA_NONE); /* it did not hear of it */
    assert_int_equal(current(t).epoch, now.epoch + 1);
    assert_int_equal(begin(t, (txn_producer_t){77, 0}, -1), KAFKA_PRODUCER_FENCED);
}

static void a_step_that_is_being_stored_lets_nothing_begin(void **state)
{
    txn_t *t = *state;
    assert_int_equal(begin(t, TXN_NO_PRODUCER, -1), KAFKA_NONE);
    txn_producer_t p = current(t);
    t->pending = true;
    assert_int_equal(begin(t, p, -1), KAFKA_CONCURRENT_TRANSACTIONS);
    assert_int_equal(add(t, p, "a", 0), KAFKA_CONCURRENT_TRANSACTIONS);
    assert_int_equal(end(t, p, true, 0, -1), KAFKA_CONCURRENT_TRANSACTIONS);
    assert_false(txn_is_old(t, INT64_MAX, 1));
}

/* ---- at random, stored and read back at every step ------------------------------------------------------------------- */

static void store_and_read(txn_t *t)
{
    runtime_batch_t batch = runtime_batch(1);
    txn_record_t record;
    record_iter_t iter;
    record_t stored;
    arena_t arena;
    size_t bytes;
    arena_init(&arena, 0);
    txn_records_add(&batch, BYTES_LIT("id"), &t->now, &t->parts, NULL);
    uint8_t *whole = record_builder_finish(&batch.builder, 0, RECORD_NO_PRODUCER, &bytes);
    assert_int_equal(record_iter_init(&iter, bytes_of(whole, bytes), MIB(1)), 0);
    assert_int_equal(record_iter_next(&iter, &stored), 0);
    assert_int_equal(txn_record_decode(stored.key, stored.value, &arena, &record), 0);
    assert_true(bytes_eq(record.id, BYTES_LIT("id")));
    assert_int_equal(record.fields.state, t->now.state);
    assert_int_equal(record.fields.producer_id, t->now.producer_id);
    assert_int_equal(record.fields.previous_producer_id, t->now.previous_producer_id);
    assert_int_equal(record.fields.next_producer_id, t->now.next_producer_id);
    assert_int_equal(record.fields.producer_epoch, t->now.producer_epoch);
    assert_int_equal(record.fields.client_version, t->now.client_version);
    assert_int_equal(record.fields.timeout_ms, t->now.timeout_ms);
    assert_int_equal(record.fields.start_ms, t->now.start_ms);
    assert_int_equal(record.fields.update_ms, t->now.update_ms);
    txn_parts_t parts = {.topics = MAP_INIT};
    txn_record_parts(&record, &parts);
    assert_int_equal(parts.count, t->parts.count);
    assert_true(txn_parts_has_all(&parts, &t->parts));
    txn_parts_clear(&parts);
    record_iter_deinit(&iter);
    record_builder_deinit(&batch.builder);
    arena_deinit(&arena);
}

static void any_order_of_requests_leaves_a_state_that_goes_on(void **state)
{
    txn_t *t = *state;
    unsigned seed = 1;
    int64_t fresh = 5000;
    for (int i = 0; i < 30000; i++) {
        int64_t id = t->now.producer_id;
        int16_t epoch = t->now.producer_epoch;
        txn_producer_t by = {id - (rand_r(&seed) % 8 == 0), (int16_t)(epoch - rand_r(&seed) % 3)};
        if (rand_r(&seed) % 200 == 0 && epoch >= 0 && t->now.state != TXN_PREPARE_ABORT)
            t->now.producer_epoch = epoch = INT16_MAX - 1;
        switch (rand_r(&seed) % 5) {
        case 0: (void)!begin(t, rand_r(&seed) % 2 ? TXN_NO_PRODUCER : by, fresh++); break;
        case 1: (void)!add(t, by, rand_r(&seed) % 2 ? "a" : "b", rand_r(&seed) % 5); break;
        case 2: (void)!end(t, by, rand_r(&seed) % 2, rand_r(&seed) % 2 ? 2 : 0, fresh++); break;
        default:
            if (txn_is_prepared(t)) complete(t);
        }
        assert_true(t->now.producer_id > id || (t->now.producer_id == id && t->now.producer_epoch >= epoch));
        assert_true(t->now.state <= TXN_COMPLETE_ABORT);
        bool open = t->now.state == TXN_ONGOING || txn_is_prepared(t);
        assert_true(open || t->parts.count == 0);
        if (i % 10 == 0) store_and_read(t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(the_first_protocol_keeps_the_epoch_over_transactions),
        TEST(the_second_protocol_brings_an_epoch_with_each_end),
        TEST(epochs_that_are_used_up_bring_another_id),
        TEST(who_begins_ends_what_was_open),
        TEST(a_step_that_is_being_stored_lets_nothing_begin),
        TEST(any_order_of_requests_leaves_a_state_that_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

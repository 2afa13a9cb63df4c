/* producer_state_test.c: what idempotent producers are promised. */
#include "kafka/errors.h"
#include "kafka/partition/producer_state.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static batch_header_t batch(int64_t id, int16_t epoch, int32_t sequence, int32_t count, int64_t offset)
{
    return (batch_header_t){.base_offset = offset,
                            .last_offset_delta = count - 1,
                            .count = count,
                            .producer_id = id,
                            .producer_epoch = epoch,
                            .base_sequence = sequence,
                            .max_timestamp = 1000 + offset};
}

static kafka_code_t check(producers_t *p, batch_header_t b, const producer_batch_t **ret_duplicate)
{
    char message[PRODUCER_MESSAGE_BYTES_MAX];
    return producers_check(p, &b, ret_duplicate, message);
}

static void note(producers_t *p, batch_header_t b) { producers_note(p, &b); }

static void the_last_five_batches_are_recognised_when_they_come_again(void **state)
{
    producers_t p;
    producers_init(&p);
    const producer_batch_t *duplicate;
    for (int i = 0; i < 7; i++) {
        assert_int_equal(check(&p, batch(9, 0, i * 10, 10, i * 10), &duplicate), KAFKA_NONE);
        assert_null(duplicate);
        note(&p, batch(9, 0, i * 10, 10, i * 10));
    }
    for (int i = 2; i < 7; i++) {
        assert_int_equal(check(&p, batch(9, 0, i * 10, 10, 0), &duplicate), KAFKA_NONE);
        assert_non_null(duplicate);
        assert_int_equal(duplicate->last_offset - duplicate->offset_delta, i * 10);
    }
    assert_int_equal(check(&p, batch(9, 0, 10, 10, 0), &duplicate), KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER);
    assert_int_equal(check(&p, batch(9, 0, 60, 9, 0), &duplicate), KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER);
    assert_int_equal(check(&p, batch(9, 0, 80, 1, 0), &duplicate), KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER);
    assert_int_equal(check(&p, batch(9, 0, 70, 1, 0), &duplicate), KAFKA_NONE);
    producers_deinit(&p);
}

static void sequences_wrap_behind_the_largest(void **state)
{
    producers_t p;
    producers_init(&p);
    const producer_batch_t *duplicate;
    assert_int_equal(check(&p, batch(1, 0, INT32_MAX - 2, 5, 0), &duplicate), KAFKA_NONE); /* unknown: anywhere */
    note(&p, batch(1, 0, INT32_MAX - 2, 5, 0));                                            /* MAX-2, MAX-1, MAX, 0, 1 */
    assert_int_equal(check(&p, batch(1, 0, INT32_MAX - 2, 5, 0), &duplicate), KAFKA_NONE);
    assert_non_null(duplicate);
    assert_int_equal(check(&p, batch(1, 0, 2, 1, 5), &duplicate), KAFKA_NONE);
    assert_null(duplicate);
    note(&p, batch(2, 0, INT32_MAX, 1, 5));
    assert_int_equal(check(&p, batch(2, 0, 0, 1, 6), &duplicate), KAFKA_NONE);
    producers_deinit(&p);
}

static void a_new_epoch_begins_at_zero_and_an_old_one_is_fenced(void **state)
{
    producers_t p;
    producers_init(&p);
    const producer_batch_t *duplicate;
    note(&p, batch(1, 3, 0, 10, 0));
    assert_int_equal(check(&p, batch(1, 2, 10, 1, 0), &duplicate), KAFKA_INVALID_PRODUCER_EPOCH);
    assert_int_equal(check(&p, batch(1, 4, 10, 1, 0), &duplicate), KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER);
    assert_int_equal(check(&p, batch(1, 4, 0, 1, 0), &duplicate), KAFKA_NONE);
    note(&p, batch(1, 4, 0, 1, 10));
    assert_int_equal(check(&p, batch(1, 4, 0, 10, 0), &duplicate), KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER);
    assert_int_equal(check(&p, batch(1, 4, 1, 1, 0), &duplicate), KAFKA_NONE);
    producers_deinit(&p);
}

static void snapshots_give_the_state_back_and_damage_is_noticed(void **state)
{
    producers_t p, q;
    producers_init(&p);
    producers_init(&q);
    const producer_batch_t *duplicate;
    buf_t text = BUF_INIT;
    for (int64_t id = 0; id < 100; id++) note(&p, batch(id, 1, 7, 5, id * 5));
    producers_encode(&p, &text);
    assert_int_equal(text.len, 10 + 100 * 46);
    assert_int_equal(producers_decode(&q, buf_bytes(&text)), 0);
    for (int64_t id = 0; id < 100; id++) {
        assert_int_equal(check(&q, batch(id, 1, 7, 5, 0), &duplicate), KAFKA_NONE);
        assert_non_null(duplicate);
        assert_int_equal(duplicate->last_offset, id * 5 + 4);
    }
    for (size_t at = 0; at < text.len; at += 7) {
        text.ptr[at] ^= 1;
        assert_int_equal(producers_decode(&q, buf_bytes(&text)), ERR_CORRUPT);
        text.ptr[at] ^= 1;
    }
    for (size_t n = 0; n < text.len; n += 11)
        assert_int_equal(producers_decode(&q, bytes_of(text.ptr, n)), ERR_CORRUPT);
    buf_deinit(&text);
    producers_deinit(&p);
    producers_deinit(&q);
}

static void idle_producers_are_forgotten(void **state)
{
    producers_t p;
    producers_init(&p);
    for (int64_t id = 0; id < 100; id++) note(&p, batch(id, 1, 7, 5, id));
    producers_expire(&p, 1150, 100);
    assert_int_equal(p.by_id.count, 49);
    assert_null(producers_get(&p, 50));
    assert_non_null(producers_get(&p, 51));
    producers_deinit(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_last_five_batches_are_recognised_when_they_come_again),
        cmocka_unit_test(sequences_wrap_behind_the_largest),
        cmocka_unit_test(a_new_epoch_begins_at_zero_and_an_old_one_is_fenced),
        cmocka_unit_test(snapshots_give_the_state_back_and_damage_is_noticed),
        cmocka_unit_test(idle_producers_are_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

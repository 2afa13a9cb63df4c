/* batch_test.c: a batch's header byte by byte, as Kafka writes it, and what is refused. */
#include "wire/batch.h"

#include "base/hash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* Each byte is its own place, so that a field that is read or written a byte beside its own shows. */
static const uint8_t golden[BATCH_HEADER_BYTES] = {
    0,  1,  2,  3,  4,  5,  6,  7,  /* base offset */
    8,  9,  10, 11,                 /* length */
    12, 13, 14, 15,                 /* leader epoch */
    2,                              /* magic */
    17, 18, 19, 20,                 /* crc */
    21, 22,                         /* attributes */
    23, 24, 25, 26,                 /* last offset delta */
    27, 28, 29, 30, 31, 32, 33, 34, /* base timestamp */
    35, 36, 37, 38, 39, 40, 41, 42, /* max timestamp */
    43, 44, 45, 46, 47, 48, 49, 50, /* producer id */
    51, 52,                         /* producer epoch */
    53, 54, 55, 56,                 /* base sequence */
    57, 58, 59, 60,                 /* count */
};

static void a_header_is_read_and_written_byte_by_byte(void **state)
{
    batch_header_t h;
    uint8_t out[BATCH_HEADER_BYTES];
    assert_int_equal(batch_header_read(bytes_of(golden, sizeof(golden)), &h), 0);
    assert_int_equal(h.base_offset, 0x0001020304050607);
    assert_int_equal(h.length, 0x08090a0b);
    assert_int_equal(h.leader_epoch, 0x0c0d0e0f);
    assert_int_equal(h.magic, 2);
    assert_int_equal(h.crc, 0x11121314);
    assert_int_equal(h.attributes, 0x1516);
    assert_int_equal(h.last_offset_delta, 0x1718191a);
    assert_int_equal(h.base_timestamp, 0x1b1c1d1e1f202122);
    assert_int_equal(h.max_timestamp, 0x232425262728292a);
    assert_int_equal(h.producer_id, 0x2b2c2d2e2f303132);
    assert_int_equal(h.producer_epoch, 0x3334);
    assert_int_equal(h.base_sequence, 0x35363738);
    assert_int_equal(h.count, 0x393a3b3c);
    batch_header_write(out, &h);
    assert_memory_equal(out, golden, sizeof(golden));
    assert_int_equal(batch_peek_length(bytes_of(golden, BATCH_OVERHEAD_BYTES)), h.length);
    assert_int_equal(batch_peek_attributes(bytes_of(golden, sizeof(golden))), h.attributes);
}

static void a_sealed_batch_has_its_length_and_a_checksum_over_all_behind_it(void **state)
{
    uint8_t batch[BATCH_HEADER_BYTES + 10] = {0};
    batch_header_t h = BATCH_HEADER_NONE;
    h.count = 1;
    batch_header_write(batch, &h);
    memset(batch + BATCH_HEADER_BYTES, 7, 10);
    batch_seal(batch, sizeof(batch));
    assert_true(batch_crc_ok(bytes_of(batch, sizeof(batch))));
    assert_int_equal(load_be32(batch + 17), crc32c(0, batch + 21, sizeof(batch) - 21));
    assert_int_equal(batch_header_read(bytes_of(batch, sizeof(batch)), &h), 0);
    assert_int_equal(batch_bytes(&h), sizeof(batch));
    batch_set_place(batch, 1234567890123, 9); /* not under the checksum */
    assert_true(batch_crc_ok(bytes_of(batch, sizeof(batch))));
    assert_int_equal(batch_header_read(bytes_of(batch, sizeof(batch)), &h), 0);
    assert_int_equal(h.base_offset, 1234567890123);
    assert_int_equal(h.leader_epoch, 9);
    for (size_t at = 21; at < sizeof(batch); at++) {
        batch[at] ^= 1;
        assert_false(batch_crc_ok(bytes_of(batch, sizeof(batch))));
        batch[at] ^= 1;
    }
}

static int read_with(const batch_header_t *h, size_t bytes)
{
    uint8_t out[BATCH_HEADER_BYTES];
    batch_header_t again;
    batch_header_write(out, h);
    return batch_header_read(bytes_of(out, bytes), &again);
}

static void what_no_batch_can_be_is_refused(void **state)
{
    batch_header_t good = BATCH_HEADER_NONE, h;
    good.length = BATCH_HEADER_BYTES - BATCH_OVERHEAD_BYTES;
    assert_int_equal(read_with(&good, BATCH_HEADER_BYTES), 0);
    for (size_t n = 0; n < BATCH_HEADER_BYTES; n++) assert_int_equal(read_with(&good, n), ERR_TRUNCATED);
    h = good, h.magic = 1;
    assert_int_equal(read_with(&h, BATCH_HEADER_BYTES), ERR_UNSUPPORTED);
    h = good, h.magic = 3;
    assert_int_equal(read_with(&h, BATCH_HEADER_BYTES), ERR_CORRUPT);
    h = good, h.magic = -1;
    assert_int_equal(read_with(&h, BATCH_HEADER_BYTES), ERR_CORRUPT);
    h = good, h.length--;
    assert_int_equal(read_with(&h, BATCH_HEADER_BYTES), ERR_CORRUPT);
    h = good, h.length = INT32_MAX - BATCH_OVERHEAD_BYTES + 1;
    assert_int_equal(read_with(&h, BATCH_HEADER_BYTES), ERR_CORRUPT);
    h = good, h.base_offset = -1;
    assert_int_equal(read_with(&h, BATCH_HEADER_BYTES), ERR_CORRUPT);
    h = good, h.last_offset_delta = -1;
    assert_int_equal(read_with(&h, BATCH_HEADER_BYTES), ERR_CORRUPT);
    h = good, h.base_offset = INT64_MAX - 5, h.last_offset_delta = 5;
    assert_int_equal(read_with(&h, BATCH_HEADER_BYTES), ERR_CORRUPT);
    uint8_t high_magic[17] = {[16] = 0x82};
    assert_int_equal(batch_peek_magic(bytes_of(high_magic, 17)), 0x82);
    assert_int_equal(batch_peek_magic(bytes_of(high_magic, 16)), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_header_is_read_and_written_byte_by_byte),
        cmocka_unit_test(a_sealed_batch_has_its_length_and_a_checksum_over_all_behind_it),
        cmocka_unit_test(what_no_batch_can_be_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

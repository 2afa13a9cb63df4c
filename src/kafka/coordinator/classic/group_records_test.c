/* group_records_test.c: the records of __consumer_offsets byte by byte, the table of offsets, and Kafka's
 * choice of a partition. */
#include "kafka/coordinator/classic/group_records.h"
#include "kafka/coordinator/classic/group_test_host.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static runtime_batch_t records_at(int64_t now_ms) { return (runtime_batch_t){RECORD_BUILDER_INIT, now_ms}; }

/* The only record of a finished batch. */
static record_t only_record(runtime_batch_t *records, record_iter_t *iter)
{
    size_t bytes;
    uint8_t *batch = record_builder_finish(&records->builder, 0, RECORD_NO_PRODUCER, &bytes);
    assert_true(batch_crc_ok(bytes_of(batch, bytes)));
    assert_int_equal(record_iter_init(iter, bytes_of(batch, bytes), MIB(1)), 0);
    record_t record, none;
    assert_int_equal(record_iter_next(iter, &record), 0);
    assert_int_equal(record_iter_next(iter, &none), ERR_NOT_FOUND);
    return record;
}

static void assert_bytes(bytes_t actual, const char *expected, size_t len)
{
    assert_int_equal(actual.len, len);
    assert_memory_equal(actual.ptr, expected, len);
}

static void an_offset_is_key_1_and_value_3(void **state)
{
    runtime_batch_t records = records_at(1000);
    group_offset_t offset = {
        .offset = 42, .leader_epoch = 7, .metadata = BYTES_LIT("note"), .commit_ms = 1000, .expire_ms = -1};
    group_records_add_offset(&records, BYTES_LIT("g"), BYTES_LIT("top"), 3, &offset);
    record_iter_t iter;
    record_t record = only_record(&records, &iter);
    static const char key[] = "\0\1"
                              "\0\1g"
                              "\0\3top"
                              "\0\0\0\3";
    static const char value[] = "\0\3"
                                "\0\0\0\0\0\0\0\x2a"
                                "\0\0\0\7"
                                "\0\4note"
                                "\0\0\0\0\0\0\x03\xe8";
    assert_bytes(record.key, key, sizeof(key) - 1);
    assert_bytes(record.value, value, sizeof(value) - 1);
    assert_true(record.timestamp_ms == 1000);
    record_iter_deinit(&iter);
    record_builder_deinit(&records.builder);
}

static void an_offset_with_an_expiry_is_value_1(void **state)
{
    runtime_batch_t records = records_at(1000);
    group_offset_t offset = {.offset = 1, .leader_epoch = 7, .commit_ms = 1000, .expire_ms = 1001};
    group_records_add_offset(&records, BYTES_LIT("g"), BYTES_LIT("t"), 0, &offset);
    record_iter_t iter;
    record_t record = only_record(&records, &iter);
    static const char value[] = "\0\1"
                                "\0\0\0\0\0\0\0\1"
                                "\0\0"
                                "\0\0\0\0\0\0\x03\xe8"
                                "\0\0\0\0\0\0\x03\xe9";
    assert_bytes(record.value, value, sizeof(value) - 1);
    record_iter_deinit(&iter);
    record_builder_deinit(&records.builder);
}

static group_record_t decoded(record_t record, arena_t *arena)
{
    group_record_t out;
    assert_int_equal(group_record_decode(record.key, record.value, arena, &out), 0);
    return out;
}

static void tombstones_have_a_key_and_no_value(void **state)
{
    arena_t arena;
    arena_init(&arena, MIB(1));
    runtime_batch_t records = records_at(1000);
    group_records_add_offset(&records, BYTES_LIT("g"), BYTES_LIT("t"), 5, NULL);
    record_iter_t iter;
    group_record_t offset = decoded(only_record(&records, &iter), &arena);
    assert_int_equal(offset.kind, GROUP_RECORD_OFFSET);
    assert_true(offset.tombstone);
    assert_int_equal(offset.partition, 5);
    record_iter_deinit(&iter);
    record_builder_reset(&records.builder);
    group_records_add_group_tombstone(&records, BYTES_LIT("g"));
    group_record_t group = decoded(only_record(&records, &iter), &arena);
    assert_int_equal(group.kind, GROUP_RECORD_GROUP);
    assert_true(group.tombstone);
    assert_true(bytes_eq(group.group_id, BYTES_LIT("g")));
    record_iter_deinit(&iter);
    record_builder_deinit(&records.builder);
    arena_deinit(&arena);
}

static void a_stored_group_loads_as_it_was(void **state)
{
    test_host_t *h = test_host_new(), *again = test_host_new();
    int join = test_join(h, (test_member_t){.instance = "i"});
    test_host_advance(h, 0);
    h->hold_stores = true;
    char text[200];
    snprintf(text, sizeof(text), "%s=mine", h->replies[join].member_id);
    test_sync(h, h->replies[join].member_id, "i", 1, text);
    runtime_batch_t records = records_at(1000);
    group_records_add_group(&records, h->group, h->stores[0]); /* the assignment that is being stored */
    record_iter_t iter;
    arena_t arena;
    arena_init(&arena, MIB(1));
    group_record_t record = decoded(only_record(&records, &iter), &arena);
    assert_int_equal(group_record_load(again->group, record.group), 0);
    group_load_end(again->group, again->now);
    assert_int_equal(again->group->state, GROUP_STABLE);
    assert_int_equal(again->group->generation, 1);
    assert_true(again->group->state_since_ms == h->group->state_since_ms);
    group_member_t *m = again->group->leader;
    assert_true(bytes_eq(m->id, bytes_str(h->replies[join].member_id)));
    assert_true(bytes_eq(m->instance_id, BYTES_LIT("i")));
    assert_true(bytes_eq(m->assignment, BYTES_LIT("mine")));
    assert_true(bytes_eq(m->client_host, BYTES_LIT("/127.0.0.1")));
    assert_true(bytes_eq(group_member_metadata(m, BYTES_LIT("range")), BYTES_LIT("m-range")));
    record_iter_deinit(&iter);
    record_builder_deinit(&records.builder);
    arena_deinit(&arena);
    test_host_flush(h);
    test_host_free(h);
    test_host_free(again);
}

static void garbage_is_refused_and_other_kinds_are_skipped(void **state)
{
    arena_t arena;
    arena_init(&arena, MIB(1));
    group_record_t out;
    assert_int_equal(group_record_decode(BYTES_LIT(""), BYTES_LIT("x"), &arena, &out), ERR_TRUNCATED);
    assert_int_equal(group_record_decode(BYTES_LIT("\0\1\0\5g"), BYTES_LIT("x"), &arena, &out), ERR_TRUNCATED);
    assert_int_equal(group_record_decode(BYTES_LIT("\0\2\0\1g"), BYTES_LIT("\0\7"), &arena, &out), ERR_INVALID);
    assert_int_equal(group_record_decode(BYTES_LIT("\0\3\0\1g"), BYTES_LIT("\0\0"), &arena, &out), 0);
    assert_int_equal(out.kind, GROUP_RECORD_OTHER);
    arena_deinit(&arena);
}

static void offsets_are_found_replaced_and_removed(void **state)
{
    group_offsets_t offsets = {0};
    for (int32_t i = 0; i < 100; i++) {
        group_offset_t value = {.offset = i, .metadata = i % 2 ? BYTES_LIT("odd") : BYTES_NULL};
        group_offsets_put(&offsets, BYTES_LIT("t"), (i * 37) % 100, &value);
    }
    assert_int_equal(offsets.count, 100);
    for (int32_t i = 0; i < 100; i++) {
        const group_offset_t *found = group_offsets_get(&offsets, BYTES_LIT("t"), (i * 37) % 100);
        assert_int_equal(found->offset, i);
        assert_int_equal(found->metadata.len, i % 2 ? 3 : 0);
    }
    group_offsets_put(&offsets, BYTES_LIT("t"), 7, &(group_offset_t){.offset = 1000, .metadata = BYTES_LIT("n")});
    assert_int_equal(offsets.count, 100);
    assert_int_equal(group_offsets_get(&offsets, BYTES_LIT("t"), 7)->offset, 1000);
    assert_false(group_offsets_remove(&offsets, BYTES_LIT("other"), 7));
    for (int32_t i = 0; i < 100; i++) {
        assert_true(group_offsets_remove(&offsets, BYTES_LIT("t"), i));
        assert_false(group_offsets_remove(&offsets, BYTES_LIT("t"), i));
    }
    size_t cursor = 0;
    assert_null(group_offsets_next(&offsets, &cursor));
    group_offsets_deinit(&offsets);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_offset_is_key_1_and_value_3),
        cmocka_unit_test(an_offset_with_an_expiry_is_value_1),
        cmocka_unit_test(tombstones_have_a_key_and_no_value),
        cmocka_unit_test(a_stored_group_loads_as_it_was),
        cmocka_unit_test(garbage_is_refused_and_other_kinds_are_skipped),
        cmocka_unit_test(offsets_are_found_replaced_and_removed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

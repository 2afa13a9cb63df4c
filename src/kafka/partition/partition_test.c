/* partition_test.c: one partition on real files: what it accepts, what it refuses, what a restart leaves. */
#include "base/hash.h"
#include "kafka/partition/opener.h"
#include "kafka/partition/partition_test_host.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

typedef struct fixture {
    kafka_t kafka;
    kafka_topic_t topic;
    kafka_partition_state_t partition_state;
    char dir[128];
    partition_t *p;
    arena_t arena;
    record_builder_t builder;
    partition_appended_t appended;
    int arrivals, arrivals_wanted; /* batches that were told of */
} fixture_t;

static void start(fixture_t *f)
{
    opener_free(f->kafka.opener);
    f->kafka.opener = opener_new(f->kafka.loop);
    slices_init(&f->kafka.slices, f->kafka.loop);
    assert_int_equal(partition_store_open(&f->kafka), 0);
    char why[PARTITION_WHY_CHARS_MAX];
    assert_int_equal(partition_open(&f->topic, 0, &f->p, why), 0);
    partition_store_opened(&f->kafka);
}

static int setup(void **state)
{
    fixture_t *f = calloc(1, sizeof(*f));
    const char *tmp = getenv("TMPDIR");
    snprintf(f->dir, sizeof(f->dir), "%s/trivet-partition-XXXXXX", tmp ? tmp : "/tmp");
    assert_non_null(mkdtemp(f->dir));
    assert_int_equal(io_loop_new_uv(&f->kafka.loop), 0);
    list_init(&f->kafka.topic_listeners);
    health_init(&f->kafka.health, "kafka");
    f->kafka.data_dir = f->dir;
    partition_test_settings(&f->kafka, &f->topic, &f->partition_state);
    f->topic.id.bytes[3] = 7;
    f->topic.config.message_timestamp_after_max_ms = 3600000;
    f->topic.config.retention_ms = 604800000;
    f->topic.config.segment_bytes = 1 << 20;
    arena_init(&f->arena, 0);
    f->builder = RECORD_BUILDER_INIT;
    *state = f;
    start(f);
    return 0;
}

static int teardown(void **state)
{
    fixture_t *f = *state;
    opener_free(f->kafka.opener);
    if (f->p) partition_close(f->p);
    partition_store_close(&f->kafka);
    io_loop_free(f->kafka.loop); /* waits for removals that are under way */
    assert_int_equal(io_loop_new_uv(&f->kafka.loop), 0);
    assert_int_equal(io_remove_tree(f->kafka.loop, f->dir), 0);
    record_builder_deinit(&f->builder);
    arena_deinit(&f->arena);
    io_loop_free(f->kafka.loop);
    free(f);
    return 0;
}

static void restart(fixture_t *f)
{
    partition_close(f->p);
    partition_store_close(&f->kafka);
    start(f);
}

/* `count` records stamped t, t+1 ... from one producer (-1 = none). */
static kafka_code_t append_at(fixture_t *f, int64_t t, int count, record_producer_t producer, int16_t attributes)
{
    size_t bytes;
    for (int i = 0; i < count; i++) {
        record_builder_add(&f->builder, t + i, BYTES_LIT("k"), BYTES_LIT("some value"), NULL, 0);
    }
    uint8_t *batch = record_builder_finish(&f->builder, attributes, producer, &bytes);
    arena_reset(&f->arena);
    return partition_append(f->p, batch, bytes, PARTITION_CLIENT, &f->arena, &f->appended);
}

static kafka_code_t append(fixture_t *f, int count, int64_t id, int32_t sequence)
{
    record_producer_t producer = {id, id < 0 ? -1 : 0, id < 0 ? -1 : sequence};
    return append_at(f, io_wall_ms(f->kafka.loop), count, producer, 0);
}

static void records_are_appended_and_read_back(void **state)
{
    fixture_t *f = *state;
    assert_int_equal(append(f, 3, -1, 0), KAFKA_NONE);
    assert_int_equal(f->appended.base_offset, 0);
    assert_int_equal(append(f, 2, -1, 0), KAFKA_NONE);
    assert_int_equal(f->appended.base_offset, 3);
    assert_int_equal(partition_high_watermark(f->p), 5);
    buf_t out = BUF_INIT;
    int64_t next;
    assert_int_equal(partition_read(f->p, 0, MIB(1), &out, &next), KAFKA_NONE);
    assert_int_equal(next, 5);
    record_iter_t iter;
    record_t r;
    assert_int_equal(record_iter_init(&iter, buf_bytes(&out), MIB(1)), 0);
    assert_int_equal(iter.batch.leader_epoch, 0);
    assert_int_equal(record_iter_next(&iter, &r), 0);
    assert_true(bytes_eq(r.value, BYTES_LIT("some value")));
    record_iter_deinit(&iter);
    buf_deinit(&out);
    assert_int_equal(partition_read(f->p, 6, 1, &out, &next), KAFKA_OFFSET_OUT_OF_RANGE);
}

static void a_repeated_batch_is_stored_once_also_after_a_restart(void **state)
{
    fixture_t *f = *state;
    for (int i = 0; i < 6; i++) assert_int_equal(append(f, 2, 7, i * 2), KAFKA_NONE);
    for (int pass = 0; pass < 3; pass++) {
        assert_int_equal(append(f, 2, 7, 10), KAFKA_NONE);
        assert_true(f->appended.duplicate);
        assert_int_equal(f->appended.base_offset, 10);
        assert_int_equal(partition_log_end_offset(f->p), 12);
        assert_int_equal(append(f, 2, 7, 14), KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER);
        assert_non_null(f->appended.message);
        if (pass == 0) restart(f); /* from the snapshot */
        if (pass == 1) {           /* from the log alone */
            char path[256];
            partition_close(f->p);
            snprintf(path, sizeof(path), "%s/t-0/%020d.snapshot", f->dir, 12);
            assert_int_equal(access(path, F_OK), 0);
            assert_int_equal(unlink(path), 0);
            partition_store_close(&f->kafka);
            start(f);
        }
    }
    assert_int_equal(append(f, 1, 7, 12), KAFKA_NONE);
}

static void bad_batches_are_refused_with_kafkas_codes(void **state)
{
    fixture_t *f = *state;
    int64_t now = io_wall_ms(f->kafka.loop);
    assert_int_equal(append_at(f, now, 1, RECORD_NO_PRODUCER, RECORD_CONTROL), KAFKA_INVALID_RECORD);
    assert_int_equal(append_at(f, now, 1, (record_producer_t){5, 0, 0}, RECORD_TRANSACTIONAL), KAFKA_INVALID_TXN_STATE);
    assert_int_equal(append_at(f, now, 1, (record_producer_t){5, 0, -1}, 0), KAFKA_INVALID_RECORD);
    assert_int_equal(append_at(f, now + 7200000, 3, RECORD_NO_PRODUCER, 0), KAFKA_INVALID_TIMESTAMP);
    assert_int_equal(f->appended.record_errors_count, 3);
    f->topic.config.max_message_bytes = 70;
    assert_int_equal(append(f, 3, -1, 0), KAFKA_MESSAGE_TOO_LARGE);
    f->topic.config.max_message_bytes = 1 << 20;

    size_t bytes;
    record_builder_add(&f->builder, now, BYTES_NULL, BYTES_LIT("x"), NULL, 0);
    uint8_t *b = record_builder_finish(&f->builder, 0, RECORD_NO_PRODUCER, &bytes);
    b[bytes - 1] ^= 1;
    assert_int_equal(partition_append(f->p, b, bytes, PARTITION_CLIENT, &f->arena, &f->appended),
                     KAFKA_CORRUPT_MESSAGE);
    b[bytes - 1] ^= 1;
    store_be32(b + 57, 2);
    store_be32(b + 17, crc32c(0, b + 21, bytes - 21));
    assert_int_equal(partition_append(f->p, b, bytes, PARTITION_CLIENT, &f->arena, &f->appended), KAFKA_INVALID_RECORD);
    store_be32(b + 57, 1);
    store_be32(b + 17, crc32c(0, b + 21, bytes - 21));
    f->topic.config.cleanup_policy = KAFKA_CLEANUP_POLICY_COMPACT;
    assert_int_equal(partition_append(f->p, b, bytes, PARTITION_CLIENT, &f->arena, &f->appended), KAFKA_INVALID_RECORD);
    assert_int_equal(f->appended.record_errors_count, 1);
    f->topic.config.cleanup_policy = KAFKA_CLEANUP_POLICY_DELETE;
    assert_int_equal(partition_append(f->p, b, bytes - 1, PARTITION_CLIENT, &f->arena, &f->appended),
                     KAFKA_CORRUPT_MESSAGE);
    store_be64(b, 5);
    assert_int_equal(partition_append(f->p, b, bytes, PARTITION_CLIENT, &f->arena, &f->appended), KAFKA_INVALID_RECORD);
    assert_int_equal(partition_log_end_offset(f->p), 0);
}

static void is_found(void *user, kafka_code_t error, const partition_offset_t *found)
{
    assert_int_equal(error, KAFKA_NONE);
    *(partition_offset_t *)user = *found;
}

static partition_offset_t find(fixture_t *f, int64_t timestamp_ms)
{
    partition_offset_t found;
    assert_true(partition_offset_for(f->p, timestamp_ms, false, &f->arena, is_found, &found));
    return found;
}

static void log_append_time_stamps_the_batch(void **state)
{
    fixture_t *f = *state;
    f->topic.config.message_timestamp_type = KAFKA_MESSAGE_TIMESTAMP_TYPE_LOGAPPENDTIME;
    assert_int_equal(append_at(f, 12345, 2, RECORD_NO_PRODUCER, 0), KAFKA_NONE);
    assert_true(f->appended.log_append_time_ms > 1000000000000);
    partition_offset_t found;
    found = find(f, f->appended.log_append_time_ms);
    assert_int_equal(found.offset, 0);
    assert_int_equal(found.timestamp_ms, f->appended.log_append_time_ms);
}

static void compression_type_changes_the_codec(void **state)
{
    static const uint32_t types[] = {KAFKA_COMPRESSION_TYPE_UNCOMPRESSED, KAFKA_COMPRESSION_TYPE_GZIP,
                                     KAFKA_COMPRESSION_TYPE_SNAPPY,       KAFKA_COMPRESSION_TYPE_LZ4,
                                     KAFKA_COMPRESSION_TYPE_ZSTD,         KAFKA_COMPRESSION_TYPE_PRODUCER};
    fixture_t *f = *state;
    f->topic.config.compression_gzip_level = -1;
    f->topic.config.compression_lz4_level = 9;
    f->topic.config.compression_zstd_level = 3;
    for (int type = 0; type < 6; type++) {
        int64_t offset = partition_log_end_offset(f->p), next;
        buf_t out = BUF_INIT;
        record_iter_t iter;
        record_t r;
        f->topic.config.compression_type = types[type];
        assert_int_equal(append(f, 50, 7, (int32_t)offset), KAFKA_NONE);
        assert_int_equal(partition_read(f->p, offset, MIB(1), &out, &next), KAFKA_NONE);
        assert_true(batch_crc_ok(buf_bytes(&out)));
        assert_int_equal(record_iter_init(&iter, buf_bytes(&out), MIB(1)), 0);
        assert_int_equal(iter.batch.attributes & RECORD_COMPRESSION_MASK, type == 5 ? 0 : type);
        for (int i = 0; i < 50; i++) {
            assert_int_equal(record_iter_next(&iter, &r), 0);
            assert_int_equal(r.offset, offset + i);
            assert_true(bytes_eq(r.value, BYTES_LIT("some value")));
        }
        assert_int_equal(record_iter_next(&iter, &r), ERR_NOT_FOUND);
        record_iter_deinit(&iter);
        buf_deinit(&out);
    }
}

static void times_find_records(void **state)
{
    fixture_t *f = *state;
    partition_offset_t found;
    found = find(f, -3);
    assert_int_equal(found.offset, -1);
    for (int i = 0; i < 100; i++) assert_int_equal(append_at(f, 1000 + i * 100, 10, RECORD_NO_PRODUCER, 0), KAFKA_NONE);
    for (int64_t t = 0; t < 11000; t += 3) {
        int64_t want = t <= 1000 ? 0 : (t - 1000) / 100 * 10 + (t % 100 < 10 ? t % 100 : 10);
        if (t > 1000 + 99 * 100 + 9) want = -1;
        found = find(f, t);
        assert_int_equal(found.offset, want);
    }
    found = find(f, -1);
    assert_int_equal(found.offset, 1000);
    found = find(f, -3);
    assert_int_equal(found.offset, 999);
    int64_t low;
    assert_int_equal(partition_delete_records(f->p, 25, &low), KAFKA_NONE);
    assert_int_equal(low, 25);
    found = find(f, 0);
    assert_int_equal(found.offset, 25);
    found = find(f, -2);
    assert_int_equal(found.offset, 25);
    restart(f);
    assert_int_equal(partition_log_start_offset(f->p), 25);
    assert_int_equal(partition_delete_records(f->p, 1001, &low), KAFKA_OFFSET_OUT_OF_RANGE);
}

/* ---- batches that are opened off the loop ---- */

typedef struct arrival {
    fixture_t *f;
    int number; /* in which it was told, from 1 on; 0 = not yet */
    kafka_code_t error;
    int64_t base_offset;
} arrival_t;

static void arrived(void *user, kafka_code_t error, const partition_appended_t *appended)
{
    arrival_t *a = user;
    a->number = ++a->f->arrivals;
    a->error = error;
    a->base_offset = appended->base_offset;
    if (a->f->arrivals == a->f->arrivals_wanted) io_loop_stop(a->f->kafka.loop);
}

/* One record of `value_bytes` that compress well: much is opened of few bytes. */
static bool produce_zstd(fixture_t *f, size_t value_bytes, bool damaged, arrival_t *arrival)
{
    size_t bytes;
    buf_t packed = BUF_INIT;
    uint8_t *value = mem_zalloc(value_bytes);
    *arrival = (arrival_t){.f = f};
    record_builder_add(&f->builder, 1, BYTES_NULL, bytes_of(value, value_bytes), NULL, 0);
    uint8_t *b = record_builder_finish(&f->builder, 0, RECORD_NO_PRODUCER, &bytes);
    if (damaged) b[bytes - 1] = 7; /* the count of its headers */
    assert_int_equal(record_recompress(bytes_of(b, bytes), RECORD_ZSTD, 1, MIB(64), &packed), 0);
    bool now = partition_produce(f->p, buf_bytes(&packed), false, PARTITION_UNVERIFIED, &f->arena, arrived, arrival);
    memset(packed.ptr, 0xee, packed.len); /* the caller's memory is gone */
    buf_deinit(&packed);
    mem_free(value);
    return now;
}

/* Of plain bytes, which last until they are told of: `damaged` says that the checksum is not theirs. */
static bool produce_plain(fixture_t *f, size_t value_bytes, bool damaged, buf_t *batch, arrival_t *arrival)
{
    size_t bytes;
    uint8_t *value = mem_zalloc(value_bytes);
    *arrival = (arrival_t){.f = f};
    record_builder_add(&f->builder, 1, BYTES_NULL, bytes_of(value, value_bytes), NULL, 0);
    const uint8_t *built = record_builder_finish(&f->builder, 0, RECORD_NO_PRODUCER, &bytes);
    buf_append(batch, built, bytes);
    mem_free(value);
    if (damaged) batch->ptr[batch->len - 2] ^= 1;
    return partition_produce(f->p, buf_bytes(batch), true, PARTITION_UNVERIFIED, &f->arena, arrived, arrival);
}

static void the_checksum_of_a_large_batch_is_computed_off_the_loop_and_no_copy_is_made(void **state)
{
    fixture_t *f = *state;
    arrival_t a[4];
    buf_t batches[4] = {BUF_INIT, BUF_INIT, BUF_INIT, BUF_INIT};
    f->arrivals_wanted = 4;
    f->topic.config.max_message_bytes = 16 << 20;
    f->topic.config.segment_bytes = 64 << 20;
    partition_configure(f->p);
    size_t before_bytes = f->arena.bytes_used;
    assert_true(produce_plain(f, 10, false, &batches[0], &a[0]));
    assert_false(produce_plain(f, 8 << 20, false, &batches[1], &a[1]));
    assert_false(produce_plain(f, 8 << 20, true, &batches[2], &a[2]));
    assert_false(produce_plain(f, 10, false, &batches[3], &a[3])); /* behind them */
    assert_true(f->arena.bytes_used - before_bytes < (1 << 20));
    io_loop_run(f->kafka.loop);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(a[i].number, i + 1);
        assert_int_equal(a[i].error, i == 2 ? KAFKA_CORRUPT_MESSAGE : KAFKA_NONE);
        assert_int_equal(a[i].base_offset, i == 2 ? -1 : MIN(i, 2));
        buf_deinit(&batches[i]);
    }
}

static void batches_enter_in_their_order_whoever_opens_them(void **state)
{
    fixture_t *f = *state;
    arrival_t a[6];
    f->arrivals_wanted = 6;
    assert_true(produce_zstd(f, 10, false, &a[0]));
    assert_int_equal(a[0].base_offset, 0);
    assert_false(produce_zstd(f, 20 << 20, false, &a[1])); /* too large for the small lane */
    assert_false(produce_zstd(f, 10, false, &a[2]));       /* behind it */
    assert_false(produce_zstd(f, 1 << 20, true, &a[3]));
    assert_false(produce_zstd(f, 1 << 20, false, &a[4]));
    assert_false(produce_zstd(f, 10, false, &a[5]));
    io_loop_run(f->kafka.loop);
    for (int i = 0; i < 6; i++) {
        assert_int_equal(a[i].number, i + 1);
        assert_int_equal(a[i].error, i == 3 ? KAFKA_INVALID_RECORD : KAFKA_NONE);
        assert_int_equal(a[i].base_offset, i == 3 ? -1 : i > 3 ? i - 1 : i);
    }
    assert_true(produce_zstd(f, 10, false, &a[0])); /* nobody is before it any more */
}

static void a_turn_opens_only_so_much(void **state)
{
    fixture_t *f = *state;
    arrival_t a[100];
    int now = 0;
    while (now < 100 && produce_zstd(f, OPENER_INLINE_BYTES_MAX / 2, false, &a[now])) now++;
    assert_in_range(now, 2, OPENER_TURN_BYTES_MAX / (OPENER_INLINE_BYTES_MAX / 2) + 1);
    f->arrivals_wanted = now + 1;
    io_loop_run(f->kafka.loop);
    assert_int_equal(a[now].base_offset, now);
}

static void a_partition_that_closes_ends_what_is_on_its_way(void **state)
{
    fixture_t *f = *state;
    arrival_t a[3];
    for (int i = 0; i < 3; i++) assert_false(produce_zstd(f, 20 << 20, false, &a[i]));
    partition_close(f->p);
    f->p = NULL;
    assert_int_equal(f->arrivals, 2);
    opener_close(f->kafka.opener); /* waits for the one that a thread is at */
    assert_int_equal(f->arrivals, 3);
    for (int i = 0; i < 3; i++) assert_int_equal(a[i].error, KAFKA_NOT_LEADER_OR_FOLLOWER);
}

static void a_broker_that_stops_ends_what_is_on_its_way(void **state)
{
    fixture_t *f = *state;
    arrival_t a[3];
    for (int i = 0; i < 3; i++) assert_false(produce_zstd(f, 20 << 20, false, &a[i]));
    opener_close(f->kafka.opener);
    assert_int_equal(f->arrivals, 3);
    for (int i = 0; i < 3; i++) assert_int_equal(a[i].error, KAFKA_NOT_LEADER_OR_FOLLOWER);
    assert_int_equal(partition_log_end_offset(f->p), 0);
}

typedef struct test_waiter {
    partition_waiter_t waiter;
    partition_commit_t commit;
    fixture_t *f;
    int woken, committed;
} test_waiter_t;

static void wake(partition_waiter_t *waiter, kafka_code_t error)
{
    test_waiter_t *w = CONTAINER_OF(waiter, test_waiter_t, waiter);
    w->woken++;
    if (!error) io_loop_stop(w->f->kafka.loop);
}

static void waiters_are_told_of_news_and_of_the_end(void **state)
{
    fixture_t *f = *state;
    test_waiter_t w = {.f = f, .waiter.wake = wake};
    partition_wait(f->p, &w.waiter);
    assert_int_equal(append(f, 1, -1, 0), KAFKA_NONE);
    assert_int_equal(w.woken, 0);
    io_loop_run(f->kafka.loop);
    assert_int_equal(w.woken, 1);
    partition_wait(f->p, &w.waiter);
    partition_delete(f->p);
    f->p = NULL;
    assert_int_equal(w.woken, 2);
    char path[256];
    snprintf(path, sizeof(path), "%s/t-0", f->dir);
    assert_int_equal(access(path, F_OK), -1);
}

static void committed(partition_commit_t *commit, kafka_code_t error)
{
    test_waiter_t *w = CONTAINER_OF(commit, test_waiter_t, commit);
    assert_int_equal(error, KAFKA_NONE);
    w->committed++;
    io_loop_stop(w->f->kafka.loop);
}

static void flush_messages_holds_the_high_watermark_back(void **state)
{
    fixture_t *f = *state;
    test_waiter_t w = {.f = f};
    f->topic.config.flush_messages = 1;
    partition_configure(f->p);
    assert_int_equal(append(f, 1, -1, 0), KAFKA_NONE);
    assert_true(partition_needs_commit(f->p));
    assert_int_equal(partition_high_watermark(f->p), 0);
    partition_commit(f->p, &w.commit, committed);
    io_loop_run(f->kafka.loop);
    assert_int_equal(w.committed, 1);
    assert_int_equal(partition_high_watermark(f->p), 1);
    assert_int_equal(log_durable_offset(partition_log(f->p)), 1);
}

static void rolled_segments_leave_snapshots_and_retention_lets_them_go(void **state)
{
    fixture_t *f = *state;
    f->topic.config.segment_bytes = 2000;
    partition_configure(f->p);
    for (int i = 0; i < 200; i++) assert_int_equal(append(f, 5, 3, i * 5), KAFKA_NONE);
    assert_true(log_segments_count(partition_log(f->p)) > 10);
    restart(f);
    assert_int_equal(append(f, 5, 3, 995), KAFKA_NONE);
    assert_true(f->appended.duplicate);
    int64_t low;
    assert_int_equal(partition_delete_records(f->p, 900, &low), KAFKA_NONE);
    restart(f);
    assert_int_equal(partition_log_start_offset(f->p), 900);
    assert_int_equal(append(f, 5, 3, 1000), KAFKA_NONE);
    assert_false(f->appended.duplicate);
}

static void a_crash_keeps_what_was_written(void **state)
{
    fixture_t *f = *state;
    char path[256];
    for (int i = 0; i < 50; i++) assert_int_equal(append(f, 5, 3, i * 5), KAFKA_NONE);
    partition_close(f->p);
    partition_store_close(&f->kafka);
    snprintf(path, sizeof(path), "%s/.kafka_cleanshutdown", f->dir);
    assert_int_equal(unlink(path), 0);
    start(f);
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(partition_log_end_offset(f->p), 250);
    assert_int_equal(append(f, 5, 3, 245), KAFKA_NONE);
    assert_true(f->appended.duplicate);
}

static void another_topics_directory_is_set_aside(void **state)
{
    fixture_t *f = *state;
    assert_int_equal(append(f, 1, -1, 0), KAFKA_NONE);
    f->topic.id.bytes[3] = 8;
    restart(f);
    assert_int_equal(partition_log_end_offset(f->p), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(records_are_appended_and_read_back),
        TEST(a_repeated_batch_is_stored_once_also_after_a_restart),
        TEST(bad_batches_are_refused_with_kafkas_codes),
        TEST(log_append_time_stamps_the_batch),
        TEST(compression_type_changes_the_codec),
        TEST(times_find_records),
        TEST(batches_enter_in_their_order_whoever_opens_them),
        TEST(the_checksum_of_a_large_batch_is_computed_off_the_loop_and_no_copy_is_made),
        TEST(a_turn_opens_only_so_much),
        TEST(a_partition_that_closes_ends_what_is_on_its_way),
        TEST(a_broker_that_stops_ends_what_is_on_its_way),
        TEST(waiters_are_told_of_news_and_of_the_end),
        TEST(flush_messages_holds_the_high_watermark_back),
        TEST(rolled_segments_leave_snapshots_and_retention_lets_them_go),
        TEST(a_crash_keeps_what_was_written),
        TEST(another_topics_directory_is_set_aside),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

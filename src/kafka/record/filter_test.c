/* filter_test.c: what compaction leaves of batches: by cases, and random ones against a plain model. */
#include "kafka/record/filter.h"

#include "base/map.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define NOW_MS       1700000000000
#define RETENTION_MS 86400000

typedef struct fixture {
    record_filter_t filter;
    record_fate_t fate;
    record_builder_t builder;
    buf_t out;
} fixture_t;

static const uint8_t hash_key[16] = {1, 2, 3};

static int setup(void **state)
{
    fixture_t *f = calloc(1, sizeof(*f));
    f->filter = (record_filter_t){.now_ms = NOW_MS,
                                  .delete_retention_ms = RETENTION_MS,
                                  .opened_bytes_max = MIB(1),
                                  .levels = {[RECORD_GZIP] = -1, [RECORD_LZ4] = 9, [RECORD_ZSTD] = 3}};
    assert_int_equal(offset_map_init(&f->filter.newest, 1000, MIB(1), 0.9, hash_key), 0);
    while (offset_map_clear(&f->filter.newest)) {
    }
    f->builder = RECORD_BUILDER_INIT;
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fixture_t *f = *state;
    record_filter_deinit(&f->filter);
    record_builder_deinit(&f->builder);
    buf_deinit(&f->out);
    free(f);
    return 0;
}

/* A batch "a=1 b- c=" at an offset: each record a second after the one before it, "b-" a tombstone, "=x" without a key. */
static bytes_t batch_of(fixture_t *f, int64_t base_offset, const char *records, int16_t attributes,
                        record_producer_t producer)
{
    record_header_t header = {BYTES_LIT("h"), BYTES_LIT("v")};
    char copy[256], *save = NULL;
    size_t bytes;
    int64_t at_ms = 1000;
    snprintf(copy, sizeof(copy), "%s", records);
    for (char *word = strtok_r(copy, " ", &save); word; word = strtok_r(NULL, " ", &save), at_ms += 1000) {
        size_t n = strcspn(word, "=-");
        bytes_t key = n > 0 ? bytes_of(word, n) : BYTES_NULL;
        bytes_t value = word[n] == '-' ? BYTES_NULL : bytes_str(word + n + 1);
        record_builder_add(&f->builder, at_ms, key, value, &header, 1);
    }
    uint8_t *batch = record_builder_finish(&f->builder, attributes, producer, &bytes);
    store_be64(batch, (uint64_t)base_offset);
    store_be32(batch + 12, 5); /* leader epoch */
    return bytes_of(batch, bytes);
}

static void note(fixture_t *f, int64_t base_offset, const char *records)
{
    bool full;
    assert_int_equal(record_filter_note(&f->filter, batch_of(f, base_offset, records, 0, RECORD_NO_PRODUCER),
                                        RECORD_FATE_COUNTS, 0, &full),
                     0);
    assert_false(full);
}

static bytes_t filtered(fixture_t *f, bytes_t batch, bool keep_empty)
{
    buf_clear(&f->out);
    assert_int_equal(record_filter_batch(&f->filter, batch, f->fate, keep_empty, &f->out), 0);
    return buf_bytes(&f->out);
}

/* The batch's records as "offset:key=value@time", with what every batch must have in order. */
static const char *shown(bytes_t batch)
{
    static char text[1024];
    record_iter_t iter;
    record_t r;
    size_t n = 0;
    int32_t count = 0;
    text[0] = '\0';
    if (batch.len == 0) return "nothing";
    assert_true(batch_crc_ok(batch));
    assert_int_equal(record_iter_init(&iter, batch, MIB(1)), 0);
    assert_int_equal(batch_bytes(&iter.batch), batch.len);
    for (; record_iter_next(&iter, &r) == 0; count++) {
        bytes_t key, value;
        assert_true(record_header_next(&r.headers, &key, &value) && bytes_eq(value, BYTES_LIT("v")));
        n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%" PRId64 ":%.*s%c%.*s@%" PRId64, count ? " " : "",
                              r.offset, (int)r.key.len, (const char *)r.key.ptr, r.value.ptr ? '=' : '-',
                              (int)r.value.len, (const char *)r.value.ptr, r.timestamp_ms);
    }
    assert_int_equal(count, iter.batch.count);
    record_iter_deinit(&iter);
    return text;
}

static batch_header_t header_of(bytes_t batch)
{
    batch_header_t b;
    assert_int_equal(batch_header_read(batch, &b), 0);
    return b;
}

static void a_record_stays_while_its_key_has_no_newer_one(void **state)
{
    fixture_t *f = *state;
    note(f, 100, "a=1 b=2 a=3");
    note(f, 110, "c=4");
    assert_string_equal(shown(filtered(f, batch_of(f, 100, "a=1 b=2 a=3", 0, RECORD_NO_PRODUCER), false)),
                        "101:b=2@2000 102:a=3@3000");
    assert_string_equal(shown(filtered(f, batch_of(f, 50, "c=0 d=0", 0, RECORD_NO_PRODUCER), false)), "51:d=0@2000");
    assert_string_equal(shown(filtered(f, batch_of(f, 60, "c=0 a=0", 0, RECORD_NO_PRODUCER), false)), "nothing");
}

static void a_batch_that_loses_records_keeps_its_place_and_its_producer(void **state)
{
    fixture_t *f = *state;
    note(f, 200, "a=9 d=9");
    bytes_t left = filtered(f, batch_of(f, 100, "a=1 b=2 c=3 d=4", 0, (record_producer_t){7, 2, 40}), false);
    batch_header_t b = header_of(left);
    assert_string_equal(shown(left), "101:b=2@2000 102:c=3@3000");
    assert_int_equal(b.base_offset, 100);
    assert_int_equal(b.last_offset_delta, 3);
    assert_int_equal(b.leader_epoch, 5);
    assert_int_equal(b.producer_id, 7);
    assert_int_equal(b.producer_epoch, 2);
    assert_int_equal(b.base_sequence, 40);
    assert_int_equal(b.count, 2);
    assert_int_equal(b.base_timestamp, 2000);
    assert_int_equal(b.max_timestamp, 3000);
}

static void a_batch_that_loses_nothing_is_not_touched(void **state)
{
    fixture_t *f = *state;
    note(f, 100, "a=1 b=2");
    bytes_t batch = batch_of(f, 100, "a=1 b=2", 0, RECORD_NO_PRODUCER);
    assert_true(bytes_eq(filtered(f, batch, false), batch));
}

static void a_batch_without_records_stays_as_a_header_where_that_is_asked_for(void **state)
{
    fixture_t *f = *state;
    note(f, 200, "a=9 b=9");
    bytes_t batch = batch_of(f, 100, "a=1 b=2", 0, (record_producer_t){7, 2, 40}), left;
    left = filtered(f, batch, true);
    batch_header_t b = header_of(left);
    assert_int_equal(left.len, BATCH_HEADER_BYTES);
    assert_true(batch_crc_ok(left));
    assert_int_equal(b.base_offset, 100);
    assert_int_equal(batch_last_offset(&b), 101);
    assert_int_equal(b.count, 0);
    assert_int_equal(b.base_sequence, 40);
    assert_int_equal(b.base_timestamp, -1);
    assert_int_equal(b.max_timestamp, 2000);
    buf_t again = BUF_INIT; /* and so it stays, and goes */
    assert_int_equal(record_filter_batch(&f->filter, left, f->fate, true, &again), 0);
    assert_true(bytes_eq(buf_bytes(&again), left));
    buf_clear(&again);
    assert_int_equal(record_filter_batch(&f->filter, left, f->fate, false, &again), 0);
    assert_int_equal(again.len, 0);
    buf_deinit(&again);
}

static void a_tombstone_stays_until_the_horizon_that_its_first_clean_sets(void **state)
{
    fixture_t *f = *state;
    note(f, 100, "a- b=2");
    bytes_t left = filtered(f, batch_of(f, 100, "a- b=2", 0, RECORD_NO_PRODUCER), false);
    batch_header_t b = header_of(left);
    assert_string_equal(shown(left), "100:a-@1000 101:b=2@2000");
    assert_int_equal(b.attributes, RECORD_DELETE_HORIZON);
    assert_int_equal(b.base_timestamp, NOW_MS + RETENTION_MS);
    assert_int_equal(b.max_timestamp, 2000);
    buf_t stored = f->out;
    f->out = BUF_INIT;
    f->filter.now_ms = NOW_MS + RETENTION_MS - 1;
    assert_true(bytes_eq(filtered(f, buf_bytes(&stored), false), buf_bytes(&stored)));
    f->filter.now_ms = NOW_MS + RETENTION_MS;
    left = filtered(f, buf_bytes(&stored), false);
    assert_string_equal(shown(left), "101:b=2@2000");
    assert_int_equal(header_of(left).base_timestamp, NOW_MS + RETENTION_MS); /* it stays where it was once set */
    buf_deinit(&stored);
}

static void records_without_a_key_go(void **state)
{
    fixture_t *f = *state;
    note(f, 100, "=1 a=2");
    assert_string_equal(shown(filtered(f, batch_of(f, 100, "=1 a=2", 0, RECORD_NO_PRODUCER), false)), "101:a=2@2000");
}

static void what_the_map_does_not_know_stays(void **state)
{
    fixture_t *f = *state;
    bool full = false;
    offset_map_deinit(&f->filter.newest);
    assert_int_equal(offset_map_init(&f->filter.newest, 2, OFFSET_MAP_ENTRY_BYTES * 2, 0.04, hash_key), 0);
    while (offset_map_clear(&f->filter.newest)) {
    }
    assert_int_equal(f->filter.newest.count_max, 2);
    bytes_t batch = batch_of(f, 100, "a=1 b=2 a=3 c=4 a=5", 0, RECORD_NO_PRODUCER);
    assert_int_equal(record_filter_note(&f->filter, batch, RECORD_FATE_COUNTS, 0, &full), 0);
    assert_true(full);
    assert_int_equal(f->filter.mapped_end, 103);
    assert_string_equal(shown(filtered(f, batch, false)), "101:b=2@2000 102:a=3@3000 103:c=4@4000 104:a=5@5000");
}

static void records_of_an_aborted_transaction_replace_nothing_and_go(void **state)
{
    fixture_t *f = *state;
    bool full;
    bytes_t batch = batch_of(f, 200, "a=9", RECORD_TRANSACTIONAL, (record_producer_t){1, 0, 0});
    assert_int_equal(record_filter_note(&f->filter, batch, RECORD_FATE_ABORTED, 0, &full), 0);
    assert_int_equal(f->filter.mapped_end, 201);
    assert_string_equal(shown(filtered(f, batch_of(f, 100, "a=1", 0, RECORD_NO_PRODUCER), false)), "100:a=1@1000");
    f->fate = RECORD_FATE_ABORTED;
    batch = batch_of(f, 200, "a=9 b=7", RECORD_TRANSACTIONAL, (record_producer_t){1, 0, 0});
    assert_int_equal(filtered(f, batch, false).len, 0);
    batch_header_t header;
    assert_int_equal(batch_header_read(filtered(f, batch, true), &header), 0); /* the producer's last sequence */
    assert_int_equal(header.count, 0);
    assert_int_equal(header.last_offset_delta, 1);
    assert_int_equal(header.attributes, RECORD_TRANSACTIONAL);
}

static void records_of_a_committed_transaction_count(void **state)
{
    fixture_t *f = *state;
    bool full;
    bytes_t batch = batch_of(f, 200, "a=9", RECORD_TRANSACTIONAL, (record_producer_t){1, 0, 0});
    assert_int_equal(record_filter_note(&f->filter, batch, RECORD_FATE_COUNTS, 0, &full), 0);
    assert_int_equal(filtered(f, batch_of(f, 100, "a=1", 0, RECORD_NO_PRODUCER), false).len, 0);
}

static void a_spent_marker_goes_at_its_horizon_and_no_other(void **state)
{
    fixture_t *f = *state;
    batch_header_t header;
    const int16_t kind = RECORD_TRANSACTIONAL | RECORD_CONTROL;
    f->filter.mapped_end = 1000;
    bytes_t marker = batch_of(f, 201, "a=9", kind, (record_producer_t){1, 0, -1});
    f->fate = RECORD_FATE_MARKER;
    assert_true(bytes_eq(filtered(f, marker, false), marker));
    f->fate = RECORD_FATE_MARKER_SPENT;
    marker = batch_of(f, 201, "a=9", kind, (record_producer_t){1, 0, -1});
    bytes_t dated = filtered(f, marker, false);
    assert_int_equal(batch_header_read(dated, &header), 0);
    assert_int_equal(header.attributes, kind | RECORD_DELETE_HORIZON);
    assert_int_equal(header.base_timestamp, f->filter.now_ms + f->filter.delete_retention_ms);
    assert_int_equal(header.count, 1);
    buf_t copy = BUF_INIT;
    buf_append(&copy, dated.ptr, dated.len);
    f->filter.now_ms = header.base_timestamp - 1;
    assert_true(bytes_eq(filtered(f, buf_bytes(&copy), false), buf_bytes(&copy)));
    f->filter.now_ms++;
    assert_int_equal(filtered(f, buf_bytes(&copy), false).len, 0);
    buf_deinit(&copy);
}

/* Headers as the walk shows them; `end`: 'c', 'a', or 0 for records. */
static record_fate_t see(ended_t *ended, record_builder_t *builder, int64_t offset, int64_t producer, char end,
                         const log_aborted_t **ret_aborted)
{
    size_t bytes;
    batch_header_t header;
    record_fate_t fate;
    record_marker_t marker = {producer, 0, 0, end == 'c'};
    uint8_t *batch;
    if (end) {
        batch = record_marker_build(builder, &marker, 1000, &bytes);
    } else {
        record_builder_add(builder, 1000, BYTES_LIT("k"), BYTES_LIT("v"), NULL, 0);
        batch = record_builder_finish(builder, RECORD_TRANSACTIONAL, (record_producer_t){producer, 0, 0}, &bytes);
    }
    batch_set_place(batch, offset, 0);
    assert_int_equal(batch_header_read(bytes_of(batch, bytes), &header), 0);
    assert_int_equal(ended_see(ended, &header, bytes_of(batch, bytes), &fate, ret_aborted), 0);
    return fate;
}

static void each_batch_is_told_the_end_of_its_own_transaction(void **state)
{
    ended_t ended = ENDED_INIT;
    record_builder_t b = RECORD_BUILDER_INIT;
    const log_aborted_t *aborted;
    ended_add(&ended, &(log_aborted_t){7, 14, 16, 17}); /* in the order of their markers */
    ended_add(&ended, &(log_aborted_t){9, 11, 18, 19});
    assert_int_equal(see(&ended, &b, 10, 7, 0, &aborted), RECORD_FATE_COUNTS);
    assert_int_equal(see(&ended, &b, 11, 9, 0, &aborted), RECORD_FATE_ABORTED);
    assert_int_equal(see(&ended, &b, 12, 7, 'c', &aborted), RECORD_FATE_MARKER);
    assert_null(aborted);
    assert_int_equal(see(&ended, &b, 13, 9, 0, &aborted), RECORD_FATE_ABORTED);
    assert_int_equal(see(&ended, &b, 16, 7, 'a', &aborted), RECORD_FATE_MARKER_SPENT); /* its records are gone */
    assert_null(aborted);
    assert_int_equal(see(&ended, &b, 17, 8, 'c', &aborted), RECORD_FATE_MARKER_SPENT);
    assert_int_equal(see(&ended, &b, 18, 9, 'a', &aborted), RECORD_FATE_MARKER);
    assert_non_null(aborted);
    assert_int_equal(aborted->first_offset, 11);
    assert_int_equal(see(&ended, &b, 19, 9, 0, &aborted), RECORD_FATE_COUNTS);
    record_builder_deinit(&b);
    ended_deinit(&ended);
}

static void a_compressed_batch_keeps_its_codec(void **state)
{
    fixture_t *f = *state;
    note(f, 200, "b=9");
    for (record_codec_t codec = RECORD_GZIP; codec <= RECORD_ZSTD; codec++) {
        buf_t packed = BUF_INIT;
        bytes_t batch = batch_of(f, 100, "a=1 b=2 c-", 0, RECORD_NO_PRODUCER);
        assert_int_equal(record_recompress(batch, codec, codec == RECORD_GZIP ? 6 : 1, MIB(1), &packed), 0);
        bytes_t left = filtered(f, buf_bytes(&packed), false);
        assert_string_equal(shown(left), "100:a=1@1000 102:c-@3000");
        assert_int_equal(header_of(left).attributes, codec | RECORD_DELETE_HORIZON);
        buf_deinit(&packed);
    }
}

static void the_times_of_log_append_time_stay(void **state)
{
    fixture_t *f = *state;
    note(f, 200, "a=9");
    bytes_t left = filtered(f, batch_of(f, 100, "a=1 b=2", RECORD_LOG_APPEND_TIME, RECORD_NO_PRODUCER), false);
    assert_string_equal(shown(left), "101:b=2@2000");
    assert_int_equal(header_of(left).max_timestamp, 2000);
    assert_int_equal(header_of(left).base_timestamp, 2000);
}

static void damage_is_refused(void **state)
{
    fixture_t *f = *state;
    bool full;
    bytes_t batch = batch_of(f, 100, "a=1 b=2", 0, RECORD_NO_PRODUCER);
    ((uint8_t *)batch.ptr)[batch.len - 1] ^= 1;
    assert_int_equal(record_filter_note(&f->filter, batch, RECORD_FATE_COUNTS, 0, &full), ERR_CORRUPT);
    assert_int_equal(record_filter_batch(&f->filter, batch, f->fate, false, &f->out), ERR_CORRUPT);
    assert_int_equal(f->out.len, 0);
}

/* ---- the map --------------------------------------------------------------------------------------------------------- */

static void the_map_remembers_the_newest_of_each_key_until_it_is_full(void **state)
{
    offset_map_t map;
    enum { KEYS = 3000 };
    assert_int_equal(offset_map_init(&map, UINT64_MAX, KEYS * OFFSET_MAP_ENTRY_BYTES, 0.9, hash_key), 0);
    while (offset_map_clear(&map)) {
    }
    assert_int_equal(map.count_max, KEYS * 9 / 10);
    int64_t put = 0;
    for (int64_t i = 0; i < 2 * KEYS; i++) {
        uint64_t key = (uint64_t)i % KEYS;
        bool ok = offset_map_put(&map, map_key_u64(&key), i);
        assert_int_equal(ok, key < KEYS * 9 / 10);
        put += ok;
    }
    assert_int_equal(put, 2 * (KEYS * 9 / 10));
    for (uint64_t key = 0; key < KEYS; key++) {
        assert_int_equal(offset_map_get(&map, map_key_u64(&key)), key < KEYS * 9 / 10 ? (int64_t)key + KEYS : -1);
    }
    offset_map_deinit(&map);
}

/* ---- against a model ------------------------------------------------------------------------------------------------- */

enum { MODEL_BATCHES = 30, MODEL_KEYS = 6, MODEL_RECORDS_MAX = 8 };

typedef struct model {
    char text[MODEL_BATCHES][256]; /* each batch as batch_of takes it */
    int64_t base[MODEL_BATCHES];
    int64_t newest[MODEL_KEYS];
} model_t;

static void make_model(model_t *m, unsigned *seed)
{
    int64_t offset = 0;
    memset(m, 0, sizeof(*m));
    for (int i = 0; i < MODEL_BATCHES; i++) {
        int count = 1 + rand_r(seed) % MODEL_RECORDS_MAX;
        size_t n = 0;
        m->base[i] = offset;
        for (int r = 0; r < count; r++, offset++) {
            int key = rand_r(seed) % MODEL_KEYS;
            m->newest[key] = offset;
            n += (size_t)snprintf(m->text[i] + n, sizeof(m->text[i]) - n, "%sk%d%s", r ? " " : "", key,
                                  rand_r(seed) % 4 ? "=v" : "-");
        }
        offset += rand_r(seed) % 3; /* gaps of earlier cleans */
    }
}

/* What a plain reading of the rules leaves of a batch. */
static void expect(const model_t *m, int i, char out[512])
{
    char copy[256], *save = NULL;
    size_t n = 0;
    int64_t offset = m->base[i], at_ms = 1000;
    snprintf(copy, sizeof(copy), "%s", m->text[i]);
    out[0] = '\0';
    for (char *word = strtok_r(copy, " ", &save); word; word = strtok_r(NULL, " ", &save), offset++, at_ms += 1000) {
        if (m->newest[word[1] - '0'] != offset) continue;
        n += (size_t)snprintf(out + n, 512 - n, "%s%" PRId64 ":%s@%" PRId64, n ? " " : "", offset, word, at_ms);
    }
    if (n == 0) snprintf(out, 512, "nothing");
}

static void random_batches_are_left_with_what_the_rules_say(void **state)
{
    fixture_t *f = *state;
    static model_t m;
    char expected[512];
    for (unsigned round = 1; round <= 300; round++) {
        unsigned seed = round;
        make_model(&m, &seed);
        offset_map_deinit(&f->filter.newest);
        assert_int_equal(offset_map_init(&f->filter.newest, 1000, MIB(1), 0.9, hash_key), 0);
        while (offset_map_clear(&f->filter.newest)) {
        }
        f->filter.mapped_end = 0;
        for (int i = 0; i < MODEL_BATCHES; i++) note(f, m.base[i], m.text[i]);
        for (int i = 0; i < MODEL_BATCHES; i++) {
            buf_t packed = BUF_INIT;
            record_codec_t codec = (record_codec_t)(rand_r(&seed) % (RECORD_ZSTD + 1));
            bytes_t batch = batch_of(f, m.base[i], m.text[i], 0, RECORD_NO_PRODUCER);
            assert_int_equal(record_recompress(batch, codec, 1, MIB(1), &packed), 0);
            expect(&m, i, expected);
            assert_string_equal(shown(filtered(f, buf_bytes(&packed), false)), expected);
            buf_deinit(&packed);
        }
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_record_stays_while_its_key_has_no_newer_one),
        TEST(a_batch_that_loses_records_keeps_its_place_and_its_producer),
        TEST(a_batch_that_loses_nothing_is_not_touched),
        TEST(a_batch_without_records_stays_as_a_header_where_that_is_asked_for),
        TEST(a_tombstone_stays_until_the_horizon_that_its_first_clean_sets),
        TEST(records_without_a_key_go),
        TEST(what_the_map_does_not_know_stays),
        TEST(records_of_an_aborted_transaction_replace_nothing_and_go),
        TEST(records_of_a_committed_transaction_count),
        TEST(a_spent_marker_goes_at_its_horizon_and_no_other),
        cmocka_unit_test(each_batch_is_told_the_end_of_its_own_transaction),
        TEST(a_compressed_batch_keeps_its_codec),
        TEST(the_times_of_log_append_time_stay),
        TEST(damage_is_refused),
        TEST(random_batches_are_left_with_what_the_rules_say),
        cmocka_unit_test(the_map_remembers_the_newest_of_each_key_until_it_is_full),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

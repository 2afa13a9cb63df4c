/* record_test.c: batches built are read back, compressed ones are opened, damaged ones are refused. */
#include "base/hash.h"
#include "kafka/record/record.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <lz4frame.h>
#include <snappy-c.h>
#include <zlib.h>
#include <zstd.h>

#define RECORDS 500

static void build(record_builder_t *builder)
{
    char value[64];
    record_header_t headers[] = {{BYTES_LIT("h1"), BYTES_LIT("v1")}, {BYTES_LIT("h2"), BYTES_NULL}};
    for (int i = 0; i < RECORDS; i++) {
        int n = snprintf(value, sizeof(value), "value number %d", i);
        record_builder_add(builder, 1000 - i, i % 2 ? BYTES_NULL : BYTES_LIT("key"), bytes_of(value, (size_t)n),
                           headers, i % 3);
    }
}

static void check(bytes_t batch)
{
    record_iter_t iter;
    record_t r;
    char value[64];
    assert_int_equal(record_iter_init(&iter, batch, MIB(1)), 0);
    for (int i = 0; i < RECORDS; i++) {
        bytes_t key, val;
        assert_int_equal(record_iter_next(&iter, &r), 0);
        int n = snprintf(value, sizeof(value), "value number %d", i);
        assert_int_equal(r.offset, iter.batch.base_offset + i);
        assert_int_equal(r.timestamp_ms, 1000 - i);
        assert_true(bytes_eq(r.value, bytes_of(value, (size_t)n)));
        assert_int_equal(r.key.ptr == NULL, i % 2);
        assert_int_equal(r.headers_count, i % 3);
        for (int h = 0; h < r.headers_count; h++) {
            assert_true(record_header_next(&r.headers, &key, &val));
            assert_int_equal(val.ptr == NULL, h == 1);
        }
        assert_int_equal(r.headers.len, 0);
    }
    assert_int_equal(record_iter_next(&iter, &r), ERR_NOT_FOUND);
    record_iter_deinit(&iter);
}

static void what_is_built_is_read_back(void **state)
{
    record_builder_t builder = RECORD_BUILDER_INIT;
    for (int round = 0; round < 2; round++) {
        size_t bytes;
        build(&builder);
        uint8_t *batch = record_builder_finish(&builder, 0, RECORD_NO_PRODUCER, &bytes);
        batch_header_t header;
        assert_int_equal(batch_header_read(bytes_of(batch, bytes), &header), 0);
        assert_true(batch_crc_ok(bytes_of(batch, bytes)));
        assert_int_equal(header.count, RECORDS);
        assert_int_equal(header.max_timestamp, 1000);
        assert_int_equal(header.producer_id, -1);
        check(bytes_of(batch, bytes));
    }
    record_builder_deinit(&builder);
}

static size_t compress_gzip(const uint8_t *in, size_t n, uint8_t *out, size_t cap)
{
    z_stream z = {.next_in = (Bytef *)in, .avail_in = (uInt)n, .next_out = out, .avail_out = (uInt)cap};
    assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    deflateEnd(&z);
    return cap - z.avail_out;
}

static size_t compress_xerial(const uint8_t *in, size_t n, uint8_t *out, size_t cap)
{
    static const uint8_t head[16] = {0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0, 0, 0, 0, 1, 0, 0, 0, 1};
    size_t at = 16;
    memcpy(out, head, 16);
    for (size_t from = 0; from < n; from += 1000) {
        size_t len = cap - at - 4;
        assert_int_equal(snappy_compress((const char *)in + from, MIN(n - from, 1000), (char *)out + at + 4, &len), 0);
        store_be32(out + at, (uint32_t)len);
        at += 4 + len;
    }
    return at;
}

/* The same batch with its payload compressed. */
static size_t recompress(const uint8_t *batch, size_t bytes, int kind, uint8_t *out, size_t cap)
{
    static const int16_t codecs[] = {RECORD_GZIP, RECORD_SNAPPY, RECORD_SNAPPY, RECORD_LZ4, RECORD_ZSTD};
    const uint8_t *in = batch + BATCH_HEADER_BYTES;
    LZ4F_preferences_t independent = {.frameInfo = {.blockMode = LZ4F_blockIndependent}};
    size_t n = bytes - BATCH_HEADER_BYTES, room = cap - BATCH_HEADER_BYTES, len = room;
    uint8_t *to = out + BATCH_HEADER_BYTES;
    memcpy(out, batch, BATCH_HEADER_BYTES);
    if (kind == 0) len = compress_gzip(in, n, to, room);
    if (kind == 1) assert_int_equal(snappy_compress((const char *)in, n, (char *)to, &len), 0);
    if (kind == 2) len = compress_xerial(in, n, to, room);
    if (kind == 3) len = LZ4F_compressFrame(to, room, in, n, &independent);
    if (kind == 4) len = ZSTD_compress(to, room, in, n, 3);
    bytes = BATCH_HEADER_BYTES + len;
    store_be32(out + 8, (uint32_t)(bytes - BATCH_OVERHEAD_BYTES));
    store_be16(out + 21, (uint16_t)codecs[kind]);
    store_be32(out + 17, crc32c(0, out + 21, bytes - 21));
    return bytes;
}

static void every_codec_is_opened_and_its_damage_refused(void **state)
{
    record_builder_t builder = RECORD_BUILDER_INIT;
    size_t bytes, cap = 200000;
    uint8_t *out = malloc(cap);
    build(&builder);
    uint8_t *batch = record_builder_finish(&builder, 0, RECORD_NO_PRODUCER, &bytes);
    for (int kind = 0; kind < 5; kind++) {
        size_t n = recompress(batch, bytes, kind, out, cap);
        check(bytes_of(out, n));
        record_iter_t iter;
        assert_int_equal(record_iter_init(&iter, bytes_of(out, n), 100), ERR_LIMIT);
        for (size_t cut = BATCH_HEADER_BYTES + 1; cut < n; cut += 13) { /* a payload that ends early */
            record_t r;
            store_be32(out + 8, (uint32_t)(cut - BATCH_OVERHEAD_BYTES));
            int err = record_iter_init(&iter, bytes_of(out, cut), MIB(1));
            while (!err) err = record_iter_next(&iter, &r);
            assert_int_equal(err, ERR_CORRUPT);
            record_iter_deinit(&iter);
        }
    }
    free(out);
    record_builder_deinit(&builder);
}

static const record_rules_t rules = {.opened_bytes_max = MIB(1), .from_ms = 600, .to_ms = 900};

static int look(uint8_t *batch, size_t bytes, record_facts_t *facts)
{
    batch_header_t header;
    store_be32(batch + 8, (uint32_t)(bytes - BATCH_OVERHEAD_BYTES));
    assert_int_equal(batch_header_read(bytes_of(batch, bytes), &header), 0);
    return record_check(&header, bytes_of(batch, bytes), &rules, facts);
}

static void every_record_is_checked(void **state)
{
    record_builder_t builder = RECORD_BUILDER_INIT;
    record_facts_t facts;
    size_t bytes;
    build(&builder);
    uint8_t *batch = record_builder_finish(&builder, 0, RECORD_NO_PRODUCER, &bytes);
    assert_int_equal(look(batch, bytes, &facts), 0);
    assert_int_equal(facts.keyless, RECORDS / 2);
    assert_int_equal(facts.keyless_noted[99].index, 199);
    assert_int_equal(facts.untimely, 100 + 99); /* 1000 to 901, and 599 to 501 */
    assert_int_equal(facts.untimely_noted[1].timestamp_ms, 999);
    assert_int_equal(facts.max_timestamp_ms, 1000);
    for (size_t cut = BATCH_HEADER_BYTES; cut < bytes; cut += 7)
        assert_int_equal(look(batch, cut, &facts), ERR_CORRUPT);
    store_be32(batch + 57, RECORDS - 1); /* fewer than there are */
    assert_int_equal(look(batch, bytes, &facts), ERR_CORRUPT);
    store_be32(batch + 57, RECORDS);
    for (size_t at = BATCH_HEADER_BYTES; at < bytes; at++) { /* whatever one byte says, it ends inside */
        uint8_t was = batch[at];
        batch[at] = 0xff;
        int err = look(batch, bytes, &facts);
        assert_true(err == 0 || err == ERR_CORRUPT || err == ERR_INVALID);
        batch[at] = was;
    }
    memset(batch + BATCH_HEADER_BYTES, 0xff, 16);
    assert_int_equal(look(batch, bytes, &facts), ERR_INVALID);
    record_builder_deinit(&builder);
}

/* ---- payloads that are opened piece by piece ---- */

/* Records of many sizes, some of them larger than any window, with keys and headers. */
static void build_sizes(record_builder_t *builder, uint32_t seed)
{
    static uint8_t noise[300000];
    for (size_t i = 0; i < sizeof(noise); i++) noise[i] = (uint8_t)((seed = seed * 1664525 + 1013904223) >> 28);
    for (int i = 0; i < 60; i++) {
        seed = seed * 1664525 + 1013904223;
        size_t n = i % 10 == 3 ? sizeof(noise) - seed % 1000 : (seed >> 8) % 3000;
        bytes_t key = i % 3 ? bytes_of(noise, n / 3) : BYTES_NULL;
        record_header_t headers[] = {{bytes_of(noise, n % 70), bytes_of(noise, n)}};
        record_builder_add(builder, 1000 + i % 7, key, bytes_of(noise, n), headers, i % 2);
    }
}

static record_facts_t facts_of(const uint8_t *batch, size_t bytes)
{
    batch_header_t header;
    record_facts_t facts;
    record_rules_t r = {.opened_bytes_max = MIB(8), .from_ms = 1001, .to_ms = 1004};
    assert_int_equal(batch_header_read(bytes_of(batch, bytes), &header), 0);
    assert_int_equal(record_check(&header, bytes_of(batch, bytes), &r, &facts), 0);
    return facts;
}

static void pieces_say_what_the_whole_says(void **state)
{
    record_builder_t builder = RECORD_BUILDER_INIT;
    size_t bytes, cap = 8 << 20;
    uint8_t *out = malloc(cap);
    for (uint32_t seed = 1; seed <= 5; seed++) {
        build_sizes(&builder, seed);
        uint8_t *batch = record_builder_finish(&builder, 0, RECORD_NO_PRODUCER, &bytes);
        record_facts_t plain = facts_of(batch, bytes);
        assert_int_equal(plain.keyless, 20);
        for (int kind = 0; kind < 5; kind++) {
            size_t n = recompress(batch, bytes, kind, out, cap);
            record_facts_t opened = facts_of(out, n);
            assert_int_equal(opened.opened_bytes, bytes - BATCH_HEADER_BYTES);
            assert_int_equal(opened.keyless, plain.keyless);
            assert_int_equal(opened.untimely, plain.untimely);
            assert_int_equal(opened.max_timestamp_ms, plain.max_timestamp_ms);
            assert_memory_equal(opened.keyless_noted, plain.keyless_noted, sizeof(record_noted_t) * 20);
        }
    }
    free(out);
    record_builder_deinit(&builder);
}

static void opening_stops_at_the_bound(void **state)
{
    record_builder_t builder = RECORD_BUILDER_INIT;
    size_t bytes, cap = 8 << 20;
    uint8_t *out = malloc(cap);
    batch_header_t header;
    record_facts_t facts;
    build_sizes(&builder, 1);
    uint8_t *batch = record_builder_finish(&builder, 0, RECORD_NO_PRODUCER, &bytes);
    size_t whole = bytes - BATCH_HEADER_BYTES;
    for (int kind = 0; kind < 5; kind++) {
        size_t n = recompress(batch, bytes, kind, out, cap);
        assert_int_equal(batch_header_read(bytes_of(out, n), &header), 0);
        for (int short_of = 0; short_of < 2; short_of++) {
            record_rules_t r = {.opened_bytes_max = whole - (size_t)short_of, .from_ms = 0, .to_ms = 5000};
            assert_int_equal(record_check(&header, bytes_of(out, n), &r, &facts), short_of ? ERR_LIMIT : 0);
        }
    }
    free(out);
    record_builder_deinit(&builder);
}

static void a_record_in_compression_has_a_bound_of_its_own(void **state)
{
    record_builder_t builder = RECORD_BUILDER_INIT;
    size_t bytes, cap = 8 << 20;
    uint8_t *out = malloc(cap);
    batch_header_t header;
    record_facts_t facts;
    build_sizes(&builder, 1);
    uint8_t *batch = record_builder_finish(&builder, 0, RECORD_NO_PRODUCER, &bytes);
    record_rules_t small = {.opened_bytes_max = MIB(8), .record_bytes_max = 300000, .to_ms = 5000}, large = small;
    large.record_bytes_max = 1000000;
    for (int kind = 1; kind < 5; kind++) {
        size_t n = recompress(batch, bytes, kind, out, cap);
        assert_int_equal(batch_header_read(bytes_of(out, n), &header), 0);
        assert_int_equal(record_check(&header, bytes_of(out, n), &small, &facts), ERR_CORRUPT);
        assert_true(facts.oversized);
        assert_int_equal(record_check(&header, bytes_of(out, n), &large, &facts), 0);
        assert_false(facts.oversized);
    }
    assert_int_equal(batch_header_read(bytes_of(batch, bytes), &header), 0);
    assert_int_equal(record_check(&header, bytes_of(batch, bytes), &small, &facts),
                     0); /* plain ones have the batch's */
    free(out);
    record_builder_deinit(&builder);
}

/* 68 bytes that claim 4 GB: a header of 61, and what stands in `payload`. */
static void claims_are_not_believed(void **state)
{
    static const uint8_t payload[] = {0xff, 0xff, 0xff, 0xff, 0x0f, 0x00, 'a'};
    uint8_t *opened;
    size_t bytes;
    bytes_t data = bytes_of(payload, sizeof(payload));
    assert_int_equal(record_decompress(RECORD_SNAPPY, data, MIB(256), &opened, &bytes), ERR_LIMIT);
    assert_int_equal(record_decompress(RECORD_SNAPPY, data, (size_t)1 << 33, &opened, &bytes), ERR_CORRUPT);
}

static void a_search_finds_the_first_that_reaches_both(void **state)
{
    record_builder_t builder = RECORD_BUILDER_INIT;
    size_t bytes, cap = 8 << 20;
    uint8_t *out = malloc(cap);
    batch_header_t header;
    build_sizes(&builder, 1);
    uint8_t *batch = record_builder_finish(&builder, 0, RECORD_NO_PRODUCER, &bytes);
    size_t n = recompress(batch, bytes, 4, out, cap);
    assert_int_equal(batch_header_read(bytes_of(out, n), &header), 0);
    record_search_t search = {.timestamp_ms = 1005};
    assert_int_equal(record_find(&header, bytes_of(out, n), MIB(8), &search), 0);
    assert_int_equal(search.found_offset, 5);
    assert_int_equal(search.found_ms, 1005);
    search = (record_search_t){.timestamp_ms = 1005, .from_offset = 20};
    assert_int_equal(record_find(&header, bytes_of(out, n), MIB(8), &search), 0);
    assert_int_equal(search.found_offset, 20);
    search = (record_search_t){.timestamp_ms = 1007};
    assert_int_equal(record_find(&header, bytes_of(out, n), MIB(8), &search), ERR_NOT_FOUND);
    search = (record_search_t){.timestamp_ms = 1006, .from_offset = 50};
    assert_int_equal(record_find(&header, bytes_of(out, n), KIB(500), &search), ERR_LIMIT);
    free(out);
    record_builder_deinit(&builder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_built_is_read_back), cmocka_unit_test(every_codec_is_opened_and_its_damage_refused),
        cmocka_unit_test(every_record_is_checked),    cmocka_unit_test(pieces_say_what_the_whole_says),
        cmocka_unit_test(opening_stops_at_the_bound), cmocka_unit_test(a_record_in_compression_has_a_bound_of_its_own),
        cmocka_unit_test(claims_are_not_believed),    cmocka_unit_test(a_search_finds_the_first_that_reaches_both),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

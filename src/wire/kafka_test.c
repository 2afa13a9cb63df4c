/* kafka_test.c: what wire/kafka promises: every message at every version survives the way there and back,
 * bytes are those of Kafka's documents, hostile input is refused without an allocation. */
#include "kafka_schema.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static uint64_t next_random(uint64_t *seed)
{
    *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *seed >> 33;
}

static void fill(const kafka_shape_t *shape, int16_t version, arena_t *arena, uint64_t *seed, void *message);

static bytes_t random_run(arena_t *arena, uint64_t *seed)
{
    size_t len = next_random(seed) % 200;
    uint8_t *p = arena_alloc(arena, len + 1);
    for (size_t i = 0; i < len; i++) p[i] = (uint8_t)next_random(seed);
    return bytes_of(p, len);
}

static void fill_scalar(const kafka_field_t *f, bool nullable, arena_t *arena, uint64_t *seed, void *at)
{
    uint64_t v = next_random(seed) << 33 ^ next_random(seed);
    switch ((kafka_type_t)f->type) {
    case KAFKA_TYPE_BOOL: *(bool *)at = v & 1; break;
    case KAFKA_TYPE_INT8: memcpy(at, &v, 1); break;
    case KAFKA_TYPE_INT16:
    case KAFKA_TYPE_UINT16: memcpy(at, &v, 2); break;
    case KAFKA_TYPE_INT32: memcpy(at, &v, 4); break;
    case KAFKA_TYPE_INT64: memcpy(at, &v, 8); break;
    case KAFKA_TYPE_UUID: memcpy(at, &v, 8); break;
    case KAFKA_TYPE_STRING:
    case KAFKA_TYPE_BYTES:
    case KAFKA_TYPE_RECORDS: *(bytes_t *)at = nullable && v % 3 == 0 ? BYTES_NULL : random_run(arena, seed); break;
    case KAFKA_TYPE_STRUCT: break;
    }
}

static size_t step_of(const kafka_field_t *f)
{
    static const size_t bytes[] = {sizeof(bool), 1, 2, 2, 4, 8, 16, sizeof(bytes_t), sizeof(bytes_t), 0};
    return f->shape ? f->shape->bytes : bytes[f->type];
}

static void fill_field(const kafka_field_t *f, int16_t version, arena_t *arena, uint64_t *seed, uint8_t *at)
{
    bool nullable = version >= f->nullable_since;
    if (f->flags & KAFKA_FIELD_ARRAY) {
        int32_t count = (int32_t)(next_random(seed) % 4) - (nullable ? 1 : 0);
        uint8_t *items = arena_zalloc(arena, step_of(f) * 4);
        for (int32_t i = 0; i < count; i++) {
            if (f->shape)
                fill(f->shape, version, arena, seed, items + (size_t)i * step_of(f));
            else
                fill_scalar(f, false, arena, seed, items + (size_t)i * step_of(f));
        }
        memcpy(at, &items, sizeof(items));
        memcpy(at + sizeof(items), &count, sizeof(count));
    } else if (f->flags & KAFKA_FIELD_POINTER) {
        void *target = next_random(seed) & 1 ? arena_alloc(arena, f->shape->bytes) : NULL;
        if (target) fill(f->shape, version, arena, seed, target);
        memcpy(at, &target, sizeof(target));
    } else if (f->shape) {
        fill(f->shape, version, arena, seed, at);
    } else {
        fill_scalar(f, nullable, arena, seed, at);
    }
}

static void fill(const kafka_shape_t *shape, int16_t version, arena_t *arena, uint64_t *seed, void *message)
{
    kafka_init(shape, message);
    for (int i = 0; i < shape->fields_count; i++) {
        const kafka_field_t *f = &shape->fields[i];
        if (version >= f->since && version <= f->until)
            fill_field(f, version, arena, seed, (uint8_t *)message + f->offset);
    }
}

/* However small they are. */
static void check_pieces(const kafka_shape_t *shape, int16_t version, const void *message, bytes_t whole)
{
    kafka_encoding_t encoding;
    kafka_writer_t piece = KAFKA_WRITER_INIT;
    buf_t all = BUF_INIT;
    bool last;
    kafka_encoding_begin(&encoding, shape, version, message);
    do {
        last = kafka_encoding_step(&encoding, &piece, 1);
        if (piece.buf.len) buf_append(&all, piece.buf.ptr, piece.buf.len);
        kafka_writer_clear(&piece);
    } while (!last);
    assert_true(bytes_eq(buf_bytes(&all), whole));
    kafka_writer_deinit(&piece);
    buf_deinit(&all);
}

static void round_trip(const kafka_shape_t *shape, int16_t version, uint64_t seed)
{
    arena_t arena;
    arena_init(&arena, 0);
    void *message = arena_alloc(&arena, shape->bytes), *copy = arena_alloc(&arena, shape->bytes);
    fill(shape, version, &arena, &seed, message);
    kafka_writer_t once = KAFKA_WRITER_INIT, twice = KAFKA_WRITER_INIT;
    kafka_encode(&once, shape, version, message);
    kafka_reader_t r = kafka_reader(buf_bytes(&once.buf));
    assert_int_equal(kafka_decode(&r, shape, version, &arena, copy), 0);
    assert_int_equal(kafka_reader_left(&r), 0);
    kafka_encode(&twice, shape, version, copy);
    assert_true(bytes_eq(buf_bytes(&once.buf), buf_bytes(&twice.buf)));
    check_pieces(shape, version, message, buf_bytes(&once.buf));
    for (size_t cut = 0; cut < once.buf.len; cut++) { /* every truncation is refused, on exact heap bounds for asan */
        uint8_t *part = malloc(cut + 1);
        memcpy(part, once.buf.ptr, cut);
        kafka_reader_t less = kafka_reader(bytes_of(part, cut));
        assert_int_not_equal(kafka_decode(&less, shape, version, &arena, copy), 0);
        free(part);
        if (cut > 300) break;
    }
    kafka_writer_deinit(&once);
    kafka_writer_deinit(&twice);
    arena_deinit(&arena);
}

static void every_message_at_every_version_survives_the_way_there_and_back(void **state)
{
    for (int i = 0; i < KAFKA_MESSAGES_COUNT; i++) {
        const kafka_message_t *m = &kafka_messages[i];
        for (int16_t v = m->version_min; v <= m->version_max; v++) {
            for (uint64_t seed = 1; seed <= 10; seed++) round_trip(m->shape, v, seed);
        }
    }
}

static void metadata_zero_and_nine_have_the_documented_bytes(void **state)
{
    arena_t arena;
    arena_init(&arena, 0);
    kafka_metadata_request_t m;
    kafka_metadata_request_init(&m);
    assert_true(m.allow_auto_topic_creation);
    m.topics = kafka_metadata_request_topic_array(&arena, 1);
    m.topics_count = 1;
    m.topics[0].name = BYTES_LIT("ab");
    kafka_writer_t w = KAFKA_WRITER_INIT;
    kafka_metadata_request_encode(&w, 0, &m);
    static const uint8_t zero[] = {0, 0, 0, 1, 0, 2, 'a', 'b'};
    assert_true(bytes_eq(buf_bytes(&w.buf), bytes_of(zero, sizeof(zero))));
    kafka_writer_clear(&w);
    kafka_metadata_request_encode(&w, 9, &m);
    static const uint8_t nine[] = {2, 3, 'a', 'b', 0, 1, 0, 0, 0}; /* count+1, len+1, tags; bools; tags */
    assert_true(bytes_eq(buf_bytes(&w.buf), bytes_of(nine, sizeof(nine))));
    kafka_writer_clear(&w);
    m.topics_count = -1;
    kafka_metadata_request_encode(&w, 1, &m);
    static const uint8_t null_topics[] = {255, 255, 255, 255};
    assert_true(bytes_eq(buf_bytes(&w.buf), bytes_of(null_topics, 4)));
    kafka_writer_deinit(&w);
    arena_deinit(&arena);
}

static void tagged_fields_are_written_only_when_they_differ_from_their_default(void **state)
{
    kafka_api_versions_response_t m;
    kafka_api_versions_response_init(&m);
    assert_int_equal(m.finalized_features_epoch, -1);
    kafka_writer_t w = KAFKA_WRITER_INIT;
    kafka_api_versions_response_encode(&w, 3, &m);
    static const uint8_t plain[] = {0, 0, 1, 0, 0, 0, 0, 0};
    assert_true(bytes_eq(buf_bytes(&w.buf), bytes_of(plain, sizeof(plain))));
    kafka_writer_clear(&w);
    m.finalized_features_epoch = 7;
    kafka_api_versions_response_encode(&w, 3, &m);
    static const uint8_t tagged[] = {0, 0, 1, 0, 0, 0, 0, 1, 1, 8, 0, 0, 0, 0, 0, 0, 0, 7};
    assert_true(bytes_eq(buf_bytes(&w.buf), bytes_of(tagged, sizeof(tagged))));
    kafka_writer_deinit(&w);
}

static void a_count_that_the_bytes_cannot_hold_is_refused_before_allocation(void **state)
{
    arena_t arena;
    arena_init(&arena, 0);
    static const uint8_t hostile[] = {0x7f, 0xff, 0xff, 0xff, 0, 0};
    kafka_metadata_request_t m;
    kafka_reader_t r = kafka_reader(bytes_of(hostile, sizeof(hostile)));
    assert_int_equal(kafka_metadata_request_decode(&r, 1, &arena, &m), ERR_TRUNCATED);
    assert_int_equal(arena.bytes_used, 0);
    static const uint8_t negative[] = {0xff, 0xff, 0xff, 0xfe};
    r = kafka_reader(bytes_of(negative, sizeof(negative)));
    assert_int_equal(kafka_metadata_request_decode(&r, 1, &arena, &m), ERR_INVALID);
    arena_deinit(&arena);
}

static int released;
static void count_release(void *user) { released++; }

static void records_in_files_are_counted_in_lengths_but_left_to_be_sent(void **state)
{
    arena_t arena;
    arena_init(&arena, 0);
    kafka_fetch_response_t m;
    kafka_fetch_response_init(&m);
    m.responses = kafka_fetch_response_topic_array(&arena, 1);
    m.responses_count = 1;
    m.responses[0].topic = BYTES_LIT("t");
    m.responses[0].partitions = kafka_fetch_response_partition_array(&arena, 1);
    m.responses[0].partitions_count = 1;
    m.responses[0].partitions[0].records = (kafka_records_t){.file_bytes = 1000, .release = count_release};
    kafka_writer_t w = KAFKA_WRITER_INIT;
    kafka_fetch_response_encode(&w, 12, &m);
    assert_int_equal(w.splices_count, 1);
    assert_int_equal(kafka_writer_bytes(&w), w.buf.len + 1000);
    assert_int_equal(w.buf.ptr[w.splices[0].at - 2] & 0x7f, 1001 & 0x7f);
    assert_int_equal(released, 0);
    kafka_writer_deinit(&w);
    assert_int_equal(released, 1);
    arena_deinit(&arena);
}

static void varints_match_their_sizes(void **state)
{
    static const int64_t values[] = {0, -1, 1, 63, 64, -64, -65, 300, INT32_MAX, INT32_MIN, INT64_MAX, INT64_MIN};
    for (size_t i = 0; i < ARRAY_LEN(values); i++) {
        kafka_writer_t w = KAFKA_WRITER_INIT;
        kafka_write_varlong(&w, values[i]);
        assert_int_equal(w.buf.len, kafka_varlong_bytes(values[i]));
        kafka_reader_t r = kafka_reader(buf_bytes(&w.buf));
        assert_true(kafka_read_varlong(&r) == values[i]);
        kafka_writer_clear(&w);
        kafka_write_varint(&w, (int32_t)values[i]);
        assert_int_equal(w.buf.len, kafka_varint_bytes((int32_t)values[i]));
        r = kafka_reader(buf_bytes(&w.buf));
        assert_int_equal(kafka_read_varint(&r), (int32_t)values[i]);
        kafka_writer_deinit(&w);
    }
}

static void topic_ids_are_spelt_as_kafka_does(void **state)
{
    kafka_uuid_t id, back;
    for (int i = 0; i < 16; i++) id.bytes[i] = (uint8_t)(i * 17);
    char text[KAFKA_UUID_CHARS + 1];
    kafka_uuid_format(id, text);
    assert_string_equal(text, "ABEiM0RVZneImaq7zN3u_w");
    assert_true(kafka_uuid_parse(bytes_str(text), &back));
    assert_true(kafka_uuid_eq(id, back));
    assert_false(kafka_uuid_parse(BYTES_LIT("short"), &back));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_message_at_every_version_survives_the_way_there_and_back),
        cmocka_unit_test(metadata_zero_and_nine_have_the_documented_bytes),
        cmocka_unit_test(tagged_fields_are_written_only_when_they_differ_from_their_default),
        cmocka_unit_test(a_count_that_the_bytes_cannot_hold_is_refused_before_allocation),
        cmocka_unit_test(records_in_files_are_counted_in_lengths_but_left_to_be_sent),
        cmocka_unit_test(varints_match_their_sizes),
        cmocka_unit_test(topic_ids_are_spelt_as_kafka_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

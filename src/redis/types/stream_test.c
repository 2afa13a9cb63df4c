/* stream_test.c: streams against an array of entries, with nodes of all sizes; groups against what they promise; nodes that
 * somebody else wrote. */
#include "redis/redis.h"
#include "redis/types/stream_group.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { MODEL_MAX = 4000 };

typedef struct model {
    stream_id_t ids[MODEL_MAX];
    int shapes[MODEL_MAX]; /* which fields the entry has */
    size_t count;
} model_t;

static uint64_t next_random(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return *state >> 33;
}

/* Three sets of names, one of them of numbers; values tell the ID. */
static stream_fields_in_t fields_of(int shape, stream_id_t id, bytes_t pairs[6], char text[STREAM_ID_CHARS_MAX])
{
    static const char *const names[3][3] = {
        {"f", "g", "h"}, {"1", "-70000", "h"}, {"a long name of a field", "g", "h"}};
    stream_fields_in_t in = {.pairs = pairs, .count = (size_t)shape + 1};
    size_t n = stream_id_format(text, id);
    for (size_t i = 0; i < in.count; i++) {
        pairs[i * 2] = bytes_str(names[shape][i]);
        pairs[i * 2 + 1] = i ? bytes_of(text, n / 2) : bytes_of(text, n);
        in.bytes += pairs[i * 2].len + pairs[i * 2 + 1].len;
    }
    return in;
}

static void add(stream_t *s, model_t *m, const redis_config_t *config, uint64_t *seed)
{
    bytes_t pairs[6];
    char text[STREAM_ID_CHARS_MAX];
    stream_id_t id = s->last_id;
    id.ms += next_random(seed) % 3;
    id.seq += 1 + next_random(seed) % 2;
    int shape = next_random(seed) % 4 ? 0 : (int)(next_random(seed) % 3);
    stream_fields_in_t in = fields_of(shape, id, pairs, text);
    assert_int_equal(stream_append(s, id, &in, config), 0);
    m->ids[m->count] = id;
    m->shapes[m->count++] = shape;
}

static void cut(model_t *m, size_t from, size_t count)
{
    size_t after = m->count - from - count;
    memmove(m->ids + from, m->ids + from + count, after * sizeof(*m->ids));
    memmove(m->shapes + from, m->shapes + from + count, after * sizeof(*m->shapes));
    m->count -= count;
}

static void delete_one(stream_t *s, model_t *m, uint64_t *seed)
{
    if (m->count == 0) return;
    size_t i = next_random(seed) % m->count;
    stream_id_t id = m->ids[i];
    assert_true(stream_has(s, id) && stream_delete(s, id));
    assert_false(stream_delete(s, id));
    assert_true(stream_id_cmp(s->max_deleted_id, id) >= 0);
    cut(m, i, 1);
}

static void trim(stream_t *s, model_t *m, uint64_t *seed)
{
    stream_trim_t how = {.by = STREAM_TRIM_MAXLEN, .approximate = next_random(seed) % 2};
    size_t most = next_random(seed) % 10;
    if (m->count <= most) return;
    how.maxlen = m->count - most;
    if (next_random(seed) % 2) {
        how.by = STREAM_TRIM_MINID;
        how.minid = m->ids[most];
    }
    uint64_t removed = stream_trim(s, &how);
    assert_true(how.approximate ? removed <= most : removed == most);
    cut(m, 0, removed);
}

static void check_entry(const stream_entry_t *e, stream_id_t id, int shape)
{
    bytes_t pairs[6];
    char text[STREAM_ID_CHARS_MAX], room[NUM_I64_CHARS_MAX];
    stream_fields_in_t in = fields_of(shape, id, pairs, text);
    assert_true(stream_id_eq(e->id, id));
    assert_int_equal(e->fields_count, in.count);
    size_t i = 0;
    for (stream_field_t f = stream_fields(e); stream_field_next(&f); i++) {
        assert_true(bytes_eq(lp_text(f.name, room), pairs[i * 2]));
        assert_true(bytes_eq(lp_text(f.value, room), pairs[i * 2 + 1]));
    }
    assert_int_equal(i, in.count);
}

/* All of [from, ...], and all that is before, backwards. */
static void check_ranges(const stream_t *s, const model_t *m, size_t from)
{
    stream_id_t id = s->last_id;
    stream_id_increment(&id);
    if (from < m->count) id = m->ids[from];
    stream_cursor_t c = stream_range(s, id, STREAM_ID_GREATEST, false);
    for (size_t i = from; i < m->count; i++) {
        assert_true(stream_next(&c));
        check_entry(&c.entry, m->ids[i], m->shapes[i]);
    }
    assert_false(stream_next(&c));
    if (from >= m->count) return;
    c = stream_range(s, STREAM_ID_LEAST, id, true);
    for (size_t i = from + 1; i-- > 0;) {
        assert_true(stream_next(&c));
        check_entry(&c.entry, m->ids[i], m->shapes[i]);
    }
    assert_false(stream_next(&c));
}

static void check_all(const stream_t *s, const model_t *m)
{
    stream_id_t last = STREAM_ID_LEAST;
    assert_int_equal(s->length, m->count);
    assert_true(stream_id_eq(s->first_id, m->count ? m->ids[0] : STREAM_ID_LEAST));
    assert_int_equal(stream_last_live(s, &last), m->count > 0);
    assert_true(m->count == 0 || stream_id_eq(last, m->ids[m->count - 1]));
    idtree_check(&s->nodes);
    size_t live = 0;
    for (idtree_pos_t pos = idtree_first(&s->nodes); pos.leaf; pos = idtree_next(pos)) {
        stream_node_sum_t sum;
        assert_int_equal(stream_node_validate(stream_node_image(pos), idtree_id(pos), &sum), 0);
        live += sum.live;
    }
    assert_int_equal(live, m->count);
}

static void run_random(redis_config_t *config, uint64_t seed)
{
    stream_t *s = stream_new();
    model_t *m = calloc(1, sizeof(*m));
    for (int round = 0; round < 3000; round++) {
        unsigned lot = next_random(&seed) % 20;
        if (lot < 14)
            add(s, m, config, &seed);
        else if (lot < 18)
            delete_one(s, m, &seed);
        else
            trim(s, m, &seed);
        if (round % 50 == 0) check_all(s, m);
        if (round % 10 == 0) check_ranges(s, m, next_random(&seed) % (m->count + 1));
    }
    stream_t *copy = stream_type_ops.copy(s, ENC_STREAM);
    check_all(copy, m);
    check_ranges(copy, m, 0);
    stream_free(copy);
    stream_trim(s, &(stream_trim_t){.by = STREAM_TRIM_MAXLEN});
    m->count = 0;
    check_all(s, m);
    stream_free(s);
    free(m);
}

static void agrees_with_an_array_of_entries(void **state)
{
    redis_config_t *config = redis_config_new();
    static const uint64_t limits[][2] = {{100, 4096}, {1, 4096}, {3, 0}, {0, 200}, {0, 0}};
    for (size_t i = 0; i < ARRAY_LEN(limits); i++) {
        config->stream_node_max_entries = limits[i][0];
        config->stream_node_max_bytes = limits[i][1];
        run_random(config, i + 1);
    }
    redis_config_free(config);
}

/* As valkey-server 8.0.1 has them after XADD s 5-1 f v, XADD s 5-3 f 12, XADD s 7-0 g x, XDEL s 5-3. */
static void a_node_has_the_originals_bytes(void **state)
{
    redis_config_t *config = redis_config_new();
    static const uint8_t want[] = {
        0x38, 0x00, 0x00, 0x00, 0x16, 0x00, 0x02, 0x01, 0x01, 0x01, 0x01, 0x01, 0x81, 0x66,
        0x02, 0x00, 0x01, 0x02, 0x01, 0x00, 0x01, 0x00, 0x01, 0x81, 0x76, 0x02, 0x04, 0x01,
        0x03, 0x01, 0x00, 0x01, 0x02, 0x01, 0x0C, 0x01, 0x04, 0x01, 0x00, 0x01, 0x02, 0x01,
        0xDF, 0xFF, 0x02, 0x01, 0x01, 0x81, 0x67, 0x02, 0x81, 0x78, 0x02, 0x06, 0x01, 0xFF,
    };
    stream_t *s = stream_new();
    bytes_t fv[] = {BYTES_LIT("f"), BYTES_LIT("v")}, f12[] = {BYTES_LIT("f"), BYTES_LIT("12")},
            gx[] = {BYTES_LIT("g"), BYTES_LIT("x")};
    assert_int_equal(stream_append(s, (stream_id_t){5, 1}, &(stream_fields_in_t){fv, 1, 2}, config), 0);
    assert_int_equal(stream_append(s, (stream_id_t){5, 3}, &(stream_fields_in_t){f12, 1, 3}, config), 0);
    assert_int_equal(stream_append(s, (stream_id_t){7, 0}, &(stream_fields_in_t){gx, 1, 2}, config), 0);
    assert_true(stream_delete(s, (stream_id_t){5, 3}));
    bytes_t image = stream_node_image(idtree_first(&s->nodes));
    assert_int_equal(image.len, sizeof(want));
    assert_memory_equal(image.ptr, want, sizeof(want));
    stream_free(s);
    redis_config_free(config);
}

/* ---- bytes from outside ---------------------------------------------------------------------------------------------- */

static void a_spoilt_node_is_refused_or_harmless(void **state)
{
    redis_config_t *config = redis_config_new();
    uint64_t seed = 3;
    stream_t *s = stream_new();
    model_t *m = calloc(1, sizeof(*m));
    for (int i = 0; i < 12; i++) add(s, m, config, &seed);
    assert_true(stream_delete(s, m->ids[4]));
    stream_id_t key = idtree_id(idtree_first(&s->nodes));
    bytes_t image = stream_node_image(idtree_first(&s->nodes));
    uint8_t *bytes = malloc(image.len);
    for (size_t len = 0; len < image.len; len++)
        assert_int_equal(stream_add_node(s, STREAM_ID_GREATEST, bytes_of(image.ptr, len)), ERR_CORRUPT);
    size_t refused = 0;
    for (size_t bit = 0; bit < image.len * 8; bit++) {
        memcpy(bytes, image.ptr, image.len);
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        stream_t *other = stream_new();
        bool taken = stream_add_node(other, key, bytes_of(bytes, image.len)) == 0;
        refused += !taken;
        stream_cursor_t c = stream_range(other, STREAM_ID_LEAST, STREAM_ID_GREATEST, false);
        uint64_t count = 0;
        while (stream_next(&c)) count++;
        assert_int_equal(count, other->length);
        stream_free(other);
    }
    assert_true(refused > image.len * 2);
    free(bytes);
    stream_free(s);
    free(m);
    redis_config_free(config);
}

static void nodes_come_in_order(void **state)
{
    redis_config_t *config = redis_config_new();
    config->stream_node_max_entries = 2;
    uint64_t seed = 9;
    stream_t *s = stream_new(), *to = stream_new();
    model_t *m = calloc(1, sizeof(*m));
    for (int i = 0; i < 6; i++) add(s, m, config, &seed);
    idtree_pos_t first = idtree_first(&s->nodes), second = idtree_next(first);
    assert_int_equal(stream_add_node(to, idtree_id(second), stream_node_image(second)), 0);
    assert_int_equal(stream_add_node(to, idtree_id(second), stream_node_image(second)), ERR_CORRUPT);
    assert_int_equal(stream_add_node(to, idtree_id(first), stream_node_image(first)), ERR_CORRUPT);
    assert_int_equal(to->length, 2);
    stream_free(to);
    stream_free(s);
    free(m);
    redis_config_free(config);
}

/* ---- groups ---------------------------------------------------------------------------------------------------------- */

static void a_pending_entry_has_one_record_in_both_views(void **state)
{
    bool added;
    stream_t *s = stream_new();
    stream_group_t *g = stream_group_add(s, BYTES_LIT("g"), STREAM_ID_LEAST, 0);
    stream_consumer_t *alice = stream_consumer_add(g, BYTES_LIT("alice"), 1),
                      *bob = stream_consumer_add(g, BYTES_LIT("bob"), 1);
    for (uint64_t i = 1; i <= 200; i++)
        stream_pending_give(g, (stream_id_t){i, 0}, i % 2 ? alice : bob, &added)->deliveries = i;
    stream_pending_t *p = stream_pending_find(g, (stream_id_t){7, 0});
    assert_ptr_equal(idtree_get(&alice->pending, (stream_id_t){7, 0}), p);
    assert_ptr_equal(stream_pending_give(g, (stream_id_t){7, 0}, bob, &added), p);
    assert_false(added);
    assert_null(idtree_get(&alice->pending, (stream_id_t){7, 0}));
    assert_ptr_equal(idtree_get(&bob->pending, (stream_id_t){7, 0}), p);
    assert_true(stream_pending_drop(g, (stream_id_t){7, 0}));
    assert_false(stream_pending_drop(g, (stream_id_t){7, 0}));
    assert_int_equal(g->pending.count, 199);
    stream_consumer_remove(g, alice);
    assert_int_equal(g->pending.count, 100);
    assert_null(stream_consumer_find(g, BYTES_LIT("alice")));
    stream_t *copy = stream_type_ops.copy(s, ENC_STREAM);
    stream_group_t *same = stream_group_find(copy, BYTES_LIT("g"));
    assert_int_equal(same->pending.count, 100);
    assert_int_equal(stream_pending_find(same, (stream_id_t){8, 0})->deliveries, 8);
    assert_true(stream_pending_find(same, (stream_id_t){8, 0})->consumer != bob);
    stream_free(copy);
    stream_group_remove(s, g);
    assert_null(stream_group_find(s, BYTES_LIT("g")));
    stream_free(s);
}

static void ids_turn_around_at_the_ends(void **state)
{
    stream_id_t id = {1, UINT64_MAX};
    assert_true(stream_id_increment(&id) && id.ms == 2 && id.seq == 0);
    assert_true(stream_id_decrement(&id) && id.ms == 1 && id.seq == UINT64_MAX);
    id = STREAM_ID_GREATEST;
    assert_false(stream_id_increment(&id));
    assert_true(stream_id_is_least(id));
    assert_false(stream_id_decrement(&id));
    assert_true(stream_id_eq(id, STREAM_ID_GREATEST));
}

static void ids_are_read_as_the_original_reads_them(void **state)
{
    static const struct {
        const char *text;
        bool valid;
        stream_id_t id;
    } cases[] = {
        {"1-2", true, {1, 2}},
        {"7", true, {7, 99}},
        {"0-0", true, {0, 0}},
        {"007-01", true, {7, 1}},
        {"+5-1", true, {5, 1}},
        {" 5-1", true, {5, 1}},
        {"", false, {0, 0}},
        {"-", false, {0, 0}},
        {"1-", false, {0, 0}},
        {"-1", false, {0, 0}},
        {"1--1", false, {0, 0}},
        {"x", false, {0, 0}},
        {"1-2 ", false, {0, 0}},
        {"18446744073709551615-18446744073709551615", true, {UINT64_MAX, UINT64_MAX}},
        {"18446744073709551616-0", false, {0, 0}},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        stream_id_t id = STREAM_ID_LEAST;
        assert_int_equal(stream_id_parse(bytes_str(cases[i].text), 99, &id), cases[i].valid);
        if (cases[i].valid) assert_true(stream_id_eq(id, cases[i].id));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_an_array_of_entries),
        cmocka_unit_test(a_node_has_the_originals_bytes),
        cmocka_unit_test(a_spoilt_node_is_refused_or_harmless),
        cmocka_unit_test(nodes_come_in_order),
        cmocka_unit_test(a_pending_entry_has_one_record_in_both_views),
        cmocka_unit_test(ids_turn_around_at_the_ends),
        cmocka_unit_test(ids_are_read_as_the_original_reads_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* hash_test.c: hashes whose fields expire, against plain arrays: values of all lengths, times that come, change and go, copies,
 * and RDB's form. */
#include "redis/types/hash.h"

#include "redis/types/rdb_value.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { FIELDS = 300, STEPS = 20000, MOMENTS = 1000, TEXT_BYTES_MAX = 600 };

static const redis_config_t config = {.hash_max_listpack_entries = 64, .hash_max_listpack_value = 32};

typedef struct field {
    bool there;
    int64_t at_ms;
    size_t len; /* of its text */
    char fill;
} field_t;

typedef struct world {
    value_t v;
    field_t fields[FIELDS];
} world_t;

static bytes_t name_of(int i, char out[32]) { return bytes_of(out, (size_t)sprintf(out, i % 3 ? "name%d" : "%d", i)); }

static bytes_t text_of(const field_t *f, char out[TEXT_BYTES_MAX])
{
    memset(out, f->fill, f->len);
    return bytes_of(out, f->len);
}

/* Around where a length takes more bytes, often. */
static size_t some_length(void)
{
    return rand() % 4 == 0 ? (size_t)(251 + rand() % 7)
           : rand() % 8    ? (size_t)(rand() % 20)
                           : (size_t)(rand() % TEXT_BYTES_MAX);
}

static void put(world_t *w, int i)
{
    char name[32], text[TEXT_BYTES_MAX];
    field_t *f = &w->fields[i];
    int64_t choice = rand() % 3 == 0 ? HASH_KEEP_TIME : rand() % 2 ? HASH_NO_TIME : rand() % MOMENTS;
    bool was_there = f->there;
    if (choice != HASH_KEEP_TIME || !was_there) f->at_ms = choice == HASH_KEEP_TIME ? HASH_NO_TIME : choice;
    *f = (field_t){true, f->at_ms, rand() % 3 && was_there ? f->len : some_length(), (char)('a' + rand() % 26)};
    assert_int_equal(hash_put(&w->v, name_of(i, name), text_of(f, text), choice, &config), !was_there);
}

static void change(world_t *w)
{
    char name[32];
    int i = rand() % FIELDS, what = rand() % 10;
    field_t *f = &w->fields[i];
    if (what < 5) {
        put(w, i);
    } else if (what < 7) {
        assert_int_equal(hash_delete(&w->v, name_of(i, name)), f->there);
        f->there = false;
    } else if (f->there) {
        f->at_ms = rand() % 2 ? HASH_NO_TIME : rand() % MOMENTS;
        hash_set_time(&w->v, name_of(i, name), f->at_ms);
    }
    if (rand() % 100 == 0) hash_settle(&w->v);
}

static void check_field(value_t v, const field_t *f, int i, int64_t now_ms)
{
    char name[32], text[TEXT_BYTES_MAX], room[NUM_I64_CHARS_MAX];
    hash_item_t item;
    bytes_t seen;
    assert_int_equal(hash_look(v, name_of(i, name), room, &item), f->there);
    bool shown = f->there && !(f->at_ms >= 0 && f->at_ms < now_ms);
    assert_int_equal(hash_get(v, name_of(i, name), now_ms, room, &seen), shown);
    if (!f->there) return;
    assert_int_equal(item.at_ms, f->at_ms);
    hash_look(v, name_of(i, name), room, &item);
    assert_true(bytes_eq(item.text, text_of(f, text)));
}

typedef struct tally {
    value_t v;
    int64_t now_ms;
    size_t all, shown;
} tally_t;

static void count_item(void *user, const hash_item_t *item) { ((tally_t *)user)->all++; }
static void count_shown(void *user, bytes_t field, bytes_t text) { ((tally_t *)user)->shown++; }

static void check(value_t v, const world_t *w)
{
    int64_t now_ms = rand() % MOMENTS;
    tally_t t = {.v = v, .now_ms = now_ms};
    size_t there = 0, timed = 0, over = 0;
    for (int i = 0; i < FIELDS; i++) {
        const field_t *f = &w->fields[i];
        check_field(v, f, i, now_ms);
        there += f->there;
        timed += f->there && f->at_ms >= 0;
        over += f->there && f->at_ms >= 0 && f->at_ms < now_ms;
    }
    hash_each_item(v, count_item, &t);
    hash_each(v, now_ms, count_shown, &t);
    assert_int_equal(hash_length(v), there);
    assert_int_equal(hash_timed(v), timed);
    assert_int_equal(hash_over(v, now_ms), over);
    assert_int_equal(t.all, there);
    assert_int_equal(t.shown, there - over);
}

static void check_copy(const world_t *w)
{
    value_t copy = {hash_type_ops.copy(w->v.ptr, w->v.encoding), w->v.encoding};
    check(copy, w);
    hash_type_ops.free(copy.ptr, copy.encoding);
}

static void check_rdb(const world_t *w)
{
    buf_t out = BUF_INIT;
    rdb_writer_t writer = {.out = &out, .compress = true};
    rdb_value_t back;
    if (hash_length(w->v) == 0) return;
    rdb_put_value(&writer, TYPE_HASH, w->v);
    rdb_reader_t r = rdb_reader_of(buf_bytes(&out));
    assert_int_equal(rdb_get_value(&r, (uint8_t)rdb_type_of(TYPE_HASH, w->v.encoding), &config, &back), 0);
    assert_ptr_equal(r.at, r.end);
    check(back.value, w);
    rdb_value_free(&back);
    rdb_reader_deinit(&r);
    buf_deinit(&out);
}

static void fields_have_the_times_that_they_were_given(void **state)
{
    world_t *w = calloc(1, sizeof(*w));
    w->v = hash_new();
    for (int i = 0; i < STEPS; i++) {
        change(w);
        if (i % 400) continue;
        check(w->v, w);
        check_copy(w);
        check_rdb(w);
    }
    hash_type_ops.free(w->v.ptr, w->v.encoding);
    free(w);
}

static void what_is_over_goes_in_the_order_of_time(void **state)
{
    world_t *w = calloc(1, sizeof(*w));
    bytes_t field;
    int64_t last = -1;
    w->v = hash_new();
    for (int i = 0; i < STEPS / 10; i++) change(w);
    size_t over = hash_over(w->v, MOMENTS / 2), length = hash_length(w->v);
    assert_true(over > 10);
    for (size_t i = 0; i < over; i++) {
        char name[32], room[NUM_I64_CHARS_MAX];
        hash_item_t item;
        assert_true(hash_first_over(w->v, MOMENTS / 2, &field));
        bytes_t copy = bytes_of(memcpy(name, field.ptr, field.len), field.len);
        assert_true(hash_look(w->v, copy, room, &item));
        assert_true(item.at_ms >= last && item.at_ms < MOMENTS / 2);
        last = item.at_ms;
        hash_delete(&w->v, copy);
    }
    assert_false(hash_first_over(w->v, MOMENTS / 2, &field));
    assert_int_equal(hash_length(w->v), length - over);
    hash_type_ops.free(w->v.ptr, w->v.encoding);
    free(w);
}

static void a_hash_without_times_is_as_small_as_if_it_never_had_any(void **state)
{
    char name[32];
    value_t a = hash_new(), b = hash_new();
    for (int i = 0; i < 100; i++) {
        hash_set(&a, name_of(i, name), BYTES_LIT("v"), &config);
        hash_put(&b, name_of(i, name), BYTES_LIT("v"), i, &config);
    }
    assert_int_equal(a.encoding, ENC_HASHTABLE);
    assert_int_equal(b.encoding, ENC_HASHTABLE_TIMED);
    size_t timed_bytes = hash_type_ops.memory_bytes(b.ptr, b.encoding, 0);
    for (int i = 0; i < 100; i++) hash_set_time(&b, name_of(i, name), HASH_NO_TIME);
    hash_settle(&b);
    assert_int_equal(b.encoding, ENC_HASHTABLE);
    assert_int_equal(hash_type_ops.memory_bytes(a.ptr, a.encoding, 0),
                     hash_type_ops.memory_bytes(b.ptr, b.encoding, 0));
    assert_true(timed_bytes > hash_type_ops.memory_bytes(b.ptr, b.encoding, 0));
    hash_type_ops.free(a.ptr, a.encoding);
    hash_type_ops.free(b.ptr, b.encoding);
}

/* Of Valkey 9.1.2: HSET h a 1, HPEXPIREAT h 2000000000000 FIELDS 1 a, DUMP h; without the type, the version and the checksum. */
static void the_form_is_that_of_the_original(void **state)
{
    static const uint8_t dump[] = {1, 1, 'a', 0xc0, 1, 0x00, 0x20, 0x4a, 0xa9, 0xd1, 0x01, 0x00, 0x00};
    value_t v = hash_new();
    buf_t out = BUF_INIT;
    rdb_writer_t writer = {.out = &out, .compress = true};
    hash_put(&v, BYTES_LIT("a"), BYTES_LIT("1"), 2000000000000, &config);
    assert_int_equal(rdb_type_of(TYPE_HASH, v.encoding), RDB_HASH_2);
    rdb_put_value(&writer, TYPE_HASH, v);
    assert_int_equal(out.len, sizeof(dump));
    assert_memory_equal(out.ptr, dump, sizeof(dump));
    hash_type_ops.free(v.ptr, v.encoding);
    buf_deinit(&out);
}

static int read_bytes(const uint8_t *data, size_t len, rdb_value_t *ret)
{
    rdb_reader_t r = rdb_reader_of(bytes_of(data, len));
    int err = rdb_get_value(&r, RDB_HASH_2, &config, ret);
    rdb_reader_deinit(&r);
    return err;
}

static void what_is_no_hash_is_refused(void **state)
{
    static const uint8_t below[] = {1, 1, 'a', 1, 'b', 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    static const uint8_t twice[] = {2, 1,   'a', 1,   'b',  0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                    1, 'a', 1,   'c', 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    static const uint8_t short_time[] = {1, 1, 'a', 1, 'b', 0xff, 0xff, 0xff};
    static const uint8_t empty[] = {0};
    static const uint8_t forever[] = {1, 1, 'a', 1, 'b', 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    rdb_value_t v;
    assert_int_equal(read_bytes(below, sizeof(below), &v), ERR_CORRUPT);
    assert_int_equal(read_bytes(twice, sizeof(twice), &v), ERR_CORRUPT);
    assert_int_equal(read_bytes(short_time, sizeof(short_time), &v), ERR_TRUNCATED);
    assert_int_equal(read_bytes(empty, sizeof(empty), &v), ERR_NOT_FOUND);
    assert_int_equal(read_bytes(forever, sizeof(forever), &v), 0);
    assert_int_equal(v.value.encoding, ENC_LISTPACK);
    rdb_value_free(&v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_have_the_times_that_they_were_given),
        cmocka_unit_test(what_is_over_goes_in_the_order_of_time),
        cmocka_unit_test(a_hash_without_times_is_as_small_as_if_it_never_had_any),
        cmocka_unit_test(the_form_is_that_of_the_original),
        cmocka_unit_test(what_is_no_hash_is_refused),
    };
    srand(7);
    return cmocka_run_group_tests(tests, NULL, NULL);
}

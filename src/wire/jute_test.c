/* jute_test.c: readers stop at the first impossible field; what is put is what is got. */
#include "wire/jute.h"
#include "zk_records.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void a_record_comes_back_as_it_was_put(void **state)
{
    arena_t arena;
    arena_init(&arena, 0);
    zk_acl_t acl[] = {{31, {BYTES_LIT("world"), BYTES_LIT("anyone")}}, {1, {BYTES_LIT("digest"), BYTES_LIT("u:h")}}};
    zk_create_request_t in = {BYTES_LIT("/a"), BYTES_NULL, acl, 2, 3}, out;
    uint8_t wire[256];
    assert_int_equal(zk_create_request_put(wire, &in) - wire, zk_create_request_size(&in));
    jute_reader_t r = jute_reader(bytes_of(wire, zk_create_request_size(&in)), &arena);
    zk_create_request_get(&r, &out);
    assert_false(r.bad);
    assert_int_equal(jute_left(&r), 0);
    assert_true(bytes_eq(out.path, in.path) && out.data.ptr == NULL && out.acl_count == 2 && out.flags == 3);
    assert_true(bytes_eq(out.acl[1].id.id, BYTES_LIT("u:h")));
    arena_deinit(&arena);
}

static void impossible_lengths_are_refused(void **state)
{
    static const uint8_t negative[] = {0xff, 0xff, 0xff, 0xfe}, long_one[] = {0, 0, 0, 9, 'a'},
                         vector[] = {0x7f, 0xff, 0xff, 0xff};
    arena_t arena;
    arena_init(&arena, 1024);
    jute_reader_t r = jute_reader(bytes_of(negative, sizeof(negative)), &arena);
    assert_null(jute_get_bytes(&r).ptr);
    assert_true(r.bad);
    r = jute_reader(bytes_of(long_one, sizeof(long_one)), &arena);
    assert_null(jute_get_bytes(&r).ptr);
    assert_true(r.bad);
    assert_int_equal(jute_get_int(&r), 0); /* stays bad */
    int32_t count;
    r = jute_reader(bytes_of(vector, sizeof(vector)), &arena);
    assert_null(jute_get_strings(&r, &count));
    assert_true(r.bad && count == 0);
    arena_deinit(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_record_comes_back_as_it_was_put),
        cmocka_unit_test(impossible_lengths_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

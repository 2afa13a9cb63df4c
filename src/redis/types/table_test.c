/* table_test.c: the table against a plain array, through growth and shrinking. */
#include "redis/types/table.h"

#include "base/hash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

typedef struct item {
    char name[24];
    size_t len;
    unsigned seen;
} item_t;

static uint64_t item_hash(const void *entry)
{
    const item_t *i = entry;
    return hash_bytes(i->name, i->len);
}

static bool item_same(const void *entry, bytes_t key)
{
    const item_t *i = entry;
    return i->len == key.len && memcmp(i->name, key.ptr, key.len) == 0;
}

static bool find(table_t *t, const item_t *i, table_pos_t *pos)
{
    return table_find(t, item_hash(i), bytes_of(i->name, i->len), item_same, pos);
}

static item_t *make_items(size_t n)
{
    item_t *items = calloc(n, sizeof(*items));
    for (size_t i = 0; i < n; i++) items[i].len = (size_t)snprintf(items[i].name, sizeof(items[i].name), "key:%zu", i);
    return items;
}

static void insert(table_t *t, item_t *i) { table_insert(t, item_hash(i), i); }

static void see(void *user, void *entry) { ((item_t *)entry)->seen++; }

static uint64_t xorshift(void *user)
{
    uint64_t *s = user;
    *s ^= *s << 13;
    *s ^= *s >> 7;
    return *s ^= *s << 17;
}

static void test_keeps_what_was_inserted(void **state)
{
    enum { N = 50000 };
    table_t t;
    table_init(&t, item_hash);
    item_t *items = make_items(N);
    table_pos_t pos;
    for (size_t i = 0; i < N; i++) {
        assert_false(find(&t, &items[i], &pos));
        insert(&t, &items[i]);
        assert_true(find(&t, &items[i / 2], &pos));
        assert_ptr_equal(table_at(pos), &items[i / 2]);
    }
    assert_int_equal(table_count(&t), N);
    for (size_t i = 0; i < N; i++) {
        assert_true(find(&t, &items[i], &pos));
        if (i % 8 == 0) continue;
        table_remove(&t, item_hash(&items[i]), pos);
        assert_false(find(&t, &items[i], &pos));
    }
    assert_int_equal(table_count(&t), N / 8);
    table_each(&t, see, NULL);
    for (size_t i = 0; i < N; i++) assert_int_equal(items[i].seen, i % 8 == 0);
    while (table_move(&t, 100)) {
    }
    assert_true(table_memory_bytes(&t) < N / 8 * 64);
    table_deinit(&t);
    assert_int_equal(t.chained_buckets, 0);
    free(items);
}

static void test_scan_visits_all_while_the_table_changes(void **state)
{
    enum { N = 4000 };
    table_t t;
    table_init(&t, item_hash);
    item_t *items = make_items(N * 4);
    for (size_t i = 0; i < N; i++) insert(&t, &items[i]);
    uint64_t cursor = 0;
    size_t next = N;
    do {
        cursor = table_scan(&t, cursor, see, NULL);
        for (int k = 0; k < 8 && next < N * 4; k++) insert(&t, &items[next++]);
    } while (cursor);
    for (size_t i = 0; i < N; i++) assert_true(items[i].seen >= 1);
    table_pos_t pos;
    for (size_t i = 0; i < N * 4; i++) items[i].seen = 0;
    do {
        cursor = table_scan(&t, cursor, see, NULL);
        for (int k = 0; k < 20 && next > N / 8; k++) {
            next--;
            if (find(&t, &items[next], &pos)) table_remove(&t, item_hash(&items[next]), pos);
        }
    } while (cursor);
    for (size_t i = 0; i < N / 8; i++) assert_true(items[i].seen >= 1);
    table_deinit(&t);
    free(items);
}

static void test_random_is_fair(void **state)
{
    enum { N = 100, DRAWS = 200000 };
    table_t t;
    table_init(&t, item_hash);
    item_t *items = make_items(N);
    for (size_t i = 0; i < N; i++) insert(&t, &items[i]);
    uint64_t seed = 88172645463325252u;
    for (int i = 0; i < DRAWS; i++) ((item_t *)table_random(&t, xorshift, &seed))->seen++;
    for (size_t i = 0; i < N; i++) assert_in_range(items[i].seen, DRAWS / N * 8 / 10, DRAWS / N * 12 / 10);
    table_deinit(&t);
    free(items);
}

static void test_samples_are_entries_and_every_entry_is_sampled(void **state)
{
    enum { N = 1000, DRAWS = 20000, MAX = 10 };
    table_t t;
    void *sample[MAX];
    table_init(&t, item_hash);
    assert_int_equal(table_sample(&t, 7, MAX, sample), 0);
    item_t *items = make_items(N);
    for (size_t i = 0; i < N; i++) insert(&t, &items[i]);
    uint64_t seed = 88172645463325252u;
    for (int i = 0; i < DRAWS; i++) {
        size_t count = table_sample(&t, xorshift(&seed), MAX, sample);
        assert_in_range(count, 1, MAX);
        for (size_t n = 0; n < count; n++) ((item_t *)sample[n])->seen++;
    }
    for (size_t i = 0; i < N; i++) assert_true(items[i].seen >= DRAWS * MAX / N / 4);
    table_deinit(&t);
    free(items);
}

static bool never(table_budget_t *budget, size_t bytes) { return false; }

/* What a growing table has not moved into is known to the budget until the last byte, and what leaves makes it no larger. */
static void test_without_a_budget_it_fills_up_and_grows_late(void **state)
{
    enum { N = 9 << 12, LATE = N * 3 / 2 };
    table_budget_t budget = {.allows = never};
    table_t t;
    table_pos_t pos;
    table_init(&t, item_hash);
    table_limit(&t, &budget);
    item_t *items = make_items(2 * N);
    table_reserve(&t, N / 2 + N / 8);
    size_t before = table_memory_bytes(&t);
    for (size_t i = 0; i < LATE; i++) insert(&t, &items[i]);
    assert_null(t.buckets[1]);
    assert_in_range(table_memory_bytes(&t), before, 3 * before);
    for (size_t i = LATE; i < 2 * N && !t.buckets[1]; i++) insert(&t, &items[i]);
    assert_non_null(t.buckets[1]);
    assert_in_range(budget.unfilled_bytes, before, 2 * before);
    size_t unfilled = budget.unfilled_bytes;
    for (size_t i = 0; i < N / 8; i++) {
        assert_true(find(&t, &items[i], &pos));
        table_remove(&t, item_hash(&items[i]), pos);
    }
    assert_int_equal(budget.unfilled_bytes, unfilled);
    while (table_move(&t, 10)) assert_in_range(unfilled - budget.unfilled_bytes, 1, unfilled - 1);
    assert_int_equal(budget.unfilled_bytes, 0);
    for (size_t i = N / 8; i < LATE; i++) assert_true(find(&t, &items[i], &pos));
    table_deinit(&t);
    free(items);
}

/* Of every size, so that some are drained in the middle of growing. */
static void test_draining_visits_each_entry_once_whatever_the_pieces(void **state)
{
    enum { N = 3000 };
    item_t *items = make_items(N);
    for (size_t n = 0, pieces; n <= N; n += n < 40 ? 1 : 37) {
        table_t t;
        table_init(&t, item_hash);
        for (size_t i = 0; i < n; i++) {
            insert(&t, &items[i]);
            items[i].seen = 0;
        }
        for (pieces = 1;; pieces++) {
            size_t budget = 1 + n % 50;
            if (table_drain(&t, &budget, see, NULL)) break;
            assert_int_equal(budget, 0);
        }
        for (size_t i = 0; i < n; i++) assert_int_equal(items[i].seen, 1);
        assert_int_equal(table_count(&t) + table_memory_bytes(&t), 0);
        assert_true(pieces * (1 + n % 50 + 2 * TABLE_SLOTS) > n);
    }
    free(items);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keeps_what_was_inserted),
        cmocka_unit_test(test_scan_visits_all_while_the_table_changes),
        cmocka_unit_test(test_random_is_fair),
        cmocka_unit_test(test_samples_are_entries_and_every_entry_is_sampled),
        cmocka_unit_test(test_without_a_budget_it_fills_up_and_grows_late),
        cmocka_unit_test(test_draining_visits_each_entry_once_whatever_the_pieces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

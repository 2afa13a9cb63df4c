/* ztree_test.c: the tree against a sorted array. */
#include "redis/types/ztree.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define ITEMS_MAX 20000

typedef struct model {
    zitem_t *items[ITEMS_MAX];
    size_t count;
} model_t;

static int order(const void *a, const void *b)
{
    const zitem_t *x = *(zitem_t *const *)a, *y = *(zitem_t *const *)b;
    if (x->score != y->score) return x->score < y->score ? -1 : 1;
    return bytes_cmp(zitem_member(x), zitem_member(y));
}

static zitem_t *random_item(int scores)
{
    static unsigned serial;
    char name[32];
    sprintf(name, "m%u", serial++ * 7919 % 1000003);
    return zitem_new(rand() % scores, bytes_str(name));
}

static void check_against(const ztree_t *t, model_t *m)
{
    ztree_check(t);
    assert_int_equal(t->count, m->count);
    qsort(m->items, m->count, sizeof(zitem_t *), order);
    ztree_pos_t pos = ztree_at(t, 0);
    for (size_t i = 0; i < m->count; i++, pos = ztree_next(pos)) assert_ptr_equal(ztree_item(pos), m->items[i]);
    for (int i = 0; i < 50 && m->count; i++) {
        size_t rank = (size_t)rand() % m->count;
        zitem_t *item = m->items[rank];
        assert_ptr_equal(ztree_item(ztree_at(t, rank)), item);
        ztree_bound_t b = {ZBOUND_ITEM_GE, item->score, zitem_member(item)};
        assert_int_equal(ztree_seek(t, &b, &pos), rank);
        assert_ptr_equal(ztree_item(pos), item);
        b.kind = ZBOUND_ITEM_GT;
        assert_int_equal(ztree_seek(t, &b, &pos), rank + 1);
        b.kind = ZBOUND_SCORE_GE;
        size_t first = ztree_seek(t, &b, &pos);
        assert_true(first <= rank && m->items[first]->score == item->score);
        assert_true(first == 0 || m->items[first - 1]->score < item->score);
        b.kind = ZBOUND_SCORE_GT;
        size_t after = ztree_seek(t, &b, &pos);
        assert_true(after > rank && (after == m->count || m->items[after]->score > item->score));
        assert_int_equal(pos.node == NULL, after == m->count);
    }
}

static void step(ztree_t *t, model_t *m, int what, int scores)
{
    if (m->count == 0 || (what < 60 && m->count < ITEMS_MAX)) {
        zitem_t *item = random_item(scores);
        m->items[m->count++] = item;
        ztree_insert(t, item);
        return;
    }
    size_t i = (size_t)rand() % m->count;
    zitem_t *item = m->items[i];
    if (what < 80) {
        ztree_set_score(t, item, what % 2 ? item->score + 0.25 : rand() % scores);
        return;
    }
    ztree_remove(t, item);
    zitem_free(item);
    m->items[i] = m->items[--m->count];
}

static void behaves_as_a_sorted_array(void **state)
{
    static const int score_ranges[] = {1, 10, 1000, 1000000};
    static model_t m;
    for (size_t s = 0; s < ARRAY_LEN(score_ranges); s++) {
        srand(5 + (unsigned)s);
        ztree_t t = ZTREE_INIT;
        for (int i = 0; i < 60000; i++) {
            /* grows for a while, then shrinks to little */
            int what = rand() % 100;
            if (i % 30000 > 16000) what = what / 2 + 50;
            step(&t, &m, what, score_ranges[s]);
            if (i % 3000 == 0) check_against(&t, &m);
        }
        check_against(&t, &m);
        while (m.count) step(&t, &m, 99, score_ranges[s]);
        assert_null(t.root);
        assert_int_equal(t.heap_bytes, 0);
    }
}

static void ascending_insertion_fills_its_leaves(void **state)
{
    ztree_t t = ZTREE_INIT;
    for (int i = 0; i < 100000; i++) ztree_insert(&t, zitem_new(i, BYTES_LIT("x")));
    ztree_check(&t);
    assert_true(t.heap_bytes < 100000 * 19);
    for (size_t i = 100000; i-- > 0;) {
        zitem_t *item = ztree_item(ztree_at(&t, i / 2));
        ztree_remove(&t, item);
        zitem_free(item);
    }
    assert_int_equal(t.count, 0);
}

static void finds_members_of_equal_scores(void **state)
{
    ztree_t t = ZTREE_INIT;
    char name[16];
    for (int i = 0; i < 5000; i++) {
        sprintf(name, "%05d", i * 2);
        ztree_insert(&t, zitem_new(0, bytes_str(name)));
    }
    ztree_pos_t pos;
    for (int i = 0; i < 9999; i++) {
        sprintf(name, "%05d", i);
        ztree_bound_t b = {ZBOUND_LEX_GE, 0, bytes_str(name)};
        assert_int_equal(ztree_seek(&t, &b, &pos), (i + 1) / 2);
        b.kind = ZBOUND_LEX_GT;
        assert_int_equal(ztree_seek(&t, &b, &pos), i / 2 + 1);
    }
    for (pos = ztree_at(&t, 0); pos.node; pos = ztree_next(pos)) zitem_free(ztree_item(pos));
    ztree_deinit(&t);
}

static void draining_frees_every_node_and_no_item(void **state)
{
    zitem_t *items[5000];
    for (int n = 0; n <= 5000; n += n < 100 ? 1 : 97) {
        ztree_t t = ZTREE_INIT;
        for (int i = 0; i < n; i++) {
            items[i] = zitem_new((i * 7919) % 5003, BYTES_LIT("x"));
            ztree_insert(&t, items[i]);
        }
        size_t budget = 3;
        while (!ztree_drain(&t, &budget)) {
            assert_int_equal(budget, 0);
            budget = 3;
        }
        assert_null(t.root);
        assert_int_equal(t.count + t.heap_bytes, 0);
        for (int i = 0; i < n; i++) {
            assert_int_equal(items[i]->score, (i * 7919) % 5003);
            zitem_free(items[i]);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(behaves_as_a_sorted_array),
        cmocka_unit_test(ascending_insertion_fills_its_leaves),
        cmocka_unit_test(finds_members_of_equal_scores),
        cmocka_unit_test(draining_frees_every_node_and_no_item),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

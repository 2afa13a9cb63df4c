/* quicklist_test.c: every operation against an array of strings, over several node limits. */
#include "redis/types/quicklist_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define MODEL_MAX 3000

typedef struct model {
    bytes_t items[MODEL_MAX];
    size_t count;
} model_t;

static bytes_t random_item(void)
{
    size_t len = rand() % 50 == 0 ? (size_t)rand() % 12000 : (size_t)rand() % 100;
    char *s = malloc(len + 24);
    memset(s, 'a' + rand() % 26, len);
    if (rand() % 3 == 0) len = (size_t)sprintf(s, "%d", rand() % 100000);
    return bytes_of(s, len);
}

static void model_insert(model_t *m, size_t at, bytes_t s)
{
    memmove(m->items + at + 1, m->items + at, (m->count - at) * sizeof(bytes_t));
    m->items[at] = s;
    m->count++;
}

static void model_delete(model_t *m, size_t at, size_t n)
{
    for (size_t i = 0; i < n; i++) free((void *)m->items[at + i].ptr);
    memmove(m->items + at, m->items + at + n, (m->count - at - n) * sizeof(bytes_t));
    m->count -= n;
}

/* Whether list-compress-depth lets the node be packed. */
static bool is_inner(const quicklist_t *ql, const ql_node_t *node)
{
    const ql_node_t *before = node, *after = node;
    for (uint32_t i = 0; i < ql->compress_depth; i++) {
        if (before) before = before->prev;
        if (after) after = after->next;
    }
    return ql->compress_depth && before && after;
}

static void check_nodes(const quicklist_t *ql)
{
    size_t nodes = 0, packed = 0, open = 0;
    for (const ql_node_t *n = ql->head; n; n = n->next) {
        nodes++;
        packed += n->packed != NULL;
        assert_true(n->count > 0);
        assert_int_equal(n->data == NULL, n->packed != NULL);
        if (n->packed) assert_true(is_inner(ql, n));
        size_t bytes = ql_node_bytes(n);
        open += is_inner(ql, n) && !n->packed && !n->stubborn && bytes >= 48;
        if (n->plain) continue;
        if (n->data) assert_int_equal(lp_count(n->data), n->count);
        if (n->count > 1) assert_false(ql_exceeds(ql->fill, bytes, n->count));
    }
    assert_int_equal(nodes, ql->nodes_count);
    assert_int_equal(packed, ql->packed_count);
    assert_true(open <= 1);
}

static void check(quicklist_t *ql, const model_t *m)
{
    char room[NUM_I64_CHARS_MAX];
    assert_int_equal(ql->count, m->count);
    check_nodes(ql);
    ql_pos_t p = ql_first(ql);
    for (size_t i = 0; i < m->count; i++, p = ql_next(ql, p)) assert_true(bytes_eq(ql_text(p, room), m->items[i]));
    assert_null(p.node);
    p = ql_last(ql);
    for (size_t i = m->count; i-- > 0; p = ql_prev(ql, p)) assert_true(bytes_eq(ql_text(p, room), m->items[i]));
    assert_null(p.node);
    check_nodes(ql);
}

static void grow_step(quicklist_t *ql, model_t *m, int what)
{
    bytes_t s = random_item();
    if (what <= 1 || m->count == 0) {
        ql_push(ql, s, what == 0);
        model_insert(m, what == 0 ? 0 : m->count, s);
        return;
    }
    size_t at = (size_t)rand() % m->count;
    bool after = rand() % 2;
    ql_insert(ql, ql_seek(ql, (int64_t)at), s, after);
    model_insert(m, at + after, s);
}

static void shrink_step(quicklist_t *ql, model_t *m, int what)
{
    char room[NUM_I64_CHARS_MAX];
    size_t at = (size_t)rand() % m->count;
    ql_pos_t pos = ql_seek(ql, what == 4 ? (int64_t)at : (int64_t)at - (int64_t)m->count);
    if (what == 3) {
        free((void *)m->items[at].ptr);
        m->items[at] = random_item();
        ql_replace(ql, pos, m->items[at]);
    } else if (what == 4) {
        bool backwards = rand() % 2;
        pos = ql_remove(ql, pos, backwards);
        model_delete(m, at, 1);
        size_t then = backwards ? at - 1 : at;
        assert_int_equal(pos.node == NULL, then >= m->count);
        if (pos.node) assert_true(bytes_eq(ql_text(pos, room), m->items[then]));
    } else if (rand() % 30 == 0) {
        size_t n = (size_t)rand() % 300;
        ql_delete_range(ql, at, n);
        model_delete(m, at, MIN(n, m->count - at));
    }
}

static void behaves_as_an_array(void **state)
{
    static model_t m;
    static const int64_t fills[] = {-2, -1, -5, 3, 128, 0, -1, -1, 3, 2};
    static const uint32_t depths[ARRAY_LEN(fills)] = {0, 0, 0, 0, 0, 0, 1, 3, 2, 200};
    for (size_t f = 0; f < ARRAY_LEN(fills); f++) {
        srand(11 + (unsigned)f);
        quicklist_t *ql = ql_new(fills[f]);
        ql->compress_depth = depths[f];
        for (int i = 0; i < 4000; i++) {
            int what = rand() % 6;
            if ((what <= 2 && m.count < MODEL_MAX - 1) || m.count == 0)
                grow_step(ql, &m, what);
            else
                shrink_step(ql, &m, what);
            if (i % 40 == 0) check(ql, &m);
        }
        check(ql, &m);
        quicklist_t *copy = ql_copy(ql);
        check(copy, &m);
        ql_free(copy);
        ql_delete_range(ql, 0, m.count);
        model_delete(&m, 0, m.count);
        check(ql, &m);
        ql_free(ql);
    }
}

static void large_elements_stand_alone(void **state)
{
    static char big[9000];
    char room[NUM_I64_CHARS_MAX];
    quicklist_t *ql = ql_new(-2);
    ql_push(ql, BYTES_LIT("a"), false);
    ql_push(ql, BYTES_LIT("c"), false);
    ql_insert(ql, ql_seek(ql, 1), bytes_of(big, sizeof(big)), false);
    assert_int_equal(ql->nodes_count, 3);
    assert_true(ql->head->next->plain);
    assert_true(bytes_eq(ql_text(ql_seek(ql, 2), room), BYTES_LIT("c")));
    ql_free(ql);
}

static void inner_nodes_are_packed_and_small_elements_can_be_made_plain(void **state)
{
    char text[1000], room[NUM_I64_CHARS_MAX];
    quicklist_t *ql = ql_new(-2);
    ql->compress_depth = 1;
    memset(text, 'y', sizeof(text));
    for (int i = 0; i < 1000; i++) ql_push(ql, bytes_of(text, sizeof(text)), i % 2);
    assert_int_equal(ql->packed_count, ql->nodes_count - 2);
    assert_true(ql_heap_bytes(ql, 0) < 100000);
    assert_true(bytes_eq(ql_text(ql_seek(ql, 500), room), bytes_of(text, sizeof(text))));
    assert_int_equal(ql->packed_count, ql->nodes_count - 3);
    (void)ql_first(ql);
    assert_int_equal(ql->packed_count, ql->nodes_count - 2);
    ql->plain_bytes_min = 10;
    ql_push(ql, bytes_of(text, 9), false);
    assert_false(ql->tail->plain);
    ql_push(ql, bytes_of(text, 10), false);
    assert_true(ql->tail->plain);
    ql_free(ql);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(behaves_as_an_array),
        cmocka_unit_test(large_elements_stand_alone),
        cmocka_unit_test(inner_nodes_are_packed_and_small_elements_can_be_made_plain),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

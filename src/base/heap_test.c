/* heap_test.c: a heap against a plain array that is searched. */
#include "base/heap.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

/* Over the border between one block and several, both ways. */
enum { NODES = 5000, STEPS = 60000 };

static uint64_t draw(uint64_t *state, uint64_t bound)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state % bound;
}

static bool is_in(const heap_node_t *n) { return heap_place(n) != HEAP_NONE; }

static int64_t least_of(const heap_node_t *nodes)
{
    int64_t least = INT64_MAX;
    for (int i = 0; i < NODES; i++)
        if (is_in(&nodes[i])) least = MIN(least, heap_at_ms(&nodes[i]));
    return least;
}

static uint32_t before(const heap_node_t *nodes, int64_t ms)
{
    uint32_t count = 0;
    for (int i = 0; i < NODES; i++) count += is_in(&nodes[i]) && heap_at_ms(&nodes[i]) < ms;
    return count;
}

static void check(const heap_t *h, const heap_node_t *nodes, int64_t ms)
{
    const heap_node_t *first = heap_first(h);
    if (first) assert_int_equal(heap_at_ms(first), least_of(nodes));
    assert_int_equal(h->count, before(nodes, INT64_MAX));
    assert_int_equal(heap_count_before(h, ms), before(nodes, ms));
    assert_true(heap_bytes(h) >= h->count * sizeof(void *));
}

/* More inserts than removals in the first half, fewer in the second. */
static void change(heap_t *h, heap_node_t *n, uint64_t *state, bool grows)
{
    int64_t at_ms = (int64_t)draw(state, 10000);
    bool insert = draw(state, 10) < (grows ? 8 : 2);
    if (!is_in(n) && insert) {
        heap_node_init(n, at_ms);
        heap_insert(h, n);
    } else if (is_in(n) && draw(state, 3) == 0) {
        heap_set_at_ms(h, n, at_ms);
    } else if (is_in(n) && !insert) {
        heap_remove(h, n);
    }
}

static void test_the_first_is_the_earliest_whatever_comes_and_goes(void **state)
{
    heap_node_t *nodes = malloc(sizeof(*nodes) * NODES);
    heap_t h = {0};
    uint64_t random = 42;
    for (int i = 0; i < NODES; i++) heap_node_init(&nodes[i], 0);
    for (int i = 0; i < STEPS; i++) {
        change(&h, &nodes[draw(&random, NODES)], &random, i < STEPS / 2);
        if (i % 500 == 0) check(&h, nodes, (int64_t)draw(&random, 10000));
    }
    int64_t last = -1;
    for (heap_node_t *n; (n = heap_first(&h)); heap_remove(&h, n)) {
        assert_true(heap_at_ms(n) >= last);
        last = heap_at_ms(n);
    }
    assert_int_equal(heap_bytes(&h), 0);
    heap_deinit(&h);
    free(nodes);
}

static void test_a_heap_of_many_blocks_is_freed_whole(void **state)
{
    heap_node_t *nodes = malloc(sizeof(*nodes) * NODES);
    heap_t h = {0};
    for (int i = 0; i < NODES; i++) {
        heap_node_init(&nodes[i], NODES - i);
        heap_insert(&h, &nodes[i]);
    }
    assert_int_equal(heap_count_before(&h, INT64_MAX), NODES);
    assert_int_equal(heap_at_ms(heap_first(&h)), 1);
    heap_deinit(&h);
    free(nodes);
}

static void test_a_node_that_moved_is_found_again(void **state)
{
    heap_node_t a, b, moved;
    heap_t h = {0};
    heap_node_init(&a, 5);
    heap_node_init(&b, 7);
    heap_insert(&h, &a);
    heap_insert(&h, &b);
    moved = a;
    heap_moved(&h, &moved);
    assert_ptr_equal(heap_first(&h), &moved);
    heap_set_at_ms(&h, &moved, 9);
    assert_ptr_equal(heap_first(&h), &b);
    heap_deinit(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_first_is_the_earliest_whatever_comes_and_goes),
        cmocka_unit_test(test_a_heap_of_many_blocks_is_freed_whole),
        cmocka_unit_test(test_a_node_that_moved_is_found_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* idtree_test.c: a long random run against a sorted array, and the two ends that streams work at. */
#include "redis/types/idtree.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

enum { MODEL_MAX = 20000 };

typedef struct model {
    stream_id_t ids[MODEL_MAX];
    size_t count;
} model_t;

static uint64_t next_random(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return *state >> 33;
}

static size_t model_lower(const model_t *m, stream_id_t id)
{
    size_t i = 0, hi = m->count;
    while (i < hi) {
        size_t mid = (i + hi) / 2;
        if (stream_id_cmp(m->ids[mid], id) < 0)
            i = mid + 1;
        else
            hi = mid;
    }
    return i;
}

static bool model_has(const model_t *m, size_t i, stream_id_t id)
{
    return i < m->count && stream_id_eq(m->ids[i], id);
}

/* The value is the ID's own sum, so that a value in a wrong place is seen. */
static void *value_for(stream_id_t id) { return (void *)(uintptr_t)(id.ms * 1000 + id.seq + 1); }

static void add(idtree_t *t, model_t *m, stream_id_t id)
{
    bool added;
    size_t i = model_lower(m, id);
    void **slot = idtree_slot(t, id, &added);
    assert_int_equal(added, !model_has(m, i, id));
    if (!added) {
        assert_ptr_equal(*slot, value_for(id));
        return;
    }
    *slot = value_for(id);
    memmove(m->ids + i + 1, m->ids + i, (m->count - i) * sizeof(*m->ids));
    m->ids[i] = id;
    m->count++;
}

static void take(idtree_t *t, model_t *m, stream_id_t id)
{
    size_t i = model_lower(m, id);
    bool there = model_has(m, i, id);
    assert_ptr_equal(idtree_get(t, id), there ? value_for(id) : NULL);
    assert_ptr_equal(idtree_remove(t, id), there ? value_for(id) : NULL);
    if (!there) return;
    memmove(m->ids + i, m->ids + i + 1, (m->count - i - 1) * sizeof(*m->ids));
    m->count--;
}

static void seek(const idtree_t *t, const model_t *m, stream_id_t id)
{
    size_t i = model_lower(m, id);
    idtree_pos_t ge = idtree_seek_ge(t, id), le = idtree_seek_le(t, id);
    assert_int_equal(ge.leaf != NULL, i < m->count);
    if (ge.leaf) assert_true(stream_id_eq(idtree_id(ge), m->ids[i]));
    bool exact = model_has(m, i, id);
    assert_int_equal(le.leaf != NULL, exact || i > 0);
    if (le.leaf) assert_true(stream_id_eq(idtree_id(le), m->ids[exact ? i : i - 1]));
}

static void agrees_with_a_sorted_array(void **state)
{
    idtree_t t = IDTREE_INIT;
    model_t *m = calloc(1, sizeof(*m));
    uint64_t seed = 7;
    for (int round = 0; round < 60000; round++) {
        bool growing = round / 15000 % 2 == 0;
        stream_id_t id = {next_random(&seed) % 5000, next_random(&seed) % 4};
        if (m->count + 1 < MODEL_MAX && next_random(&seed) % 10 < (growing ? 8 : 2))
            add(&t, m, id);
        else
            take(&t, m, id);
        if (round % 16 == 0) seek(&t, m, id);
        if (round % 1000 == 0) idtree_check(&t);
    }
    while (m->count) take(&t, m, m->ids[next_random(&seed) % m->count]);
    idtree_check(&t);
    assert_int_equal(t.count, 0);
    idtree_deinit(&t, NULL);
    free(m);
}

/* A queue: what is appended is removed at the front; the tree stays small and its full leaves are full. */
static void a_queue_stays_dense(void **state)
{
    idtree_t t = IDTREE_INIT;
    bool added;
    for (uint64_t i = 0; i < 10000; i++) *idtree_slot(&t, (stream_id_t){i, 0}, &added) = value_for((stream_id_t){i, 0});
    size_t dense = idtree_heap_bytes(&t);
    assert_true(dense < 10000 * 26);
    for (uint64_t i = 0; i < 100000; i++) {
        assert_ptr_equal(idtree_remove_at(&t, idtree_first(&t)), value_for((stream_id_t){i, 0}));
        stream_id_t id = {i + 10000, 0};
        *idtree_slot(&t, id, &added) = value_for(id);
        if (i % 5000 == 0) idtree_check(&t);
    }
    assert_true(idtree_heap_bytes(&t) <= dense + 10000);
    idtree_deinit(&t, NULL);
}

/* Every other ID goes, then three of four: what is left is gathered into fewer nodes. */
static void holes_are_closed(void **state)
{
    idtree_t t = IDTREE_INIT;
    bool added;
    for (uint64_t i = 0; i < 60000; i++) *idtree_slot(&t, (stream_id_t){0, i}, &added) = value_for((stream_id_t){0, i});
    size_t full = idtree_heap_bytes(&t);
    for (uint64_t i = 0; i < 60000; i++)
        if (i % 16) assert_non_null(idtree_remove(&t, (stream_id_t){0, i}));
    idtree_check(&t);
    assert_int_equal(t.count, 60000 / 16);
    assert_true(idtree_heap_bytes(&t) < full / 4);
    idtree_deinit(&t, NULL);
}

static void few_ids_take_one_small_leaf(void **state)
{
    idtree_t t = IDTREE_INIT;
    bool added;
    assert_int_equal(idtree_heap_bytes(&t), 0);
    assert_null(idtree_first(&t).leaf);
    assert_null(idtree_seek_le(&t, STREAM_ID_GREATEST).leaf);
    for (uint64_t i = 5; i-- > 0;) *idtree_slot(&t, (stream_id_t){i, 0}, &added) = &t;
    assert_true(idtree_heap_bytes(&t) <= 160);
    while (t.count) idtree_remove_at(&t, idtree_last(&t));
    assert_null(idtree_last(&t).leaf);
    assert_null(idtree_seek_ge(&t, STREAM_ID_LEAST).leaf);
    idtree_deinit(&t, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_a_sorted_array),
        cmocka_unit_test(a_queue_stays_dense),
        cmocka_unit_test(holes_are_closed),
        cmocka_unit_test(few_ids_take_one_small_leaf),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

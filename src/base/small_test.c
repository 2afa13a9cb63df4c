/* small_test.c: small blocks against what was written into them, freed by their own thread and by another. */
#include "base/base.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

enum { BLOCKS = 200000, BYTES_MAX = MEM_SMALL_BYTES_MAX + 100 };

typedef struct block {
    uint8_t *at;
    uint32_t bytes;
} block_t;

static void fill(block_t *b, unsigned seed)
{
    b->bytes = (seed * 2654435761u >> 8) % BYTES_MAX + 1;
    b->at = mem_small_alloc(b->bytes);
    assert_int_equal((uintptr_t)b->at % 8, 0);
    memset(b->at, (int)(seed & 0xff), b->bytes);
}

static void check_and_free(block_t *b, unsigned seed)
{
    for (uint32_t i = 0; i < b->bytes; i++) assert_int_equal(b->at[i], seed & 0xff);
    mem_small_free(b->at, b->bytes);
}

/* Blocks of all lengths come and go; none overlaps another, and all that was taken is given back. */
static void test_blocks_keep_what_is_theirs(void **state)
{
    block_t *blocks = calloc(BLOCKS, sizeof(*blocks));
    size_t before = mem_small_used();
    for (unsigned i = 0; i < BLOCKS; i++) fill(&blocks[i], i);
    for (unsigned i = 0; i < BLOCKS; i += 3) check_and_free(&blocks[i], i);
    for (unsigned i = 0; i < BLOCKS; i += 3) fill(&blocks[i], i);
    for (unsigned i = 0; i < BLOCKS; i++) check_and_free(&blocks[i], i);
    assert_int_equal(mem_small_used(), before);
    free(blocks);
}

static void test_a_block_takes_what_is_said(void **state)
{
    for (size_t bytes = 1; bytes <= MEM_SMALL_BYTES_MAX; bytes++) {
        size_t before = mem_used();
        void *block = mem_small_alloc(bytes);
        size_t after = mem_used();
        mem_small_free(block, bytes);
        if (mem_small_meter()) assert_int_equal(after - before, mem_small_bytes(bytes));
    }
}

static void *free_all(void *user)
{
    block_t *blocks = user;
    for (unsigned i = 0; i < BLOCKS; i++) check_and_free(&blocks[i], i);
    return NULL;
}

/* What another thread frees is used again by the thread that took it. */
static void test_another_thread_frees(void **state)
{
    block_t *blocks = calloc(BLOCKS, sizeof(*blocks));
    size_t most = 0;
    for (int round = 0; round < 4; round++) {
        pthread_t thread;
        for (unsigned i = 0; i < BLOCKS; i++) fill(&blocks[i], i);
        if (round == 0) most = mem_small_used();
        assert_in_range(mem_small_used(), 0, most + most / 10);
        assert_int_equal(pthread_create(&thread, NULL, free_all, blocks), 0);
        pthread_join(thread, NULL);
    }
    free(blocks);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_blocks_keep_what_is_theirs),
        cmocka_unit_test(test_a_block_takes_what_is_said),
        cmocka_unit_test(test_another_thread_frees),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

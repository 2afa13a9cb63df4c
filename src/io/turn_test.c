/* turn_test.c: a long turn is counted by what its thread computed, told with what ran in it, and a short one is not. The clocks
 * are this file's, so that a busy machine changes nothing; one test takes a real loop with the real ones. */
#include "io/io_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#define MS 1000000ull

typedef struct env {
    io_loop_t loop;
    uint64_t wall_ns, cpu_ns; /* what the clocks show */
    int told;
    io_turn_t turn; /* the last that was told */
} env_t;

static env_t *env_of(io_loop_t *loop) { return CONTAINER_OF(loop, env_t, loop); }
static uint64_t fake_coarse_ns(io_loop_t *loop) { return env_of(loop)->wall_ns; }
static uint64_t fake_cpu_ns(io_loop_t *loop) { return env_of(loop)->cpu_ns; }
static const io_ops_t fake_ops = {.coarse_ns = fake_coarse_ns, .thread_cpu_ns = fake_cpu_ns};

static void note_long_turn(void *user, const io_turn_t *turn)
{
    env_t *env = user;
    env->told++;
    env->turn = *turn;
}

static int setup(void **state)
{
    env_t *env = calloc(1, sizeof(*env));
    env->loop.ops = &fake_ops;
    env->wall_ns = env->cpu_ns = 1000 * MS;
    *state = env;
    return 0;
}

static int watched(void **state)
{
    int err = setup(state);
    env_t *env = *state;
    io_turns_watch(&env->loop, note_long_turn, env);
    env->loop.now_ns = env->wall_ns;
    io__turns_begin(&env->loop);
    return err;
}

static int teardown(void **state)
{
    free(*state);
    return 0;
}

static void computes(env_t *env, uint64_t ms)
{
    env->wall_ns += ms * MS;
    env->cpu_ns += ms * MS;
}

static void waits(env_t *env, uint64_t ms) { env->wall_ns += ms * MS; }

static void begin_turn(env_t *env)
{
    env->loop.now_ns = env->wall_ns;
    io__turn_began(&env->loop);
}

static io_turn_counts_t end_turn(env_t *env)
{
    io__turn_ended(&env->loop, env->wall_ns);
    return io_turn_counts(&env->loop);
}

static uint64_t turns_over_ms(const io_turn_counts_t *counts, uint64_t ms)
{
    static const uint64_t bounds_us[] = IO_TURN_BOUNDS_US;
    uint64_t turns = 0;
    for (size_t i = 1; i < IO_TURN_BUCKETS; i++)
        if (bounds_us[i - 1] >= ms * 1000) turns += counts->buckets[i];
    return turns;
}

static void a_turn_that_computes_long_is_counted_and_told_with_what_ran_longest(void **state)
{
    env_t *env = *state;
    begin_turn(env);
    io_turn_note(&env->loop, "before it");
    computes(env, 10);
    io_turn_note(&env->loop, "sort");
    computes(env, 60);
    io_turn_note(&env->loop, "behind it");
    computes(env, 20);
    io_turn_counts_t counts = end_turn(env);
    assert_int_equal(counts.over_long, 1);
    assert_int_equal(counts.over_stall, 0);
    assert_int_equal(env->told, 1);
    assert_string_equal(env->turn.ran, "sort");
    assert_int_equal(env->turn.cpu_ns, 90 * MS);
    assert_int_equal(env->turn.wall_ns, 90 * MS);
    assert_int_equal(env->turn.ran_ns, 60 * MS);
    assert_int_equal(turns_over_ms(&counts, 50), 1);
}

static void a_turn_over_a_hundred_milliseconds_is_counted_twice(void **state)
{
    env_t *env = *state;
    begin_turn(env);
    computes(env, 100);
    io_turn_counts_t counts = end_turn(env);
    assert_int_equal(counts.over_long, 1);
    assert_int_equal(counts.over_stall, 1);
    assert_int_equal(counts.over_hang, 0);
    assert_string_equal(env->turn.ran, "the loop itself");
}

static void a_turn_of_a_second_is_counted_three_times(void **state)
{
    env_t *env = *state;
    begin_turn(env);
    computes(env, 1000);
    io_turn_counts_t counts = end_turn(env);
    assert_int_equal(counts.over_long, 1);
    assert_int_equal(counts.over_stall, 1);
    assert_int_equal(counts.over_hang, 1);
}

static void a_turn_that_only_waited_is_in_the_histogram_but_not_in_the_counters(void **state)
{
    env_t *env = *state;
    begin_turn(env);
    computes(env, 40);
    waits(env, 200);
    io_turn_counts_t counts = end_turn(env);
    assert_int_equal(counts.over_long, 0);
    assert_int_equal(counts.over_stall, 0);
    assert_int_equal(turns_over_ms(&counts, 100), 1);
    assert_int_equal(env->told, 1);
    assert_int_equal(env->turn.cpu_ns, 40 * MS);
    assert_int_equal(env->turn.wall_ns, 240 * MS);
}

/* Each computes little, all together much: that is no long turn. */
static void many_short_turns_are_no_long_one(void **state)
{
    env_t *env = *state;
    io_turn_counts_t counts = {0};
    for (int i = 0; i < 40; i++) {
        begin_turn(env);
        computes(env, 4);
        counts = end_turn(env);
        waits(env, 1); /* in the poll */
    }
    assert_int_equal(counts.over_long, 0);
    assert_int_equal(counts.sum_ns, 160 * MS);
    assert_int_equal(env->told, 0);
}

/* What the thread computes between two turns is not charged to the second, however long that only waits. */
static void a_turn_is_not_charged_with_more_than_it_lasted(void **state)
{
    env_t *env = *state;
    begin_turn(env);
    computes(env, 4); /* too short for a sample of the thread's clock */
    end_turn(env);
    begin_turn(env);
    waits(env, 60);
    assert_int_equal(end_turn(env).over_long, 0);
    assert_in_range(env->turn.cpu_ns, 0, 4 * MS);
}

static void a_turn_is_spent_after_a_while(void **state)
{
    env_t *env = *state;
    assert_false(io_turn_spent(&env->loop)); /* between turns */
    begin_turn(env);
    computes(env, IO_TURN_SPENT_MS - 1);
    assert_false(io_turn_spent(&env->loop));
    computes(env, 1);
    assert_true(io_turn_spent(&env->loop));
}

static void a_loop_that_nobody_watches_counts_nothing(void **state)
{
    env_t *env = *state;
    io__turns_begin(&env->loop);
    begin_turn(env);
    io_turn_note(&env->loop, "sort");
    computes(env, 200);
    assert_false(io_turn_spent(&env->loop));
    io_turn_counts_t counts = end_turn(env);
    assert_int_equal(counts.over_long, 0);
    assert_int_equal(counts.sum_ns, 0);
}

/* ---- a real loop ---- */

static uint64_t thread_cpu_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
    return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / MS;
}

static void compute_then_stop(io_timer_t *timer)
{
    uint64_t until_ms = thread_cpu_ms() + IO_TURN_STALL_MS + 20;
    while (thread_cpu_ms() < until_ms) continue;
    io_loop_stop(timer->loop);
}

static void a_real_loop_counts_what_its_thread_computed(void **state)
{
    env_t env = {0};
    io_loop_t *loop;
    io_timer_t timer = {0};
    assert_int_equal(io_loop_new_uv(&loop), 0);
    io_turns_watch(loop, note_long_turn, &env);
    io_timer_init(loop, &timer, compute_then_stop);
    io_timer_start(&timer, 1, 0);
    io_loop_run(loop);
    io_turn_counts_t counts = io_turn_counts(loop);
    assert_int_equal(counts.over_long, 1);
    assert_int_equal(counts.over_stall, 1);
    assert_true(env.told >= 1);
    assert_true(turns_over_ms(&counts, IO_TURN_STALL_MS) >= 1);
    io_loop_free(loop);
}

#define FAKE(test) cmocka_unit_test_setup_teardown(test, watched, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FAKE(a_turn_that_computes_long_is_counted_and_told_with_what_ran_longest),
        FAKE(a_turn_over_a_hundred_milliseconds_is_counted_twice),
        FAKE(a_turn_of_a_second_is_counted_three_times),
        FAKE(a_turn_that_only_waited_is_in_the_histogram_but_not_in_the_counters),
        FAKE(many_short_turns_are_no_long_one),
        FAKE(a_turn_is_not_charged_with_more_than_it_lasted),
        FAKE(a_turn_is_spent_after_a_while),
        cmocka_unit_test_setup_teardown(a_loop_that_nobody_watches_counts_nothing, setup, teardown),
        cmocka_unit_test(a_real_loop_counts_what_its_thread_computed),
    };
    return cmocka_run_group_tests_name("turn", tests, NULL, NULL);
}

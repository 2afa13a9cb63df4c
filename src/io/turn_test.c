/* turn_test.c: a long turn is counted by what its thread computed, told with what ran in it, and a short one is not. */
#include "io/io.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

typedef struct env {
    io_loop_t *loop;
    io_timer_t timer;
    void (*act)(struct env *env);
    int told;
    io_turn_t turn; /* of those that were told the one that computed most */
} env_t;

static uint64_t clock_ms(clockid_t clock)
{
    struct timespec ts;
    clock_gettime(clock, &ts);
    return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static void compute_ms(uint64_t ms)
{
    uint64_t until_ms = clock_ms(CLOCK_THREAD_CPUTIME_ID) + ms;
    while (clock_ms(CLOCK_THREAD_CPUTIME_ID) < until_ms) continue;
}

static void sleep_ms(long ms) { nanosleep(&(struct timespec){0, ms * 1000000}, NULL); }

static void note_long_turn(void *user, const io_turn_t *turn)
{
    env_t *env = user;
    env->told++; /* on a busy machine others are long by the wall clock, too */
    if (turn->cpu_ns >= env->turn.cpu_ns) env->turn = *turn;
}

static void on_timer(io_timer_t *timer)
{
    env_t *env = CONTAINER_OF(timer, env_t, timer);
    if (!env->act) {
        io_loop_stop(env->loop);
        return;
    }
    env->act(env);
    env->act = NULL;
    io_timer_start(&env->timer, 1, 0);
}

/* One turn in which `act` runs, and the next, in which the loop stops. */
static io_turn_counts_t run_turn(env_t *env, void (*act)(env_t *env))
{
    env->act = act;
    io_timer_init(env->loop, &env->timer, on_timer);
    io_timer_start(&env->timer, 1, 0);
    io_loop_run(env->loop);
    return io_turn_counts(env->loop);
}

static int setup(void **state)
{
    env_t *env = calloc(1, sizeof(*env));
    assert_int_equal(io_loop_new_uv(&env->loop), 0);
    io_turns_watch(env->loop, note_long_turn, env);
    *state = env;
    return 0;
}

static int teardown(void **state)
{
    env_t *env = *state;
    io_loop_free(env->loop);
    free(env);
    return 0;
}

static uint64_t turns_over_ms(const io_turn_counts_t *counts, uint64_t ms)
{
    static const uint64_t bounds_us[] = IO_TURN_BOUNDS_US;
    uint64_t turns = 0;
    for (size_t i = 1; i < IO_TURN_BUCKETS; i++)
        if (bounds_us[i - 1] >= ms * 1000) turns += counts->buckets[i];
    return turns;
}

static void computes_for_sort(env_t *env)
{
    io_turn_note(env->loop, "before it");
    io_turn_note(env->loop, "test sort");
    compute_ms(70);
    io_turn_note(env->loop, "behind it");
}

static void a_turn_that_computes_long_is_counted_and_told_with_what_ran_longest(void **state)
{
    env_t *env = *state;
    io_turn_counts_t counts = run_turn(env, computes_for_sort);
    assert_int_equal(counts.over_long, 1);
    assert_true(env->told >= 1);
    assert_string_equal(env->turn.ran, "test sort");
    assert_in_range(env->turn.cpu_ns, 60000000, env->turn.wall_ns);
    assert_in_range(env->turn.ran_ns, 60000000, env->turn.wall_ns);
    assert_true(turns_over_ms(&counts, 50) >= 1);
}

static void stalls(env_t *env) { compute_ms(120); }

static void a_turn_over_a_hundred_milliseconds_is_counted_twice(void **state)
{
    io_turn_counts_t counts = run_turn(*state, stalls);
    assert_int_equal(counts.over_long, 1);
    assert_int_equal(counts.over_stall, 1);
}

static void waits(env_t *env) { sleep_ms(60); }

static void a_turn_that_only_waited_is_in_the_histogram_but_not_in_the_counters(void **state)
{
    env_t *env = *state;
    io_turn_counts_t counts = run_turn(env, waits);
    assert_int_equal(counts.over_long, 0);
    assert_int_equal(counts.over_stall, 0);
    assert_true(turns_over_ms(&counts, 50) >= 1);
    assert_true(env->told >= 1);
}

/* Each computes little, all together much: that is no long turn. */
static int shorts_left;
static void computes_briefly(io_timer_t *timer)
{
    compute_ms(4);
    if (--shorts_left == 0) io_loop_stop(timer->loop);
}

static void many_short_turns_are_no_long_one(void **state)
{
    env_t *env = *state;
    shorts_left = 40;
    io_timer_init(env->loop, &env->timer, computes_briefly);
    io_timer_start(&env->timer, 1, 1);
    io_loop_run(env->loop);
    io_timer_stop(&env->timer);
    io_turn_counts_t counts = io_turn_counts(env->loop);
    assert_int_equal(counts.over_long, 0);
    assert_true(counts.sum_ns >= 39 * 4000000ull);
}

static void notes_on_a_loop_that_nobody_watches_are_harmless(void **state)
{
    env_t env = {0};
    assert_int_equal(io_loop_new_uv(&env.loop), 0);
    io_turn_counts_t counts = run_turn(&env, computes_for_sort);
    assert_int_equal(counts.over_long, 0);
    assert_int_equal(counts.sum_ns, 0);
    io_loop_free(env.loop);
}

#define WATCHED(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WATCHED(a_turn_that_computes_long_is_counted_and_told_with_what_ran_longest),
        WATCHED(a_turn_over_a_hundred_milliseconds_is_counted_twice),
        WATCHED(a_turn_that_only_waited_is_in_the_histogram_but_not_in_the_counters),
        WATCHED(many_short_turns_are_no_long_one),
        cmocka_unit_test(notes_on_a_loop_that_nobody_watches_are_harmless),
    };
    return cmocka_run_group_tests_name("turn", tests, NULL, NULL);
}

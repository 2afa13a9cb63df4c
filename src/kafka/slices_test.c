/* slices_test.c: what waits shares one budget a turn, whoever asks for it, and gets something of every turn. The simulator's clock moves
 * only with the steps that are done. */
#include "kafka/slices.h"

#include "io/sim.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define NS_PER_MS 1000000ull
#define SLICES    3
#define STEPS     20

typedef struct work {
    slice_t slice;
    struct world *world;
    int left;
} work_t;

typedef struct world {
    sim_t *sim;
    io_loop_t *loop;
    slices_t slices;
    work_t works[SLICES];
    io_timer_t other; /* work that takes from the same budget, and is no slice */
    int other_left;
    io_hook_t turn;
    int done_in_turn; /* milliseconds */
    int turns_at_work;
    int most_in_turn;
} world_t;

static void compute(world_t *w, uint64_t ns)
{
    uint64_t until_ns = io_hrtime_ns(w->loop) + ns;
    while (io_hrtime_ns(w->loop) < until_ns) {
    }
}

static void compute_step(world_t *w)
{
    compute(w, NS_PER_MS);
    w->done_in_turn++;
}

static slice_state_t step(slice_t *slice)
{
    work_t *work = CONTAINER_OF(slice, work_t, slice);
    compute_step(work->world);
    return --work->left > 0 ? SLICE_MORE : SLICE_ENDED;
}

static void work_on(io_timer_t *timer)
{
    world_t *w = CONTAINER_OF(timer, world_t, other);
    uint64_t since_ns = 0;
    while (w->other_left > 0 && !slices_spent(&w->slices, &since_ns)) {
        compute_step(w);
        w->other_left--;
    }
    if (w->other_left > 0) io_timer_start(timer, 0, 0);
}

static void on_turn(io_hook_t *hook)
{
    world_t *w = CONTAINER_OF(hook, world_t, turn);
    w->turns_at_work += w->done_in_turn > 0;
    w->most_in_turn = MAX(w->most_in_turn, w->done_in_turn);
    w->done_in_turn = 0;
}

static int setup(void **state)
{
    world_t *w = mem_zalloc(sizeof(*w));
    w->sim = sim_new(1);
    w->loop = sim_node_loop(sim_node_new(w->sim, "10.0.0.1"));
    slices_init(&w->slices, w->loop);
    io_timer_init(w->loop, &w->other, work_on);
    w->turn = (io_hook_t){.rank = 50, .run = on_turn};
    io_hook_add(w->loop, &w->turn);
    for (int i = 0; i < SLICES; i++) w->works[i] = (work_t){{.step = step}, w, STEPS};
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    world_t *w = *state;
    io_hook_remove(&w->turn);
    sim_free(w->sim);
    mem_free(w);
    return 0;
}

static bool all_done(void *user)
{
    const world_t *w = user;
    for (int i = 0; i < SLICES; i++)
        if (w->works[i].left > 0) return false;
    return w->other_left == 0;
}

static void run_all(world_t *w)
{
    for (int i = 0; i < SLICES; i++) slice_run(&w->slices, &w->works[i].slice);
    w->done_in_turn = 0; /* that was in no turn */
    assert_true(sim_run_until(w->sim, all_done, w, 100000));
    sim_run_for(w->sim, 1); /* the last turn's hook */
}

static void slices_and_other_work_share_what_a_turn_has(void **state)
{
    world_t *w = *state;
    int steps_max = (int)(SLICES_TURN_NS_MAX / NS_PER_MS) + 1;
    w->other_left = STEPS;
    io_timer_start(&w->other, 0, 0);
    run_all(w);
    assert_in_range(w->most_in_turn, 1, steps_max);
    assert_true(w->turns_at_work >= (SLICES + 1) * STEPS / steps_max - 1);
}

static void keep_busy(io_timer_t *timer)
{
    world_t *w = CONTAINER_OF(timer, world_t, other);
    compute(w, 2 * SLICES_LATE_NS);
    io_timer_start(timer, 0, 0);
}

static void in_turns_that_are_long_already_slices_get_little_and_go_on(void **state)
{
    world_t *w = *state;
    io_timer_init(w->loop, &w->other, keep_busy);
    io_timer_start(&w->other, 0, 0);
    sim_run_for(w->sim, 1);
    w->done_in_turn = w->most_in_turn = 0;
    run_all(w);
    io_timer_stop(&w->other);
    assert_true(w->turns_at_work >= SLICES * STEPS / 5);
}

static void what_waits_when_the_slices_close_runs_to_its_end(void **state)
{
    world_t *w = *state;
    for (int i = 0; i < SLICES; i++) slice_run(&w->slices, &w->works[i].slice);
    assert_false(all_done(w));
    slices_close(&w->slices);
    assert_true(all_done(w));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(slices_and_other_work_share_what_a_turn_has, setup, teardown),
        cmocka_unit_test_setup_teardown(in_turns_that_are_long_already_slices_get_little_and_go_on, setup, teardown),
        cmocka_unit_test_setup_teardown(what_waits_when_the_slices_close_runs_to_its_end, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* slices.c: see slices.h. */
#include "kafka/broker/slices.h"

static bool turn_is_spent(slices_t *slices)
{
    uint64_t now_ns = io_now_ns(slices->loop);
    if (now_ns != slices->turn_ns) {
        slices->turn_ns = now_ns;
        slices->spent_ns = 0;
    }
    return slices->spent_ns >= SLICES_TURN_NS_MAX && !slices->closed;
}

static void put_off(slices_t *slices, slice_t *slice)
{
    if (!slice->paused && slice->pause) slice->pause(slice);
    slice->paused = true;
    list_push_back(&slices->waiting, &slice->node);
    if (slices->timer.due_ns == 0) io_timer_start(&slices->timer, 0, 0);
}

void slice_run(slices_t *slices, slice_t *slice)
{
    uint64_t before_ns = io_hrtime_ns(slices->loop);
    while (!turn_is_spent(slices)) {
        slice_state_t state = slice->step(slice);
        uint64_t after_ns = io_hrtime_ns(slices->loop);
        slices->spent_ns += after_ns - before_ns;
        before_ns = after_ns;
        if (state != SLICE_MORE) return;
    }
    put_off(slices, slice);
}

static void run_waiting(io_timer_t *timer)
{
    slices_t *slices = CONTAINER_OF(timer, slices_t, timer);
    slice_t *slice;
    io_turn_note(slices->loop, "kafka: a long request goes on");
    while (!turn_is_spent(slices) && (slice = LIST_FIRST(&slices->waiting, slice_t, node))) {
        list_remove(&slice->node);
        slice_run(slices, slice);
    }
    if (!list_empty(&slices->waiting) && timer->due_ns == 0) io_timer_start(timer, 0, 0);
}

void slices_init(slices_t *slices, io_loop_t *loop)
{
    *slices = (slices_t){.loop = loop};
    list_init(&slices->waiting);
    io_timer_init(loop, &slices->timer, run_waiting);
}

void slices_close(slices_t *slices)
{
    io_timer_stop(&slices->timer);
    slice_t *slice;
    slices->closed = true;
    while ((slice = LIST_FIRST(&slices->waiting, slice_t, node))) {
        list_remove(&slice->node);
        slice_run(slices, slice);
    }
}

void slice_stop(slice_t *slice)
{
    if (list_linked(&slice->node)) list_remove(&slice->node);
}

/* slices.c: see slices.h. */
#include "kafka/slices.h"

bool slices_spent(slices_t *slices, uint64_t *since_ns)
{
    uint64_t began_ns = io_now_ns(slices->loop), now_ns = io_hrtime_ns(slices->loop);
    if (began_ns != slices->turn_ns) {
        slices->turn_ns = began_ns;
        slices->spent_ns = 0;
    }
    if (*since_ns >= began_ns) slices->spent_ns += now_ns - *since_ns;
    *since_ns = now_ns;
    if (slices->closed) return false;
    return slices->spent_ns >= (now_ns - began_ns > SLICES_LATE_NS ? SLICES_LATE_NS_MAX : SLICES_TURN_NS_MAX);
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
    uint64_t since_ns = 0;
    while (!slices_spent(slices, &since_ns)) {
        if (slice->step(slice) == SLICE_MORE) continue;
        (void)slices_spent(slices, &since_ns);
        return;
    }
    put_off(slices, slice);
}

static void run_waiting(io_timer_t *timer)
{
    slices_t *slices = CONTAINER_OF(timer, slices_t, timer);
    slice_t *slice;
    uint64_t since_ns = 0;
    io_turn_note(slices->loop, "kafka: a long request goes on");
    while (!slices_spent(slices, &since_ns) && (slice = LIST_FIRST(&slices->waiting, slice_t, node))) {
        list_remove(&slice->node);
        slice_run(slices, slice);
        since_ns = 0;
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

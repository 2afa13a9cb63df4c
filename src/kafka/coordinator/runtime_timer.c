/* runtime_timer.c: the expirer: deadlines of a machine's pieces of state, and the round at which it forgets what is too old. */
#include "kafka/coordinator/runtime_internal.h"

static void on_timer(io_timer_t *io)
{
    runtime_timer_t *timer = CONTAINER_OF(io, runtime_timer_t, timer);
    timer->due_ms = RUNTIME_NEVER_MS;
    timer->fire(timer);
}

void runtime_timer_init(runtime_t *runtime, runtime_timer_t *timer, void (*fire)(runtime_timer_t *timer))
{
    timer->runtime = runtime;
    timer->fire = fire;
    timer->due_ms = RUNTIME_NEVER_MS;
    io_timer_init(runtime->kafka->loop, &timer->timer, on_timer);
}

void runtime_timer_set(runtime_timer_t *timer, int64_t due_ms)
{
    if (due_ms >= timer->due_ms) return;
    timer->due_ms = due_ms;
    int64_t now_ms = runtime_now(timer->runtime).mono_ms;
    io_timer_start(&timer->timer, (uint64_t)MAX(due_ms - now_ms, 0), 0);
}

void runtime_timer_stop(runtime_timer_t *timer)
{
    timer->due_ms = RUNTIME_NEVER_MS;
    io_timer_stop(&timer->timer);
}

static slice_state_t expire_step(slice_t *slice)
{
    runtime_t *runtime = CONTAINER_OF(slice, runtime_t, expiry);
    bool begins = runtime->expiry_begins;
    runtime->expiry_begins = false;
    if (!runtime->kafka->slices.closed && runtime->machine->expire(runtime->user, begins)) return SLICE_MORE;
    runtime->expiring = false;
    return SLICE_ENDED;
}

/* A round that takes longer than the interval has the next one left out. */
static void on_expiry(io_timer_t *io)
{
    runtime_t *runtime = CONTAINER_OF(io, runtime_t, expiry_timer);
    if (runtime->expiring) return;
    runtime->expiring = runtime->expiry_begins = true;
    runtime->expiry = (slice_t){.step = expire_step};
    slice_run(&runtime->kafka->slices, &runtime->expiry);
}

void runtime__expiry_stop(runtime_t *runtime)
{
    io_timer_stop(&runtime->expiry_timer);
    slice_stop(&runtime->expiry);
}

void runtime__expiry_start(runtime_t *runtime, int64_t interval_ms)
{
    int64_t bounded_ms = MIN(interval_ms, INT32_MAX);
    io_timer_init(runtime->kafka->loop, &runtime->expiry_timer, on_expiry);
    io_timer_start(&runtime->expiry_timer, (uint64_t)bounded_ms, (uint32_t)bounded_ms);
}

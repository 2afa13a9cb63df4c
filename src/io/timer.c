/* timer.c: the timers of a loop, a binary heap of pointers into their owners' state. Both backends use it.
 *
 * Invariant: items[i]->heap_index == i, no child is before its parent, and due_ns is 0 exactly while not in the heap. */
#include "io/io_internal.h"

#define NS_PER_MS 1000000ull

static bool before(const io_timer_t *a, const io_timer_t *b)
{
    return a->due_ns < b->due_ns || (a->due_ns == b->due_ns && a->order < b->order);
}

static void place(io_timer_heap_t *heap, io_timer_t *timer, uint32_t index)
{
    heap->items[index] = timer;
    timer->heap_index = index;
}

static void sift_up(io_timer_heap_t *heap, io_timer_t *timer, uint32_t index)
{
    while (index > 0) {
        uint32_t parent = (index - 1) / 2;
        if (!before(timer, heap->items[parent])) break;
        place(heap, heap->items[parent], index);
        index = parent;
    }
    place(heap, timer, index);
}

static void sift_down(io_timer_heap_t *heap, io_timer_t *timer, uint32_t index)
{
    for (;;) {
        uint32_t child = 2 * index + 1;
        if (child >= heap->count) break;
        if (child + 1 < heap->count && before(heap->items[child + 1], heap->items[child])) child++;
        if (!before(heap->items[child], timer)) break;
        place(heap, heap->items[child], index);
        index = child;
    }
    place(heap, timer, index);
}

static void restore(io_timer_heap_t *heap, io_timer_t *timer, uint32_t index)
{
    if (index > 0 && before(timer, heap->items[(index - 1) / 2]))
        sift_up(heap, timer, index);
    else
        sift_down(heap, timer, index);
}

static void heap_remove(io_timer_heap_t *heap, io_timer_t *timer)
{
    uint32_t index = timer->heap_index;
    ASSERT(index < heap->count && heap->items[index] == timer);
    io_timer_t *last = heap->items[--heap->count];
    if (last != timer) restore(heap, last, index);
    timer->due_ns = 0;
}

void io__timer_arm_at(io_timer_t *timer, uint64_t due_ns)
{
    io_timer_heap_t *heap = &timer->loop->timers;
    bool armed = timer->due_ns != 0;
    timer->due_ns = due_ns;
    timer->order = heap->order_next++;
    if (armed) {
        restore(heap, timer, timer->heap_index);
        return;
    }
    if (heap->count == heap->cap) {
        heap->cap = heap->cap ? heap->cap * 2 : 64;
        heap->items = mem_realloc(heap->items, heap->cap * sizeof(io_timer_t *));
    }
    sift_up(heap, timer, heap->count++);
}

void io_timer_init(io_loop_t *loop, io_timer_t *timer, void (*run)(io_timer_t *timer))
{
    *timer = (io_timer_t){.loop = loop, .run = run};
}

void io_timer_start(io_timer_t *timer, uint64_t delay_ms, uint32_t repeat_ms)
{
    uint64_t now = timer->loop->now_ns;
    uint64_t delay_ms_max = (UINT64_MAX - now) / NS_PER_MS;
    timer->repeat_ms = repeat_ms;
    io__timer_arm_at(timer, now + MIN(delay_ms, delay_ms_max) * NS_PER_MS);
}

void io_timer_stop(io_timer_t *timer)
{
    if (timer->due_ns != 0) heap_remove(&timer->loop->timers, timer);
}

uint64_t io__timers_next_ns(const io_loop_t *loop) { return loop->timers.count ? loop->timers.items[0]->due_ns : 0; }

void io__timers_run(io_loop_t *loop)
{
    io_timer_heap_t *heap = &loop->timers;
    /* One armed from now on is due now at the earliest, so it sorts behind all that were due when we began. */
    uint64_t order_end = heap->order_next;
    while (heap->count > 0 && !loop->halted) {
        io_timer_t *timer = heap->items[0];
        if (timer->due_ns > loop->now_ns || timer->order >= order_end) break;
        if (timer->repeat_ms) {
            uint64_t period_ns = timer->repeat_ms * NS_PER_MS;
            uint64_t due_ns = timer->due_ns + period_ns; /* no drift, but no burst after a long stall either */
            io__timer_arm_at(timer, due_ns > loop->now_ns ? due_ns : loop->now_ns + period_ns);
        } else {
            heap_remove(heap, timer);
        }
        io_turn_note(loop, "a timer");
        timer->run(timer);
    }
}

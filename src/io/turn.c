/* turn.c: the watchdog of a loop: how long its turns take, and what ran in the long ones.
 *
 * A turn begins with the first callback after the poll and ends before the next poll. Its length is told twice: by the wall
 * clock, for the histogram, and by the CPU time of the loop's thread, for the counters, which must not rise because others use
 * the machine. Asking for CPU time is a system call, so it is asked for at most once in CPU_SAMPLE_NS: a long turn may be charged with
 * as much of what ran before it.
 *
 * Who runs says so with io_turn_note; of a long turn the note is told that lasted longest. Notes are timed by the coarse clock, whose
 * ticks of a few milliseconds are fine enough for that and which costs next to nothing. */
#include "io/io_internal.h"

#define CPU_SAMPLE_NS 5000000ull
#define NS_PER_MS     1000000ull

static const uint64_t bounds_us[IO_TURN_BUCKETS - 1] = IO_TURN_BOUNDS_US;

/* Read by the thread that shows the counters, written by the loop's alone. */
static void add(_Atomic(uint64_t) *counter, uint64_t n)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n, memory_order_relaxed);
}

void io_turns_watch(io_loop_t *loop, void (*long_turn)(void *user, const io_turn_t *turn), void *user)
{
    if (!loop->ops->thread_cpu_ns) return;
    loop->turns.long_turn = long_turn;
    loop->turns.user = user;
    loop->turns.watched = true;
}

static void settle_note(io_turns_t *turns, uint64_t now_ns)
{
    uint64_t ran_ns = now_ns > turns->note_since_ns ? now_ns - turns->note_since_ns : 0;
    turns->note_since_ns = now_ns;
    if (ran_ns <= turns->longest_ns) return;
    turns->longest = turns->note;
    turns->longest_ns = ran_ns;
}

void io_turn_note(io_loop_t *loop, const char *what)
{
    io_turns_t *turns = &loop->turns;
    if (!turns->watched || turns->note == what) return;
    settle_note(turns, loop->ops->coarse_ns(loop));
    turns->note = what;
}

bool io_turn_spent(const io_loop_t *loop)
{
    const io_turns_t *turns = &loop->turns;
    if (!turns->watched || turns->began_ns == 0) return false;
    uint64_t now_ns = loop->ops->coarse_ns((io_loop_t *)loop);
    return now_ns > turns->began_ns && now_ns - turns->began_ns >= IO_TURN_SPENT_MS * NS_PER_MS;
}

void io__turns_begin(io_loop_t *loop)
{
    io_turns_t *turns = &loop->turns;
    if (!turns->watched) return;
    turns->began_ns = 0;
    turns->sampled_at_ns = loop->now_ns;
    turns->sampled_cpu_ns = loop->ops->thread_cpu_ns(loop);
}

void io__turn_began(io_loop_t *loop)
{
    io_turns_t *turns = &loop->turns;
    if (!turns->watched) return;
    turns->began_ns = loop->now_ns;
    turns->note = turns->longest = "the loop itself";
    turns->longest_ns = 0;
    turns->note_since_ns = loop->now_ns;
}

static void judge(io_turns_t *turns, io_turn_t *turn)
{
    if (turn->cpu_ns >= IO_TURN_LONG_MS * NS_PER_MS) add(&turns->counts.over_long, 1);
    if (turn->cpu_ns >= IO_TURN_STALL_MS * NS_PER_MS) add(&turns->counts.over_stall, 1);
    if (turn->cpu_ns >= IO_TURN_HANG_MS * NS_PER_MS) add(&turns->counts.over_hang, 1);
    if (turns->long_turn) turns->long_turn(turns->user, turn);
}

static void count(io_turns_t *turns, uint64_t wall_ns)
{
    uint32_t i = 0;
    while (i < ARRAY_LEN(bounds_us) && wall_ns > bounds_us[i] * 1000) i++;
    add(&turns->counts.buckets[i], 1);
    add(&turns->counts.sum_ns, wall_ns);
}

void io__turn_ended(io_loop_t *loop, uint64_t now_ns)
{
    io_turns_t *turns = &loop->turns;
    if (!turns->watched || turns->began_ns == 0) return;
    uint64_t wall_ns = now_ns - turns->began_ns;
    turns->began_ns = 0;
    count(turns, wall_ns);
    if (LIKELY(now_ns - turns->sampled_at_ns < CPU_SAMPLE_NS)) return;
    uint64_t cpu_ns = loop->ops->thread_cpu_ns(loop), used_ns = cpu_ns - turns->sampled_cpu_ns;
    turns->sampled_at_ns = now_ns;
    turns->sampled_cpu_ns = cpu_ns;
    if (LIKELY(wall_ns < IO_TURN_LONG_MS * NS_PER_MS)) return;
    settle_note(turns, now_ns);
    io_turn_t turn = {wall_ns, MIN(used_ns, wall_ns), turns->longest, MIN(turns->longest_ns, wall_ns)};
    judge(turns, &turn);
}

io_turn_counts_t io_turn_counts(const io_loop_t *loop)
{
    const io_turns_shared_t *counts = &loop->turns.counts;
    io_turn_counts_t copy = {0};
    for (size_t i = 0; i < ARRAY_LEN(copy.buckets); i++)
        copy.buckets[i] = atomic_load_explicit(&counts->buckets[i], memory_order_relaxed);
    copy.sum_ns = atomic_load_explicit(&counts->sum_ns, memory_order_relaxed);
    copy.over_long = atomic_load_explicit(&counts->over_long, memory_order_relaxed);
    copy.over_stall = atomic_load_explicit(&counts->over_stall, memory_order_relaxed);
    copy.over_hang = atomic_load_explicit(&counts->over_hang, memory_order_relaxed);
    return copy;
}

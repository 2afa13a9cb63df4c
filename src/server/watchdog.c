/* watchdog.c: turns of the reactors that take long: a line in the log, at most one a second of each reactor and level, and metrics.
 * On a busy machine many a turn waits long, and must not hide the one that computes.
 * Invariant: a reactor's watchdog is touched by its own thread alone. */
#include "server/server_internal.h"

#include "base/slog.h"

#define LINE_EVERY_NS 1000000000ull

/* Only wall time: the disk, or others who use the machine, kept the reactor waiting. */
static slog_level_t level_of(const io_turn_t *turn)
{
    return turn->cpu_ns >= IO_TURN_LONG_MS * 1000000ull ? SLOG_WARN : SLOG_INFO;
}

static void on_long_turn(void *user, const io_turn_t *turn)
{
    server__watchdog_t *dog = user;
    uint64_t now_ns = io_hrtime_ns(dog->loop);
    slog_level_t level = level_of(turn);
    server__event_line_t *line = level == SLOG_WARN ? &dog->computed : &dog->waited;
    if (line->at_ns && now_ns - line->at_ns < LINE_EVERY_NS) {
        line->unsaid++;
        return;
    }
    slog(level, "reactor", "a turn of the loop took long",
         "reactor=%s ms=%" PRIu64 " cpu_ms=%" PRIu64 " ran=\"%s\" ran_ms=%" PRIu64 " others_unsaid=%" PRIu64, dog->name,
         turn->wall_ns / 1000000, turn->cpu_ns / 1000000, turn->ran, turn->ran_ns / 1000000, line->unsaid);
    line->at_ns = now_ns;
    line->unsaid = 0;
}

void server__watchdog_start(server__watchdog_t *dog, io_loop_t *loop, const char *name)
{
    *dog = (server__watchdog_t){.loop = loop, .name = name};
    io_turns_watch(loop, on_long_turn, dog);
}

static void histogram(const server__watchdog_t *dog, buf_t *out)
{
    io_turn_counts_t turns = io_turn_counts(dog->loop), *counts = &turns;
    static const uint64_t bounds_us[] = IO_TURN_BOUNDS_US;
    uint64_t total = 0;
    for (size_t i = 0; i < IO_TURN_BUCKETS; i++) {
        total += counts->buckets[i];
        buf_printf(out, "trivet_turn_seconds_bucket{reactor=\"%s\",le=\"", dog->name);
        if (i < ARRAY_LEN(bounds_us))
            buf_printf(out, "%g", (double)bounds_us[i] / 1e6);
        else
            buf_printf(out, "+Inf");
        buf_printf(out, "\"} %" PRIu64 "\n", total);
    }
    buf_printf(out, "trivet_turn_seconds_sum{reactor=\"%s\"} %.6f\n", dog->name, (double)counts->sum_ns / 1e9);
    buf_printf(out, "trivet_turn_seconds_count{reactor=\"%s\"} %" PRIu64 "\n", dog->name, total);
}

static const server__watchdog_t *watchdog_at(const server_t *server, int i)
{
    return i < server->reactors_made ? &server->reactors[i].watchdog
                                     : &server->carriers[i - server->reactors_made].watchdog;
}

static void counter(const server_t *server, const char *name, size_t offset, buf_t *out)
{
    buf_printf(out, "# TYPE %s counter\n", name);
    for (int i = 0; i < server->reactors_made + server->carriers_made; i++) {
        const server__watchdog_t *dog = watchdog_at(server, i);
        io_turn_counts_t counts = io_turn_counts(dog->loop);
        buf_printf(out, "%s{reactor=\"%s\"} %" PRIu64 "\n", name, dog->name,
                   *(uint64_t *)(void *)((uint8_t *)&counts + offset));
    }
}

void server__watchdog_metrics(const server_t *server, buf_t *out)
{
    buf_printf(out, "# TYPE trivet_turn_seconds histogram\n");
    for (int i = 0; i < server->reactors_made + server->carriers_made; i++) histogram(watchdog_at(server, i), out);
    counter(server, "trivet_turns_over_50ms_total", offsetof(io_turn_counts_t, over_long), out);
    counter(server, "trivet_turns_over_100ms_total", offsetof(io_turn_counts_t, over_stall), out);
    counter(server, "trivet_turns_over_1s_total", offsetof(io_turn_counts_t, over_hang), out);
}

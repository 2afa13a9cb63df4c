/* main.c: trivet_sim runs scenarios from seeds: trivet_sim [--scenario NAME] [--seed N] [--seeds COUNT] [--verbose]
 *
 * Each seed is run in order from --seed on. Of one seed in eight the run is done twice, and both must leave the same trace. */
#include "scenario.h"

#include "base/slog.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static const scenario_t scenarios[] = {
    {"rot-log", scenario_rot_log},
    {"rot-coord", scenario_rot_coord},
    {"rot-log-lenient", scenario_rot_log_lenient, .only_by_name = true},
    {"log", scenario_log},
    {"coord", scenario_coord},
    {"quorum", scenario_quorum},
    {"redis", scenario_redis},
    {"kafka", scenario_kafka},
    {"compact", scenario_compact},
    {"disk", scenario_disk},
    {"outbox", scenario_outbox},
    {"outbox-broken", scenario_outbox_broken, .only_by_name = true},
    {"feed", scenario_feed},
    {"feed-broken", scenario_feed_broken, .only_by_name = true},
};

void scenario_fail(const run_t *run, const char *file, int line, const char *fmt, ...)
{
    va_list args;
    fflush(stdout);
    fprintf(stderr, "trivet_sim: scenario %s, seed %" PRIu64 ": ", run->scenario, run->seed);
    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);
    fprintf(stderr,
            "\n  at %s:%d, virtual time %" PRIu64 " us\n  replay: trivet_sim --scenario %s --seed %" PRIu64
            " --verbose\n",
            file, line, sim_now_ns(run->sim) / 1000, run->scenario, run->seed);
    exit(1);
}

void scenario_note(const run_t *run, const char *fmt, ...)
{
    va_list args;
    if (!run->verbose) return;
    printf("%10" PRIu64 " us  ", sim_now_ns(run->sim) / 1000);
    va_start(args, fmt);
    vprintf(fmt, args);
    va_end(args);
    printf("\n");
}

static uint64_t run_once(const scenario_t *scenario, run_t *run)
{
    run->scenario = scenario->name;
    run->sim = sim_new(run->seed);
    scenario->run(run);
    uint64_t trace = sim_trace_hash(run->sim);
    sim_free(run->sim);
    return trace;
}

static void run_seeds(const scenario_t *scenario, uint64_t first, uint64_t count, bool verbose, bool once)
{
    uint64_t crashes = 0, acknowledged = 0, sent = 0, received = 0;
    for (uint64_t seed = first; seed < first + count; seed++) {
        run_t run = {.seed = seed, .verbose = verbose};
        uint64_t trace = run_once(scenario, &run);
        crashes += run.crashes;
        acknowledged += run.acknowledged;
        sent += run.snapshots_sent;
        received += run.snapshots_received;
        if (once || seed % 8 != 0) continue;
        run_t again = {.seed = seed};
        if (run_once(scenario, &again) == trace) continue;
        fprintf(stderr, "trivet_sim: scenario %s, seed %" PRIu64 " gave two different runs\n", scenario->name, seed);
        exit(1);
    }
    printf("%s: %" PRIu64 " seeds, %" PRIu64 " crashes, %" PRIu64 " acknowledgements: all kept\n", scenario->name,
           count, crashes, acknowledged);
    if (sent > 0) printf("    %" PRIu64 " snapshots sent, %" PRIu64 " of them arrived\n", sent, received);
}

static void usage(void)
{
    printf("usage: trivet_sim [--scenario NAME] [--seed N] [--seeds COUNT] [--verbose] [--once]\nscenarios:");
    for (size_t i = 0; i < ARRAY_LEN(scenarios); i++)
        if (!scenarios[i].only_by_name) printf(" %s", scenarios[i].name);
    printf("\nmeant to fail, run only by name:");
    for (size_t i = 0; i < ARRAY_LEN(scenarios); i++)
        if (scenarios[i].only_by_name) printf(" %s", scenarios[i].name);
    printf("\n");
    exit(2);
}

int main(int argc, char **argv)
{
    const char *name = NULL;
    uint64_t seed = 1, seeds = 1;
    bool verbose = false, once = false, found = false;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--verbose") == 0)
            verbose = true;
        else if (strcmp(argv[i], "--once") == 0)
            once = true;
        else if (i + 1 == argc)
            usage();
        else if (strcmp(argv[i], "--scenario") == 0)
            name = argv[++i];
        else if (strcmp(argv[i], "--seed") == 0)
            seed = strtoull(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--seeds") == 0)
            seeds = strtoull(argv[++i], NULL, 10);
        else
            usage();
    }
    slog_set_level(verbose ? SLOG_INFO : (slog_level_t)(SLOG_ERROR + 1)); /* crashing programs complain */
    for (size_t i = 0; i < ARRAY_LEN(scenarios); i++) {
        if (name ? strcmp(name, scenarios[i].name) != 0 : scenarios[i].only_by_name) continue;
        found = true;
        run_seeds(&scenarios[i], seed, seeds, verbose, once);
    }
    if (!found) usage();
    return 0;
}

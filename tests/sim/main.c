/* main.c: trivet_sim runs scenarios from seeds:
 *
 *   trivet_sim [--scenario NAME] [--seed N] [--seeds COUNT] [--replay N] [--fault NAME] [--verbose]
 *
 * Each seed is run in order from --seed on. One seed in eight (--replay 1: each; 0: none) is run twice, with memory that
 * lies elsewhere and holds something else when it is fresh; both runs must leave the same trace. */
#include "faults.h"
#include "scenario.h"

#include "base/slog.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define REPLAY_ONE_IN    8
#define PARTING_EVENTS   12 /* shown of each run: half of them before they part */
#define REPLAY_CHARS_MAX 160
#define STIR_BLOCKS      1024
#define STIR_SIZES       64
#define STIR_STEP_BYTES  16

/* Something in the middle of the run ends the program: the seed must be told all the same. */
static void scenario_dies(run_t *run)
{
    sim_run_for(run->sim, 1 + draw(run, 10));
    UNREACHABLE();
}

static const scenario_t scenarios[] = {
    {"dies", scenario_dies, .only_by_name = true},
    {"rot-log", scenario_rot_log},
    {"rot-coord", scenario_rot_coord},
    {"rot-log-lenient", scenario_rot_log_lenient, .only_by_name = true},
    {"log", scenario_log},
    {"coord", scenario_coord},
    {"quorum", scenario_quorum},
    {"redis", scenario_redis},
    {"kafka", scenario_kafka},
    {"txn", scenario_txn},
    {"compact", scenario_compact},
    {"share", scenario_share},
    {"disk", scenario_disk},
    {"outbox", scenario_outbox},
    {"feed", scenario_feed},
    {"promises", scenario_promises},
};

/* ---- how to replay, whatever ends the program ---- */

static char replay_line[REPLAY_CHARS_MAX]; /* a signal's handler can have no other place to find it */

static void print_replay(void)
{
    ssize_t written = write(STDERR_FILENO, replay_line, strlen(replay_line));
    (void)written;
}

/* Ours (an assertion), the kernel's, or a test's time is over. */
static void on_signal(int number)
{
    print_replay();
    signal(number, SIG_DFL);
    raise(number);
}

/* Sanitizers end the program in a way of their own; without them there is no such function. */
extern void __sanitizer_set_death_callback(void (*callback)(void)) __attribute__((weak));

static void print_replay_at_death(void)
{
    static const int ends[] = {SIGABRT, SIGTERM}, faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL};
    for (size_t i = 0; i < ARRAY_LEN(ends); i++) signal(ends[i], on_signal);
    if (__sanitizer_set_death_callback) /* it takes the others, and tells more of them */
        __sanitizer_set_death_callback(print_replay);
    else
        for (size_t i = 0; i < ARRAY_LEN(faults); i++) signal(faults[i], on_signal);
}

/* ---- runs ---- */

void scenario_fail(const run_t *run, const char *file, int line, const char *fmt, ...)
{
    va_list args;
    fflush(stdout);
    fprintf(stderr, "trivet_sim: scenario %s, seed %" PRIu64 ": ", run->scenario, run->seed);
    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);
    fprintf(stderr, "\n  at %s:%d, virtual time %" PRIu64 " us%s", file, line, sim_now_ns(run->sim) / 1000,
            replay_line);
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

static uint64_t run_once(const scenario_t *scenario, run_t *run, buf_t *events)
{
    run->scenario = scenario->name;
    snprintf(replay_line, sizeof(replay_line),
             "\n  replay: trivet_sim --scenario %s --seed %" PRIu64 "%s%s --verbose\n", run->scenario, run->seed,
             fault_name() ? " --fault " : "", fault_name() ? fault_name() : "");
    run->sim = sim_new(run->seed);
    sim_record_trace(run->sim, events);
    scenario->run(run);
    uint64_t trace = sim_trace_hash(run->sim);
    sim_free(run->sim);
    return trace;
}

static void print_events(const char *which, const buf_t *events, size_t from)
{
    const sim_event_t *all = (const sim_event_t *)events->ptr;
    size_t count = events->len / sizeof(*all), end = MIN(count, from + PARTING_EVENTS);
    fprintf(stderr, "  the %s run's events from %zu of %zu:\n", which, from, count);
    for (size_t i = from; i < end; i++)
        fprintf(stderr, "  %10" PRIu64 " us  %s %" PRIx64 " %" PRIx64 "\n", all[i].now_ns / 1000,
                sim_event_name(&all[i]), all[i].a, all[i].b);
}

/* Two runs of one seed were not the same: where did they part? */
static void print_parting(const buf_t *first, const buf_t *second)
{
    size_t events = MIN(first->len, second->len) / sizeof(sim_event_t), same = 0;
    const sim_event_t *a = (const sim_event_t *)first->ptr, *b = (const sim_event_t *)second->ptr;
    while (same < events && memcmp(&a[same], &b[same], sizeof(*a)) == 0) same++;
    fprintf(stderr, "  the first %zu events are the same\n", same);
    print_events("first", first, MAX(same, PARTING_EVENTS / 2) - PARTING_EVENTS / 2);
    print_events("second", second, MAX(same, PARTING_EVENTS / 2) - PARTING_EVENTS / 2);
}

/* Fresh memory lies elsewhere afterwards, and some of it has been written. */
static void stir_memory(uint64_t seed, void *ret_blocks[STIR_BLOCKS])
{
    for (size_t i = 0; i < STIR_BLOCKS; i++) {
        size_t bytes = STIR_STEP_BYTES * (1 + i % STIR_SIZES);
        ret_blocks[i] = memset(mem_alloc(bytes), (int)(seed + i), bytes);
    }
    for (size_t i = 0; i < STIR_BLOCKS; i++) {
        if ((seed * 31 + i * 7) % 3 != 0) continue;
        mem_free(ret_blocks[i]);
        ret_blocks[i] = NULL;
    }
}

/* The same seed must give the same run, whatever fresh memory holds and wherever it lies. */
static void run_twice(const scenario_t *scenario, run_t *run)
{
    buf_t first = BUF_INIT, second = BUF_INIT;
    run_t again = {.seed = run->seed};
    void *blocks[STIR_BLOCKS];
    uint64_t trace = run_once(scenario, run, &first);
    stir_memory(run->seed, blocks);
    if (run_once(scenario, &again, &second) != trace) {
        fprintf(stderr, "trivet_sim: scenario %s, seed %" PRIu64 " gave two different runs\n", scenario->name,
                run->seed);
        print_parting(&first, &second);
        print_replay();
        exit(1);
    }
    for (size_t i = 0; i < STIR_BLOCKS; i++) mem_free(blocks[i]);
    buf_deinit(&first);
    buf_deinit(&second);
}

static void run_seeds(const scenario_t *scenario, uint64_t first, uint64_t count, bool verbose, uint64_t replay)
{
    uint64_t crashes = 0, acknowledged = 0, sent = 0, received = 0;
    for (uint64_t seed = first; seed < first + count; seed++) {
        run_t run = {.seed = seed, .verbose = verbose};
        if (replay > 0 && seed % replay == 0)
            run_twice(scenario, &run);
        else
            (void)run_once(scenario, &run, NULL);
        crashes += run.crashes;
        acknowledged += run.acknowledged;
        sent += run.snapshots_sent;
        received += run.snapshots_received;
    }
    printf("%s: %" PRIu64 " seeds, %" PRIu64 " crashes, %" PRIu64 " acknowledgements: all kept\n", scenario->name,
           count, crashes, acknowledged);
    if (sent > 0) printf("    %" PRIu64 " snapshots sent, %" PRIu64 " of them arrived\n", sent, received);
}

static void usage(void)
{
    printf("usage: trivet_sim [--scenario NAME] [--seed N] [--seeds COUNT] [--replay N] [--fault NAME] "
           "[--verbose]\nscenarios:");
    for (size_t i = 0; i < ARRAY_LEN(scenarios); i++)
        if (!scenarios[i].only_by_name) printf(" %s", scenarios[i].name);
    printf("\nmeant to fail, run only by name:");
    for (size_t i = 0; i < ARRAY_LEN(scenarios); i++)
        if (scenarios[i].only_by_name) printf(" %s", scenarios[i].name);
    printf("\ndeliberate faults:");
    for (size_t i = 0; fault_each(i); i++) printf(" %s", fault_each(i));
    printf("\n");
    exit(2);
}

int main(int argc, char **argv)
{
    const char *name = NULL;
    uint64_t seed = 1, seeds = 1, replay = REPLAY_ONE_IN;
    bool verbose = false, found = false;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--verbose") == 0)
            verbose = true;
        else if (i + 1 == argc)
            usage();
        else if (strcmp(argv[i], "--scenario") == 0)
            name = argv[++i];
        else if (strcmp(argv[i], "--seed") == 0)
            seed = strtoull(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--seeds") == 0)
            seeds = strtoull(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--replay") == 0)
            replay = strtoull(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--fault") != 0 || !fault_choose(argv[++i]))
            usage();
    }
    slog_set_level(verbose ? SLOG_INFO : (slog_level_t)(SLOG_ERROR + 1)); /* crashing programs complain */
    print_replay_at_death();
    for (size_t i = 0; i < ARRAY_LEN(scenarios); i++) {
        if (name ? strcmp(name, scenarios[i].name) != 0 : scenarios[i].only_by_name) continue;
        found = true;
        run_seeds(&scenarios[i], seed, seeds, verbose, replay);
    }
    if (!found) usage();
    return 0;
}

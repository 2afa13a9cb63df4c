/* scenario.h: a scenario runs part of Trivet through the simulator, from a seed, and checks what it promises.
 *
 * A failed CHECK prints the seed that shows it and ends the program: replay with --seed. */
#ifndef TRIVET_TESTS_SIM_SCENARIO_H
#define TRIVET_TESTS_SIM_SCENARIO_H

#include "base/base.h"
#include "io/sim.h"

typedef struct run {
    const char *scenario;
    uint64_t seed;
    sim_t *sim;
    bool verbose;
    uint64_t crashes, acknowledged; /* what the run went through, for the summary */
    uint64_t snapshots_sent, snapshots_received;
} run_t;

typedef struct scenario {
    const char *name;
    void (*run)(run_t *run);
    bool only_by_name; /* it is meant to fail: a test of the test */
} scenario_t;

void scenario_fail(const run_t *run, const char *file, int line, const char *fmt, ...) PRINTF_LIKE(4, 5) NORETURN;
#define CHECK(run, expr, ...) ((expr) ? (void)0 : scenario_fail(run, __FILE__, __LINE__, __VA_ARGS__))
/* Prints when --verbose was given. */
void scenario_note(const run_t *run, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* From the run's seed. */
static inline uint64_t draw(run_t *run, uint64_t bound) { return sim_random(run->sim, bound); }
static inline bool chance(run_t *run, unsigned percent) { return draw(run, 100) < percent; }

void scenario_log(run_t *run);
void scenario_coord(run_t *run);
void scenario_quorum(run_t *run);
void scenario_redis(run_t *run);
void scenario_kafka(run_t *run);
void scenario_txn(run_t *run);
void scenario_compact(run_t *run);
void scenario_share(run_t *run);
void scenario_outbox(run_t *run);
void scenario_feed(run_t *run);
void scenario_disk(run_t *run);
void scenario_promises(run_t *run);
void scenario_rot_log(run_t *run);
void scenario_rot_log_lenient(run_t *run);
void scenario_rot_coord(run_t *run);

#endif

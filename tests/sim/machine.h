/* machine.h: a machine of the simulator and the lives of the process on it: what all scenarios that kill and restart share.
 *
 *   machine_lives:   begin ──> start ──> check ──> work ──> end ──> begin … ──> start ──> check ──> last ──> stop
 *
 * A life may be cut at any operation on disk or network, in any of these steps. What ends it otherwise is drawn: a stop in good
 * order, a kill (the page cache survives) or a loss of power. The last start meets no fault, and must succeed. */
#ifndef TRIVET_TESTS_SIM_MACHINE_H
#define TRIVET_TESTS_SIM_MACHINE_H

#include "scenario.h"

typedef struct machine {
    run_t *run;
    sim_node_t *node;
    io_loop_t *loop;        /* the process's first; another one after each death */
    sim_disk_faults_t disk; /* what the disk is like at the beginning of each life */
    bool failed;            /* the process gave up on its disk: only a loss of power tells what that holds */
    bool power_lost;        /* at the last death */
} machine_t;

/* What runs on it. All get `user`. */
typedef struct machine_program {
    bool (*start)(void *user); /* false when the process ended on the way */
    void (*check)(void *user); /* what was promised in earlier lives is there */
    void (*work)(void *user);
    void (*stop)(void *user); /* frees what start left, of a process that runs or of a dead one */
    void (*last)(void *user); /* after the last start; NULL = nothing */
    void *user;
    uint64_t lives_max; /* at least 2 */
    unsigned crash_percent;
    uint64_t crash_operations_max; /* the latest operation that so many of the lives are cut at */
    unsigned orderly_percent;      /* of the others stop before they end */
} machine_program_t;

/* Its process runs, with nothing in it. */
void machine_init(machine_t *machine, run_t *run, const char *host);
/* The process is there and has not given up. */
bool machine_runs(const machine_t *machine);
/* coord_options_t's `fatal`; its user is the machine. */
void machine_gave_up(void *machine, const char *what, int err);
void machine_lives(machine_t *machine, const machine_program_t *program);

/* ---- the steps, for who has several machines ---- */

/* Ends the process, unless it has ended by itself, which was a loss of power. */
void machine_die(machine_t *machine, bool kill);
/* A new process, on the disk that is left. What the old one had is freed by now. */
void machine_restart(machine_t *machine);

#endif

/* machine.c: see machine.h. */
#include "machine.h"

#define KILLS_PERCENT 30 /* of the ends that are not drawn otherwise; the rest lose power */

void machine_init(machine_t *m, run_t *run, const char *host)
{
    *m = (machine_t){.run = run, .disk = sim_disk_faults_default};
    m->node = sim_node_new(run->sim, host);
    m->loop = sim_node_loop(m->node);
}

bool machine_runs(const machine_t *m) { return sim_node_alive(m->node) && !m->failed; }

void machine_gave_up(void *machine, const char *what, int err)
{
    machine_t *m = machine;
    scenario_note(m->run, "fatal: %s: %s", what, err_text(err));
    m->failed = true;
}

void machine_die(machine_t *m, bool kill)
{
    m->power_lost = !kill || !sim_node_alive(m->node);
    if (kill)
        sim_node_kill(m->node);
    else
        sim_node_crash(m->node);
    m->run->crashes++;
}

void machine_restart(machine_t *m)
{
    ASSERT(!sim_node_alive(m->node));
    m->loop = sim_node_start(m->node);
    m->failed = false;
}

static void begin(machine_t *m, const machine_program_t *p)
{
    sim_node_set_disk_faults(m->node, &m->disk);
    if (chance(m->run, p->crash_percent)) sim_node_crash_after(m->node, 1 + draw(m->run, p->crash_operations_max));
}

static void end(machine_t *m, const machine_program_t *p)
{
    const char *how = m->failed ? "gave up" : sim_node_alive(m->node) ? "alive" : "crashed";
    scenario_note(m->run, "%s, %" PRIu64 " acknowledged so far", how, m->run->acknowledged);
    bool orderly = machine_runs(m) && chance(m->run, p->orderly_percent);
    if (orderly) p->stop(p->user); /* it may die while it stops */
    machine_die(m, !m->failed && chance(m->run, KILLS_PERCENT));
    if (!orderly) p->stop(p->user);
    machine_restart(m);
}

void machine_lives(machine_t *m, const machine_program_t *p)
{
    for (uint64_t lives = 2 + draw(m->run, p->lives_max - 1); lives > 0; lives--) {
        begin(m, p);
        if (p->start(p->user)) {
            p->check(p->user);
            if (machine_runs(m)) p->work(p->user);
        }
        end(m, p);
    }
    sim_node_set_disk_faults(m->node, &m->disk);
    bool started = p->start(p->user);
    CHECK(m->run, started, "it does not start at the end");
    p->check(p->user);
    if (p->last) p->last(p->user);
    p->stop(p->user);
}

/* coord_sim_test.c: one server through power losses at arbitrary operations: whatever was acknowledged is there afterwards, and
 * nothing that was never asked for, or was refused. Each seed is a different life; in a tenth of them the disk is full now and then,
 * which refuses writes and ends nothing. */
#include "coord/coord.h"
#include "coord/session.h"
#include "io/sim.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define SEEDS     150
#define CRASHES   12
#define KEYS      8
#define IN_FLIGHT 5
#define ASKED_MAX 10000 /* of one key in a life */

#define RESERVE_BYTES KIB(32)
#define FULL_EVERY_MS 100
#define WIDE_CHARS    4000
#define ASK_AGAIN_MS  50

typedef struct life life_t;
typedef struct pending {
    coord_request_t request;
    life_t *life;
    int key;
    uint64_t value;
    bool used;
} pending_t;

struct life {
    sim_t *sim;
    sim_node_t *node;
    coord_t *coord;
    coord_options_t options;
    bool failed;
    uint64_t acked[KEYS], asked[KEYS];
    int64_t zxid_acked;
    pending_t pending[IN_FLIGHT];
    uint64_t acks, refusals;
    bool refused[KEYS][ASKED_MAX];
    bool small_disk;
    io_timer_t again, turns; /* asks what was refused; fills the disk and frees it */
};

static void on_fatal(void *user, const char *what, int err) { ((life_t *)user)->failed = true; }

static void ask(life_t *l, pending_t *p);

static void acknowledged(coord_request_t *request, coord_zerr_t err, int failed_index, int64_t zxid)
{
    pending_t *p = CONTAINER_OF(request, pending_t, request);
    life_t *l = p->life;
    p->used = false;
    if (!sim_node_alive(l->node) || err == ZCONNECTION_LOSS) return;
    if (l->small_disk && err == ZSYSTEM_ERROR) {
        l->refused[p->key][p->value] = true;
        l->refusals++;
        return;
    }
    assert_int_equal(err, ZOK);
    l->acked[p->key] = MAX(l->acked[p->key], p->value);
    l->zxid_acked = MAX(l->zxid_acked, zxid);
    l->acks++;
    ask(l, p);
}

static void ask(life_t *l, pending_t *p)
{
    char path[32], text[WIDE_CHARS + 1];
    if (l->failed || !sim_node_alive(l->node)) return;
    *p = (pending_t){.life = l, .key = (int)sim_random(l->sim, KEYS), .used = true};
    p->value = ++l->asked[p->key];
    assert_true(p->value < ASKED_MAX);
    snprintf(path, sizeof(path), "/keys/k%d", p->key);
    /* Padded, so that what the log's file has ahead is soon used up. */
    snprintf(text, sizeof(text), "%-*llu", l->small_disk ? WIDE_CHARS : 1, (unsigned long long)p->value);
    /* With the value in the node and a second node beside it, a torn multi would show. */
    coord_op_t ops[] = {
        {.kind = COORD_SET, .path = path, .data = bytes_str(text), .version = -1},
        {.kind = COORD_SET, .path = "/last", .data = bytes_str(text), .version = -1},
    };
    coord_submit(l->coord, ops, 2, &p->request, acknowledged);
}

typedef struct made {
    coord_request_t request;
    bool done;
    coord_zerr_t err;
} made_t;

static void keys_made(coord_request_t *request, coord_zerr_t err, int failed_index, int64_t zxid)
{
    made_t *made = CONTAINER_OF(request, made_t, request);
    made->done = true;
    made->err = err;
}

static bool is_made(void *user) { return ((made_t *)user)->done; }

static void make_keys(life_t *l)
{
    made_t made = {0};
    coord_op_t ops[KEYS + 1] = {{.kind = COORD_CREATE, .path = "/last", .data = BYTES_LIT("0")}};
    char paths[KEYS][32];
    for (int i = 0; i < KEYS; i++) {
        snprintf(paths[i], sizeof(paths[i]), "/keys/k%d", i);
        ops[i + 1] = (coord_op_t){.kind = COORD_CREATE, .path = paths[i], .data = BYTES_LIT("0"), .make_parents = true};
    }
    coord_submit(l->coord, ops, KEYS + 1, &made.request, keys_made);
    assert_true(sim_run_until(l->sim, is_made, &made, 10000));
    assert_int_equal(made.err, ZOK);
}

static void check(life_t *l)
{
    assert_true(coord_last_zxid(l->coord) >= l->zxid_acked);
    for (int i = 0; i < KEYS; i++) {
        char path[32], text[32] = "";
        bytes_t data;
        snprintf(path, sizeof(path), "/keys/k%d", i);
        assert_int_equal(coord_get(l->coord, path, &data, NULL), ZOK);
        memcpy(text, data.ptr, MIN(data.len, sizeof(text) - 1));
        uint64_t value = strtoull(text, NULL, 10);
        assert_true(value >= l->acked[i] && value <= l->asked[i] && !l->refused[i][value]);
        l->acked[i] = value; /* a survivor stays */
    }
}

/* Power fails while it recovers, too. */
static void reopen(life_t *l)
{
    io_loop_t *loop = sim_node_start(l->node);
    while (sim_random(l->sim, 3) == 0) {
        sim_node_crash_after(l->node, 1 + sim_random(l->sim, 40));
        if (coord_open(loop, &l->options, &l->coord) == 0) coord_close(l->coord);
        if (sim_node_alive(l->node)) sim_node_crash(l->node);
        loop = sim_node_start(l->node);
    }
    sim_node_crash_after(l->node, 0);
    assert_int_equal(coord_open(loop, &l->options, &l->coord), 0);
}

/* ---- the disk ---- */

static void on_again(io_timer_t *timer)
{
    life_t *l = CONTAINER_OF(timer, life_t, again);
    for (int i = 0; i < IN_FLIGHT; i++)
        if (!l->pending[i].used) ask(l, &l->pending[i]);
    io_loop_wake(sim_node_loop(l->node));
}

static void on_turns(io_timer_t *timer)
{
    life_t *l = CONTAINER_OF(timer, life_t, turns);
    sim_disk_faults_t faults = sim_disk_faults_default;
    uint64_t free_bytes, total_bytes;
    bool full = sim_random(l->sim, 2) == 0;
    if (io_disk_space(sim_node_loop(l->node), "/data", &free_bytes, &total_bytes) != 0) return;
    if (full) faults.capacity_bytes = total_bytes - free_bytes + sim_random(l->sim, KIB(4));
    sim_node_set_disk_faults(l->node, &faults);
}

static void live_on_a_small_disk(life_t *l)
{
    io_timer_init(sim_node_loop(l->node), &l->again, on_again);
    io_timer_init(sim_node_loop(l->node), &l->turns, on_turns);
    io_timer_start(&l->again, ASK_AGAIN_MS, ASK_AGAIN_MS);
    io_timer_start(&l->turns, 1, FULL_EVERY_MS);
}

static void run_life(uint64_t seed)
{
    static life_t l;
    l = (life_t){.sim = sim_new(seed), .small_disk = seed % 10 == 1};
    l.node = sim_node_new(l.sim, "10.0.0.1");
    l.options = coord_options_default;
    l.options.dir = "/data/coord";
    l.options.snapshot_entries = 40 + (uint32_t)(seed % 100);
    l.options.reserve_bytes = l.small_disk ? RESERVE_BYTES : 0;
    l.options.fatal = on_fatal;
    l.options.fatal_user = &l;
    assert_int_equal(coord_open(sim_node_loop(l.node), &l.options, &l.coord), 0);
    make_keys(&l);
    for (int crash = 0; crash < CRASHES; crash++) {
        l.failed = false;
        for (int i = 0; i < IN_FLIGHT; i++) ask(&l, &l.pending[i]);
        sim_disk_faults_t faults = sim_disk_faults_default;
        if (seed % 3 == 0) faults.sync_error_ppm = faults.write_error_ppm = 10000;
        sim_node_set_disk_faults(l.node, &faults);
        sim_node_crash_after(l.node, 1 + sim_random(l.sim, 300));
        if (l.small_disk) live_on_a_small_disk(&l);
        while (sim_node_alive(l.node) && !l.failed && sim_step(l.sim)) {
        }
        assert_false(l.small_disk && l.failed && sim_node_alive(l.node));
        if (sim_node_alive(l.node)) sim_node_crash(l.node); /* it said that it cannot go on */
        sim_node_set_disk_faults(l.node, &sim_disk_faults_default);
        coord_close(l.coord);
        reopen(&l);
        check(&l);
    }
    assert_true(l.acks > 0 && (!l.small_disk || l.refusals > 0));
    coord_close(l.coord);
    sim_free(l.sim);
}

static void what_was_acknowledged_survives_power_loss(void **state)
{
    const char *text = getenv("SIM_SEEDS");
    uint64_t seeds = text != NULL ? strtoull(text, NULL, 10) : SEEDS;
    for (uint64_t seed = 1; seed <= seeds; seed++) {
        if (seed % 50 == 0) print_message("seed %llu\n", (unsigned long long)seed);
        run_life(seed);
    }
}

static bool has_trouble(void *user) { return health_text(coord_health(((life_t *)user)->coord), "snapshot") != NULL; }
static bool is_well(void *user) { return health_ok(coord_health(((life_t *)user)->coord)); }

/* Descriptors are what ends first here; a full disk would be met by the log. */
static void a_snapshot_that_fails_is_told_of_and_tried_again(void **state)
{
    static life_t l;
    l = (life_t){.sim = sim_new(1)};
    l.node = sim_node_new(l.sim, "10.0.0.1");
    l.options = coord_options_default;
    l.options.dir = "/data/coord";
    l.options.snapshot_entries = 20;
    assert_int_equal(coord_open(sim_node_loop(l.node), &l.options, &l.coord), 0);
    make_keys(&l);
    sim_disk_faults_t faults = sim_disk_faults_default;
    faults.files_max = 1;
    sim_node_set_disk_faults(l.node, &faults);
    for (int i = 0; i < IN_FLIGHT; i++) ask(&l, &l.pending[i]);
    assert_true(sim_run_until(l.sim, has_trouble, &l, 60000));
    sim_node_set_disk_faults(l.node, &sim_disk_faults_default);
    assert_true(sim_run_until(l.sim, is_well, &l, 60000));
    sim_node_kill(l.node);
    coord_close(l.coord);
    sim_free(l.sim);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_acknowledged_survives_power_loss),
        cmocka_unit_test(a_snapshot_that_fails_is_told_of_and_tried_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* quorum_sim_test.c: three servers through partitions, kills, power losses and full disks: one truth, and everything
 * acknowledged is in it. Few entries are kept below a snapshot, so that whoever was away needs another's: many pieces, loaded in
 * several slices, and hurt again in the middle. */
#include "coord/coord.h"
#include "coord/session.h"
#include "io/sim.h"
#include "net/net.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define SEEDS           20
#define SERVERS         3
#define KEYS            6
#define ROUNDS          12
#define STEPS           150 /* of a round: so long that who is away needs a snapshot */
#define FILLERS         40  /* nodes that make a snapshot large */
#define FILLER_BYTES    KIB(16)
#define PIECE_BYTES     KIB(32)
#define SPARE_BYTES_MAX KIB(900) /* what a disk that runs full has left: less than a snapshot, or more */

typedef struct ensemble ensemble_t;

typedef struct server {
    ensemble_t *e;
    sim_node_t *node;
    net_t *net;
    coord_t *coord;
    bool failed;
} server_t;

typedef struct pending {
    coord_request_t request;
    server_t *server;
    int key;
    uint64_t value;
    bool busy;
} pending_t;

struct ensemble {
    sim_t *sim;
    server_t servers[SERVERS];
    uint64_t acked[KEYS], asked[KEYS];
    pending_t pending[KEYS]; /* one writer a key, so that a key's values only grow */
    uint64_t acks;
    int fillers_made, fillers_asked;
    coord_request_t filler;
    bool keys_made;
    uint64_t snapshots_received, snapshots_broken_off;
};

static const coord_member_t members[SERVERS] = {{1, "10.0.0.1", 2888}, {2, "10.0.0.2", 2888}, {3, "10.0.0.3", 2888}};

static void on_fatal(void *user, const char *what, int err) { ((server_t *)user)->failed = true; }

static void start(ensemble_t *e, int i, io_loop_t *loop)
{
    server_t *s = &e->servers[i];
    coord_options_t options = coord_options_default;
    options.dir = "/data/coord";
    options.server_id = members[i].id;
    options.snapshot_entries = 60;
    options.trailing_entries = QUORUM_TRAILING_ENTRIES_MIN;
    options.piece_bytes = PIECE_BYTES;
    options.fatal = on_fatal;
    options.fatal_user = s;
    options.members = members;
    options.members_count = SERVERS;
    s->failed = false;
    s->net = net_new(loop);
    options.net = s->net;
    assert_int_equal(coord_open(loop, &options, &s->coord), 0);
}

static void stop(server_t *s)
{
    coord_figures_t figures;
    coord_figures(s->coord, &figures);
    s->e->snapshots_received += figures.snapshots_received;
    s->e->snapshots_broken_off += figures.snapshots_broken_off;
    coord_close(s->coord);
    net_free(s->net);
    s->coord = NULL;
}

static server_t *leader(ensemble_t *e)
{
    for (int i = 0; i < SERVERS; i++) {
        server_t *s = &e->servers[i];
        coord_figures_t figures;
        if (!sim_node_alive(s->node) || s->failed) continue;
        coord_figures(s->coord, &figures);
        if (figures.leader) return s;
    }
    return NULL;
}

static void acknowledged(coord_request_t *request, coord_zerr_t err, int failed_index, int64_t zxid)
{
    pending_t *p = CONTAINER_OF(request, pending_t, request);
    ensemble_t *e = p->server->e;
    p->busy = false;
    if (!sim_node_alive(p->server->node) || err == ZCONNECTION_LOSS) return;
    assert_int_equal(err, ZOK);
    e->acked[p->key] = MAX(e->acked[p->key], p->value);
    e->acks++;
}

/* Asks whoever thinks that it leads. */
static void ask(ensemble_t *e, int key)
{
    pending_t *p = &e->pending[key];
    server_t *s = leader(e);
    char path[32], text[32];
    if (p->busy || s == NULL) return;
    *p = (pending_t){.server = s, .key = key, .value = ++e->asked[key], .busy = true};
    snprintf(path, sizeof(path), "/keys/k%d", key);
    snprintf(text, sizeof(text), "%llu", (unsigned long long)p->value);
    coord_op_t op = {.kind = e->keys_made ? COORD_SET : COORD_CREATE,
                     .path = path,
                     .data = bytes_str(text),
                     .version = -1,
                     .make_parents = !e->keys_made};
    coord_submit(s->coord, &op, 1, &p->request, acknowledged);
}

static bool has_leader(void *user) { return leader(user) != NULL; }

static bool all_made(void *user)
{
    ensemble_t *e = user;
    for (int i = 0; i < KEYS; i++) {
        if (e->acked[i] == 0) return false;
    }
    return true;
}

static void filled(coord_request_t *request, coord_zerr_t err, int failed_index, int64_t zxid)
{
    assert_int_equal(err, ZOK);
    CONTAINER_OF(request, ensemble_t, filler)->fillers_made++;
}

static void *filler_data(int i)
{
    static uint8_t data[FILLER_BYTES];
    memset(data, 'a' + i % 26, sizeof(data));
    return data;
}

static bool fill_next(void *user)
{
    ensemble_t *e = user;
    char path[32];
    server_t *s = leader(e);
    if (e->fillers_made == FILLERS) return true;
    if (s == NULL || e->fillers_made < e->fillers_asked) return false;
    snprintf(path, sizeof(path), "/fill/n%d", e->fillers_asked++);
    coord_op_t op = {.kind = COORD_CREATE,
                     .path = path,
                     .data = bytes_of(filler_data(e->fillers_made), FILLER_BYTES),
                     .make_parents = true};
    coord_submit(s->coord, &op, 1, &e->filler, filled);
    return false;
}

static bool has_fillers(const server_t *s)
{
    char path[32];
    bytes_t data;
    for (int i = 0; i < FILLERS; i++) {
        snprintf(path, sizeof(path), "/fill/n%d", i);
        if (coord_get(s->coord, path, &data, NULL) != ZOK) return false;
        if (!bytes_eq(data, bytes_of(filler_data(i), FILLER_BYTES))) return false;
    }
    return true;
}

static uint64_t value_of(const server_t *s, int key)
{
    char path[32], text[32] = "";
    bytes_t data;
    snprintf(path, sizeof(path), "/keys/k%d", key);
    if (coord_get(s->coord, path, &data, NULL) != ZOK) return 0;
    memcpy(text, data.ptr, MIN(data.len, sizeof(text) - 1));
    return strtoull(text, NULL, 10);
}

static bool agree(void *user)
{
    ensemble_t *e = user;
    if (leader(e) == NULL) return false;
    for (int i = 0; i < SERVERS; i++) {
        if (coord_last_zxid(e->servers[i].coord) != coord_last_zxid(e->servers[0].coord)) return false;
        for (int key = 0; key < KEYS; key++) {
            if (value_of(&e->servers[i], key) < e->acked[key]) return false;
        }
    }
    return true;
}

static void fill_disk(ensemble_t *e, server_t *s)
{
    sim_disk_faults_t faults = sim_disk_faults_default;
    uint64_t free_bytes, total_bytes;
    if (io_disk_space(sim_node_loop(s->node), "/data", &free_bytes, &total_bytes) != 0) return;
    faults.capacity_bytes = total_bytes - free_bytes + sim_random(e->sim, SPARE_BYTES_MAX);
    sim_node_set_disk_faults(s->node, &faults);
}

static void hurt(ensemble_t *e)
{
    server_t *s = &e->servers[sim_random(e->sim, SERVERS)];
    switch (sim_random(e->sim, 7)) {
    case 0: sim_partition(e->sim, 1u << sim_random(e->sim, SERVERS)); break;
    case 1: sim_node_kill(s->node); break;
    case 2: sim_node_crash_after(s->node, 1 + sim_random(e->sim, 60)); break;
    case 3: sim_reset_connections(e->sim, s->node); break;
    case 4:
        sim_partition(e->sim, 1u << sim_random(e->sim, SERVERS));
        fill_disk(e, s);
        break;
    case 5: sim_node_crash_after(s->node, 60 + sim_random(e->sim, 600)); break;
    default: break;
    }
}

static void heal(ensemble_t *e)
{
    sim_partition(e->sim, 0);
    for (int i = 0; i < SERVERS; i++) {
        server_t *s = &e->servers[i];
        sim_node_crash_after(s->node, 0);
        sim_node_set_disk_faults(s->node, &sim_disk_faults_default);
        if (s->failed && sim_node_alive(s->node)) sim_node_crash(s->node);
        if (sim_node_alive(s->node)) continue;
        stop(s);
        start(e, i, sim_node_start(s->node));
    }
}

/* After half of the rounds nobody waits: the next blow falls while those that were away catch up. */
static void check_agreement(ensemble_t *e)
{
    assert_true(sim_run_until(e->sim, agree, e, 60000));
    for (int key = 0; key < KEYS; key++) {
        uint64_t value = value_of(&e->servers[0], key);
        assert_true(value >= e->acked[key] && value <= e->asked[key]);
        for (int i = 1; i < SERVERS; i++) assert_true(value_of(&e->servers[i], key) == value);
    }
    for (int i = 0; i < SERVERS; i++) assert_true(has_fillers(&e->servers[i]));
}

static uint64_t run_ensemble(uint64_t seed)
{
    ensemble_t e = {.sim = sim_new(seed)};
    char host[16];
    for (int i = 0; i < SERVERS; i++) {
        snprintf(host, sizeof(host), "10.0.0.%d", i + 1);
        e.servers[i] = (server_t){.e = &e, .node = sim_node_new(e.sim, host)};
    }
    for (int i = 0; i < SERVERS; i++) start(&e, i, sim_node_loop(e.servers[i].node));
    assert_true(sim_run_until(e.sim, has_leader, &e, 20000));
    for (int key = 0; key < KEYS; key++) ask(&e, key);
    assert_true(sim_run_until(e.sim, all_made, &e, 20000));
    e.keys_made = true;
    assert_true(sim_run_until(e.sim, fill_next, &e, 20000));
    for (int round = 0; round < ROUNDS; round++) {
        hurt(&e);
        for (int step = 0; step < STEPS; step++) {
            ask(&e, (int)sim_random(e.sim, KEYS));
            sim_run_for(e.sim, 1 + sim_random(e.sim, 100));
        }
        heal(&e);
        if (round == ROUNDS - 1 || sim_random(e.sim, 2) == 0)
            check_agreement(&e);
        else
            sim_run_for(e.sim, sim_random(e.sim, 1000));
    }
    assert_true(e.acks > KEYS);
    for (int i = 0; i < SERVERS; i++) stop(&e.servers[i]);
    sim_free(e.sim);
    print_message("seed %llu: %llu snapshots received, %llu broken off\n", (unsigned long long)seed,
                  (unsigned long long)e.snapshots_received, (unsigned long long)e.snapshots_broken_off);
    return e.snapshots_received;
}

static void three_servers_keep_one_truth(void **state)
{
    const char *text = getenv("SIM_SEEDS"), *first = getenv("SIM_FIRST");
    uint64_t received = 0, seeds = text != NULL ? strtoull(text, NULL, 10) : SEEDS;
    for (uint64_t seed = first != NULL ? strtoull(first, NULL, 10) : 1; seed <= seeds; seed++) {
        received += run_ensemble(seed);
    }
    assert_true(received > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(three_servers_keep_one_truth)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

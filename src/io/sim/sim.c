/* sim.c: the world: its seed, its time, its trace, and the machines in it. */
#include "io/sim/sim_internal.h"

#define NS_PER_MS 1000000ull
#define NS_PER_US 1000ull
#define FIRST_NS  (1000 * NS_PER_MS) /* 0 means "not armed" to timers */

const sim_disk_faults_t sim_disk_faults_default = {
    .capacity_bytes = 1ull << 40,
    .sync_us_min = 100,
    .sync_us_max = 10000,
};

const sim_net_faults_t sim_net_faults_default = {
    .delay_us_min = 50,
    .delay_us_max = 1000,
    .short_ppm = SIM_PPM / 10,
};

/* ---- chance ---- */

/* splitmix64: one word of state, and every seed is as good as any other. */
uint64_t sim__next(sim_rng_t *rng)
{
    uint64_t z = rng->state += 0x9e3779b97f4a7c15ull;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

uint64_t sim__below(sim_rng_t *rng, uint64_t bound)
{
    ASSERT(bound > 0);
    return (uint64_t)(((unsigned __int128)sim__next(rng) * bound) >> 64);
}

uint64_t sim__between(sim_rng_t *rng, uint64_t min, uint64_t max)
{
    return max > min ? min + sim__below(rng, max - min + 1) : min;
}

bool sim__chance(sim_rng_t *rng, uint32_t ppm) { return ppm > 0 && sim__below(rng, SIM_PPM) < ppm; }

uint64_t sim_random(sim_t *sim, uint64_t bound) { return sim__below(&sim->driver_rng, bound); }

/* ---- trace ---- */

static uint64_t mix(uint64_t h, uint64_t v)
{
    h = (h ^ v) * 0xff51afd7ed558ccdull;
    return h ^ (h >> 32);
}

void sim__trace(sim_t *sim, sim_what_t what, uint64_t a, uint64_t b)
{
    sim_event_t event = {what, sim->world.now_ns, a, b};
    sim->trace = mix(mix(mix(mix(sim->trace, event.what), event.now_ns), event.a), event.b);
    if (sim->events) buf_append(sim->events, &event, sizeof(event));
}

uint64_t sim_trace_hash(const sim_t *sim) { return sim->trace; }

void sim_record_trace(sim_t *sim, buf_t *events) { sim->events = events; }

const char *sim_event_name(const sim_event_t *event)
{
    static const char *const names[] = {
        [SIM_TURN] = "turn", [SIM_READY] = "ready",   [SIM_ACCEPT] = "accept",         [SIM_MESSAGE] = "message",
        [SIM_WORK] = "work", [SIM_SYNCED] = "synced", [SIM_ARRIVAL] = "arrival",       [SIM_CONNECT] = "connect",
        [SIM_READ] = "read", [SIM_WRITE] = "write",   [SIM_FILE_WRITE] = "file write", [SIM_TRUNCATE] = "truncate",
        [SIM_SYNC] = "sync", [SIM_NAME] = "name",     [SIM_SYNC_DIR] = "sync dir",     [SIM_CRASH] = "crash",
        [SIM_KILL] = "kill", [SIM_START] = "start",
    };
    ASSERT(event->what >= SIM_TURN && event->what < ARRAY_LEN(names));
    return names[event->what];
}

/* ---- time ---- */

void sim__at(io_timer_t *event, uint64_t due_ns) { io__timer_arm_at(event, MAX(due_ns, event->loop->now_ns)); }

void sim__after_us(io_timer_t *event, uint64_t us_min, uint64_t us_max)
{
    sim_t *sim = CONTAINER_OF(event->loop, sim_t, world);
    sim__at(event, sim->world.now_ns + sim__between(&sim->rng, us_min, us_max) * NS_PER_US);
}

uint64_t sim_now_ns(const sim_t *sim) { return sim->world.now_ns; }

/* Programs arm timers without telling us: look at each loop before choosing what comes first. */
static uint64_t next_ns(sim_t *sim)
{
    for (uint32_t i = 0; i < sim->nodes_count; i++) {
        LIST_EACH(&sim->nodes[i]->loops, loop, sim_loop_t, in_node) sim__loop_plan(loop);
    }
    return io__timers_next_ns(&sim->world);
}

bool sim_step(sim_t *sim)
{
    uint64_t due_ns = next_ns(sim);
    if (due_ns == 0) return false;
    io_timer_t *event = sim->world.timers.items[0];
    sim->world.now_ns = MAX(sim->world.now_ns, due_ns);
    io_timer_stop(event);
    event->run(event);
    return true;
}

bool sim_run_until(sim_t *sim, bool (*done)(void *user), void *user, uint64_t ms_max)
{
    uint64_t end_ns = sim->world.now_ns + ms_max * NS_PER_MS;
    while (!done(user)) {
        uint64_t due_ns = next_ns(sim);
        if (due_ns == 0 || due_ns > end_ns) {
            sim->world.now_ns = MAX(sim->world.now_ns, end_ns);
            return false;
        }
        sim_step(sim);
    }
    return true;
}

static bool never(void *user) { return false; }

void sim_run_for(sim_t *sim, uint64_t ms)
{
    bool done = sim_run_until(sim, never, NULL, ms);
    ASSERT(!done);
}

/* ---- life ---- */

sim_t *sim_new(uint64_t seed)
{
    sim_t *sim = mem_zalloc(sizeof(*sim));
    io__loop_init(&sim->world, &sim__ops);
    sim->world.now_ns = FIRST_NS;
    sim->rng.state = seed;
    sim->driver_rng.state = sim__next(&sim->rng);
    sim->net = sim_net_faults_default;
    return sim;
}

static void loops_free(sim_node_t *node)
{
    LIST_EACH(&node->loops, loop, sim_loop_t, in_node) sim__loop_free(loop);
}

void sim_free(sim_t *sim)
{
    if (!sim) return;
    /* All die first: closing a connection would else send something to a node that is gone. */
    for (uint32_t i = 0; i < sim->nodes_count; i++) sim_node_kill(sim->nodes[i]);
    for (uint32_t i = 0; i < sim->nodes_count; i++) {
        sim_node_t *node = sim->nodes[i];
        loops_free(node);
        sim__locks_free(node);
        sim__disk_deinit(&node->disk);
        mem_free(node);
    }
    io__loop_deinit(&sim->world);
    mem_free(sim);
}

sim_node_t *sim_node_new(sim_t *sim, const char *host)
{
    ASSERT(sim->nodes_count < SIM_NODES_MAX && strlen(host) < SIM_HOST_CHARS_MAX);
    sim_node_t *node = mem_zalloc(sizeof(*node));
    node->sim = sim;
    node->index = sim->nodes_count;
    strcpy(node->host, host);
    node->faults = sim_disk_faults_default;
    list_init(&node->loops);
    list_init(&node->locks);
    sim__disk_init(&node->disk);
    sim_inode_t *data;
    int err = sim__link(&node->disk, "/data", true, &data);
    ASSERT(!err);
    sim__sync_names(&node->disk, node->disk.root);
    sim->nodes[sim->nodes_count++] = node;
    sim_node_start(node);
    return node;
}

io_loop_t *sim_node_start(sim_node_t *node)
{
    if (node->alive) sim_node_kill(node);
    loops_free(node);
    node->alive = node->powered = true;
    node->starts++;
    node->port_next = 32768;
    sim__trace(node->sim, SIM_START, node->index, node->starts);
    return sim_node_loop_new(node);
}

io_loop_t *sim_node_loop(sim_node_t *node) { return &LIST_FIRST(&node->loops, sim_loop_t, in_node)->base; }
io_loop_t *sim_node_loop_new(sim_node_t *node) { return &sim__loop_new(node)->base; }
bool sim_node_alive(const sim_node_t *node) { return node->alive; }
uint64_t sim_node_operations(const sim_node_t *node) { return node->operations; }
void sim_node_jump_wall(sim_node_t *node, int64_t ms) { node->wall_offset_ms += ms; }

void sim_node_kill(sim_node_t *node)
{
    if (!node->alive) return;
    node->alive = false;
    node->crash_at = 0;
    sim__trace(node->sim, SIM_KILL, node->index, 0);
    LIST_EACH(&node->loops, loop, sim_loop_t, in_node) sim__loop_die(loop);
    sim__locks_free(node);
}

void sim_node_crash(sim_node_t *node)
{
    if (!node->alive) return;
    sim__trace(node->sim, SIM_CRASH, node->index, 0);
    sim_node_kill(node);
    node->powered = false;
    node->boots++;
    sim__disk_lose_power(&node->disk, node->faults.ordered, &node->sim->rng);
}

void sim_node_crash_after(sim_node_t *node, uint64_t operations)
{
    node->crash_at = operations ? node->operations + operations : 0;
}

int sim__operation(sim_node_t *node)
{
    if (!node->alive) return ERR_IO;
    node->operations++;
    if (node->crash_at == 0 || node->operations < node->crash_at) return 0;
    sim_node_crash(node);
    return ERR_IO;
}

/* ---- faults ---- */

void sim_node_set_disk_faults(sim_node_t *node, const sim_disk_faults_t *faults) { node->faults = *faults; }
void sim_set_net_faults(sim_t *sim, const sim_net_faults_t *faults) { sim->net = *faults; }

void sim_cut(sim_t *sim, sim_node_t *from, sim_node_t *to, bool cut)
{
    uint32_t bit = 1u << to->index;
    if (cut)
        sim->cut_to[from->index] |= bit;
    else
        sim->cut_to[from->index] &= ~bit;
}

void sim_partition(sim_t *sim, uint32_t nodes_mask)
{
    for (uint32_t i = 0; i < SIM_NODES_MAX; i++)
        sim->cut_to[i] = nodes_mask == 0 ? 0 : nodes_mask >> i & 1 ? ~nodes_mask : nodes_mask;
}

int sim_disk_flip_bit(sim_node_t *node, const char *path, uint64_t byte, int bit)
{
    sim_inode_t *inode;
    int err = sim__find(&node->disk, path, &inode);
    if (err) return err;
    if (byte >= inode->data.len || byte >= inode->durable_data.len) return ERR_OUT_OF_RANGE;
    inode->data.ptr[byte] ^= (uint8_t)(1 << bit);
    inode->durable_data.ptr[byte] ^= (uint8_t)(1 << bit);
    return 0;
}

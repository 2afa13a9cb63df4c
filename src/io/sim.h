/* sim.h: the simulator: several machines in one process, in virtual time, with a network and disks that fail on demand.
 *
 * Everything that happens follows from the seed: the same seed and the same driver give the same run, and sim_trace_hash proves
 * it. Programs see only io.h; this header is for the drivers of tests.
 *
 * A machine (node) has a disk, an address and, while its process runs, one or more loops. When the process ends, by
 * sim_node_kill (the page cache survives) or sim_node_crash (power loss), its loops are dead: nothing is called back any more
 * and every operation fails without effect. The driver then frees the program's objects in the usual way, and
 * sim_node_start frees the dead loops and gives a new one over the disk that is left.
 *
 * What power loss does. Each 512-byte sector of each write since the file's last completed sync is kept or lost by itself
 * (a sector is whole, as disks promise; a write is not); the file's length is one of those it had since. Names: of the creations, renames and removals in a
 * directory since its last io_sync_dir, a prefix survives; a rename happens in both of its directories or in neither.
 * After a failed sync the unsynced writes count as clean though they may not be on the disk, as with real page caches.
 *
 * What a driver does to a program outside of the loops' callbacks is like a callback of its own: end it with io_loop_wake,
 * so that hooks run. */
#ifndef TRIVET_IO_SIM_H
#define TRIVET_IO_SIM_H

#include "base/buf.h"
#include "io/io.h"

typedef struct sim sim_t;
typedef struct sim_node sim_node_t;

#define SIM_NODES_MAX    16
#define SIM_PPM          1000000u /* chances are in parts per million */
#define SIM_SECTOR_BYTES 512

sim_t *sim_new(uint64_t seed);
void sim_free(sim_t *sim); /* frees all loops; the driver has freed what programs left on them */

/* ---- time ---- */

uint64_t sim_now_ns(const sim_t *sim);
/* Lets the next thing happen. False when nothing is left to happen. */
bool sim_step(sim_t *sim);
void sim_run_for(sim_t *sim, uint64_t ms);
/* Steps until `done` (asked after each step), at most `ms_max`: false when the time passed without it. */
bool sim_run_until(sim_t *sim, bool (*done)(void *user), void *user, uint64_t ms_max) MUST_CHECK;
/* The driver's own chances, from the same seed: 0 <= result < bound. */
uint64_t sim_random(sim_t *sim, uint64_t bound);
/* Covers every event, byte and time so far. */
uint64_t sim_trace_hash(const sim_t *sim);

/* One event of the trace: what happened (enum sim_what), when, and two numbers about it. */
typedef struct sim_event {
    uint64_t what, now_ns, a, b;
} sim_event_t;
/* Every event from here on is appended to `events`, which lives longer than `sim`. NULL = no more. */
void sim_record_trace(sim_t *sim, buf_t *events);
const char *sim_event_name(const sim_event_t *event);

/* ---- machines ---- */

/* `host` is the address the node listens on and others connect to ("10.0.0.1"). Its disk holds an empty directory /data;
 * its process runs. */
sim_node_t *sim_node_new(sim_t *sim, const char *host);
io_loop_t *sim_node_loop(sim_node_t *node);     /* its first loop; valid until the next start */
io_loop_t *sim_node_loop_new(sim_node_t *node); /* a further reactor */
bool sim_node_alive(const sim_node_t *node);
void sim_node_kill(sim_node_t *node);
void sim_node_crash(sim_node_t *node);
/* Crashes in the middle of whatever the node does, at its `operations`th operation on disk or network from now (1 = the next).
 * 0 takes the order back. The callback that is cut runs to its end without effect; a driver that records what was
 * acknowledged asks sim_node_alive first. */
void sim_node_crash_after(sim_node_t *node, uint64_t operations);
uint64_t sim_node_operations(const sim_node_t *node); /* done so far */
io_loop_t *sim_node_start(sim_node_t *node);
/* Moves the node's wall clock. Monotonic time is never wrong. */
void sim_node_jump_wall(sim_node_t *node, int64_t ms);

/* ---- faults ---- */

typedef struct sim_disk_faults {
    uint32_t read_error_ppm;
    uint32_t write_error_ppm; /* writes and truncations: ERR_IO after a part was done */
    uint32_t sync_error_ppm;
    const char *sync_error_below; /* of files whose path begins so; NULL = of all, and of directories */
    uint64_t capacity_bytes;      /* ERR_NOSPACE above */
    uint32_t files_max;           /* that may be open at once, else ERR_FILES; 0 = any number */
    uint32_t sync_us_min, sync_us_max;
    /* Of what was not synced, power loss keeps a prefix, its last write torn at any byte: a file system that writes data
     * before the length that covers it (data=ordered), under a program that only appends. */
    bool ordered;
} sim_disk_faults_t;
extern const sim_disk_faults_t sim_disk_faults_default; /* none; 1 TiB; 100 to 10,000 us */
void sim_node_set_disk_faults(sim_node_t *node, const sim_disk_faults_t *faults);

typedef struct sim_net_faults {
    uint32_t delay_us_min, delay_us_max; /* of each message, one way; order within a connection is kept */
    uint32_t reset_ppm;                  /* of each message: the connection is reset instead */
    uint32_t short_ppm;                  /* of each read and write: only a part is done */
} sim_net_faults_t;
extern const sim_net_faults_t sim_net_faults_default; /* 50 to 1,000 us, 1 in 10 reads and writes short */
void sim_set_net_faults(sim_t *sim, const sim_net_faults_t *faults);
/* Nothing gets from one node to the other; what is under way arrives after the link is back. */
void sim_cut(sim_t *sim, sim_node_t *from, sim_node_t *to, bool cut);
/* Both ways between every node of the set (bit i = the i-th node made) and every other. 0 heals all cuts. */
void sim_partition(sim_t *sim, uint32_t nodes_mask);
void sim_reset_connections(sim_t *sim, sim_node_t *node);

/* ---- a look at the disk, for tests ---- */

/* Flips one bit of a file, durable and cached. */
int sim_disk_flip_bit(sim_node_t *node, const char *path, uint64_t byte, int bit) MUST_CHECK;

#endif

/* sim_internal.h: the parts of the simulator.
 *
 * The world is an io_loop whose timer heap holds everything that will happen (events are io_timer_t) and whose clock is the
 * virtual time. A node's loop has a list of items that became ready; its `turn` event runs them, then its hooks. */
#ifndef TRIVET_IO_SIM_INTERNAL_H
#define TRIVET_IO_SIM_INTERNAL_H

#include "base/buf.h"
#include "io/io_internal.h"
#include "io/sim.h"

#define SIM_HOST_CHARS_MAX 48
#define SIM_NAME_CHARS_MAX 256
#define SIM_PIPE_BYTES_MAX (64u << 10) /* sent and not yet read, one way of a connection */

typedef struct sim_rng {
    uint64_t state;
} sim_rng_t;

uint64_t sim__next(sim_rng_t *rng);
uint64_t sim__below(sim_rng_t *rng, uint64_t bound);
uint64_t sim__between(sim_rng_t *rng, uint64_t min, uint64_t max); /* both included */
bool sim__chance(sim_rng_t *rng, uint32_t ppm);

struct sim {
    io_loop_t world;
    sim_rng_t rng;
    sim_rng_t driver_rng;
    uint64_t trace;
    buf_t *events; /* every event of the trace as it was; NULL = nobody wants them */
    sim_node_t *nodes[SIM_NODES_MAX];
    uint32_t nodes_count;
    sim_net_faults_t net;
    struct sim_loop *running;       /* whose turn it is; NULL = the driver's */
    uint32_t cut_to[SIM_NODES_MAX]; /* by sender: bits of the nodes it does not reach */
};

/* What goes into the trace: what happened, and two numbers about it. sim_event_name has their names. */
typedef enum sim_what {
    SIM_TURN = 1,
    SIM_READY,
    SIM_ACCEPT,
    SIM_MESSAGE,
    SIM_WORK,
    SIM_SYNCED,
    SIM_ARRIVAL,
    SIM_CONNECT,
    SIM_READ,
    SIM_WRITE,
    SIM_FILE_WRITE,
    SIM_TRUNCATE,
    SIM_SYNC,
    SIM_NAME,
    SIM_SYNC_DIR,
    SIM_CRASH,
    SIM_KILL,
    SIM_START,
} sim_what_t;
void sim__trace(sim_t *sim, sim_what_t what, uint64_t a, uint64_t b);
void sim__at(io_timer_t *event, uint64_t due_ns); /* (re)schedules */
void sim__after_us(io_timer_t *event, uint64_t us_min, uint64_t us_max);

/* ---- disk (sim_disk.c, sim_names.c) ---- */

typedef struct sim_inode sim_inode_t;

typedef struct sim_entry {
    char *name;
    sim_inode_t *inode;
} sim_entry_t;

typedef struct sim_names { /* sorted by name */
    sim_entry_t *entries;
    size_t count;
    size_t cap;
} sim_names_t;

struct sim_inode {
    list_t node;
    bool is_dir;
    bool marked;                      /* reachable, while a crash is worked out */
    sim_names_t names, durable_names; /* of a directory */
    buf_t data, durable_data;         /* of a file: as in the page cache, as on the platter */
    list_t pending;                   /* sim_change_t: what lies between the two, oldest first */
    uint64_t changes_count;           /* number of the newest */
};

typedef struct sim_disk {
    sim_inode_t *root;
    list_t inodes;
    list_t journal; /* sim_name_change_t: changes of names since they were synced, oldest first */
    uint64_t used_bytes;
} sim_disk_t;

void sim__disk_init(sim_disk_t *disk);
void sim__disk_deinit(sim_disk_t *disk);
void sim__disk_lose_power(sim_disk_t *disk, bool ordered, sim_rng_t *rng);
sim_inode_t *sim__inode_new(sim_disk_t *disk, bool is_dir);
/* Data. Durable up to a change; and what is left of the changes up to one when they were not made durable. */
void sim__inode_write(sim_inode_t *inode, uint64_t offset, const void *data, size_t bytes);
void sim__inode_truncate(sim_inode_t *inode, uint64_t bytes);
void sim__inode_flush(sim_inode_t *inode, uint64_t change_last);
/* The page cache shows what the platter has, and what is yet to be written to it. */
void sim__inode_drop_cache(sim_inode_t *inode);
void sim__inode_lose(sim_inode_t *inode, uint64_t change_last, bool ordered, sim_rng_t *rng);

/* Names. `ret_dir` NULL means the root itself. */
int sim__find_parent(sim_disk_t *disk, const char *path, sim_inode_t **ret_dir,
                     char ret_name[SIM_NAME_CHARS_MAX]) MUST_CHECK;
int sim__find(sim_disk_t *disk, const char *path, sim_inode_t **ret_inode) MUST_CHECK;
sim_inode_t *sim__names_get(const sim_names_t *names, const char *name);
void sim__names_free(sim_names_t *names);
int sim__link(sim_disk_t *disk, const char *path, bool is_dir, sim_inode_t **ret_inode) MUST_CHECK;
int sim__unlink(sim_disk_t *disk, const char *path) MUST_CHECK;
int sim__rename(sim_disk_t *disk, const char *from, const char *to) MUST_CHECK;
void sim__sync_names(sim_disk_t *disk, sim_inode_t *dir);
void sim__journal_settle(sim_disk_t *disk, sim_rng_t *rng);
void sim__journal_free(sim_disk_t *disk);

/* ---- nodes and loops ---- */

typedef struct sim_loop sim_loop_t;

struct sim_node {
    sim_t *sim;
    uint32_t index;
    char host[SIM_HOST_CHARS_MAX];
    bool alive;
    bool powered; /* a process that died alone leaves a machine that refuses connections */
    sim_disk_t disk;
    sim_disk_faults_t faults;
    int64_t wall_offset_ms;
    uint64_t operations;
    uint64_t crash_at; /* 0 = no order */
    uint16_t port_next;
    uint32_t starts;
    uint32_t boots; /* losses of power so far */
    list_t loops;   /* sim_loop_t */
    list_t locks;   /* sim_lock_t */
};

/* Counts an operation, at which an ordered crash may strike: ERR_IO then, and when the node is dead. */
int sim__operation(sim_node_t *node) MUST_CHECK;
void sim__locks_free(sim_node_t *node);

typedef struct sim_item {
    list_t node;
    void (*run)(struct sim_item *item);
} sim_item_t;

struct sim_loop {
    io_loop_t base;
    sim_node_t *node;
    list_t in_node;
    bool stop;
    bool wake;
    io_timer_t turn;
    list_t ready; /* sim_item_t, for the next turn */
    list_t batch; /* those of this turn */
    sim_item_t inbox;
    io_timer_t post; /* an event: messages of other loops arrive */
    io_message_t *messages_first;
    io_message_t **messages_last;
    sim_rng_t rng; /* io_random */
    list_t listeners, streams, files, works;
};

static inline sim_loop_t *sim__loop(io_loop_t *loop) { return CONTAINER_OF(loop, sim_loop_t, base); }
extern const io_ops_t sim__ops;

sim_loop_t *sim__loop_new(sim_node_t *node);
void sim__loop_free(sim_loop_t *loop);
void sim__loop_die(sim_loop_t *loop);
void sim__loop_plan(sim_loop_t *loop);
/* Runs the item in a coming turn; harmless when it is queued already. */
void sim__ready(sim_loop_t *loop, sim_item_t *item);

/* ---- network (sim_net.c, sim_stream.c) ---- */

typedef struct sim_stream sim_stream_t;
typedef struct sim_listener sim_listener_t;

bool sim__reaches(const sim_node_t *from, const sim_node_t *to);
int sim__listen(io_loop_t *loop, const char *host, uint16_t port, int backlog, io_accept_cb accept, void *user,
                io_listener_t **ret_listener);
int sim__listen_path(io_loop_t *loop, const char *path, unsigned mode, const char *group, int backlog,
                     io_accept_cb accept, void *user, io_listener_t **ret_listener);
int sim__listener_tune(io_listener_t *listener, int backlog, uint32_t accepts_max);
uint16_t sim__listener_port(const io_listener_t *listener);
void sim__listener_close(io_listener_t *listener);
int sim__connect(io_loop_t *loop, const char *host, uint16_t port, io_stream_t **ret_stream);
void sim__stream_watch(io_stream_t *stream, unsigned events, io_ready_cb ready, void *user);
ssize_t sim__stream_read(io_stream_t *stream, void *out, size_t bytes);
ssize_t sim__stream_writev(io_stream_t *stream, const struct iovec *iov, int iov_count);
ssize_t sim__stream_sendfile(io_stream_t *stream, io_file_t *file, uint64_t offset, size_t bytes);
void sim__stream_close(io_stream_t *stream);
io_socket_t *sim__stream_detach(io_stream_t *stream);
int sim__stream_attach(io_loop_t *loop, io_socket_t *socket, io_stream_t **ret_stream);
void sim__stream_keepalive(io_stream_t *stream, uint32_t seconds);
void sim__stream_peer(const io_stream_t *stream, char out[IO_ADDR_CHARS_MAX]);
void sim__stream_local(const io_stream_t *stream, char out[IO_ADDR_CHARS_MAX]);
void sim__net_die(sim_loop_t *loop);
void sim__net_free(sim_loop_t *loop);

/* ---- files (sim_file.c) ---- */

int sim__file_open(io_loop_t *loop, const char *path, int flags, io_file_t **ret_file);
void sim__file_close(io_file_t *file);
int sim__file_write(io_file_t *file, uint64_t offset, const struct iovec *iov, int iov_count);
ssize_t sim__file_read(io_file_t *file, uint64_t offset, void *out, size_t bytes);
int sim__file_size(io_file_t *file, uint64_t *ret_bytes);
int sim__file_truncate(io_file_t *file, uint64_t bytes);
void sim__file_sync(io_file_t *file, io_sync_t *sync);
int sim__file_sync_now(io_file_t *file);
void sim__file_drop_cache(io_file_t *file);
void sim__files_die(sim_loop_t *loop);
void sim__files_free(sim_loop_t *loop);
int sim__op_rename(io_loop_t *loop, const char *from, const char *to);
int sim__op_remove(io_loop_t *loop, const char *path);
int sim__op_mkdir(io_loop_t *loop, const char *path);
int sim__op_sync_dir(io_loop_t *loop, const char *path);
int sim__op_stat(io_loop_t *loop, const char *path, bool *ret_is_dir);
int sim__op_list_dir(io_loop_t *loop, const char *path, void (*each)(void *user, const char *name, bool is_dir),
                     void *user);
int sim__op_lock_file(io_loop_t *loop, const char *path);
int sim__op_disk_space(io_loop_t *loop, const char *path, uint64_t *ret_free, uint64_t *ret_total);
void sim__op_boot_id(io_loop_t *loop, char out[IO_BOOT_CHARS_MAX]);

#endif

/* io.h: the one door through which the world comes in: time, timers, sockets, files, randomness, other threads.
 *
 * A loop belongs to one thread (a reactor); everything made from it may be touched by that thread only. Two backends
 * implement these functions: uv (libuv, what ships) and sim (virtual time, an in-memory network and disk, one seed).
 *
 * Callbacks never run inside the call that requested them. Errors are negative ERR_ codes.
 *
 * Files are written into the page cache synchronously and made durable by io_file_sync, which runs elsewhere and calls
 * back. A write that was acknowledged by io_file_sync survives power loss; any other may be lost or torn. */
#ifndef TRIVET_IO_IO_H
#define TRIVET_IO_IO_H

#include "base/base.h"
#include "base/list.h"

#include <sys/uio.h>

typedef struct io_loop io_loop_t;
typedef struct io_listener io_listener_t;
typedef struct io_stream io_stream_t;
typedef struct io_file io_file_t;
typedef struct io_ops io_ops_t; /* a backend's functions: io_internal.h */

/* ---- loop ---------------------------------------------------------------------------------------------------- */

/* A loop on libuv. `io_loop_free` closes what is still open on it. */
int io_loop_new_uv(io_loop_t **ret_loop) MUST_CHECK;
void io_loop_free(io_loop_t *loop);
/* Runs until io_loop_stop. (The simulator's loops are run by io/sim.h.) */
void io_loop_run(io_loop_t *loop);
void io_loop_stop(io_loop_t *loop);

/* Nanoseconds of a monotonic clock, and Unix milliseconds; both as read once at the start of this turn of the loop
 * (cheap). io_loop_update_time reads them again, after long work. */
uint64_t io_now_ns(const io_loop_t *loop);
int64_t io_wall_ms(const io_loop_t *loop);
void io_loop_update_time(io_loop_t *loop);
/* A fresh monotonic reading (for measuring durations within a turn) and a fresh Unix time in microseconds. */
uint64_t io_hrtime_ns(io_loop_t *loop);
int64_t io_wall_us(io_loop_t *loop);
/* The machine's clocks without a loop, for the time before there is one and for the log; monotonic as io_hrtime_ns is under uv. */
uint64_t io_clock_ns(void);
int64_t io_clock_wall_ms(void);
/* Cryptographically strong under uv, from the seed under sim. */
void io_random(io_loop_t *loop, void *out, size_t bytes);

/* Hooks run once a turn, before the loop waits for events, in the order of `rank` (lower first): the place where
 * what a turn produced is written: append-only file (rank 10), raft (20), connections' output (90). */
typedef struct io_hook {
    list_t node;
    io_loop_t *loop; /* set by io_hook_add */
    int rank;
    const char *name; /* for io_turn_note; static */
    void (*run)(struct io_hook *hook);
} io_hook_t;
void io_hook_add(io_loop_t *loop, io_hook_t *hook);
void io_hook_remove(io_hook_t *hook); /* allowed from within any hook; harmless when it was not added (zeroed) */
/* Asks for one more turn without waiting: for a hook that made work for a hook of lower rank. */
void io_loop_wake(io_loop_t *loop);

/* ---- how long turns take ---- */

/* Names what runs from here on, for the log line about a turn that takes long: "redis sort", "kafka Fetch". The string is
 * static. Cheap enough for every command. A hook has its name noted before it runs. */
void io_turn_note(io_loop_t *loop, const char *what);

/* This turn has taken long enough: who has more to do that may wait leaves it for the next. Costs next to nothing. */
bool io_turn_spent(const io_loop_t *loop);

#define IO_TURN_SPENT_MS 20
#define IO_TURN_LONG_MS  50
#define IO_TURN_STALL_MS 100
#define IO_TURN_HANG_MS  1000
#define IO_TURN_BUCKETS  12
#define IO_TURN_BOUNDS_US                                                                                              \
    {                                                                                                                  \
        100, 500, 1000, 2000, 5000, 10000, 20000, 50000, 100000, 500000, 1000000                                       \
    }

/* A turn that took IO_TURN_LONG_MS by the wall clock, of which the thread computed for `cpu_ns`. `ran` took most of it. */
typedef struct io_turn {
    uint64_t wall_ns, cpu_ns;
    const char *ran;
    uint64_t ran_ns;
} io_turn_t;
/* Watches the turns of a loop from now on; before it runs. `long_turn` runs on the loop's thread, at the turn's end.
 * Simulated loops have no turns to speak of: without effect. */
void io_turns_watch(io_loop_t *loop, void (*long_turn)(void *user, const io_turn_t *turn), void *user);

/* `buckets` by the wall clock, one a bound and one behind; those over a limit by CPU time. From any thread. */
typedef struct io_turn_counts {
    uint64_t buckets[IO_TURN_BUCKETS];
    uint64_t sum_ns;
    uint64_t over_long, over_stall, over_hang;
} io_turn_counts_t;
io_turn_counts_t io_turn_counts(const io_loop_t *loop);

/* A reactor beside the caller's: runs the loop on a thread of its own, by `name` (15 characters at most) in the system's
 * tools. io_loop_join lets what was posted before run, stops the loop and waits for its thread; after it any thread may
 * touch the loop again. In sim a loop runs anyway: neither does anything. */
int io_loop_spawn(io_loop_t *loop, const char *name) MUST_CHECK;
void io_loop_join(io_loop_t *loop);

/* ---- timers: embedded, milliseconds --------------------------------------------------------------------------- */

typedef struct io_timer {
    io_loop_t *loop;
    void (*run)(struct io_timer *timer);
    uint64_t due_ns;    /* 0 = not armed */
    uint64_t order;     /* ties fire in the order of arming */
    uint32_t repeat_ms; /* 0 = once */
    uint32_t heap_index;
} io_timer_t;

void io_timer_init(io_loop_t *loop, io_timer_t *timer, void (*run)(io_timer_t *timer));
/* (Re)arms. First after `delay_ms`, then each `repeat_ms` unless 0. */
void io_timer_start(io_timer_t *timer, uint64_t delay_ms, uint32_t repeat_ms);
void io_timer_stop(io_timer_t *timer);

/* ---- TCP, and sockets with a path: readiness based --------------------------------------------------------------- */

#define IO_ADDR_CHARS_MAX 128 /* "[ipv6]:port" or "/path:0", and a NUL */
#define IO_PATH_CHARS_MAX 107 /* of a socket's path */

enum { IO_READABLE = 1, IO_WRITABLE = 2 };

/* `accept` receives each new stream; it owns it and must io_stream_close it. NULL: somebody came when no descriptor was left and
 * was turned away. Port 0 picks a free one. `host` is an
 * address ("::" takes IPv6 only), a name such as "localhost", or "" or "*" for every IPv4 address. */
typedef void (*io_accept_cb)(void *user, io_stream_t *stream);
int io_listen(io_loop_t *loop, const char *host, uint16_t port, int backlog, io_accept_cb accept, void *user,
              io_listener_t **ret_listener) MUST_CHECK;
uint16_t io_listener_port(const io_listener_t *listener);
void io_listener_close(io_listener_t *listener);
/* The queue of those who are not yet accepted becomes so long; and of them a turn accepts `accepts_max`, or fewer. */
int io_listener_tune(io_listener_t *listener, int backlog, uint32_t accepts_max) MUST_CHECK;
/* The same at a path of the machine's, which begins with a slash: what lies there is removed first, and at the end. `mode` 0 = as
 * the process makes files; `group` NULL = its own. ERR_LIMIT: the path is too long. ERR_NOT_FOUND: there is no such group, or no
 * such folder. The port is 0; to either end the other's address is the path's. */
int io_listen_path(io_loop_t *loop, const char *path, unsigned mode, const char *group, int backlog,
                   io_accept_cb accept, void *user, io_listener_t **ret_listener) MUST_CHECK;

/* Starts to connect to an address, "localhost" or a path (other names: ERR_NOT_FOUND); the stream becomes writable when it is
 * connected, and io_stream_writev tells of failure (with iov_count 0 it does only that, and answers 0 when all is well). */
int io_connect(io_loop_t *loop, const char *host, uint16_t port, io_stream_t **ret_stream) MUST_CHECK;

/* Level triggered: `ready` runs in each turn in which one of `events` holds (end of stream and errors count as
 * readable). events = 0 pauses. */
typedef void (*io_ready_cb)(void *user, unsigned events);
void io_stream_watch(io_stream_t *stream, unsigned events, io_ready_cb ready, void *user);
/* > 0 bytes read; 0 end of stream; ERR_AGAIN; another error when the connection is gone. */
ssize_t io_stream_read(io_stream_t *stream, void *out, size_t bytes);
/* > 0 bytes written, maybe fewer than given; ERR_AGAIN; another error when the connection is gone. */
ssize_t io_stream_writev(io_stream_t *stream, const struct iovec *iov, int iov_count);
/* Sends from a file without copying it through the process. Result as io_stream_writev; 0 = end of file. */
ssize_t io_stream_sendfile(io_stream_t *stream, io_file_t *file, uint64_t offset, size_t bytes);
/* Closes at once; no callback runs afterwards. */
void io_stream_close(io_stream_t *stream);
/* Moves a connection to another loop: off its own by that loop's thread, onto the other by the other's. Attaching
 * closes it when it fails. */
typedef struct io_socket io_socket_t;
io_socket_t *io_stream_detach(io_stream_t *stream) MUST_CHECK; /* `stream` is gone */
int io_stream_attach(io_loop_t *loop, io_socket_t *socket, io_stream_t **ret_stream) MUST_CHECK;
/* The system asks a silent peer whether it is still there: first after `seconds`, then each third of that; the stream
 * fails after three questions without an answer. 0 = never. Without effect in sim, where peers never vanish silently. */
void io_stream_keepalive(io_stream_t *stream, uint32_t seconds);
/* "127.0.0.1:51234" or "[::1]:51234". */
void io_stream_peer(const io_stream_t *stream, char out[IO_ADDR_CHARS_MAX]);
void io_stream_local(const io_stream_t *stream, char out[IO_ADDR_CHARS_MAX]);

/* Runs `stop` (once each time) on SIGTERM and SIGINT (`interrupt`). uv only. */
int io_on_terminate(io_loop_t *loop, void (*stop)(void *user, bool interrupt), void *user) MUST_CHECK;
/* The same on SIGHUP, which then ends nothing. */
int io_on_hangup(io_loop_t *loop, void (*told)(void *user), void *user) MUST_CHECK;

/* ---- files ----------------------------------------------------------------------------------------------------- */

enum {
    IO_FILE_READ = 0,      /* must exist, read only */
    IO_FILE_WRITE = 1,     /* read and write */
    IO_FILE_CREATE = 2,    /* create when missing */
    IO_FILE_EXCLUSIVE = 4, /* with CREATE: ERR_EXISTS when present */
    IO_FILE_TRUNCATE = 8,
};

int io_file_open(io_loop_t *loop, const char *path, int flags, io_file_t **ret_file) MUST_CHECK;
/* Waits for syncs of this file that are under way, whose callbacks then never run. */
void io_file_close(io_file_t *file);
/* Writes all of it at `offset`, or fails: ERR_NOSPACE, ERR_IO (what was written by then is undefined: truncate). */
int io_file_write(io_file_t *file, uint64_t offset, const struct iovec *iov, int iov_count) MUST_CHECK;
/* Bytes read (fewer only at the end of the file) or a negative error. */
ssize_t io_file_read(io_file_t *file, uint64_t offset, void *out, size_t bytes) MUST_CHECK;
int io_file_size(io_file_t *file, uint64_t *ret_bytes) MUST_CHECK;
int io_file_truncate(io_file_t *file, uint64_t bytes) MUST_CHECK;
/* Makes durable all that was written before the call; `done` runs later in this loop with 0 or an error. After an
 * error the pages may be gone: the caller must treat the file as failed, never retry. The request is embedded in the
 * caller's state and must live until `done`. */
typedef struct io_sync {
    void (*done)(struct io_sync *sync, int err);
    io_file_t *file;
    list_t node; /* the backend's */
} io_sync_t;
void io_file_sync(io_file_t *file, io_sync_t *sync, void (*done)(io_sync_t *sync, int err));
/* The same, waiting for it. */
int io_file_sync_now(io_file_t *file) MUST_CHECK;
/* Lets go of the pages that are clean, so that the next read shows what the disk has: after a failed sync they may differ. */
void io_file_drop_cache(io_file_t *file);

int io_rename(io_loop_t *loop, const char *from, const char *to) MUST_CHECK; /* replaces `to`; atomic */
int io_remove(io_loop_t *loop, const char *path) MUST_CHECK;                 /* a file or an empty directory */
int io_remove_tree(io_loop_t *loop, const char *path) MUST_CHECK;            /* a directory and all in it */
/* Removes a file, or a directory with all in it, off the loop: a large file takes long to remove. Nobody is told;
 * io_loop_free waits for it. */
void io_remove_later(io_loop_t *loop, const char *path);
int io_mkdir(io_loop_t *loop, const char *path) MUST_CHECK; /* parents too, durable; 0 when present; ERR_NOT_DIR */
/* One level, not yet durable: for many at once, which an io_sync_dir of the parent makes durable together. ERR_EXISTS,
 * ERR_NOT_FOUND (no parent). */
int io_mkdir_unsynced(io_loop_t *loop, const char *path) MUST_CHECK;
int io_sync_dir(io_loop_t *loop, const char *path) MUST_CHECK; /* makes renames and creations durable */
/* Makes all durable that was written, created and renamed at and below `dir` before the call (and, under uv, on the
 * whole file system): one wait in place of many at an orderly stop. */
int io_sync_tree(io_loop_t *loop, const char *dir) MUST_CHECK;
bool io_exists(io_loop_t *loop, const char *path);
/* The same place, named from the root: what is written down must not depend on where the next process is started. As it is, when the
 * process's own directory has no name. malloc'd. */
char *io_absolute(const char *path);
/* Calls `each` for each name in the directory but "." and "..", in byte order. */
int io_list_dir(io_loop_t *loop, const char *path, void (*each)(void *user, const char *name, bool is_dir),
                void *user) MUST_CHECK;
/* Takes an exclusive lock on `path` for the process's life: ERR_BUSY when another holds it. */
int io_lock_file(io_loop_t *loop, const char *path) MUST_CHECK;
/* How willingly the kernel ends this process for want of memory, from -1000 to 1000. ERR_ACCESS: less is not for everybody. */
int io_oom_score(int *ret_score) MUST_CHECK;
int io_set_oom_score(int score) MUST_CHECK;
/* Free and total bytes of the file system that holds `path`. */
int io_disk_space(io_loop_t *loop, const char *path, uint64_t *ret_free, uint64_t *ret_total) MUST_CHECK;

/* Whole small files (checkpoints, properties): read into malloc'd memory with a NUL behind; write = without waiting for the disk,
 * for what can be made again; replace = write to a temporary, sync, rename, sync the directory. */
int io_read_whole(io_loop_t *loop, const char *path, size_t bytes_max, uint8_t **ret_data,
                  size_t *ret_bytes) MUST_CHECK;
int io_write_whole(io_loop_t *loop, const char *path, bytes_t data) MUST_CHECK;
int io_replace_whole(io_loop_t *loop, const char *path, bytes_t data) MUST_CHECK;

/* Copies the bytes [from, end) of a file to a new one at `path`, durably with its name; removes it again when that fails. */
int io_copy_tail(io_loop_t *loop, io_file_t *file, uint64_t from, uint64_t end, const char *path) MUST_CHECK;

/* What a loss of power does to files it cannot do to a process that dies alone, whose writes the page cache keeps: of what
 * was not synced single sectors may be missing, with later ones there. A file at `path` keeps the name of the machine's run
 * (from a start of the system to its end). *ret_changed: that is another one now, so power may have been lost since
 * io_boot_keep; false when there is no such file or the system gives its runs no names. io_boot_keep is durable. */
int io_boot_changed(io_loop_t *loop, const char *path, bool *ret_changed) MUST_CHECK;
int io_boot_keep(io_loop_t *loop, const char *path) MUST_CHECK;

/* ---- room on a full disk ---- */

/* A file `dir`/reserve whose room is given back when a write finds the disk full, so that what was begun, and what must be
 * written in any case, still fits. Its owner refuses what is new while `low` holds, and fills it again. */
typedef struct io_reserve {
    io_loop_t *loop;
    char *path;
    size_t dir_chars;
    uint64_t bytes_max;    /* 0 = there is none */
    uint64_t bytes_wanted; /* less on a small disk */
    uint64_t bytes;        /* left */
    bool low;              /* something was given, or it could not be filled */
} io_reserve_t;
void io_reserve_init(io_reserve_t *reserve, io_loop_t *loop, const char *dir, uint64_t bytes_max);
void io_reserve_deinit(io_reserve_t *reserve); /* the file stays */
/* Fills it up: ERR_NOSPACE, without a try, unless twice what is missing is free. */
int io_reserve_fill(io_reserve_t *reserve) MUST_CHECK;
/* Makes room for `bytes` by giving some of it back; false when nothing is left. */
bool io_reserve_give(io_reserve_t *reserve, uint64_t bytes);

/* Resident memory of the process in bytes, as the system counts it (0 when it cannot tell). */
size_t io_resident_bytes(void);
/* Memory that the process may use: the least of the machine's, its control group's (v1 and v2) and RLIMIT_AS. Read anew
 * at each call. The default of every budget derives from it. */
uint64_t io_memory_bytes(void);
/* What the allocator may hold of that so that the process stays within it, which is still to start so many threads; 0 when
 * nothing but the machine limits it. */
uint64_t io_memory_heap_bytes(unsigned threads_to_come);

/* ---- descriptors: files and connections share what the system allows ---- */

/* About so many a server has for itself: listeners, event loops, standard streams. */
#define IO_DESCRIPTORS_OWN 40
/* How many the process may have open: its hard limit, up to which each loop on libuv raises the other one. */
uint32_t io_descriptors_max(void);
/* How many of so many are kept for files. Connections of all kinds together take at most the rest, so that a crowd of
 * clients cannot keep a log from rolling or an append-only file from being rewritten. */
uint32_t io_descriptors_for_files(uint32_t descriptors_max);
/* How many the process has open now, of whatever kind, as the system counts them. */
uint32_t io_descriptors_open(void);
/* Files that are open on this loop now. */
uint32_t io_files_open(const io_loop_t *loop);

/* ---- other threads --------------------------------------------------------------------------------------------- */

/* A message runs on the loop it was posted to; messages of one sender arrive in order. Embedded in the sender's
 * state; the receiver owns it once posted. The only function that may be called from any thread; a loop is freed when the threads
 * that post to it are joined. */
typedef struct io_message {
    struct io_message *next;
    void (*run)(struct io_message *message);
} io_message_t;
void io_post(io_loop_t *to, io_message_t *message);
/* Runs what was posted to a loop that no longer runs (joined, stopped, or of a machine that died), on the caller's
 * thread: at the end, so that messages find their receivers. */
void io_loop_drain(io_loop_t *loop);

/* Work off the loop: `work` runs on a pool thread (in sim: in the loop, later), then `done` on the loop. */
typedef struct io_work {
    void (*work)(struct io_work *work);
    void (*done)(struct io_work *work);
    io_loop_t *loop;
    void *backend; /* NULL = not started, or done */
} io_work_t;
void io_work_start(io_loop_t *loop, io_work_t *work);
/* Waits until the pool is done with it; `done` never runs. Harmless when it was not started (zeroed) or is done. */
void io_work_cancel(io_work_t *work);

/* io_replace_whole off the loop, one file after the other, up to the first that fails: for what is too large, or too often, to wait
 * for the disk. Paths and data are borrowed until `done`. */
typedef struct io_replacement {
    const char *path;
    bytes_t data;
} io_replacement_t;
typedef struct io_replace {
    io_work_t work;
    const io_replacement_t *files;
    size_t count;
    void (*done)(struct io_replace *replace, int err);
    int err;
} io_replace_t;
/* At once, waiting for the disk. */
int io_replace_files(io_loop_t *loop, const io_replacement_t *files, size_t count) MUST_CHECK;
void io_replace_start(io_loop_t *loop, io_replace_t *replace, const io_replacement_t *files, size_t count,
                      void (*done)(io_replace_t *replace, int err));
/* As io_work_cancel: each of the files is by then the old one or the new one. */
void io_replace_cancel(io_replace_t *replace);

#endif

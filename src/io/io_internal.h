/* io_internal.h: what the files of src/io share: the functions a backend gives, and the heads of its objects.
 *
 * Each backend embeds these heads as the first member of its own structs, so that io.c can pass a call on. Timers and
 * hooks are shared code over the loop's head; a backend calls io__timers_run and io__hooks_run once each turn. */
#ifndef TRIVET_IO_IO_INTERNAL_H
#define TRIVET_IO_IO_INTERNAL_H

#include "io/io.h"

#include <dirent.h>
#include <stdatomic.h>

#define IO_BOOT_CHARS_MAX 64

struct io_ops {
    void (*loop_free)(io_loop_t *loop);
    void (*loop_run)(io_loop_t *loop);
    void (*loop_stop)(io_loop_t *loop);
    void (*loop_wake)(io_loop_t *loop);
    int (*loop_spawn)(io_loop_t *loop, const char *name);
    void (*loop_join)(io_loop_t *loop);
    void (*loop_drain)(io_loop_t *loop);
    void (*update_time)(io_loop_t *loop);
    uint64_t (*hrtime_ns)(io_loop_t *loop);
    int64_t (*wall_us)(io_loop_t *loop);
    uint64_t (*coarse_ns)(io_loop_t *loop);     /* hrtime_ns, but for some milliseconds */
    uint64_t (*thread_cpu_ns)(io_loop_t *loop); /* of the caller's thread. NULL = turns are not watched */
    void (*random)(io_loop_t *loop, void *out, size_t bytes);

    int (*listen)(io_loop_t *loop, const char *host, uint16_t port, int backlog, io_accept_cb accept, void *user,
                  io_listener_t **ret_listener);
    int (*listen_path)(io_loop_t *loop, const char *path, unsigned mode, const char *group, int backlog,
                       io_accept_cb accept, void *user, io_listener_t **ret_listener);
    int (*listener_tune)(io_listener_t *listener, int backlog, uint32_t accepts_max);
    uint16_t (*listener_port)(const io_listener_t *listener);
    void (*listener_close)(io_listener_t *listener);
    int (*connect)(io_loop_t *loop, const char *host, uint16_t port, io_stream_t **ret_stream);
    void (*stream_watch)(io_stream_t *stream, unsigned events, io_ready_cb ready, void *user);
    ssize_t (*stream_read)(io_stream_t *stream, void *out, size_t bytes);
    ssize_t (*stream_writev)(io_stream_t *stream, const struct iovec *iov, int iov_count);
    ssize_t (*stream_sendfile)(io_stream_t *stream, io_file_t *file, uint64_t offset, size_t bytes);
    void (*stream_close)(io_stream_t *stream);
    io_socket_t *(*stream_detach)(io_stream_t *stream);
    int (*stream_attach)(io_loop_t *loop, io_socket_t *socket, io_stream_t **ret_stream);
    void (*stream_keepalive)(io_stream_t *stream, uint32_t seconds);
    void (*stream_peer)(const io_stream_t *stream, char out[IO_ADDR_CHARS_MAX]);
    void (*stream_local)(const io_stream_t *stream, char out[IO_ADDR_CHARS_MAX]);
    int (*on_terminate)(io_loop_t *loop, void (*stop)(void *user, bool interrupt), void *user);
    int (*on_hangup)(io_loop_t *loop, void (*told)(void *user), void *user);

    int (*file_open)(io_loop_t *loop, const char *path, int flags, io_file_t **ret_file);
    void (*file_close)(io_file_t *file);
    int (*file_write)(io_file_t *file, uint64_t offset, const struct iovec *iov, int iov_count);
    ssize_t (*file_read)(io_file_t *file, uint64_t offset, void *out, size_t bytes);
    int (*file_size)(io_file_t *file, uint64_t *ret_bytes);
    int (*file_truncate)(io_file_t *file, uint64_t bytes);
    void (*file_sync)(io_file_t *file, io_sync_t *sync);
    int (*file_sync_now)(io_file_t *file);
    void (*file_drop_cache)(io_file_t *file);
    /* Creates or replaces the file's content. From any thread, as rename, remove and sync_dir are. NULL = as other files. */
    int (*write_whole)(io_loop_t *loop, const char *path, bytes_t data, bool sync);
    int (*rename)(io_loop_t *loop, const char *from, const char *to);
    int (*remove)(io_loop_t *loop, const char *path);
    void (*remove_later)(io_loop_t *loop, const char *path); /* NULL = at once */
    int (*mkdir)(io_loop_t *loop, const char *path);         /* one level; ERR_EXISTS */
    int (*sync_dir)(io_loop_t *loop, const char *path);
    int (*sync_fs)(io_loop_t *loop, const char *path); /* NULL = file by file */
    int (*stat)(io_loop_t *loop, const char *path, bool *ret_is_dir);
    int (*list_dir)(io_loop_t *loop, const char *path, void (*each)(void *user, const char *name, bool is_dir),
                    void *user);
    int (*lock_file)(io_loop_t *loop, const char *path);
    int (*disk_space)(io_loop_t *loop, const char *path, uint64_t *ret_free, uint64_t *ret_total);
    /* The name of the machine's run; "" = unknown. */
    void (*boot_id)(io_loop_t *loop, char out[IO_BOOT_CHARS_MAX]);

    void (*post)(io_loop_t *to, io_message_t *message);
    void (*work_start)(io_loop_t *loop, io_work_t *work);
    void (*work_cancel)(io_work_t *work);
};

typedef struct io_timer_heap {
    io_timer_t **items; /* a binary heap by (due_ns, order) */
    uint32_t count;
    uint32_t cap;
    uint64_t order_next;
} io_timer_heap_t;

typedef struct io_turns_shared {
    _Atomic(uint64_t) buckets[IO_TURN_BUCKETS];
    _Atomic(uint64_t) sum_ns, over_long, over_stall, over_hang;
} io_turns_shared_t;

typedef struct io_turns {
    bool watched;
    uint64_t began_ns; /* 0 = between two turns */
    const char *note, *longest;
    uint64_t note_since_ns, longest_ns;
    uint64_t sampled_at_ns, sampled_cpu_ns;
    void (*long_turn)(void *user, const io_turn_t *turn);
    void *user;
    io_turns_shared_t counts;
} io_turns_t;

struct io_loop {
    const io_ops_t *ops;
    uint64_t now_ns;
    int64_t wall_ms;
    io_timer_heap_t timers;
    list_t hooks;
    uint32_t files_open;
    bool halted;       /* the simulated machine is gone: no timer or hook runs any more */
    list_t *hook_next; /* the hook after the one that runs, so that a hook may remove any other */
    io_turns_t turns;
};

struct io_listener {
    io_loop_t *loop;
};
struct io_stream {
    const io_ops_t *ops;
};
struct io_socket {
    const io_ops_t *ops;
};
struct io_file {
    const io_ops_t *ops;
};

void io__loop_init(io_loop_t *loop, const io_ops_t *ops);
void io__loop_deinit(io_loop_t *loop);
void io__hooks_run(io_loop_t *loop);
/* turn.c: the loop starts to run on this thread; a turn began at loop->now_ns; it ended. */
void io__turns_begin(io_loop_t *loop);
void io__turn_began(io_loop_t *loop);
void io__turn_ended(io_loop_t *loop, uint64_t now_ns);
/* As opendir, which opens out of ThreadSanitizer's sight: it would take the end of this descriptor for the end of another that
 * had its number before. */
DIR *io__open_dir(const char *path);
/* What io_remove_later does in the end; touches nothing of the loop's, so any thread may. */
void io__remove_any(io_loop_t *loop, const char *path);

/* (Re)arms for an absolute time, once. */
void io__timer_arm_at(io_timer_t *timer, uint64_t due_ns);
/* When the next timer is due: 0 = none is armed. */
uint64_t io__timers_next_ns(const io_loop_t *loop);
/* Runs those due at loop->now_ns; those armed meanwhile wait for the next turn. */
void io__timers_run(io_loop_t *loop);

#endif

/* uv_internal.h: the loop of the libuv backend, shared by the files of src/io/uv. */
#ifndef TRIVET_IO_UV_INTERNAL_H
#define TRIVET_IO_UV_INTERNAL_H

#include "io/io_internal.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <uv.h>

#define UV_LOCK_FILES_MAX 8

typedef struct uv_backend {
    io_loop_t base;
    uv_loop_t uv;
    uv_prepare_t prepare; /* hooks, then whether the poll may wait */
    uv_check_t check;     /* messages */
    uv_idle_t idle;       /* active = the poll does not wait */
    uv_timer_t timer;     /* armed for the first timer of the heap */
    uint64_t timer_due_ns;
    bool time_stale; /* the clock was not yet read in this turn */
    bool wake;
    bool closing; /* in io_loop_free: nothing is called back any more */

    uv_poll_t waker; /* on wake_fd, an eventfd */
    int wake_fd;
    atomic_bool asleep;            /* the poll may wait: who puts something into the inbox clears this and wakes it */
    _Atomic(io_message_t *) inbox; /* from other threads, newest first */
    _Atomic(uintptr_t) thread;     /* which thread runs the loop; 0 = none yet */
    io_message_t *own_first;       /* from this thread, oldest first: no system call */
    io_message_t **own_last;

    pthread_t runner; /* of io_loop_spawn */
    bool spawned;
    io_message_t stop;

    uv_signal_t signals[3]; /* the last one is SIGHUP's */
    void (*terminate)(void *user, bool interrupt);
    void *terminate_user;
    void (*hangup)(void *user);
    void *hangup_user;

    pthread_mutex_t sync_lock; /* guards every file's syncs_running */
    pthread_cond_t sync_ended;

    list_t streams, listeners, files; /* what io_loop_free must close */
    int spare_fd;                     /* given up for a moment to refuse a connection by; -1 = none */
    int lock_fds[UV_LOCK_FILES_MAX];
    int lock_fds_count;
} uv_backend_t;

static inline uv_backend_t *uv__backend(io_loop_t *loop) { return CONTAINER_OF(loop, uv_backend_t, base); }

/* Every callback from libuv begins with this: the first of a turn reads the clocks. */
static inline void uv__turn(uv_backend_t *b)
{
    if (b->time_stale) io_loop_update_time(&b->base);
}

extern const io_ops_t uv__ops;

/* uv_addr.c. `passive`: an address to listen on; then names are looked up. */
int uv__addr_resolve(const char *host, uint16_t port, bool passive, struct sockaddr_storage *ret_addr,
                     socklen_t *ret_len) MUST_CHECK;
void uv__addr_format(const struct sockaddr_storage *addr, char out[IO_ADDR_CHARS_MAX]);
/* Of a socket with a path. */
void uv__addr_of_path(const char *path, struct sockaddr_storage *ret_addr, socklen_t *ret_len);
uint16_t uv__addr_port(const struct sockaddr_storage *addr);

/* uv_net.c */
int uv__listen(io_loop_t *loop, const char *host, uint16_t port, int backlog, io_accept_cb accept, void *user,
               io_listener_t **ret_listener);
int uv__listen_path(io_loop_t *loop, const char *path, unsigned mode, const char *group, int backlog,
                    io_accept_cb accept, void *user, io_listener_t **ret_listener);
int uv__listener_tune(io_listener_t *listener, int backlog, uint32_t accepts_max);
uint16_t uv__listener_port(const io_listener_t *listener);
void uv__listener_close(io_listener_t *listener);
void uv__net_close_all(uv_backend_t *b);

/* uv_stream.c */
int uv__stream_adopt(uv_backend_t *b, int fd, const struct sockaddr_storage *peer, io_stream_t **ret_stream);
int uv__connect(io_loop_t *loop, const char *host, uint16_t port, io_stream_t **ret_stream);
void uv__stream_watch(io_stream_t *stream, unsigned events, io_ready_cb ready, void *user);
ssize_t uv__stream_read(io_stream_t *stream, void *out, size_t bytes);
ssize_t uv__stream_writev(io_stream_t *stream, const struct iovec *iov, int iov_count);
ssize_t uv__stream_sendfile(io_stream_t *stream, io_file_t *file, uint64_t offset, size_t bytes);
void uv__stream_close(io_stream_t *stream);
io_socket_t *uv__stream_detach(io_stream_t *stream);
int uv__stream_attach(io_loop_t *loop, io_socket_t *socket, io_stream_t **ret_stream);
void uv__stream_keepalive(io_stream_t *stream, uint32_t seconds);
void uv__stream_peer(const io_stream_t *stream, char out[IO_ADDR_CHARS_MAX]);
void uv__stream_local(const io_stream_t *stream, char out[IO_ADDR_CHARS_MAX]);
void uv__streams_close_all(uv_backend_t *b);

/* uv_file.c */
int uv__file_fd(const io_file_t *file);
int uv__file_open(io_loop_t *loop, const char *path, int flags, io_file_t **ret_file);
void uv__file_close(io_file_t *file);
int uv__file_write(io_file_t *file, uint64_t offset, const struct iovec *iov, int iov_count);
ssize_t uv__file_read(io_file_t *file, uint64_t offset, void *out, size_t bytes);
int uv__file_size(io_file_t *file, uint64_t *ret_bytes);
int uv__file_truncate(io_file_t *file, uint64_t bytes);
void uv__file_sync(io_file_t *file, io_sync_t *sync);
int uv__file_sync_now(io_file_t *file);
void uv__file_drop_cache(io_file_t *file);
void uv__files_close_all(uv_backend_t *b);

/* uv_dir.c */
int uv__rename(io_loop_t *loop, const char *from, const char *to);
int uv__remove(io_loop_t *loop, const char *path);
void uv__remove_later(io_loop_t *loop, const char *path);
int uv__mkdir(io_loop_t *loop, const char *path);
int uv__sync_dir(io_loop_t *loop, const char *path);
int uv__sync_fs(io_loop_t *loop, const char *path);
int uv__write_whole(io_loop_t *loop, const char *path, bytes_t data, bool sync);
int uv__stat(io_loop_t *loop, const char *path, bool *ret_is_dir);
int uv__list_dir(io_loop_t *loop, const char *path, void (*each)(void *user, const char *name, bool is_dir),
                 void *user);
int uv__lock_file(io_loop_t *loop, const char *path);
int uv__disk_space(io_loop_t *loop, const char *path, uint64_t *ret_free, uint64_t *ret_total);
void uv__boot_id(io_loop_t *loop, char out[IO_BOOT_CHARS_MAX]);

#endif

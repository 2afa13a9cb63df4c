/* uv_stream.c: TCP streams: our own non-blocking sockets, read and written by straight system calls; libuv only tells when
 * they are ready. The poll is touched only when the set of watched events really changes. */
#include "io/uv/uv_internal.h"

#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/sendfile.h>
#include <unistd.h>

typedef struct uv_conn {
    io_stream_t base;
    int fd;
    unsigned events; /* wanted, and what the poll is set to */
    io_ready_cb ready;
    void *user;
    uv_backend_t *backend;
    uv_poll_t poll;
    list_t node;
    struct sockaddr_storage peer;
} uv_conn_t;

static uv_conn_t *tcp_of(io_stream_t *stream) { return CONTAINER_OF(stream, uv_conn_t, base); }

static void on_poll(uv_poll_t *poll, int status, int ready);

static void poll_set(uv_conn_t *tcp)
{
    int rc;
    if (tcp->events == 0)
        rc = uv_poll_stop(&tcp->poll);
    else
        rc = uv_poll_start(
            &tcp->poll, (tcp->events & IO_READABLE ? UV_READABLE : 0) | (tcp->events & IO_WRITABLE ? UV_WRITABLE : 0),
            on_poll);
    ASSERT(!rc);
}

static void on_poll(uv_poll_t *poll, int status, int ready)
{
    uv_conn_t *tcp = poll->data;
    uv__turn(tcp->backend);
    if (LIKELY(status == 0)) {
        unsigned events = (ready & UV_READABLE ? IO_READABLE : 0) | (ready & UV_WRITABLE ? IO_WRITABLE : 0);
        if (events & tcp->events) tcp->ready(tcp->user, events & tcp->events);
        return;
    }
    /* libuv stops a poll on an error of the socket; the owner learns the error from its next read or write. */
    poll_set(tcp);
    tcp->ready(tcp->user, tcp->events | IO_READABLE);
}

void uv__stream_watch(io_stream_t *stream, unsigned events, io_ready_cb ready, void *user)
{
    uv_conn_t *tcp = tcp_of(stream);
    tcp->ready = ready;
    tcp->user = user;
    if (tcp->events == events) return;
    tcp->events = events;
    poll_set(tcp);
}

/* Takes the socket; closes it on failure. */
int uv__stream_adopt(uv_backend_t *b, int fd, const struct sockaddr_storage *peer, io_stream_t **ret_stream)
{
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    uv_conn_t *tcp = mem_zalloc(sizeof(*tcp));
    int rc = uv_poll_init(&b->uv, &tcp->poll, fd);
    if (rc) {
        close(fd);
        mem_free(tcp);
        return err_from_errno(-rc);
    }
    tcp->base.ops = &uv__ops;
    tcp->fd = fd;
    tcp->backend = b;
    tcp->peer = *peer;
    tcp->poll.data = tcp;
    list_push_back(&b->streams, &tcp->node);
    *ret_stream = &tcp->base;
    return 0;
}

int uv__connect(io_loop_t *loop, const char *host, uint16_t port, io_stream_t **ret_stream)
{
    struct sockaddr_storage addr = {0};
    socklen_t len;
    int err = uv__addr_resolve(host, port, false, &addr, &len);
    if (err) return err;
    int fd = socket(addr.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return err_from_errno(errno);
    if (connect(fd, (struct sockaddr *)&addr, len) < 0 && errno != EINPROGRESS) {
        err = err_from_errno(errno);
        close(fd);
        return err;
    }
    return uv__stream_adopt(uv__backend(loop), fd, &addr, ret_stream);
}

ssize_t uv__stream_read(io_stream_t *stream, void *out, size_t bytes)
{
    ssize_t n = recv(tcp_of(stream)->fd, out, bytes, 0);
    return LIKELY(n >= 0) ? n : err_from_errno(errno);
}

static ssize_t connection_state(uv_conn_t *tcp)
{
    struct sockaddr_storage peer;
    int error = 0;
    socklen_t len = sizeof(error);
    if (getsockopt(tcp->fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0) error = errno;
    if (error) return err_from_errno(error);
    len = sizeof(peer);
    return getpeername(tcp->fd, (struct sockaddr *)&peer, &len) == 0 ? 0 : ERR_AGAIN;
}

ssize_t uv__stream_writev(io_stream_t *stream, const struct iovec *iov, int iov_count)
{
    uv_conn_t *tcp = tcp_of(stream);
    ssize_t n;
    if (UNLIKELY(iov_count == 0)) return connection_state(tcp);
    if (iov_count == 1) {
        n = send(tcp->fd, iov->iov_base, iov->iov_len, MSG_NOSIGNAL);
    } else {
        struct msghdr message = {.msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)MIN(iov_count, IOV_MAX)};
        n = sendmsg(tcp->fd, &message, MSG_NOSIGNAL);
    }
    return LIKELY(n >= 0) ? n : err_from_errno(errno);
}

ssize_t uv__stream_sendfile(io_stream_t *stream, io_file_t *file, uint64_t offset, size_t bytes)
{
    off_t at = (off_t)offset;
    ssize_t n = sendfile(tcp_of(stream)->fd, uv__file_fd(file), &at, bytes);
    return LIKELY(n >= 0) ? n : err_from_errno(errno);
}

static void on_closed(uv_handle_t *handle) { mem_free(handle->data); }

void uv__stream_close(io_stream_t *stream)
{
    uv_conn_t *tcp = tcp_of(stream);
    list_remove(&tcp->node);
    uv_close((uv_handle_t *)&tcp->poll, on_closed);
    close(tcp->fd);
}

/* ---- from loop to loop ---- */

typedef struct uv_socket {
    io_socket_t base;
    int fd;
    struct sockaddr_storage peer;
} uv_socket_t;

io_socket_t *uv__stream_detach(io_stream_t *stream)
{
    uv_conn_t *tcp = tcp_of(stream);
    uv_socket_t *socket = mem_alloc(sizeof(*socket));
    *socket = (uv_socket_t){.base.ops = &uv__ops, .fd = tcp->fd, .peer = tcp->peer};
    list_remove(&tcp->node);
    uv_close((uv_handle_t *)&tcp->poll, on_closed);
    return &socket->base;
}

int uv__stream_attach(io_loop_t *loop, io_socket_t *base, io_stream_t **ret_stream)
{
    uv_socket_t *socket = CONTAINER_OF(base, uv_socket_t, base);
    int err = uv__stream_adopt(uv__backend(loop), socket->fd, &socket->peer, ret_stream);
    mem_free(socket);
    return err;
}

void uv__streams_close_all(uv_backend_t *b)
{
    LIST_EACH(&b->streams, tcp, uv_conn_t, node) uv__stream_close(&tcp->base);
}

void uv__stream_keepalive(io_stream_t *stream, uint32_t seconds)
{
    enum { QUESTIONS = 3 };
    int fd = tcp_of(stream)->fd, on = seconds > 0, count = QUESTIONS;
    int idle_s = (int)MIN(seconds, 32767u), between_s = MAX(idle_s / QUESTIONS, 1);
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    if (!on) return;
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof(idle_s));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &between_s, sizeof(between_s));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof(count));
}

void uv__stream_peer(const io_stream_t *stream, char out[IO_ADDR_CHARS_MAX])
{
    uv__addr_format(&CONTAINER_OF(stream, uv_conn_t, base)->peer, out);
}

void uv__stream_local(const io_stream_t *stream, char out[IO_ADDR_CHARS_MAX])
{
    const uv_conn_t *conn = CONTAINER_OF(stream, uv_conn_t, base);
    if (conn->peer.ss_family == AF_UNIX) { /* one end has no name */
        uv__addr_format(&conn->peer, out);
        return;
    }
    struct sockaddr_storage addr = {0};
    socklen_t len = sizeof(addr);
    getsockname(CONTAINER_OF(stream, uv_conn_t, base)->fd, (struct sockaddr *)&addr, &len);
    uv__addr_format(&addr, out);
}

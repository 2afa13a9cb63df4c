/* uv_net.c: listening sockets.
 *
 * A listener takes at most ACCEPTS_PER_TURN_MAX connections a turn, so that a storm of them does not starve those that are
 * open. When descriptors run out, a spare one takes each further connection for as long as it needs to be closed: who connects
 * is refused at once, not left to wait in the backlog. */
#include "io/uv/uv_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <netinet/in.h>
#include <sys/stat.h>
#include <unistd.h>

#define ACCEPTS_PER_TURN_MAX   64
#define DESCRIPTORS_PER_ACCEPT 32 /* that there must be in all for each connection that a turn takes */
#define ACCEPT_REST_MS         50

typedef struct uv_tcp_listener {
    io_listener_t base;
    int fd;
    uint16_t port;
    char *path;                   /* removed at the end; NULL = none */
    struct sockaddr_storage addr; /* of a path: who comes has none of its own */
    io_accept_cb accept;
    uint32_t accepts_max; /* a turn */
    void *user;
    bool closed;
    uv_poll_t poll;
    io_timer_t rest;
    list_t node;
} uv_tcp_listener_t;

static uv_tcp_listener_t *listener_of(io_listener_t *listener)
{
    return CONTAINER_OF(listener, uv_tcp_listener_t, base);
}

static void on_acceptable(uv_poll_t *poll, int status, int ready);

static void on_rested(io_timer_t *timer)
{
    uv_tcp_listener_t *l = CONTAINER_OF(timer, uv_tcp_listener_t, rest);
    int rc = uv_poll_start(&l->poll, UV_READABLE, on_acceptable);
    ASSERT(!rc);
}

static bool worth_another_try(int error)
{
    /* The connection went away between its arrival and our call: take the next one. */
    return error == EINTR || error == ECONNABORTED || error == EPROTO || error == EPERM;
}

static void hold_spare(uv_backend_t *b)
{
    if (b->spare_fd < 0) b->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

/* False: there is no spare one either, or nobody is waiting. */
static bool refuse_one(uv_tcp_listener_t *l)
{
    uv_backend_t *b = uv__backend(l->base.loop);
    if (b->spare_fd < 0) return false;
    close(b->spare_fd);
    b->spare_fd = -1;
    int fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC);
    if (fd >= 0) close(fd);
    hold_spare(b);
    if (fd >= 0) l->accept(l->user, NULL);
    return fd >= 0;
}

static bool out_of_descriptors(int error) { return error == EMFILE || error == ENFILE; }

static void on_acceptable(uv_poll_t *poll, int status, int ready)
{
    uv_tcp_listener_t *l = poll->data;
    uv_backend_t *b = uv__backend(l->base.loop);
    uv__turn(b);
    for (uint32_t i = 0; i < l->accepts_max && !l->closed; i++) {
        struct sockaddr_storage peer = {0};
        socklen_t len = sizeof(peer);
        int fd = accept4(l->fd, (struct sockaddr *)&peer, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            if (errno == EAGAIN) return;
            if (worth_another_try(errno) || (out_of_descriptors(errno) && refuse_one(l))) continue;
            if (l->closed) return;
            uv_poll_stop(&l->poll);
            io_timer_start(&l->rest, ACCEPT_REST_MS, 0);
            return;
        }
        io_stream_t *stream;
        if (uv__stream_adopt(b, fd, l->path ? &l->addr : &peer, &stream) == 0) l->accept(l->user, stream);
    }
}

static int open_socket(const char *host, uint16_t port, int backlog, int *ret_fd, uint16_t *ret_port)
{
    struct sockaddr_storage addr = {0};
    socklen_t len;
    int one = 1;
    int err = uv__addr_resolve(host, port, true, &addr, &len);
    if (err) return err;
    int fd = socket(addr.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return err_from_errno(errno);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (addr.ss_family == AF_INET6) setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
    if (bind(fd, (struct sockaddr *)&addr, len) < 0 || listen(fd, backlog) < 0) goto out;
    len = sizeof(addr);
    if (getsockname(fd, (struct sockaddr *)&addr, &len) < 0) goto out;
    *ret_fd = fd;
    *ret_port = uv__addr_port(&addr);
    return 0;
out:
    err = err_from_errno(errno);
    close(fd);
    return err;
}

/* Who is refused holds a descriptor until the turn ends: of few, files must find some all the same. */
static uint32_t accepts_of_descriptors(void)
{
    return MIN(MAX(io_descriptors_max() / DESCRIPTORS_PER_ACCEPT, 1u), ACCEPTS_PER_TURN_MAX);
}

/* Takes the socket; closes it on failure. */
static int new_listener(io_loop_t *loop, int fd, io_accept_cb accept, void *user, uv_tcp_listener_t **ret)
{
    uv_backend_t *b = uv__backend(loop);
    uv_tcp_listener_t *l = mem_zalloc(sizeof(*l));
    int rc = uv_poll_init(&b->uv, &l->poll, fd);
    if (rc) {
        close(fd);
        mem_free(l);
        return err_from_errno(-rc);
    }
    l->base.loop = loop;
    l->fd = fd;
    l->accept = accept;
    l->accepts_max = accepts_of_descriptors();
    l->user = user;
    l->poll.data = l;
    io_timer_init(loop, &l->rest, on_rested);
    on_rested(&l->rest);
    list_push_back(&b->listeners, &l->node);
    hold_spare(b);
    *ret = l;
    return 0;
}

int uv__listen(io_loop_t *loop, const char *host, uint16_t port, int backlog, io_accept_cb accept, void *user,
               io_listener_t **ret_listener)
{
    int fd = -1;
    uint16_t bound = 0;
    uv_tcp_listener_t *l;
    int err = open_socket(host, port, backlog, &fd, &bound);
    if (!err) err = new_listener(loop, fd, accept, user, &l);
    if (err) return err;
    l->port = bound;
    *ret_listener = &l->base;
    return 0;
}

/* Before anybody can connect. */
static int give_access(const char *path, unsigned mode, const char *group)
{
    const struct group *found = group ? getgrnam(group) : NULL;
    if (group && !found) return ERR_NOT_FOUND;
    if (group && chown(path, (uid_t)-1, found->gr_gid) < 0) return err_from_errno(errno);
    return mode && chmod(path, mode) < 0 ? err_from_errno(errno) : 0;
}

int uv__listen_path(io_loop_t *loop, const char *path, unsigned mode, const char *group, int backlog,
                    io_accept_cb accept, void *user, io_listener_t **ret_listener)
{
    struct sockaddr_storage addr = {0};
    socklen_t len;
    uv_tcp_listener_t *l;
    uv__addr_of_path(path, &addr, &len);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return err_from_errno(errno);
    (void)unlink(path);
    int err = bind(fd, (struct sockaddr *)&addr, len) < 0 ? err_from_errno(errno) : 0;
    if (!err) err = give_access(path, mode, group);
    if (!err && listen(fd, backlog) < 0) err = err_from_errno(errno);
    if (err) {
        close(fd);
        return err;
    }
    err = new_listener(loop, fd, accept, user, &l);
    if (err) return err;
    l->path = mem_strdup(path);
    l->addr = addr;
    *ret_listener = &l->base;
    return 0;
}

int uv__listener_tune(io_listener_t *listener, int backlog, uint32_t accepts_max)
{
    uv_tcp_listener_t *l = listener_of(listener);
    l->accepts_max = MAX(MIN(accepts_max, accepts_of_descriptors()), 1u);
    return listen(l->fd, backlog) < 0 ? err_from_errno(errno) : 0;
}

uint16_t uv__listener_port(const io_listener_t *listener)
{
    return CONTAINER_OF(listener, uv_tcp_listener_t, base)->port;
}

static void on_listener_closed(uv_handle_t *handle)
{
    uv_tcp_listener_t *l = handle->data;
    mem_free(l->path);
    mem_free(l);
}

void uv__listener_close(io_listener_t *listener)
{
    uv_tcp_listener_t *l = listener_of(listener);
    l->closed = true;
    io_timer_stop(&l->rest);
    list_remove(&l->node);
    uv_close((uv_handle_t *)&l->poll, on_listener_closed);
    close(l->fd);
    if (l->path) (void)unlink(l->path);
}

void uv__net_close_all(uv_backend_t *b)
{
    LIST_EACH(&b->listeners, l, uv_tcp_listener_t, node) uv__listener_close(&l->base);
}

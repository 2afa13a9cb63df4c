/* uv_loop.c: the loop on libuv: turns, time, timers, hooks, messages, pool work and signals.
 *
 * A turn: timers that are due; hooks (uv_prepare), which write what the turn before produced; the poll with its callbacks;
 * messages (uv_check), those of other threads first. The poll waits only when no hook or callback left work behind and the inbox
 * is empty. A loop that does not wait is not woken: it looks into its inbox in each turn. (uv_async would be woken each time, and
 * libuv 1.44 then spins until the sender has returned from its system call, which on a busy machine takes as long as others run.) */
#include "io/uv/uv_internal.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_MS 1000000ull

/* ---- time ---- */

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec ts;
    clock_gettime(clock, &ts);
    return (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
}

static void update_time(io_loop_t *loop)
{
    loop->now_ns = clock_ns(CLOCK_MONOTONIC);
    loop->wall_ms = (int64_t)(clock_ns(CLOCK_REALTIME) / NS_PER_MS);
    if (!uv__backend(loop)->time_stale) return;
    uv__backend(loop)->time_stale = false;
    atomic_store_explicit(&uv__backend(loop)->asleep, false, memory_order_relaxed);
    io__turn_began(loop);
}

static uint64_t hrtime_ns(io_loop_t *loop) { return io_clock_ns(); }
uint64_t io_clock_ns(void) { return clock_ns(CLOCK_MONOTONIC); }
int64_t io_clock_wall_ms(void) { return (int64_t)(clock_ns(CLOCK_REALTIME) / NS_PER_MS); }
static uint64_t coarse_ns(io_loop_t *loop) { return clock_ns(CLOCK_MONOTONIC_COARSE); }
static uint64_t thread_cpu_ns(io_loop_t *loop) { return clock_ns(CLOCK_THREAD_CPUTIME_ID); }
static int64_t wall_us(io_loop_t *loop) { return (int64_t)(clock_ns(CLOCK_REALTIME) / 1000); }

static void random_bytes(io_loop_t *loop, void *out, size_t bytes)
{
    uint8_t *p = out;
    while (bytes > 0) {
        ssize_t n = getrandom(p, bytes, 0);
        ASSERT(n > 0 || errno == EINTR);
        if (n < 0) continue;
        p += n;
        bytes -= (size_t)n;
    }
}

/* ---- a turn ---- */

static void on_timer(uv_timer_t *timer)
{
    uv_backend_t *b = timer->data;
    b->timer_due_ns = 0;
    /* libuv's millisecond clock was read before the poll; ours decides what is due. */
    update_time(&b->base);
    io__timers_run(&b->base);
}

/* Starting a uv_timer is only heap work, but even that is spared while the first timer stays the same. */
static void arm_timer(uv_backend_t *b)
{
    uint64_t due_ns = io__timers_next_ns(&b->base);
    if (due_ns == b->timer_due_ns) return;
    b->timer_due_ns = due_ns;
    if (due_ns == 0) {
        uv_timer_stop(&b->timer);
        return;
    }
    uint64_t now_ns = b->base.now_ns;
    uint64_t wait_ms = due_ns > now_ns ? (due_ns - now_ns + NS_PER_MS - 1) / NS_PER_MS : 0;
    uv_timer_start(&b->timer, on_timer, wait_ms, 0);
}

static void on_idle(uv_idle_t *idle) {}

/* Whether the poll may wait. A sender puts in and then looks whether we sleep; we say so and then look whether there is something: one
 * of the two sees the other. */
static bool fall_asleep(uv_backend_t *b)
{
    if (b->wake || b->own_first) return false;
    atomic_store(&b->asleep, true);
    return !atomic_load(&b->inbox);
}

static void on_prepare(uv_prepare_t *prepare)
{
    uv_backend_t *b = prepare->data;
    uv__turn(b);
    b->wake = false;
    io__hooks_run(&b->base);
    arm_timer(b);
    if (fall_asleep(b))
        uv_idle_stop(&b->idle);
    else
        uv_idle_start(&b->idle, on_idle);
    b->time_stale = true;
    if (b->base.turns.watched) io__turn_ended(&b->base, clock_ns(CLOCK_MONOTONIC));
}

static void run_messages(uv_backend_t *b, io_message_t *message)
{
    while (message) {
        io_message_t *next = message->next; /* the receiver may free it */
        io_turn_note(&b->base, "a message");
        message->run(message);
        message = next;
    }
}

static void take_own(uv_backend_t *b)
{
    io_message_t *first = b->own_first;
    b->own_first = NULL;
    b->own_last = &b->own_first;
    run_messages(b, first);
}

static void wake(io_loop_t *loop) { uv__backend(loop)->wake = true; }

/* ---- messages ---- */

static void take_inbox(uv_backend_t *b)
{
    io_message_t *newest = atomic_exchange_explicit(&b->inbox, NULL, memory_order_acquire);
    io_message_t *oldest = NULL;
    while (newest) {
        io_message_t *next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    run_messages(b, oldest);
}

static void on_check(uv_check_t *check)
{
    uv_backend_t *b = check->data;
    if (!b->own_first && !atomic_load_explicit(&b->inbox, memory_order_relaxed)) return;
    uv__turn(b);
    take_inbox(b);
    take_own(b);
}

/* The check behind the poll takes what it was woken for. */
static void on_wake(uv_poll_t *poll, int status, int events)
{
    const uv_backend_t *b = poll->data;
    uint64_t count;
    ssize_t n = read(b->wake_fd, &count, sizeof(count));
    ASSERT(n == sizeof(count) || errno == EAGAIN || errno == EINTR);
}

static void wake_up(uv_backend_t *b)
{
    const uint64_t one = 1;
    ssize_t n;
    do n = write(b->wake_fd, &one, sizeof(one));
    while (n < 0 && errno == EINTR);
    ASSERT(n == sizeof(one) || errno == EAGAIN); /* the latter: it was woken often enough */
}

static void post(io_loop_t *to, io_message_t *message)
{
    uv_backend_t *b = uv__backend(to);
    if (atomic_load_explicit(&b->thread, memory_order_relaxed) == (uintptr_t)pthread_self()) {
        message->next = NULL;
        *b->own_last = message;
        b->own_last = &message->next;
        return;
    }
    io_message_t *head = atomic_load_explicit(&b->inbox, memory_order_relaxed);
    do {
        message->next = head;
    } while (!atomic_compare_exchange_weak(&b->inbox, &head, message)); /* before the next line for all: fall_asleep */
    if (atomic_load(&b->asleep) && atomic_exchange(&b->asleep, false)) wake_up(b);
}

/* ---- pool work ---- */

/* Outlives its io_work_t when that is cancelled: libuv has it until the loop takes it back. */
typedef struct uv_pool_work {
    uv_work_t request;
    io_work_t *work; /* NULL = cancelled */
    uv_backend_t *backend;
    bool ended; /* guarded by the backend's sync_lock */
} uv_pool_work_t;

static void on_work(uv_work_t *request)
{
    uv_pool_work_t *w = CONTAINER_OF(request, uv_pool_work_t, request);
    uv_backend_t *b = w->backend;
    w->work->work(w->work);
    pthread_mutex_lock(&b->sync_lock);
    w->ended = true;
    pthread_cond_broadcast(&b->sync_ended);
    pthread_mutex_unlock(&b->sync_lock);
}

static void on_work_done(uv_work_t *request, int status)
{
    uv_pool_work_t *w = CONTAINER_OF(request, uv_pool_work_t, request);
    uv_backend_t *b = w->backend;
    io_work_t *work = w->work;
    mem_free(w);
    uv__turn(b);
    io_turn_note(&b->base, "the end of work off the loop");
    if (!work) return;
    work->backend = NULL;
    if (!b->closing) work->done(work);
}

static void work_start(io_loop_t *loop, io_work_t *work)
{
    uv_pool_work_t *w = mem_zalloc(sizeof(*w));
    w->work = work;
    w->backend = uv__backend(loop);
    work->backend = w;
    int rc = uv_queue_work(&w->backend->uv, &w->request, on_work, on_work_done);
    ASSERT(!rc);
}

static void work_cancel(io_work_t *work)
{
    uv_pool_work_t *w = work->backend;
    uv_backend_t *b = w->backend;
    bool begun = uv_cancel((uv_req_t *)&w->request) != 0;
    pthread_mutex_lock(&b->sync_lock);
    while (begun && !w->ended) pthread_cond_wait(&b->sync_ended, &b->sync_lock);
    pthread_mutex_unlock(&b->sync_lock);
    w->work = NULL;
    work->backend = NULL;
}

/* ---- signals ---- */

static void on_signal(uv_signal_t *signal, int number)
{
    uv_backend_t *b = signal->data;
    uv__turn(b);
    b->terminate(b->terminate_user, number == SIGINT);
}

static int on_terminate(io_loop_t *loop, void (*stop)(void *user, bool interrupt), void *user)
{
    static const int numbers[2] = {SIGTERM, SIGINT};
    uv_backend_t *b = uv__backend(loop);
    b->terminate = stop;
    b->terminate_user = user;
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        int rc = uv_signal_start(&b->signals[i], on_signal, numbers[i]);
        if (rc) return err_from_errno(-rc);
    }
    return 0;
}

static void on_hangup_signal(uv_signal_t *signal, int number)
{
    uv_backend_t *b = signal->data;
    uv__turn(b);
    b->hangup(b->hangup_user);
}

static int on_hangup(io_loop_t *loop, void (*told)(void *user), void *user)
{
    uv_backend_t *b = uv__backend(loop);
    b->hangup = told;
    b->hangup_user = user;
    int rc = uv_signal_start(&b->signals[2], on_hangup_signal, SIGHUP);
    return rc ? err_from_errno(-rc) : 0;
}

/* ---- life ---- */

static void init_handles(uv_backend_t *b)
{
    uv_prepare_init(&b->uv, &b->prepare);
    uv_check_init(&b->uv, &b->check);
    uv_idle_init(&b->uv, &b->idle);
    uv_timer_init(&b->uv, &b->timer);
    b->prepare.data = b->check.data = b->timer.data = b->waker.data = b;
    uv_poll_start(&b->waker, UV_READABLE, on_wake);
    uv_prepare_start(&b->prepare, on_prepare);
    uv_check_start(&b->check, on_check);
    for (size_t i = 0; i < ARRAY_LEN(b->signals); i++) {
        uv_signal_init(&b->uv, &b->signals[i]);
        b->signals[i].data = b;
    }
}

/* A login's soft limit of 1,024 open files is there for programs that call select(); each connection and segment is one. */
static void raise_open_files(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit); /* refused, the listeners rest when files run out */
}

/* 0 or libuv's error. */
static int open_waker(uv_backend_t *b)
{
    b->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (b->wake_fd < 0) return -errno;
    int rc = uv_poll_init(&b->uv, &b->waker, b->wake_fd);
    if (rc) close(b->wake_fd);
    return rc;
}

int io_loop_new_uv(io_loop_t **ret_loop)
{
    uv_backend_t *b = mem_zalloc(sizeof(*b));
    io__loop_init(&b->base, &uv__ops);
    b->own_last = &b->own_first;
    b->spare_fd = -1;
    list_init(&b->streams);
    list_init(&b->listeners);
    list_init(&b->files);
    int rc = uv_loop_init(&b->uv);
    if (rc) goto out;
    rc = open_waker(b);
    if (rc) {
        uv_loop_close(&b->uv);
        goto out;
    }
    pthread_mutex_init(&b->sync_lock, NULL);
    pthread_cond_init(&b->sync_ended, NULL);
    init_handles(b);
    signal(SIGPIPE, SIG_IGN); /* sendfile has no MSG_NOSIGNAL */
    signal(SIGXFSZ, SIG_IGN); /* a write past the limit of a file's size fails like one on a full disk */
    raise_open_files();
    update_time(&b->base);
    *ret_loop = &b->base;
    return 0;
out:
    mem_free(b);
    return err_from_errno(-rc);
}

static void loop_free(io_loop_t *loop)
{
    uv_backend_t *b = uv__backend(loop);
    b->closing = true;
    uv__net_close_all(b);
    uv__streams_close_all(b);
    uv__files_close_all(b);
    for (int i = 0; i < b->lock_fds_count; i++) close(b->lock_fds[i]);
    if (b->spare_fd >= 0) close(b->spare_fd);
    uv_handle_t *handles[] = {(uv_handle_t *)&b->prepare,    (uv_handle_t *)&b->check,
                              (uv_handle_t *)&b->idle,       (uv_handle_t *)&b->timer,
                              (uv_handle_t *)&b->waker,      (uv_handle_t *)&b->signals[0],
                              (uv_handle_t *)&b->signals[1], (uv_handle_t *)&b->signals[2]};
    for (size_t i = 0; i < ARRAY_LEN(handles); i++) uv_close(handles[i], NULL);
    /* The close callbacks, and what the pool still works at. A stop that was asked for after the last turn ends the first. */
    while (uv_run(&b->uv, UV_RUN_DEFAULT)) {
    }
    int rc = uv_loop_close(&b->uv);
    ASSERT(!rc);
    close(b->wake_fd);
    pthread_mutex_destroy(&b->sync_lock);
    pthread_cond_destroy(&b->sync_ended);
    io__loop_deinit(loop);
    mem_free(b);
}

static void loop_run(io_loop_t *loop)
{
    uv_backend_t *b = uv__backend(loop);
    atomic_store_explicit(&b->thread, (uintptr_t)pthread_self(), memory_order_relaxed);
    update_time(loop);
    io__turns_begin(loop);
    b->time_stale = true;
    uv_run(&b->uv, UV_RUN_DEFAULT);
}

static void loop_stop(io_loop_t *loop) { uv_stop(&uv__backend(loop)->uv); }

/* ---- on a thread of its own ---- */

static void *run_thread(void *user)
{
    mem_thread_begin();
    loop_run(user);
    return NULL;
}

static void on_stop(io_message_t *message) { uv_stop(&CONTAINER_OF(message, uv_backend_t, stop)->uv); }

/* Signals are the first thread's business. */
static int loop_spawn(io_loop_t *loop, const char *name)
{
    uv_backend_t *b = uv__backend(loop);
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(&b->runner, NULL, run_thread, loop);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc) return err_from_errno(rc);
    pthread_setname_np(b->runner, name);
    b->spawned = true;
    return 0;
}

static void loop_join(io_loop_t *loop)
{
    uv_backend_t *b = uv__backend(loop);
    if (!b->spawned) return;
    b->stop.run = on_stop;
    io_post(loop, &b->stop);
    pthread_join(b->runner, NULL);
    b->spawned = false;
}

/* Other threads have ended: what they posted is older than what this one posts now. */
static void loop_drain(io_loop_t *loop)
{
    uv_backend_t *b = uv__backend(loop);
    while (b->own_first || atomic_load_explicit(&b->inbox, memory_order_relaxed)) {
        take_inbox(b);
        take_own(b);
    }
}

const io_ops_t uv__ops = {
    .loop_free = loop_free,
    .loop_run = loop_run,
    .loop_stop = loop_stop,
    .loop_wake = wake,
    .loop_spawn = loop_spawn,
    .loop_join = loop_join,
    .loop_drain = loop_drain,
    .update_time = update_time,
    .hrtime_ns = hrtime_ns,
    .wall_us = wall_us,
    .coarse_ns = coarse_ns,
    .thread_cpu_ns = thread_cpu_ns,
    .random = random_bytes,
    .listen = uv__listen,
    .listen_path = uv__listen_path,
    .listener_tune = uv__listener_tune,
    .listener_port = uv__listener_port,
    .listener_close = uv__listener_close,
    .connect = uv__connect,
    .stream_watch = uv__stream_watch,
    .stream_read = uv__stream_read,
    .stream_writev = uv__stream_writev,
    .stream_sendfile = uv__stream_sendfile,
    .stream_close = uv__stream_close,
    .stream_detach = uv__stream_detach,
    .stream_attach = uv__stream_attach,
    .stream_keepalive = uv__stream_keepalive,
    .stream_peer = uv__stream_peer,
    .stream_local = uv__stream_local,
    .on_terminate = on_terminate,
    .on_hangup = on_hangup,
    .file_open = uv__file_open,
    .file_close = uv__file_close,
    .file_write = uv__file_write,
    .file_read = uv__file_read,
    .file_size = uv__file_size,
    .file_truncate = uv__file_truncate,
    .file_sync = uv__file_sync,
    .file_sync_now = uv__file_sync_now,
    .file_drop_cache = uv__file_drop_cache,
    .rename = uv__rename,
    .remove = uv__remove,
    .mkdir = uv__mkdir,
    .remove_later = uv__remove_later,
    .sync_dir = uv__sync_dir,
    .sync_fs = uv__sync_fs,
    .write_whole = uv__write_whole,
    .stat = uv__stat,
    .list_dir = uv__list_dir,
    .lock_file = uv__lock_file,
    .disk_space = uv__disk_space,
    .boot_id = uv__boot_id,
    .post = post,
    .work_start = work_start,
    .work_cancel = work_cancel,
};

size_t io_resident_bytes(void)
{
    size_t bytes = 0;
    return uv_resident_set_memory(&bytes) == 0 ? bytes : 0;
}

/* io_test.c: what io.h promises, from the same bodies on each backend; then what only libuv can show. */
#include "io/io.h"
#include "io/sim.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- the backends ---- */

typedef struct env {
    io_loop_t *loop;
    sim_t *sim; /* NULL on uv */
    sim_node_t *node;
    char dir[64];
    int step; /* what the test counts */
} env_t;

/* A further loop beside env->loop, on the same machine. */
static io_loop_t *second_loop(env_t *env)
{
    io_loop_t *loop = NULL;
    if (env->sim) return sim_node_loop_new(env->node);
    assert_int_equal(io_loop_new_uv(&loop), 0);
    return loop;
}

static int uv_setup(void **state)
{
    env_t *env = calloc(1, sizeof(*env));
    snprintf(env->dir, sizeof(env->dir), "/tmp/trivet-io-test-XXXXXX");
    assert_non_null(mkdtemp(env->dir));
    assert_int_equal(io_loop_new_uv(&env->loop), 0);
    *state = env;
    return 0;
}

static int uv_teardown(void **state)
{
    env_t *env = *state;
    assert_int_equal(io_remove_tree(env->loop, env->dir), 0);
    io_loop_free(env->loop);
    free(env);
    return 0;
}

static int sim_setup(void **state)
{
    env_t *env = calloc(1, sizeof(*env));
    strcpy(env->dir, "/data");
    env->sim = sim_new(1);
    env->node = sim_node_new(env->sim, "10.0.0.1");
    env->loop = sim_node_loop(env->node);
    *state = env;
    return 0;
}

static int sim_teardown(void **state)
{
    env_t *env = *state;
    sim_free(env->sim);
    free(env);
    return 0;
}

static const char *path_in(env_t *env, const char *name)
{
    static char path[4][128];
    static int next;
    char *out = path[next++ % 4];
    snprintf(out, sizeof(path[0]), "%s/%s", env->dir, name);
    return out;
}

/* ---- timers ---- */

typedef struct test_timer {
    io_timer_t timer;
    env_t *env;
    int expected_step;
    bool last;
} test_timer_t;

static void timer_expects_its_step(io_timer_t *timer)
{
    test_timer_t *t = CONTAINER_OF(timer, test_timer_t, timer);
    assert_int_equal(t->env->step++, t->expected_step);
    if (t->last) io_loop_stop(t->env->loop);
}

static void timers_fire_by_time_then_by_order_of_arming(void **state)
{
    env_t *env = *state;
    static const uint64_t delays_ms[] = {9, 3, 0, 3, 0, 30, 6};
    static const int steps[] = {5, 2, 0, 3, 1, 6, 4};
    test_timer_t timers[ARRAY_LEN(delays_ms)], stopped = {.env = env, .expected_step = -1};
    io_timer_init(env->loop, &stopped.timer, timer_expects_its_step);
    io_timer_start(&stopped.timer, 5, 0);
    for (size_t i = 0; i < ARRAY_LEN(timers); i++) {
        timers[i] = (test_timer_t){.env = env, .expected_step = steps[i], .last = steps[i] == 6};
        io_timer_init(env->loop, &timers[i].timer, timer_expects_its_step);
        io_timer_start(&timers[i].timer, delays_ms[i], 0);
    }
    io_timer_stop(&stopped.timer);
    io_timer_stop(&stopped.timer);
    uint64_t began_ns = io_now_ns(env->loop);
    io_loop_run(env->loop);
    assert_int_equal(env->step, 7);
    assert_true(io_now_ns(env->loop) - began_ns >= 30 * 1000000ull);
}

static void count_three(io_timer_t *timer)
{
    test_timer_t *t = CONTAINER_OF(timer, test_timer_t, timer);
    if (++t->env->step < 3) return;
    io_timer_stop(timer);
    io_loop_stop(t->env->loop);
}

static void a_repeating_timer_repeats_until_it_is_stopped(void **state)
{
    test_timer_t t = {.env = *state};
    io_timer_init(t.env->loop, &t.timer, count_three);
    io_timer_start(&t.timer, 1, 2);
    io_loop_run(t.env->loop);
    assert_int_equal(t.env->step, 3);
    assert_int_equal(t.timer.due_ns, 0);
}

static void many_timers_keep_their_order_through_rearming(void **state)
{
    env_t *env = *state;
    enum { COUNT = 500 };
    test_timer_t *timers = calloc(COUNT, sizeof(*timers));
    for (int i = 0; i < COUNT; i++) {
        timers[i] = (test_timer_t){.env = env, .expected_step = i, .last = i == COUNT - 1};
        io_timer_init(env->loop, &timers[i].timer, timer_expects_its_step);
        io_timer_start(&timers[i].timer, (uint64_t)(i * 7919 % COUNT), 0);
    }
    for (int i = 0; i < COUNT; i++) io_timer_start(&timers[(i * 263) % COUNT].timer, 1000, 0);
    for (int i = 0; i < COUNT; i++) io_timer_start(&timers[i].timer, (uint64_t)(i / 10), 0);
    io_loop_run(env->loop);
    assert_int_equal(env->step, COUNT);
    free(timers);
}

/* ---- hooks and messages ---- */

typedef struct test_hook {
    io_hook_t hook;
    env_t *env;
    struct test_hook *victim;
    int runs;
} test_hook_t;

static void hook_by_rank(io_hook_t *hook)
{
    test_hook_t *h = CONTAINER_OF(hook, test_hook_t, hook);
    h->runs++;
    if (h->victim) io_hook_remove(&h->victim->hook);
    if (h->runs > 1) return;
    assert_int_equal(h->env->step, hook->rank);
    h->env->step++;
}

static void stop_at_third_run(io_hook_t *hook)
{
    test_hook_t *h = CONTAINER_OF(hook, test_hook_t, hook);
    io_loop_wake(h->env->loop); /* without it the loop would wait for ever */
    if (++h->runs == 3) io_loop_stop(h->env->loop);
}

static void hooks_run_by_rank_and_may_remove_one_another_and_wake_the_loop(void **state)
{
    env_t *env = *state;
    test_hook_t last = {{.rank = 3, .run = stop_at_third_run}, env};
    test_hook_t victim = {{.rank = 2, .run = hook_by_rank}, env};
    test_hook_t first = {{.rank = 0, .run = hook_by_rank}, env};
    test_hook_t second = {{.rank = 1, .run = hook_by_rank}, env, &victim};
    io_hook_add(env->loop, &last.hook);
    io_hook_add(env->loop, &victim.hook);
    io_hook_add(env->loop, &first.hook);
    io_hook_add(env->loop, &second.hook);
    io_loop_run(env->loop);
    assert_int_equal(env->step, 2);
    assert_int_equal(victim.runs, 0);
    assert_int_equal(first.runs, 3);
    io_hook_remove(&first.hook);
    io_hook_remove(&second.hook);
    io_hook_remove(&last.hook);
    io_hook_remove(&last.hook);
}

typedef struct test_message {
    io_message_t message;
    env_t *env;
    int expected_step;
    struct test_message *then;
    bool last;
} test_message_t;

static void message_expects_its_step(io_message_t *message)
{
    test_message_t *m = CONTAINER_OF(message, test_message_t, message);
    assert_int_equal(m->env->step++, m->expected_step);
    if (m->then) io_post(m->env->loop, &m->then->message);
    if (m->last) io_loop_stop(m->env->loop);
}

static void messages_arrive_in_order_and_may_post_more(void **state)
{
    env_t *env = *state;
    test_message_t third = {{.run = message_expects_its_step}, env, 3, NULL, true};
    test_message_t second = {{.run = message_expects_its_step}, env, 2, &third};
    test_message_t a = {{.run = message_expects_its_step}, env, 0, &second};
    test_message_t b = {{.run = message_expects_its_step}, env, 1};
    io_post(env->loop, &a.message);
    io_post(env->loop, &b.message);
    assert_int_equal(env->step, 0);
    io_loop_run(env->loop);
    assert_int_equal(env->step, 4);
}

/* ---- work ---- */

typedef struct test_work {
    io_work_t work;
    env_t *env;
    bool worked;
} test_work_t;

static void do_work(io_work_t *work) { CONTAINER_OF(work, test_work_t, work)->worked = true; }
static void work_is_done(io_work_t *work) { io_loop_stop(CONTAINER_OF(work, test_work_t, work)->env->loop); }

static void work_runs_and_then_its_done(void **state)
{
    test_work_t w = {{.work = do_work, .done = work_is_done}, *state};
    io_work_start(w.env->loop, &w.work);
    io_loop_run(w.env->loop);
    assert_true(w.worked);
    io_work_cancel(&w.work); /* too late: harmless */
}

static void end_later(io_timer_t *timer) { io_loop_stop(timer->loop); }
static void never_done(io_work_t *work) { fail(); }

static void cancelled_work_is_over_and_never_done(void **state)
{
    env_t *env = *state;
    io_timer_t timer;
    for (int i = 0; i < 20; i++) {
        test_work_t *w = mem_zalloc(sizeof(*w));
        w->work = (io_work_t){.work = do_work, .done = never_done};
        io_work_start(env->loop, &w->work);
        io_work_cancel(&w->work);
        mem_free(w);
    }
    io_timer_init(env->loop, &timer, end_later);
    io_timer_start(&timer, 30, 0);
    io_loop_run(env->loop);
}

/* ---- streams ---- */

enum { FLOOD_BYTES = 3 << 20, CHUNK_BYTES = 64 << 10 };

typedef struct test_peer {
    io_stream_t *stream;
    env_t *env;
    size_t sent, received;
    uint32_t generator, checker; /* both sides walk the same sequence */
    uint8_t unsent[CHUNK_BYTES];
    size_t unsent_at, unsent_len;
    bool saw_end;
} test_peer_t;

typedef struct flood {
    test_peer_t client, server;
    io_listener_t *listener;
} flood_t;

static uint8_t next_byte(uint32_t *sequence)
{
    return (uint8_t)((*sequence = *sequence * 1664525u + 1013904223u) >> 24);
}

static void fill(test_peer_t *p)
{
    p->unsent_at = 0;
    p->unsent_len = MIN((size_t)CHUNK_BYTES, FLOOD_BYTES - p->sent);
    for (size_t i = 0; i < p->unsent_len; i++) p->unsent[i] = next_byte(&p->generator);
    p->sent += p->unsent_len;
}

static void client_ready(void *user, unsigned events)
{
    test_peer_t *p = user;
    assert_int_equal(events, IO_WRITABLE);
    for (;;) {
        if (p->unsent_at == p->unsent_len) fill(p);
        if (p->unsent_len == 0) {
            io_stream_close(p->stream);
            p->stream = NULL;
            return;
        }
        size_t left = p->unsent_len - p->unsent_at, half = left / 2;
        struct iovec iov[2] = {{p->unsent + p->unsent_at, half}, {p->unsent + p->unsent_at + half, left - half}};
        ssize_t n = io_stream_writev(p->stream, iov, 2);
        if (n == ERR_AGAIN) return;
        assert_true(n > 0);
        p->unsent_at += (size_t)n;
    }
}

static void server_ready(void *user, unsigned events)
{
    test_peer_t *p = user;
    uint8_t in[5000];
    assert_int_equal(events, IO_READABLE);
    ssize_t n = io_stream_read(p->stream, in, sizeof(in));
    if (n == ERR_AGAIN) return;
    assert_true(n >= 0);
    for (ssize_t i = 0; i < n; i++) assert_int_equal(in[i], next_byte(&p->checker));
    p->received += (size_t)n;
    if (n > 0) return;
    p->saw_end = true;
    io_stream_close(p->stream);
    io_loop_stop(p->env->loop);
}

static void flood_accept(void *user, io_stream_t *stream)
{
    flood_t *flood = user;
    char peer[IO_ADDR_CHARS_MAX], local[IO_ADDR_CHARS_MAX];
    flood->server.stream = stream;
    io_stream_watch(stream, IO_READABLE, server_ready, &flood->server);
    io_stream_peer(stream, peer);
    io_stream_local(flood->client.stream, local);
    assert_string_equal(peer, local);
}

static void never_accept(void *user, io_stream_t *stream) { fail(); }

static void carry_flood(flood_t *flood)
{
    io_stream_watch(flood->client.stream, IO_WRITABLE, client_ready, &flood->client);
    io_loop_run(flood->client.env->loop);
    assert_int_equal(flood->server.received, FLOOD_BYTES);
    assert_true(flood->server.saw_end);
    io_listener_close(flood->listener);
}

static void a_stream_carries_every_byte_in_order_then_its_end(void **state)
{
    env_t *env = *state;
    flood_t *flood = calloc(1, sizeof(*flood));
    flood->client.env = flood->server.env = env;
    assert_int_equal(io_listen(env->loop, "127.0.0.1", 0, 16, flood_accept, flood, &flood->listener), 0);
    uint16_t port = io_listener_port(flood->listener);
    assert_int_equal(io_connect(env->loop, "localhost", port, &flood->client.stream), 0);
    carry_flood(flood);
    free(flood);
}

/* The loop closes the first listener, whose name the second one took. */
static void a_path_carries_a_stream_as_an_address_does(void **state)
{
    env_t *env = *state;
    const char *path = path_in(env, "socket");
    flood_t *flood = calloc(1, sizeof(*flood));
    io_listener_t *before;
    flood->client.env = flood->server.env = env;
    assert_int_equal(io_listen_path(env->loop, path, 0700, NULL, 16, never_accept, NULL, &before), 0);
    assert_int_equal(io_listen_path(env->loop, path, 0700, NULL, 16, flood_accept, flood, &flood->listener), 0);
    assert_int_equal(io_listener_tune(flood->listener, 8, 1), 0);
    assert_int_equal(io_listener_port(flood->listener), 0);
    assert_int_equal(io_connect(env->loop, path, 0, &flood->client.stream), 0);
    carry_flood(flood);
    free(flood);
}

static void a_path_that_does_not_fit_is_refused(void **state)
{
    env_t *env = *state;
    io_listener_t *listener;
    char path[IO_PATH_CHARS_MAX + 2];
    memset(path, 'x', sizeof(path));
    path[0] = '/';
    path[sizeof(path) - 1] = '\0';
    assert_int_equal(io_listen_path(env->loop, path, 0, NULL, 1, never_accept, NULL, &listener), ERR_LIMIT);
    assert_int_equal(io_listen_path(env->loop, path_in(env, "s"), 0, "no such group", 1, never_accept, NULL, &listener),
                     ERR_NOT_FOUND);
}

/* The accepted end moves to a loop on another thread, which tells the first loop when it has seen the end. */
typedef struct move {
    flood_t flood;
    io_loop_t *home, *away;
    io_socket_t *socket;
    io_message_t go, told;
} move_t;

static void moved_ready(void *user, unsigned events)
{
    move_t *move = user;
    test_peer_t *p = &move->flood.server;
    uint8_t in[5000];
    ssize_t n = io_stream_read(p->stream, in, sizeof(in));
    if (n == ERR_AGAIN) return;
    assert_true(n >= 0);
    for (ssize_t i = 0; i < n; i++) assert_int_equal(in[i], next_byte(&p->checker));
    p->received += (size_t)n;
    if (n > 0) return;
    io_stream_close(p->stream);
    io_post(move->home, &move->told);
}

static void move_arrives(io_message_t *message)
{
    move_t *move = CONTAINER_OF(message, move_t, go);
    assert_int_equal(io_stream_attach(move->away, move->socket, &move->flood.server.stream), 0);
    io_stream_watch(move->flood.server.stream, IO_READABLE, moved_ready, move);
}

static void move_is_over(io_message_t *message) { io_loop_stop(CONTAINER_OF(message, move_t, told)->home); }

static void move_accept(void *user, io_stream_t *stream)
{
    move_t *move = user;
    move->socket = io_stream_detach(stream);
    io_post(move->away, &move->go);
}

static void a_stream_moves_to_another_loop_and_loses_nothing(void **state)
{
    env_t *env = *state;
    move_t *move = calloc(1, sizeof(*move));
    move->home = env->loop;
    move->away = second_loop(env);
    move->go.run = move_arrives;
    move->told.run = move_is_over;
    assert_int_equal(io_loop_spawn(move->away, "away"), 0);
    assert_int_equal(io_listen(env->loop, "127.0.0.1", 0, 16, move_accept, move, &move->flood.listener), 0);
    uint16_t port = io_listener_port(move->flood.listener);
    assert_int_equal(io_connect(env->loop, "localhost", port, &move->flood.client.stream), 0);
    io_stream_watch(move->flood.client.stream, IO_WRITABLE, client_ready, &move->flood.client);
    io_loop_run(env->loop);
    assert_int_equal(move->flood.server.received, FLOOD_BYTES);
    io_loop_join(move->away);
    io_loop_free(move->away);
    io_listener_close(move->flood.listener);
    free(move);
}

static void expect_drained(io_message_t *message)
{
    test_message_t *m = CONTAINER_OF(message, test_message_t, message);
    assert_int_equal(m->env->step++, m->expected_step);
}

static void what_a_stopped_loop_was_posted_is_drained_in_order(void **state)
{
    env_t *env = *state;
    io_loop_t *other = second_loop(env);
    test_message_t messages[3];
    assert_int_equal(io_loop_spawn(other, "other"), 0);
    io_loop_join(other);
    if (env->sim) sim_node_crash(env->node);
    for (int i = 0; i < 3; i++) {
        messages[i] = (test_message_t){{.run = expect_drained}, env, i, NULL};
        io_post(other, &messages[i].message);
    }
    io_loop_drain(other);
    assert_int_equal(env->step, 3);
    io_loop_free(other);
}

static void expect_refusal(void *user, unsigned events)
{
    test_peer_t *p = user;
    assert_int_equal(io_stream_writev(p->stream, NULL, 0), ERR_CONNREFUSED);
    io_stream_close(p->stream);
    io_loop_stop(p->env->loop);
}

static void connecting_to_a_closed_port_is_refused(void **state)
{
    test_peer_t peer = {.env = *state};
    io_loop_t *loop = peer.env->loop;
    io_listener_t *listener;
    assert_int_equal(io_listen(loop, "127.0.0.1", 0, 1, never_accept, NULL, &listener), 0);
    uint16_t port = io_listener_port(listener);
    assert_int_equal(io_listen(loop, "127.0.0.1", port, 1, never_accept, NULL, &listener), ERR_ADDRINUSE);
    io_listener_close(listener);
    assert_int_equal(io_connect(loop, "example.invalid", port, &peer.stream), ERR_NOT_FOUND);
    int err = io_connect(loop, "127.0.0.1", port, &peer.stream);
    if (err == ERR_CONNREFUSED) return; /* loopback may tell at once */
    assert_int_equal(err, 0);
    io_stream_watch(peer.stream, IO_WRITABLE, expect_refusal, &peer);
    io_loop_run(loop);
}

static void sendfile_accept(void *user, io_stream_t *stream)
{
    env_t *env = user;
    io_file_t *file;
    struct iovec iov = {"0123456789", 10};
    assert_int_equal(io_file_open(env->loop, path_in(env, "sent"), IO_FILE_WRITE | IO_FILE_CREATE, &file), 0);
    assert_int_equal(io_file_write(file, 0, &iov, 1), 0);
    assert_int_equal(io_stream_sendfile(stream, file, 3, 5), 5);
    assert_int_equal(io_stream_sendfile(stream, file, 10, 5), 0);
    io_file_close(file);
    io_stream_close(stream);
}

static void expect_sent_file(void *user, unsigned events)
{
    test_peer_t *p = user;
    char in[16];
    if (p->received == 0) {
        assert_int_equal(io_stream_read(p->stream, in, sizeof(in)), 5);
        assert_memory_equal(in, "34567", 5);
        p->received = 5;
        return;
    }
    ssize_t n = io_stream_read(p->stream, in, sizeof(in));
    if (n == ERR_AGAIN) return;
    assert_int_equal(n, 0);
    io_stream_close(p->stream);
    io_loop_stop(p->env->loop);
}

static void sendfile_sends_the_asked_range(void **state)
{
    test_peer_t peer = {.env = *state};
    io_listener_t *listener;
    assert_int_equal(io_listen(peer.env->loop, "", 0, 1, sendfile_accept, peer.env, &listener), 0);
    assert_int_equal(io_connect(peer.env->loop, "127.0.0.1", io_listener_port(listener), &peer.stream), 0);
    io_stream_watch(peer.stream, IO_READABLE, expect_sent_file, &peer);
    io_loop_run(peer.env->loop);
    io_listener_close(listener);
}

/* ---- files ---- */

static void files_read_back_what_was_written(void **state)
{
    env_t *env = *state;
    io_file_t *file;
    char in[32];
    uint64_t size;
    const char *path = path_in(env, "a");
    assert_int_equal(io_file_open(env->loop, path, IO_FILE_READ, &file), ERR_NOT_FOUND);
    assert_int_equal(io_file_open(env->loop, path, IO_FILE_WRITE | IO_FILE_CREATE | IO_FILE_EXCLUSIVE, &file), 0);
    struct iovec iov[3] = {{"hello", 5}, {"", 0}, {" world", 6}};
    assert_int_equal(io_file_write(file, 2, iov, 3), 0);
    assert_int_equal(io_file_size(file, &size), 0);
    assert_int_equal(size, 13);
    assert_int_equal(io_file_read(file, 0, in, sizeof(in)), 13);
    assert_memory_equal(in, "\0\0hello world", 13);
    assert_int_equal(io_file_read(file, 13, in, sizeof(in)), 0);
    assert_int_equal(io_file_read(file, 100, in, sizeof(in)), 0);
    assert_int_equal(io_file_truncate(file, 4), 0);
    assert_int_equal(io_file_truncate(file, 6), 0);
    assert_int_equal(io_file_read(file, 1, in, sizeof(in)), 5);
    assert_memory_equal(in, "\0he\0\0", 5);
    assert_int_equal(io_file_sync_now(file), 0);
    io_file_close(file);
    assert_int_equal(io_file_open(env->loop, path, IO_FILE_WRITE | IO_FILE_CREATE | IO_FILE_EXCLUSIVE, &file),
                     ERR_EXISTS);
    assert_int_equal(io_file_open(env->loop, path, IO_FILE_WRITE | IO_FILE_TRUNCATE, &file), 0);
    assert_int_equal(io_file_size(file, &size), 0);
    assert_int_equal(size, 0);
    io_file_close(file);
}

typedef struct test_sync {
    io_sync_t sync;
    env_t *env;
    bool done;
} test_sync_t;

static void sync_is_done(io_sync_t *sync, int err)
{
    test_sync_t *s = CONTAINER_OF(sync, test_sync_t, sync);
    assert_int_equal(err, 0);
    s->done = true;
    io_loop_stop(s->env->loop);
}

static void sync_never_done(io_sync_t *sync, int err) { fail(); }

static void syncs_call_back_later_and_never_after_close(void **state)
{
    env_t *env = *state;
    io_file_t *kept, *closed;
    struct iovec iov = {"x", 1};
    assert_int_equal(io_file_open(env->loop, path_in(env, "kept"), IO_FILE_WRITE | IO_FILE_CREATE, &kept), 0);
    assert_int_equal(io_file_open(env->loop, path_in(env, "closed"), IO_FILE_WRITE | IO_FILE_CREATE, &closed), 0);
    assert_int_equal(io_file_write(kept, 0, &iov, 1), 0);
    assert_int_equal(io_file_write(closed, 0, &iov, 1), 0);
    test_sync_t kept_sync = {.env = env}, closed_sync = {.env = env};
    io_file_sync(closed, &closed_sync.sync, sync_never_done);
    io_file_sync(kept, &kept_sync.sync, sync_is_done);
    assert_false(kept_sync.done);
    io_file_close(closed);
    io_loop_run(env->loop);
    assert_true(kept_sync.done);
    io_file_close(kept);
}

static void collect_names(void *user, const char *name, bool is_dir)
{
    char *names = user;
    strcat(strcat(strcat(names, name), is_dir ? "/" : ""), " ");
}

static void touch(env_t *env, const char *name)
{
    io_file_t *file;
    assert_int_equal(io_file_open(env->loop, path_in(env, name), IO_FILE_WRITE | IO_FILE_CREATE, &file), 0);
    io_file_close(file);
}

static void directories_list_rename_and_remove(void **state)
{
    env_t *env = *state;
    io_loop_t *loop = env->loop;
    char names[256] = "";
    assert_int_equal(io_mkdir(loop, path_in(env, "d/e/f")), 0);
    assert_int_equal(io_mkdir(loop, path_in(env, "d/e/f")), 0);
    touch(env, "d/b");
    touch(env, "d/a");
    touch(env, "d/B");
    touch(env, "d/e/f/deep");
    assert_int_equal(io_mkdir(loop, path_in(env, "d/a")), ERR_NOT_DIR);
    assert_int_equal(io_mkdir_unsynced(loop, path_in(env, "d/u")), 0);
    assert_int_equal(io_mkdir_unsynced(loop, path_in(env, "d/u")), ERR_EXISTS);
    assert_int_equal(io_mkdir_unsynced(loop, path_in(env, "d/none/u")), ERR_NOT_FOUND);
    assert_int_equal(io_remove(loop, path_in(env, "d/u")), 0);
    assert_int_equal(io_rename(loop, path_in(env, "d/a"), path_in(env, "d/b")), 0);
    assert_int_equal(io_rename(loop, path_in(env, "d/a"), path_in(env, "d/c")), ERR_NOT_FOUND);
    assert_int_equal(io_list_dir(loop, path_in(env, "d"), collect_names, names), 0);
    assert_string_equal(names, "B b e/ ");
    assert_int_equal(io_sync_dir(loop, path_in(env, "d")), 0);
    assert_int_equal(io_sync_tree(loop, path_in(env, "d")), 0);
    assert_int_equal(io_remove(loop, path_in(env, "d/e")), ERR_NOT_EMPTY);
    assert_int_equal(io_rename(loop, path_in(env, "d/e"), path_in(env, "d/g")), 0);
    assert_true(io_exists(loop, path_in(env, "d/g/f/deep")));
    io_remove_later(loop, path_in(env, "d"));
    while (io_exists(loop, path_in(env, "d"))) usleep(1000); /* a pool thread does it */
    assert_int_equal(io_list_dir(loop, path_in(env, "d"), collect_names, names), ERR_NOT_FOUND);
    assert_int_equal(io_remove(loop, path_in(env, "d")), ERR_NOT_FOUND);
}

static void whole_files_are_replaced_and_read(void **state)
{
    env_t *env = *state;
    uint8_t *data;
    size_t bytes;
    const char *path = path_in(env, "whole");
    assert_int_equal(io_read_whole(env->loop, path, 100, &data, &bytes), ERR_NOT_FOUND);
    assert_int_equal(io_replace_whole(env->loop, path, bytes_str("one")), 0);
    assert_int_equal(io_replace_whole(env->loop, path, bytes_str("three")), 0);
    assert_int_equal(io_read_whole(env->loop, path, 4, &data, &bytes), ERR_LIMIT);
    assert_int_equal(io_read_whole(env->loop, path, 5, &data, &bytes), 0);
    assert_int_equal(bytes, 5);
    assert_string_equal((char *)data, "three");
    mem_free(data);
}

typedef struct replacing {
    io_replace_t base;
    env_t *env;
    int ended, err;
} replacing_t;

static void on_replaced(io_replace_t *base, int err)
{
    replacing_t *r = CONTAINER_OF(base, replacing_t, base);
    r->ended++;
    r->err = err;
    io_loop_stop(r->env->loop);
}

static void assert_whole(env_t *env, const char *path, const char *expected)
{
    uint8_t *data;
    size_t bytes;
    assert_int_equal(io_read_whole(env->loop, path, 100, &data, &bytes), 0);
    assert_string_equal((char *)data, expected);
    mem_free(data);
}

static void files_are_replaced_off_the_loop_up_to_the_first_that_fails(void **state)
{
    env_t *env = *state;
    replacing_t r = {.env = env};
    char one[256], lost[256], two[256];
    snprintf(one, sizeof(one), "%s", path_in(env, "one"));
    snprintf(lost, sizeof(lost), "%s", path_in(env, "no-folder/file"));
    snprintf(two, sizeof(two), "%s", path_in(env, "two"));
    io_replacement_t files[] = {
        {one, bytes_str("1")}, {two, bytes_str("2")}, {lost, bytes_str("3")}, {one, bytes_str("4")}};
    io_replace_start(env->loop, &r.base, files, 2, on_replaced);
    assert_int_equal(r.ended, 0);
    io_loop_run(env->loop);
    assert_int_equal(r.err, 0);
    assert_whole(env, one, "1");
    assert_whole(env, two, "2");
    io_replace_start(env->loop, &r.base, files + 1, 3, on_replaced);
    io_loop_run(env->loop);
    assert_int_equal(r.ended, 2);
    assert_int_equal(r.err, ERR_NOT_FOUND);
    assert_whole(env, one, "1");
    io_replace_start(env->loop, &r.base, files + 3, 1, on_replaced);
    io_replace_cancel(&r.base);
    assert_int_equal(r.ended, 2);
}

static void clocks_and_randomness_work(void **state)
{
    env_t *env = *state;
    uint64_t a[4], b[4], free_bytes, total_bytes;
    io_random(env->loop, a, sizeof(a));
    io_random(env->loop, b, sizeof(b));
    assert_memory_not_equal(a, b, sizeof(a));
    assert_true(io_hrtime_ns(env->loop) >= io_now_ns(env->loop));
    assert_true(io_wall_ms(env->loop) > 1600000000000);
    assert_true(io_wall_us(env->loop) / 1000 >= io_wall_ms(env->loop));
    assert_int_equal(io_disk_space(env->loop, env->dir, &free_bytes, &total_bytes), 0);
    assert_true(free_bytes <= total_bytes && total_bytes > 0);
}

/* ---- uv only ---- */

enum { POSTS_PER_THREAD = 20000, THREADS = 2 };

typedef struct poster {
    env_t *env;
    pthread_t thread;
    test_message_t *messages;
    int arrived;
} poster_t;

static void from_thread(io_message_t *message)
{
    test_message_t *m = CONTAINER_OF(message, test_message_t, message);
    poster_t *poster = (poster_t *)m->then;
    assert_int_equal(poster->arrived++, m->expected_step);
    if (++m->env->step == POSTS_PER_THREAD * THREADS) io_loop_stop(m->env->loop);
}

static void *post_many(void *user)
{
    poster_t *p = user;
    for (int i = 0; i < POSTS_PER_THREAD; i++) {
        p->messages[i] = (test_message_t){{.run = from_thread}, p->env, i, (test_message_t *)p};
        io_post(p->env->loop, &p->messages[i].message);
    }
    return NULL;
}

static void messages_of_other_threads_arrive_in_each_ones_order(void **state)
{
    poster_t posters[THREADS] = {0};
    for (int i = 0; i < THREADS; i++) {
        posters[i].env = *state;
        posters[i].messages = calloc(POSTS_PER_THREAD, sizeof(test_message_t));
        pthread_create(&posters[i].thread, NULL, post_many, &posters[i]);
    }
    io_loop_run(posters[0].env->loop);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(posters[i].thread, NULL);
        free(posters[i].messages);
    }
}

static void accept_after_the_flood(void *user, io_stream_t *stream)
{
    env_t *env = user;
    io_stream_close(stream);
    env->step++;
    io_loop_stop(env->loop);
}

static void give_descriptors_back(io_timer_t *timer)
{
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

static void a_listener_out_of_descriptors_rests_and_goes_on(void **state)
{
    env_t *env = *state;
    io_listener_t *listener;
    io_stream_t *client;
    struct rlimit before, low;
    io_timer_t timer;
    assert_int_equal(io_listen(env->loop, "127.0.0.1", 0, 16, accept_after_the_flood, env, &listener), 0);
    assert_int_equal(io_connect(env->loop, "127.0.0.1", io_listener_port(listener), &client), 0);
    getrlimit(RLIMIT_NOFILE, &before);
    low = before;
    low.rlim_cur = 1;
    setrlimit(RLIMIT_NOFILE, &low);
    io_timer_init(env->loop, &timer, give_descriptors_back);
    io_timer_start(&timer, 20, 0);
    io_loop_run(env->loop);
    setrlimit(RLIMIT_NOFILE, &before);
    assert_int_equal(env->step, 1);
    io_stream_close(client);
    io_listener_close(listener);
}

static void count_refusals(void *user, io_stream_t *stream)
{
    env_t *env = user;
    env->step += stream ? 100 : 1;
    io_stream_close(stream);
    io_loop_stop(env->loop);
}

/* Whoever comes then is turned away at once and not left to wait; the next one finds a place. */
static void a_listener_without_a_descriptor_refuses_and_goes_on(void **state)
{
    env_t *env = *state;
    io_listener_t *listener;
    io_stream_t *first, *second;
    struct rlimit before, low;
    int held[256], count = 0;
    assert_int_equal(io_listen(env->loop, "127.0.0.1", 0, 16, count_refusals, env, &listener), 0);
    assert_int_equal(io_connect(env->loop, "127.0.0.1", io_listener_port(listener), &first), 0);
    getrlimit(RLIMIT_NOFILE, &before);
    low = before;
    low.rlim_cur = ARRAY_LEN(held);
    setrlimit(RLIMIT_NOFILE, &low);
    while (count < (int)ARRAY_LEN(held) && (held[count] = dup(0)) >= 0) count++;
    io_loop_run(env->loop);
    assert_int_equal(env->step, 1);
    while (count > 0) close(held[--count]);
    setrlimit(RLIMIT_NOFILE, &before);
    assert_int_equal(io_connect(env->loop, "127.0.0.1", io_listener_port(listener), &second), 0);
    io_loop_run(env->loop);
    assert_int_equal(env->step, 101);
    io_stream_close(first);
    io_stream_close(second);
    io_listener_close(listener);
}

static void a_file_too_many_is_refused_by_name_and_taken_when_there_is_room(void **state)
{
    env_t *env = *state;
    struct rlimit before, low;
    io_file_t *file;
    char path[256];
    snprintf(path, sizeof(path), "%s/too-many", env->dir);
    getrlimit(RLIMIT_NOFILE, &before);
    low = before;
    low.rlim_cur = 1;
    setrlimit(RLIMIT_NOFILE, &low);
    int err = io_file_open(env->loop, path, IO_FILE_WRITE | IO_FILE_CREATE, &file);
    setrlimit(RLIMIT_NOFILE, &before);
    assert_int_equal(err, ERR_FILES);
    assert_int_equal(io_file_open(env->loop, path, IO_FILE_WRITE | IO_FILE_CREATE, &file), 0);
    io_file_close(file);
}

static void files_have_a_share_of_the_descriptors_that_leaves_room_for_connections(void **state)
{
    struct rlimit now;
    getrlimit(RLIMIT_NOFILE, &now);
    assert_int_equal(io_descriptors_max(), MIN(now.rlim_max, (rlim_t)1 << 30));
    for (uint32_t max = 2; max < 1u << 30; max *= 2) {
        assert_true(io_descriptors_for_files(max) > 0);
        assert_true(io_descriptors_for_files(max) <= max / 2);
    }
    assert_int_equal(io_descriptors_for_files(64), 12);
    assert_int_equal(io_descriptors_for_files(200), 50);
    assert_int_equal(io_descriptors_for_files(20000), 5000);
    assert_int_equal(io_descriptors_for_files(1u << 30), 16384);
}

static void a_lock_is_taken_once(void **state)
{
    env_t *env = *state;
    io_loop_t *other;
    assert_int_equal(io_lock_file(env->loop, path_in(env, "lock")), 0);
    assert_int_equal(io_loop_new_uv(&other), 0);
    assert_int_equal(io_lock_file(other, path_in(env, "lock")), ERR_BUSY);
    io_loop_free(other);
}

static void ipv6_is_listened_at(void **state)
{
    env_t *env = *state;
    io_listener_t *listener;
    int err = io_listen(env->loop, "::1", 0, 16, never_accept, NULL, &listener);
    if (err == 0) io_listener_close(listener); /* a machine may have no IPv6 */
}

#define UV(test)  cmocka_unit_test_setup_teardown(test, uv_setup, uv_teardown)
#define SIM(test) cmocka_unit_test_setup_teardown(test, sim_setup, sim_teardown)

#define ON_BOTH(BACKEND)                                                                                               \
    BACKEND(timers_fire_by_time_then_by_order_of_arming), BACKEND(a_repeating_timer_repeats_until_it_is_stopped),      \
        BACKEND(many_timers_keep_their_order_through_rearming),                                                        \
        BACKEND(hooks_run_by_rank_and_may_remove_one_another_and_wake_the_loop),                                       \
        BACKEND(messages_arrive_in_order_and_may_post_more), BACKEND(work_runs_and_then_its_done),                     \
        BACKEND(cancelled_work_is_over_and_never_done), BACKEND(a_stream_carries_every_byte_in_order_then_its_end),    \
        BACKEND(a_path_carries_a_stream_as_an_address_does), BACKEND(a_path_that_does_not_fit_is_refused),             \
        BACKEND(connecting_to_a_closed_port_is_refused), BACKEND(a_stream_moves_to_another_loop_and_loses_nothing),    \
        BACKEND(what_a_stopped_loop_was_posted_is_drained_in_order), BACKEND(sendfile_sends_the_asked_range),          \
        BACKEND(files_read_back_what_was_written), BACKEND(syncs_call_back_later_and_never_after_close),               \
        BACKEND(directories_list_rename_and_remove), BACKEND(whole_files_are_replaced_and_read),                       \
        BACKEND(files_are_replaced_off_the_loop_up_to_the_first_that_fails), BACKEND(clocks_and_randomness_work)

int main(void)
{
    const struct CMUnitTest on_uv[] = {
        ON_BOTH(UV),
        UV(messages_of_other_threads_arrive_in_each_ones_order),
        UV(a_listener_out_of_descriptors_rests_and_goes_on),
        UV(a_listener_without_a_descriptor_refuses_and_goes_on),
        UV(a_file_too_many_is_refused_by_name_and_taken_when_there_is_room),
        UV(files_have_a_share_of_the_descriptors_that_leaves_room_for_connections),
        UV(a_lock_is_taken_once),
        UV(ipv6_is_listened_at),
    };
    const struct CMUnitTest on_sim[] = {ON_BOTH(SIM)};
    int failed = cmocka_run_group_tests_name("io on uv", on_uv, NULL, NULL);
    return failed + cmocka_run_group_tests_name("io on sim", on_sim, NULL, NULL);
}

/* net.c: connections: their life, their input, and the turn's end at which output leaves. See net.h.
 *
 *   connecting --> open --> closing (output lingers) --> dead (freed by the hook)
 *
 * Invariant: a service's callbacks never run inside a call the service made; what must follow such a call is noted on
 * the net's work list, which the loop's hook empties. */
#include "net/net_internal.h"

#include <stdio.h>

#define READ_ROUNDS_MAX 4
#define HOOK_RANK 90

typedef enum conn_state { CONN_CONNECTING, CONN_OPEN, CONN_CLOSING, CONN_DEAD } conn_state_t;

struct net_conn {
    net_t *net;
    const net_service_t *def;
    net_stats_t *stats;
    void *service;
    void *user;
    io_stream_t *stream;
    uint64_t id;
    list_t all_node;
    list_t work_node; /* linked while the hook has something to do for it */
    list_t linger_node;
    conn_state_t state;
    bool opened; /* on_open ran and accepted it */
    bool outgoing; /* made by net_connect: on_close tells of a failure to connect, too */
    bool paused;
    bool held;
    bool congested;
    bool blocked; /* the stream took no more; wait until writable */
    bool redeliver;
    unsigned watched;
    buf_t in;
    size_t expect_bytes;
    net_output_t out;
    uint64_t linger_until_ns;
    uint64_t opened_ms;
    uint64_t active_ms;
    char *peer;
    char *local;
};

struct net_listener {
    net_t *net;
    const net_service_t *def;
    void *service;
    io_listener_t *io;
    list_t node;
};

typedef struct service_stats {
    list_t node;
    const net_service_t *def;
    net_stats_t stats;
} service_stats_t;

struct net {
    io_loop_t *loop;
    io_hook_t hook;
    io_timer_t linger_timer;
    list_t conns;
    list_t work;
    list_t lingering;
    list_t listeners;
    list_t services;
    uint64_t next_id;
    net_chunk_cache_t chunks;
    uint8_t scratch[NET_SCRATCH_BYTES];
};

static void on_ready(void *user, unsigned events);
static void on_turn_end(io_hook_t *hook);

static uint64_t now_ms(const net_t *net) { return io_now_ns(net->loop) / 1000000; }

static net_stats_t *stats_of(net_t *net, const net_service_t *def)
{
    LIST_EACH (&net->services, s, service_stats_t, node)
        if (s->def == def) return &s->stats;
    service_stats_t *s = mem_zalloc(sizeof(*s));
    s->def = def;
    list_push_back(&net->services, &s->node);
    return &s->stats;
}

static void queue_work(net_conn_t *conn)
{
    if (!list_linked(&conn->work_node)) list_push_back(&conn->net->work, &conn->work_node);
}

/* ---- life ------------------------------------------------------------------------------------------------------- */

static void update_watch(net_conn_t *conn)
{
    unsigned events = 0;
    if (conn->state == CONN_DEAD) return;
    if (conn->state == CONN_CONNECTING) events = IO_READABLE | IO_WRITABLE;
    bool room = !conn->paused || conn->in.len < NET_PAUSED_IN_BYTES_MAX;
    if (conn->state == CONN_OPEN && !conn->congested && room) events |= IO_READABLE;
    if (conn->blocked) events |= IO_WRITABLE;
    if (events == conn->watched) return;
    conn->watched = events;
    io_stream_watch(conn->stream, events, on_ready, conn);
}

static net_conn_t *conn_new(net_t *net, const net_service_t *def, void *service, io_stream_t *stream, conn_state_t state)
{
    net_conn_t *conn = mem_zalloc(sizeof(*conn));
    conn->net = net;
    conn->def = def;
    conn->stats = stats_of(net, def);
    conn->service = service;
    conn->stream = stream;
    conn->state = state;
    conn->id = ++net->next_id;
    conn->opened_ms = conn->active_ms = now_ms(net);
    conn->stats->open++;
    list_push_back(&net->conns, &conn->all_node);
    list_init(&conn->work_node);
    list_init(&conn->linger_node);
    return conn;
}

static void conn_free(net_conn_t *conn)
{
    list_remove(&conn->all_node);
    list_remove(&conn->work_node);
    list_remove(&conn->linger_node);
    if (conn->stream) io_stream_close(conn->stream);
    net__output_clear(&conn->out, &conn->net->chunks);
    buf_deinit(&conn->in);
    conn->stats->open--;
    conn->stats->closed++;
    mem_free(conn->peer);
    mem_free(conn->local);
    mem_free(conn);
}

/* Stops all traffic now; the hook tells the service and frees it. */
static void conn_kill(net_conn_t *conn)
{
    if (conn->state == CONN_DEAD) return;
    conn->state = CONN_DEAD;
    if (conn->watched) io_stream_watch(conn->stream, 0, on_ready, conn);
    conn->watched = 0;
    queue_work(conn);
}

static void start_lingering(net_conn_t *conn)
{
    net_t *net = conn->net;
    conn->state = CONN_CLOSING;
    conn->linger_until_ns = io_now_ns(net->loop) + (uint64_t)NET_LINGER_MS * 1000000;
    list_push_back(&net->lingering, &conn->linger_node);
    if (net->linger_timer.due_ns == 0) io_timer_start(&net->linger_timer, NET_LINGER_MS, 0);
    queue_work(conn);
}

static void on_linger_timer(io_timer_t *timer)
{
    net_t *net = CONTAINER_OF(timer, net_t, linger_timer);
    uint64_t now = io_now_ns(net->loop);
    LIST_EACH (&net->lingering, conn, net_conn_t, linger_node) {
        if (conn->linger_until_ns > now) {
            io_timer_start(timer, (conn->linger_until_ns - now) / 1000000 + 1, 0);
            return;
        }
        list_remove(&conn->linger_node);
        conn_kill(conn);
    }
}

/* Tells the service of a new connection; a refused one is closed once its last words are out. */
static void conn_open(net_conn_t *conn)
{
    conn->state = CONN_OPEN;
    if (conn->def->on_open(conn, conn->service) != 0) {
        if (conn->state == CONN_OPEN) start_lingering(conn);
        conn->stats->refused++;
        return;
    }
    conn->opened = true;
    update_watch(conn);
}

static void on_accept(void *user, io_stream_t *stream)
{
    net_listener_t *listener = user;
    const net_service_t *def = listener->def;
    net_conn_t *conn = conn_new(listener->net, def, listener->service, stream, CONN_OPEN);
    conn->stats->accepted++;
    if (def->limits.conns_max && conn->stats->open > def->limits.conns_max) {
        conn->stats->refused++;
        if (def->refusal) net_write(conn, def->refusal, strlen(def->refusal));
        start_lingering(conn);
        return;
    }
    conn_open(conn);
}

/* ---- input ------------------------------------------------------------------------------------------------------ */

static bool may_deliver(const net_conn_t *conn)
{
    return conn->state == CONN_OPEN && conn->opened && !conn->paused && !conn->congested;
}

/* Hands bytes to the service; returns how many it took, having closed the connection on an error. */
static size_t deliver(net_conn_t *conn, uint8_t *data, size_t len)
{
    if (len == 0 || !may_deliver(conn)) return 0;
    ssize_t n = conn->def->on_data(conn, data, len);
    if (n < 0) {
        net_close(conn);
        return len;
    }
    ASSERT((size_t)n <= len);
    return (size_t)n;
}

static void keep(net_conn_t *conn, const uint8_t *data, size_t len)
{
    if (len == 0) return;
    if (len > conn->def->limits.in_bytes_max || buf_try_reserve(&conn->in, MAX(len, conn->expect_bytes)) != 0) {
        conn_kill(conn);
        return;
    }
    buf_append(&conn->in, data, len);
}

static void deliver_kept(net_conn_t *conn)
{
    conn->expect_bytes = 0;
    size_t taken = deliver(conn, conn->in.ptr, conn->in.len);
    if (conn->state == CONN_DEAD) return;
    if (taken == conn->in.len)
        buf_deinit(&conn->in); /* an idle connection holds no buffer */
    else if (taken)
        buf_consume(&conn->in, taken);
}

/* Reads into the net's scratch memory; only what the service left is copied. */
static ssize_t read_fresh(net_conn_t *conn, size_t *ret_asked)
{
    net_t *net = conn->net;
    *ret_asked = sizeof(net->scratch);
    ssize_t n = io_stream_read(conn->stream, net->scratch, sizeof(net->scratch));
    if (n <= 0) return n;
    size_t taken = deliver(conn, net->scratch, (size_t)n);
    if (conn->state != CONN_DEAD) keep(conn, net->scratch + taken, (size_t)n - taken);
    return n;
}

/* Reads behind the bytes that wait for the rest of their frame. */
static ssize_t read_more(net_conn_t *conn, size_t *ret_asked)
{
    size_t room = conn->expect_bytes > conn->in.len ? conn->expect_bytes - conn->in.len : NET_CHUNK_BYTES;
    size_t bound = conn->def->limits.in_bytes_max;
    if (conn->in.len >= bound || buf_try_reserve(&conn->in, MIN(room, bound - conn->in.len)) != 0) return ERR_LIMIT;
    *ret_asked = MIN(conn->in.cap, bound) - conn->in.len;
    if (*ret_asked == 0) return ERR_LIMIT;
    ssize_t n = io_stream_read(conn->stream, conn->in.ptr + conn->in.len, *ret_asked);
    if (n <= 0) return n;
    conn->in.len += (size_t)n;
    if (conn->in.len >= conn->expect_bytes) deliver_kept(conn);
    return n;
}

static void read_input(net_conn_t *conn)
{
    for (int round = 0; round < READ_ROUNDS_MAX && conn->state == CONN_OPEN && !conn->congested; round++) {
        if (conn->paused && conn->in.len >= NET_PAUSED_IN_BYTES_MAX) break;
        size_t asked = 0;
        ssize_t n = conn->in.len ? read_more(conn, &asked) : read_fresh(conn, &asked);
        if (n == ERR_AGAIN) break;
        if (n < 0) {
            conn_kill(conn);
            return;
        }
        if (n == 0) { /* the peer said all; replies that are due still go out */
            net_close(conn);
            return;
        }
        conn->stats->in_bytes += (uint64_t)n;
        conn->active_ms = now_ms(conn->net);
        if ((size_t)n < asked) break;
    }
    update_watch(conn);
}

/* ---- output ----------------------------------------------------------------------------------------------------- */

static void send_output(net_conn_t *conn)
{
    if (conn->held || conn->state == CONN_CONNECTING) return;
    int err = net__output_send(&conn->out, &conn->net->chunks, conn->stream, &conn->stats->out_bytes);
    if (err != 0 && err != ERR_AGAIN) {
        conn_kill(conn);
        return;
    }
    conn->blocked = err == ERR_AGAIN;
    if (conn->congested && conn->out.bytes <= conn->def->limits.out_bytes_high / 2) {
        conn->congested = false;
        conn->redeliver = true;
        queue_work(conn);
        if (conn->def->on_drain && conn->opened) conn->def->on_drain(conn);
    }
    if (conn->state == CONN_CLOSING && conn->out.bytes == 0) conn_kill(conn);
}

static void on_connected(net_conn_t *conn, unsigned events)
{
    if (events & IO_READABLE) { /* refused, or data that came at once: a read tells */
        ssize_t n = io_stream_read(conn->stream, conn->net->scratch, sizeof(conn->net->scratch));
        if (n <= 0 && n != ERR_AGAIN) {
            conn_kill(conn);
            return;
        }
        if (n > 0) keep(conn, conn->net->scratch, (size_t)n);
    }
    conn_open(conn);
    conn->redeliver = conn->in.len > 0;
    queue_work(conn);
}

static void on_ready(void *user, unsigned events)
{
    net_conn_t *conn = user;
    if (conn->state == CONN_CONNECTING) {
        on_connected(conn, events);
        return;
    }
    if (events & IO_WRITABLE && conn->blocked) {
        conn->blocked = false;
        queue_work(conn);
    }
    if (events & IO_READABLE && conn->state == CONN_OPEN) read_input(conn);
}

/* ---- the turn's end --------------------------------------------------------------------------------------------- */

static void bury(net_conn_t *conn)
{
    if (conn->def->on_close && (conn->opened || conn->outgoing)) conn->def->on_close(conn);
    conn_free(conn);
}

static void do_work(net_conn_t *conn)
{
    if (conn->state != CONN_DEAD && conn->redeliver) {
        conn->redeliver = false;
        if (conn->in.len) deliver_kept(conn);
    }
    if (conn->state != CONN_DEAD && !conn->blocked) send_output(conn);
    if (conn->state == CONN_DEAD) {
        bury(conn);
        return;
    }
    update_watch(conn);
}

/* Deliveries made here may queue more work (replies, resumed neighbours); bounded rounds keep the loop fair. */
static void on_turn_end(io_hook_t *hook)
{
    net_t *net = CONTAINER_OF(hook, net_t, hook);
    for (int round = 0; round < 4 && !list_empty(&net->work); round++) {
        list_t batch;
        list_init(&batch);
        list_splice_back(&batch, &net->work);
        while (!list_empty(&batch)) {
            net_conn_t *conn = LIST_FIRST(&batch, net_conn_t, work_node);
            list_remove(&conn->work_node);
            do_work(conn);
        }
    }
    if (!list_empty(&net->work)) io_loop_wake(net->loop);
}

/* ---- the public functions --------------------------------------------------------------------------------------- */

net_t *net_new(io_loop_t *loop)
{
    net_t *net = mem_zalloc(sizeof(*net));
    net->loop = loop;
    list_init(&net->conns);
    list_init(&net->work);
    list_init(&net->lingering);
    list_init(&net->listeners);
    list_init(&net->services);
    net->hook = (io_hook_t){.rank = HOOK_RANK, .run = on_turn_end};
    io_hook_add(loop, &net->hook);
    io_timer_init(loop, &net->linger_timer, on_linger_timer);
    return net;
}

void net_free(net_t *net)
{
    LIST_EACH (&net->listeners, listener, net_listener_t, node)
        net_listener_close(listener);
    while (!list_empty(&net->conns)) { /* on_close may close others: always take the first */
        net_conn_t *conn = LIST_FIRST(&net->conns, net_conn_t, all_node);
        if (conn->state != CONN_DEAD && !conn->held) {
            uint64_t sent = 0;
            int err = net__output_send(&conn->out, &net->chunks, conn->stream, &sent);
            (void)err; /* last words are a courtesy */
        }
        bury(conn);
    }
    LIST_EACH (&net->services, s, service_stats_t, node)
        mem_free(s);
    io_timer_stop(&net->linger_timer);
    io_hook_remove(&net->hook);
    net__chunk_cache_free(&net->chunks);
    mem_free(net);
}

io_loop_t *net_loop(const net_t *net) { return net->loop; }

int net_listen(net_t *net, const char *host, uint16_t port, const net_service_t *def, void *service,
               net_listener_t **ret_listener)
{
    net_listener_t *listener = mem_zalloc(sizeof(*listener));
    *listener = (net_listener_t){.net = net, .def = def, .service = service};
    int err = io_listen(net->loop, host, port, 511, on_accept, listener, &listener->io);
    if (err != 0) {
        mem_free(listener);
        return err;
    }
    list_push_back(&net->listeners, &listener->node);
    *ret_listener = listener;
    return 0;
}

uint16_t net_listener_port(const net_listener_t *listener) { return io_listener_port(listener->io); }

void net_listener_close(net_listener_t *listener)
{
    io_listener_close(listener->io);
    list_remove(&listener->node);
    mem_free(listener);
}

int net_connect(net_t *net, const char *host, uint16_t port, const net_service_t *def, void *service,
                net_conn_t **ret_conn)
{
    io_stream_t *stream = NULL;
    int err = io_connect(net->loop, host, port, &stream);
    if (err != 0) return err;
    net_conn_t *conn = conn_new(net, def, service, stream, CONN_CONNECTING);
    conn->outgoing = true;
    update_watch(conn);
    *ret_conn = conn;
    return 0;
}

void *net_conn_user(const net_conn_t *conn) { return conn->user; }
void net_conn_set_user(net_conn_t *conn, void *user) { conn->user = user; }
net_t *net_conn_net(const net_conn_t *conn) { return conn->net; }
uint64_t net_conn_id(const net_conn_t *conn) { return conn->id; }
uint64_t net_conn_opened_ms(const net_conn_t *conn) { return conn->opened_ms; }
uint64_t net_conn_active_ms(const net_conn_t *conn) { return conn->active_ms; }
size_t net_conn_in_bytes(const net_conn_t *conn) { return conn->in.len; }
size_t net_conn_out_bytes(const net_conn_t *conn) { return conn->out.bytes; }
bool net_congested(const net_conn_t *conn) { return conn->congested; }

static const char *address(const net_conn_t *conn, char **kept, void (*ask)(const io_stream_t *, char *))
{
    if (!*kept) {
        char text[IO_ADDR_CHARS_MAX];
        ask(conn->stream, text);
        *kept = mem_strdup(text);
    }
    return *kept;
}

void net_keepalive(net_conn_t *conn, uint32_t seconds) { io_stream_keepalive(conn->stream, seconds); }
const char *net_conn_peer(const net_conn_t *conn)
{
    return address(conn, &((net_conn_t *)conn)->peer, io_stream_peer);
}

const char *net_conn_local(const net_conn_t *conn)
{
    return address(conn, &((net_conn_t *)conn)->local, io_stream_local);
}

/* After output grew: the hook will send it; too much of it stops the input or ends the connection. */
static void output_grew(net_conn_t *conn)
{
    const net_limits_t *limits = &conn->def->limits;
    queue_work(conn);
    if (LIKELY(conn->out.bytes <= limits->out_bytes_high)) return;
    conn->congested = true;
    if (limits->out_bytes_max && conn->out.bytes > limits->out_bytes_max) conn_kill(conn);
}

uint8_t *net_reserve(net_conn_t *conn, size_t n) { return net__output_reserve(&conn->out, &conn->net->chunks, n); }

void net_commit(net_conn_t *conn, size_t n)
{
    net_chunk_t *chunk = conn->out.last;
    ASSERT(chunk && chunk->cap - chunk->len >= n);
    chunk->len += n;
    conn->out.bytes += n;
    output_grew(conn);
}

void net_write(net_conn_t *conn, const void *data, size_t n)
{
    if (n == 0) return;
    memcpy(net_reserve(conn, n), data, n);
    net_commit(conn, n);
}

void net_write_owned(net_conn_t *conn, void *data, size_t n)
{
    net__output_add_owned(&conn->out, &conn->net->chunks, data, n);
    output_grew(conn);
}

void net_write_file(net_conn_t *conn, io_file_t *file, uint64_t offset, size_t n, void (*release)(void *file_user),
                    void *file_user)
{
    net__output_add_file(&conn->out, &conn->net->chunks, file, offset, n, release, file_user);
    output_grew(conn);
}

void net_send(net_conn_t *conn)
{
    if (conn->state == CONN_OPEN && !conn->blocked && conn->out.bytes) send_output(conn);
}

void net_pause(net_conn_t *conn) { conn->paused = true; }

void net_resume(net_conn_t *conn)
{
    if (!conn->paused) return;
    conn->paused = false;
    conn->redeliver = true;
    queue_work(conn);
}

void net_hold(net_conn_t *conn) { conn->held = true; }

void net_release(net_conn_t *conn)
{
    conn->held = false;
    queue_work(conn);
}

void net_close(net_conn_t *conn)
{
    if (conn->state == CONN_CONNECTING)
        conn_kill(conn);
    else if (conn->state == CONN_OPEN)
        start_lingering(conn);
}

void net_close_now(net_conn_t *conn) { conn_kill(conn); }

void net_expect(net_conn_t *conn, size_t n) { conn->expect_bytes = n; }

void net_each(net_t *net, const net_service_t *def, void (*each)(void *user, net_conn_t *conn), void *user)
{
    LIST_EACH (&net->conns, conn, net_conn_t, all_node)
        if (conn->def == def && conn->opened && conn->state != CONN_DEAD) each(user, conn);
}

net_stats_t net_service_stats(const net_t *net, const net_service_t *def) { return *stats_of((net_t *)net, def); }

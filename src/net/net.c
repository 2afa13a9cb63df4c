/* net.c: connections: their life, and the turn's end at which output leaves. See net.h, and net_internal.h for the states.
 *
 * Invariant: a service's callbacks never run inside a call the service made; what must follow such a call is noted on
 * the net's work list, which the loop's hook empties. */
#include "net/net_internal.h"

#include <stdio.h>

#define INPUT_RANK  5 /* before all that looks at what a turn's requests did */
#define OUTPUT_RANK 90
#define WORK_NS_MAX 4000000ull /* of a turn, for the output of connections; the others' leaves in the next */
#define WORK_A_LOOK 16         /* connections between two looks at the clock */
#define ROUNDS_MAX  4          /* what a delivery wakes is done in the same turn, up to here */

static void on_turn_end(io_hook_t *hook);

static net_stats_t *stats_of(net_t *net, const net_service_t *def)
{
    LIST_EACH(&net->services, s, service_stats_t, node)
        if (s->def == def) return &s->stats;
    service_stats_t *s = mem_zalloc(sizeof(*s));
    s->def = def;
    list_push_back(&net->services, &s->node);
    return &s->stats;
}

void net__queue_work(net_conn_t *conn)
{
    if (!list_linked(&conn->work_node)) list_push_back(&conn->net->work, &conn->work_node);
}

void net__queue_input(net_conn_t *conn)
{
    if (!list_linked(&conn->input_node)) list_push_back(&conn->net->input, &conn->input_node);
}

/* ---- life ------------------------------------------------------------------------------------------------------- */

static net_conn_t *conn_new(net_t *net, const net_service_t *def, void *service, io_stream_t *stream,
                            conn_state_t state)
{
    net_conn_t *conn = mem_zalloc(sizeof(*conn));
    conn->net = net;
    conn->def = def;
    conn->stats = stats_of(net, def);
    conn->service = service;
    conn->stream = stream;
    conn->state = state;
    conn->id = ++net->next_id;
    conn->opened_ms = conn->active_ms = net__now_ms(net);
    conn->stats->open++;
    net->conns_open++;
    atomic_fetch_add_explicit(net->conns_all, 1, memory_order_relaxed);
    net__deadline_init(conn);
    list_push_back(&net->conns, &conn->all_node);
    list_init(&conn->work_node);
    list_init(&conn->input_node);
    list_init(&conn->linger_node);
    return conn;
}

void net__conn_free(net_conn_t *conn)
{
    list_remove(&conn->all_node);
    conn->net->conns_open--;
    atomic_fetch_sub_explicit(conn->net->conns_all, 1, memory_order_relaxed);
    if (conn->tls && conn->stream) tls_engine_close(conn->tls, &conn->net->tls, conn->stream);
    tls_engine_free(conn->tls);
    if (conn->stream) io_stream_close(conn->stream);
    net__output_clear(&conn->out, &conn->net->chunks);
    buf_deinit(&conn->in);
    mem_free(conn->peer);
    mem_free(conn->local);
    mem_free(conn);
}

/* Stops all traffic now; the hook tells the service and frees it. */
void net__kill(net_conn_t *conn)
{
    if (conn->state >= CONN_DEAD) return;
    conn->state = CONN_DEAD;
    if (conn->watched) io_stream_watch(conn->stream, 0, net__on_ready, conn);
    conn->watched = 0;
    io_timer_stop(&conn->deadline);
    for (int kind = 0; kind < NET_BUDGETS_COUNT; kind++) net__count(conn, (net_budget_kind_t)kind, 0);
    net__queue_work(conn);
}

static void start_lingering(net_conn_t *conn)
{
    net_t *net = conn->net;
    if (conn->tls_state == TLS_SHAKING) { /* nothing can be said yet */
        net__kill(conn);
        return;
    }
    conn->state = CONN_CLOSING;
    net__secure_settle(conn);
    conn->linger_until_ns = io_now_ns(net->loop) + (uint64_t)NET_LINGER_MS * 1000000;
    list_push_back(&net->lingering, &conn->linger_node);
    if (net->linger_timer.due_ns == 0) io_timer_start(&net->linger_timer, NET_LINGER_MS, 0);
    net__queue_work(conn);
}

static void on_linger_timer(io_timer_t *timer)
{
    net_t *net = CONTAINER_OF(timer, net_t, linger_timer);
    uint64_t now = io_now_ns(net->loop);
    LIST_EACH(&net->lingering, conn, net_conn_t, linger_node) {
        if (conn->linger_until_ns > now) {
            io_timer_start(timer, (conn->linger_until_ns - now) / 1000000 + 1, 0);
            return;
        }
        list_remove(&conn->linger_node);
        net__kill(conn);
    }
}

/* Tells the service of a new connection; a refused one is closed once its last words are out. */
void net__open(net_conn_t *conn)
{
    conn->state = CONN_OPEN;
    if (conn->def->on_open(conn, conn->service) != 0) {
        if (conn->state == CONN_OPEN) start_lingering(conn);
        conn->stats->refused++;
        if (!conn->stranger) net__tell(conn->net, NET_EVENT_REFUSED, conn, 0);
        return;
    }
    conn->opened = true;
    net__deadline_opened(conn);
    net__update_watch(conn);
}

static void turn_away(net_conn_t *conn, net_event_t why)
{
    const char *words = conn->def->refusal;
    conn->stats->refused++;
    net__tell(conn->net, why, conn, 0);
    if (words) net_write(conn, words, strlen(words));
    start_lingering(conn);
}

/* The loop has closed it: there was none to hold it by. */
static void no_descriptor(net_listener_t *listener)
{
    net_t *net = listener->net;
    stats_of(net, listener->def)->refused++;
    net->totals.no_descriptor++;
    if (net->told) net->told(net->told_user, NET_EVENT_NO_DESCRIPTOR, listener->def->name, "", 0, NULL);
}

static void on_accept(void *user, io_stream_t *stream)
{
    net_listener_t *listener = user;
    const net_service_t *def = listener->def;
    if (!stream) {
        no_descriptor(listener);
        return;
    }
    net_conn_t *conn = conn_new(listener->net, def, listener->service, stream, CONN_OPEN);
    conn->stats->accepted++;
    conn->listener_user = listener->user;
    net__address_enter(conn);
    conn->stranger = listener->protected && !net_host_is_loopback(net_conn_host(conn));
    if (listener->tls) net__secure(conn, listener->tls, listener->allows_plain);
    if (conn->net->carriers_count) net__carry(conn);
    net_event_t why = net__admit(conn);
    if (why == NET_EVENT_NONE)
        net__open(conn);
    else
        turn_away(conn, why);
}

/* ---- output ----------------------------------------------------------------------------------------------------- */

static void send_output(net_conn_t *conn)
{
    if (conn->state == CONN_CONNECTING) return;
    if (conn->link) {
        net__carried_send(conn);
    } else {
        net_t *net = conn->net;
        int err = conn->tls ? net__output_send_tls(&conn->out, &net->chunks, (net_tls_t){conn->tls, &net->tls},
                                                   conn->stream, &conn->stats->out_bytes)
                            : net__output_send(&conn->out, &net->chunks, conn->stream, &conn->stats->out_bytes);
        if (err && err != ERR_AGAIN) {
            net__kill(conn);
            return;
        }
        conn->blocked = err == ERR_AGAIN;
    }
    net__output_left(conn);
}

/* Above it a connection is congested. */
static size_t out_high(const net_conn_t *conn)
{
    size_t high = conn->def->limits.out_bytes_high;
    return UNLIKELY(net__pressed(conn->net)) ? MIN(high, (size_t)NET_PRESSED_HIGH_BYTES) : high;
}

/* Input that waits for its reader, or is due since he read, comes first. */
void net__close_ended(net_conn_t *conn)
{
    if (LIKELY(!conn->ended) || conn->state != CONN_OPEN) return;
    if (conn->delivering || conn->congested || list_linked(&conn->input_node)) return;
    if (conn->opened && conn->def->is_awaited && conn->def->is_awaited(conn)) return;
    net_close(conn);
}

static size_t memory_unsent(const net_conn_t *conn)
{
    return net__unsent(conn) - conn->out.file_bytes - conn->carried_file_bytes;
}

void net__output_left(net_conn_t *conn)
{
    net__count(conn, NET_OUTPUT, memory_unsent(conn));
    if (conn->congested && net__unsent(conn) <= out_high(conn) / 2) {
        conn->congested = false;
        net__queue_input(conn);
        net__queue_work(conn);
    }
    net__close_ended(conn);
    if (conn->state == CONN_CLOSING && net__unsent(conn) == 0) net__kill(conn);
}

/* ---- the turn's end --------------------------------------------------------------------------------------------- */

static void bury(net_conn_t *conn)
{
    if (conn->def->on_close && (conn->opened || conn->outgoing)) conn->def->on_close(conn);
    conn->stats->open--;
    conn->stats->closed++;
    io_timer_stop(&conn->deadline);
    conn->state = CONN_DEAD; /* counts no more */
    for (int kind = 0; kind < NET_BUDGETS_COUNT; kind++) net__count(conn, (net_budget_kind_t)kind, 0);
    net__address_leave(conn);
    list_remove(&conn->work_node);
    list_remove(&conn->input_node);
    list_remove(&conn->linger_node);
    if (conn->link)
        net__carried_leave(conn);
    else
        net__conn_free(conn);
}

static void do_work(net_conn_t *conn)
{
    if (conn->state != CONN_DEAD && !conn->blocked) send_output(conn);
    if (conn->state == CONN_DEAD) {
        bury(conn);
        return;
    }
    net__update_watch(conn);
}

/* What was left because its connection was paused or congested. */
static void deliver_again(net_conn_t *conn)
{
    if (conn->state == CONN_DEAD) return;
    if (net_conn_in_bytes(conn)) net__deliver_kept(conn);
    net__close_ended(conn);
    net__queue_work(conn);
}

/* Deliveries may resume neighbours; bounded rounds keep the loop fair. */
static void on_input_due(io_hook_t *hook)
{
    net_t *net = CONTAINER_OF(hook, net_t, input_hook);
    for (int round = 0; round < ROUNDS_MAX && !list_empty(&net->input); round++) {
        list_t batch;
        list_init(&batch);
        list_splice_back(&batch, &net->input);
        while (!list_empty(&batch)) {
            net_conn_t *conn = LIST_FIRST(&batch, net_conn_t, input_node);
            list_remove(&conn->input_node);
            deliver_again(conn);
        }
    }
}

/* The turn's time for this is over. It begins with the first look at the clock: few connections cost none. */
static bool has_worked_enough(net_t *net, uint64_t *until_ns)
{
    uint64_t now_ns = io_hrtime_ns(net->loop);
    if (*until_ns == 0) *until_ns = now_ns + WORK_NS_MAX;
    return now_ns > *until_ns && !net->quiet;
}

/* Works through the list; false when the time was over before its end. What is left stays in front. */
static bool work_through(net_t *net, uint64_t *until_ns)
{
    list_t batch;
    list_init(&batch);
    list_splice_back(&batch, &net->work);
    bool enough = false;
    for (uint32_t done = 1; !list_empty(&batch) && !enough; done++) {
        net_conn_t *conn = LIST_FIRST(&batch, net_conn_t, work_node);
        list_remove(&conn->work_node);
        do_work(conn);
        enough = done % WORK_A_LOOK == 0 && has_worked_enough(net, until_ns);
    }
    list_splice_back(&batch, &net->work);
    list_splice_back(&net->work, &batch);
    return !enough;
}

/* Closing a connection may queue more work; bounded rounds keep the loop fair, and so does a bound of time: what is to be sent to ten
 * thousand connections is ten thousand system calls. Input that became due behind its hook is delivered in the next turn. */
static void on_turn_end(io_hook_t *hook)
{
    net_t *net = CONTAINER_OF(hook, net_t, hook);
    uint64_t until_ns = 0;
    for (int round = 0; round < ROUNDS_MAX && !list_empty(&net->work); round++)
        if (!work_through(net, &until_ns)) break;
    if (!list_empty(&net->work) || !list_empty(&net->input)) io_loop_wake(net->loop);
    net->readers_before = net->readers;
    net->readers = 0;
    net->turn_moved_bytes = 0;
    for (uint32_t i = 0; i < net->carriers_count; i++) net__post_orders(net->carriers[i]);
}

/* ---- the public functions --------------------------------------------------------------------------------------- */

net_t *net_new(io_loop_t *loop)
{
    net_t *net = mem_zalloc(sizeof(*net));
    net->loop = loop;
    tls_workspace_init(&net->tls, loop);
    net->conns_all = &net->conns_here;
    list_init(&net->conns);
    list_init(&net->leaving);
    list_init(&net->work);
    list_init(&net->input);
    list_init(&net->lingering);
    list_init(&net->listeners);
    list_init(&net->services);
    net__budgets_init(net);
    net->input_hook = (io_hook_t){.rank = INPUT_RANK, .name = "connections' input", .run = on_input_due};
    net->hook = (io_hook_t){.rank = OUTPUT_RANK, .name = "connections' output", .run = on_turn_end};
    io_hook_add(loop, &net->input_hook);
    io_hook_add(loop, &net->hook);
    io_timer_init(loop, &net->linger_timer, on_linger_timer);
    return net;
}

void net_free(net_t *net)
{
    LIST_EACH(&net->listeners, listener, net_listener_t, node) net_listener_close(listener);
    while (!list_empty(&net->conns)) { /* on_close may close others: always take the first */
        net_conn_t *conn = LIST_FIRST(&net->conns, net_conn_t, all_node);
        if (conn->state < CONN_DEAD) send_output(conn); /* last words are a courtesy */
        bury(conn);
    }
    for (uint32_t i = 0; i < net->carriers_count; i++) net__carrier_settle(net->carriers[i]);
    ASSERT(list_empty(&net->leaving));
    for (uint32_t i = 0; i < net->carriers_count; i++) net__carrier_free(net->carriers[i]);
    LIST_EACH(&net->services, s, service_stats_t, node) mem_free(s);
    io_timer_stop(&net->linger_timer);
    io_hook_remove(&net->input_hook);
    io_hook_remove(&net->hook);
    net__chunk_cache_free(&net->chunks);
    ASSERT(net->conns_open == 0 && net->addresses.count == 0);
    map_deinit(&net->addresses);
    net__secured_deinit(net);
    tls_workspace_deinit(&net->tls);
    mem_free(net);
}

void net_quiet(net_t *net) { net->quiet = true; }

io_loop_t *net_loop(const net_t *net) { return net->loop; }

void net_add_carrier(net_t *net, io_loop_t *loop)
{
    ASSERT(net->carriers_count < NET_CARRIERS_MAX);
    net->carriers[net->carriers_count++] = net__carrier_new(net, loop);
}

#define BACKLOG 511 /* until net_listener_tune */

static net_listener_t *new_listener(net_t *net, const net_service_t *def, void *service)
{
    net_listener_t *listener = mem_zalloc(sizeof(*listener));
    *listener = (net_listener_t){.net = net, .def = def, .service = service, .protected = net__protects(net, def)};
    return listener;
}

/* Becomes the net's, or is freed after the error. */
static int keep_listener(net_listener_t *listener, int err, net_listener_t **ret_listener)
{
    if (err) {
        mem_free(listener);
        return err;
    }
    list_push_back(&listener->net->listeners, &listener->node);
    if (!listener->has_path) net__listener_secure(listener);
    *ret_listener = listener;
    return 0;
}

int net_listen(net_t *net, const char *host, uint16_t port, const net_service_t *def, void *service,
               net_listener_t **ret_listener)
{
    net_listener_t *listener = new_listener(net, def, service);
    int err = io_listen(net->loop, host, port, BACKLOG, on_accept, listener, &listener->io);
    return keep_listener(listener, err, ret_listener);
}

int net_listen_path(net_t *net, const char *path, unsigned mode, const char *group, const net_service_t *def,
                    void *service, net_listener_t **ret_listener)
{
    net_listener_t *listener = new_listener(net, def, service);
    listener->has_path = true;
    int err = io_listen_path(net->loop, path, mode, group, BACKLOG, on_accept, listener, &listener->io);
    return keep_listener(listener, err, ret_listener);
}

int net_listener_tune(net_listener_t *listener, int backlog, uint32_t accepts_max)
{
    return io_listener_tune(listener->io, backlog, accepts_max);
}

uint16_t net_listener_port(const net_listener_t *listener) { return io_listener_port(listener->io); }

void net_listener_close(net_listener_t *listener)
{
    io_listener_close(listener->io);
    list_remove(&listener->node);
    tls_context_unref(listener->tls);
    mem_free(listener);
}

int net_connect(net_t *net, const char *host, uint16_t port, const net_service_t *def, void *service,
                net_conn_t **ret_conn)
{
    io_stream_t *stream = NULL;
    int err = io_connect(net->loop, host, port, &stream);
    if (err) return err;
    net_conn_t *conn = conn_new(net, def, service, stream, CONN_CONNECTING);
    conn->outgoing = true;
    net__update_watch(conn);
    *ret_conn = conn;
    return 0;
}

void *net_conn_user(const net_conn_t *conn) { return conn->user; }
void *net_conn_listener_user(const net_conn_t *conn) { return conn->listener_user; }
void net_listener_set_user(net_listener_t *listener, void *user) { listener->user = user; }
void net_conn_set_user(net_conn_t *conn, void *user) { conn->user = user; }
uint64_t net_conn_id(const net_conn_t *conn) { return conn->id; }
uint64_t net_conn_active_ms(const net_conn_t *conn) { return conn->active_ms; }
size_t net_conn_in_bytes(const net_conn_t *conn) { return conn->in.len - conn->in_taken; }
size_t net_conn_out_bytes(const net_conn_t *conn) { return net__unsent(conn); }
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

void net_keepalive(net_conn_t *conn, uint32_t seconds)
{
    if (conn->link)
        net__order(conn->link)->keepalive_s = (int32_t)MIN(seconds, (uint32_t)INT32_MAX);
    else
        io_stream_keepalive(conn->stream, seconds);
}

const char *net_conn_peer(const net_conn_t *conn) { return address(conn, &((net_conn_t *)conn)->peer, io_stream_peer); }

const char *net_conn_local(const net_conn_t *conn)
{
    return address(conn, &((net_conn_t *)conn)->local, io_stream_local);
}

/* After output grew: the hook will send it; too much of it stops the input or ends the connection. */
static void output_grew(net_conn_t *conn)
{
    const net_limits_t *limits = &conn->def->limits;
    net__queue_work(conn);
    net__count(conn, NET_OUTPUT, memory_unsent(conn));
    if (LIKELY(net__unsent(conn) <= out_high(conn))) return;
    conn->congested = true;
    if (limits->out_bytes_max && net__unsent(conn) > limits->out_bytes_max) net__kill(conn);
}

/* What is written to a connection that is dead but not yet buried takes no memory: its service may not know for long. */
uint8_t *net_reserve(net_conn_t *conn, size_t n)
{
    if (UNLIKELY(conn->state >= CONN_DEAD)) net__output_clear(&conn->out, &conn->net->chunks);
    return net__output_reserve(&conn->out, &conn->net->chunks, n);
}

void net_commit(net_conn_t *conn, size_t n)
{
    net_chunk_t *chunk = conn->out.last;
    ASSERT(chunk && chunk->cap - chunk->len >= n);
    if (UNLIKELY(conn->state >= CONN_DEAD)) return;
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

void net_write_file(net_conn_t *conn, io_file_t *file, uint64_t offset, size_t n, void (*release)(void *file_user),
                    void *file_user)
{
    net__output_add_file(&conn->out, &conn->net->chunks, file, offset, n, release, file_user);
    output_grew(conn);
}

uint8_t *net_output_add(net_t *net, net_output_t *output, const void *data, size_t n)
{
    uint8_t *at = net__output_reserve(output, &net->chunks, n);
    memcpy(at, data, n);
    output->last->len += n;
    output->bytes += n;
    return at;
}

void net_write_output(net_conn_t *conn, net_output_t *output)
{
    if (conn->state >= CONN_DEAD) {
        net_output_drop(conn->net, output);
        return;
    }
    net__output_take(&conn->out, output);
    output_grew(conn);
}

void net_output_drop(net_t *net, net_output_t *output)
{
    net__output_clear(output, &net->chunks);
    *output = (net_output_t){0};
}

void net_send(net_conn_t *conn)
{
    if (conn->state != CONN_OPEN || conn->blocked || !conn->out.bytes) return;
    send_output(conn);
    if (conn->link) net__carried_post(conn);
}

void net_pause(net_conn_t *conn) { conn->paused = true; }

void net_resume(net_conn_t *conn)
{
    if (!conn->paused) return;
    conn->paused = false;
    net__queue_input(conn);
}

void net_close(net_conn_t *conn)
{
    if (conn->state == CONN_CONNECTING)
        net__kill(conn);
    else if (conn->state == CONN_OPEN)
        start_lingering(conn);
}

void net_close_now(net_conn_t *conn) { net__kill(conn); }

void net_expect(net_conn_t *conn, size_t n) { conn->expect_bytes = n; }

void net_each(net_t *net, const net_service_t *def, void (*each)(void *user, net_conn_t *conn), void *user)
{
    LIST_EACH(&net->conns, conn, net_conn_t, all_node)
        if (conn->def == def && conn->opened && conn->state != CONN_DEAD) each(user, conn);
}

void net_share_count(net_t *net, net_t *first)
{
    ASSERT(net->conns_open == 0);
    net->conns_all = first->conns_all;
}

void net_set_bounds(net_t *net, const net_bounds_t *bounds)
{
    const size_t bytes_max[NET_BUDGETS_COUNT] = {bounds->in_bytes_max, bounds->out_bytes_max};
    for (int kind = 0; kind < NET_BUDGETS_COUNT; kind++) {
        net->budgets[kind].bytes_max = bytes_max[kind] ? bytes_max[kind] : SIZE_MAX;
        net->budgets[kind].alone_bytes_max = bounds->alone_bytes_max;
    }
    net->conns_max = bounds->conns_max;
}

void net_on_event(net_t *net, net_told_cb told, void *user)
{
    net->told = told;
    net->told_user = user;
}

void net__tell_why(net_t *net, net_event_t event, const net_conn_t *conn, size_t bytes, const char *why)
{
    if (net->told) net->told(net->told_user, event, conn->def->name, net_conn_peer(conn), bytes, why);
}

void net__tell(net_t *net, net_event_t event, const net_conn_t *conn, size_t bytes)
{
    net__tell_why(net, event, conn, bytes, NULL);
}

net_totals_t net_totals(const net_t *net)
{
    net_totals_t totals = net->totals;
    totals.conns = net->conns_open;
    totals.in_bytes = net->budgets[NET_INPUT].bytes;
    totals.out_bytes = net->budgets[NET_OUTPUT].bytes;
    totals.in_shed = net->budgets[NET_INPUT].shed;
    totals.out_shed = net->budgets[NET_OUTPUT].shed;
    return totals;
}

net_stats_t net_service_stats(const net_t *net, const net_service_t *def) { return *stats_of((net_t *)net, def); }

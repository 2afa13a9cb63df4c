/* sim_net.c: how simulated connections come about and how a dying node loses them. */
#include "io/sim/sim_net.h"

#include <stdio.h>

#define ATTEMPTS_MAX   6
#define ATTEMPT_US_MIN 500000
#define ATTEMPT_US_MAX 1500000

static sim_listener_t *listener_of(io_listener_t *listener) { return CONTAINER_OF(listener, sim_listener_t, base); }

bool sim__reaches(const sim_node_t *from, const sim_node_t *to)
{
    return from == to || (from->sim->cut_to[from->index] >> to->index & 1) == 0;
}

/* ---- addresses ---- */

static bool is_one_of(const char *host, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(host, names[i]) == 0) return true;
    }
    return false;
}

static bool is_local(const char *host)
{
    static const char *const names[] = {"localhost", "127.0.0.1", "::1"};
    return is_one_of(host, names, ARRAY_LEN(names));
}

static bool is_any(const char *host)
{
    static const char *const names[] = {"", "*", "0.0.0.0", "::"};
    return is_one_of(host, names, ARRAY_LEN(names));
}

static bool is_path(const char *host) { return host[0] == '/'; }

static sim_node_t *find_node(sim_node_t *self, const char *host)
{
    if (is_local(host) || is_any(host) || is_path(host)) return self;
    for (uint32_t i = 0; i < self->sim->nodes_count; i++) {
        if (strcmp(self->sim->nodes[i]->host, host) == 0) return self->sim->nodes[i];
    }
    return NULL;
}

static sim_listener_t *find_listener(const sim_node_t *node, uint16_t port, const char *path)
{
    LIST_EACH(&node->loops, loop, sim_loop_t, in_node) {
        LIST_EACH(&loop->listeners, listener, sim_listener_t, node) {
            bool here =
                path ? listener->path && strcmp(listener->path, path) == 0 : !listener->path && listener->port == port;
            if (here) return listener;
        }
    }
    return NULL;
}

static void format_addr(char out[IO_ADDR_CHARS_MAX], const char *host, uint16_t port)
{
    snprintf(out, IO_ADDR_CHARS_MAX, strchr(host, ':') ? "[%s]:%u" : "%s:%u", host, port);
}

static uint16_t free_port(sim_node_t *node)
{
    while (find_listener(node, node->port_next, NULL)) node->port_next++;
    uint16_t port = node->port_next++;
    if (node->port_next < 32768) node->port_next = 32768;
    return port;
}

/* ---- listening ---- */

static void on_acceptable(sim_item_t *item)
{
    sim_listener_t *listener = CONTAINER_OF(item, sim_listener_t, item);
    sim_loop_t *loop = sim__loop(listener->base.loop);
    sim_stream_t *stream = LIST_FIRST(&listener->queue, sim_stream_t, node);
    if (!stream) return;
    list_remove(&stream->node);
    list_push_back(&loop->streams, &stream->node);
    listener->queued--;
    sim__trace(loop->node->sim, SIM_ACCEPT, loop->node->index, listener->port);
    sim__ready(loop, item); /* there may be more; each in a turn of its own */
    listener->accept(listener->user, &stream->base);
}

static sim_listener_t *new_listener(sim_loop_t *loop, uint16_t port, int backlog, io_accept_cb accept, void *user)
{
    sim_listener_t *listener = mem_zalloc(sizeof(*listener));
    listener->base.loop = &loop->base;
    listener->port = port;
    listener->backlog = backlog > 0 ? (uint32_t)backlog : 1;
    listener->accept = accept;
    listener->user = user;
    listener->item.run = on_acceptable;
    list_init(&listener->queue);
    list_push_back(&loop->listeners, &listener->node);
    return listener;
}

int sim__listen(io_loop_t *base, const char *host, uint16_t port, int backlog, io_accept_cb accept, void *user,
                io_listener_t **ret_listener)
{
    sim_loop_t *loop = sim__loop(base);
    sim_node_t *node = loop->node;
    if (base->halted) return ERR_IO;
    if (is_path(host) || find_node(node, host) != node) return ERR_NOT_FOUND;
    if (port == 0) port = free_port(node);
    if (find_listener(node, port, NULL)) return ERR_ADDRINUSE;
    *ret_listener = &new_listener(loop, port, backlog, accept, user)->base;
    return 0;
}

/* Nobody on a simulated machine is kept out by a mode, and it has no groups. */
int sim__listen_path(io_loop_t *base, const char *path, unsigned mode, const char *group, int backlog,
                     io_accept_cb accept, void *user, io_listener_t **ret_listener)
{
    sim_loop_t *loop = sim__loop(base);
    if (base->halted) return ERR_IO;
    if (group) return ERR_NOT_FOUND;
    sim_listener_t *before = find_listener(loop->node, 0, path);
    if (before) { /* its socket is there, its name is gone */
        mem_free(before->path);
        before->path = mem_strdup("");
    }
    sim_listener_t *listener = new_listener(loop, 0, backlog, accept, user);
    listener->path = mem_strdup(path);
    *ret_listener = &listener->base;
    return 0;
}

int sim__listener_tune(io_listener_t *listener, int backlog, uint32_t accepts_max)
{
    listener_of(listener)->backlog = backlog > 0 ? (uint32_t)backlog : 1;
    return 0;
}

uint16_t sim__listener_port(const io_listener_t *listener)
{
    return CONTAINER_OF(listener, sim_listener_t, base)->port;
}

void sim__listener_close(io_listener_t *base)
{
    sim_listener_t *listener = listener_of(base);
    LIST_EACH(&listener->queue, stream, sim_stream_t, node) {
        if (stream->peer) sim__send(stream->peer, SEGMENT_RESET, NULL, 0);
        sim__stream_free(stream);
    }
    if (list_linked(&listener->item.node)) list_remove(&listener->item.node);
    list_remove(&listener->node);
    mem_free(listener->path);
    mem_free(listener);
}

/* ---- connecting ---- */

static void join(sim_stream_t *client, sim_listener_t *listener)
{
    sim_stream_t *server = sim__stream_new(sim__loop(listener->base.loop), client->loop->node);
    memcpy(server->peer_addr, client->local_addr, IO_ADDR_CHARS_MAX);
    memcpy(server->local_addr, client->peer_addr, IO_ADDR_CHARS_MAX);
    server->peer = client;
    client->peer = server;
    list_push_back(&listener->queue, &server->node);
    listener->queued++;
    sim__ready(sim__loop(listener->base.loop), &listener->item);
    sim__send(client, SEGMENT_CONNECTED, NULL, 0);
}

/* Our request reaches the far node, or should have. */
static void on_request(io_timer_t *event)
{
    sim_stream_t *client = CONTAINER_OF(event, sim_stream_t, arrival);
    sim_node_t *node = client->loop->node, *far = client->far_node;
    sim_listener_t *listener = find_listener(far, client->far_port, client->far_path);
    bool heard = sim__reaches(node, far) && far->powered;
    sim__trace(node->sim, SIM_CONNECT, node->index, heard);
    if (heard && !listener) {
        sim__send(client, SEGMENT_REFUSED, NULL, 0);
    } else if (heard && listener->queued < listener->backlog) {
        join(client, listener);
    } else if (++client->attempts < ATTEMPTS_MAX) {
        sim__after_us(event, ATTEMPT_US_MIN, ATTEMPT_US_MAX);
    } else {
        client->connecting = false;
        client->error = ERR_TIMEDOUT;
        sim__stream_update(client);
    }
}

int sim__connect(io_loop_t *base, const char *host, uint16_t port, io_stream_t **ret_stream)
{
    sim_loop_t *loop = sim__loop(base);
    sim_node_t *node = loop->node;
    if (base->halted) return ERR_IO;
    sim_node_t *far = find_node(node, host);
    if (!far) return ERR_NOT_FOUND;
    sim_stream_t *client = sim__stream_new(loop, far);
    client->connecting = true;
    client->far_port = is_path(host) ? 0 : port;
    client->far_path = is_path(host) ? mem_strdup(host) : NULL;
    format_addr(client->peer_addr, is_any(host) ? "127.0.0.1" : host, client->far_port);
    if (is_path(host))
        format_addr(client->local_addr, host, 0);
    else
        format_addr(client->local_addr, far == node ? "127.0.0.1" : node->host, free_port(node));
    client->arrival.run = on_request;
    sim__after_us(&client->arrival, node->sim->net.delay_us_min, node->sim->net.delay_us_max);
    list_push_back(&loop->streams, &client->node);
    *ret_stream = &client->base;
    return 0;
}

/* ---- the end of a node, and of its connections ---- */

static void cut_off(sim_stream_t *stream)
{
    io_timer_stop(&stream->arrival);
    if (!stream->peer) return;
    sim__send(stream->peer, SEGMENT_RESET, NULL, 0);
    stream->peer->peer = NULL;
    stream->peer = NULL;
}

void sim__net_die(sim_loop_t *loop)
{
    LIST_EACH(&loop->listeners, listener, sim_listener_t, node) {
        LIST_EACH(&listener->queue, stream, sim_stream_t, node) cut_off(stream);
        listener->port = 0;
        mem_free(listener->path);
        listener->path = NULL;
    }
    LIST_EACH(&loop->streams, stream, sim_stream_t, node) cut_off(stream);
}

void sim__net_free(sim_loop_t *loop)
{
    LIST_EACH(&loop->listeners, listener, sim_listener_t, node) sim__listener_close(&listener->base);
    LIST_EACH(&loop->streams, stream, sim_stream_t, node) sim__stream_free(stream);
}

void sim_reset_connections(sim_t *sim, sim_node_t *node)
{
    LIST_EACH(&node->loops, loop, sim_loop_t, in_node) {
        LIST_EACH(&loop->streams, stream, sim_stream_t, node) {
            if (!stream->peer) continue;
            sim_stream_t *peer = stream->peer;
            sim__send(peer, SEGMENT_RESET, NULL, 0);
            sim__send(stream, SEGMENT_RESET, NULL, 0);
        }
    }
}

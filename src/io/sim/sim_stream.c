/* sim_stream.c: bytes on a simulated connection. Each end holds what is under way to it; what one end writes becomes a
 * segment that arrives at the other after a random delay, in order. While the link is cut, it is sent again and again. */
#include "io/sim/sim_net.h"

#define RESEND_US_MIN 100000
#define RESEND_US_MAX 600000

static sim_t *sim_of(const sim_stream_t *stream) { return stream->loop->node->sim; }
static sim_stream_t *stream_of(io_stream_t *stream) { return CONTAINER_OF(stream, sim_stream_t, base); }

/* ---- readiness ---- */

static size_t room(const sim_stream_t *stream)
{
    const sim_stream_t *peer = stream->peer;
    if (!peer) return SIM_PIPE_BYTES_MAX; /* it vanishes */
    size_t full = peer->incoming_bytes + peer->received.len;
    return full < SIM_PIPE_BYTES_MAX ? SIM_PIPE_BYTES_MAX - full : 0;
}

static unsigned events_now(const sim_stream_t *stream)
{
    if (stream->error) return stream->events;
    unsigned events = 0;
    if (stream->received.len > 0 || stream->ended) events |= IO_READABLE;
    if (!stream->connecting && room(stream) > 0) events |= IO_WRITABLE;
    return events & stream->events;
}

void sim__stream_update(sim_stream_t *stream)
{
    if (events_now(stream)) sim__ready(stream->loop, &stream->item);
}

static void on_item(sim_item_t *item)
{
    sim_stream_t *stream = CONTAINER_OF(item, sim_stream_t, item);
    unsigned events = events_now(stream);
    if (events == 0) return;
    sim__trace(sim_of(stream), SIM_READY, stream->loop->node->index, events);
    sim__ready(stream->loop, item); /* level triggered: looked at again in the next turn, unless closed by then */
    stream->ready(stream->user, events);
}

void sim__stream_watch(io_stream_t *base, unsigned events, io_ready_cb ready, void *user)
{
    sim_stream_t *stream = stream_of(base);
    stream->events = events;
    stream->ready = ready;
    stream->user = user;
    sim__stream_update(stream);
}

/* ---- arrival ---- */

static void clear_incoming(sim_stream_t *stream)
{
    LIST_EACH(&stream->incoming, segment, sim_segment_t, node) {
        list_remove(&segment->node);
        mem_free(segment);
    }
    stream->incoming_bytes = 0;
}

static void fail(sim_stream_t *stream, int error)
{
    io_timer_stop(&stream->arrival);
    clear_incoming(stream);
    buf_clear(&stream->received);
    if (stream->peer) stream->peer->peer = NULL;
    stream->peer = NULL;
    stream->connecting = false;
    stream->error = error;
    sim__stream_update(stream);
}

static void deliver(sim_stream_t *stream, const sim_segment_t *segment)
{
    sim_t *sim = sim_of(stream);
    sim__trace(sim, SIM_ARRIVAL, segment->kind, segment->bytes);
    switch (segment->kind) {
    case SEGMENT_CONNECTED: stream->connecting = false; break;
    case SEGMENT_REFUSED: fail(stream, ERR_CONNREFUSED); return;
    case SEGMENT_RESET: fail(stream, ERR_CLOSED); return;
    case SEGMENT_END: stream->ended = true; break;
    case SEGMENT_DATA: buf_append(&stream->received, segment->data, segment->bytes); break;
    }
    sim__stream_update(stream);
}

static void arm_arrival(sim_stream_t *stream)
{
    sim_segment_t *first = LIST_FIRST(&stream->incoming, sim_segment_t, node);
    if (first) sim__at(&stream->arrival, first->due_ns);
}

static void on_arrival(io_timer_t *event)
{
    sim_stream_t *stream = CONTAINER_OF(event, sim_stream_t, arrival);
    sim_t *sim = sim_of(stream);
    if (!sim__reaches(stream->far_node, stream->loop->node)) {
        sim__after_us(event, RESEND_US_MIN, RESEND_US_MAX);
        return;
    }
    if (sim__chance(&sim->rng, sim->net.reset_ppm)) {
        if (stream->peer) sim__send(stream->peer, SEGMENT_RESET, NULL, 0);
        fail(stream, ERR_CLOSED);
        return;
    }
    sim_segment_t *segment = LIST_FIRST(&stream->incoming, sim_segment_t, node);
    list_remove(&segment->node);
    stream->incoming_bytes -= segment->bytes;
    deliver(stream, segment);
    mem_free(segment);
    arm_arrival(stream);
}

void sim__send(sim_stream_t *to, sim_segment_kind_t kind, const void *data, size_t bytes)
{
    sim_t *sim = sim_of(to);
    sim_segment_t *segment = mem_alloc(sizeof(*segment) + bytes);
    uint64_t delay_ns = 1000 * sim__between(&sim->rng, sim->net.delay_us_min, sim->net.delay_us_max);
    segment->kind = kind;
    segment->bytes = bytes;
    if (bytes) memcpy(segment->data, data, bytes);
    to->incoming_last_ns = MAX(to->incoming_last_ns, sim->world.now_ns + delay_ns);
    segment->due_ns = to->incoming_last_ns;
    to->incoming_bytes += bytes;
    bool first = list_empty(&to->incoming);
    list_push_back(&to->incoming, &segment->node);
    if (first) {
        to->arrival.run = on_arrival;
        arm_arrival(to);
    }
}

/* ---- reading and writing ---- */

static size_t shorten(sim_stream_t *stream, size_t bytes)
{
    sim_t *sim = sim_of(stream);
    if (bytes > 1 && sim__chance(&sim->rng, sim->net.short_ppm)) return 1 + (size_t)sim__below(&sim->rng, bytes);
    return bytes;
}

ssize_t sim__stream_read(io_stream_t *base, void *out, size_t bytes)
{
    sim_stream_t *stream = stream_of(base);
    if (stream->loop->base.halted) return ERR_CLOSED;
    if (stream->error) return stream->error;
    if (stream->received.len == 0) return stream->ended ? 0 : ERR_AGAIN;
    int err = sim__operation(stream->loop->node);
    if (err) return ERR_CLOSED;
    size_t n = shorten(stream, MIN(bytes, stream->received.len));
    memcpy(out, stream->received.ptr, n);
    buf_consume(&stream->received, n);
    sim__trace(sim_of(stream), SIM_READ, stream->loop->node->index, n);
    if (stream->peer) sim__stream_update(stream->peer);
    return (ssize_t)n;
}

static ssize_t may_write(sim_stream_t *stream)
{
    if (stream->loop->base.halted) return ERR_CLOSED;
    if (stream->error) return stream->error;
    if (stream->connecting) return ERR_AGAIN;
    return stream->ended && !stream->peer ? ERR_CLOSED : 0;
}

ssize_t sim__stream_writev(io_stream_t *base, const struct iovec *iov, int iov_count)
{
    sim_stream_t *stream = stream_of(base);
    buf_t all = BUF_INIT;
    ssize_t n = may_write(stream);
    if (n < 0 || iov_count == 0) return n;
    if (sim__operation(stream->loop->node) < 0) return ERR_CLOSED;
    for (int i = 0; i < iov_count; i++) buf_append(&all, iov[i].iov_base, iov[i].iov_len);
    size_t bytes = MIN(all.len, room(stream));
    if (bytes == 0) {
        n = all.len ? ERR_AGAIN : 0;
        goto out;
    }
    bytes = shorten(stream, bytes);
    sim__trace(sim_of(stream), SIM_WRITE, stream->loop->node->index, bytes);
    if (stream->peer) sim__send(stream->peer, SEGMENT_DATA, all.ptr, bytes);
    n = (ssize_t)bytes;
out:
    buf_deinit(&all);
    return n;
}

ssize_t sim__stream_sendfile(io_stream_t *base, io_file_t *file, uint64_t offset, size_t bytes)
{
    ssize_t n = may_write(stream_of(base));
    if (n < 0) return n;
    bytes = MIN(bytes, room(stream_of(base)));
    if (bytes == 0) return ERR_AGAIN;
    uint8_t *data = mem_alloc(bytes);
    n = sim__file_read(file, offset, data, bytes);
    struct iovec iov = {data, n > 0 ? (size_t)n : 0};
    if (n > 0) n = sim__stream_writev(base, &iov, 1);
    mem_free(data);
    return n;
}

/* ---- life ---- */

sim_stream_t *sim__stream_new(sim_loop_t *loop, sim_node_t *far_node)
{
    sim_stream_t *stream = mem_zalloc(sizeof(*stream));
    stream->base.ops = &sim__ops;
    stream->loop = loop;
    stream->far_node = far_node;
    stream->item.run = on_item;
    list_init(&stream->incoming);
    io_timer_init(&loop->node->sim->world, &stream->arrival, on_arrival);
    return stream;
}

void sim__stream_free(sim_stream_t *stream)
{
    io_timer_stop(&stream->arrival);
    clear_incoming(stream);
    if (list_linked(&stream->item.node)) list_remove(&stream->item.node);
    if (list_linked(&stream->node)) list_remove(&stream->node);
    if (stream->peer) stream->peer->peer = NULL;
    buf_deinit(&stream->received);
    mem_free(stream->far_path);
    mem_free(stream);
}

/* As TCP: closing with input unread resets the connection. */
void sim__stream_close(io_stream_t *base)
{
    sim_stream_t *stream = stream_of(base);
    bool unread = stream->received.len > 0 || stream->incoming_bytes > 0;
    if (stream->peer) sim__send(stream->peer, unread ? SEGMENT_RESET : SEGMENT_END, NULL, 0);
    sim__stream_free(stream);
}

/* ---- from loop to loop ---- */

/* It stays on its old loop's list, so that it ends with the node if nobody attaches it. */
io_socket_t *sim__stream_detach(io_stream_t *base)
{
    sim_stream_t *stream = stream_of(base);
    stream->events = 0;
    if (list_linked(&stream->item.node)) list_remove(&stream->item.node);
    stream->socket.ops = &sim__ops;
    return &stream->socket;
}

int sim__stream_attach(io_loop_t *loop, io_socket_t *socket, io_stream_t **ret_stream)
{
    sim_stream_t *stream = CONTAINER_OF(socket, sim_stream_t, socket);
    list_remove(&stream->node);
    stream->loop = sim__loop(loop);
    list_push_back(&stream->loop->streams, &stream->node);
    *ret_stream = &stream->base;
    return 0;
}

void sim__stream_keepalive(io_stream_t *stream, uint32_t seconds) {}

void sim__stream_peer(const io_stream_t *stream, char out[IO_ADDR_CHARS_MAX])
{
    memcpy(out, CONTAINER_OF(stream, sim_stream_t, base)->peer_addr, IO_ADDR_CHARS_MAX);
}

void sim__stream_local(const io_stream_t *stream, char out[IO_ADDR_CHARS_MAX])
{
    memcpy(out, CONTAINER_OF(stream, sim_stream_t, base)->local_addr, IO_ADDR_CHARS_MAX);
}

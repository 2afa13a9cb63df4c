/* input.c: bytes from a stream, or from the carrier that read it, to the service; what it leaves comes again in front of
 * the next ones. */
#include "net/net_internal.h"

#define READ_ROUNDS_MAX      4
#define AHEAD_BYTES_MIN      KIB(64)
#define AHEAD_WHOLE_BYTES    MIB(1) /* whoever has sent so much of a frame gets room for all of it */
#define TURN_READ_BYTES      MIB(8) /* of all connections that have something to say, in equal shares */
#define TURN_READ_SHARE_MIN  KIB(64)
#define TURN_MOVED_BYTES_MAX MIB(16) /* kept input that is moved into more room; the next one waits for the next turn */

/* Whether more may be read, though it may have to wait here. */
static bool has_room(const net_conn_t *conn)
{
    size_t waiting = net_conn_in_bytes(conn);
    if (conn->ended || (conn->paused && waiting >= NET_PAUSED_IN_BYTES_MAX)) return false;
    return !conn->congested || waiting < conn->def->limits.in_bytes_congested_max;
}

void net__update_watch(net_conn_t *conn)
{
    unsigned events = 0;
    if (conn->state >= CONN_DEAD) return;
    if (conn->state == CONN_CONNECTING) events = IO_READABLE | IO_WRITABLE;
    if (conn->state == CONN_OPEN && has_room(conn)) events |= IO_READABLE;
    if (conn->link) {
        if (events & IO_READABLE) net__carried_read(conn);
        return;
    }
    if (conn->blocked) events |= IO_WRITABLE;
    if (events == conn->watched) return;
    conn->watched = events;
    io_stream_watch(conn->stream, events, net__on_ready, conn);
}

bool net__may_deliver(const net_conn_t *conn)
{
    return conn->state == CONN_OPEN && conn->opened && !conn->paused && !conn->congested && !conn->net->quiet;
}

/* Hands bytes to the service; returns how many it took, having closed the connection on an error. */
static size_t deliver(net_conn_t *conn, uint8_t *data, size_t len)
{
    if (len == 0 || !net__may_deliver(conn)) return 0;
    conn->delivering = true;
    ssize_t n = conn->def->on_data(conn, data, len);
    conn->delivering = false;
    if (n < 0) {
        net_close(conn);
        return len;
    }
    ASSERT((size_t)n <= len);
    return (size_t)n;
}

/* How much room to make for what is announced beyond the bytes that wait: as much again as these, so that a frame that is
 * only announced takes nothing, and one that comes is moved a few times at most, and never when it is large. */
static size_t room_ahead(const net_conn_t *conn, size_t waiting)
{
    if (conn->expect_bytes <= waiting) return 0;
    size_t rest = conn->expect_bytes - waiting;
    return waiting >= AHEAD_WHOLE_BYTES ? rest : MIN(rest, MAX(waiting, (size_t)AHEAD_BYTES_MIN));
}

/* Room that nothing was written to takes no memory. */
void net__count_input(net_conn_t *conn)
{
    net__count(conn, NET_INPUT, MIN(conn->in.cap, 2 * conn->in.len) + conn->held_bytes);
}

/* ERR_NOMEM: so much cannot be had, which costs this connection alone. */
static int reserve(net_conn_t *conn, size_t room)
{
    int err = buf_try_reserve(&conn->in, room);
    if (!err) return 0;
    conn->net->totals.no_memory++;
    net__tell(conn->net, NET_EVENT_NO_MEMORY, conn, conn->in.len + room);
    return err;
}

static void keep(net_conn_t *conn, const uint8_t *data, size_t len)
{
    if (len == 0) return;
    size_t room = len + room_ahead(conn, len);
    if (len > conn->def->limits.in_bytes_max || reserve(conn, room) != 0) {
        net__kill(conn);
        return;
    }
    buf_append(&conn->in, data, len);
    net__count_input(conn);
}

bool net_take_memory(net_conn_t *conn, const uint8_t *end, buf_t *ret_memory)
{
    buf_t in = conn->in;
    if (!in.ptr || end <= in.ptr || end > in.ptr + in.len)
        return false; /* it lies in the scratch memory, or a carrier's */
    size_t behind = (size_t)(in.ptr + in.len - end);
    if (behind > NET_SCRATCH_BYTES) return false;
    conn->in = BUF_INIT;
    conn->in_taken = 0;
    conn->in_given = true;
    if (behind) buf_append(&conn->in, end, behind);
    *ret_memory = in;
    return true;
}

/* The next frame's beginning is all that is there. */
static void memory_was_given(net_conn_t *conn)
{
    conn->in_given = false;
    if (conn->state == CONN_DEAD) return;
    net__deadline_input(conn, true);
    net__count_input(conn);
    if (conn->in.len) net__queue_input(conn);
}

void net__deliver_kept(net_conn_t *conn)
{
    conn->expect_bytes = 0;
    size_t taken = deliver(conn, conn->in.ptr + conn->in_taken, net_conn_in_bytes(conn));
    if (conn->in_given) {
        memory_was_given(conn);
        return;
    }
    conn->in_taken += taken;
    if (conn->state == CONN_DEAD) return;
    net__deadline_input(conn, taken > 0);
    size_t waiting = net_conn_in_bytes(conn);
    if (waiting > conn->in_taken)
        return; /* moved when that is no more than was taken: however often it comes, it costs once */
    if (waiting == 0)
        buf_deinit(&conn->in); /* an idle connection holds no buffer */
    else
        buf_consume(&conn->in, conn->in_taken);
    conn->in_taken = 0;
    net__count_input(conn);
}

void net__input_ended(net_conn_t *conn)
{
    conn->ended = true;
    net__close_ended(conn);
}

/* Delivers bytes that nothing waits before; only what the service left is copied. */
static void deliver_fresh(net_conn_t *conn, uint8_t *data, size_t len)
{
    size_t taken = deliver(conn, data, len);
    if (conn->state == CONN_DEAD) return;
    keep(conn, data + taken, len - taken);
    net__deadline_input(conn, true);
}

/* Reads into the net's scratch memory. */
static ssize_t read_fresh(net_conn_t *conn, size_t *ret_asked)
{
    net_t *net = conn->net;
    *ret_asked = sizeof(net->scratch);
    ssize_t n = io_stream_read(conn->stream, net->scratch, sizeof(net->scratch));
    if (n > 0) deliver_fresh(conn, net->scratch, (size_t)n);
    return n;
}

static bool has_room_behind(const net_conn_t *conn, size_t room)
{
    return conn->in.cap - conn->in.len >= MIN(room, (size_t)NET_CHUNK_BYTES);
}

/* ERR_AGAIN: many made room in this turn; the stream tells again in the next. */
static int make_room_behind(net_conn_t *conn, size_t room)
{
    if (has_room_behind(conn, room)) return 0;
    if (conn->net->turn_moved_bytes > TURN_MOVED_BYTES_MAX) return ERR_AGAIN;
    conn->net->turn_moved_bytes += conn->in.len;
    return reserve(conn, room);
}

/* Reads behind the bytes that wait for the rest of their frame. */
static ssize_t read_more(net_conn_t *conn, size_t bytes_max, size_t *ret_asked)
{
    size_t waiting = net_conn_in_bytes(conn);
    size_t room = conn->expect_bytes > waiting ? room_ahead(conn, waiting) : NET_CHUNK_BYTES;
    size_t bound = conn->def->limits.in_bytes_max;
    if (waiting >= bound) return ERR_LIMIT;
    int err = make_room_behind(conn, MIN(room, bound - waiting));
    if (err) return err;
    net__count_input(conn);
    if (conn->state == CONN_DEAD) return ERR_CLOSED;
    *ret_asked = MIN(MIN(conn->in.cap - conn->in.len, bound - waiting), bytes_max);
    ssize_t n = io_stream_read(conn->stream, conn->in.ptr + conn->in.len, *ret_asked);
    if (n <= 0) return n;
    conn->in.len += (size_t)n;
    if (net_conn_in_bytes(conn) >= conn->expect_bytes) net__deliver_kept(conn);
    return n;
}

/* Behind those that wait, as far as the frame goes that is awaited: the room was made for it. Returns how many bytes. */
static size_t append_input(net_conn_t *conn, const uint8_t *data, size_t len)
{
    size_t waiting = net_conn_in_bytes(conn);
    size_t n = conn->expect_bytes > waiting ? MIN(len, conn->expect_bytes - waiting) : len;
    bool fits = conn->in.cap - conn->in.len >= n;
    if (waiting >= conn->def->limits.in_bytes_max || (!fits && reserve(conn, MAX(n, room_ahead(conn, waiting))) != 0)) {
        net__kill(conn);
        return len;
    }
    buf_append(&conn->in, data, n);
    net__count_input(conn);
    if (conn->state != CONN_DEAD && waiting + n >= conn->expect_bytes) net__deliver_kept(conn);
    return n;
}

/* As read_fresh and read_more, with bytes that are here already: behind those that wait they may pass the limit by what a
 * carrier reads ahead. */
void net__take_input(net_conn_t *conn, uint8_t *data, size_t len)
{
    size_t used = 0;
    while (used < len && conn->state < CONN_DEAD && net_conn_in_bytes(conn))
        used += append_input(conn, data + used, len - used);
    if (used < len && conn->state < CONN_DEAD) deliver_fresh(conn, data + used, len - used);
}

/* How much a connection may read in this turn, judged by how many read in the one before. */
static size_t read_share(net_t *net)
{
    net->readers++;
    return MAX(TURN_READ_BYTES / MAX(net->readers_before, 1u), TURN_READ_SHARE_MIN);
}

/* *ret_more: the stream gave as much as was asked for. */
static ssize_t read_once(net_conn_t *conn, size_t bytes_max, bool *ret_more)
{
    size_t asked = 0;
    if (conn->tls) return net__secure_read(conn, ret_more);
    ssize_t n = net_conn_in_bytes(conn) ? read_more(conn, bytes_max, &asked) : read_fresh(conn, &asked);
    *ret_more = n >= 0 && (size_t)n == asked;
    return n;
}

static void read_input(net_conn_t *conn)
{
    size_t share = read_share(conn->net), bytes = 0;
    for (int round = 0; round < READ_ROUNDS_MAX && conn->state == CONN_OPEN && has_room(conn) && bytes < share;
         round++) {
        bool more = false;
        ssize_t n = read_once(conn, share - bytes, &more);
        if (n == ERR_AGAIN) break;
        if (n < 0) {
            net__kill(conn);
            return;
        }
        if (n == 0) { /* replies that are due still go out */
            net__input_ended(conn);
            break;
        }
        bytes += (size_t)n;
        conn->stats->in_bytes += (uint64_t)n;
        conn->active_ms = net__now_ms(conn->net);
        if (!more) break;
    }
    net__update_watch(conn);
}

/* ---- readiness -------------------------------------------------------------------------------------------------------- */

static void on_connected(net_conn_t *conn, unsigned events)
{
    if (events & IO_READABLE) { /* refused, or data that came at once: a read tells */
        ssize_t n = io_stream_read(conn->stream, conn->net->scratch, sizeof(conn->net->scratch));
        if (n <= 0 && n != ERR_AGAIN) {
            net__kill(conn);
            return;
        }
        if (n > 0) keep(conn, conn->net->scratch, (size_t)n);
    }
    net__open(conn);
    if (conn->in.len) net__queue_input(conn);
    net__queue_work(conn);
}

void net__on_ready(void *user, unsigned events)
{
    net_conn_t *conn = user;
    if (conn->state == CONN_CONNECTING) {
        on_connected(conn, events);
        return;
    }
    if (events & IO_WRITABLE && conn->blocked) {
        conn->blocked = false;
        net__queue_work(conn);
    }
    if (events & IO_READABLE && conn->state == CONN_OPEN) read_input(conn);
}

/* deadline.c: peers that stop in the middle: of the handshakes, TLS' and the protocol's, or of a frame. Whoever is silent between two frames is no concern of
 * this file.
 *
 * A frame is unfinished while the service left bytes of it and would take more. Within frame_ms it must end or grow by
 * PROGRESS_BYTES: a large one on a slow line has all the time it needs, one byte now and then does not help.
 *
 * The timer is not touched by each frame: it is armed when there is something to wait for and it is not, and looks, when it
 * fires, at what is the case by then. */
#include "net/net_internal.h"

#define PROGRESS_BYTES  1024
#define HANDSHAKE_TIMES 6 /* of handshake_ms, for who is slow but never silent so long */

static void late(net_conn_t *conn, net_event_t event)
{
    conn->net->totals.late++;
    net__tell(conn->net, event, conn, net_conn_in_bytes(conn));
    net__kill(conn);
}

static void look_at_shaking(net_conn_t *conn, uint64_t now_ms)
{
    uint64_t passed_ms = now_ms - conn->shaking_since_ms;
    if (passed_ms >= NET_TLS_HANDSHAKE_MS)
        late(conn, NET_EVENT_HANDSHAKE_LATE);
    else
        io_timer_start(&conn->deadline, NET_TLS_HANDSHAKE_MS - passed_ms, 0);
}

static void look_at_handshake(net_conn_t *conn, uint64_t now_ms)
{
    uint64_t silent_ms = now_ms - conn->active_ms, limit_ms = conn->def->limits.handshake_ms;
    if (silent_ms >= limit_ms || now_ms - conn->opened_ms >= HANDSHAKE_TIMES * limit_ms)
        late(conn, NET_EVENT_HANDSHAKE_LATE);
    else
        io_timer_start(&conn->deadline, limit_ms - silent_ms, 0);
}

/* A record of which some came is the middle of something, too. */
static size_t unfinished(const net_conn_t *conn) { return net_conn_in_bytes(conn) + conn->held_bytes; }

static void look_at_frame(net_conn_t *conn, uint64_t now_ms)
{
    uint64_t limit_ms = conn->def->limits.frame_ms;
    if (!net__may_deliver(conn)) conn->frame_since_ms = 0;
    if (!conn->frame_since_ms) return;
    uint64_t passed_ms = now_ms - conn->frame_since_ms;
    if (passed_ms >= limit_ms) {
        if (unfinished(conn) < conn->frame_bytes + PROGRESS_BYTES) {
            late(conn, NET_EVENT_FRAME_LATE);
            return;
        }
        conn->frame_since_ms = now_ms;
        conn->frame_bytes = unfinished(conn);
        passed_ms = 0;
    }
    io_timer_start(&conn->deadline, limit_ms - passed_ms, 0);
}

static bool awaits_handshake(const net_conn_t *conn) { return conn->def->limits.handshake_ms && !conn->greeted; }

static void on_deadline(io_timer_t *timer)
{
    net_conn_t *conn = CONTAINER_OF(timer, net_conn_t, deadline);
    uint64_t now_ms = net__now_ms(conn->net);
    if (conn->state != CONN_OPEN) return;
    if (conn->tls_state == TLS_SHAKING)
        look_at_shaking(conn, now_ms);
    else if (awaits_handshake(conn))
        look_at_handshake(conn, now_ms);
    else
        look_at_frame(conn, now_ms);
}

void net__deadline_init(net_conn_t *conn) { io_timer_init(conn->net->loop, &conn->deadline, on_deadline); }

void net__deadline_opened(net_conn_t *conn)
{
    if (awaits_handshake(conn) && conn->tls_state != TLS_SHAKING)
        io_timer_start(&conn->deadline, conn->def->limits.handshake_ms, 0);
}

void net__deadline_shaking(net_conn_t *conn)
{
    conn->shaking_since_ms = net__now_ms(conn->net);
    io_timer_start(&conn->deadline, NET_TLS_HANDSHAKE_MS, 0);
}

void net__deadline_input(net_conn_t *conn, bool frame_ended)
{
    uint32_t frame_ms = conn->def->limits.frame_ms;
    size_t waiting = unfinished(conn);
    if (LIKELY(waiting == 0) || !net__may_deliver(conn)) {
        conn->frame_since_ms = 0;
        return;
    }
    if (!frame_ms || (conn->frame_since_ms && !frame_ended)) return;
    conn->frame_since_ms = net__now_ms(conn->net);
    conn->frame_bytes = waiting;
    if (!conn->deadline.due_ns) io_timer_start(&conn->deadline, frame_ms, 0);
}

void net_greeted(net_conn_t *conn) { conn->greeted = true; }

/* quorum_net.c: see quorum_net.h.
 *
 *   hello: 8 bytes "TRVPEER1", u64 id of the sender     then frames: u32 length, bytes (quorum_wire.c)
 *   back: one byte a frame received
 *
 * A server that lost power says nothing, and TCP may take minutes to notice: a connection on which frames stay unanswered is
 * given up and made anew. */
#include "coord/raft/quorum_net.h"

#define HELLO           "TRVPEER1"
#define HELLO_BYTES     16
#define FRAME_BYTES_MAX MIB(64) /* entries up to QUORUM_APPEND_BYTES_AIM and one more, or a piece of a snapshot */
#define OUT_BYTES_MAX   MIB(64) /* unsent to one server: more is dropped */
#define RETRY_MS        200
#define CONNECT_MS_MAX  1000
#define SILENCE_MS_MAX  1500 /* frames unanswered for so long: the connection is dead */

typedef struct peer {
    quorum_net_t *qn;
    uint64_t id;
    char *host;
    uint16_t port;
    net_conn_t *conn;
    bool open;
    uint64_t unanswered;    /* frames */
    uint64_t waiting_since; /* ms; since the last answer, or since the first of them */
    io_timer_t retry;
} peer_t;

typedef struct link { /* an incoming connection */
    list_t node;
    quorum_net_t *qn;
    uint64_t from; /* 0 until its hello */
} link_t;

struct quorum_net {
    quorum_transport_t transport;
    net_t *net;
    uint64_t self;
    quorum_t *quorum;
    net_listener_t *listener;
    peer_t *peers;
    int peers_count;
    bool closing;
};

/* They outlive every net: a connection may be closed after we are gone. */
static const net_service_t incoming, outgoing;

/* ---- sending ------------------------------------------------------------------------------------------------------- */

static void connect_peer(peer_t *peer)
{
    if (peer->qn->closing || peer->conn) return;
    if (net_connect(peer->qn->net, peer->host, peer->port, &outgoing, peer, &peer->conn) == 0) {
        net_conn_set_user(peer->conn, peer);
        io_timer_start(&peer->retry, CONNECT_MS_MAX, 0);
        return;
    }
    peer->conn = NULL;
    io_timer_start(&peer->retry, RETRY_MS, 0);
}

static void retry(io_timer_t *timer)
{
    peer_t *peer = CONTAINER_OF(timer, peer_t, retry);
    if (peer->conn) { /* it never opened */
        net_conn_set_user(peer->conn, NULL);
        net_close_now(peer->conn);
        peer->conn = NULL;
    }
    connect_peer(peer);
}

static int outgoing_open(net_conn_t *conn, void *user)
{
    peer_t *peer = user;
    uint8_t hello[HELLO_BYTES];
    memcpy(hello, HELLO, 8);
    store_be64(hello + 8, peer->qn->self);
    net_write(conn, hello, sizeof(hello));
    peer->open = true;
    peer->unanswered = 0;
    io_timer_stop(&peer->retry);
    return 0;
}

static uint64_t now_ms(const peer_t *peer) { return io_now_ns(net_loop(peer->qn->net)) / 1000000; }

static ssize_t outgoing_data(net_conn_t *conn, uint8_t *data, size_t len)
{
    peer_t *peer = net_conn_user(conn);
    if (!peer) return (ssize_t)len;
    peer->unanswered -= MIN(peer->unanswered, (uint64_t)len);
    peer->waiting_since = now_ms(peer);
    return (ssize_t)len;
}

static void outgoing_close(net_conn_t *conn)
{
    peer_t *peer = net_conn_user(conn);
    if (!peer || peer->qn->closing) return;
    peer->conn = NULL;
    peer->open = false;
    io_timer_start(&peer->retry, RETRY_MS, 0);
}

static void send_frame(quorum_transport_t *transport, uint64_t server_id, const char *address, bytes_t frame)
{
    quorum_net_t *qn = CONTAINER_OF(transport, quorum_net_t, transport);
    for (int i = 0; i < qn->peers_count; i++) {
        peer_t *peer = &qn->peers[i];
        if (peer->id != server_id || !peer->open) continue;
        if (peer->unanswered > 0 && now_ms(peer) - peer->waiting_since > SILENCE_MS_MAX) {
            net_close_now(peer->conn);
            continue;
        }
        if (net_conn_out_bytes(peer->conn) > OUT_BYTES_MAX) continue;
        if (peer->unanswered++ == 0) peer->waiting_since = now_ms(peer);
        uint8_t head[4];
        store_be32(head, (uint32_t)frame.len);
        net_write(peer->conn, head, sizeof(head));
        net_write(peer->conn, frame.ptr, frame.len);
    }
}

/* ---- receiving ----------------------------------------------------------------------------------------------------- */

static int incoming_open(net_conn_t *conn, void *user)
{
    link_t *l = mem_zalloc(sizeof(*l));
    l->qn = user;
    net_conn_set_user(conn, l);
    return 0;
}

static bool member(const quorum_net_t *qn, uint64_t id)
{
    for (int i = 0; i < qn->peers_count; i++) {
        if (qn->peers[i].id == id) return true;
    }
    return false;
}

static ssize_t incoming_data(net_conn_t *conn, uint8_t *data, size_t len)
{
    link_t *l = net_conn_user(conn);
    size_t used = 0;
    if (l->from == 0) {
        if (len < HELLO_BYTES) return 0;
        if (memcmp(data, HELLO, 8) != 0 || !member(l->qn, load_be64(data + 8))) return ERR_INVALID;
        l->from = load_be64(data + 8);
        used = HELLO_BYTES;
    }
    while (len - used >= 4) {
        size_t bytes = load_be32(data + used);
        if (bytes > FRAME_BYTES_MAX) return ERR_LIMIT;
        if (len - used < 4 + bytes) {
            net_expect(conn, 4 + bytes);
            break;
        }
        if (l->qn->quorum) quorum_receive(l->qn->quorum, l->from, bytes_of(data + used + 4, bytes));
        used += 4 + bytes;
        net_write(conn, "", 1);
    }
    return (ssize_t)used;
}

static void incoming_close(net_conn_t *conn) { mem_free(net_conn_user(conn)); }

#define LIMITS                                                                                                         \
    {                                                                                                                  \
        .in_bytes_max = FRAME_BYTES_MAX + 4, .out_bytes_high = FRAME_BYTES_MAX * 2,                                    \
        .out_bytes_max = FRAME_BYTES_MAX * 2, .conns_max = 1024                                                        \
    }

static const net_service_t incoming = {
    .name = "raft", .on_open = incoming_open, .on_data = incoming_data, .on_close = incoming_close, .limits = LIMITS};
static const net_service_t outgoing = {.name = "raft-out",
                                       .on_open = outgoing_open,
                                       .on_data = outgoing_data,
                                       .on_close = outgoing_close,
                                       .limits = LIMITS};

/* ---- life ---------------------------------------------------------------------------------------------------------- */

static void add_peer(quorum_net_t *qn, const quorum_peer_t *member_of)
{
    peer_t *peer = &qn->peers[qn->peers_count++];
    *peer = (peer_t){.qn = qn, .id = member_of->id, .host = mem_strdup(member_of->host), .port = member_of->port};
    io_timer_init(net_loop(qn->net), &peer->retry, retry);
}

int quorum_net_new(net_t *net, uint64_t self, const quorum_peer_t *members, int members_count, quorum_net_t **ret_net)
{
    quorum_net_t *qn = mem_zalloc(sizeof(*qn));
    qn->transport.send = send_frame;
    qn->net = net;
    qn->self = self;
    qn->peers = mem_zalloc((size_t)members_count * sizeof(peer_t));
    int err = ERR_NOT_FOUND;
    for (int i = 0; i < members_count; i++) {
        if (members[i].id == self) {
            err = net_listen(net, members[i].host, members[i].port, &incoming, qn, &qn->listener);
        } else {
            add_peer(qn, &members[i]);
        }
    }
    if (err) {
        quorum_net_free(qn);
        return err;
    }
    for (int i = 0; i < qn->peers_count; i++) connect_peer(&qn->peers[i]);
    *ret_net = qn;
    return 0;
}

void quorum_net_attach(quorum_net_t *qn, quorum_t *quorum) { qn->quorum = quorum; }
quorum_transport_t *quorum_net_transport(quorum_net_t *qn) { return &qn->transport; }

static void drop(void *user, net_conn_t *conn)
{
    link_t *l = net_conn_user(conn);
    l->qn = user;
    net_close_now(conn);
}

/* The net outlives it, and calls on_close of what is closed here later: those must find nothing of ours. */
void quorum_net_free(quorum_net_t *qn)
{
    qn->closing = true;
    qn->quorum = NULL;
    if (qn->listener) net_listener_close(qn->listener);
    net_each(qn->net, &incoming, drop, qn);
    for (int i = 0; i < qn->peers_count; i++) {
        peer_t *peer = &qn->peers[i];
        io_timer_stop(&peer->retry);
        if (peer->conn) {
            net_conn_set_user(peer->conn, NULL);
            net_close_now(peer->conn);
        }
        mem_free(peer->host);
    }
    mem_free(qn->peers);
    mem_free(qn);
}

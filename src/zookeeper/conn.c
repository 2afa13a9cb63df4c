/* conn.c: a client's connection: accepting, cutting frames, letting go. Called by src/net.
 *
 *   open ──4 letters──> answered, closed
 *     └──ConnectRequest──> waits for its session ──> connected ──frames──> closed (the session lives until it expires) */
#include "zookeeper/zookeeper_internal.h"

/* The address has its fill. */
static bool address_is_full(const zookeeper_t *zk, const net_conn_t *net)
{
    return zk->config.conns_per_ip_max > 0 && net_conn_siblings(net) > (uint32_t)zk->config.conns_per_ip_max;
}

int zk__on_open(net_conn_t *net, void *service)
{
    zookeeper_t *zk = service;
    if (address_is_full(zk, net)) {
        zk->connection_rejected++;
        return ERR_LIMIT;
    }
    zk_conn_t *conn = mem_zalloc(sizeof(*conn));
    conn->zookeeper = zk;
    conn->net = net;
    conn->last_op = "NA";
    conn->last_cxid = -1;
    conn->established_ms = io_wall_ms(zk->loop);
    list_init(&conn->requests);
    list_init(&conn->unfinished_node);
    list_push_back(&zk->conns, &conn->node);
    zk->conns_count++;
    coord_watcher_init(&conn->watcher, zk__notify);
    zk__auth_add(conn, BYTES_LIT("ip"), net_conn_host(net));
    net_conn_set_user(net, conn);
    return 0;
}

static bytes_t session_key(const int64_t *id) { return bytes_of(id, sizeof(*id)); }

zk_conn_t *zk__conn_of_session(const zookeeper_t *zk, int64_t session_id)
{
    return map_get(&zk->by_session, session_key(&session_id));
}

void zk__conn_bind(zk_conn_t *conn, int64_t session_id)
{
    ASSERT(session_id != 0 && conn->session_id == 0);
    conn->session_id = session_id;
    conn->watcher.session_id = session_id;
    map_put(&conn->zookeeper->by_session, session_key(&session_id), conn);
}

static void unbind(zk_conn_t *conn)
{
    if (conn->session_id == 0 || zk__conn_of_session(conn->zookeeper, conn->session_id) != conn) return;
    map_remove(&conn->zookeeper->by_session, session_key(&conn->session_id));
}

/* ---- what is left of a connection that is gone: its watches, which hear nothing any more ----------------------------------- */

static void hear_nothing(coord_watcher_t *watcher, coord_event_t type, bytes_t path, int64_t zxid) {}

static void leave(zk_conn_t *conn)
{
    zookeeper_t *zk = conn->zookeeper;
    if (coord_watcher_drop(zk->coord, &conn->watcher, ZK_WATCHES_SLICE)) {
        mem_free(conn);
        return;
    }
    conn->watcher.event = hear_nothing;
    conn->watcher.who = (coord_who_t){NULL, 0};
    list_push_back(&zk->leaving, &conn->node);
    io_timer_start(&zk->leaving_timer, 0, 0);
}

void zk__leaving_run(io_timer_t *timer)
{
    zookeeper_t *zk = CONTAINER_OF(timer, zookeeper_t, leaving_timer);
    zk_conn_t *conn = LIST_FIRST(&zk->leaving, zk_conn_t, node);
    io_turn_note(zk->loop, "zookeeper: watches of a connection that is gone");
    list_remove(&conn->node);
    leave(conn);
    if (!list_empty(&zk->leaving)) io_timer_start(timer, 0, 0);
}

void zk__leaving_end(zookeeper_t *zk)
{
    io_timer_stop(&zk->leaving_timer);
    LIST_EACH(&zk->leaving, conn, zk_conn_t, node) {
        coord_watcher_deinit(zk->coord, &conn->watcher);
        list_remove(&conn->node);
        mem_free(conn);
    }
}

void zk__on_close(net_conn_t *net)
{
    zk_conn_t *conn = net_conn_user(net);
    if (!conn) return; /* refused */
    zookeeper_t *zk = conn->zookeeper;
    unbind(conn);
    zk__requests_abandon(conn);
    zk__auth_drop(conn);
    ASSERT(list_empty(&conn->requests) && conn->pending == 0 && zk->conns_count > 0);
    list_remove(&conn->unfinished_node);
    list_remove(&conn->node);
    zk->conns_count--;
    leave(conn);
}

void zk__conn_close(zk_conn_t *conn)
{
    conn->closing = true;
    net_close(conn->net);
}

coord_who_t zk__who(const zk_conn_t *conn) { return (coord_who_t){conn->ids, conn->ids_count}; }

/* Any frame keeps the session alive; the tree is told once a tick. */
void zk__conn_touch(zk_conn_t *conn)
{
    zookeeper_t *zk = conn->zookeeper;
    uint64_t due_ms = io_now_ns(zk->loop) / 1000000 + (uint64_t)conn->timeout_ms;
    uint32_t bucket = (uint32_t)(due_ms / (uint64_t)zk->config.tick_time_ms) + 1;
    if (bucket == conn->touched_bucket) return;
    conn->touched_bucket = bucket;
    coord_session_touch(zk->coord, conn->session_id, conn->timeout_ms);
}

/* The session ended: expired, or closed by another connection. One whose own closeSession this is closes itself. */
void zk__session_closed(void *user, int64_t session_id)
{
    zookeeper_t *zk = user;
    zk_conn_t *conn = zk__conn_of_session(zk, session_id);
    zk->sessions_closed++;
    if (!conn) return;
    unbind(conn);
    if (!conn->closing) zk__conn_close(conn);
}

/* ---- frames -------------------------------------------------------------------------------------------------------- */

static ssize_t on_command(zk_conn_t *conn, const uint8_t *data, size_t len)
{
    if (!net_conn_is_stranger(conn->net) && len < zk__command_bytes(conn->zookeeper, data)) return 0;
    conn->received++;
    conn->zookeeper->received++;
    if (net_conn_is_stranger(conn->net))
        zk__refuse_word(conn);
    else
        zk__command(conn, data);
    zk__conn_close(conn);
    return (ssize_t)len;
}

static ssize_t on_first(zk_conn_t *conn, uint8_t *data, size_t len)
{
    if (zk__is_command(data)) return on_command(conn, data, len);
    uint32_t bytes = load_be32(data);
    if (bytes > MIN(ZK_CONNECT_BYTES_MAX, (uint32_t)conn->zookeeper->config.frame_bytes_max)) return ERR_LIMIT;
    if (len < ZK_FRAME_HEAD_BYTES + bytes) return 0;
    conn->received++;
    conn->zookeeper->received++;
    if (!zk__connect(conn, bytes_of(data + ZK_FRAME_HEAD_BYTES, bytes))) return ERR_INVALID;
    return (ssize_t)(ZK_FRAME_HEAD_BYTES + bytes);
}

static bool may_take(const zk_conn_t *conn)
{
    return !(conn->closing || conn->throttled || conn->reads_full || list_linked(&conn->unfinished_node) ||
             net_congested(conn->net));
}

/* The rest of what came is delivered anew, after others had their turn. */
static void yield_turn(zk_conn_t *conn)
{
    if (!may_take(conn)) return;
    net_pause(conn->net);
    net_resume(conn->net);
}

ssize_t zk__on_data(net_conn_t *net, uint8_t *data, size_t len)
{
    zk_conn_t *conn = net_conn_user(net);
    zookeeper_t *zk = conn->zookeeper;
    size_t used = 0;
    if (UNLIKELY(coord_is_applying(zk->coord))) {
        yield_turn(conn);
        return conn->closing ? (ssize_t)len : 0;
    }
    while (len - used >= ZK_FRAME_HEAD_BYTES && may_take(conn)) {
        if (!conn->connected) {
            if (conn->session_id != 0 || conn->pending > 0) break; /* its session is being made */
            ssize_t n = on_first(conn, data + used, len - used);
            if (n <= 0) return n < 0 ? n : (ssize_t)used;
            used += (size_t)n;
            continue;
        }
        uint32_t bytes = load_be32(data + used);
        if (bytes > (uint32_t)zk->config.frame_bytes_max) return ERR_LIMIT;
        if (len - used < ZK_FRAME_HEAD_BYTES + bytes) {
            net_expect(net, ZK_FRAME_HEAD_BYTES + bytes);
            break;
        }
        conn->received++;
        zk->received++;
        if (!zk__request(conn, bytes_of(data + used + ZK_FRAME_HEAD_BYTES, bytes))) return ERR_INVALID;
        used += ZK_FRAME_HEAD_BYTES + bytes;
        if (UNLIKELY(io_turn_spent(zk->loop))) {
            yield_turn(conn);
            break;
        }
    }
    if (conn->connected && used > 0) zk__conn_touch(conn);
    return conn->closing ? (ssize_t)len : (ssize_t)used;
}

/* connect.c: the handshake: a new session, or the resumption of one by id and password.
 *
 * The request is 44 bytes, 45 with the readOnly byte that newer clients send and expect back. A session that is unknown,
 * expired or not this client's is answered with timeout 0, session 0 and a password of zeros, and the connection closes. */
#include "zookeeper/zookeeper_internal.h"

static void answer(zk_conn_t *conn, int32_t timeout_ms, int64_t session_id, bytes_t passwd)
{
    zk_connect_response_t response = {0, timeout_ms, session_id, passwd};
    size_t bytes = zk_connect_response_size(&response) + (conn->with_read_only ? 1 : 0);
    uint8_t *frame = net_reserve(conn->net, ZK_FRAME_HEAD_BYTES + bytes);
    store_be32(frame, (uint32_t)bytes);
    uint8_t *at = zk_connect_response_put(frame + ZK_FRAME_HEAD_BYTES, &response);
    if (conn->with_read_only) jute_put_bool(at, false); /* this server is never read-only */
    net_commit(conn->net, ZK_FRAME_HEAD_BYTES + bytes);
    conn->sent++;
    conn->zookeeper->sent++;
}

static void refuse(zk_conn_t *conn)
{
    static const uint8_t zeros[COORD_PASSWD_BYTES];
    answer(conn, 0, 0, bytes_of(zeros, sizeof(zeros)));
    zk__conn_close(conn);
}

static void accept(zk_conn_t *conn, int64_t session_id, bytes_t passwd)
{
    conn->connected = true;
    conn->last_op = "SESS";
    answer(conn, conn->timeout_ms, session_id, passwd);
    zk__conn_touch(conn);
}

static void session_made(coord_write_t *write, const coord_result_t *result)
{
    zk_request_t *request = CONTAINER_OF(write, zk_request_t, write);
    zk_conn_t *conn = request->conn;
    uint64_t took_ns = io_now_ns(request->zookeeper->loop) - request->started_ns;
    zk__latency_add(&request->zookeeper->latency, took_ns);
    zk__latency_add(&request->zookeeper->update_latency, took_ns);
    zk__request_free(request);
    if (!conn || conn->closing) return; /* the session expires by itself */
    if (result->err != ZOK) {
        zk__conn_close(conn);
        return;
    }
    zk__conn_bind(conn, result->session_id);
    accept(conn, result->session_id, bytes_of(result->passwd, COORD_PASSWD_BYTES));
    net_resume(conn->net);
}

static void resume(zk_conn_t *conn, int64_t session_id, bytes_t passwd)
{
    zookeeper_t *zk = conn->zookeeper;
    if (!coord_session_valid(zk->coord, session_id, passwd)) {
        refuse(conn);
        return;
    }
    zk_conn_t *older = zk__conn_of_session(zk, session_id);
    if (older) zk__conn_close(older);
    zk__conn_bind(conn, session_id);
    accept(conn, session_id, passwd);
}

bool zk__connect(zk_conn_t *conn, bytes_t frame)
{
    zookeeper_t *zk = conn->zookeeper;
    zk_connect_request_t request;
    if (net_conn_is_stranger(conn->net)) {
        net_refuse_stranger(conn->net); /* the answer has no place for a reason: the log says it */
        return false;
    }
    jute_reader_t r = jute_reader(frame, NULL);
    zk_connect_request_get(&r, &request);
    if (r.bad) return false;
    conn->with_read_only = jute_left(&r) > 0;
    if (request.last_zxid_seen > coord_last_zxid(zk->coord)) return false; /* it knows a future we do not */
    conn->timeout_ms = MIN(MAX(request.time_out, zk->config.session_timeout_ms_min), zk->config.session_timeout_ms_max);
    net_greeted(conn->net);
    if (request.session_id != 0) {
        resume(conn, request.session_id, request.passwd);
        return true;
    }
    zk_request_t *pending = zk__request_new(conn, 0, ZK_OP_CREATE_SESSION);
    net_pause(conn->net);
    coord_session_create(zk->coord, conn->timeout_ms, &pending->write, session_made);
    return true;
}

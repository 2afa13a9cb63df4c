/* op_session.c: what concerns the session and the connection: ping, sync, auth, sasl, whoAmI, closeSession. */
#include "zookeeper/zookeeper_internal.h"

void zk__op_ping(const zk_call_t *call) { zk__reply_err(call, ZOK); }

/* Its turn came behind everything proposed before it: request.c. Only a malformed one comes here without a path. */
void zk__op_sync(const zk_call_t *call)
{
    zk_path_request_t request = {0};
    if (!call->path) {
        zk__reply_err(call, ZMARSHALLING_ERROR);
        return;
    }
    jute_reader_t r = {call->path, call->path + 4, NULL, false};
    int32_t len = jute_get_int(&r);
    request.path = len < 0 ? BYTES_NULL : bytes_of(call->path + 4, (size_t)len);
    ZK_REPLY_RECORD(call, path_request, &request);
}

/* "ip" is known already, "digest" is proved by naming user and password: whoever knows them has the identity. */
static bool prove(const zk_call_t *call, const zk_auth_packet_t *packet)
{
    if (bytes_eq(packet->scheme, BYTES_LIT("ip"))) return true;
    if (bytes_eq(packet->scheme, BYTES_LIT("digest"))) return zk__auth_digest(call->conn, packet->auth);
    return false;
}

void zk__op_auth(const zk_call_t *call)
{
    zk_auth_packet_t packet;
    jute_reader_t r = zk__reader(call);
    zk_auth_packet_get(&r, &packet);
    if (!r.bad && prove(call, &packet)) {
        zk__reply_err(call, ZOK);
        return;
    }
    call->zookeeper->auth_failed++;
    zk__reply_err(call, ZAUTH_FAILED);
    zk__conn_close(call->conn);
}

/* As an original without SASL set up: for a token no token and no error, without one the end. */
void zk__op_sasl(const zk_call_t *call)
{
    zk_sasl_token_t request, response = {BYTES_NULL};
    jute_reader_t r = zk__reader(call);
    zk_sasl_token_get(&r, &request);
    if (r.bad || !request.token.ptr) {
        zk__conn_close(call->conn);
        return;
    }
    ZK_REPLY_RECORD(call, sasl_token, &response);
}

void zk__op_who_am_i(const zk_call_t *call)
{
    zk_conn_t *conn = call->conn;
    zk_client_info_t *infos = ARENA_ARRAY(&call->zookeeper->arena, zk_client_info_t, conn->ids_count + 1);
    for (int i = 0; i < conn->ids_count; i++) {
        bytes_t user = conn->ids[i].id;
        const uint8_t *colon = user.len ? memchr(user.ptr, ':', user.len) : NULL;
        if (bytes_eq(conn->ids[i].scheme, BYTES_LIT("digest")) && colon) user.len = (size_t)(colon - user.ptr);
        if (bytes_eq(conn->ids[i].scheme, BYTES_LIT("super"))) user = BYTES_NULL;
        infos[i] = (zk_client_info_t){conn->ids[i].scheme, user};
    }
    zk_who_am_i_t response = {infos, conn->ids_count};
    ZK_REPLY_RECORD(call, who_am_i, &response);
}

/* Made by the handshake alone: connect.c. */
void zk__op_create_session(const zk_call_t *call) { UNREACHABLE(); }

void zk__op_close_session(const zk_call_t *call)
{
    zk__reply_err(call, call->result->err);
    zk__conn_close(call->conn);
}

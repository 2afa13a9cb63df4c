/* reply.c: replies and notifications as frames, straight into the connection's output. */
#include "zookeeper/zookeeper_internal.h"

jute_reader_t zk__reader(const zk_call_t *call) { return jute_reader(call->body, &call->zookeeper->arena); }

/* Writes carry the zxid of what is applied now, which is their own; so do reads. */
static void put_head(const zk_call_t *call, uint8_t *frame, size_t body_bytes, int64_t zxid, int32_t err)
{
    store_be32(frame, (uint32_t)(ZK_REPLY_HEAD_BYTES - ZK_FRAME_HEAD_BYTES + body_bytes));
    store_be32(frame + 4, (uint32_t)call->xid);
    store_be64(frame + 8, (uint64_t)zxid);
    store_be32(frame + 16, (uint32_t)err);
}

/* auth is answered outside the order of zxids. */
static int64_t reply_zxid(const zk_call_t *call)
{
    return call->type == ZK_OP_AUTH || call->type == ZK_OP_SASL ? 0 : coord_last_zxid(call->zookeeper->coord);
}

uint8_t *zk__reply_begin(const zk_call_t *call, size_t body_bytes)
{
    uint8_t *frame = net_reserve(call->conn->net, ZK_REPLY_HEAD_BYTES + body_bytes);
    put_head(call, frame, body_bytes, reply_zxid(call), ZOK);
    return frame + ZK_REPLY_HEAD_BYTES;
}

void zk__reply_end(const zk_call_t *call, size_t body_bytes)
{
    net_commit(call->conn->net, ZK_REPLY_HEAD_BYTES + body_bytes);
    zk__note_reply(call, reply_zxid(call), ZK_REPLY_HEAD_BYTES - ZK_FRAME_HEAD_BYTES + body_bytes);
}

void zk__reply_output(const zk_call_t *call, net_output_t *frame, uint8_t *head)
{
    size_t body_bytes = frame->bytes - ZK_REPLY_HEAD_BYTES;
    put_head(call, head, body_bytes, reply_zxid(call), ZOK);
    net_write_output(call->conn->net, frame);
    zk__note_reply(call, reply_zxid(call), ZK_REPLY_HEAD_BYTES - ZK_FRAME_HEAD_BYTES + body_bytes);
}

void zk__reply_err(const zk_call_t *call, int32_t err)
{
    uint8_t *frame = net_reserve(call->conn->net, ZK_REPLY_HEAD_BYTES);
    put_head(call, frame, 0, reply_zxid(call), err);
    zk__reply_end(call, 0);
}

void zk__reply_bytes(const zk_call_t *call, bytes_t body)
{
    uint8_t *at = zk__reply_begin(call, body.len);
    if (body.len > 0) memcpy(at, body.ptr, body.len);
    zk__reply_end(call, body.len);
}

void zk__notify_conn(zk_conn_t *conn, int type, bytes_t path, int64_t zxid)
{
    zk_reply_header_t header = {ZK_XID_NOTIFICATION, zxid, 0};
    zk_watcher_event_t event = {type, ZK_STATE_SYNC_CONNECTED, path};
    size_t bytes = zk_reply_header_size(&header) + zk_watcher_event_size(&event);
    uint8_t *frame = net_reserve(conn->net, ZK_FRAME_HEAD_BYTES + bytes);
    store_be32(frame, (uint32_t)bytes);
    zk_watcher_event_put(zk_reply_header_put(frame + ZK_FRAME_HEAD_BYTES, &header), &event);
    net_commit(conn->net, ZK_FRAME_HEAD_BYTES + bytes);
    conn->sent++;
    conn->zookeeper->sent++;
}

void zk__notify(coord_watcher_t *watcher, coord_event_t type, bytes_t path, int64_t zxid)
{
    zk__notify_conn(CONTAINER_OF(watcher, zk_conn_t, watcher), type, path, zxid);
}

zk_stat_t zk__stat(const coord_stat_t *s)
{
    return (zk_stat_t){s->czxid,    s->mzxid,           s->ctime_ms,    s->mtime_ms,     s->version, s->cversion,
                       s->aversion, s->ephemeral_owner, s->data_length, s->num_children, s->pzxid};
}

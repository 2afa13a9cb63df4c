/* op_multi.c: multi (all or nothing) and multiRead (each for itself): a result for each part, then the end mark. The reply's
 * own error is 0 even when a part was refused. */
#include "zookeeper/zookeeper_internal.h"

#define MULTI_ERROR_TYPE (-1)

/* Parts are put one behind the other into a buffer of the arena's kind: their sizes are not known beforehand. */
typedef struct parts {
    buf_t buf;
} parts_t;

#define PART_PUT(parts, type, record)                                                                                  \
    do {                                                                                                               \
        size_t size_ = zk_##type##_size(record);                                                                       \
        zk_##type##_put(buf_reserve(&(parts)->buf, size_), record);                                                    \
        (parts)->buf.len += size_;                                                                                     \
    } while (0)

static void put_header(parts_t *parts, int32_t type, bool done, int32_t err)
{
    zk_multi_header_t header = {type, done, err};
    PART_PUT(parts, multi_header, &header);
}

static void put_error(parts_t *parts, int32_t err)
{
    zk_error_response_t response = {err};
    put_header(parts, MULTI_ERROR_TYPE, false, err);
    PART_PUT(parts, error_response, &response);
}

static void finish(const zk_call_t *call, parts_t *parts)
{
    put_header(parts, MULTI_ERROR_TYPE, true, -1);
    zk__reply_bytes(call, buf_bytes(&parts->buf));
    buf_deinit(&parts->buf);
}

static void put_result(parts_t *parts, const coord_result_t *result)
{
    zk_stat_t stat = zk__stat(&result->stat);
    switch (result->type) {
    case ZK_OP_CREATE: {
        zk_create_response_t response = {result->path};
        put_header(parts, ZK_OP_CREATE, false, 0);
        PART_PUT(parts, create_response, &response);
        return;
    }
    case ZK_OP_CREATE2:
    case ZK_OP_CREATE_TTL:
    case ZK_OP_CREATE_CONTAINER: {
        zk_create2_response_t response = {result->path, stat};
        put_header(parts, ZK_OP_CREATE2, false, 0);
        PART_PUT(parts, create2_response, &response);
        return;
    }
    case ZK_OP_SET_DATA: {
        zk_stat_response_t response = {stat};
        put_header(parts, ZK_OP_SET_DATA, false, 0);
        PART_PUT(parts, stat_response, &response);
        return;
    }
    default: put_header(parts, result->type, false, 0); /* delete, check */
    }
}

void zk__op_multi(const zk_call_t *call)
{
    const coord_result_t *result = call->result;
    parts_t parts = {BUF_INIT};
    if (result->err != ZOK) {
        zk__reply_err(call, result->err);
        return;
    }
    for (int32_t i = 0; i < result->parts_count; i++) {
        if (result->failed_index < 0)
            put_result(&parts, &result->parts[i]);
        else
            put_error(&parts, result->parts[i].err); /* 0 before the refused one, -2 behind it */
    }
    finish(call, &parts);
}

/* ---- multiRead ------------------------------------------------------------------------------------------------------- */

static void put_data(const zk_call_t *call, parts_t *parts, const zk_path_watch_request_t *request)
{
    coord_stat_t stat;
    bytes_t data;
    coord_zerr_t err = coord_read_data(call->zookeeper->coord, request->path, zk__who(call->conn),
                                       request->watch ? &call->conn->watcher : NULL, &data, &stat);
    if (err != ZOK) {
        put_error(parts, err);
        return;
    }
    zk_get_data_response_t response = {data, zk__stat(&stat)};
    put_header(parts, ZK_OP_GET_DATA, false, 0);
    PART_PUT(parts, get_data_response, &response);
}

static void put_children(const zk_call_t *call, parts_t *parts, const zk_path_watch_request_t *request)
{
    coord_stat_t stat;
    coord_children_t children;
    coord_zerr_t err = coord_read_children(call->zookeeper->coord, request->path, zk__who(call->conn),
                                           request->watch ? &call->conn->watcher : NULL, &children, &stat);
    if (err != ZOK) {
        put_error(parts, err);
        return;
    }
    put_header(parts, ZK_OP_GET_CHILDREN, false, 0);
    buf_be32(&parts->buf, (uint32_t)children.count);
    for (int32_t i = 0; i < children.count; i++) {
        bytes_t name = coord_children_next(&children);
        buf_be32(&parts->buf, (uint32_t)name.len);
        buf_append(&parts->buf, name.ptr, name.len);
    }
}

static void refuse_read(const zk_call_t *call, parts_t *parts)
{
    buf_deinit(&parts->buf);
    zk__reply_err(call, ZMARSHALLING_ERROR);
}

/* What the nodes' data will take, of which nothing is copied to find out; SIZE_MAX when it is too much. */
static size_t count_data(const zk_call_t *call)
{
    jute_reader_t r = zk__reader(call);
    size_t bytes = 0;
    for (;;) {
        zk_multi_header_t header;
        zk_path_watch_request_t request;
        coord_stat_t stat;
        bytes_t data;
        zk_multi_header_get(&r, &header);
        if (r.bad || header.done) return bytes;
        if (bytes > ZK_MULTI_READ_BYTES_MAX) return SIZE_MAX;
        zk_path_watch_request_get(&r, &request);
        if (r.bad || header.type != ZK_OP_GET_DATA) continue;
        if (coord_read_data(call->zookeeper->coord, request.path, zk__who(call->conn), NULL, &data, &stat) == ZOK)
            bytes += data.len;
    }
}

/* A small request may name a large node many times: what it would be answered has a bound. */
void zk__op_multi_read(const zk_call_t *call)
{
    jute_reader_t r = zk__reader(call);
    parts_t parts = {BUF_INIT};
    size_t bytes = count_data(call);
    if (bytes == SIZE_MAX || buf_try_reserve(&parts.buf, bytes)) {
        refuse_read(call, &parts);
        return;
    }
    for (;;) {
        zk_multi_header_t header;
        zk_path_watch_request_t request;
        zk_multi_header_get(&r, &header);
        if (!r.bad && header.done) break;
        zk_path_watch_request_get(&r, &request);
        if (r.bad || (header.type != ZK_OP_GET_DATA && header.type != ZK_OP_GET_CHILDREN) ||
            parts.buf.len > ZK_MULTI_READ_BYTES_MAX) {
            refuse_read(call, &parts);
            return;
        }
        if (header.type == ZK_OP_GET_DATA)
            put_data(call, &parts, &request);
        else
            put_children(call, &parts, &request);
    }
    finish(call, &parts);
}

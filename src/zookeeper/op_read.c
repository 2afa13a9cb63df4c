/* op_read.c: what reads the tree: exists, getData, getChildren, getACL and their kin. */
#include "zookeeper/zookeeper_internal.h"

static bool read_path_watch(const zk_call_t *call, zk_path_watch_request_t *ret_request, coord_watcher_t **ret_watcher)
{
    jute_reader_t r = zk__reader(call);
    zk_path_watch_request_get(&r, ret_request);
    *ret_watcher = ret_request->watch ? &call->conn->watcher : NULL;
    if (r.bad) zk__reply_err(call, ZMARSHALLING_ERROR);
    return !r.bad;
}

static bool read_path(const zk_call_t *call, bytes_t *ret_path)
{
    zk_path_request_t request;
    jute_reader_t r = zk__reader(call);
    zk_path_request_get(&r, &request);
    *ret_path = request.path;
    if (r.bad) zk__reply_err(call, ZMARSHALLING_ERROR);
    return !r.bad;
}

void zk__op_exists(const zk_call_t *call)
{
    zk_path_watch_request_t request;
    coord_watcher_t *watcher;
    coord_stat_t stat;
    if (!read_path_watch(call, &request, &watcher)) return;
    coord_zerr_t err = coord_read_exists(call->zookeeper->coord, request.path, zk__who(call->conn), watcher, &stat);
    if (err != ZOK) {
        zk__reply_err(call, err);
        return;
    }
    zk_stat_response_t response = {zk__stat(&stat)};
    ZK_REPLY_RECORD(call, stat_response, &response);
}

void zk__op_get_data(const zk_call_t *call)
{
    zk_path_watch_request_t request;
    coord_watcher_t *watcher;
    coord_stat_t stat;
    bytes_t data;
    if (!read_path_watch(call, &request, &watcher)) return;
    coord_zerr_t err =
        coord_read_data(call->zookeeper->coord, request.path, zk__who(call->conn), watcher, &data, &stat);
    if (err != ZOK) {
        zk__reply_err(call, err);
        return;
    }
    zk_get_data_response_t response = {data, zk__stat(&stat)};
    ZK_REPLY_RECORD(call, get_data_response, &response);
}

static void reply_children(const zk_call_t *call, bool with_stat)
{
    zk_path_watch_request_t request;
    coord_watcher_t *watcher;
    coord_stat_t coord_stat;
    coord_children_t children;
    if (!read_path_watch(call, &request, &watcher)) return;
    if (UNLIKELY(zk__listing_run(call, &request, with_stat))) return;
    coord_zerr_t err =
        coord_read_children(call->zookeeper->coord, request.path, zk__who(call->conn), watcher, &children, &coord_stat);
    if (err != ZOK) {
        zk__reply_err(call, err);
        return;
    }
    zk_stat_t stat = zk__stat(&coord_stat);
    size_t bytes = 4 + children.jute_bytes + (with_stat ? zk_stat_size(&stat) : 0);
    uint8_t *at = jute_put_int(zk__reply_begin(call, bytes), children.count);
    for (int32_t i = 0; i < children.count; i++) at = jute_put_bytes(at, coord_children_next(&children));
    if (with_stat) zk_stat_put(at, &stat);
    zk__reply_end(call, bytes);
}

void zk__op_get_children(const zk_call_t *call) { reply_children(call, false); }
void zk__op_get_children2(const zk_call_t *call) { reply_children(call, true); }

/* Who may read but not administer does not see the hashes of passwords: "user:x". */
static zk_acl_t masked(const zk_call_t *call, const zk_acl_t *acl)
{
    zk_acl_t shown = *acl;
    const uint8_t *colon = acl->id.id.len ? memchr(acl->id.id.ptr, ':', acl->id.id.len) : NULL;
    if (!bytes_eq(acl->id.scheme, BYTES_LIT("digest")) || !colon) return shown;
    size_t user_len = (size_t)(colon - acl->id.id.ptr);
    uint8_t *text = arena_alloc(&call->zookeeper->arena, user_len + 2);
    memcpy(text, acl->id.id.ptr, user_len);
    memcpy(text + user_len, ":x", 2);
    shown.id.id = bytes_of(text, user_len + 2);
    return shown;
}

void zk__op_get_acl(const zk_call_t *call)
{
    const zk_acl_t *acl;
    int32_t count;
    bool mask;
    coord_stat_t stat;
    bytes_t path;
    if (!read_path(call, &path)) return;
    coord_zerr_t err = coord_read_acl(call->zookeeper->coord, path, zk__who(call->conn), &acl, &count, &mask, &stat);
    if (err != ZOK) {
        zk__reply_err(call, err);
        return;
    }
    zk_acl_t *shown = ARENA_ARRAY(&call->zookeeper->arena, zk_acl_t, count + 1);
    for (int32_t i = 0; i < count; i++) shown[i] = mask ? masked(call, &acl[i]) : acl[i];
    zk_get_acl_response_t response = {shown, count, zk__stat(&stat)};
    ZK_REPLY_RECORD(call, get_acl_response, &response);
}

void zk__op_get_all_children_number(const zk_call_t *call)
{
    bytes_t path;
    zk_get_all_children_number_response_t response;
    if (!read_path(call, &path)) return;
    coord_zerr_t err =
        coord_read_descendants(call->zookeeper->coord, path, zk__who(call->conn), &response.total_number);
    if (err != ZOK)
        zk__reply_err(call, err);
    else
        ZK_REPLY_RECORD(call, get_all_children_number_response, &response);
}

typedef struct ephemerals {
    bytes_t prefix;
    buf_t names;
    uint32_t count;
} ephemerals_t;

static void add_ephemeral(void *user, bytes_t path)
{
    ephemerals_t *e = user;
    if (path.len < e->prefix.len) return;
    if (e->prefix.len > 0 && memcmp(path.ptr, e->prefix.ptr, e->prefix.len) != 0) return;
    jute_put_bytes(buf_reserve(&e->names, 4 + path.len), path);
    e->names.len += 4 + path.len;
    e->count++;
}

void zk__op_get_ephemerals(const zk_call_t *call)
{
    ephemerals_t e = {BYTES_NULL, BUF_INIT, 0};
    if (!read_path(call, &e.prefix)) return;
    if (bytes_eq(e.prefix, BYTES_LIT("/"))) e.prefix = BYTES_NULL;
    buf_be32(&e.names, 0);
    coord_read_ephemerals(call->zookeeper->coord, call->conn->session_id, add_ephemeral, &e);
    store_be32(e.names.ptr, e.count);
    zk__reply_bytes(call, buf_bytes(&e.names));
    buf_deinit(&e.names);
}

/* op_watch.c: watches as such: addWatch, checkWatches, removeWatches, and a reconnecting client's setWatches, which hears
 * first of what it missed. */
#include "zookeeper/zookeeper_internal.h"

enum { ADD_PERSISTENT = 0, ADD_RECURSIVE = 1 };

/* WatcherType. */
enum { TYPE_CHILDREN = 1, TYPE_DATA, TYPE_ANY, TYPE_PERSISTENT, TYPE_RECURSIVE };

static void add_persistent(const zk_call_t *call, bytes_t path)
{
    coord_t *coord = call->zookeeper->coord;
    coord_watch_add(coord, &call->conn->watcher, COORD_WATCH_DATA, path, COORD_WATCH_PERSISTENT);
    coord_watch_add(coord, &call->conn->watcher, COORD_WATCH_CHILDREN, path, COORD_WATCH_PERSISTENT);
}

static void add_recursive(const zk_call_t *call, bytes_t path)
{
    coord_watch_add(call->zookeeper->coord, &call->conn->watcher, COORD_WATCH_DATA, path, COORD_WATCH_RECURSIVE);
}

/* The reply has a body, an error code 0: without it the Java client waits for ever. */
void zk__op_add_watch(const zk_call_t *call)
{
    zk_add_watch_request_t request;
    zk_error_response_t response = {0};
    jute_reader_t r = zk__reader(call);
    zk_add_watch_request_get(&r, &request);
    if (r.bad || (request.mode != ADD_PERSISTENT && request.mode != ADD_RECURSIVE)) {
        zk__reply_err(call, ZMARSHALLING_ERROR);
        return;
    }
    if (request.mode == ADD_PERSISTENT)
        add_persistent(call, request.path);
    else
        add_recursive(call, request.path);
    ZK_REPLY_RECORD(call, error_response, &response);
}

typedef bool (*watch_each_t)(const zk_call_t *call, coord_watch_kind_t kind, bytes_t path, int mode);

static bool has(const zk_call_t *call, coord_watch_kind_t kind, bytes_t path, int mode)
{
    return coord_watch_has(call->zookeeper->coord, &call->conn->watcher, kind, path, mode);
}

static bool drop(const zk_call_t *call, coord_watch_kind_t kind, bytes_t path, int mode)
{
    return coord_watch_remove(call->zookeeper->coord, &call->conn->watcher, kind, path, mode);
}

/* Applies `each` to what a WatcherType means; true when any of it was there. -1: no such type. */
static int by_type(const zk_call_t *call, const zk_watch_type_request_t *request, watch_each_t each)
{
    bytes_t path = request->path;
    bool data, children;
    switch (request->type) {
    case TYPE_CHILDREN: return each(call, COORD_WATCH_CHILDREN, path, COORD_WATCH_STANDARD);
    case TYPE_DATA: return each(call, COORD_WATCH_DATA, path, COORD_WATCH_STANDARD);
    case TYPE_RECURSIVE: return each(call, COORD_WATCH_DATA, path, COORD_WATCH_RECURSIVE);
    case TYPE_PERSISTENT:
        children = each(call, COORD_WATCH_CHILDREN, path, COORD_WATCH_PERSISTENT);
        data = each(call, COORD_WATCH_DATA, path, COORD_WATCH_PERSISTENT);
        return children || data;
    case TYPE_ANY:
        children = each(call, COORD_WATCH_CHILDREN, path, 0);
        data = each(call, COORD_WATCH_DATA, path, 0);
        return children || data;
    }
    return -1;
}

static void reply_by_type(const zk_call_t *call, watch_each_t each)
{
    zk_watch_type_request_t request;
    jute_reader_t r = zk__reader(call);
    zk_watch_type_request_get(&r, &request);
    int found = r.bad ? -1 : by_type(call, &request, each);
    zk__reply_err(call, found < 0 ? ZMARSHALLING_ERROR : found ? ZOK : ZNO_WATCHER);
}

void zk__op_check_watches(const zk_call_t *call) { reply_by_type(call, has); }
void zk__op_remove_watches(const zk_call_t *call) { reply_by_type(call, drop); }

/* ---- setWatches -------------------------------------------------------------------------------------------------------- */

/* A turn's slice of the paths, counted over all lists. */
typedef struct slice {
    uint32_t at, from, until;
} slice_t;

static slice_t slice_of(const zk_call_t *call)
{
    uint32_t from = call->progress ? *call->progress : 0;
    bool all = !call->progress || call->hurry;
    return (slice_t){.from = from, .until = all ? UINT32_MAX : from + ZK_WATCHES_SLICE};
}

static bool is_due(slice_t *slice)
{
    uint32_t at = slice->at++;
    return at >= slice->from && at < slice->until;
}

/* True when all were due by now: the request may be answered. */
static bool slice_end(const zk_call_t *call, const slice_t *slice)
{
    if (slice->at <= slice->until) return true;
    *call->progress = slice->until;
    return false;
}

/* Each path either fires now, because it changed while the client was away, or is watched again. */
static void renew(const zk_call_t *call, slice_t *slice, const bytes_t *paths, int32_t count, coord_since_t what,
                  int64_t zxid)
{
    for (int32_t i = 0; i < count; i++) {
        if (!is_due(slice)) continue;
        int event = coord_changed_since(call->zookeeper->coord, paths[i], what, zxid);
        coord_watch_kind_t kind = what == COORD_SINCE_CHILDREN ? COORD_WATCH_CHILDREN : COORD_WATCH_DATA;
        if (event != 0)
            zk__notify_conn(call->conn, event, paths[i], -1);
        else
            coord_watch_add(call->zookeeper->coord, &call->conn->watcher, kind, paths[i], COORD_WATCH_STANDARD);
    }
}

static void renew_standard(const zk_call_t *call, slice_t *slice, const zk_set_watches_t *request)
{
    renew(call, slice, request->data_watches, request->data_watches_count, COORD_SINCE_DATA, request->relative_zxid);
    renew(call, slice, request->exist_watches, request->exist_watches_count, COORD_SINCE_EXISTS,
          request->relative_zxid);
    renew(call, slice, request->child_watches, request->child_watches_count, COORD_SINCE_CHILDREN,
          request->relative_zxid);
}

void zk__op_set_watches(const zk_call_t *call)
{
    zk_set_watches_t request;
    jute_reader_t r = zk__reader(call);
    zk_set_watches_get(&r, &request);
    slice_t slice = slice_of(call);
    if (!r.bad) renew_standard(call, &slice, &request);
    if (slice_end(call, &slice)) zk__reply_err(call, r.bad ? ZMARSHALLING_ERROR : ZOK);
}

void zk__op_set_watches2(const zk_call_t *call)
{
    zk_set_watches2_t request;
    jute_reader_t r = zk__reader(call);
    zk_set_watches2_get(&r, &request);
    if (r.bad) {
        zk__reply_err(call, ZMARSHALLING_ERROR);
        return;
    }
    zk_set_watches_t standard = {request.relative_zxid,      request.data_watches,        request.data_watches_count,
                                 request.exist_watches,      request.exist_watches_count, request.child_watches,
                                 request.child_watches_count};
    slice_t slice = slice_of(call);
    renew_standard(call, &slice, &standard);
    for (int32_t i = 0; i < request.persistent_watches_count; i++)
        if (is_due(&slice)) add_persistent(call, request.persistent_watches[i]);
    for (int32_t i = 0; i < request.persistent_recursive_watches_count; i++)
        if (is_due(&slice)) add_recursive(call, request.persistent_recursive_watches[i]);
    if (slice_end(call, &slice)) zk__reply_err(call, ZOK);
}

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

enum {
    LIST_DATA,
    LIST_EXISTS,
    LIST_CHILDREN,
    STANDARD_LISTS,
    LIST_PERSISTENT = STANDARD_LISTS,
    LIST_RECURSIVE,
    ALL_LISTS
};

/* The whole body, before anything is done: relative zxid, then lists of paths. A null list has none. */
static bool is_well_formed(const zk_call_t *call, int lists)
{
    jute_reader_t r = zk__reader(call);
    (void)jute_get_long(&r);
    for (int list = 0; list < lists && !r.bad; list++) {
        int32_t count = jute_get_int(&r);
        if (count < -1) return false;
        for (; count > 0 && !r.bad; count--) (void)jute_get_bytes(&r);
    }
    return !r.bad;
}

/* The path either fires now, because it changed while the client was away, or is watched again. */
static void renew_standard(const zk_call_t *call, coord_since_t what, bytes_t path, int64_t zxid)
{
    coord_watch_kind_t kind = what == COORD_SINCE_CHILDREN ? COORD_WATCH_CHILDREN : COORD_WATCH_DATA;
    int event = coord_changed_since(call->zookeeper->coord, path, what, zxid);
    if (event != 0)
        zk__notify_conn(call->conn, event, path, -1);
    else
        coord_watch_add(call->zookeeper->coord, &call->conn->watcher, kind, path, COORD_WATCH_STANDARD);
}

static void renew(const zk_call_t *call, int list, bytes_t path, int64_t zxid)
{
    switch (list) {
    case LIST_DATA: renew_standard(call, COORD_SINCE_DATA, path, zxid); return;
    case LIST_EXISTS: renew_standard(call, COORD_SINCE_EXISTS, path, zxid); return;
    case LIST_CHILDREN: renew_standard(call, COORD_SINCE_CHILDREN, path, zxid); return;
    case LIST_PERSISTENT: add_persistent(call, path); return;
    default: add_recursive(call, path); return;
    }
}

/* Goes through up to `paths` paths of the lists from where it was; true when that was all. */
static bool renew_some(const zk_call_t *call, zk_progress_t *progress, int lists, uint32_t paths)
{
    jute_reader_t r = zk__reader(call);
    int64_t zxid = jute_get_long(&r);
    if (progress->at > 0) r.at = call->body.ptr + progress->at;
    while (progress->list < lists && paths > 0) {
        if (progress->left == 0) progress->left = jute_get_int(&r);
        for (; progress->left > 0 && paths > 0; progress->left--, paths--)
            renew(call, progress->list, jute_get_bytes(&r), zxid);
        if (progress->left <= 0) {
            progress->left = 0;
            progress->list++;
        }
        progress->at = (size_t)(r.at - call->body.ptr);
    }
    ASSERT(!r.bad);
    return progress->list == lists;
}

static void set_watches(const zk_call_t *call, int lists)
{
    zk_progress_t all = {0}, *progress = call->progress ? call->progress : &all;
    bool whole = !call->progress || call->hurry;
    if (progress->turns == 0 && !is_well_formed(call, lists))
        zk__reply_err(call, ZMARSHALLING_ERROR);
    else if (renew_some(call, progress, lists, whole ? UINT32_MAX : ZK_WATCHES_SLICE))
        zk__reply_err(call, ZOK);
    else
        progress->turns++;
}

void zk__op_set_watches(const zk_call_t *call) { set_watches(call, STANDARD_LISTS); }
void zk__op_set_watches2(const zk_call_t *call) { set_watches(call, ALL_LISTS); }

/* listing.c: getChildren of a node that has very many children: their names are put together over several turns. The reply is what
 * one moment shows all the same: when a child came or went meanwhile it begins anew, and after a few tries all is listed in
 * one turn; so it is when its client has written something behind it already. The watch is left in the last turn, which sees what
 * the first one saw.
 *
 *   frame: head · count · names, slice by slice · stat    (getChildren2) */
#include "zookeeper/zookeeper_internal.h"

typedef struct zk_listing {
    coord_listing_t children;
    net_output_t names; /* the whole frame, once it ends */
    uint8_t *head;      /* where its head lies in there */
    int32_t count;
    int tries;
} zk_listing_t;

#define HEAD_BYTES (ZK_REPLY_HEAD_BYTES + 4)

void zk__listing_free(zookeeper_t *zk, zk_listing_t *listing)
{
    if (!listing) return;
    net_output_drop(zk->net, &listing->names);
    mem_free(listing);
}

static void drop(const zk_call_t *call)
{
    zk__listing_free(call->zookeeper, *call->listing);
    *call->listing = NULL;
}

/* The connection's first turn at it, or the first of another try. */
static coord_zerr_t begin(const zk_call_t *call, bytes_t path)
{
    static const uint8_t room[HEAD_BYTES];
    zookeeper_t *zk = call->zookeeper;
    if (!*call->listing) *call->listing = mem_zalloc(sizeof(zk_listing_t));
    zk_listing_t *listing = *call->listing;
    net_output_drop(zk->net, &listing->names);
    listing->head = net_output_add(zk->net, &listing->names, room, sizeof(room));
    listing->tries++;
    coord_zerr_t err = coord_listing_begin(zk->coord, path, zk__who(call->conn), &listing->children);
    listing->count = listing->children.left;
    return err;
}

static void list_some(const zk_call_t *call, zk_listing_t *listing)
{
    for (int i = 0; i < ZK_LISTING_SLICE && listing->children.left > 0; i++) {
        uint8_t length[4];
        bytes_t name = coord_listing_next(&listing->children);
        store_be32(length, (uint32_t)name.len);
        net_output_add(call->zookeeper->net, &listing->names, length, sizeof(length));
        net_output_add(call->zookeeper->net, &listing->names, name.ptr, name.len);
    }
}

/* In the turn that saw the last child: the stat, and the watch. */
static void end(const zk_call_t *call, const zk_path_watch_request_t *request, bool with_stat)
{
    zookeeper_t *zk = call->zookeeper;
    zk_listing_t *listing = *call->listing;
    coord_stat_t coord_stat;
    coord_watcher_t *watcher = request->watch ? &call->conn->watcher : NULL;
    coord_zerr_t err = coord_listing_end(zk->coord, request->path, zk__who(call->conn), watcher, &coord_stat);
    if (err != ZOK) { /* the right to read it went */
        zk__reply_err(call, err);
        return;
    }
    uint8_t text[128];
    zk_stat_t stat = zk__stat(&coord_stat);
    size_t stat_bytes = with_stat ? zk_stat_size(&stat) : 0;
    ASSERT(stat_bytes <= sizeof(text));
    if (with_stat) zk_stat_put(text, &stat);
    net_output_add(zk->net, &listing->names, text, stat_bytes);
    store_be32(listing->head + ZK_REPLY_HEAD_BYTES, (uint32_t)listing->count);
    zk__reply_output(call, &listing->names, listing->head);
}

static bool holds(const zk_call_t *call, bytes_t path)
{
    return *call->listing && coord_listing_holds(call->zookeeper->coord, path, &(*call->listing)->children);
}

/* Its own client's writes behind it may not show in it. */
static bool has_writes(const zk_conn_t *conn) { return conn->pending > conn->reads_waiting; }

/* Whether it is one to be listed over several turns. */
static bool is_wanted(const zk_call_t *call, bytes_t path)
{
    if (has_writes(call->conn)) return false;
    if (!call->progress || !call->listing || call->hurry) return false;
    if (*call->listing && (*call->listing)->tries == ZK_LISTING_TRIES_MAX && !holds(call, path)) return false;
    return *call->listing || coord_children_count(call->zookeeper->coord, path) > ZK_LISTING_SLICE;
}

/* Another connection's read takes more than a turn already, and this one has not begun. */
static bool must_wait(const zk_call_t *call)
{
    const zk_conn_t *first = LIST_FIRST(&call->zookeeper->unfinished, zk_conn_t, unfinished_node);
    return !*call->listing && first && first != call->conn;
}

bool zk__listing_run(const zk_call_t *call, const zk_path_watch_request_t *request, bool with_stat)
{
    if (!is_wanted(call, request->path)) {
        if (call->listing && *call->listing) drop(call);
        return false;
    }
    if (must_wait(call)) {
        call->progress->turns++;
        return true;
    }
    coord_zerr_t err = holds(call, request->path) ? ZOK : begin(call, request->path);
    if (err == ZOK) list_some(call, *call->listing);
    if (err == ZOK && (*call->listing)->children.left > 0) {
        call->progress->turns++;
        return true;
    }
    if (err == ZOK)
        end(call, request, with_stat);
    else
        zk__reply_err(call, err);
    drop(call);
    return true;
}

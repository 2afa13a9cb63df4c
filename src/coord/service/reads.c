/* reads.c: what the ZooKeeper wing reads: the tree with the requester's rights, sessions, watches. No read changes anything
 * but the watches of who asks. */
#include "coord/service/coord_internal.h"
#include "coord/tree/path.h"

static coord_zerr_t find_readable(const coord_t *coord, bytes_t path, coord_who_t who, int perms,
                                  const znode_t **ret_node)
{
    const znode_t *node = tree_find(&coord->state.tree, path);
    if (!node) return ZNO_NODE;
    if (!coord->state.skip_acl && !acl_allows(node->acl, perms, who)) return ZNO_AUTH;
    *ret_node = node;
    return ZOK;
}

/* The one read that leaves its watch when there is no node. Without READ it leaves none (from ZooKeeper 3.9 on). */
coord_zerr_t coord_read_exists(coord_t *coord, bytes_t path, coord_who_t who, coord_watcher_t *watcher,
                               coord_stat_t *ret_stat)
{
    if (path.len > 0 && memchr(path.ptr, '\0', path.len)) return ZBAD_ARGUMENTS;
    const znode_t *node;
    coord_zerr_t err = find_readable(coord, path, who, ACL_READ, &node);
    if (err == ZNO_AUTH) return err;
    if (watcher) coord_watch_add(coord, watcher, COORD_WATCH_DATA, path, COORD_WATCH_STANDARD);
    if (err != ZOK) return err;
    znode_stat(node, ret_stat);
    return ZOK;
}

coord_zerr_t coord_read_data(coord_t *coord, bytes_t path, coord_who_t who, coord_watcher_t *watcher, bytes_t *ret_data,
                             coord_stat_t *ret_stat)
{
    const znode_t *node;
    coord_zerr_t err = find_readable(coord, path, who, ACL_READ, &node);
    if (err != ZOK) return err;
    if (watcher) coord_watch_add(coord, watcher, COORD_WATCH_DATA, path, COORD_WATCH_STANDARD);
    *ret_data = znode_data(node);
    znode_stat(node, ret_stat);
    return ZOK;
}

coord_zerr_t coord_read_children(coord_t *coord, bytes_t path, coord_who_t who, coord_watcher_t *watcher,
                                 coord_children_t *ret_children, coord_stat_t *ret_stat)
{
    const znode_t *node;
    coord_zerr_t err = find_readable(coord, path, who, ACL_READ, &node);
    if (err != ZOK) return err;
    if (watcher) coord_watch_add(coord, watcher, COORD_WATCH_CHILDREN, path, COORD_WATCH_STANDARD);
    size_t prefix = node == coord->state.tree.root ? 1 : node->path_bytes + 1;
    size_t bytes = 0;
    for (const znode_t *child = node->first_child; child; child = child->next) bytes += 4 + child->path_bytes - prefix;
    *ret_children = (coord_children_t){node->first_child, (int32_t)node->children_count, bytes};
    znode_stat(node, ret_stat);
    return ZOK;
}

bytes_t coord_children_next(coord_children_t *children)
{
    const znode_t *child = children->next;
    children->next = child->next;
    return znode_name(child);
}

int32_t coord_children_count(const coord_t *coord, bytes_t path)
{
    const znode_t *node = tree_find(&coord->state.tree, path);
    return node ? (int32_t)node->children_count : 0;
}

coord_zerr_t coord_listing_begin(coord_t *coord, bytes_t path, coord_who_t who, coord_listing_t *ret_listing)
{
    const znode_t *node;
    coord_zerr_t err = find_readable(coord, path, who, ACL_READ, &node);
    if (err != ZOK) return err;
    *ret_listing = (coord_listing_t){node->first_child, node->czxid, node->pzxid, coord->state.reorders,
                                     (int32_t)node->children_count};
    return ZOK;
}

bool coord_listing_holds(const coord_t *coord, bytes_t path, const coord_listing_t *listing)
{
    const znode_t *node = tree_find(&coord->state.tree, path);
    return node && node->czxid == listing->czxid && node->pzxid == listing->pzxid &&
           coord->state.reorders == listing->reorders;
}

bytes_t coord_listing_next(coord_listing_t *listing)
{
    const znode_t *child = listing->next;
    listing->next = child->next;
    listing->left--;
    return znode_name(child);
}

coord_zerr_t coord_listing_end(coord_t *coord, bytes_t path, coord_who_t who, coord_watcher_t *watcher,
                               coord_stat_t *ret_stat)
{
    const znode_t *node;
    coord_zerr_t err = find_readable(coord, path, who, ACL_READ, &node);
    if (err != ZOK) return err;
    if (watcher) coord_watch_add(coord, watcher, COORD_WATCH_CHILDREN, path, COORD_WATCH_STANDARD);
    znode_stat(node, ret_stat);
    return ZOK;
}

coord_zerr_t coord_read_acl(coord_t *coord, bytes_t path, coord_who_t who, const zk_acl_t **ret_acl, int32_t *ret_count,
                            bool *ret_masked, coord_stat_t *ret_stat)
{
    const znode_t *node;
    coord_zerr_t err = find_readable(coord, path, who, ACL_READ | ACL_ADMIN, &node);
    if (err != ZOK) return err;
    *ret_acl = node->acl->entries;
    *ret_count = node->acl->count;
    *ret_masked = !coord->state.skip_acl && !acl_allows(node->acl, ACL_ADMIN, who);
    znode_stat(node, ret_stat);
    return ZOK;
}

coord_zerr_t coord_read_descendants(coord_t *coord, bytes_t path, coord_who_t who, int32_t *ret_count)
{
    const znode_t *node;
    coord_zerr_t err = find_readable(coord, path, who, ACL_READ, &node);
    if (err != ZOK) return err;
    *ret_count = (int32_t)node->descendants_count;
    return ZOK;
}

void coord_read_ephemerals(const coord_t *coord, int64_t session_id, void (*each)(void *user, bytes_t path), void *user)
{
    const session_t *session = sessions_find(&coord->state.sessions, session_id);
    if (!session) return;
    LIST_EACH(&session->ephemerals, node, znode_t, owned) each(user, znode_path(node));
}

int coord_changed_since(const coord_t *coord, bytes_t path, coord_since_t what, int64_t zxid)
{
    const znode_t *node = tree_find(&coord->state.tree, path);
    if (what == COORD_SINCE_EXISTS) return node != NULL ? COORD_EVENT_CREATED : 0;
    if (!node) return COORD_EVENT_DELETED;
    if (what == COORD_SINCE_DATA) return node->mzxid > zxid ? COORD_EVENT_DATA_CHANGED : 0;
    return node->pzxid > zxid ? COORD_EVENT_CHILDREN_CHANGED : 0;
}

/* ---- sessions ------------------------------------------------------------------------------------------------------- */

/* Compared in constant time: the password is all that guards a session. */
bool coord_session_valid(const coord_t *coord, int64_t session_id, bytes_t passwd)
{
    const session_t *session = sessions_find(&coord->state.sessions, session_id);
    if (!session || session->closing || session->own_server != 0 || passwd.len != COORD_PASSWD_BYTES) return false;
    uint8_t differs = 0;
    for (size_t i = 0; i < COORD_PASSWD_BYTES; i++) differs |= session->passwd[i] ^ passwd.ptr[i];
    return differs == 0;
}

void coord_session_listen(coord_t *coord, void (*closed)(void *user, int64_t session_id), void *user)
{
    coord->state.session_closed = closed;
    coord->state.session_closed_user = user;
}

void coord_session_each(const coord_t *coord,
                        void (*each)(void *user, int64_t session_id, int32_t timeout_ms, int64_t expires_in_ms,
                                     uint32_t ephemerals),
                        void *user)
{
    size_t cursor = 0;
    int64_t now_ms = (int64_t)(io_now_ns(coord->loop) / 1000000);
    for (session_t *s; (s = sessions_next(&coord->state.sessions, &cursor));) {
        each(user, s->id, s->timeout_ms, (int64_t)s->bucket * coord->options.tick_time_ms - now_ms,
             s->ephemerals_count);
    }
}

/* ---- watches -------------------------------------------------------------------------------------------------------- */

bool coord_watcher_drop(coord_t *coord, coord_watcher_t *watcher, size_t count)
{
    return watches_drop(&coord->state.watches, watcher, count);
}

void coord_watcher_deinit(coord_t *coord, coord_watcher_t *watcher)
{
    while (!coord_watcher_drop(coord, watcher, SIZE_MAX)) continue;
}

void coord_watch_add(coord_t *coord, coord_watcher_t *watcher, coord_watch_kind_t kind, bytes_t path, int mode)
{
    watches_add(&coord->state.watches, watcher, kind, path, mode);
}

bool coord_watch_has(const coord_t *coord, const coord_watcher_t *watcher, coord_watch_kind_t kind, bytes_t path,
                     int mode)
{
    return watches_has(&coord->state.watches, watcher, kind, path, mode);
}

bool coord_watch_remove(coord_t *coord, coord_watcher_t *watcher, coord_watch_kind_t kind, bytes_t path, int mode)
{
    return watches_remove(&coord->state.watches, watcher, kind, path, mode);
}

void coord_watch_each(const coord_t *coord, coord_watch_kind_t kind,
                      void (*each)(void *user, bytes_t path, const coord_watcher_t *watcher), void *user)
{
    watches_each(&coord->state.watches, kind, each, user);
}

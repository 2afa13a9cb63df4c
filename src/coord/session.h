/* session.h: the ZooKeeper wing's door to the tree: sessions, requests as they came, watches, checked reads.
 *
 * A write is proposed with its body exactly as the client sent it; `done` runs when it was committed and applied, in
 * the order of proposal. Watch events of a change are delivered before its `done`, so that a connection that writes what it is
 * given in order keeps ZooKeeper's promise. Reads answer from what is applied, at once. */
#ifndef TRIVET_COORD_SESSION_H
#define TRIVET_COORD_SESSION_H

#include "coord/coord.h"
#include "zk_records.h"

#define COORD_PASSWD_BYTES 16

/* ---- writes ------------------------------------------------------------------------------------------------------ */

typedef struct coord_result {
    int32_t type; /* ZK_OP_… */
    coord_zerr_t err;
    int64_t zxid;
    bytes_t path;         /* create: the node's real path */
    coord_stat_t stat;    /* create2, setData, setACL */
    int32_t failed_index; /* multi: the first failed part, or -1 */
    int32_t parts_count;  /* multi */
    struct coord_result *parts;
    int64_t session_id; /* createSession */
    const uint8_t *passwd;
} coord_result_t;

/* Whether the body is one of that type: what cannot be read is answered at once and takes no zxid. A multi always is. */
bool coord_write_decodes(int32_t type, bytes_t body, arena_t *arena);

/* A long command is being applied, over several turns: who reads the tree now would see half of it. */
bool coord_is_applying(const coord_t *coord);

/* Embedded in the caller's state; must live until `done`, to which `result` belongs only for the call. */
typedef struct coord_write {
    list_t node;
    void (*done)(struct coord_write *write, const coord_result_t *result);
} coord_write_t;

/* Who asks: what decides ACL checks. {"super", ""} may do everything. */
typedef struct coord_who {
    const zk_id_t *ids;
    int32_t ids_count;
} coord_who_t;

void coord_write(coord_t *coord, coord_write_t *write, int32_t type, int64_t session_id, coord_who_t who, bytes_t body,
                 void (*done)(coord_write_t *write, const coord_result_t *result));
/* Runs `done` (ZOK, with the zxid) after everything proposed so far is applied; with several voters, after this server
 * knows that it holds what was committed when it was asked. */
void coord_sync(coord_t *coord, coord_write_t *write, void (*done)(coord_write_t *write, const coord_result_t *result));

/* ---- sessions ---------------------------------------------------------------------------------------------------- */

void coord_session_create(coord_t *coord, int32_t timeout_ms, coord_write_t *write,
                          void (*done)(coord_write_t *write, const coord_result_t *result));
/* The session lives, is not being closed, and this is its password. */
bool coord_session_valid(const coord_t *coord, int64_t session_id, bytes_t passwd);
/* It was heard from: it will not expire for another `timeout_ms` (rounded up to a tick). */
void coord_session_touch(coord_t *coord, int64_t session_id, int32_t timeout_ms);
/* `closed` runs when a session's end is applied, whoever asked for it. One listener. */
void coord_session_listen(coord_t *coord, void (*closed)(void *user, int64_t session_id), void *user);
void coord_session_each(const coord_t *coord,
                        void (*each)(void *user, int64_t session_id, int32_t timeout_ms, int64_t expires_in_ms,
                                     uint32_t ephemerals),
                        void *user);
/* The passwordless identity of the process's own session, which owns what coord_submit creates. */
int64_t coord_own_session(const coord_t *coord);

/* ---- watches ----------------------------------------------------------------------------------------------------- */

typedef enum coord_event {
    COORD_EVENT_CREATED = 1,
    COORD_EVENT_DELETED = 2,
    COORD_EVENT_DATA_CHANGED = 3,
    COORD_EVENT_CHILDREN_CHANGED = 4,
} coord_event_t;

enum { COORD_WATCH_STANDARD = 1, COORD_WATCH_PERSISTENT = 2, COORD_WATCH_RECURSIVE = 4 };
typedef enum coord_watch_kind { COORD_WATCH_DATA, COORD_WATCH_CHILDREN, COORD_WATCH_KINDS } coord_watch_kind_t;

/* One a connection. Events of nodes that `who` may not read are kept back. */
typedef struct coord_watcher {
    void (*event)(struct coord_watcher *watcher, coord_event_t type, bytes_t path, int64_t zxid);
    coord_who_t who;
    list_t watches[COORD_WATCH_KINDS];
    uint64_t told; /* the trigger that reached it last */
    int64_t session_id;
} coord_watcher_t;

void coord_watcher_init(coord_watcher_t *watcher,
                        void (*event)(coord_watcher_t *watcher, coord_event_t type, bytes_t path, int64_t zxid));
/* Drops all its watches. */
void coord_watcher_deinit(coord_t *coord, coord_watcher_t *watcher);
/* Up to `count` of its watches go; true when it has none any more. */
bool coord_watcher_drop(coord_t *coord, coord_watcher_t *watcher, size_t count) MUST_CHECK;
void coord_watch_add(coord_t *coord, coord_watcher_t *watcher, coord_watch_kind_t kind, bytes_t path, int mode);
/* mode 0 = any. */
bool coord_watch_has(const coord_t *coord, const coord_watcher_t *watcher, coord_watch_kind_t kind, bytes_t path,
                     int mode);
bool coord_watch_remove(coord_t *coord, coord_watcher_t *watcher, coord_watch_kind_t kind, bytes_t path, int mode);
/* Those of one watcher. */
void coord_watcher_each(const coord_watcher_t *watcher, coord_watch_kind_t kind, void (*each)(void *user, bytes_t path),
                        void *user);
void coord_watch_each(const coord_t *coord, coord_watch_kind_t kind,
                      void (*each)(void *user, bytes_t path, const coord_watcher_t *watcher), void *user);

/* ---- reads, with the requester's rights --------------------------------------------------------------------------- */

/* A watcher that is not NULL is left there as ZooKeeper would leave it. Borrowed bytes: valid until control returns to
 * the loop. */
coord_zerr_t coord_read_exists(coord_t *coord, bytes_t path, coord_who_t who, coord_watcher_t *watcher,
                               coord_stat_t *ret_stat);
coord_zerr_t coord_read_data(coord_t *coord, bytes_t path, coord_who_t who, coord_watcher_t *watcher, bytes_t *ret_data,
                             coord_stat_t *ret_stat);
/* The names of the children one by one; `bytes` is what they take as Jute strings. */
typedef struct coord_children {
    const void *next;
    int32_t count;
    size_t jute_bytes;
} coord_children_t;
coord_zerr_t coord_read_children(coord_t *coord, bytes_t path, coord_who_t who, coord_watcher_t *watcher,
                                 coord_children_t *ret_children, coord_stat_t *ret_stat);
bytes_t coord_children_next(coord_children_t *children);

/* The children of a node that has very many, over several turns: as long as none comes and none goes meanwhile, what is read in the last
 * turn is what was read in the first. */
typedef struct coord_listing {
    const void *next;
    int64_t czxid, pzxid; /* the node and its children are those that they were */
    uint64_t reorders;    /* in the same order */
    int32_t left;
} coord_listing_t;
/* How many children there are, as far as the requester may know; the rest is for coord_read_children to say. */
int32_t coord_children_count(const coord_t *coord, bytes_t path);
coord_zerr_t coord_listing_begin(coord_t *coord, bytes_t path, coord_who_t who, coord_listing_t *ret_listing);
/* False when it has to begin anew. */
bool coord_listing_holds(const coord_t *coord, bytes_t path, const coord_listing_t *listing) MUST_CHECK;
bytes_t coord_listing_next(coord_listing_t *listing);
/* Leaves the watch, for one that holds. */
coord_zerr_t coord_listing_end(coord_t *coord, bytes_t path, coord_who_t who, coord_watcher_t *watcher,
                               coord_stat_t *ret_stat);
/* `ret_masked`: the requester may read but not administer: digests are to be hidden. */
coord_zerr_t coord_read_acl(coord_t *coord, bytes_t path, coord_who_t who, const zk_acl_t **ret_acl, int32_t *ret_count,
                            bool *ret_masked, coord_stat_t *ret_stat);
coord_zerr_t coord_read_descendants(coord_t *coord, bytes_t path, coord_who_t who, int32_t *ret_count);
void coord_read_ephemerals(const coord_t *coord, int64_t session_id, void (*each)(void *user, bytes_t path),
                           void *user);
/* For setWatches: what happened to the node since `zxid`; 0 = nothing. */
typedef enum coord_since { COORD_SINCE_DATA, COORD_SINCE_EXISTS, COORD_SINCE_CHILDREN } coord_since_t;
int coord_changed_since(const coord_t *coord, bytes_t path, coord_since_t what, int64_t zxid);

/* ---- figures ----------------------------------------------------------------------------------------------------- */

typedef struct coord_figures {
    uint64_t znodes, data_bytes, ephemerals, sessions;
    uint64_t watches[COORD_WATCH_KINDS], watched_paths[COORD_WATCH_KINDS];
    uint64_t outstanding; /* proposed, not yet applied */
    uint64_t applied, syncs, sync_ns_total, sync_ns_min, sync_ns_max, snapshots;
    uint64_t log_bytes, snapshot_bytes;
    uint64_t snapshots_received, snapshots_broken_off; /* of other servers' */
    bool leader;
    uint32_t voters;
} coord_figures_t;
void coord_figures(const coord_t *coord, coord_figures_t *ret_figures);
const char *coord_dir(const coord_t *coord);
const char *coord_log_dir(const coord_t *coord);

#endif

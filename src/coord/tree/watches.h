/* watches.h: who wants to hear of which path. Local to a server, never replicated.
 *
 * Two tables, as in ZooKeeper: data (created, deleted, data changed) and children. A watch is (path, watcher) with the
 * set of its modes; a standard one is used up by firing, a persistent one stays, a recursive one also hears of all
 * below its path (but never of children-changed, because it is only ever put into the data table). */
#ifndef TRIVET_COORD_WATCHES_H
#define TRIVET_COORD_WATCHES_H

#include "base/map.h"
#include "coord/session.h"
#include "coord/tree/acl.h"

typedef struct watch_table {
    coord_watch_kind_t kind;
    map_t paths; /* path -> watch_path_t */
    uint64_t count;
    uint64_t recursive_count; /* while 0, only the path itself is looked up */
} watch_table_t;

typedef struct watches {
    watch_table_t tables[COORD_WATCH_KINDS];
    uint64_t trigger; /* numbers each delivery, so that nobody is told twice */
} watches_t;

void watches_init(watches_t *watches);
void watches_deinit(watches_t *watches);
void watches_add(watches_t *watches, coord_watcher_t *watcher, coord_watch_kind_t kind, bytes_t path, int mode);
bool watches_has(const watches_t *watches, const coord_watcher_t *watcher, coord_watch_kind_t kind, bytes_t path,
                 int mode);
bool watches_remove(watches_t *watches, coord_watcher_t *watcher, coord_watch_kind_t kind, bytes_t path, int mode);
/* Up to `count` of them; true when it has none any more. */
bool watches_drop(watches_t *watches, coord_watcher_t *watcher, size_t count) MUST_CHECK;
void watches_each(const watches_t *watches, coord_watch_kind_t kind,
                  void (*each)(void *user, bytes_t path, const coord_watcher_t *watcher), void *user);

/* The events of one change to `path`, in ZooKeeper's order. `acl` and `parent_acl` decide who may be told. */
void watches_created(watches_t *watches, bytes_t path, bytes_t parent, int64_t zxid, const acl_t *acl,
                     const acl_t *parent_acl);
void watches_deleted(watches_t *watches, bytes_t path, bytes_t parent, int64_t zxid, const acl_t *acl,
                     const acl_t *parent_acl);
void watches_data_changed(watches_t *watches, bytes_t path, int64_t zxid, const acl_t *acl);

#endif

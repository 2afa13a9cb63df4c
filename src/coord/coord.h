/* coord.h: the coordination tree: ZooKeeper's znodes, sessions and watches, replicated by libraft.
 *
 * Two layers. The state machine (state.h, inside) is pure: apply(entry) -> result. This header is the service around it: it
 * turns requests into log entries, gets them committed (one voter: written and synced with group commit), applies them
 * and answers. All of it lives on one reactor. Results arrive in the order of submission.
 *
 * Paths are ZooKeeper's: absolute, no trailing slash, "" aliases "/". Errors in results are ZooKeeper's own codes
 * (coord_zerr_t), because that is the tree's language; functions that cannot reach the tree return ERR_ codes. */
#ifndef TRIVET_COORD_COORD_H
#define TRIVET_COORD_COORD_H

#include "base/arena.h"
#include "base/base.h"
#include "base/health.h"
#include "base/list.h"
#include "coord/raft/quorum_opening.h"
#include "coord/raft/quorum_peer.h"
#include "io/io.h"

typedef struct coord coord_t;
typedef quorum_opening_t coord_opening_t;

/* X(NAME, code): ZooKeeper's KeeperException codes. */
#define COORD_ZERR_MAP(X)                                                                                              \
    X(ZOK, 0)                                                                                                          \
    X(ZSYSTEM_ERROR, -1)                                                                                               \
    X(ZRUNTIME_INCONSISTENCY, -2)                                                                                      \
    X(ZDATA_INCONSISTENCY, -3)                                                                                         \
    X(ZCONNECTION_LOSS, -4)                                                                                            \
    X(ZMARSHALLING_ERROR, -5)                                                                                          \
    X(ZUNIMPLEMENTED, -6)                                                                                              \
    X(ZOPERATION_TIMEOUT, -7)                                                                                          \
    X(ZBAD_ARGUMENTS, -8)                                                                                              \
    X(ZUNKNOWN_SESSION, -12)                                                                                           \
    X(ZAPI_ERROR, -100)                                                                                                \
    X(ZNO_NODE, -101)                                                                                                  \
    X(ZNO_AUTH, -102)                                                                                                  \
    X(ZBAD_VERSION, -103)                                                                                              \
    X(ZNO_CHILDREN_FOR_EPHEMERALS, -108)                                                                               \
    X(ZNODE_EXISTS, -110)                                                                                              \
    X(ZNOT_EMPTY, -111)                                                                                                \
    X(ZSESSION_EXPIRED, -112)                                                                                          \
    X(ZINVALID_CALLBACK, -113)                                                                                         \
    X(ZINVALID_ACL, -114)                                                                                              \
    X(ZAUTH_FAILED, -115)                                                                                              \
    X(ZSESSION_MOVED, -118)                                                                                            \
    X(ZNOT_READONLY, -119)                                                                                             \
    X(ZNO_WATCHER, -121)                                                                                               \
    X(ZQUOTA_EXCEEDED, -125)                                                                                           \
    X(ZTHROTTLED, -127)

typedef enum coord_zerr {
#define X(name, code) name = (code),
    COORD_ZERR_MAP(X)
#undef X
} coord_zerr_t;

typedef struct coord_stat { /* ZooKeeper's Stat, as clients see it (cversion = 2 * stored - children) */
    int64_t czxid, mzxid, ctime_ms, mtime_ms;
    int32_t version, cversion, aversion;
    int64_t ephemeral_owner;
    int32_t data_length, num_children;
    int64_t pzxid;
} coord_stat_t;

/* ---- the inside door: what the Kafka and Redis wings use (the ZooKeeper wing has more, in coord/session.h &c.) -- */

/* Reads what is committed and applied. Borrowed bytes are valid until control returns to the loop. */
coord_zerr_t coord_get(const coord_t *coord, const char *path, bytes_t *ret_data, coord_stat_t *ret_stat);
bool coord_exists(const coord_t *coord, const char *path);
coord_zerr_t coord_children(const coord_t *coord, const char *path, void (*each)(void *user, const char *name),
                            void *user);
int64_t coord_last_zxid(const coord_t *coord);

/* One atomic change of several nodes (one zxid), with world:anyone ACL. */
typedef enum coord_op_kind {
    COORD_CREATE,
    COORD_CREATE_EPHEMERAL,
    COORD_SET,
    COORD_DELETE,
    COORD_CHECK
} coord_op_kind_t;
typedef struct coord_op {
    coord_op_kind_t kind;
    const char *path;
    bytes_t data;      /* CREATE, SET */
    int32_t version;   /* SET, DELETE, CHECK; -1 = any */
    bool make_parents; /* CREATE: persistent parents that are missing */
} coord_op_t;

/* Copies the ops; `done` runs after the change is committed and applied, or refused: (first failing op's error, its
 * index). The request is the caller's and must live until then. COORD_CREATE_EPHEMERAL nodes belong to the process's own
 * session, which never expires while it runs. */
typedef struct coord_request {
    void (*done)(struct coord_request *request, coord_zerr_t err, int failed_index, int64_t zxid);
    list_t node;
} coord_request_t;
void coord_submit(coord_t *coord, const coord_op_t *ops, int ops_count, coord_request_t *request,
                  void (*done)(coord_request_t *request, coord_zerr_t err, int failed_index, int64_t zxid));

/* Calls `changed` after each applied change at or below `prefix` (once a node, in order). */
typedef enum coord_change { COORD_CREATED, COORD_CHANGED, COORD_DELETED } coord_change_t;
typedef struct coord_subscription {
    list_t node;
    const char *prefix;
    void (*changed)(struct coord_subscription *subscription, coord_change_t change, const char *path);
} coord_subscription_t;
void coord_subscribe(coord_t *coord, coord_subscription_t *subscription);
void coord_unsubscribe(coord_subscription_t *subscription);

/* ---- life ------------------------------------------------------------------------------------------------------ */

/* A server of the ensemble and where the others reach it. */
typedef quorum_peer_t coord_member_t;

typedef struct coord_options {
    const char *dir;             /* holds log and snapshots */
    const char *log_dir;         /* NULL = `dir`; else the log lies there, which a file in `dir` says from then on */
    uint8_t server_id;           /* myid, 1.. */
    uint32_t tick_time_ms;       /* 2000 */
    uint32_t snapshot_entries;   /* snapshot after so many applied entries (snapCount, 100,000) */
    bool extended_types;         /* TTL nodes; true */
    bool force_sync;             /* forceSync: sync each commit before answering; true */
    bool skip_acl;               /* skipACL */
    bool enforce_quota;          /* enforceQuota */
    uint32_t container_check_ms; /* znode.container.checkIntervalMs, 60,000 */
    uint64_t reserve_bytes;      /* room kept for a full disk; 0 = none, and then it ends the process */
    /* When durability is lost (a failed sync, a corrupt entry) nothing may go on; NULL ends the process. */
    void (*fatal)(void *user, const char *what, int err);
    void *fatal_user;
    /* Several servers: all of them, this one too, and the net to talk over. None = it is alone. */
    const coord_member_t *members;
    int members_count;
    struct net *net;
    uint32_t
        trailing_entries; /* kept below a snapshot for servers that lag a little, at least QUORUM_TRAILING_ENTRIES_MIN; 0 = 1,024 */
    uint32_t piece_bytes;     /* of a snapshot on its way to another server; 0 = 512 KiB, which is the most */
    coord_opening_t *opening; /* what coord_open found; NULL = nobody asks */
} coord_options_t;
extern const coord_options_t coord_options_default;

/* Opens and recovers (snapshot, then log). ERR_DAMAGED: less would be served than was acknowledged, as opening->why says;
 * nothing was changed. Ready to serve when it returns with one voter; with several, once one leads. */
int coord_open(io_loop_t *loop, const coord_options_t *options, coord_t **ret_coord) MUST_CHECK;
/* What keeps it from writing: refused writes are answered ZSYSTEM_ERROR, and nothing of them was done. */
const health_t *coord_health(const coord_t *coord);
/* ---- a tree that nobody has open: `trivet check` and `trivet repair` -------------------------------------------------- */

/* Shows each file, by its name below `dir`: `wrong` says what is, NULL = nothing; `note` what there is. Writes nothing. */
typedef void (*coord_check_cb)(void *user, const char *file, const char *wrong, const char *note);
int coord_check(io_loop_t *loop, const char *dir, coord_check_cb each, void *user) MUST_CHECK;
/* Mends a copy in place, so that it opens, and tells what that cost: a line each. With `salvage`, entries behind damage stay, and
 * those that are lost change nothing; else the log ends at the first damage. */
int coord_mend(io_loop_t *loop, const char *dir, bool salvage, void (*tell)(void *user, const char *line),
               void *user) MUST_CHECK;

/* Stops; requests under way are answered ZCONNECTION_LOSS. */
void coord_close(coord_t *coord);

#endif

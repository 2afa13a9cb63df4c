/* state.h: the replicated state machine: state_apply(command, wall time of its entry) -> result, watch events, changes.
 *
 * Pure: nothing here knows of clocks, files or networks, and the same commands in the same order make the same tree on
 * every server. Preconditions are checked here and not before the log, so that pipelined writes see one another.
 *
 * Every command takes one zxid, refused ones too; the parts of a multi share theirs. A command is all or nothing: each
 * change to the tree is recorded (change_t) and undone in reverse when a later part is refused; only when all of it
 * holds do its effects show (quota statistics, watches, subscribers), in order. */
#ifndef TRIVET_COORD_STATE_H
#define TRIVET_COORD_STATE_H

#include "base/arena.h"
#include "coord/tree/quota.h"
#include "coord/tree/sessions.h"
#include "coord/tree/tree.h"
#include "coord/tree/watches.h"

#define STATE_MULTI_PARTS_MAX 65536
#define STATE_OP_LOCAL_MULTI  (-1000) /* coord_submit's; no client can send it */

typedef enum change_kind { CHANGE_CREATE, CHANGE_DELETE, CHANGE_SET } change_kind_t;

/* One change to the tree and what is needed to take it back. */
typedef struct change {
    change_kind_t kind;
    znode_t *node;
    znode_t *parent;         /* CREATE, DELETE */
    int32_t parent_cversion; /* before */
    int64_t parent_pzxid;
    uint8_t *data; /* SET: the old data */
    uint32_t data_bytes;
    uint32_t new_bytes;
    int32_t version;
    int64_t mzxid, mtime_ms;
} change_t;

typedef struct state state_t;
struct state {
    tree_t tree;
    sessions_t sessions;
    quotas_t quotas;
    watches_t watches;
    list_t subscriptions; /* coord_subscription_t */
    list_t containers;    /* znode_t.owned */
    list_t ttls;
    uint64_t ephemerals_count;
    int64_t zxid;    /* of the last command applied */
    int64_t time_ms; /* of its entry */

    /* Settings that must be the same on every server. */
    bool extended_types;
    bool skip_acl;
    bool enforce_quota;

    arena_t arena; /* the command being applied: decoded request, result */
    change_t *changes;
    size_t changes_count, changes_cap;

    void (*session_closed)(void *user, int64_t session_id);
    void *session_closed_user;

    /* A snapshot under way (snapshot.h): `snapshot_touch` writes a node before it changes for the first time. */
    bool snapshotting;
    uint32_t snapshot; /* number of the current or last one */
    znode_t *snapshot_cursor;
    void (*snapshot_touch)(state_t *state, znode_t *node);
    void *snapshot_user;
};

void state_init(state_t *state);
void state_deinit(state_t *state);
/* Moves `from`, which is left without contents, into the uninitialized `to`: lists are made to point there. */
void state_move(state_t *to, state_t *from);
/* The nodes every new tree has: / /zookeeper /zookeeper/quota /zookeeper/config. */
void state_make_roots(state_t *state);
/* Result and what it points to live until the next call. */
void state_apply(state_t *state, const zk_command_t *command, int64_t time_ms, coord_result_t *ret_result);

/* ---- between the files of apply ------------------------------------------------------------------------------------ */

typedef struct apply {
    state_t *state;
    int64_t session_id;
    coord_who_t who;
    int64_t zxid;
    int64_t time_ms;
} apply_t;

typedef struct create_args {
    int32_t type; /* ZK_OP_… */
    bytes_t path, data;
    const zk_acl_t *acl;
    int32_t acl_count;
    int32_t flags;
    int64_t ttl;
} create_args_t;

coord_zerr_t apply__create(const apply_t *a, const create_args_t *args, coord_result_t *ret);
coord_zerr_t apply__delete(const apply_t *a, bytes_t path, int32_t version, coord_result_t *ret);
coord_zerr_t apply__delete_container(const apply_t *a, bytes_t path, coord_result_t *ret);
coord_zerr_t apply__set_data(const apply_t *a, bytes_t path, bytes_t data, int32_t version, coord_result_t *ret);
coord_zerr_t apply__set_acl(const apply_t *a, const zk_set_acl_request_t *request, coord_result_t *ret);
coord_zerr_t apply__check(const apply_t *a, bytes_t path, int32_t version, coord_result_t *ret);
coord_zerr_t apply__multi(const apply_t *a, bytes_t body, coord_result_t *ret);
coord_zerr_t apply__local_multi(const apply_t *a, bytes_t body, coord_result_t *ret);
coord_zerr_t apply__create_session(const apply_t *a, bytes_t body, coord_result_t *ret);
coord_zerr_t apply__close_session(const apply_t *a, int64_t session_id, coord_result_t *ret);
/* Decodes and runs one of create … check from the reader; ZMARSHALLING_ERROR when the body is bad. */
coord_zerr_t apply__part(const apply_t *a, int32_t type, jute_reader_t *r, coord_result_t *ret);
/* Removes a node as part of the command, without checks. */
void apply__remove_node(const apply_t *a, znode_t *node);

void state__touch(state_t *state, znode_t *node);
/* Adds it to the lists and counters of what its owner owns. */
void state__own(state_t *state, znode_t *node);
/* Links a node to the tree and to its owner; and the reverse. */
void state__attach(state_t *state, znode_t *parent, znode_t *node);
void state__detach(state_t *state, znode_t *node);
change_t *state__record(state_t *state, change_kind_t kind, znode_t *node);
void state__undo(state_t *state);

#endif

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

typedef struct apply {
    state_t *state;
    int64_t session_id;
    coord_who_t who;
    int64_t zxid;
    int64_t time_ms;
} apply_t;

/*   idle ──begin──> runs ──all of it holds──> shows ──> frees ──> idle
 *                     └────refused────> undoes ──────────────────^   */
typedef enum state_phase { STATE_IDLE, STATE_RUNS, STATE_UNDOES, STATE_SHOWS, STATE_FREES } state_phase_t;

/* The command that is being applied. */
typedef struct state_run {
    state_phase_t phase;
    apply_t apply;
    zk_command_t command; /* what it points to is the caller's */
    coord_result_t result;
    jute_reader_t reader; /* multi: the parts to come */
    int32_t parts_cap;
    size_t next; /* of the changes, to be shown or freed */
} state_run_t;

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
    state_run_t run;
    uint64_t reorders; /* counts what gives children another order, though the node they are of says nothing of it */

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
/* The same in pieces: parts of a multi, ephemeral nodes of a session, changes to be shown or taken back are a step each. Until
 * it is over the tree has half of the command, so that nobody may read it, and what `command` points to lies still. */
void state_apply_begin(state_t *state, const zk_command_t *command, int64_t time_ms);
/* Takes the steps that it does off `steps`; true when the command is applied. */
bool state_apply_step(state_t *state, uint32_t *steps, coord_result_t *ret_result) MUST_CHECK;
static inline bool state_is_applying(const state_t *state) { return state->run.phase != STATE_IDLE; }

/* ---- between the files of apply ------------------------------------------------------------------------------------ */

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
/* One part; true behind the last one, or when the body is bad: ret->err. `cap`: room in ret->parts. */
bool multi__step(const apply_t *a, jute_reader_t *r, int32_t *cap, coord_result_t *ret);
coord_zerr_t multi__apply_local(const apply_t *a, bytes_t body, coord_result_t *ret);
coord_zerr_t state__create_session(const apply_t *a, bytes_t body, coord_result_t *ret);
/* One of its nodes; true when the session is gone. Closed twice it is no error, as in the original. */
bool state__close_session_step(const apply_t *a, int64_t session_id, coord_result_t *ret);
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

#endif

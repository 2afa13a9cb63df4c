/* state.c: the frame around a command: zxid, changes taken back or shown. The operations are in apply.c and multi.c. */
#include "coord/tree/state.h"

#include "coord/tree/path.h"

#define COMMAND_ARENA_BYTES_MAX MIB(64)

void state_init(state_t *state)
{
    *state = (state_t){.extended_types = true};
    tree_init(&state->tree);
    sessions_init(&state->sessions);
    watches_init(&state->watches);
    list_init(&state->subscriptions);
    list_init(&state->containers);
    list_init(&state->ttls);
    arena_init(&state->arena, COMMAND_ARENA_BYTES_MAX);
}

void state_deinit(state_t *state)
{
    watches_deinit(&state->watches);
    sessions_deinit(&state->sessions);
    map_deinit(&state->quotas.limited);
    tree_deinit(&state->tree);
    arena_deinit(&state->arena);
    mem_free(state->changes);
}

static void move_list(list_t *to, list_t *from)
{
    list_init(to);
    list_splice_back(to, from);
}

void state_move(state_t *to, state_t *from)
{
    *to = *from;
    move_list(&to->subscriptions, &from->subscriptions);
    move_list(&to->containers, &from->containers);
    move_list(&to->ttls, &from->ttls);
}

static znode_t *make_root(state_t *state, znode_t *parent, const char *path, int perms)
{
    zk_acl_t world = {perms, {BYTES_LIT("world"), BYTES_LIT("anyone")}};
    znode_t *node = znode_new(bytes_str(path), BYTES_LIT(""), acl_intern(&state->tree.acls, &world, 1));
    tree_link(&state->tree, parent, node);
    return node;
}

void state_make_roots(state_t *state)
{
    znode_t *root = make_root(state, NULL, "/", ACL_ALL);
    znode_t *proc = make_root(state, root, "/zookeeper", ACL_ALL);
    make_root(state, proc, "/zookeeper/quota", ACL_ALL);
    make_root(state, proc, "/zookeeper/config", ACL_READ)->aversion = -1;
}

/* ---- changes ------------------------------------------------------------------------------------------------------ */

void state__touch(state_t *state, znode_t *node)
{
    if (LIKELY(!state->snapshotting) || node->snapshot == state->snapshot) return;
    state->snapshot_touch(state, node);
    node->snapshot = state->snapshot;
}

static void quota_touch(void *user, znode_t *node) { state__touch(user, node); }

change_t *state__record(state_t *state, change_kind_t kind, znode_t *node)
{
    if (state->changes_count == state->changes_cap) {
        state->changes_cap = state->changes_cap ? state->changes_cap * 2 : 16;
        state->changes = mem_realloc(state->changes, state->changes_cap * sizeof(change_t));
    }
    change_t *change = &state->changes[state->changes_count++];
    *change = (change_t){.kind = kind, .node = node};
    return change;
}

/* Lists and counters of what a node's owner owns. */
void state__own(state_t *state, znode_t *node)
{
    switch (znode_kind_of(node->owner)) {
    case ZNODE_PERSISTENT: return;
    case ZNODE_CONTAINER: list_push_back(&state->containers, &node->owned); return;
    case ZNODE_TTL: list_push_back(&state->ttls, &node->owned); return;
    case ZNODE_EPHEMERAL: {
        session_t *session = sessions_find(&state->sessions, node->owner);
        ASSERT(session);
        list_push_back(&session->ephemerals, &node->owned);
        session->ephemerals_count++;
        state->ephemerals_count++;
    }
    }
}

static void disown(state_t *state, znode_t *node)
{
    if (node->owner == 0) return;
    list_remove(&node->owned);
    if (znode_kind_of(node->owner) != ZNODE_EPHEMERAL) return;
    sessions_find(&state->sessions, node->owner)->ephemerals_count--;
    state->ephemerals_count--;
}

void state__attach(state_t *state, znode_t *parent, znode_t *node)
{
    tree_link(&state->tree, parent, node);
    state__own(state, node);
}

void state__detach(state_t *state, znode_t *node)
{
    if (state->snapshot_cursor == node) state->snapshot_cursor = tree_next(node);
    disown(state, node);
    tree_unlink(&state->tree, node);
}

static void undo_one(state_t *state, const change_t *c)
{
    if (c->kind == CHANGE_SET) {
        mem_free(tree_swap_data(&state->tree, c->node, c->data, c->data_bytes));
        c->node->version = c->version;
        c->node->mzxid = c->mzxid;
        c->node->mtime_ms = c->mtime_ms;
        return;
    }
    if (c->kind == CHANGE_CREATE) {
        state__detach(state, c->node);
        znode_free(&state->tree, c->node);
    } else {
        state__attach(state, c->parent, c->node); /* as the last child */
        state->reorders++;
    }
    c->parent->cversion = c->parent_cversion;
    c->parent->pzxid = c->parent_pzxid;
}

static void tell_subscribers(state_t *state, coord_change_t what, const znode_t *node)
{
    LIST_EACH(&state->subscriptions, subscription, coord_subscription_t, node) {
        if (path_within(znode_path(node), bytes_str(subscription->prefix))) {
            subscription->changed(subscription, what, node->path);
        }
    }
}

static void show(state_t *state, const change_t *c)
{
    znode_t *node = c->node;
    bytes_t path = znode_path(node);
    if (c->kind == CHANGE_CREATE) {
        quota_created(&state->quotas, &state->tree, node, c->new_bytes, quota_touch, state);
        watches_created(&state->watches, path, znode_path(c->parent), state->zxid, node->acl, c->parent->acl);
        tell_subscribers(state, COORD_CREATED, node);
    } else if (c->kind == CHANGE_DELETE) {
        quota_deleted(&state->quotas, &state->tree, node, c->new_bytes, quota_touch, state);
        watches_deleted(&state->watches, path, znode_path(c->parent), state->zxid, node->acl, c->parent->acl);
        tell_subscribers(state, COORD_DELETED, node);
    } else {
        quota_changed(&state->quotas, &state->tree, path, (int64_t)c->new_bytes - c->data_bytes, quota_touch, state);
        watches_data_changed(&state->watches, path, state->zxid, node->acl);
        tell_subscribers(state, COORD_CHANGED, node);
    }
}

/* A node deleted in the same command as it changed must live until all is shown. */
static void free_shown(state_t *state, const change_t *c)
{
    if (c->kind == CHANGE_SET) mem_free(c->data);
    if (c->kind == CHANGE_DELETE) znode_free(&state->tree, c->node);
}

/* ---- sessions ----------------------------------------------------------------------------------------------------- */

coord_zerr_t state__create_session(const apply_t *a, bytes_t body, coord_result_t *ret)
{
    zk_create_session_command_t command;
    jute_reader_t r = jute_reader(body, &a->state->arena);
    zk_create_session_command_get(&r, &command);
    if (r.bad) return ZMARSHALLING_ERROR;
    session_t *session =
        sessions_add(&a->state->sessions, command.session_id, command.time_out, command.passwd, command.own_server);
    ret->session_id = session->id;
    ret->passwd = session->passwd;
    return ZOK;
}

bool state__close_session_step(const apply_t *a, int64_t session_id, coord_result_t *ret)
{
    state_t *state = a->state;
    session_t *session = sessions_find(&state->sessions, session_id);
    ret->session_id = session_id;
    if (!session) return true;
    if (!list_empty(&session->ephemerals)) {
        apply__remove_node(a, CONTAINER_OF(session->ephemerals.next, znode_t, owned));
        return false;
    }
    sessions_remove(&state->sessions, session);
    return true;
}

/* Servers cannot be added or taken away, as in a standalone original. */
static coord_zerr_t reconfig(jute_reader_t *r)
{
    zk_reconfig_request_t request;
    zk_reconfig_request_get(r, &request);
    return r->bad ? ZMARSHALLING_ERROR : ZUNIMPLEMENTED;
}

/* ---- one command -------------------------------------------------------------------------------------------------- */

static coord_zerr_t run_whole(const apply_t *a, const zk_command_t *command, coord_result_t *ret)
{
    jute_reader_t r = jute_reader(command->body, &a->state->arena);
    switch (command->type) {
    case ZK_OP_CREATE_SESSION: return state__create_session(a, command->body, ret);
    case STATE_OP_LOCAL_MULTI: return multi__apply_local(a, command->body, ret);
    case ZK_OP_RECONFIG: return reconfig(&r);
    default: return apply__part(a, command->type, &r, ret);
    }
}

/* One step; true when the command has run. */
static bool run_step(state_run_t *run)
{
    switch (run->command.type) {
    case ZK_OP_MULTI: return multi__step(&run->apply, &run->reader, &run->parts_cap, &run->result);
    case ZK_OP_CLOSE_SESSION: return state__close_session_step(&run->apply, run->command.session_id, &run->result);
    default: run->result.err = run_whole(&run->apply, &run->command, &run->result); return true;
    }
}

static void end_run(state_run_t *run)
{
    bool refused = run->result.err != ZOK || run->result.failed_index >= 0;
    run->phase = refused ? STATE_UNDOES : STATE_SHOWS;
    run->next = 0;
}

static void end_shown(state_t *state)
{
    const zk_command_t *command = &state->run.command;
    state->changes_count = 0;
    state->run.phase = STATE_IDLE;
    if (command->type == ZK_OP_CLOSE_SESSION && state->session_closed)
        state->session_closed(state->session_closed_user, command->session_id);
}

/* Returns whether it was work, and not the end of a phase. */
static bool do_step(state_t *state)
{
    state_run_t *run = &state->run;
    switch (run->phase) {
    case STATE_RUNS:
        if (run_step(run)) end_run(run);
        return true;
    case STATE_UNDOES:
        if (state->changes_count == 0) break;
        undo_one(state, &state->changes[--state->changes_count]);
        return true;
    case STATE_SHOWS:
        if (run->next < state->changes_count) {
            show(state, &state->changes[run->next++]);
            return true;
        }
        run->phase = STATE_FREES;
        run->next = 0;
        return false;
    case STATE_FREES:
        if (run->next == state->changes_count) {
            end_shown(state);
            return false;
        }
        free_shown(state, &state->changes[run->next++]);
        return true;
    case STATE_IDLE: UNREACHABLE();
    }
    run->phase = STATE_IDLE;
    return false;
}

void state_apply_begin(state_t *state, const zk_command_t *command, int64_t time_ms)
{
    ASSERT(!state_is_applying(state));
    arena_reset(&state->arena);
    state->zxid++;
    state->time_ms = time_ms;
    state->run = (state_run_t){
        .phase = STATE_RUNS,
        .apply = {state, command->session_id, {command->ids, command->ids_count}, state->zxid, time_ms},
        .command = *command,
        .result = {.type = command->type, .zxid = state->zxid, .failed_index = -1},
        .reader = jute_reader(command->body, &state->arena),
    };
}

bool state_apply_step(state_t *state, uint32_t *steps, coord_result_t *ret_result)
{
    while (state_is_applying(state)) {
        if (*steps == 0) return false;
        *steps -= do_step(state);
    }
    *ret_result = state->run.result;
    return true;
}

void state_apply(state_t *state, const zk_command_t *command, int64_t time_ms, coord_result_t *ret_result)
{
    uint32_t steps;
    state_apply_begin(state, command, time_ms);
    do steps = UINT32_MAX;
    while (!state_apply_step(state, &steps, ret_result));
}

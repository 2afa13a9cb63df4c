/* apply.c: the single operations of the state machine, each with ZooKeeper's checks in ZooKeeper's order (the order
 * decides which error a client sees). Called by state_apply for single writes and by multi.c for the parts of a multi. */
#include "coord/tree/path.h"
#include "coord/tree/state.h"

#include <stdio.h>

/* CreateMode's flags. */
enum {
    MODE_PERSISTENT,
    MODE_EPHEMERAL,
    MODE_PERSISTENT_SEQUENTIAL,
    MODE_EPHEMERAL_SEQUENTIAL,
    MODE_CONTAINER,
    MODE_TTL,
    MODE_TTL_SEQUENTIAL,
    MODES,
};

#define SEQUENCE_CHARS_MAX 11

static bool mode_sequential(int32_t flags)
{
    return flags == MODE_PERSISTENT_SEQUENTIAL || flags == MODE_EPHEMERAL_SEQUENTIAL || flags == MODE_TTL_SEQUENTIAL;
}
static bool mode_ephemeral(int32_t flags) { return flags == MODE_EPHEMERAL || flags == MODE_EPHEMERAL_SEQUENTIAL; }
static bool mode_ttl(int32_t flags) { return flags == MODE_TTL || flags == MODE_TTL_SEQUENTIAL; }

static bool allowed(const apply_t *a, const znode_t *node, int perms)
{
    return a->state->skip_acl || acl_allows(node->acl, perms, a->who);
}

/* Commands of the server itself (session 0) need no session. */
static bool session_lives(const apply_t *a)
{
    return a->session_id == 0 || sessions_find(&a->state->sessions, a->session_id);
}

/* The version after one more change; -1 is skipped because it means "any" to clients. */
static int32_t version_after(int32_t version)
{
    int32_t next = (int32_t)((uint32_t)version + 1);
    return next == -1 ? 0 : next;
}

static bool version_fits(int32_t actual, int32_t expected) { return expected == -1 || expected == actual; }

static bool path_special(bytes_t path)
{
    return bytes_eq(path, BYTES_LIT("/")) || bytes_eq(path, BYTES_LIT("/zookeeper")) ||
           bytes_eq(path, BYTES_LIT("/zookeeper/quota")) || bytes_eq(path, BYTES_LIT("/zookeeper/config"));
}

/* ---- create -------------------------------------------------------------------------------------------------------- */

static coord_zerr_t check_mode(const apply_t *a, const create_args_t *args)
{
    if (args->flags < 0 || args->flags >= MODES) return ZBAD_ARGUMENTS;
    if (mode_ttl(args->flags) && !a->state->extended_types) return ZUNIMPLEMENTED;
    if (mode_ttl(args->flags) ? args->ttl <= 0 || args->ttl > TTL_MS_MAX : args->ttl >= 0) return ZBAD_ARGUMENTS;
    if (args->type == ZK_OP_CREATE_TTL && !mode_ttl(args->flags)) return ZBAD_ARGUMENTS;
    return session_lives(a) ? ZOK : ZSESSION_EXPIRED;
}

/* The kind of the operation, not the flag, makes containers and TTL nodes. */
static int64_t owner_of(const apply_t *a, const create_args_t *args)
{
    if (args->type == ZK_OP_CREATE_CONTAINER) return OWNER_CONTAINER;
    if (args->type == ZK_OP_CREATE_TTL) return OWNER_TTL_MASK | args->ttl;
    return mode_ephemeral(args->flags) ? a->session_id : 0;
}

static bytes_t sequenced(const apply_t *a, bytes_t path, int32_t number)
{
    char *name = arena_alloc(&a->state->arena, path.len + SEQUENCE_CHARS_MAX + 1);
    memcpy(name, path.ptr, path.len);
    int digits = snprintf(name + path.len, SEQUENCE_CHARS_MAX + 1, "%010d", number);
    return bytes_of(name, path.len + (size_t)digits);
}

static znode_t *insert_node(const apply_t *a, const create_args_t *args, znode_t *parent, bytes_t path, acl_t *acl)
{
    state_t *state = a->state;
    znode_t *node = znode_new(path, args->data, acl);
    node->czxid = node->mzxid = node->pzxid = a->zxid;
    node->ctime_ms = node->mtime_ms = a->time_ms;
    node->owner = owner_of(a, args);
    node->snapshot = state->snapshot;
    state__touch(state, parent);
    change_t *change = state__record(state, CHANGE_CREATE, node);
    change->parent = parent;
    change->parent_cversion = parent->cversion;
    change->parent_pzxid = parent->pzxid;
    change->new_bytes = node->data_bytes;
    state__attach(state, parent, node);
    parent->cversion = (int32_t)((uint32_t)parent->cversion + 1);
    parent->pzxid = a->zxid;
    return node;
}

coord_zerr_t apply__create(const apply_t *a, const create_args_t *args, coord_result_t *ret)
{
    state_t *state = a->state;
    bytes_t path = args->path, parent_path;
    coord_zerr_t err = check_mode(a, args);
    if (err != ZOK) return err;
    if (!path_parent(path, &parent_path)) return ZBAD_ARGUMENTS;
    zk_acl_t *acl;
    int32_t acl_count;
    if (!acl_fix(args->acl, args->acl_count, a->who, &state->arena, &acl, &acl_count)) return ZINVALID_ACL;
    znode_t *parent = tree_find(&state->tree, parent_path);
    if (!parent) return ZNO_NODE;
    if (!allowed(a, parent, ACL_CREATE)) return ZNO_AUTH;
    if (mode_sequential(args->flags)) path = sequenced(a, path, parent->cversion);
    if (!path_valid(path)) return ZBAD_ARGUMENTS;
    if (tree_find(&state->tree, path)) return ZNODE_EXISTS;
    if (znode_kind_of(parent->owner) == ZNODE_EPHEMERAL) return ZNO_CHILDREN_FOR_EPHEMERALS;
    if (state->enforce_quota && quota_exceeded(&state->quotas, &state->tree, path, 1, (int64_t)args->data.len)) {
        return ZQUOTA_EXCEEDED;
    }
    znode_t *node = insert_node(a, args, parent, path, acl_intern(&state->tree.acls, acl, acl_count));
    ret->path = arena_copy(&state->arena, path); /* a later part of the same multi may delete the node */
    znode_stat(node, &ret->stat);
    return ZOK;
}

/* ---- delete -------------------------------------------------------------------------------------------------------- */

void apply__remove_node(const apply_t *a, znode_t *node)
{
    state_t *state = a->state;
    znode_t *parent = node->parent;
    state__touch(state, node);
    state__touch(state, parent);
    change_t *change = state__record(state, CHANGE_DELETE, node);
    change->parent = parent;
    change->parent_cversion = parent->cversion;
    change->parent_pzxid = parent->pzxid;
    change->new_bytes = node->data_bytes;
    state__detach(state, node);
    parent->pzxid = a->zxid;
}

static coord_zerr_t find_for_delete(const apply_t *a, bytes_t path, znode_t **ret_parent, znode_t **ret_node)
{
    bytes_t parent_path;
    if (!path_parent(path, &parent_path) || path_special(path)) return ZBAD_ARGUMENTS;
    *ret_parent = tree_find(&a->state->tree, parent_path);
    *ret_node = tree_find(&a->state->tree, path);
    return *ret_parent == NULL ? ZNO_NODE : ZOK;
}

coord_zerr_t apply__delete(const apply_t *a, bytes_t path, int32_t version, coord_result_t *ret)
{
    znode_t *parent, *node;
    if (!session_lives(a)) return ZSESSION_EXPIRED;
    coord_zerr_t err = find_for_delete(a, path, &parent, &node);
    if (err != ZOK) return err;
    if (!allowed(a, parent, ACL_DELETE)) return ZNO_AUTH;
    if (!node) return ZNO_NODE;
    if (!version_fits(node->version, version)) return ZBAD_VERSION;
    if (node->children_count > 0) return ZNOT_EMPTY;
    apply__remove_node(a, node);
    ret->path = path;
    return ZOK;
}

/* The server's own reaping of containers and TTL nodes. A client may send it too; unlike the original we then ask for
 * the right to delete, or anybody could remove any empty node. */
coord_zerr_t apply__delete_container(const apply_t *a, bytes_t path, coord_result_t *ret)
{
    znode_t *parent, *node;
    coord_zerr_t err = find_for_delete(a, path, &parent, &node);
    if (err != ZOK) return err;
    if (!node) return ZNO_NODE;
    if (node->children_count > 0) return ZNOT_EMPTY;
    if (znode_kind_of(node->owner) == ZNODE_EPHEMERAL) return ZBAD_VERSION;
    if (a->session_id != 0 && !allowed(a, parent, ACL_DELETE)) return ZNO_AUTH;
    apply__remove_node(a, node);
    ret->path = path;
    return ZOK;
}

/* ---- set, check ---------------------------------------------------------------------------------------------------- */

/* What set, setACL and check have in common: a live session, a valid path, a node, a right. */
static coord_zerr_t find_for(const apply_t *a, bytes_t path, int perms, znode_t **ret_node)
{
    if (!session_lives(a)) return ZSESSION_EXPIRED;
    if (!path_valid(path)) return ZBAD_ARGUMENTS;
    *ret_node = tree_find(&a->state->tree, path);
    if (!*ret_node) return ZNO_NODE;
    return allowed(a, *ret_node, perms) ? ZOK : ZNO_AUTH;
}

coord_zerr_t apply__set_data(const apply_t *a, bytes_t path, bytes_t data, int32_t version, coord_result_t *ret)
{
    state_t *state = a->state;
    znode_t *node;
    coord_zerr_t err = find_for(a, path, ACL_WRITE, &node);
    if (err != ZOK) return err;
    int64_t growth = (int64_t)data.len - node->data_bytes;
    if (state->enforce_quota && quota_exceeded(&state->quotas, &state->tree, path, 0, growth)) return ZQUOTA_EXCEEDED;
    if (!version_fits(node->version, version)) return ZBAD_VERSION;
    state__touch(state, node);
    change_t *change = state__record(state, CHANGE_SET, node);
    change->version = node->version;
    change->mzxid = node->mzxid;
    change->mtime_ms = node->mtime_ms;
    change->data_bytes = node->data_bytes;
    change->new_bytes = (uint32_t)data.len;
    change->data = tree_swap_data(&state->tree, node, tree_copy_data(data), (uint32_t)data.len);
    node->version = version_after(node->version);
    node->mzxid = a->zxid;
    node->mtime_ms = a->time_ms;
    ret->path = path;
    znode_stat(node, &ret->stat);
    return ZOK;
}

coord_zerr_t apply__set_acl(const apply_t *a, const zk_set_acl_request_t *request, coord_result_t *ret)
{
    state_t *state = a->state;
    znode_t *node;
    zk_acl_t *acl;
    int32_t acl_count;
    if (!session_lives(a)) return ZSESSION_EXPIRED;
    if (!path_valid(request->path)) return ZBAD_ARGUMENTS;
    if (!acl_fix(request->acl, request->acl_count, a->who, &state->arena, &acl, &acl_count)) return ZINVALID_ACL;
    coord_zerr_t err = find_for(a, request->path, ACL_ADMIN, &node);
    if (err != ZOK) return err;
    if (!version_fits(node->aversion, request->version)) return ZBAD_VERSION;
    state__touch(state, node);
    acl_t *old = node->acl;
    node->acl = acl_intern(&state->tree.acls, acl, acl_count);
    acl_unref(&state->tree.acls, old);
    node->aversion = version_after(node->aversion);
    ret->path = request->path;
    znode_stat(node, &ret->stat);
    return ZOK;
}

coord_zerr_t apply__check(const apply_t *a, bytes_t path, int32_t version, coord_result_t *ret)
{
    znode_t *node;
    coord_zerr_t err = find_for(a, path, ACL_READ, &node);
    if (err != ZOK) return err;
    if (!version_fits(node->version, version)) return ZBAD_VERSION;
    ret->path = path;
    return ZOK;
}

/* ---- decoding ------------------------------------------------------------------------------------------------------ */

static coord_zerr_t decode_create(const apply_t *a, int32_t type, jute_reader_t *r, coord_result_t *ret)
{
    create_args_t args = {.type = type, .ttl = -1};
    if (type == ZK_OP_CREATE_TTL) {
        zk_create_ttl_request_t request;
        zk_create_ttl_request_get(r, &request);
        args = (create_args_t){type,          request.path, request.data, request.acl, request.acl_count,
                               request.flags, request.ttl};
    } else {
        zk_create_request_t request;
        zk_create_request_get(r, &request);
        args = (create_args_t){type, request.path, request.data, request.acl, request.acl_count, request.flags, -1};
    }
    return r->bad ? ZMARSHALLING_ERROR : apply__create(a, &args, ret);
}

coord_zerr_t apply__part(const apply_t *a, int32_t type, jute_reader_t *r, coord_result_t *ret)
{
    ret->type = type;
    switch (type) {
    case ZK_OP_CREATE:
    case ZK_OP_CREATE2:
    case ZK_OP_CREATE_CONTAINER:
    case ZK_OP_CREATE_TTL: return decode_create(a, type, r, ret);
    case ZK_OP_DELETE: {
        zk_delete_request_t request;
        zk_delete_request_get(r, &request);
        return r->bad ? ZMARSHALLING_ERROR : apply__delete(a, request.path, request.version, ret);
    }
    case ZK_OP_DELETE_CONTAINER: {
        zk_path_request_t request;
        zk_path_request_get(r, &request);
        return r->bad ? ZMARSHALLING_ERROR : apply__delete_container(a, request.path, ret);
    }
    case ZK_OP_SET_DATA: {
        zk_set_data_request_t request;
        zk_set_data_request_get(r, &request);
        return r->bad ? ZMARSHALLING_ERROR : apply__set_data(a, request.path, request.data, request.version, ret);
    }
    case ZK_OP_SET_ACL: {
        zk_set_acl_request_t request;
        zk_set_acl_request_get(r, &request);
        return r->bad ? ZMARSHALLING_ERROR : apply__set_acl(a, &request, ret);
    }
    case ZK_OP_CHECK: {
        zk_check_version_request_t request;
        zk_check_version_request_get(r, &request);
        return r->bad ? ZMARSHALLING_ERROR : apply__check(a, request.path, request.version, ret);
    }
    default: return ZUNIMPLEMENTED;
    }
}

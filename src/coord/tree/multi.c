/* multi.c: several operations as one: ZooKeeper's multi, and the inside door's (coord_submit). The first refused part
 * sets failed_index; state_apply then takes back what the parts before it did. */
#include "coord/tree/path.h"
#include "coord/tree/state.h"

static coord_result_t *add_part(const apply_t *a, coord_result_t *ret, int32_t *cap)
{
    if (ret->parts_count == *cap) {
        int32_t bigger = *cap ? *cap * 2 : 8;
        coord_result_t *parts = arena_alloc(&a->state->arena, sizeof(coord_result_t) * (size_t)bigger);
        if (*cap > 0) memcpy(parts, ret->parts, sizeof(coord_result_t) * (size_t)*cap);
        ret->parts = parts;
        *cap = bigger;
    }
    coord_result_t *part = &ret->parts[ret->parts_count++];
    *part = (coord_result_t){.zxid = a->zxid, .failed_index = -1};
    return part;
}

/* What the protocol lets into a multi. */
static bool multi_may_hold(int32_t type)
{
    return type == ZK_OP_CREATE || type == ZK_OP_CREATE2 || type == ZK_OP_CREATE_CONTAINER ||
           type == ZK_OP_CREATE_TTL || type == ZK_OP_DELETE || type == ZK_OP_SET_DATA || type == ZK_OP_CHECK;
}

/* After a refusal the other parts are only counted, by skipping their bytes: the reply has one result for each. */
static void skip_part(int32_t type, jute_reader_t *r)
{
    switch (type) {
    case ZK_OP_CREATE_TTL: {
        zk_create_ttl_request_t request;
        zk_create_ttl_request_get(r, &request);
        break;
    }
    case ZK_OP_DELETE:
    case ZK_OP_CHECK: {
        zk_check_version_request_t request;
        zk_check_version_request_get(r, &request);
        break;
    }
    case ZK_OP_SET_DATA: {
        zk_set_data_request_t request;
        zk_set_data_request_get(r, &request);
        break;
    }
    default: {
        zk_create_request_t request;
        zk_create_request_get(r, &request);
    }
    }
}

static void run_part(const apply_t *a, int32_t type, jute_reader_t *r, int32_t *cap, coord_result_t *ret)
{
    coord_result_t *part = add_part(a, ret, cap);
    if (ret->failed_index >= 0) {
        part->type = type;
        part->err = ZRUNTIME_INCONSISTENCY;
        skip_part(type, r);
        return;
    }
    part->err = apply__part(a, type, r, part);
    if (part->err != ZOK) ret->failed_index = ret->parts_count - 1;
}

bool multi__step(const apply_t *a, jute_reader_t *r, int32_t *cap, coord_result_t *ret)
{
    zk_multi_header_t header;
    zk_multi_header_get(r, &header);
    if (!r->bad && header.done) return true;
    bool may = !r->bad && multi_may_hold(header.type) && ret->parts_count < STATE_MULTI_PARTS_MAX;
    if (may) run_part(a, header.type, r, cap, ret);
    if (may && !r->bad) return false;
    ret->err = ZMARSHALLING_ERROR;
    return true;
}

/* ---- the inside door ------------------------------------------------------------------------------------------------ */

static const zk_acl_t world_all = {ACL_ALL, {{(const uint8_t *)"world", 5}, {(const uint8_t *)"anyone", 6}}};

static coord_zerr_t create_open(const apply_t *a, bytes_t path, bytes_t data, bool ephemeral, coord_result_t *ret)
{
    create_args_t args = {ZK_OP_CREATE, path, data, &world_all, 1, ephemeral ? 1 : 0, -1};
    return apply__create(a, &args, ret);
}

static coord_zerr_t create_parents(const apply_t *a, bytes_t path)
{
    for (size_t i = 1; i < path.len; i++) {
        if (path.ptr[i] != '/') continue;
        bytes_t above = bytes_of(path.ptr, i);
        coord_result_t ignored = {0};
        if (tree_find(&a->state->tree, above)) continue;
        coord_zerr_t err = create_open(a, above, BYTES_LIT(""), false, &ignored);
        if (err != ZOK) return err;
    }
    return ZOK;
}

static coord_zerr_t local_op(const apply_t *a, const zk_local_op_t *op, coord_result_t *ret)
{
    coord_zerr_t err = op->make_parents ? create_parents(a, op->path) : ZOK;
    if (err != ZOK) return err;
    switch ((coord_op_kind_t)op->kind) {
    case COORD_CREATE: return create_open(a, op->path, op->data, false, ret);
    case COORD_CREATE_EPHEMERAL: return create_open(a, op->path, op->data, true, ret);
    case COORD_SET: return apply__set_data(a, op->path, op->data, op->version, ret);
    case COORD_DELETE: return apply__delete(a, op->path, op->version, ret);
    case COORD_CHECK: return apply__check(a, op->path, op->version, ret);
    }
    return ZBAD_ARGUMENTS;
}

coord_zerr_t multi__apply_local(const apply_t *a, bytes_t body, coord_result_t *ret)
{
    jute_reader_t r = jute_reader(body, &a->state->arena);
    zk_local_multi_command_t command;
    zk_local_multi_command_get(&r, &command);
    if (r.bad) return ZMARSHALLING_ERROR;
    for (int32_t i = 0; i < command.ops_count; i++) {
        coord_result_t part = {.failed_index = -1};
        coord_zerr_t err = local_op(a, &command.ops[i], &part);
        if (err == ZOK) continue;
        ret->failed_index = i;
        return err;
    }
    return ZOK;
}

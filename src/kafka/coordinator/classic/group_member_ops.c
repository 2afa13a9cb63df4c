/* group_member_ops.c: what members do besides joining (SyncGroup, Heartbeat, LeaveGroup, committing offsets),
 * loading a stored group, its end, and questions about members. */
#include "kafka/coordinator/classic/group_internal.h"

/* ---- SyncGroup -------------------------------------------------------------------------------------- */

static void reply_sync_error(group_t *g, const group_sync_t *sync, kafka_code_t error)
{
    group_sync_reply_t reply = {.error = error, .assignment = BYTES_LIT("")};
    g->host->synced(g->user, g, sync->request, &reply);
}

static bool contradicts(bytes_t asked, bytes_t ours) { return asked.ptr && ours.ptr && !bytes_eq(asked, ours); }

static kafka_code_t check_sync(const group_t *g, const group_sync_t *sync)
{
    if (g->state == GROUP_DEAD) return KAFKA_COORDINATOR_NOT_AVAILABLE;
    kafka_code_t error = group__validate(g, sync->member_id, sync->instance_id);
    if (error != KAFKA_NONE) return error;
    if (sync->generation != g->generation) return KAFKA_ILLEGAL_GENERATION;
    if (contradicts(sync->protocol_type, g->protocol_type)) return KAFKA_INCONSISTENT_GROUP_PROTOCOL;
    if (contradicts(sync->protocol_name, g->protocol_name)) return KAFKA_INCONSISTENT_GROUP_PROTOCOL;
    return g->state == GROUP_PREPARING_REBALANCE ? KAFKA_REBALANCE_IN_PROGRESS : KAFKA_NONE;
}

static void take_assignments(group_t *g, const group_sync_t *sync)
{
    LIST_EACH(&g->members, m, group_member_t, node) group__set(&m->assignment_next, BYTES_LIT(""));
    for (size_t i = 0; i < sync->assignments_count; i++) {
        group_member_t *m = group_find(g, sync->assignments[i].member_id);
        bytes_t assignment = sync->assignments[i].assignment;
        if (m) group__set(&m->assignment_next, assignment.ptr ? assignment : BYTES_LIT(""));
    }
}

void group_sync(group_t *g, const group_sync_t *sync, runtime_now_t now)
{
    kafka_code_t error = check_sync(g, sync);
    if (error != KAFKA_NONE) return reply_sync_error(g, sync, error);
    group_member_t *m = group_find(g, sync->member_id);
    group__park_sync(g, m, sync->request);
    group__sync_received(g, m);
    if (g->state == GROUP_STABLE) {
        group__reply_sync(g, m, KAFKA_NONE);
    } else if (g->leader == m) {
        take_assignments(g, sync);
        g->host->store(g->user, g, group__store_new(g, GROUP_STORE_ASSIGNMENT));
    }
}

/* ---- Heartbeat, LeaveGroup, OffsetCommit ------------------------------------------------------------ */

kafka_code_t group_heartbeat(group_t *g, bytes_t member_id, bytes_t instance_id, int32_t generation, runtime_now_t now)
{
    if (g->state == GROUP_DEAD) return KAFKA_COORDINATOR_NOT_AVAILABLE;
    kafka_code_t error = group__validate(g, member_id, instance_id);
    if (error != KAFKA_NONE) return error;
    if (generation != g->generation) return KAFKA_ILLEGAL_GENERATION;
    group__reschedule_session(g, group_find(g, member_id), now);
    return g->state == GROUP_PREPARING_REBALANCE ? KAFKA_REBALANCE_IN_PROGRESS : KAFKA_NONE;
}

static kafka_code_t leave_one(group_t *g, const group_leaver_t *leaver)
{
    group_member_t *m = NULL;
    if (leaver->member_id.len == 0) {
        m = leaver->instance_id.ptr ? map_get(&g->by_instance, leaver->instance_id) : NULL;
        if (!m) return KAFKA_UNKNOWN_MEMBER_ID;
    } else {
        group_pending_t *pending = group__pending(g, leaver->member_id);
        if (pending) {
            group__remove_pending(g, pending);
            return KAFKA_NONE;
        }
        kafka_code_t error = group__validate(g, leaver->member_id, leaver->instance_id);
        if (error != KAFKA_NONE) return error;
        m = group_find(g, leaver->member_id);
    }
    group__fail_join(g, m, BYTES_LIT(""), KAFKA_UNKNOWN_MEMBER_ID);
    group__remove(g, m);
    return KAFKA_NONE;
}

kafka_code_t group_leave(group_t *g, group_leaver_t *leavers, size_t leavers_count, runtime_now_t now)
{
    if (g->state == GROUP_DEAD) return KAFKA_COORDINATOR_NOT_AVAILABLE;
    bool left = false;
    for (size_t i = 0; i < leavers_count; i++) {
        leavers[i].error = leave_one(g, &leavers[i]);
        left = left || leavers[i].error == KAFKA_NONE;
    }
    if (left && g->state != GROUP_EMPTY) group__rebalance_or_complete(g, now);
    return KAFKA_NONE;
}

kafka_code_t group_commit_check(group_t *g, bytes_t member_id, bytes_t instance_id, int32_t generation,
                                bool transactional, runtime_now_t now)
{
    if (g->state == GROUP_DEAD) return KAFKA_COORDINATOR_NOT_AVAILABLE;
    /* An administrator, or a consumer that only keeps its offsets here. */
    if (generation < 0 && g->state == GROUP_EMPTY) return KAFKA_NONE;
    bool is_member = generation >= 0 || member_id.len > 0 || instance_id.ptr;
    if (is_member) {
        kafka_code_t error = group__validate(g, member_id, instance_id);
        if (error != KAFKA_NONE) return error;
        if (generation != g->generation) return KAFKA_ILLEGAL_GENERATION;
    } else if (!transactional && g->state != GROUP_EMPTY) {
        return KAFKA_UNKNOWN_MEMBER_ID;
    }
    if (transactional) return KAFKA_NONE;
    if (g->state == GROUP_COMPLETING_REBALANCE) return KAFKA_REBALANCE_IN_PROGRESS;
    group_member_t *m = group_find(g, member_id);
    if (m) group__reschedule_session(g, m, now);
    return KAFKA_NONE;
}

/* ---- loading, and the end --------------------------------------------------------------------------- */

void group_load(group_t *g, int32_t generation, bytes_t protocol_type, bytes_t protocol_name, int64_t state_since_ms)
{
    ASSERT(list_empty(&g->members) && g->state == GROUP_EMPTY);
    g->generation = generation;
    g->state_since_ms = state_since_ms;
    group__set(&g->protocol_type, protocol_type.len ? protocol_type : BYTES_NULL);
    group__set(&g->protocol_name, protocol_name);
}

int group_load_member(group_t *g, const group_loaded_member_t *loaded, bool leader)
{
    if (group_find(g, loaded->id)) return ERR_EXISTS;
    if (loaded->instance_id.ptr && map_get(&g->by_instance, loaded->instance_id)) return ERR_EXISTS;
    bytes_t protocol = g->protocol_name.ptr ? g->protocol_name : BYTES_LIT("");
    group_protocol_t known = {protocol, loaded->subscription};
    bool own_timeout = loaded->rebalance_timeout_ms != -1;
    group_join_t join = {
        .instance_id = loaded->instance_id,
        .client_id = loaded->client_id,
        .client_host = loaded->client_host,
        .protocol_type = g->protocol_type,
        .protocols = loaded->protocols ? loaded->protocols : &known,
        .protocols_count = loaded->protocols ? loaded->protocols_count : 1,
        .session_timeout_ms = loaded->session_timeout_ms,
        .rebalance_timeout_ms = own_timeout ? loaded->rebalance_timeout_ms : loaded->session_timeout_ms,
    };
    group_member_t *m = group__add(g, loaded->id, &join);
    group__set(&m->assignment, loaded->assignment.ptr ? loaded->assignment : BYTES_LIT(""));
    if (leader) g->leader = m;
    return 0;
}

void group_load_end(group_t *g, runtime_now_t now)
{
    if (list_empty(&g->members)) return;
    g->state = GROUP_STABLE; /* not a transition: the recorded time of the state stays */
    LIST_EACH(&g->members, m, group_member_t, node) group__reschedule_session(g, m, now);
    if (g->members_count > (size_t)g->config->members_max) group__prepare_rebalance(g, now);
}

void group_load_elect(group_t *g) { group__set(&g->protocol_name, group__select_protocol(g)); }

void group_rebalance(group_t *g, runtime_now_t now) { group__rebalance_or_complete(g, now); }

void group_kill(group_t *g, kafka_code_t error, runtime_now_t now)
{
    group__transition(g, GROUP_DEAD, now);
    LIST_EACH(&g->members, m, group_member_t, node) {
        group__fail_join(g, m, m->id, error);
        group__reply_sync(g, m, error);
    }
    g->next_deadline_ms = GROUP_NEVER_MS;
}

/* ---- questions -------------------------------------------------------------------------------------- */

bytes_t group_member_metadata(const group_member_t *m, bytes_t protocol)
{
    for (size_t i = 0; i < m->protocols_count; i++) {
        if (bytes_eq(m->protocols[i].name, protocol)) return m->protocols[i].metadata;
    }
    return BYTES_NULL;
}

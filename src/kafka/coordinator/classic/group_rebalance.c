/* group_rebalance.c: the phases of a rebalance: how one begins, when the join phase ends, what a stored
 * assignment sets free, and what happens when time runs out. Shared by all inputs of the group state machine.
 */
#include "kafka/coordinator/classic/group_internal.h"

/* ---- into PreparingRebalance ------------------------------------------------------------------------ */

static void fail_all_syncs(group_t *g, kafka_code_t error, runtime_now_t now)
{
    LIST_EACH(&g->members, m, group_member_t, node) {
        group__set(&m->assignment, BYTES_LIT(""));
        group__set(&m->assignment_next, BYTES_NULL);
        if (!m->sync_request) continue;
        group__reply_sync(g, m, error);
        group__reschedule_session(g, m, now); /* it may have lapsed unnoticed while the request was parked */
    }
}

static void clear_sync_phase(group_t *g)
{
    g->sync_deadline_ms = GROUP_NEVER_MS;
    LIST_EACH(&g->members, m, group_member_t, node) group__set_sync_due(g, m, false);
}

void group__prepare_rebalance(group_t *g, runtime_now_t now)
{
    if (g->state == GROUP_COMPLETING_REBALANCE) fail_all_syncs(g, KAFKA_REBALANCE_IN_PROGRESS, now);
    clear_sync_phase(g);
    int32_t timeout_ms = group__rebalance_timeout_ms(g);
    g->join_initial = g->state == GROUP_EMPTY;
    group__transition(g, GROUP_PREPARING_REBALANCE, now);
    if (g->join_initial) {
        g->join_extended = false;
        g->initial_delay_ms = g->config->initial_rebalance_delay_ms;
        g->initial_left_ms = MAX(timeout_ms - g->initial_delay_ms, 0);
        group__schedule(g, &g->join_deadline_ms, now.mono_ms + g->initial_delay_ms);
    } else if (group__all_joined(g)) {
        group__complete_join(g, now);
    } else {
        group__schedule(g, &g->join_deadline_ms, now.mono_ms + timeout_ms);
    }
}

void group__rebalance_or_complete(group_t *g, runtime_now_t now)
{
    if (g->state == GROUP_PREPARING_REBALANCE) {
        group__maybe_complete_join(g, now);
    } else if (g->state != GROUP_DEAD) {
        group__prepare_rebalance(g, now);
    }
}

void group__maybe_complete_join(group_t *g, runtime_now_t now)
{
    if (g->state != GROUP_PREPARING_REBALANCE || g->previous_state == GROUP_EMPTY) return;
    if (group__all_joined(g)) group__complete_join(g, now);
}

/* The initial delay is over: wait again, up to the rebalance timeout in all, as long as members keep coming.
 */
static void initial_delay_over(group_t *g, runtime_now_t now)
{
    if (!g->join_extended || g->initial_left_ms == 0) {
        group__complete_join(g, now);
        return;
    }
    g->join_extended = false;
    int32_t delay_ms = MIN(g->config->initial_rebalance_delay_ms, g->initial_left_ms);
    g->initial_left_ms = MAX(g->initial_left_ms - g->initial_delay_ms, 0);
    g->initial_delay_ms = delay_ms;
    group__schedule(g, &g->join_deadline_ms, now.mono_ms + delay_ms);
}

/* ---- the end of the join phase ---------------------------------------------------------------------- */

/* Static members stay until their session ends: they may be restarting. */
static void remove_dynamic_members_not_joined(group_t *g)
{
    LIST_EACH(&g->members, m, group_member_t, node) {
        if (!m->join_request && !m->instance_id.ptr) group__remove(g, m);
    }
}

/* A leader that did not rejoin cannot assign: the first that did leads. False when nobody did. */
static bool elect_joined_leader(group_t *g)
{
    if (!g->leader || g->leader->join_request) return g->leader != NULL;
    LIST_EACH(&g->members, m, group_member_t, node) {
        if (!m->join_request) continue;
        g->leader = m;
        return true;
    }
    return false;
}

static void become_empty(group_t *g, runtime_now_t now)
{
    g->generation++;
    group__set(&g->protocol_name, BYTES_NULL);
    group__transition(g, GROUP_EMPTY, now);
    g->host->store(g->user, g, group__store_new(g, GROUP_STORE_EMPTY));
}

static void begin_sync_phase(group_t *g, runtime_now_t now)
{
    g->generation++;
    group__set(&g->protocol_name, group__select_protocol(g));
    group__transition(g, GROUP_COMPLETING_REBALANCE, now);
    LIST_EACH(&g->members, m, group_member_t, node) {
        group_join_reply_t reply = group__join_reply(g, m);
        group__reply_join(g, m, &reply);
        group__reschedule_session(g, m, now);
        m->is_new = false;
        group__set_sync_due(g, m, true);
    }
    group__schedule(g, &g->sync_deadline_ms, now.mono_ms + group__rebalance_timeout_ms(g));
}

void group__complete_join(group_t *g, runtime_now_t now)
{
    ASSERT(g->state == GROUP_PREPARING_REBALANCE);
    g->join_deadline_ms = GROUP_NEVER_MS;
    remove_dynamic_members_not_joined(g);
    if (list_empty(&g->members)) {
        become_empty(g, now);
    } else if (elect_joined_leader(g)) {
        begin_sync_phase(g, now);
    } else {
        /* Only silent static members are left: wait for them, or for the end of their sessions. */
        g->join_initial = false;
        group__schedule(g, &g->join_deadline_ms, now.mono_ms + group__rebalance_timeout_ms(g));
    }
}

/* ---- stored ----------------------------------------------------------------------------------------- */

static void assignment_stored(group_t *g, const group_store_t *store, kafka_code_t error, runtime_now_t now)
{
    /* Another member may have joined meanwhile; then the assignment is of no use. */
    if (g->state != GROUP_COMPLETING_REBALANCE || g->generation != store->generation) return;
    if (error != KAFKA_NONE) {
        fail_all_syncs(g, error, now);
        group__rebalance_or_complete(g, now);
        return;
    }
    LIST_EACH(&g->members, m, group_member_t, node) {
        group__set(&m->assignment, m->assignment_next.ptr ? m->assignment_next : BYTES_LIT(""));
        group__set(&m->assignment_next, BYTES_NULL);
    }
    group__transition(g, GROUP_STABLE, now);
    LIST_EACH(&g->members, m, group_member_t, node) {
        if (!m->sync_request) continue;
        group__reply_sync(g, m, KAFKA_NONE);
        group__reschedule_session(g, m, now);
    }
}

/* The static member's new id is on disk, so it may know it. Without KIP-814 a rejoining leader is told that
 * its old id leads: it must not compute an assignment, since there is no rebalance. */
static void static_stored(group_t *g, const group_store_t *store, kafka_code_t error, runtime_now_t now)
{
    group_member_t *m = group_find(g, store->member_id);
    if (!m || !m->join_request || g->state != GROUP_STABLE) return; /* a rebalance began and will answer */
    group_join_reply_t reply = group__join_reply(g, m);
    if (error != KAFKA_NONE) {
        reply = (group_join_reply_t){.error = error,
                                     .generation = g->generation,
                                     .leader = store->old_leader,
                                     .protocol_type = g->protocol_type,
                                     .protocol_name = g->protocol_name,
                                     .member_id = BYTES_LIT("")};
        group__reply_join(g, m, &reply);
        group__rename(g, m, store->old_member_id);
        group__reschedule_session(g, m, now);
        return;
    }
    if (store->skip_assignment_known) {
        reply.skip_assignment = reply.with_members;
    } else {
        reply.leader = store->old_leader;
        reply.with_members = false;
    }
    group__reply_join(g, m, &reply);
}

void group_stored(group_t *g, group_store_t *store, kafka_code_t error, runtime_now_t now)
{
    if (store->kind == GROUP_STORE_ASSIGNMENT) assignment_stored(g, store, error, now);
    if (store->kind == GROUP_STORE_STATIC) static_stored(g, store, error, now);
    group__store_free(store);
}

/* ---- time ------------------------------------------------------------------------------------------- */

void group__set_sync_due(group_t *g, group_member_t *m, bool due)
{
    g->syncs_due += (size_t)due - (size_t)m->sync_due;
    m->sync_due = due;
}

void group__sync_received(group_t *g, group_member_t *m)
{
    group__set_sync_due(g, m, false);
    if (g->syncs_due == 0) g->sync_deadline_ms = GROUP_NEVER_MS;
}

/* Members that joined but never asked for their assignment hold everybody up (KAFKA-12890): out with them. */
static void sync_phase_over(group_t *g, runtime_now_t now)
{
    g->sync_deadline_ms = GROUP_NEVER_MS;
    if (g->state != GROUP_COMPLETING_REBALANCE && g->state != GROUP_STABLE) return;
    bool removed = false;
    LIST_EACH(&g->members, m, group_member_t, node) {
        if (!m->sync_due) continue;
        group__fail_join(g, m, BYTES_LIT(""), KAFKA_UNKNOWN_MEMBER_ID);
        group__remove(g, m);
        removed = true;
    }
    if (removed) group__prepare_rebalance(g, now);
}

static void complete_without_them(group_t *g, runtime_now_t now)
{
    if (g->state == GROUP_PREPARING_REBALANCE) {
        if (group__all_joined(g)) group__complete_join(g, now);
    } else {
        group__rebalance_or_complete(g, now);
    }
}

/* However many sessions end, one pass over the members and one rebalance do for them. */
static bool sessions_over(group_t *g, runtime_now_t now)
{
    bool removed = false;
    LIST_EACH(&g->members, m, group_member_t, node) {
        if (m->deadline_ms > now.mono_ms) continue;
        m->deadline_ms = GROUP_NEVER_MS;
        /* A parked request is proof of life enough, but for a first JoinGroup: nobody may be behind it any more. */
        if (!m->is_new && (m->join_request || m->sync_request)) continue;
        group__fail_join(g, m, BYTES_LIT(""), KAFKA_UNKNOWN_MEMBER_ID);
        group__remove(g, m);
        removed = true;
    }
    if (removed) complete_without_them(g, now);
    return removed;
}

static bool pendings_over(group_t *g, runtime_now_t now)
{
    bool removed = false;
    LIST_EACH(&g->pending, p, group_pending_t, node) {
        if (p->deadline_ms > now.mono_ms) continue;
        group__remove_pending(g, p);
        removed = true;
    }
    if (removed && g->state == GROUP_PREPARING_REBALANCE && group__all_joined(g)) group__complete_join(g, now);
    return removed;
}

/* What is due; what it does may set new deadlines, so the search begins anew after each. */
static bool run_due(group_t *g, runtime_now_t now)
{
    if (g->join_deadline_ms <= now.mono_ms) {
        g->join_initial ? initial_delay_over(g, now) : group__complete_join(g, now);
        return true;
    }
    if (g->sync_deadline_ms <= now.mono_ms) {
        sync_phase_over(g, now);
        return true;
    }
    return pendings_over(g, now) || sessions_over(g, now);
}

void group_tick(group_t *g, runtime_now_t now)
{
    if (g->state == GROUP_DEAD || g->next_deadline_ms > now.mono_ms) return;
    while (run_due(g, now)) {
    }
    g->next_deadline_ms = MIN(g->join_deadline_ms, g->sync_deadline_ms);
    LIST_EACH(&g->pending, p, group_pending_t, node) g->next_deadline_ms = MIN(g->next_deadline_ms, p->deadline_ms);
    LIST_EACH(&g->members, m, group_member_t, node) g->next_deadline_ms = MIN(g->next_deadline_ms, m->deadline_ms);
}

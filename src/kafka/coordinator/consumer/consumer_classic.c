/* consumer_classic.c: members of the classic protocol in a consumer group, while clients are moved from one protocol to the
 * other. Such a member's JoinGroup, SyncGroup and Heartbeat stand for heartbeats of the consumer protocol:
 *
 *   JoinGroup   joins or comes back, says what it reads and owns; answered with its epoch as its generation, and nobody
 *               to lead: the coordinator assigns
 *   SyncGroup   asks what it is assigned
 *   Heartbeat   REBALANCE_IN_PROGRESS, until it joins again, when the group has moved on, when it must give something up,
 *               or when what it waits for has become free
 *
 * It has as long as its rebalance timeout to join again once told to, and to ask for its assignment once it has. */
#include "kafka/coordinator/consumer/consumer_internal.h"
#include "kafka/errors.h"

static const bytes_t consumer_type = BYTES_LIT("consumer");

/* ---- JoinGroup --------------------------------------------------------------------------------------- */

static bool all_know(const consumer_group_t *g, bytes_t protocol)
{
    const consumer_count_t *count = map_get(&g->protocols, protocol);
    return (count ? count->members : 0) == g->classic_count;
}

static bool supports_protocols(const consumer_group_t *g, const group_join_t *join)
{
    if (!bytes_eq(join->protocol_type, consumer_type)) return false;
    for (size_t i = 0; i < join->protocols_count; i++) {
        if (all_know(g, join->protocols[i].name)) return true;
    }
    return false;
}

static kafka_code_t check_static(const group_join_t *join, const consumer_member_t *known)
{
    if (!known) return join->member_id.len == 0 ? KAFKA_NONE : KAFKA_UNKNOWN_MEMBER_ID;
    return join->member_id.len == 0 || bytes_eq(known->id, join->member_id) ? KAFKA_NONE : KAFKA_FENCED_INSTANCE_ID;
}

/* The member that joins, old or new; NULL with an error in the reply. */
static consumer_member_t *member_of(consumer_group_t *g, const group_join_t *join, bytes_t member_id,
                                    consumer_join_reply_t *reply)
{
    consumer_member_t *m = consumer_find(g, member_id);
    if (!join->instance_id.ptr) return m ? m : consumer_add(g, member_id);
    consumer_member_t *known = map_get(&g->by_instance, join->instance_id);
    reply->error = check_static(join, known);
    if (reply->error != KAFKA_NONE) return NULL;
    if (!known) return m ? m : consumer_add(g, member_id);
    if (join->member_id.len > 0) return known;
    reply->replaced_consumer = !known->classic;
    return consumer__replace(g, known, member_id);
}

static bool same_protocols(const consumer_member_t *m, const group_join_t *join)
{
    if (!m->classic || m->protocols_count != join->protocols_count) return false;
    for (size_t i = 0; i < m->protocols_count; i++) {
        if (!bytes_eq(m->protocols[i].name, join->protocols[i].name)) return false;
        if (!bytes_eq(m->protocols[i].metadata, join->protocols[i].metadata)) return false;
    }
    return m->session_timeout_ms == join->session_timeout_ms;
}

/* Takes over what the request says; true when the subscription is another now. */
static bool update_member(consumer_group_t *g, consumer_member_t *m, const group_join_t *join,
                          const consumer_subscription_t *s)
{
    bool changed = consumer__update_bytes(&m->rack_id, s->rack_id);
    changed = consumer__update_bytes(&m->client_id, join->client_id.ptr ? join->client_id : BYTES_LIT("")) || changed;
    changed = consumer__update_bytes(&m->client_host, join->client_host) || changed;
    if (join->instance_id.ptr && !m->instance_id.ptr) {
        consumer_set_instance(g, m, join->instance_id);
        changed = true;
    }
    if (join->rebalance_timeout_ms != m->rebalance_timeout_ms) {
        m->rebalance_timeout_ms = join->rebalance_timeout_ms;
        changed = true;
    }
    if (!same_protocols(m, join)) {
        consumer_set_classic(g, m, join->protocols, join->protocols_count, join->session_timeout_ms);
        changed = true;
    }
    bool resubscribed = consumer__update_topics(g, m, s->topics, s->topics_count);
    if (m->regex.ptr) {
        consumer_set_regex(g, m, BYTES_NULL);
        resubscribed = true;
    }
    if (changed || resubscribed) m->dirty |= CONSUMER_DIRTY_METADATA;
    return resubscribed;
}

static void join(consumer_group_t *g, consumer_member_t *m, const group_join_t *in,
                 const consumer_subscription_t *subscription, runtime_now_t now, consumer_join_reply_t *reply)
{
    bool resubscribed = update_member(g, m, in, subscription);
    m->revoke_deadline_ms = GROUP_NEVER_MS;
    consumer__progress(g, m, resubscribed, subscription->owned, now);
    m->join_deadline_ms = GROUP_NEVER_MS;
    consumer__reschedule_session(g, m, now);
    consumer__schedule(g, &m->sync_deadline_ms, now.mono_ms + MAX(m->rebalance_timeout_ms, 1));
    reply->member_id = m->id;
    reply->generation = m->epoch;
    reply->protocol_name = m->protocols[0].name;
}

void consumer_classic_join(consumer_group_t *g, const group_join_t *in, const consumer_subscription_t *subscription,
                           bytes_t new_id, runtime_now_t now, consumer_join_reply_t *reply)
{
    bytes_t member_id = in->member_id.len ? in->member_id : new_id;
    *reply = (consumer_join_reply_t){.generation = -1, .member_id = BYTES_LIT("")};
    if (consumer__is_full(g, member_id)) {
        reply->error = KAFKA_GROUP_MAX_SIZE_REACHED;
    } else if (!supports_protocols(g, in)) {
        reply->error = KAFKA_INCONSISTENT_GROUP_PROTOCOL;
    } else if (in->member_id_required && !in->instance_id.ptr && in->member_id.len == 0) {
        reply->error = KAFKA_MEMBER_ID_REQUIRED;
        reply->member_id = new_id;
    } else {
        consumer_member_t *m = member_of(g, in, member_id, reply);
        if (m) join(g, m, in, subscription, now, reply);
    }
}

/* ---- SyncGroup, Heartbeat ------------------------------------------------------------------------------ */

static kafka_code_t find_member(const consumer_group_t *g, bytes_t member_id, bytes_t instance_id, int32_t generation,
                                consumer_member_t **ret_member)
{
    consumer_member_t *m = instance_id.ptr ? map_get(&g->by_instance, instance_id) : consumer_find(g, member_id);
    if (!m) return KAFKA_UNKNOWN_MEMBER_ID;
    if (!bytes_eq(m->id, member_id)) return KAFKA_FENCED_INSTANCE_ID;
    if (!m->classic) return KAFKA_UNKNOWN_MEMBER_ID;
    *ret_member = m;
    return generation == m->epoch ? KAFKA_NONE : KAFKA_ILLEGAL_GENERATION;
}

static void must_join_again(consumer_group_t *g, consumer_member_t *m, runtime_now_t now)
{
    if (m->join_deadline_ms == GROUP_NEVER_MS)
        consumer__schedule(g, &m->join_deadline_ms, now.mono_ms + MAX(m->rebalance_timeout_ms, 1));
}

static bool contradicts(bytes_t asked, bytes_t ours) { return asked.ptr && !bytes_eq(asked, ours); }

kafka_code_t consumer_classic_sync(consumer_group_t *g, const group_sync_t *sync, runtime_now_t now,
                                   const consumer_member_t **ret_member)
{
    consumer_member_t *m;
    kafka_code_t error = find_member(g, sync->member_id, sync->instance_id, sync->generation, &m);
    if (error != KAFKA_NONE) return error;
    if (contradicts(sync->protocol_type, consumer_type) || contradicts(sync->protocol_name, m->protocols[0].name))
        return KAFKA_INCONSISTENT_GROUP_PROTOCOL;
    if (g->epoch > m->epoch && m->state != CONSUMER_MEMBER_UNREVOKED) {
        must_join_again(g, m, now);
        return KAFKA_REBALANCE_IN_PROGRESS;
    }
    m->sync_deadline_ms = GROUP_NEVER_MS;
    consumer__reschedule_session(g, m, now);
    *ret_member = m;
    return KAFKA_NONE;
}

kafka_code_t consumer_classic_heartbeat(consumer_group_t *g, bytes_t member_id, bytes_t instance_id, int32_t generation,
                                        runtime_now_t now)
{
    consumer_member_t *m;
    kafka_code_t error = find_member(g, member_id, instance_id, generation, &m);
    if (error != KAFKA_NONE) return error;
    consumer__reschedule_session(g, m, now);
    bool free_now = m->state == CONSUMER_MEMBER_UNRELEASED && !consumer__waits_for_others(g, m);
    if (m->epoch >= g->epoch && m->state != CONSUMER_MEMBER_UNREVOKED && !free_now) return KAFKA_NONE;
    must_join_again(g, m, now);
    return KAFKA_REBALANCE_IN_PROGRESS;
}

/* ---- LeaveGroup ---------------------------------------------------------------------------------------- */

static kafka_code_t leave_one(consumer_group_t *g, const group_leaver_t *leaver)
{
    consumer_member_t *m =
        leaver->instance_id.ptr ? map_get(&g->by_instance, leaver->instance_id) : consumer_find(g, leaver->member_id);
    if (!m) return KAFKA_UNKNOWN_MEMBER_ID;
    if (leaver->member_id.len > 0 && !bytes_eq(m->id, leaver->member_id)) return KAFKA_FENCED_INSTANCE_ID;
    consumer_remove(g, m, true);
    return KAFKA_NONE;
}

void consumer_leave(consumer_group_t *g, group_leaver_t *leavers, size_t leavers_count)
{
    bool left = false;
    for (size_t i = 0; i < leavers_count; i++) {
        leavers[i].error = leave_one(g, &leavers[i]);
        left = left || leavers[i].error == KAFKA_NONE;
    }
    if (left) consumer__members_gone(g);
}

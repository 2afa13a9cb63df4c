/* group_join.c: JoinGroup: who is let in, under which id, and whether that means a rebalance. */
#include "kafka/coordinator/classic/group_internal.h"

#define UUID_CHARS 36

static void reply_error(group_t *g, const group_join_t *join, bytes_t member_id, kafka_code_t error)
{
    group_join_reply_t reply = {.error = error, .generation = -1, .leader = BYTES_LIT(""), .member_id = member_id};
    g->host->joined(g->user, g, join->request, &reply);
}

kafka_code_t group_join_check(const group_config_t *config, bytes_t group_id, const group_join_t *join)
{
    if (group_id.len == 0) return KAFKA_INVALID_GROUP_ID;
    if (join->session_timeout_ms < config->session_timeout_ms_min) return KAFKA_INVALID_SESSION_TIMEOUT;
    if (join->session_timeout_ms > config->session_timeout_ms_max) return KAFKA_INVALID_SESSION_TIMEOUT;
    bool few = join->protocols_count <= GROUP_PROTOCOLS_MAX;
    if (!few || group_protocols_bytes(join->protocols, join->protocols_count) > GROUP_MEMBER_BYTES_MAX)
        return KAFKA_MESSAGE_TOO_LARGE;
    return KAFKA_NONE;
}

/* The waiting members are counted while joining, so that the last to come back are the ones left out when
 * group.max.size was lowered; once the phase is over those who did not come are gone and all members count.
 */
static bool has_room(const group_t *g, const group_member_t *m)
{
    size_t max = (size_t)g->config->members_max;
    switch (g->state) {
    case GROUP_EMPTY:
    case GROUP_DEAD: return true;
    case GROUP_PREPARING_REBALANCE: return (m && m->join_request) || g->members_joining < max;
    case GROUP_COMPLETING_REBALANCE:
    case GROUP_STABLE: return m || g->members_count < max;
    }
    UNREACHABLE();
}

static bool supports_protocols(const group_t *g, const group_join_t *join)
{
    if (g->state == GROUP_EMPTY) return join->protocol_type.len > 0 && join->protocols_count > 0;
    if (!bytes_eq(g->protocol_type, join->protocol_type)) return false;
    for (size_t i = 0; i < join->protocols_count; i++) {
        if (group__all_know(g, join->protocols[i].name)) return true;
    }
    return false;
}

/* Order counts: it is the order of preference. */
static bool same_protocols(const group_member_t *m, const group_join_t *join)
{
    if (m->protocols_count != join->protocols_count) return false;
    for (size_t i = 0; i < m->protocols_count; i++) {
        if (!bytes_eq(m->protocols[i].name, join->protocols[i].name)) return false;
        if (!bytes_eq(m->protocols[i].metadata, join->protocols[i].metadata)) return false;
    }
    return true;
}

/* "<instance or client id>-<random UUID>", written behind `prefix` into memory of the caller's. */
static bytes_t make_member_id(group_t *g, const group_join_t *join)
{
    static const char hex[] = "0123456789abcdef";
    bytes_t prefix = join->instance_id.ptr ? join->instance_id : join->client_id;
    uint8_t random[16];
    g->host->random(g->user, random, sizeof(random));
    random[6] = (random[6] & 0x0f) | 0x40; /* version 4 */
    random[8] = (random[8] & 0x3f) | 0x80; /* variant 1 */
    uint8_t *id = mem_alloc(prefix.len + 1 + UUID_CHARS), *next = id + prefix.len;
    if (prefix.len) memcpy(id, prefix.ptr, prefix.len);
    *next++ = '-';
    for (size_t i = 0; i < sizeof(random); i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10) *next++ = '-';
        *next++ = (uint8_t)hex[random[i] >> 4];
        *next++ = (uint8_t)hex[random[i] & 15];
    }
    return bytes_of(id, (size_t)(next - id));
}

static void add_member(group_t *g, const group_join_t *join, bytes_t member_id, runtime_now_t now)
{
    if (g->state == GROUP_PREPARING_REBALANCE && g->previous_state == GROUP_EMPTY) g->join_extended = true;
    group_member_t *m = group__add(g, member_id, join);
    m->is_new = true;
    group__park_join(g, m, join->request);
    /* It cannot heartbeat before it has a reply; but if its client has given up, it must not wait for ever.
     */
    group__schedule(g, &m->deadline_ms, now.mono_ms + g->config->new_member_join_timeout_ms);
    group__rebalance_or_complete(g, now);
}

/* A known static member under a new id. In a stable group whose protocol it does not change nobody else
 * notices. */
static void replace_static(group_t *g, const group_join_t *join, group_member_t *m, bytes_t new_id, runtime_now_t now)
{
    bytes_t old_leader = group__dup(g->leader->id), old_id = group__dup(m->id);
    group__rename(g, m, new_id);
    group__update(g, m, join);
    group__reschedule_session(g, m, now);
    if (g->state == GROUP_STABLE && bytes_eq(group__select_protocol(g), g->protocol_name)) {
        group_store_t *store = group__store_new(g, GROUP_STORE_STATIC);
        store->skip_assignment_known = join->skip_assignment_known;
        store->member_id = group__dup(new_id);
        store->old_member_id = old_id;
        store->old_leader = old_leader;
        g->host->store(g->user, g, store);
        return;
    }
    mem_free((void *)old_leader.ptr);
    mem_free((void *)old_id.ptr);
    /* While completing, the leader may already be assigning to the old id: only a new generation helps. */
    group__rebalance_or_complete(g, now);
}

static void require_member_id(group_t *g, const group_join_t *join, bytes_t new_id, runtime_now_t now)
{
    if (g->pending_by_id.count >= GROUP_PENDING_MAX || g->kept_bytes + new_id.len > GROUP_BYTES_MAX) {
        reply_error(g, join, BYTES_LIT(""), KAFKA_GROUP_MAX_SIZE_REACHED);
        return;
    }
    group__add_pending(g, new_id, now.mono_ms + join->session_timeout_ms);
    reply_error(g, join, new_id, KAFKA_MEMBER_ID_REQUIRED);
}

static void join_new(group_t *g, const group_join_t *join, runtime_now_t now)
{
    bytes_t new_id = make_member_id(g, join);
    group_member_t *known = join->instance_id.ptr ? map_get(&g->by_instance, join->instance_id) : NULL;
    if (known) {
        replace_static(g, join, known, new_id, now);
    } else if (!join->instance_id.ptr && join->member_id_required) {
        require_member_id(g, join, new_id, now);
    } else {
        add_member(g, join, new_id, now);
    }
    mem_free((void *)new_id.ptr);
}

static void rejoin(group_t *g, const group_join_t *join, group_member_t *m, runtime_now_t now)
{
    group__update(g, m, join);
    group__rebalance_or_complete(g, now);
}

/* The member may have missed the reply: tell it again what its generation is. */
static void repeat_reply(group_t *g, const group_join_t *join, const group_member_t *m)
{
    group_join_reply_t reply = group__join_reply(g, m);
    g->host->joined(g->user, g, join->request, &reply);
}

static void join_existing(group_t *g, const group_join_t *join, runtime_now_t now)
{
    if (group__pending(g, join->member_id)) {
        /* The original runs into an internal error here: only dynamic members are ever pending. */
        if (join->instance_id.ptr) return reply_error(g, join, join->member_id, KAFKA_UNKNOWN_SERVER_ERROR);
        return add_member(g, join, join->member_id, now);
    }
    kafka_code_t error = group__validate(g, join->member_id, join->instance_id);
    if (error != KAFKA_NONE) return reply_error(g, join, join->member_id, error);
    group_member_t *m = group_find(g, join->member_id);
    switch (g->state) {
    case GROUP_PREPARING_REBALANCE: return rejoin(g, join, m, now);
    case GROUP_COMPLETING_REBALANCE:
        return same_protocols(m, join) ? repeat_reply(g, join, m) : rejoin(g, join, m, now);
    case GROUP_STABLE:
        /* The leader asks for a rebalance by joining: it saw the topics change. */
        return g->leader != m && same_protocols(m, join) ? repeat_reply(g, join, m) : rejoin(g, join, m, now);
    case GROUP_EMPTY:
    case GROUP_DEAD: break;
    }
    UNREACHABLE(); /* Empty has no members, Dead was refused before */
}

/* Whether the group may remember what this member brings, in place of what it brought before. */
static bool has_bytes(const group_t *g, const group_member_t *m, const group_join_t *join)
{
    size_t before = m ? group_protocols_bytes(m->protocols, m->protocols_count) : 0;
    return g->kept_bytes - before + group_protocols_bytes(join->protocols, join->protocols_count) <= GROUP_BYTES_MAX;
}

void group_join(group_t *g, const group_join_t *join, runtime_now_t now)
{
    group_member_t *m = group_find(g, join->member_id);
    if (!has_room(g, m) || !has_bytes(g, m, join)) {
        if (m) group__remove(g, m);
        group_pending_t *pending = group__pending(g, join->member_id);
        if (pending) group__remove_pending(g, pending);
        return reply_error(g, join, BYTES_LIT(""), KAFKA_GROUP_MAX_SIZE_REACHED);
    }
    if (g->state == GROUP_DEAD) return reply_error(g, join, join->member_id, KAFKA_COORDINATOR_NOT_AVAILABLE);
    if (!supports_protocols(g, join)) return reply_error(g, join, join->member_id, KAFKA_INCONSISTENT_GROUP_PROTOCOL);
    if (join->member_id.len == 0) {
        join_new(g, join, now);
    } else {
        join_existing(g, join, now);
    }
}

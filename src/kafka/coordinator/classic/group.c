/* group.c: a group's members, its parked requests and its deadlines. The rules of the phases are in
 * group_rebalance.c, the inputs in group_join.c and group_member_ops.c; all change members only through the
 * functions here, which keep the counts, the two indexes and the earliest deadline right. */
#include "kafka/coordinator/classic/group.h"

#include "kafka/coordinator/classic/group_internal.h"

const group_config_t group_config_default = {
    .session_timeout_ms_min = 6000,
    .session_timeout_ms_max = 1800000,
    .initial_rebalance_delay_ms = 0,
    .new_member_join_timeout_ms = 300000,
    .members_max = INT32_MAX,
};

const char *group_state_text(group_state_t state)
{
    static const char *const texts[] = {"Empty", "PreparingRebalance", "CompletingRebalance", "Stable", "Dead"};
    ASSERT((size_t)state < ARRAY_LEN(texts));
    return texts[state];
}

bytes_t group__dup(bytes_t b)
{
    if (!b.ptr) return BYTES_NULL;
    uint8_t *copy = mem_alloc(b.len + 1);
    memcpy(copy, b.ptr, b.len);
    copy[b.len] = '\0';
    return bytes_of(copy, b.len);
}

static void drop(bytes_t *slot)
{
    mem_free((void *)slot->ptr);
    *slot = BYTES_NULL;
}

void group__set(bytes_t *slot, bytes_t b)
{
    bytes_t copy = group__dup(b);
    drop(slot);
    *slot = copy;
}

/* ---- life ------------------------------------------------------------------------------------------- */

group_t *group_new(bytes_t id, const group_config_t *config, const group_host_t *host, void *user, runtime_now_t now)
{
    group_t *g = mem_zalloc(sizeof(*g));
    g->id = group__dup(id);
    g->config = config;
    g->host = host;
    g->user = user;
    g->state = GROUP_EMPTY;
    g->previous_state = GROUP_DEAD;
    g->state_since_ms = now.wall_ms;
    list_init(&g->members);
    list_init(&g->pending);
    list_init(&g->stores);
    g->join_deadline_ms = g->sync_deadline_ms = g->next_deadline_ms = GROUP_NEVER_MS;
    return g;
}

static void member_free(group_member_t *m)
{
    drop(&m->id);
    drop(&m->instance_id);
    drop(&m->client_id);
    drop(&m->client_host);
    drop(&m->assignment);
    drop(&m->assignment_next);
    mem_free(m->protocols);
    mem_free(m);
}

void group_free(group_t *g)
{
    LIST_EACH(&g->members, m, group_member_t, node) member_free(m);
    LIST_EACH(&g->pending, p, group_pending_t, node) {
        drop(&p->id);
        mem_free(p);
    }
    LIST_EACH(&g->stores, s, group_store_t, node) group__store_free(s);
    map_deinit(&g->by_id);
    map_deinit(&g->by_instance);
    map_deinit(&g->pending_by_id);
    group__free_tallies(g);
    group__forget_reads(g);
    drop(&g->id);
    drop(&g->protocol_type);
    drop(&g->protocol_name);
    mem_free(g);
}

static bool may_follow(group_state_t from, group_state_t to)
{
    switch (to) {
    case GROUP_EMPTY: return from == GROUP_PREPARING_REBALANCE;
    case GROUP_PREPARING_REBALANCE:
        return from == GROUP_STABLE || from == GROUP_COMPLETING_REBALANCE || from == GROUP_EMPTY;
    case GROUP_COMPLETING_REBALANCE: return from == GROUP_PREPARING_REBALANCE;
    case GROUP_STABLE: return from == GROUP_COMPLETING_REBALANCE;
    case GROUP_DEAD: return true;
    }
    UNREACHABLE();
}

void group__transition(group_t *g, group_state_t state, runtime_now_t now)
{
    ASSERT(may_follow(g->state, state));
    group__forget_reads(g); /* another protocol may be elected */
    g->previous_state = g->state;
    g->state = state;
    g->state_since_ms = now.wall_ms;
}

/* ---- deadlines -------------------------------------------------------------------------------------- */

void group__schedule(group_t *g, int64_t *slot, int64_t deadline_ms)
{
    *slot = deadline_ms;
    g->next_deadline_ms = MIN(g->next_deadline_ms, deadline_ms);
}

void group__reschedule_session(group_t *g, group_member_t *m, runtime_now_t now)
{
    group__schedule(g, &m->deadline_ms, now.mono_ms + m->session_timeout_ms);
}

int64_t group_deadline_ms(const group_t *g) { return g->next_deadline_ms; }

/* At least 1, whatever the clients said, so that a deadline set from it lies ahead. */
int32_t group__rebalance_timeout_ms(const group_t *g)
{
    int32_t longest = 1;
    LIST_EACH(&g->members, m, group_member_t, node) longest = MAX(longest, m->rebalance_timeout_ms);
    return longest;
}

/* ---- members ---------------------------------------------------------------------------------------- */

group_member_t *group_find(const group_t *g, bytes_t member_id) { return map_get(&g->by_id, member_id); }

bool group__all_joined(const group_t *g) { return g->members_count == g->members_joining && list_empty(&g->pending); }

group_member_t *group__add(group_t *g, bytes_t member_id, const group_join_t *join)
{
    if (list_empty(&g->members)) group__set(&g->protocol_type, join->protocol_type);
    group_member_t *m = mem_zalloc(sizeof(*m));
    m->id = group__dup(member_id);
    m->instance_id = group__dup(join->instance_id);
    m->client_id = group__dup(join->client_id.ptr ? join->client_id : BYTES_LIT(""));
    m->client_host = group__dup(join->client_host.ptr ? join->client_host : BYTES_LIT(""));
    m->rebalance_timeout_ms = join->rebalance_timeout_ms;
    m->session_timeout_ms = join->session_timeout_ms;
    m->deadline_ms = GROUP_NEVER_MS;
    m->assignment = group__dup(BYTES_LIT(""));
    group__set_protocols(g, m, join->protocols, join->protocols_count);
    list_push_back(&g->members, &m->node);
    g->members_count++;
    void *previous = map_put(&g->by_id, m->id, m);
    ASSERT(!previous);
    if (m->instance_id.ptr) {
        previous = map_put(&g->by_instance, m->instance_id, m);
        ASSERT(!previous);
    }
    if (!g->leader) g->leader = m;
    group_pending_t *pending = group__pending(g, member_id);
    if (pending) group__remove_pending(g, pending);
    return m;
}

/* A parked JoinGroup must have been answered by the caller, who knows with what; the oldest member leads
 * next. */
void group__remove(group_t *g, group_member_t *m)
{
    ASSERT(!m->join_request);
    group__reply_sync(g, m, KAFKA_UNKNOWN_MEMBER_ID);
    list_remove(&m->node);
    g->members_count--;
    map_remove(&g->by_id, m->id);
    if (m->instance_id.ptr) map_remove(&g->by_instance, m->instance_id);
    if (g->leader == m) g->leader = LIST_FIRST(&g->members, group_member_t, node);
    group__set_sync_due(g, m, false);
    group__drop_protocols(g, m);
    member_free(m);
}

/* A static member came back under a new id; whoever still waits under the old one is fenced. */
void group__rename(group_t *g, group_member_t *m, bytes_t new_id)
{
    group__fail_join(g, m, m->id, KAFKA_FENCED_INSTANCE_ID);
    group__reply_sync(g, m, KAFKA_FENCED_INSTANCE_ID);
    map_remove(&g->by_id, m->id);
    group__set(&m->id, new_id);
    map_put(&g->by_id, m->id, m);
    m->is_new = false;
}

void group__update(group_t *g, group_member_t *m, const group_join_t *join)
{
    group__set_protocols(g, m, join->protocols, join->protocols_count);
    m->rebalance_timeout_ms = join->rebalance_timeout_ms;
    m->session_timeout_ms = join->session_timeout_ms;
    group__park_join(g, m, join->request);
}

kafka_code_t group__validate(const group_t *g, bytes_t member_id, bytes_t instance_id)
{
    if (instance_id.ptr) {
        const group_member_t *owner = map_get(&g->by_instance, instance_id);
        if (!owner) return KAFKA_UNKNOWN_MEMBER_ID;
        if (!bytes_eq(owner->id, member_id)) return KAFKA_FENCED_INSTANCE_ID;
    }
    return group_find(g, member_id) ? KAFKA_NONE : KAFKA_UNKNOWN_MEMBER_ID;
}

group_pending_t *group__pending(const group_t *g, bytes_t member_id) { return map_get(&g->pending_by_id, member_id); }

void group__add_pending(group_t *g, bytes_t member_id, int64_t deadline_ms)
{
    group_pending_t *p = mem_zalloc(sizeof(*p));
    p->id = group__dup(member_id);
    list_push_back(&g->pending, &p->node);
    map_put(&g->pending_by_id, p->id, p);
    g->kept_bytes += p->id.len;
    group__schedule(g, &p->deadline_ms, deadline_ms);
}

void group__remove_pending(group_t *g, group_pending_t *p)
{
    map_remove(&g->pending_by_id, p->id);
    list_remove(&p->node);
    g->kept_bytes -= p->id.len;
    drop(&p->id);
    mem_free(p);
}

/* ---- parked requests -------------------------------------------------------------------------------- */

void group__park_join(group_t *g, group_member_t *m, void *request)
{
    if (m->join_request) group__fail_join(g, m, m->id, KAFKA_REBALANCE_IN_PROGRESS);
    m->join_request = request;
    g->members_joining++;
}

void group__reply_join(group_t *g, group_member_t *m, const group_join_reply_t *reply)
{
    if (!m->join_request) return;
    void *request = m->join_request;
    m->join_request = NULL;
    g->members_joining--;
    g->host->joined(g->user, g, request, reply);
}

void group__fail_join(group_t *g, group_member_t *m, bytes_t member_id, kafka_code_t error)
{
    group_join_reply_t reply = {.error = error, .generation = -1, .leader = BYTES_LIT(""), .member_id = member_id};
    group__reply_join(g, m, &reply);
}

/* What a member learns of the current generation. */
group_join_reply_t group__join_reply(const group_t *g, const group_member_t *m)
{
    return (group_join_reply_t){
        .generation = g->generation,
        .protocol_type = g->protocol_type,
        .protocol_name = g->protocol_name,
        .leader = g->leader ? g->leader->id : BYTES_LIT(""),
        .member_id = m->id,
        .with_members = g->leader == m,
    };
}

void group__park_sync(group_t *g, group_member_t *m, void *request)
{
    if (m->sync_request) group__reply_sync(g, m, KAFKA_REBALANCE_IN_PROGRESS);
    m->sync_request = request;
}

void group__reply_sync(group_t *g, group_member_t *m, kafka_code_t error)
{
    if (!m->sync_request) return;
    void *request = m->sync_request;
    m->sync_request = NULL;
    group_sync_reply_t reply = {.error = error, .assignment = BYTES_LIT("")};
    if (error == KAFKA_NONE) {
        reply.protocol_type = g->protocol_type;
        reply.protocol_name = g->protocol_name;
        reply.assignment = m->assignment;
    }
    g->host->synced(g->user, g, request, &reply);
}

/* ---- stores ----------------------------------------------------------------------------------------- */

group_store_t *group__store_new(group_t *g, int kind)
{
    group_store_t *store = mem_zalloc(sizeof(*store));
    store->kind = kind;
    store->generation = g->generation;
    list_push_back(&g->stores, &store->node);
    return store;
}

void group__store_free(group_store_t *store)
{
    list_remove(&store->node);
    drop(&store->member_id);
    drop(&store->old_member_id);
    drop(&store->old_leader);
    mem_free(store);
}

bytes_t group_member_to_store(const group_member_t *m, const group_store_t *store)
{
    return store->kind == GROUP_STORE_ASSIGNMENT ? m->assignment_next : m->assignment;
}

/* consumer_convert.c: whether a consumer group may become a classic one, and a consumer group made of a classic one that a
 * member of the consumer protocol joins: its generation becomes the epoch, its members stay, with what they were last
 * assigned. Whoever was waiting in the classic group's rebalance has been told to join again. */
#include "kafka/coordinator/consumer/consumer_internal.h"

/* Each that joined knew a protocol that all others know; records that were not made so are left as they are. */
static bool share_a_protocol(const consumer_group_t *g)
{
    size_t cursor = 0;
    for (map_entry_t *e; (e = map_next(&g->protocols, &cursor));) {
        if (((const consumer_count_t *)e->value)->members == g->classic_count) return true;
    }
    return false;
}

bool consumer_is_all_classic(const consumer_group_t *g)
{
    return g->members_count > 0 && g->classic_count == g->members_count && share_a_protocol(g);
}

/* Assignments come from clients: of two members that hold a partition the later one does not get it. */
static void take_assigned(consumer_group_t *g, consumer_member_t *m, const tp_set_t *assigned)
{
    for (size_t i = 0; i < assigned->count; i++) {
        bytes_t key = bytes_of(&assigned->items[i], sizeof(assigned->items[i]));
        if (map_get(&g->holders, key)) continue;
        tp_set_add(&m->assigned, assigned->items[i]);
        tp_set_add(&m->target, assigned->items[i]);
    }
    consumer__hold(g, m);
}

static void convert(consumer_group_t *g, int32_t generation, const consumer_converted_t *from, runtime_now_t now)
{
    const group_member_t *old = from->member;
    consumer_member_t *m = consumer_add(g, old->id);
    consumer_set_instance(g, m, old->instance_id);
    consumer__set_bytes(&m->rack_id, from->subscription.rack_id);
    consumer__set_bytes(&m->client_id, old->client_id);
    consumer__set_bytes(&m->client_host, old->client_host);
    consumer_set_topics(g, m, from->subscription.topics, from->subscription.topics_count);
    consumer_set_classic(g, m, old->protocols, old->protocols_count, old->session_timeout_ms);
    m->rebalance_timeout_ms = old->rebalance_timeout_ms;
    m->epoch = m->previous_epoch = generation;
    m->state = CONSUMER_MEMBER_STABLE;
    m->dirty = CONSUMER_DIRTY_METADATA | CONSUMER_DIRTY_TARGET | CONSUMER_DIRTY_CURRENT;
    take_assigned(g, m, from->assigned);
    consumer__reschedule_session(g, m, now);
}

void consumer_from_classic(consumer_group_t *g, int32_t generation, const consumer_converted_t *members,
                           size_t members_count, runtime_now_t now)
{
    ASSERT(g->members_count == 0);
    g->epoch = g->assignment_epoch = generation;
    g->dirty_epoch = g->dirty_assignment = true;
    for (size_t i = 0; i < members_count; i++) convert(g, generation, &members[i], now);
    consumer__refresh_topics(g);
}

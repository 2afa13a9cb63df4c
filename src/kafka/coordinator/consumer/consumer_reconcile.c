/* consumer_reconcile.c: how a member of a consumer group gets from what it has to what it is to have, and
 * questions about the group. The safety of the protocol is here: a partition is given only when nobody else
 * holds it or has yet to let go. */
#include "kafka/coordinator/consumer/consumer_internal.h"
#include "kafka/errors.h"

/* The member's next step, before it is taken. */
typedef struct step {
    tp_set_t assigned, revoking, fresh;
    bool unreleased;
} step_t;

static bytes_t key_of(const topic_partition_t *tp) { return bytes_of(tp, sizeof(*tp)); }

_Static_assert(sizeof(topic_partition_t) == sizeof(kafka_uuid_t) + sizeof(int32_t), "a key without gaps");

static void hold(consumer_group_t *g, consumer_member_t *m, const tp_set_t *s)
{
    for (size_t i = 0; i < s->count; i++) map_put(&g->holders, key_of(&s->items[i]), m);
}

static void release(consumer_group_t *g, const consumer_member_t *m, const tp_set_t *s)
{
    for (size_t i = 0; i < s->count; i++) {
        bytes_t key = key_of(&s->items[i]);
        if (map_get(&g->holders, key) == m) map_remove(&g->holders, key);
    }
}

void consumer__hold(consumer_group_t *g, consumer_member_t *m)
{
    hold(g, m, &m->assigned);
    hold(g, m, &m->revoking);
}

void consumer__release(consumer_group_t *g, consumer_member_t *m)
{
    release(g, m, &m->assigned);
    release(g, m, &m->revoking);
}

static bool held_by_another(const consumer_group_t *g, const consumer_member_t *m, topic_partition_t tp)
{
    const consumer_member_t *holder = map_get(&g->holders, key_of(&tp));
    return holder && holder != m;
}

bool consumer__waits_for_others(const consumer_group_t *g, const consumer_member_t *m)
{
    for (size_t i = 0; i < m->target.count; i++) {
        if (held_by_another(g, m, m->target.items[i])) return true;
    }
    return false;
}

static void plan(const consumer_group_t *g, const consumer_member_t *m, step_t *step)
{
    for (size_t i = 0; i < m->assigned.count; i++) {
        topic_partition_t tp = m->assigned.items[i];
        tp_set_add(tp_set_has(&m->target, tp) ? &step->assigned : &step->revoking, tp);
    }
    for (size_t i = 0; i < m->target.count; i++) {
        topic_partition_t tp = m->target.items[i];
        if (tp_set_has(&step->assigned, tp)) continue;
        if (held_by_another(g, m, tp)) {
            step->unreleased = true;
        } else {
            tp_set_add(&step->fresh, tp);
        }
    }
}

static void take(consumer_member_t *m, consumer_member_state_t state, int32_t epoch, const step_t *step)
{
    if (epoch != m->epoch) {
        m->previous_epoch = m->epoch;
        m->epoch = epoch;
    }
    m->state = state;
    tp_set_copy(&m->assigned, &step->assigned);
    if (state == CONSUMER_MEMBER_UNREVOKED) {
        tp_set_copy(&m->revoking, &step->revoking);
    } else {
        tp_set_clear(&m->revoking);
        for (size_t i = 0; i < step->fresh.count; i++) tp_set_add(&m->assigned, step->fresh.items[i]);
    }
}

/* It first gives up, in its present epoch; then it gets, in the new one, what is free. */
static void next_step(consumer_group_t *g, consumer_member_t *m, int32_t epoch, const tp_set_t *owned)
{
    step_t step = {0};
    plan(g, m, &step);
    consumer__release(g, m);
    bool must_revoke = step.revoking.count > 0 && (!owned || tp_set_meets(owned, &step.revoking));
    if (must_revoke) {
        take(m, CONSUMER_MEMBER_UNREVOKED, epoch, &step);
    } else {
        take(m, step.unreleased ? CONSUMER_MEMBER_UNRELEASED : CONSUMER_MEMBER_STABLE, g->assignment_epoch, &step);
    }
    consumer__hold(g, m);
    tp_set_deinit(&step.assigned);
    tp_set_deinit(&step.revoking);
    tp_set_deinit(&step.fresh);
}

/* Members of the classic protocol have a deadline for joining again instead. */
void consumer__await_revocation(consumer_group_t *g, consumer_member_t *m, runtime_now_t now)
{
    if (m->state == CONSUMER_MEMBER_UNREVOKED && !m->classic) {
        consumer__schedule(g, &m->revoke_deadline_ms, now.mono_ms + MAX(m->rebalance_timeout_ms, 1));
    } else {
        m->revoke_deadline_ms = GROUP_NEVER_MS;
    }
}

bool consumer__reconcile(consumer_group_t *g, consumer_member_t *m, const tp_set_t *owned, runtime_now_t now)
{
    if (m->state == CONSUMER_MEMBER_STABLE && m->epoch == g->assignment_epoch) return false;
    bool waits = m->state == CONSUMER_MEMBER_UNREVOKED && (!owned || tp_set_meets(owned, &m->revoking));
    if (waits) return false;
    tp_set_t before = {0};
    tp_set_copy(&before, &m->assigned);
    int32_t epoch = m->epoch;
    consumer_member_state_t state = m->state;
    next_step(g, m, m->state == CONSUMER_MEMBER_UNREVOKED ? m->epoch + 1 : m->epoch, owned);
    bool changed = !tp_set_eq(&before, &m->assigned);
    tp_set_deinit(&before);
    if (changed || epoch != m->epoch || state != m->state) {
        m->dirty |= CONSUMER_DIRTY_CURRENT;
        consumer__await_revocation(g, m, now);
    }
    return changed;
}

/* ---- questions -------------------------------------------------------------------------------------- */

static kafka_code_t check_epoch(const consumer_member_t *m, int32_t epoch)
{
    if (epoch == m->epoch) return KAFKA_NONE;
    return m->classic ? KAFKA_ILLEGAL_GENERATION : KAFKA_STALE_MEMBER_EPOCH;
}

kafka_code_t consumer_commit_check(const consumer_group_t *g, bytes_t member_id, int32_t member_epoch,
                                   int16_t api_version)
{
    if (member_epoch < 0 && g->members_count == 0) return KAFKA_NONE;
    const consumer_member_t *m = consumer_find(g, member_id);
    if (!m) return KAFKA_UNKNOWN_MEMBER_ID;
    if (!m->classic && api_version < 9) return KAFKA_UNSUPPORTED_VERSION;
    return check_epoch(m, member_epoch);
}

kafka_code_t consumer_fetch_check(const consumer_group_t *g, bytes_t member_id, int32_t member_epoch)
{
    if (!member_id.ptr && member_epoch < 0) return KAFKA_NONE;
    const consumer_member_t *m = consumer_find(g, member_id);
    return m ? check_epoch(m, member_epoch) : KAFKA_UNKNOWN_MEMBER_ID;
}

const char *consumer_state_text(const consumer_group_t *g)
{
    if (g->members_count == 0) return "Empty";
    if (g->epoch > g->assignment_epoch) return "Assigning";
    LIST_EACH(&g->members, m, consumer_member_t, node) {
        if (m->state != CONSUMER_MEMBER_STABLE || m->epoch != g->assignment_epoch) return "Reconciling";
    }
    return "Stable";
}

const char *consumer_assignor(const consumer_group_t *g)
{
    size_t range = 0, uniform = 0;
    LIST_EACH(&g->members, m, consumer_member_t, node) {
        range += bytes_eq(m->assignor, BYTES_LIT("range"));
        uniform += bytes_eq(m->assignor, BYTES_LIT("uniform"));
    }
    return range > uniform ? "range" : "uniform";
}

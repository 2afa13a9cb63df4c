/* cgroup_assign.c: the two assignors of the original, "uniform" (the default: balanced, and sticky: what need
 * not move stays) and "range" (each topic in contiguous stretches, so that equally numbered partitions of
 * topics meet at one member). */
#include "kafka/groups/cgroup.h"

static void set_target(cgroup_member_t *m, const cgroup_set_t *target)
{
    if (cgroup_set_eq(&m->target, target)) return;
    cgroup_set_copy(&m->target, target);
    m->dirty |= CGROUP_DIRTY_TARGET;
}

/* ---- range ----------------------------------------------------------------------------------------------------------- */

static void range_topic(const cgroup_t *g, const cgroup_topic_t *topic, cgroup_set_t *targets)
{
    int32_t readers = 0, reader = 0, next = 0;
    size_t i = 0;
    LIST_EACH(&g->members, m, cgroup_member_t, node) readers += cgroup_reads(m, topic->name);
    LIST_EACH(&g->members, m, cgroup_member_t, node) {
        cgroup_set_t *target = &targets[i++];
        if (!cgroup_reads(m, topic->name)) continue;
        int32_t share = topic->partitions_count / readers + (reader++ < topic->partitions_count % readers);
        for (int32_t end = next + share; next < end; next++) cgroup_set_add(target, (cgroup_tp_t){topic->id, next});
    }
}

/* ---- uniform --------------------------------------------------------------------------------------------------------- */

/* Each member keeps those of its target that exist, that it still reads and that nobody before it has. */
static void keep_targets(const cgroup_t *g, cgroup_set_t *targets, cgroup_set_t *taken)
{
    size_t i = 0;
    LIST_EACH(&g->members, m, cgroup_member_t, node) {
        cgroup_set_t *target = &targets[i++];
        for (size_t n = 0; n < m->target.count; n++) {
            cgroup_tp_t tp = m->target.items[n];
            const cgroup_topic_t *topic = cgroup_topic_by_id(g, tp.topic);
            bool stays = topic && tp.partition < topic->partitions_count && cgroup_reads(m, topic->name);
            if (!stays || cgroup_set_has(taken, tp)) continue;
            cgroup_set_add(target, tp);
            cgroup_set_add(taken, tp);
        }
    }
}

/* The reader of a topic with the fewest partitions; the oldest of equals. SIZE_MAX when nobody reads it. */
static size_t emptiest_reader(const cgroup_t *g, bytes_t topic, const cgroup_set_t *targets)
{
    size_t i = 0, best = SIZE_MAX;
    LIST_EACH(&g->members, m, cgroup_member_t, node) {
        size_t at = i++;
        if (!cgroup_reads(m, topic)) continue;
        if (best == SIZE_MAX || targets[at].count < targets[best].count) best = at;
    }
    return best;
}

static void hand_out(const cgroup_t *g, const cgroup_topic_t *topic, cgroup_set_t *targets, const cgroup_set_t *taken)
{
    for (int32_t p = 0; p < topic->partitions_count; p++) {
        cgroup_tp_t tp = {topic->id, p};
        if (cgroup_set_has(taken, tp)) continue;
        size_t to = emptiest_reader(g, topic->name, targets);
        if (to != SIZE_MAX) cgroup_set_add(&targets[to], tp);
    }
}

/* Some partition of the topic that the set holds; the last, so that the first ones stay where they are. */
static bool some_of(const cgroup_set_t *s, kafka_uuid_t topic, cgroup_tp_t *ret_tp)
{
    for (size_t i = s->count; i-- > 0;) {
        if (!kafka_uuid_eq(s->items[i].topic, topic)) continue;
        *ret_tp = s->items[i];
        return true;
    }
    return false;
}

/* The fullest member that holds a partition of this topic. */
static size_t fullest_holder(const cgroup_t *g, const cgroup_topic_t *topic, const cgroup_set_t *targets)
{
    size_t best = SIZE_MAX;
    for (size_t i = 0; i < g->members_count; i++) {
        cgroup_tp_t tp;
        if (best != SIZE_MAX && targets[i].count <= targets[best].count) continue;
        if (some_of(&targets[i], topic->id, &tp)) best = i;
    }
    return best;
}

/* Moves partitions of one topic from full to empty readers until none has two more than another. Each move
 * brings the counts closer together, so this ends. */
static bool level(const cgroup_t *g, const cgroup_topic_t *topic, cgroup_set_t *targets)
{
    bool moved = false;
    for (;;) {
        size_t from = fullest_holder(g, topic, targets), to = emptiest_reader(g, topic->name, targets);
        cgroup_tp_t tp;
        if (from == SIZE_MAX || to == SIZE_MAX || targets[from].count < targets[to].count + 2) return moved;
        if (!some_of(&targets[from], topic->id, &tp)) return moved;
        cgroup_set_remove(&targets[from], tp);
        cgroup_set_add(&targets[to], tp);
        moved = true;
    }
}

static void uniform(const cgroup_t *g, cgroup_set_t *targets)
{
    cgroup_set_t taken = {0};
    keep_targets(g, targets, &taken);
    for (size_t t = 0; t < g->topics_count; t++) hand_out(g, &g->topics[t], targets, &taken);
    cgroup_set_deinit(&taken);
    for (bool moved = true; moved;) {
        moved = false;
        for (size_t t = 0; t < g->topics_count; t++) moved = level(g, &g->topics[t], targets) || moved;
    }
}

void cgroup_assign(cgroup_t *g)
{
    cgroup_set_t *targets = mem_zalloc(sizeof(*targets) * (g->members_count + 1));
    if (strcmp(cgroup_assignor(g), "range") == 0) {
        for (size_t t = 0; t < g->topics_count; t++) range_topic(g, &g->topics[t], targets);
    } else {
        uniform(g, targets);
    }
    size_t i = 0;
    LIST_EACH(&g->members, m, cgroup_member_t, node) set_target(m, &targets[i++]);
    for (i = 0; i < g->members_count; i++) cgroup_set_deinit(&targets[i]);
    mem_free(targets);
}

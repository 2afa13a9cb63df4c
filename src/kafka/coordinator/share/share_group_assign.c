/* share_group_assign.c: the "simple" assignor: every partition goes to as many members as make all members busy, every member gets as
 * many as its neighbours or one less or more, and who has a partition keeps it where that fits.
 *
 * With the same subscription for all, all topics are dealt out as one heap; else each topic among those who read it. */
#include "kafka/coordinator/share/share_group.h"

#include <stdlib.h>

/* One heap that is dealt out. */
typedef struct deal {
    const topic_partition_t *partitions; /* ascending */
    size_t partitions_count;
    share_member_t *const *members;
    tp_set_t **targets; /* of each of these members */
    size_t members_count;
    size_t sharing;   /* members of each partition */
    uint32_t *counts; /* what a member has of this heap */
    uint32_t *shares; /* how many members a partition has */
    uint32_t *open;   /* members that may have more, in turns */
    size_t open_count, turn;
} deal_t;

static uint64_t ceil_div(uint64_t a, uint64_t b) { return (a + b - 1) / b; }

static uint32_t wanted(const deal_t *d, size_t member)
{
    uint64_t all = (uint64_t)d->sharing * d->partitions_count;
    return (uint32_t)(ceil_div(all * (member + 1), d->members_count) - ceil_div(all * member, d->members_count));
}

static int compare(const void *a, const void *b)
{
    const topic_partition_t *one = a, *other = b;
    int order = memcmp(&one->topic, &other->topic, sizeof(one->topic));
    return order ? order : (one->partition > other->partition) - (one->partition < other->partition);
}

static void give(deal_t *d, size_t member, size_t partition)
{
    tp_set_add(d->targets[member], d->partitions[partition]);
    d->counts[member]++;
    d->shares[partition]++;
}

static void keep(deal_t *d, size_t member)
{
    const tp_set_t *had = &d->members[member]->target;
    uint32_t most = wanted(d, member);
    for (size_t i = 0; i < had->count && d->counts[member] < most; i++) {
        const topic_partition_t *found =
            bsearch(&had->items[i], d->partitions, d->partitions_count, sizeof(had->items[0]), compare);
        if (found && d->shares[found - d->partitions] < d->sharing) give(d, member, (size_t)(found - d->partitions));
    }
}

static void close_member(deal_t *d, size_t at)
{
    memmove(d->open + at, d->open + at + 1, sizeof(d->open[0]) * (d->open_count - at - 1));
    d->open_count--;
}

/* The next one in turn that does not have it. */
static bool deal_one(deal_t *d, size_t partition)
{
    for (size_t tries = 0; tries < d->open_count; tries++) {
        size_t at = d->turn % d->open_count, member = d->open[at];
        d->turn = at + 1;
        if (tp_set_has(d->targets[member], d->partitions[partition])) continue;
        give(d, member, partition);
        if (d->counts[member] >= wanted(d, member)) {
            close_member(d, at);
            d->turn = at;
        }
        return true;
    }
    return false;
}

static void deal_out(deal_t *d)
{
    d->sharing = d->partitions_count ? ceil_div(d->members_count, d->partitions_count) : 0;
    d->counts = mem_zalloc(sizeof(d->counts[0]) * (d->members_count + 1));
    d->shares = mem_zalloc(sizeof(d->shares[0]) * (d->partitions_count + 1));
    d->open = mem_alloc(sizeof(d->open[0]) * (d->members_count + 1));
    for (size_t m = 0; m < d->members_count; m++) {
        keep(d, m);
        if (d->counts[m] < wanted(d, m)) d->open[d->open_count++] = (uint32_t)m;
    }
    for (size_t p = 0; p < d->partitions_count; p++) {
        while (d->shares[p] < d->sharing && deal_one(d, p)) {
        }
    }
    mem_free(d->counts);
    mem_free(d->shares);
    mem_free(d->open);
}

/* ---- heaps ----------------------------------------------------------------------------------------------------------- */

typedef struct plan {
    share_group_t *group;
    share_member_t **members;
    tp_set_t *targets; /* the new ones, by member */
    share_member_t **some;
    tp_set_t **some_targets;
} plan_t;

static bool reads(const share_member_t *m, bytes_t topic)
{
    size_t low = 0, high = m->topics_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = bytes_cmp(m->topics[middle], topic);
        if (order == 0) return true;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return false;
}

static bool all_read_the_same(const share_group_t *g)
{
    const share_member_t *first = LIST_FIRST(&g->members, share_member_t, node);
    LIST_EACH(&g->members, m, share_member_t, node) {
        if (m->topics_count != first->topics_count) return false;
        for (size_t i = 0; i < m->topics_count; i++) {
            if (!bytes_eq(m->topics[i], first->topics[i])) return false;
        }
    }
    return true;
}

/* Of this topic, or, with NULL, of all that somebody reads. */
static tp_set_t heap_of(const share_group_t *g, const share_group_topic_t *only)
{
    tp_set_t heap = {0};
    for (size_t at = 0, run; at < g->initialized.count; at += run) {
        run = tp_set_run(&g->initialized, at);
        const share_group_topic_t *topic = share_group_find_topic(g, g->initialized.items[at].topic);
        bool in = only ? topic == only : topic && share_group_subscribed(g, topic->name);
        for (size_t i = at; in && i < at + run; i++) tp_set_add(&heap, g->initialized.items[i]);
    }
    return heap;
}

static void deal_heap(plan_t *p, const share_group_topic_t *topic)
{
    tp_set_t heap = heap_of(p->group, topic);
    size_t count = 0;
    for (size_t i = 0; i < p->group->members_count; i++) {
        if (topic && !reads(p->members[i], topic->name)) continue;
        p->some[count] = p->members[i];
        p->some_targets[count++] = &p->targets[i];
    }
    if (count > 0)
        deal_out(&(deal_t){.partitions = heap.items,
                           .partitions_count = heap.count,
                           .members = p->some,
                           .targets = p->some_targets,
                           .members_count = count});
    tp_set_deinit(&heap);
}

static void deal_topics(plan_t *p)
{
    const share_group_t *g = p->group;
    for (size_t at = 0, run; at < g->initialized.count; at += run) {
        run = tp_set_run(&g->initialized, at);
        const share_group_topic_t *topic = share_group_find_topic(g, g->initialized.items[at].topic);
        if (topic) deal_heap(p, topic);
    }
}

static void take_targets(plan_t *p)
{
    for (size_t i = 0; i < p->group->members_count; i++) {
        share_member_t *m = p->members[i];
        if (!m->has_target || !tp_set_eq(&m->target, &p->targets[i])) m->dirty |= SHARE_DIRTY_TARGET;
        tp_set_deinit(&m->target);
        m->target = p->targets[i];
        m->has_target = true;
    }
}

void share_group_assign(share_group_t *g)
{
    size_t count = g->members_count, n = 0;
    if (count == 0) return;
    plan_t p = {.group = g};
    p.members = mem_alloc(sizeof(p.members[0]) * count);
    p.targets = mem_zalloc(sizeof(p.targets[0]) * count);
    p.some = mem_alloc(sizeof(p.some[0]) * count);
    p.some_targets = mem_alloc(sizeof(p.some_targets[0]) * count);
    LIST_EACH(&g->members, m, share_member_t, node) p.members[n++] = m;
    if (all_read_the_same(g))
        deal_heap(&p, NULL);
    else
        deal_topics(&p);
    take_targets(&p);
    mem_free(p.members);
    mem_free(p.targets);
    mem_free(p.some);
    mem_free(p.some_targets);
}

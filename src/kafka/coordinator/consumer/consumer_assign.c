/* consumer_assign.c: the two assignors of the original, "uniform" (the default: balanced, and sticky: what need
 * not move stays) and "range" (each topic in contiguous stretches, so that equally numbered partitions of
 * topics meet at one member).
 *
 * Both work on a plan: who reads each topic, and the owner of each partition, members by their number. Time is linear in
 * partitions, members and what they read, but for a logarithm: a thousand members of ten thousand partitions are computed
 * anew each time one of them joins. */
#include "kafka/coordinator/consumer/consumer_group.h"

#include <stdlib.h>

#define NOBODY           UINT32_MAX
#define LEVEL_PASSES_MAX 16 /* over all topics; one is enough when all members read the same */

typedef struct plan {
    consumer_group_t *group;
    consumer_member_t **members; /* by number: in the order of joining */
    uint32_t members_count;
    size_t *counts;     /* partitions of each member */
    bool same;          /* all read the same: `readers` are all members, of every topic */
    uint32_t *readers;  /* of all topics, one behind the other */
    size_t *readers_at; /* where a topic's begin; one more than there are topics */
    uint32_t *owners;   /* of all partitions, topic by topic */
    size_t *owners_at;
    uint32_t *heap, *holding;
    size_t *held_at;
} plan_t;

/* ---- who reads what ----------------------------------------------------------------------------------- */

static const uint32_t *readers_of(const plan_t *p, size_t topic, size_t *ret_count)
{
    *ret_count = p->same ? p->members_count : p->readers_at[topic + 1] - p->readers_at[topic];
    return p->same ? p->readers : p->readers + p->readers_at[topic];
}

static bool all_read_the_same(const plan_t *p)
{
    for (uint32_t i = 1; i < p->members_count; i++) {
        if (!consumer_same_subscription(p->members[0], p->members[i])) return false;
    }
    return true;
}

static void find_all_readers(plan_t *p)
{
    const consumer_group_t *g = p->group;
    size_t count = 0, cap = p->members_count + 16;
    p->readers = mem_alloc(sizeof(p->readers[0]) * cap);
    p->readers_at = mem_alloc(sizeof(p->readers_at[0]) * (g->topics_count + 1));
    for (size_t t = 0; t < g->topics_count; t++) {
        p->readers_at[t] = count;
        for (uint32_t i = 0; i < p->members_count; i++) {
            if (!consumer_reads(p->members[i], g->topics[t].name)) continue;
            if (count == cap) p->readers = mem_realloc(p->readers, sizeof(p->readers[0]) * (cap *= 2));
            p->readers[count++] = i;
        }
    }
    p->readers_at[g->topics_count] = count;
}

static void find_readers(plan_t *p)
{
    p->same = all_read_the_same(p);
    if (!p->same) {
        find_all_readers(p);
        return;
    }
    p->readers = mem_alloc(sizeof(p->readers[0]) * (p->members_count + 1));
    for (uint32_t i = 0; i < p->members_count; i++) p->readers[i] = i;
}

/* ---- life of a plan ------------------------------------------------------------------------------------- */

static void plan_init(plan_t *p, consumer_group_t *g)
{
    *p = (plan_t){.group = g, .members_count = (uint32_t)g->members_count};
    size_t partitions = 0, i = 0, members = g->members_count + 1;
    p->members = mem_alloc(sizeof(p->members[0]) * members);
    p->counts = mem_zalloc(sizeof(p->counts[0]) * members);
    p->heap = mem_alloc(sizeof(p->heap[0]) * members);
    p->held_at = mem_alloc(sizeof(p->held_at[0]) * (members + 1));
    LIST_EACH(&g->members, m, consumer_member_t, node) p->members[i++] = m;
    p->owners_at = mem_alloc(sizeof(p->owners_at[0]) * (g->topics_count + 1));
    for (size_t t = 0; t < g->topics_count; t++) {
        p->owners_at[t] = partitions;
        partitions += (size_t)g->topics[t].partitions_count;
    }
    p->owners_at[g->topics_count] = partitions;
    p->owners = mem_alloc(sizeof(p->owners[0]) * (partitions + 1));
    p->holding = mem_alloc(sizeof(p->holding[0]) * (partitions + 1));
    for (i = 0; i < partitions; i++) p->owners[i] = NOBODY;
    find_readers(p);
}

static void plan_deinit(plan_t *p)
{
    mem_free(p->members);
    mem_free(p->counts);
    mem_free(p->heap);
    mem_free(p->held_at);
    mem_free(p->owners_at);
    mem_free(p->owners);
    mem_free(p->holding);
    mem_free(p->readers);
    mem_free(p->readers_at);
}

static void give(plan_t *p, size_t partition, uint32_t member)
{
    p->owners[partition] = member;
    p->counts[member]++;
}

/* ---- range ------------------------------------------------------------------------------------------------ */

static void range_topic(plan_t *p, size_t topic)
{
    size_t readers_count, next = p->owners_at[topic];
    const uint32_t *readers = readers_of(p, topic, &readers_count);
    size_t partitions = p->owners_at[topic + 1] - next;
    for (size_t i = 0; i < readers_count; i++) {
        size_t share = partitions / readers_count + (i < partitions % readers_count);
        for (size_t end = next + share; next < end; next++) give(p, next, readers[i]);
    }
}

/* ---- a heap of members, the emptiest (of equals the oldest) on top ---------------------------------------- */

static bool is_emptier(const plan_t *p, uint32_t a, uint32_t b)
{
    return p->counts[a] != p->counts[b] ? p->counts[a] < p->counts[b] : a < b;
}

static void sift_down(plan_t *p, size_t count, size_t at)
{
    for (;;) {
        size_t least = at;
        for (size_t child = 2 * at + 1; child <= 2 * at + 2 && child < count; child++)
            if (is_emptier(p, p->heap[child], p->heap[least])) least = child;
        if (least == at) return;
        uint32_t swap = p->heap[at];
        p->heap[at] = p->heap[least];
        p->heap[least] = swap;
        at = least;
    }
}

static size_t heap_of_readers(plan_t *p, size_t topic)
{
    size_t count;
    const uint32_t *readers = readers_of(p, topic, &count);
    if (count) memcpy(p->heap, readers, sizeof(p->heap[0]) * count);
    for (size_t i = count / 2; i-- > 0;) sift_down(p, count, i);
    return count;
}

/* ---- uniform ---------------------------------------------------------------------------------------------- */

/* Each member keeps those of its target that exist, that it still reads and that nobody before it has. */
static void keep_targets(plan_t *p)
{
    consumer_group_t *g = p->group;
    for (uint32_t i = 0; i < p->members_count; i++) {
        const tp_set_t *target = &p->members[i]->target;
        for (size_t at = 0, run; at < target->count; at += run) {
            run = tp_set_run(target, at);
            const consumer_topic_t *topic = consumer_topic_by_id(g, target->items[at].topic);
            if (!topic || !consumer_reads(p->members[i], topic->name)) continue;
            size_t first = p->owners_at[topic - g->topics];
            for (size_t n = at; n < at + run; n++) {
                int32_t index = target->items[n].partition;
                bool stays = index < topic->partitions_count && p->owners[first + (size_t)index] == NOBODY;
                if (stays) give(p, first + (size_t)index, i);
            }
        }
    }
}

static void hand_out(plan_t *p, size_t topic)
{
    size_t count = heap_of_readers(p, topic);
    for (size_t i = p->owners_at[topic]; count && i < p->owners_at[topic + 1]; i++) {
        if (p->owners[i] != NOBODY) continue;
        give(p, i, p->heap[0]);
        sift_down(p, count, 0);
    }
}

/* The topic's partitions by owner: those of member m are `holding` from held_at[m] to held_at[m + 1]. */
static void sort_by_owner(plan_t *p, size_t topic)
{
    size_t first = p->owners_at[topic], end = p->owners_at[topic + 1];
    memset(p->held_at, 0, sizeof(p->held_at[0]) * (p->members_count + 2));
    for (size_t i = first; i < end; i++)
        if (p->owners[i] != NOBODY) p->held_at[p->owners[i] + 2]++;
    for (uint32_t m = 0; m < p->members_count; m++) p->held_at[m + 2] += p->held_at[m + 1];
    for (size_t i = first; i < end; i++)
        if (p->owners[i] != NOBODY) p->holding[p->held_at[p->owners[i] + 1]++] = (uint32_t)i;
}

/* The fullest first: qsort has no argument for the plan, so the keys carry the counts. */
typedef struct holder {
    size_t count;
    uint32_t member;
} holder_t;

static int compare_holders(const void *a, const void *b)
{
    const holder_t *one = a, *other = b;
    if (one->count != other->count) return one->count > other->count ? -1 : 1;
    return (one->member > other->member) - (one->member < other->member);
}

static holder_t *holders_of(const plan_t *p, size_t topic, size_t *ret_count)
{
    size_t readers_count;
    const uint32_t *readers = readers_of(p, topic, &readers_count);
    holder_t *holders = mem_alloc(sizeof(holders[0]) * (readers_count + 1));
    *ret_count = 0;
    for (size_t i = 0; i < readers_count; i++) {
        uint32_t m = readers[i];
        if (p->held_at[m] < p->held_at[m + 1]) holders[(*ret_count)++] = (holder_t){p->counts[m], m};
    }
    qsort(holders, *ret_count, sizeof(holders[0]), compare_holders);
    return holders;
}

/* Moves partitions of one topic from full to empty readers until none has two more than another, the last ones first, so
 * that the first ones stay where they are. */
static bool level(plan_t *p, size_t topic)
{
    bool moved = false;
    sort_by_owner(p, topic);
    size_t holders_count, count = heap_of_readers(p, topic);
    holder_t *holders = holders_of(p, topic, &holders_count);
    for (size_t i = 0; i < holders_count; i++) {
        uint32_t from = holders[i].member;
        for (size_t held = p->held_at[from + 1]; held > p->held_at[from]; held--) {
            uint32_t to = p->heap[0];
            if (p->counts[from] < p->counts[to] + 2) break;
            p->counts[from]--;
            give(p, p->holding[held - 1], to);
            sift_down(p, count, 0);
            moved = true;
        }
        /* Its count is less than the heap knows; it will be met again, if at all, in the next pass. */
    }
    mem_free(holders);
    return moved;
}

static void uniform(plan_t *p)
{
    size_t topics_count = p->group->topics_count;
    keep_targets(p);
    for (size_t t = 0; t < topics_count; t++) hand_out(p, t);
    bool moved = true;
    for (int pass = 0; moved && pass < LEVEL_PASSES_MAX; pass++) {
        moved = false;
        for (size_t t = 0; t < topics_count; t++) moved = level(p, t) || moved;
    }
}

/* ---- the targets ------------------------------------------------------------------------------------------ */

static void set_target(consumer_member_t *m, tp_set_t *target)
{
    if (tp_set_eq(&m->target, target)) {
        tp_set_deinit(target);
        return;
    }
    tp_set_deinit(&m->target);
    m->target = *target;
    m->dirty |= CONSUMER_DIRTY_TARGET;
}

static int compare_topics(const void *a, const void *b)
{
    const consumer_topic_t *const *one = a, *const *other = b;
    return memcmp((*one)->id.bytes, (*other)->id.bytes, sizeof((*one)->id.bytes));
}

/* By topic id, so that each set is filled in its own order. */
static void set_targets(const plan_t *p)
{
    const consumer_group_t *g = p->group;
    tp_set_t *targets = mem_zalloc(sizeof(targets[0]) * (p->members_count + 1));
    const consumer_topic_t **topics = mem_alloc(sizeof(topics[0]) * (g->topics_count + 1));
    for (size_t t = 0; t < g->topics_count; t++) topics[t] = &g->topics[t];
    qsort(topics, g->topics_count, sizeof(topics[0]), compare_topics);
    for (size_t t = 0; t < g->topics_count; t++) {
        const uint32_t *owners = p->owners + p->owners_at[topics[t] - g->topics];
        for (int32_t i = 0; i < topics[t]->partitions_count; i++) {
            if (owners[i] != NOBODY) tp_set_add(&targets[owners[i]], (topic_partition_t){topics[t]->id, i});
        }
    }
    for (uint32_t i = 0; i < p->members_count; i++) set_target(p->members[i], &targets[i]);
    mem_free(topics);
    mem_free(targets);
}

void consumer_assign(consumer_group_t *g)
{
    plan_t p;
    plan_init(&p, g);
    if (strcmp(consumer_assignor(g), "range") == 0) {
        for (size_t t = 0; t < g->topics_count; t++) range_topic(&p, t);
    } else {
        uniform(&p);
    }
    set_targets(&p);
    plan_deinit(&p);
}

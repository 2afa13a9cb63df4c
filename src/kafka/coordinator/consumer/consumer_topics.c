/* consumer_topics.c: what the members of a consumer group read: each name and pattern once, however many members have it,
 * and the topics of the group that follow from them. */
#include "kafka/coordinator/consumer/consumer_internal.h"

#include <stdlib.h>

/* ---- counts ---------------------------------------------------------------------------------------- */

void consumer__count(map_t *counts, bytes_t name, topic_pattern_t *pattern)
{
    consumer_count_t *count = map_get(counts, name);
    if (!count) {
        count = mem_zalloc(sizeof(*count));
        count->pattern = pattern; /* as long as a member has it, which counts it */
        map_put(counts, name, count);
    }
    count->members++;
}

void consumer__uncount(map_t *counts, bytes_t name)
{
    consumer_count_t *count = map_get(counts, name);
    ASSERT(count && count->members > 0);
    if (--count->members > 0) return;
    map_remove(counts, name);
    mem_free(count);
}

void consumer__free_counts(map_t *counts)
{
    size_t cursor = 0;
    for (map_entry_t *e; (e = map_next(counts, &cursor));) mem_free(e->value);
    map_deinit(counts);
}

/* ---- the group's topics ----------------------------------------------------------------------------- */

static void forget_index(consumer_group_t *g)
{
    mem_free(g->topics_by_id);
    g->topics_by_id = NULL;
}

void consumer_topics_clear(consumer_group_t *g)
{
    forget_index(g);
    for (size_t i = 0; i < g->topics_count; i++) mem_free((void *)g->topics[i].name.ptr);
    mem_free(g->topics);
    g->topics = NULL;
    g->topics_count = 0;
}

void consumer_topics_add(consumer_group_t *g, bytes_t name, kafka_uuid_t id, int32_t partitions_count)
{
    forget_index(g);
    if ((g->topics_count & (g->topics_count - 1)) == 0) { /* a power of two is full */
        size_t cap = g->topics_count ? g->topics_count * 2 : 1;
        g->topics = mem_realloc(g->topics, sizeof(g->topics[0]) * cap);
    }
    g->topics[g->topics_count++] = (consumer_topic_t){bytes_of(mem_strndup(name), name.len), id, partitions_count};
}

static int compare_ids(const void *a, const void *b)
{
    const consumer_topic_t *const *one = a, *const *other = b;
    return memcmp((*one)->id.bytes, (*other)->id.bytes, sizeof((*one)->id.bytes));
}

const consumer_topic_t *consumer_topic_by_id(consumer_group_t *g, kafka_uuid_t id)
{
    if (g->topics_count == 0) return NULL;
    if (!g->topics_by_id) {
        g->topics_by_id = mem_alloc(sizeof(g->topics_by_id[0]) * g->topics_count);
        for (size_t i = 0; i < g->topics_count; i++) g->topics_by_id[i] = &g->topics[i];
        qsort(g->topics_by_id, g->topics_count, sizeof(g->topics_by_id[0]), compare_ids);
    }
    consumer_topic_t wanted = {.id = id}, *key = &wanted;
    consumer_topic_t **found = bsearch(&key, g->topics_by_id, g->topics_count, sizeof(key), compare_ids);
    return found ? *found : NULL;
}

static bool same_topics(const consumer_group_t *a, const consumer_group_t *b)
{
    if (a->topics_count != b->topics_count) return false;
    for (size_t i = 0; i < a->topics_count; i++) {
        const consumer_topic_t *one = &a->topics[i], *other = &b->topics[i];
        if (!bytes_eq(one->name, other->name) || !kafka_uuid_eq(one->id, other->id)) return false;
        if (one->partitions_count != other->partitions_count) return false;
    }
    return true;
}

static int compare_names(const void *a, const void *b) { return bytes_cmp(*(const bytes_t *)a, *(const bytes_t *)b); }

static size_t names_bound(const consumer_group_t *g)
{
    size_t bound = g->names.count, cursor = 0;
    for (map_entry_t *e; (e = map_next(&g->regexes, &cursor));)
        bound += ((const consumer_count_t *)e->value)->pattern->topics.count;
    return bound;
}

/* All names that members read, patterns resolved; sorted, with doubles. */
static bytes_t *names_read(const consumer_group_t *g, size_t *ret_count)
{
    bytes_t *names = mem_alloc(sizeof(names[0]) * (names_bound(g) + 1));
    size_t count = 0, cursor = 0;
    for (map_entry_t *e; (e = map_next(&g->names, &cursor));) names[count++] = e->key;
    cursor = 0;
    for (map_entry_t *e; (e = map_next(&g->regexes, &cursor));) {
        const map_t *matched = &((const consumer_count_t *)e->value)->pattern->topics;
        size_t inner = 0;
        for (map_entry_t *topic; (topic = map_next(matched, &inner));) names[count++] = topic->key;
    }
    qsort(names, count, sizeof(names[0]), compare_names);
    *ret_count = count;
    return names;
}

bool consumer__refresh_topics(consumer_group_t *g)
{
    size_t count;
    bytes_t *names = names_read(g, &count);
    consumer_group_t fresh = {0};
    g->topics_version = g->host->topics_version(g->user);
    for (size_t i = 0; i < count; i++) {
        kafka_uuid_t id;
        int32_t partitions_count;
        if (i > 0 && bytes_eq(names[i - 1], names[i])) continue;
        if (g->host->topic(g->user, names[i], &id, &partitions_count))
            consumer_topics_add(&fresh, names[i], id, partitions_count);
    }
    mem_free(names);
    bool changed = !same_topics(g, &fresh);
    consumer_topics_clear(g);
    g->topics = fresh.topics;
    g->topics_count = fresh.topics_count;
    g->dirty_topics = g->dirty_topics || changed;
    return changed;
}

/* ---- questions -------------------------------------------------------------------------------------- */

bool consumer_reads(const consumer_member_t *m, bytes_t topic)
{
    if (m->pattern && topic_pattern_matches(m->pattern, topic)) return true;
    return m->topics_count && bsearch(&topic, m->topics, m->topics_count, sizeof(topic), compare_names);
}

bool consumer_same_subscription(const consumer_member_t *a, const consumer_member_t *b)
{
    if (a->pattern != b->pattern || a->topics_count != b->topics_count) return false;
    for (size_t i = 0; i < a->topics_count; i++) {
        if (!bytes_eq(a->topics[i], b->topics[i])) return false;
    }
    return true;
}

bool consumer_subscribed(const consumer_group_t *g, bytes_t topic)
{
    if (map_get(&g->names, topic)) return true;
    size_t cursor = 0;
    for (map_entry_t *e; (e = map_next(&g->regexes, &cursor));) {
        if (topic_pattern_matches(((const consumer_count_t *)e->value)->pattern, topic)) return true;
    }
    return false;
}

/* consumer_group.c: the members of a consumer group, and time. See consumer_group.h. All change members only through the functions here,
 * which keep the counts and indexes right. */
#include "kafka/coordinator/consumer/consumer_group.h"

#include "kafka/coordinator/consumer/consumer_internal.h"

#include <stdlib.h>

static void drop(bytes_t *slot)
{
    mem_free((void *)slot->ptr);
    *slot = BYTES_NULL;
}

void consumer__set_bytes(bytes_t *slot, bytes_t b)
{
    bytes_t copy = b.ptr ? bytes_of(mem_strndup(b), b.len) : BYTES_NULL;
    drop(slot);
    *slot = copy;
}

/* ---- life ------------------------------------------------------------------------------------------ */

consumer_group_t *consumer_group_new(bytes_t id, const consumer_config_t *config, const consumer_host_t *host,
                                     void *user)
{
    consumer_group_t *g = mem_zalloc(sizeof(*g));
    consumer__set_bytes(&g->id, id);
    g->config = config;
    g->host = host;
    g->user = user;
    list_init(&g->members);
    list_init(&g->gone);
    g->next_deadline_ms = GROUP_NEVER_MS;
    return g;
}

void consumer_member_free(consumer_member_t *m)
{
    drop(&m->id);
    drop(&m->instance_id);
    drop(&m->rack_id);
    drop(&m->client_id);
    drop(&m->client_host);
    drop(&m->assignor);
    drop(&m->regex);
    if (m->pattern) topic_pattern_unref(m->pattern);
    mem_free(m->topics);
    mem_free(m->protocols);
    tp_set_deinit(&m->assigned);
    tp_set_deinit(&m->revoking);
    tp_set_deinit(&m->target);
    mem_free(m);
}

void consumer_group_free(consumer_group_t *g)
{
    LIST_EACH(&g->members, m, consumer_member_t, node) consumer_member_free(m);
    LIST_EACH(&g->gone, m, consumer_member_t, node) consumer_member_free(m);
    consumer__free_counts(&g->names);
    consumer__free_counts(&g->regexes);
    consumer__free_counts(&g->protocols);
    map_deinit(&g->by_id);
    map_deinit(&g->by_instance);
    map_deinit(&g->holders);
    consumer_topics_clear(g);
    drop(&g->id);
    mem_free(g);
}

void consumer__schedule(consumer_group_t *g, int64_t *slot, int64_t deadline_ms)
{
    *slot = deadline_ms;
    g->next_deadline_ms = MIN(g->next_deadline_ms, deadline_ms);
}

void consumer__reschedule_session(consumer_group_t *g, consumer_member_t *m, runtime_now_t now)
{
    int32_t timeout_ms = m->classic ? m->session_timeout_ms : g->config->session_timeout_ms;
    consumer__schedule(g, &m->session_deadline_ms, now.mono_ms + timeout_ms);
}

void consumer__bump(consumer_group_t *g)
{
    g->epoch++;
    g->dirty_epoch = true;
}

/* ---- members --------------------------------------------------------------------------------------- */

consumer_member_t *consumer_find(const consumer_group_t *g, bytes_t member_id) { return map_get(&g->by_id, member_id); }

bool consumer__is_full(const consumer_group_t *g, bytes_t member_id)
{
    if (consumer_find(g, member_id)) return false;
    return g->members_count >= (size_t)g->config->members_max ||
           g->kept_bytes + CONSUMER_MEMBER_BYTES_MAX > GROUP_BYTES_MAX;
}

consumer_member_t *consumer_add(consumer_group_t *g, bytes_t member_id)
{
    consumer_member_t *m = mem_zalloc(sizeof(*m));
    consumer__set_bytes(&m->id, member_id);
    m->rebalance_timeout_ms = -1;
    m->session_deadline_ms = m->revoke_deadline_ms = m->join_deadline_ms = m->sync_deadline_ms = GROUP_NEVER_MS;
    list_push_back(&g->members, &m->node);
    map_put(&g->by_id, m->id, m);
    g->members_count++;
    return m;
}

void consumer_set_instance(consumer_group_t *g, consumer_member_t *m, bytes_t instance_id)
{
    if (m->instance_id.ptr && map_get(&g->by_instance, m->instance_id) == m)
        map_remove(&g->by_instance, m->instance_id);
    consumer__set_bytes(&m->instance_id, instance_id);
    if (m->instance_id.ptr) map_put(&g->by_instance, m->instance_id, m);
}

static void keep_bytes(consumer_group_t *g, consumer_member_t *m, size_t more, size_t less)
{
    m->kept_bytes += more - less;
    g->kept_bytes += more - less;
}

static int compare_bytes(const void *a, const void *b) { return bytes_cmp(*(const bytes_t *)a, *(const bytes_t *)b); }

/* One allocation: the sorted table without doubles, then the names. */
static bytes_t *copy_names(const bytes_t *topics, size_t count, size_t *ret_count)
{
    size_t bytes = count * sizeof(bytes_t) + 1;
    for (size_t i = 0; i < count; i++) bytes += topics[i].len;
    bytes_t *copy = mem_alloc(bytes);
    uint8_t *next = (uint8_t *)(copy + count);
    for (size_t i = 0; i < count; i++) {
        if (topics[i].len) memcpy(next, topics[i].ptr, topics[i].len);
        copy[i] = bytes_of(next, topics[i].len);
        next += topics[i].len;
    }
    qsort(copy, count, sizeof(copy[0]), compare_bytes);
    *ret_count = 0;
    for (size_t i = 0; i < count; i++) {
        if (*ret_count == 0 || !bytes_eq(copy[*ret_count - 1], copy[i])) copy[(*ret_count)++] = copy[i];
    }
    return copy;
}

static size_t names_bytes(const bytes_t *names, size_t count)
{
    size_t bytes = count * sizeof(bytes_t);
    for (size_t i = 0; i < count; i++) bytes += names[i].len;
    return bytes;
}

void consumer_set_topics(consumer_group_t *g, consumer_member_t *m, const bytes_t *topics, size_t count)
{
    size_t kept;
    bytes_t *copy = copy_names(topics, count, &kept);
    for (size_t i = 0; i < kept; i++) consumer__count(&g->names, copy[i], NULL);
    for (size_t i = 0; i < m->topics_count; i++) consumer__uncount(&g->names, m->topics[i]);
    keep_bytes(g, m, names_bytes(copy, kept), names_bytes(m->topics, m->topics_count));
    mem_free(m->topics);
    m->topics = copy;
    m->topics_count = kept;
}

/* A pattern that does not compile (it was checked, so an old record's) matches nothing. */
void consumer_set_regex(consumer_group_t *g, consumer_member_t *m, bytes_t regex)
{
    char problem[PATTERN_PROBLEM_BYTES];
    topic_pattern_t *pattern = NULL;
    if (regex.len && topic_pattern_take(g->host->patterns, regex, &pattern, problem)) pattern = NULL;
    if (pattern) consumer__count(&g->regexes, regex, pattern);
    if (m->pattern) {
        consumer__uncount(&g->regexes, m->regex);
        topic_pattern_unref(m->pattern);
    }
    keep_bytes(g, m, regex.len, m->regex.len);
    consumer__set_bytes(&m->regex, regex.len ? regex : BYTES_NULL);
    m->pattern = pattern;
}

void consumer_set_classic(consumer_group_t *g, consumer_member_t *m, const group_protocol_t *protocols, size_t count,
                          int32_t session_timeout_ms)
{
    group_protocol_t *copy = protocols ? group_protocols_copy(protocols, count) : NULL;
    for (size_t i = 0; copy && i < count; i++) {
        if (!group_protocols_repeat(copy, i)) consumer__count(&g->protocols, copy[i].name, NULL);
    }
    for (size_t i = 0; i < m->protocols_count; i++) {
        if (!group_protocols_repeat(m->protocols, i)) consumer__uncount(&g->protocols, m->protocols[i].name);
    }
    keep_bytes(g, m, copy ? group_protocols_bytes(copy, count) : 0,
               group_protocols_bytes(m->protocols, m->protocols_count));
    mem_free(m->protocols);
    g->classic_count += (size_t)(copy != NULL) - (size_t)m->classic;
    m->classic = copy != NULL;
    m->protocols = copy;
    m->protocols_count = copy ? count : 0;
    m->session_timeout_ms = session_timeout_ms;
    if (!m->classic) m->join_deadline_ms = m->sync_deadline_ms = GROUP_NEVER_MS;
}

void consumer_remove(consumer_group_t *g, consumer_member_t *m, bool tombstones)
{
    consumer__release(g, m);
    consumer_set_topics(g, m, NULL, 0);
    consumer_set_regex(g, m, BYTES_NULL);
    consumer_set_classic(g, m, NULL, 0, 0);
    list_remove(&m->node);
    if (consumer_find(g, m->id) == m)
        map_remove(&g->by_id, m->id); /* else a static member came back under its old id */
    if (m->instance_id.ptr && map_get(&g->by_instance, m->instance_id) == m)
        map_remove(&g->by_instance, m->instance_id);
    g->members_count--;
    if (!tombstones) {
        consumer_member_free(m);
        return;
    }
    m->dirty = CONSUMER_DIRTY_GONE;
    list_push_back(&g->gone, &m->node);
}

consumer_member_t *consumer__replace(consumer_group_t *g, consumer_member_t *old, bytes_t new_id)
{
    consumer_member_t *m = consumer_add(g, new_id);
    consumer__set_bytes(&m->rack_id, old->rack_id);
    consumer__set_bytes(&m->assignor, old->assignor);
    consumer_set_topics(g, m, old->topics, old->topics_count);
    consumer_set_regex(g, m, old->regex);
    if (old->classic) consumer_set_classic(g, m, old->protocols, old->protocols_count, old->session_timeout_ms);
    m->rebalance_timeout_ms = old->rebalance_timeout_ms;
    tp_set_copy(&m->assigned, &old->assigned);
    tp_set_copy(&m->target, &old->target);
    m->dirty = CONSUMER_DIRTY_METADATA | CONSUMER_DIRTY_TARGET | CONSUMER_DIRTY_CURRENT;
    bytes_t instance_id = bytes_of(mem_strndup(old->instance_id), old->instance_id.len);
    consumer_remove(g, old, true);
    consumer__hold(g, m);
    consumer_set_instance(g, m, instance_id);
    mem_free((void *)instance_id.ptr);
    return m;
}

/* ---- time ------------------------------------------------------------------------------------------- */

static int64_t due_ms(const consumer_member_t *m)
{
    return MIN(MIN(m->session_deadline_ms, m->revoke_deadline_ms), MIN(m->join_deadline_ms, m->sync_deadline_ms));
}

void consumer_tick(consumer_group_t *g, runtime_now_t now)
{
    if (g->next_deadline_ms > now.mono_ms) return;
    bool removed = false;
    g->next_deadline_ms = GROUP_NEVER_MS;
    LIST_EACH(&g->members, m, consumer_member_t, node) {
        if (due_ms(m) > now.mono_ms) {
            g->next_deadline_ms = MIN(g->next_deadline_ms, due_ms(m));
            continue;
        }
        consumer_remove(g, m, true);
        removed = true;
    }
    if (removed) consumer__members_gone(g);
}

void consumer_load_end(consumer_group_t *g, runtime_now_t now)
{
    LIST_EACH(&g->members, m, consumer_member_t, node) {
        consumer__hold(g, m);
        consumer__reschedule_session(g, m, now);
        consumer__await_revocation(g, m, now);
        m->dirty = 0;
    }
}

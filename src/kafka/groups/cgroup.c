/* cgroup.c: a consumer group's members, and its inputs: heartbeats that join, stay and leave, and time. See
 * cgroup.h; the words of the messages are those clients log, so they are the original's. */
#include "kafka/groups/cgroup.h"

#include "kafka/errors.h"
#include "kafka/groups/cgroup_internal.h"

#include <stdlib.h>

static void drop(bytes_t *slot)
{
    mem_free((void *)slot->ptr);
    *slot = BYTES_NULL;
}

static void set_bytes(bytes_t *slot, bytes_t b)
{
    bytes_t copy = b.ptr ? bytes_of(mem_strndup(b), b.len) : BYTES_NULL;
    drop(slot);
    *slot = copy;
}

/* ---- life ------------------------------------------------------------------------------------------ */

cgroup_t *cgroup_new(bytes_t id, const cgroup_config_t *config, const cgroup_host_t *host, void *user)
{
    cgroup_t *g = mem_zalloc(sizeof(*g));
    set_bytes(&g->id, id);
    g->config = config;
    g->host = host;
    g->user = user;
    list_init(&g->members);
    list_init(&g->gone);
    g->next_deadline_ms = GROUP_NEVER_MS;
    return g;
}

void cgroup_member_free(cgroup_member_t *m)
{
    drop(&m->id);
    drop(&m->instance_id);
    drop(&m->rack_id);
    drop(&m->client_id);
    drop(&m->client_host);
    drop(&m->assignor);
    drop(&m->regex);
    cgroup_regex_free(m->compiled);
    mem_free(m->topics);
    cgroup_set_deinit(&m->assigned);
    cgroup_set_deinit(&m->revoking);
    cgroup_set_deinit(&m->target);
    mem_free(m);
}

void cgroup_topics_clear(cgroup_t *g)
{
    for (size_t i = 0; i < g->topics_count; i++) drop(&g->topics[i].name);
    mem_free(g->topics);
    g->topics = NULL;
    g->topics_count = 0;
}

void cgroup_free(cgroup_t *g)
{
    LIST_EACH(&g->members, m, cgroup_member_t, node) cgroup_member_free(m);
    LIST_EACH(&g->gone, m, cgroup_member_t, node) cgroup_member_free(m);
    map_deinit(&g->by_id);
    map_deinit(&g->by_instance);
    cgroup_topics_clear(g);
    drop(&g->id);
    mem_free(g);
}

static void schedule(cgroup_t *g, int64_t *slot, int64_t deadline_ms)
{
    *slot = deadline_ms;
    g->next_deadline_ms = MIN(g->next_deadline_ms, deadline_ms);
}

/* ---- members --------------------------------------------------------------------------------------- */

cgroup_member_t *cgroup_find(const cgroup_t *g, bytes_t member_id) { return map_get(&g->by_id, member_id); }

cgroup_member_t *cgroup_add(cgroup_t *g, bytes_t member_id)
{
    cgroup_member_t *m = mem_zalloc(sizeof(*m));
    set_bytes(&m->id, member_id);
    m->rebalance_timeout_ms = -1;
    m->session_deadline_ms = m->revoke_deadline_ms = GROUP_NEVER_MS;
    list_push_back(&g->members, &m->node);
    map_put(&g->by_id, m->id, m);
    g->members_count++;
    return m;
}

void cgroup_set_instance(cgroup_t *g, cgroup_member_t *m, bytes_t instance_id)
{
    if (m->instance_id.ptr && map_get(&g->by_instance, m->instance_id) == m)
        map_remove(&g->by_instance, m->instance_id);
    set_bytes(&m->instance_id, instance_id);
    if (m->instance_id.ptr) map_put(&g->by_instance, m->instance_id, m);
}

static int compare_bytes(const void *a, const void *b) { return bytes_cmp(*(const bytes_t *)a, *(const bytes_t *)b); }

/* One allocation: the sorted table, then the names. */
void cgroup_set_topics(cgroup_member_t *m, const bytes_t *topics, size_t count)
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
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        if (kept == 0 || !bytes_eq(copy[kept - 1], copy[i])) copy[kept++] = copy[i];
    }
    mem_free(m->topics);
    m->topics = copy;
    m->topics_count = kept;
}

/* A pattern that does not compile (it was checked, so an old record's) matches nothing. */
void cgroup_set_regex(cgroup_member_t *m, bytes_t regex)
{
    cgroup_regex_free(m->compiled);
    m->compiled = NULL;
    set_bytes(&m->regex, regex.len ? regex : BYTES_NULL);
    if (m->regex.ptr && cgroup_regex_new(m->regex, &m->compiled) != 0) m->compiled = NULL;
}

bool cgroup_reads(const cgroup_member_t *m, bytes_t topic)
{
    if (m->compiled && cgroup_regex_matches(m->compiled, topic)) return true;
    return m->topics_count && bsearch(&topic, m->topics, m->topics_count, sizeof(topic), compare_bytes) != NULL;
}

void cgroup_remove(cgroup_t *g, cgroup_member_t *m, bool tombstones)
{
    list_remove(&m->node);
    map_remove(&g->by_id, m->id);
    if (m->instance_id.ptr && map_get(&g->by_instance, m->instance_id) == m)
        map_remove(&g->by_instance, m->instance_id);
    g->members_count--;
    if (!tombstones) {
        cgroup_member_free(m);
        return;
    }
    m->dirty = CGROUP_DIRTY_GONE;
    list_push_back(&g->gone, &m->node);
}

/* ---- topics ---------------------------------------------------------------------------------------- */

const cgroup_topic_t *cgroup_topic_by_id(const cgroup_t *g, kafka_uuid_t id)
{
    for (size_t i = 0; i < g->topics_count; i++) {
        if (kafka_uuid_eq(g->topics[i].id, id)) return &g->topics[i];
    }
    return NULL;
}

void cgroup_topics_add(cgroup_t *g, bytes_t name, kafka_uuid_t id, int32_t partitions_count)
{
    g->topics = mem_realloc(g->topics, sizeof(g->topics[0]) * (g->topics_count + 1));
    g->topics[g->topics_count++] = (cgroup_topic_t){bytes_of(mem_strndup(name), name.len), id, partitions_count};
}

static bool same_topics(const cgroup_t *a, const cgroup_t *b)
{
    if (a->topics_count != b->topics_count) return false;
    for (size_t i = 0; i < a->topics_count; i++) {
        const cgroup_topic_t *one = &a->topics[i], *other = &b->topics[i];
        if (!bytes_eq(one->name, other->name) || !kafka_uuid_eq(one->id, other->id)) return false;
        if (one->partitions_count != other->partitions_count) return false;
    }
    return true;
}

typedef struct names {
    const cgroup_t *group;
    bytes_t *items;
    size_t count, cap;
} names_t;

static void add_name(names_t *names, bytes_t name)
{
    if (names->count == names->cap) {
        names->cap = names->cap ? names->cap * 2 : 16;
        names->items = mem_realloc(names->items, sizeof(names->items[0]) * names->cap);
    }
    names->items[names->count++] = name;
}

static void add_if_matched(void *arg, bytes_t name)
{
    names_t *names = arg;
    LIST_EACH(&names->group->members, m, cgroup_member_t, node) {
        if (!m->compiled || !cgroup_regex_matches(m->compiled, name)) continue;
        add_name(names, name);
        return;
    }
}

/* All names that members read, patterns resolved; sorted, with doubles. */
static names_t names_read(const cgroup_t *g)
{
    names_t names = {.group = g};
    bool patterns = false;
    LIST_EACH(&g->members, m, cgroup_member_t, node) {
        for (size_t i = 0; i < m->topics_count; i++) add_name(&names, m->topics[i]);
        patterns = patterns || m->compiled;
    }
    if (patterns) g->host->each_topic(g->user, add_if_matched, &names);
    if (names.count) qsort(names.items, names.count, sizeof(names.items[0]), compare_bytes);
    return names;
}

/* Looks up again what members read; true when it is not what it was. */
static bool refresh_topics(cgroup_t *g)
{
    names_t names = names_read(g);
    cgroup_t fresh = {0};
    g->topics_version = g->host->topics_version(g->user);
    for (size_t i = 0; i < names.count; i++) {
        kafka_uuid_t id;
        int32_t partitions_count;
        bytes_t name = names.items[i];
        if (i > 0 && bytes_eq(names.items[i - 1], name)) continue;
        if (g->host->topic(g->user, name, &id, &partitions_count))
            cgroup_topics_add(&fresh, name, id, partitions_count);
    }
    mem_free(names.items);
    bool changed = !same_topics(g, &fresh);
    cgroup_topics_clear(g);
    g->topics = fresh.topics;
    g->topics_count = fresh.topics_count;
    g->dirty_topics = g->dirty_topics || changed;
    return changed;
}

static void bump(cgroup_t *g)
{
    g->epoch++;
    g->dirty_epoch = true;
}

/* ---- what is checked without a group ---------------------------------------------------------------- */

static int16_t invalid(const char *message, const char **ret_message)
{
    *ret_message = message;
    return KAFKA_INVALID_REQUEST;
}

static bool is_empty(bytes_t b) { return b.ptr && b.len == 0; }

static int16_t check_join(const cgroup_heartbeat_t *in, const char **ret_message)
{
    if (in->rebalance_timeout_ms == -1)
        return invalid("RebalanceTimeoutMs must be provided in first request.", ret_message);
    if (!in->owned || in->owned->count) return invalid("TopicPartitions must be empty when (re-)joining.", ret_message);
    if (in->topics_count <= 0 && in->regex.len == 0) {
        return invalid("Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when (re-)joining.",
                       ret_message);
    }
    return KAFKA_NONE;
}

int16_t cgroup_heartbeat_check(const cgroup_heartbeat_t *in, const char **ret_message)
{
    if (is_empty(in->instance_id)) return invalid("InstanceId can't be empty.", ret_message);
    if (is_empty(in->rack_id)) return invalid("RackId can't be empty.", ret_message);
    if (in->member_epoch < CGROUP_EPOCH_LEAVE_STATIC) return invalid("MemberEpoch is invalid.", ret_message);
    if ((in->member_epoch != 0 || in->own_id_required) && in->member_id.len == 0)
        return invalid("MemberId can't be empty.", ret_message);
    if (in->member_epoch == 0 && check_join(in, ret_message) != KAFKA_NONE) return KAFKA_INVALID_REQUEST;
    if (in->member_epoch == CGROUP_EPOCH_LEAVE_STATIC && !in->instance_id.ptr) {
        return invalid("InstanceId can't be null.", ret_message);
    }
    if (in->regex.len) {
        cgroup_regex_t *regex;
        if (cgroup_regex_new(in->regex, &regex) != 0) {
            *ret_message = "SubscribedTopicRegex is not a valid regular expression, or uses more than POSIX "
                           "and RE2 share.";
            return KAFKA_INVALID_REGULAR_EXPRESSION;
        }
        cgroup_regex_free(regex);
    }
    bytes_t assignor = in->assignor;
    if (assignor.ptr && !bytes_eq(assignor, BYTES_LIT("uniform")) && !bytes_eq(assignor, BYTES_LIT("range"))) {
        *ret_message = "ServerAssignor is not supported. Supported assignors: uniform, range.";
        return KAFKA_UNSUPPORTED_ASSIGNOR;
    }
    return KAFKA_NONE;
}

/* ---- who is it -------------------------------------------------------------------------------------- */

static cgroup_member_t *refuse(cgroup_reply_t *reply, int16_t error, const char *message)
{
    reply->error = error;
    reply->message = message;
    return NULL;
}

/* The reply with the new epoch may have been lost: who comes with the last one, owning no more than it may,
 * is let in. */
static bool epoch_fits(const cgroup_member_t *m, const cgroup_heartbeat_t *in)
{
    if (in->member_epoch == m->epoch) return true;
    return in->member_epoch == m->previous_epoch && in->member_epoch < m->epoch && in->owned &&
           cgroup_set_within(in->owned, &m->assigned);
}

static const char fenced[] = "The consumer group member has another member epoch than the one known by the "
                             "group coordinator. The member must "
                             "abandon all its partitions and rejoin.";

static cgroup_member_t *dynamic_member(cgroup_t *g, const cgroup_heartbeat_t *in, cgroup_reply_t *reply)
{
    cgroup_member_t *m = cgroup_find(g, in->member_id);
    if (!m && in->member_epoch == 0) return cgroup_add(g, in->member_id);
    if (!m) return refuse(reply, KAFKA_UNKNOWN_MEMBER_ID, "The member is not a member of the group.");
    if (!epoch_fits(m, in)) return refuse(reply, KAFKA_FENCED_MEMBER_EPOCH, fenced);
    return m;
}

static cgroup_member_t *replace_static(cgroup_t *g, cgroup_member_t *old, bytes_t new_id)
{
    cgroup_member_t *m = cgroup_add(g, new_id);
    set_bytes(&m->rack_id, old->rack_id);
    set_bytes(&m->assignor, old->assignor);
    cgroup_set_topics(m, old->topics, old->topics_count);
    cgroup_set_regex(m, old->regex);
    m->rebalance_timeout_ms = old->rebalance_timeout_ms;
    cgroup_set_copy(&m->assigned, &old->assigned);
    cgroup_set_copy(&m->target, &old->target);
    m->dirty = CGROUP_DIRTY_METADATA | CGROUP_DIRTY_TARGET | CGROUP_DIRTY_CURRENT;
    bytes_t instance_id = bytes_of(mem_strndup(old->instance_id), old->instance_id.len);
    cgroup_remove(g, old, true);
    cgroup_set_instance(g, m, instance_id);
    mem_free((void *)instance_id.ptr);
    return m;
}

static cgroup_member_t *static_member(cgroup_t *g, const cgroup_heartbeat_t *in, cgroup_reply_t *reply)
{
    cgroup_member_t *known = map_get(&g->by_instance, in->instance_id);
    if (in->member_epoch == 0 && !known) {
        cgroup_member_t *m = cgroup_find(g, in->member_id);
        return m ? m : cgroup_add(g, in->member_id);
    }
    if (in->member_epoch == 0 && known->epoch != CGROUP_EPOCH_LEAVE_STATIC) {
        return refuse(reply, KAFKA_UNRELEASED_INSTANCE_ID, "The instance id is owned by another member.");
    }
    if (in->member_epoch == 0) return replace_static(g, known, in->member_id);
    if (!known) return refuse(reply, KAFKA_UNKNOWN_MEMBER_ID, "The instance id is unknown.");
    if (!bytes_eq(known->id, in->member_id)) {
        return refuse(reply, KAFKA_FENCED_INSTANCE_ID, "The instance id is owned by another member.");
    }
    if (in->member_epoch > 0 && !epoch_fits(known, in)) return refuse(reply, KAFKA_FENCED_MEMBER_EPOCH, fenced);
    return known;
}

/* ---- heartbeats -------------------------------------------------------------------------------------- */

static bool update_bytes(bytes_t *slot, bytes_t told)
{
    if (!told.ptr || (slot->ptr && bytes_eq(*slot, told))) return false;
    set_bytes(slot, told);
    return true;
}

static bool same_names(const cgroup_member_t *a, const cgroup_member_t *b)
{
    if (a->topics_count != b->topics_count) return false;
    for (size_t i = 0; i < a->topics_count; i++) {
        if (!bytes_eq(a->topics[i], b->topics[i])) return false;
    }
    return true;
}

/* Takes over what the heartbeat says; true when the subscription is another now. */
static bool update_member(cgroup_t *g, cgroup_member_t *m, const cgroup_heartbeat_t *in)
{
    bool changed = update_bytes(&m->rack_id, in->rack_id);
    changed = update_bytes(&m->assignor, in->assignor) || changed;
    changed = update_bytes(&m->client_id, in->client_id.ptr ? in->client_id : BYTES_LIT("")) || changed;
    changed = update_bytes(&m->client_host, in->client_host) || changed;
    if (in->instance_id.ptr && !m->instance_id.ptr) {
        cgroup_set_instance(g, m, in->instance_id);
        changed = true;
    }
    if (in->rebalance_timeout_ms != -1 && in->rebalance_timeout_ms != m->rebalance_timeout_ms) {
        m->rebalance_timeout_ms = in->rebalance_timeout_ms;
        changed = true;
    }
    bool resubscribed = false;
    if (in->topics_count >= 0) {
        cgroup_member_t told = {0};
        cgroup_set_topics(&told, in->topics, (size_t)in->topics_count);
        resubscribed = !same_names(m, &told);
        bytes_t *swap = resubscribed ? m->topics : told.topics;
        if (resubscribed) {
            m->topics = told.topics;
            m->topics_count = told.topics_count;
        }
        mem_free(swap);
    }
    if (in->regex.ptr && !bytes_eq(in->regex, m->regex)) {
        cgroup_set_regex(m, in->regex);
        resubscribed = true;
    }
    if (changed || resubscribed) m->dirty |= CGROUP_DIRTY_METADATA;
    return resubscribed;
}

static void stay(cgroup_t *g, cgroup_member_t *m, const cgroup_heartbeat_t *in, group_now_t now, cgroup_reply_t *reply)
{
    bool resubscribed = update_member(g, m, in); /* so is who is new */
    bool moved = g->topics_version != g->host->topics_version(g->user);
    if ((resubscribed || moved) && (refresh_topics(g) || resubscribed)) bump(g);
    if (g->epoch > g->assignment_epoch) {
        cgroup_assign(g);
        g->assignment_epoch = g->epoch;
        g->dirty_assignment = true;
    }
    bool changed = cgroup__reconcile(g, m, in->owned, now);
    schedule(g, &m->session_deadline_ms, now.mono_ms + g->config->session_timeout_ms);
    bool full = in->member_epoch == 0 || (in->rebalance_timeout_ms != -1 && in->topics_count >= 0 && in->owned);
    reply->member_id = m->id;
    reply->member_epoch = m->epoch;
    if (full || changed) reply->assignment = &m->assigned;
}

static void leave(cgroup_t *g, cgroup_member_t *m, int32_t how, cgroup_reply_t *reply)
{
    reply->member_epoch = how;
    if (how == CGROUP_EPOCH_LEAVE_STATIC) {
        m->epoch = how;
        m->state = CGROUP_MEMBER_STABLE;
        cgroup_set_clear(&m->revoking);
        m->revoke_deadline_ms = GROUP_NEVER_MS;
        m->dirty |= CGROUP_DIRTY_CURRENT;
        return;
    }
    cgroup_remove(g, m, true);
    refresh_topics(g);
    bump(g);
}

void cgroup_heartbeat(cgroup_t *g, const cgroup_heartbeat_t *in, group_now_t now, cgroup_reply_t *reply)
{
    *reply = (cgroup_reply_t){.member_id = in->member_id, .member_epoch = in->member_epoch};
    bool leaving = in->member_epoch < 0;
    if (!leaving && g->members_count >= (size_t)g->config->members_max && !cgroup_find(g, in->member_id)) {
        refuse(reply, KAFKA_GROUP_MAX_SIZE_REACHED, "The consumer group has reached its maximum capacity.");
        return;
    }
    cgroup_member_t *m = NULL;
    if (in->instance_id.ptr) {
        m = static_member(g, in, reply);
    } else if (leaving) {
        m = cgroup_find(g, in->member_id);
        if (!m) refuse(reply, KAFKA_UNKNOWN_MEMBER_ID, "The member is not a member of the group.");
    } else {
        m = dynamic_member(g, in, reply);
    }
    if (!m) return;
    if (leaving) {
        leave(g, m, in->member_epoch, reply);
    } else {
        stay(g, m, in, now, reply);
    }
}

/* ---- time ------------------------------------------------------------------------------------------- */

void cgroup__await_revocation(cgroup_t *g, cgroup_member_t *m, group_now_t now)
{
    if (m->state == CGROUP_MEMBER_UNREVOKED) {
        schedule(g, &m->revoke_deadline_ms, now.mono_ms + MAX(m->rebalance_timeout_ms, 1));
    } else {
        m->revoke_deadline_ms = GROUP_NEVER_MS;
    }
}

void cgroup_tick(cgroup_t *g, group_now_t now)
{
    if (g->next_deadline_ms > now.mono_ms) return;
    bool removed = false;
    g->next_deadline_ms = GROUP_NEVER_MS;
    LIST_EACH(&g->members, m, cgroup_member_t, node) {
        int64_t due_ms = MIN(m->session_deadline_ms, m->revoke_deadline_ms);
        if (due_ms > now.mono_ms) {
            g->next_deadline_ms = MIN(g->next_deadline_ms, due_ms);
            continue;
        }
        cgroup_remove(g, m, true);
        removed = true;
    }
    if (!removed) return;
    refresh_topics(g);
    bump(g);
}

void cgroup_load_end(cgroup_t *g, group_now_t now)
{
    LIST_EACH(&g->members, m, cgroup_member_t, node) {
        schedule(g, &m->session_deadline_ms, now.mono_ms + g->config->session_timeout_ms);
        cgroup__await_revocation(g, m, now);
        m->dirty = 0;
    }
}

/* share_group.c: the members of a share group, their heartbeats, and time. See share_group.h. */
#include "kafka/coordinator/share/share_group.h"

#include "base/crc64.h"
#include "kafka/coordinator/consumer/consumer_internal.h"

#include <stdio.h>
#include <stdlib.h>

#define TEXT(b) (int)MIN((b).len, (size_t)100), (const char *)(b).ptr

/* ---- life ------------------------------------------------------------------------------------------------------------ */

share_group_t *share_group_new(bytes_t id, const consumer_config_t *config, const share_group_host_t *host, void *user)
{
    share_group_t *g = mem_zalloc(sizeof(*g));
    consumer__set_bytes(&g->id, id);
    g->config = config;
    g->host = host;
    g->user = user;
    g->epoch = g->assignment_epoch = 1; /* as the original's groups begin */
    list_init(&g->members);
    list_init(&g->gone);
    g->next_deadline_ms = GROUP_NEVER_MS;
    return g;
}

void share_member_free(share_member_t *m)
{
    mem_free((void *)m->id.ptr);
    mem_free((void *)m->rack_id.ptr);
    mem_free((void *)m->client_id.ptr);
    mem_free((void *)m->client_host.ptr);
    mem_free(m->topics);
    tp_set_deinit(&m->assigned);
    tp_set_deinit(&m->target);
    mem_free(m);
}

void share_group_free(share_group_t *g)
{
    LIST_EACH(&g->members, m, share_member_t, node) share_member_free(m);
    LIST_EACH(&g->gone, m, share_member_t, node) share_member_free(m);
    consumer__free_counts(&g->names);
    share_group_states_clear(g);
    tp_set_deinit(&g->initialized);
    tp_set_deinit(&g->initializing);
    map_deinit(&g->states);
    map_deinit(&g->by_id);
    mem_free((void *)g->id.ptr);
    mem_free(g);
}

static void bump(share_group_t *g)
{
    g->epoch++;
    g->dirty_epoch = true;
}

/* ---- members --------------------------------------------------------------------------------------------------------- */

share_member_t *share_group_find(const share_group_t *g, bytes_t member_id) { return map_get(&g->by_id, member_id); }

share_member_t *share_group_add(share_group_t *g, bytes_t member_id)
{
    share_member_t *m = mem_zalloc(sizeof(*m));
    consumer__set_bytes(&m->id, member_id);
    consumer__set_bytes(&m->client_id, BYTES_LIT(""));
    consumer__set_bytes(&m->client_host, BYTES_LIT(""));
    m->session_deadline_ms = GROUP_NEVER_MS;
    list_push_back(&g->members, &m->node);
    map_put(&g->by_id, m->id, m);
    g->members_count++;
    return m;
}

static int compare_names(const void *a, const void *b) { return bytes_cmp(*(const bytes_t *)a, *(const bytes_t *)b); }

/* One allocation: the sorted table without doubles, then the names. */
static bytes_t *copy_names(const bytes_t *topics, size_t count, size_t *ret_count, size_t *ret_bytes)
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
    qsort(copy, count, sizeof(copy[0]), compare_names);
    *ret_count = 0;
    *ret_bytes = bytes;
    for (size_t i = 0; i < count; i++) {
        if (*ret_count == 0 || !bytes_eq(copy[*ret_count - 1], copy[i])) copy[(*ret_count)++] = copy[i];
    }
    return copy;
}

void share_group_set_topics(share_group_t *g, share_member_t *m, const bytes_t *topics, size_t count)
{
    size_t kept, bytes;
    bytes_t *copy = copy_names(topics, count, &kept, &bytes);
    for (size_t i = 0; i < kept; i++) consumer__count(&g->names, copy[i], NULL);
    for (size_t i = 0; i < m->topics_count; i++) consumer__uncount(&g->names, m->topics[i]);
    g->kept_bytes += bytes - m->kept_bytes;
    m->kept_bytes = bytes;
    mem_free(m->topics);
    m->topics = copy;
    m->topics_count = kept;
}

void share_group_remove(share_group_t *g, share_member_t *m, bool tombstones)
{
    share_group_set_topics(g, m, NULL, 0);
    g->kept_bytes -= m->kept_bytes;
    list_remove(&m->node);
    map_remove(&g->by_id, m->id);
    g->members_count--;
    if (tombstones)
        list_push_back(&g->gone, &m->node);
    else
        share_member_free(m);
}

bool share_group_subscribed(const share_group_t *g, bytes_t topic) { return map_get(&g->names, topic) != NULL; }

const char *share_group_state_text(const share_group_t *g) { return g->members_count == 0 ? "Empty" : "Stable"; }

/* ---- what is checked without a group --------------------------------------------------------------------------------- */

static kafka_code_t invalid(const char *text, char *message)
{
    snprintf(message, CONSUMER_MESSAGE_BYTES, "%s", text);
    return KAFKA_INVALID_REQUEST;
}

/* As Java's trim: not null, and nothing but spaces and control characters. */
static bool is_blank(bytes_t b)
{
    for (size_t i = 0; i < b.len; i++) {
        if (b.ptr[i] > ' ') return false;
    }
    return b.ptr != NULL;
}

static size_t brought_bytes(const share_heartbeat_t *in)
{
    size_t bytes = in->member_id.len + in->rack_id.len + in->client_id.len;
    for (int32_t i = 0; i < in->topics_count; i++) bytes += sizeof(bytes_t) + in->topics[i].len;
    return bytes;
}

kafka_code_t share_heartbeat_check(const share_heartbeat_t *in, bytes_t group_id, char message[CONSUMER_MESSAGE_BYTES])
{
    if (is_blank(in->member_id)) return invalid("MemberId can't be empty.", message);
    if (is_blank(group_id)) return invalid("GroupId can't be empty.", message);
    if (is_blank(in->rack_id)) return invalid("RackId can't be empty.", message);
    if (in->member_epoch == 0 && in->topics_count <= 0)
        return invalid("SubscribedTopicNames must be set in first request.", message);
    if (in->member_epoch < SHARE_EPOCH_LEAVE) return invalid("MemberEpoch is invalid.", message);
    if (brought_bytes(in) <= CONSUMER_MEMBER_BYTES_MAX) return KAFKA_NONE;
    snprintf(message, CONSUMER_MESSAGE_BYTES, "A member's names and topics may take %zu bytes.",
             (size_t)CONSUMER_MEMBER_BYTES_MAX);
    return KAFKA_MESSAGE_TOO_LARGE;
}

/* ---- who is it ------------------------------------------------------------------------------------------------------- */

static bool is_full(const share_group_t *g, bytes_t member_id)
{
    if (share_group_find(g, member_id)) return false;
    return g->members_count >= (size_t)g->config->members_max ||
           g->kept_bytes + CONSUMER_MEMBER_BYTES_MAX > GROUP_BYTES_MAX;
}

static void refuse_unknown(const share_group_t *g, const share_heartbeat_t *in, share_reply_t *reply)
{
    reply->error = KAFKA_UNKNOWN_MEMBER_ID;
    snprintf(reply->message, sizeof(reply->message), "Member %.*s is not a member of group %.*s.", TEXT(in->member_id),
             TEXT(g->id));
}

static void refuse_full(const share_group_t *g, share_reply_t *reply)
{
    reply->error = KAFKA_GROUP_MAX_SIZE_REACHED;
    snprintf(reply->message, sizeof(reply->message),
             "The share group has reached its maximum capacity of %" PRId32 " members.", g->config->members_max);
}

/* The reply with the new epoch may have been lost: who comes with the last one is let in. */
static bool epoch_fits(const share_member_t *m, int32_t epoch, share_reply_t *reply)
{
    if (epoch == 0 || epoch == m->epoch || (epoch < m->epoch && epoch == m->previous_epoch)) return true;
    reply->error = KAFKA_FENCED_MEMBER_EPOCH;
    if (epoch > m->epoch)
        snprintf(reply->message, sizeof(reply->message),
                 "The share group member has a greater member epoch (%" PRId32
                 ") than the one known by the group coordinator (%" PRId32
                 "). The member must abandon all its partitions and rejoin.",
                 epoch, m->epoch);
    else
        snprintf(reply->message, sizeof(reply->message),
                 "The share group member has a smaller member epoch (%" PRId32
                 ") than the one known by the group coordinator (%" PRId32
                 "), and it does not match the previous member epoch (%" PRId32
                 "). The member must abandon all its partitions and rejoin.",
                 epoch, m->epoch, m->previous_epoch);
    return false;
}

/* ---- staying --------------------------------------------------------------------------------------------------------- */

static bool update_topics(share_group_t *g, share_member_t *m, const share_heartbeat_t *in)
{
    if (in->topics_count < 0) return false;
    share_member_t before = {.topics = m->topics, .topics_count = m->topics_count};
    m->topics = NULL; /* the names stay counted until they are compared */
    m->topics_count = 0;
    share_group_set_topics(g, m, in->topics, (size_t)in->topics_count);
    bool same = before.topics_count == m->topics_count;
    for (size_t i = 0; same && i < m->topics_count; i++) same = bytes_eq(before.topics[i], m->topics[i]);
    for (size_t i = 0; i < before.topics_count; i++) consumer__uncount(&g->names, before.topics[i]);
    mem_free(before.topics);
    return !same;
}

/* Takes over what the heartbeat says; true when the subscription is another now. */
static bool update_member(share_group_t *g, share_member_t *m, const share_heartbeat_t *in)
{
    bool changed = consumer__update_bytes(&m->rack_id, in->rack_id);
    changed = consumer__update_bytes(&m->client_id, in->client_id.ptr ? in->client_id : BYTES_LIT("")) || changed;
    changed = consumer__update_bytes(&m->client_host, in->client_host) || changed;
    bool resubscribed = update_topics(g, m, in);
    if (changed || resubscribed || m->epoch == 0) m->dirty |= SHARE_DIRTY_METADATA;
    return resubscribed;
}

/* The same whatever the order in which the map has the names. */
static uint64_t hash_topics(share_group_t *g)
{
    uint64_t sum = 0;
    size_t cursor = 0;
    for (map_entry_t *e; (e = map_next(&g->names, &cursor));) {
        struct {
            kafka_uuid_t id;
            int32_t partitions_count;
            uint32_t zero;
        } topic = {0};
        if (g->host->topic(g->user, e->key, &topic.id, &topic.partitions_count)) sum += crc64(0, &topic, sizeof(topic));
    }
    return sum;
}

/* Topics that members read have come, grown or gone. */
static bool refresh_topics(share_group_t *g)
{
    uint64_t hash = hash_topics(g);
    bool changed = hash != g->metadata_hash;
    g->topics_version = g->host->topics_version(g->user);
    g->metadata_hash = hash;
    return changed;
}

static void members_gone(share_group_t *g)
{
    refresh_topics(g);
    bump(g);
    if (g->members_count > 0) return;
    g->assignment_epoch = g->epoch; /* nobody is left who could be assigned something */
    g->assigned_ms = 0;
    g->dirty_assignment = true;
}

/* A clock that was set back does not hold anybody up. */
static bool may_assign(const share_group_t *g, runtime_now_t now)
{
    int64_t since_ms = now.wall_ms - g->assigned_ms;
    return since_ms < 0 || since_ms >= SHARE_ASSIGNMENT_INTERVAL_MS;
}

static void progress(share_group_t *g, bool resubscribed, runtime_now_t now)
{
    bool changed = resubscribed || (g->assignment_epoch >= g->epoch && g->states_changed);
    bool moved = g->topics_version != g->host->topics_version(g->user);
    if (changed || moved) changed = refresh_topics(g) || changed;
    if (changed) bump(g);
    if (g->epoch <= g->assignment_epoch || !may_assign(g, now)) return;
    share_group_assign(g);
    g->states_changed = false;
    g->assignment_epoch = g->epoch;
    g->assigned_ms = now.wall_ms;
    g->dirty_assignment = true;
}

/* True when what it is assigned changed. */
static bool reconcile(share_group_t *g, share_member_t *m)
{
    if (m->epoch == g->assignment_epoch) return false;
    bool changed = !tp_set_eq(&m->assigned, &m->target);
    tp_set_copy(&m->assigned, &m->target);
    m->previous_epoch = m->epoch;
    m->epoch = g->assignment_epoch;
    m->dirty |= SHARE_DIRTY_CURRENT;
    return changed;
}

static void schedule_session(share_group_t *g, share_member_t *m, runtime_now_t now)
{
    m->session_deadline_ms = now.mono_ms + g->config->session_timeout_ms;
    g->next_deadline_ms = MIN(g->next_deadline_ms, m->session_deadline_ms);
}

static void stay(share_group_t *g, share_member_t *m, const share_heartbeat_t *in, runtime_now_t now,
                 share_reply_t *reply)
{
    progress(g, update_member(g, m, in), now);
    bool changed = reconcile(g, m);
    schedule_session(g, m, now);
    reply->member_id = m->id;
    reply->member_epoch = m->epoch;
    if (in->member_epoch == 0 || in->topics_count >= 0 || changed) reply->assignment = &m->assigned;
}

void share_heartbeat(share_group_t *g, const share_heartbeat_t *in, runtime_now_t now, share_reply_t *reply)
{
    share_member_t *m = share_group_find(g, in->member_id);
    *reply = (share_reply_t){.member_id = in->member_id, .member_epoch = in->member_epoch};
    if (in->member_epoch >= 0 && is_full(g, in->member_id)) {
        refuse_full(g, reply);
    } else if (!m && in->member_epoch != 0) {
        refuse_unknown(g, in, reply);
    } else if (in->member_epoch == SHARE_EPOCH_LEAVE) {
        share_group_remove(g, m, true);
        members_gone(g);
    } else if (!m || epoch_fits(m, in->member_epoch, reply)) {
        stay(g, m ? m : share_group_add(g, in->member_id), in, now, reply);
    }
}

/* ---- time ------------------------------------------------------------------------------------------------------------ */

void share_group_tick(share_group_t *g, runtime_now_t now)
{
    if (g->next_deadline_ms > now.mono_ms) return;
    bool removed = false;
    g->next_deadline_ms = GROUP_NEVER_MS;
    LIST_EACH(&g->members, m, share_member_t, node) {
        if (m->session_deadline_ms > now.mono_ms) {
            g->next_deadline_ms = MIN(g->next_deadline_ms, m->session_deadline_ms);
            continue;
        }
        share_group_remove(g, m, true);
        removed = true;
    }
    if (removed) members_gone(g);
}

void share_group_load_end(share_group_t *g, runtime_now_t now)
{
    LIST_EACH(&g->members, m, share_member_t, node) {
        schedule_session(g, m, now);
        m->dirty = 0;
    }
    g->states_changed = true; /* a state may have been made behind the last targets */
}

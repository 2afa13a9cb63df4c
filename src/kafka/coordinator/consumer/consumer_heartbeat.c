/* consumer_heartbeat.c: ConsumerGroupHeartbeat: who joins, stays and leaves. The words of the messages are those that
 * clients log, so they are the original's. */
#include "kafka/coordinator/consumer/consumer_internal.h"
#include "kafka/errors.h"

#include <stdio.h>

#define TEXT(b) (int)MIN((b).len, (size_t)100), (const char *)(b).ptr

/* ---- what is checked without a group ---------------------------------------------------------------- */

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

static kafka_code_t check_join(const consumer_heartbeat_t *in, char *message)
{
    if (in->rebalance_timeout_ms == -1)
        return invalid("RebalanceTimeoutMs must be provided in first request.", message);
    if (!in->owned || in->owned->count) return invalid("TopicPartitions must be empty when (re-)joining.", message);
    if (in->topics_count < 0 && !in->regex.ptr)
        return invalid("Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when (re-)joining.",
                       message);
    return KAFKA_NONE;
}

static kafka_code_t check_epoch(const consumer_heartbeat_t *in, char *message)
{
    if (in->member_epoch == 0) return check_join(in, message);
    if (in->member_epoch == CONSUMER_EPOCH_LEAVE_STATIC && !in->instance_id.ptr)
        return invalid("InstanceId can't be null.", message);
    return in->member_epoch < CONSUMER_EPOCH_LEAVE_STATIC ? invalid("MemberEpoch is invalid.", message) : KAFKA_NONE;
}

static size_t brought_bytes(const consumer_heartbeat_t *in)
{
    size_t bytes = in->member_id.len + in->instance_id.len + in->rack_id.len + in->client_id.len + in->regex.len;
    for (int32_t i = 0; i < in->topics_count; i++) bytes += sizeof(bytes_t) + in->topics[i].len;
    return bytes;
}

static kafka_code_t check_assignor(bytes_t assignor, char *message)
{
    bool known = bytes_eq(assignor, BYTES_LIT("uniform")) || bytes_eq(assignor, BYTES_LIT("range"));
    if (!assignor.ptr || known) return KAFKA_NONE;
    snprintf(message, CONSUMER_MESSAGE_BYTES,
             "ServerAssignor %.*s is not supported. Supported assignors: uniform, range.", TEXT(assignor));
    return KAFKA_UNSUPPORTED_ASSIGNOR;
}

kafka_code_t consumer_heartbeat_check(const consumer_heartbeat_t *in, char message[CONSUMER_MESSAGE_BYTES])
{
    bool needs_id = in->own_id_required || in->member_epoch > 0 || in->member_epoch == CONSUMER_EPOCH_LEAVE;
    if (needs_id && is_blank(in->member_id)) return invalid("MemberId can't be empty.", message);
    if (is_blank(in->instance_id)) return invalid("InstanceId can't be empty.", message);
    if (is_blank(in->rack_id)) return invalid("RackId can't be empty.", message);
    kafka_code_t error = check_epoch(in, message);
    if (error == KAFKA_NONE) error = check_assignor(in->assignor, message);
    if (error == KAFKA_NONE && brought_bytes(in) > CONSUMER_MEMBER_BYTES_MAX) {
        snprintf(message, CONSUMER_MESSAGE_BYTES, "A member's names and topics may take %zu bytes.",
                 (size_t)CONSUMER_MEMBER_BYTES_MAX);
        error = KAFKA_MESSAGE_TOO_LARGE;
    }
    return error;
}

/* ---- who is it -------------------------------------------------------------------------------------- */

static consumer_member_t *refuse_unknown(const consumer_group_t *g, const consumer_heartbeat_t *in,
                                         consumer_reply_t *reply)
{
    reply->error = KAFKA_UNKNOWN_MEMBER_ID;
    snprintf(reply->message, sizeof(reply->message), "Member %.*s is not a member of group %.*s.", TEXT(in->member_id),
             TEXT(g->id));
    return NULL;
}

/* Who begins anew is let in. So is who comes with the last epoch, owning no more than it may: the reply with the new one may have been
 * lost. */
static bool epoch_fits(const consumer_member_t *m, const consumer_heartbeat_t *in)
{
    if (in->member_epoch == m->epoch || in->member_epoch == 0) return true;
    return in->member_epoch == m->previous_epoch && in->member_epoch < m->epoch && in->owned &&
           tp_set_within(in->owned, &m->assigned);
}

static consumer_member_t *check_fit(consumer_member_t *m, const consumer_heartbeat_t *in, consumer_reply_t *reply)
{
    if (epoch_fits(m, in)) return m;
    reply->error = KAFKA_FENCED_MEMBER_EPOCH;
    snprintf(reply->message, sizeof(reply->message),
             "The consumer group member has a %s member epoch (%" PRId32
             ") than the one known by the group coordinator (%" PRId32
             "). The member must abandon all its partitions and rejoin.",
             in->member_epoch > m->epoch ? "greater" : "smaller", in->member_epoch, m->epoch);
    return NULL;
}

static consumer_member_t *dynamic_member(consumer_group_t *g, const consumer_heartbeat_t *in, consumer_reply_t *reply)
{
    consumer_member_t *m = consumer_find(g, in->member_id);
    if (!m && in->member_epoch == 0) return consumer_add(g, in->member_id);
    return m ? check_fit(m, in, reply) : refuse_unknown(g, in, reply);
}

static consumer_member_t *refuse_instance(const consumer_heartbeat_t *in, const consumer_member_t *owner,
                                          kafka_code_t error, consumer_reply_t *reply)
{
    bool unreleased = error == KAFKA_UNRELEASED_INSTANCE_ID;
    reply->error = error;
    snprintf(reply->message, sizeof(reply->message), "Static member %.*s with instance id %.*s %s %.*s%s.",
             TEXT(in->member_id), TEXT(in->instance_id),
             unreleased ? "cannot join the group because the instance id is owned by" : "was fenced by member",
             TEXT(owner->id), unreleased ? " member" : "");
    return NULL;
}

static consumer_member_t *join_static(consumer_group_t *g, const consumer_heartbeat_t *in, consumer_member_t *known,
                                      consumer_reply_t *reply)
{
    if (!known) {
        consumer_member_t *m = consumer_find(g, in->member_id);
        return m ? m : consumer_add(g, in->member_id);
    }
    if (!known->classic && known->epoch != CONSUMER_EPOCH_LEAVE_STATIC)
        return refuse_instance(in, known, KAFKA_UNRELEASED_INSTANCE_ID, reply);
    return consumer__replace(g, known, in->member_id);
}

static consumer_member_t *static_member(consumer_group_t *g, const consumer_heartbeat_t *in, consumer_reply_t *reply)
{
    consumer_member_t *known = map_get(&g->by_instance, in->instance_id);
    if (in->member_epoch == 0) return join_static(g, in, known, reply);
    if (!known) {
        reply->error = KAFKA_UNKNOWN_MEMBER_ID;
        snprintf(reply->message, sizeof(reply->message), "Instance id %.*s is unknown.", TEXT(in->instance_id));
        return NULL;
    }
    if (!bytes_eq(known->id, in->member_id)) return refuse_instance(in, known, KAFKA_FENCED_INSTANCE_ID, reply);
    return in->member_epoch > 0 ? check_fit(known, in, reply) : known;
}

/* ---- staying and leaving ------------------------------------------------------------------------------ */

bool consumer__update_bytes(bytes_t *slot, bytes_t told)
{
    if (!told.ptr || (slot->ptr && bytes_eq(*slot, told))) return false;
    consumer__set_bytes(slot, told);
    return true;
}

/* `topics` may have doubles and any order, so they are compared as the member would keep them. */
bool consumer__update_topics(consumer_group_t *g, consumer_member_t *m, const bytes_t *topics, size_t count)
{
    consumer_member_t before = {.pattern = m->pattern};
    consumer_set_topics(g, &before, m->topics, m->topics_count);
    consumer_set_topics(g, m, topics, count);
    bool same = consumer_same_subscription(&before, m);
    consumer_set_topics(g, &before, NULL, 0);
    mem_free(before.topics);
    return !same;
}

/* Takes over what the heartbeat says; true when the subscription is another now. */
static bool update_member(consumer_group_t *g, consumer_member_t *m, const consumer_heartbeat_t *in)
{
    bool changed = consumer__update_bytes(&m->rack_id, in->rack_id);
    changed = consumer__update_bytes(&m->assignor, in->assignor) || changed;
    changed = consumer__update_bytes(&m->client_id, in->client_id.ptr ? in->client_id : BYTES_LIT("")) || changed;
    changed = consumer__update_bytes(&m->client_host, in->client_host) || changed;
    if (in->instance_id.ptr && !m->instance_id.ptr) {
        consumer_set_instance(g, m, in->instance_id);
        changed = true;
    }
    if (in->rebalance_timeout_ms != -1 && in->rebalance_timeout_ms != m->rebalance_timeout_ms) {
        m->rebalance_timeout_ms = in->rebalance_timeout_ms;
        changed = true;
    }
    if (m->classic) { /* it has changed its protocol */
        consumer_set_classic(g, m, NULL, 0, 0);
        changed = true;
    }
    bool resubscribed = false;
    if (in->topics_count >= 0) resubscribed = consumer__update_topics(g, m, in->topics, (size_t)in->topics_count);
    if (in->regex.ptr && !bytes_eq(in->regex, m->regex)) {
        consumer_set_regex(g, m, in->regex);
        resubscribed = true;
    }
    if (changed || resubscribed) m->dirty |= CONSUMER_DIRTY_METADATA;
    return resubscribed;
}

bool consumer__progress(consumer_group_t *g, consumer_member_t *m, bool resubscribed, const tp_set_t *owned,
                        runtime_now_t now)
{
    bool fresh = g->epoch == 0; /* somebody is there, who may read nothing */
    bool moved = g->topics_version != g->host->topics_version(g->user);
    bool found = (fresh || resubscribed || moved) && consumer__refresh_topics(g);
    if (fresh) consumer__bump(g); /* as the original: once for being there, and once for what there is to read */
    if (found || (resubscribed && !fresh)) consumer__bump(g);
    if (g->epoch > g->assignment_epoch) {
        consumer_assign(g);
        g->assignment_epoch = g->epoch;
        g->dirty_assignment = true;
    }
    return consumer__reconcile(g, m, owned, now);
}

static void stay(consumer_group_t *g, consumer_member_t *m, const consumer_heartbeat_t *in, runtime_now_t now,
                 consumer_reply_t *reply)
{
    bool resubscribed = update_member(g, m, in);
    bool changed = consumer__progress(g, m, resubscribed, in->owned, now);
    consumer__reschedule_session(g, m, now);
    bool full = in->member_epoch == 0 || (in->rebalance_timeout_ms != -1 && in->topics_count >= 0 && in->owned);
    reply->member_id = m->id;
    reply->member_epoch = m->epoch;
    if (full || changed) reply->assignment = &m->assigned;
}

void consumer__members_gone(consumer_group_t *g)
{
    /* Its epoch becomes the classic group's generation. */
    bool becomes_classic = consumer_is_all_classic(g) && g->host->may_become_classic &&
                           g->host->may_become_classic(g->user, g->members_count);
    if (becomes_classic) return;
    consumer__refresh_topics(g);
    consumer__bump(g);
    if (g->members_count > 0) return;
    g->assignment_epoch = g->epoch; /* there is nobody to assign anything to */
    g->dirty_assignment = true;
}

static void leave(consumer_group_t *g, consumer_member_t *m, int32_t how, consumer_reply_t *reply)
{
    reply->member_epoch = how;
    if (how == CONSUMER_EPOCH_LEAVE_STATIC) {
        consumer__release(g, m);
        m->epoch = how;
        m->state = CONSUMER_MEMBER_STABLE;
        tp_set_clear(&m->revoking);
        consumer__hold(g, m);
        m->revoke_deadline_ms = GROUP_NEVER_MS;
        m->dirty |= CONSUMER_DIRTY_CURRENT;
        return;
    }
    consumer_remove(g, m, true);
    consumer__members_gone(g);
}

/* Compiles the pattern before anything changes; the member counts it itself later. */
static bool take_pattern(consumer_group_t *g, const consumer_heartbeat_t *in, topic_pattern_t **ret_pattern,
                         consumer_reply_t *reply)
{
    char problem[PATTERN_PROBLEM_BYTES];
    if (in->regex.len == 0 || in->member_epoch < 0) return true;
    int err = topic_pattern_take(g->host->patterns, in->regex, ret_pattern, problem);
    if (!err) return true;
    reply->error = err == ERR_LIMIT ? KAFKA_COORDINATOR_NOT_AVAILABLE : KAFKA_INVALID_REGULAR_EXPRESSION;
    snprintf(reply->message, sizeof(reply->message),
             err == ERR_LIMIT ? "The broker has no room for SubscribedTopicRegex `%.*s`."
                              : "SubscribedTopicRegex `%.*s` is not a valid regular expression: %s.",
             TEXT(in->regex), problem);
    return false;
}

/* Changes nothing but for an epoch of 0. */
static consumer_member_t *member_of(consumer_group_t *g, const consumer_heartbeat_t *in, consumer_reply_t *reply)
{
    if (in->instance_id.ptr) return static_member(g, in, reply);
    if (in->member_epoch >= 0) return dynamic_member(g, in, reply);
    consumer_member_t *m = consumer_find(g, in->member_id);
    return m ? m : refuse_unknown(g, in, reply);
}

static void answer(consumer_group_t *g, const consumer_heartbeat_t *in, runtime_now_t now, consumer_reply_t *reply)
{
    consumer_member_t *m = member_of(g, in, reply);
    if (!m) return;
    if (in->member_epoch < 0) {
        leave(g, m, in->member_epoch, reply);
    } else {
        stay(g, m, in, now, reply);
    }
}

void consumer_heartbeat(consumer_group_t *g, const consumer_heartbeat_t *in, runtime_now_t now, consumer_reply_t *reply)
{
    topic_pattern_t *pattern = NULL;
    *reply = (consumer_reply_t){.member_id = in->member_id, .member_epoch = in->member_epoch};
    if (in->member_epoch > 0 && !member_of(g, in, reply)) return;
    if (in->member_epoch >= 0 && consumer__is_full(g, in->member_id)) {
        reply->error = KAFKA_GROUP_MAX_SIZE_REACHED;
        snprintf(reply->message, sizeof(reply->message),
                 "The consumer group has reached its maximum capacity of %" PRId32 " members.", g->config->members_max);
        return;
    }
    if (take_pattern(g, in, &pattern, reply)) answer(g, in, now, reply);
    if (pattern) topic_pattern_unref(pattern);
}

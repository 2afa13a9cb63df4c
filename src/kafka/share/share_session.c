/* share_session.c: see share_session.h. group.share.max.share.sessions bounds them; nobody's gives way to another. */
#include "kafka/share/share_session.h"

#include "kafka/share/shares_internal.h"

/* ---- partitions ------------------------------------------------------------------------------------------------------ */

static share_part_t *part_new(share_session_t *session, kafka_uuid_t topic_id, int32_t index)
{
    uint8_t key[SHARE_KEY_BYTES];
    share_part_t *part = mem_zalloc(sizeof(*part));
    part->topic_id = topic_id;
    part->index = index;
    list_init(&part->waiter.node);
    map_put(&session->by_key, share__key(key, topic_id, index), part);
    session->group->shares->parts_count++;
    return part;
}

static void put_part(share_session_t *session, kafka_uuid_t topic_id, int32_t index, bool untold)
{
    uint8_t key[SHARE_KEY_BYTES];
    share_part_t *part = map_get(&session->by_key, share__key(key, topic_id, index));
    if (part && !part->forgotten) return;
    if (!part) part = part_new(session, topic_id, index);
    part->untold = untold;
    part->forgotten = false;
    list_push_back(&session->parts, &part->node);
}

static void forget_part(share_session_t *session, share_part_t *part)
{
    uint8_t key[SHARE_KEY_BYTES];
    list_remove(&part->node);
    list_remove(&part->waiter.node);
    part->forgotten = true;
    if (part->acquired) return;
    map_remove(&session->by_key, share__key(key, part->topic_id, part->index));
    session->group->shares->parts_count--;
    mem_free(part);
}

static void forget(share_session_t *session, const kafka_share_fetch_request_forgotten_topic_t *topic)
{
    for (int32_t i = 0; i < topic->partitions_count; i++) {
        uint8_t key[SHARE_KEY_BYTES];
        share_part_t *part = map_get(&session->by_key, share__key(key, topic->topic_id, topic->partitions[i]));
        if (part && !part->forgotten) forget_part(session, part);
    }
}

static void forget_all(share_session_t *session)
{
    LIST_EACH(&session->parts, part, share_part_t, node) forget_part(session, part);
}

static void put_parts(share_session_t *session, const kafka_share_fetch_request_t *body, bool untold)
{
    for (int32_t t = 0; t < body->topics_count; t++) {
        const kafka_share_fetch_request_topic_t *topic = &body->topics[t];
        for (int32_t p = 0; p < topic->partitions_count; p++)
            put_part(session, topic->topic_id, topic->partitions[p].partition_index, untold);
    }
}

static bool parts_fit(const shares_t *shares, const kafka_share_fetch_request_t *body)
{
    int64_t parts = shares->parts_count;
    for (int32_t t = 0; t < body->topics_count; t++) parts += body->topics[t].partitions_count;
    return parts <= SHARES_PARTS_MAX;
}

kafka_code_t share_session_apply(share_session_t *session, const kafka_share_fetch_request_t *body)
{
    ASSERT(!session->fetch);
    if (!parts_fit(session->group->shares, body)) return KAFKA_SHARE_SESSION_LIMIT_REACHED;
    put_parts(session, body, true);
    for (int32_t t = 0; t < body->forgotten_topics_data_count; t++) forget(session, &body->forgotten_topics_data[t]);
    return KAFKA_NONE;
}

/* ---- sessions -------------------------------------------------------------------------------------------------------- */

kafka_code_t share_session_find(const kafka_t *kafka, bytes_t group_id, bytes_t member, share_session_t **ret_session)
{
    const share_group_t *group = shares__group(kafka->shares, group_id);
    share_session_t *session = group ? map_get(&group->sessions, member) : NULL;
    if (!session) return KAFKA_SHARE_SESSION_NOT_FOUND;
    *ret_session = session;
    return KAFKA_NONE;
}

kafka_code_t share_session_step(share_session_t *session, int32_t epoch)
{
    if (epoch == SHARE_SESSION_EPOCH_FINAL) return KAFKA_NONE;
    if (epoch != session->epoch) return KAFKA_INVALID_SHARE_SESSION_EPOCH;
    session->epoch = epoch == INT32_MAX ? 1 : epoch + 1;
    return KAFKA_NONE;
}

static void on_conn_closed(kafka_conn_watch_t *watch)
{
    share_session_end(CONTAINER_OF(watch, share_session_t, watch));
}

static void stop_fetch(share_session_t *session)
{
    if (session->fetch) session->end_fetch(session->fetch);
    ASSERT(!session->fetch);
}

static share_session_t *session_new(shares_t *shares, bytes_t group_id, bytes_t member)
{
    share_group_t *group = shares__group(shares, group_id);
    if (!group) group = shares__group_new(shares, group_id);
    share_session_t *session = mem_zalloc(sizeof(*session));
    session->group = group;
    session->member = bytes_of(mem_strndup(member), member.len);
    session->number = ++shares->last_member;
    session->watch.closed = on_conn_closed;
    session->by_key = MAP_INIT;
    list_init(&session->watch.node);
    list_init(&session->parts);
    map_put(&group->sessions, session->member, session);
    shares->sessions_count++;
    return session;
}

/* A member that begins anew keeps what it has acquired. */
kafka_code_t share_session_open(kafka_request_t *request, const kafka_share_fetch_request_t *body,
                                share_session_t **ret_session)
{
    shares_t *shares = request->kafka->shares;
    share_session_t *session = NULL;
    kafka_code_t error = share_session_find(request->kafka, body->group_id, body->member_id, &session);
    if (!error) {
        stop_fetch(session);
        forget_all(session);
    }
    bool full = !session && (int64_t)shares->sessions_count >= request->kafka->config.group_share_max_share_sessions;
    if (full || shares->stopped || !parts_fit(shares, body)) {
        if (session) share_session_end(session);
        return KAFKA_SHARE_SESSION_LIMIT_REACHED;
    }
    if (!session) session = session_new(shares, body->group_id, body->member_id);
    session->epoch = 1;
    list_remove(&session->watch.node);
    kafka_conn_on_close(request->conn, &session->watch);
    put_parts(session, body, false);
    *ret_session = session;
    return KAFKA_NONE;
}

/* Of the parts only those are left of which something was acquired. */
static void give_back(share_session_t *session)
{
    share_group_t *group = session->group;
    share_settings_t settings;
    size_t cursor = 0;
    share_settings_read(group->shares->kafka, group->id, &settings);
    for (map_entry_t *entry; (entry = map_next(&session->by_key, &cursor));) {
        share_part_t *part = entry->value;
        share_leader_t *leader = share_leader_find(group, part->topic_id, part->index);
        if (leader && !group->shares->stopped) share_leader_release(leader, &settings, session->number);
        group->shares->parts_count--;
        mem_free(part);
    }
    map_deinit(&session->by_key);
}

void share_session_end(share_session_t *session)
{
    share_group_t *group = session->group;
    stop_fetch(session);
    forget_all(session);
    give_back(session);
    list_remove(&session->watch.node);
    map_remove(&group->sessions, session->member);
    group->shares->sessions_count--;
    mem_free((void *)session->member.ptr);
    mem_free(session);
    if (group->sessions.count == 0) share__leaders_drop(group);
    shares__group_drop(group);
}

void share__sessions_end(share_group_t *group)
{
    size_t cursor = 0;
    for (size_t left = group->sessions.count; left > 0; left--, cursor = 0)
        share_session_end(map_next(&group->sessions, &cursor)->value);
}

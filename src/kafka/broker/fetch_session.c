/* fetch_session.c: the cache of fetch sessions: bounded by max.incremental.fetch.session.cache.slots; the
 * longest unused one gives way once it was idle for two minutes. */
#include "kafka/broker/fetch_session.h"

struct fetch_sessions {
    map_t by_id; /* 4 bytes -> fetch_session_t */
    list_t by_use;
};

#define PART_KEY_BYTES_MAX (KAFKA_TOPIC_NAME_BYTES_MAX + 4)

static bytes_t part_key(uint8_t out[PART_KEY_BYTES_MAX], bool by_topic_id, bytes_t name, kafka_uuid_t id,
                        int32_t partition)
{
    bytes_t topic = by_topic_id ? bytes_of(id.bytes, sizeof(id.bytes)) : name;
    size_t n = MIN(topic.len, (size_t)KAFKA_TOPIC_NAME_BYTES_MAX); /* longer names are illegal, and found nowhere */
    if (n > 0) memcpy(out, topic.ptr, n);
    store_be32(out + n, (uint32_t)partition);
    return bytes_of(out, n + 4);
}

static fetch_sessions_t *sessions_of(kafka_t *kafka)
{
    if (!kafka->fetch_sessions) {
        kafka->fetch_sessions = mem_zalloc(sizeof(fetch_sessions_t));
        kafka->fetch_sessions->by_id = MAP_INIT;
        list_init(&kafka->fetch_sessions->by_use);
    }
    return kafka->fetch_sessions;
}

fetch_session_t *fetch_session_get(const kafka_t *kafka, int32_t id)
{
    return kafka->fetch_sessions ? map_get(&kafka->fetch_sessions->by_id, bytes_of(&id, sizeof(id))) : NULL;
}

void fetch_part_set(fetch_part_t *part, const kafka_fetch_request_topic_t *topic,
                    const kafka_fetch_request_partition_t *in)
{
    part->topic_id = topic->topic_id;
    part->partition = in->partition;
    part->current_leader_epoch = in->current_leader_epoch;
    part->fetch_offset = in->fetch_offset;
    part->last_fetched_epoch = in->last_fetched_epoch;
    part->bytes_max = in->partition_max_bytes;
}

static void part_free(fetch_part_t *part)
{
    list_remove(&part->node);
    list_remove(&part->waiter.node);
    mem_free((void *)part->topic.ptr);
    mem_free(part);
}

static void session_put(fetch_session_t *session, const kafka_fetch_request_topic_t *topic,
                        const kafka_fetch_request_partition_t *in)
{
    uint8_t buffer[PART_KEY_BYTES_MAX];
    bytes_t key = part_key(buffer, session->by_topic_id, topic->topic, topic->topic_id, in->partition);
    fetch_part_t *part = map_get(&session->by_key, key);
    if (!part) {
        part = mem_zalloc(sizeof(*part));
        list_init(&part->waiter.node);
        part->told_high_watermark = part->told_log_start = -1;
        if (!session->by_topic_id) part->topic = bytes_of(mem_strndup(topic->topic), topic->topic.len);
        map_put(&session->by_key, key, part);
        list_push_back(&session->parts, &part->node);
    }
    fetch_part_set(part, topic, in);
}

static void session_forget(fetch_session_t *session, const kafka_fetch_request_forgotten_topic_t *topic)
{
    for (int32_t i = 0; i < topic->partitions_count; i++) {
        uint8_t buffer[PART_KEY_BYTES_MAX];
        bytes_t key = part_key(buffer, session->by_topic_id, topic->topic, topic->topic_id, topic->partitions[i]);
        fetch_part_t *part = map_remove(&session->by_key, key);
        if (part) part_free(part);
    }
}

static void session_apply(fetch_session_t *session, const kafka_fetch_request_t *request)
{
    for (int32_t t = 0; t < request->topics_count; t++) {
        const kafka_fetch_request_topic_t *topic = &request->topics[t];
        for (int32_t p = 0; p < topic->partitions_count; p++) session_put(session, topic, &topic->partitions[p]);
    }
    for (int32_t t = 0; t < request->forgotten_topics_data_count; t++) {
        session_forget(session, &request->forgotten_topics_data[t]);
    }
}

static void session_use(kafka_t *kafka, fetch_session_t *session)
{
    session->used_ns = io_now_ns(kafka->loop);
    list_remove(&session->node);
    list_push_back(&kafka->fetch_sessions->by_use, &session->node);
}

kafka_code_t fetch_session_continue(kafka_t *kafka, const kafka_fetch_request_t *request, bool by_topic_id,
                                    fetch_session_t **ret_session)
{
    fetch_session_t *session = fetch_session_get(kafka, request->session_id);
    if (!session) return KAFKA_FETCH_SESSION_ID_NOT_FOUND;
    if (session->epoch != request->session_epoch) return KAFKA_INVALID_FETCH_SESSION_EPOCH;
    if (session->by_topic_id != by_topic_id) return KAFKA_FETCH_SESSION_TOPIC_ID_ERROR;
    session_apply(session, request);
    session->epoch = session->epoch == INT32_MAX ? 1 : session->epoch + 1;
    session_use(kafka, session);
    *ret_session = session;
    return KAFKA_NONE;
}

/* Makes room; false when every session is in use. */
static bool evict_one(kafka_t *kafka)
{
    uint64_t now_ns = io_now_ns(kafka->loop);
    LIST_EACH(&kafka->fetch_sessions->by_use, session, fetch_session_t, node) {
        if (now_ns - session->used_ns < FETCH_SESSION_IDLE_MS_MIN * UINT64_C(1000000)) return false;
        if (session->fetch) continue;
        fetch_session_remove(kafka, session);
        return true;
    }
    return false;
}

static bool is_too_large(const kafka_fetch_request_t *request)
{
    int64_t parts = 0;
    for (int32_t t = 0; t < request->topics_count; t++) parts += request->topics[t].partitions_count;
    return parts > FETCH_SESSION_PARTS_MAX;
}

fetch_session_t *fetch_session_create(kafka_t *kafka, const kafka_fetch_request_t *request, bool by_topic_id)
{
    if (is_too_large(request)) return NULL;
    fetch_sessions_t *sessions = sessions_of(kafka);
    if ((int64_t)sessions->by_id.count >= kafka->config.max_incremental_fetch_session_cache_slots &&
        !evict_one(kafka)) {
        return NULL;
    }
    fetch_session_t *session = mem_zalloc(sizeof(*session));
    do {
        io_random(kafka->loop, &session->id, sizeof(session->id));
        session->id &= INT32_MAX;
    } while (session->id == FETCH_SESSION_ID_NONE || fetch_session_get(kafka, session->id));
    session->epoch = 1;
    session->by_topic_id = by_topic_id;
    session->by_key = MAP_INIT;
    list_init(&session->parts);
    list_init(&session->node);
    map_put(&sessions->by_id, bytes_of(&session->id, sizeof(session->id)), session);
    session_apply(session, request);
    session_use(kafka, session);
    return session;
}

void fetch_session_remove(kafka_t *kafka, fetch_session_t *session)
{
    ASSERT(!session->fetch);
    map_remove(&kafka->fetch_sessions->by_id, bytes_of(&session->id, sizeof(session->id)));
    list_remove(&session->node);
    LIST_EACH(&session->parts, part, fetch_part_t, node) part_free(part);
    map_deinit(&session->by_key);
    mem_free(session);
}

void fetch_sessions_free(kafka_t *kafka)
{
    if (!kafka->fetch_sessions) return;
    LIST_EACH(&kafka->fetch_sessions->by_use, session, fetch_session_t, node) fetch_session_remove(kafka, session);
    map_deinit(&kafka->fetch_sessions->by_id);
    mem_free(kafka->fetch_sessions);
    kafka->fetch_sessions = NULL;
}

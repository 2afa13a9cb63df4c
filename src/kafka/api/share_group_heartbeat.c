/* share_group_heartbeat.c: ShareGroupHeartbeat: the one request by which members of a share group join, stay, learn their assignment
 * and leave. Answered once what it changed is stored. */
#include "kafka/api/group_apis.h"
#include "kafka/coordinator/groups_share.h"

typedef struct beating {
    groups_share_beat_t beat;
    kafka_request_t *request;
    kafka_share_group_heartbeat_response_t *response;
} beating_t;

static void fail(kafka_request_t *request, kafka_code_t error, bytes_t words)
{
    kafka_share_group_heartbeat_response_t *response = KAFKA_MESSAGE(request, share_group_heartbeat_response);
    response->error_code = error;
    response->error_message = words;
    kafka_respond(request, response);
}

static bytes_t words_of(kafka_code_t error, const char *message)
{
    return bytes_str(message && message[0] ? message : kafka_error_text(error));
}

static share_heartbeat_t heartbeat_of(kafka_request_t *request, const kafka_share_group_heartbeat_request_t *asked)
{
    bytes_t host = kafka_request_client_host(request);
    return (share_heartbeat_t){
        .member_id = asked->member_id,
        .member_epoch = asked->member_epoch,
        .rack_id = asked->rack_id,
        .client_id = request->header.client_id,
        .client_host = bytes_str(arena_printf(&request->arena, "/%.*s", (int)host.len, (const char *)host.ptr)),
        .topics = asked->subscribed_topic_names,
        .topics_count = asked->subscribed_topic_names_count,
    };
}

static void on_accepted(groups_share_beat_t *beat, const group_entry_t *entry, const share_reply_t *reply)
{
    beating_t *b = CONTAINER_OF(beat, beating_t, beat);
    arena_t *arena = &b->request->arena;
    kafka_share_group_heartbeat_response_t *response = KAFKA_MESSAGE(b->request, share_group_heartbeat_response);
    response->member_id = arena_copy(arena, reply->member_id);
    response->member_epoch = reply->member_epoch;
    if (reply->member_epoch >= 0) response->heartbeat_interval_ms = entry->config.heartbeat_interval_ms;
    if (reply->assignment) {
        response->assignment = kafka_share_group_heartbeat_response_assignment_array(arena, 1);
        response->assignment->topic_partitions =
            (void *)consumer_wire_topics(arena, reply->assignment, &response->assignment->topic_partitions_count);
    }
    b->response = response;
}

static void on_done(groups_share_beat_t *beat, kafka_code_t error, const char *message)
{
    beating_t *b = CONTAINER_OF(beat, beating_t, beat);
    if (error)
        fail(b->request, error, words_of(error, message));
    else
        kafka_respond(b->request, b->response);
}

static groups_share_asker_t asker_of(const share_heartbeat_t *in)
{
    if (in->member_epoch == 0) return GROUPS_SHARE_MAKES;
    return in->member_epoch > 0 ? GROUPS_SHARE_STAYS : GROUPS_SHARE_ASKS;
}

void kafka_handle_share_group_heartbeat(kafka_request_t *request)
{
    const kafka_share_group_heartbeat_request_t *asked = request->body;
    share_heartbeat_t in = heartbeat_of(request, asked);
    char *message = arena_zalloc(&request->arena, CONSUMER_MESSAGE_BYTES);
    group_entry_t *entry;
    kafka_code_t error = share_heartbeat_check(&in, asked->group_id, message);
    if (!error) error = groups_find_share(request->kafka->groups, asked->group_id, asker_of(&in), &entry, message);
    if (error) {
        fail(request, error, asked->member_id.len ? words_of(error, message) : BYTES_NULL); /* as the original */
        return;
    }
    beating_t *b = ARENA_NEW(&request->arena, beating_t);
    *b = (beating_t){.beat = {.accepted = on_accepted, .done = on_done}, .request = request};
    groups_share_heartbeat(entry, &in, &b->beat);
}

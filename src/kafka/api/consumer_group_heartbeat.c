/* consumer_group_heartbeat.c: ConsumerGroupHeartbeat: the one request by which members of a consumer-protocol
 * group join, stay, learn their assignment and leave. Answered once what it changed is stored. */
#include "kafka/api/group_apis.h"

#include <stdio.h>

typedef struct beating {
    groups_beat_t beat;
    kafka_request_t *request;
    kafka_consumer_group_heartbeat_response_t *response;
} beating_t;

static void fail(kafka_request_t *request, kafka_code_t error, const char *message)
{
    kafka_consumer_group_heartbeat_response_t *response = KAFKA_MESSAGE(request, consumer_group_heartbeat_response);
    response->error_code = error;
    response->error_message = message ? bytes_str(message) : bytes_str(kafka_error_text(error));
    kafka_respond(request, response);
}

/* Before version 1 a member that does not bring an id gets one: 16 random bytes in Kafka's form of a UUID. */
static bytes_t member_id_of(kafka_request_t *request, const kafka_consumer_group_heartbeat_request_t *asked)
{
    bool gets_one = request->header.api_version < 1 && asked->member_epoch == 0;
    if (asked->member_id.len || !gets_one) return asked->member_id;
    kafka_uuid_t id;
    io_random(request->kafka->loop, id.bytes, sizeof(id.bytes));
    char *text = arena_alloc(&request->arena, KAFKA_UUID_CHARS + 1);
    kafka_uuid_format(id, text);
    return bytes_str(text);
}

static consumer_heartbeat_t heartbeat_of(kafka_request_t *request,
                                         const kafka_consumer_group_heartbeat_request_t *asked, tp_set_t *owned)
{
    bytes_t host = kafka_request_client_host(request);
    const char *client_host = arena_printf(&request->arena, "/%.*s", (int)host.len, (const char *)host.ptr);
    if (asked->topic_partitions_count >= 0) {
        tp_set_from_wire(owned, asked->topic_partitions, asked->topic_partitions_count);
    }
    return (consumer_heartbeat_t){
        .member_id = member_id_of(request, asked),
        .member_epoch = asked->member_epoch,
        .instance_id = asked->instance_id,
        .rack_id = asked->rack_id,
        .client_id = request->header.client_id,
        .client_host = bytes_str(client_host),
        .assignor = asked->server_assignor,
        .rebalance_timeout_ms = asked->rebalance_timeout_ms,
        .topics = asked->subscribed_topic_names,
        .topics_count = asked->subscribed_topic_names_count,
        .regex = asked->subscribed_topic_regex,
        .own_id_required = request->header.api_version >= 1,
        .owned = asked->topic_partitions_count >= 0 ? owned : NULL,
    };
}

static kafka_consumer_group_heartbeat_response_t *response_of(kafka_request_t *request, const group_entry_t *entry,
                                                              const consumer_reply_t *reply)
{
    kafka_consumer_group_heartbeat_response_t *response = KAFKA_MESSAGE(request, consumer_group_heartbeat_response);
    response->member_id = arena_copy(&request->arena, reply->member_id);
    response->member_epoch = reply->member_epoch;
    if (reply->member_epoch >= 0) response->heartbeat_interval_ms = entry->config.heartbeat_interval_ms;
    if (reply->assignment) {
        response->assignment = kafka_consumer_group_heartbeat_response_assignment_array(&request->arena, 1);
        response->assignment->topic_partitions = (void *)consumer_wire_topics(
            &request->arena, reply->assignment, &response->assignment->topic_partitions_count);
    }
    return response;
}

static void on_accepted(groups_beat_t *beat, const group_entry_t *entry, const consumer_reply_t *reply)
{
    beating_t *b = CONTAINER_OF(beat, beating_t, beat);
    b->response = response_of(b->request, entry, reply);
}

static void on_done(groups_beat_t *beat, kafka_code_t error, const char *message)
{
    beating_t *b = CONTAINER_OF(beat, beating_t, beat);
    if (error == KAFKA_NONE) {
        kafka_respond(b->request, b->response);
    } else {
        fail(b->request, error, message);
    }
}

static void beat(kafka_request_t *request, group_entry_t *entry, const consumer_heartbeat_t *in)
{
    beating_t *b = ARENA_NEW(&request->arena, beating_t);
    *b = (beating_t){.beat = {.accepted = on_accepted, .done = on_done}, .request = request};
    groups_consumer_heartbeat(entry, in, &b->beat);
}

static kafka_code_t check(const kafka_consumer_group_heartbeat_request_t *asked, const consumer_heartbeat_t *in,
                          char *message)
{
    if (asked->group_id.len) return consumer_heartbeat_check(in, message);
    snprintf(message, CONSUMER_MESSAGE_BYTES, "GroupId can't be empty.");
    return KAFKA_INVALID_REQUEST;
}

void kafka_handle_consumer_group_heartbeat(kafka_request_t *request)
{
    const kafka_consumer_group_heartbeat_request_t *asked = request->body;
    tp_set_t owned = {0};
    consumer_heartbeat_t in = heartbeat_of(request, asked, &owned);
    char *message = arena_zalloc(&request->arena, CONSUMER_MESSAGE_BYTES);
    kafka_code_t error = check(asked, &in, message);
    group_entry_t *entry;
    bool joining = in.member_epoch == 0;
    if (error == KAFKA_NONE)
        error = groups_find_consumer(request->kafka->groups, asked->group_id, joining, &entry, message);
    if (error == KAFKA_NONE) {
        beat(request, entry, &in);
    } else {
        fail(request, error, message[0] ? message : NULL);
    }
    tp_set_deinit(&owned);
}

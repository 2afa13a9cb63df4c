/* join_group.c: JoinGroup: enters a classic group; answered when the join phase ends. */
#include "kafka/api/group_apis.h"

/* One that waits in its group. */
typedef struct joining {
    groups_request_t waiting;
    kafka_request_t *request;
} joining_t;

static void reply_error(kafka_request_t *request, bytes_t member_id, kafka_code_t error)
{
    kafka_join_group_response_t *response = KAFKA_MESSAGE(request, join_group_response);
    response->error_code = error;
    response->member_id = member_id;
    kafka_respond(request, response);
}

static void list_members(kafka_request_t *request, const group_t *group, bytes_t protocol,
                         kafka_join_group_response_t *response)
{
    response->members = kafka_join_group_response_member_array(&request->arena, (int32_t)group->members_count);
    LIST_EACH(&group->members, m, group_member_t, node) {
        kafka_join_group_response_member_t *out = &response->members[response->members_count++];
        out->member_id = m->id;
        out->group_instance_id = m->instance_id;
        out->metadata = group_member_metadata(m, protocol);
    }
}

static void on_joined(groups_request_t *waiting, const group_t *group, const group_join_reply_t *reply)
{
    kafka_request_t *request = CONTAINER_OF(waiting, joining_t, waiting)->request;
    kafka_join_group_response_t *response = KAFKA_MESSAGE(request, join_group_response);
    response->error_code = reply->error;
    response->generation_id = reply->generation;
    response->protocol_type = reply->protocol_type;
    response->protocol_name = reply->protocol_name;
    response->leader = reply->leader;
    response->skip_assignment = reply->skip_assignment;
    response->member_id = reply->member_id;
    if (reply->with_members) list_members(request, group, reply->protocol_name, response);
    kafka_respond(request, response);
}

static group_protocol_t *protocols_of(kafka_request_t *request, const kafka_join_group_request_t *asked)
{
    group_protocol_t *protocols = ARENA_ARRAY(&request->arena, group_protocol_t, asked->protocols_count);
    for (int32_t i = 0; i < asked->protocols_count; i++) {
        protocols[i] = (group_protocol_t){asked->protocols[i].name, asked->protocols[i].metadata};
    }
    return protocols;
}

static group_join_t join_of(kafka_request_t *request, const kafka_join_group_request_t *asked, joining_t *joining)
{
    int16_t version = request->header.api_version;
    bytes_t host = kafka_request_client_host(request);
    const char *client_host = arena_printf(&request->arena, "/%.*s", (int)host.len, (const char *)host.ptr);
    return (group_join_t){
        .member_id = asked->member_id,
        .instance_id = asked->group_instance_id,
        .client_id = request->header.client_id,
        .client_host = bytes_str(client_host),
        .protocol_type = asked->protocol_type,
        .protocols = protocols_of(request, asked),
        .protocols_count = (size_t)asked->protocols_count,
        .session_timeout_ms = asked->session_timeout_ms,
        /* Version 0 knows one timeout only. */
        .rebalance_timeout_ms = version == 0 ? asked->session_timeout_ms : asked->rebalance_timeout_ms,
        .member_id_required = version >= 4,
        .skip_assignment_known = version >= 9,
        .request = &joining->waiting,
    };
}

/* ---- the request ------------------------------------------------------------------------------------------- */

void kafka_handle_join_group(kafka_request_t *request)
{
    const kafka_join_group_request_t *asked = request->body;
    kafka_groups_t *groups = request->kafka->groups;
    joining_t *joining = ARENA_NEW(&request->arena, joining_t);
    *joining = (joining_t){{.joined = on_joined}, request};
    group_join_t join = join_of(request, asked, joining);
    group_entry_t *entry;
    kafka_code_t error = group_join_check(groups_config(groups), asked->group_id, &join);
    if (error == KAFKA_NONE) error = groups_find(groups, asked->group_id, &entry);
    /* A group begins with a member that has no id yet; who has one speaks of a group that is gone. */
    if (error == KAFKA_NONE && !entry && join.member_id.len > 0) error = KAFKA_UNKNOWN_MEMBER_ID;
    /* Those who have an id are let in all the same: they replace what they brought before. */
    size_t bytes = group_protocols_bytes(join.protocols, join.protocols_count);
    if (error == KAFKA_NONE && join.member_id.len == 0 && !groups_have_room(groups, bytes))
        error = KAFKA_COORDINATOR_NOT_AVAILABLE;
    if (error != KAFKA_NONE) {
        reply_error(request, asked->member_id, error);
        return;
    }
    if (!entry) entry = groups_create(groups, asked->group_id);
    groups_join(entry, &join);
}

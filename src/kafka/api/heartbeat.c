/* heartbeat.c: Heartbeat: a member that speaks the classic protocol is alive. */
#include "kafka/api/group_apis.h"

static kafka_code_t heartbeat(kafka_groups_t *groups, const kafka_heartbeat_request_t *asked)
{
    group_entry_t *entry;
    if (asked->group_id.len == 0) return KAFKA_INVALID_GROUP_ID;
    kafka_code_t error = groups_find(groups, asked->group_id, &entry);
    /* A member need not know that its coordinator is still reading: its session has not begun to run. */
    if (error == KAFKA_COORDINATOR_LOAD_IN_PROGRESS) return KAFKA_NONE;
    if (error != KAFKA_NONE) return error;
    if (!entry) return KAFKA_UNKNOWN_MEMBER_ID;
    return groups_heartbeat(entry, asked->member_id, asked->group_instance_id, asked->generation_id);
}

void kafka_handle_heartbeat(kafka_request_t *request)
{
    kafka_heartbeat_response_t *response = KAFKA_MESSAGE(request, heartbeat_response);
    response->error_code = heartbeat(request->kafka->groups, request->body);
    kafka_respond(request, response);
}

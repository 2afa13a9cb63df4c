/* leave_group.c: LeaveGroup: members go, one (before version 3) or many at once; also those of consumer groups, which an
 * administrator removes so. */
#include "kafka/api/group_apis.h"

static group_leaver_t *leavers_of(kafka_request_t *request, const kafka_leave_group_request_t *asked, size_t *ret_count)
{
    bool one = request->header.api_version < 3;
    *ret_count = one ? 1 : (size_t)asked->members_count;
    group_leaver_t *leavers = ARENA_ARRAY(&request->arena, group_leaver_t, *ret_count);
    if (one) {
        leavers[0].member_id = asked->member_id;
        return leavers;
    }
    for (size_t i = 0; i < *ret_count; i++) {
        leavers[i].member_id = asked->members[i].member_id;
        leavers[i].instance_id = asked->members[i].group_instance_id;
    }
    return leavers;
}

static kafka_code_t leave(kafka_groups_t *groups, bytes_t group_id, group_leaver_t *leavers, size_t count)
{
    group_entry_t *entry;
    if (group_id.len == 0) return KAFKA_INVALID_GROUP_ID;
    kafka_code_t error = groups_find(groups, group_id, &entry);
    if (error != KAFKA_NONE) return error;
    if (!entry) {
        for (size_t i = 0; i < count; i++) leavers[i].error = KAFKA_UNKNOWN_MEMBER_ID;
        return KAFKA_NONE;
    }
    return groups_leave(entry, leavers, count);
}

void kafka_handle_leave_group(kafka_request_t *request)
{
    const kafka_leave_group_request_t *asked = request->body;
    kafka_leave_group_response_t *response = KAFKA_MESSAGE(request, leave_group_response);
    size_t count;
    group_leaver_t *leavers = leavers_of(request, asked, &count);
    response->error_code = leave(request->kafka->groups, asked->group_id, leavers, count);
    if (request->header.api_version < 3) {
        if (response->error_code == KAFKA_NONE) response->error_code = leavers[0].error;
    } else if (response->error_code == KAFKA_NONE) {
        response->members = kafka_leave_group_response_member_array(&request->arena, (int32_t)count);
        for (size_t i = 0; i < count; i++) {
            kafka_leave_group_response_member_t *out = &response->members[response->members_count++];
            out->member_id = leavers[i].member_id;
            out->group_instance_id = leavers[i].instance_id;
            out->error_code = leavers[i].error;
        }
    }
    kafka_respond(request, response);
}

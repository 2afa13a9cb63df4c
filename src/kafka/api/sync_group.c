/* sync_group.c: SyncGroup: the leader hands in the assignments, all members wait for theirs. */
#include "kafka/api/group_apis.h"
#include "kafka/coordinator/groups_migrate.h"

static void reply_error(kafka_request_t *request, int16_t error)
{
    group_sync_reply_t reply = {.error = error, .assignment = BYTES_LIT("")};
    kafka_sync_group_reply(request, &reply);
}

void kafka_sync_group_reply(kafka_request_t *request, const group_sync_reply_t *reply)
{
    kafka_sync_group_response_t *response = KAFKA_MESSAGE(request, sync_group_response);
    response->error_code = reply->error;
    response->protocol_type = reply->protocol_type;
    response->protocol_name = reply->protocol_name;
    response->assignment = reply->assignment;
    kafka_respond(request, response);
}

static int16_t check(const kafka_request_t *request, const kafka_sync_group_request_t *asked)
{
    bool names_protocol = asked->protocol_type.ptr && asked->protocol_name.ptr;
    if (request->header.api_version >= 5 && !names_protocol) return KAFKA_INCONSISTENT_GROUP_PROTOCOL;
    return asked->group_id.len == 0 ? KAFKA_INVALID_GROUP_ID : KAFKA_NONE;
}

static group_assignment_t *assignments_of(kafka_request_t *request, const kafka_sync_group_request_t *asked)
{
    group_assignment_t *list = ARENA_ARRAY(&request->arena, group_assignment_t, asked->assignments_count);
    for (int32_t i = 0; i < asked->assignments_count; i++) {
        list[i] = (group_assignment_t){asked->assignments[i].member_id, asked->assignments[i].assignment};
    }
    return list;
}

/* A member of a consumer group that speaks the classic protocol asks what the coordinator has assigned to it. */
static void sync_consumer(kafka_request_t *request, group_entry_t *entry, const group_sync_t *sync)
{
    kafka_groups_t *groups = entry->groups;
    const cgroup_member_t *m = NULL;
    int16_t error = cgroup_classic_sync(entry->cgroup, sync, groups_now(groups), &m);
    if (error != KAFKA_NONE) {
        reply_error(request, error);
        return;
    }
    group_sync_reply_t reply = {
        .protocol_type = sync->protocol_type,
        .protocol_name = sync->protocol_name,
        .assignment = groups_write_assignment(groups, &m->assigned, &m->protocols[0], &request->arena),
    };
    kafka_sync_group_reply(request, &reply);
}

void kafka_handle_sync_group(kafka_request_t *request)
{
    const kafka_sync_group_request_t *asked = request->body;
    kafka_groups_t *groups = request->kafka->groups;
    group_entry_t *entry;
    int16_t error = check(request, asked);
    if (error == KAFKA_NONE) error = groups_find(groups, asked->group_id, &entry);
    if (error == KAFKA_NONE && !entry) error = KAFKA_UNKNOWN_MEMBER_ID;
    /* What was assigned died with the coordinator's memory: the members must join again. */
    if (error == KAFKA_COORDINATOR_LOAD_IN_PROGRESS) error = KAFKA_REBALANCE_IN_PROGRESS;
    if (error != KAFKA_NONE) {
        reply_error(request, error);
        return;
    }
    group_sync_t sync = {
        .member_id = asked->member_id,
        .instance_id = asked->group_instance_id,
        .generation = asked->generation_id,
        .protocol_type = asked->protocol_type,
        .protocol_name = asked->protocol_name,
        .assignments = assignments_of(request, asked),
        .assignments_count = (size_t)asked->assignments_count,
        .request = request,
    };
    if (entry->cgroup) {
        sync_consumer(request, entry, &sync);
    } else {
        group_sync(entry->group, &sync, groups_now(groups));
    }
    groups_settle(entry);
}

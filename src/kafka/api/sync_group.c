/* sync_group.c: SyncGroup: the leader hands in the assignments, all members wait for theirs. */
#include "kafka/api/group_apis.h"

/* One that waits in its group. */
typedef struct syncing {
    groups_request_t waiting;
    kafka_request_t *request;
} syncing_t;

static void reply(kafka_request_t *request, const group_sync_reply_t *told)
{
    kafka_sync_group_response_t *response = KAFKA_MESSAGE(request, sync_group_response);
    response->error_code = told->error;
    response->protocol_type = told->protocol_type;
    response->protocol_name = told->protocol_name;
    response->assignment = told->assignment;
    kafka_respond(request, response);
}

static void on_synced(groups_request_t *waiting, const group_sync_reply_t *told)
{
    reply(CONTAINER_OF(waiting, syncing_t, waiting)->request, told);
}

static void reply_error(kafka_request_t *request, kafka_code_t error)
{
    reply(request, &(group_sync_reply_t){.error = error, .assignment = BYTES_LIT("")});
}

static kafka_code_t check(const kafka_request_t *request, const kafka_sync_group_request_t *asked)
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

void kafka_handle_sync_group(kafka_request_t *request)
{
    const kafka_sync_group_request_t *asked = request->body;
    kafka_groups_t *groups = request->kafka->groups;
    group_entry_t *entry;
    kafka_code_t error = check(request, asked);
    if (error == KAFKA_NONE) error = groups_find(groups, asked->group_id, &entry);
    if (error == KAFKA_NONE && !entry) error = KAFKA_UNKNOWN_MEMBER_ID;
    /* What was assigned died with the coordinator's memory: the members must join again. */
    if (error == KAFKA_COORDINATOR_LOAD_IN_PROGRESS) error = KAFKA_REBALANCE_IN_PROGRESS;
    if (error != KAFKA_NONE) {
        reply_error(request, error);
        return;
    }
    syncing_t *syncing = ARENA_NEW(&request->arena, syncing_t);
    *syncing = (syncing_t){{.synced = on_synced}, request};
    group_sync_t sync = {
        .member_id = asked->member_id,
        .instance_id = asked->group_instance_id,
        .generation = asked->generation_id,
        .protocol_type = asked->protocol_type,
        .protocol_name = asked->protocol_name,
        .assignments = assignments_of(request, asked),
        .assignments_count = (size_t)asked->assignments_count,
        .request = &syncing->waiting,
    };
    groups_sync(entry, &sync);
}

/* describe_groups.c: DescribeGroups: state and members of classic groups, one group a step. What is told of a group is copied: it may
 * change before the answer is written. */
#include "base/map.h"
#include "kafka/api/group_apis.h"
#include "kafka/api/topic_steps.h"

/* Bits of what may be done to a group, by the numbers of Kafka's AclOperation: without ACLs all of it. */
#define GROUP_OPERATIONS ((1 << 3) | (1 << 6) | (1 << 8) | (1 << 10) | (1 << 11))

typedef struct describe_job {
    kafka_describe_groups_response_t *response;
    map_t seen;
} describe_job_t;

static void describe_members(kafka_request_t *request, const group_t *g, kafka_describe_groups_response_group_t *out)
{
    arena_t *arena = &request->arena;
    out->members = kafka_describe_groups_response_member_array(arena, (int32_t)g->members_count);
    LIST_EACH(&g->members, m, group_member_t, node) {
        kafka_describe_groups_response_member_t *member = &out->members[out->members_count++];
        member->member_id = arena_copy(arena, m->id);
        member->group_instance_id = arena_copy(arena, m->instance_id);
        member->client_id = arena_copy(arena, m->client_id);
        member->client_host = arena_copy(arena, m->client_host);
        member->member_assignment = arena_copy(arena, m->assignment);
        if (g->state == GROUP_STABLE)
            member->member_metadata = arena_copy(arena, group_member_metadata(m, g->protocol_name));
    }
}

static void describe_missing(kafka_request_t *request, kafka_describe_groups_response_group_t *out)
{
    out->group_state = BYTES_LIT("Dead");
    if (request->header.api_version < 6) return; /* before KIP-1043 a dead group was no error */
    bytes_t id = out->group_id;
    out->error_code = KAFKA_GROUP_ID_NOT_FOUND;
    out->error_message =
        bytes_str(arena_printf(&request->arena, "Group %.*s not found.", (int)id.len, (const char *)id.ptr));
}

static void describe(kafka_request_t *request, bytes_t group_id, kafka_describe_groups_response_group_t *out)
{
    const kafka_describe_groups_request_t *asked = request->body;
    group_entry_t *entry;
    out->group_id = group_id;
    out->error_code = groups_find(request->kafka->groups, group_id, &entry);
    if (out->error_code != KAFKA_NONE) return;
    const group_t *g = entry ? groups_classic(entry) : NULL;
    if (!g) {
        describe_missing(request, out);
    } else {
        out->group_state = bytes_str(group_state_text(g->state));
        out->protocol_type = arena_copy(&request->arena, g->protocol_type);
        if (g->state == GROUP_STABLE) out->protocol_data = arena_copy(&request->arena, g->protocol_name);
        describe_members(request, g, out);
    }
    if (asked->include_authorized_operations && out->error_code == KAFKA_NONE) {
        out->authorized_operations = GROUP_OPERATIONS;
    }
}

/* One id named over and over would make a reply of any size of a small request: only the first is answered, and no more groups than
 * an answer may hold. */
static void describe_one(kafka_request_t *request, void *user, int32_t index)
{
    const kafka_describe_groups_request_t *asked = request->body;
    describe_job_t *job = user;
    kafka_describe_groups_response_group_t *out = &job->response->groups[job->response->groups_count++];
    if (map_put(&job->seen, asked->groups[index], job) || kafka_response_is_full(request)) {
        out->group_id = asked->groups[index];
        out->error_code = KAFKA_INVALID_REQUEST;
    } else {
        describe(request, asked->groups[index], out);
    }
}

static void end(kafka_request_t *request, void *user)
{
    describe_job_t *job = user;
    map_deinit(&job->seen);
    kafka_respond(request, job->response);
}

void kafka_handle_describe_groups(kafka_request_t *request)
{
    const kafka_describe_groups_request_t *asked = request->body;
    describe_job_t *job = ARENA_NEW(&request->arena, describe_job_t);
    *job = (describe_job_t){KAFKA_MESSAGE(request, describe_groups_response), MAP_INIT};
    job->response->groups = kafka_describe_groups_response_group_array(&request->arena, asked->groups_count);
    kafka_item_steps_run(request, asked->groups_count, describe_one, end, job);
}

/* describe_groups.c: DescribeGroups: state and members of classic groups. */
#include "base/map.h"
#include "kafka/api/group_apis.h"

/* Bits of what may be done to a group, by the numbers of Kafka's AclOperation: without ACLs all of it. */
#define GROUP_OPERATIONS ((1 << 3) | (1 << 6) | (1 << 8) | (1 << 10) | (1 << 11))

static void describe_members(kafka_request_t *request, const group_t *g, kafka_describe_groups_response_group_t *out)
{
    out->members = kafka_describe_groups_response_member_array(&request->arena, (int32_t)g->members_count);
    LIST_EACH(&g->members, m, group_member_t, node) {
        kafka_describe_groups_response_member_t *member = &out->members[out->members_count++];
        member->member_id = m->id;
        member->group_instance_id = m->instance_id;
        member->client_id = m->client_id;
        member->client_host = m->client_host;
        member->member_assignment = m->assignment;
        if (g->state == GROUP_STABLE) member->member_metadata = group_member_metadata(m, g->protocol_name);
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
        out->protocol_type = g->protocol_type;
        if (g->state == GROUP_STABLE) out->protocol_data = g->protocol_name;
        describe_members(request, g, out);
    }
    if (asked->include_authorized_operations && out->error_code == KAFKA_NONE) {
        out->authorized_operations = GROUP_OPERATIONS;
    }
}

/* One id named over and over would make a reply of any size of a small request: only the first is answered. */
void kafka_handle_describe_groups(kafka_request_t *request)
{
    const kafka_describe_groups_request_t *asked = request->body;
    kafka_describe_groups_response_t *response = KAFKA_MESSAGE(request, describe_groups_response);
    response->groups = kafka_describe_groups_response_group_array(&request->arena, asked->groups_count);
    map_t seen = MAP_INIT;
    for (int32_t i = 0; i < asked->groups_count; i++) {
        kafka_describe_groups_response_group_t *out = &response->groups[response->groups_count++];
        if (map_put(&seen, asked->groups[i], request)) {
            out->group_id = asked->groups[i];
            out->error_code = KAFKA_INVALID_REQUEST;
        } else {
            describe(request, asked->groups[i], out);
        }
    }
    map_deinit(&seen);
    kafka_respond(request, response);
}

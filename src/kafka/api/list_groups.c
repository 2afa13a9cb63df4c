/* list_groups.c: ListGroups: all groups of this broker, by state (version 4 on) and type (version 5 on). */
#include "kafka/api/group_apis.h"

#include <ctype.h>

static bytes_t trim(bytes_t b)
{
    while (b.len && isspace(b.ptr[0])) b = bytes_of(b.ptr + 1, b.len - 1);
    while (b.len && isspace(b.ptr[b.len - 1])) b.len--;
    return b;
}

/* An empty filter lets all pass; case does not count. */
static bool passes(const bytes_t *filter, int32_t filter_count, const char *value)
{
    if (filter_count <= 0) return true;
    for (int32_t i = 0; i < filter_count; i++) {
        if (bytes_eq_nocase(trim(filter[i]), bytes_str(value))) return true;
    }
    return false;
}

static void list(kafka_request_t *request, kafka_list_groups_response_t *response)
{
    const kafka_list_groups_request_t *asked = request->body;
    kafka_groups_t *groups = request->kafka->groups;
    int32_t count = (int32_t)kafka_groups_count(groups);
    response->groups = kafka_list_groups_response_group_array(&request->arena, count);
    size_t cursor = 0;
    for (const group_entry_t *entry; (entry = groups_next(groups, &cursor));) {
        const char *state = groups_state_text(entry), *type = groups_type_text(entry);
        if (!passes(asked->types_filter, asked->types_filter_count, type)) continue;
        if (!passes(asked->states_filter, asked->states_filter_count, state)) continue;
        kafka_list_groups_response_group_t *out = &response->groups[response->groups_count++];
        out->group_id = entry->group->id;
        out->protocol_type = groups_protocol_type(entry);
        out->group_state = bytes_str(state);
        out->group_type = bytes_str(type);
    }
}

void kafka_handle_list_groups(kafka_request_t *request)
{
    kafka_list_groups_response_t *response = KAFKA_MESSAGE(request, list_groups_response);
    if (groups_loaded(request->kafka->groups)) {
        list(request, response);
    } else {
        response->error_code = KAFKA_COORDINATOR_LOAD_IN_PROGRESS;
    }
    kafka_respond(request, response);
}

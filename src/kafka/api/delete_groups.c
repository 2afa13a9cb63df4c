/* delete_groups.c: DeleteGroups: forgets empty groups and all they have committed, one group a step. */
#include "base/map.h"
#include "kafka/api/group_apis.h"
#include "kafka/api/topic_steps.h"
#include "kafka/coordinator/groups_share.h"

typedef struct deletion {
    kafka_request_t *request;
    kafka_delete_groups_response_t *response;
    int32_t open_count; /* writes under way, and one for the steps that start them */
    map_t seen;
} deletion_t;

typedef struct deletion_item {
    deletion_t *deletion;
    kafka_delete_groups_response_result_t *result;
} deletion_item_t;

static void release(deletion_t *d)
{
    if (--d->open_count == 0) kafka_respond(d->request, d->response);
}

static void on_removed(void *user, kafka_code_t error)
{
    deletion_item_t *item = user;
    item->result->error_code = error;
    release(item->deletion);
}

static kafka_code_t check(kafka_groups_t *groups, bytes_t group_id, group_entry_t **ret_entry)
{
    kafka_code_t error = groups_find_settled(groups, group_id, ret_entry);
    if (error != KAFKA_NONE) return error;
    if (!*ret_entry) return KAFKA_GROUP_ID_NOT_FOUND;
    return groups_is_empty(*ret_entry) ? KAFKA_NONE : KAFKA_NON_EMPTY_GROUP;
}

static void delete_one(deletion_t *d, bytes_t group_id, kafka_delete_groups_response_result_t *result)
{
    group_entry_t *entry;
    result->group_id = group_id;
    result->error_code = check(d->request->kafka->groups, group_id, &entry);
    if (result->error_code != KAFKA_NONE) return;
    deletion_item_t *item = ARENA_NEW(&d->request->arena, deletion_item_t);
    *item = (deletion_item_t){d, result};
    d->open_count++;
    if (groups_share(entry)) {
        groups_share_delete(entry, on_removed, item);
        return;
    }
    groups_removal_t *removal = groups_removal_new(entry, on_removed, item);
    groups_removal_add_group(removal);
    groups_removal_run(removal);
}

static void begin_one(kafka_request_t *request, void *user, int32_t index)
{
    const kafka_delete_groups_request_t *asked = request->body;
    deletion_t *d = user;
    if (map_put(&d->seen, asked->groups_names[index], d)) return; /* named before */
    delete_one(d, asked->groups_names[index], &d->response->results[d->response->results_count++]);
}

static void all_began(kafka_request_t *request, void *user)
{
    deletion_t *d = user;
    map_deinit(&d->seen);
    release(d);
}

void kafka_handle_delete_groups(kafka_request_t *request)
{
    const kafka_delete_groups_request_t *asked = request->body;
    deletion_t *d = ARENA_NEW(&request->arena, deletion_t);
    *d = (deletion_t){request, KAFKA_MESSAGE(request, delete_groups_response), 1, MAP_INIT};
    d->response->results = kafka_delete_groups_response_result_array(&request->arena, asked->groups_names_count);
    kafka_item_steps_run(request, asked->groups_names_count, begin_one, all_began, d);
}

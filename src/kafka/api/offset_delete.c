/* offset_delete.c: OffsetDelete: forgets offsets of topics that a group does not read at present. */
#include "kafka/api/group_apis.h"

typedef struct offset_deletion {
    kafka_request_t *request;
    kafka_offset_delete_response_t *response;
} offset_deletion_t;

static void on_removed(void *user, kafka_code_t error)
{
    offset_deletion_t *d = user;
    d->response->error_code = error;
    if (error != KAFKA_NONE) d->response->topics_count = 0;
    kafka_respond(d->request, d->response);
}

/* A group of another type than consumers' keeps its offsets for reasons of its own while it has members. */
static kafka_code_t check_group(kafka_groups_t *groups, bytes_t group_id, group_entry_t **ret_entry)
{
    if (group_id.len == 0) return KAFKA_INVALID_GROUP_ID;
    kafka_code_t error = groups_find_settled(groups, group_id, ret_entry);
    if (error != KAFKA_NONE) return error;
    if (!*ret_entry) return KAFKA_GROUP_ID_NOT_FOUND;
    bool of_consumers = bytes_eq(groups_protocol_type(*ret_entry), BYTES_LIT("consumer"));
    return groups_is_empty(*ret_entry) || of_consumers ? KAFKA_NONE : KAFKA_NON_EMPTY_GROUP;
}

static kafka_code_t check_partition(const kafka_t *kafka, const group_entry_t *entry, bytes_t topic_name,
                                    int32_t partition)
{
    const kafka_topic_t *topic = kafka_topic_get(kafka, topic_name);
    if (!topic || partition < 0 || partition >= topic->partitions_count) return KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    return groups_subscribed(entry, topic_name) ? KAFKA_GROUP_SUBSCRIBED_TO_TOPIC : KAFKA_NONE;
}

static void remove_topic(offset_deletion_t *d, groups_removal_t *removal, const group_entry_t *entry,
                         const kafka_offset_delete_request_topic_t *in)
{
    kafka_offset_delete_response_topic_t *out = &d->response->topics[d->response->topics_count++];
    out->name = in->name;
    out->partitions = kafka_offset_delete_response_partition_array(&d->request->arena, in->partitions_count);
    for (int32_t p = 0; p < in->partitions_count; p++) {
        int32_t index = in->partitions[p].partition_index;
        kafka_offset_delete_response_partition_t *partition = &out->partitions[out->partitions_count++];
        partition->partition_index = index;
        partition->error_code = check_partition(d->request->kafka, entry, in->name, index);
        if (partition->error_code != KAFKA_NONE) continue;
        if (group_offsets_get(&entry->offsets, in->name, index)) groups_removal_add_offset(removal, in->name, index);
    }
}

void kafka_handle_offset_delete(kafka_request_t *request)
{
    const kafka_offset_delete_request_t *asked = request->body;
    offset_deletion_t *d = ARENA_NEW(&request->arena, offset_deletion_t);
    *d = (offset_deletion_t){request, KAFKA_MESSAGE(request, offset_delete_response)};
    group_entry_t *entry;
    kafka_code_t error = check_group(request->kafka->groups, asked->group_id, &entry);
    if (error != KAFKA_NONE) {
        on_removed(d, error);
        return;
    }
    d->response->topics = kafka_offset_delete_response_topic_array(&request->arena, asked->topics_count);
    groups_removal_t *removal = groups_removal_new(entry, on_removed, d);
    for (int32_t t = 0; t < asked->topics_count; t++) remove_topic(d, removal, entry, &asked->topics[t]);
    groups_removal_run(removal);
}

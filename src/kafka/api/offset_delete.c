/* offset_delete.c: OffsetDelete: forgets offsets of topics that a group does not read at present. One partition a step. */
#include "kafka/api/group_apis.h"
#include "kafka/api/topic_steps.h"
#include "kafka/coordinator/groups_share.h"

typedef struct offset_deletion {
    kafka_request_t *request;
    kafka_offset_delete_response_t *response;
    groups_removal_t *removal;
    group_entry_t *entry; /* the removal's */
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
    if (!*ret_entry || groups_share(*ret_entry)) return KAFKA_GROUP_ID_NOT_FOUND;
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

static int32_t begin_topic(kafka_request_t *request, void *job, int32_t topic)
{
    const kafka_offset_delete_request_t *asked = request->body;
    offset_deletion_t *d = job;
    kafka_offset_delete_response_topic_t *out = &d->response->topics[d->response->topics_count++];
    out->name = asked->topics[topic].name;
    out->partitions =
        kafka_offset_delete_response_partition_array(&request->arena, asked->topics[topic].partitions_count);
    return asked->topics[topic].partitions_count;
}

/* A group that was removed meanwhile subscribes to nothing and has no offsets. */
static void remove_one(kafka_request_t *request, void *job, int32_t topic, int32_t partition)
{
    const kafka_offset_delete_request_t *asked = request->body;
    offset_deletion_t *d = job;
    bytes_t name = asked->topics[topic].name;
    int32_t index = asked->topics[topic].partitions[partition].partition_index;
    kafka_offset_delete_response_topic_t *answers = &d->response->topics[topic];
    kafka_offset_delete_response_partition_t *out = &answers->partitions[answers->partitions_count++];
    out->partition_index = index;
    if (d->entry->removed) return;
    out->error_code = check_partition(request->kafka, d->entry, name, index);
    if (out->error_code == KAFKA_NONE) groups_removal_add_offset(d->removal, name, index);
}

static void remove_all(kafka_request_t *request, void *job) { groups_removal_run(((offset_deletion_t *)job)->removal); }

void kafka_handle_offset_delete(kafka_request_t *request)
{
    const kafka_offset_delete_request_t *asked = request->body;
    offset_deletion_t *d = ARENA_NEW(&request->arena, offset_deletion_t);
    *d = (offset_deletion_t){request, KAFKA_MESSAGE(request, offset_delete_response)};
    kafka_code_t error = check_group(request->kafka->groups, asked->group_id, &d->entry);
    if (error != KAFKA_NONE) {
        on_removed(d, error);
        return;
    }
    d->response->topics = kafka_offset_delete_response_topic_array(&request->arena, asked->topics_count);
    d->removal = groups_removal_new(d->entry, on_removed, d);
    kafka_topic_steps_run_to(request, asked->topics_count, begin_topic, remove_one, remove_all, d);
}

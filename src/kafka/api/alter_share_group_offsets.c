/* alter_share_group_offsets.c: AlterShareGroupOffsets: a share group without members gets another start in partitions. */
#include "base/map.h"
#include "kafka/api/group_apis.h"
#include "kafka/coordinator/groups_share.h"

typedef kafka_alter_share_group_offsets_response_topic_t out_topic_t;
typedef kafka_alter_share_group_offsets_response_partition_t out_partition_t;

typedef struct altering {
    kafka_request_t *request;
    kafka_alter_share_group_offsets_response_t *response;
    out_partition_t **outs; /* of the job's items */
    size_t count;
} altering_t;

static void fail(kafka_request_t *request, kafka_code_t error, const char *message)
{
    kafka_alter_share_group_offsets_response_t *response = KAFKA_MESSAGE(request, alter_share_group_offsets_response);
    response->error_code = error;
    response->error_message = bytes_str(message ? message : kafka_error_text(error));
    kafka_respond(request, response);
}

static kafka_code_t check(kafka_request_t *request, bytes_t group_id, group_entry_t **ret_entry, char *message)
{
    if (group_id.len == 0) return KAFKA_INVALID_GROUP_ID;
    kafka_code_t error = groups_find_share(request->kafka->groups, group_id, GROUPS_SHARE_MAKES, ret_entry, message);
    if (error) return error;
    return groups_is_empty(*ret_entry) ? KAFKA_NONE : KAFKA_NON_EMPTY_GROUP;
}

static void set_error(out_partition_t *out, kafka_code_t error, const char *message)
{
    out->error_code = error;
    if (error) out->error_message = bytes_str(message ? message : kafka_error_text(error));
}

static void on_done(share_job_t *job)
{
    altering_t *a = job->user;
    for (size_t i = 0; i < job->count; i++) set_error(a->outs[i], job->items[i].error, job->items[i].message);
    kafka_respond(a->request, a->response);
}

static size_t partitions_of(const kafka_alter_share_group_offsets_request_t *asked)
{
    size_t count = 0;
    for (int32_t t = 0; t < asked->topics_count; t++) count += (size_t)asked->topics[t].partitions_count;
    return count;
}

static void plan_topic(altering_t *a, share_job_t *job, const kafka_alter_share_group_offsets_request_topic_t *asked)
{
    kafka_request_t *request = a->request;
    const kafka_topic_t *topic = kafka_topic_get(request->kafka, asked->topic_name);
    out_topic_t *out = &a->response->responses[a->response->responses_count++];
    out->topic_name = asked->topic_name;
    if (topic) out->topic_id = topic->id;
    out->partitions =
        kafka_alter_share_group_offsets_response_partition_array(&request->arena, asked->partitions_count);
    for (int32_t i = 0; i < asked->partitions_count; i++) {
        out_partition_t *answer = &out->partitions[out->partitions_count++];
        int32_t index = answer->partition_index = asked->partitions[i].partition_index;
        if (!topic || index < 0 || index >= topic->partitions_count) {
            set_error(answer, KAFKA_UNKNOWN_TOPIC_OR_PARTITION, NULL);
            continue;
        }
        a->outs[a->count] = answer;
        job->items[a->count++] =
            (share_job_item_t){.tp = {topic->id, index}, .start_offset = asked->partitions[i].start_offset};
    }
}

void kafka_handle_alter_share_group_offsets(kafka_request_t *request)
{
    const kafka_alter_share_group_offsets_request_t *asked = request->body;
    char *message = arena_zalloc(&request->arena, CONSUMER_MESSAGE_BYTES);
    group_entry_t *entry;
    kafka_code_t error = check(request, asked->group_id, &entry, message);
    if (error) {
        fail(request, error, message[0] ? message : NULL);
        return;
    }
    altering_t *a = ARENA_NEW(&request->arena, altering_t);
    size_t count = partitions_of(asked);
    *a = (altering_t){.request = request, .response = KAFKA_MESSAGE(request, alter_share_group_offsets_response)};
    a->outs = ARENA_ARRAY(&request->arena, out_partition_t *, count + 1);
    a->response->responses = kafka_alter_share_group_offsets_response_topic_array(&request->arena, asked->topics_count);
    share_job_t *job = share_job_new(request->kafka, SHARE_JOB_INITIALIZE, entry->id, count, on_done, a);
    for (int32_t t = 0; t < asked->topics_count; t++) plan_topic(a, job, &asked->topics[t]);
    job->count = a->count;
    groups_share_alter(entry, job);
}

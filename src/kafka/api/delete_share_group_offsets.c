/* delete_share_group_offsets.c: DeleteShareGroupOffsets: a share group without members forgets how far it has got in topics. */
#include "base/map.h"
#include "kafka/api/group_apis.h"
#include "kafka/coordinator/groups_share.h"

typedef kafka_delete_share_group_offsets_response_topic_t out_topic_t;

typedef struct forgetting {
    kafka_request_t *request;
    kafka_delete_share_group_offsets_response_t *response;
} forgetting_t;

static void fail(kafka_request_t *request, kafka_code_t error, const char *message)
{
    kafka_delete_share_group_offsets_response_t *response = KAFKA_MESSAGE(request, delete_share_group_offsets_response);
    response->error_code = error;
    response->error_message = bytes_str(message ? message : kafka_error_text(error));
    kafka_respond(request, response);
}

static kafka_code_t check(kafka_request_t *request, bytes_t group_id, group_entry_t **ret_entry, char *message)
{
    if (group_id.len == 0) return KAFKA_INVALID_GROUP_ID;
    kafka_code_t error = groups_find_share(request->kafka->groups, group_id, GROUPS_SHARE_ASKS, ret_entry, message);
    if (error) return error;
    return groups_is_empty(*ret_entry) ? KAFKA_NONE : KAFKA_NON_EMPTY_GROUP;
}

/* What came of the first partition that failed is what came of its topic. */
static void on_done(share_job_t *job)
{
    forgetting_t *f = job->user;
    for (size_t i = 0; i < job->count; i++) {
        const share_job_item_t *item = &job->items[i];
        for (int32_t t = 0; item->error && t < f->response->responses_count; t++) {
            out_topic_t *out = &f->response->responses[t];
            if (out->error_code || !kafka_uuid_eq(out->topic_id, item->tp.topic)) continue;
            out->error_code = item->error;
            out->error_message = bytes_str(kafka_error_text(item->error));
        }
    }
    kafka_respond(f->request, f->response);
}

static void refuse_topic(out_topic_t *out, const char *message)
{
    out->error_code = KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    out->error_message = bytes_str(message);
}

/* A topic that is being given up already has lost the record of which partitions had states: all of them are asked for. */
static void add_topic(const share_group_t *g, const kafka_topic_t *topic, out_topic_t *out, tp_set_t *set)
{
    const share_group_topic_t *known = share_group_find_topic(g, topic->id);
    size_t before = set->count;
    out->topic_id = topic->id;
    for (int32_t i = 0; i < topic->partitions_count; i++) {
        topic_partition_t tp = {topic->id, i};
        if (known && (known->deleting || tp_set_has(&g->initialized, tp))) tp_set_add(set, tp);
    }
    if (set->count == before) {
        out->topic_id = (kafka_uuid_t){{0}};
        refuse_topic(out, "There is no offset information to delete.");
    }
}

static share_job_t *plan(kafka_request_t *request, const group_entry_t *entry, forgetting_t *f)
{
    const kafka_delete_share_group_offsets_request_t *asked = request->body;
    tp_set_t set = {0};
    map_t seen = MAP_INIT;
    f->response->responses =
        kafka_delete_share_group_offsets_response_topic_array(&request->arena, asked->topics_count);
    for (int32_t i = 0; i < asked->topics_count; i++) {
        bytes_t name = asked->topics[i].topic_name;
        if (map_put(&seen, name, f)) continue; /* named before */
        out_topic_t *out = &f->response->responses[f->response->responses_count++];
        const kafka_topic_t *topic = kafka_topic_get(request->kafka, name);
        out->topic_name = name;
        if (topic)
            add_topic(groups_share(entry), topic, out, &set);
        else
            refuse_topic(out, kafka_error_text(KAFKA_UNKNOWN_TOPIC_OR_PARTITION));
    }
    share_job_t *job = share_job_new(request->kafka, SHARE_JOB_DELETE, entry->id, set.count, on_done, f);
    for (size_t i = 0; i < set.count; i++) job->items[i].tp = set.items[i];
    tp_set_deinit(&set);
    map_deinit(&seen);
    return job;
}

void kafka_handle_delete_share_group_offsets(kafka_request_t *request)
{
    const kafka_delete_share_group_offsets_request_t *asked = request->body;
    char *message = arena_zalloc(&request->arena, CONSUMER_MESSAGE_BYTES);
    group_entry_t *entry;
    kafka_code_t error = check(request, asked->group_id, &entry, message);
    if (error) {
        fail(request, error, message[0] ? message : NULL);
        return;
    }
    forgetting_t *f = ARENA_NEW(&request->arena, forgetting_t);
    *f = (forgetting_t){request, KAFKA_MESSAGE(request, delete_share_group_offsets_response)};
    groups_share_forget(entry, plan(request, entry, f));
}

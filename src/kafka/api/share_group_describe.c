/* share_group_describe.c: ShareGroupDescribe: state, epochs and members of share groups, one group a step. What is told of a group is
 * copied: it may change before the answer is written. */
#include "base/map.h"
#include "kafka/api/group_apis.h"
#include "kafka/api/topic_steps.h"
#include "kafka/coordinator/groups_share.h"

typedef kafka_share_group_describe_response_group_t out_group_t;
typedef kafka_share_group_describe_response_assigned_t out_topic_t;

/* Bits of what may be done to a group, by the numbers of Kafka's AclOperation: without ACLs all of it. */
#define GROUP_OPERATIONS ((1 << 3) | (1 << 6) | (1 << 8) | (1 << 10) | (1 << 11))

static out_topic_t *describe_set(kafka_request_t *request, const tp_set_t *set, int32_t *ret_count)
{
    int32_t count;
    const consumer_wire_topic_t *topics = consumer_wire_topics(&request->arena, set, &count);
    out_topic_t *out = kafka_share_group_describe_response_assigned_array(&request->arena, count);
    *ret_count = 0;
    for (int32_t i = 0; i < count; i++) {
        const kafka_topic_t *topic = kafka_topic_by_id(request->kafka, topics[i].id);
        if (!topic) continue; /* deleted meanwhile */
        out[(*ret_count)++] = (out_topic_t){topics[i].id, arena_copy(&request->arena, kafka_topic_name(topic)),
                                            topics[i].partitions, topics[i].partitions_count};
    }
    return out;
}

static void describe_member(kafka_request_t *request, const share_member_t *m,
                            kafka_share_group_describe_response_member_t *out)
{
    arena_t *arena = &request->arena;
    out->member_id = arena_copy(arena, m->id);
    out->rack_id = arena_copy(arena, m->rack_id);
    out->member_epoch = m->epoch;
    out->client_id = arena_copy(arena, m->client_id);
    out->client_host = arena_copy(arena, m->client_host);
    out->subscribed_topic_names = ARENA_ARRAY(arena, bytes_t, m->topics_count);
    out->subscribed_topic_names_count = (int32_t)m->topics_count;
    for (size_t i = 0; i < m->topics_count; i++) out->subscribed_topic_names[i] = arena_copy(arena, m->topics[i]);
    out->assignment.topic_partitions = describe_set(request, &m->assigned, &out->assignment.topic_partitions_count);
}

static void describe(kafka_request_t *request, bytes_t group_id, out_group_t *out)
{
    const kafka_share_group_describe_request_t *asked = request->body;
    group_entry_t *entry = NULL;
    char *message = arena_zalloc(&request->arena, CONSUMER_MESSAGE_BYTES);
    out->group_id = group_id;
    out->error_code = group_id.len
                          ? groups_find_share(request->kafka->groups, group_id, GROUPS_SHARE_ASKS, &entry, message)
                          : KAFKA_INVALID_GROUP_ID;
    if (message[0]) out->error_message = bytes_str(message);
    if (out->error_code) return;
    const share_group_t *g = groups_share(entry);
    out->group_state = bytes_str(share_group_state_text(g));
    out->group_epoch = g->epoch;
    out->assignment_epoch = g->assignment_epoch;
    out->assignor_name = BYTES_LIT(SHARE_ASSIGNOR);
    out->members = kafka_share_group_describe_response_member_array(&request->arena, (int32_t)g->members_count);
    LIST_EACH(&g->members, m, share_member_t, node) describe_member(request, m, &out->members[out->members_count++]);
    if (asked->include_authorized_operations) out->authorized_operations = GROUP_OPERATIONS;
}

typedef struct describe_job {
    kafka_share_group_describe_response_t *response;
    map_t seen;
} describe_job_t;

/* One id named over and over would make a reply of any size of a small request: only the first is answered, and no more groups than
 * an answer may hold. */
static void describe_one(kafka_request_t *request, void *user, int32_t index)
{
    const kafka_share_group_describe_request_t *asked = request->body;
    describe_job_t *job = user;
    out_group_t *out = &job->response->groups[job->response->groups_count++];
    if (map_put(&job->seen, asked->group_ids[index], job) || kafka_response_is_full(request)) {
        out->group_id = asked->group_ids[index];
        out->error_code = KAFKA_INVALID_REQUEST;
    } else {
        describe(request, asked->group_ids[index], out);
    }
}

static void end(kafka_request_t *request, void *user)
{
    describe_job_t *job = user;
    map_deinit(&job->seen);
    kafka_respond(request, job->response);
}

void kafka_handle_share_group_describe(kafka_request_t *request)
{
    const kafka_share_group_describe_request_t *asked = request->body;
    describe_job_t *job = ARENA_NEW(&request->arena, describe_job_t);
    *job = (describe_job_t){KAFKA_MESSAGE(request, share_group_describe_response), MAP_INIT};
    job->response->groups = kafka_share_group_describe_response_group_array(&request->arena, asked->group_ids_count);
    kafka_item_steps_run(request, asked->group_ids_count, describe_one, end, job);
}

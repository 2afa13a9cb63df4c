/* offset_fetch.c: OffsetFetch: what groups have committed: one group, from version 8 on many.
 *
 * require_stable: an offset that an open transaction is about to change is not told; who asks comes again.
 *
 * One partition a step, or one topic of a group that is asked for all. What is answered is copied: between two steps the group
 * may change. */
#include "base/map.h"
#include "kafka/api/group_apis.h"

typedef kafka_offset_fetch_request_group_t asked_group_t;
typedef kafka_offset_fetch_response_group_t out_group_t;
typedef kafka_offset_fetch_response_group_topic_t out_topic_t;
typedef kafka_offset_fetch_response_group_topic_partition_t out_partition_t;

/* Versions before 8 name the same shapes differently. */
_Static_assert(sizeof(out_topic_t) == sizeof(kafka_offset_fetch_response_topic_t), "same shape");
_Static_assert(sizeof(out_partition_t) == sizeof(kafka_offset_fetch_response_partition_t), "same shape");
_Static_assert(sizeof(kafka_offset_fetch_request_topic_t) == sizeof(kafka_offset_fetch_request_group_topic_t), "same");

static void fill(arena_t *arena, out_partition_t *out, int32_t partition, const group_offset_t *offset)
{
    out->partition_index = partition;
    out->committed_offset = offset ? offset->offset : -1;
    out->committed_leader_epoch = offset ? offset->leader_epoch : -1;
    out->metadata = offset && offset->metadata.ptr ? arena_copy(arena, offset->metadata) : BYTES_LIT("");
}

static void fill_unstable(out_partition_t *out, int32_t partition)
{
    *out = (out_partition_t){.partition_index = partition,
                             .committed_offset = -1,
                             .committed_leader_epoch = -1,
                             .metadata = BYTES_LIT(""),
                             .error_code = KAFKA_UNSTABLE_OFFSET_COMMIT};
}

typedef struct fetch_job {
    kafka_request_t *request;
    kafka_offset_fetch_response_t *response;
    const asked_group_t *asked; /* groups_count of them */
    out_group_t *groups;        /* their answers */
    int32_t groups_count;
    int32_t group, topic, partition; /* whose turn it is */
    group_entry_t *entry;            /* of the group whose turn it is; NULL: it has no offsets */
    bytes_t *names;                  /* of all its topics, when it is asked for all */
    int32_t names_count;
    map_t seen; /* groups that were asked for all */
} fetch_job_t;

static bool is_unstable(const fetch_job_t *job, bytes_t topic, int32_t partition)
{
    const kafka_offset_fetch_request_t *body = job->request->body;
    return body->require_stable && job->entry && groups_offset_is_unstable(job->entry, topic, partition);
}

/* ---- one group ------------------------------------------------------------------------------------------------------- */

static void list_names(fetch_job_t *job, out_group_t *out)
{
    arena_t *arena = &job->request->arena;
    job->names_count = 0;
    out->topics_count = 0;
    if (!job->entry) return;
    int32_t count = (int32_t)job->entry->offsets.topics.count;
    job->names = ARENA_ARRAY(arena, bytes_t, count);
    out->topics = kafka_offset_fetch_response_group_topic_array(arena, count);
    size_t cursor = 0;
    for (const group_topic_t *t; (t = group_offsets_next(&job->entry->offsets, &cursor));)
        job->names[job->names_count++] = arena_copy(arena, t->name);
}

static void fetch_whole_topic(fetch_job_t *job, out_group_t *out)
{
    arena_t *arena = &job->request->arena;
    const group_topic_t *t = map_get(&job->entry->offsets.topics, job->names[job->topic++]);
    if (!t) return; /* it went meanwhile */
    out_topic_t *topic = &out->topics[out->topics_count++];
    topic->name = job->names[job->topic - 1];
    topic->partitions = kafka_offset_fetch_response_group_topic_partition_array(arena, (int32_t)t->count);
    size_t at = 0;
    for (const group_topic_offset_t *e; (e = group_topic_next(t, &at));) {
        out_partition_t *partition = &topic->partitions[topic->partitions_count++];
        if (is_unstable(job, t->name, e->partition))
            fill_unstable(partition, e->partition);
        else
            fill(arena, partition, e->partition, &e->value);
    }
}

static void begin_topic(fetch_job_t *job, const asked_group_t *asked, out_group_t *out)
{
    const kafka_offset_fetch_request_group_topic_t *from = &asked->topics[job->topic];
    out_topic_t *topic = &out->topics[out->topics_count++];
    topic->name = from->name;
    topic->partitions =
        kafka_offset_fetch_response_group_topic_partition_array(&job->request->arena, from->partition_indexes_count);
}

/* Version 1 has no place for a group's error but its partitions. */
static void fetch_partition(fetch_job_t *job, const asked_group_t *asked, out_group_t *out)
{
    const kafka_offset_fetch_request_group_topic_t *from = &asked->topics[job->topic];
    out_topic_t *topic = &out->topics[job->topic];
    int32_t index = from->partition_indexes[job->partition++];
    bool full = kafka_response_is_full(job->request); /* of metadata: one offset may be asked for a million times */
    const group_offset_t *offset =
        job->entry && !full ? group_offsets_get(&job->entry->offsets, from->name, index) : NULL;
    out_partition_t *partition = &topic->partitions[topic->partitions_count++];
    fill(&job->request->arena, partition, index, offset);
    partition->error_code = full && !out->error_code ? KAFKA_INVALID_REQUEST : out->error_code;
    if (!partition->error_code && is_unstable(job, from->name, index)) fill_unstable(partition, index);
}

static void fetch_of_topic(fetch_job_t *job, const asked_group_t *asked, out_group_t *out)
{
    if (job->partition == 0) begin_topic(job, asked, out);
    if (job->partition < asked->topics[job->topic].partition_indexes_count) {
        fetch_partition(job, asked, out);
    } else {
        job->topic++;
        job->partition = 0;
    }
}

/* All offsets of one group, asked for over and over, would make a reply of any size of a small request: only the first
 * time they are answered. */
static kafka_code_t check_group(fetch_job_t *job, const asked_group_t *asked)
{
    group_entry_t *entry = NULL;
    if (asked->topics_count < 0 && map_put(&job->seen, asked->group_id, job)) return KAFKA_INVALID_REQUEST;
    kafka_code_t error = groups_find_settled(job->request->kafka->groups, asked->group_id, &entry);
    if (error == KAFKA_NONE && entry) error = groups_fetch_check(entry, asked->member_id, asked->member_epoch);
    job->entry = error == KAFKA_NONE ? entry : NULL;
    if (job->entry) group_entry_ref(job->entry);
    return error;
}

static void end_group(fetch_job_t *job)
{
    if (job->entry) group_entry_unref(job->entry);
    job->entry = NULL;
    job->group++;
    job->topic = job->partition = -1;
}

/* The topic of a group that has not begun is -1. */
static void begin_group(fetch_job_t *job, const asked_group_t *asked, out_group_t *out)
{
    out->group_id = asked->group_id;
    out->error_code = check_group(job, asked);
    job->topic = job->partition = 0;
    if (out->error_code != KAFKA_NONE && (job->request->header.api_version >= 2 || asked->topics_count < 0)) {
        end_group(job);
    } else if (asked->topics_count < 0) {
        list_names(job, out);
    } else {
        out->topics = kafka_offset_fetch_response_group_topic_array(&job->request->arena, asked->topics_count);
    }
}

/* ---- the request ----------------------------------------------------------------------------------------------------- */

static void answer(fetch_job_t *job)
{
    kafka_offset_fetch_response_t *response = job->response;
    if (job->request->header.api_version < 8) {
        response->topics = (kafka_offset_fetch_response_topic_t *)job->groups->topics;
        response->topics_count = job->groups->topics_count;
        response->error_code = job->groups->error_code;
    } else {
        response->groups = job->groups;
        response->groups_count = job->groups_count;
    }
    map_deinit(&job->seen);
    kafka_respond(job->request, response);
}

static slice_state_t fetch_step(slice_t *slice)
{
    fetch_job_t *job = CONTAINER_OF(slice, kafka_request_t, slice)->state;
    if (job->group == job->groups_count) {
        answer(job);
        return SLICE_ENDED;
    }
    const asked_group_t *asked = &job->asked[job->group];
    out_group_t *out = &job->groups[job->group];
    if (job->topic < 0)
        begin_group(job, asked, out);
    else if (job->topic >= (asked->topics_count < 0 ? job->names_count : asked->topics_count))
        end_group(job);
    else if (asked->topics_count < 0)
        fetch_whole_topic(job, out);
    else
        fetch_of_topic(job, asked, out);
    return SLICE_MORE;
}

/* Versions before 8 ask for one group. */
static const asked_group_t *only_group(kafka_request_t *request)
{
    const kafka_offset_fetch_request_t *body = request->body;
    asked_group_t *asked = ARENA_NEW(&request->arena, asked_group_t);
    *asked = (asked_group_t){
        .group_id = body->group_id,
        .member_epoch = -1,
        .topics = (kafka_offset_fetch_request_group_topic_t *)body->topics,
        .topics_count = body->topics_count,
    };
    return asked;
}

void kafka_handle_offset_fetch(kafka_request_t *request)
{
    const kafka_offset_fetch_request_t *body = request->body;
    fetch_job_t *job = request->state = ARENA_NEW(&request->arena, fetch_job_t);
    bool one = request->header.api_version < 8;
    job->request = request;
    job->response = KAFKA_MESSAGE(request, offset_fetch_response);
    job->asked = one ? only_group(request) : body->groups;
    job->groups_count = one ? 1 : body->groups_count;
    job->groups = kafka_offset_fetch_response_group_array(&request->arena, job->groups_count);
    job->topic = -1;
    kafka_request_run(request, fetch_step, NULL);
}

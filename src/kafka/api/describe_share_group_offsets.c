/* describe_share_group_offsets.c: DescribeShareGroupOffsets: where share groups begin in partitions, and how much they have left to
 * read. One group after the other. */
#include "kafka/api/group_apis.h"
#include "kafka/coordinator/groups_share.h"
#include "kafka/partition/partition.h"

typedef kafka_describe_share_group_offsets_response_group_t out_group_t;
typedef kafka_describe_share_group_offsets_response_topic_t out_topic_t;
typedef kafka_describe_share_group_offsets_response_partition_t out_partition_t;

#define PARTITIONS_MAX 100000 /* of one answer */

typedef struct describing {
    kafka_request_t *request;
    kafka_describe_share_group_offsets_response_t *response;
    out_partition_t **outs; /* of the present job's items */
    size_t left;            /* partitions that the answer may still have */
    bool looping, asking;
} describing_t;

static void describe_next(describing_t *d);

/* ---- one partition --------------------------------------------------------------------------------------------------- */

/* What is behind the start, and not complete yet. */
static void set_lag(const kafka_t *kafka, const share_job_item_t *item, out_partition_t *out)
{
    partition_t *partition;
    const kafka_topic_t *topic = kafka_topic_by_id(kafka, item->tp.topic);
    if (item->start_offset == -1 || item->delivery_complete_count == -1) return;
    kafka_code_t error =
        topic ? kafka_topic_partition_get(topic, item->tp.partition, &partition) : KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    if (error) {
        *out = (out_partition_t){.partition_index = out->partition_index, .lag = -1, .error_code = error};
        out->error_message = bytes_str(kafka_error_text(error));
        return;
    }
    out->lag = partition_high_watermark(partition) - item->start_offset - item->delivery_complete_count;
}

/* As the original: of a partition whose state cannot be read it is said that there is none. */
static void on_done(share_job_t *job)
{
    describing_t *d = job->user;
    for (size_t i = 0; i < job->count; i++) {
        const share_job_item_t *item = &job->items[i];
        out_partition_t *out = d->outs[i];
        out->start_offset = item->error ? -1 : item->start_offset;
        out->leader_epoch = item->error ? 0 : item->leader_epoch;
        out->lag = -1;
        if (!item->error) set_lag(job->kafka, item, out);
    }
    d->asking = false;
    if (!d->looping) describe_next(d);
}

/* ---- one group ------------------------------------------------------------------------------------------------------- */

static void begin_topic(describing_t *d, out_topic_t *out, bytes_t name, kafka_uuid_t id, int32_t partitions_count)
{
    out->topic_name = arena_copy(&d->request->arena, name);
    out->topic_id = id;
    out->partitions = kafka_describe_share_group_offsets_response_partition_array(&d->request->arena, partitions_count);
}

static void add_partition(describing_t *d, share_job_t *job, out_topic_t *topic, int32_t index)
{
    out_partition_t *out = &topic->partitions[topic->partitions_count++];
    out->partition_index = index;
    d->outs[job->count] = out;
    job->items[job->count++] = (share_job_item_t){.tp = {topic->topic_id, index}};
}

static void plan_topic(describing_t *d, share_job_t *job, out_topic_t *out,
                       const kafka_describe_share_group_offsets_request_topic_t *asked)
{
    const kafka_topic_t *topic = kafka_topic_get(d->request->kafka, asked->topic_name);
    begin_topic(d, out, asked->topic_name, topic ? topic->id : (kafka_uuid_t){{0}}, asked->partitions_count);
    for (int32_t i = 0; i < asked->partitions_count; i++) {
        if (topic) {
            add_partition(d, job, out, asked->partitions[i]);
            continue;
        }
        out_partition_t *none = &out->partitions[out->partitions_count++];
        none->partition_index = asked->partitions[i];
        none->start_offset = none->lag = -1; /* as of a partition without a state */
    }
}

/* Of all partitions of which the group has a state. */
static void plan_all(describing_t *d, share_job_t *job, out_group_t *out, const share_group_t *g)
{
    out->topics = kafka_describe_share_group_offsets_response_topic_array(&d->request->arena, (int32_t)g->states.count);
    for (size_t at = 0, run; at < g->initialized.count; at += run) {
        run = tp_set_run(&g->initialized, at);
        kafka_uuid_t id = g->initialized.items[at].topic;
        const kafka_topic_t *topic = kafka_topic_by_id(d->request->kafka, id);
        if (!topic) continue; /* deleted meanwhile */
        out_topic_t *topic_out = &out->topics[out->topics_count++];
        begin_topic(d, topic_out, kafka_topic_name(topic), id, (int32_t)run);
        for (size_t i = at; i < at + run; i++) add_partition(d, job, topic_out, g->initialized.items[i].partition);
    }
}

static size_t partitions_asked(const kafka_describe_share_group_offsets_request_group_t *asked, const share_group_t *g)
{
    size_t count = 0;
    if (asked->topics_count < 0) return g ? g->initialized.count : 0;
    for (int32_t t = 0; t < asked->topics_count; t++) count += (size_t)asked->topics[t].partitions_count;
    return count;
}

static void plan_asked(describing_t *d, share_job_t *job, out_group_t *out,
                       const kafka_describe_share_group_offsets_request_group_t *asked)
{
    out->topics = kafka_describe_share_group_offsets_response_topic_array(&d->request->arena, asked->topics_count);
    for (int32_t t = 0; t < asked->topics_count; t++)
        plan_topic(d, job, &out->topics[out->topics_count++], &asked->topics[t]);
}

static kafka_code_t find(kafka_t *kafka, bytes_t group_id, const share_group_t **ret_group)
{
    group_entry_t *entry;
    if (group_id.len == 0) return KAFKA_NONE; /* one that there is not, to the original */
    kafka_code_t error = groups_find(kafka->groups, group_id, &entry);
    if (!error) *ret_group = entry ? groups_share(entry) : NULL;
    return error;
}

static void describe_one(describing_t *d, const kafka_describe_share_group_offsets_request_group_t *asked,
                         out_group_t *out)
{
    const share_group_t *g = NULL;
    out->group_id = asked->group_id;
    out->error_code = find(d->request->kafka, asked->group_id, &g);
    size_t count = partitions_asked(asked, g);
    if (!out->error_code && count > d->left) out->error_code = KAFKA_INVALID_REQUEST;
    if (out->error_code) {
        out->error_message = bytes_str(kafka_error_text(out->error_code));
        return;
    }
    share_job_t *job = share_job_new(d->request->kafka, SHARE_JOB_SUMMARY, asked->group_id, count, on_done, d);
    job->count = 0;
    d->left -= count;
    d->outs = ARENA_ARRAY(&d->request->arena, out_partition_t *, count + 1);
    if (asked->topics_count >= 0)
        plan_asked(d, job, out, asked);
    else if (g)
        plan_all(d, job, out, g);
    d->asking = true;
    share_job_run(job);
}

/* One group after the other; those whose states are in memory at once. */
static void describe_next(describing_t *d)
{
    const kafka_describe_share_group_offsets_request_t *asked = d->request->body;
    kafka_describe_share_group_offsets_response_t *response = d->response;
    d->looping = true;
    while (!d->asking && response->groups_count < asked->groups_count) {
        int32_t next = response->groups_count++;
        describe_one(d, &asked->groups[next], &response->groups[next]);
    }
    d->looping = false;
    if (!d->asking) kafka_respond(d->request, response);
}

void kafka_handle_describe_share_group_offsets(kafka_request_t *request)
{
    const kafka_describe_share_group_offsets_request_t *asked = request->body;
    describing_t *d = ARENA_NEW(&request->arena, describing_t);
    *d = (describing_t){.request = request,
                        .response = KAFKA_MESSAGE(request, describe_share_group_offsets_response),
                        .left = PARTITIONS_MAX};
    d->response->groups = kafka_describe_share_group_offsets_response_group_array(&request->arena, asked->groups_count);
    describe_next(d);
}

/* offset_commit.c: OffsetCommit: keeps the position of a group. What is wrong with a partition is said of
 * that partition alone; what is wrong with the group, or the write, of all the others. */
#include "kafka/api/group_apis.h"

typedef struct commit {
    groups_write_t write;
    kafka_request_t *request;
    group_entry_t *entry;
    kafka_offset_commit_response_t *response;
    int32_t open_count; /* partitions without an error so far */
} commit_t;

typedef kafka_offset_commit_request_partition_t in_partition_t;
typedef kafka_offset_commit_response_partition_t out_partition_t;

/* Runs `each` for every partition that has no error yet. */
static void each_open(commit_t *c,
                      void (*each)(commit_t *c, bytes_t topic, const in_partition_t *in, out_partition_t *out))
{
    const kafka_offset_commit_request_t *asked = c->request->body;
    for (int32_t t = 0; t < asked->topics_count; t++) {
        for (int32_t p = 0; p < asked->topics[t].partitions_count; p++) {
            out_partition_t *out = &c->response->topics[t].partitions[p];
            if (out->error_code != KAFKA_NONE) continue;
            each(c, asked->topics[t].name, &asked->topics[t].partitions[p], out);
        }
    }
}

static void set_error(commit_t *c, out_partition_t *out, int16_t error)
{
    out->error_code = error;
    c->open_count--;
}

static bool exists(const kafka_t *kafka, bytes_t topic_name, int32_t partition)
{
    const kafka_topic_t *topic = kafka_topic_get(kafka, topic_name);
    return topic && partition >= 0 && partition < topic->partitions_count;
}

static void check_partition(commit_t *c, bytes_t topic, const in_partition_t *in, out_partition_t *out)
{
    if (!exists(c->request->kafka, topic, in->partition_index)) set_error(c, out, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
}

static void check_metadata(commit_t *c, bytes_t topic, const in_partition_t *in, out_partition_t *out)
{
    size_t max = (size_t)c->request->kafka->config.offset_metadata_max_bytes;
    if (in->committed_metadata.len > max) set_error(c, out, KAFKA_OFFSET_METADATA_TOO_LARGE);
}

static group_offset_t offset_of(const commit_t *c, const in_partition_t *in)
{
    const kafka_offset_commit_request_t *asked = c->request->body;
    int64_t now_ms = c->write.records.now_ms;
    return (group_offset_t){
        .offset = in->committed_offset,
        .leader_epoch = in->committed_leader_epoch,
        .metadata = in->committed_metadata,
        .commit_ms = now_ms,
        .expire_ms = asked->retention_time_ms == -1 ? -1 : now_ms + asked->retention_time_ms,
    };
}

static void add_record(commit_t *c, bytes_t topic, const in_partition_t *in, out_partition_t *out)
{
    group_offset_t offset = offset_of(c, in);
    group_records_add_offset(&c->write.records, c->entry->group->id, topic, in->partition_index, &offset);
}

static void keep(commit_t *c, bytes_t topic, const in_partition_t *in, out_partition_t *out)
{
    group_offset_t offset = offset_of(c, in);
    group_offsets_put(&c->entry->offsets, topic, in->partition_index, &offset);
}

static void respond(commit_t *c, int16_t error)
{
    const kafka_offset_commit_request_t *asked = c->request->body;
    for (int32_t t = 0; error != KAFKA_NONE && t < asked->topics_count; t++) {
        for (int32_t p = 0; p < asked->topics[t].partitions_count; p++) {
            out_partition_t *out = &c->response->topics[t].partitions[p];
            if (out->error_code == KAFKA_NONE) out->error_code = error;
        }
    }
    kafka_respond(c->request, c->response);
}

static void on_written(groups_write_t *write, int16_t error)
{
    commit_t *c = CONTAINER_OF(write, commit_t, write);
    group_entry_t *entry = c->entry;
    if (error == KAFKA_NONE && !entry->removed) each_open(c, keep);
    record_builder_deinit(&write->records.builder);
    respond(c, error); /* `c` is gone with the request's arena */
    group_entry_unref(entry);
}

static kafka_offset_commit_response_t *prepare(kafka_request_t *request, int32_t *ret_count)
{
    const kafka_offset_commit_request_t *asked = request->body;
    kafka_offset_commit_response_t *response = KAFKA_MESSAGE(request, offset_commit_response);
    response->topics = kafka_offset_commit_response_topic_array(&request->arena, asked->topics_count);
    *ret_count = 0;
    for (int32_t t = 0; t < asked->topics_count; t++) {
        const kafka_offset_commit_request_topic_t *in = &asked->topics[t];
        kafka_offset_commit_response_topic_t *out = &response->topics[response->topics_count++];
        out->name = in->name;
        out->partitions = kafka_offset_commit_response_partition_array(&request->arena, in->partitions_count);
        for (int32_t p = 0; p < in->partitions_count; p++) {
            out->partitions[out->partitions_count++].partition_index = in->partitions[p].partition_index;
            ++*ret_count;
        }
    }
    return response;
}

/* May this client commit for this group? A consumer outside of group management makes its group by
 * committing. */
static int16_t check_group(commit_t *c)
{
    const kafka_offset_commit_request_t *asked = c->request->body;
    kafka_groups_t *groups = c->request->kafka->groups;
    int32_t generation = asked->generation_id_or_member_epoch;
    int16_t error = groups_find_settled(groups, asked->group_id, &c->entry);
    if (error != KAFKA_NONE) return error;
    if (!c->entry && generation >= 0) {
        return c->request->header.api_version >= 9 ? KAFKA_GROUP_ID_NOT_FOUND : KAFKA_ILLEGAL_GENERATION;
    }
    if (!c->entry) c->entry = groups_create(groups, asked->group_id);
    if (c->entry->cgroup) {
        return cgroup_commit_check(c->entry->cgroup, asked->member_id, generation, c->request->header.api_version);
    }
    error = group_commit_check(c->entry->group, asked->member_id, asked->group_instance_id, generation, false,
                               groups_now(groups));
    groups_settle(c->entry);
    return error;
}

void kafka_handle_offset_commit(kafka_request_t *request)
{
    commit_t *c = ARENA_NEW(&request->arena, commit_t);
    c->request = request;
    c->response = prepare(request, &c->open_count);
    each_open(c, check_partition);
    int16_t error = c->open_count > 0 ? check_group(c) : KAFKA_NONE;
    if (error == KAFKA_NONE) each_open(c, check_metadata);
    if (error != KAFKA_NONE || c->open_count == 0) {
        respond(c, error);
        return;
    }
    c->write.records = (group_records_t){RECORD_BUILDER_INIT, groups_now(request->kafka->groups).wall_ms};
    group_entry_ref(c->entry);
    each_open(c, add_record);
    groups_write(request->kafka->groups, c->entry->partition, &c->write, on_written);
}

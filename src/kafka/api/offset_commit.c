/* offset_commit.c: OffsetCommit: keeps the committed offsets of a group. What is wrong with a partition is said of
 * that partition alone; what is wrong with the group, or the write, of all the others.
 *
 * The records are made one partition a step. From then on all happens at once: what was checked holds when it is written, and
 * the table gets commits in the order of the log. */
#include "kafka/api/group_apis.h"

typedef struct commit {
    runtime_write_t write;
    kafka_request_t *request;
    group_entry_t *entry;
    kafka_offset_commit_response_t *response;
    int32_t topic, partition; /* of the request, whose turn it is */
    int32_t known_count;      /* of partitions that are there */
    int32_t records_count;
} commit_t;

typedef kafka_offset_commit_request_partition_t in_partition_t;
typedef kafka_offset_commit_response_partition_t out_partition_t;

static bool exists(const kafka_t *kafka, bytes_t topic_name, int32_t partition)
{
    const kafka_topic_t *topic = kafka_topic_get(kafka, topic_name);
    return topic && partition >= 0 && partition < topic->partitions_count;
}

static group_offset_t offset_of(const commit_t *c, const in_partition_t *in)
{
    const kafka_offset_commit_request_t *asked = c->request->body;
    int64_t now_ms = c->write.batch.now_ms;
    return (group_offset_t){
        .offset = in->committed_offset,
        .leader_epoch = in->committed_leader_epoch,
        .metadata = in->committed_metadata,
        .commit_ms = now_ms,
        .expire_ms = asked->retention_time_ms == -1 ? -1 : now_ms + asked->retention_time_ms,
    };
}

static bool is_too_large(const commit_t *c, const in_partition_t *in)
{
    return in->committed_metadata.len > (size_t)c->request->kafka->config.offset_metadata_max_bytes;
}

static void add_record(commit_t *c, bytes_t topic, const in_partition_t *in)
{
    const kafka_offset_commit_request_t *asked = c->request->body;
    group_offset_t offset = offset_of(c, in);
    group_records_add_offset(&c->write.batch, asked->group_id, topic, in->partition_index, &offset);
    c->records_count++;
}

/* ---- the end --------------------------------------------------------------------------------------------------------- */

/* `error` is the group's, or the write's. */
static void end_partition(commit_t *c, bytes_t topic, const in_partition_t *in, out_partition_t *out,
                          kafka_code_t error)
{
    if (out->error_code != KAFKA_NONE) return;
    out->error_code = error;
    if (error != KAFKA_NONE || c->entry->removed) return;
    group_offset_t offset = offset_of(c, in);
    groups_offset_put(c->entry, topic, in->partition_index, &offset);
}

static void end(commit_t *c, kafka_code_t error)
{
    const kafka_offset_commit_request_t *asked = c->request->body;
    for (int32_t t = 0; t < asked->topics_count; t++) {
        const kafka_offset_commit_request_topic_t *in = &asked->topics[t];
        for (int32_t p = 0; p < in->partitions_count; p++)
            end_partition(c, in->name, &in->partitions[p], &c->response->topics[t].partitions[p], error);
    }
    group_entry_t *entry = c->entry;
    record_builder_deinit(&c->write.batch.builder);
    kafka_respond(c->request, c->response); /* `c` is gone with the request's arena */
    if (entry) group_entry_unref(entry);
}

static void on_written(runtime_write_t *write, kafka_code_t error) { end(CONTAINER_OF(write, commit_t, write), error); }

/* The group's error goes before that of metadata. */
static void set_too_large(commit_t *c)
{
    const kafka_offset_commit_request_t *asked = c->request->body;
    for (int32_t t = 0; t < asked->topics_count; t++) {
        for (int32_t p = 0; p < asked->topics[t].partitions_count; p++) {
            out_partition_t *out = &c->response->topics[t].partitions[p];
            if (out->error_code == KAFKA_NONE && is_too_large(c, &asked->topics[t].partitions[p]))
                out->error_code = KAFKA_OFFSET_METADATA_TOO_LARGE;
        }
    }
}

/* May this client commit for this group? A consumer outside of group management makes its group by
 * committing. */
static kafka_code_t check_group(commit_t *c)
{
    const kafka_offset_commit_request_t *asked = c->request->body;
    kafka_groups_t *groups = c->request->kafka->groups;
    int32_t generation = asked->generation_id_or_member_epoch;
    kafka_code_t error = groups_find_settled(groups, asked->group_id, &c->entry);
    if (error != KAFKA_NONE) return error;
    if (!c->entry && generation >= 0) {
        return c->request->header.api_version >= 9 ? KAFKA_GROUP_ID_NOT_FOUND : KAFKA_ILLEGAL_GENERATION;
    }
    if (!c->entry) c->entry = groups_create(groups, asked->group_id);
    groups_committer_t by = {
        .member_id = asked->member_id,
        .instance_id = asked->group_instance_id,
        .generation = generation,
        .api_version = c->request->header.api_version,
    };
    return groups_commit_check(c->entry, &by);
}

static void write_out(commit_t *c)
{
    kafka_code_t error = c->known_count > 0 ? check_group(c) : KAFKA_NONE;
    if (error == KAFKA_NONE && c->entry) group_entry_ref(c->entry);
    if (error != KAFKA_NONE) c->entry = NULL;
    if (error == KAFKA_NONE) set_too_large(c);
    if (error == KAFKA_NONE && c->records_count > 0)
        runtime_write(groups_runtime(c->request->kafka->groups), c->entry->partition, &c->write, on_written);
    else
        end(c, error);
}

/* ---- partition by partition ------------------------------------------------------------------------------------------ */

static void begin_topic(commit_t *c, const kafka_offset_commit_request_topic_t *in)
{
    kafka_offset_commit_response_topic_t *out = &c->response->topics[c->response->topics_count++];
    out->name = in->name;
    out->partitions = kafka_offset_commit_response_partition_array(&c->request->arena, in->partitions_count);
}

static void take_partition(commit_t *c, const kafka_offset_commit_request_topic_t *topic)
{
    const in_partition_t *in = &topic->partitions[c->partition];
    kafka_offset_commit_response_topic_t *answers = &c->response->topics[c->topic];
    out_partition_t *out = &answers->partitions[answers->partitions_count++];
    out->partition_index = in->partition_index;
    if (!exists(c->request->kafka, topic->name, in->partition_index)) {
        out->error_code = KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
        return;
    }
    c->known_count++;
    if (!is_too_large(c, in)) add_record(c, topic->name, in);
}

/* Whether a topic has gone since a record for it was made. */
static bool has_stale_records(const commit_t *c)
{
    const kafka_offset_commit_request_t *asked = c->request->body;
    for (int32_t t = 0; c->request->slice.paused && t < asked->topics_count; t++) {
        const kafka_offset_commit_response_topic_t *out = &c->response->topics[t];
        if (kafka_topic_get(c->request->kafka, out->name)) continue;
        for (int32_t p = 0; p < out->partitions_count; p++) {
            if (out->partitions[p].error_code == KAFKA_NONE) return true;
        }
    }
    return false;
}

static void begin_anew(commit_t *c)
{
    record_builder_reset(&c->write.batch.builder);
    c->response->topics_count = 0;
    c->topic = c->partition = c->known_count = c->records_count = 0;
}

static slice_state_t commit_step(slice_t *slice)
{
    kafka_request_t *request = CONTAINER_OF(slice, kafka_request_t, slice);
    const kafka_offset_commit_request_t *asked = request->body;
    commit_t *c = request->state;
    if (c->topic == asked->topics_count && has_stale_records(c)) begin_anew(c);
    if (c->topic == asked->topics_count) {
        write_out(c);
        return SLICE_ENDED;
    }
    const kafka_offset_commit_request_topic_t *topic = &asked->topics[c->topic];
    if (c->partition == 0) begin_topic(c, topic);
    if (c->partition < topic->partitions_count) {
        take_partition(c, topic);
        c->partition++;
    } else {
        c->topic++;
        c->partition = 0;
    }
    return SLICE_MORE;
}

void kafka_handle_offset_commit(kafka_request_t *request)
{
    const kafka_offset_commit_request_t *asked = request->body;
    commit_t *c = request->state = ARENA_NEW(&request->arena, commit_t);
    c->request = request;
    c->response = KAFKA_MESSAGE(request, offset_commit_response);
    c->response->topics = kafka_offset_commit_response_topic_array(&request->arena, asked->topics_count);
    c->write.batch = runtime_batch(groups_now(request->kafka->groups).wall_ms);
    kafka_request_run(request, commit_step, NULL);
}

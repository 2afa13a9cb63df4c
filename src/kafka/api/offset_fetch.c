/* offset_fetch.c: OffsetFetch: what groups have committed: one group, from version 8 on many.
 *
 * require_stable asks to wait for offsets of open transactions; there are none, so every offset is stable. */
#include "base/map.h"
#include "kafka/api/group_apis.h"

typedef kafka_offset_fetch_response_group_topic_t out_topic_t;
typedef kafka_offset_fetch_response_group_topic_partition_t out_partition_t;

/* Versions before 8 name the same shapes differently. */
_Static_assert(sizeof(out_topic_t) == sizeof(kafka_offset_fetch_response_topic_t), "same shape");
_Static_assert(sizeof(out_partition_t) == sizeof(kafka_offset_fetch_response_partition_t), "same shape");
_Static_assert(sizeof(kafka_offset_fetch_request_topic_t) == sizeof(kafka_offset_fetch_request_group_topic_t), "same");

static void fill(out_partition_t *out, int32_t partition, const group_offset_t *offset)
{
    out->partition_index = partition;
    out->committed_offset = offset ? offset->offset : -1;
    out->committed_leader_epoch = offset ? offset->leader_epoch : -1;
    out->metadata = offset && offset->metadata.ptr ? offset->metadata : BYTES_LIT("");
}

static void fetch_asked(arena_t *arena, const group_entry_t *entry, const kafka_offset_fetch_request_group_t *asked,
                        kafka_offset_fetch_response_group_t *out)
{
    out->topics = kafka_offset_fetch_response_group_topic_array(arena, asked->topics_count);
    for (int32_t i = 0; i < asked->topics_count; i++) {
        const kafka_offset_fetch_request_group_topic_t *from = &asked->topics[i];
        out_topic_t *topic = &out->topics[out->topics_count++];
        topic->name = from->name;
        topic->partitions =
            kafka_offset_fetch_response_group_topic_partition_array(arena, from->partition_indexes_count);
        for (int32_t p = 0; p < from->partition_indexes_count; p++) {
            int32_t index = from->partition_indexes[p];
            const group_offset_t *offset = entry ? group_offsets_get(&entry->offsets, from->name, index) : NULL;
            fill(&topic->partitions[topic->partitions_count++], index, offset);
        }
    }
}

static void fetch_all(arena_t *arena, const group_entry_t *entry, kafka_offset_fetch_response_group_t *out)
{
    if (!entry) return;
    out->topics = kafka_offset_fetch_response_group_topic_array(arena, (int32_t)entry->offsets.topics.count);
    size_t cursor = 0;
    for (const group_topic_t *t; (t = group_offsets_next(&entry->offsets, &cursor));) {
        out_topic_t *topic = &out->topics[out->topics_count++];
        topic->name = t->name;
        topic->partitions = kafka_offset_fetch_response_group_topic_partition_array(arena, (int32_t)t->count);
        size_t at = 0;
        for (const group_topic_offset_t *e; (e = group_topic_next(t, &at));) {
            fill(&topic->partitions[topic->partitions_count++], e->partition, &e->value);
        }
    }
}

static void fetch_group(kafka_request_t *request, const kafka_offset_fetch_request_group_t *asked,
                        kafka_offset_fetch_response_group_t *out)
{
    group_entry_t *entry;
    out->group_id = asked->group_id;
    out->error_code = groups_find_settled(request->kafka->groups, asked->group_id, &entry);
    if (out->error_code == KAFKA_NONE && entry && entry->cgroup) {
        out->error_code = cgroup_fetch_check(entry->cgroup, asked->member_id, asked->member_epoch);
    }
    if (out->error_code != KAFKA_NONE) return;
    if (asked->topics_count < 0) {
        fetch_all(&request->arena, entry, out);
    } else {
        fetch_asked(&request->arena, entry, asked, out);
    }
}

/* Version 1 has no place for a group's error but its partitions. */
static void spread_error(kafka_request_t *request, const kafka_offset_fetch_request_group_t *asked,
                         kafka_offset_fetch_response_group_t *found)
{
    fetch_asked(&request->arena, NULL, asked, found);
    for (int32_t t = 0; t < found->topics_count; t++) {
        for (int32_t p = 0; p < found->topics[t].partitions_count; p++) {
            found->topics[t].partitions[p].error_code = found->error_code;
        }
    }
}

static void fetch_one(kafka_request_t *request, kafka_offset_fetch_response_t *response)
{
    const kafka_offset_fetch_request_t *body = request->body;
    kafka_offset_fetch_request_group_t asked = {
        .group_id = body->group_id,
        .member_epoch = -1,
        .topics = (kafka_offset_fetch_request_group_topic_t *)body->topics,
        .topics_count = body->topics_count,
    };
    kafka_offset_fetch_response_group_t found;
    kafka_offset_fetch_response_group_init(&found);
    fetch_group(request, &asked, &found);
    if (found.error_code != KAFKA_NONE && request->header.api_version < 2) spread_error(request, &asked, &found);
    response->topics = (kafka_offset_fetch_response_topic_t *)found.topics;
    response->topics_count = found.topics_count;
    response->error_code = found.error_code;
}

/* All offsets of one group, asked for over and over, would make a reply of any size of a small request: only the first
 * time they are answered. */
static void fetch_many(kafka_request_t *request, kafka_offset_fetch_response_t *response)
{
    const kafka_offset_fetch_request_t *asked = request->body;
    map_t seen = MAP_INIT;
    for (int32_t i = 0; i < asked->groups_count; i++) {
        kafka_offset_fetch_response_group_t *out = &response->groups[response->groups_count++];
        const kafka_offset_fetch_request_group_t *group = &asked->groups[i];
        if (group->topics_count < 0 && map_put(&seen, group->group_id, request)) {
            out->group_id = group->group_id;
            out->error_code = KAFKA_INVALID_REQUEST;
        } else {
            fetch_group(request, group, out);
        }
    }
    map_deinit(&seen);
}

void kafka_handle_offset_fetch(kafka_request_t *request)
{
    const kafka_offset_fetch_request_t *asked = request->body;
    kafka_offset_fetch_response_t *response = KAFKA_MESSAGE(request, offset_fetch_response);
    if (request->header.api_version < 8) {
        fetch_one(request, response);
    } else {
        response->groups = kafka_offset_fetch_response_group_array(&request->arena, asked->groups_count);
        fetch_many(request, response);
    }
    kafka_respond(request, response);
}

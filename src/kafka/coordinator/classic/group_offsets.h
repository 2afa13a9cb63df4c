/* group_offsets.h: the committed offsets of one group, by topic and partition. A plain table in memory: what
 * it holds is what the group's records in __consumer_offsets say. */
#ifndef TRIVET_KAFKA_GROUPS_GROUP_OFFSETS_H
#define TRIVET_KAFKA_GROUPS_GROUP_OFFSETS_H

#include "base/base.h"
#include "base/map.h"

typedef struct group_offset {
    int64_t offset;
    int32_t leader_epoch; /* -1 unknown */
    bytes_t metadata;     /* ptr NULL when empty: the protocol has no null here */
    int64_t commit_ms;    /* Unix time */
    int64_t expire_ms;    /* Unix time; -1: by the broker's retention */
    uint64_t order;       /* of its record among all: groups_txn.c */
} group_offset_t;

typedef struct group_topic_offset {
    int32_t partition;
    group_offset_t value; /* the metadata is the table's */
} group_topic_offset_t;

/* Partitions lie in pages of 64 numbers each, so that no insertion moves more than a page, in whatever order they come. */
typedef struct group_page {
    int32_t number; /* the partitions' without its last six bits */
    uint32_t count, cap;
    group_topic_offset_t *entries; /* ascending by partition */
} group_page_t;

typedef struct group_topic {
    bytes_t name;        /* the map's key */
    group_page_t *pages; /* ascending by number; none is empty */
    size_t pages_count, pages_cap;
    size_t count; /* of offsets */
} group_topic_t;

typedef struct group_offsets {
    map_t topics; /* name -> group_topic_t; none is empty */
    size_t count;
} group_offsets_t;

void group_offsets_deinit(group_offsets_t *o);
/* NULL when there is none; valid until the next change. */
const group_offset_t *group_offsets_get(const group_offsets_t *o, bytes_t topic, int32_t partition);
/* Copies the value. */
void group_offsets_put(group_offsets_t *o, bytes_t topic, int32_t partition, const group_offset_t *value);
bool group_offsets_remove(group_offsets_t *o, bytes_t topic, int32_t partition);
/* Iteration: *cursor starts at 0; NULL at the end. The table must not change meanwhile. */
const group_topic_t *group_offsets_next(const group_offsets_t *o, size_t *cursor);
/* The same over one topic, ascending by partition. */
const group_topic_offset_t *group_topic_next(const group_topic_t *topic, size_t *cursor);

#endif

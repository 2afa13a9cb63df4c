/* znodes.h: what Kafka keeps in the coordination tree: paths and JSON, as Kafka with ZooKeeper wrote them.
 *
 *   /brokers/topics/T
 *       {"partitions":{"0":[1]},"topic_id":"..","adding_replicas":{},"removing_replicas":{},"version":3}
 *   /brokers/topics/T/partitions/P/state
 *       {"controller_epoch":1,"leader":1,"version":1,"leader_epoch":0,"isr":[1]}
 *   /config/topics/T, /config/brokers/N
 *       {"version":1,"config":{"name":"value"}}
 *   /controller_epoch
 *       7 */
#ifndef TRIVET_KAFKA_ZNODES_H
#define TRIVET_KAFKA_ZNODES_H

#include "kafka/kafka_internal.h"

#define ZNODES_TOPICS           "/brokers/topics"
#define ZNODES_TOPIC_CONFIGS    "/config/topics"
#define ZNODES_BROKER_CONFIGS   "/config/brokers"
#define ZNODES_GROUP_CONFIGS    "/config/groups"
#define ZNODES_DELETE_TOPICS    "/admin/delete_topics"
#define ZNODES_CONTROLLER_EPOCH "/controller_epoch"

typedef struct znode_replicas {
    int32_t *ids; /* in the arena */
    int32_t count;
} znode_replicas_t;

typedef struct znode_topic {
    bool has_id;
    kafka_uuid_t id;
    int32_t partitions_count;
    znode_replicas_t *partitions;
} znode_topic_t;

typedef struct znode_state {
    int32_t leader, leader_epoch, controller_epoch;
    znode_replicas_t isr;
} znode_state_t;

/* ERR_CORRUPT when the text is not that JSON, or partitions are not numbered 0..n-1. */
int znode_parse_topic(bytes_t data, arena_t *arena, znode_topic_t *ret_topic) MUST_CHECK;
bytes_t znode_format_topic(const znode_topic_t *topic, arena_t *arena);
int znode_parse_state(bytes_t data, arena_t *arena, znode_state_t *ret_state) MUST_CHECK;
bytes_t znode_format_state(const znode_state_t *state, arena_t *arena);
/* 0 when it is not a number that may be one, and one more. */
int32_t znode_parse_controller_epoch(bytes_t data);
/* Calls `each` for each setting. */
int znode_parse_config(bytes_t data, void (*each)(void *user, const char *name, const char *value),
                       void *user) MUST_CHECK;
bytes_t znode_format_config(const kafka_setting_t *settings, int32_t count, arena_t *arena);

#endif

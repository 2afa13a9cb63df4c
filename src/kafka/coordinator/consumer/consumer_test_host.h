/* consumer_test_host.h: a broker with a few topics for consumer groups under test. Shared by their tests. */
#ifndef TRIVET_KAFKA_GROUPS_CONSUMER_TEST_HOST_H
#define TRIVET_KAFKA_GROUPS_CONSUMER_TEST_HOST_H

#include "kafka/coordinator/consumer/consumer_group.h"
#include "kafka/errors.h"

#define TOPICS 3

typedef struct world {
    consumer_config_t config;
    consumer_host_t host;
    topic_patterns_host_t patterns_host;
    consumer_group_t *group;
    runtime_now_t now;
    uint64_t random, version;
    int32_t partitions[TOPICS]; /* of topics "t0", "t1", "t2"; 0 = not there */
} world_t;

/* cmocka's: *state becomes a world_t with six partitions of t0. */
int world_setup(void **state);
int world_teardown(void **state);
kafka_uuid_t world_topic_id(int index);
uint32_t world_pick(world_t *w, uint32_t below);

#endif

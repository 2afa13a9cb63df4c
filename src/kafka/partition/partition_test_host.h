/* partition_test_host.h: a partition without a broker, for the tests: its settings, and a simulated machine for it. */
#ifndef TRIVET_KAFKA_PARTITION_TEST_HOST_H
#define TRIVET_KAFKA_PARTITION_TEST_HOST_H

#include "io/sim.h"
#include "kafka/partition/partition_internal.h"
#include "kafka/record/record.h"

/* A topic "t" of one partition, with the defaults of Kafka but for small segments and no retention; no cleaner. */
void partition_test_settings(kafka_t *kafka, kafka_topic_t *topic, kafka_partition_state_t *state);

typedef struct partition_host {
    sim_t *sim;
    sim_node_t *node;
    kafka_t kafka;
    kafka_topic_t topic;
    kafka_partition_state_t state;
    partition_t *p;
    arena_t arena;
    record_builder_t builder;
} partition_host_t;

partition_host_t *partition_host_new(uint64_t seed); /* not started */
void partition_host_start(partition_host_t *host);
void partition_host_stop(partition_host_t *host);
void partition_host_free(partition_host_t *host); /* stopped */

#endif

/* cluster.h: who this broker is: meta.properties, and its registration in the tree. */
#ifndef TRIVET_KAFKA_CLUSTER_H
#define TRIVET_KAFKA_CLUSTER_H

#include "kafka/kafka_internal.h"

/* Reads or makes meta.properties: sets broker_id and cluster_id. ERR_STATE with a line in `err` when the
 * directory belongs to another broker or cluster. */
int cluster_identify(kafka_t *kafka, char *err, size_t err_bytes) MUST_CHECK;
/* Writes the broker, the controller and what Kafka expects to find into the tree; `kafka->ready` follows.
 * `host` and `port` are where it listens. */
void cluster_register(kafka_t *kafka);
/* Moves directories of partitions that the tree does not know out of the way (`-stray`). */
int cluster_remove_strays(kafka_t *kafka) MUST_CHECK;

#endif

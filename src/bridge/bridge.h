/* bridge.h: what needs more than one wing, and nothing else. Today: KAFKA.PRODUCE, a Redis command that appends a Kafka
 * record.
 *
 *   KAFKA.PRODUCE topic [PARTITION n] [KEY k] [HEADER name value ...] value
 *
 * It replies with an array of partition and offset once the record is in its partition. */
#ifndef TRIVET_BRIDGE_BRIDGE_H
#define TRIVET_BRIDGE_BRIDGE_H

#include "base/base.h"
#include "kafka/kafka.h"
#include "redis/redis.h"

typedef struct bridge bridge_t;

/* Registers the commands. Both wings must outlive the bridge's commands: free it after they have stopped. */
bridge_t *bridge_new(redis_t *redis, kafka_t *kafka);
void bridge_free(bridge_t *bridge);

#endif

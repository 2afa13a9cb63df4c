/* queue.h: a producer that waits for every replica, and a consumer of a group, over librdkafka. */
#pragma once

#include <librdkafka/rdkafka.h>

#include "config.h"

/* A consumer of `group`, or a producer when `group` is NULL. Ends the program when the configuration is
 * refused. */
rd_kafka_t *queue_new(const config_t *config, const char *group);
void queue_free(rd_kafka_t *client);

/* Subscribes to two topics; ends the program when librdkafka refuses. */
void queue_subscribe(rd_kafka_t *consumer, const char *first, const char *second);

/* Appends a record and waits until all in-sync replicas have it. -1: it was not acknowledged within the time
 * limit (it may still be there: no producer can know). `reason` becomes a header unless NULL. */
MUST_CHECK int queue_produce(rd_kafka_t *producer, const char *topic, const char *key, const char *id,
                             const char *reason, const void *value, size_t size);

bool queue_answers(rd_kafka_t *client);

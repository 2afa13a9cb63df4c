/* bridge_world.h: a server of two wings and the bridge on a machine of the simulator that dies and starts again, and a look
 * at what its topics hold. */
#ifndef TRIVET_TESTS_SIM_BRIDGE_WORLD_H
#define TRIVET_TESTS_SIM_BRIDGE_WORLD_H

#include "machine.h"

#include "bridge/bridge.h"
#include "coord/mirror.h"
#include "kafka/record/record.h"

#define WORLD_HOST       "10.0.0.1"
#define WORLD_REDIS_PORT 6379
#define WORLD_KAFKA_PORT 9092
#define WORLD_PARTITIONS 2 /* of each topic */

typedef struct bridge_world {
    machine_t machine;                     /* Redis and the bridge are on its loop */
    bool apart;                            /* control, Kafka and Redis are each on a loop of their own, always */
    bool topics_by_hand;                   /* auto.create.topics.enable=false */
    bool flushed;                          /* Kafka's logs are synced before each answer, too */
    const char *const (*feed_settings)[2]; /* ended by a NULL; NULL = no feed */
    io_loop_t *kafka_loop, *control;       /* Kafka's and the tree's: the same, or others */
    net_t *net, *kafka_net;
    coord_t *coord;
    mirror_t *tree;
    redis_t *redis;
    kafka_t *kafka;
    bridge_t *bridge;
    bool bridge_started;
    bridge_feeds_t *feeds;
} bridge_world_t;

/* On zeroes but for what the scenario has set. */
void bridge_world_init(bridge_world_t *w, run_t *run);
/* False when the machine died on the way. */
bool bridge_world_start(bridge_world_t *w) MUST_CHECK;
/* In good order, or what is left of a dead process. */
void bridge_world_stop(bridge_world_t *w);
/* The outbox has nothing to deliver, or it died: for sim_run_until. */
bool bridge_world_is_empty(void *world);
/* Runs until then; false when it died. */
bool bridge_world_settle(bridge_world_t *w) MUST_CHECK;
/* The integer behind `field` (NULL = the whole) of what the command answers. */
long bridge_world_ask(bridge_world_t *w, const char *command, const char *argument, const char *field);
/* Each record of the partition, in order; the record is borrowed. */
void bridge_world_each_record(bridge_world_t *w, const char *topic, int partition,
                              void (*each)(void *user, const record_t *record), void *user);

#endif

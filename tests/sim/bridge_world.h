/* bridge_world.h: a server of two wings and the bridge on a machine of the simulator that dies and starts again, and a look
 * at what its topics hold. */
#ifndef TRIVET_TESTS_SIM_BRIDGE_WORLD_H
#define TRIVET_TESTS_SIM_BRIDGE_WORLD_H

#include "scenario.h"

#include "bridge/bridge.h"
#include "kafka/record.h"

#define WORLD_PARTITIONS 2 /* of each topic */

typedef struct bridge_world {
    run_t *run;
    sim_node_t *node;
    bool unordered;                        /* bridge_break_order */
    const char *const (*feed_settings)[2]; /* ended by a NULL; NULL = no feed */
    io_loop_t *loop;
    net_t *net;
    coord_t *coord;
    redis_t *redis;
    kafka_t *kafka;
    bridge_t *bridge;
    bridge_feeds_t *feeds;
    bool failed; /* the tree gave up */
} bridge_world_t;

void bridge_world_init(bridge_world_t *w, run_t *run, const char *host);
/* True once the outbox is empty; false when the machine died on the way. */
bool bridge_world_start(bridge_world_t *w);
/* In good order, or what is left of a dead process. */
void bridge_world_stop(bridge_world_t *w);
/* Ends the process, by chance in good order, by kill or by power loss, and gives the machine a new one. */
void bridge_world_die(bridge_world_t *w);
bool bridge_world_is_empty(void *world); /* for sim_run_until; also when it died */
/* Each record of the topic, partition by partition; the record is borrowed. */
void bridge_world_each_record(bridge_world_t *w, const char *topic, void (*each)(void *user, const record_t *record),
                              void *user);

#endif

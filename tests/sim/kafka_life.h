/* kafka_life.h: the Kafka wing over the coordination tree, through the lives of a machine: what the scenarios about it share. */
#ifndef TRIVET_TESTS_SIM_KAFKA_LIFE_H
#define TRIVET_TESTS_SIM_KAFKA_LIFE_H

#include "machine.h"

#include "coord/mirror.h"
#include "kafka/kafka.h"
#include "log/log.h"
#include "net/net.h"

#define KAFKA_LIFE_SETTINGS_MAX 16

typedef struct kafka_life {
    machine_t machine;
    io_loop_t *control; /* the tree's; the wing is on the machine's */
    net_t *net;
    coord_t *coord;
    mirror_t *tree;
    kafka_t *kafka;
    struct {
        const char *name;
        char value[32];
    } settings[KAFKA_LIFE_SETTINGS_MAX];
    int settings_count;
} kafka_life_t;

/* A machine whose process runs; the wing is not started yet. */
void kafka_life_init(kafka_life_t *life, run_t *run);
void kafka_life_set(kafka_life_t *life, const char *name, const char *value);
/* False when the machine died on the way. */
bool kafka_life_start(kafka_life_t *life) MUST_CHECK;
void kafka_life_stop(kafka_life_t *life);
/* Shows each batch that the files of a partition hold, by offset; each has a right CRC and begins where the one before it
 * ended or behind that. */
void kafka_life_batches(kafka_life_t *life, const char *topic, int partition,
                        void (*each)(void *user, const batch_header_t *batch, bytes_t bytes), void *user);

#endif

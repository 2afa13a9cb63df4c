/* runtime_now.h: the time that goes into a coordinator's state machine with each input: it reads no clock itself. */
#ifndef TRIVET_KAFKA_COORDINATOR_RUNTIME_NOW_H
#define TRIVET_KAFKA_COORDINATOR_RUNTIME_NOW_H

#include <stdint.h>

typedef struct runtime_now {
    int64_t mono_ms; /* monotonic, for deadlines */
    int64_t wall_ms; /* Unix time, for what is recorded */
} runtime_now_t;

#endif

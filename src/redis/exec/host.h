/* host.h: what the rooms below ask of this one. */
#ifndef TRIVET_REDIS_HOST_H
#define TRIVET_REDIS_HOST_H

#include "redis/persist/persist.h"

extern const persist_host_t host__of_persist;

#endif

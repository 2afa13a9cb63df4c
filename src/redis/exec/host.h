/* host.h: what the rooms below ask of this one. */
#ifndef TRIVET_REDIS_HOST_H
#define TRIVET_REDIS_HOST_H

#include "redis/conn/clients.h"
#include "redis/persist/persist.h"

extern const persist_host_t host__of_persist;
clients_host_t host__of_clients(void);

#endif

/* holds.h: keys that nobody may change for a while, because they are on their way to another server. */
#ifndef TRIVET_REDIS_HOLDS_H
#define TRIVET_REDIS_HOLDS_H

#include "base/map.h"
#include "redis/exec/command_table.h"

typedef struct redis redis_t;
typedef struct redis_client redis_client_t;

typedef struct holds {
    map_t keys; /* of whatever database -> how many hold it */
} holds_t;

void holds__add(redis_t *redis, bytes_t key);
/* Those who waited go on when the last hold of all is gone. */
void holds__remove(redis_t *redis, bytes_t key);
/* True: the command may change one of them, so its client waits and sends it again. */
bool holds__must_wait(redis_client_t *c, const redis_command_t *command, int argc, const bytes_t *argv);
void holds__deinit(redis_t *redis);

#endif

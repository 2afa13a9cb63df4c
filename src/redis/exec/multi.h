/* multi.h: transactions: MULTI, EXEC and WATCH. */
#ifndef TRIVET_REDIS_MULTI_H
#define TRIVET_REDIS_MULTI_H

#include "redis/conn/client.h"
#include "redis/db/listen.h"

typedef struct transaction transaction_t; /* multi.c */

typedef struct multi {
    db_listener_t listener;
    uint64_t watching;   /* clients */
    transaction_t *left; /* in which a script stepped aside; NULL = none */
} multi_t;

void multi__init(redis_t *redis);
void multi__discard(redis_client_t *c);
/* Goes on with a transaction behind the script that stepped aside in it, in the name of `c`, who may be a stand-in for a client
 * that left. False = another script did the same. */
bool multi__go_on(redis_t *redis, redis_client_t *c);
void multi__free_left(redis_t *redis);
void multi__unwatch(redis_client_t *c);
/* What its queue and its watches take. */
size_t multi__bytes(const redis_client_t *c);
void multi__queue(redis_client_t *c, const redis_command_t *command, int argc, const bytes_t *argv);

#endif

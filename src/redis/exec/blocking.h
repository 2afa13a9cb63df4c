/* blocking.h: clients that wait, for keys or for an answer from outside. */
#ifndef TRIVET_REDIS_BLOCKING_H
#define TRIVET_REDIS_BLOCKING_H

#include "base/list.h"
#include "redis/conn/client.h"
#include "redis/db/listen.h"

typedef struct blocking {
    db_listener_t listener;
    list_t ready_keys; /* that somebody waits for */
    bool serving;
    uint64_t clients, lines; /* blocked; lines of those that read for consumer groups */
} blocking_t;

/* Keys whose end wakes somebody. */
size_t blocking__count_watched_ends(const redis_db_t *db);
void blocking__init(redis_t *redis);
void blocking__serve(redis_t *redis);
bool blocking__waits(const redis_client_t *c);
size_t blocking__count_timeouts(const redis_t *redis); /* clients that wait for a limited time */
size_t blocking__bytes(const redis_client_t *c);       /* that its wait takes */
void blocking__forget(redis_client_t *c);
/* The client goes: its answers find nobody. */
void blocking__forget_asyncs(redis_client_t *c);
/* CLIENT UNBLOCK; false when not blocked. */
bool blocking__unblock(redis_client_t *c, bool with_error);

#endif

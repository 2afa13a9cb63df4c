/* pubsub.h: channels, patterns and shard channels, and who is subscribed. */
#ifndef TRIVET_REDIS_PUBSUB_H
#define TRIVET_REDIS_PUBSUB_H

#include "redis/conn/client.h"
#include "redis/db/listen.h"

typedef enum { PUBSUB_CHANNEL, PUBSUB_PATTERN, PUBSUB_SHARD, PUBSUB_KINDS } pubsub_kind_t;

typedef struct pubsub {
    db_listener_t listener;                   /* notifications */
    map_t channels, patterns, shard_channels; /* name -> subscribers */
    uint64_t clients;                         /* subscribed to something */
} pubsub_t;

size_t pubsub__publish(clients_t *clients, bytes_t channel, bytes_t message, bool shard);
void pubsub__join(redis_client_t *c, pubsub_kind_t kind, bytes_t name);
void pubsub__leave(redis_client_t *c, pubsub_kind_t kind, bytes_t name);
void pubsub__leave_all(redis_client_t *c, pubsub_kind_t kind);
/* What the client is subscribed to, and what anybody is, as keys. */
map_t *pubsub__names_of(redis_client_t *c, pubsub_kind_t kind);
map_t *pubsub__all_of(clients_t *clients, pubsub_kind_t kind);
/* How many are subscribed to it. */
size_t pubsub__count(clients_t *clients, pubsub_kind_t kind, bytes_t name);
void pubsub__forget(redis_client_t *c);
size_t pubsub__subscriptions(const redis_client_t *c);

#endif

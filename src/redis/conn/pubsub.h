/* pubsub.h: channels and who is subscribed; keyspace notifications, which go out on channels. */
#ifndef TRIVET_REDIS_PUBSUB_H
#define TRIVET_REDIS_PUBSUB_H

#include "redis/conn/client.h"
#include "redis/db/listen.h"

typedef struct pubsub {
    db_listener_t listener;                   /* notifications */
    map_t channels, patterns, shard_channels; /* name -> subscribers */
    uint64_t clients;                         /* subscribed to something */
} pubsub_t;

size_t pubsub__publish(redis_t *redis, bytes_t channel, bytes_t message, bool shard);
void pubsub__forget(redis_client_t *c);
size_t pubsub__subscriptions(const redis_client_t *c);
void notify__init(redis_t *redis);
void notify__update(redis_t *redis); /* after notify-keyspace-events has changed */
uint32_t notify__parse(const char *text, bool *ret_ok);
void notify__format(uint32_t classes, char out[32]);

#endif

/* migration.h: keys on their way to another server: MIGRATE's work, which goes on while its client waits. */
#ifndef TRIVET_REDIS_MIGRATION_H
#define TRIVET_REDIS_MIGRATION_H

#include "redis/redis.h"

typedef struct migrations migrations_t;

typedef struct migration_order {
    bytes_t host;
    uint16_t port;
    int64_t db, timeout_ms;
    bool copy, replace;
    bytes_t user, password; /* ptr NULL = none */
    const bytes_t *keys;    /* those that are there */
    size_t key_count;
} migration_order_t;

migrations_t *migration__new(redis_t *redis);
void migration__free(migrations_t *all);
/* Everything is copied. Replies by itself, in the end. */
void migration__begin(redis_call_t *call, const migration_order_t *order);
size_t migration__links(const migrations_t *all); /* connections that wait for the next one, and those at work */

#endif

/* db_internal.h: what the files of a database share, and what announces. */
#ifndef TRIVET_REDIS_DB_INTERNAL_H
#define TRIVET_REDIS_DB_INTERNAL_H

#include "base/hash.h"
#include "redis/db/announce.h"
#include "redis/db/evict.h"

void db__forget_expiry(redis_db_t *db, redis_entry_t *e, uint64_t hash);
/* A new entry of an absent key. */
void db__put(redis_db_t *db, redis_entry_t *e, uint64_t hash);

#endif

/* db.h: a database: its keys, and what changes them and announces that. Handlers use keyspace.h. */
#ifndef TRIVET_REDIS_DB_H
#define TRIVET_REDIS_DB_H

#include "base/map.h"
#include "redis/db/listen.h"
#include "redis/types/entry.h"
#include "redis/types/table.h"

typedef struct redis redis_t;

struct redis_db {
    redis_t *redis;
    int id;
    uint8_t epoch; /* ENTRY_EPOCH bit of entries that the rewrite under way has passed */
    table_t keys;
    table_t expires; /* the entries of `keys` that have an expiry */
    map_t watched;   /* key -> watch_key_t */
    map_t blocked;   /* key -> blocked_key_t */
    uint64_t expire_cursor;
    int64_t ttl_average_ms;
};

void db__init(redis_db_t *db, redis_t *redis, int id);
void db__deinit(redis_db_t *db);
/* Deletes every key; returns how many there were. `command` as in listen.h. */
uint64_t db__empty(redis_db_t *db, const char *command);
void db__swap(redis_db_t *a, redis_db_t *b);
redis_entry_t *db__find(redis_db_t *db, bytes_t key);
void db__delete_expired(redis_db_t *db, redis_entry_t *entry);
/* The key has gone without a command. */
void db__went(redis_db_t *db, bytes_t key, db_cause_t cause);
static inline bool entry_is_expired(const redis_entry_t *e, int64_t now_ms)
{
    int64_t at = entry_expire_ms(e);
    return at >= 0 && now_ms > at;
}
const redis_type_ops_t *type__ops(redis_type_t type); /* NULL for strings */
const char *type__name(redis_type_t type);
const char *encoding__name(redis_encoding_t encoding);
size_t entry__memory_bytes(const redis_entry_t *e, size_t samples);
/* Deletes without looking at expiry; announces nothing but that the entry is about to change. */
bool db__delete(redis_db_t *db, bytes_t key);
/* Moves an existing key's value and expiry to a name that is free (RENAME, MOVE). */
redis_entry_t *db__move(redis_db_t *from, bytes_t name, redis_db_t *to, bytes_t new_name);
/* Copies an entry to a name that is free, in any database. */
redis_entry_t *db__add_copy(redis_db_t *to, bytes_t key, const redis_entry_t *from);

#endif

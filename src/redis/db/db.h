/* db.h: a database: its keys, and what changes them and announces that. Handlers use exec/key.h. `hash` is the key's (hash_bytes). */
#ifndef TRIVET_REDIS_DB_H
#define TRIVET_REDIS_DB_H

#include "base/heap.h"
#include "base/map.h"
#include "redis/db/listen.h"
#include "redis/types/entry.h"
#include "redis/types/table.h"

typedef struct redis redis_t;
typedef struct keyspace keyspace_t;

struct redis_db {
    redis_t *redis; /* for the rooms above */
    keyspace_t *keyspace;
    int id;
    uint8_t epoch; /* ENTRY_EPOCH bit of entries that the rewrite under way has passed */
    table_t keys;
    table_t expires; /* the entries of `keys` that have an expiry */
    heap_t clocks;   /* of the hashes some of whose fields expire (hash_clock_t), by the first time of each */
    map_t watched;   /* key -> watch_key_t */
    map_t blocked;   /* key -> blocked_key_t */
    uint64_t expire_cursor;
    int64_t ttl_average_ms;
};

void db__init(redis_db_t *db, keyspace_t *keyspace, int id);
void db__deinit(redis_db_t *db);
/* Deletes every key; returns how many there were. `command` as in listen.h. `later`: lazyfree.h. */
uint64_t db__empty(redis_db_t *db, const char *command, bool later);
void db__swap(redis_db_t *a, redis_db_t *b);
redis_entry_t *db__find(redis_db_t *db, bytes_t key);
static inline bool db__same(const void *entry, bytes_t key)
{
    const redis_entry_t *e = entry;
    return e->key_len == MIN(key.len, (size_t)ENTRY_LONG_KEY) && bytes_eq(entry_key(e), key);
}
/* Adds an absent key that holds `value`, which is the database's from now on. */
redis_entry_t *db__add(redis_db_t *db, bytes_t key, uint64_t hash, redis_type_t type, redis_encoding_t encoding,
                       void *value);
/* Adds or replaces whatever is there, with its expiry. */
redis_entry_t *db__set(redis_db_t *db, bytes_t key, uint64_t hash, redis_type_t type, redis_encoding_t encoding,
                       void *value);
/* Sets the expiry (Unix ms) or takes it away (-1); returns the entry, which may have moved. */
redis_entry_t *db__set_expire(redis_db_t *db, redis_entry_t *e, int64_t at_ms);
void db__delete_expired(redis_db_t *db, redis_entry_t *entry);
/* Deletes the first fields of the hash whose time is over, at most DB_FIELDS_MAX; returns how many. The entry may go. */
#define DB_FIELDS_MAX 64
int db__delete_expired_fields(redis_db_t *db, redis_entry_t *entry);
/* The entry came, goes, was moved, or has other times than before: field_time.c. */
void db__clock_in(redis_db_t *db, redis_entry_t *entry);
void db__clock_out(redis_db_t *db, redis_entry_t *entry);
void db__clock_set(redis_db_t *db, redis_entry_t *entry);
/* The key has gone without a command. */
void db__went(redis_db_t *db, bytes_t key, db_cause_t cause);
static inline bool entry_is_expired(const redis_entry_t *e, int64_t now_ms)
{
    int64_t at = entry_expire_ms(e);
    return at >= 0 && now_ms > at;
}
/* Deletes without looking at expiry; announces nothing but that the entry is about to change. */
bool db__delete(redis_db_t *db, bytes_t key);
bool db__delete_hashed(redis_db_t *db, bytes_t key, uint64_t hash);
/* The same, saying whether a large value is freed later (lazyfree.h); the others go by lazyfree-lazy-server-del. */
bool db__delete_lazily(redis_db_t *db, bytes_t key, uint64_t hash, bool later);
/* Moves an existing key's value and expiry to a name that is free (RENAME, MOVE). */
redis_entry_t *db__move(redis_db_t *from, bytes_t name, redis_db_t *to, bytes_t new_name);
/* Copies an entry to a name that is free, in any database. */
redis_entry_t *db__add_copy(redis_db_t *to, bytes_t key, const redis_entry_t *from);

/* ---- strings (strings.c): the bytes are copied --------------------------------------------------------------------- */

typedef enum string_form { STRING_BEST, STRING_TEXT } string_form_t; /* integers are recognised; or stay text */
/* Adds an absent key. */
redis_entry_t *db__add_string(redis_db_t *db, bytes_t key, uint64_t hash, bytes_t value, string_form_t form);
/* Replaces what the entry at `pos` holds, of any type. */
redis_entry_t *db__replace_string(redis_db_t *db, table_pos_t pos, uint64_t hash, bytes_t value, string_form_t form,
                                  bool keep_ttl);
/* Makes the string `len` bytes long (new ones are zero), its encoding raw, and returns its bytes. The entry may move. */
uint8_t *db__resize_string(redis_db_t *db, redis_entry_t *entry, size_t len);

#endif

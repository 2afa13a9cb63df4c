/* announce.h: what changes keys says so here; what nobody wants to hear costs one branch. */
#ifndef TRIVET_REDIS_ANNOUNCE_H
#define TRIVET_REDIS_ANNOUNCE_H

#include "redis/db/keyspace.h"

static inline bool db__is_wanted(const redis_db_t *db, uint32_t announcement)
{
    return UNLIKELY(listen__is_wanted(&db->keyspace->announce, announcement));
}

static inline void db__will_change(redis_db_t *db, redis_entry_t *e)
{
    if (db__is_wanted(db, DB_WILL_CHANGE)) listen__will_change(&db->keyspace->announce, db, e);
}

static inline void db__event(redis_db_t *db, bytes_t key, uint32_t event_class, const char *event)
{
    if (db__is_wanted(db, DB_EVENT)) listen__event(&db->keyspace->announce, db, key, event_class, event);
}

static inline void db__changed(redis_db_t *db, bytes_t key)
{
    if (db__is_wanted(db, DB_CHANGED)) listen__changed(&db->keyspace->announce, db, key);
}

static inline void db__grew(redis_db_t *db, bytes_t key)
{
    if (db__is_wanted(db, DB_GREW)) listen__grew(&db->keyspace->announce, db, key);
}

#endif

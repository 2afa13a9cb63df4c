/* listen.h: what the keyspace announces, and how to hear it.
 *
 * db/ owns the entries and knows nobody above it. Whoever must hear of changes embeds a db_listener_t in his own struct,
 * fills in the callbacks he cares for, subscribes with db_listen and says with db_want which announcements he wants now:
 *
 *     static void on_changed(db_listener_t *self, redis_db_t *db, bytes_t key)
 *     {
 *         tracking_t *t = CONTAINER_OF(self, tracking_t, listener);
 *         ...
 *     }
 *     t->listener = (db_listener_t){.name = "tracking", .rank = DB_RANK_TRACKING, .changed = on_changed};
 *     db_listen(&redis->announce, &t->listener);
 *     db_want(&redis->announce, &t->listener, DB_CHANGED); // when the first client asks for it; 0 when the last one leaves
 *
 * What nobody wants costs one branch. Listeners hear an announcement in the order of their ranks. A callback runs in the middle of a
 * command: it may change what it wants itself, and must not change keys, nor subscribe or unsubscribe anybody. */
#ifndef TRIVET_REDIS_LISTEN_H
#define TRIVET_REDIS_LISTEN_H

#include "redis/config/notify_classes.h"
#include "redis/types/entry.h"

typedef struct redis_db redis_db_t;
typedef struct db_listener db_listener_t;

#define DB_LISTENERS_MAX 16

/* What can be wanted. */
enum {
    DB_WILL_CHANGE = 1 << 0,
    DB_CHANGED = 1 << 1,
    DB_GONE = 1 << 2,
    DB_EVENT = 1 << 3,
    DB_WILL_EMPTY = 1 << 4,
    DB_WILL_SWAP = 1 << 5,
    DB_SWAPPED = 1 << 6,
    DB_GREW = 1 << 7,
    DB_FIELDS_GONE = 1 << 8,
};

/* The file comes first, so that what others add to it stands behind the change. */
enum {
    DB_RANK_PERSIST = 10,
    DB_RANK_REPLICATION = 20,
    DB_RANK_FEED = 30,
    DB_RANK_WATCH = 40,
    DB_RANK_BLOCKING = 50,
    DB_RANK_TRACKING = 60,
    DB_RANK_NOTIFY = 70,
};

/* Why a key went without a command. */
typedef enum db_cause { DB_EXPIRED, DB_EVICTED } db_cause_t;
const char *db_cause_name(db_cause_t cause); /* "expired" */

struct db_listener {
    const char *name;
    int rank;
    uint32_t wants; /* db_want sets it */

    /* The entry's value or expiry is about to change, or the entry is about to go, for whatever reason but will_empty and
     * will_swap. It may come several times for one change. New keys are not announced beforehand. */
    void (*will_change)(db_listener_t *self, redis_db_t *db, redis_entry_t *entry);
    /* A command has changed the key, once for each key of the command: the key is new, has another value or another expiry,
     * or is no more. */
    void (*changed)(db_listener_t *self, redis_db_t *db, bytes_t key);
    /* The key is new, or there is more in it than before. It comes in the middle of the command, before `changed`. */
    void (*grew)(db_listener_t *self, redis_db_t *db, bytes_t key);
    /* The key is no more, and no command took it. */
    void (*gone)(db_listener_t *self, redis_db_t *db, bytes_t key, db_cause_t cause);
    /* Fields of a hash are no more, because their time was over; if none is left, the key is no more either. */
    void (*fields_gone)(db_listener_t *self, redis_db_t *db, bytes_t key, int count, const bytes_t *fields);
    /* A keyspace event of notify-keyspace-events: "lpush" of NOTIFY_LIST, and "new", "expired", "keymiss" too. */
    void (*event)(db_listener_t *self, redis_db_t *db, bytes_t key, uint32_t event_class, const char *event);
    /* All keys of the database are about to go. `command` is what does it, "flushall"; it is NULL when nothing is lost
     * thereby: the data set is read in again, or the command was read from the append-only file. */
    void (*will_empty)(db_listener_t *self, redis_db_t *db, const char *command);
    /* Two databases are about to exchange all their keys; they have done so. */
    void (*will_swap)(db_listener_t *self, redis_db_t *a, redis_db_t *b);
    void (*swapped)(db_listener_t *self, redis_db_t *a, redis_db_t *b);
};

/* The listeners of one keyspace. */
typedef struct db_listeners {
    uint32_t wanted; /* by any of them */
    int count;
    db_listener_t *at[DB_LISTENERS_MAX]; /* by rank */
} db_listeners_t;

/* The listener is its owner's and stays where it is until db_unlisten, or until the keyspace is freed. */
void db_listen(db_listeners_t *all, db_listener_t *listener);
void db_unlisten(db_listeners_t *all, db_listener_t *listener);
/* Replaces what it wanted so far. Only what it has a callback for may be wanted. */
void db_want(db_listeners_t *all, db_listener_t *listener, uint32_t wants);

/* ---- for db/, which announces ---------------------------------------------------------------------------------------- */

static inline bool listen__is_wanted(const db_listeners_t *all, uint32_t wants) { return all->wanted & wants; }
void listen__will_change(db_listeners_t *all, redis_db_t *db, redis_entry_t *entry);
void listen__changed(db_listeners_t *all, redis_db_t *db, bytes_t key);
void listen__grew(db_listeners_t *all, redis_db_t *db, bytes_t key);
void listen__gone(db_listeners_t *all, redis_db_t *db, bytes_t key, db_cause_t cause);
void listen__fields_gone(db_listeners_t *all, redis_db_t *db, bytes_t key, int count, const bytes_t *fields);
void listen__event(db_listeners_t *all, redis_db_t *db, bytes_t key, uint32_t event_class, const char *event);
void listen__will_empty(db_listeners_t *all, redis_db_t *db, const char *command);
void listen__will_swap(db_listeners_t *all, redis_db_t *a, redis_db_t *b);
void listen__swapped(db_listeners_t *all, redis_db_t *a, redis_db_t *b);

#endif

/* listen.c: the listeners of a keyspace, by rank, and the announcements to those who want them; see listen.h. */
#include "redis/db/listen.h"

const char *db_cause_name(db_cause_t cause) { return cause == DB_EXPIRED ? "expired" : "evicted"; }

/* ---- subscribing ----------------------------------------------------------------------------------------------------- */

static void gather_wants(db_listeners_t *all)
{
    all->wanted = 0;
    for (int i = 0; i < all->count; i++) all->wanted |= all->at[i]->wants;
}

void db_listen(db_listeners_t *all, db_listener_t *listener)
{
    ASSERT(all->count < DB_LISTENERS_MAX);
    int i = all->count++;
    for (; i > 0 && all->at[i - 1]->rank > listener->rank; i--) all->at[i] = all->at[i - 1];
    ASSERT(i == 0 || all->at[i - 1] != listener);
    all->at[i] = listener;
    listener->wants = 0;
}

void db_unlisten(db_listeners_t *all, db_listener_t *listener)
{
    int i = 0;
    while (i < all->count && all->at[i] != listener) i++;
    ASSERT(i < all->count);
    all->count--;
    for (; i < all->count; i++) all->at[i] = all->at[i + 1];
    gather_wants(all);
}

static uint32_t able(const db_listener_t *l)
{
    return (l->will_change ? DB_WILL_CHANGE : 0) | (l->changed ? DB_CHANGED : 0) | (l->gone ? DB_GONE : 0) |
           (l->event ? DB_EVENT : 0) | (l->will_empty ? DB_WILL_EMPTY : 0) | (l->will_swap ? DB_WILL_SWAP : 0) |
           (l->swapped ? DB_SWAPPED : 0) | (l->grew ? DB_GREW : 0) | (l->fields_gone ? DB_FIELDS_GONE : 0);
}

void db_want(db_listeners_t *all, db_listener_t *listener, uint32_t wants)
{
    ASSERT((wants & ~able(listener)) == 0);
    listener->wants = wants;
    gather_wants(all);
}

/* ---- announcing ------------------------------------------------------------------------------------------------------ */

#define EACH_WANTING(all, bit, l)                                                                                      \
    for (int i_ = 0; i_ < (all)->count; i_++)                                                                          \
        for (db_listener_t *l = (all)->at[i_]; l && (l->wants & (bit)); l = NULL)

void listen__will_change(db_listeners_t *all, redis_db_t *db, redis_entry_t *entry)
{
    EACH_WANTING(all, DB_WILL_CHANGE, l) l->will_change(l, db, entry);
}

void listen__changed(db_listeners_t *all, redis_db_t *db, bytes_t key)
{
    EACH_WANTING(all, DB_CHANGED, l) l->changed(l, db, key);
}

void listen__grew(db_listeners_t *all, redis_db_t *db, bytes_t key)
{
    EACH_WANTING(all, DB_GREW, l) l->grew(l, db, key);
}

void listen__gone(db_listeners_t *all, redis_db_t *db, bytes_t key, db_cause_t cause)
{
    EACH_WANTING(all, DB_GONE, l) l->gone(l, db, key, cause);
}

void listen__fields_gone(db_listeners_t *all, redis_db_t *db, bytes_t key, int count, const bytes_t *fields)
{
    EACH_WANTING(all, DB_FIELDS_GONE, l) l->fields_gone(l, db, key, count, fields);
}

void listen__event(db_listeners_t *all, redis_db_t *db, bytes_t key, uint32_t event_class, const char *event)
{
    EACH_WANTING(all, DB_EVENT, l) l->event(l, db, key, event_class, event);
}

void listen__will_empty(db_listeners_t *all, redis_db_t *db, const char *command)
{
    EACH_WANTING(all, DB_WILL_EMPTY, l) l->will_empty(l, db, command);
}

void listen__will_swap(db_listeners_t *all, redis_db_t *a, redis_db_t *b)
{
    EACH_WANTING(all, DB_WILL_SWAP, l) l->will_swap(l, a, b);
}

void listen__swapped(db_listeners_t *all, redis_db_t *a, redis_db_t *b)
{
    EACH_WANTING(all, DB_SWAPPED, l) l->swapped(l, a, b);
}

/* walk.h: the data set as it was at one moment, entry by entry, while commands go on: no fork, and no second copy.
 *
 * At the start each database's epoch bit flips, so that no entry carries the current one. The walk gives entries to its user, a
 * slice each turn of the loop, and marks them. An entry that is not marked and of which the keyspace
 * announces that it will change is given first; new entries are born marked. So the user gets exactly what was there at the start, each entry once, in any
 * order. One walk goes on at a time. */
#ifndef TRIVET_REDIS_WALK_H
#define TRIVET_REDIS_WALK_H

#include "redis/db/db.h"

typedef struct walk walk_t;
typedef struct persist persist_t;

typedef struct walk_user {
    void (*put)(struct walk_user *u, const redis_db_t *db, const redis_entry_t *e);
    void (*stepped)(struct walk_user *u); /* after each slice; may stop the walk */
    void (*ended)(struct walk_user *u);   /* all was given */
    /* The data set was emptied, or databases change places: the walk is over and was not whole. */
    void (*interrupted)(struct walk_user *u);
} walk_user_t;

walk_t *walk__new(persist_t *persist);
void walk__free(walk_t *walk);
bool walk__is_active(const persist_t *persist);
/* None may be active. Between two commands, or in one that changes nothing. */
void walk__start(persist_t *persist, walk_user_t *user);
void walk__stop(persist_t *persist, const walk_user_t *user); /* nothing if it is not the user's */

#endif

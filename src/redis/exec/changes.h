/* changes.h: the one observer of every change to a key (redis.h: redis_observe). Without one it costs a branch. */
#ifndef TRIVET_REDIS_CHANGES_H
#define TRIVET_REDIS_CHANGES_H

#include "redis/db/listen.h"
#include "redis/exec/command_table.h"

typedef struct redis redis_t;

typedef struct changes {
    db_listener_t listener;
    const struct redis_observer *observer; /* NULL = nobody */
    bool open;                             /* it wants to hear of the end of the entry */
    bool held;                             /* it is asked before each write */
} changes_t;

void changes__init(redis_t *redis);
/* A command changed something and travels to the append-only file as this; it has run. */
void changes__tell(redis_db_t *db, int argc, const bytes_t *argv);
/* The entry ends: the observer has its last word in it. */
void changes__close(redis_t *redis);
/* Why a command must not run, in the observer's words; NULL = it may. While writes are held: of what names its keys.
 * At any time: of what changes all keys of a database. */
const char *changes__refusal(redis_db_t *db, const redis_command_t *command, int argc, const bytes_t *argv);

#endif

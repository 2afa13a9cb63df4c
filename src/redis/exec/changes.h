/* changes.h: the one observer of every change to a key (redis.h: redis_observe). Without one it costs a branch. */
#ifndef TRIVET_REDIS_CHANGES_H
#define TRIVET_REDIS_CHANGES_H

#include "redis/state.h"

/* A command changed something and travels to the append-only file as this; it has run. */
void changes__tell(redis_db_t *db, int argc, const bytes_t *argv);
/* A key went by itself: "expired", "evicted". */
void changes__tell_gone(redis_db_t *db, bytes_t key, const char *cause);
/* FLUSHDB and FLUSHALL: all of the database's keys are about to go. */
void changes__tell_flush(redis_db_t *db, const char *command);
/* The entry ends: the observer has its last word in it. */
void changes__close(redis_t *redis);
/* Why a command must not run, in the observer's words; NULL = it may. While writes are held: of what names its keys.
 * At any time: of what changes all keys of a database. */
const char *changes__refusal(redis_db_t *db, const redis_command_t *command, int argc, const bytes_t *argv);

#endif

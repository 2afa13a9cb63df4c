/* aof.h: the append-only file: what commands changed, in Redis's multi-part format.
 *
 * Commands are fed while they run, gathered (aof__commit closes what one client command caused, wrapped in
 * MULTI/EXEC when it is more than one) and written by a hook at rank 10, before replies leave at rank 90.
 * With appendfsync always a connection whose command is not yet on disk is held until it is. */
#ifndef TRIVET_REDIS_AOF_H
#define TRIVET_REDIS_AOF_H

#include "io/io.h"
#include "redis/db/db.h"

typedef struct aof aof_t;
typedef struct persist persist_t;

aof_t *aof__new(persist_t *persist);
void aof__free(aof_t *aof);

/* ---- feeding --------------------------------------------------------------------------------------------------------- */

/* A whole command's bytes as received; the fast way, only when nothing is gathered. */
void aof__feed_raw(persist_t *persist, const redis_db_t *db, bytes_t raw);
void aof__feed(persist_t *persist, const redis_db_t *db, int argc, const bytes_t *argv);
bool aof__has_gathered(const persist_t *persist);
/* Into the entry that is being gathered, whatever database is selected. */
void aof__feed_too(persist_t *persist, int argc, const bytes_t *argv);
/* An entry of its own, outside any command. */
void aof__feed_alone(persist_t *persist, int argc, const bytes_t *argv);
/* All entries made so far are in the file, and with appendfsync always on stable storage; or there is no file. */
bool aof__is_written(const persist_t *persist);
/* Ends what was gathered; `atomic` wraps several commands in MULTI/EXEC. */
void aof__commit(persist_t *persist, bool atomic);

/* ---- life ------------------------------------------------------------------------------------------------------------ */

/* Before loading: keeps so much room on the disk for what was begun when it is full. */
void aof__keep_room_of(persist_t *persist, uint64_t bytes);
/* Looks at what is there; aof_loader_t then reads it, and aof__opened ends it. */
int aof__open(persist_t *persist, char *err, size_t err_bytes) MUST_CHECK;
/* In place of that, with a new one: what is in memory was read from `snapshot`, which becomes the base. */
int aof__begin_with(persist_t *persist, io_file_t *snapshot) MUST_CHECK;
void aof__opened(persist_t *persist);
/* Nothing was ever written to it. */
bool aof__is_new(const persist_t *persist);

typedef struct aof_loader aof_loader_t;
aof_loader_t *aof__loader_new(aof_t *aof);
void aof__loader_free(aof_loader_t *l);
/* Reads on for some milliseconds; at the end there is a file to write to. */
int aof__loader_step(aof_loader_t *l, bool *ret_done, char *err, size_t err_bytes) MUST_CHECK;
/* Writes and syncs what is due. */
int aof__flush(persist_t *persist) MUST_CHECK;
/* The same, for the end. */
int aof__close(persist_t *persist) MUST_CHECK;
/* DEBUG LOADAOF: writes what is due, empties memory and reads all back. */
int aof__reload(persist_t *persist, char *err, size_t err_bytes) MUST_CHECK;
/* CONFIG SET appendonly. */
int aof__enable(persist_t *persist) MUST_CHECK;
void aof__disable(persist_t *persist);
/* From the cron: the everysec sync, automatic rewrites. */
void aof__cron(persist_t *persist);
#define AOF_ASK_BYTES KIB(32) /* of a command: more asks aof__has_room first */
/* Whether the disk has room for a command of so many bytes; if not, writes are refused from now on. */
bool aof__has_room(persist_t *persist, size_t bytes);
/* The reason writes are refused (MISCONF), NULL when all is well. */
const char *aof__failure(const persist_t *persist);

/* ---- rewriting ------------------------------------------------------------------------------------------------------- */

/* Starts as soon as the loop turns; ERR_BUSY when one is under way. */
int aof__rewrite(persist_t *persist) MUST_CHECK;

typedef struct aof_info {
    bool enabled, rewriting, scheduled, last_rewrite_ok, last_write_ok, sync_pending;
    uint64_t current_bytes, base_bytes, buffer_bytes, rewrites, delayed_syncs;
    int64_t last_rewrite_s, current_rewrite_s;
} aof_info_t;
aof_info_t aof__info(const persist_t *persist);

#endif

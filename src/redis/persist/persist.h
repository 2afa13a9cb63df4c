/* persist.h: what the files of this room share, and what the room asks of those above it, which run commands. */
#ifndef TRIVET_REDIS_PERSIST_H
#define TRIVET_REDIS_PERSIST_H

#include "base/health.h"
#include "redis/db/keyspace.h"
#include "redis/types/emit.h"

typedef struct persist persist_t;
typedef struct redis_client redis_client_t;
typedef struct aof aof_t;             /* aof.h */
typedef struct walk walk_t;           /* walk.h */
typedef struct snapshots snapshots_t; /* snapshot.h */
typedef struct loading loading_t;     /* load.c */

typedef struct persist_host {
    /* A client for commands that were written down. */
    redis_client_t *(*client_new)(persist_t *persist);
    void (*client_free)(redis_client_t *c);
    /* Runs such a command, or adds it to the transaction that is open. ERR_NOT_FOUND: there is none of that name with so many
     * arguments. */
    int (*replay)(redis_client_t *c, int argc, const bytes_t *argv) MUST_CHECK;
    bool (*is_queueing)(const redis_client_t *c); /* a transaction is open */
    void (*discard)(redis_client_t *c);           /* its end will not come */
    /* Why commands are refused, if they are, may have changed. */
    void (*gate)(persist_t *persist);
    /* A script has paused halfway: no moment to begin what wants the data set as it is between two commands. */
    bool (*is_midway)(const persist_t *persist);
    /* What memory holds cannot be made durable though it must be: nobody may be told of it, and the server ends. */
    void (*give_up)(persist_t *persist, const char *why);
} persist_host_t;

#define PERSIST_BESIDE_MAX 4

typedef struct beside {
    void (*emit)(void *user, redis_emitter_t *base);
    void *user;
} beside_t;

/* All is borrowed but the room's own parts. */
struct persist {
    const persist_host_t *host;
    io_loop_t *loop;
    redis_config_t *config;
    keyspace_t *keyspace;
    health_t *health;
    char *data_dir;
    uint64_t dirty;                      /* changes that commands have made since the start */
    bool observed;                       /* somebody is told of every change: of keys that expire too */
    beside_t beside[PERSIST_BESIDE_MAX]; /* what lies beside the keys in a data set */
    int beside_count;
    aof_t *aof;
    walk_t *walk;
    snapshots_t *snapshots;
    loading_t *loading; /* while it goes on */
};

/* Makes the parts, once all that is borrowed is there. */
void persist__open_parts(persist_t *persist);
void persist__free_parts(persist_t *persist);
/* The reason writes are refused (MISCONF), of snapshots or the append-only file; NULL when all is well. */
const char *persist__failure(const persist_t *persist);
/* `emit` is asked at the start of each file for the commands that make what lies beside the keys. */
void persist__beside_add(persist_t *persist, void (*emit)(void *user, redis_emitter_t *base), void *user);
void persist__beside_remove(persist_t *persist, void *user);

#endif

/* replay.h: commands that were written down, run again: without expiry, and without a client. Of the append-only file, and of what
 * an RDB file carries beside the keys. */
#ifndef TRIVET_REDIS_REPLAY_H
#define TRIVET_REDIS_REPLAY_H

#include "base/buf.h"
#include "wire/resp.h"

typedef struct persist persist_t;
typedef struct redis_client redis_client_t;

typedef struct replay {
    persist_t *persist;
    redis_client_t *client;
    buf_t buf;           /* unread bytes: whoever feeds it appends while it is hungry */
    uint64_t done_bytes; /* run */
    uint64_t multi_at;   /* of done_bytes, where the open transaction began */
    uint64_t commands;
    char problem[200]; /* of ERR_CORRUPT */
    /* private */
    size_t at; /* in buf: what is before was run */
    bytes_t *argv;
    int argv_max;
    resp_resume_t resume;
} replay_t;

void replay__init(replay_t *r, persist_t *persist);
void replay__deinit(replay_t *r);
/* Runs at most so many of the commands that are whole in `buf`. `ret_hungry`: nothing is whole any more. */
int replay__run(replay_t *r, unsigned commands_max, bool *ret_hungry) MUST_CHECK;
/* A transaction is open; its end will not come. */
bool replay__is_queueing(const replay_t *r);
void replay__discard(replay_t *r);
/* Bytes of a command, or commands of a transaction, that have not ended. */
bool replay__is_midway(const replay_t *r);

#endif

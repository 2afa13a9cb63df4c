/* stream_read.h: what XREAD and XREADGROUP are asked for. */
#ifndef TRIVET_REDIS_CMD_STREAM_READ_H
#define TRIVET_REDIS_CMD_STREAM_READ_H

#include "redis/cmd/stream.h"

typedef struct read_options {
    bool grouped; /* XREADGROUP */
    bytes_t group, consumer;
    bool noack;
    uint64_t count;     /* entries of each stream; 0 = all */
    uint64_t maxcount;  /* of all streams together; 0 = any number */
    uint64_t maxsize;   /* bytes of names and values of all together, but one entry at least; 0 = any number */
    int64_t claim_ms;   /* takes over what has been pending for so long; -1: nothing */
    int64_t timeout_ms; /* -1: does not wait */
    int first_key, keys_count;
} read_options_t;

/* What is wanted of one stream. */
typedef struct wanted {
    bytes_t key;
    stream_id_t after;
    bool fresh; /* `>` */
} wanted_t;

/* Both false after replying the error. The options as far as STREAMS; then, of each stream in turn, its key, its group and the ID, so that
 * the first that is wrong is told of. */
bool stream__read_options(redis_call_t *call, read_options_t *options) MUST_CHECK;
bool stream__read_wanted(redis_call_t *call, const read_options_t *options, int i, wanted_t *ret_wanted) MUST_CHECK;

#endif

/* stream_idmp.h: which messages of a producer a stream has already: XADD IDMP. Each producer's last so many idempotent IDs are
 * remembered for so many seconds, with the entry that each of them made. */
#ifndef TRIVET_REDIS_TYPES_STREAM_IDMP_H
#define TRIVET_REDIS_TYPES_STREAM_IDMP_H

#include "redis/types/emit.h"
#include "redis/types/stream.h"

#define STREAM_IDMP_DURATION_S_DEFAULT 100
#define STREAM_IDMP_DURATION_S_MAX     86400
#define STREAM_IDMP_MAXSIZE_DEFAULT    100
#define STREAM_IDMP_MAXSIZE_MAX        10000
#define STREAM_IDMP_AUTO_BYTES         16 /* of an ID made from the fields */

typedef struct stream_idmp stream_idmp_t;

typedef struct stream_idmp_info {
    int64_t duration_s, maxsize;
    uint64_t producers, tracked, added, duplicates; /* the last two: since it was made */
} stream_idmp_info_t;

/* s->idmp is NULL until one of these needs it. */
void stream_idmp_free(stream_idmp_t *m);
stream_idmp_t *stream_idmp_copy(const stream_idmp_t *m);
/* New limits forget all that is remembered; 0 leaves a limit as it is. */
void stream_idmp_configure(stream_t *s, int64_t duration_s, int64_t maxsize);
/* The entry that the message made; false when it is new, or forgotten. Counts a duplicate if asked. */
bool stream_idmp_find(stream_t *s, bytes_t producer, bytes_t iid, int64_t now_ms, bool count, stream_id_t *ret_id);
/* The message is not remembered yet. */
void stream_idmp_add(stream_t *s, bytes_t producer, bytes_t iid, stream_id_t id, int64_t now_ms);
/* The ID of a message by what is in it. */
void stream_idmp_auto(const stream_fields_in_t *in, uint8_t ret_iid[STREAM_IDMP_AUTO_BYTES]);
stream_idmp_info_t stream_idmp_info(const stream_t *s);
size_t stream_idmp_memory(const stream_t *s);
/* XCFGSET and XIDMPRECORD, in the order in which messages came; nothing when there is nothing to tell. */
void stream_idmp_emit(const stream_t *s, bytes_t key, redis_emitter_t *out);

#endif

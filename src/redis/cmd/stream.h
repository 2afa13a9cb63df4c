/* stream.h: what the commands of streams share: IDs and groups among the arguments, entries as replies, what travels. */
#ifndef TRIVET_REDIS_CMD_STREAM_H
#define TRIVET_REDIS_CMD_STREAM_H

#include "redis/exec/key.h"
#include "redis/types/stream_group.h"

/* ---- arguments: false after replying the error ----------------------------------------------------------------------- */

bool stream__id(redis_call_t *call, int i, uint64_t missing_seq, stream_id_t *ret_id) MUST_CHECK;
/* The same, with `-` and `+` for the least and the greatest. */
bool stream__id_or_end(redis_call_t *call, int i, uint64_t missing_seq, stream_id_t *ret_id) MUST_CHECK;
/* A range's ends: `-`, `+`, an ID or `(ID`, which is left out. */
bool stream__start(redis_call_t *call, int i, stream_id_t *ret_id) MUST_CHECK;
bool stream__end(redis_call_t *call, int i, stream_id_t *ret_id) MUST_CHECK;
/* The IDs from argument `from` on; mem_free them. NULL after an error. */
stream_id_t *stream__ids(redis_call_t *call, int from) MUST_CHECK;
/* The stream at argv[1] and its group of the name argv[2], for writing; false when one is not there, after NOGROUP. */
bool stream__group(redis_call_t *call, stream_t **ret_stream, stream_group_t **ret_group) MUST_CHECK;
/* KEEPREF, DELREF or ACKED at argument i; false when it is none of them. */
bool stream__refs(const redis_call_t *call, int i, stream_refs_t *ret_refs);
/* IDS numids id ... at argument *i, which moves on to the last of them; *ret_first is the first one's place. */
bool stream__ids_block(redis_call_t *call, int *i, int *ret_first, int *ret_count) MUST_CHECK;
/* `count` IDs from argument `from` on; mem_free them. NULL after an error. */
stream_id_t *stream__ids_of(redis_call_t *call, int from, int count) MUST_CHECK;
void stream__reply_syntax(redis_call_t *call, const char *container);

/* ---- replies --------------------------------------------------------------------------------------------------------- */

void stream__reply_id(redis_client_t *c, stream_id_t id);
void stream__reply_entry(redis_client_t *c, const stream_entry_t *e);
/* The ID and the fields, without the array around them. */
void stream__reply_entry_parts(redis_client_t *c, const stream_entry_t *e);
/* How long ago it was delivered; -1 when it was given back since. */
/* Whether it is the one that XNACK gives to, and holds something: it is nobody that clients know of. */
bool stream__is_nobody(const stream_consumer_t *consumer);
int64_t stream__idle_ms(const redis_call_t *call, const stream_pending_t *p);
/* False, and no reply, when there is no such entry. */
bool stream__reply_entry_at(redis_client_t *c, const stream_t *s, stream_id_t id) MUST_CHECK;
/* An array of the entries of [from, to], at most `count` (0 = all). */
void stream__reply_range(redis_client_t *c, stream_cursor_t *cursor, uint64_t count);

/* ---- what travels ---------------------------------------------------------------------------------------------------- */

/* Where in a stream's key something happened. */
typedef struct stream_place {
    bytes_t key, group;
    const stream_group_t *in;
} stream_place_t;
/* The entry is pending as its record says, and the group has got as far as it has: XCLAIM ... FORCE JUSTID LASTID. It also
 * takes an entry that is gone from the pending ones. */
void stream__propagate_claim(redis_call_t *call, const stream_place_t *at, stream_id_t id, const stream_pending_t *p);
/* The same of several entries that the consumer was just given. */
void stream__propagate_given(redis_call_t *call, const stream_place_t *at, bytes_t consumer, const stream_id_t *ids,
                             size_t count);
void stream__propagate_group_id(redis_call_t *call, const stream_place_t *at);
void stream__propagate_consumer(redis_call_t *call, const stream_place_t *at, bytes_t consumer);
/* The consumer of that name, which is created (announced, but not propagated) when it is not there. It was seen now. */
stream_consumer_t *stream__consumer(redis_call_t *call, const stream_place_t *at, stream_group_t *g, bytes_t name,
                                    bool *ret_created);

#endif

/* zset.h: what the files of sorted set commands share. */
#ifndef TRIVET_REDIS_CMD_ZSET_H
#define TRIVET_REDIS_CMD_ZSET_H

#include "redis/exec/key.h"
#include "redis/types/zset.h"

/* Stores the set after members were taken out, or deletes the key; sends the events. */
void zset__removed(redis_call_t *call, bytes_t key, redis_entry_t *entry, value_t v, const char *event);
/* Stores what was built under `key` (an empty set deletes it) and replies its length. */
void zset__store(redis_call_t *call, bytes_t key, zset_t *built, const char *event);
/* One member of a reply; with scores, RESP3 gets pairs: see zset__reply_header. */
void zset__reply_member(redis_call_t *call, bytes_t member, double score, bool with_scores);
void zset__reply_header(redis_call_t *call, size_t count, bool with_scores);

#endif

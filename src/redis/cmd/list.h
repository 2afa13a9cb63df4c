/* list.h: what the two files of list commands share. */
#ifndef TRIVET_REDIS_CMD_LIST_H
#define TRIVET_REDIS_CMD_LIST_H

#include "redis/exec/key.h"
#include "redis/types/list.h"

/* After `count` elements were popped from an end: events, and the end of an empty list. `v` is the list as it
 * is now. */
void list__popped(redis_call_t *call, bytes_t key, redis_entry_t *entry, value_t v, bool at_head, size_t count);
/* Replies [key, [elements]], pops them and says how this travels. */
void list__pop_with_key(redis_call_t *call, bytes_t key, redis_entry_t *entry, bool at_head, int64_t count);
/* Replies an array of `count` elements from `from` on. */
void list__reply_range(redis_call_t *call, value_t v, int64_t from, size_t count, bool backwards);

/* argv[i] is LEFT or RIGHT; false after replying the error. */
bool list__arg_end(redis_call_t *call, int i, bool *ret_at_head) MUST_CHECK;

#endif

/* collection.h: what the commands of hashes, sets and sorted sets share: scanning and random choice. */
#ifndef TRIVET_REDIS_CMD_COLLECTION_H
#define TRIVET_REDIS_CMD_COLLECTION_H

#include "base/buf.h"
#include "redis/cmd/scan.h"
#include "redis/exec/key.h"
#include "redis/types/sample.h"

/* The server's random numbers. */
rng_t collection_rng(redis_call_t *call);

/* The arguments of HSCAN and its kin, judged in the original's order: cursor, key, options. False when all is
 * replied: an error, or an empty answer for an absent key, whose options nobody looks at. */
bool collection_scan_begin(redis_call_t *call, redis_type_t type, scan_options_t *ret_options,
                           redis_entry_t **ret_entry) MUST_CHECK;
/* One step of HSCAN and its kin: appends handles (sample.h) of what was visited and returns the next cursor.
 * The pattern is not looked at. */
uint64_t collection_scan(value_t v, unsigned stride, const scan_options_t *options, buf_t *handles);
static inline size_t handles_count(const buf_t *handles) { return handles->len / sizeof(void *); }
static inline const void *handles_at(const buf_t *handles, size_t i) { return ((const void **)handles->ptr)[i]; }
/* Begins the reply [cursor, [... ; the array's items follow. */
reply_deferred_t collection_scan_reply(redis_call_t *call, uint64_t cursor);

/* Takes `argv[i]` as the count of HRANDFIELD and its kin; `pairs`: two values an element will be replied. */
bool collection_count(redis_call_t *call, int i, bool pairs, int64_t *ret_count) MUST_CHECK;
/* Handles chosen as `count` says: that many distinct ones, or, when negative, with repetition, given to
 * `each` one by one. */
typedef void (*collection_each_cb)(void *user, const void *handle);
void collection_choose(redis_call_t *call, value_t v, unsigned stride, size_t size, int64_t count,
                       collection_each_cb each, void *user);
/* False after an error: with repetition the reply would pass REPEATED_BYTES_MAX, by the mean of what `bytes` says of the
 * elements. */
#define REPEATED_BYTES_MAX MIB(64)
typedef size_t (*collection_bytes_cb)(void *user, const void *handle);
bool collection_reply_fits(redis_call_t *call, value_t v, unsigned stride, size_t size, int64_t count,
                           collection_bytes_cb bytes, void *user) MUST_CHECK;
/* How many collection_choose will give. */
static inline size_t collection_chosen(size_t size, int64_t count)
{
    return count < 0 ? (size_t)-count : MIN((size_t)count, size);
}

#endif

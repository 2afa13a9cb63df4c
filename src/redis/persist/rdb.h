/* rdb.h: keys and whole data sets in Redis' RDB format: DUMP and RESTORE, SAVE and BGSAVE, the append-only file's base. */
#ifndef TRIVET_REDIS_RDB_H
#define TRIVET_REDIS_RDB_H

#include "redis/state.h"
#include "redis/types/rdb_value.h"

/* The value with its type in front. */
void rdb__put_entry_value(rdb_writer_t *w, const redis_entry_t *e);
/* The same as a payload of DUMP: version and checksum behind. */
void rdb__dump(const redis_entry_t *e, buf_t *out);
/* What is in a payload, without version and checksum. ERR_CORRUPT: they are wrong, or of a newer format. */
int rdb__check_dump(bytes_t payload, bytes_t *ret_body) MUST_CHECK;

/* Makes an entry with the value of `v` (of which it becomes the owner) under an absent key. */
redis_entry_t *rdb__add(redis_call_t *call, bytes_t key, const rdb_value_t *v);

#endif

/* hash.h: what the commands of hashes share. A field whose time is over is not there for them, and what they write stands in its
 * place; only the append-only file, which is replayed without a clock, has to be told so (hash_draft_t). */
#ifndef TRIVET_REDIS_CMD_HASH_H
#define TRIVET_REDIS_CMD_HASH_H

#include "redis/exec/key.h"
#include "redis/types/hash.h"

/* The time for reading fields: while commands are replayed none is over. */
static inline int64_t cmd__hash_now(const redis_call_t *call)
{
    return call->flags & CALL_LOADING ? HASH_ALL : call->now_ms;
}
/* The field is there, and its time is over. */
bool cmd__hash_is_over(const redis_call_t *call, value_t v, bytes_t field);

/* The hash to be changed, a new one when the key is absent: pair with cmd__hash_changed. */
bool cmd__hash_begin(redis_call_t *call, redis_entry_t **ret_entry, value_t *ret_v) MUST_CHECK;
/* Stores it; `over`: so many fields were replaced whose time was over. */
void cmd__hash_changed(redis_call_t *call, redis_entry_t *entry, value_t v, size_t over, const char *event);
/* Stores it after fields were deleted; the key goes when none is left. */
void cmd__hash_deleted(redis_call_t *call, redis_entry_t *entry, value_t v, const char *event);

void cmd__hash_count_expired(redis_call_t *call, size_t fields);

/* FIELDS numfields field ...: where the fields are. */
typedef struct hash_names {
    int at, count;
} hash_names_t;
#define HASH_NUMFIELDS_ERROR "ERR numfields should be greater than 0 and match the provided number of fields"
/* FIELDS stands at argv[2], nothing follows the fields. `mismatch`: the error when their number is another. */
bool cmd__hash_names(redis_call_t *call, const char *mismatch, hash_names_t *ret) MUST_CHECK;
/* FIELDS stands anywhere from argv[from] on, and `words` of each field follow; options in front of it are judged between
 * the two, that is by whoever calls. */
bool cmd__hash_find_names(redis_call_t *call, int from, int *ret_at) MUST_CHECK;
bool cmd__hash_count_names(redis_call_t *call, int at, int words, hash_names_t *ret) MUST_CHECK;

/* A command for the append-only file that is gathered field by field; its head is said at the end. */
#define HASH_DRAFT_HEAD  6
#define HASH_DRAFT_SMALL 16
typedef struct hash_draft {
    bytes_t *argv;
    int argc; /* of the words behind the head */
    bytes_t small[HASH_DRAFT_HEAD + HASH_DRAFT_SMALL];
} hash_draft_t;
void hash_draft_init(hash_draft_t *d, int words_max);
void hash_draft_deinit(hash_draft_t *d);
static inline void hash_draft_add(hash_draft_t *d, bytes_t word) { d->argv[HASH_DRAFT_HEAD + d->argc++] = word; }
/* Travels as NAME key words ... */
void hash_draft_send(redis_call_t *call, hash_draft_t *d, const char *name);
/* As HPEXPIREAT of the fields. */
void hash_draft_send_time(redis_call_t *call, hash_draft_t *d, int64_t at_ms);
/* As NAME key [option [number, if 0 or more]] FIELDS count words ..., of so many words a field. */
void hash_draft_send_fields(redis_call_t *call, hash_draft_t *d, const char *name, const char *option, int64_t number,
                            int words);

#endif

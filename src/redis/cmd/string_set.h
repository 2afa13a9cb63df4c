/* string_set.h: what SET shares with other commands that set strings under conditions and with an expiry. */
#ifndef TRIVET_REDIS_CMD_STRING_SET_H
#define TRIVET_REDIS_CMD_STRING_SET_H

#include "redis/cmd/string_if.h"

enum { SET_NX = 1, SET_XX = 2, SET_GET = 4, SET_KEEPTTL = 8, SET_PERSIST = 16, SET_EXPIRES = 32, SET_IF = 64 };

typedef struct set_options {
    unsigned flags;
    int expire_index; /* of the number in argv */
    bool seconds, absolute;
    string_if_t only_if; /* SET_IF */
} set_options_t;

/* Takes the option at argv[*i], one of `allowed`, and moves `*i` to its last word; false when it is none, or contradicts one
 * before it. */
bool string_set__option(redis_call_t *call, int *i, unsigned allowed, set_options_t *o) MUST_CHECK;
/* Unix milliseconds; -1 without such an option. False after an error. */
bool string_set__expiry(redis_call_t *call, const set_options_t *o, int64_t *ret_at_ms) MUST_CHECK;
/* Whether what was to be set at this moment is gone at once. */
bool string_set__is_past(const redis_call_t *call, int64_t at_ms);
/* Stores, sets the expiry (-1: none), tells. With an expiry it travels as SET key value PXAT. */
void string_set__store(redis_call_t *call, bytes_t key, bytes_t value, bool keep_ttl, int64_t at_ms);
/* A key that would be expired at once is not stored: what was there goes. */
void string_set__delete(redis_call_t *call, bytes_t key);
/* Says that this is what travels. */
void string_set__propagate(redis_call_t *call, bytes_t key, bytes_t value, bool keep_ttl);

#endif

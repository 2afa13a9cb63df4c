/* set.h: the set type: an intset while all members are integers, a listpack while it is small, else a table.
 */
#ifndef TRIVET_REDIS_TYPES_SET_H
#define TRIVET_REDIS_TYPES_SET_H

#include "base/num.h"
#include "redis/types/value.h"

typedef void (*set_each_cb)(void *user, bytes_t member);

/* An empty set in the encoding that `count` members, `first` among them, will most likely have. */
value_t set_new_for(bytes_t first, size_t count, const redis_config_t *config);
/* Makes a small encoding a table at once when `count` more members are coming that would make it one. */
void set_expect(value_t *v, size_t count, const redis_config_t *config);
size_t set_length(value_t v);
bool set_has(value_t v, bytes_t member);
/* True when it was not there. `member` must not lie in the set. */
bool set_add(value_t *v, bytes_t member, const redis_config_t *config);
bool set_remove(value_t *v, bytes_t member);
/* Makes a set of integers an intset, if it is small enough for one. */
void set_try_intset(value_t *v, const redis_config_t *config);
void set_each(value_t v, set_each_cb each, void *user);
/* The member a handle of sample.h stands for. */
bytes_t set_at(value_t v, const void *handle, char room[NUM_I64_CHARS_MAX]);
void set_free(value_t v);

#endif

/* pop.h: popping from the first of several keys that has something, at once or waiting: what the commands of lists and
 * of sorted sets share. */
#ifndef TRIVET_REDIS_CMD_POP_H
#define TRIVET_REDIS_CMD_POP_H

#include "redis/exec/key.h"

/* How one type pops. An end of a value is a bool: `words[end]` names it in LMPOP and ZMPOP. Both functions reply, change
 * and propagate; the key holds a value of the type. */
typedef struct pop_kind {
    redis_type_t type;
    const char *words[2];
    /* As BLPOP and BZPOPMIN answer. */
    void (*one)(redis_call_t *call, bytes_t key, redis_entry_t *entry, bool end);
    /* As LMPOP and ZMPOP answer; count > 0. */
    void (*several)(redis_call_t *call, bytes_t key, redis_entry_t *entry, bool end, int64_t count);
} pop_kind_t;

/* key [key ...] timeout */
void pop_first_blocking(redis_call_t *call, const pop_kind_t *kind, bool end);
/* numkeys key [key ...] END [COUNT count] */
void pop_several(redis_call_t *call, const pop_kind_t *kind);
/* timeout numkeys key [key ...] END [COUNT count] */
void pop_several_blocking(redis_call_t *call, const pop_kind_t *kind);

#endif

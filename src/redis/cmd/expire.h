/* expire.h: what the commands that give keys and fields a time have in common. Their errors have been replied when they return
 * false. */
#ifndef TRIVET_REDIS_CMD_EXPIRE_H
#define TRIVET_REDIS_CMD_EXPIRE_H

#include "redis/exec/command.h"

typedef struct expire_form {
    bool seconds, absolute;
} expire_form_t;

/* NX, XX, GT and LT in argv[from] up to argv[to], as bits. */
bool expire__conditions(redis_call_t *call, int from, int to, unsigned *ret) MUST_CHECK;
/* Whether what expires at `now_at` (-1 = never) may be given the other time. */
bool expire__allows(unsigned conditions, int64_t now_at, int64_t new_at);
/* The time in argv[i], in Unix milliseconds. `positive`: what is below zero is no time. */
bool expire__time(redis_call_t *call, int i, expire_form_t form, bool positive, int64_t *ret_at) MUST_CHECK;
/* The time that is left (0 when over), or the moment, in the unit asked for. */
int64_t expire__shown(const redis_call_t *call, int64_t at_ms, expire_form_t form);

#endif

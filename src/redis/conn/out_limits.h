/* out_limits.h: client-output-buffer-limit: how much may lie unsent for a client of each class. */
#ifndef TRIVET_REDIS_OUT_LIMITS_H
#define TRIVET_REDIS_OUT_LIMITS_H

#include "base/base.h"

typedef struct redis_client redis_client_t;

/* What fits the buffer that the original has for each client is not counted there. */
#define OUT_UNCOUNTED_BYTES KIB(16)

/* Above the hard limit of its class. */
bool out_limits__exceeds(const redis_client_t *c);
/* It is no small reply, and the client is not closed already. */
bool out_limits__counts(const redis_client_t *c);
/* Closes a client that does not read; it may be gone when this returns. */
void out_limits__close(redis_client_t *c);
/* Above the hard limit, or above the soft one for its time. Asked by the cron. */
bool out_limits__is_over(redis_client_t *c);

#endif

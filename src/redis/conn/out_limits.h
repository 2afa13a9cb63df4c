/* out_limits.h: client-output-buffer-limit: how much may lie unsent for a client of each class. */
#ifndef TRIVET_REDIS_OUT_LIMITS_H
#define TRIVET_REDIS_OUT_LIMITS_H

#include "base/base.h"

typedef struct clients clients_t;
typedef struct redis_client redis_client_t;

/* Above the hard limit of its class. */
bool out_limits__exceeds(const redis_client_t *c);
/* It is no small reply, and the client is not closed already. */
bool out_limits__counts(const redis_client_t *c);
/* Closes a client that does not read; it may be gone when this returns. */
void out_limits__close(redis_client_t *c);
/* Closes who is above the hard limit, or above the soft one for its time. Called by the cron. */
void out_limits__enforce(clients_t *clients);

#endif

/* inquiry.h: what a command, a transaction or a call of a script must know from elsewhere before it runs (inquiry.c). */
#ifndef TRIVET_REDIS_INQUIRY_H
#define TRIVET_REDIS_INQUIRY_H

#include "redis/exec/exec.h"
#include "redis/redis.h"

/* `known` runs when the last of the questions that were not answered at once is. */
inquiry_t *inquiry__new(void (*known)(void *user), void *user);
/* Ends each of its questions. */
void inquiry__free(inquiry_t *inquiry);
/* What the command asks; NULL = nothing. */
redis_question_t *inquiry__add(inquiry_t *inquiry, const redis_command_t *command, int argc, const bytes_t *argv);
bool inquiry__is_known(const inquiry_t *inquiry);

/* Of a request that passed all checks: asks, once, what it must know. True: the client is paused, and the request comes again. */
bool inquiry__must_wait(redis_client_t *c, const redis_command_t *command, int argc, const bytes_t *argv);

/* The client's request was run, was refused, or is put off for long: what it asked ends. */
void inquiry__drop(redis_client_t *c);

#endif

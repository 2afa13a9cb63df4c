/* push.h: what a client is told that it did not ask for: pub/sub messages, invalidations. CLIENT REPLY OFF does not silence it, and
 * what the client's own command causes follows that command's reply.
 *
 *     push_t p = push__begin(c);
 *     reply_push(p.to, 2); ...
 *     push__end(&p); */
#ifndef TRIVET_REDIS_PUSH_H
#define TRIVET_REDIS_PUSH_H

#include "redis/conn/reply.h"

typedef struct push {
    redis_client_t *to; /* what is written for `client` */
    redis_client_t *client;
    uint32_t silence;
} push_t;

push_t push__begin(redis_client_t *c);
/* The same for what is the answer of its command: SUBSCRIBE's words. */
push_t push__begin_reply(redis_client_t *c);
void push__end(push_t *p);
/* The client's command has replied: gives it what waited for that. */
void push__give_own(redis_client_t *c);
/* False: the client is closing, or was closed now since it does not read. */
bool push__may_receive(redis_client_t *c);

#endif

/* out.h: the inside of replying: room in the client's output, filled by pointer. */
#ifndef TRIVET_REDIS_OUT_H
#define TRIVET_REDIS_OUT_H

#include "redis/conn/client.h"

#define OUT_RESERVE_BYTES 4096 /* at least so much room is taken at once */

/* Hands what was written for all clients to their connections. Every entry into this folder ends with it. */
void out__flush_all(clients_t *clients);
void out__flush(redis_client_t *c);
/* Makes room for n bytes when out.. is used up (or nothing is reserved). */
uint8_t *out__grow(redis_client_t *c, size_t n);

static inline uint8_t *out_room(redis_client_t *c, size_t n)
{
    if (LIKELY((size_t)(c->out_end - c->out) >= n)) return c->out;
    return out__grow(c, n);
}

static inline void out_bytes(redis_client_t *c, const void *data, size_t n)
{
    uint8_t *p = out_room(c, n);
    memcpy(p, data, n);
    c->out = p + n;
}

#endif

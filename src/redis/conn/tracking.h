/* tracking.h: client-side caching: clients are told which keys that they may have cached have changed.
 *
 * In the default mode the server remembers which client has read which key, and tells each of those once. In broadcasting mode
 * (BCAST) a client names prefixes, and is told of every key that begins with one of them. A message goes to the client itself
 * (RESP3), or to another one that it names (REDIRECT), which listens to __redis__:invalidate.
 * https://valkey.io/topics/client-side-caching/ */
#ifndef TRIVET_REDIS_TRACKING_H
#define TRIVET_REDIS_TRACKING_H

#include "redis/conn/client.h"

typedef struct tracking tracking_t;

enum {
    TRACKING_BCAST = 1,
    TRACKING_OPTIN = 2,  /* only what is read after CLIENT CACHING YES */
    TRACKING_OPTOUT = 4, /* all but what is read after CLIENT CACHING NO */
    TRACKING_NOLOOP = 8, /* not of what the client changes itself */
    TRACKING_MODES = TRACKING_BCAST | TRACKING_OPTIN | TRACKING_OPTOUT | TRACKING_NOLOOP,
    TRACKING_CACHING = 16,      /* CLIENT CACHING was called: of the next command */
    TRACKING_KEEP = 64,         /* and the command that runs is not that one */
    TRACKING_BROKEN_REDIR = 32, /* the other client is gone */
};

/* Of a client that tracks; its `tracking`. */
typedef struct tracked {
    uint32_t flags;
    uint64_t redirect_id; /* 0 = to itself */
    map_t prefixes;       /* as keys; TRACKING_BCAST */
} tracked_t;

tracking_t *tracking__new(clients_t *clients);
void tracking__free(tracking_t *t);

/* Turns it on, or changes it; the prefixes are added. */
void tracking__on(redis_client_t *c, uint32_t modes, uint64_t redirect_id, const bytes_t *prefixes, size_t count);
void tracking__off(redis_client_t *c);
/* A prefix of the client's that overlaps with this one, ptr NULL if there is none. */
bytes_t tracking__overlap(const redis_client_t *c, bytes_t prefix);

/* Whether keys that the client reads now are remembered. */
static inline bool tracking__remembers(const redis_client_t *c)
{
    const tracked_t *t = c->tracking;
    if (LIKELY(!t) || t->flags & TRACKING_BCAST) return false;
    bool caching = t->flags & TRACKING_CACHING;
    return t->flags & TRACKING_OPTIN ? caching : !(t->flags & TRACKING_OPTOUT && caching);
}
void tracking__remember(redis_client_t *c, bytes_t key);
/* A command of the client has ended: CLIENT CACHING was for one. */
void tracking__command_done(redis_client_t *c);
/* Drops keys, telling who read them, while there are more than tracking-table-max-keys. */
void tracking__limit(clients_t *clients);

typedef struct tracking_info {
    uint64_t clients, keys, items, prefixes; /* items: pairs of a key and a client */
} tracking_info_t;
tracking_info_t tracking__info(const clients_t *clients);

#endif

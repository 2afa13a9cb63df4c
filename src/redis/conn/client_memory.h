/* client_memory.h: what clients hold, and maxmemory-clients, which bounds what all of them hold together: when that much is held the
 * largest are closed until less is. CLIENT NO-EVICT exempts a client from being closed, not from being counted.
 *
 * Without a bound nothing is kept: whoever asks has it measured. With one each client is counted again when it has sent or was sent
 * something, and all of them by the cron, which sees input that has not become a request yet. */
#ifndef TRIVET_REDIS_CLIENT_MEMORY_H
#define TRIVET_REDIS_CLIENT_MEMORY_H

#include "base/list.h"

typedef struct clients clients_t;
typedef struct redis_client redis_client_t;

#define CLIENT_SIZES 19 /* lists of clients by the logarithm of what they hold: from below 64 KiB to 8 GiB and more */

typedef struct client_memory {
    uint64_t limit_bytes;             /* in force; 0 = none */
    size_t held_bytes;                /* sum of what is counted for the clients */
    list_t sizes[CLIENT_SIZES];       /* of those that may be closed */
    bool told;                        /* that nobody is left to be closed */
    size_t in_peaks[8], out_peaks[8]; /* the largest of a second, for INFO */
} client_memory_t;

/* Of a client: what is counted for it. */
typedef struct client_count {
    size_t bytes;
    list_t node; /* in one of `sizes` */
} client_count_t;

typedef struct client_holding {
    size_t query, query_free; /* input that waits for the rest of its request, and what that has announced beyond it */
    size_t arguments;         /* of the request that runs or arrives */
    size_t queued;            /* MULTI's arguments */
    size_t small_unsent, unsent; /* one of them is 0: a little is not counted (OUT_UNCOUNTED_BYTES) */
    size_t total;
} client_holding_t;

client_holding_t client_memory__measure(const redis_client_t *c);
/* Of all clients. */
size_t client_memory__total(const clients_t *clients);
void client_memory__init(clients_t *clients);
/* After maxmemory-clients, or the memory of which it is a share, has changed. */
void client_memory__update_limit(clients_t *clients);
/* What the client holds has changed. */
void client_memory__count(redis_client_t *c);
void client_memory__forget(redis_client_t *c); /* it goes */
/* Closes the largest, if too much is held. Their connections close later. */
void client_memory__enforce(clients_t *clients);
/* The cron's part: counts one client, which the peaks are of, too. */
void client_memory__note(redis_client_t *c);
void client_memory__begin_second(clients_t *clients);
/* The largest input and output of the last seconds. */
void client_memory__peaks(const clients_t *clients, size_t *ret_in, size_t *ret_out);

#endif

/* lazyfree.h: what has gone from the keyspace and is freed later, a little in each turn: large values (UNLINK and the lazyfree-lazy-*
 * settings) and whole tables (FLUSHALL ASYNC). It happens on the loop, between requests: values are small blocks of this thread, and
 * taking millions of them back from another would hold the loop as long. Part of keyspace_t. */
#ifndef TRIVET_REDIS_LAZYFREE_H
#define TRIVET_REDIS_LAZYFREE_H

#include "base/list.h"
#include "io/io.h"
#include "redis/types/entry.h"
#include "redis/types/table.h"

#define LAZYFREE_ELEMENTS_MIN 65 /* values of fewer are freed at once, as the original does */

typedef struct lazyfree {
    list_t parts; /* lazyfree_part_t */
    io_timer_t timer;
    size_t bytes;            /* what is still to be freed, estimated: maxmemory does not count it */
    uint64_t pending, freed; /* values */
} lazyfree_t;

void lazyfree__init(lazyfree_t *lazy, io_loop_t *loop);
/* Frees all that is left. */
void lazyfree__deinit(lazyfree_t *lazy);
/* Frees the entry, at once or later. It is in no table any more. */
void lazyfree__entry(lazyfree_t *lazy, redis_entry_t *entry, bool later);
/* Frees what the entry holds. */
void lazyfree__value(lazyfree_t *lazy, redis_entry_t *entry, bool later);
/* Takes all entries of the table, which is empty then. */
void lazyfree__table(lazyfree_t *lazy, table_t *keys);

#endif

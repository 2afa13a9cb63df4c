/* stats.h: the counters that INFO shows. */
#ifndef TRIVET_REDIS_STATS_H
#define TRIVET_REDIS_STATS_H

#include "base/base.h"

typedef struct redis redis_t;

/* Counts by the code that the text begins with; scripts invent codes, whose number is bounded. */
void stats__error(redis_t *redis, const char *text, size_t len, bool from_script);
void stats__reset(redis_t *redis);

#endif

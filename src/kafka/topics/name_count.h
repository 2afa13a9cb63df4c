/* name_count.h: how often a request names the same thing: duplicates are refused, and looking for them must
 * not be quadratic in what a client sends. */
#ifndef TRIVET_KAFKA_NAME_COUNT_H
#define TRIVET_KAFKA_NAME_COUNT_H

#include "base/map.h"

typedef struct name_count {
    map_t counts; /* name -> count, as a pointer */
} name_count_t;

static inline void name_count_add(name_count_t *names, bytes_t name)
{
    map_put(&names->counts, name, (void *)((uintptr_t)map_get(&names->counts, name) + 1));
}

static inline uintptr_t name_count_of(const name_count_t *names, bytes_t name)
{
    return (uintptr_t)map_get(&names->counts, name);
}

/* The same, once: later calls say 0. Kafka answers a name that is there twice a single time. */
static inline uintptr_t name_count_take(name_count_t *names, bytes_t name)
{
    return (uintptr_t)map_remove(&names->counts, name);
}

static inline void name_count_deinit(name_count_t *names) { map_deinit(&names->counts); }

#endif

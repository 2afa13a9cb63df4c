/* sample.h: random elements of any collection, by handle: a pointer to the listpack entry or table entry, or
 * for an intset the index plus one. Handles die with the next change. */
#ifndef TRIVET_REDIS_TYPES_SAMPLE_H
#define TRIVET_REDIS_TYPES_SAMPLE_H

#include "redis/types/value.h"

/* Handles of all elements, into `out` (room for all). `stride`: listpack entries an element. */
void sample_all(value_t v, unsigned stride, const void **out);
/* One element, uniformly; the collection is not empty. */
const void *sample_one(value_t v, unsigned stride, const rng_t *rng);
/* `count` distinct elements (at most `size`, the number of elements), uniformly, in random order. */
void sample_distinct(value_t v, unsigned stride, size_t size, size_t count, const rng_t *rng, const void **out);
/* The first `count` of `n` handles become a random choice of them. */
void sample_shuffle(const void **handles, size_t n, size_t count, const rng_t *rng);

#endif

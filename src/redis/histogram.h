/* histogram.h: how often which duration occurred, within two significant digits, as HdrHistogram keeps it.
 *
 * Below 256 ns each value has a counter of its own; above, each power of two has 128, so that a counter stands for values that
 * differ by less than a hundredth. Above a second everything counts as a second. */
#ifndef TRIVET_REDIS_HISTOGRAM_H
#define TRIVET_REDIS_HISTOGRAM_H

#include "base/base.h"

#define HISTOGRAM_NS_MAX 1000000000u
#define HISTOGRAM_HALF   128 /* counters of a power of two */
#define HISTOGRAM_POWERS 23  /* from 256 ns to a second */
#define HISTOGRAM_SLOTS  ((HISTOGRAM_POWERS + 2) * HISTOGRAM_HALF)

typedef struct histogram {
    uint64_t total;
    uint32_t counts[HISTOGRAM_SLOTS];
} histogram_t;

void histogram_add(histogram_t *h, uint64_t ns);
/* The highest value that counts as `ns` does. */
uint64_t histogram_top(uint64_t ns);
/* How many were not above histogram_top(ns). */
uint64_t histogram_up_to(const histogram_t *h, uint64_t ns);
/* The highest value of the counter in which so much of all (0 to 100) ends. */
uint64_t histogram_percentile(const histogram_t *h, double percent);

#endif

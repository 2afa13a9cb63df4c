/* latency.h: the latency monitor: for each kind of event the last times at which it took latency-monitor-threshold or longer. */
#ifndef TRIVET_REDIS_LATENCY_H
#define TRIVET_REDIS_LATENCY_H

#include "base/base.h"

#define LATENCY_SAMPLES_MAX 160
#define LATENCY_EVENTS_MAX  16

typedef struct latency_sample {
    int64_t at_s;
    uint32_t ms;
} latency_sample_t;

typedef struct latency_series {
    const char *event; /* lasts */
    latency_sample_t samples[LATENCY_SAMPLES_MAX];
    size_t count, next; /* the oldest is at `next` when all places are used */
    uint32_t worst_ms;
} latency_series_t;

typedef struct latency {
    latency_series_t *series[LATENCY_EVENTS_MAX];
    size_t count;
} latency_t;

/* One sample a second: the worst of it. */
void latency_add(latency_t *l, const char *event, int64_t now_s, uint64_t usec);
/* An event that took so long is kept if that is `threshold_ms` (0 = none is) or more. */
static inline void latency_note(latency_t *l, int64_t threshold_ms, const char *event, int64_t now_ms, uint64_t usec)
{
    if (threshold_ms > 0 && usec / 1000 >= (uint64_t)threshold_ms) latency_add(l, event, now_ms / 1000, usec);
}
const latency_series_t *latency_find(const latency_t *l, bytes_t event);
/* The i-th oldest. */
const latency_sample_t *latency_at(const latency_series_t *s, size_t i);
/* Forgets an event, or all (BYTES_NULL); how many there were. */
size_t latency_reset(latency_t *l, bytes_t event);

typedef struct latency_summary {
    uint32_t least_ms, most_ms, mean_ms, deviation_ms; /* the last: mean of absolute deviations */
    int64_t period_s;                                  /* since the oldest */
} latency_summary_t;
latency_summary_t latency_summarize(const latency_series_t *s, int64_t now_s);

#endif

/* latency.c: see latency.h. */
#include "redis/latency.h"

static latency_series_t *series_of(latency_t *l, const char *event)
{
    for (size_t i = 0; i < l->count; i++)
        if (strcmp(l->series[i]->event, event) == 0) return l->series[i];
    ASSERT(l->count < LATENCY_EVENTS_MAX);
    latency_series_t *s = mem_zalloc(sizeof(*s));
    s->event = event;
    return l->series[l->count++] = s;
}

void latency_add(latency_t *l, const char *event, int64_t now_s, uint64_t usec)
{
    latency_series_t *s = series_of(l, event);
    uint32_t ms = (uint32_t)MIN(usec / 1000, (uint64_t)UINT32_MAX);
    s->worst_ms = MAX(s->worst_ms, ms);
    latency_sample_t *last = &s->samples[(s->next + LATENCY_SAMPLES_MAX - 1) % LATENCY_SAMPLES_MAX];
    if (s->count && last->at_s == now_s) {
        last->ms = MAX(last->ms, ms);
        return;
    }
    s->samples[s->next] = (latency_sample_t){now_s, ms};
    s->next = (s->next + 1) % LATENCY_SAMPLES_MAX;
    s->count = MIN(s->count + 1, (size_t)LATENCY_SAMPLES_MAX);
}

const latency_series_t *latency_find(const latency_t *l, bytes_t event)
{
    for (size_t i = 0; i < l->count; i++)
        if (bytes_eq(bytes_str(l->series[i]->event), event)) return l->series[i];
    return NULL;
}

const latency_sample_t *latency_at(const latency_series_t *s, size_t i)
{
    ASSERT(i < s->count);
    return &s->samples[(s->next + LATENCY_SAMPLES_MAX - s->count + i) % LATENCY_SAMPLES_MAX];
}

size_t latency_reset(latency_t *l, bytes_t event)
{
    size_t kept = 0, before = l->count;
    for (size_t i = 0; i < before; i++) {
        latency_series_t *s = l->series[i];
        if (event.ptr && !bytes_eq_nocase(bytes_str(s->event), event))
            l->series[kept++] = s;
        else
            mem_free(s);
    }
    l->count = kept;
    return before - kept;
}

latency_summary_t latency_summarize(const latency_series_t *s, int64_t now_s)
{
    latency_summary_t r = {.least_ms = UINT32_MAX};
    uint64_t sum = 0, deviations = 0;
    for (size_t i = 0; i < s->count; i++) {
        uint32_t ms = latency_at(s, i)->ms;
        r.least_ms = MIN(r.least_ms, ms);
        r.most_ms = MAX(r.most_ms, ms);
        sum += ms;
    }
    r.mean_ms = (uint32_t)(sum / s->count);
    for (size_t i = 0; i < s->count; i++) {
        uint32_t ms = latency_at(s, i)->ms;
        deviations += ms > r.mean_ms ? ms - r.mean_ms : r.mean_ms - ms;
    }
    r.deviation_ms = (uint32_t)(deviations / s->count);
    r.period_s = MAX(now_s - latency_at(s, 0)->at_s, (int64_t)1);
    return r;
}

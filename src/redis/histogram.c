/* histogram.c: see histogram.h. */
#include "redis/histogram.h"

/* How far a value is shifted to leave eight bits at most. */
static unsigned shift_of(uint64_t ns)
{
    unsigned bits = 64 - (unsigned)__builtin_clzll(ns | 1);
    return bits > 8 ? bits - 8 : 0;
}

static size_t slot_of(uint64_t ns)
{
    unsigned shift = shift_of(ns);
    return shift * HISTOGRAM_HALF + (size_t)(ns >> shift);
}

static uint64_t top_of_slot(size_t slot)
{
    if (slot < 2 * HISTOGRAM_HALF) return slot;
    unsigned shift = (unsigned)(slot / HISTOGRAM_HALF) - 1;
    uint64_t part = slot - (size_t)shift * HISTOGRAM_HALF;
    return ((part + 1) << shift) - 1;
}

static uint64_t bounded(uint64_t ns) { return MIN(MAX(ns, (uint64_t)1), (uint64_t)HISTOGRAM_NS_MAX); }

void histogram_add(histogram_t *h, uint64_t ns)
{
    h->total++;
    h->counts[slot_of(bounded(ns))]++;
}

uint64_t histogram_top(uint64_t ns) { return top_of_slot(slot_of(ns)); }

uint64_t histogram_up_to(const histogram_t *h, uint64_t ns)
{
    uint64_t sum = 0;
    size_t last = slot_of(bounded(ns));
    for (size_t i = 0; i <= last; i++) sum += h->counts[i];
    return sum;
}

uint64_t histogram_percentile(const histogram_t *h, double percent)
{
    uint64_t wanted = (uint64_t)(percent / 100 * (double)h->total + 0.5), sum = 0;
    wanted = MAX(wanted, (uint64_t)1);
    for (size_t i = 0; i < HISTOGRAM_SLOTS; i++) {
        sum += h->counts[i];
        if (sum >= wanted) return top_of_slot(i);
    }
    return 0;
}

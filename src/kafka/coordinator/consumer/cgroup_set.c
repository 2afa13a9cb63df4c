/* cgroup_set.c: see cgroup_set.h. */
#include "kafka/coordinator/consumer/cgroup_set.h"

static int compare(cgroup_tp_t a, cgroup_tp_t b)
{
    int order = memcmp(a.topic.bytes, b.topic.bytes, sizeof(a.topic.bytes));
    return order ? order : (a.partition > b.partition) - (a.partition < b.partition);
}

static size_t place_of(const cgroup_set_t *s, cgroup_tp_t tp)
{
    size_t low = 0, high = s->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compare(s->items[middle], tp) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

void cgroup_set_deinit(cgroup_set_t *s)
{
    mem_free(s->items);
    *s = (cgroup_set_t){0};
}

bool cgroup_set_has(const cgroup_set_t *s, cgroup_tp_t tp)
{
    size_t place = place_of(s, tp);
    return place < s->count && compare(s->items[place], tp) == 0;
}

static void make_room(cgroup_set_t *s, size_t count)
{
    if (count <= s->cap) return;
    s->cap = MAX(count, s->cap * 2);
    s->items = mem_realloc(s->items, s->cap * sizeof(s->items[0]));
}

void cgroup_set_add(cgroup_set_t *s, cgroup_tp_t tp)
{
    bool last = s->count == 0 || compare(s->items[s->count - 1], tp) < 0; /* as sets are filled from others */
    size_t place = last ? s->count : place_of(s, tp);
    if (place < s->count && compare(s->items[place], tp) == 0) return;
    make_room(s, s->count + 1);
    memmove(&s->items[place + 1], &s->items[place], (s->count - place) * sizeof(s->items[0]));
    s->items[place] = tp;
    s->count++;
}

void cgroup_set_remove(cgroup_set_t *s, cgroup_tp_t tp)
{
    size_t place = place_of(s, tp);
    if (place == s->count || compare(s->items[place], tp) != 0) return;
    s->count--;
    memmove(&s->items[place], &s->items[place + 1], (s->count - place) * sizeof(s->items[0]));
}

void cgroup_set_copy(cgroup_set_t *to, const cgroup_set_t *from)
{
    make_room(to, from->count);
    if (from->count) memcpy(to->items, from->items, from->count * sizeof(to->items[0]));
    to->count = from->count;
}

bool cgroup_set_eq(const cgroup_set_t *a, const cgroup_set_t *b)
{
    if (a->count != b->count) return false;
    for (size_t i = 0; i < a->count; i++) {
        if (compare(a->items[i], b->items[i]) != 0) return false;
    }
    return true;
}

bool cgroup_set_within(const cgroup_set_t *a, const cgroup_set_t *b)
{
    for (size_t i = 0; i < a->count; i++) {
        if (!cgroup_set_has(b, a->items[i])) return false;
    }
    return true;
}

bool cgroup_set_meets(const cgroup_set_t *a, const cgroup_set_t *b)
{
    for (size_t i = 0; i < a->count; i++) {
        if (cgroup_set_has(b, a->items[i])) return true;
    }
    return false;
}

size_t cgroup_set_run(const cgroup_set_t *s, size_t at)
{
    size_t end = at;
    while (end < s->count && kafka_uuid_eq(s->items[end].topic, s->items[at].topic)) end++;
    return end - at;
}

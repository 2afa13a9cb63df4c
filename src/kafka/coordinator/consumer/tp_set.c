/* tp_set.c: see tp_set.h. */
#include "kafka/coordinator/consumer/tp_set.h"

static int compare(topic_partition_t a, topic_partition_t b)
{
    int order = memcmp(a.topic.bytes, b.topic.bytes, sizeof(a.topic.bytes));
    return order ? order : (a.partition > b.partition) - (a.partition < b.partition);
}

static size_t place_of(const tp_set_t *s, topic_partition_t tp)
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

void tp_set_deinit(tp_set_t *s)
{
    mem_free(s->items);
    *s = (tp_set_t){0};
}

bool tp_set_has(const tp_set_t *s, topic_partition_t tp)
{
    size_t place = place_of(s, tp);
    return place < s->count && compare(s->items[place], tp) == 0;
}

static void make_room(tp_set_t *s, size_t count)
{
    if (count <= s->cap) return;
    s->cap = MAX(count, s->cap * 2);
    s->items = mem_realloc(s->items, s->cap * sizeof(s->items[0]));
}

void tp_set_add(tp_set_t *s, topic_partition_t tp)
{
    bool last = s->count == 0 || compare(s->items[s->count - 1], tp) < 0; /* as sets are filled from others */
    size_t place = last ? s->count : place_of(s, tp);
    if (place < s->count && compare(s->items[place], tp) == 0) return;
    make_room(s, s->count + 1);
    memmove(&s->items[place + 1], &s->items[place], (s->count - place) * sizeof(s->items[0]));
    s->items[place] = tp;
    s->count++;
}

void tp_set_copy(tp_set_t *to, const tp_set_t *from)
{
    make_room(to, from->count);
    if (from->count) memcpy(to->items, from->items, from->count * sizeof(to->items[0]));
    to->count = from->count;
}

bool tp_set_eq(const tp_set_t *a, const tp_set_t *b)
{
    if (a->count != b->count) return false;
    for (size_t i = 0; i < a->count; i++) {
        if (compare(a->items[i], b->items[i]) != 0) return false;
    }
    return true;
}

bool tp_set_within(const tp_set_t *a, const tp_set_t *b)
{
    for (size_t i = 0; i < a->count; i++) {
        if (!tp_set_has(b, a->items[i])) return false;
    }
    return true;
}

bool tp_set_meets(const tp_set_t *a, const tp_set_t *b)
{
    for (size_t i = 0; i < a->count; i++) {
        if (tp_set_has(b, a->items[i])) return true;
    }
    return false;
}

size_t tp_set_run(const tp_set_t *s, size_t at)
{
    size_t end = at;
    while (end < s->count && kafka_uuid_eq(s->items[end].topic, s->items[at].topic)) end++;
    return end - at;
}

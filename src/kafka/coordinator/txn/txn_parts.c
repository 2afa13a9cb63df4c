/* txn_parts.c: the set of a transaction's partitions. See txn.h. */
#include "kafka/coordinator/txn/txn.h"

void txn_parts_clear(txn_parts_t *parts)
{
    size_t cursor = 0;
    for (map_entry_t *e; (e = map_next(&parts->topics, &cursor));) {
        txn_topic_t *t = e->value;
        mem_free((void *)t->name.ptr);
        mem_free(t->indexes);
        mem_free(t);
    }
    map_deinit(&parts->topics);
    *parts = (txn_parts_t){.topics = MAP_INIT};
}

/* Where `index` is or would go. */
static int32_t place_of(const txn_topic_t *t, int32_t index)
{
    int32_t low = 0, high = t->count;
    while (low < high) {
        int32_t middle = low + (high - low) / 2;
        if (t->indexes[middle] < index)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static txn_topic_t *topic_of(txn_parts_t *parts, bytes_t name)
{
    txn_topic_t *t = map_get(&parts->topics, name);
    if (t) return t;
    t = mem_zalloc(sizeof(*t));
    t->name = bytes_of(mem_strndup(name), name.len);
    map_put(&parts->topics, t->name, t);
    return t;
}

void txn_parts_add(txn_parts_t *parts, bytes_t topic, int32_t index)
{
    txn_topic_t *t = topic_of(parts, topic);
    int32_t place = place_of(t, index);
    if (place < t->count && t->indexes[place] == index) return;
    if (t->count == t->cap) {
        t->cap = MAX(t->cap * 2, 4);
        t->indexes = mem_realloc(t->indexes, (size_t)t->cap * sizeof(t->indexes[0]));
    }
    memmove(&t->indexes[place + 1], &t->indexes[place], (size_t)(t->count - place) * sizeof(t->indexes[0]));
    t->indexes[place] = index;
    t->count++;
    parts->count++;
}

void txn_parts_add_all(txn_parts_t *parts, const txn_parts_t *from)
{
    size_t cursor = 0;
    for (const txn_topic_t *t; (t = txn_parts_next(from, &cursor));) {
        for (int32_t i = 0; i < t->count; i++) txn_parts_add(parts, t->name, t->indexes[i]);
    }
}

bool txn_parts_has(const txn_parts_t *parts, bytes_t topic, int32_t index)
{
    const txn_topic_t *t = map_get(&parts->topics, topic);
    if (!t) return false;
    int32_t place = place_of(t, index);
    return place < t->count && t->indexes[place] == index;
}

bool txn_parts_has_all(const txn_parts_t *parts, const txn_parts_t *of)
{
    size_t cursor = 0;
    for (const txn_topic_t *t; (t = txn_parts_next(of, &cursor));) {
        for (int32_t i = 0; i < t->count; i++) {
            if (!txn_parts_has(parts, t->name, t->indexes[i])) return false;
        }
    }
    return true;
}

const txn_topic_t *txn_parts_next(const txn_parts_t *parts, size_t *cursor)
{
    const map_entry_t *e = map_next(&parts->topics, cursor);
    return e ? e->value : NULL;
}

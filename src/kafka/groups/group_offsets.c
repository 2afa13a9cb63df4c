/* group_offsets.c: see group_offsets.h. */
#include "kafka/groups/group_offsets.h"

static void topic_free(group_topic_t *t)
{
    for (size_t i = 0; i < t->count; i++) mem_free((void *)t->entries[i].value.metadata.ptr);
    mem_free(t->entries);
    mem_free((void *)t->name.ptr);
    mem_free(t);
}

void group_offsets_deinit(group_offsets_t *o)
{
    size_t cursor = 0;
    for (map_entry_t *e; (e = map_next(&o->topics, &cursor));) topic_free(e->value);
    map_deinit(&o->topics);
    o->count = 0;
}

/* Where `partition` is or would go. */
static size_t place_of(const group_topic_t *t, int32_t partition)
{
    size_t low = 0, high = t->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (t->entries[middle].partition < partition) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static bool is_at(const group_topic_t *t, size_t place, int32_t partition)
{
    return place < t->count && t->entries[place].partition == partition;
}

const group_offset_t *group_offsets_get(const group_offsets_t *o, bytes_t topic, int32_t partition)
{
    const group_topic_t *t = map_get(&o->topics, topic);
    if (!t) return NULL;
    size_t place = place_of(t, partition);
    return is_at(t, place, partition) ? &t->entries[place].value : NULL;
}

/* Most commits carry no metadata: no allocation then. */
static bytes_t copy_metadata(bytes_t metadata)
{
    return metadata.len ? bytes_of(mem_strndup(metadata), metadata.len) : BYTES_NULL;
}

static group_topic_t *topic_of(group_offsets_t *o, bytes_t name)
{
    group_topic_t *t = map_get(&o->topics, name);
    if (t) return t;
    t = mem_zalloc(sizeof(*t));
    t->name = bytes_of(mem_strndup(name), name.len);
    map_put(&o->topics, name, t);
    return t;
}

static void make_room(group_topic_t *t, size_t place)
{
    if (t->count == t->cap) {
        t->cap = t->cap ? t->cap * 2 : 1;
        t->entries = mem_realloc(t->entries, t->cap * sizeof(t->entries[0]));
    }
    memmove(&t->entries[place + 1], &t->entries[place], (t->count - place) * sizeof(t->entries[0]));
    t->count++;
}

void group_offsets_put(group_offsets_t *o, bytes_t topic, int32_t partition, const group_offset_t *value)
{
    group_topic_t *t = topic_of(o, topic);
    size_t place = place_of(t, partition);
    if (is_at(t, place, partition)) {
        mem_free((void *)t->entries[place].value.metadata.ptr);
    } else {
        make_room(t, place);
        o->count++;
    }
    t->entries[place] = (group_topic_offset_t){partition, *value};
    t->entries[place].value.metadata = copy_metadata(value->metadata);
}

bool group_offsets_remove(group_offsets_t *o, bytes_t topic, int32_t partition)
{
    group_topic_t *t = map_get(&o->topics, topic);
    if (!t) return false;
    size_t place = place_of(t, partition);
    if (!is_at(t, place, partition)) return false;
    mem_free((void *)t->entries[place].value.metadata.ptr);
    t->count--;
    memmove(&t->entries[place], &t->entries[place + 1], (t->count - place) * sizeof(t->entries[0]));
    o->count--;
    if (t->count == 0) {
        map_remove(&o->topics, t->name);
        topic_free(t);
    }
    return true;
}

const group_topic_t *group_offsets_next(const group_offsets_t *o, size_t *cursor)
{
    map_entry_t *e = map_next(&o->topics, cursor);
    return e ? e->value : NULL;
}

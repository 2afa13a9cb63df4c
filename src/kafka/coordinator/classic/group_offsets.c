/* group_offsets.c: see group_offsets.h. */
#include "kafka/coordinator/classic/group_offsets.h"

#define PAGE_BITS 6

static void topic_free(group_topic_t *t)
{
    size_t cursor = 0;
    for (const group_topic_offset_t *e; (e = group_topic_next(t, &cursor));) mem_free((void *)e->value.metadata.ptr);
    for (size_t i = 0; i < t->pages_count; i++) mem_free(t->pages[i].entries);
    mem_free(t->pages);
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

/* ---- pages ------------------------------------------------------------------------------------------ */

static size_t place_of_page(const group_topic_t *t, int32_t number)
{
    size_t low = 0, high = t->pages_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (t->pages[middle].number < number) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static group_page_t *page_of(const group_topic_t *t, int32_t partition)
{
    size_t place = place_of_page(t, partition >> PAGE_BITS);
    bool there = place < t->pages_count && t->pages[place].number == partition >> PAGE_BITS;
    return there ? &t->pages[place] : NULL;
}

static group_page_t *add_page(group_topic_t *t, int32_t partition)
{
    size_t place = place_of_page(t, partition >> PAGE_BITS);
    if (t->pages_count == t->pages_cap) {
        t->pages_cap = t->pages_cap ? t->pages_cap * 2 : 1;
        t->pages = mem_realloc(t->pages, t->pages_cap * sizeof(t->pages[0]));
    }
    memmove(&t->pages[place + 1], &t->pages[place], (t->pages_count - place) * sizeof(t->pages[0]));
    t->pages_count++;
    t->pages[place] = (group_page_t){.number = partition >> PAGE_BITS};
    return &t->pages[place];
}

static void remove_page(group_topic_t *t, group_page_t *page)
{
    mem_free(page->entries);
    size_t behind = t->pages_count - (size_t)(page - t->pages) - 1;
    memmove(page, page + 1, behind * sizeof(*page));
    t->pages_count--;
}

/* Where `partition` is or would go. */
static size_t place_of(const group_page_t *page, int32_t partition)
{
    size_t place = 0;
    while (place < page->count && page->entries[place].partition < partition) place++;
    return place;
}

static bool is_at(const group_page_t *page, size_t place, int32_t partition)
{
    return place < page->count && page->entries[place].partition == partition;
}

const group_topic_offset_t *group_topic_next(const group_topic_t *t, size_t *cursor)
{
    size_t page = *cursor >> (PAGE_BITS + 1), at = *cursor & ((2u << PAGE_BITS) - 1);
    if (page < t->pages_count && at == t->pages[page].count) {
        page++;
        at = 0;
    }
    if (page >= t->pages_count) return NULL;
    *cursor = page << (PAGE_BITS + 1) | (at + 1);
    return &t->pages[page].entries[at];
}

/* ---- offsets ---------------------------------------------------------------------------------------- */

const group_offset_t *group_offsets_get(const group_offsets_t *o, bytes_t topic, int32_t partition)
{
    const group_topic_t *t = map_get(&o->topics, topic);
    const group_page_t *page = t ? page_of(t, partition) : NULL;
    if (!page) return NULL;
    size_t place = place_of(page, partition);
    return is_at(page, place, partition) ? &page->entries[place].value : NULL;
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

static void make_room(group_page_t *page, size_t place)
{
    if (page->count == page->cap) {
        page->cap = page->cap ? page->cap * 2 : 1;
        page->entries = mem_realloc(page->entries, page->cap * sizeof(page->entries[0]));
    }
    memmove(&page->entries[place + 1], &page->entries[place], (page->count - place) * sizeof(page->entries[0]));
    page->count++;
}

void group_offsets_put(group_offsets_t *o, bytes_t topic, int32_t partition, const group_offset_t *value)
{
    group_topic_t *t = topic_of(o, topic);
    group_page_t *page = page_of(t, partition);
    if (!page) page = add_page(t, partition);
    size_t place = place_of(page, partition);
    if (is_at(page, place, partition)) {
        mem_free((void *)page->entries[place].value.metadata.ptr);
    } else {
        make_room(page, place);
        t->count++;
        o->count++;
    }
    page->entries[place] = (group_topic_offset_t){partition, *value};
    page->entries[place].value.metadata = copy_metadata(value->metadata);
}

bool group_offsets_remove(group_offsets_t *o, bytes_t topic, int32_t partition)
{
    group_topic_t *t = map_get(&o->topics, topic);
    group_page_t *page = t ? page_of(t, partition) : NULL;
    if (!page) return false;
    size_t place = place_of(page, partition);
    if (!is_at(page, place, partition)) return false;
    mem_free((void *)page->entries[place].value.metadata.ptr);
    page->count--;
    memmove(&page->entries[place], &page->entries[place + 1], (page->count - place) * sizeof(page->entries[0]));
    if (page->count == 0) remove_page(t, page);
    t->count--;
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

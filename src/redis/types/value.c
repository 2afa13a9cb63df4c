/* value.c: see value.h. */
#include "redis/types/value.h"

table_t *pstr_table_new(size_t count)
{
    table_t *t = mem_alloc(sizeof(*t));
    table_init(t, pstr_hash);
    if (count > TABLE_SLOTS) table_reserve(t, count);
    return t;
}

typedef struct sizer {
    size_t (*entry_bytes)(const void *entry);
} sizer_t;

static void free_entry(void *user, void *entry) { mem_small_free(entry, ((sizer_t *)user)->entry_bytes(entry)); }

void pstr_table_free(table_t *t, size_t (*entry_bytes)(const void *entry))
{
    sizer_t sizer = {entry_bytes};
    table_each(t, free_entry, &sizer);
    table_deinit(t);
    mem_free(t);
}

bool pstr_table_drain(table_t *t, size_t *budget, size_t (*entry_bytes)(const void *entry))
{
    sizer_t sizer = {entry_bytes};
    if (!table_drain(t, budget, free_entry, &sizer)) return false;
    mem_free(t);
    return true;
}

typedef struct estimate {
    size_t (*entry_bytes)(const void *entry);
    size_t bytes;
    size_t seen;
} estimate_t;

static void add_estimate(void *user, void *entry)
{
    estimate_t *e = user;
    e->bytes += mem_small_bytes(e->entry_bytes(entry));
    e->seen++;
}

size_t table_estimate_bytes(const table_t *t, size_t samples, size_t (*entry_bytes)(const void *entry))
{
    estimate_t e = {.entry_bytes = entry_bytes};
    size_t count = table_count(t);
    uint64_t cursor = 0;
    do {
        cursor = table_scan((table_t *)t, cursor, add_estimate, &e);
    } while (cursor && (samples == 0 || e.seen < samples));
    size_t fixed = sizeof(*t) + table_memory_bytes(t);
    return e.seen ? fixed + (size_t)((double)e.bytes / (double)e.seen * (double)count) : fixed;
}

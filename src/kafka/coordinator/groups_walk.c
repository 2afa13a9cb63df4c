/* groups_walk.c: see groups_walk.h. The groups of one partition of the topic are at hand at a time, each with a reference, so that
 * the walk neither holds the loop to gather all of them nor minds what the table does between two steps. */
#include "kafka/coordinator/groups_walk.h"

#include "kafka/coordinator/groups_internal.h"

void groups_walk_begin(groups_walk_t *walk, kafka_groups_t *groups) { *walk = (groups_walk_t){.groups = groups}; }

static void gather(groups_walk_t *walk, groups_partition_t *partition)
{
    size_t count = 0;
    LIST_EACH(&partition->living, counted, group_entry_t, node) count++;
    walk->entries = mem_realloc(walk->entries, sizeof(*walk->entries) * (count + 1));
    walk->count = walk->next = 0;
    LIST_EACH(&partition->living, entry, group_entry_t, node) {
        group_entry_ref(entry);
        walk->entries[walk->count++] = entry;
    }
}

static void let_go(groups_walk_t *walk)
{
    if (walk->next > 0) group_entry_unref(walk->entries[walk->next - 1]);
}

bool groups_walk_next(groups_walk_t *walk, group_entry_t **ret_entry)
{
    *ret_entry = NULL;
    let_go(walk);
    if (walk->next < walk->count) {
        group_entry_t *entry = walk->entries[walk->next++];
        if (!entry->removed) *ret_entry = entry;
        return true;
    }
    walk->count = walk->next = 0;
    groups_partition_t *partition = groups__partition(walk->groups, walk->partition++);
    if (partition) {
        gather(walk, partition);
        return true;
    }
    mem_free(walk->entries);
    walk->entries = NULL;
    return false;
}

void groups_walk_stop(groups_walk_t *walk)
{
    let_go(walk);
    while (walk->next < walk->count) group_entry_unref(walk->entries[walk->next++]);
    walk->count = walk->next = 0;
    mem_free(walk->entries);
    walk->entries = NULL;
}

/* memory.h: the figures of MEMORY STATS, which INFO shows as well. */
#ifndef TRIVET_REDIS_CMD_MEMORY_H
#define TRIVET_REDIS_CMD_MEMORY_H

#include "redis/exec/command.h"

typedef struct memory_figures {
    mem_totals_t allocator;
    size_t resident_bytes, startup_bytes, peak_bytes, clients_bytes, file_bytes, scripts_bytes, tables_bytes, keys;
} memory_figures_t;

memory_figures_t memory__measure(redis_t *redis);
/* What is not keys and their values. */
size_t memory__overhead_bytes(const memory_figures_t *f);

#endif

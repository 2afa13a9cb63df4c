/* timing.h: what is kept of each command that ran: its time in the statistics, the histogram and the monitor, and in the log what
 * took long or was large. */
#ifndef TRIVET_REDIS_EXEC_TIMING_H
#define TRIVET_REDIS_EXEC_TIMING_H

#include "redis/exec/exec.h"

/* Some setting asks for the time, or for sizes, of what would take the way without a clock. */
bool timing__is_wanted(const redis_t *redis);

/* Bytes of replies so far. */
static inline uint64_t timing__written(const redis_client_t *c)
{
    return c->out_bytes + (uint64_t)(c->out - c->out_start);
}

void timing__log_reply(redis_client_t *c, const redis_command_t *command, const parsed_t *q, uint64_t bytes);

#endif
